/* Packet -> protobuf-c structs: Mqttv3__MqttPacket and Mqttv5__MqttPacket, as generated from proto/.
 *
 * The form for users of the public library and, with protobuf_to_packet.h, in tests the oracle of the hand-written
 * form: both agree byte for byte, and about what is refused. The two generated sets of structs share their field
 * numbers, so the code goes by number through protobuf-c's descriptors, and one function serves all versions. Any
 * thread. */
#ifndef PACKET_TO_PROTOBUF_H
#define PACKET_TO_PROTOBUF_H

#include <protobuf-c/protobuf-c.h>

#include "mqtt_packet.h"

/* PACKET (which satisfies mqtt_packet_check()) as Mqttv3__MqttPacket or Mqttv5__MqttPacket, after its version: a deep
 * copy from ALLOCATOR (NULL: malloc). The caller frees it with protobuf_c_message_free_unpacked(). 0, or -ENOMEM with
 * nothing left behind. */
int packet_to_protobuf(const struct mqtt_packet *packet, ProtobufCAllocator *allocator, ProtobufCMessage **ret_message);

#endif
