/* Protobuf-c structs -> packet; see packet_to_protobuf.h. */
#ifndef PROTOBUF_TO_PACKET_H
#define PROTOBUF_TO_PACKET_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "frame_to_packet.h"
#include "mqtt_packet.h"

/* MESSAGE (Mqttv3__MqttPacket or Mqttv5__MqttPacket) as a packet, which points into MESSAGE and, for its lists, into
 * SCRATCH. Everything else is as with frame_to_packet(): enum convert_result, SESSION_VERSION, faults. A message that
 * protobuf_c_message_check() does not like is refused. */
int protobuf_to_packet(const ProtobufCMessage *message, uint8_t session_version, uint8_t *scratch, size_t scratch_bytes,
                       struct mqtt_packet *ret_packet, struct mqtt_fault *ret_fault);

/* The scratch that it needs for MESSAGE; 0 if MESSAGE has no lists. */
size_t protobuf_scratch_bytes(const ProtobufCMessage *message);

#endif
