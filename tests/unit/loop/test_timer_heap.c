/* The timer heap: what comes out is in order of due time, whatever was added, moved and removed before. */
#include "timer_heap.h"

#include "loop.h"
#include "test_main.h"

enum { N = 1000 };

static struct timer_heap heap;
static struct loop_timer timers[N];
static uint32_t seed;

static uint32_t next_number(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static void setup(void)
{
    heap = (struct timer_heap){.count = 0};
    seed = 42;
    for (int i = 0; i < N; i++) {
        timers[i] = (struct loop_timer){.due_ms = next_number() % 500};
        timer_heap_add(&heap, &timers[i]);
    }
}

/* Takes everything out; returns how many there were. */
static int drain_in_order(void)
{
    int n = 0;
    uint64_t last_ms = 0;
    struct loop_timer *t;
    while ((t = timer_heap_first(&heap)) != NULL) {
        ck_assert_uint_ge(t->due_ms, last_ms);
        last_ms = t->due_ms;
        timer_heap_remove(&heap, t);
        ck_assert_uint_eq(t->heap_index, 0);
        n++;
    }
    timer_heap_deinit(&heap);
    return n;
}

START_TEST(what_is_due_first_comes_first)
{
    ck_assert_int_eq(drain_in_order(), N);
}
END_TEST

START_TEST(removed_timers_do_not_come)
{
    for (int i = 0; i < N; i += 3)
        timer_heap_remove(&heap, &timers[i]);
    ck_assert_int_eq(drain_in_order(), N - (N + 2) / 3);
}
END_TEST

START_TEST(moved_timers_come_at_their_new_time)
{
    for (int i = 0; i < N; i++) {
        timers[i].due_ms = next_number() % 500;
        timer_heap_moved(&heap, &timers[i]);
    }
    ck_assert_int_eq(drain_in_order(), N);
}
END_TEST

START_TEST(each_timer_knows_its_place)
{
    for (uint32_t i = 0; i < heap.count; i++)
        ck_assert_uint_eq(heap.slots[i]->heap_index, i + 1);
    drain_in_order();
}
END_TEST

static Suite *timer_heap_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("timer_heap", &tc);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, what_is_due_first_comes_first);
    tcase_add_test(tc, removed_timers_do_not_come);
    tcase_add_test(tc, moved_timers_come_at_their_new_time);
    tcase_add_test(tc, each_timer_knows_its_place);
    return suite;
}

TEST_MAIN(timer_heap_suite)
