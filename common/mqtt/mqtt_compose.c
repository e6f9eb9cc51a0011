/* Packets that a proxy makes or changes itself (mqtt_compose.h). */
#include "mqtt_compose.h"

#include <string.h>

#include "mqtt_property.h"
#include "mqtt_reason.h"

static void mqtt_reply_set_text(struct mqtt_reply *reply, const char *text)
{
    if (!text)
        return;
    size_t len = strnlen(text, MQTT_COMPOSE_TEXT_MAX);
    /* Do not cut a UTF-8 sequence in two: step back over continuation bytes. */
    if (len == MQTT_COMPOSE_TEXT_MAX)
        while (len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80)
            len--;
    struct mqtt_bytes value = {.ptr = (const uint8_t *)text, .len = (uint32_t)len};
    const uint8_t *end = mqtt_property_put_bytes(reply->properties, MQTT_PROPERTY_REASON_STRING, value);
    reply->packet.properties.wire =
        (struct mqtt_bytes){.ptr = reply->properties, .len = (uint32_t)(end - reply->properties)};
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

bool mqtt_lower_topic_aliases(struct mqtt_packet *connack, uint16_t limit, uint8_t *scratch)
{
    const struct mqtt_properties *list = &connack->properties;
    if (connack->version != MQTT_V5 || mqtt_property_number(list, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 0) <= limit)
        return false;
    uint8_t *end = mqtt_property_copy_without(scratch, list, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM);
    mqtt_set_properties(connack, scratch, mqtt_property_put_u16(end, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, limit));
    return true;
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
