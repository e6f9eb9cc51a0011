/* Packets -> MQTT bytes, all versions, in the shortest legal form (a PUBACK of 5.0 with reason 0 and no properties has
 * a body of two bytes). P satisfies mqtt_packet_check(): nothing is checked here.
 *
 *     uint8_t *dst = bufq_reserve(q, mqtt_encode_size(p));
 *     bufq_commit(q, mqtt_encode(p, dst)); */
#ifndef MQTT_ENCODE_H
#define MQTT_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

/* Bytes of the whole packet. Above MQTT_PACKET_MAX it cannot be encoded (properties were added to a packet that was
 * full). */
size_t mqtt_encode_size(const struct mqtt_packet *p);
/* Write P to DST, which has room for mqtt_encode_size(P) <= MQTT_PACKET_MAX bytes. Returns how many were written. */
size_t mqtt_encode(const struct mqtt_packet *p, uint8_t *dst);

/* Everything of a PUBLISH but its payload, which goes by reference behind it. DST has room for
 * mqtt_encode_size(P) - P->publish.payload.len bytes. Returns how many were written. */
size_t mqtt_encode_publish_head(const struct mqtt_packet *p, uint8_t *dst);

#endif
