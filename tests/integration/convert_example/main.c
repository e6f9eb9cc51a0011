/* libmqtt-convert as somebody else's program uses it: what a client sends becomes protobuf messages, is read as such,
 * and comes out as the same bytes. Built by the Makefile beside it with pkg-config alone. Exit status 0 if all of that
 * holds. */
#include <convert.h>
#include <mqtt_property.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CONNECT, then PUBLISH with a user property, as a client of MQTT 5.0 writes them. */
static const uint8_t stream[] = "\x10\x14\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x07"
                                "example"
                                "\x32\x1b\x00\x05plant\x00\x07\x0d\x26\x00\x04unit\x00\x04"
                                "degC"
                                "21.5";
enum { STREAM_LEN = sizeof(stream) - 1 };

static int fail(const char *what, int r, const struct mqtt_fault *fault)
{
    fprintf(stderr, "%s: %d%s%s\n", what, r, fault ? " " : "", fault ? fault->text : "");
    return EXIT_FAILURE;
}

static void show_publish(const Mqttv5__Publish *publish)
{
    printf("PUBLISH %s: %.*s\n", publish->topic, (int)publish->payload.len, (const char *)publish->payload.data);
    for (size_t i = 0; i < publish->n_properties; i++) {
        const Mqttv5__Property *property = publish->properties[i];
        if (property->property_type_case == MQTTV5__PROPERTY__PROPERTY_TYPE_USER_PROPERTY)
            printf("    %s = %s\n", property->user_property->key, property->user_property->value);
    }
}

/* The same packet as struct mqtt_packet, with the properties walked. */
static int show_packet(const Mqttv5__MqttPacket *message)
{
    struct mqtt_fault fault;
    struct mqtt_packet *packet;
    int r = mqtt_convert_mqttv5_to_packet(message, MQTT_V5, &packet, &fault);
    if (r != MQTT_CONVERT_OK)
        return fail("struct to packet", r, r > 0 ? &fault : NULL);
    struct mqtt_bytes iter = packet->properties.wire;
    struct mqtt_property property;
    printf("%s of MQTT %s\n", mqtt_type_name(packet->type), mqtt_version_name(packet->version));
    while (mqtt_property_next(&iter, &property))
        printf("    %s\n", mqtt_property_info(property.id)->name);
    free(packet);
    return EXIT_SUCCESS;
}

static int show_message(const uint8_t *bytes, size_t len)
{
    Mqttv5__MqttPacket *message = mqttv5__mqtt_packet__unpack(NULL, len, bytes);
    if (!message)
        return fail("unpack", -1, NULL);
    if (message->packet_case == MQTTV5__MQTT_PACKET__PACKET_PUBLISH)
        show_publish(message->publish);
    int status = show_packet(message);
    mqttv5__mqtt_packet__free_unpacked(message, NULL);
    return status;
}

int main(void)
{
    uint8_t version = 0, version_back = 0;
    for (size_t at = 0; at < STREAM_LEN;) {
        uint8_t message[256], back[256];
        size_t used, message_len, back_len;
        struct mqtt_fault fault;
        int r = mqtt_convert_bytes_to_message(&version, stream + at, STREAM_LEN - at, &used, message, sizeof(message),
                                              &message_len, &fault);
        if (r != MQTT_CONVERT_OK)
            return fail("bytes to message", r, r == MQTT_CONVERT_REFUSED ? &fault : NULL);
        if (show_message(message, message_len) != EXIT_SUCCESS)
            return EXIT_FAILURE;
        r = mqtt_convert_message_to_bytes(&version_back, MQTT_CONVERT_MQTTV5, message, message_len, back, sizeof(back),
                                          &back_len, &fault);
        if (r != MQTT_CONVERT_OK)
            return fail("message to bytes", r, r == MQTT_CONVERT_REFUSED ? &fault : NULL);
        if (back_len != used || memcmp(back, stream + at, used) != 0)
            return fail("not the same bytes", (int)back_len, NULL);
        at += used;
    }
    return EXIT_SUCCESS;
}
