/* How fast a client may send: --max-message-rate (PUBLISH packets) and --max-byte-rate (all packets), each in a second,
 * with a second's worth saved up. Who is faster is not read for as long as it takes, and TCP holds it back; nobody is
 * disconnected, and the keep-alive time does not pass meanwhile. On the worker's loop. */
#ifndef RP_PACE_H
#define RP_PACE_H

#include "loop.h"
#include "token_bucket.h"

struct mqtt_packet;
struct rp_client;

struct rp_pace {
    struct rp_client *client;
    struct loop_timer timer; /* until it is read again */
    struct token_bucket messages, bytes;
};

/* Of C, which owns it. 0: *RET_PACE is NULL where the options set no limit; or -ENOMEM. */
int rp_pace_new(struct rp_client *c, struct rp_pace **ret_pace);
/* NULL is fine. Returns NULL. */
struct rp_pace *rp_pace_free(struct rp_pace *p);
/* PACKET of the client is on its way. */
void rp_pace_count(struct rp_pace *p, const struct mqtt_packet *packet);

#endif
