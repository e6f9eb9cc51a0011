/* A broker that is a socket of the test: one connection at a time, packets read and written as the test says. */
#ifndef SCRIPTED_BROKER_H
#define SCRIPTED_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"
#include "url.h"

struct loop;

/* Listens on loopback, under the URL returned, and turns LOOP while it waits. */
struct url scripted_listen(struct loop *loop);
/* Nobody listens there any more; a connection stays. */
void scripted_deafen(void);
void scripted_hang_up(void);
/* Everything ends. */
void scripted_close(void);

/* The next packet, which is of this type; valid until the next one is read. */
const struct mqtt_packet *scripted_expect(enum mqtt_type type);
/* The next connection, in place of the one before, and its CONNECT. */
const struct mqtt_packet *scripted_expect_connect(void);
/* Nothing has come, after some turns. */
void scripted_expect_nothing(void);

/* In the version of the last CONNECT. */
void scripted_send(struct mqtt_packet packet);
void scripted_connack(uint8_t reason, bool is_session_present, struct mqtt_bytes properties);
void scripted_suback(const uint8_t *codes, uint32_t n);
void scripted_ack(enum mqtt_type type, uint16_t id, uint8_t reason);

#endif
