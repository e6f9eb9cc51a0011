/* sp_broker_pick: order of preference, fail-over, back-off, probes. */
#include "sp_broker_pick.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "test_main.h"

static const char *const urls[] = {"mqtt://a:1", "mqtt://b:2", "mqtt://c:3"};
static struct sp_broker_pick pick;

static void setup(void)
{
    ck_assert_int_eq(sp_broker_pick_init(&pick, urls, TEST_COUNT(urls), 1), 0);
}

static void teardown(void)
{
    sp_broker_pick_deinit(&pick);
}

static struct sp_broker *first(uint64_t now_ms)
{
    struct sp_broker_tries tries = {0};
    return sp_broker_pick_next(&pick, &tries, now_ms);
}

/* The names tried for one session, in order: "abc". */
static const char *order(uint64_t now_ms)
{
    static char names[SP_BROKER_MAX + 1];
    struct sp_broker_tries tries = {0};
    struct sp_broker *b;
    size_t n = 0;
    while ((b = sp_broker_pick_next(&pick, &tries, now_ms)))
        names[n++] = b->url.host[0];
    names[n] = '\0';
    return names;
}

START_TEST(healthy_brokers_are_tried_in_the_order_given)
{
    ck_assert_str_eq(order(1000), "abc");
    ck_assert_str_eq(order(1000), "abc");
}
END_TEST

START_TEST(one_that_failed_comes_last_while_it_backs_off)
{
    ck_assert(sp_broker_has_failed(&pick.brokers[0], 1000));
    ck_assert_str_eq(order(1001), "bca");
}
END_TEST

START_TEST(when_all_back_off_the_one_due_first_comes_first)
{
    sp_broker_has_failed(&pick.brokers[1], 1000);
    sp_broker_has_failed(&pick.brokers[0], 5000);
    sp_broker_has_failed(&pick.brokers[2], 3000);
    ck_assert_str_eq(order(1000), "bca");
}
END_TEST

START_TEST(after_the_back_off_one_session_probes_and_the_others_go_elsewhere)
{
    sp_broker_has_failed(&pick.brokers[0], 1000);
    ck_assert_ptr_eq(first(2001), &pick.brokers[0]);
    ck_assert_ptr_eq(first(2001), &pick.brokers[1]);
    sp_broker_has_answered(&pick.brokers[0]);
    ck_assert_ptr_eq(first(2002), &pick.brokers[0]);
}
END_TEST

START_TEST(back_off_doubles_up_to_half_a_minute_with_each_failed_probe)
{
    struct sp_broker *b = &pick.brokers[0];
    uint64_t now_ms = 1000;
    static const uint32_t want_ms[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    for (size_t i = 0; i < TEST_COUNT(want_ms); i++) {
        ck_assert_int_eq(sp_broker_has_failed(b, now_ms), i == 0);
        ck_assert_uint_le(b->retry_at_ms, now_ms + want_ms[i]);
        ck_assert_uint_ge(b->retry_at_ms, now_ms + want_ms[i] * 3 / 4);
        now_ms = b->retry_at_ms;
        ck_assert_ptr_eq(first(now_ms), b);
    }
}
END_TEST

START_TEST(many_sessions_failing_together_are_one_failure)
{
    struct sp_broker *b = &pick.brokers[0];
    ck_assert(sp_broker_has_failed(b, 1000));
    uint64_t retry_at_ms = b->retry_at_ms;
    for (int i = 0; i < 1000; i++)
        ck_assert(!sp_broker_has_failed(b, 1001));
    ck_assert_uint_eq(b->retry_at_ms, retry_at_ms);
}
END_TEST

START_TEST(bad_urls_and_numbers_are_refused_by_name)
{
    struct sp_broker_pick bad;
    static const char *const http[] = {"http://a:1"};
    ck_assert_int_lt(sp_broker_pick_init(&bad, http, 1, 1), 0);
    ck_assert_ptr_nonnull(strstr(err_text(), "upstream"));
    ck_assert_ptr_nonnull(strstr(err_text(), "http"));
    ck_assert_int_eq(sp_broker_pick_init(&bad, http, 0, 1), -EINVAL);
    ck_assert_int_eq(sp_broker_pick_init(&bad, http, SP_BROKER_MAX + 1, 1), -EINVAL);
}
END_TEST

static Suite *sp_broker_pick_suite(void)
{
    TCase *t;
    Suite *s = test_suite("sp_broker_pick", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, healthy_brokers_are_tried_in_the_order_given);
    tcase_add_test(t, one_that_failed_comes_last_while_it_backs_off);
    tcase_add_test(t, when_all_back_off_the_one_due_first_comes_first);
    tcase_add_test(t, after_the_back_off_one_session_probes_and_the_others_go_elsewhere);
    tcase_add_test(t, back_off_doubles_up_to_half_a_minute_with_each_failed_probe);
    tcase_add_test(t, many_sessions_failing_together_are_one_failure);
    tcase_add_test(t, bad_urls_and_numbers_are_refused_by_name);
    return s;
}

TEST_MAIN(sp_broker_pick_suite)
