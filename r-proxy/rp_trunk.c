/* One connection to an s-proxy (rp_trunk.h). */
#define LOG_MODULE LOG_R_PROXY
#include "rp_trunk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "mailbox.h"
#include "relay.h"
#include "rpc_channel.h"
#include "rpc_stream.h"
#include "str.h"
#include "trunk_config.h"

enum {
    RP_KEEPALIVE_MS = 10000, /* HTTP/2 ping to s-proxy */
    RP_KEEPALIVE_TIMEOUT_MS = 5000,
    RP_TRIAL_MS = 5 * 60 * 1000, /* a balancer keeps its connection to us while the s-proxy behind it is replaced */
};

static const char *const rp_trunk_state_names[] = {
    [RP_TRUNK_CONNECTING] = "connecting", [RP_TRUNK_READY] = "ready", [RP_TRUNK_RELAY] = "relay",
    [RP_TRUNK_DRAINING] = "draining",     [RP_TRUNK_OVER] = "over",
};

static void rp_trunk_enter(struct rp_trunk *t, enum rp_trunk_state next, const char *text)
{
    assert((unsigned)next > t->state || (t->state == RP_TRUNK_RELAY && next == RP_TRUNK_READY));
    log_debug(&t->log, "%s -> %s: %s", rp_trunk_state_names[t->state], rp_trunk_state_names[next], text);
    t->state = (uint8_t)next;
    if (next == RP_TRUNK_OVER)
        loop_timer_stop(&t->trial);
    if (t->on_change)
        t->on_change(t, text, t->owner);
}

static void rp_trunk_describe(const struct log_object *self, struct log_writer *w)
{
    const struct rp_trunk *t = container_of(self, struct rp_trunk, log);
    log_field(w, "s_proxy", "%s", rpc_channel_target(t->channel));
    if (t->trunk)
        log_field(w, "trunk", "%.8s", trunk_id(t->trunk));
}

/* --- The relay service */

static void rp_trunk_on_connection(struct rpc_channel *ch, bool is_up, void *arg)
{
    struct rp_trunk *t = arg;
    if (is_up && t->state == RP_TRUNK_CONNECTING)
        rp_trunk_enter(t, RP_TRUNK_RELAY, "the relay service is used, as configured");
    else if (!is_up && t->state == RP_TRUNK_CONNECTING)
        rp_trunk_enter(t, RP_TRUNK_OVER, "no connection can be made");
    else if (!is_up && t->state == RP_TRUNK_RELAY)
        rp_trunk_enter(t, RP_TRUNK_OVER, "the connection is lost, or takes no new streams");
}

/* Hear of the connection, and see to it that there is one. */
static int rp_trunk_watch(struct rp_trunk *t)
{
    int r = rpc_channel_watch(t->channel, t->env->mailbox, rp_trunk_on_connection, t);
    if (r >= 0)
        rpc_channel_connect(t->channel);
    return r;
}

static void rp_trunk_fall_back(struct rp_trunk *t)
{
    if (rp_trunk_watch(t) < 0) {
        rp_trunk_enter(t, RP_TRUNK_OVER, err_text());
        return;
    }
    loop_timer_start(&t->trial, RP_TRIAL_MS);
    rp_trunk_enter(t, RP_TRUNK_RELAY, "the s-proxy does not know trunks: the relay service is used");
}

/* --- The trunk */

static void rp_trunk_on_ready(struct trunk *trunk, void *arg)
{
    struct rp_trunk *t = arg;
    if (t->state == RP_TRUNK_OVER) /* the watch was first */
        return;
    loop_timer_stop(&t->trial);
    rp_trunk_enter(t, RP_TRUNK_READY, trunk_peer_software(trunk));
}

static void rp_trunk_on_draining(struct trunk *trunk, void *arg)
{
    struct rp_trunk *t = arg;
    if (t->state == RP_TRUNK_READY)
        rp_trunk_enter(t, RP_TRUNK_DRAINING, "the s-proxy drains");
}

static void rp_trunk_ended(struct rp_trunk *t, int status, const char *text)
{
    if (t->state == RP_TRUNK_OVER)
        return;
    if (t->state == RP_TRUNK_RELAY) /* the trial */
        loop_timer_start(&t->trial, RP_TRIAL_MS);
    else if (t->state != RP_TRUNK_CONNECTING || status != RPC_UNIMPLEMENTED)
        rp_trunk_enter(t, RP_TRUNK_OVER, *text ? text : rpc_status_name(status));
    else if (t->env->service == TRUNK_SERVICE_TRUNK)
        rp_trunk_enter(t, RP_TRUNK_OVER, "the s-proxy does not know trunks, and trunk-service allows nothing else");
    else
        rp_trunk_fall_back(t);
}

static void rp_trunk_on_end(struct trunk *trunk, int status, const char *text, void *arg)
{
    struct rp_trunk *t = arg;
    rp_trunk_ended(t, status, text);
    t->trunk = trunk_free(t->trunk); /* TEXT is the trunk's */
}

static const struct trunk_cbs rp_trunk_cbs = {
    .on_ready = rp_trunk_on_ready,
    .on_draining = rp_trunk_on_draining,
    .on_end = rp_trunk_on_end,
};

static int rp_trunk_try(struct rp_trunk *t)
{
    const struct trunk_params params = {
        .mailbox = t->env->mailbox,
        .options = t->env->options,
        .metrics = t->env->metrics,
        .cbs = &rp_trunk_cbs,
        .arg = t,
    };
    return trunk_open(t->channel, &params, &t->trunk);
}

static void rp_trunk_on_trial(struct loop_timer *timer)
{
    struct rp_trunk *t = container_of(timer, struct rp_trunk, trial);
    if (rp_trunk_try(t) < 0)
        loop_timer_start(&t->trial, RP_TRIAL_MS);
}

/* --- Life */

static void rp_trunk_free(struct rp_trunk *t)
{
    assert(t->n_sessions == 0);
    loop_timer_stop(&t->trial);
    loop_task_cancel(&t->reap);
    t->trunk = trunk_free(t->trunk);
    t->channel = rpc_channel_close(t->channel);
    list_del(&t->link);
    free(t);
}

static void rp_trunk_on_reap(struct loop_task *task)
{
    rp_trunk_free(container_of(task, struct rp_trunk, reap));
}

int rp_trunk_open(const struct rp_trunk_params *params, struct rp_trunk **ret_trunk)
{
    struct rp_trunk *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(-ENOMEM, "trunk: out of memory");
    t->env = params->env;
    t->on_change = params->on_change;
    t->owner = params->owner;
    t->log.describe = rp_trunk_describe;
    list_init(&t->link);
    loop_timer_init(&t->trial, t->env->loop, rp_trunk_on_trial);
    loop_task_init(&t->reap, rp_trunk_on_reap);
    const struct rpc_channel_params channel = {
        .target = params->target,
        .authority = params->authority,
        .connect_to = params->connect_to,
        .proxy_login = params->proxy_login,
        .keepalive_ms = RP_KEEPALIVE_MS,
        .keepalive_timeout_ms = RP_KEEPALIVE_TIMEOUT_MS,
        .tls = t->env->tls,
        .tokens = t->env->tokens,
    };
    int r = rpc_channel_open(t->env->cq, &channel, &t->channel);
    if (r >= 0)
        r = t->env->service == TRUNK_SERVICE_RELAY ? rp_trunk_watch(t) : rp_trunk_try(t);
    if (r < 0) {
        rp_trunk_free(t);
        return r;
    }
    *ret_trunk = t;
    return 0;
}

/* Not at once: the last session may go from inside a callback of the trunk. */
static void rp_trunk_reap_if_left(struct rp_trunk *t)
{
    if (!t->on_change && t->n_sessions == 0)
        loop_defer(t->env->loop, &t->reap);
}

struct rp_trunk *rp_trunk_release(struct rp_trunk *t)
{
    if (!t)
        return NULL;
    t->on_change = NULL;
    loop_timer_stop(&t->trial);
    list_add_tail(&t->env->released, &t->link);
    rp_trunk_reap_if_left(t);
    return NULL;
}

void rp_trunk_free_released(struct rp_trunk_env *env)
{
    list_for_each_safe (it, tmp, &env->released)
        rp_trunk_free(list_entry(it, struct rp_trunk, link));
}

/* --- Sessions */

bool rp_trunk_is_full(const struct rp_trunk *t)
{
    /* A lane counts until both sides have closed it. */
    return t->full_lanes != 0 && t->trunk && trunk_lane_count(t->trunk) >= t->full_lanes;
}

bool rp_trunk_is_healthy(const struct rp_trunk *t)
{
    if (rp_trunk_is_full(t))
        return false;
    return t->state == RP_TRUNK_RELAY || (t->state == RP_TRUNK_READY && trunk_is_usable(t->trunk));
}

static int rp_trunk_open_relay(struct rp_trunk *t, const struct rp_trunk_lane_params *params,
                               const struct lane_cbs *cbs, void *arg, struct lane **ret_lane)
{
    char id[2 * TRUNK_SESSION_ID_BYTES + 1];
    const struct relay_open_params relay = {
        .channel = t->channel,
        .mailbox = t->env->mailbox,
        .session_id = str_hex(id, params->session_id, TRUNK_SESSION_ID_BYTES),
        .connect = params->connect,
    };
    return relay_open(&relay, cbs, arg, ret_lane);
}

static int rp_trunk_open_trunk_lane(struct rp_trunk *t, const struct rp_trunk_lane_params *params,
                                    const struct lane_cbs *cbs, void *arg, struct lane **ret_lane)
{
    const struct trunk_lane_params lane = {
        .session_id = params->session_id, .client = params->client, .connect = params->connect};
    int r = trunk_open_lane(t->trunk, &lane, cbs, arg, ret_lane);
    if (r == -ENOSPC)
        t->full_lanes = trunk_lane_count(t->trunk);
    return r;
}

int rp_trunk_open_lane(struct rp_trunk *t, const struct rp_trunk_lane_params *params, const struct lane_cbs *cbs,
                       void *arg, struct lane **ret_lane)
{
    int r = t->state == RP_TRUNK_RELAY ? rp_trunk_open_relay(t, params, cbs, arg, ret_lane)
                                       : rp_trunk_open_trunk_lane(t, params, cbs, arg, ret_lane);
    if (r >= 0)
        t->n_sessions++;
    return r;
}

void rp_trunk_leave(struct rp_trunk *t)
{
    t->n_sessions--;
    rp_trunk_reap_if_left(t);
}
