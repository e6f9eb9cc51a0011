/* packet_to_frame: the bytes on the wire, fixed by hand. */
#include "packet_to_frame.h"

#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "test_main.h"

static void assert_bytes(const char *name, const uint8_t *got, size_t got_len, const char *expected_text)
{
    uint8_t expected[GOLDEN_MAX];
    size_t len = golden_bytes(expected_text, expected, sizeof(expected));
    ck_assert_msg(got_len == len && memcmp(got, expected, len) == 0, "%s: %zu bytes, expected %zu", name, got_len, len);
}

START_TEST(every_packet_becomes_the_golden_message)
{
    const struct golden *row = &golden[_i];
    struct mqtt_packet packet;
    struct packet_frame f;
    uint8_t wire[GOLDEN_MAX];
    golden_packet(row, wire, &packet);
    size_t n = packet_to_message_plan(&f, &packet);
    uint8_t *got = malloc(n); /* exactly: a byte too many is seen by the sanitizer */
    ck_assert_ptr_eq(packet_to_frame_write(&f, got), got + n);
    assert_bytes(row->name, got, n, row->message);
    free(got);
}
END_TEST

struct envelope_row {
    const char *mqtt;
    const char *frame;
    uint64_t sequence;
    enum relay_direction direction;
    uint8_t version;
};

static const struct envelope_row envelope_rows[] = {
    {"E0 00", "22 02 72 00", 0, RELAY_CLIENT_TO_BROKER, MQTT_V311},
    {"C0 00", "10 01 2A 02 62 00", 1, RELAY_CLIENT_TO_BROKER, MQTT_V5},
    {"20 02 00 00", "10 01 18 01 22 02 12 00", 1, RELAY_BROKER_TO_CLIENT, MQTT_V311},
    {"40 02 0001", "10 AC02 18 01 2A 04 22 02 08 01", 300, RELAY_BROKER_TO_CLIENT, MQTT_V5},
    {"D0 00", "10 FFFFFFFFFFFFFFFFFF01 18 01 22 02 6A 00", UINT64_MAX, RELAY_BROKER_TO_CLIENT, MQTT_V31},
};

START_TEST(the_envelope_carries_sequence_direction_and_family)
{
    const struct envelope_row *row = &envelope_rows[_i];
    struct golden g = {.name = row->mqtt, .version = row->version, .mqtt = row->mqtt};
    struct mqtt_packet packet;
    struct packet_frame f;
    uint8_t wire[GOLDEN_MAX], got[GOLDEN_MAX];
    golden_packet(&g, wire, &packet);
    size_t n = packet_to_frame_plan(&f, &packet, row->sequence, row->direction);
    ck_assert_ptr_eq(packet_to_frame_write(&f, got), got + n);
    assert_bytes(row->mqtt, got, n, row->frame);
}
END_TEST

/* Lengths of one, two and three bytes nest: an error of one byte anywhere breaks all that follows. */
START_TEST(payloads_around_each_length_boundary_keep_their_place)
{
    static const uint32_t lengths[] = {1,   119,   120,   121,   122,   123,     127,    128,
                                       129, 16370, 16383, 16384, 16385, 2097151, 2097152};
    uint32_t len = lengths[_i];
    uint8_t *payload = calloc(1, len);
    struct mqtt_packet packet = {.type = MQTT_PUBLISH, .version = MQTT_V311};
    packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"t", 1};
    packet.publish.payload = (struct mqtt_bytes){payload, len};
    memset(payload, 0xA5, len);
    struct packet_frame f;
    size_t n = packet_to_frame_plan(&f, &packet, 1, RELAY_CLIENT_TO_BROKER);
    uint8_t *got = malloc(n);
    ck_assert_ptr_eq(packet_to_frame_write(&f, got), got + n);
    ck_assert_mem_eq(got + n - len, payload, len); /* nothing stands behind the payload of 3.1.1 */
    free(got);
    free(payload);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("packet_to_frame", &t);
    tcase_add_loop_test(t, every_packet_becomes_the_golden_message, 0, (int)golden_count);
    tcase_add_loop_test(t, the_envelope_carries_sequence_direction_and_family, 0, TEST_COUNT(envelope_rows));
    tcase_add_loop_test(t, payloads_around_each_length_boundary_keep_their_place, 0, 15);
    return s;
}

TEST_MAIN(suite)
