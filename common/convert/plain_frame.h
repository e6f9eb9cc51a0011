/* The short way for frames that look as nearly all do: fields in the order of their numbers, each once, nothing
 * unknown, a PUBLISH without properties. It never refuses: what it does not take goes the general way (relay_frame.c,
 * trunk_frame.c, frame_to_packet.c), which knows everything and has the reasons. What it takes is what the general way
 * would have made of it. Inline, each is used in one place: this is what a message costs. Private to convert. */
#ifndef PLAIN_FRAME_H
#define PLAIN_FRAME_H

#include <stdbool.h>

#include "mqtt_topic.h"
#include "pb_wire.h"
#include "relay_frame.h"
#include "trunk_frame.h"

#define PLAIN_TAG(number, wire) ((number) << 3 | (wire))
#define PLAIN_INLINE            static inline __attribute__((always_inline))

/* Take TAG from the front if it stands there, with at least one byte behind it, as every field has. */
PLAIN_INLINE bool plain_accept(struct cursor *c, uint8_t tag)
{
    if (c->len < 2 || c->ptr[0] != tag)
        return false;
    cursor_skip(c, 1);
    return true;
}

/* A field of one byte with this very value. */
PLAIN_INLINE bool plain_accept_value(struct cursor *c, uint8_t tag, uint8_t value)
{
    if (c->len < 2 || c->ptr[0] != tag || c->ptr[1] != value)
        return false;
    cursor_skip(c, 2);
    return true;
}

/* A number of up to four bytes, behind plain_accept(): without a loop, and without a call, which would cost the caller
 * registers. False if it is longer. */
PLAIN_INLINE bool plain_read_short(struct cursor *c, uint32_t *ret)
{
    uint32_t value = c->ptr[0];
    size_t used = 1;
    if (value >= 0x80) {
        if (c->len < 4) /* nothing plain ends so soon behind a number of two bytes */
            return false;
        value += ((uint32_t)c->ptr[1] << 7) - 0x80;
        used = 2;
        if (c->ptr[1] >= 0x80) {
            value += ((uint32_t)c->ptr[2] << 14) - (0x80 << 7);
            used = 3;
            if (c->ptr[2] >= 0x80) {
                value += ((uint32_t)c->ptr[3] << 21) - (0x80 << 14);
                used = 4;
                if (c->ptr[3] >= 0x80)
                    return false;
            }
        }
    }
    *ret = value;
    cursor_skip(c, used);
    return true;
}

/* The length of what fills the rest of C, and that rest. */
PLAIN_INLINE bool plain_read_rest(struct cursor *c, struct mqtt_bytes *ret)
{
    uint32_t len;
    if (!plain_read_short(c, &len) || len != c->len)
        return false;
    *ret = (struct mqtt_bytes){c->ptr, len};
    return true;
}

/* The length and content of a string or message, behind plain_accept(). */
PLAIN_INLINE bool plain_read_block(struct cursor *c, struct mqtt_bytes *ret)
{
    uint32_t len;
    if (!plain_read_short(c, &len) || len > c->len)
        return false;
    *ret = (struct mqtt_bytes){c->ptr, len};
    cursor_skip(c, len);
    return true;
}

/* An envelope with a packet. False: not plain, and *RET means nothing. */
PLAIN_INLINE bool plain_frame_envelope(const void *bytes, size_t len, struct relay_frame *ret)
{
    struct cursor c = cursor_make(bytes, len);
    uint32_t sequence = 0;
    if (plain_accept(&c, PLAIN_TAG(2, PB_VARINT)) && !plain_read_short(&c, &sequence))
        return false;
    ret->sequence = sequence;
    ret->direction = plain_accept_value(&c, PLAIN_TAG(3, PB_VARINT), RELAY_BROKER_TO_CLIENT);
    if (plain_accept(&c, PLAIN_TAG(5, PB_BYTES)))
        ret->kind = RELAY_FRAME_PACKET_V5;
    else if (plain_accept(&c, PLAIN_TAG(4, PB_BYTES)))
        ret->kind = RELAY_FRAME_PACKET_V3;
    else
        return false;
    return plain_read_rest(&c, &ret->message);
}

/* The number of the frames that stand at the front of a TrunkMessage, which are taken from C. */
PLAIN_INLINE uint32_t plain_skip_frames(struct cursor *c)
{
    uint32_t n = 0;
    struct cursor behind = *c;
    struct mqtt_bytes frame;
    while (plain_accept(&behind, PLAIN_TAG(1, PB_BYTES)) && plain_read_block(&behind, &frame)) {
        *c = behind;
        n++;
    }
    return n;
}

/* The next frame of a trunk, with a packet, taken from the front of C. False: not plain; nothing was taken, and *RET
 * means nothing. */
PLAIN_INLINE bool plain_trunk_frame(struct cursor *c, struct trunk_frame *ret)
{
    struct cursor behind = *c;
    struct mqtt_bytes frame;
    uint32_t lane, sequence;
    if (!plain_accept(&behind, PLAIN_TAG(1, PB_BYTES)) || !plain_read_block(&behind, &frame))
        return false;
    struct cursor in = cursor_make(frame.ptr, frame.len);
    if (!plain_accept(&in, PLAIN_TAG(1, PB_VARINT)) || !plain_read_short(&in, &lane) ||
        !plain_accept(&in, PLAIN_TAG(2, PB_VARINT)) || !plain_read_short(&in, &sequence))
        return false;
    bool is_v5 = plain_accept(&in, PLAIN_TAG(4, PB_BYTES));
    if ((!is_v5 && !plain_accept(&in, PLAIN_TAG(3, PB_BYTES))) || !plain_read_rest(&in, &ret->message))
        return false;
    ret->kind = is_v5 ? TRUNK_FRAME_PACKET_V5 : TRUNK_FRAME_PACKET_V3;
    ret->lane = lane;
    ret->sequence = sequence;
    *c = behind;
    return true;
}

PLAIN_INLINE bool plain_version(const struct frame_source *source)
{
    return source->session_version == MQTT_V5 ? source->family == FRAME_MQTTV5
                                              : source->session_version >= MQTT_V31 && source->family == FRAME_MQTTV3;
}

/* Packet id and QoS: both or neither. */
PLAIN_INLINE bool plain_read_delivery(struct cursor *c, struct mqtt_packet *ret)
{
    uint32_t id;
    ret->packet_id = 0;
    ret->publish.qos = 0;
    if (!plain_accept(c, PLAIN_TAG(2, PB_VARINT)))
        return true;
    if (!plain_read_short(c, &id) || id == 0 || id > UINT16_MAX)
        return false;
    ret->packet_id = (uint16_t)id;
    ret->publish.qos = plain_accept_value(c, PLAIN_TAG(3, PB_VARINT), 1) ? 1 : 2;
    return ret->publish.qos == 1 || plain_accept_value(c, PLAIN_TAG(3, PB_VARINT), 2);
}

/* An MqttPacket with a PUBLISH which is legal beyond doubt: its topic is ASCII. False: not plain, and *RET means
 * nothing. */
PLAIN_INLINE bool plain_frame_publish(const struct frame_source *source, struct mqtt_packet *ret)
{
    struct cursor c = cursor_make(source->message.ptr, source->message.len);
    struct mqtt_bytes body, topic;
    if (!plain_accept(&c, PLAIN_TAG(MQTT_PUBLISH, PB_BYTES)) || !plain_read_rest(&c, &body) || !plain_version(source) ||
        !plain_accept(&c, PLAIN_TAG(1, PB_BYTES)) || !plain_read_block(&c, &topic) || !plain_read_delivery(&c, ret))
        return false;
    ret->publish.retain = plain_accept_value(&c, PLAIN_TAG(4, PB_VARINT), 1);
    ret->dup = ret->publish.qos > 0 && plain_accept_value(&c, PLAIN_TAG(5, PB_VARINT), 1);
    if (c.len == 0)
        ret->publish.payload = (struct mqtt_bytes){0};
    else if (!plain_accept(&c, PLAIN_TAG(6, PB_BYTES)) || !plain_read_rest(&c, &ret->publish.payload))
        return false;
    ret->type = MQTT_PUBLISH;
    ret->version = source->session_version;
    ret->reason_code = 0;
    ret->properties = (struct mqtt_properties){0};
    ret->publish.topic = topic;
    return topic.len - 1 < MQTT_STRING_MAX && mqtt_topic_is_simple(topic);
}

#endif
