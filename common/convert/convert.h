/* libmqtt-convert: MQTT control packets as protobuf messages and back, for MQTT 3.1, 3.1.1 and 5.0.
 *
 *                    mqtt_decode.h                mqtt_convert_packet_to_*
 *     MQTT bytes  <---------------->  struct mqtt_packet  <------------>  protobuf-c structs (mqttv3.pb-c.h,
 * mqttv5.pb-c.h) |          mqtt_encode.h            |                           protobuf bytes: mqttv3.MqttPacket,
 * mqttv5.MqttPacket |                                   |                           relay frames:
 * mqtt.MqttStreamMessage
 *         +--------- mqtt_convert_bytes_to_message, mqtt_convert_message_to_bytes: in one call ----------+
 *
 * Every legal packet becomes a message and comes back as the same packet: nothing is lost, added or cut. What is not a
 * legal packet is refused, in both directions, with the reason code that MQTT 5.0 has for it and a constant text. What
 * bytes mean is written in the .proto files that are installed with this library (share/mqtt-convert).
 *
 * Invariants and threads:
 *  - There is no state, nothing to initialise and nothing global: any thread may call anything at any time, on objects
 * that no other thread changes meanwhile.
 *  - Results are enum mqtt_convert_result, or -ENOMEM. Out parameters (ret_...) are written only as said; *RET_FAULT is
 * written with MQTT_CONVERT_REFUSED only.
 *  - Pointers into a caller's memory are never kept after a call, except where a result is said to be a view.
 *  - No function calls back, logs, does I/O or ends the program.
 *
 * Life cycle: what a function gives in new memory says how to free it. A struct mqtt_packet * that this library gives
 * is one allocation which points into itself only: free() it.
 *
 * Beside this header, mqtt_packet.h (the packet), mqtt_property.h and mqtt_reason.h (what is in it), mqtt_decode.h and
 * mqtt_encode.h (its MQTT form) and mqtt_check.h (is it legal) may be used; they are part of the library. Compile with
 * `pkg-config --cflags --libs mqtt-convert`. */
#ifndef MQTT_CONVERT_H
#define MQTT_CONVERT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"
#include "mqtt_reason.h"
#include "mqttv3.pb-c.h"
#include "mqttv5.pb-c.h"

enum mqtt_convert_result {
    MQTT_CONVERT_OK = 0,
    MQTT_CONVERT_REFUSED, /* no legal packet or message: *RET_FAULT has the reason */
    MQTT_CONVERT_MORE,    /* the MQTT packet is not whole yet: call again with more bytes behind these */
    MQTT_CONVERT_ROOM,    /* DST is too small: *RET_LEN says how much is needed; nothing was taken or written */
};

/* Which of the two MqttPacket messages protobuf bytes are: nothing in them says so. */
enum mqtt_convert_family {
    MQTT_CONVERT_MQTTV3 = 3, /* mqttv3.MqttPacket: 3.1 and 3.1.1 */
    MQTT_CONVERT_MQTTV5 = 5, /* mqttv5.MqttPacket */
};

/* ---- bytes to bytes
 *
 * *VERSION is what the session speaks (enum mqtt_version), 0 before its CONNECT: then only CONNECT is accepted, and
 * sets it. Keep one for each session and use it for both directions. */

/* Take one packet from the front of MQTT (MQTT_LEN bytes) and write its message to DST. OK: *RET_USED is the length of
 * the MQTT packet and *RET_LEN that of the message, whose family follows from *VERSION. MORE, ROOM, REFUSED: nothing
 * was taken. */
int mqtt_convert_bytes_to_message(uint8_t *version, const void *mqtt, size_t mqtt_len, size_t *ret_used, void *dst,
                                  size_t dst_size, size_t *ret_len, struct mqtt_fault *ret_fault);

/* Write the packet of a message as MQTT bytes to DST. OK: *RET_LEN is their length. ROOM, REFUSED, -ENOMEM. */
int mqtt_convert_message_to_bytes(uint8_t *version, enum mqtt_convert_family family, const void *message,
                                  size_t message_len, void *dst, size_t dst_size, size_t *ret_len,
                                  struct mqtt_fault *ret_fault);

/* ---- packet <-> protobuf bytes */

/* Write the message of PACKET to DST; its family is MQTTV5 for packets of 5.0, else MQTTV3. OK: *RET_LEN is its length.
 * ROOM; REFUSED if PACKET is not legal (mqtt_packet_check()). */
int mqtt_convert_packet_to_message(const struct mqtt_packet *packet, void *dst, size_t dst_size, size_t *ret_len,
                                   struct mqtt_fault *ret_fault);

/* The packet of a message, in new memory: free() it. SESSION_VERSION as above. REFUSED, -ENOMEM. */
int mqtt_convert_message_to_packet(enum mqtt_convert_family family, uint8_t session_version, const void *message,
                                   size_t message_len, struct mqtt_packet **ret_packet, struct mqtt_fault *ret_fault);

/* ---- packet <-> protobuf-c structs */

/* PACKET, of 3.1 or 3.1.1, as a struct from ALLOCATOR (NULL: malloc): a deep copy. Free it with
 * mqttv3__mqtt_packet__free_unpacked(). REFUSED (not legal, or of 5.0), -ENOMEM. */
int mqtt_convert_packet_to_mqttv3(const struct mqtt_packet *packet, ProtobufCAllocator *allocator,
                                  Mqttv3__MqttPacket **ret_message, struct mqtt_fault *ret_fault);
/* The same for 5.0: mqttv5__mqtt_packet__free_unpacked(). */
int mqtt_convert_packet_to_mqttv5(const struct mqtt_packet *packet, ProtobufCAllocator *allocator,
                                  Mqttv5__MqttPacket **ret_message, struct mqtt_fault *ret_fault);

/* MESSAGE, which stays the caller's, as a packet in new memory: free() it. It may be half filled in: what is missing
 * makes it REFUSED. -ENOMEM. */
int mqtt_convert_mqttv3_to_packet(const Mqttv3__MqttPacket *message, uint8_t session_version,
                                  struct mqtt_packet **ret_packet, struct mqtt_fault *ret_fault);
int mqtt_convert_mqttv5_to_packet(const Mqttv5__MqttPacket *message, uint8_t session_version,
                                  struct mqtt_packet **ret_packet, struct mqtt_fault *ret_fault);

/* ---- frames of the relay service: mqtt.MqttStreamMessage, one in each gRPC message (see mqtt_relay.proto for who
 * sends what when) */

enum mqtt_convert_direction {
    MQTT_CONVERT_CLIENT_TO_BROKER = 0,
    MQTT_CONVERT_BROKER_TO_CLIENT = 1,
};

enum mqtt_convert_frame_kind {
    MQTT_CONVERT_FRAME_EMPTY, /* carries nothing: ignore it */
    MQTT_CONVERT_FRAME_PACKET_V3,
    MQTT_CONVERT_FRAME_PACKET_V5,
    MQTT_CONVERT_FRAME_ESTABLISH_V3,
    MQTT_CONVERT_FRAME_ESTABLISH_V5,
    MQTT_CONVERT_FRAME_TERMINATE,
    MQTT_CONVERT_FRAME_HEARTBEAT,
    MQTT_CONVERT_FRAME_OTHER_CONTROL, /* of later days: ignore it */
    MQTT_CONVERT_FRAME_CREDIT,
    MQTT_CONVERT_FRAME_PIECE,
    MQTT_CONVERT_FRAME_BATCH,
};

struct mqtt_convert_frame {
    enum mqtt_convert_frame_kind kind;
    int32_t direction; /* enum mqtt_convert_direction, not judged */
    uint64_t sequence; /* not judged */
    /* PACKET: the MqttPacket message. ESTABLISH, TERMINATE, HEARTBEAT: the client id. PIECE: its data. BATCH: read, all
     * of it, for mqtt_convert_batch_next(); written, one frame with a packet. */
    struct mqtt_bytes bytes;
    uint64_t number; /* CREDIT: the bytes granted. First PIECE: length of the whole; else 0 */
};

/* Take a frame apart. *RET is a view into BYTES; a packet in it is not judged yet: mqtt_convert_message_to_packet().
 * REFUSED. */
int mqtt_convert_read_frame(const void *bytes, size_t len, struct mqtt_convert_frame *ret,
                            struct mqtt_fault *ret_fault);

/* Take the next frame of a batch from the front of *ITER, which begins as the batch's bytes. *RET_FRAME is to be read
 * with mqtt_convert_read_frame(); what is not a packet has no place there. False when there is none left. */
bool mqtt_convert_batch_next(struct mqtt_bytes *iter, struct mqtt_bytes *ret_frame);

/* PACKET in a frame, written to DST. ROOM, REFUSED. */
int mqtt_convert_packet_to_frame(const struct mqtt_packet *packet, uint64_t sequence,
                                 enum mqtt_convert_direction direction, void *dst, size_t dst_size, size_t *ret_len,
                                 struct mqtt_fault *ret_fault);

/* Any other frame than one with a packet, written to DST. Of FRAME counts what its kind has. ROOM; REFUSED if it can't
 * be written: a packet, a piece without data or with a length above 4 GB, a credit of 0, EMPTY, OTHER_CONTROL. BATCH
 * writes an entry: entries behind each other are a batch. */
int mqtt_convert_write_frame(const struct mqtt_convert_frame *frame, void *dst, size_t dst_size, size_t *ret_len,
                             struct mqtt_fault *ret_fault);

#endif
