/* Field numbers stand here as in frame_to_packet.c, on purpose a second time: this form is the oracle of that one. */
#include "protobuf_to_packet.h"

#include <string.h>

#include "mqtt_check.h"
#include "mqtt_property.h"
#include "mqtt_wire.h"
#include "mqttv3.pb-c.h"
#include "mqttv5.pb-c.h"
#include "pb_property.h"
#include "pb_storage.h"

enum { FIELD_HAS_USERNAME = 100, FIELD_HAS_PASSWORD = 101, FIELD_DUP = 100 };

struct reader {
    struct mqtt_packet *packet;
    uint8_t *scratch; /* where the next entry of a list goes */
    size_t scratch_left;
    size_t needed_bytes; /* of scratch, in all */
    struct mqtt_fault fault;
    bool is_v5;
};

static void note(struct reader *r, uint8_t reason, const char *text)
{
    if (!r->fault.text)
        r->fault = (struct mqtt_fault){reason, text};
}

/* N bytes, or NULL if the scratch is too short: then only the need is counted. */
static uint8_t *take_scratch(struct reader *r, size_t n)
{
    r->needed_bytes += n;
    if (r->needed_bytes > r->scratch_left)
        return NULL;
    r->scratch += n;
    return r->scratch - n;
}

/* 0 where the version does not have the field. */
static uint32_t get_uint(const ProtobufCMessage *m, unsigned number)
{
    const ProtobufCFieldDescriptor *field;
    const void *at = pb_storage(m, number, &field);
    if (!at)
        return 0;
    return field->type == PROTOBUF_C_TYPE_BOOL ? *(const protobuf_c_boolean *)at != 0 : *(const uint32_t *)at;
}

static uint32_t get_fitting(struct reader *r, const ProtobufCMessage *m, unsigned number, uint32_t max)
{
    uint32_t value = get_uint(m, number);
    if (value <= max)
        return value;
    note(r, MQTT_REASON_MALFORMED_PACKET, "frame: a number that MQTT does not have room for");
    return 0;
}

static struct mqtt_bytes text_bytes(const char *text)
{
    size_t len = text ? strlen(text) : 0;
    return (struct mqtt_bytes){(const uint8_t *)text, len < UINT32_MAX ? (uint32_t)len : UINT32_MAX};
}

/* A string or bytes. */
static struct mqtt_bytes get_bytes(struct reader *r, const ProtobufCMessage *m, unsigned number)
{
    const ProtobufCFieldDescriptor *field;
    const void *at = pb_storage(m, number, &field);
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return text_bytes(*(char *const *)at);
    const ProtobufCBinaryData *data = at;
    if (data->len <= INT32_MAX)
        return (struct mqtt_bytes){data->data, (uint32_t)data->len};
    note(r, MQTT_REASON_PACKET_TOO_LARGE, "frame: more than 2 GB of bytes");
    return (struct mqtt_bytes){0};
}

static const ProtobufCMessage *get_message(const ProtobufCMessage *m, unsigned number)
{
    const ProtobufCFieldDescriptor *field;
    return *(ProtobufCMessage *const *)pb_storage(m, number, &field);
}

/* How many elements a repeated field has, and where they are. */
static size_t get_list(const ProtobufCMessage *m, unsigned number, const void **ret_elements)
{
    const ProtobufCFieldDescriptor *field;
    const void *at = pb_storage(m, number, &field);
    *ret_elements = at ? *(const void *const *)at : NULL;
    return at ? *(const size_t *)pb_quantifier(m, field) : 0;
}

static void get_property(struct reader *r, const Mqttv5__Property *m, struct mqtt_property *ret)
{
    unsigned number = m->property_type_case;
    unsigned id = pb_property_id(number);
    *ret = (struct mqtt_property){.id = (uint8_t)id, .type = mqtt_property_info(id)->type};
    switch ((enum mqtt_property_type)ret->type) {
    case MQTT_PROPERTY_TYPE_U8:
    case MQTT_PROPERTY_TYPE_U16:
    case MQTT_PROPERTY_TYPE_U32:
    case MQTT_PROPERTY_TYPE_VARINT:
        ret->number = get_uint(&m->base, number);
        break;
    case MQTT_PROPERTY_TYPE_STRING:
    case MQTT_PROPERTY_TYPE_BINARY:
        ret->value = get_bytes(r, &m->base, number);
        break;
    case MQTT_PROPERTY_TYPE_PAIR:
        if (!m->user_property) {
            ret->type = MQTT_PROPERTY_TYPE_NONE;
            break;
        }
        ret->key = get_bytes(r, &m->user_property->base, 1);
        ret->value = get_bytes(r, &m->user_property->base, 2);
        break;
    case MQTT_PROPERTY_TYPE_NONE:
        break;
    }
    const char *misfit = pb_property_misfit(ret);
    if (misfit)
        note(r, MQTT_REASON_MALFORMED_PACKET, misfit);
}

static struct mqtt_properties get_properties(struct reader *r, const ProtobufCMessage *m, unsigned number)
{
    struct mqtt_properties list = {0};
    const void *elements;
    size_t count = get_list(m, number, &elements);
    for (size_t i = 0; i < count; i++) {
        struct mqtt_property prop;
        get_property(r, ((Mqttv5__Property *const *)elements)[i], &prop);
        uint8_t *dst = r->fault.text ? NULL : take_scratch(r, mqtt_property_size(&prop));
        if (!dst)
            continue;
        if (!list.wire.ptr)
            list.wire.ptr = dst;
        list.wire.len = (uint32_t)(mqtt_property_put(dst, &prop) - list.wire.ptr);
    }
    return list;
}

static void get_will(struct reader *r, const ProtobufCMessage *m, struct mqtt_will *ret)
{
    ret->topic = get_bytes(r, m, 1);
    ret->payload = get_bytes(r, m, 2);
    ret->qos = (uint8_t)get_fitting(r, m, 3, 2);
    ret->retain = get_uint(m, 4);
    ret->properties = get_properties(r, m, 5);
}

/* Name and level together tell the version. */
static void get_protocol(struct reader *r, const ProtobufCMessage *m)
{
    static const struct {
        const char *name;
        uint8_t level, version;
    } known[] = {
        {"MQIsdp", 0x03, MQTT_V31}, {"MQIsdp", 0x83, MQTT_V31}, {"MQTT", 0x04, MQTT_V311},
        {"MQTT", 0x84, MQTT_V311},  {"MQTT", 0x05, MQTT_V5},
    };
    struct mqtt_bytes name = get_bytes(r, m, 2);
    uint32_t level = get_uint(m, 3);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bool is_same_name = name.len == strlen(known[i].name) && memcmp(name.ptr, known[i].name, name.len) == 0;
        if (is_same_name && level == known[i].level && (known[i].version == MQTT_V5) == r->is_v5) {
            r->packet->version = known[i].version;
            r->packet->connect.protocol_level = known[i].level;
            return;
        }
    }
    note(r, MQTT_REASON_UNSUPPORTED_VERSION, "frame: protocol_name and protocol_version do not fit");
}

static void get_connect(struct reader *r, const ProtobufCMessage *m)
{
    struct mqtt_connect *c = &r->packet->connect;
    get_protocol(r, m);
    c->client_id = get_bytes(r, m, 1);
    c->clean_start = get_uint(m, 4);
    c->keep_alive_s = (uint16_t)get_fitting(r, m, 5, UINT16_MAX);
    c->username = get_bytes(r, m, 6);
    c->password = get_bytes(r, m, 7);
    c->has_username = get_uint(m, FIELD_HAS_USERNAME) || c->username.len > 0;
    c->has_password = get_uint(m, FIELD_HAS_PASSWORD) || c->password.len > 0;
    const ProtobufCMessage *will = get_message(m, 8);
    c->has_will = will != NULL;
    if (will)
        get_will(r, will, &c->will);
    r->packet->properties = get_properties(r, m, 9);
}

static void get_publish(struct reader *r, const ProtobufCMessage *m)
{
    struct mqtt_packet *p = r->packet;
    p->publish.topic = get_bytes(r, m, 1);
    p->packet_id = (uint16_t)get_fitting(r, m, 2, UINT16_MAX);
    p->publish.qos = (uint8_t)get_fitting(r, m, 3, 2);
    p->publish.retain = get_uint(m, 4);
    p->dup = get_uint(m, 5);
    p->publish.payload = get_bytes(r, m, 6);
    p->properties = get_properties(r, m, 7);
}

/* Room for a filter and EXTRA bytes at the end of LIST; the byte behind the filter, or NULL. */
static uint8_t *put_filter(struct reader *r, struct mqtt_bytes filter, size_t extra, struct mqtt_list *list)
{
    if (filter.len == 0 || filter.len > MQTT_STRING_MAX)
        note(r, MQTT_REASON_MALFORMED_PACKET, "frame: topic filter is empty or longer than 65,535 bytes");
    uint8_t *dst = r->fault.text ? NULL : take_scratch(r, 2 + filter.len + extra);
    if (!dst)
        return NULL;
    if (list->count++ == 0)
        list->wire.ptr = dst;
    list->wire.len += (uint32_t)(2 + filter.len + extra);
    return mqtt_wire_put_text(dst, filter);
}

static void get_subscriptions(struct reader *r, const ProtobufCMessage *m)
{
    const void *elements;
    size_t count = get_list(m, 2, &elements);
    for (size_t i = 0; i < count; i++) {
        const ProtobufCMessage *s = ((ProtobufCMessage *const *)elements)[i];
        uint32_t options = get_fitting(r, s, 2, 2);
        options |= get_uint(s, 3) << 2 | get_uint(s, 4) << 3 | get_fitting(r, s, 5, 2) << 4;
        uint8_t *behind = put_filter(r, get_bytes(r, s, 1), 1, &r->packet->subscriptions);
        if (behind)
            *behind = (uint8_t)options;
    }
}

static void get_filters(struct reader *r, const ProtobufCMessage *m)
{
    const void *elements;
    size_t count = get_list(m, 2, &elements);
    for (size_t i = 0; i < count; i++)
        put_filter(r, text_bytes(((char *const *)elements)[i]), 0, &r->packet->filters);
}

static void get_codes(struct reader *r, const ProtobufCMessage *m)
{
    const void *elements;
    size_t count = get_list(m, 2, &elements);
    if (count == 0)
        return;
    uint8_t *dst = take_scratch(r, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t code = ((const uint32_t *)elements)[i];
        if (code > UINT8_MAX)
            note(r, MQTT_REASON_MALFORMED_PACKET, "frame: reason code does not fit one byte");
        if (dst)
            dst[i] = (uint8_t)code;
    }
    if (dst)
        r->packet->reason_codes = (struct mqtt_bytes){dst, (uint32_t)count};
}

static void get_body(struct reader *r, const ProtobufCMessage *m)
{
    struct mqtt_packet *p = r->packet;
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        get_connect(r, m);
        break;
    case MQTT_CONNACK:
        p->connack.session_present = get_uint(m, 1);
        p->reason_code = (uint8_t)get_fitting(r, m, 2, UINT8_MAX);
        p->properties = get_properties(r, m, 3);
        break;
    case MQTT_PUBLISH:
        get_publish(r, m);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        p->packet_id = (uint16_t)get_fitting(r, m, 1, UINT16_MAX);
        p->reason_code = (uint8_t)get_fitting(r, m, 2, UINT8_MAX);
        p->properties = get_properties(r, m, 3);
        p->dup = get_uint(m, FIELD_DUP);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_SUBACK:
    case MQTT_UNSUBSCRIBE:
    case MQTT_UNSUBACK:
        p->packet_id = (uint16_t)get_fitting(r, m, 1, UINT16_MAX);
        if (p->type == MQTT_SUBSCRIBE)
            get_subscriptions(r, m);
        else if (p->type == MQTT_UNSUBSCRIBE)
            get_filters(r, m);
        else
            get_codes(r, m);
        p->properties = get_properties(r, m, 3);
        p->dup = get_uint(m, FIELD_DUP);
        break;
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        p->reason_code = (uint8_t)get_fitting(r, m, 1, UINT8_MAX);
        p->properties = get_properties(r, m, 2);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    }
}

/* 0 if there is none: no member of the oneof, or one whose message is missing. */
static uint8_t member_type(const ProtobufCMessage *m, bool is_v5)
{
    uint32_t number =
        is_v5 ? ((const Mqttv5__MqttPacket *)m)->packet_case : ((const Mqttv3__MqttPacket *)m)->packet_case;
    bool is_known = protobuf_c_message_descriptor_get_field(m->descriptor, number) != NULL;
    return is_known && get_message(m, number) ? (uint8_t)number : 0;
}

static void judge_version(struct reader *r, uint8_t session_version)
{
    struct mqtt_packet *p = r->packet;
    if (session_version == 0 && !r->is_v5 && p->type != MQTT_CONNECT)
        note(r, MQTT_REASON_PROTOCOL_ERROR, "frame: packet of MQTT 3 before CONNECT");
    if (session_version != 0 && session_version != p->version)
        note(r, MQTT_REASON_PROTOCOL_ERROR, "frame: packet of another version than the session's");
}

static void read_message(struct reader *r, const ProtobufCMessage *m, uint8_t session_version)
{
    r->is_v5 = m->descriptor == &mqttv5__mqtt_packet__descriptor;
    uint8_t type = member_type(m, r->is_v5);
    uint8_t version = r->is_v5 ? MQTT_V5 : session_version == MQTT_V5 ? 0 : session_version;
    *r->packet = (struct mqtt_packet){.type = type, .version = version};
    if (type == 0) {
        note(r, MQTT_REASON_MALFORMED_PACKET, "frame: no packet in it");
        return;
    }
    get_body(r, get_message(m, type));
    judge_version(r, session_version);
}

size_t protobuf_scratch_bytes(const ProtobufCMessage *message)
{
    struct mqtt_packet packet;
    struct reader r = {.packet = &packet};
    if (protobuf_c_message_check(message))
        read_message(&r, message, 0);
    return r.needed_bytes;
}

int protobuf_to_packet(const ProtobufCMessage *message, uint8_t session_version, uint8_t *scratch, size_t scratch_bytes,
                       struct mqtt_packet *ret_packet, struct mqtt_fault *ret_fault)
{
    struct reader r = {.packet = ret_packet, .scratch_left = scratch_bytes};
    r.scratch = scratch;
    if (protobuf_c_message_check(message))
        read_message(&r, message, session_version);
    else
        note(&r, MQTT_REASON_MALFORMED_PACKET, "frame: message is not whole");
    if (r.fault.text) {
        *ret_fault = r.fault;
        return CONVERT_REFUSED;
    }
    if (r.needed_bytes > scratch_bytes)
        return CONVERT_SCRATCH;
    return mqtt_packet_check(ret_packet, ret_fault) == 0 ? CONVERT_OK : CONVERT_REFUSED;
}
