/* The URLs of options: what is understood, and that everything else is refused with a reason. */
#include "url.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "test_main.h"

#define SCHEMES "mqtt ws wss unix"

struct good {
    const char *text, *scheme, *host;
    int port; /* -1 = not given */
    const char *path;
};

static const struct good goods[] = {
    {"mqtt://broker.example:1883", "mqtt", "broker.example", 1883, ""},
    {"mqtt://broker", "mqtt", "broker", -1, ""},
    {"mqtt://10.0.0.8:0", "mqtt", "10.0.0.8", 0, ""},
    {"mqtt://[::1]:1883", "mqtt", "::1", 1883, ""},
    {"mqtt://[::]", "mqtt", "::", -1, ""},
    {"mqtt://:1883", "mqtt", "", 1883, ""},
    {"mqtt://1883", "mqtt", "1883", -1, ""},
    {"ws://host:80/mqtt", "ws", "host", 80, "/mqtt"},
    {"ws://host/a/b", "ws", "host", -1, "/a/b"},
    {"unix:/run/x.sock", "unix", "", -1, "/run/x.sock"},
    {"unix:///run/x.sock", "unix", "", -1, "/run/x.sock"},
    {"unix:x.sock", "unix", "", -1, "x.sock"},
    {"1883", "mqtt", "", 1883, ""},
    {"localhost:65535", "mqtt", "localhost", 65535, ""},
    {"[fe80::1]:1", "mqtt", "fe80::1", 1, ""},
    {"under_score.local:1", "mqtt", "under_score.local", 1, ""},
};

static const char *const bads[] = {
    "",
    "mqtt://",
    "mqtt:///path",
    "http://host:80",
    "mqtts://host",
    "host:65536",
    "host:",
    "host:x",
    "host:-1",
    "host:99999999999999999999",
    "::1:1883",
    "mqtt://::1",
    "mqtt://[::1",
    "mqtt://[::1]1883",
    "mqtt://[host]:1883",
    "mqtt://[10.0.0.8]:1883",
    "mqtt://user:secret@host",
    "mqtt://us er",
    "ws://host/a b",
    "ws://host/a\r\nX: y",
    "ws://host/a#b",
    "unix:",
    "70000",
};

START_TEST(a_url_is_taken_apart)
{
    const struct good *g = &goods[_i];
    struct url url;
    ck_assert_msg(url_parse(g->text, SCHEMES, &url) == 0, "%s: %s", g->text, err_text());
    ck_assert_str_eq(url.scheme, g->scheme);
    ck_assert_str_eq(url.host, g->host);
    ck_assert_int_eq(url.has_port ? url.port : -1, g->port);
    ck_assert_str_eq(url.path, g->path);
}
END_TEST

START_TEST(what_is_no_url_is_refused_and_named)
{
    struct url url = {.port = 7};
    ck_assert_msg(url_parse(bads[_i], SCHEMES, &url) == -EINVAL, "%s", bads[_i]);
    ck_assert_ptr_nonnull(strstr(err_text(), bads[_i]));
    ck_assert_int_eq(url.port, 7);
}
END_TEST

START_TEST(what_is_too_long_is_refused)
{
    char text[400];
    struct url url;
    memset(text, 'a', sizeof(text));
    text[256] = '\0';
    ck_assert_int_eq(url_parse(text, SCHEMES, &url), -EINVAL);
    text[255] = '\0';
    ck_assert_int_eq(url_parse(text, SCHEMES, &url), 0);
    memcpy(text, "unix:", 5);
    ck_assert_int_eq(url_parse(text, SCHEMES, &url), -EINVAL);
    text[5 + 107] = '\0';
    ck_assert_int_eq(url_parse(text, SCHEMES, &url), 0);
}
END_TEST

static Suite *url_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("url", &tc);
    tcase_add_loop_test(tc, a_url_is_taken_apart, 0, TEST_COUNT(goods));
    tcase_add_loop_test(tc, what_is_no_url_is_refused_and_named, 0, TEST_COUNT(bads));
    tcase_add_test(tc, what_is_too_long_is_refused);
    return suite;
}

TEST_MAIN(url_suite)
