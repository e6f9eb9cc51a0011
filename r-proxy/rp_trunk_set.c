/* The s-proxies of a worker (rp_trunk_set.h). */
#define LOG_MODULE LOG_R_PROXY
#include "rp_trunk_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "config.h"
#include "err.h"
#include "log.h"
#include "rp_http_proxy.h"
#include "rp_name.h"
#include "rp_options.h"
#include "rp_peer.h"
#include "rp_worker.h"
#include "target.h"

struct rp_target {
    struct rp_name name; /* of TARGET_NAME; with an HTTP proxy of the proxy */
    struct rp_trunk_set *set;
    struct rp_http_proxy proxy; /* host "": none */
    struct target target;
    uint64_t bit; /* in rp_peer.names */
};

struct rp_trunk_set {
    struct rp_trunk_env env;
    struct rp_metrics *metrics;
    struct list peers;
    struct list waiting;     /* of struct rp_place, oldest first */
    struct loop_timer timer; /* of the oldest */
    unsigned n_targets;
    char trouble[256]; /* the last thing that went wrong */
    struct rp_target targets[];
};

/* --- Choosing */

static bool rp_peer_is_better(const struct rp_peer *a, const struct rp_peer *b, const struct rp_trunk *avoid)
{
    if (a->trunk == avoid || b->trunk == avoid)
        return b->trunk == avoid;
    if (a->trunk->n_sessions != b->trunk->n_sessions)
        return a->trunk->n_sessions < b->trunk->n_sessions;
    return a->dice < b->dice;
}

static struct rp_trunk *rp_trunk_set_best(const struct rp_trunk_set *set, const struct rp_trunk *avoid)
{
    const struct rp_peer *best = NULL;
    list_for_each (it, &set->peers) {
        const struct rp_peer *p = list_entry(it, struct rp_peer, link);
        if (rp_peer_is_healthy(p) && (!best || rp_peer_is_better(p, best, avoid)))
            best = p;
    }
    return best ? best->trunk : NULL;
}

/* Whether somebody who has waited since SINCE_MS should go on. If not, then nobody who has waited for longer. */
static bool rp_trunk_set_is_hopeful(const struct rp_trunk_set *set, uint64_t since_ms)
{
    for (unsigned i = 0; i < set->n_targets; i++) {
        if (set->targets[i].name.host && !set->targets[i].name.is_asked)
            return true;
    }
    list_for_each (it, &set->peers) {
        if (rp_peer_is_hopeful(list_entry(it, struct rp_peer, link), since_ms))
            return true;
    }
    return false;
}

/* --- Places */

void rp_place_init(struct rp_place *place, struct rp_trunk_set *set, rp_place_fn *fn)
{
    list_init(&place->link);
    place->set = set;
    place->fn = fn;
    place->avoid = NULL;
}

static struct rp_place *rp_trunk_set_oldest(const struct rp_trunk_set *set)
{
    return list_is_empty(&set->waiting) ? NULL : list_entry(list_first(&set->waiting), struct rp_place, link);
}

/* When the oldest has waited for too long. */
static void rp_trunk_set_time(struct rp_trunk_set *set)
{
    const struct rp_place *oldest = rp_trunk_set_oldest(set);
    if (!oldest) {
        loop_timer_stop(&set->timer);
        return;
    }
    uint64_t until_ms = oldest->since_ms + RP_PLACE_TIMEOUT_MS;
    uint64_t now_ms = loop_now_ms(set->env.loop);
    loop_timer_start(&set->timer, until_ms > now_ms ? until_ms - now_ms : 0);
}

static void rp_place_wait(struct rp_place *place)
{
    struct rp_trunk_set *set = place->set;
    list_add_tail(&set->waiting, &place->link);
    metric_add(&set->metrics->sessions_waiting, 1);
    if (!loop_timer_is_started(&set->timer))
        rp_trunk_set_time(set);
}

void rp_place_cancel(struct rp_place *place)
{
    if (!list_is_linked(&place->link))
        return;
    list_del(&place->link);
    metric_add(&place->set->metrics->sessions_waiting, -1);
}

/* PLACE may be gone afterwards. */
static void rp_place_answer(struct rp_place *place, struct rp_trunk *t, const char *text)
{
    rp_place_cancel(place);
    if (!t)
        metric_add(&place->set->metrics->sessions_without_s_proxy, 1);
    place->fn(place, t, text);
}

static const char *rp_trunk_set_trouble(const struct rp_trunk_set *set)
{
    list_for_each (it, &set->peers) {
        const struct rp_peer *p = list_entry(it, struct rp_peer, link);
        if (p->trunk && rp_trunk_is_full(p->trunk))
            return "those that are there take no more sessions";
    }
    return set->trouble;
}

int rp_place_find(struct rp_place *place, struct rp_trunk **ret_trunk)
{
    struct rp_trunk_set *set = place->set;
    struct rp_trunk *t = rp_trunk_set_best(set, place->avoid);
    if (t) {
        *ret_trunk = t;
        return 0;
    }
    place->since_ms = loop_now_ms(set->env.loop);
    if (rp_trunk_set_is_hopeful(set, place->since_ms)) {
        rp_place_wait(place);
        return RP_PLACE_LATER;
    }
    metric_add(&set->metrics->sessions_without_s_proxy, 1);
    return err_set(-EHOSTUNREACH, "no s-proxy can be reached: %s", rp_trunk_set_trouble(set));
}

bool rp_place_has_other(const struct rp_place *place, const struct rp_trunk *t)
{
    const struct rp_trunk *best = rp_trunk_set_best(place->set, t);
    return best && best != t;
}

/* Whoever can be told something now is told. */
static void rp_trunk_set_settle(struct rp_trunk_set *set)
{
    struct rp_place *oldest;
    struct rp_trunk *t;
    while ((oldest = rp_trunk_set_oldest(set)) && (t = rp_trunk_set_best(set, oldest->avoid)))
        rp_place_answer(oldest, t, "");
    while ((oldest = rp_trunk_set_oldest(set)) && !rp_trunk_set_is_hopeful(set, oldest->since_ms))
        rp_place_answer(oldest, NULL, rp_trunk_set_trouble(set));
    rp_trunk_set_time(set);
}

static void rp_trunk_set_on_timer(struct loop_timer *timer)
{
    struct rp_trunk_set *set = container_of(timer, struct rp_trunk_set, timer);
    uint64_t now_ms = loop_now_ms(set->env.loop);
    struct rp_place *oldest;
    while ((oldest = rp_trunk_set_oldest(set)) && oldest->since_ms + RP_PLACE_TIMEOUT_MS <= now_ms)
        rp_place_answer(oldest, NULL, "none has answered in time");
    rp_trunk_set_time(set);
}

/* --- Peers */

static void rp_trunk_set_count(struct rp_trunk_set *set)
{
    int64_t n = 0, n_up = 0;
    list_for_each (it, &set->peers) {
        n++;
        n_up += rp_peer_is_healthy(list_entry(it, struct rp_peer, link));
    }
    metric_add(&set->metrics->s_proxies, n - metric_get(&set->metrics->s_proxies));
    metric_add(&set->metrics->s_proxies_up, n_up - metric_get(&set->metrics->s_proxies_up));
}

static void rp_trunk_set_on_peer(struct rp_peer *p, const char *text, void *arg)
{
    struct rp_trunk_set *set = arg;
    if (text) {
        snprintf(set->trouble, sizeof set->trouble, "%s", text);
        for (unsigned i = 0; i < set->n_targets; i++) {
            if (p->names & set->targets[i].bit)
                rp_name_hurry(&set->targets[i].name);
        }
    }
    rp_trunk_set_count(set);
    rp_trunk_set_settle(set);
}

/* CONNECT_TO: "" without an HTTP proxy. */
static struct rp_peer *rp_trunk_set_find(const struct rp_trunk_set *set, const char *address, const char *connect_to)
{
    list_for_each (it, &set->peers) {
        struct rp_peer *p = list_entry(it, struct rp_peer, link);
        if (strcmp(p->target, address) == 0 && strcmp(p->connect_to, connect_to) == 0)
            return p;
    }
    return NULL;
}

static void rp_trunk_set_add(struct rp_target *target, const char *address, const char *connect_to,
                             const char *authority)
{
    struct rp_trunk_set *set = target->set;
    struct rp_peer *p = rp_trunk_set_find(set, address, connect_to ? connect_to : "");
    if (!p) {
        const struct rp_peer_params params = {
            .env = &set->env,
            .target = address,
            .authority = authority,
            .connect_to = connect_to,
            .proxy_login = *target->proxy.login ? target->proxy.login : NULL,
            .on_change = rp_trunk_set_on_peer,
            .arg = set,
        };
        if (rp_peer_new(&params, &p) < 0) {
            log_error(NULL, "s-proxy %s: %s", address, err_text());
            return;
        }
        list_add_tail(&set->peers, &p->link);
    }
    p->names |= target->bit;
}

/* "fleet.example:50516", "[::1]:50516": what a target's HTTP authority is. The authority of a name is the name, of an
 * address the address, unless they go by another one (RFC 3986 knows no Unix socket: what gRPC says). */
static void rp_target_authority(const struct rp_target *t, const union conn_address *address, char *authority)
{
    const char *name = t->set->env.server_name;
    if (name)
        snprintf(authority, RP_AUTHORITY_MAX, "%s:%u", name, address ? address_port(address) : t->target.port);
    else if (t->target.kind == TARGET_NAME)
        snprintf(authority, RP_AUTHORITY_MAX, "%s:%u", t->target.host, t->target.port);
    else
        address_format(address, authority);
}

static void rp_target_add_address(struct rp_target *t, const union conn_address *address)
{
    char text[TARGET_TEXT_MAX], authority[RP_AUTHORITY_MAX];
    rp_target_authority(t, address, authority);
    rp_trunk_set_add(t, target_format_address(address, text), NULL, authority);
}

/* Through the HTTP proxy at PROXY: a name goes there as it is. */
static void rp_target_add_proxy(struct rp_target *t, const union conn_address *proxy)
{
    char text[TARGET_TEXT_MAX], authority[RP_AUTHORITY_MAX], connect_to[RP_AUTHORITY_MAX];
    target_format_address(proxy, text);
    if (t->target.kind == TARGET_NAME) {
        rp_target_authority(t, NULL, authority);
        snprintf(connect_to, sizeof connect_to, "%s:%u", t->target.host, t->target.port);
        rp_trunk_set_add(t, text, connect_to, authority);
        return;
    }
    for (size_t i = 0; i < t->target.n_addresses; i++) {
        rp_target_authority(t, &t->target.addresses[i], authority);
        rp_trunk_set_add(t, text, address_format(&t->target.addresses[i], connect_to), authority);
    }
}

static bool rp_target_has(const union conn_address *addresses, size_t n, const char *address)
{
    char text[TARGET_TEXT_MAX];
    for (size_t i = 0; i < n; i++) {
        if (strcmp(target_format_address(&addresses[i], text), address) == 0)
            return true;
    }
    return false;
}

/* Addresses that the name has no more; sessions there stay until they end. */
static void rp_target_drop_others(struct rp_target *t, const union conn_address *addresses, size_t n)
{
    list_for_each_safe (it, tmp, &t->set->peers) {
        struct rp_peer *p = list_entry(it, struct rp_peer, link);
        if (!(p->names & t->bit) || rp_target_has(addresses, n, p->target))
            continue;
        p->names &= ~t->bit;
        if (p->names == 0) {
            log_info(&p->log, "no longer an address of %s", t->name.host);
            rp_peer_free(p);
        }
    }
}

static void rp_target_on_name(struct rp_name *name, const union conn_address *addresses, size_t n, const char *text)
{
    struct rp_target *t = container_of(name, struct rp_target, name);
    struct rp_trunk_set *set = t->set;
    for (size_t i = 0; i < n; i++) {
        if (t->proxy.host[0] != '\0')
            rp_target_add_proxy(t, &addresses[i]);
        else
            rp_target_add_address(t, &addresses[i]);
    }
    if (n > 0)
        rp_target_drop_others(t, addresses, n);
    else
        snprintf(set->trouble, sizeof set->trouble, "%.120s: %s", name->host, text);
    rp_trunk_set_count(set);
    rp_trunk_set_settle(set);
}

/* Whether there is an HTTP proxy between. */
static bool rp_target_find_proxy(struct rp_target *t)
{
    char host[ADDRESS_TEXT_MAX];
    const char *name = t->target.host;
    if (t->target.kind == TARGET_UNIX)
        return false;
    if (t->target.kind == TARGET_ADDRESSES)
        name = address_format_host(&t->target.addresses[0], host);
    return rp_http_proxy_find(t->set->env.http_proxy, name, &t->proxy);
}

static void rp_target_start_direct(struct rp_target *t)
{
    char text[TARGET_TEXT_MAX];
    switch (t->target.kind) {
    case TARGET_NAME:
        rp_name_start(&t->name, t->set->env.loop, t->target.host, t->target.port, rp_target_on_name);
        break;
    case TARGET_ADDRESSES:
        for (size_t i = 0; i < t->target.n_addresses; i++)
            rp_target_add_address(t, &t->target.addresses[i]);
        break;
    case TARGET_UNIX:
        rp_trunk_set_add(t, target_format_unix(t->target.path, text), NULL,
                         t->set->env.server_name ? t->set->env.server_name : "localhost");
        break;
    }
}

static void rp_target_start(struct rp_target *t)
{
    if (!rp_target_find_proxy(t)) {
        rp_target_start_direct(t);
        return;
    }
    log_debug(NULL, "%s:%u is the HTTP proxy", t->proxy.host, t->proxy.port);
    rp_name_start(&t->name, t->set->env.loop, t->proxy.host, t->proxy.port, rp_target_on_name);
}

/* --- Life */

static int rp_trunk_set_start(struct rp_trunk_set *set, const struct config_list *targets)
{
    for (size_t i = 0; i < targets->count; i++) {
        struct rp_target *t = &set->targets[i];
        t->set = set;
        t->bit = UINT64_C(1) << i;
        int r = target_parse(targets->items[i], RP_S_PROXY_PORT, &t->target);
        if (r < 0)
            return r;
        set->n_targets++;
        rp_target_start(t);
    }
    rp_trunk_set_count(set);
    return 0;
}

int rp_trunk_set_new(const struct rp_trunk_set_params *params, struct rp_trunk_set **ret_set)
{
    struct rp_trunk_set *set = calloc(1, sizeof *set + params->targets->count * sizeof set->targets[0]);
    if (!set)
        return err_set(-ENOMEM, "s-proxies: out of memory");
    set->env = params->env;
    set->metrics = params->metrics;
    list_init(&set->env.released);
    list_init(&set->peers);
    list_init(&set->waiting);
    loop_timer_init(&set->timer, set->env.loop, rp_trunk_set_on_timer);
    int r = rp_trunk_set_start(set, params->targets);
    if (r < 0) {
        rp_trunk_set_free(set);
        return r;
    }
    *ret_set = set;
    return 0;
}

struct rp_trunk_set *rp_trunk_set_free(struct rp_trunk_set *set)
{
    if (!set)
        return NULL;
    loop_timer_stop(&set->timer);
    for (unsigned i = 0; i < set->n_targets; i++)
        rp_name_stop(&set->targets[i].name);
    list_for_each_safe (it, tmp, &set->peers)
        rp_peer_free(list_entry(it, struct rp_peer, link));
    rp_trunk_free_released(&set->env);
    free(set);
    return NULL;
}
