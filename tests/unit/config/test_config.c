/* config: defaults, command line, environment, what beats what, listeners, and what is said about mistakes. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "sample_program.h"
#include "test_main.h"

static struct sample_options o;

static const struct sample_listener *listener(size_t i)
{
    ck_assert_uint_lt(i, o.listeners.count);
    return (const struct sample_listener *)o.listeners.items + i;
}

START_TEST(without_any_source_defaults_hold)
{
    ck_assert_int_eq(SAMPLE_LOAD(&o, NULL), 0);
    ck_assert_uint_eq(o.limits.connect_timeout_ms, 10000);
    ck_assert_uint_eq(o.limits.max_packet_size, 0);
    ck_assert_int_eq(o.limits.receive_maximum, 20);
    ck_assert_uint_eq(o.upstream.count, 1);
    ck_assert_str_eq(o.upstream.items[0], "mqtt://127.0.0.1:1884");
    ck_assert_ptr_null(o.mqtt_url);
    ck_assert(!o.allow_anonymous && o.keep);
    ck_assert_int_eq(o.level, 3);
    ck_assert_uint_eq(o.listeners.count, 1);
    ck_assert_str_eq(listener(0)->url, "mqtt://0.0.0.0:1883");
    ck_assert_ptr_null(listener(0)->tls_cert);
    ck_assert_int_eq(listener(0)->tls_ocsp, 1);
    config_free(&sample_program, &o);
    ck_assert_ptr_null(o.upstream.items);
    ck_assert_ptr_null(o.listeners.items);
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(the_command_line_takes_both_forms)
{
    ck_assert_int_eq(SAMPLE_LOAD(&o, "--connect-timeout", "3s", "--max-packet-size=16M", "--allow-anonymous",
                                 "--no-keep", "--mqtt-url=", "--upstream", "a://1", "--upstream=b://2?x=y", "--level",
                                 "-1"),
                     0);
    ck_assert_uint_eq(o.limits.connect_timeout_ms, 3000);
    ck_assert_uint_eq(o.limits.max_packet_size, 16 << 20);
    ck_assert(o.allow_anonymous && !o.keep);
    ck_assert_str_eq(o.mqtt_url, "");
    ck_assert_uint_eq(o.upstream.count, 2);
    ck_assert_str_eq(o.upstream.items[0], "a://1");
    ck_assert_str_eq(o.upstream.items[1], "b://2?x=y");
    ck_assert_int_eq(o.level, 2);
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(of_two_values_the_later_one_holds)
{
    ck_assert_int_eq(SAMPLE_LOAD(&o, "--connect-timeout=3s", "--connect-timeout=4s", "--keep=off", "--keep"), 0);
    ck_assert_uint_eq(o.limits.connect_timeout_ms, 4000);
    ck_assert(o.keep);
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(positional_words_are_options)
{
    ck_assert_int_eq(SAMPLE_LOAD(&o, "1999", "--no-keep", "far:1884"), 0);
    ck_assert_str_eq(listener(0)->url, "mqtt://0.0.0.0:1999");
    ck_assert_str_eq(o.upstream.items[0], "mqtt://far:1884");
    ck_assert_uint_eq(o.upstream.count, 1);
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(the_environment_sets_every_kind)
{
    setenv("SAMPLE_CONNECT_TIMEOUT", "2m", 1);
    setenv("SAMPLE_KEEP", "no", 1);
    setenv("SAMPLE_UPSTREAM", " a://1, b://2 ,,c://3", 1);
    setenv("SAMPLE_LISTEN", "x://1,x://2", 1);
    setenv("SAMPLE_TLS_OCSP", "hard", 1);
    setenv("SAMPLE_MQTT_URL", "", 1);
    ck_assert_int_eq(SAMPLE_LOAD(&o, NULL), 0);
    ck_assert_uint_eq(o.limits.connect_timeout_ms, 120000);
    ck_assert(!o.keep);
    ck_assert_uint_eq(o.upstream.count, 3);
    ck_assert_str_eq(o.upstream.items[1], "b://2");
    ck_assert_str_eq(o.upstream.items[2], "c://3");
    ck_assert_uint_eq(o.listeners.count, 2);
    ck_assert_str_eq(listener(1)->url, "x://2");
    ck_assert_int_eq(listener(1)->tls_ocsp, 2);
    ck_assert_ptr_null(o.mqtt_url);
    ck_assert_str_eq(sample_warning, "");
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(an_unknown_variable_with_our_prefix_is_only_a_warning)
{
    setenv("SAMPLE_TIMEOUT", "1", 1);
    setenv("SAMPLER", "1", 1);
    ck_assert_int_eq(SAMPLE_LOAD(&o, NULL), 0);
    ck_assert_str_eq(sample_warning, "environment variable SAMPLE_TIMEOUT is not an option");
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(further_variables_count_in_their_order)
{
    setenv("OTHER_LEVEL", "ab", 1);
    ck_assert_int_eq(SAMPLE_LOAD(&o, NULL), 0);
    ck_assert_int_eq(o.level, -2);
    config_free(&sample_program, &o);
    setenv("SAMPLE_LEVEL_TOO", "abcd", 1);
    ck_assert_int_eq(SAMPLE_LOAD(&o, NULL), 0);
    ck_assert_int_eq(o.level, 4);
    config_free(&sample_program, &o);
    setenv("SAMPLE_LEVEL", "a", 1);
    ck_assert_int_eq(SAMPLE_LOAD(&o, NULL), 0);
    ck_assert_int_eq(o.level, 1);
    config_free(&sample_program, &o);
    ck_assert_int_eq(SAMPLE_LOAD(&o, "--level=abcde"), 0);
    ck_assert_int_eq(o.level, 5);
    config_free(&sample_program, &o);
}
END_TEST

/* Whether each of the three sources says something (bit 0: file, 1: environment, 2: command line), and who wins. */
START_TEST(the_higher_source_wins_and_replaces_lists)
{
    static const char *const timeouts[] = {"10000", "1000", "2000", "2000", "3000", "3000", "3000", "3000"};
    static const char *const upstreams[] = {
        "mqtt://127.0.0.1:1884", "f://1", "e://1", "e://1", "c://1", "c://1", "c://1", "c://1"};
    const char *words[5] = {NULL};
    size_t n = 0;
    sample_write_file("r-proxy.yaml", "connect-timeout: 1s\nupstream: [f://1, f://2]\n");
    if (_i & 1) {
        words[n++] = "-c";
        words[n++] = "r-proxy.yaml";
    }
    if (_i & 2) {
        setenv("SAMPLE_CONNECT_TIMEOUT", "2s", 1);
        setenv("SAMPLE_UPSTREAM", "e://1", 1);
    }
    if (_i & 4) {
        words[n++] = "--connect-timeout=3s";
        words[n++] = "--upstream=c://1";
    }
    ck_assert_int_eq(sample_load(&o, words), 0);
    ck_assert_uint_eq(o.limits.connect_timeout_ms, strtoul(timeouts[_i], NULL, 10));
    ck_assert_str_eq(o.upstream.items[0], upstreams[_i]);
    ck_assert_uint_eq(o.upstream.count, _i == 1 ? 2 : 1);
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(listeners_add_up_and_differ)
{
    sample_write_file("r-proxy.yaml", "tls-cert: all.pem\n"
                                      "tls-ocsp: off\n"
                                      "listeners:\n"
                                      "  - {url: 'f://1', tls-cert: own.pem}\n"
                                      "  - url: f://2\n"
                                      "    tls: {ocsp: hard}\n"
                                      "    proxy-protocol: true\n");
    ck_assert_int_eq(SAMPLE_LOAD(&o, "-c", "r-proxy.yaml", "--listen", "c://1", "--listen", "c://2"), 0);
    ck_assert_uint_eq(o.listeners.count, 4);
    ck_assert_str_eq(listener(0)->url, "c://1");
    ck_assert_str_eq(listener(1)->url, "c://2");
    ck_assert_str_eq(listener(1)->tls_cert, "all.pem");
    ck_assert_str_eq(listener(2)->url, "f://1");
    ck_assert_str_eq(listener(2)->tls_cert, "own.pem");
    ck_assert_int_eq(listener(2)->tls_ocsp, 0);
    ck_assert(!listener(2)->proxy_protocol);
    ck_assert_str_eq(listener(3)->url, "f://2");
    ck_assert_str_eq(listener(3)->tls_cert, "all.pem");
    ck_assert_int_eq(listener(3)->tls_ocsp, 2);
    ck_assert(listener(3)->proxy_protocol);
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(on_the_command_line_an_option_applies_to_all_listeners)
{
    sample_write_file("r-proxy.yaml", "listen: f://0\nlisteners: [{url: 'f://1', tls-cert: own.pem}]\n");
    ck_assert_int_eq(SAMPLE_LOAD(&o, "-c", "r-proxy.yaml", "--tls-cert=c.pem"), 0);
    ck_assert_uint_eq(o.listeners.count, 2);
    ck_assert_str_eq(listener(0)->tls_cert, "c.pem");
    ck_assert_str_eq(listener(1)->tls_cert, "c.pem");
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(entries_alone_replace_the_default_listener)
{
    sample_write_file("r-proxy.yaml", "listeners: [{url: 'f://1'}]\n");
    ck_assert_int_eq(SAMPLE_LOAD(&o, "-c", "r-proxy.yaml"), 0);
    ck_assert_uint_eq(o.listeners.count, 1);
    ck_assert_str_eq(listener(0)->url, "f://1");
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(a_second_load_sees_the_changed_file)
{
    struct sample_options again;
    sample_write_file("r-proxy.yaml", "connect-timeout: 1s\n");
    ck_assert_int_eq(SAMPLE_LOAD(&o, "-c", "r-proxy.yaml"), 0);
    sample_write_file("r-proxy.yaml", "connect-timeout: 2s\n");
    ck_assert_int_eq(SAMPLE_LOAD(&again, "-c", "r-proxy.yaml"), 0);
    ck_assert_uint_eq(o.limits.connect_timeout_ms, 1000);
    ck_assert_uint_eq(again.limits.connect_timeout_ms, 2000);
    config_free(&sample_program, &o);
    config_free(&sample_program, &again);
}
END_TEST

static const struct {
    const char *words[3];
    const char *says; /* the start of the message */
} wrong_rows[] = {
    {{"--conect-timeout=3s"}, "--conect-timeout: unknown option; did you mean connect-timeout?"},
    {{"--zzzzzzzzzz"}, "--zzzzzzzzzz: unknown option"},
    {{"--url=x://1"}, "--url: unknown option"},
    {{"--no-mqtt-url"}, "--no-mqtt-url: unknown option"},
    {{"--connect-timeout"}, "--connect-timeout: needs a value (D)"},
    {{"--tls-ocsp", "--keep"}, "--tls-ocsp: needs a value (off|soft|hard)"},
    {{"--connect-timeout=10"}, "--connect-timeout: \"10\" has no unit (ms, s, m, h)"},
    {{"--connect-timeout=10ms"}, "--connect-timeout: \"10ms\" is below 100ms"},
    {{"--connect-timeout=2h"}, "--connect-timeout: \"2h\" is above 1h"},
    {{"--max-packet-size=1G"}, "--max-packet-size: \"1G\" is above 256M"},
    {{"--receive-maximum=-1"}, "--receive-maximum: -1 is outside 0..65535"},
    {{"--receive-maximum=x"}, "--receive-maximum: \"x\" is not a whole number"},
    {{"--tls-ocsp=maybe"}, "--tls-ocsp: \"maybe\" is none of off, soft, hard"},
    {{"--keep=maybe"}, "--keep: \"maybe\" is neither true nor false"},
    {{"--upstream=here"}, "--upstream: \"here\" is not a URL"},
    {{"--listen=here"}, "--listen: \"here\" is not a URL"},
    {{"--level=abcdef"}, "--level: \"abcdef\" is too long a level"},
    {{"--password=tell-nobody"}, "--password: the value is not valid"},
    {{"-x"}, "-x: unknown option"},
    {{"-c"}, "-c: needs the name of a file"},
    {{"-c", "nowhere.yaml"}, "nowhere.yaml: No such file or directory"},
    {{"1883"}, "two words are needed"},
    {{"--mqtt-url=forbidden"}, "--mqtt-url: does not go with anything"},
    {{"--allow-anonymous", "--password=x://y"}, "--allow-anonymous: needs no password"},
};

static void check_says(const char *says)
{
    if (strncmp(err_text(), says, strlen(says)) != 0)
        ck_abort_msg("says: %s\nnot: %s", err_text(), says);
    ck_assert_ptr_null(strstr(err_text(), "tell-nobody"));
    ck_assert_ptr_null(o.upstream.items);
    ck_assert_ptr_null(o.listeners.items);
}

START_TEST(a_wrong_command_line_is_refused_by_name)
{
    ck_assert_int_lt(sample_load(&o, wrong_rows[_i].words), 0);
    check_says(wrong_rows[_i].says);
}
END_TEST

START_TEST(a_wrong_variable_is_refused_by_name)
{
    setenv("SAMPLE_CONNECT_TIMEOUT", "10", 1);
    ck_assert_int_lt(SAMPLE_LOAD(&o, "--connect-timeout=3s"), 0);
    check_says("SAMPLE_CONNECT_TIMEOUT: \"10\" has no unit");
    unsetenv("SAMPLE_CONNECT_TIMEOUT");
    setenv("SAMPLE_PASSWORD", "tell-nobody", 1);
    ck_assert_int_lt(SAMPLE_LOAD(&o, NULL), 0);
    check_says("SAMPLE_PASSWORD: the value is not valid");
    unsetenv("SAMPLE_PASSWORD");
    setenv("OTHER_LEVEL", "abcdef", 1);
    ck_assert_int_lt(SAMPLE_LOAD(&o, NULL), 0);
    check_says("OTHER_LEVEL: \"abcdef\" is too long");
}
END_TEST

static Suite *config_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("config", &tc);
    tcase_add_checked_fixture(tc, sample_setup, sample_teardown);
    tcase_add_test(tc, without_any_source_defaults_hold);
    tcase_add_test(tc, the_command_line_takes_both_forms);
    tcase_add_test(tc, of_two_values_the_later_one_holds);
    tcase_add_test(tc, positional_words_are_options);
    tcase_add_test(tc, the_environment_sets_every_kind);
    tcase_add_test(tc, an_unknown_variable_with_our_prefix_is_only_a_warning);
    tcase_add_test(tc, further_variables_count_in_their_order);
    tcase_add_loop_test(tc, the_higher_source_wins_and_replaces_lists, 0, 8);
    tcase_add_test(tc, listeners_add_up_and_differ);
    tcase_add_test(tc, on_the_command_line_an_option_applies_to_all_listeners);
    tcase_add_test(tc, entries_alone_replace_the_default_listener);
    tcase_add_test(tc, a_second_load_sees_the_changed_file);
    tcase_add_loop_test(tc, a_wrong_command_line_is_refused_by_name, 0, TEST_COUNT(wrong_rows));
    tcase_add_test(tc, a_wrong_variable_is_refused_by_name);
    return suite;
}

TEST_MAIN(config_suite)
