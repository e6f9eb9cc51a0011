/* byte_budget: who is paused, who goes on, who is shed. */
#include "byte_budget.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "test_main.h"

enum { KIB = 1024, HOLDERS = 4, LIMIT = 1000 * KIB, STALL_MS = 30000 };

static struct byte_budget budget;
static struct byte_budget_loop loop, other_loop;
static struct byte_budget_holder holders[HOLDERS], other_holder;
static char story[200]; /* "p0 r0 s1": paused, resumed, shed */

static void tell(char what, const struct byte_budget_holder *h)
{
    char word[8];
    snprintf(word, sizeof word, "%c%d ", what, h == &other_holder ? 9 : (int)(h - holders));
    strncat(story, word, sizeof story - strlen(story) - 1);
}

static void on_pause(struct byte_budget_holder *h)
{
    tell('p', h);
}

static void on_resume(struct byte_budget_holder *h)
{
    tell('r', h);
}

static void on_shed(struct byte_budget_holder *h)
{
    tell('s', h);
    byte_budget_leave(h);
}

static const struct byte_budget_calls calls = {.on_pause = on_pause, .on_resume = on_resume, .on_shed = on_shed};

static void setup(void)
{
    story[0] = '\0';
    byte_budget_init(&budget, LIMIT);
    byte_budget_loop_init(&loop, &budget, &calls, STALL_MS);
    byte_budget_loop_init(&other_loop, &budget, &calls, STALL_MS);
    for (int i = 0; i < HOLDERS; i++)
        byte_budget_join(&loop, &holders[i]);
    byte_budget_join(&other_loop, &other_holder);
}

static void teardown(void)
{
    for (int i = 0; i < HOLDERS; i++)
        byte_budget_leave(&holders[i]);
    byte_budget_leave(&other_holder);
    ck_assert_uint_eq(budget.used_bytes, 0);
}

START_TEST(the_largest_is_paused_not_the_one_that_reports)
{
    byte_budget_set(&holders[0], 600 * KIB);
    byte_budget_set(&holders[1], 300 * KIB);
    ck_assert_str_eq(story, "");
    byte_budget_set(&holders[2], 120 * KIB);
    ck_assert_str_eq(story, "p0 ");
}
END_TEST

START_TEST(small_holders_are_never_paused)
{
    byte_budget_set(&other_holder, 990 * KIB);
    byte_budget_set(&holders[0], 50 * KIB);
    byte_budget_set(&holders[1], 50 * KIB);
    ck_assert_str_eq(story, "");
}
END_TEST

START_TEST(paused_holders_go_on_in_reverse_below_seven_eighths)
{
    byte_budget_set(&holders[0], 600 * KIB);
    byte_budget_set(&holders[1], 300 * KIB);
    byte_budget_set(&holders[2], 120 * KIB);
    byte_budget_set(&holders[2], 140 * KIB);
    ck_assert_str_eq(story, "p0 p1 ");
    byte_budget_set(&holders[2], 20 * KIB);
    ck_assert_str_eq(story, "p0 p1 ");
    byte_budget_set(&holders[0], 500 * KIB);
    ck_assert_str_eq(story, "p0 p1 r1 r0 ");
}
END_TEST

START_TEST(what_another_loop_released_is_seen_at_the_next_tick)
{
    byte_budget_set(&other_holder, 900 * KIB);
    byte_budget_set(&holders[0], 200 * KIB);
    ck_assert_str_eq(story, "p0 ");
    byte_budget_set(&other_holder, 100 * KIB);
    ck_assert_str_eq(story, "p0 ");
    byte_budget_tick(&loop, 1000);
    ck_assert_str_eq(story, "p0 r0 ");
}
END_TEST

START_TEST(when_nothing_moves_the_largest_paused_is_shed)
{
    byte_budget_set(&holders[0], 700 * KIB);
    byte_budget_set(&holders[1], 400 * KIB);
    byte_budget_set(&holders[1], 500 * KIB);
    ck_assert_str_eq(story, "p0 p1 ");
    byte_budget_tick(&loop, 1000);
    byte_budget_tick(&loop, 1000 + STALL_MS - 1);
    ck_assert_str_eq(story, "p0 p1 ");
    byte_budget_tick(&loop, 1000 + STALL_MS);
    ck_assert_str_eq(story, "p0 p1 s0 r1 ");
}
END_TEST

START_TEST(a_release_anywhere_puts_the_shedding_off)
{
    byte_budget_set(&other_holder, 500 * KIB);
    byte_budget_set(&holders[0], 600 * KIB);
    byte_budget_tick(&loop, 1000);
    byte_budget_set(&other_holder, 480 * KIB);
    byte_budget_tick(&loop, 1000 + STALL_MS);
    ck_assert_str_eq(story, "p0 ");
    byte_budget_tick(&loop, 1000 + 2 * STALL_MS);
    ck_assert_str_eq(story, "p0 s0 ");
}
END_TEST

START_TEST(small_holders_that_come_and_go_do_not_put_it_off)
{
    byte_budget_set(&holders[0], 600 * KIB);
    byte_budget_set(&holders[1], 450 * KIB);
    byte_budget_tick(&loop, 1000);
    for (int i = 0; i < 10; i++) {
        byte_budget_set(&other_holder, 60 * KIB);
        byte_budget_set(&other_holder, 0);
        byte_budget_tick(&loop, 1000 + (uint64_t)(i + 1) * STALL_MS / 10);
    }
    ck_assert_str_eq(story, "p0 s0 ");
}
END_TEST

/* Holders of this loop end some time after they were told to. */
static void on_shed_later(struct byte_budget_holder *h)
{
    tell('s', h);
}

START_TEST(a_holder_is_shed_once_and_then_the_next)
{
    static const struct byte_budget_calls slow_calls = {
        .on_pause = on_pause, .on_resume = on_resume, .on_shed = on_shed_later};
    byte_budget_loop_init(&loop, &budget, &slow_calls, STALL_MS);
    byte_budget_set(&holders[0], 700 * KIB);
    byte_budget_set(&holders[1], 400 * KIB);
    byte_budget_set(&holders[1], 500 * KIB);
    for (uint64_t i = 0; i < 5; i++)
        byte_budget_tick(&loop, 1000 + i * STALL_MS);
    ck_assert_str_eq(story, "p0 p1 s0 s1 ");
}
END_TEST

static void churn_pause(struct byte_budget_holder *h)
{
    ck_assert(h->is_paused);
}

static void churn_pause_ended(struct byte_budget_holder *h)
{
    ck_assert(!h->is_paused);
}

static void churn_shed(struct byte_budget_holder *h)
{
    byte_budget_leave(h);
}

static void *churn(void *arg)
{
    static const struct byte_budget_calls churn_calls = {
        .on_pause = churn_pause, .on_resume = churn_pause_ended, .on_shed = churn_shed};
    struct byte_budget_loop own;
    struct byte_budget_holder h[3];
    byte_budget_loop_init(&own, &budget, &churn_calls, 3);
    for (size_t i = 0; i < 3; i++)
        byte_budget_join(&own, &h[i]);
    for (size_t i = 0; i < 5000; i++) {
        struct byte_budget_holder *one = &h[i % 3];
        byte_budget_set(one, one->is_paused ? one->reported_bytes / 2 : (i * 7919) % 400 * KIB);
        byte_budget_tick(&own, i);
    }
    for (size_t i = 0; i < 3; i++)
        byte_budget_leave(&h[i]);
    ck_assert(list_is_empty(&own.large) && list_is_empty(&own.paused));
    return arg;
}

START_TEST(loops_share_only_the_total_and_it_comes_out_even)
{
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(budget.used_bytes, 0);
}
END_TEST

START_TEST(a_quarter_of_memory_is_the_default)
{
    struct byte_budget b;
    byte_budget_init(&b, 0);
    ck_assert_uint_gt(b.limit_bytes, 1024 * KIB);
}
END_TEST

static Suite *byte_budget_suite(void)
{
    TCase *t;
    Suite *s = test_suite("byte_budget", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_largest_is_paused_not_the_one_that_reports);
    tcase_add_test(t, small_holders_are_never_paused);
    tcase_add_test(t, paused_holders_go_on_in_reverse_below_seven_eighths);
    tcase_add_test(t, what_another_loop_released_is_seen_at_the_next_tick);
    tcase_add_test(t, when_nothing_moves_the_largest_paused_is_shed);
    tcase_add_test(t, a_release_anywhere_puts_the_shedding_off);
    tcase_add_test(t, small_holders_that_come_and_go_do_not_put_it_off);
    tcase_add_test(t, a_holder_is_shed_once_and_then_the_next);
    tcase_add_test(t, loops_share_only_the_total_and_it_comes_out_even);
    tcase_add_test(t, a_quarter_of_memory_is_the_default);
    return s;
}

TEST_MAIN(byte_budget_suite)
