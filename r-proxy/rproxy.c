/* The program object of r-proxy (rproxy.h).
 *
 *   listeners (main loop) --parcel--> the worker with the fewest clients --> rp_client ... lane --> the worker's
 * channel --> s-proxy
 */
#define LOG_MODULE LOG_R_PROXY
#include "rproxy.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "byte_budget.h"
#include "err.h"
#include "front_admission.h"
#include "front_listeners.h"
#include "log.h"
#include "loop.h"
#include "rp_options.h"
#include "rp_worker.h"
#include "rpc_cq.h"
#include "rpc_tls.h"
#include "rpc_tokens.h"
#include "secret_file.h"
#include "trunk.h"
#include "worker.h"

enum { RP_LOG_LINES = 10, RP_LOG_INTERVAL_MS = 10000 };

struct rproxy {
    struct program *program;
    const struct rp_options *options;
    struct rpc_cq *cq;
    struct rpc_tls *tls;       /* NULL: trunks are in clear text */
    struct rpc_tokens *tokens; /* NULL: none are shown */
    struct worker_pool *pool;
    struct front_listeners *listeners;
    struct front_admission admission;
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

struct rpc_tls *rproxy_tls(const struct rproxy *r)
{
    return r->tls;
}

struct rpc_tokens *rproxy_tokens(const struct rproxy *r)
{
    return r->tokens;
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
    assert(n > 0);
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

static void rproxy_on_accept(struct conn_parcel *parcel, const struct front_listener_options *options, void *arg)
{
    struct rproxy *r = arg;
    struct rp_arrival arrival = {.parcel = *parcel, .options = options};
    if (front_admission_ask(&r->admission, parcel, loop_now_ms(program_loop(r->program)), &arrival.ticket))
        rp_worker_give(rproxy_least_loaded(r), &arrival);
    else
        conn_parcel_close(parcel);
}

static int rproxy_listen(struct rproxy *r)
{
    const struct front_listeners_params params = {.loop = program_loop(r->program),
                                                  .options = &r->options->front,
                                                  .metrics = program_metrics(r->program),
                                                  .prefix = "rproxy",
                                                  .fn = rproxy_on_accept,
                                                  .arg = r};
    return front_listeners_open(&params, &r->listeners);
}

/* --- How s-proxies are met */

static void rproxy_warn_of_secrets(const struct rp_options *o)
{
    char text[512];
    if (secret_file_is_exposed(o->trunk_tls_key, text, sizeof text))
        log_warn(NULL, "trunk-tls-key: %s", text);
    if (secret_file_is_exposed(o->trunk_token_file, text, sizeof text))
        log_warn(NULL, "trunk-token-file: %s", text);
}

/* On any thread of libgrpc's. */
static void rproxy_on_refused(const char *text, void *arg)
{
    static struct log_limit limit = LOG_LIMIT(RP_LOG_LINES, RP_LOG_INTERVAL_MS);
    log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "an s-proxy is not believed: %s", text);
}

static void rproxy_on_tls_reloaded(int e, const char *text, void *arg)
{
    if (e < 0)
        log_error(NULL, "trunk TLS: what was used before is still used: %s", text);
    else
        log_info(NULL, "trunk TLS: read again: %s", text);
}

static int rproxy_open_tls(struct rproxy *r)
{
    const struct rpc_tls_params params = {.files = rp_options_tls_files(r->options), .on_refused = rproxy_on_refused};
    char text[512];
    if (!rp_options_have_tls(r->options))
        return 0;
    int e = rpc_tls_new(&params, &r->tls);
    if (e < 0)
        return err_context(e, "trunk TLS");
    rpc_tls_watch(r->tls, program_loop(r->program), rproxy_on_tls_reloaded, r);
    log_info(NULL, "trunk TLS: %s", rpc_tls_describe(r->tls, text, sizeof text));
    return 0;
}

static int rproxy_open_tokens(struct rproxy *r)
{
    if (!r->options->trunk_token_file)
        return 0;
    if (!r->tls)
        log_warn(NULL, "the token for s-proxies goes in clear text: whoever sees it can use it");
    return err_context(rpc_tokens_new(r->options->trunk_token_file, &r->tokens), "trunk-token-file");
}

static void rproxy_reload(struct program *p, const void *fresh)
{
    struct rproxy *r = program_object(p);
    const struct rp_options *o = fresh;
    const struct rpc_tls_files files = rp_options_tls_files(o);
    char text[512];
    rproxy_warn_of_secrets(o);
    if (!r->tls != !rp_options_have_tls(o) || !r->tokens != !o->trunk_token_file)
        log_warn(NULL, "TLS and tokens of trunks are turned on and off at the next start only");
    if (r->tls && rp_options_have_tls(o)) {
        int e = rpc_tls_reload(r->tls, &files);
        rproxy_on_tls_reloaded(e, e < 0 ? err_text() : rpc_tls_describe(r->tls, text, sizeof text), r);
    }
    if (r->tokens && o->trunk_token_file && rpc_tokens_reload(r->tokens, o->trunk_token_file) < 0)
        log_error(NULL, "the token for s-proxies is kept as it was: %s", err_text());
    front_listeners_reload(r->listeners, &o->front);
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
    rproxy_warn_of_secrets(options);
    int e = front_admission_init(&r->admission, &r->options->front, program_metrics(p), "rproxy",
                                 loop_now_ms(program_loop(p)));
    if (e >= 0)
        e = rproxy_open_tls(r);
    if (e >= 0)
        e = rproxy_open_tokens(r);
    if (e >= 0)
        e = rpc_cq_start(&r->cq);
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
    front_listeners_close(r->listeners);
    atomic_store_explicit(&r->busy_workers, n, memory_order_release);
    for (unsigned i = 0; i < n; i++)
        worker_post(worker_pool_get(r->pool, i), rp_worker_drain, NULL);
}

static void rproxy_stop(struct program *p)
{
    struct rproxy *r = program_object(p);
    if (!r)
        return;
    front_listeners_close(r->listeners);
    r->pool = worker_pool_stop(r->pool);
    r->listeners = front_listeners_free(r->listeners);
    r->cq = rpc_cq_stop(r->cq);
    if (r->tls)
        rpc_tls_unwatch(r->tls);
    r->tls = rpc_tls_unref(r->tls);
    r->tokens = rpc_tokens_free(r->tokens);
    front_admission_deinit(&r->admission);
    free(r);
}

const struct program_calls rproxy_calls = {
    .start = rproxy_start, .reload = rproxy_reload, .drain = rproxy_drain, .stop = rproxy_stop};
