/* The exchanges of one session that are open, both ways: what a proxy has to see through before it may let go of a
 * client. */
#ifndef MQTT_EXCHANGES_H
#define MQTT_EXCHANGES_H

#include <stdbool.h>

#include "mqtt_inflight.h"

struct mqtt_exchanges {
    struct mqtt_inflight uplink;   /* begun by the client */
    struct mqtt_inflight downlink; /* begun by the broker */
};

static inline void mqtt_exchanges_init(struct mqtt_exchanges *e)
{
    mqtt_inflight_init(&e->uplink);
    mqtt_inflight_init(&e->downlink);
}

static inline void mqtt_exchanges_deinit(struct mqtt_exchanges *e)
{
    mqtt_inflight_clear(&e->uplink);
    mqtt_inflight_clear(&e->downlink);
}

/* P has passed from the client to the broker. 0 or -ENOMEM. */
static inline int mqtt_exchanges_pass_up(struct mqtt_exchanges *e, const struct mqtt_packet *p)
{
    mqtt_inflight_answered(&e->downlink, p);
    int r = mqtt_inflight_sent(&e->uplink, p);
    return r < 0 ? r : 0;
}

/* P has passed from the broker to the client. 0 or -ENOMEM. */
static inline int mqtt_exchanges_pass_down(struct mqtt_exchanges *e, const struct mqtt_packet *p)
{
    mqtt_inflight_answered(&e->uplink, p);
    int r = mqtt_inflight_sent(&e->downlink, p);
    return r < 0 ? r : 0;
}

static inline bool mqtt_exchanges_are_done(const struct mqtt_exchanges *e)
{
    return mqtt_inflight_count(&e->uplink) == 0 && mqtt_inflight_count(&e->downlink) == 0;
}

/* Whether P begins a QoS 1 or 2 exchange that a draining proxy leaves to its sender: unacknowledged, it is sent again
 * on the next connection, so nothing is lost (MQTT-4.4.0-1). */
static inline bool mqtt_exchange_begins(const struct mqtt_packet *p)
{
    return p->type == MQTT_PUBLISH && p->publish.qos > 0;
}

#endif
