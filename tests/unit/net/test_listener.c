/* Listening sockets: every kind of URL, several at once, and what happens when descriptors run out. */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address.h"
#include "cidr.h"
#include "conn_facts.h"
#include "err.h"
#include "loop.h"
#include "loop_support.h"
#include "resolver_support.h"
#include "socket_support.h"
#include "test_main.h"
#include "url.h"

static struct loop *loop;
static char folder[64], unix_path[100];

struct door {
    struct listener *listener;
    int n_accepted, n_troubles;
    int trouble;
    bool closes_on_accept, keeps;
    struct conn_peer last_peer; /* facts: of a parcel that is closed by now, do not look */
    int kept[64];
    struct cidr_list proxies;
    int n_bad_headers;
    char why[100], via[64], common_name[64];
    char rest[64]; /* what stood behind the header */
};

static void on_accept(struct listener *l, struct conn_parcel *parcel, void *arg)
{
    struct door *d = arg;
    d->last_peer = parcel->peer;
    if (parcel->peer.facts) {
        const struct conn_facts *facts = parcel->peer.facts;
        snprintf(d->via, sizeof(d->via), "%s", facts->via ? facts->via : "");
        snprintf(d->common_name, sizeof(d->common_name), "%s", facts->common_name ? facts->common_name : "");
        long n = socket_support_read(parcel->fd, d->rest, sizeof(d->rest) - 1);
        d->rest[n > 0 ? n : 0] = '\0';
    }
    if (d->keeps && d->n_accepted < (int)TEST_COUNT(d->kept))
        d->kept[d->n_accepted] = parcel->fd;
    else
        conn_parcel_close(parcel);
    d->n_accepted++;
    if (d->closes_on_accept)
        d->listener = listener_close(l);
}

static void on_trouble(struct listener *l, int err, void *arg)
{
    struct door *d = arg;
    d->n_troubles++;
    d->trouble = err;
}

static void on_bad_header(struct listener *l, const struct conn_peer *proxy, const char *why, void *arg)
{
    struct door *d = arg;
    d->n_bad_headers++;
    snprintf(d->why, sizeof(d->why), "%s", why);
    ck_assert(strncmp(proxy->text, "127.0.0.1:", 10) == 0);
    if (d->closes_on_accept)
        d->listener = listener_close(l);
}

static const struct listener_cbs cbs = {
    .on_accept = on_accept, .on_trouble = on_trouble, .on_bad_header = on_bad_header};

static int open_door(struct door *d, const char *text)
{
    struct url url;
    *d = (struct door){.n_accepted = 0};
    ck_assert_int_eq(url_parse(text, "mqtt unix", &url), 0);
    const struct listener_params params = {.url = &url};
    return listener_open(loop, &params, &cbs, d, &d->listener);
}

static void close_door(struct door *d)
{
    d->listener = listener_close(d->listener);
}

static uint16_t port_of(const struct door *d)
{
    return (uint16_t)strtoul(strrchr(listener_name(d->listener), ':') + 1, NULL, 10);
}

static void setup(void)
{
    ck_assert_int_eq(loop_new(&loop), 0);
    snprintf(folder, sizeof(folder), "/tmp/test_listener_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(unix_path, sizeof(unix_path), "%s/s", folder);
}

static void teardown(void)
{
    loop_support_to_end(loop);
    loop = loop_free(loop);
    unlink(unix_path);
    ck_assert_int_eq(rmdir(folder), 0);
}

/* A connected socket, or a negative errno. */
static int call(const char *host, uint16_t port)
{
    union conn_address address;
    ck_assert(address_parse(host, port, &address));
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    if (connect(fd, &address.any, address_len(&address)) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

static int call_unix(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", unix_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

static int wanted;

static bool has_accepted(void *arg)
{
    return ((struct door *)arg)->n_accepted >= wanted;
}

static void run_until_accepted(struct door *d, int n)
{
    wanted = n;
    loop_support_until(loop, has_accepted, d);
}

/* Whether D lets in who calls HOST at its port; *RET_TEXT (may be NULL): what the peer looks like. */
static bool lets_in(struct door *d, const char *host, const char *prefix)
{
    int before = d->n_accepted;
    int fd = call(host, port_of(d));
    if (fd < 0)
        return false;
    run_until_accepted(d, before + 1);
    close(fd);
    ck_assert_msg(strncmp(d->last_peer.text, prefix, strlen(prefix)) == 0, "%s", d->last_peer.text);
    ck_assert_uint_eq(address_port(&d->last_peer.local), port_of(d));
    return true;
}

START_TEST(ipv4_is_heard_with_its_address)
{
    struct door d;
    ck_assert_int_eq(open_door(&d, "mqtt://127.0.0.1:0"), 0);
    ck_assert(strncmp(listener_name(d.listener), "mqtt://127.0.0.1:", 17) == 0);
    ck_assert_uint_ne(port_of(&d), 0);
    ck_assert(lets_in(&d, "127.0.0.1", "127.0.0.1:"));
    ck_assert(!lets_in(&d, "::1", ""));
    close_door(&d);
}
END_TEST

START_TEST(ipv6_is_heard_with_its_address)
{
    struct door d;
    ck_assert_int_eq(open_door(&d, "mqtt://[::1]:0"), 0);
    ck_assert(strncmp(listener_name(d.listener), "mqtt://[::1]:", 13) == 0);
    ck_assert(lets_in(&d, "::1", "[::1]:"));
    ck_assert(!lets_in(&d, "127.0.0.1", ""));
    close_door(&d);
}
END_TEST

START_TEST(every_address_means_both_families)
{
    const char *const urls[] = {"mqtt://[::]:0", "mqtt://:0", "0"};
    struct door d;
    ck_assert_int_eq(open_door(&d, urls[_i]), 0);
    ck_assert(strncmp(listener_name(d.listener), "mqtt://[::]:", 12) == 0);
    ck_assert(lets_in(&d, "127.0.0.1", "127.0.0.1:"));
    ck_assert(lets_in(&d, "::1", "[::1]:"));
    close_door(&d);
}
END_TEST

START_TEST(a_host_name_opens_all_its_addresses_on_one_port)
{
    struct door d;
    resolver_support_set("host", "127.0.0.1 ::1 127.0.0.2");
    ck_assert_int_eq(open_door(&d, "mqtt://host:0"), 0);
    ck_assert(strncmp(listener_name(d.listener), "mqtt://host:", 12) == 0);
    ck_assert(lets_in(&d, "127.0.0.1", "127.0.0.1:"));
    ck_assert(lets_in(&d, "127.0.0.2", "127.0.0.1:"));
    ck_assert(lets_in(&d, "::1", "[::1]:"));
    ck_assert(!lets_in(&d, "127.0.0.3", ""));
    close_door(&d);
}
END_TEST

START_TEST(an_address_that_this_machine_lacks_is_left_out_of_a_name)
{
    struct door d;
    resolver_support_set("host", "2001:db8::1 127.0.0.1");
    ck_assert_int_eq(open_door(&d, "mqtt://host:0"), 0);
    ck_assert(lets_in(&d, "127.0.0.1", "127.0.0.1:"));
    close_door(&d);
    resolver_support_set("host", "2001:db8::1");
    ck_assert_int_eq(open_door(&d, "mqtt://host:0"), -EADDRNOTAVAIL);
}
END_TEST

START_TEST(a_name_opens_all_or_nothing)
{
    struct door first, d;
    char url[64];
    ck_assert_int_eq(open_door(&first, "mqtt://127.0.0.2:0"), 0);
    resolver_support_set("host", "127.0.0.3 127.0.0.2");
    snprintf(url, sizeof(url), "mqtt://host:%u", port_of(&first));
    ck_assert_int_eq(open_door(&d, url), -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(err_text(), "127.0.0.2"));
    ck_assert_int_eq(call("127.0.0.3", port_of(&first)), -ECONNREFUSED);
    close_door(&first);
}
END_TEST

START_TEST(ipv4_and_every_address_share_a_port_in_either_order)
{
    const char *const v4[] = {"0.0.0.0", "127.0.0.1"};
    struct door every, only_v4;
    char url[64];
    if (_i < 2) {
        ck_assert_int_eq(open_door(&every, "mqtt://[::]:0"), 0);
        snprintf(url, sizeof(url), "mqtt://%s:%u", v4[_i % 2], port_of(&every));
        ck_assert_int_eq(open_door(&only_v4, url), 0);
    } else {
        snprintf(url, sizeof(url), "mqtt://%s:0", v4[_i % 2]);
        ck_assert_int_eq(open_door(&only_v4, url), 0);
        snprintf(url, sizeof(url), "mqtt://[::]:%u", port_of(&only_v4));
        ck_assert_int_eq(open_door(&every, url), 0);
    }
    ck_assert(lets_in(&only_v4, "127.0.0.1", "127.0.0.1:"));
    ck_assert(lets_in(&every, "::1", "[::1]:"));
    close_door(&every);
    close_door(&only_v4);
}
END_TEST

START_TEST(an_address_in_use_is_an_error_that_names_it)
{
    struct door first, second;
    char url[64], port[16];
    ck_assert_int_eq(open_door(&first, "mqtt://127.0.0.1:0"), 0);
    snprintf(port, sizeof(port), ":%u", port_of(&first));
    snprintf(url, sizeof(url), "mqtt://127.0.0.1%s", port);
    ck_assert_int_eq(open_door(&second, url), -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(err_text(), url));
    close_door(&first);
}
END_TEST

START_TEST(a_name_without_address_is_an_error)
{
    struct door d;
    ck_assert_int_lt(open_door(&d, "mqtt://nobody:1"), 0);
    ck_assert_ptr_nonnull(strstr(err_text(), "nobody"));
}
END_TEST

START_TEST(a_port_is_free_again_after_closing)
{
    struct door d;
    char url[64];
    ck_assert_int_eq(open_door(&d, "mqtt://127.0.0.1:0"), 0);
    ck_assert(lets_in(&d, "127.0.0.1", ""));
    snprintf(url, sizeof(url), "mqtt://127.0.0.1:%u", port_of(&d));
    close_door(&d);
    ck_assert_int_eq(open_door(&d, url), 0);
    close_door(&d);
}
END_TEST

START_TEST(many_are_accepted_in_several_turns)
{
    enum { N = 100 };
    struct door d;
    int fds[N];
    ck_assert_int_eq(open_door(&d, "mqtt://127.0.0.1:0"), 0);
    for (int i = 0; i < N; i++)
        ck_assert_int_ge(fds[i] = call("127.0.0.1", port_of(&d)), 0);
    loop_support_turns(loop, 1);
    ck_assert_int_eq(d.n_accepted, 64);
    run_until_accepted(&d, N);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    close_door(&d);
}
END_TEST

START_TEST(a_listener_may_be_closed_while_it_accepts)
{
    struct door d;
    ck_assert_int_eq(open_door(&d, "mqtt://127.0.0.1:0"), 0);
    d.closes_on_accept = true;
    int a = call("127.0.0.1", port_of(&d)), b = call("127.0.0.1", port_of(&d));
    run_until_accepted(&d, 1);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(d.n_accepted, 1);
    ck_assert_ptr_null(d.listener);
    close(a);
    close(b);
}
END_TEST

/* --- Proxies in front */

static int trusting_door(struct door *d, char *proxies, uint32_t timeout_ms)
{
    int r = open_door(d, "mqtt://127.0.0.1:0");
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(cidr_list_init(&d->proxies, &proxies, 1), 0);
    listener_trust(d->listener, &d->proxies, timeout_ms);
    int fd = call("127.0.0.1", port_of(d));
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void close_trusting_door(struct door *d, int fd)
{
    close_door(d);
    cidr_list_deinit(&d->proxies);
    close(fd);
}

static bool has_refused(void *arg)
{
    return ((struct door *)arg)->n_bad_headers > 0;
}

static bool is_closed_by_peer(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0); /* it blocks until the other side has closed */
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static const char line[] = "PROXY TCP4 192.0.2.7 198.51.100.1 50122 1883\r\n";

START_TEST(a_trusted_proxy_names_the_client_and_takes_nothing_of_its_bytes)
{
    struct door d;
    int fd = trusting_door(&d, "127.0.0.0/8", 10000);
    socket_support_write(fd, line, sizeof(line) - 1);
    socket_support_write(fd, "MQTT", 4);
    run_until_accepted(&d, 1);
    ck_assert_str_eq(d.last_peer.text, "192.0.2.7:50122");
    ck_assert_uint_eq(address_port(&d.last_peer.address), 50122);
    ck_assert_uint_eq(address_port(&d.last_peer.local), 1883);
    ck_assert(strncmp(d.via, "127.0.0.1:", 10) == 0);
    ck_assert_str_eq(d.rest, "MQTT");
    close_trusting_door(&d, fd);
}
END_TEST

START_TEST(a_header_may_come_in_two_pieces)
{
    struct door d;
    int fd = trusting_door(&d, "127.0.0.1", 10000);
    socket_support_write(fd, line, (size_t)_i);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(d.n_accepted, 0);
    socket_support_write(fd, line + _i, sizeof(line) - 1 - (size_t)_i);
    run_until_accepted(&d, 1);
    ck_assert_str_eq(d.last_peer.text, "192.0.2.7:50122");
    ck_assert_str_eq(d.rest, "");
    close_trusting_door(&d, fd);
}
END_TEST

START_TEST(what_v2_says_of_the_certificate_goes_with_the_connection)
{
    static const char header[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1a"
                                 "\xc0\0\2\7\xc6\x33\x64\1\x04\xd2\x07\x5b"
                                 "\x20\0\x0b\7\0\0\0\0\x22\0\3abc";
    struct door d;
    int fd = trusting_door(&d, "127.0.0.1", 10000);
    socket_support_write(fd, header, sizeof(header) - 1);
    run_until_accepted(&d, 1);
    ck_assert_str_eq(d.last_peer.text, "192.0.2.7:1234");
    ck_assert_str_eq(d.common_name, "abc");
    close_trusting_door(&d, fd);
}
END_TEST

START_TEST(a_proxy_may_say_that_it_speaks_for_itself)
{
    struct door d;
    int fd = trusting_door(&d, "127.0.0.1", 10000);
    socket_support_write(fd, "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16);
    run_until_accepted(&d, 1);
    ck_assert(strncmp(d.last_peer.text, "127.0.0.1:", 10) == 0);
    ck_assert_str_eq(d.via, "");
    close_trusting_door(&d, fd);
}
END_TEST

START_TEST(a_trusted_proxy_without_header_is_refused)
{
    struct door d;
    int fd = trusting_door(&d, "127.0.0.1", 10000);
    d.closes_on_accept = _i == 1;
    socket_support_write(fd, "\x10\x0c\0\4MQTT", 8);
    loop_support_until(loop, has_refused, &d);
    ck_assert_int_eq(d.n_accepted, 0);
    ck_assert_str_eq(d.why, "something else than a PROXY header");
    ck_assert(is_closed_by_peer(fd));
    close_trusting_door(&d, fd);
}
END_TEST

START_TEST(a_header_that_stops_half_way_is_refused)
{
    struct door d;
    int fd = trusting_door(&d, "127.0.0.1", 10000);
    socket_support_write(fd, line, 20);
    shutdown(fd, SHUT_WR);
    loop_support_until(loop, has_refused, &d);
    ck_assert_int_eq(d.n_accepted, 0);
    close_trusting_door(&d, fd);
}
END_TEST

START_TEST(a_header_that_does_not_come_in_time_is_refused)
{
    struct door d;
    int fd = trusting_door(&d, "127.0.0.1", 20);
    socket_support_write(fd, line, 20);
    loop_support_until(loop, has_refused, &d);
    ck_assert_str_eq(d.why, "no PROXY header in time");
    close_trusting_door(&d, fd);
}
END_TEST

START_TEST(who_closes_without_a_byte_is_nobody)
{
    struct door d;
    int fd = trusting_door(&d, "127.0.0.1", 10000);
    shutdown(fd, SHUT_WR);
    loop_support_turns(loop, 3);
    ck_assert(is_closed_by_peer(fd));
    ck_assert_int_eq(d.n_bad_headers, 0);
    close_trusting_door(&d, fd);
}
END_TEST

START_TEST(an_address_that_is_not_trusted_is_not_believed)
{
    struct door d;
    int fd = trusting_door(&d, "10.0.0.0/8", 10000);
    socket_support_write(fd, line, sizeof(line) - 1);
    run_until_accepted(&d, 1);
    ck_assert(strncmp(d.last_peer.text, "127.0.0.1:", 10) == 0);
    ck_assert_ptr_null(d.last_peer.facts);
    close_trusting_door(&d, fd);
}
END_TEST

START_TEST(closing_closes_who_has_not_said_who_it_is)
{
    struct door d;
    int fd = trusting_door(&d, "127.0.0.1", 10000);
    socket_support_write(fd, line, 20);
    loop_support_turns(loop, 3);
    close_door(&d);
    ck_assert(is_closed_by_peer(fd));
    ck_assert_int_eq(d.n_bad_headers + d.n_accepted, 0);
    close_trusting_door(&d, fd);
}
END_TEST

/* --- Unix sockets */

static int open_unix_door(struct door *d)
{
    char url[120];
    snprintf(url, sizeof(url), "unix:%s", unix_path);
    return open_door(d, url);
}

START_TEST(a_unix_socket_is_heard_and_removed_in_the_end)
{
    struct door d;
    struct stat st;
    ck_assert_int_eq(open_unix_door(&d), 0);
    int fd = call_unix();
    ck_assert_int_ge(fd, 0);
    run_until_accepted(&d, 1);
    char text[64];
    snprintf(text, sizeof(text), "unix:pid %d", (int)getpid());
    ck_assert_str_eq(d.last_peer.text, text);
    close(fd);
    close_door(&d);
    ck_assert_int_lt(stat(unix_path, &st), 0);
}
END_TEST

START_TEST(the_socket_of_a_dead_listener_is_replaced)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct door d;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", unix_path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
    close(dead);
    ck_assert_int_eq(open_unix_door(&d), 0);
    close_door(&d);
}
END_TEST

START_TEST(the_socket_of_a_live_listener_is_left_alone)
{
    struct door first, second;
    ck_assert_int_eq(open_unix_door(&first), 0);
    ck_assert_int_eq(open_unix_door(&second), -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(err_text(), unix_path));
    int fd = call_unix();
    ck_assert_int_ge(fd, 0);
    run_until_accepted(&first, 1);
    close(fd);
    close_door(&first);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_never_removed)
{
    struct door d;
    struct stat st;
    close(open(unix_path, O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(open_unix_door(&d), -EEXIST);
    ck_assert_int_eq(stat(unix_path, &st), 0);
}
END_TEST

START_TEST(a_file_that_somebody_has_replaced_is_left_alone)
{
    struct door d;
    struct stat st;
    ck_assert_int_eq(open_unix_door(&d), 0);
    unlink(unix_path);
    close(open(unix_path, O_CREAT | O_WRONLY, 0600));
    close_door(&d);
    ck_assert_int_eq(stat(unix_path, &st), 0);
}
END_TEST

/* --- Descriptors run out */

static bool has_trouble(void *arg)
{
    return ((struct door *)arg)->trouble != 0;
}

static bool has_no_trouble(void *arg)
{
    return ((struct door *)arg)->trouble == 0;
}

/* In a child of its own, because of the limit. Two callers, then no descriptor is left: the second waits in the
 * backlog. */
static void run_out_of_descriptors(void)
{
    struct door d;
    int holes[256] = {0}, n_holes = 0;
    const struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
    ck_assert_int_eq(open_door(&d, "mqtt://127.0.0.1:0"), 0);
    d.keeps = true;
    int first = call("127.0.0.1", port_of(&d)), second = call("127.0.0.1", port_of(&d));
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    while ((holes[n_holes] = dup(0)) >= 0)
        n_holes++;
    ck_assert_int_gt(n_holes, 10);
    close(holes[--n_holes]);
    loop_support_until(loop, has_trouble, &d);
    ck_assert_int_eq(d.trouble, -EMFILE);
    ck_assert_int_eq(d.n_accepted, 1);
    ck_assert_int_eq(d.n_troubles, 1);
    ck_assert_int_le(loop_support_count_turns(loop, 20), 4); /* it really waits */
    close(holes[--n_holes]);
    close(holes[--n_holes]); /* with only one accept() would still say EMFILE, before it looks whether anybody calls */
    loop_support_until(loop, has_no_trouble, &d);
    ck_assert_int_eq(d.n_accepted, 2);
    ck_assert_int_eq(d.n_troubles, 2);
    int third = -1;
    close(holes[--n_holes]);
    close(holes[--n_holes]);
    ck_assert_int_ge(third = call("127.0.0.1", port_of(&d)), 0);
    run_until_accepted(&d, 3);
    close_door(&d);
    loop_support_to_end(loop);
    (void)first, (void)second, (void)third;
}

START_TEST(accepting_pauses_when_descriptors_run_out_and_goes_on)
{
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        run_out_of_descriptors();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

static Suite *listener_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("listener", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, ipv4_is_heard_with_its_address);
    tcase_add_test(tc, ipv6_is_heard_with_its_address);
    tcase_add_loop_test(tc, every_address_means_both_families, 0, 3);
    tcase_add_test(tc, a_host_name_opens_all_its_addresses_on_one_port);
    tcase_add_test(tc, an_address_that_this_machine_lacks_is_left_out_of_a_name);
    tcase_add_test(tc, a_name_opens_all_or_nothing);
    tcase_add_loop_test(tc, ipv4_and_every_address_share_a_port_in_either_order, 0, 4);
    tcase_add_test(tc, an_address_in_use_is_an_error_that_names_it);
    tcase_add_test(tc, a_name_without_address_is_an_error);
    tcase_add_test(tc, a_port_is_free_again_after_closing);
    tcase_add_test(tc, many_are_accepted_in_several_turns);
    tcase_add_test(tc, a_listener_may_be_closed_while_it_accepts);
    tcase_add_test(tc, a_unix_socket_is_heard_and_removed_in_the_end);
    tcase_add_test(tc, the_socket_of_a_dead_listener_is_replaced);
    tcase_add_test(tc, the_socket_of_a_live_listener_is_left_alone);
    tcase_add_test(tc, a_file_that_is_no_socket_is_never_removed);
    tcase_add_test(tc, a_file_that_somebody_has_replaced_is_left_alone);
    tcase_add_test(tc, accepting_pauses_when_descriptors_run_out_and_goes_on);
    tcase_add_test(tc, a_trusted_proxy_names_the_client_and_takes_nothing_of_its_bytes);
    tcase_add_loop_test(tc, a_header_may_come_in_two_pieces, 1, sizeof(line) - 1);
    tcase_add_test(tc, what_v2_says_of_the_certificate_goes_with_the_connection);
    tcase_add_test(tc, a_proxy_may_say_that_it_speaks_for_itself);
    tcase_add_loop_test(tc, a_trusted_proxy_without_header_is_refused, 0, 2);
    tcase_add_test(tc, a_header_that_stops_half_way_is_refused);
    tcase_add_test(tc, a_header_that_does_not_come_in_time_is_refused);
    tcase_add_test(tc, who_closes_without_a_byte_is_nobody);
    tcase_add_test(tc, an_address_that_is_not_trusted_is_not_believed);
    tcase_add_test(tc, closing_closes_who_has_not_said_who_it_is);
    return suite;
}

TEST_MAIN(listener_suite)
