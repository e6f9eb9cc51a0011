/* A session of r-proxy: an id, a lane to s-proxy, the exchanges that are open. It begins with CONNECT and usually
 * outlives its client by a moment: what the client sent before it went is still carried over. */
#ifndef RP_SESSION_H
#define RP_SESSION_H

#include <stddef.h>

#include "lane.h"
#include "list.h"
#include "log.h"
#include "mqtt_client_rules.h"
#include "mqtt_dropped.h"
#include "mqtt_exchanges.h"
#include "rp_trunk_set.h"

struct rp_client;
struct rp_worker;
struct tenant;

struct rp_session {
    struct list link; /* in worker->sessions */
    struct rp_worker *worker;
    struct rp_client *client; /* NULL once it has gone */
    struct lane *lane;        /* NULL: it waits for a place */
    struct rp_trunk *trunk;   /* where the lane is */
    struct rp_place place;
    struct mqtt_packet *connect;    /* to be said, and said again elsewhere; NULL: the other side has answered */
    struct gate_wait *connect_wait; /* the client's packets behind CONNECT wait as long */
    unsigned n_lanes_lost;          /* before an answer */
    struct mqtt_client_rules rules; /* what the other side may say next */
    struct mqtt_exchanges exchanges;
    struct tenant *tenant;       /* NULL: none, packets pass as they are */
    struct mqtt_dropped dropped; /* what the client does not get because of it */
    struct log_object log;
    size_t owed_bytes;                  /* delivered by the lane, credit not returned yet */
    uint8_t id[TRUNK_SESSION_ID_BYTES]; /* random */
};

/* Find a place for C and say CONNECT there, as its tenant. 0: it is held (mqtt_io_hold()) until the other side has said
 * something, so an s-proxy that ends before is replaced by another and the client does not learn of it; what the client
 * has sent behind CONNECT has gone nowhere meanwhile, and is neither lost nor doubled. TENANT_REFUSED: it can be no
 * tenant, with *RET_FAULT. Or negative errno. The session frees itself when its lane has ended. */
int rp_session_open(struct rp_client *c, const struct mqtt_packet *connect, struct rp_session **ret_session,
                    struct mqtt_fault *ret_fault);
/* A packet of the other side has been delivered. S may be gone afterwards. */
void rp_session_answered(struct rp_session *s);
/* The client is gone: what it sent is delivered, then the lane ends. */
void rp_session_leave(struct rp_session *s);
/* Drop it at once: the process ends. */
void rp_session_kill(struct rp_session *s);

/* Bytes held for it here. */
size_t rp_session_buffered_bytes(const struct rp_session *s);
/* Take no more bytes from the other side, and go on. */
void rp_session_pause(struct rp_session *s, bool is_paused);

#endif
