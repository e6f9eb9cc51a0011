/* The options about trunks: what a person may write, and what a trunk is told. */
#include "trunk_config.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "test_main.h"
#include "trunk.h"

static const struct config_table tables[] = {TRUNK_OPTION_TABLE(0)};
static const struct config_program program = {
    .name = "test",
    .version = "1",
    .env_prefix = "TRUNK_CONFIG_TEST_",
    .summary = "Has nothing but trunks.",
    .tables = tables,
    .n_tables = TEST_COUNT(tables),
};

/* NAME NULL: the defaults. */
static int load(const char *name, const char *text, struct trunk_config *ret)
{
    char program_name[] = "test", option[64] = "--", value[64];
    char *argv[] = {program_name, option, value, NULL};
    memset(ret, 0, sizeof(*ret));
    if (!name)
        return config_load(&program, 1, argv, ret);
    strncat(option, name, sizeof(option) - 3);
    snprintf(value, sizeof(value), "%s", text);
    return config_load(&program, 3, argv, ret);
}

START_TEST(the_defaults_are_those_of_the_guide)
{
    struct trunk_config c;
    ck_assert_int_eq(load(NULL, NULL, &c), 0);
    ck_assert_int_eq(c.service, TRUNK_SERVICE_AUTO);
    struct trunk_options o = trunk_options_from_config(&c, "test 1", 7);
    ck_assert_str_eq(o.software, "test 1");
    ck_assert_uint_eq(o.max_lanes, 7);
    ck_assert_uint_eq(o.dead_after_ms, 3000);
    ck_assert_uint_eq(o.linger_ms, 0);
    ck_assert_uint_eq(o.zstd_level, 2);
    ck_assert_uint_eq(o.zstd_window_log, 20);
    ck_assert(!o.is_zstd_on_loopback);
}
END_TEST

static const struct {
    const char *text;
    unsigned level, window_log;
    bool is_on_loopback;
} compressions[] = {
    {"auto", 2, 20, false},  {"none", 0, 0, true},      {"zstd", 2, 20, true},
    {"zstd:1", 1, 20, true}, {"zstd:19", 19, 20, true},
};

START_TEST(compression_is_automatic_none_or_asked_for)
{
    struct trunk_config c;
    ck_assert_int_eq(load("trunk-compression", compressions[_i].text, &c), 0);
    struct trunk_options o = trunk_options_from_config(&c, "", 0);
    ck_assert_uint_eq(o.zstd_level, compressions[_i].level);
    ck_assert_uint_eq(o.zstd_window_log, compressions[_i].window_log);
    ck_assert_int_eq(o.is_zstd_on_loopback, compressions[_i].is_on_loopback);
}
END_TEST

static const struct {
    const char *text;
    unsigned log;
} windows[] = {{"1k", 10}, {"1024", 10}, {"64k", 16}, {"1M", 20}, {"128M", 27}};

START_TEST(a_window_is_a_power_of_two)
{
    struct trunk_config c;
    ck_assert_int_eq(load("trunk-compression-window", windows[_i].text, &c), 0);
    ck_assert_uint_eq(trunk_options_from_config(&c, "", 0).zstd_window_log, windows[_i].log);
}
END_TEST

static const struct {
    const char *name, *text;
} bads[] = {
    {"trunk-compression", ""},
    {"trunk-compression", "gzip"},
    {"trunk-compression", "zstd:"},
    {"trunk-compression", "zstd:0"},
    {"trunk-compression", "zstd:20"},
    {"trunk-compression", "zstd3"},
    {"trunk-compression-window", "0"},
    {"trunk-compression-window", "512"},
    {"trunk-compression-window", "1000"},
    {"trunk-compression-window", "3M"},
    {"trunk-compression-window", "256M"},
    {"trunk-service", "both"},
    {"trunk-linger", "2s"},
    {"trunk-linger", "20"},
    {"trunk-dead-after", "2h"},
};

START_TEST(anything_else_is_refused_and_named)
{
    struct trunk_config c;
    ck_assert_int_lt(load(bads[_i].name, bads[_i].text, &c), 0);
    ck_assert_ptr_nonnull(strstr(err_text(), bads[_i].name));
}
END_TEST

static Suite *trunk_config_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("trunk_config", &tc);
    tcase_add_test(tc, the_defaults_are_those_of_the_guide);
    tcase_add_loop_test(tc, compression_is_automatic_none_or_asked_for, 0, TEST_COUNT(compressions));
    tcase_add_loop_test(tc, a_window_is_a_power_of_two, 0, TEST_COUNT(windows));
    tcase_add_loop_test(tc, anything_else_is_refused_and_named, 0, TEST_COUNT(bads));
    return suite;
}

TEST_MAIN(trunk_config_suite)
