/* See trunk_messages.h. */
#include "trunk_messages.h"

#include <string.h>

uint8_t message[MESSAGE_ROOM];
uint8_t *message_end = message;

void put_bytes(const void *bytes, size_t n)
{
    memcpy(message_end, bytes, n);
    message_end += n;
}

void put_open(uint32_t lane, uint64_t sequence)
{
    static const uint8_t id[TRUNK_SESSION_ID_BYTES] = {0xab};
    message_end = trunk_frame_write_open(message_end, lane, sequence, id, NULL);
}

void put_packet(uint32_t lane, uint64_t sequence, const struct mqtt_packet *packet)
{
    struct packet_frame f;
    packet_to_message_plan(&f, packet);
    message_end = trunk_frame_write_packet(message_end, lane, sequence, &f);
}

struct mqtt_packet sample_publish(uint32_t number, size_t n)
{
    static uint8_t payload[64 * 1024];
    memset(payload, (uint8_t)number, n);
    memcpy(payload, &number, 4);
    struct mqtt_packet packet = {.type = MQTT_PUBLISH, .version = MQTT_V5};
    packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"a/b", 3};
    packet.publish.payload = (struct mqtt_bytes){payload, (uint32_t)n};
    return packet;
}

void put_publish(uint32_t lane, uint64_t sequence, uint32_t number, size_t n)
{
    struct mqtt_packet packet = sample_publish(number, n);
    put_packet(lane, sequence, &packet);
}

void put_close(uint32_t lane, uint64_t sequence, uint32_t reason)
{
    message_end = trunk_frame_write_close(message_end, lane, sequence, reason, (struct mqtt_bytes){0});
}

void put_piece(uint32_t lane, uint64_t sequence, uint32_t total, const char *data)
{
    message_end = trunk_frame_write_piece(message_end, lane, sequence, total, total ? FRAME_MQTTV5 : 0,
                                          (struct mqtt_bytes){(const uint8_t *)data, (uint32_t)strlen(data)});
}

void put_credit(uint32_t lane, uint64_t bytes)
{
    message_end = trunk_frame_write_credit(message_end, lane, bytes);
}

void put_controls(struct trunk_controls controls)
{
    message_end = trunk_controls_write(message_end, &controls);
}

struct trunk_controls good_hello(uint32_t max_lanes)
{
    return (struct trunk_controls){
        .has_hello = true,
        .hello = {.version = 1,
                  .lane_window = 262144,
                  .max_message_bytes = 1 << 20,
                  .max_lanes = max_lanes,
                  .zstd_window_log = 20},
    };
}
