/* The gate: order, waiting, and every way in which the answer, the end of the gate and the run may interleave. */
#include "gate.h"

#include <stdint.h>
#include <string.h>

#include "test_main.h"

/* A source whose packets are the letters of a script; a letter says what its handler does. */
enum { TRACE_MAX = 64 };

struct actor {
    struct gate gate;
    struct gate_wait *wait; /* what the handler has been given and not continued */
    const char *script;     /* packets that are left */
    char trace[TRACE_MAX];  /* packets that were handled */
    int depth, deepest;     /* of handlers on the stack */
};

static void actor_trace(struct actor *a, char c)
{
    size_t n = strlen(a->trace);
    ck_assert_uint_lt(n + 1, TRACE_MAX);
    a->trace[n] = c;
}

static enum gate_answer actor_hold(struct actor *a)
{
    a->wait = gate_hold(&a->gate);
    ck_assert_ptr_nonnull(a->wait);
    ck_assert(gate_wait_is_alive(a->wait));
    return GATE_HOLD;
}

static enum gate_answer actor_handle(struct actor *a, char packet)
{
    switch (packet) {
    case 'h': /* the answer comes later */
        return actor_hold(a);
    case 'c': /* the answer comes before the handler has returned */
        actor_hold(a);
        gate_continue(a->wait);
        a->wait = NULL;
        return GATE_HOLD;
    case 'd': /* twice in one handler */
        actor_handle(a, 'c');
        return actor_handle(a, 'c');
    case 'r': /* a handler that causes another run */
        gate_run(&a->gate);
        return GATE_PASS;
    case 'x': /* closed inside */
        gate_close(&a->gate);
        return GATE_CLOSED;
    case 'w': /* held, then closed, all inside */
        actor_hold(a);
        gate_close(&a->gate);
        return GATE_CLOSED;
    case 'k': /* held, closed and continued, all inside */
        actor_hold(a);
        gate_close(&a->gate);
        gate_continue(a->wait);
        a->wait = NULL;
        return GATE_CLOSED;
    default:
        return GATE_PASS;
    }
}

static enum gate_answer actor_next(void *arg)
{
    struct actor *a = arg;
    if (*a->script == '\0')
        return GATE_EMPTY;
    const char packet = *a->script++;
    actor_trace(a, packet);
    a->depth++;
    if (a->depth > a->deepest)
        a->deepest = a->depth;
    enum gate_answer answer = actor_handle(a, packet);
    a->depth--;
    return answer;
}

static void actor_init(struct actor *a, const char *script)
{
    *a = (struct actor){.script = script};
    gate_init(&a->gate, actor_next, a);
}

static const struct {
    const char *script;
    const char *after_run; /* handled by the first run */
    bool is_held;
    const char *after_continue; /* handled once the wait, if any, was continued */
} rows[] = {
    {"", "", false, ""},          {"abc", "abc", false, "abc"}, {"ahb", "ah", true, "ahb"},
    {"h", "h", true, "h"},        {"acb", "acb", false, "acb"}, {"ccc", "ccc", false, "ccc"},
    {"adb", "adb", false, "adb"}, {"arb", "arb", false, "arb"}, {"axb", "ax", false, "ax"},
    {"awb", "aw", false, "aw"},   {"akb", "ak", false, "ak"},   {"chb", "ch", true, "chb"},
    {"hxb", "h", true, "hx"},     {"hhb", "h", true, "hh"},     {"hcrxb", "h", true, "hcrx"},
};

START_TEST(packets_pass_in_order_and_only_when_they_may)
{
    struct actor a;
    actor_init(&a, rows[_i].script);
    gate_run(&a.gate);
    ck_assert_str_eq(a.trace, rows[_i].after_run);
    ck_assert_int_eq(gate_is_held(&a.gate), rows[_i].is_held);
    gate_run(&a.gate);
    ck_assert_str_eq(a.trace, rows[_i].after_run);

    struct gate_wait *wait = a.wait;
    a.wait = NULL;
    ck_assert_int_eq(gate_wait_is_alive(wait), rows[_i].is_held);
    gate_continue(wait);
    ck_assert_str_eq(a.trace, rows[_i].after_continue);
    ck_assert_int_le(a.deepest, 1);
    gate_close(&a.gate);
    gate_continue(a.wait);
}
END_TEST

START_TEST(a_wait_outlives_the_gate)
{
    struct actor *a = malloc(sizeof(*a));
    actor_init(a, "hab");
    gate_run(&a->gate);
    struct gate_wait *wait = a->wait;
    gate_close(&a->gate);
    free(a);
    ck_assert(!gate_wait_is_alive(wait));
    gate_continue(wait);
}
END_TEST

START_TEST(new_packets_stay_behind_the_held_one)
{
    struct actor a;
    actor_init(&a, "h");
    gate_run(&a.gate);
    a.script = "ab";
    gate_run(&a.gate);
    ck_assert_str_eq(a.trace, "h");
    gate_continue(a.wait);
    ck_assert_str_eq(a.trace, "hab");
    gate_close(&a.gate);
}
END_TEST

START_TEST(a_closed_gate_passes_nothing)
{
    struct actor a;
    actor_init(&a, "ab");
    gate_close(&a.gate);
    gate_run(&a.gate);
    ck_assert_str_eq(a.trace, "");
    ck_assert(!gate_is_held(&a.gate));
    gate_close(&a.gate);
}
END_TEST

/* The owner frees the gate's storage inside its own handler. */
static enum gate_answer next_that_frees(void *arg)
{
    struct actor *a = arg;
    const bool should_hold = *a->script == 'h';
    struct gate_wait *wait = should_hold ? gate_hold(&a->gate) : NULL;
    gate_close(&a->gate);
    memset(a, 0xee, sizeof(*a));
    free(a);
    gate_continue(wait);
    return GATE_CLOSED;
}

START_TEST(storage_may_go_inside_next)
{
    static const char *const scripts[] = {"a", "h"};
    struct actor *a = malloc(sizeof(*a));
    *a = (struct actor){.script = scripts[_i]};
    gate_init(&a->gate, next_that_frees, a);
    gate_run(&a->gate);
}
END_TEST

START_TEST(storage_may_go_while_continuing)
{
    struct actor *a = malloc(sizeof(*a));
    *a = (struct actor){.script = "a"};
    gate_init(&a->gate, next_that_frees, a);
    gate_continue(gate_hold(&a->gate));
}
END_TEST

START_TEST(a_gate_may_be_held_before_the_first_packet)
{
    struct actor a;
    actor_init(&a, "ab");
    struct gate_wait *wait = gate_hold(&a.gate);
    gate_run(&a.gate);
    ck_assert_str_eq(a.trace, "");
    gate_continue(wait);
    ck_assert_str_eq(a.trace, "ab");
    gate_close(&a.gate);
}
END_TEST

START_TEST(no_wait_is_no_wait)
{
    gate_continue(NULL);
    ck_assert(!gate_wait_is_alive(NULL));
}
END_TEST

static enum gate_answer next_says_closed(void *arg)
{
    ++*(int *)arg;
    return GATE_CLOSED;
}

/* An owner that closes in two steps answers CLOSED first and closes the gate later. */
START_TEST(the_answer_closed_ends_the_run_of_an_open_gate)
{
    struct gate gate;
    int calls = 0;
    gate_init(&gate, next_says_closed, &calls);
    gate_run(&gate);
    ck_assert_int_eq(calls, 1);
    gate_close(&gate);
    gate_run(&gate);
    ck_assert_int_eq(calls, 1);
}
END_TEST

static Suite *gate_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("gate", &tc);
    tcase_add_loop_test(tc, packets_pass_in_order_and_only_when_they_may, 0, TEST_COUNT(rows));
    tcase_add_test(tc, a_wait_outlives_the_gate);
    tcase_add_test(tc, new_packets_stay_behind_the_held_one);
    tcase_add_test(tc, a_closed_gate_passes_nothing);
    tcase_add_loop_test(tc, storage_may_go_inside_next, 0, 2);
    tcase_add_test(tc, storage_may_go_while_continuing);
    tcase_add_test(tc, a_gate_may_be_held_before_the_first_packet);
    tcase_add_test(tc, no_wait_is_no_wait);
    tcase_add_test(tc, the_answer_closed_ends_the_run_of_an_open_gate);
    return suite;
}

TEST_MAIN(gate_suite)
