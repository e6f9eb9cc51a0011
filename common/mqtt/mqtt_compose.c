/* Packets that a proxy makes or changes itself (mqtt_compose.h). */
#include "mqtt_compose.h"

#include <string.h>

#include "mqtt_property.h"
#include "mqtt_reason.h"

/* The only property of REPLY. */
static void mqtt_reply_set_property(struct mqtt_reply *reply, uint8_t id, struct mqtt_bytes value)
{
    const uint8_t *end = mqtt_property_put_bytes(reply->properties, id, value);
    reply->packet.properties.wire =
        (struct mqtt_bytes){.ptr = reply->properties, .len = (uint32_t)(end - reply->properties)};
}

static void mqtt_reply_set_text(struct mqtt_reply *reply, const char *text)
{
    if (!text)
        return;
    size_t len = strnlen(text, MQTT_COMPOSE_TEXT_MAX);
    /* Do not cut a UTF-8 sequence in two: step back over continuation bytes. */
    if (len == MQTT_COMPOSE_TEXT_MAX)
        while (len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80)
            len--;
    mqtt_reply_set_property(reply, MQTT_PROPERTY_REASON_STRING,
                            (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)len});
}

void mqtt_reply_set_reference(struct mqtt_reply *reply, const char *reference)
{
    const struct mqtt_bytes value = {(const uint8_t *)reference, (uint32_t)strnlen(reference, MQTT_COMPOSE_TEXT_MAX)};
    if (reply->packet.version == MQTT_V5)
        mqtt_reply_set_property(reply, MQTT_PROPERTY_SERVER_REFERENCE, value);
}

static void mqtt_reply_init(struct mqtt_reply *reply, enum mqtt_type type, uint8_t version, uint8_t reason)
{
    memset(&reply->packet, 0, sizeof reply->packet);
    reply->packet.type = (uint8_t)type;
    reply->packet.version = version;
    reply->packet.reason_code = reason;
}

bool mqtt_reply_connack(struct mqtt_reply *ret, uint8_t version, uint8_t reason, const char *text)
{
    if (version == MQTT_V5) {
        mqtt_reply_init(ret, MQTT_CONNACK, version, reason);
        mqtt_reply_set_text(ret, text);
        return true;
    }
    mqtt_reply_init(ret, MQTT_CONNACK, version, mqtt_reason_to_v3(reason));
    return ret->packet.reason_code != MQTT_V3_SILENT;
}

void mqtt_reply_disconnect(struct mqtt_reply *ret, uint8_t reason, const char *text)
{
    mqtt_reply_init(ret, MQTT_DISCONNECT, MQTT_V5, reason);
    mqtt_reply_set_text(ret, text);
}

void mqtt_reply_ack(struct mqtt_reply *ret, uint8_t version, enum mqtt_type type, uint16_t packet_id)
{
    mqtt_reply_init(ret, type, version, MQTT_REASON_SUCCESS);
    ret->packet.packet_id = packet_id;
}

void mqtt_reply_drop_text(struct mqtt_reply *reply)
{
    reply->packet.properties.wire = (struct mqtt_bytes){0};
}

static void mqtt_set_properties(struct mqtt_packet *packet, const uint8_t *bytes, const uint8_t *end)
{
    packet->properties.wire = (struct mqtt_bytes){.ptr = bytes, .len = (uint32_t)(end - bytes)};
}

bool mqtt_lower_packet_size(struct mqtt_packet *packet, uint32_t limit, uint8_t *scratch)
{
    if (packet->version != MQTT_V5)
        return false;
    uint32_t promised = mqtt_property_number(&packet->properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, UINT32_MAX);
    if (promised <= limit)
        return false;
    const uint8_t *end =
        mqtt_property_copy_with_u32(scratch, &packet->properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, limit);
    mqtt_set_properties(packet, scratch, end);
    return true;
}

/* --- Grants */

enum { MQTT_GRANTS = 4 };

/* What CONNACK grants, in a number that is comparable, and what it may grant at most. */
struct mqtt_grant {
    uint8_t id; /* enum mqtt_property_id */
    uint32_t granted, most;
};

static uint32_t mqtt_granted_keep_alive(const struct mqtt_packet *connack, uint16_t asked_s)
{
    uint32_t granted_s = mqtt_property_number(&connack->properties, MQTT_PROPERTY_SERVER_KEEP_ALIVE, asked_s);
    return granted_s != 0 ? granted_s : UINT32_MAX;
}

/* What the server does not say is its default (section 3.2.2.3). */
static void mqtt_grants_of(const struct mqtt_packet *connack, const struct mqtt_grants *most, uint16_t keep_alive_s,
                           struct mqtt_grant grants[MQTT_GRANTS])
{
    const struct mqtt_properties *list = &connack->properties;
    grants[0] = (struct mqtt_grant){MQTT_PROPERTY_MAXIMUM_PACKET_SIZE,
                                    mqtt_property_number(list, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, UINT32_MAX),
                                    most->packet_bytes};
    grants[1] = (struct mqtt_grant){MQTT_PROPERTY_RECEIVE_MAXIMUM,
                                    mqtt_property_number(list, MQTT_PROPERTY_RECEIVE_MAXIMUM, UINT16_MAX),
                                    most->receive_maximum};
    grants[2] =
        (struct mqtt_grant){MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM,
                            mqtt_property_number(list, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 0), most->topic_aliases};
    grants[3] = (struct mqtt_grant){MQTT_PROPERTY_SERVER_KEEP_ALIVE, mqtt_granted_keep_alive(connack, keep_alive_s),
                                    most->keep_alive_s};
}

static bool mqtt_grant_is_too_much(const struct mqtt_grant *g)
{
    return g->most != 0 && g->granted > g->most;
}

/* Whether PROP is said again, with another number. */
static bool mqtt_grants_replace(const struct mqtt_grant grants[MQTT_GRANTS], const struct mqtt_property *prop)
{
    for (size_t i = 0; i < MQTT_GRANTS; i++)
        if (grants[i].id == prop->id)
            return mqtt_grant_is_too_much(&grants[i]);
    return false;
}

bool mqtt_lower_grants(struct mqtt_packet *connack, const struct mqtt_grants *most, uint16_t keep_alive_s,
                       uint8_t *scratch)
{
    struct mqtt_grant grants[MQTT_GRANTS];
    struct mqtt_bytes iter = connack->properties.wire;
    struct mqtt_property prop;
    uint8_t *end = scratch;
    bool is_lowered = false;
    if (connack->version != MQTT_V5)
        return false;
    mqtt_grants_of(connack, most, keep_alive_s, grants);
    while (mqtt_property_next(&iter, &prop))
        if (!mqtt_grants_replace(grants, &prop))
            end = mqtt_property_put(end, &prop);
    for (size_t i = 0; i < MQTT_GRANTS; i++) {
        const struct mqtt_grant *g = &grants[i];
        if (!mqtt_grant_is_too_much(g))
            continue;
        prop = (struct mqtt_property){.id = g->id, .type = mqtt_property_info(g->id)->type, .number = g->most};
        end = mqtt_property_put(end, &prop);
        is_lowered = true;
    }
    if (is_lowered)
        mqtt_set_properties(connack, scratch, end);
    return is_lowered;
}
