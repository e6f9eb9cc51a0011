/* The event loop of one thread: turns, timers, work put off to the end of the turn, signals. libuv underneath.
 *
 * One turn = wait for events, handle them, run what loop_defer() collected, wait again. Objects that produce output put
 * themselves on the deferred list once per turn, so that what a turn produces leaves with one write.
 *
 * Everything here belongs to the loop's own thread, except mailbox_post() (mailbox.h). */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"

struct loop;
struct uv_loop_s;

/* Owned by the caller, freed with loop_free(). 0 or a negative errno. */
int loop_new(struct loop **ret_loop);
/* All timers stopped, all handles closed by their owners before; asserts that nothing is left open. NULL is fine. */
struct loop *loop_free(struct loop *loop);
/* Turns until loop_stop(), or until nothing is left that could happen. */
void loop_run(struct loop *loop);
/* One turn that does not wait; what it puts off is left for the next. For tests/support only. */
void loop_turn(struct loop *loop);
/* Returns from loop_run() after this turn. */
void loop_stop(struct loop *loop);
/* The loop that runs on this thread; NULL: none does. */
struct loop *loop_current(void);
/* Start of this turn, monotonic milliseconds. */
uint64_t loop_now_ms(const struct loop *loop);
/* For `net` and tests/support only: uv.h appears nowhere else. */
struct uv_loop_s *loop_uv(struct loop *loop);

/* --- Timers: small enough to sit in every client; a heap inside the loop drives one libuv timer. */
struct loop_timer;
typedef void loop_timer_fn(struct loop_timer *timer);
struct loop_timer {
    loop_timer_fn *fn;
    struct loop *loop;
    uint64_t due_ms;
    uint32_t heap_index; /* position + 1 in the loop's heap; 0 = not started */
};
void loop_timer_init(struct loop_timer *t, struct loop *loop, loop_timer_fn *fn);
/* (Re)start: FN runs once, DELAY_MS after the start of this turn. Out of memory is fatal (abort), as for every timer.
 */
void loop_timer_start(struct loop_timer *t, uint64_t delay_ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_is_started(const struct loop_timer *t);

/* --- Work at the end of the turn. Deferring what is already deferred does nothing. A task may defer itself or others:
 * they run in the same turn, behind all that was deferred before; after some rounds of this the next turn comes first,
 * and at once. */
struct loop_task;
typedef void loop_task_fn(struct loop_task *task);
struct loop_task {
    loop_task_fn *fn;
    struct list link; /* linked to itself = not deferred */
};
void loop_task_init(struct loop_task *t, loop_task_fn *fn);
void loop_defer(struct loop *loop, struct loop_task *t);
void loop_task_cancel(struct loop_task *t);

/* --- A descriptor that a library polls with (its epoll set): FN runs in each turn in which FD is readable. FD stays
 * the caller's. Owned by the caller, freed with loop_watch_free(), before FD is closed. */
struct loop_watch;
typedef void loop_watch_fn(void *arg);
int loop_watch_new(struct loop *loop, int fd, loop_watch_fn *fn, void *arg, struct loop_watch **ret_watch);
struct loop_watch *loop_watch_free(struct loop_watch *w);

/* --- Signals: FN runs on the loop, not in the signal handler. One handler per signal number and loop. */
typedef void loop_signal_fn(int signum, void *arg);
int loop_signal(struct loop *loop, int signum, loop_signal_fn *fn, void *arg);
/* Stops all of them, so that loop_run() can come to its end. */
void loop_signals_close(struct loop *loop);

#endif
