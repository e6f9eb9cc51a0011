/* A worker of r-proxy (rp_worker.h). */
#define LOG_MODULE LOG_R_PROXY
#include "rp_worker.h"

#include <errno.h>
#include <stdlib.h>

#include "conn.h"
#include "err.h"
#include "log.h"
#include "mailbox.h"
#include "rp_client.h"
#include "rp_session.h"
#include "rp_trunk_set.h"
#include "rpc_cq.h"
#include "rproxy.h"

enum {
    RP_TICK_MS = 1000,
    RP_STALL_MS = 30000, /* so long may buffers stay full with nothing moving before the largest holder is shed */
};

#define METRICS_OWNER struct rp_metrics
static const struct metric_info rp_metric_infos[] = {RP_METRICS(METRIC_INFO)};

static void rp_worker_on_tick(struct loop_timer *timer)
{
    struct rp_worker *w = container_of(timer, struct rp_worker, tick);
    byte_budget_tick(&w->budget, loop_now_ms(w->loop));
    loop_timer_start(&w->tick, RP_TICK_MS);
}

static int rp_worker_add_metrics(struct rp_worker *w)
{
    struct metrics_registry *registry = rproxy_metrics(w->program);
    int r = metrics_add(registry, "rproxy", rp_metric_infos, sizeof rp_metric_infos / sizeof rp_metric_infos[0],
                        &w->metrics);
    if (r >= 0)
        r = front_metrics_add(&w->front_metrics, registry, "rproxy");
    if (r >= 0)
        r = trunk_metrics_add(&w->trunk_metrics, registry, "rproxy");
    if (r >= 0)
        r = tenant_metrics_add(&w->tenant_metrics, registry, "rproxy");
    return r;
}

static void rp_worker_remove_metrics(struct rp_worker *w)
{
    metrics_remove(rproxy_metrics(w->program), &w->metrics);
    metrics_remove(rproxy_metrics(w->program), &w->front_metrics);
    metrics_remove(rproxy_metrics(w->program), &w->trunk_metrics);
    metrics_remove(rproxy_metrics(w->program), &w->tenant_metrics);
}

static int rp_worker_open_trunks(struct rp_worker *w)
{
    const struct rp_trunk_set_params params = {
        .env =
            {
                .cq = rproxy_cq(w->program),
                .loop = w->loop,
                .mailbox = w->mailbox,
                .options = rproxy_trunk_options(w->program),
                .metrics = &w->trunk_metrics,
                .tls = rproxy_tls(w->program),
                .tokens = rproxy_tokens(w->program),
                .server_name = w->options->trunk_tls_server_name,
                .http_proxy = w->options->trunk_http_proxy,
                .service = w->options->trunk.service,
            },
        .targets = &w->options->s_proxy,
        .metrics = &w->metrics,
    };
    return rp_trunk_set_new(&params, &w->trunks);
}

static int rp_worker_init(struct worker *worker, void *arg)
{
    struct rproxy *program = arg;
    struct rp_worker *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(-ENOMEM, "worker: out of memory");
    w->program = program;
    w->worker = worker;
    w->loop = worker->loop;
    w->mailbox = worker->mailbox;
    w->options = rproxy_options(program);
    list_init(&w->clients);
    list_init(&w->sessions);
    byte_budget_loop_init(&w->budget, rproxy_budget(program), &rp_client_budget_calls, RP_STALL_MS);
    int r = rp_worker_add_metrics(w);
    if (r >= 0 && worker->index == 0)
        r = rpc_cq_poll(rproxy_cq(program), w->loop);
    if (r >= 0)
        r = rp_worker_open_trunks(w);
    if (r < 0) {
        rp_worker_remove_metrics(w);
        free(w);
        return r;
    }
    loop_timer_init(&w->tick, w->loop, rp_worker_on_tick);
    loop_timer_start(&w->tick, RP_TICK_MS);
    worker->object = w;
    return 0;
}

/* The program ends: whoever is still there hears it and is closed. */
static void rp_worker_deinit(struct worker *worker, void *arg)
{
    struct rp_worker *w = worker->object;
    w->is_idle_told = true;
    list_for_each_safe (it, tmp, &w->clients)
        rp_client_close(list_entry(it, struct rp_client, link), MQTT_REASON_SERVER_SHUTTING_DOWN,
                        "r-proxy has stopped");
    list_for_each_safe (it, tmp, &w->sessions)
        rp_session_kill(list_entry(it, struct rp_session, link));
    loop_timer_stop(&w->tick);
    w->trunks = rp_trunk_set_free(w->trunks);
    if (worker->index == 0)
        rpc_cq_leave(rproxy_cq(w->program));
    rp_worker_remove_metrics(w);
    free(w);
}

const struct worker_calls rp_worker_calls = {.init = rp_worker_init, .deinit = rp_worker_deinit};

static void rp_worker_take(struct worker *worker, void *arg)
{
    struct rp_worker *w = worker->object;
    struct rp_arrival *a = arg;
    metric_add(&w->metrics.connections_accepted, 1);
    metric_add(&w->metrics.connections_open, 1);
    rp_client_new(w, a);
    free(a);
}

void rp_worker_give(struct rp_worker *w, struct rp_arrival *arrival)
{
    struct rp_arrival *a = malloc(sizeof *a);
    if (!a) {
        conn_parcel_close(&arrival->parcel);
        front_ticket_return(&arrival->ticket);
        return;
    }
    *a = *arrival;
    atomic_fetch_add_explicit(&w->load, 1, memory_order_relaxed);
    worker_post(w->worker, rp_worker_take, a);
}

uint64_t rp_worker_next_number(struct rp_worker *w)
{
    return rproxy_next_number(w->program);
}

void rp_worker_client_gone(struct rp_worker *w)
{
    metric_add(&w->metrics.connections_open, -1);
    atomic_fetch_sub_explicit(&w->load, 1, memory_order_relaxed);
    rp_worker_check_idle(w);
}

/* A session outlives its client until what the client sent has been delivered: both must be gone. */
void rp_worker_check_idle(struct rp_worker *w)
{
    if (!w->is_draining || w->is_idle_told || !list_is_empty(&w->clients) || !list_is_empty(&w->sessions))
        return;
    w->is_idle_told = true;
    rproxy_worker_is_idle(w->program);
}

void rp_worker_drain(struct worker *worker, void *arg)
{
    struct rp_worker *w = worker->object;
    w->is_draining = true;
    list_for_each_safe (it, tmp, &w->clients)
        rp_client_drain(list_entry(it, struct rp_client, link));
    rp_worker_check_idle(w);
}
