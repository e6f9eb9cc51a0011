/* The event loop: libuv's, with three handles of our own in it.
 *
 *     uv timers --> loop_fire_timers (our heap behind one uv_timer)    poll --> conns, mailboxes, signals
 *                                    \                                   /
 *     uv prepare --> loop_run_deferred: what the turn has put off, last thing before poll waits again
 *
 * While something is deferred a uv_idle is active: it keeps the loop alive and the next poll from waiting. */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "err.h"
#include "timer_heap.h"

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_timer_t alarm;
    struct timer_heap timers;
    uint64_t alarm_ms; /* when the alarm is set to; UINT64_MAX = not at all */
    struct list deferred;
    struct list signals; /* of struct loop_signal_handle */
    bool is_running;
    bool is_firing; /* inside loop_fire_timers() */
};

struct loop_signal_handle {
    uv_signal_t uv;
    struct list link;
    loop_signal_fn *fn;
    void *arg;
};

static _Thread_local struct loop *current;

/* --- Deferred work */

void loop_task_init(struct loop_task *t, loop_task_fn *fn)
{
    t->fn = fn;
    list_init(&t->link);
}

/* The handle itself is what counts. */
static void loop_on_idle(uv_idle_t *idle)
{
}

void loop_defer(struct loop *loop, struct loop_task *t)
{
    if (list_is_linked(&t->link))
        return;
    if (list_is_empty(&loop->deferred))
        uv_idle_start(&loop->idle, loop_on_idle);
    list_add_tail(&loop->deferred, &t->link);
}

/* The idle handle stays as it is when this was the last task: one turn too many at most, and no loop is needed here. */
void loop_task_cancel(struct loop_task *t)
{
    list_del(&t->link);
}

/* What a mail says to a session and what the session then says to its socket are of one turn, so there is no system
 * call between them. A task which always has more to do starves nobody: the rest is for the next turn. */
enum { LOOP_ROUNDS = 4 };

static void loop_run_round(struct loop *loop)
{
    struct list batch;
    list_init(&batch);
    list_splice_tail(&batch, &loop->deferred);
    struct list *first;
    while ((first = list_first(&batch)) != NULL) {
        struct loop_task *t = list_entry(first, struct loop_task, link);
        list_del(first);
        t->fn(t); /* T may be gone from here on */
    }
}

static void loop_run_deferred(struct loop *loop)
{
    for (int i = 0; i < LOOP_ROUNDS && !list_is_empty(&loop->deferred); i++)
        loop_run_round(loop);
    if (list_is_empty(&loop->deferred))
        uv_idle_stop(&loop->idle);
}

static void loop_on_prepare(uv_prepare_t *prepare)
{
    loop_run_deferred(prepare->data);
}

/* --- Timers */

static void loop_on_alarm(uv_timer_t *alarm);

/* A wake-up that turns out too early (its timer was stopped or moved) costs less than setting the alarm every time. */
static void loop_set_alarm(struct loop *loop)
{
    const struct loop_timer *first = timer_heap_first(&loop->timers);
    if (!first) {
        uv_timer_stop(&loop->alarm);
        loop->alarm_ms = UINT64_MAX;
    } else if (first->due_ms < loop->alarm_ms) {
        uint64_t now_ms = uv_now(&loop->uv);
        loop->alarm_ms = first->due_ms;
        uv_timer_start(&loop->alarm, loop_on_alarm, first->due_ms > now_ms ? first->due_ms - now_ms : 0, 0);
    }
}

static void loop_fire_timers(struct loop *loop)
{
    uint64_t now_ms = uv_now(&loop->uv);
    struct loop_timer *t;
    loop->is_firing = true;
    while ((t = timer_heap_first(&loop->timers)) != NULL && t->due_ms <= now_ms) {
        timer_heap_remove(&loop->timers, t);
        t->fn(t); /* T may be gone from here on */
    }
    loop->is_firing = false;
}

static void loop_on_alarm(uv_timer_t *alarm)
{
    struct loop *loop = alarm->data;
    loop_fire_timers(loop);
    loop->alarm_ms = UINT64_MAX;
    loop_set_alarm(loop);
}

void loop_timer_init(struct loop_timer *t, struct loop *loop, loop_timer_fn *fn)
{
    *t = (struct loop_timer){.fn = fn, .loop = loop};
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ms)
{
    struct loop *loop = t->loop;
    if (!loop->is_running)
        uv_update_time(&loop->uv);
    /* A timer that starts itself anew with no delay must not keep loop_fire_timers() for ever. */
    if (delay_ms == 0 && loop->is_firing)
        delay_ms = 1;
    uint64_t now_ms = uv_now(&loop->uv);
    t->due_ms = delay_ms < UINT64_MAX - now_ms ? now_ms + delay_ms : UINT64_MAX - 1;
    if (t->heap_index != 0)
        timer_heap_moved(&loop->timers, t);
    else
        timer_heap_add(&loop->timers, t);
    if (!loop->is_firing)
        loop_set_alarm(loop);
}

void loop_timer_stop(struct loop_timer *t)
{
    if (t->heap_index == 0)
        return;
    timer_heap_remove(&t->loop->timers, t);
    if (t->loop->timers.count == 0 && !t->loop->is_firing)
        loop_set_alarm(t->loop);
}

bool loop_timer_is_started(const struct loop_timer *t)
{
    return t->heap_index != 0;
}

/* --- Descriptors of others */

struct loop_watch {
    uv_poll_t uv;
    loop_watch_fn *fn;
    void *arg;
};

static void loop_on_readable(uv_poll_t *uv, int status, int events)
{
    struct loop_watch *w = uv->data;
    w->fn(w->arg);
}

static void loop_on_watch_closed(uv_handle_t *uv)
{
    free(uv->data);
}

int loop_watch_new(struct loop *loop, int fd, loop_watch_fn *fn, void *arg, struct loop_watch **ret_watch)
{
    struct loop_watch *w = malloc(sizeof(*w));
    if (!w)
        return err_errno(-ENOMEM, "watch descriptor %d", fd);
    int r = uv_poll_init(&loop->uv, &w->uv, fd);
    if (r < 0) {
        free(w);
        return err_errno(r, "watch descriptor %d", fd);
    }
    w->fn = fn;
    w->arg = arg;
    w->uv.data = w;
    r = uv_poll_start(&w->uv, UV_READABLE, loop_on_readable);
    if (r < 0) {
        loop_watch_free(w);
        return err_errno(r, "watch descriptor %d", fd);
    }
    uv_unref((uv_handle_t *)&w->uv);
    *ret_watch = w;
    return 0;
}

struct loop_watch *loop_watch_free(struct loop_watch *w)
{
    if (w)
        uv_close((uv_handle_t *)&w->uv, loop_on_watch_closed);
    return NULL;
}

/* --- Signals */

static void loop_on_signal(uv_signal_t *uv, int signum)
{
    struct loop_signal_handle *s = uv->data;
    s->fn(signum, s->arg);
}

static void loop_on_signal_closed(uv_handle_t *uv)
{
    free(uv->data);
}

static struct loop_signal_handle *loop_find_signal(struct loop *loop, int signum)
{
    list_for_each (it, &loop->signals) {
        struct loop_signal_handle *s = list_entry(it, struct loop_signal_handle, link);
        if (s->uv.signum == signum)
            return s;
    }
    return NULL;
}

static void loop_signal_close(struct loop_signal_handle *s)
{
    list_del(&s->link);
    uv_close((uv_handle_t *)&s->uv, loop_on_signal_closed);
}

int loop_signal(struct loop *loop, int signum, loop_signal_fn *fn, void *arg)
{
    struct loop_signal_handle *s = loop_find_signal(loop, signum);
    if (s) {
        s->fn = fn;
        s->arg = arg;
        return 0;
    }
    s = malloc(sizeof(*s));
    if (!s)
        return err_errno(-ENOMEM, "signal %d", signum);
    int r = uv_signal_init(&loop->uv, &s->uv);
    if (r < 0) {
        free(s);
        return err_errno(r, "signal %d", signum);
    }
    s->fn = fn;
    s->arg = arg;
    s->uv.data = s;
    list_add_tail(&loop->signals, &s->link);
    r = uv_signal_start(&s->uv, loop_on_signal, signum);
    if (r < 0) {
        loop_signal_close(s);
        return err_errno(r, "signal %d", signum);
    }
    return 0;
}

void loop_signals_close(struct loop *loop)
{
    list_for_each_safe (it, tmp, &loop->signals)
        loop_signal_close(list_entry(it, struct loop_signal_handle, link));
}

/* --- The loop */

int loop_new(struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return err_errno(-ENOMEM, "event loop");
    int r = uv_loop_init(&loop->uv);
    if (r < 0) {
        free(loop);
        return err_errno(r, "event loop");
    }
    list_init(&loop->deferred);
    list_init(&loop->signals);
    loop->alarm_ms = UINT64_MAX;
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_idle_init(&loop->uv, &loop->idle);
    uv_timer_init(&loop->uv, &loop->alarm);
    loop->prepare.data = loop->idle.data = loop->alarm.data = loop;
    uv_prepare_start(&loop->prepare, loop_on_prepare);
    uv_unref((uv_handle_t *)&loop->prepare);
    *ret_loop = loop;
    return 0;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    assert(!loop->is_running && list_is_empty(&loop->deferred) && list_is_empty(&loop->signals));
    timer_heap_deinit(&loop->timers);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    /* A turn that does not wait: the memory of everything closed is freed at its end. Twice, because a loop_stop() that
     * came after loop_run() uses up the first. */
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    if (uv_loop_close(&loop->uv) != 0)
        abort(); /* somebody has left a handle open: going on would free memory that the kernel still points to */
    free(loop);
    return NULL;
}

void loop_run(struct loop *loop)
{
    assert(!loop->is_running);
    struct loop *outer = current;
    current = loop;
    loop->is_running = true;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    /* Stopped in the middle of a turn: what it has put off still belongs to it. */
    loop_run_deferred(loop);
    loop->is_running = false;
    current = outer;
}

void loop_turn(struct loop *loop)
{
    struct loop *outer = current;
    current = loop;
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    current = outer;
}

struct loop *loop_current(void)
{
    return current;
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}
