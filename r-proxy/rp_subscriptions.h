/* What a client has subscribed to, as far as --max-subscriptions and --max-topic-levels ask. Pure: no clock, no I/O.
 *
 *   SUBSCRIBE a b c --rp_subscriptions_ask()--> SUBSCRIBE a c --> broker      b: one too many, or too deep
 *   SUBACK 0 - 97 1 <--rp_subscriptions_answered()-- SUBACK 0 1 <-- broker    the codes come back in their places
 *
 * Different filters are counted, from SUBSCRIBE to UNSUBSCRIBE; what the broker refuses counts no more. What a
 * persistent session has subscribed to on earlier connections is not known here and does not count until it is
 * subscribed to again. One thread. */
#ifndef RP_SUBSCRIPTIONS_H
#define RP_SUBSCRIPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "map.h"
#include "mqtt_packet.h"

struct rp_subscriptions {
    uint32_t max;        /* 0 = no limit, likewise below */
    uint32_t max_levels; /* of a filter */
    struct map filters;  /* of struct rp_filter: what counts */
    struct list asked;   /* of struct rp_asked: SUBSCRIBEs whose SUBACK matters here, oldest first */
    size_t bytes;        /* that both hold */
};

void rp_subscriptions_init(struct rp_subscriptions *s, uint32_t max, uint32_t max_levels);
void rp_subscriptions_deinit(struct rp_subscriptions *s);

struct rp_subscriptions_reply {
    /* For the broker; type 0: nothing goes there. */
    struct mqtt_packet subscribe;
    /* For the client; type 0: it waits for the broker's. */
    struct mqtt_packet suback;
    uint32_t n_too_many, n_too_deep; /* filters refused */
    uint8_t *memory;                 /* that the packets point into; the caller's, free() */
};

/* The client's SUBSCRIBE. 0 or -ENOMEM with err_text(). */
int rp_subscriptions_ask(struct rp_subscriptions *s, const struct mqtt_packet *subscribe,
                         struct rp_subscriptions_reply *ret);
/* The broker's SUBACK: *RET is what goes to the client and may point into *RET_MEMORY (NULL or the caller's to free()).
 * 0, or negative errno with err_text(): it does not fit to its SUBSCRIBE, or memory is short. */
int rp_subscriptions_answered(struct rp_subscriptions *s, const struct mqtt_packet *suback, struct mqtt_packet *ret,
                              uint8_t **ret_memory);
/* The client's UNSUBSCRIBE goes to the broker. */
void rp_subscriptions_drop(struct rp_subscriptions *s, const struct mqtt_packet *unsubscribe);

#endif
