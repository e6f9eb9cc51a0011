/* sp_broker_turn: how many at a time, in which order, and whose turn it is when one ends. */
#include "sp_broker_turn.h"

#include <string.h>

#include "sp_broker_pick.h"
#include "test_main.h"

enum { TURNS = 2, SESSIONS = 6 };

static const char *const urls[] = {"mqtt://a:1", "mqtt://b:2"};
static struct sp_broker_pick pick;
static struct sp_broker_turn turns[SESSIONS];
static char trace[3 * SESSIONS + 1]; /* a letter for each turn that came later */
static bool ends_at_once;

static void on_turn(struct sp_broker_turn *t)
{
    trace[strlen(trace)] = (char)('a' + (t - turns));
    if (ends_at_once)
        sp_broker_turn_end(t);
}

static void setup(void)
{
    memset(trace, 0, sizeof(trace));
    ends_at_once = false;
    ck_assert_int_eq(sp_broker_pick_init(&pick, urls, TEST_COUNT(urls), TURNS), 0);
    for (unsigned i = 0; i < SESSIONS; i++)
        sp_broker_turn_init(&turns[i], on_turn);
}

static void teardown(void)
{
    for (unsigned i = 0; i < SESSIONS; i++)
        sp_broker_turn_end(&turns[i]);
    for (unsigned i = 0; i < TEST_COUNT(urls); i++)
        ck_assert_uint_eq(pick.brokers[i].turns, 0);
    sp_broker_pick_deinit(&pick);
}

/* All of them at the first broker. */
static void take_all(void)
{
    for (unsigned i = 0; i < SESSIONS; i++)
        ck_assert_int_eq(sp_broker_turn_take(&turns[i], &pick.brokers[0]), i < TURNS);
}

START_TEST(so_many_have_their_turn_and_the_others_wait)
{
    take_all();
    ck_assert_uint_eq(pick.brokers[0].turns, TURNS);
    ck_assert_str_eq(trace, "");
}
END_TEST

START_TEST(the_turn_of_one_that_ends_goes_to_the_one_that_waits_longest)
{
    take_all();
    sp_broker_turn_end(&turns[1]);
    ck_assert_str_eq(trace, "c");
    sp_broker_turn_end(&turns[0]);
    sp_broker_turn_end(&turns[2]);
    ck_assert_str_eq(trace, "cde");
    ck_assert_uint_eq(pick.brokers[0].turns, TURNS);
}
END_TEST

START_TEST(one_that_gives_up_waiting_takes_nobodys_turn)
{
    take_all();
    sp_broker_turn_end(&turns[2]);
    ck_assert_str_eq(trace, "");
    sp_broker_turn_end(&turns[0]);
    ck_assert_str_eq(trace, "d");
}
END_TEST

START_TEST(a_turn_that_ends_at_once_lets_the_next_begin)
{
    take_all();
    ends_at_once = true;
    sp_broker_turn_end(&turns[0]);
    ck_assert_str_eq(trace, "cdef");
    ck_assert_uint_eq(pick.brokers[0].turns, 1);
}
END_TEST

START_TEST(the_end_of_no_turn_is_nothing)
{
    sp_broker_turn_end(&turns[0]);
    ck_assert(sp_broker_turn_take(&turns[0], &pick.brokers[0]));
    sp_broker_turn_end(&turns[0]);
    sp_broker_turn_end(&turns[0]);
    ck_assert_uint_eq(pick.brokers[0].turns, 0);
}
END_TEST

START_TEST(each_broker_has_turns_of_its_own)
{
    take_all();
    sp_broker_turn_end(&turns[5]);
    ck_assert(sp_broker_turn_take(&turns[5], &pick.brokers[1]));
    sp_broker_turn_end(&turns[5]);
    ck_assert_str_eq(trace, "");
}
END_TEST

static Suite *sp_broker_turn_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("sp_broker_turn", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, so_many_have_their_turn_and_the_others_wait);
    tcase_add_test(tc, the_turn_of_one_that_ends_goes_to_the_one_that_waits_longest);
    tcase_add_test(tc, one_that_gives_up_waiting_takes_nobodys_turn);
    tcase_add_test(tc, a_turn_that_ends_at_once_lets_the_next_begin);
    tcase_add_test(tc, the_end_of_no_turn_is_nothing);
    tcase_add_test(tc, each_broker_has_turns_of_its_own);
    return suite;
}

TEST_MAIN(sp_broker_turn_suite)
