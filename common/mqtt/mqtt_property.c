/* The table of properties, and reading, checking and writing after it. */
#include "mqtt_property.h"

#include "cursor.h"
#include "mqtt_check.h"
#include "mqtt_topic.h"
#include "mqtt_wire.h"

#define IN(TYPE) (1u << MQTT_##TYPE)

enum {
    MESSAGE = IN(PUBLISH) | IN(WILL),
    OPENING = IN(CONNECT) | IN(CONNACK),
    AUTHENTICATION = IN(CONNECT) | IN(CONNACK) | IN(AUTH),
    EXPLAINED = IN(CONNACK) | IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) | IN(UNSUBACK) |
                IN(DISCONNECT) | IN(AUTH),
    ANYWHERE = IN(WILL) | IN(CONNECT) | IN(PUBLISH) | IN(SUBSCRIBE) | IN(UNSUBSCRIBE) | EXPLAINED,
};

/* A row with its constant texts. Sections: 2.2.2.2 for place and repetition, the property's own for its range. */
#define ROW(ID, NAME, TYPE, PLACES, ...)                                                               \
    [MQTT_PROPERTY_##ID] = {.name = NAME,                                                              \
                            .type = MQTT_PROPERTY_TYPE_##TYPE,                                         \
                            .places = PLACES,                                                          \
                            .max = UINT32_MAX,                                                         \
                            .range_reason = MQTT_REASON_PROTOCOL_ERROR,                                \
                            .misplaced_text = "MQTT 2.2.2.2: " NAME " does not belong to this packet", \
                            .twice_text = "MQTT 2.2.2.2: " NAME " is given twice",                     \
                            .range_text = "MQTT 2.2.2.2: " NAME " is out of range",                    \
                            __VA_ARGS__}
/* Bytes that may be 0 or 1. */
#define FLAG(ID, NAME, PLACES) ROW(ID, NAME, U8, PLACES, .max = 1)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* a row may say better than ROW's defaults */
static const struct mqtt_property_info properties[MQTT_PROPERTY_ID_END] = {
    FLAG(PAYLOAD_FORMAT_INDICATOR, "Payload Format Indicator", MESSAGE),
    ROW(MESSAGE_EXPIRY_INTERVAL, "Message Expiry Interval", U32, MESSAGE),
    ROW(CONTENT_TYPE, "Content Type", STRING, MESSAGE),
    ROW(RESPONSE_TOPIC, "Response Topic", STRING, MESSAGE),
    ROW(CORRELATION_DATA, "Correlation Data", BINARY, MESSAGE),
    /* A server sends one for each subscription that matched (MQTT-3.3.4-4). */
    ROW(SUBSCRIPTION_IDENTIFIER, "Subscription Identifier", VARINT, IN(PUBLISH) | IN(SUBSCRIBE), .min = 1,
        .repeatable = IN(PUBLISH)),
    ROW(SESSION_EXPIRY_INTERVAL, "Session Expiry Interval", U32, OPENING | IN(DISCONNECT)),
    ROW(ASSIGNED_CLIENT_IDENTIFIER, "Assigned Client Identifier", STRING, IN(CONNACK)),
    ROW(SERVER_KEEP_ALIVE, "Server Keep Alive", U16, IN(CONNACK)),
    ROW(AUTHENTICATION_METHOD, "Authentication Method", STRING, AUTHENTICATION),
    ROW(AUTHENTICATION_DATA, "Authentication Data", BINARY, AUTHENTICATION),
    FLAG(REQUEST_PROBLEM_INFORMATION, "Request Problem Information", IN(CONNECT)),
    ROW(WILL_DELAY_INTERVAL, "Will Delay Interval", U32, IN(WILL)),
    FLAG(REQUEST_RESPONSE_INFORMATION, "Request Response Information", IN(CONNECT)),
    ROW(RESPONSE_INFORMATION, "Response Information", STRING, IN(CONNACK)),
    ROW(SERVER_REFERENCE, "Server Reference", STRING, IN(CONNACK) | IN(DISCONNECT)),
    ROW(REASON_STRING, "Reason String", STRING, EXPLAINED),
    ROW(RECEIVE_MAXIMUM, "Receive Maximum", U16, OPENING, .min = 1),
    ROW(TOPIC_ALIAS_MAXIMUM, "Topic Alias Maximum", U16, OPENING),
    ROW(TOPIC_ALIAS, "Topic Alias", U16, IN(PUBLISH), .min = 1, .range_reason = MQTT_REASON_TOPIC_ALIAS_INVALID,
        .range_text = "MQTT-3.3.2-8: Topic Alias is 0"),
    FLAG(MAXIMUM_QOS, "Maximum QoS", IN(CONNACK)),
    FLAG(RETAIN_AVAILABLE, "Retain Available", IN(CONNACK)),
    ROW(USER_PROPERTY, "User Property", PAIR, ANYWHERE, .repeatable = ANYWHERE),
    ROW(MAXIMUM_PACKET_SIZE, "Maximum Packet Size", U32, OPENING, .min = 1),
    FLAG(WILDCARD_SUBSCRIPTION_AVAILABLE, "Wildcard Subscription Available", IN(CONNACK)),
    FLAG(SUBSCRIPTION_IDENTIFIERS_AVAILABLE, "Subscription Identifiers Available", IN(CONNACK)),
    FLAG(SHARED_SUBSCRIPTION_AVAILABLE, "Shared Subscription Available", IN(CONNACK)),
};
#pragma GCC diagnostic pop

static const struct mqtt_property_info no_property = {.type = MQTT_PROPERTY_TYPE_NONE};

const struct mqtt_property_info *mqtt_property_info(unsigned id)
{
    if (id >= MQTT_PROPERTY_ID_END || !properties[id].name)
        return &no_property;
    return &properties[id];
}

static int read_number(struct cursor *c, uint8_t type, uint32_t *ret_number)
{
    uint8_t u8;
    uint16_t u16;
    switch (type) {
    case MQTT_PROPERTY_TYPE_U8:
        if (cursor_read_u8(c, &u8))
            return CURSOR_SHORT;
        *ret_number = u8;
        return 0;
    case MQTT_PROPERTY_TYPE_U16:
        if (cursor_read_u16(c, &u16))
            return CURSOR_SHORT;
        *ret_number = u16;
        return 0;
    case MQTT_PROPERTY_TYPE_U32:
        return cursor_read_u32(c, ret_number);
    default:
        return mqtt_wire_read_varint(c, ret_number);
    }
}

enum { PROPERTY_UNKNOWN = 3 };

/* Take one property from the front. 0, CURSOR_SHORT, MQTT_WIRE_BAD or PROPERTY_UNKNOWN. */
static int read_property(struct cursor *c, struct mqtt_property *ret)
{
    struct mqtt_property prop = {0};
    /* The id is a Variable Byte Integer; all that exist have one byte, so a second one is too many or no property. */
    if (cursor_read_u8(c, &prop.id))
        return CURSOR_SHORT;
    prop.type = mqtt_property_info(prop.id)->type;
    int r;
    switch (prop.type) {
    case MQTT_PROPERTY_TYPE_NONE:
        return PROPERTY_UNKNOWN;
    case MQTT_PROPERTY_TYPE_PAIR:
        r = mqtt_wire_read_text(c, &prop.key);
        if (!r)
            r = mqtt_wire_read_text(c, &prop.value);
        break;
    case MQTT_PROPERTY_TYPE_STRING:
    case MQTT_PROPERTY_TYPE_BINARY:
        r = mqtt_wire_read_text(c, &prop.value);
        break;
    default:
        r = read_number(c, prop.type, &prop.number);
    }
    if (!r)
        *ret = prop;
    return r;
}

bool mqtt_property_next(struct mqtt_bytes *iter, struct mqtt_property *ret)
{
    struct cursor c = cursor_make(iter->ptr, iter->len);
    if (c.len == 0 || read_property(&c, ret))
        return false;
    *iter = (struct mqtt_bytes){.ptr = c.ptr, .len = (uint32_t)c.len};
    return true;
}

bool mqtt_property_find(const struct mqtt_properties *list, enum mqtt_property_id id, struct mqtt_property *ret)
{
    struct mqtt_bytes iter = list->wire;
    struct mqtt_property prop;
    while (mqtt_property_next(&iter, &prop)) {
        if (prop.id != id)
            continue;
        *ret = prop;
        return true;
    }
    return false;
}

bool mqtt_property_has(const struct mqtt_properties *list, enum mqtt_property_id id)
{
    struct mqtt_property prop;
    return mqtt_property_find(list, id, &prop);
}

uint32_t mqtt_property_number(const struct mqtt_properties *list, enum mqtt_property_id id, uint32_t fallback)
{
    struct mqtt_property prop;
    return mqtt_property_find(list, id, &prop) ? prop.number : fallback;
}

static int check_response_topic(struct mqtt_bytes topic, struct mqtt_fault *fault)
{
    if (topic.len == 0)
        return mqtt_fault_set(fault, MQTT_REASON_PROTOCOL_ERROR, "MQTT-4.7.3-1: Response Topic is empty");
    if (mqtt_topic_has_wildcard(topic))
        return mqtt_fault_set(fault, MQTT_REASON_PROTOCOL_ERROR, "MQTT-3.3.2-14: Response Topic holds a wildcard");
    return 0;
}

static int check_value(const struct mqtt_property *prop, struct mqtt_fault *fault)
{
    const struct mqtt_property_info *info = mqtt_property_info(prop->id);
    switch (prop->type) {
    case MQTT_PROPERTY_TYPE_BINARY:
        return 0;
    case MQTT_PROPERTY_TYPE_PAIR:
        return mqtt_check_string(prop->key, fault) || mqtt_check_string(prop->value, fault) ? MQTT_CHECK_BAD : 0;
    case MQTT_PROPERTY_TYPE_STRING:
        if (mqtt_check_string(prop->value, fault))
            return MQTT_CHECK_BAD;
        return prop->id == MQTT_PROPERTY_RESPONSE_TOPIC ? check_response_topic(prop->value, fault) : 0;
    default:
        if (prop->number < info->min || prop->number > info->max)
            return mqtt_fault_set(fault, info->range_reason, info->range_text);
        return 0;
    }
}

/* SEEN has bit (1 << id) of every property before this one. */
static int check_one(uint8_t where, const struct mqtt_property *prop, uint64_t *seen, struct mqtt_fault *fault)
{
    const struct mqtt_property_info *info = mqtt_property_info(prop->id);
    uint64_t bit = UINT64_C(1) << prop->id;
    if (!(info->places & 1u << where))
        return mqtt_fault_set(fault, MQTT_REASON_MALFORMED_PACKET, info->misplaced_text);
    if ((*seen & bit) && !(info->repeatable & 1u << where))
        return mqtt_fault_set(fault, MQTT_REASON_PROTOCOL_ERROR, info->twice_text);
    *seen |= bit;
    return check_value(prop, fault);
}

int mqtt_property_check(uint8_t where, struct mqtt_bytes list, struct mqtt_fault *ret_fault)
{
    struct cursor c = cursor_make(list.ptr, list.len);
    uint64_t seen = 0;
    while (c.len > 0) {
        struct mqtt_property prop;
        switch (read_property(&c, &prop)) {
        case 0:
            break;
        case PROPERTY_UNKNOWN:
            return mqtt_fault_set(ret_fault, MQTT_REASON_MALFORMED_PACKET, "MQTT 2.2.2.2: there is no such property");
        case MQTT_WIRE_BAD:
            return mqtt_fault_set(ret_fault, MQTT_REASON_MALFORMED_PACKET,
                                  "MQTT-1.5.5-1: Variable Byte Integer of a property is too long");
        default:
            return mqtt_fault_set(ret_fault, MQTT_REASON_MALFORMED_PACKET,
                                  "MQTT 2.2.2: property runs past the end of its list");
        }
        if (check_one(where, &prop, &seen, ret_fault))
            return MQTT_CHECK_BAD;
    }
    return 0;
}

size_t mqtt_property_size(const struct mqtt_property *prop)
{
    switch (prop->type) {
    case MQTT_PROPERTY_TYPE_U8:
        return 1 + 1;
    case MQTT_PROPERTY_TYPE_U16:
        return 1 + 2;
    case MQTT_PROPERTY_TYPE_U32:
        return 1 + 4;
    case MQTT_PROPERTY_TYPE_VARINT:
        return 1 + mqtt_wire_varint_size(prop->number);
    case MQTT_PROPERTY_TYPE_PAIR:
        return 1 + 2 + (size_t)prop->key.len + 2 + prop->value.len;
    default:
        return 1 + 2 + (size_t)prop->value.len;
    }
}

uint8_t *mqtt_property_put_u8(uint8_t *dst, enum mqtt_property_id id, uint8_t value)
{
    return mqtt_wire_put_u8(mqtt_wire_put_u8(dst, (uint8_t)id), value);
}

uint8_t *mqtt_property_put_u16(uint8_t *dst, enum mqtt_property_id id, uint16_t value)
{
    return mqtt_wire_put_u16(mqtt_wire_put_u8(dst, (uint8_t)id), value);
}

uint8_t *mqtt_property_put_u32(uint8_t *dst, enum mqtt_property_id id, uint32_t value)
{
    return mqtt_wire_put_u32(mqtt_wire_put_u8(dst, (uint8_t)id), value);
}

uint8_t *mqtt_property_put_varint(uint8_t *dst, enum mqtt_property_id id, uint32_t value)
{
    return mqtt_wire_put_varint(mqtt_wire_put_u8(dst, (uint8_t)id), value);
}

uint8_t *mqtt_property_put_bytes(uint8_t *dst, enum mqtt_property_id id, struct mqtt_bytes value)
{
    return mqtt_wire_put_text(mqtt_wire_put_u8(dst, (uint8_t)id), value);
}

uint8_t *mqtt_property_put_pair(uint8_t *dst, enum mqtt_property_id id, struct mqtt_bytes key, struct mqtt_bytes value)
{
    return mqtt_wire_put_text(mqtt_property_put_bytes(dst, id, key), value);
}

uint8_t *mqtt_property_put(uint8_t *dst, const struct mqtt_property *prop)
{
    enum mqtt_property_id id = prop->id;
    switch (prop->type) {
    case MQTT_PROPERTY_TYPE_U8:
        return mqtt_property_put_u8(dst, id, (uint8_t)prop->number);
    case MQTT_PROPERTY_TYPE_U16:
        return mqtt_property_put_u16(dst, id, (uint16_t)prop->number);
    case MQTT_PROPERTY_TYPE_U32:
        return mqtt_property_put_u32(dst, id, prop->number);
    case MQTT_PROPERTY_TYPE_VARINT:
        return mqtt_property_put_varint(dst, id, prop->number);
    case MQTT_PROPERTY_TYPE_PAIR:
        return mqtt_property_put_pair(dst, id, prop->key, prop->value);
    default:
        return mqtt_property_put_bytes(dst, id, prop->value);
    }
}

uint8_t *mqtt_property_copy_without(uint8_t *dst, const struct mqtt_properties *list, enum mqtt_property_id id)
{
    struct mqtt_bytes iter = list->wire;
    struct mqtt_property prop;
    while (mqtt_property_next(&iter, &prop))
        if (prop.id != id)
            dst = mqtt_property_put(dst, &prop);
    return dst;
}

uint8_t *mqtt_property_copy_replacing(uint8_t *dst, const struct mqtt_properties *list,
                                      const struct mqtt_property *prop)
{
    struct mqtt_bytes iter = list->wire;
    struct mqtt_property old;
    while (mqtt_property_next(&iter, &old))
        dst = mqtt_property_put(dst, old.id == prop->id ? prop : &old);
    return dst;
}

uint8_t *mqtt_property_copy_with_u32(uint8_t *dst, const struct mqtt_properties *list, enum mqtt_property_id id,
                                     uint32_t value)
{
    return mqtt_property_put_u32(mqtt_property_copy_without(dst, list, id), id, value);
}
