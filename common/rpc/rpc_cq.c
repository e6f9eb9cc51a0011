/* See rpc_cq.h. */
#include "rpc_cq.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <grpc/support/log.h>

#define LOG_MODULE LOG_RPC
#include "err.h"
#include "log.h"
#include "rpc_op.h"
#include "rpc_poll.h"
#include "thread.h"

struct rpc_cq {
    grpc_completion_queue *queue;
    pthread_t thread;
    bool has_thread;
};

/* libgrpc reads into chunks of 8 and 64 KiB that come and go: by its defaults glibc gives the memory back and faults it
 * in again all the time, which costs the receiver a third of its CPU. Large blocks (big packets) still go back at once.
 */
static void tune_malloc(void)
{
    mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
    mallopt(M_TOP_PAD, 1024 * 1024);
}

/* Where errors of this thread go instead of the log; see rpc_cq_capture_errors(). */
static _Thread_local char *capture;
static _Thread_local size_t capture_size;

void rpc_cq_capture_errors(char *text, size_t size)
{
    capture = text;
    capture_size = size;
    if (text)
        text[0] = '\0';
}

/* Any thread of libgrpc. Its errors are mostly the peer's doing, so for us they are warnings at most. */
static void log_line_of_grpc(gpr_log_func_args *line)
{
    static const enum log_level levels[] = {
        [GPR_LOG_SEVERITY_DEBUG] = LOG_LEVEL_TRACE,
        [GPR_LOG_SEVERITY_INFO] = LOG_LEVEL_DEBUG,
        [GPR_LOG_SEVERITY_ERROR] = LOG_LEVEL_WARN,
    };
    static struct log_limit limit = LOG_LIMIT(20, 10000);
    if (capture && line->severity == GPR_LOG_SEVERITY_ERROR) {
        snprintf(capture, capture_size, "%s", line->message);
        return;
    }
    const char *file = strrchr(line->file, '/');
    log_rate_limited(&limit, levels[line->severity], NULL, "%s:%d: %s", file ? file + 1 : line->file, line->line,
                     line->message);
}

/* Signals are for the loops: all threads that libgrpc and we make leave them alone. */
static void block_signals(sigset_t *ret_before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

/* --- Polling */

/* False: the queue is shut down, and nothing comes any more. */
static bool poll_until(struct rpc_cq *cq, gpr_timespec deadline)
{
    grpc_event event = grpc_completion_queue_next(cq->queue, deadline, NULL);
    if (event.type == GRPC_OP_COMPLETE)
        rpc_op_complete(event.tag, event.success != 0);
    return event.type != GRPC_QUEUE_SHUTDOWN;
}

static void *run(void *arg)
{
    while (poll_until(arg, gpr_inf_future(GPR_CLOCK_MONOTONIC)))
        ;
    return NULL;
}

static int start_thread(struct rpc_cq *cq)
{
    int r = thread_start("rpc_cq", run, cq, &cq->thread);
    cq->has_thread = r == 0;
    return r;
}

int rpc_cq_poll(struct rpc_cq *cq, struct loop *loop)
{
    assert(!cq->has_thread);
    if (loop && rpc_poll_start(loop, cq->queue) == 0)
        return 0;
    if (loop)
        log_debug(NULL, "a thread polls for libgrpc: %s", err_text());
    return start_thread(cq);
}

void rpc_cq_leave(struct rpc_cq *cq)
{
    rpc_poll_stop();
}

bool rpc_cq_help(struct rpc_cq *cq)
{
    static const unsigned step_ms = 10;
    if (cq->has_thread || (rpc_poll_is_started() && !rpc_poll_here()))
        return false;
    poll_until(cq, gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(step_ms, GPR_TIMESPAN)));
    return true;
}

/* --- Life */

int rpc_cq_start(struct rpc_cq **ret_cq)
{
    struct rpc_cq *cq = calloc(1, sizeof(*cq));
    if (!cq)
        return err_errno(-ENOMEM, "completion queue");
    tune_malloc();
    sigset_t before;
    block_signals(&before);
    rpc_poll_init_grpc(log_line_of_grpc);
    cq->queue = grpc_completion_queue_create_for_next(NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *ret_cq = cq;
    return 0;
}

/* grpc_shutdown() takes 10 s now and then: a write that met a full socket a while ago has left a "backup poller" in an
 * executor of libgrpc 1.51 (tcp_posix.cc, run_poller), whose last poll nothing wakes. By then it has nothing to do for
 * anybody, so nobody waits for it: the thread below ends when it ends, with the process at the latest. */
enum { SHUTDOWN_WAIT_MS = 300 };

struct shutdown {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_done;
    bool is_abandoned; /* the thread frees this */
};

static void shutdown_free(struct shutdown *sd)
{
    pthread_cond_destroy(&sd->changed);
    pthread_mutex_destroy(&sd->mutex);
    free(sd);
}

static void *run_shutdown(void *arg)
{
    struct shutdown *sd = arg;
    grpc_shutdown();
    pthread_mutex_lock(&sd->mutex);
    sd->is_done = true;
    bool is_mine = sd->is_abandoned;
    pthread_cond_signal(&sd->changed);
    pthread_mutex_unlock(&sd->mutex);
    if (is_mine)
        shutdown_free(sd);
    return NULL;
}

static struct timespec time_in_ms(unsigned ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

static void shut_down_grpc(void)
{
    struct shutdown *sd = calloc(1, sizeof(*sd));
    pthread_t thread;
    if (!sd)
        return; /* the process ends without tidiness */
    pthread_mutex_init(&sd->mutex, NULL);
    pthread_cond_init(&sd->changed, NULL);
    if (pthread_create(&thread, NULL, run_shutdown, sd) != 0) {
        shutdown_free(sd);
        return;
    }
    struct timespec deadline = time_in_ms(SHUTDOWN_WAIT_MS);
    pthread_mutex_lock(&sd->mutex);
    while (!sd->is_done && pthread_cond_timedwait(&sd->changed, &sd->mutex, &deadline) == 0)
        ;
    bool is_done = sd->is_done;
    sd->is_abandoned = !is_done;
    pthread_mutex_unlock(&sd->mutex);
    if (!is_done) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    shutdown_free(sd);
}

struct rpc_cq *rpc_cq_stop(struct rpc_cq *cq)
{
    if (!cq)
        return NULL;
    assert(!rpc_poll_is_started());
    /* This ends when every tag has come back: those of streams that were freed are on their way. */
    grpc_completion_queue_shutdown(cq->queue);
    if (cq->has_thread)
        pthread_join(cq->thread, NULL);
    else
        run(cq);
    grpc_completion_queue_destroy(cq->queue);
    shut_down_grpc();
    free(cq);
    return NULL;
}

grpc_completion_queue *rpc_cq_queue(const struct rpc_cq *cq)
{
    return cq->queue;
}
