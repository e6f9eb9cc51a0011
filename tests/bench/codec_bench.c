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
