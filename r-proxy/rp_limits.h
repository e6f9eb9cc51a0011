/* What a client may ask for: --receive-maximum, --max-subscriptions, --max-topic-levels, --max-keep-alive.
 *
 *                     5.0                                             3.x, which cannot be told of limits
 *   receive-maximum   CONNACK says it; who sends more is closed, 0x93   QoS 1: not read until PUBACKs have come
 *   subscriptions     SUBACK 0x97 for the filters beyond                SUBACK 0x80
 *   topic levels      SUBACK 0x8F; PUBACK, PUBREC, CONNACK (will) 0x90  SUBACK 0x80; closed (CONNACK: without a word)
 *                     QoS 0: dropped                                    QoS 0: dropped
 *   keep-alive        CONNACK says it (Server Keep Alive)               who asks for more, or for none: CONNACK 5
 *
 * r-proxy says these words itself and the broker never sees what they are about. A PUBLISH with a Topic Alias is not
 * dropped, which would leave the two sides with different opinions of the alias: its client is closed. On the worker's
 * loop. */
#ifndef RP_LIMITS_H
#define RP_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate.h"
#include "mqtt_packet.h"
#include "mqtt_reason.h"
#include "rp_subscriptions.h"

struct mqtt_grants;
struct rp_client;
struct rp_options;

/* Of one client. */
struct rp_limits {
    struct rp_client *client;
    uint32_t receive_maximum; /* 0 = no limit, likewise below */
    uint32_t max_topic_levels;
    struct rp_subscriptions subscriptions;
};

/* Of C, which owns it. 0: *RET_LIMITS is NULL where the options set none that concerns packets behind CONNECT; or
 * -ENOMEM. */
int rp_limits_new(struct rp_client *c, struct rp_limits **ret_limits);
/* NULL is fine. Returns NULL. */
struct rp_limits *rp_limits_free(struct rp_limits *l);
/* Memory held, for the byte budget. NULL is fine. */
size_t rp_limits_bytes(const struct rp_limits *l);

/* True: the client of CONNECT is refused, *RET_FAULT says why. */
bool rp_limits_refuse_connect(const struct rp_client *c, const struct mqtt_packet *connect,
                              struct mqtt_fault *ret_fault);
/* What CONNACK may grant at most. Packet size: what the connection can carry, 0 = anything. */
struct mqtt_grants rp_limits_grants(const struct rp_options *o, uint32_t packet_bytes);
/* One packet of the client behind CONNECT: what is left of it goes on to rp_uplink_packet(). */
enum gate_answer rp_limits_uplink(struct rp_limits *l, const struct mqtt_packet *packet);
/* One packet to the client, behind CONNACK: as mqtt_io_send(). */
int rp_limits_downlink(struct rp_limits *l, const struct mqtt_packet *packet);

#endif
