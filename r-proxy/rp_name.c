/* The name of a fleet of s-proxies (rp_name.h). */
#define LOG_MODULE LOG_R_PROXY
#include "rp_name.h"

#include "err.h"
#include "random.h"
#include "resolve.h"

enum {
    RP_NAME_PERIOD_MS = 30000,
    RP_NAME_HURRY_MS = 2000, /* not oftener than that */
    RP_NAME_BACKOFF_MIN_MS = 500,
};

static void rp_name_describe(const struct log_object *self, struct log_writer *w)
{
    log_field(w, "name", "%s", container_of(self, struct rp_name, log)->host);
}

static void rp_name_failed(struct rp_name *n, const char *text)
{
    if (!n->has_failed)
        log_warn(&n->log, "no address, asking again: %s", text);
    n->is_asked = n->has_failed = true;
    n->backoff_ms = n->backoff_ms ? n->backoff_ms * 2 : RP_NAME_BACKOFF_MIN_MS;
    if (n->backoff_ms > RP_NAME_PERIOD_MS)
        n->backoff_ms = RP_NAME_PERIOD_MS;
    loop_timer_start(&n->timer, n->backoff_ms - random_below(n->backoff_ms / 4));
    n->fn(n, NULL, 0, text);
}

static void rp_name_answered(struct rp_name *n, const union conn_address *addresses, size_t n_addresses)
{
    if (n->has_failed)
        log_info(&n->log, "has %zu addresses", n_addresses);
    n->is_asked = true;
    n->has_failed = false;
    n->backoff_ms = 0;
    loop_timer_start(&n->timer, RP_NAME_PERIOD_MS);
    n->fn(n, addresses, n_addresses, "");
}

static void rp_name_on_resolved(struct resolve *r, const union conn_address *addresses, size_t n_addresses,
                                const char *text, void *arg)
{
    struct rp_name *n = arg;
    n->resolve = NULL;
    if (n_addresses > 0)
        rp_name_answered(n, addresses, n_addresses);
    else
        rp_name_failed(n, text);
}

static void rp_name_on_timer(struct loop_timer *timer)
{
    struct rp_name *n = container_of(timer, struct rp_name, timer);
    n->asked_at_ms = loop_now_ms(n->loop);
    if (resolve_start(n->loop, n->host, n->port, rp_name_on_resolved, n, &n->resolve) < 0)
        rp_name_failed(n, err_text());
}

void rp_name_start(struct rp_name *n, struct loop *loop, const char *host, uint16_t port, rp_name_fn *fn)
{
    *n = (struct rp_name){.loop = loop, .host = host, .port = port, .fn = fn};
    n->log.describe = rp_name_describe;
    loop_timer_init(&n->timer, loop, rp_name_on_timer);
    loop_timer_start(&n->timer, 0);
}

void rp_name_stop(struct rp_name *n)
{
    if (!n->host)
        return;
    n->resolve = resolve_cancel(n->resolve);
    loop_timer_stop(&n->timer);
}

void rp_name_hurry(struct rp_name *n)
{
    if (!n->host || n->resolve || n->has_failed)
        return;
    uint64_t since_ms = loop_now_ms(n->loop) - n->asked_at_ms;
    loop_timer_start(&n->timer, since_ms < RP_NAME_HURRY_MS ? RP_NAME_HURRY_MS - since_ms : 0);
}
