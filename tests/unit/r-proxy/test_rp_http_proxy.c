/* Which HTTP proxy, from URLs and from the environment. */
#include "rp_http_proxy.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "test_main.h"

static const struct {
    const char *url, *host;
    unsigned port;
    const char *login;
} good[] = {
    {"http://proxy.example:3128", "proxy.example", 3128, ""},
    {"http://proxy.example", "proxy.example", 80, ""},
    {"HTTP://proxy.example:3128/", "proxy.example", 3128, ""},
    {"http://10.0.0.1:8080", "10.0.0.1", 8080, ""},
    {"http://[::1]:8080", "::1", 8080, ""},
    {"http://user:secret@proxy.example:3128", "proxy.example", 3128, "user:secret"},
    {"http://user@proxy.example", "proxy.example", 80, "user:"},
    {"http://us%40er:se%3Acr%2fet@[::1]:8080/", "::1", 8080, "us@er:se:cr/et"},
    {"http://user:p@ss@proxy.example", "proxy.example", 80, "user:p@ss"},
};

START_TEST(a_url_says_host_port_and_login)
{
    struct rp_http_proxy p;
    ck_assert_msg(rp_http_proxy_parse(good[_i].url, &p) == 0, "%s", err_text());
    ck_assert_str_eq(p.host, good[_i].host);
    ck_assert_uint_eq(p.port, good[_i].port);
    ck_assert_str_eq(p.login, good[_i].login);
}
END_TEST

static const char *const bad[] = {
    "",
    "proxy.example:3128",
    "https://secret:secret@proxy.example",
    "socks5://secret@proxy.example",
    "http://",
    "http://:3128",
    "http://secret:secret@",
    "http://secret:secret@:80",
    "http://secret:secret@proxy.example:0",
    "http://secret:secret@proxy.example:65536",
    "http://secret:secret@proxy.example:x",
    "http://secret:secret@proxy.example/path",
    "http://secret:secret%4@proxy.example",
    "http://secret:secret%4",
    "http://secret:secret%@proxy.example",
    "http://secret:secret%00@proxy.example",
    "http://secret:secret%zz@proxy.example",
    "http://secret:secret@[::1",
    "http://secret:secret@a b",
};

START_TEST(a_bad_url_is_refused_without_showing_its_login)
{
    struct rp_http_proxy p;
    ck_assert_int_eq(rp_http_proxy_parse(bad[_i], &p), -EINVAL);
    ck_assert_ptr_null(strstr(err_text(), "secret"));
}
END_TEST

START_TEST(a_login_has_a_limit)
{
    char url[RP_HTTP_LOGIN_MAX + 64];
    struct rp_http_proxy p;
    for (unsigned n = RP_HTTP_LOGIN_MAX - 3; n <= RP_HTTP_LOGIN_MAX + 3; n++) {
        strcpy(url, "http://u:");
        memset(url + 9, 'x', n - 2);
        strcpy(url + 9 + n - 2, "@h");
        ck_assert_int_eq(rp_http_proxy_parse(url, &p) == 0, n <= RP_HTTP_LOGIN_MAX);
        ck_assert(n > RP_HTTP_LOGIN_MAX || strlen(p.login) == n);
    }
}
END_TEST

static const struct {
    const char *list, *host;
    bool is_excepted;
} exceptions[] = {
    {"", "cloud.example", false},
    {"*", "cloud.example", true},
    {"cloud.example", "cloud.example", true},
    {"CLOUD.example", "cloud.EXAMPLE", true},
    {"example", "cloud.example", true},
    {".example", "cloud.example", true},
    {"d.example", "cloud.example", false},
    {"a.cloud.example", "cloud.example", false},
    {"one, two ,cloud.example", "cloud.example", true},
    {",, ,", "cloud.example", false},
    {".", "cloud.example", false},
    {"10.0.0.7,::1", "10.0.0.7", true},
    {"10.0.0.7,::1", "::1", true},
    {"10.0.0.7", "10.0.0.70", false},
};

START_TEST(no_proxy_names_hosts_and_domains)
{
    ck_assert_int_eq(rp_http_proxy_is_excepted(exceptions[_i].list, exceptions[_i].host), exceptions[_i].is_excepted);
}
END_TEST

static const char *const variables[] = {"grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"};

static void clear_environment(void)
{
    for (size_t i = 0; i < TEST_COUNT(variables); i++)
        unsetenv(variables[i]);
}

START_TEST(the_environment_counts_where_there_is_no_option)
{
    struct rp_http_proxy p;
    ck_assert(!rp_http_proxy_find(NULL, "cloud.example", &p));
    setenv("http_proxy", "http://third.example", 1);
    ck_assert(rp_http_proxy_find(NULL, "cloud.example", &p));
    ck_assert_str_eq(p.host, "third.example");
    setenv("https_proxy", "http://second.example:3128", 1);
    setenv("grpc_proxy", "", 1);
    ck_assert(rp_http_proxy_find(NULL, "cloud.example", &p));
    ck_assert_str_eq(p.host, "second.example");
    setenv("grpc_proxy", "http://first.example:3128", 1);
    ck_assert(rp_http_proxy_find(NULL, "cloud.example", &p));
    ck_assert_str_eq(p.host, "first.example");
    ck_assert(rp_http_proxy_find("http://option.example", "cloud.example", &p));
    ck_assert_str_eq(p.host, "option.example");
    setenv("grpc_proxy", "socks5://first.example", 1);
    ck_assert(!rp_http_proxy_find(NULL, "cloud.example", &p));
}
END_TEST

START_TEST(exceptions_are_for_the_environment_only)
{
    struct rp_http_proxy p;
    static const char *const here[] = {"localhost", "127.0.0.1", "127.3.2.1", "::1"};
    setenv("https_proxy", "http://proxy.example", 1);
    for (size_t i = 0; i < TEST_COUNT(here); i++) {
        ck_assert(!rp_http_proxy_find(NULL, here[i], &p));
        ck_assert(rp_http_proxy_find("http://option.example", here[i], &p));
    }
    setenv("no_proxy", "cloud.example", 1);
    ck_assert(!rp_http_proxy_find(NULL, "cloud.example", &p));
    ck_assert(rp_http_proxy_find("http://option.example", "cloud.example", &p));
    setenv("no_grpc_proxy", "other.example", 1);
    ck_assert(rp_http_proxy_find(NULL, "cloud.example", &p));
    ck_assert(!rp_http_proxy_find(NULL, "other.example", &p));
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("rp_http_proxy", &t);
    tcase_add_checked_fixture(t, clear_environment, clear_environment);
    tcase_add_loop_test(t, a_url_says_host_port_and_login, 0, TEST_COUNT(good));
    tcase_add_loop_test(t, a_bad_url_is_refused_without_showing_its_login, 0, TEST_COUNT(bad));
    tcase_add_test(t, a_login_has_a_limit);
    tcase_add_loop_test(t, no_proxy_names_hosts_and_domains, 0, TEST_COUNT(exceptions));
    tcase_add_test(t, the_environment_counts_where_there_is_no_option);
    tcase_add_test(t, exceptions_are_for_the_environment_only);
    return s;
}

TEST_MAIN(suite)
