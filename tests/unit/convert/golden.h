/* The wire format, written down by hand: MQTT bytes and, beside them, the protobuf bytes that they become. What stands
 * here must not change: the existing implementation and every release of ours speak it.
 *
 * Bytes are hex, 'text' is itself, spaces mean nothing. The protobuf side is a bare MqttPacket. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct golden {
    const char *name;
    uint8_t version; /* enum mqtt_version */
    const char *mqtt;
    const char *message;
};

extern const struct golden golden[];
extern const size_t golden_count;

/* Bytes of a text as above into DST, which has room for all of them. Returns how many. */
size_t golden_bytes(const char *text, uint8_t *dst, size_t dst_size);

/* The MQTT side of a row as a packet, which points into WIRE. */
enum { GOLDEN_MAX = 1024 };
void golden_packet(const struct golden *row, uint8_t wire[GOLDEN_MAX], struct mqtt_packet *ret);

#endif
