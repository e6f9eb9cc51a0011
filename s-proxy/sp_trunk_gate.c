/* See sp_trunk_gate.h. */
#define LOG_MODULE LOG_S_PROXY
#include "sp_trunk_gate.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "err.h"
#include "rpc_stream.h"
#include "sp_admission.h"
#include "sp_identity.h"
#include "sp_limits.h"
#include "sp_session.h"
#include "sp_worker.h"
#include "sproxy.h"
#include "trunk.h"

static void sp_trunk_describe(const struct log_object *self, struct log_writer *w)
{
    const struct sp_trunk *t = container_of(self, struct sp_trunk, log);
    log_field(w, "trunk", "%.8s", trunk_id(t->trunk));
    log_field(w, "peer", "%s", trunk_peer(t->trunk));
}

/* Everything but the trunk itself, which is NULL when it could not be made. */
static void sp_trunk_free(struct sp_trunk *t)
{
    struct sp_worker *w = t->worker;
    trunk_free(t->trunk);
    sp_identity_unref(t->identity);
    list_del(&t->link);
    atomic_fetch_sub_explicit(&w->n_trunks, 1, memory_order_relaxed);
    sp_limit_give(&sproxy_limits(w->program)->trunks);
    free(t);
    sp_worker_check_idle(w);
}

/* --- From the trunk */

static void sp_trunk_on_ready(struct trunk *trunk, void *arg)
{
    const struct sp_trunk *t = arg;
    log_info(&t->log, "up, the r-proxy is %s", trunk_peer_software(trunk));
}

/* Who the r-proxy is by the present list. False: nobody; the trunk is good for the sessions that it has. */
static bool sp_trunk_identify(struct sp_trunk *t)
{
    struct sp_admission *a = sproxy_admission(t->worker->program);
    unsigned generation = sp_admission_generation(a);
    struct sp_identity *fresh;
    if (generation == t->generation)
        return true;
    if (!sp_admission_identify(a, trunk_stream(t->trunk), &t->worker->metrics, &fresh))
        return false;
    sp_identity_unref(t->identity);
    t->identity = fresh;
    t->generation = generation;
    return true;
}

static void sp_trunk_on_lane(struct trunk *trunk, struct lane *lane, void *arg)
{
    struct sp_trunk *t = arg;
    if (t->worker->is_draining) { /* opened before the peer could know */
        lane_finish(lane, LANE_END_UNAVAILABLE, "s-proxy is draining");
        lane_free(lane);
        return;
    }
    if (!sp_trunk_identify(t)) {
        lane_finish(lane, LANE_END_UNAVAILABLE, "the r-proxy is not let in any more");
        lane_free(lane);
        sp_trunk_drain(t);
        return;
    }
    t->n_lanes++;
    sp_session_on_lane(t->worker, lane, sp_identity_ref(t->identity));
}

static void sp_trunk_on_end(struct trunk *trunk, int status, const char *text, void *arg)
{
    struct sp_trunk *t = arg;
    log_info(&t->log, "ended after %" PRIu64 " lanes (%s): %s", t->n_lanes, rpc_status_name(status),
             *text ? text : "the r-proxy has left it, or is lost");
    sp_trunk_free(t);
}

static const struct trunk_cbs sp_trunk_cbs = {
    .on_ready = sp_trunk_on_ready,
    .on_lane = sp_trunk_on_lane,
    .on_end = sp_trunk_on_end,
};

/* --- The gate */

static unsigned sp_trunk_count(const struct worker *w)
{
    const struct sp_worker *sp = w->object;
    return atomic_load_explicit(&sp->n_trunks, memory_order_relaxed);
}

/* On the thread that polls for libgrpc, which alone counts up: what it has given to a worker counts before it arrives.
 */
struct mailbox *sp_trunk_gate_pick(void *arg)
{
    struct worker_pool *pool = arg;
    const struct worker *best = worker_pool_get(pool, 0);
    for (unsigned i = 1; i < worker_pool_size(pool); i++) {
        const struct worker *w = worker_pool_get(pool, i);
        if (sp_trunk_count(w) < sp_trunk_count(best))
            best = w;
    }
    struct sp_worker *sp = best->object;
    atomic_fetch_add_explicit(&sp->n_trunks, 1, memory_order_relaxed);
    return best->mailbox;
}

static int sp_trunk_accept(struct sp_trunk *t, struct rpc_stream *stream)
{
    const struct trunk_params params = {
        .options = sproxy_trunk_options(t->worker->program),
        .metrics = &t->worker->trunk_metrics,
        .cbs = &sp_trunk_cbs,
        .arg = t,
    };
    return trunk_accept(stream, &params, &t->trunk);
}

static void sp_trunk_refuse(struct sp_worker *w, struct rpc_stream *stream, const char *text)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "a trunk of %s is refused: %s", rpc_stream_peer(stream), text);
    rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, text);
    rpc_stream_free(stream);
}

/* NULL: there is no room for it, and STREAM has been refused. */
static struct sp_trunk *sp_trunk_new(struct sp_worker *w, struct rpc_stream *stream)
{
    struct sp_limit *limit = &sproxy_limits(w->program)->trunks;
    if (!sp_limit_take(limit)) {
        metric_add(&w->metrics.trunks_over_limit, 1);
        sp_trunk_refuse(w, stream, "as many trunks as max-trunks of the s-proxy allows");
        return NULL;
    }
    struct sp_trunk *t = calloc(1, sizeof *t);
    if (!t) {
        sp_limit_give(limit);
        sp_trunk_refuse(w, stream, "out of memory");
    }
    return t;
}

void sp_trunk_gate_on_stream(struct rpc_stream *stream, void *arg)
{
    struct sp_worker *w = sp_worker_of_stream(arg, stream);
    struct sp_admission *admission = sproxy_admission(w->program);
    const unsigned generation = sp_admission_generation(admission);
    struct sp_identity *identity = NULL;
    struct sp_trunk *t = NULL;
    if (sp_admission_check(admission, stream, &w->metrics, &identity))
        t = sp_trunk_new(w, stream);
    if (!t) {
        atomic_fetch_sub_explicit(&w->n_trunks, 1, memory_order_relaxed);
        sp_identity_unref(identity);
        return;
    }
    t->worker = w;
    t->identity = identity;
    t->generation = generation;
    t->log.describe = sp_trunk_describe;
    list_add_tail(&w->trunks, &t->link);
    if (sp_trunk_accept(t, stream) < 0) {
        log_error(NULL, "new trunk: %s", err_text());
        sp_trunk_free(t);
    } else if (w->is_draining) {
        sp_trunk_drain(t);
    }
}

void sp_trunk_drain(struct sp_trunk *t)
{
    trunk_drain(t->trunk);
}

void sp_trunk_kill(struct sp_trunk *t)
{
    sp_trunk_free(t);
}
