/* Sizes first, from the inside out, then the same walk again writing. Each message has its size function and its writer
 * side by side: what one counts the other writes. Field numbers are those of proto/. */
#include "packet_to_frame.h"

#include "mqtt_property.h"
#include "pb_property.h"
#include "pb_wire.h"

/* Field numbers that both MqttPacket messages share. */
enum {
    FIELD_V3_PACKET = 4,
    FIELD_V5_PACKET = 5,
    FIELD_HAS_USERNAME = 100,
    FIELD_HAS_PASSWORD = 101,
    FIELD_DUP = 100, /* 3.1: PUBREL, SUBSCRIBE, UNSUBSCRIBE */
};

/* The number of a member of MqttPacket is the packet type: below 16. */
enum { TYPE_TAG_BYTES = 1 };

/* PUBLISH goes the straight way, and packets that come once a session must not cost it registers. */
#define OFTEN inline __attribute__((always_inline))
#define RARE  __attribute__((noinline))

/* repeated Property properties = NUMBER. */
static RARE size_t walk_properties_size(uint32_t number, struct mqtt_bytes iter)
{
    size_t size = 0;
    struct mqtt_property prop;
    while (mqtt_property_next(&iter, &prop))
        size += pb_block_size(number, pb_property_size(&prop));
    return size;
}

static RARE uint8_t *walk_put_properties(uint8_t *dst, uint32_t number, struct mqtt_bytes iter)
{
    struct mqtt_property prop;
    while (mqtt_property_next(&iter, &prop))
        dst = pb_property_write(pb_put_block_head(dst, number, pb_property_size(&prop)), &prop);
    return dst;
}

/* Most packets have none, and pay no call for it. */
static inline size_t properties_size(uint32_t number, const struct mqtt_properties *properties)
{
    return properties->wire.len == 0 ? 0 : walk_properties_size(number, properties->wire);
}

static inline uint8_t *put_properties(uint8_t *dst, uint32_t number, const struct mqtt_properties *properties)
{
    return properties->wire.len == 0 ? dst : walk_put_properties(dst, number, properties->wire);
}

static size_t will_size(const struct mqtt_will *will)
{
    return pb_bytes_field_size(1, will->topic) + pb_bytes_field_size(2, will->payload) +
           pb_small_field_size(3, will->qos) + pb_small_field_size(4, will->retain) +
           properties_size(5, &will->properties);
}

static uint8_t *put_will(uint8_t *dst, const struct mqtt_will *will)
{
    dst = pb_put_bytes_field(dst, 1, will->topic);
    dst = pb_put_bytes_field(dst, 2, will->payload);
    dst = pb_put_small_field(dst, 3, will->qos);
    dst = pb_put_small_field(dst, 4, will->retain);
    return put_properties(dst, 5, &will->properties);
}

static struct mqtt_bytes protocol_name(const struct mqtt_packet *p)
{
    if (p->version == MQTT_V31)
        return (struct mqtt_bytes){(const uint8_t *)"MQIsdp", 6};
    return (struct mqtt_bytes){(const uint8_t *)"MQTT", 4};
}

static RARE size_t connect_size(const struct mqtt_packet *p, uint32_t *ret_will_bytes)
{
    const struct mqtt_connect *c = &p->connect;
    size_t size = pb_bytes_field_size(1, c->client_id) + pb_bytes_field_size(2, protocol_name(p)) +
                  pb_uint_field_size(3, c->protocol_level) + pb_small_field_size(4, c->clean_start) +
                  pb_uint_field_size(5, c->keep_alive_s) + properties_size(9, &p->properties);
    if (c->has_username)
        size += pb_bytes_field_size(6, c->username) + pb_small_field_size(FIELD_HAS_USERNAME, true);
    if (c->has_password)
        size += pb_bytes_field_size(7, c->password) + pb_small_field_size(FIELD_HAS_PASSWORD, true);
    if (c->has_will) {
        *ret_will_bytes = (uint32_t)will_size(&c->will);
        size += pb_block_size(8, *ret_will_bytes);
    }
    return size;
}

static RARE uint8_t *put_connect(uint8_t *dst, const struct mqtt_packet *p, uint32_t will_bytes)
{
    const struct mqtt_connect *c = &p->connect;
    dst = pb_put_bytes_field(dst, 1, c->client_id);
    dst = pb_put_bytes_field(dst, 2, protocol_name(p));
    dst = pb_put_uint_field(dst, 3, c->protocol_level);
    dst = pb_put_small_field(dst, 4, c->clean_start);
    dst = pb_put_uint_field(dst, 5, c->keep_alive_s);
    if (c->has_username)
        dst = pb_put_bytes_field(dst, 6, c->username);
    if (c->has_password)
        dst = pb_put_bytes_field(dst, 7, c->password);
    if (c->has_will)
        dst = put_will(pb_put_block_head(dst, 8, will_bytes), &c->will);
    dst = put_properties(dst, 9, &p->properties);
    dst = pb_put_small_field(dst, FIELD_HAS_USERNAME, c->has_username);
    return pb_put_small_field(dst, FIELD_HAS_PASSWORD, c->has_password);
}

static size_t connack_size(const struct mqtt_packet *p)
{
    return pb_small_field_size(1, p->connack.session_present) + pb_uint_field_size(2, p->reason_code) +
           properties_size(3, &p->properties);
}

static uint8_t *put_connack(uint8_t *dst, const struct mqtt_packet *p)
{
    dst = pb_put_small_field(dst, 1, p->connack.session_present);
    dst = pb_put_uint_field(dst, 2, p->reason_code);
    return put_properties(dst, 3, &p->properties);
}

static OFTEN size_t publish_size(const struct mqtt_packet *p)
{
    return pb_bytes_field_size(1, p->publish.topic) + pb_uint_field_size(2, p->packet_id) +
           pb_small_field_size(3, p->publish.qos) + pb_small_field_size(4, p->publish.retain) +
           pb_small_field_size(5, p->dup) + pb_bytes_field_size(6, p->publish.payload) +
           properties_size(7, &p->properties);
}

static OFTEN uint8_t *put_publish(uint8_t *dst, const struct mqtt_packet *p)
{
    dst = pb_put_bytes_field(dst, 1, p->publish.topic);
    dst = pb_put_uint_field(dst, 2, p->packet_id);
    dst = pb_put_small_field(dst, 3, p->publish.qos);
    dst = pb_put_small_field(dst, 4, p->publish.retain);
    dst = pb_put_small_field(dst, 5, p->dup);
    dst = pb_put_bytes_field(dst, 6, p->publish.payload);
    return put_properties(dst, 7, &p->properties);
}

/* PUBACK, PUBREC, PUBREL, PUBCOMP. In 3.x the reason code is 0 and there are no properties; DUP is 3.1's alone. */
static size_t ack_size(const struct mqtt_packet *p)
{
    return pb_uint_field_size(1, p->packet_id) + pb_uint_field_size(2, p->reason_code) +
           properties_size(3, &p->properties) + pb_small_field_size(FIELD_DUP, p->dup);
}

static uint8_t *put_ack(uint8_t *dst, const struct mqtt_packet *p)
{
    dst = pb_put_uint_field(dst, 1, p->packet_id);
    dst = pb_put_uint_field(dst, 2, p->reason_code);
    dst = put_properties(dst, 3, &p->properties);
    return pb_put_small_field(dst, FIELD_DUP, p->dup);
}

static size_t subscription_size(const struct mqtt_subscription *s)
{
    return pb_bytes_field_size(1, s->filter) + pb_small_field_size(2, s->qos) + pb_small_field_size(3, s->no_local) +
           pb_small_field_size(4, s->retain_as_published) + pb_small_field_size(5, s->retain_handling);
}

static uint8_t *put_subscription(uint8_t *dst, const struct mqtt_subscription *s)
{
    dst = pb_put_bytes_field(dst, 1, s->filter);
    dst = pb_put_small_field(dst, 2, s->qos);
    dst = pb_put_small_field(dst, 3, s->no_local);
    dst = pb_put_small_field(dst, 4, s->retain_as_published);
    return pb_put_small_field(dst, 5, s->retain_handling);
}

static RARE size_t subscribe_size(const struct mqtt_packet *p)
{
    size_t size = pb_uint_field_size(1, p->packet_id) + properties_size(3, &p->properties) +
                  pb_small_field_size(FIELD_DUP, p->dup);
    struct mqtt_bytes iter = p->subscriptions.wire;
    struct mqtt_subscription s;
    while (mqtt_subscription_next(&iter, &s))
        size += pb_block_size(2, subscription_size(&s));
    return size;
}

static RARE uint8_t *put_subscribe(uint8_t *dst, const struct mqtt_packet *p)
{
    struct mqtt_bytes iter = p->subscriptions.wire;
    struct mqtt_subscription s;
    dst = pb_put_uint_field(dst, 1, p->packet_id);
    while (mqtt_subscription_next(&iter, &s))
        dst = put_subscription(pb_put_block_head(dst, 2, subscription_size(&s)), &s);
    dst = put_properties(dst, 3, &p->properties);
    return pb_put_small_field(dst, FIELD_DUP, p->dup);
}

static RARE size_t unsubscribe_size(const struct mqtt_packet *p)
{
    size_t size = pb_uint_field_size(1, p->packet_id) + properties_size(3, &p->properties) +
                  pb_small_field_size(FIELD_DUP, p->dup);
    struct mqtt_bytes iter = p->filters.wire, filter;
    while (mqtt_filter_next(&iter, &filter))
        size += pb_block_size(2, filter.len);
    return size;
}

static RARE uint8_t *put_unsubscribe(uint8_t *dst, const struct mqtt_packet *p)
{
    struct mqtt_bytes iter = p->filters.wire, filter;
    dst = pb_put_uint_field(dst, 1, p->packet_id);
    while (mqtt_filter_next(&iter, &filter))
        dst = pb_put_block(dst, 2, filter);
    dst = put_properties(dst, 3, &p->properties);
    return pb_put_small_field(dst, FIELD_DUP, p->dup);
}

/* The content of the packed list: a code above 127 takes two bytes. */
static size_t codes_size(struct mqtt_bytes codes)
{
    size_t size = codes.len;
    for (uint32_t i = 0; i < codes.len; i++)
        size += codes.ptr[i] >> 7;
    return size;
}

/* SUBACK, UNSUBACK. */
static RARE size_t code_list_size(const struct mqtt_packet *p)
{
    size_t size = pb_uint_field_size(1, p->packet_id) + properties_size(3, &p->properties);
    return p->reason_codes.len == 0 ? size : size + pb_block_size(2, codes_size(p->reason_codes));
}

static RARE uint8_t *put_code_list(uint8_t *dst, const struct mqtt_packet *p)
{
    dst = pb_put_uint_field(dst, 1, p->packet_id);
    if (p->reason_codes.len > 0)
        dst = pb_put_block_head(dst, 2, codes_size(p->reason_codes));
    for (uint32_t i = 0; i < p->reason_codes.len; i++)
        dst = pb_put_varint(dst, p->reason_codes.ptr[i]);
    return put_properties(dst, 3, &p->properties);
}

/* DISCONNECT (empty in 3.x) and AUTH. */
static size_t reason_size(const struct mqtt_packet *p)
{
    return pb_uint_field_size(1, p->reason_code) + properties_size(2, &p->properties);
}

static uint8_t *put_reason(uint8_t *dst, const struct mqtt_packet *p)
{
    return put_properties(pb_put_uint_field(dst, 1, p->reason_code), 2, &p->properties);
}

static RARE size_t body_size(const struct mqtt_packet *p, uint32_t *ret_will_bytes)
{
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        return connect_size(p, ret_will_bytes);
    case MQTT_CONNACK:
        return connack_size(p);
    case MQTT_PUBLISH:
        return publish_size(p);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return ack_size(p);
    case MQTT_SUBSCRIBE:
        return subscribe_size(p);
    case MQTT_UNSUBSCRIBE:
        return unsubscribe_size(p);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return code_list_size(p);
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        return reason_size(p);
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return 0;
    }
    return 0;
}

static RARE uint8_t *put_body(uint8_t *dst, const struct packet_frame *f)
{
    const struct mqtt_packet *p = f->packet;
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        return put_connect(dst, p, f->will_bytes);
    case MQTT_CONNACK:
        return put_connack(dst, p);
    case MQTT_PUBLISH:
        return put_publish(dst, p);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return put_ack(dst, p);
    case MQTT_SUBSCRIBE:
        return put_subscribe(dst, p);
    case MQTT_UNSUBSCRIBE:
        return put_unsubscribe(dst, p);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return put_code_list(dst, p);
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        return put_reason(dst, p);
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return dst;
    }
    return dst;
}

static inline size_t plan_message(struct packet_frame *ret, const struct mqtt_packet *packet)
{
    ret->packet = packet;
    ret->has_envelope = false;
    ret->will_bytes = 0;
    ret->body_bytes =
        packet->type == MQTT_PUBLISH ? (uint32_t)publish_size(packet) : (uint32_t)body_size(packet, &ret->will_bytes);
    ret->message_bytes = TYPE_TAG_BYTES + (uint32_t)pb_varint_size(ret->body_bytes) + ret->body_bytes;
    return ret->total_bytes = ret->message_bytes;
}

size_t packet_to_message_plan(struct packet_frame *ret, const struct mqtt_packet *packet)
{
    return plan_message(ret, packet);
}

size_t packet_to_frame_plan(struct packet_frame *ret, const struct mqtt_packet *packet, uint64_t sequence,
                            enum relay_direction direction)
{
    plan_message(ret, packet);
    ret->has_envelope = true;
    ret->sequence = sequence;
    ret->direction = (uint8_t)direction;
    ret->total_bytes = pb_uint_field_size(2, sequence) + pb_small_field_size(3, direction) +
                       pb_block_size(FIELD_V5_PACKET, ret->message_bytes);
    return ret->total_bytes;
}

uint8_t *packet_to_frame_write(const struct packet_frame *f, uint8_t *dst)
{
    const struct mqtt_packet *p = f->packet;
    uint32_t body_bytes = f->body_bytes;
    if (f->has_envelope) {
        dst = pb_put_uint_field(dst, 2, f->sequence);
        dst = pb_put_small_field(dst, 3, f->direction);
        dst = pb_put_block_head(dst, p->version == MQTT_V5 ? FIELD_V5_PACKET : FIELD_V3_PACKET, f->message_bytes);
    }
    *dst = (uint8_t)(p->type << 3 | PB_BYTES);
    dst = pb_put_varint(dst + TYPE_TAG_BYTES, body_bytes);
    return p->type == MQTT_PUBLISH ? put_publish(dst, p) : put_body(dst, f);
}
