/* Messages of a trunk by hand, for tests in which one of its sides is no trunk. */
#ifndef TRUNK_MESSAGES_H
#define TRUNK_MESSAGES_H

#include "trunk_frame.h"

enum { CLOSE_OK = 0, CLOSE_UNAVAILABLE = 1, CLOSE_LIMIT = 2, CLOSE_PROTOCOL = 3, CLOSE_LOST = 6 };

enum { MESSAGE_ROOM = 3 << 20 };
/* The message that put_*() add to; the test sends it and puts message_end back to its beginning. */
extern uint8_t message[MESSAGE_ROOM];
extern uint8_t *message_end;

void put_bytes(const void *bytes, size_t n);
void put_open(uint32_t lane, uint64_t sequence);
void put_packet(uint32_t lane, uint64_t sequence, const struct mqtt_packet *packet);
/* PUBLISH of version 5: NUMBER in the first four of N bytes of payload. */
void put_publish(uint32_t lane, uint64_t sequence, uint32_t number, size_t n);
void put_close(uint32_t lane, uint64_t sequence, uint32_t reason);
/* TOTAL 0: not the first. */
void put_piece(uint32_t lane, uint64_t sequence, uint32_t total, const char *data);
void put_credit(uint32_t lane, uint64_t bytes);
void put_controls(struct trunk_controls controls);
/* A peer with nothing special: windows of 256 KiB, MAX_LANES as s-proxy says them. */
struct trunk_controls good_hello(uint32_t max_lanes);
/* N bytes of PUBLISH number NUMBER; valid until the next call. */
struct mqtt_packet sample_publish(uint32_t number, size_t n);

#endif
