/* One address of an s-proxy (rp_peer.h). */
#define LOG_MODULE LOG_R_PROXY
#include "rp_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "random.h"

enum {
    RP_BACKOFF_MIN_MS = 100,
    RP_BACKOFF_MAX_MS = 5000,
    RP_GOOD_AFTER_MS = 1000, /* up for so long: what comes then is a new story */
    RP_SOON_MS = 2000,       /* an attempt that is worth waiting for */
    RP_LOG_LINES = 6,
    RP_LOG_INTERVAL_MS = 60000,
};

static void rp_peer_describe(const struct log_object *self, struct log_writer *w)
{
    const struct rp_peer *p = container_of(self, struct rp_peer, log);
    log_field(w, "s_proxy", "%s", *p->connect_to ? p->connect_to : p->target);
    if (*p->connect_to)
        log_field(w, "through", "%s", p->target);
}

/* --- Waiting */

static uint32_t rp_peer_jitter(uint32_t ms)
{
    return ms - ms / 5 + random_below(2 * (ms / 5) + 1);
}

static void rp_peer_wait(struct rp_peer *p)
{
    p->trunk = rp_trunk_release(p->trunk);
    p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : RP_BACKOFF_MIN_MS;
    if (p->backoff_ms > RP_BACKOFF_MAX_MS)
        p->backoff_ms = RP_BACKOFF_MAX_MS;
    loop_timer_start(&p->timer, rp_peer_jitter(p->backoff_ms));
}

/* --- Changes */

static void rp_peer_is_up(struct rp_peer *p, const char *text)
{
    const struct rp_trunk *t = p->trunk;
    p->up_at_ms = loop_now_ms(p->env->loop);
    if (t->state == RP_TRUNK_READY)
        log_rate_limited(&p->log_limit, LOG_LEVEL_INFO, &p->log, "trunk %.8s is up, to %s", trunk_id(t->trunk), text);
    else
        log_rate_limited(&p->log_limit, LOG_LEVEL_INFO, &p->log, "connected; %s", text);
    p->on_change(p, NULL, p->arg);
}

/* A trunk that was good for a while and is gone: what the next attempt will say is open. */
static void rp_peer_was_up(struct rp_peer *p)
{
    p->has_failed = loop_now_ms(p->env->loop) - p->up_at_ms < RP_GOOD_AFTER_MS;
    if (!p->has_failed)
        p->backoff_ms = 0;
    p->up_at_ms = 0;
}

static void rp_peer_drains(struct rp_peer *p, const char *text)
{
    log_rate_limited(&p->log_limit, LOG_LEVEL_INFO, &p->log, "%s: new sessions go elsewhere, %u go on here", text,
                     p->trunk->n_sessions);
    rp_peer_was_up(p);
    rp_peer_wait(p);
    p->on_change(p, text, p->arg);
}

static void rp_peer_is_lost(struct rp_peer *p, const char *text)
{
    if (p->up_at_ms != 0) {
        log_rate_limited(&p->log_limit, LOG_LEVEL_WARN, &p->log, "lost: %s", text);
        rp_peer_was_up(p);
    } else {
        if (!p->has_failed)
            log_rate_limited(&p->log_limit, LOG_LEVEL_WARN, &p->log, "cannot be used, more attempts follow: %s", text);
        p->has_failed = true;
        p->failed_at_ms = loop_now_ms(p->env->loop);
    }
    rp_peer_wait(p);
    p->on_change(p, text, p->arg);
}

static void rp_peer_on_trunk(struct rp_trunk *t, const char *text, void *owner)
{
    struct rp_peer *p = owner;
    switch ((enum rp_trunk_state)t->state) {
    case RP_TRUNK_CONNECTING:
        break;
    case RP_TRUNK_READY:
    case RP_TRUNK_RELAY:
        rp_peer_is_up(p, text);
        break;
    case RP_TRUNK_DRAINING:
        rp_peer_drains(p, text);
        break;
    case RP_TRUNK_OVER:
        rp_peer_is_lost(p, text);
        break;
    }
}

/* --- Trying */

static int rp_peer_try(struct rp_peer *p)
{
    const struct rp_trunk_params params = {
        .env = p->env,
        .target = p->target,
        .authority = p->authority,
        .connect_to = *p->connect_to ? p->connect_to : NULL,
        .proxy_login = p->proxy_login,
        .on_change = rp_peer_on_trunk,
        .owner = p,
    };
    return rp_trunk_open(&params, &p->trunk);
}

static void rp_peer_on_timer(struct loop_timer *timer)
{
    struct rp_peer *p = container_of(timer, struct rp_peer, timer);
    if (rp_peer_try(p) < 0)
        rp_peer_is_lost(p, err_text());
}

/* --- Life */

int rp_peer_new(const struct rp_peer_params *params, struct rp_peer **ret_peer)
{
    struct rp_peer *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(-ENOMEM, "s-proxy %s: out of memory", params->target);
    list_init(&p->link);
    p->env = params->env;
    p->on_change = params->on_change;
    p->arg = params->arg;
    p->log.describe = rp_peer_describe;
    p->log_limit = (struct log_limit)LOG_LIMIT(RP_LOG_LINES, RP_LOG_INTERVAL_MS);
    p->dice = random_below(UINT32_MAX);
    snprintf(p->target, sizeof p->target, "%s", params->target);
    snprintf(p->authority, sizeof p->authority, "%s", params->authority);
    snprintf(p->connect_to, sizeof p->connect_to, "%s", params->connect_to ? params->connect_to : "");
    p->proxy_login = params->proxy_login;
    loop_timer_init(&p->timer, p->env->loop, rp_peer_on_timer);
    int r = rp_peer_try(p);
    if (r < 0) {
        rp_peer_free(p);
        return r;
    }
    *ret_peer = p;
    return 0;
}

struct rp_peer *rp_peer_free(struct rp_peer *p)
{
    if (!p)
        return NULL;
    p->trunk = rp_trunk_release(p->trunk);
    loop_timer_stop(&p->timer);
    list_del(&p->link);
    free(p);
    return NULL;
}

bool rp_peer_is_healthy(const struct rp_peer *p)
{
    return p->trunk && rp_trunk_is_healthy(p->trunk);
}

bool rp_peer_is_hopeful(const struct rp_peer *p, uint64_t since_ms)
{
    if (p->up_at_ms != 0) /* and takes nothing: it is full, or about to tell that it ends */
        return !rp_trunk_is_full(p->trunk);
    if (p->failed_at_ms > since_ms)
        return false;
    return p->trunk || p->timer.due_ms <= loop_now_ms(p->env->loop) + RP_SOON_MS;
}
