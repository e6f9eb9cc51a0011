/* Deliveries of a broker that cannot pass to their client, and that a proxy takes in its place: not acknowledged, they
 * would be sent again for ever.
 *
 *     PUBLISH of QoS 1 --mqtt_dropped_publish()--> PUBACK
 *     PUBLISH of QoS 2 --mqtt_dropped_publish()--> PUBREC     PUBREL --mqtt_dropped_check()--> PUBCOMP
 *
 * A Topic Alias that a dropped PUBLISH has set is not known to the client: mqtt_dropped_check() puts the topic back
 * into those that follow with the alias alone.
 *
 * Nothing is kept until something is dropped. One thread. */
#ifndef MQTT_DROPPED_H
#define MQTT_DROPPED_H

#include "mqtt_compose.h"

struct mqtt_dropped_list;

struct mqtt_dropped {
    struct mqtt_dropped_list *list; /* NULL: nothing was dropped */
};

enum {
    MQTT_DROPPED = 1,        /* the packet goes no further */
    MQTT_DROPPED_ANSWER = 2, /* likewise, and *ret_answer goes to the broker */
};

/* So many aliases of dropped messages are kept: no broker needs more than a few. */
enum { MQTT_DROPPED_ALIASES_MAX = 64 };

static inline void mqtt_dropped_init(struct mqtt_dropped *d)
{
    d->list = NULL;
}
/* Forgets everything; it may be used again. */
void mqtt_dropped_clear(struct mqtt_dropped *d);

/* PUBLISH, of the broker, does not pass; mqtt_dropped_check() has seen it. MQTT_DROPPED, MQTT_DROPPED_ANSWER, or
 * -ENOMEM or -ENOBUFS (too many aliases) with err_text(). */
int mqtt_dropped_publish(struct mqtt_dropped *d, const struct mqtt_packet *publish, struct mqtt_reply *ret_answer);

int mqtt_dropped_check_list(struct mqtt_dropped *d, struct mqtt_packet *p, struct mqtt_reply *ret_answer);
/* Each packet of the broker, before it passes. 0: it may; *P may have got a topic, which lasts until the next call.
 * MQTT_DROPPED_ANSWER: it belongs to what has not passed. */
static inline int mqtt_dropped_check(struct mqtt_dropped *d, struct mqtt_packet *p, struct mqtt_reply *ret_answer)
{
    return d->list ? mqtt_dropped_check_list(d, p, ret_answer) : 0;
}

#endif
