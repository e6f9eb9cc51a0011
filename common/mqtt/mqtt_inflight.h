/* Packet ids in use and how far each exchange has come, for one direction of one connection or session (MQTT 5.0
 * sections 2.2.1 and 4.3): the side that sends PUBLISH, SUBSCRIBE and UNSUBSCRIBE has one, for the ids it chose.
 *
 *     QoS 1   PUBLISH_1 --PUBACK--> gone
 *     QoS 2   PUBLISH_2 --PUBREC--> PUBREC --PUBREL--> PUBREL --PUBCOMP--> gone        (PUBREC >= 0x80: gone)
 *             SUBSCRIBE --SUBACK--> gone       UNSUBSCRIBE --UNSUBACK--> gone
 *
 * A small set with open addressing: a few entries lie in the struct itself, more on the heap; empty it holds no memory.
 * Every call is O(1). One thread. */
#ifndef MQTT_INFLIGHT_H
#define MQTT_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"

enum mqtt_inflight_state {
    MQTT_INFLIGHT_NONE = 0,  /* the id is free */
    MQTT_INFLIGHT_PUBLISH_1, /* PUBLISH of QoS 1 sent */
    MQTT_INFLIGHT_PUBLISH_2, /* PUBLISH of QoS 2 sent */
    MQTT_INFLIGHT_PUBREC,    /* QoS 2: PUBREC has passed, PUBREL is due */
    MQTT_INFLIGHT_PUBREL,    /* QoS 2: PUBREL sent, PUBCOMP is due */
    MQTT_INFLIGHT_SUBSCRIBE,
    MQTT_INFLIGHT_UNSUBSCRIBE,
    MQTT_INFLIGHT_PUBREL_ALONE, /* PUBREL of an exchange that began on an earlier connection, PUBCOMP is due: the quota
                                 * of Receive Maximum is new with each connection, and it has taken nothing from this
                                 * one */
};

enum {
    MQTT_INFLIGHT_IN_USE = 1,  /* the id was in use already */
    MQTT_INFLIGHT_UNKNOWN = 2, /* the id is not in use, or not by such an exchange */
};

enum { MQTT_INFLIGHT_INLINE = 8 };

struct mqtt_inflight {
    uint32_t *slots;        /* id << 16 | state, 0 = free; NULL while the inline ones are enough */
    uint32_t n_slots;       /* of slots; a power of two */
    uint32_t count;         /* exchanges open */
    uint32_t publish_count; /* of these, PUBLISHes that count against Receive Maximum (section 4.9) */
    uint32_t qos_1_count;   /* of these, PUBLISHes of QoS 1 */
    uint32_t inline_slots[MQTT_INFLIGHT_INLINE]; /* the table while it is small */
};

void mqtt_inflight_init(struct mqtt_inflight *f);
/* Forgets everything; the set may be used again. */
void mqtt_inflight_clear(struct mqtt_inflight *f);

/* The exchange of ID (not 0) begins. 0, MQTT_INFLIGHT_IN_USE (nothing changed) or -ENOMEM. */
int mqtt_inflight_add(struct mqtt_inflight *f, uint16_t id, enum mqtt_inflight_state state);
/* How far the exchange of ID is; MQTT_INFLIGHT_NONE if there is none. */
enum mqtt_inflight_state mqtt_inflight_find(const struct mqtt_inflight *f, uint16_t id);
/* The exchange of ID is in another state now. 0 or MQTT_INFLIGHT_UNKNOWN. */
int mqtt_inflight_advance(struct mqtt_inflight *f, uint16_t id, enum mqtt_inflight_state state);
/* The exchange has ended. 0 or MQTT_INFLIGHT_UNKNOWN. */
int mqtt_inflight_remove(struct mqtt_inflight *f, uint16_t id);

static inline uint32_t mqtt_inflight_count(const struct mqtt_inflight *f)
{
    return f->count;
}

/* PUBLISHes that have taken from the Receive Maximum and not given back. */
static inline uint32_t mqtt_inflight_publish_count(const struct mqtt_inflight *f)
{
    return f->publish_count;
}

/* PUBLISHes of QoS 1 without their PUBACK. */
static inline uint32_t mqtt_inflight_qos_1_count(const struct mqtt_inflight *f)
{
    return f->qos_1_count;
}

/* Walk the set, in no order: *POS starts at 0. False at the end. No add or remove while walking. */
bool mqtt_inflight_next(const struct mqtt_inflight *f, uint32_t *pos, uint16_t *ret_id,
                        enum mqtt_inflight_state *ret_state);

/* A packet has passed in this direction: PUBLISH, PUBREL, SUBSCRIBE, UNSUBSCRIBE are entered, others are nothing to the
 * set. A repeat (DUP) of an open exchange changes nothing. 0, MQTT_INFLIGHT_IN_USE (the id belongs to another kind of
 * exchange), MQTT_INFLIGHT_UNKNOWN (PUBREL of an id that is not in use: it is entered, since its PUBCOMP will come) or
 * -ENOMEM. */
int mqtt_inflight_sent(struct mqtt_inflight *f, const struct mqtt_packet *p);
/* A packet has passed in the other direction: PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK end or advance an exchange,
 * others are nothing to the set. 0 or MQTT_INFLIGHT_UNKNOWN (nothing such is open). */
int mqtt_inflight_answered(struct mqtt_inflight *f, const struct mqtt_packet *p);

#endif
