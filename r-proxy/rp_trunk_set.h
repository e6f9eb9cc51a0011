/* The s-proxies of a worker: a trunk to each of their addresses, and the choice of one for each new session.
 *
 *   --s-proxy TARGET --rp_name: addresses, every 30 s--> rp_peer: one for each address --> rp_trunk --> sessions
 *
 * Behind an HTTP proxy (rp_http_proxy.h) the addresses are the proxy's, and it is asked for the target.
 *
 * Trunks are opened at start and again whenever they are lost. A session goes to the healthy one with the fewest
 * sessions. If none is healthy but one may be in a moment, it waits for that, though not for long. If all have failed
 * and are not tried again soon it is refused at once. On the worker's loop. */
#ifndef RP_TRUNK_SET_H
#define RP_TRUNK_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "loop.h"
#include "rp_trunk.h"

struct config_list;
struct rp_metrics;
struct rp_place;
struct rp_trunk_set;

enum {
    RP_TARGETS_MAX = 64,        /* configured */
    RP_PLACE_TIMEOUT_MS = 5000, /* the longest that a session waits for its place */
};

struct rp_trunk_set_params {
    struct rp_trunk_env env;
    const struct config_list *targets; /* checked; outlive the set */
    struct rp_metrics *metrics;
};

/* 0 or negative errno. */
int rp_trunk_set_new(const struct rp_trunk_set_params *params, struct rp_trunk_set **ret_set);
/* No session is there any more. NULL is fine. */
struct rp_trunk_set *rp_trunk_set_free(struct rp_trunk_set *set);

/* T may be used now; NULL: there is no way, TEXT says why (valid during the call). */
typedef void rp_place_fn(struct rp_place *place, struct rp_trunk *t, const char *text);

/* A session that looks for a trunk; part of the session. */
struct rp_place {
    struct list link; /* in set->waiting; linked to itself: does not wait */
    struct rp_trunk_set *set;
    rp_place_fn *fn;
    uint64_t since_ms;
    const struct rp_trunk *avoid; /* chosen last; may be gone */
};

void rp_place_init(struct rp_place *place, struct rp_trunk_set *set, rp_place_fn *fn);
enum { RP_PLACE_LATER = 1 };
/* 0: *RET_TRUNK, for rp_trunk_open_lane() at once (if that says -ENOSPC, ask again). RP_PLACE_LATER: place->fn comes,
 * once, unless cancelled. -EHOSTUNREACH with err_text(): there is no way. */
int rp_place_find(struct rp_place *place, struct rp_trunk **ret_trunk);
/* Whether there is a place now that is not on T. */
bool rp_place_has_other(const struct rp_place *place, const struct rp_trunk *t);
/* Nothing comes any more. Fine if nothing was to come. */
void rp_place_cancel(struct rp_place *place);

#endif
