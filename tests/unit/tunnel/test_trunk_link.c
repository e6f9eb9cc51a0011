/* What may be under way in a trunk: how the limit follows the link. Links here are made of numbers. */
#include "test_main.h"
#include "trunk_internal.h"

enum { KIB = 1024, MIB = 1024 * KIB, FIRST = 128 * KIB, LEAST = 64 * KIB, MOST = 8 * MIB, BATCH = 16 * 1000 };

static struct trunk_link trunk_link;
static uint64_t now_ms;

static void setup(void)
{
    now_ms = 1000;
    trunk_link_init(&trunk_link, now_ms);
}

static uint64_t under_way(void)
{
    return trunk_link.sent_bytes - trunk_link.taken_bytes;
}

/* As trunk_send_on() does with lanes that always have something to send. */
static void fill(void)
{
    while (!trunk_link_is_full(&trunk_link))
        trunk_link_sent(&trunk_link, BATCH, now_ms);
    trunk_link_stalled(&trunk_link, now_ms);
}

/* MS on a link that carries BYTES_PER_MS, to a peer that speaks when 64 KiB are unsaid. */
static void run_full(unsigned ms, uint64_t bytes_per_ms)
{
    uint64_t arrived = 0;
    fill();
    for (uint64_t end_ms = now_ms + ms; now_ms < end_ms; now_ms++) {
        arrived += bytes_per_ms;
        arrived = arrived < under_way() ? arrived : under_way();
        if (arrived < LEAST)
            continue;
        ck_assert(trunk_link_taken(&trunk_link, arrived, now_ms));
        arrived = 0;
        fill();
    }
}

START_TEST(the_limit_is_about_a_second_of_what_the_link_carries)
{
    static const unsigned rates[] = {125, 1250, 4000};
    uint64_t bytes_per_ms = rates[_i];
    run_full(5000, bytes_per_ms);
    ck_assert_uint_ge(trunk_link.limit_bytes, bytes_per_ms * 1000 * 3 / 4);
    ck_assert_uint_le(trunk_link.limit_bytes, bytes_per_ms * 1000 * 5 / 4);
}
END_TEST

enum { SAYINGS = 1024 };

static struct {
    uint64_t due_ms, bytes;
} said[SAYINGS];
static unsigned n_heard, n_said;

/* What is taken is said for each batch, but comes behind what is under way the other way: up to half a second late, and
 * then several at once. */
static void say(uint64_t bytes)
{
    uint64_t due_ms = now_ms + 100 + n_said * 7919 % 500;
    uint64_t last_ms = n_heard != n_said ? said[(n_said - 1) % SAYINGS].due_ms : 0;
    said[n_said % SAYINGS].due_ms = due_ms > last_ms ? due_ms : last_ms;
    said[n_said++ % SAYINGS].bytes = bytes;
}

/* As run_full(), with more traffic the other way; returns what has arrived. */
static uint64_t run_behind(unsigned ms, uint64_t bytes_per_ms, uint64_t *ret_most_under_way)
{
    static uint64_t arrived, told;
    uint64_t before = arrived;
    *ret_most_under_way = 0;
    for (uint64_t end_ms = now_ms + ms; now_ms < end_ms; now_ms++) {
        for (; n_heard != n_said && said[n_heard % SAYINGS].due_ms <= now_ms; n_heard++)
            ck_assert(trunk_link_taken(&trunk_link, said[n_heard % SAYINGS].bytes, now_ms));
        fill();
        *ret_most_under_way = under_way() > *ret_most_under_way ? under_way() : *ret_most_under_way;
        arrived += bytes_per_ms;
        arrived = arrived < trunk_link.sent_bytes ? arrived : trunk_link.sent_bytes;
        for (; arrived - told >= BATCH; told += BATCH)
            say(BATCH);
    }
    return arrived - before;
}

START_TEST(sayings_that_come_together_are_no_fast_link)
{
    enum { MBIT = 125, SECONDS = 30 };
    uint64_t most;
    run_behind(5000, MBIT, &most);
    ck_assert_uint_le(most, FIRST + 2 * BATCH);
    uint64_t arrived = run_behind(SECONDS * 1000, MBIT, &most);
    ck_assert_uint_le(most, 1800 * MBIT);
    ck_assert_uint_ge(arrived, SECONDS * 1000 * MBIT * 8 / 10);
}
END_TEST

START_TEST(the_limit_has_bounds)
{
    run_full(20000, 10);
    ck_assert_uint_eq(trunk_link.limit_bytes, LEAST);
    run_full(5000, 100 * 1000);
    ck_assert_uint_eq(trunk_link.limit_bytes, MOST);
}
END_TEST

/* With the least limit all is taken, as far as is said, each time that something is. */
START_TEST(a_link_that_was_slow_may_become_fast)
{
    run_full(20000, 10);
    ck_assert_uint_eq(trunk_link.limit_bytes, LEAST);
    run_full(2000, 2000);
    ck_assert_uint_ge(trunk_link.limit_bytes, 1500 * 1000);
}
END_TEST

START_TEST(a_fast_link_may_become_slow)
{
    run_full(5000, 4000);
    run_full(60000, 125);
    ck_assert_uint_le(trunk_link.limit_bytes, 160 * 1000);
}
END_TEST

/* A burst, and nothing for long: that is no slow link. */
START_TEST(a_sender_with_nothing_to_send_is_no_slow_link)
{
    for (unsigned i = 0; i < 5; i++) {
        fill();
        for (unsigned k = 0; k < FIRST / LEAST; k++) {
            now_ms += 1;
            ck_assert(trunk_link_taken(&trunk_link, LEAST, now_ms));
        }
        now_ms += _i ? 10000 : 120;
        trunk_link_sent(&trunk_link, 100, now_ms);
        ck_assert(trunk_link_taken(&trunk_link, under_way(), now_ms));
        ck_assert_uint_eq(trunk_link.limit_bytes, FIRST);
    }
}
END_TEST

START_TEST(more_than_was_sent_cannot_be_taken)
{
    trunk_link_sent(&trunk_link, 100, now_ms);
    ck_assert(!trunk_link_taken(&trunk_link, 101, now_ms));
    ck_assert(trunk_link_taken(&trunk_link, 100, now_ms));
    ck_assert(!trunk_link_taken(&trunk_link, 1, now_ms));
}
END_TEST

START_TEST(a_stall_is_news_once)
{
    while (!trunk_link_is_full(&trunk_link))
        trunk_link_sent(&trunk_link, BATCH, now_ms);
    ck_assert(trunk_link_stalled(&trunk_link, now_ms));
    ck_assert(!trunk_link_stalled(&trunk_link, now_ms));
    ck_assert(trunk_link_taken(&trunk_link, under_way(), now_ms));
    while (!trunk_link_is_full(&trunk_link))
        trunk_link_sent(&trunk_link, BATCH, now_ms);
    ck_assert(trunk_link_stalled(&trunk_link, now_ms));
}
END_TEST

START_TEST(what_is_stuck_is_what_does_not_move)
{
    ck_assert(!trunk_link_is_stuck(&trunk_link, now_ms + 10000, 1000)); /* nothing is under way */
    now_ms += 10000;
    trunk_link_sent(&trunk_link, 100, now_ms);
    ck_assert(!trunk_link_is_stuck(&trunk_link, now_ms + 1000, 1000));
    ck_assert(trunk_link_is_stuck(&trunk_link, now_ms + 1001, 1000));
    trunk_link_sent(&trunk_link, 100, now_ms + 900); /* sending is no progress */
    ck_assert(trunk_link_is_stuck(&trunk_link, now_ms + 1001, 1000));
    ck_assert(trunk_link_taken(&trunk_link, 1, now_ms + 900));
    ck_assert(!trunk_link_is_stuck(&trunk_link, now_ms + 1001, 1000));
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("trunk_link", &t);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_loop_test(t, the_limit_is_about_a_second_of_what_the_link_carries, 0, 3);
    tcase_add_test(t, sayings_that_come_together_are_no_fast_link);
    tcase_add_test(t, the_limit_has_bounds);
    tcase_add_test(t, a_link_that_was_slow_may_become_fast);
    tcase_add_test(t, a_fast_link_may_become_slow);
    tcase_add_loop_test(t, a_sender_with_nothing_to_send_is_no_slow_link, 0, 2);
    tcase_add_test(t, more_than_was_sent_cannot_be_taken);
    tcase_add_test(t, a_stall_is_news_once);
    tcase_add_test(t, what_is_stuck_is_what_does_not_move);
    return s;
}

TEST_MAIN(suite)
