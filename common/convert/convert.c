/* The public face: the functions of the modules beside this file, with memory, room and checks around them for callers
 * who are not ours. */
#include "convert.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt_check.h"
#include "mqtt_decode.h"
#include "mqtt_encode.h"
#include "packet_to_protobuf.h"
#include "protobuf_to_packet.h"
#include "relay_frame.h"

static_assert((int)MQTT_CONVERT_MQTTV3 == (int)FRAME_MQTTV3 && (int)MQTT_CONVERT_MQTTV5 == (int)FRAME_MQTTV5 &&
                  (int)MQTT_CONVERT_FRAME_EMPTY == (int)RELAY_FRAME_EMPTY &&
                  (int)MQTT_CONVERT_FRAME_HEARTBEAT == (int)RELAY_FRAME_HEARTBEAT &&
                  (int)MQTT_CONVERT_FRAME_BATCH == (int)RELAY_FRAME_BATCH &&
                  (int)MQTT_CONVERT_REFUSED == (int)CONVERT_REFUSED,
              "the public enumerations are the internal ones under other names");

static int refuse(struct mqtt_fault *ret_fault, const char *text)
{
    *ret_fault = (struct mqtt_fault){MQTT_REASON_PROTOCOL_ERROR, text};
    return MQTT_CONVERT_REFUSED;
}

static int write_planned(const struct packet_frame *f, void *dst, size_t dst_size, size_t *ret_len)
{
    *ret_len = f->total_bytes;
    if (f->total_bytes > dst_size)
        return MQTT_CONVERT_ROOM;
    packet_to_frame_write(f, dst);
    return MQTT_CONVERT_OK;
}

/* A packet out of a message, with the scratch that it points into. */
struct reading {
    struct mqtt_packet packet;
    uint8_t *scratch;
};

/* OK: the caller frees ret->scratch. */
static int read_message(uint8_t family, uint8_t session_version, const void *message, size_t len, struct reading *ret,
                        struct mqtt_fault *ret_fault)
{
    struct frame_source source = {.family = family, .session_version = session_version};
    if (len > INT32_MAX)
        return refuse(ret_fault, "frame: longer than 2 GB");
    source.message = (struct mqtt_bytes){message, (uint32_t)len};
    ret->scratch = NULL;
    int r = frame_to_packet(&source, &ret->packet, ret_fault);
    if (r != CONVERT_SCRATCH)
        return r;
    source.scratch_bytes = frame_scratch_bytes(len);
    source.scratch = ret->scratch = malloc(source.scratch_bytes);
    if (!source.scratch)
        return -ENOMEM;
    r = frame_to_packet(&source, &ret->packet, ret_fault);
    if (r != CONVERT_OK)
        free(ret->scratch);
    return r;
}

/* Hand out a copy of VIEW. */
static int give_packet(const struct mqtt_packet *view, struct mqtt_packet **ret_packet)
{
    struct mqtt_packet *packet = mqtt_packet_store(view);
    if (!packet)
        return -ENOMEM;
    *ret_packet = packet;
    return MQTT_CONVERT_OK;
}

int mqtt_convert_bytes_to_message(uint8_t *version, const void *mqtt, size_t mqtt_len, size_t *ret_used, void *dst,
                                  size_t dst_size, size_t *ret_len, struct mqtt_fault *ret_fault)
{
    struct cursor input = cursor_make(mqtt, mqtt_len);
    struct mqtt_decoder d;
    struct mqtt_packet packet;
    struct packet_frame f;
    mqtt_decoder_init(&d, *version, 0);
    switch ((enum mqtt_decode_result)mqtt_decoder_feed(&d, &input, &packet)) {
    case MQTT_DECODE_OK:
        break;
    case MQTT_DECODE_MORE:
        return MQTT_CONVERT_MORE;
    case MQTT_DECODE_MALFORMED:
    case MQTT_DECODE_TOO_LARGE:
        *ret_fault = d.fault;
        return MQTT_CONVERT_REFUSED;
    }
    packet_to_message_plan(&f, &packet);
    int r = write_planned(&f, dst, dst_size, ret_len);
    if (r != MQTT_CONVERT_OK)
        return r;
    *version = packet.version;
    *ret_used = mqtt_len - input.len;
    return MQTT_CONVERT_OK;
}

int mqtt_convert_message_to_bytes(uint8_t *version, enum mqtt_convert_family family, const void *message,
                                  size_t message_len, void *dst, size_t dst_size, size_t *ret_len,
                                  struct mqtt_fault *ret_fault)
{
    struct reading reading;
    int r = read_message((uint8_t)family, *version, message, message_len, &reading, ret_fault);
    if (r != CONVERT_OK)
        return r;
    if (*version == 0 && reading.packet.type != MQTT_CONNECT) {
        free(reading.scratch);
        return refuse(ret_fault, "MQTT-3.1.0-1: the first packet is not CONNECT");
    }
    *ret_len = mqtt_encode_size(&reading.packet);
    if (*ret_len > dst_size) {
        r = MQTT_CONVERT_ROOM;
    } else {
        mqtt_encode(&reading.packet, dst);
        *version = reading.packet.version;
    }
    free(reading.scratch);
    return r;
}

int mqtt_convert_packet_to_message(const struct mqtt_packet *packet, void *dst, size_t dst_size, size_t *ret_len,
                                   struct mqtt_fault *ret_fault)
{
    struct packet_frame f;
    if (mqtt_packet_check(packet, ret_fault) != 0)
        return MQTT_CONVERT_REFUSED;
    packet_to_message_plan(&f, packet);
    return write_planned(&f, dst, dst_size, ret_len);
}

int mqtt_convert_message_to_packet(enum mqtt_convert_family family, uint8_t session_version, const void *message,
                                   size_t message_len, struct mqtt_packet **ret_packet, struct mqtt_fault *ret_fault)
{
    struct reading reading;
    int r = read_message((uint8_t)family, session_version, message, message_len, &reading, ret_fault);
    if (r != CONVERT_OK)
        return r;
    r = give_packet(&reading.packet, ret_packet);
    free(reading.scratch);
    return r;
}

/* Checked; *RET_MESSAGE has the type that the packet's version says. */
static int packet_to_struct(const struct mqtt_packet *packet, bool is_v5, ProtobufCAllocator *allocator,
                            ProtobufCMessage **ret_message, struct mqtt_fault *ret_fault)
{
    if (mqtt_packet_check(packet, ret_fault) != 0)
        return MQTT_CONVERT_REFUSED;
    if ((packet->version == MQTT_V5) != is_v5)
        return refuse(ret_fault, "frame: packet of another version than the message");
    return packet_to_protobuf(packet, allocator, ret_message);
}

int mqtt_convert_packet_to_mqttv3(const struct mqtt_packet *packet, ProtobufCAllocator *allocator,
                                  Mqttv3__MqttPacket **ret_message, struct mqtt_fault *ret_fault)
{
    ProtobufCMessage *message;
    int r = packet_to_struct(packet, false, allocator, &message, ret_fault);
    if (r == MQTT_CONVERT_OK)
        *ret_message = (Mqttv3__MqttPacket *)message;
    return r;
}

int mqtt_convert_packet_to_mqttv5(const struct mqtt_packet *packet, ProtobufCAllocator *allocator,
                                  Mqttv5__MqttPacket **ret_message, struct mqtt_fault *ret_fault)
{
    ProtobufCMessage *message;
    int r = packet_to_struct(packet, true, allocator, &message, ret_fault);
    if (r == MQTT_CONVERT_OK)
        *ret_message = (Mqttv5__MqttPacket *)message;
    return r;
}

static int struct_to_packet(const ProtobufCMessage *message, uint8_t session_version, struct mqtt_packet **ret_packet,
                            struct mqtt_fault *ret_fault)
{
    struct mqtt_packet view;
    size_t scratch_bytes = protobuf_scratch_bytes(message);
    uint8_t *scratch = NULL;
    if (scratch_bytes > 0) {
        scratch = malloc(scratch_bytes);
        if (!scratch)
            return -ENOMEM;
    }
    int r = protobuf_to_packet(message, session_version, scratch, scratch_bytes, &view, ret_fault);
    if (r == CONVERT_OK)
        r = give_packet(&view, ret_packet);
    free(scratch);
    return r;
}

int mqtt_convert_mqttv3_to_packet(const Mqttv3__MqttPacket *message, uint8_t session_version,
                                  struct mqtt_packet **ret_packet, struct mqtt_fault *ret_fault)
{
    return struct_to_packet(&message->base, session_version, ret_packet, ret_fault);
}

int mqtt_convert_mqttv5_to_packet(const Mqttv5__MqttPacket *message, uint8_t session_version,
                                  struct mqtt_packet **ret_packet, struct mqtt_fault *ret_fault)
{
    return struct_to_packet(&message->base, session_version, ret_packet, ret_fault);
}

int mqtt_convert_read_frame(const void *bytes, size_t len, struct mqtt_convert_frame *ret, struct mqtt_fault *ret_fault)
{
    struct relay_frame frame;
    int r = relay_frame_read(bytes, len, &frame, ret_fault);
    if (r != CONVERT_OK)
        return r;
    *ret = (struct mqtt_convert_frame){
        .kind = (enum mqtt_convert_frame_kind)frame.kind,
        .direction = frame.direction,
        .sequence = frame.sequence,
    };
    switch ((enum relay_frame_kind)frame.kind) {
    case RELAY_FRAME_EMPTY:
        break;
    case RELAY_FRAME_PACKET_V3:
    case RELAY_FRAME_PACKET_V5:
        ret->bytes = frame.message;
        break;
    case RELAY_FRAME_ESTABLISH_V3:
    case RELAY_FRAME_ESTABLISH_V5:
    case RELAY_FRAME_TERMINATE:
    case RELAY_FRAME_HEARTBEAT:
    case RELAY_FRAME_OTHER_CONTROL:
        ret->bytes = frame.client_id;
        break;
    case RELAY_FRAME_CREDIT:
        ret->number = frame.credit_bytes;
        break;
    case RELAY_FRAME_PIECE:
        ret->bytes = frame.piece.data;
        ret->number = frame.piece.total_bytes;
        break;
    case RELAY_FRAME_BATCH:
        ret->bytes = frame.batch;
        break;
    }
    return MQTT_CONVERT_OK;
}

bool mqtt_convert_batch_next(struct mqtt_bytes *iter, struct mqtt_bytes *ret_frame)
{
    return relay_batch_next(iter, ret_frame);
}

int mqtt_convert_packet_to_frame(const struct mqtt_packet *packet, uint64_t sequence,
                                 enum mqtt_convert_direction direction, void *dst, size_t dst_size, size_t *ret_len,
                                 struct mqtt_fault *ret_fault)
{
    struct packet_frame f;
    if (mqtt_packet_check(packet, ret_fault) != 0)
        return MQTT_CONVERT_REFUSED;
    packet_to_frame_plan(&f, packet, sequence, (enum relay_direction)direction);
    return write_planned(&f, dst, dst_size, ret_len);
}

/* Everything of FRAME but the bytes of a piece or an entry, which go behind it. NULL if there is no such frame. */
static uint8_t *write_head(const struct mqtt_convert_frame *frame, uint8_t *dst)
{
    enum relay_direction direction = (enum relay_direction)(frame->direction & 1);
    switch (frame->kind) {
    case MQTT_CONVERT_FRAME_ESTABLISH_V3:
    case MQTT_CONVERT_FRAME_ESTABLISH_V5:
    case MQTT_CONVERT_FRAME_TERMINATE:
    case MQTT_CONVERT_FRAME_HEARTBEAT:
        return relay_frame_write_control(dst, (enum relay_frame_kind)frame->kind, frame->sequence, direction,
                                         frame->bytes);
    case MQTT_CONVERT_FRAME_CREDIT:
        return frame->number > 0 ? relay_frame_write_credit(dst, direction, frame->number) : NULL;
    case MQTT_CONVERT_FRAME_PIECE:
        if (frame->bytes.len == 0 || frame->number > UINT32_MAX)
            return NULL;
        return relay_frame_write_piece_head(dst, direction, (uint32_t)frame->number, frame->bytes.len);
    case MQTT_CONVERT_FRAME_BATCH:
        return frame->bytes.len > 0 ? relay_batch_write_head(dst, frame->bytes.len) : NULL;
    case MQTT_CONVERT_FRAME_EMPTY:
    case MQTT_CONVERT_FRAME_PACKET_V3:
    case MQTT_CONVERT_FRAME_PACKET_V5:
    case MQTT_CONVERT_FRAME_OTHER_CONTROL:
        break;
    }
    return NULL;
}

int mqtt_convert_write_frame(const struct mqtt_convert_frame *frame, void *dst, size_t dst_size, size_t *ret_len,
                             struct mqtt_fault *ret_fault)
{
    bool has_rest = frame->kind == MQTT_CONVERT_FRAME_PIECE || frame->kind == MQTT_CONVERT_FRAME_BATCH;
    if (frame->bytes.len > MQTT_PACKET_MAX)
        return refuse(ret_fault, "frame: client id, piece or entry is longer than any packet");
    uint8_t *head = malloc(RELAY_FRAME_OVERHEAD + (has_rest ? 0 : frame->bytes.len));
    if (!head)
        return -ENOMEM;
    uint8_t *end = write_head(frame, head);
    size_t head_len = end ? (size_t)(end - head) : 0;
    int r = MQTT_CONVERT_OK;
    if (!end) {
        r = refuse(ret_fault, "frame: nothing that can be written");
    } else if ((*ret_len = head_len + (has_rest ? frame->bytes.len : 0)) > dst_size) {
        r = MQTT_CONVERT_ROOM;
    } else {
        memcpy(dst, head, head_len);
        if (has_rest)
            memcpy((uint8_t *)dst + head_len, frame->bytes.ptr, frame->bytes.len);
    }
    free(head);
    return r;
}
