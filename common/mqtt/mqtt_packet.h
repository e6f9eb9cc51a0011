/* One decoded MQTT control packet, any version: the struct that every part of the tree speaks of.
 *
 * A packet is a VIEW by default: every pointer in it points into bytes that somebody else owns (the input of the
 * decoder, a frame, a scratch buffer) and lives as long as those. mqtt_packet_store() makes a copy that lasts. Lists
 * (properties, subscriptions, filters, reason codes) stay in their MQTT wire form, already checked, and are walked with
 * an iterator: so a packet with 60,000 user properties costs no allocation and no more than its bytes.
 *
 * No function here allocates except mqtt_packet_store(). Any thread may use a packet that no other thread changes.
 * Source: OASIS MQTT 5.0 (07 March 2019), MQTT 3.1.1 (29 October 2014), MQTT 3.1 (IBM/Eurotech). */
#ifndef MQTT_PACKET_H
#define MQTT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* MQTT 5.0 section 2.1.2; the value is the one on the wire. */
enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK = 2,
    MQTT_PUBLISH = 3,
    MQTT_PUBACK = 4,
    MQTT_PUBREC = 5,
    MQTT_PUBREL = 6,
    MQTT_PUBCOMP = 7,
    MQTT_SUBSCRIBE = 8,
    MQTT_SUBACK = 9,
    MQTT_UNSUBSCRIBE = 10,
    MQTT_UNSUBACK = 11,
    MQTT_PINGREQ = 12,
    MQTT_PINGRESP = 13,
    MQTT_DISCONNECT = 14,
    MQTT_AUTH = 15,
};

/* The protocol level of CONNECT without mosquitto's bridge bit. */
enum mqtt_version {
    MQTT_V31 = 3,
    MQTT_V311 = 4,
    MQTT_V5 = 5,
};

enum {
    MQTT_BRIDGE_BIT = 0x80,          /* in the protocol level: mosquitto's bridges of 3.1 and 3.1.1 */
    MQTT_PACKET_MAX = 268435455 + 5, /* largest packet with its fixed header (section 2.1.4) */
    MQTT_STRING_MAX = 65535,
};

/* A string or binary value; PTR may be NULL only if LEN is 0. Not terminated by NUL. */
struct mqtt_bytes {
    const uint8_t *ptr;
    uint32_t len;
};

/* Properties of one packet in wire form, without the length before them: mqtt_property.h walks them. Always empty
 * in 3.x. */
struct mqtt_properties {
    struct mqtt_bytes wire;
};

struct mqtt_will {
    struct mqtt_bytes topic;
    struct mqtt_bytes payload;
    struct mqtt_properties properties;
    uint8_t qos;
    bool retain;
};

struct mqtt_connect {
    struct mqtt_bytes client_id;
    struct mqtt_bytes username; /* meaningful if has_username: may be there and empty */
    struct mqtt_bytes password; /* likewise */
    struct mqtt_will will;      /* meaningful if has_will */
    uint16_t keep_alive_s;      /* seconds, 0 = none */
    uint8_t protocol_level;     /* as on the wire: packet version, perhaps with MQTT_BRIDGE_BIT */
    bool clean_start;           /* 3.x: Clean Session */
    bool has_username;
    bool has_password;
    bool has_will;
};

struct mqtt_connack {
    bool session_present;
};

struct mqtt_publish {
    struct mqtt_bytes topic; /* empty only in v5 with a Topic Alias */
    struct mqtt_bytes payload;
    uint8_t qos;
    bool retain;
};

/* A list in wire form and how many entries it has. Walked with mqtt_subscription_next() or mqtt_filter_next(). */
struct mqtt_list {
    struct mqtt_bytes wire;
    uint32_t count;
};

/* Options byte of one subscription (MQTT 5.0 section 3.8.3.1); in 3.x only qos may be non-zero. */
struct mqtt_subscription {
    struct mqtt_bytes filter;
    uint8_t qos;
    bool no_local;
    bool retain_as_published;
    uint8_t retain_handling;
};

struct mqtt_packet {
    uint8_t type;        /* enum mqtt_type */
    uint8_t version;     /* enum mqtt_version */
    bool dup;            /* PUBLISH; in 3.1 also PUBREL, SUBSCRIBE, UNSUBSCRIBE */
    uint8_t reason_code; /* CONNACK (3.x: return code), PUBACK, PUBREC, PUBREL, PUBCOMP, DISCONNECT, AUTH */
    uint16_t packet_id;  /* 0 = none (QoS 0) */
    struct mqtt_properties properties;
    union {
        struct mqtt_connect connect;
        struct mqtt_connack connack;
        struct mqtt_publish publish;
        struct mqtt_list subscriptions; /* SUBSCRIBE */
        struct mqtt_list filters;       /* UNSUBSCRIBE */
        struct mqtt_bytes reason_codes; /* SUBACK; UNSUBACK of v5 (empty in 3.x): one byte for each filter */
    };
};

/* "PUBLISH", never NULL: "packet type 0" is named too. */
const char *mqtt_type_name(unsigned type);
/* "3.1", "3.1.1", "5.0". */
const char *mqtt_version_name(unsigned version);

/* Step through a checked list: *ITER starts as list->wire. False at the end. */
bool mqtt_subscription_next(struct mqtt_bytes *iter, struct mqtt_subscription *ret);
bool mqtt_filter_next(struct mqtt_bytes *iter, struct mqtt_bytes *ret_filter);

/* Equal in meaning: every field that the packet type has, lists byte for byte in order. */
bool mqtt_packet_equal(const struct mqtt_packet *a, const struct mqtt_packet *b);

/* A copy of VIEW in one allocation, whose pointers point into itself. The caller frees it with free().
 * NULL if memory is short. */
struct mqtt_packet *mqtt_packet_store(const struct mqtt_packet *view);

#endif
