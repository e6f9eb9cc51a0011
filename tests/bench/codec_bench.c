/* The codec's cost, for callgrind: run one operation COUNT times.
 *
 *     codec-bench MODE COUNT        codec-bench list
 *
 * codec_instructions runs each mode twice and prints instructions per operation by difference, so that start-up and
 * set-up fall out. The packet is the one of the goals: PUBLISH of QoS 1 with a topic of 20 bytes and a payload of 128.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt_decode.h"
#include "mqtt_encode.h"
#include "mqtt_relay.pb-c.h"
#include "packet_to_protobuf.h"
#include "protobuf_to_packet.h"
#include "relay_frame.h"
#include "trunk_frame.h"

static uint8_t wire[256];
static size_t wire_len;
static uint8_t out[256];
static struct mqtt_packet packet;

static void set_up(uint8_t version)
{
    static uint8_t payload[128];
    memset(payload, 'x', sizeof(payload));
    packet = (struct mqtt_packet){.type = MQTT_PUBLISH, .version = version, .packet_id = 4711};
    packet.publish.topic = (struct mqtt_bytes){.ptr = (const uint8_t *)"plant/7/pump/3/state", .len = 20};
    packet.publish.payload = (struct mqtt_bytes){.ptr = payload, .len = sizeof(payload)};
    packet.publish.qos = 1;
    wire_len = mqtt_encode(&packet, wire);
}

/* What the caller of the codec would do with the result: look at it, so that nothing is optimised away. */
static volatile size_t sink;

static __attribute__((noinline)) void decode_once(struct mqtt_decoder *d)
{
    struct cursor input = cursor_make(wire, wire_len);
    struct mqtt_packet got;
    if (mqtt_decoder_feed(d, &input, &got) != MQTT_DECODE_OK)
        abort();
    sink = got.publish.payload.len;
}

static __attribute__((noinline)) void encode_once(void)
{
    if (mqtt_encode_size(&packet) > sizeof(out))
        abort();
    sink = mqtt_encode(&packet, out);
}

static void run_decode(uint8_t version, unsigned long count)
{
    struct mqtt_decoder d;
    set_up(version);
    mqtt_decoder_init(&d, version, 0);
    while (count-- > 0)
        decode_once(&d);
}

static void run_encode(uint8_t version, unsigned long count)
{
    set_up(version);
    while (count-- > 0)
        encode_once();
}

/* One frame of the relay service by hand. */
static __attribute__((noinline)) void write_frame_once(void)
{
    struct packet_frame f;
    if (packet_to_frame_plan(&f, &packet, 4711, RELAY_CLIENT_TO_BROKER) > sizeof(out))
        abort();
    sink = (size_t)(packet_to_frame_write(&f, out) - out);
}

static __attribute__((noinline)) void read_frame_once(void)
{
    struct relay_frame frame;
    struct mqtt_packet got;
    struct mqtt_fault fault;
    if (relay_frame_read(wire, wire_len, &frame, &fault) != CONVERT_OK ||
        relay_frame_packet(&frame, packet.version, NULL, 0, &got, &fault) != CONVERT_OK)
        abort();
    sink = got.publish.payload.len;
}

/* One frame of a trunk by hand, in messages of many, as a trunk under load sends them. */
enum { TRUNK_FRAMES = 64, TRUNK_LANE = 300, TRUNK_SEQUENCE = 4711 };

static uint8_t batch[TRUNK_FRAMES * sizeof(out)];
static size_t batch_len;
static struct trunk_message received;

static __attribute__((noinline)) uint8_t *write_trunk_frame_once(uint8_t *dst)
{
    struct packet_frame f;
    packet_to_message_plan(&f, &packet);
    if (trunk_frame_packet_bytes(TRUNK_LANE, TRUNK_SEQUENCE, &f) > sizeof(out))
        abort();
    return trunk_frame_write_packet(dst, TRUNK_LANE, TRUNK_SEQUENCE, &f);
}

static __attribute__((noinline)) void read_trunk_frame_once(void)
{
    struct trunk_frame frame;
    struct mqtt_packet got;
    struct mqtt_fault fault;
    if (received.rest.len == 0 && trunk_message_read(batch, batch_len, &received, &fault) != CONVERT_OK)
        abort();
    if (!trunk_message_next(&received, &frame) ||
        trunk_frame_packet(frame.message, packet.version == MQTT_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3, packet.version, NULL,
                           0, &got, &fault) != CONVERT_OK)
        abort();
    sink = frame.lane + got.publish.payload.len;
}

/* The same through protobuf-c: its structs made, packed and freed; unpacked, turned into a packet and freed. */
static __attribute__((noinline)) void write_struct_once(void)
{
    Mqtt__MqttStreamMessage frame = MQTT__MQTT_STREAM_MESSAGE__INIT;
    ProtobufCMessage *message;
    if (packet_to_protobuf(&packet, NULL, &message) != 0)
        abort();
    frame.sequence_id = 4711;
    frame.payload_case = MQTT__MQTT_STREAM_MESSAGE__PAYLOAD_MQTT_V5_PACKET;
    frame.mqtt_v5_packet = (Mqttv5__MqttPacket *)message;
    if (mqtt__mqtt_stream_message__get_packed_size(&frame) > sizeof(out))
        abort();
    sink = mqtt__mqtt_stream_message__pack(&frame, out);
    protobuf_c_message_free_unpacked(message, NULL);
}

static __attribute__((noinline)) void read_struct_once(void)
{
    Mqtt__MqttStreamMessage *frame = mqtt__mqtt_stream_message__unpack(NULL, wire_len, wire);
    struct mqtt_packet got;
    struct mqtt_fault fault;
    if (!frame || protobuf_to_packet(&frame->mqtt_v5_packet->base, MQTT_V5, NULL, 0, &got, &fault) != CONVERT_OK)
        abort();
    sink = got.publish.payload.len;
    mqtt__mqtt_stream_message__free_unpacked(frame, NULL);
}

/* From here on WIRE is the frame. */
static void set_up_frame(uint8_t version)
{
    set_up(version);
    write_frame_once();
    wire_len = sink;
    memcpy(wire, out, wire_len);
}

static void run_write_frame(uint8_t version, unsigned long count)
{
    set_up_frame(version);
    while (count-- > 0)
        write_frame_once();
}

static void run_read_frame(uint8_t version, unsigned long count)
{
    set_up_frame(version);
    while (count-- > 0)
        read_frame_once();
}

static void run_write_trunk_frame(uint8_t version, unsigned long count)
{
    set_up(version);
    while (count-- > 0)
        sink = (size_t)(write_trunk_frame_once(out) - out);
}

static void run_read_trunk_frame(uint8_t version, unsigned long count)
{
    uint8_t *end = batch;
    set_up(version);
    for (int i = 0; i < TRUNK_FRAMES; i++)
        end = write_trunk_frame_once(end);
    batch_len = (size_t)(end - batch);
    while (count-- > 0)
        read_trunk_frame_once();
}

static void run_write_struct(uint8_t version, unsigned long count)
{
    set_up_frame(version);
    while (count-- > 0)
        write_struct_once();
}

static void run_read_struct(uint8_t version, unsigned long count)
{
    set_up_frame(version);
    while (count-- > 0)
        read_struct_once();
}

struct mode {
    const char *name;
    void (*run)(uint8_t version, unsigned long count);
    uint8_t version;
    unsigned goal; /* instructions; 0 = none */
};

static const struct mode modes[] = {
    {"decode-3.1.1", run_decode, MQTT_V311, 300},
    {"decode-5.0", run_decode, MQTT_V5, 300},
    {"encode-3.1.1", run_encode, MQTT_V311, 200},
    {"encode-5.0", run_encode, MQTT_V5, 200},
    {"packet-to-frame-3.1.1", run_write_frame, MQTT_V311, 300},
    {"packet-to-frame-5.0", run_write_frame, MQTT_V5, 300},
    {"frame-to-packet-3.1.1", run_read_frame, MQTT_V311, 300},
    {"frame-to-packet-5.0", run_read_frame, MQTT_V5, 300},
    {"packet-to-trunk-3.1.1", run_write_trunk_frame, MQTT_V311, 380},
    {"packet-to-trunk-5.0", run_write_trunk_frame, MQTT_V5, 380},
    {"trunk-to-packet-3.1.1", run_read_trunk_frame, MQTT_V311, 380},
    {"trunk-to-packet-5.0", run_read_trunk_frame, MQTT_V5, 380},
    {"packet-to-frame-by-protobuf-c", run_write_struct, MQTT_V5, 0},
    {"frame-to-packet-by-protobuf-c", run_read_struct, MQTT_V5, 0},
};

enum { N_MODES = sizeof(modes) / sizeof(modes[0]) };

/* "NAME GOAL", one a line, for codec_instructions. */
static int list_modes(void)
{
    for (size_t i = 0; i < N_MODES; i++)
        printf("%s %u\n", modes[i].name, modes[i].goal);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list_modes();
    for (size_t i = 0; argc == 3 && i < N_MODES; i++) {
        if (strcmp(argv[1], modes[i].name) != 0)
            continue;
        modes[i].run(modes[i].version, strtoul(argv[2], NULL, 10));
        return 0;
    }
    fprintf(stderr, "usage: codec-bench MODE COUNT | codec-bench list\n");
    return 2;
}
