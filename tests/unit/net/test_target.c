/* Where an s-proxy is: what is understood, how gRPC is told, and that everything else is refused with a reason. */
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "test_main.h"

enum { DEFAULT_PORT = 50516 };

struct good {
    const char *text;
    enum target_kind kind;
    const char *found; /* "host port", the path, or the addresses as gRPC is told, separated by spaces */
};

static const struct good goods[] = {
    {"fleet.example:7000", TARGET_NAME, "fleet.example 7000"},
    {"fleet", TARGET_NAME, "fleet 50516"},
    {"dns:fleet:7000", TARGET_NAME, "fleet 7000"},
    {"dns:///fleet:7000", TARGET_NAME, "fleet 7000"},
    {"dns:///fleet", TARGET_NAME, "fleet 50516"},
    {"dns", TARGET_NAME, "dns 50516"},
    {"unix", TARGET_NAME, "unix 50516"},
    {"10.0.0.8:7000", TARGET_ADDRESSES, "ipv4:10.0.0.8:7000"},
    {"10.0.0.8", TARGET_ADDRESSES, "ipv4:10.0.0.8:50516"},
    {"[::1]:7000", TARGET_ADDRESSES, "ipv6:[::1]:7000"},
    {"[2001:db8::1]", TARGET_ADDRESSES, "ipv6:[2001:db8::1]:50516"},
    {"[fe80::1%lo]:7000", TARGET_ADDRESSES, "ipv6:[fe80::1%251]:7000"},
    {"dns:///10.0.0.8:7000", TARGET_ADDRESSES, "ipv4:10.0.0.8:7000"},
    {"ipv4:10.0.0.8:7000", TARGET_ADDRESSES, "ipv4:10.0.0.8:7000"},
    {"ipv4:10.0.0.8:7000,10.0.0.9", TARGET_ADDRESSES, "ipv4:10.0.0.8:7000 ipv4:10.0.0.9:50516"},
    {"ipv6:[::1]:7000,[::2]:7001", TARGET_ADDRESSES, "ipv6:[::1]:7000 ipv6:[::2]:7001"},
    {"unix:/run/s.sock", TARGET_UNIX, "unix:///run/s.sock"},
    {"unix:///run/s.sock", TARGET_UNIX, "unix:///run/s.sock"},
    {"unix:s.sock", TARGET_UNIX, "unix:s.sock"},
    {"unix:/run/a b%c?#", TARGET_UNIX, "unix:///run/a%20b%25c%3F%23"},
};

struct bad {
    const char *text, *reason;
};

static const struct bad bads[] = {
    {"", "neither host nor port"},
    {"50516", "no host"},
    {":50516", "no host"},
    {"host:0", "port 0"},
    {"host:65536", "above 65535"},
    {"host:", "not a port"},
    {"host:grpc", "not a port"},
    {"host:1/path", "path"},
    {"::1:50516", "brackets"},
    {"[::1", "no ']'"},
    {"[host]:1", "no IPv6 address"},
    {"user@host", "not allowed"},
    {"dns:", "neither host nor port"},
    {"dns:///", "neither host nor port"},
    {"dns://8.8.8.8/fleet:1", "name server"},
    {"ipv4:", "neither host nor port"},
    {"ipv4:fleet:1", "no IPv4 address"},
    {"ipv4:[::1]:1", "no IPv4 address"},
    {"ipv4:10.0.0.8:1,", "neither host nor port"},
    {"ipv6:10.0.0.8:1", "no IPv6 address"},
    {"ipv4:1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5,1.1.1.6,1.1.1.7,1.1.1.8,1.1.1.9,1.1.1.10,1.1.1.11,1.1.1.12,1.1.1.13,"
     "1.1.1.14,1.1.1.15,1.1.1.16,1.1.1.17",
     "more than 16"},
    {"unix:", "no path"},
    {"unix://", "unix:PATH"},
    {"unix://host/path", "unix:PATH"},
    {"xds:///fleet", "scheme is not supported"},
    {"xds:fleet", "scheme is not supported"},
    {"unix-abstract:name", "scheme is not supported"},
    {"mqtt://host:1", "scheme is not supported"},
};

static void describe(const struct target *t, char *ret, size_t size)
{
    char text[TARGET_TEXT_MAX];
    ret[0] = '\0';
    if (t->kind == TARGET_NAME)
        snprintf(ret, size, "%s %u", t->host, t->port);
    else if (t->kind == TARGET_UNIX)
        snprintf(ret, size, "%s", target_format_unix(t->path, text));
    for (size_t i = 0; i < t->n_addresses; i++) {
        size_t used = strlen(ret);
        snprintf(ret + used, size - used, "%s%s", i ? " " : "", target_format_address(&t->addresses[i], text));
    }
}

START_TEST(a_target_is_understood)
{
    struct target t;
    char found[1024];
    ck_assert_msg(target_parse(goods[_i].text, DEFAULT_PORT, &t) == 0, "%s", err_text());
    ck_assert_int_eq(t.kind, goods[_i].kind);
    describe(&t, found, sizeof(found));
    ck_assert_str_eq(found, goods[_i].found);
}
END_TEST

START_TEST(what_is_no_target_is_refused_with_the_reason)
{
    struct target t = {.port = 7};
    ck_assert_msg(target_parse(bads[_i].text, DEFAULT_PORT, &t) == -EINVAL, "%s", bads[_i].text);
    ck_assert_msg(strstr(err_text(), bads[_i].reason) != NULL, "%s", err_text());
    ck_assert_int_eq(t.port, 7);
}
END_TEST

START_TEST(a_path_is_as_long_as_a_socket_allows)
{
    char text[5 + TARGET_PATH_MAX + 2] = "unix:", formatted[TARGET_TEXT_MAX];
    struct target t;
    memset(text + 5, '%', TARGET_PATH_MAX + 1);
    text[5] = '/';
    ck_assert_int_eq(target_parse(text, DEFAULT_PORT, &t), -EINVAL);
    text[5 + TARGET_PATH_MAX] = '\0';
    ck_assert_int_eq(target_parse(text, DEFAULT_PORT, &t), 0);
    target_format_unix(t.path, formatted);
    ck_assert_uint_eq(strlen(formatted), 7 + 1 + 3 * (TARGET_PATH_MAX - 1));
}
END_TEST

static Suite *target_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("target", &tc);
    tcase_add_loop_test(tc, a_target_is_understood, 0, TEST_COUNT(goods));
    tcase_add_loop_test(tc, what_is_no_target_is_refused_with_the_reason, 0, TEST_COUNT(bads));
    tcase_add_test(tc, a_path_is_as_long_as_a_socket_allows);
    return suite;
}

TEST_MAIN(target_suite)
