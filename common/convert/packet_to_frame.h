/* Packet -> frame, by hand: from struct mqtt_packet straight to the bytes that protobuf-c would pack, for the hot path.
 *
 *     struct packet_frame f;
 *     packet_to_frame_plan(&f, packet, sequence, RELAY_CLIENT_TO_BROKER);     sizes, from the inside out
 *     dst = ... room for f.total_bytes ...
 *     packet_to_frame_write(&f, dst);                                         one pass; each payload byte is copied
 * once
 *
 *     MqttStreamMessage { sequence_id, direction, mqtt_v5_packet { publish { topic, ..., payload, properties } } }
 *                                                |<-- packet_to_message_plan() gives this part alone -->|
 *
 * Nothing is allocated and nothing can fail: the packet satisfies mqtt_packet_check(). Fields stand in the order of
 * their numbers, those with their default value are left out, members of a oneof and embedded messages are always
 * written: as protobuf-c does, so that both forms agree byte for byte. Any thread. */
#ifndef PACKET_TO_FRAME_H
#define PACKET_TO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

/* MessageDirection of proto/mqtt_relay.proto. */
enum relay_direction {
    RELAY_CLIENT_TO_BROKER = 0,
    RELAY_BROKER_TO_CLIENT = 1,
};

/* What the writer has to know before it begins, since protobuf puts lengths in front. Valid as long as the packet and
 * what it points to do not change. The caller reads total_bytes; the rest is private. */
struct packet_frame {
    const struct mqtt_packet *packet;
    size_t total_bytes; /* of the whole frame: below 3 * MQTT_PACKET_MAX, whatever the packet */
    uint64_t sequence;
    uint32_t message_bytes; /* of MqttPacket */
    uint32_t body_bytes;    /* of the message of the packet's type in it */
    uint32_t will_bytes;    /* of Will in Connect */
    uint8_t direction;
    bool has_envelope;
};

/* A frame of the relay service: MqttStreamMessage with PACKET in it. Returns total_bytes. */
size_t packet_to_frame_plan(struct packet_frame *ret, const struct mqtt_packet *packet, uint64_t sequence,
                            enum relay_direction direction);
/* The bare message: mqttv3.MqttPacket for 3.1 and 3.1.1, mqttv5.MqttPacket for 5.0. Returns total_bytes. */
size_t packet_to_message_plan(struct packet_frame *ret, const struct mqtt_packet *packet);

/* Write it to DST, which has room for f->total_bytes. Returns the byte behind. */
uint8_t *packet_to_frame_write(const struct packet_frame *f, uint8_t *dst);

#endif
