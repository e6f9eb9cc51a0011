/* One pair of functions per packet kind: how long its body is, and the body itself. */
#include "mqtt_encode.h"

#include "mqtt_wire.h"

/* Length and properties; nothing in 3.x. */
static size_t properties_size(const struct mqtt_packet *p, const struct mqtt_properties *list)
{
    if (p->version != MQTT_V5)
        return 0;
    return mqtt_wire_varint_size(list->wire.len) + list->wire.len;
}

static uint8_t *put_properties(uint8_t *dst, const struct mqtt_packet *p, const struct mqtt_properties *list)
{
    if (p->version != MQTT_V5)
        return dst;
    return mqtt_wire_put_bytes(mqtt_wire_put_varint(dst, list->wire.len), list->wire);
}

static size_t text_size(struct mqtt_bytes text)
{
    return 2 + (size_t)text.len;
}

static const struct mqtt_bytes *protocol_name(const struct mqtt_packet *p)
{
    static const struct mqtt_bytes old = {(const uint8_t *)"MQIsdp", 6}, current = {(const uint8_t *)"MQTT", 4};
    return p->version == MQTT_V31 ? &old : &current;
}

static size_t connect_size(const struct mqtt_packet *p)
{
    const struct mqtt_connect *c = &p->connect;
    size_t size =
        text_size(*protocol_name(p)) + 1 + 1 + 2 + properties_size(p, &p->properties) + text_size(c->client_id);
    if (c->has_will)
        size += properties_size(p, &c->will.properties) + text_size(c->will.topic) + text_size(c->will.payload);
    if (c->has_username)
        size += text_size(c->username);
    if (c->has_password)
        size += text_size(c->password);
    return size;
}

static uint8_t connect_flags(const struct mqtt_connect *c)
{
    int flags = c->has_username << 7 | c->has_password << 6 | c->clean_start << 1;
    if (c->has_will)
        flags |= c->will.retain << 5 | c->will.qos << 3 | 1 << 2;
    return (uint8_t)flags;
}

static uint8_t *put_connect(uint8_t *dst, const struct mqtt_packet *p)
{
    const struct mqtt_connect *c = &p->connect;
    dst = mqtt_wire_put_text(dst, *protocol_name(p));
    dst = mqtt_wire_put_u8(dst, c->protocol_level);
    dst = mqtt_wire_put_u8(dst, connect_flags(c));
    dst = mqtt_wire_put_u16(dst, c->keep_alive_s);
    dst = put_properties(dst, p, &p->properties);
    dst = mqtt_wire_put_text(dst, c->client_id);
    if (c->has_will) {
        dst = put_properties(dst, p, &c->will.properties);
        dst = mqtt_wire_put_text(dst, c->will.topic);
        dst = mqtt_wire_put_text(dst, c->will.payload);
    }
    if (c->has_username)
        dst = mqtt_wire_put_text(dst, c->username);
    if (c->has_password)
        dst = mqtt_wire_put_text(dst, c->password);
    return dst;
}

static size_t connack_size(const struct mqtt_packet *p)
{
    return 1 + 1 + properties_size(p, &p->properties);
}

static uint8_t *put_connack(uint8_t *dst, const struct mqtt_packet *p)
{
    dst = mqtt_wire_put_u8(dst, p->connack.session_present);
    dst = mqtt_wire_put_u8(dst, p->reason_code);
    return put_properties(dst, p, &p->properties);
}

static size_t publish_head_size(const struct mqtt_packet *p)
{
    return text_size(p->publish.topic) + (p->publish.qos > 0 ? 2 : 0) + properties_size(p, &p->properties);
}

static size_t publish_size(const struct mqtt_packet *p)
{
    return publish_head_size(p) + p->publish.payload.len;
}

static uint8_t *put_publish_head(uint8_t *dst, const struct mqtt_packet *p)
{
    dst = mqtt_wire_put_text(dst, p->publish.topic);
    if (p->publish.qos > 0)
        dst = mqtt_wire_put_u16(dst, p->packet_id);
    return put_properties(dst, p, &p->properties);
}

static uint8_t *put_publish(uint8_t *dst, const struct mqtt_packet *p)
{
    return mqtt_wire_put_bytes(put_publish_head(dst, p), p->publish.payload);
}

/* PUBACK, PUBREC, PUBREL, PUBCOMP: without properties their length may be left out, and with reason 0 the reason as
 * well (section 3.4.2.1). */
static size_t ack_size(const struct mqtt_packet *p)
{
    if (p->version == MQTT_V5 && p->properties.wire.len > 0)
        return 2 + 1 + properties_size(p, &p->properties);
    return p->reason_code != 0 ? 2 + 1 : 2;
}

static uint8_t *put_ack(uint8_t *dst, const struct mqtt_packet *p)
{
    dst = mqtt_wire_put_u16(dst, p->packet_id);
    if (p->version == MQTT_V5 && p->properties.wire.len > 0)
        return put_properties(mqtt_wire_put_u8(dst, p->reason_code), p, &p->properties);
    return p->reason_code != 0 ? mqtt_wire_put_u8(dst, p->reason_code) : dst;
}

/* SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK: id, properties, and a list that is in wire form already. */
static struct mqtt_bytes list_of(const struct mqtt_packet *p)
{
    if (p->type == MQTT_SUBSCRIBE)
        return p->subscriptions.wire;
    return p->type == MQTT_UNSUBSCRIBE ? p->filters.wire : p->reason_codes;
}

static size_t list_size(const struct mqtt_packet *p)
{
    return 2 + properties_size(p, &p->properties) + list_of(p).len;
}

static uint8_t *put_list(uint8_t *dst, const struct mqtt_packet *p)
{
    dst = mqtt_wire_put_u16(dst, p->packet_id);
    dst = put_properties(dst, p, &p->properties);
    return mqtt_wire_put_bytes(dst, list_of(p));
}

static size_t ping_size(const struct mqtt_packet *p)
{
    return 0;
}

static uint8_t *put_ping(uint8_t *dst, const struct mqtt_packet *p)
{
    return dst;
}

/* DISCONNECT: as short as ack_size(). AUTH has a method in any case, so only its long form is ever legal. */
static size_t closing_size(const struct mqtt_packet *p)
{
    if (p->version == MQTT_V5 && p->properties.wire.len > 0)
        return 1 + properties_size(p, &p->properties);
    return p->reason_code != 0 ? 1 : 0;
}

static uint8_t *put_closing(uint8_t *dst, const struct mqtt_packet *p)
{
    if (p->version == MQTT_V5 && p->properties.wire.len > 0)
        return put_properties(mqtt_wire_put_u8(dst, p->reason_code), p, &p->properties);
    return p->reason_code != 0 ? mqtt_wire_put_u8(dst, p->reason_code) : dst;
}

struct packet_kind {
    uint8_t first; /* byte of the packet: type and fixed flags (section 2.1.3) */
    size_t (*size)(const struct mqtt_packet *p);
    uint8_t *(*put)(uint8_t *dst, const struct mqtt_packet *p);
};

static const struct packet_kind kinds[] = {
    [MQTT_CONNECT] = {0x10, connect_size, put_connect}, [MQTT_CONNACK] = {0x20, connack_size, put_connack},
    [MQTT_PUBLISH] = {0x30, publish_size, put_publish}, [MQTT_PUBACK] = {0x40, ack_size, put_ack},
    [MQTT_PUBREC] = {0x50, ack_size, put_ack},          [MQTT_PUBREL] = {0x62, ack_size, put_ack},
    [MQTT_PUBCOMP] = {0x70, ack_size, put_ack},         [MQTT_SUBSCRIBE] = {0x82, list_size, put_list},
    [MQTT_SUBACK] = {0x90, list_size, put_list},        [MQTT_UNSUBSCRIBE] = {0xA2, list_size, put_list},
    [MQTT_UNSUBACK] = {0xB0, list_size, put_list},      [MQTT_PINGREQ] = {0xC0, ping_size, put_ping},
    [MQTT_PINGRESP] = {0xD0, ping_size, put_ping},      [MQTT_DISCONNECT] = {0xE0, closing_size, put_closing},
    [MQTT_AUTH] = {0xF0, closing_size, put_closing},
};

size_t mqtt_encode_size(const struct mqtt_packet *p)
{
    size_t body = kinds[p->type].size(p);
    if (body > MQTT_VARINT_MAX)
        return 1 + 4 + body; /* cannot be encoded, which the caller sees by the number */
    return 1 + mqtt_wire_varint_size((uint32_t)body) + body;
}

static inline uint8_t *put_fixed_header(uint8_t *dst, const struct mqtt_packet *p, size_t body_bytes)
{
    uint8_t first = kinds[p->type].first | (uint8_t)(p->dup << 3);
    if (p->type == MQTT_PUBLISH)
        first |= (uint8_t)(p->publish.qos << 1 | p->publish.retain);
    return mqtt_wire_put_varint(mqtt_wire_put_u8(dst, first), (uint32_t)body_bytes);
}

size_t mqtt_encode(const struct mqtt_packet *p, uint8_t *dst)
{
    const struct packet_kind *kind = &kinds[p->type];
    return (size_t)(kind->put(put_fixed_header(dst, p, kind->size(p)), p) - dst);
}

size_t mqtt_encode_publish_head(const struct mqtt_packet *p, uint8_t *dst)
{
    return (size_t)(put_publish_head(put_fixed_header(dst, p, publish_size(p)), p) - dst);
}
