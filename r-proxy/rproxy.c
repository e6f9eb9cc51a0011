/* The program object of r-proxy (rproxy.h).
 *
 *   listeners (main loop) --parcel--> the worker with the fewest clients --> rp_client ... lane --> the worker's
 * channel --> s-proxy
 */
#define LOG_MODULE LOG_R_PROXY
#include "rproxy.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "byte_budget.h"
#include "err.h"
#include "listener.h"
#include "log.h"
#include "rp_options.h"
#include "rp_worker.h"
#include "rpc_cq.h"
#include "trunk.h"
#include "url.h"
#include "worker.h"

enum { RP_DEFAULT_PORT = 1883 };

struct rproxy {
    struct program *program;
    const struct rp_options *options;
    struct rpc_cq *cq;
    struct worker_pool *pool;
    struct listener **listeners;
    size_t n_listeners;
    struct byte_budget budget;
    struct trunk_options trunk_options;
    _Atomic uint64_t numbers;
    unsigned next_worker;          /* where the search for the least loaded begins */
    _Atomic unsigned busy_workers; /* while draining */
};

const struct rp_options *rproxy_options(const struct rproxy *r)
{
    return r->options;
}

struct byte_budget *rproxy_budget(struct rproxy *r)
{
    return &r->budget;
}

struct rpc_cq *rproxy_cq(const struct rproxy *r)
{
    return r->cq;
}

const struct trunk_options *rproxy_trunk_options(const struct rproxy *r)
{
    return &r->trunk_options;
}

struct metrics_registry *rproxy_metrics(const struct rproxy *r)
{
    return program_metrics(r->program);
}

uint64_t rproxy_next_number(struct rproxy *r)
{
    return atomic_fetch_add_explicit(&r->numbers, 1, memory_order_relaxed) + 1;
}

/* --- Accepting */

static struct rp_worker *rproxy_least_loaded(struct rproxy *r)
{
    unsigned n = worker_pool_size(r->pool);
    struct rp_worker *best = NULL;
    unsigned best_load = 0;
    for (unsigned i = 0; i < n; i++) {
        struct rp_worker *w = worker_pool_get(r->pool, (r->next_worker + i) % n)->object;
        unsigned load = atomic_load_explicit(&w->load, memory_order_relaxed);
        if (!best || load < best_load) {
            best = w;
            best_load = load;
        }
    }
    r->next_worker = (r->next_worker + 1) % n;
    return best;
}

static void rproxy_on_accept(struct listener *l, struct conn_parcel *parcel, void *arg)
{
    rp_worker_give(rproxy_least_loaded(arg), parcel);
}

static void rproxy_on_trouble(struct listener *l, int err, void *arg)
{
    if (err < 0)
        log_error(NULL, "%s: accepting pauses: %s (ulimit -n)", listener_name(l), strerror(-err));
    else
        log_info(NULL, "%s: accepting goes on", listener_name(l));
}

static const struct listener_cbs rproxy_listener_cbs = {.on_accept = rproxy_on_accept, .on_trouble = rproxy_on_trouble};

static int rproxy_listen_at(struct rproxy *r, const char *text)
{
    struct url url;
    int e = url_parse(text, "mqtt unix", &url);
    if (e >= 0)
        e = listener_open(program_loop(r->program), &url, RP_DEFAULT_PORT, &rproxy_listener_cbs, r,
                          &r->listeners[r->n_listeners]);
    if (e < 0)
        return e;
    log_info(NULL, "listening on %s", listener_name(r->listeners[r->n_listeners]));
    r->n_listeners++;
    return 0;
}

static int rproxy_listen(struct rproxy *r)
{
    r->listeners = calloc(r->options->listeners.count, sizeof r->listeners[0]);
    if (!r->listeners)
        return err_set(-ENOMEM, "listen: out of memory");
    const struct rp_listener_options *listeners = r->options->listeners.items;
    for (size_t i = 0; i < r->options->listeners.count; i++) {
        int e = rproxy_listen_at(r, listeners[i].url);
        if (e < 0)
            return e;
    }
    return 0;
}

static void rproxy_close_listeners(struct rproxy *r)
{
    for (size_t i = 0; i < r->n_listeners; i++)
        listener_close(r->listeners[i]);
    r->n_listeners = 0;
}

/* --- Life */

static int rproxy_start(struct program *p, const void *options)
{
    struct rproxy *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(-ENOMEM, "out of memory");
    program_set_object(p, r);
    r->program = p;
    r->options = options;
    r->trunk_options = trunk_options_from_config(&r->options->trunk, "r-proxy " PROJECT_VERSION, 0);
    byte_budget_init(&r->budget, r->options->program.max_buffered_bytes);
    int e = rpc_cq_start(&r->cq);
    if (e >= 0)
        e = worker_pool_start("r-proxy", program_workers(p), &rp_worker_calls, r, &r->pool);
    if (e >= 0)
        e = rproxy_listen(r);
    return e;
}

void rproxy_worker_is_idle(struct rproxy *r)
{
    if (atomic_fetch_sub_explicit(&r->busy_workers, 1, memory_order_acq_rel) == 1)
        program_post(r->program, program_drained);
}

static void rproxy_drain(struct program *p)
{
    struct rproxy *r = program_object(p);
    unsigned n = worker_pool_size(r->pool);
    rproxy_close_listeners(r);
    atomic_store_explicit(&r->busy_workers, n, memory_order_release);
    for (unsigned i = 0; i < n; i++)
        worker_post(worker_pool_get(r->pool, i), rp_worker_drain, NULL);
}

static void rproxy_stop(struct program *p)
{
    struct rproxy *r = program_object(p);
    if (!r)
        return;
    rproxy_close_listeners(r);
    r->pool = worker_pool_stop(r->pool);
    r->cq = rpc_cq_stop(r->cq);
    free(r->listeners);
    free(r);
}

const struct program_calls rproxy_calls = {.start = rproxy_start, .drain = rproxy_drain, .stop = rproxy_stop};
