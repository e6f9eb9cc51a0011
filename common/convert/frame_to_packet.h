/* Frame -> packet, by hand: from the bytes of an mqttv3.MqttPacket or mqttv5.MqttPacket straight to struct mqtt_packet.
 *
 *     frame bytes:  [ ... topic ... payload ... {property} {property} ... ]
 *                         ^         ^            \          /
 *     packet:             topic     payload       properties.wire --> scratch: MQTT's own form of the list
 *
 * The packet is a view: strings and payload point into the message; lists (properties, subscriptions, filters, reason
 * codes), which look different in MQTT, are rebuilt in the caller's scratch. Both must live as long as the packet. A
 * message without lists does not touch the scratch. Nothing is allocated.
 *
 * What protobuf leaves open is read as protobuf-c reads it, so that both forms agree about any bytes: unknown fields
 * are skipped, the last value of a field counts, the last member of a oneof counts, a known field with the wrong wire
 * type makes the message bad, groups too, repeated integers may be packed or not, integers are cut to 32 bits before
 * anything else is asked of them. What comes out has passed mqtt_packet_check(); a number that does not fit MQTT is
 * refused, never cut. Any thread. */
#ifndef FRAME_TO_PACKET_H
#define FRAME_TO_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"
#include "mqtt_reason.h"

enum convert_result {
    CONVERT_OK = 0,
    CONVERT_REFUSED, /* no legal message or packet; the fault has a reason code of 5.0 and a constant text */
    CONVERT_SCRATCH, /* a list does not fit the scratch: try again with frame_scratch_bytes() */
};

/* Scratch that suffices for any message of this length. Most messages need none: it is fine to offer a small one, or
 * none, and to come back with this much after CONVERT_SCRATCH.
 *
 * Proof, by the shortest protobuf form of what the lists hold (tag and length of each entry included) against MQTT's
 * form: property with 32 bits: 4 bytes -> 5; with bool, 8 or 16 bits or varint: 4 -> at most 3 (varint: as long as
 * protobuf's own); string or binary of n: 4 + n -> 3 + n; user property of k and v bytes: 5 + k + v -> 5 + k + v
 * (longer if k or v > 0); subscription with a filter of n >= 1 (an empty one is refused before it is written): 4 + n ->
 * 3 + n; filter of n: 2 + n -> 2 + n; reason code: 1 -> 1. No byte of the message is in two lists, so all lists
 * together have at most 5/4 of its length. */
static inline size_t frame_scratch_bytes(size_t message_bytes)
{
    return message_bytes + message_bytes / 4;
}

/* Which of the two MqttPacket messages the bytes are. */
enum frame_family {
    FRAME_MQTTV3 = 3, /* 3.1 and 3.1.1 */
    FRAME_MQTTV5 = 5,
};

/* Bytes and the scratch for its lists. */
struct frame_source {
    struct mqtt_bytes message;
    uint8_t *scratch; /* may be NULL if scratch_bytes is 0 */
    size_t scratch_bytes;
    uint8_t family;          /* enum frame_family */
    uint8_t session_version; /* enum mqtt_version; 0 = not known: a message of mqttv3 must be CONNECT then, which tells
                                it */
};

/* Returns enum convert_result. *RET_PACKET and *RET_FAULT are written in any case and mean something after CONVERT_OK
 * or CONVERT_REFUSED, respectively. Faults: 0x81 where the bytes are wrong, 0x82 or what mqtt_packet_check() says where
 * the packet is; a packet of another version than the session's is 0x82. */
int frame_to_packet(const struct frame_source *source, struct mqtt_packet *ret_packet, struct mqtt_fault *ret_fault);

/* Whether SOURCE is protobuf and no known field of it has a wrong wire type, whatever packet it makes. The scratch is
 * not needed. */
bool frame_is_well_formed(const struct frame_source *source);
/* The text of the fault where it is not. */
extern const char *const frame_malformed_text;

#endif
