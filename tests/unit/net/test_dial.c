/* Dialling: which addresses are tried, for how long, and what is said when none answers. */
#include "dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "address.h"
#include "loop.h"
#include "loop_support.h"
#include "resolver_support.h"
#include "socket_support.h"
#include "test_main.h"
#include "url.h"

enum { N_CALLERS = 8 };

static struct loop *loop;

struct caller {
    struct dial *dial;
    int n_calls;
    int fd; /* -1 unless connected */
    bool was_short;
    struct conn_peer peer;
    char text[512];
};

static struct caller caller;

static void on_connected(struct dial *d, struct conn_parcel *parcel, void *arg)
{
    struct caller *c = arg;
    c->n_calls++;
    c->fd = parcel->fd;
    c->peer = parcel->peer;
    c->dial = dial_cancel(d); /* as a careless owner does */
}

static void on_failed(struct dial *d, const char *text, void *arg)
{
    struct caller *c = arg;
    c->n_calls++;
    snprintf(c->text, sizeof(c->text), "%s", text);
    c->was_short = dial_was_short(d);
    c->dial = dial_cancel(d);
}

static const struct dial_cbs cbs = {.on_connected = on_connected, .on_failed = on_failed};

static int start(const char *text, uint32_t timeout_ms)
{
    struct url url;
    ck_assert_int_eq(url_parse(text, "mqtt unix", &url), 0);
    const struct dial_params params = {
        .url = &url, .default_port = 1, .timeout_ms = timeout_ms, .user_timeout_ms = 7000};
    return dial_start(loop, &params, &cbs, &caller, &caller.dial);
}

static void dial_to_its_end(const char *text, uint32_t timeout_ms)
{
    ck_assert_int_eq(start(text, timeout_ms), 0);
    ck_assert_int_eq(caller.n_calls, 0);
    loop_support_to_end(loop);
    ck_assert_int_eq(caller.n_calls, 1);
}

static void setup(void)
{
    caller = (struct caller){.fd = -1};
    ck_assert_int_eq(loop_new(&loop), 0);
}

static void teardown(void)
{
    if (caller.fd >= 0)
        close(caller.fd);
    loop_support_to_end(loop);
    loop = loop_free(loop);
}

/* A socket bound to HOST, and listening unless the backlog is negative; -1 if *PORT is taken. *PORT: 0 becomes the real
 * one. */
static int try_to_bind(const char *host, int backlog, uint16_t *port)
{
    union conn_address address;
    socklen_t len;
    ck_assert(address_parse(host, *port, &address));
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, &address.any, address_len(&address)) < 0) {
        close(fd);
        return -1;
    }
    if (backlog >= 0)
        ck_assert_int_eq(listen(fd, backlog), 0);
    len = address_len(&address);
    ck_assert_int_eq(getsockname(fd, &address.any, &len), 0);
    *port = address_port(&address);
    return fd;
}

static int bind_to(const char *host, int backlog, uint16_t *ret_port)
{
    *ret_port = 0;
    int fd = try_to_bind(host, backlog, ret_port);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* 127.0.0.1 with the first backlog, 127.0.0.2 with the second, on one port that both have free. */
static void bind_both(const int backlogs[2], uint16_t *ret_port, int ret_fds[2])
{
    for (int i = 0; i < 100; i++) {
        ret_fds[0] = bind_to("127.0.0.1", backlogs[0], ret_port);
        ret_fds[1] = try_to_bind("127.0.0.2", backlogs[1], ret_port);
        if (ret_fds[1] >= 0)
            return;
        close(ret_fds[0]);
    }
    ck_abort_msg("no port is free on both addresses");
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

START_TEST(an_address_that_listens_is_connected)
{
    const char *const hosts[] = {"127.0.0.1", "::1"};
    const char *const formats[] = {"mqtt://127.0.0.1:%u", "mqtt://[::1]:%u"};
    uint16_t port;
    char url[64], text[64];
    int listener = bind_to(hosts[_i], 1, &port);
    snprintf(url, sizeof(url), formats[_i], port);
    dial_to_its_end(url, 5000);
    ck_assert_int_ge(caller.fd, 0);
    snprintf(text, sizeof(text), formats[_i] + strlen("mqtt://"), port);
    ck_assert_str_eq(caller.peer.text, text);
    close(listener);
}
END_TEST

START_TEST(the_connection_has_its_options)
{
    uint16_t port;
    char url[64];
    int listener = bind_to("127.0.0.1", 1, &port), value = 0;
    socklen_t len = sizeof(value);
    snprintf(url, sizeof(url), "mqtt://127.0.0.1:%u", port);
    dial_to_its_end(url, 5000);
    ck_assert_int_eq(getsockopt(caller.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &len), 0);
    ck_assert_int_eq(value, 7000);
    ck_assert_int_eq(getsockopt(caller.fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    ck_assert_int_ne(value, 0);
    close(listener);
}
END_TEST

START_TEST(a_refusal_names_the_address_and_the_reason)
{
    uint16_t port;
    char url[64], text[128];
    int nobody = bind_to("127.0.0.1", -1, &port);
    snprintf(url, sizeof(url), "mqtt://127.0.0.1:%u", port);
    dial_to_its_end(url, 5000);
    snprintf(text, sizeof(text), "127.0.0.1:%u: %s", port, strerror(ECONNREFUSED));
    ck_assert_str_eq(caller.text, text);
    ck_assert(!caller.was_short);
    close(nobody);
}
END_TEST

START_TEST(without_a_descriptor_nothing_is_known_of_the_address)
{
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    ck_assert_int_eq(start("mqtt://127.0.0.1:1", 60000), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    loop_support_to_end(loop);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(caller.n_calls, 1);
    ck_assert(caller.was_short);
    ck_assert_ptr_nonnull(strstr(caller.text, strerror(EMFILE)));
}
END_TEST

START_TEST(an_address_that_refuses_is_followed_by_the_next)
{
    uint16_t port;
    char url[64], text[64];
    int fds[2];
    bind_both((const int[]){1, -1}, &port, fds);
    resolver_support_set("broker", _i == 0 ? "127.0.0.2 127.0.0.1" : "::1 127.0.0.2 127.0.0.1");
    snprintf(url, sizeof(url), "mqtt://broker:%u", port);
    dial_to_its_end(url, 5000);
    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    ck_assert_str_eq(caller.peer.text, text);
    close_both(fds);
}
END_TEST

START_TEST(all_failures_are_told_with_their_addresses)
{
    uint16_t port;
    char url[64], text[256];
    int fds[2];
    bind_both((const int[]){-1, -1}, &port, fds);
    resolver_support_set("broker", "127.0.0.1 127.0.0.2");
    snprintf(url, sizeof(url), "mqtt://broker:%u", port);
    dial_to_its_end(url, 5000);
    snprintf(text, sizeof(text), "broker:%u (127.0.0.1): %s; (127.0.0.2): %s", port, strerror(ECONNREFUSED),
             strerror(ECONNREFUSED));
    ck_assert_str_eq(caller.text, text);
    close_both(fds);
}
END_TEST

/* A listener whose backlog is full does not answer: SYNs are dropped. */
static void fill_backlog(const char *host, uint16_t port, int ret_callers[N_CALLERS])
{
    union conn_address address;
    ck_assert(address_parse(host, port, &address));
    for (int i = 0; i < N_CALLERS; i++) {
        ret_callers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(ret_callers[i], &address.any, address_len(&address));
    }
}

static void close_callers(const int callers[N_CALLERS])
{
    for (int i = 0; i < N_CALLERS; i++)
        close(callers[i]);
}

START_TEST(an_address_that_does_not_answer_is_given_up_in_time)
{
    uint16_t port;
    char url[64];
    int callers[N_CALLERS], listener = bind_to("127.0.0.1", 0, &port);
    fill_backlog("127.0.0.1", port, callers);
    snprintf(url, sizeof(url), "mqtt://127.0.0.1:%u", port);
    dial_to_its_end(url, 30);
    ck_assert_int_lt(caller.fd, 0);
    ck_assert_ptr_nonnull(strstr(caller.text, strerror(ETIMEDOUT)));
    close_callers(callers);
    close(listener);
}
END_TEST

START_TEST(an_address_that_does_not_answer_leaves_time_for_the_next)
{
    uint16_t port;
    char url[64], text[64];
    int callers[N_CALLERS], fds[2];
    bind_both((const int[]){1, 0}, &port, fds);
    fill_backlog("127.0.0.2", port, callers);
    resolver_support_set("broker", "127.0.0.2 127.0.0.1");
    snprintf(url, sizeof(url), "mqtt://broker:%u", port);
    dial_to_its_end(url, 500);
    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    ck_assert_str_eq(caller.peer.text, text);
    close_callers(callers);
    close_both(fds);
}
END_TEST

START_TEST(a_name_without_address_fails_with_a_reason)
{
    dial_to_its_end("mqtt://nobody:1883", 5000);
    ck_assert(strncmp(caller.text, "nobody:1883: ", 13) == 0);
}
END_TEST

START_TEST(no_host_or_no_port_is_refused_at_once)
{
    ck_assert_int_eq(start("1883", 1000), -EINVAL);
    ck_assert_int_eq(start("127.0.0.1:0", 1000), -EINVAL);
}
END_TEST

START_TEST(a_cancelled_dial_never_calls_back)
{
    const char *const urls[] = {"mqtt://127.0.0.1:1", "mqtt://localhost:1", "unix:/nowhere"};
    ck_assert_int_eq(start(urls[_i], 1000), 0);
    if (_i == 0)
        loop_support_turns(loop, 1); /* the attempt is under way, or has failed already */
    caller.dial = dial_cancel(caller.dial);
    int before = caller.n_calls;
    loop_support_to_end(loop);
    ck_assert_int_eq(caller.n_calls, before);
}
END_TEST

/* --- Unix sockets */

static int listen_unix(const char *path, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    return fd;
}

static void on_accept_timer(struct loop_timer *timer);

struct late_accept {
    struct loop_timer timer;
    int listener, accepted;
};

static void on_accept_timer(struct loop_timer *timer)
{
    struct late_accept *l = container_of(timer, struct late_accept, timer);
    l->accepted = accept(l->listener, NULL, NULL);
}

START_TEST(a_unix_socket_is_connected_also_when_its_backlog_is_full_at_first)
{
    char folder[] = "/tmp/test_dial_XXXXXX", path[64], url[80];
    struct late_accept late = {.accepted = -1};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(url, sizeof(url), "unix:%s", path);
    late.listener = listen_unix(path, 0);
    if (_i == 1) {
        ck_assert_int_eq(start(url, 5000), 0);
        loop_support_to_end(loop);
        ck_assert_int_ge(caller.fd, 0);
        int first = caller.fd; /* fills the backlog */
        caller = (struct caller){.fd = -1};
        loop_timer_init(&late.timer, loop, on_accept_timer);
        loop_timer_start(&late.timer, 15);
        dial_to_its_end(url, 5000);
        close(first);
    } else {
        dial_to_its_end(url, 5000);
    }
    ck_assert_msg(caller.fd >= 0, "%s", caller.text);
    ck_assert_int_eq(caller.peer.address.any.sa_family, AF_UNIX);
    if (late.accepted >= 0)
        close(late.accepted);
    close(late.listener);
    unlink(path);
    rmdir(folder);
}
END_TEST

START_TEST(a_unix_socket_that_is_not_there_is_named)
{
    dial_to_its_end("unix:/nowhere/s", 1000);
    ck_assert(strncmp(caller.text, "unix:/nowhere/s: ", 17) == 0);
}
END_TEST

static Suite *dial_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("dial", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, an_address_that_listens_is_connected, 0, 2);
    tcase_add_test(tc, the_connection_has_its_options);
    tcase_add_test(tc, a_refusal_names_the_address_and_the_reason);
    tcase_add_test(tc, without_a_descriptor_nothing_is_known_of_the_address);
    tcase_add_loop_test(tc, an_address_that_refuses_is_followed_by_the_next, 0, 2);
    tcase_add_test(tc, an_address_that_does_not_answer_leaves_time_for_the_next);
    tcase_add_test(tc, all_failures_are_told_with_their_addresses);
    tcase_add_test(tc, an_address_that_does_not_answer_is_given_up_in_time);
    tcase_add_test(tc, a_name_without_address_fails_with_a_reason);
    tcase_add_test(tc, no_host_or_no_port_is_refused_at_once);
    tcase_add_loop_test(tc, a_cancelled_dial_never_calls_back, 0, 3);
    tcase_add_loop_test(tc, a_unix_socket_is_connected_also_when_its_backlog_is_full_at_first, 0, 2);
    tcase_add_test(tc, a_unix_socket_that_is_not_there_is_named);
    return suite;
}

TEST_MAIN(dial_suite)
