/* Properties of MQTT 5.0 (section 2.2.2): one table says of each of the 27 what it is called, which type its value has,
 * which packets may carry it and whether it may come more than once. Reading, checking and writing follow the table.
 *
 * A list of properties stays in wire form (struct mqtt_properties) and is walked:
 *
 *     struct mqtt_bytes iter = packet->properties.wire;
 *     struct mqtt_property prop;
 *     while (mqtt_property_next(&iter, &prop))
 *         ...
 *
 * Written by putting one behind the other:
 *
 *     p = mqtt_property_put_u32(p, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 65536);
 *     p = mqtt_property_put_pair(p, MQTT_PROPERTY_USER_PROPERTY, key, value); */
#ifndef MQTT_PROPERTY_H
#define MQTT_PROPERTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"
#include "mqtt_reason.h"

/* The value is the one on the wire (a Variable Byte Integer, but all of them fit one byte). */
enum mqtt_property_id {
    MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR = 0x01,
    MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL = 0x02,
    MQTT_PROPERTY_CONTENT_TYPE = 0x03,
    MQTT_PROPERTY_RESPONSE_TOPIC = 0x08,
    MQTT_PROPERTY_CORRELATION_DATA = 0x09,
    MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER = 0x0B,
    MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL = 0x11,
    MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER = 0x12,
    MQTT_PROPERTY_SERVER_KEEP_ALIVE = 0x13,
    MQTT_PROPERTY_AUTHENTICATION_METHOD = 0x15,
    MQTT_PROPERTY_AUTHENTICATION_DATA = 0x16,
    MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION = 0x17,
    MQTT_PROPERTY_WILL_DELAY_INTERVAL = 0x18,
    MQTT_PROPERTY_REQUEST_RESPONSE_INFORMATION = 0x19,
    MQTT_PROPERTY_RESPONSE_INFORMATION = 0x1A,
    MQTT_PROPERTY_SERVER_REFERENCE = 0x1C,
    MQTT_PROPERTY_REASON_STRING = 0x1F,
    MQTT_PROPERTY_RECEIVE_MAXIMUM = 0x21,
    MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM = 0x22,
    MQTT_PROPERTY_TOPIC_ALIAS = 0x23,
    MQTT_PROPERTY_MAXIMUM_QOS = 0x24,
    MQTT_PROPERTY_RETAIN_AVAILABLE = 0x25,
    MQTT_PROPERTY_USER_PROPERTY = 0x26,
    MQTT_PROPERTY_MAXIMUM_PACKET_SIZE = 0x27,
    MQTT_PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28,
    MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIERS_AVAILABLE = 0x29,
    MQTT_PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE = 0x2A,
};

enum {
    MQTT_PROPERTY_COUNT = 27,
    MQTT_PROPERTY_ID_END = 0x2B, /* one above the highest id */
};

enum mqtt_property_type {
    MQTT_PROPERTY_TYPE_NONE = 0, /* no such property */
    MQTT_PROPERTY_TYPE_U8,
    MQTT_PROPERTY_TYPE_U16,
    MQTT_PROPERTY_TYPE_U32,
    MQTT_PROPERTY_TYPE_VARINT,
    MQTT_PROPERTY_TYPE_STRING,
    MQTT_PROPERTY_TYPE_BINARY,
    MQTT_PROPERTY_TYPE_PAIR, /* two strings */
};

/* Where a list of properties stands: a packet type, or this pseudo type for the properties of a will inside CONNECT. */
enum { MQTT_WILL = 0 };

struct mqtt_property {
    uint8_t id;              /* enum mqtt_property_id */
    uint8_t type;            /* enum mqtt_property_type */
    uint32_t number;         /* U8, U16, U32, VARINT */
    struct mqtt_bytes value; /* STRING, BINARY, PAIR */
    struct mqtt_bytes key;   /* PAIR: the first of the two strings */
};

/* One row of the table. */
struct mqtt_property_info {
    const char *name;     /* "Receive Maximum", as the standard writes it; NULL in rows that are no property */
    uint8_t type;         /* enum mqtt_property_type */
    uint16_t places;      /* bit (1 << where) for each packet type and for MQTT_WILL */
    uint16_t repeatable;  /* likewise: where it may come more than once */
    uint32_t min, max;    /* of numbers */
    uint8_t range_reason; /* what a number outside is */
    /* Constant texts of the three faults, with the name in them. */
    const char *misplaced_text, *twice_text, *range_text;
};

/* The row of ID. Never NULL: for what is no property it has the type MQTT_PROPERTY_TYPE_NONE and no places. */
const struct mqtt_property_info *mqtt_property_info(unsigned id);

/* Step through a checked list: *ITER starts as the list's wire form. False at the end. On a list that was not checked
 * it stays inside the bytes and ends at the first that makes no sense. */
bool mqtt_property_next(struct mqtt_bytes *iter, struct mqtt_property *ret);
/* The first property with this id. False if there is none. */
bool mqtt_property_find(const struct mqtt_properties *list, enum mqtt_property_id id, struct mqtt_property *ret);
bool mqtt_property_has(const struct mqtt_properties *list, enum mqtt_property_id id);
/* The number of the first property with this id, or FALLBACK. */
uint32_t mqtt_property_number(const struct mqtt_properties *list, enum mqtt_property_id id, uint32_t fallback);

/* Whether LIST, of a packet of type WHERE (or MQTT_WILL), is all right: wire form, ids, places, repetition, ranges,
 * strings. 0, or MQTT_CHECK_BAD (mqtt_check.h) with *RET_FAULT. */
int mqtt_property_check(uint8_t where, struct mqtt_bytes list, struct mqtt_fault *ret_fault);

/* Bytes that one property takes. */
size_t mqtt_property_size(const struct mqtt_property *prop);
/* Write one property. ID has that type. Each returns the byte behind what it wrote. */
uint8_t *mqtt_property_put_u8(uint8_t *dst, enum mqtt_property_id id, uint8_t value);
uint8_t *mqtt_property_put_u16(uint8_t *dst, enum mqtt_property_id id, uint16_t value);
uint8_t *mqtt_property_put_u32(uint8_t *dst, enum mqtt_property_id id, uint32_t value);
uint8_t *mqtt_property_put_varint(uint8_t *dst, enum mqtt_property_id id, uint32_t value);
/* Strings and binary values. */
uint8_t *mqtt_property_put_bytes(uint8_t *dst, enum mqtt_property_id id, struct mqtt_bytes value);
uint8_t *mqtt_property_put_pair(uint8_t *dst, enum mqtt_property_id id, struct mqtt_bytes key, struct mqtt_bytes value);
/* Whichever of these PROP->type asks for. */
uint8_t *mqtt_property_put(uint8_t *dst, const struct mqtt_property *prop);

/* Copy LIST without the properties of this id; order stays. At most as many bytes as LIST has. Returns the byte behind.
 */
uint8_t *mqtt_property_copy_without(uint8_t *dst, const struct mqtt_properties *list, enum mqtt_property_id id);
/* Copy LIST with each property that has the id of PROP replaced by PROP; order stays. Returns the byte behind. */
uint8_t *mqtt_property_copy_replacing(uint8_t *dst, const struct mqtt_properties *list,
                                      const struct mqtt_property *prop);
/* Copy LIST with the 32-bit property ID set to VALUE (behind the others): at most 5 bytes more than LIST has. */
uint8_t *mqtt_property_copy_with_u32(uint8_t *dst, const struct mqtt_properties *list, enum mqtt_property_id id,
                                     uint32_t value);

#endif
