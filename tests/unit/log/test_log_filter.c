/* log_filter: what each text turns on, and what is said about a wrong one. */
#include "log_filter.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "test_main.h"

/* Thresholds of three modules tell all: one named in most rows, one with an underscore, one never named. */
struct filter_row {
    const char *text;
    enum log_level tunnel, r_proxy, net;
};

static const struct filter_row good_rows[] = {
    {"", LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO},
    {"warn", LOG_LEVEL_WARN, LOG_LEVEL_WARN, LOG_LEVEL_WARN},
    {"OFF", LOG_LEVEL_OFF, LOG_LEVEL_OFF, LOG_LEVEL_OFF},
    {"warn,tunnel=debug,mqtt=trace", LOG_LEVEL_DEBUG, LOG_LEVEL_WARN, LOG_LEVEL_WARN},
    {"tunnel=debug", LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_INFO},
    {"tunnel=debug,warn", LOG_LEVEL_DEBUG, LOG_LEVEL_WARN, LOG_LEVEL_WARN},
    {"tunnel=debug,tunnel=off", LOG_LEVEL_OFF, LOG_LEVEL_INFO, LOG_LEVEL_INFO},
    {"warn,error", LOG_LEVEL_ERROR, LOG_LEVEL_ERROR, LOG_LEVEL_ERROR},
    {"r-proxy=trace", LOG_LEVEL_INFO, LOG_LEVEL_TRACE, LOG_LEVEL_INFO},
    {"off,r_proxy=Debug", LOG_LEVEL_OFF, LOG_LEVEL_DEBUG, LOG_LEVEL_OFF},
    {"tunnel", LOG_LEVEL_TRACE, LOG_LEVEL_INFO, LOG_LEVEL_INFO},
    {" warn , tunnel = debug ,, ", LOG_LEVEL_DEBUG, LOG_LEVEL_WARN, LOG_LEVEL_WARN},
};

static void check_filter(const struct filter_row *row, enum log_filter_mode mode)
{
    struct log_filter f;
    ck_assert_int_eq(log_filter_parse(row->text, mode, &f), 0);
    ck_assert_uint_eq(f.thresholds[LOG_TUNNEL], row->tunnel);
    ck_assert_uint_eq(f.thresholds[LOG_R_PROXY], row->r_proxy);
    ck_assert_uint_eq(f.thresholds[LOG_NET], row->net);
}

START_TEST(a_filter_turns_on_what_it_says)
{
    check_filter(&good_rows[_i], LOG_FILTER_STRICT);
    check_filter(&good_rows[_i], LOG_FILTER_TOLERANT);
}
END_TEST

static const struct {
    const char *text, *says;
} bad_rows[] = {
    {"loud", "log filter: \"loud\" is neither a level nor a module"},
    {"warn,tunel=debug", "log filter: \"tunel\" is not a module"},
    {"warn,tunnel=5", "log filter: \"5\" is not a level (off, error, warn, info, debug, trace)"},
    {"tunnel=", "log filter: \"\" is not a level"},
    {"=debug", "log filter: \"\" is not a module"},
    {"tunnel[session]=debug", "log filter: \"tunnel[session]\" is not a module"},
};

START_TEST(a_wrong_filter_is_refused_by_its_wrong_part)
{
    struct log_filter f;
    memset(&f, 0x55, sizeof(f));
    ck_assert_int_eq(log_filter_parse(bad_rows[_i].text, LOG_FILTER_STRICT, &f), -EINVAL);
    if (strncmp(err_text(), bad_rows[_i].says, strlen(bad_rows[_i].says)) != 0)
        ck_abort_msg("%s: says %s", bad_rows[_i].text, err_text());
    ck_assert_uint_eq(f.thresholds[0], 0x55);
}
END_TEST

static const struct filter_row tolerated_rows[] = {
    {"hyper=info,tunnel=debug", LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_INFO},
    {"tunnel[conn{peer=a,b=c}]=trace,warn", LOG_LEVEL_WARN, LOG_LEVEL_WARN, LOG_LEVEL_WARN},
    {"[session]=trace,tunnel=error", LOG_LEVEL_ERROR, LOG_LEVEL_INFO, LOG_LEVEL_INFO},
    {"my_crate::net=trace,net=warn", LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_WARN},
    {"tunnel=loud", LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO},
    {"a[", LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO},
};

START_TEST(tolerance_passes_over_what_is_for_others)
{
    check_filter(&tolerated_rows[_i], LOG_FILTER_TOLERANT);
}
END_TEST

static Suite *log_filter_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("log_filter", &tc);
    tcase_add_loop_test(tc, a_filter_turns_on_what_it_says, 0, TEST_COUNT(good_rows));
    tcase_add_loop_test(tc, a_wrong_filter_is_refused_by_its_wrong_part, 0, TEST_COUNT(bad_rows));
    tcase_add_loop_test(tc, tolerance_passes_over_what_is_for_others, 0, TEST_COUNT(tolerated_rows));
    return suite;
}

TEST_MAIN(log_filter_suite)
