/* One connection to one address of an s-proxy, and the sessions on it: in a trunk, or, where the s-proxy does not know
 * trunks, each in a stream of its own (relay service).
 *
 *                  hello                     the s-proxy drains
 *   CONNECTING ------------> READY -----------------------> DRAINING --.
 *     |   |  UNIMPLEMENTED    ^ a later trial                          | lost
 *     |   '--------------> RELAY --- connection lost ------------------+--> OVER
 *     '-- failed ------------------------------------------------------'
 *
 * It is one attempt: who wants another one makes it. The owner hears of each change of state until it lets go
 * (rp_trunk_release()); from then on the trunk stays for its sessions and goes with the last of them. On the worker's
 * loop. */
#ifndef RP_TRUNK_H
#define RP_TRUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "log.h"
#include "loop.h"
#include "trunk.h"

struct mailbox;
struct rpc_channel;
struct rpc_cq;
struct rpc_tls;
struct rpc_tokens;
struct rp_trunk;

enum rp_trunk_state {
    RP_TRUNK_CONNECTING,
    RP_TRUNK_READY,
    RP_TRUNK_RELAY,
    RP_TRUNK_DRAINING, /* lanes go on, no new ones */
    RP_TRUNK_OVER,     /* no new sessions; streams of the relay service end by themselves */
};

/* What all trunks of a worker share. */
struct rp_trunk_env {
    struct rpc_cq *cq;
    struct loop *loop;
    struct mailbox *mailbox;
    const struct trunk_options *options;
    struct trunk_metrics *metrics;
    struct rpc_tls *tls;       /* NULL: in clear text */
    struct rpc_tokens *tokens; /* NULL: none are shown */
    const char *server_name;   /* for all targets; NULL: each has its own */
    const char *http_proxy;    /* its URL; NULL: what the environment says */
    int service;               /* enum trunk_service */
    struct list released;      /* of struct rp_trunk: without owner */
};

/* The state is another one; TEXT says why, valid during the call. */
typedef void rp_trunk_fn(struct rp_trunk *t, const char *text, void *owner);

struct rp_trunk {
    struct list link; /* in env->released */
    struct rp_trunk_env *env;
    struct rpc_channel *channel;
    struct trunk *trunk;    /* NULL: none is open */
    rp_trunk_fn *on_change; /* NULL: released */
    void *owner;
    struct loop_timer trial; /* RELAY: whether there are trunks by now */
    struct loop_task reap;
    struct log_object log;
    unsigned n_sessions;
    unsigned full_lanes; /* with so many lanes the s-proxy takes no more; 0: not known */
    uint8_t state;       /* enum rp_trunk_state: changed by rp_trunk_enter() alone */
};

struct rp_trunk_params {
    struct rp_trunk_env *env;
    const char *target, *authority, *connect_to, *proxy_login; /* see rpc_channel.h; used during the call */
    rp_trunk_fn *on_change;
    void *owner;
};

/* Begin to connect. on_change runs later, never from inside this call. 0 or negative errno. */
int rp_trunk_open(const struct rp_trunk_params *params, struct rp_trunk **ret_trunk);
/* The owner has done with it, and hears nothing more. NULL is fine. */
struct rp_trunk *rp_trunk_release(struct rp_trunk *t);
/* Free those that were released; none of them has a session. */
void rp_trunk_free_released(struct rp_trunk_env *env);

/* Whether a session may be placed on it. */
bool rp_trunk_is_healthy(const struct rp_trunk *t);
/* It is up, but has as many sessions as the s-proxy takes. */
bool rp_trunk_is_full(const struct rp_trunk *t);

struct rp_trunk_lane_params {
    const uint8_t *session_id;         /* TRUNK_SESSION_ID_BYTES */
    const struct trunk_client *client; /* what s-proxy learns of the client, by a trunk only; NULL: nothing. Copied */
    const struct mqtt_packet *connect; /* sent first; copied */
};
/* A lane for a session, which counts until rp_trunk_leave(). 0; -ENOSPC: the s-proxy takes no more on this trunk, try
 * another; other negative errno. */
int rp_trunk_open_lane(struct rp_trunk *t, const struct rp_trunk_lane_params *params, const struct lane_cbs *cbs,
                       void *arg, struct lane **ret_lane);
/* The lane has ended or been freed. */
void rp_trunk_leave(struct rp_trunk *t);

#endif
