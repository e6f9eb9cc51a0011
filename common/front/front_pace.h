/* How fast a client may send: --max-message-rate (PUBLISH packets) and --max-byte-rate (all packets), each in a second,
 * with a second's worth saved up. Who is faster is not read for as long as it takes, and TCP holds it back; nobody is
 * disconnected, and the keep-alive time does not pass meanwhile. On the worker's loop. */
#ifndef FRONT_PACE_H
#define FRONT_PACE_H

#include <stdint.h>

#include "loop.h"
#include "metrics.h"
#include "token_bucket.h"

struct front_options;
struct log_object;
struct mqtt_io;
struct mqtt_packet;

/* Spends for PACKET what several clients have together. Returns for how many ms nothing more of this one should come.
 */
typedef uint64_t front_pace_share_fn(const struct mqtt_packet *packet, uint64_t now_ms, void *arg);

struct front_pace_params {
    struct loop *loop;
    struct mqtt_io *io;           /* this and all below outlive the pace */
    unsigned pause_bit;           /* of mqtt_io_pause() */
    metric *pauses;               /* counted */
    const struct log_object *log; /* of the client */
    front_pace_share_fn *share;   /* NULL: nothing is shared */
    const char *share_name;       /* what limits that, for the log */
    void *arg;                    /* of `share` */
};

struct front_pace {
    struct front_pace_params params;
    struct loop_timer timer; /* until it is read again */
    struct token_bucket messages, bytes;
};

/* Of one client. 0: *RET_PACE is NULL where OPTIONS set no limit and nothing is shared; or -ENOMEM. */
int front_pace_new(const struct front_options *options, const struct front_pace_params *params,
                   struct front_pace **ret_pace);
/* NULL is fine. Returns NULL. */
struct front_pace *front_pace_free(struct front_pace *p);
/* PACKET of the client is on its way. */
void front_pace_count(struct front_pace *p, const struct mqtt_packet *packet);

#endif
