/* Random packets that are valid, from a seed: for round trips through the codec and through the conversion to frames.
 *
 *     struct packet_gen g;
 *     packet_gen_init(&g, seed);
 *     for (int i = 0; i < 1000; i++) {
 *         struct mqtt_packet p;
 *         packet_gen_next(&g, MQTT_V5, &p);          a view; it lasts until the next call
 *         ...
 *     }
 *     packet_gen_deinit(&g);
 *
 * The same seed gives the same packets. Edges are preferred to the middle: empty and absent, one and the most, the
 * first and last code point of each UTF-8 length, now and then a string of 65,535 bytes, properties in any order and
 * repeated where they may be. What comes out satisfies mqtt_packet_check(). One thread. */
#ifndef PACKET_GEN_H
#define PACKET_GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct packet_gen {
    uint64_t state;     /* of the random numbers */
    uint8_t *arena;     /* what the present packet points into */
    size_t used;        /* bytes of it */
    unsigned huge_left; /* strings of 65,535 bytes that the present packet may still have */
};

/* Ends the program if memory is short: it is a test. */
void packet_gen_init(struct packet_gen *g, uint64_t seed);
void packet_gen_deinit(struct packet_gen *g);

/* A packet of any type that VERSION (enum mqtt_version) has. */
void packet_gen_next(struct packet_gen *g, uint8_t version, struct mqtt_packet *ret);
/* A packet of this type. */
void packet_gen_type(struct packet_gen *g, uint8_t version, uint8_t type, struct mqtt_packet *ret);

/* 0 .. N - 1. */
uint32_t packet_gen_below(struct packet_gen *g, uint32_t n);
/* Whether one in N. */
bool packet_gen_one_in(struct packet_gen *g, uint32_t n);

#endif
