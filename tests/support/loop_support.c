/* See loop_support.h. */
#include "loop_support.h"

#include <check.h>
#include <uv.h>

#include "loop.h"

enum { LOOP_SUPPORT_LIMIT_MS = 20000 };

/* A prepare handle of ours runs before the loop's own, which runs deferred work in rounds; so the question is asked in
 * a task, which comes last in each of them. */
enum { ROUNDS_OF_A_TURN = 4 };

struct watch {
    uv_prepare_t prepare;
    uv_timer_t limit;
    struct loop_task task;
    struct loop *loop;
    loop_support_fn *fn;
    void *arg;
    int n_turns;
    int n_rounds; /* of this turn */
};

static void watch_on_limit(uv_timer_t *timer)
{
    ck_abort_msg("what the test waits for has not happened in %d ms", LOOP_SUPPORT_LIMIT_MS);
}

static void watch_on_task(struct loop_task *task)
{
    struct watch *w = container_of(task, struct watch, task);
    if (w->fn(w->arg))
        loop_stop(w->loop);
    else if (++w->n_rounds < ROUNDS_OF_A_TURN)
        loop_defer(w->loop, task);
}

static void watch_on_prepare(uv_prepare_t *prepare)
{
    struct watch *w = prepare->data;
    w->n_turns++;
    w->n_rounds = 0;
    if (w->fn)
        loop_defer(w->loop, &w->task);
}

static void watch_run(struct watch *w, struct loop *loop)
{
    w->loop = loop;
    loop_task_init(&w->task, watch_on_task);
    uv_prepare_init(loop_uv(loop), &w->prepare);
    uv_timer_init(loop_uv(loop), &w->limit);
    w->prepare.data = w;
    uv_prepare_start(&w->prepare, watch_on_prepare);
    uv_timer_start(&w->limit, watch_on_limit, LOOP_SUPPORT_LIMIT_MS, 0);
    if (!w->fn) { /* does not keep the loop */
        uv_unref((uv_handle_t *)&w->prepare);
        uv_unref((uv_handle_t *)&w->limit);
    }
    loop_run(loop);
    loop_task_cancel(&w->task);
    uv_close((uv_handle_t *)&w->prepare, NULL);
    uv_close((uv_handle_t *)&w->limit, NULL);
    loop_turn(loop); /* lets go of both */
}

void loop_support_until(struct loop *loop, loop_support_fn *fn, void *arg)
{
    struct watch w = {.fn = fn, .arg = arg};
    watch_run(&w, loop);
}

void loop_support_turns(struct loop *loop, int n)
{
    while (n-- > 0)
        loop_turn(loop);
}

void loop_support_to_end(struct loop *loop)
{
    struct watch w = {.fn = NULL};
    watch_run(&w, loop);
}

static void on_time(struct loop_timer *timer)
{
    loop_stop(timer->loop);
}

int loop_support_count_turns(struct loop *loop, unsigned ms)
{
    struct watch w = {.fn = NULL};
    struct loop_timer timer;
    loop_timer_init(&timer, loop, on_time);
    loop_timer_start(&timer, ms);
    watch_run(&w, loop);
    return w.n_turns;
}
