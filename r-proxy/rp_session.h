/* A session of r-proxy: an id, a lane to s-proxy, the exchanges that are open. It begins with CONNECT and usually
 * outlives its client by a moment: what the client sent before it went is still carried over. */
#ifndef RP_SESSION_H
#define RP_SESSION_H

#include <stddef.h>

#include "lane.h"
#include "list.h"
#include "log.h"
#include "mqtt_client_rules.h"
#include "mqtt_exchanges.h"

struct rp_client;
struct rp_worker;

enum { RP_SESSION_ID_BYTES = 16 }; /* 128 random bits */

struct rp_session {
    struct list link; /* in worker->sessions */
    struct rp_worker *worker;
    struct rp_client *client; /* NULL once it has gone */
    struct lane *lane;
    struct gate_wait *connect_wait; /* the client's packets behind CONNECT wait until the other side is known */
    struct mqtt_client_rules rules; /* what the other side may say next */
    struct mqtt_exchanges exchanges;
    struct log_object log;
    size_t owed_bytes; /* delivered by the lane, credit not returned yet */
    char id[2 * RP_SESSION_ID_BYTES + 1];
};

/* Open a lane for C and send CONNECT over it. 0 or negative errno. The session frees itself when its lane has ended. */
int rp_session_open(struct rp_client *c, const struct mqtt_packet *connect, struct rp_session **ret_session);
/* The client is gone: what it sent is delivered, then the lane ends. */
void rp_session_leave(struct rp_session *s);
/* Drop it at once: the process ends. */
void rp_session_kill(struct rp_session *s);

#endif
