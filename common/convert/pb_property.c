#include "pb_property.h"

#include "mqtt_wire.h"
#include "pb_wire.h"

/* Index: field number in mqttv5.Property. */
static const uint8_t id_of_number[PB_PROPERTY_NUMBER_END] = {
    [1] = MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR,
    [2] = MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL,
    [3] = MQTT_PROPERTY_CONTENT_TYPE,
    [4] = MQTT_PROPERTY_RESPONSE_TOPIC,
    [5] = MQTT_PROPERTY_CORRELATION_DATA,
    [6] = MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER,
    [7] = MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL,
    [8] = MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER,
    [9] = MQTT_PROPERTY_SERVER_KEEP_ALIVE,
    [10] = MQTT_PROPERTY_AUTHENTICATION_METHOD,
    [11] = MQTT_PROPERTY_AUTHENTICATION_DATA,
    [12] = MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION,
    [13] = MQTT_PROPERTY_WILL_DELAY_INTERVAL,
    [14] = MQTT_PROPERTY_REQUEST_RESPONSE_INFORMATION,
    [15] = MQTT_PROPERTY_RESPONSE_INFORMATION,
    [16] = MQTT_PROPERTY_SERVER_REFERENCE,
    [17] = MQTT_PROPERTY_REASON_STRING,
    [18] = MQTT_PROPERTY_RECEIVE_MAXIMUM,
    [19] = MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM,
    [20] = MQTT_PROPERTY_TOPIC_ALIAS,
    [21] = MQTT_PROPERTY_MAXIMUM_QOS,
    [22] = MQTT_PROPERTY_RETAIN_AVAILABLE,
    [23] = MQTT_PROPERTY_USER_PROPERTY,
    [24] = MQTT_PROPERTY_MAXIMUM_PACKET_SIZE,
    [25] = MQTT_PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE,
    [26] = MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
    [27] = MQTT_PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE,
};

/* Index: property id of MQTT. */
static const uint8_t number_of_id[MQTT_PROPERTY_ID_END] = {
    [MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR] = 1,
    [MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL] = 2,
    [MQTT_PROPERTY_CONTENT_TYPE] = 3,
    [MQTT_PROPERTY_RESPONSE_TOPIC] = 4,
    [MQTT_PROPERTY_CORRELATION_DATA] = 5,
    [MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER] = 6,
    [MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL] = 7,
    [MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER] = 8,
    [MQTT_PROPERTY_SERVER_KEEP_ALIVE] = 9,
    [MQTT_PROPERTY_AUTHENTICATION_METHOD] = 10,
    [MQTT_PROPERTY_AUTHENTICATION_DATA] = 11,
    [MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION] = 12,
    [MQTT_PROPERTY_WILL_DELAY_INTERVAL] = 13,
    [MQTT_PROPERTY_REQUEST_RESPONSE_INFORMATION] = 14,
    [MQTT_PROPERTY_RESPONSE_INFORMATION] = 15,
    [MQTT_PROPERTY_SERVER_REFERENCE] = 16,
    [MQTT_PROPERTY_REASON_STRING] = 17,
    [MQTT_PROPERTY_RECEIVE_MAXIMUM] = 18,
    [MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM] = 19,
    [MQTT_PROPERTY_TOPIC_ALIAS] = 20,
    [MQTT_PROPERTY_MAXIMUM_QOS] = 21,
    [MQTT_PROPERTY_RETAIN_AVAILABLE] = 22,
    [MQTT_PROPERTY_USER_PROPERTY] = 23,
    [MQTT_PROPERTY_MAXIMUM_PACKET_SIZE] = 24,
    [MQTT_PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE] = 25,
    [MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIERS_AVAILABLE] = 26,
    [MQTT_PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE] = 27,
};

unsigned pb_property_number(unsigned id)
{
    return id < MQTT_PROPERTY_ID_END ? number_of_id[id] : 0;
}

unsigned pb_property_id(unsigned number)
{
    return number < PB_PROPERTY_NUMBER_END ? id_of_number[number] : 0;
}

bool pb_property_is_bool(unsigned id)
{
    return mqtt_property_info(id)->type == MQTT_PROPERTY_TYPE_U8 && id != MQTT_PROPERTY_MAXIMUM_QOS;
}

static size_t pair_size(const struct mqtt_property *prop)
{
    return pb_bytes_field_size(1, prop->key) + pb_bytes_field_size(2, prop->value);
}

size_t pb_property_size(const struct mqtt_property *prop)
{
    unsigned number = pb_property_number(prop->id);
    switch ((enum mqtt_property_type)prop->type) {
    case MQTT_PROPERTY_TYPE_U8:
    case MQTT_PROPERTY_TYPE_U16:
    case MQTT_PROPERTY_TYPE_U32:
    case MQTT_PROPERTY_TYPE_VARINT:
        return pb_tag_size(number) + pb_varint_size(prop->number);
    case MQTT_PROPERTY_TYPE_STRING:
    case MQTT_PROPERTY_TYPE_BINARY:
        return pb_block_size(number, prop->value.len);
    case MQTT_PROPERTY_TYPE_PAIR:
        return pb_block_size(number, pair_size(prop));
    case MQTT_PROPERTY_TYPE_NONE:
        break;
    }
    return 0;
}

uint8_t *pb_property_write(uint8_t *dst, const struct mqtt_property *prop)
{
    unsigned number = pb_property_number(prop->id);
    switch ((enum mqtt_property_type)prop->type) {
    case MQTT_PROPERTY_TYPE_U8:
    case MQTT_PROPERTY_TYPE_U16:
    case MQTT_PROPERTY_TYPE_U32:
    case MQTT_PROPERTY_TYPE_VARINT:
        return pb_put_varint(pb_put_tag(dst, number, PB_VARINT), prop->number);
    case MQTT_PROPERTY_TYPE_STRING:
    case MQTT_PROPERTY_TYPE_BINARY:
        return pb_put_block(dst, number, prop->value);
    case MQTT_PROPERTY_TYPE_PAIR:
        dst = pb_put_block_head(dst, number, pair_size(prop));
        return pb_put_bytes_field(pb_put_bytes_field(dst, 1, prop->key), 2, prop->value);
    case MQTT_PROPERTY_TYPE_NONE:
        break;
    }
    return dst;
}

static int read_pair(struct mqtt_bytes message, struct mqtt_property *ret)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    int r = 0;
    ret->key = (struct mqtt_bytes){0};
    ret->value = (struct mqtt_bytes){0};
    while (r == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1)
            r = pb_take_bytes(&f, &ret->key);
        else if (f.number == 2)
            r = pb_take_bytes(&f, &ret->value);
    }
    return r;
}

static int read_member(const struct pb_field *f, struct mqtt_property *ret)
{
    bool flag;
    switch ((enum mqtt_property_type)ret->type) {
    case MQTT_PROPERTY_TYPE_U8:
        if (!pb_property_is_bool(ret->id))
            return pb_take_u32(f, &ret->number);
        pb_take_bool(f, &flag);
        ret->number = flag;
        return 0;
    case MQTT_PROPERTY_TYPE_U16:
    case MQTT_PROPERTY_TYPE_U32:
    case MQTT_PROPERTY_TYPE_VARINT:
        return pb_take_u32(f, &ret->number);
    case MQTT_PROPERTY_TYPE_STRING:
    case MQTT_PROPERTY_TYPE_BINARY:
        return pb_take_bytes(f, &ret->value);
    case MQTT_PROPERTY_TYPE_PAIR:
        return f->wire == PB_BYTES ? read_pair(f->raw, ret) : PB_BAD;
    case MQTT_PROPERTY_TYPE_NONE:
        break;
    }
    return 0;
}

int pb_property_read(struct mqtt_bytes message, struct mqtt_property *ret, struct mqtt_fault *ret_fault)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    *ret = (struct mqtt_property){0};
    while (c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        unsigned id = pb_property_id(f.number);
        if (id == 0)
            continue; /* a member of later days: only if there is no other, the property is missing */
        *ret = (struct mqtt_property){.id = (uint8_t)id, .type = mqtt_property_info(id)->type};
        if (read_member(&f, ret) != 0)
            return PB_BAD;
    }
    *ret_fault = (struct mqtt_fault){MQTT_REASON_MALFORMED_PACKET, pb_property_misfit(ret)};
    return 0;
}

const char *pb_property_misfit(const struct mqtt_property *prop)
{
    switch ((enum mqtt_property_type)prop->type) {
    case MQTT_PROPERTY_TYPE_U8:
        return prop->number > UINT8_MAX ? "frame: property value does not fit one byte" : NULL;
    case MQTT_PROPERTY_TYPE_U16:
        return prop->number > UINT16_MAX ? "frame: property value does not fit two bytes" : NULL;
    case MQTT_PROPERTY_TYPE_U32:
        return NULL;
    case MQTT_PROPERTY_TYPE_VARINT:
        return prop->number > MQTT_VARINT_MAX ? "frame: property value above 268,435,455" : NULL;
    case MQTT_PROPERTY_TYPE_STRING:
    case MQTT_PROPERTY_TYPE_BINARY:
    case MQTT_PROPERTY_TYPE_PAIR:
        return prop->value.len > MQTT_STRING_MAX || prop->key.len > MQTT_STRING_MAX
                   ? "frame: property value longer than 65,535 bytes"
                   : NULL;
    case MQTT_PROPERTY_TYPE_NONE:
        break;
    }
    return "frame: a property without value";
}
