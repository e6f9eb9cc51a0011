/* See rpc_poll.h. */
#include "rpc_poll.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "list.h"
#include "loop.h"
#include "mailbox.h"
#include "rpc_op.h"

enum {
    COMPLETIONS_PER_TURN = 256, /* the loop's sockets want to be served too */
    TICK_MS = 10,
    TICK_FULL_MS = 1,         /* while libgrpc's own poller may be about */
    TICK_QUIET_MS = 100,      /* nothing has been completed for QUIET_TICKS */
    TICKS_AFTER_FULL = 11000, /* its poller stays for 10 s */
    QUIET_TICKS = 100,
};

struct rpc_poll {
    pthread_t thread;
    struct loop *loop;
    grpc_completion_queue *queue;
    struct loop_watch *watch;
    struct loop_task turn;
    struct loop_timer tick;
    unsigned full_ticks;  /* to come */
    unsigned quiet_ticks; /* in a row */
    bool is_busy;         /* something was completed since the last tick */
    unsigned sends;       /* in flight */
    bool is_touched;      /* something may be completed, or wait in the epoll set */
    bool is_turn_late;

    struct mail poke;
    struct {
        pthread_mutex_t mutex;
        struct mailbox *mailbox; /* NULL: it has stopped */
        bool is_poked;
    } shared;
};

static struct rpc_poll the_poll = {.shared.mutex = PTHREAD_MUTEX_INITIALIZER};
static _Atomic(struct rpc_poll *) polling; /* &the_poll while a loop polls */

/* --- libgrpc's epoll set */

static int epoll_fd = -1;
static bool is_epoll_fd_new;

/* The second such line is about another set. None comes when libgrpc has not been shut down since the last time. */
static void look_for_epoll_fd(gpr_log_func_args *line)
{
    int fd;
    if (is_epoll_fd_new || sscanf(line->message, "grpc epoll fd: %d", &fd) != 1)
        return;
    epoll_fd = fd;
    is_epoll_fd_new = true;
}

/* What libgrpc would have made of GRPC_VERBOSITY. */
static gpr_log_severity grpc_verbosity(void)
{
    const char *text = getenv("GRPC_VERBOSITY");
    if (text && strcasecmp(text, "debug") == 0)
        return GPR_LOG_SEVERITY_DEBUG;
    if (text && strcasecmp(text, "info") == 0)
        return GPR_LOG_SEVERITY_INFO;
    return GPR_LOG_SEVERITY_ERROR;
}

void rpc_poll_init_grpc(gpr_log_func log)
{
    /* One more poller that would take events away from the loop. */
    setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "0", 1);
    is_epoll_fd_new = false;
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_INFO);
    gpr_set_log_function(look_for_epoll_fd);
    grpc_init();
    gpr_set_log_function(log);
    gpr_set_log_verbosity(grpc_verbosity());
}

/* --- Polling */

/* False: nothing has been completed. Then libgrpc has looked at its epoll set, and seen to one event if there was one;
 * it fetches many at once, and those that it has fetched no longer show outside. */
static bool rpc_poll_one(struct rpc_poll *p)
{
    grpc_event event = grpc_completion_queue_next(p->queue, gpr_time_0(GPR_CLOCK_MONOTONIC), NULL);
    if (event.type != GRPC_OP_COMPLETE)
        return false;
    p->is_busy = true;
    rpc_op_complete(event.tag, event.success != 0);
    return true;
}

static bool wants_turn(const struct rpc_poll *p)
{
    return p->is_touched || p->sends > 0;
}

/* A send that has been completed at once is fetched without a look at the epoll set. */
static void rpc_poll_turn(struct rpc_poll *p)
{
    for (int n = 0; n < COMPLETIONS_PER_TURN && wants_turn(p); n++) {
        if (rpc_poll_one(p))
            continue;
        p->is_touched = false;
        return; /* the sends that are left wait for the peer */
    }
    if (wants_turn(p))
        loop_defer(p->loop, &p->turn);
}

/* What has come is passed on before libgrpc is asked for more: that comes behind what the first completion defers. */
static void on_readable(void *arg)
{
    struct rpc_poll *p = arg;
    rpc_poll_one(p);
    p->is_touched = p->is_turn_late = true;
    loop_defer(p->loop, &p->turn);
}

static void on_turn(struct loop_task *task)
{
    struct rpc_poll *p = container_of(task, struct rpc_poll, turn);
    if (p->is_turn_late) {
        p->is_turn_late = false;
        loop_defer(p->loop, &p->turn);
        return;
    }
    rpc_poll_turn(p);
}

static unsigned next_tick_ms(struct rpc_poll *p)
{
    if (p->sends > 0)
        p->full_ticks = TICKS_AFTER_FULL;
    p->quiet_ticks = p->is_busy ? 0 : p->quiet_ticks + 1;
    p->is_busy = false;
    if (p->full_ticks > 0) {
        p->full_ticks--;
        return TICK_FULL_MS;
    }
    return p->quiet_ticks > QUIET_TICKS ? TICK_QUIET_MS : TICK_MS;
}

static void on_tick(struct loop_timer *timer)
{
    struct rpc_poll *p = container_of(timer, struct rpc_poll, tick);
    p->is_touched = true;
    rpc_poll_turn(p);
    loop_timer_start(timer, next_tick_ms(p));
}

/* --- Other threads */

static void on_poke(struct mail *mail)
{
    struct rpc_poll *p = container_of(mail, struct rpc_poll, poke);
    pthread_mutex_lock(&p->shared.mutex);
    p->shared.is_poked = false;
    pthread_mutex_unlock(&p->shared.mutex);
    p->is_touched = true;
    rpc_poll_turn(p);
}

static void rpc_poll_poke(struct rpc_poll *p)
{
    pthread_mutex_lock(&p->shared.mutex);
    if (p->shared.mailbox && !p->shared.is_poked) {
        p->shared.is_poked = true;
        mailbox_post(p->shared.mailbox, &p->poke);
    }
    pthread_mutex_unlock(&p->shared.mutex);
}

static bool is_here(const struct rpc_poll *p)
{
    return pthread_equal(p->thread, pthread_self());
}

bool rpc_poll_is_started(void)
{
    return polling != NULL;
}

struct loop *rpc_poll_here(void)
{
    const struct rpc_poll *p = polling;
    return p && is_here(p) ? p->loop : NULL;
}

void rpc_poll_send_begins(void)
{
    struct rpc_poll *p = polling;
    if (!p || !is_here(p))
        return;
    p->sends++;
    loop_defer(p->loop, &p->turn);
}

void rpc_poll_send_ends(void)
{
    struct rpc_poll *p = polling;
    if (p && is_here(p) && p->sends > 0) /* 0: it began before this loop polled */
        p->sends--;
}

bool rpc_poll_post(struct mail *mail)
{
    struct rpc_poll *p = polling;
    if (!p || is_here(p))
        return false;
    pthread_mutex_lock(&p->shared.mutex);
    bool is_polling = p->shared.mailbox != NULL;
    if (is_polling)
        mailbox_post(p->shared.mailbox, mail);
    pthread_mutex_unlock(&p->shared.mutex);
    return is_polling;
}

void rpc_poll_touch(void)
{
    struct rpc_poll *p = polling;
    if (!p)
        return;
    if (!is_here(p)) {
        rpc_poll_poke(p);
        return;
    }
    p->is_touched = true;
    loop_defer(p->loop, &p->turn);
}

/* --- Life */

int rpc_poll_start(struct loop *loop, grpc_completion_queue *queue)
{
    struct rpc_poll *p = &the_poll;
    assert(!polling);
    if (epoll_fd < 0)
        return err_set(-ENOTSUP, "libgrpc has not told its epoll descriptor");
    int r = loop_watch_new(loop, epoll_fd, on_readable, p, &p->watch);
    if (r < 0)
        return r;
    r = mailbox_new(loop, &p->shared.mailbox);
    if (r < 0) {
        p->watch = loop_watch_free(p->watch);
        return r;
    }
    p->thread = pthread_self();
    p->loop = loop;
    p->queue = queue;
    p->poke.fn = on_poke;
    p->full_ticks = p->quiet_ticks = 0;
    p->sends = 0;
    p->is_touched = p->is_turn_late = false;
    loop_task_init(&p->turn, on_turn);
    loop_timer_init(&p->tick, loop, on_tick);
    loop_timer_start(&p->tick, TICK_MS);
    polling = p;
    return 0;
}

void rpc_poll_stop(void)
{
    struct rpc_poll *p = polling;
    if (!p)
        return;
    assert(is_here(p));
    pthread_mutex_lock(&p->shared.mutex);
    struct mailbox *mailbox = p->shared.mailbox;
    p->shared.mailbox = NULL;
    pthread_mutex_unlock(&p->shared.mutex);
    mailbox_free(mailbox); /* runs what it still has: before anything else ends */
    polling = NULL;
    loop_timer_stop(&p->tick);
    loop_task_cancel(&p->turn);
    p->watch = loop_watch_free(p->watch);
}
