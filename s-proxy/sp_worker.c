/* A worker of s-proxy (sp_worker.h). */
#define LOG_MODULE LOG_S_PROXY
#include "sp_worker.h"
#include "rpc_cq.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "err.h"
#include "log.h"
#include "rpc_stream.h"
#include "sp_limits.h"
#include "sp_session.h"
#include "sp_trunk_gate.h"
#include "sproxy.h"

enum {
    SP_TICK_MS = 1000,
    SP_STALL_MS = 30000, /* so long may buffers stay full with nothing moving before the largest holder is shed */
    /* Sessions that connect to one broker at a time, of all workers together: mosquitto's listen queue holds 100. */
    SP_BROKER_TURNS = 96,
    SP_BROKER_TURNS_LEAST = 8,
};

#define METRICS_OWNER struct sp_metrics
static const struct metric_info sp_metric_infos[] = {SP_METRICS(METRIC_INFO)};

static void sp_worker_on_tick(struct loop_timer *timer)
{
    struct sp_worker *w = container_of(timer, struct sp_worker, tick);
    byte_budget_tick(&w->budget, loop_now_ms(w->loop));
    loop_timer_start(&w->tick, SP_TICK_MS);
}

static int sp_worker_add_metrics(struct sp_worker *w)
{
    struct metrics_registry *registry = sproxy_metrics(w->program);
    int r = metrics_add(registry, "sproxy", sp_metric_infos, sizeof sp_metric_infos / sizeof sp_metric_infos[0],
                        &w->metrics);
    if (r >= 0)
        r = trunk_metrics_add(&w->trunk_metrics, registry, "sproxy");
    if (r >= 0)
        r = tenant_metrics_add(&w->tenant_metrics, registry, "sproxy");
    return r;
}

static void sp_worker_remove_metrics(struct sp_worker *w)
{
    metrics_remove(sproxy_metrics(w->program), &w->metrics);
    metrics_remove(sproxy_metrics(w->program), &w->trunk_metrics);
    metrics_remove(sproxy_metrics(w->program), &w->tenant_metrics);
}

/* This worker's share of a short listen queue. */
static unsigned sp_worker_turns(unsigned n_workers)
{
    unsigned share = SP_BROKER_TURNS / n_workers;
    return share > SP_BROKER_TURNS_LEAST ? share : SP_BROKER_TURNS_LEAST;
}

static int sp_worker_init(struct worker *worker, void *arg)
{
    struct sproxy *program = arg;
    struct sp_worker *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(-ENOMEM, "worker: out of memory");
    w->program = program;
    w->loop = worker->loop;
    w->options = sproxy_options(program);
    list_init(&w->sessions);
    byte_budget_loop_init(&w->budget, sproxy_budget(program), &sp_session_budget_calls, SP_STALL_MS);
    list_init(&w->trunks);
    int r = sp_broker_pick_init(&w->brokers, (const char *const *)w->options->upstream.items,
                                (unsigned)w->options->upstream.count, sp_worker_turns(sproxy_workers(program)));
    if (r >= 0)
        r = sp_worker_add_metrics(w);
    if (r >= 0 && worker->index == 0)
        r = rpc_cq_poll(sproxy_cq(program), w->loop);
    if (r < 0) {
        sp_worker_remove_metrics(w);
        sp_broker_pick_deinit(&w->brokers);
        free(w);
        return r;
    }
    loop_timer_init(&w->tick, w->loop, sp_worker_on_tick);
    loop_timer_start(&w->tick, SP_TICK_MS);
    worker->object = w;
    return 0;
}

/* The program ends: whoever is still there hears it and is closed. */
static void sp_worker_deinit(struct worker *worker, void *arg)
{
    struct sp_worker *w = worker->object;
    w->is_idle_told = true;
    list_for_each_safe (it, tmp, &w->sessions)
        sp_session_kill(list_entry(it, struct sp_session, link));
    list_for_each_safe (it, tmp, &w->trunks)
        sp_trunk_kill(list_entry(it, struct sp_trunk, link));
    loop_timer_stop(&w->tick);
    if (worker->index == 0)
        rpc_cq_leave(sproxy_cq(w->program));
    sp_worker_remove_metrics(w);
    sp_broker_pick_deinit(&w->brokers);
    free(w);
}

const struct worker_calls sp_worker_calls = {.init = sp_worker_init, .deinit = sp_worker_deinit};

struct sp_worker *sp_worker_of_stream(struct worker_pool *pool, const struct rpc_stream *stream)
{
    for (unsigned i = 0; i < worker_pool_size(pool); i++) {
        const struct worker *w = worker_pool_get(pool, i);
        if (w->mailbox == rpc_stream_mailbox(stream))
            return w->object;
    }
    abort(); /* pick() knows no other mailboxes */
}

uint64_t sp_worker_next_number(struct sp_worker *w)
{
    return sproxy_next_number(w->program);
}

void sp_worker_check_idle(struct sp_worker *w)
{
    if (!w->is_draining || w->is_idle_told || !list_is_empty(&w->sessions) || !list_is_empty(&w->trunks))
        return;
    w->is_idle_told = true;
    sproxy_worker_is_idle(w->program);
}

int sp_worker_session_came(struct sp_worker *w)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    const struct sp_limits *limits = sproxy_limits(w->program);
    if (!sp_limit_take(&sproxy_limits(w->program)->sessions)) {
        metric_add(&w->metrics.sessions_over_limit, 1);
        log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "a session is refused: max-sessions allows %" PRIu64,
                         limits->sessions.max);
        return err_set(-ENOSPC, "as many sessions as max-sessions of the s-proxy allows");
    }
    metric_add(&w->metrics.sessions_opened, 1);
    metric_add(&w->metrics.sessions_open, 1);
    return 0;
}

void sp_worker_session_gone(struct sp_worker *w)
{
    metric_add(&w->metrics.sessions_open, -1);
    sp_limit_give(&sproxy_limits(w->program)->sessions);
    sp_worker_check_idle(w);
}

void sp_worker_drain(struct worker *worker, void *arg)
{
    struct sp_worker *w = worker->object;
    w->is_draining = true;
    list_for_each_safe (it, tmp, &w->trunks)
        sp_trunk_drain(list_entry(it, struct sp_trunk, link));
    list_for_each_safe (it, tmp, &w->sessions)
        sp_session_drain(list_entry(it, struct sp_session, link));
    sp_worker_check_idle(w);
}
