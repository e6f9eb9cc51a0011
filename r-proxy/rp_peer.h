/* One address of an s-proxy: keeps a trunk (rp_trunk.h) to it up.
 *
 *   trying ----up----> up ----lost, draining----> waiting (100 ms .. 5 s, doubled each time, with jitter) ----> trying
 *      '---failed-----------------------------------^
 *
 * A session without a trunk waits for the attempt that is going on, or for the next one if that is soon; when it has
 * failed the client hears that there is no way. */
#ifndef RP_PEER_H
#define RP_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "rp_trunk.h"
#include "target.h"

struct rp_peer;

/* Something has changed; TEXT is what was wrong, NULL if nothing was. */
typedef void rp_peer_fn(struct rp_peer *p, const char *text, void *arg);

struct rp_peer_params {
    struct rp_trunk_env *env;
    const char *target, *authority; /* see rpc_channel.h; used during the call */
    const char *connect_to;         /* likewise; NULL: TARGET is the s-proxy, no HTTP proxy */
    const char *proxy_login;        /* likewise, but outlives the peer */
    rp_peer_fn *on_change;
    void *arg;
};

enum { RP_AUTHORITY_MAX = 264 }; /* a host name, its port */

struct rp_peer {
    struct list link; /* for the owner */
    uint64_t names;   /* for the owner: bit per configured target that has this address */
    uint32_t dice;    /* random: which one of equally loaded peers comes first, so that not all workers agree */
    struct rp_trunk_env *env;
    struct rp_trunk *trunk; /* NULL: waiting */
    rp_peer_fn *on_change;
    void *arg;
    struct loop_timer timer;
    struct log_object log;
    struct log_limit log_limit;
    uint64_t up_at_ms;       /* 0: not up */
    uint64_t failed_at_ms;   /* the last attempt that failed */
    uint32_t backoff_ms;     /* of the last wait */
    bool has_failed;         /* since it was up for a while, or from the beginning */
    const char *proxy_login; /* NULL: none */
    char authority[RP_AUTHORITY_MAX];
    char connect_to[RP_AUTHORITY_MAX]; /* "": no HTTP proxy */
    char target[TARGET_TEXT_MAX];
};

/* Begins to connect. on_change runs later, never from inside this call. 0 or negative errno. */
int rp_peer_new(const struct rp_peer_params *params, struct rp_peer **ret_peer);
/* Sessions that are on its trunk stay there until they end. NULL is fine. */
struct rp_peer *rp_peer_free(struct rp_peer *p);

/* Takes sessions. */
bool rp_peer_is_healthy(const struct rp_peer *p);
/* It does not, but may in a moment: nothing has failed since SINCE_MS, and the next attempt is not far. */
bool rp_peer_is_hopeful(const struct rp_peer *p, uint64_t since_ms);

#endif
