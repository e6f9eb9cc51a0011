/* Turns, timers, deferred work and signals of the loop. Each test ends with loop_free(), which proves that nothing is
 * open. */
#include "loop.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test_main.h"

static struct loop *loop;
static char trace[256];

static void setup(void)
{
    ck_assert_int_eq(loop_new(&loop), 0);
    trace[0] = '\0';
}

static void teardown(void)
{
    loop = loop_free(loop);
}

static void trace_add(char letter)
{
    size_t n = strlen(trace);
    ck_assert_uint_lt(n + 1, sizeof(trace));
    trace[n] = letter;
    trace[n + 1] = '\0';
}

/* A timer that writes its letter down. */
struct letter_timer {
    struct loop_timer timer;
    char letter;
    struct loop_timer *stops; /* stopped when this one runs; may be NULL */
    struct loop_task *defers; /* likewise */
    int restarts;             /* how often it starts itself anew, with no delay */
};

static void on_letter_timer(struct loop_timer *timer)
{
    struct letter_timer *l = list_entry(timer, struct letter_timer, timer);
    trace_add(l->letter);
    if (l->stops)
        loop_timer_stop(l->stops);
    if (l->defers)
        loop_defer(loop, l->defers);
    if (l->restarts-- > 0)
        loop_timer_start(timer, 0);
}

static void letter_timer_start(struct letter_timer *l, char letter, uint64_t delay_ms)
{
    loop_timer_init(&l->timer, loop, on_letter_timer);
    l->letter = letter;
    loop_timer_start(&l->timer, delay_ms);
}

struct letter_task {
    struct loop_task task;
    char letter;
    int repeats;
    struct loop_task *cancels;
    struct loop_timer *stops; /* in the last run */
};

static void on_letter_task(struct loop_task *task)
{
    struct letter_task *l = list_entry(task, struct letter_task, task);
    trace_add(l->letter);
    if (l->cancels)
        loop_task_cancel(l->cancels);
    if (l->repeats-- > 0)
        loop_defer(loop, task);
    else if (l->stops)
        loop_timer_stop(l->stops);
}

static void letter_task_defer(struct letter_task *l, char letter)
{
    loop_task_init(&l->task, on_letter_task);
    l->letter = letter;
    loop_defer(loop, &l->task);
}

START_TEST(a_loop_with_nothing_to_do_ends)
{
    loop_run(loop);
}
END_TEST

START_TEST(timers_run_in_order_of_their_time)
{
    struct letter_timer a = {0}, b = {0}, c = {0};
    uint64_t start_ms = loop_now_ms(loop);
    letter_timer_start(&c, 'c', 200);
    letter_timer_start(&a, 'a', 1);
    letter_timer_start(&b, 'b', 100);
    loop_run(loop);
    ck_assert_str_eq(trace, "abc");
    ck_assert_uint_ge(loop_now_ms(loop), start_ms + 200);
}
END_TEST

START_TEST(a_restarted_timer_runs_once_at_its_last_time)
{
    struct letter_timer a = {0}, b = {0};
    letter_timer_start(&a, 'a', 1);
    letter_timer_start(&b, 'b', 3);
    loop_timer_start(&a.timer, 100);
    loop_run(loop);
    ck_assert_str_eq(trace, "ba");
    ck_assert(!loop_timer_is_started(&a.timer));
}
END_TEST

START_TEST(a_timer_brought_forward_runs_then)
{
    struct letter_timer a = {0}, b = {0};
    letter_timer_start(&a, 'a', 3600 * 1000);
    letter_timer_start(&b, 'b', 100);
    loop_timer_start(&a.timer, 1);
    loop_run(loop);
    ck_assert_str_eq(trace, "ab");
}
END_TEST

START_TEST(a_stopped_timer_neither_runs_nor_keeps_the_loop)
{
    struct letter_timer a = {0};
    letter_timer_start(&a, 'a', 3600 * 1000);
    loop_timer_stop(&a.timer);
    loop_timer_stop(&a.timer);
    loop_run(loop);
    ck_assert_str_eq(trace, "");
}
END_TEST

START_TEST(a_timer_may_stop_one_that_is_due_with_it)
{
    struct letter_timer a = {0}, b = {0};
    letter_timer_start(&a, 'a', 1);
    letter_timer_start(&b, 'b', 2);
    a.stops = &b.timer;
    uint64_t until_ms = loop_now_ms(loop) + 5;
    struct letter_timer c = {0};
    letter_timer_start(&c, 'c', 0);
    while (loop_now_ms(loop) < until_ms)
        loop_timer_start(&c.timer, 0); /* moves the clock of a loop that does not run */
    loop_run(loop);
    ck_assert_str_eq(trace, "ac");
}
END_TEST

START_TEST(a_timer_that_starts_itself_without_delay_lets_others_run)
{
    struct letter_timer a = {.restarts = 3};
    struct letter_task t = {0};
    loop_task_init(&t.task, on_letter_task);
    t.letter = '.';
    a.defers = &t.task;
    letter_timer_start(&a, 'a', 0);
    loop_run(loop);
    ck_assert_str_eq(trace, "a.a.a.a.");
}
END_TEST

START_TEST(an_endless_delay_does_not_wrap)
{
    struct letter_timer a = {0}, b = {0};
    letter_timer_start(&a, 'a', UINT64_MAX);
    letter_timer_start(&b, 'b', 1);
    b.stops = &a.timer;
    loop_run(loop);
    ck_assert_str_eq(trace, "b");
}
END_TEST

START_TEST(ten_thousand_timers_all_run)
{
    enum { N = 10000 };
    struct letter_timer *many = calloc(N, sizeof(*many));
    for (int i = 0; i < N; i++) {
        letter_timer_start(&many[i], 'x', (uint64_t)i % 10);
        if (i % 100 != 0)
            loop_timer_stop(&many[i].timer);
    }
    loop_run(loop);
    ck_assert_uint_eq(strlen(trace), N / 100);
    free(many);
}
END_TEST

START_TEST(deferred_work_runs_in_order_and_once)
{
    struct letter_task a = {0}, b = {0};
    letter_task_defer(&a, 'a');
    letter_task_defer(&b, 'b');
    loop_defer(loop, &a.task);
    loop_run(loop);
    ck_assert_str_eq(trace, "ab");
}
END_TEST

/* Here and below, a loop that waited too early would wait an hour for the timer that the task stops. */
START_TEST(work_deferred_by_a_timer_runs_before_the_loop_waits_again)
{
    struct letter_timer a = {0}, never = {0};
    struct letter_task t = {.stops = &never.timer};
    loop_task_init(&t.task, on_letter_task);
    t.letter = 't';
    a.defers = &t.task;
    letter_timer_start(&a, 'a', 1);
    letter_timer_start(&never, 'n', 3600 * 1000);
    loop_run(loop);
    ck_assert_str_eq(trace, "at");
}
END_TEST

START_TEST(a_task_that_defers_itself_runs_again_at_once)
{
    struct letter_timer never = {0};
    struct letter_task a = {.repeats = 2, .stops = &never.timer}, b = {0};
    letter_timer_start(&never, 'n', 3600 * 1000);
    letter_task_defer(&a, 'a');
    letter_task_defer(&b, 'b');
    loop_run(loop);
    ck_assert_str_eq(trace, "abaa");
}
END_TEST

static void on_endless_task(struct loop_task *task)
{
    loop_defer(loop, task);
}

static struct loop_task endless;

static void on_end_of_endless(struct loop_timer *timer)
{
    trace_add('t');
    loop_task_cancel(&endless);
}

START_TEST(a_task_that_defers_itself_for_ever_leaves_room_for_timers)
{
    struct loop_timer timer;
    loop_task_init(&endless, on_endless_task);
    loop_timer_init(&timer, loop, on_end_of_endless);
    loop_timer_start(&timer, 1);
    loop_defer(loop, &endless);
    loop_run(loop);
    ck_assert_str_eq(trace, "t");
}
END_TEST

START_TEST(cancelled_work_does_not_run)
{
    struct letter_task a = {0}, b = {0};
    letter_task_defer(&a, 'a');
    letter_task_defer(&b, 'b');
    a.cancels = &b.task; /* both are in the same batch */
    loop_run(loop);
    loop_defer(loop, &b.task);
    loop_task_cancel(&b.task);
    loop_run(loop);
    ck_assert_str_eq(trace, "a");
}
END_TEST

static void on_stop_timer(struct loop_timer *timer)
{
    struct letter_timer *l = list_entry(timer, struct letter_timer, timer);
    loop_stop(loop);
    loop_defer(loop, l->defers);
}

START_TEST(a_stopped_loop_still_runs_what_the_turn_deferred)
{
    struct letter_timer stop = {0}, never = {0};
    struct letter_task t = {0};
    loop_task_init(&t.task, on_letter_task);
    t.letter = 't';
    stop.defers = &t.task;
    loop_timer_init(&stop.timer, loop, on_stop_timer);
    loop_timer_start(&stop.timer, 0);
    letter_timer_start(&never, 'n', 3600 * 1000);
    loop_run(loop);
    ck_assert_str_eq(trace, "t");
    loop_timer_stop(&never.timer);
}
END_TEST

START_TEST(a_loop_runs_again_after_it_was_stopped)
{
    struct letter_timer a = {0};
    loop_stop(loop);
    loop_run(loop);
    letter_timer_start(&a, 'a', 1);
    loop_run(loop);
    ck_assert_str_eq(trace, "a");
    loop_stop(loop); /* and one that comes too late does no harm */
}
END_TEST

/* --- Descriptors of others */

struct pipe_reader {
    struct loop_watch *watch;
    int fds[2];
};

static void on_pipe_readable(void *arg)
{
    struct pipe_reader *p = arg;
    char letter;
    ck_assert_int_eq(read(p->fds[0], &letter, 1), 1);
    trace_add(letter);
    if (letter == 'c')
        p->watch = loop_watch_free(p->watch);
}

/* The timer keeps the loop: a watch does not. */
START_TEST(a_watched_descriptor_is_told_of_as_long_as_it_is_readable)
{
    struct pipe_reader p;
    struct letter_timer end = {0};
    ck_assert_int_eq(pipe(p.fds), 0);
    ck_assert_int_eq(loop_watch_new(loop, p.fds[0], on_pipe_readable, &p, &p.watch), 0);
    ck_assert_int_eq(write(p.fds[1], "abcd", 4), 4);
    letter_timer_start(&end, 't', 20);
    loop_run(loop);
    ck_assert_str_eq(trace, "abct");
    close(p.fds[0]);
    close(p.fds[1]);
}
END_TEST

START_TEST(what_cannot_be_watched_is_an_error)
{
    struct loop_watch *watch;
    ck_assert_int_lt(loop_watch_new(loop, 1000000, on_pipe_readable, NULL, &watch), 0);
    loop_run(loop);
}
END_TEST

/* --- Which loop */

static struct loop *seen;

static void on_look(struct loop_task *task)
{
    seen = loop_current();
}

START_TEST(the_loop_that_runs_is_known_on_its_thread_while_it_runs)
{
    struct loop_task look;
    loop_task_init(&look, on_look);
    loop_defer(loop, &look);
    ck_assert_ptr_null(loop_current());
    loop_run(loop);
    ck_assert_ptr_eq(seen, loop);
    ck_assert_ptr_null(loop_current());
}
END_TEST

/* --- Signals */

static void on_signal(int signum, void *arg)
{
    snprintf(trace, sizeof(trace), "%d%s", signum, (const char *)arg);
    loop_signals_close(loop);
}

START_TEST(signals_run_on_the_loop)
{
    char first[] = "first", last[] = "last";
    ck_assert_int_eq(loop_signal(loop, SIGUSR1, on_signal, first), 0);
    ck_assert_int_eq(loop_signal(loop, SIGUSR1, on_signal, last), 0);
    kill(getpid(), SIGUSR1);
    ck_assert_str_eq(trace, "");
    loop_run(loop);
    char expected[16];
    snprintf(expected, sizeof(expected), "%dlast", SIGUSR1);
    ck_assert_str_eq(trace, expected);
}
END_TEST

static struct letter_task late_task;

static void on_stop_signal(int signum, void *arg)
{
    loop_stop(loop);
    loop_signals_close(loop);
    letter_task_defer(&late_task, 't');
}

START_TEST(work_deferred_after_the_stop_belongs_to_the_last_turn)
{
    struct letter_timer never = {0};
    letter_timer_start(&never, 'n', 3600 * 1000);
    ck_assert_int_eq(loop_signal(loop, SIGUSR1, on_stop_signal, NULL), 0);
    kill(getpid(), SIGUSR1);
    loop_run(loop);
    ck_assert_str_eq(trace, "t");
    loop_timer_stop(&never.timer);
}
END_TEST

START_TEST(a_signal_that_cannot_be_caught_is_an_error)
{
    ck_assert_int_lt(loop_signal(loop, SIGKILL, on_signal, NULL), 0);
    loop_run(loop);
}
END_TEST

static Suite *loop_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("loop", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_loop_with_nothing_to_do_ends);
    tcase_add_test(tc, timers_run_in_order_of_their_time);
    tcase_add_test(tc, a_restarted_timer_runs_once_at_its_last_time);
    tcase_add_test(tc, a_timer_brought_forward_runs_then);
    tcase_add_test(tc, a_stopped_timer_neither_runs_nor_keeps_the_loop);
    tcase_add_test(tc, a_timer_may_stop_one_that_is_due_with_it);
    tcase_add_test(tc, a_timer_that_starts_itself_without_delay_lets_others_run);
    tcase_add_test(tc, an_endless_delay_does_not_wrap);
    tcase_add_test(tc, ten_thousand_timers_all_run);
    tcase_add_test(tc, deferred_work_runs_in_order_and_once);
    tcase_add_test(tc, work_deferred_by_a_timer_runs_before_the_loop_waits_again);
    tcase_add_test(tc, a_task_that_defers_itself_runs_again_at_once);
    tcase_add_test(tc, a_task_that_defers_itself_for_ever_leaves_room_for_timers);
    tcase_add_test(tc, cancelled_work_does_not_run);
    tcase_add_test(tc, a_watched_descriptor_is_told_of_as_long_as_it_is_readable);
    tcase_add_test(tc, what_cannot_be_watched_is_an_error);
    tcase_add_test(tc, the_loop_that_runs_is_known_on_its_thread_while_it_runs);
    tcase_add_test(tc, a_stopped_loop_still_runs_what_the_turn_deferred);
    tcase_add_test(tc, a_loop_runs_again_after_it_was_stopped);
    tcase_add_test(tc, signals_run_on_the_loop);
    tcase_add_test(tc, work_deferred_after_the_stop_belongs_to_the_last_turn);
    tcase_add_test(tc, a_signal_that_cannot_be_caught_is_an_error);
    return suite;
}

TEST_MAIN(loop_suite)
