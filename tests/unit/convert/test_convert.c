/* convert.h, the public face of libmqtt-convert: bytes in, bytes out; memory, room and refusals. */
#include "convert.h"

#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "test_main.h"

static enum mqtt_convert_family family_of(uint8_t version)
{
    return version == MQTT_V5 ? MQTT_CONVERT_MQTTV5 : MQTT_CONVERT_MQTTV3;
}

/* One row in both forms as bytes. */
struct fixture {
    uint8_t mqtt[GOLDEN_MAX], message[GOLDEN_MAX], out[GOLDEN_MAX];
    size_t mqtt_len, message_len, out_len;
    struct mqtt_fault fault;
    uint8_t version;
};

static void fixture_init(struct fixture *x, const struct golden *row)
{
    x->mqtt_len = golden_bytes(row->mqtt, x->mqtt, sizeof(x->mqtt));
    x->message_len = golden_bytes(row->message, x->message, sizeof(x->message));
    x->version = row->version;
}

static void assert_out(const struct fixture *x, const uint8_t *expected, size_t len)
{
    ck_assert_uint_eq(x->out_len, len);
    ck_assert_mem_eq(x->out, expected, len);
}

START_TEST(bytes_become_the_message_in_one_call)
{
    struct fixture x;
    size_t used = 0;
    fixture_init(&x, &golden[_i]);
    x.mqtt[x.mqtt_len] = 0xC0; /* the next packet has begun */
    int r = mqtt_convert_bytes_to_message(&x.version, x.mqtt, x.mqtt_len + 1, &used, x.out, sizeof(x.out), &x.out_len,
                                          &x.fault);
    ck_assert_int_eq(r, MQTT_CONVERT_OK);
    ck_assert_uint_eq(used, x.mqtt_len);
    assert_out(&x, x.message, x.message_len);
}
END_TEST

START_TEST(the_message_becomes_the_bytes_in_one_call)
{
    struct fixture x;
    fixture_init(&x, &golden[_i]);
    int r = mqtt_convert_message_to_bytes(&x.version, family_of(x.version), x.message, x.message_len, x.out,
                                          sizeof(x.out), &x.out_len, &x.fault);
    ck_assert_int_eq(r, MQTT_CONVERT_OK);
    assert_out(&x, x.mqtt, x.mqtt_len);
}
END_TEST

START_TEST(a_packet_cut_anywhere_takes_nothing_and_asks_for_more)
{
    struct fixture x;
    fixture_init(&x, &golden[_i]);
    for (size_t cut = 0; cut < x.mqtt_len; cut++) {
        size_t used = 12345;
        int r =
            mqtt_convert_bytes_to_message(&x.version, x.mqtt, cut, &used, x.out, sizeof(x.out), &x.out_len, &x.fault);
        ck_assert_int_eq(r, MQTT_CONVERT_MORE);
        ck_assert_uint_eq(used, 12345);
    }
}
END_TEST

START_TEST(too_little_room_says_how_much_is_needed_and_takes_nothing)
{
    struct fixture x;
    size_t used = 12345;
    fixture_init(&x, &golden[_i]);
    memset(x.out, 0xEE, sizeof(x.out));
    int r = mqtt_convert_bytes_to_message(&x.version, x.mqtt, x.mqtt_len, &used, x.out, x.message_len - 1, &x.out_len,
                                          &x.fault);
    ck_assert_int_eq(r, MQTT_CONVERT_ROOM);
    ck_assert_uint_eq(x.out_len, x.message_len);
    ck_assert_uint_eq(used, 12345);
    r = mqtt_convert_message_to_bytes(&x.version, family_of(x.version), x.message, x.message_len, x.out, x.mqtt_len - 1,
                                      &x.out_len, &x.fault);
    ck_assert_int_eq(r, MQTT_CONVERT_ROOM);
    ck_assert_uint_eq(x.out_len, x.mqtt_len);
    ck_assert_uint_eq(x.out[0], 0xEE);
}
END_TEST

START_TEST(structs_and_packets_are_the_same_thing)
{
    struct fixture x;
    struct mqtt_packet packet, *again = NULL;
    fixture_init(&x, &golden[_i]);
    golden_packet(&golden[_i], x.mqtt, &packet);
    if (x.version == MQTT_V5) {
        Mqttv5__MqttPacket *m;
        ck_assert_int_eq(mqtt_convert_packet_to_mqttv5(&packet, NULL, &m, &x.fault), MQTT_CONVERT_OK);
        ck_assert_int_eq(mqtt_convert_mqttv5_to_packet(m, x.version, &again, &x.fault), MQTT_CONVERT_OK);
        mqttv5__mqtt_packet__free_unpacked(m, NULL);
    } else {
        Mqttv3__MqttPacket *m;
        ck_assert_int_eq(mqtt_convert_packet_to_mqttv3(&packet, NULL, &m, &x.fault), MQTT_CONVERT_OK);
        ck_assert_int_eq(mqtt_convert_mqttv3_to_packet(m, x.version, &again, &x.fault), MQTT_CONVERT_OK);
        mqttv3__mqtt_packet__free_unpacked(m, NULL);
    }
    ck_assert(mqtt_packet_equal(&packet, again)); /* and it lives on without the struct */
    free(again);
}
END_TEST

START_TEST(messages_and_packets_are_the_same_thing)
{
    struct fixture x;
    struct mqtt_packet packet, *again = NULL;
    fixture_init(&x, &golden[_i]);
    golden_packet(&golden[_i], x.mqtt, &packet);
    ck_assert_int_eq(mqtt_convert_packet_to_message(&packet, x.out, sizeof(x.out), &x.out_len, &x.fault),
                     MQTT_CONVERT_OK);
    assert_out(&x, x.message, x.message_len);
    ck_assert_int_eq(
        mqtt_convert_message_to_packet(family_of(x.version), x.version, x.out, x.out_len, &again, &x.fault),
        MQTT_CONVERT_OK);
    memset(x.out, 0, sizeof(x.out));
    ck_assert(mqtt_packet_equal(&packet, again)); /* and it lives on without the message */
    free(again);
}
END_TEST

/* CONNECT tells the version of everything that follows. */
START_TEST(the_session_speaks_what_its_connect_said)
{
    static const struct golden connect = {"CONNECT", 0, "10 0F 0006'MQIsdp' 03 02 000A 0001'x'", ""};
    static const struct golden ping = {"PINGREQ", 0, "C0 00", "62 00"};
    struct fixture x, y;
    size_t used;
    fixture_init(&x, &connect);
    fixture_init(&y, &ping);
    ck_assert_int_eq(mqtt_convert_bytes_to_message(&x.version, y.mqtt, y.mqtt_len, &used, x.out, sizeof(x.out),
                                                   &x.out_len, &x.fault),
                     MQTT_CONVERT_REFUSED);
    ck_assert_uint_eq(x.version, 0);
    ck_assert_int_eq(mqtt_convert_message_to_bytes(&x.version, MQTT_CONVERT_MQTTV5, y.message, y.message_len, x.out,
                                                   sizeof(x.out), &x.out_len, &x.fault),
                     MQTT_CONVERT_REFUSED);
    ck_assert_int_eq(mqtt_convert_bytes_to_message(&x.version, x.mqtt, x.mqtt_len, &used, x.out, sizeof(x.out),
                                                   &x.out_len, &x.fault),
                     MQTT_CONVERT_OK);
    ck_assert_uint_eq(x.version, MQTT_V31);
    ck_assert_int_eq(mqtt_convert_message_to_bytes(&y.version, MQTT_CONVERT_MQTTV3, x.out, x.out_len, y.out,
                                                   sizeof(y.out), &y.out_len, &y.fault),
                     MQTT_CONVERT_OK);
    ck_assert_uint_eq(y.version, MQTT_V31);
    ck_assert_int_eq(mqtt_convert_message_to_bytes(&y.version, MQTT_CONVERT_MQTTV5, y.message, y.message_len, x.out,
                                                   sizeof(x.out), &x.out_len, &x.fault),
                     MQTT_CONVERT_REFUSED);
}
END_TEST

START_TEST(what_is_not_legal_is_refused_on_every_way)
{
    struct mqtt_packet packet = {.type = MQTT_PUBACK, .version = MQTT_V5}, *none = NULL; /* without packet id */
    Mqttv5__MqttPacket *m5;
    Mqttv3__MqttPacket *m3;
    struct mqtt_fault fault;
    uint8_t out[64], version = MQTT_V311;
    size_t len, used;
    ck_assert_int_eq(mqtt_convert_packet_to_message(&packet, out, sizeof(out), &len, &fault), MQTT_CONVERT_REFUSED);
    ck_assert_int_eq(
        mqtt_convert_packet_to_frame(&packet, 1, MQTT_CONVERT_CLIENT_TO_BROKER, out, sizeof(out), &len, &fault),
        MQTT_CONVERT_REFUSED);
    ck_assert_int_eq(mqtt_convert_packet_to_mqttv5(&packet, NULL, &m5, &fault), MQTT_CONVERT_REFUSED);
    packet.packet_id = 1;
    ck_assert_int_eq(mqtt_convert_packet_to_mqttv3(&packet, NULL, &m3, &fault),
                     MQTT_CONVERT_REFUSED); /* it is of 5.0 */
    ck_assert_int_eq(mqtt_convert_bytes_to_message(&version, "\x40\x02\0\0", 4, &used, out, sizeof(out), &len, &fault),
                     MQTT_CONVERT_REFUSED);
    ck_assert_uint_ge(fault.reason, 0x80);
    ck_assert_int_eq(mqtt_convert_message_to_packet(MQTT_CONVERT_MQTTV3, MQTT_V311, "\x22\0", 2, &none, &fault),
                     MQTT_CONVERT_REFUSED);
    ck_assert_int_eq(mqtt_convert_message_to_packet(MQTT_CONVERT_MQTTV3, MQTT_V311, "\x22", 1, &none, &fault),
                     MQTT_CONVERT_REFUSED);
    ck_assert_ptr_null(none);
}
END_TEST

static const struct {
    const char *hex;
    struct mqtt_convert_frame frame;
    const char *bytes;
} frame_rows[] = {
    {"9203 00", {.kind = MQTT_CONVERT_FRAME_ESTABLISH_V3}, ""},
    {"9203 06 08 01 12 02'ab'", {.kind = MQTT_CONVERT_FRAME_ESTABLISH_V5}, "ab"},
    {"10 03 9203 02 08 02", {.kind = MQTT_CONVERT_FRAME_TERMINATE, .sequence = 3}, ""},
    {"18 01 9203 02 08 03", {.kind = MQTT_CONVERT_FRAME_HEARTBEAT, .direction = 1}, ""},
    {"18 01 A006 AC02", {.kind = MQTT_CONVERT_FRAME_CREDIT, .direction = 1, .number = 300}, ""},
    {"AA06 09 08 F0A204 12 03'abc'", {.kind = MQTT_CONVERT_FRAME_PIECE, .number = 70000}, "abc"},
    {"AA06 05 12 03'def'", {.kind = MQTT_CONVERT_FRAME_PIECE}, "def"},
};

START_TEST(frames_are_written_and_read)
{
    struct mqtt_convert_frame frame = frame_rows[_i].frame, got;
    struct mqtt_fault fault;
    uint8_t expected[64], out[64];
    size_t len, n = golden_bytes(frame_rows[_i].hex, expected, sizeof(expected));
    frame.bytes = (struct mqtt_bytes){(const uint8_t *)frame_rows[_i].bytes, (uint32_t)strlen(frame_rows[_i].bytes)};
    ck_assert_int_eq(mqtt_convert_write_frame(&frame, out, n - 1, &len, &fault), MQTT_CONVERT_ROOM);
    ck_assert_uint_eq(len, n);
    ck_assert_int_eq(mqtt_convert_write_frame(&frame, out, n, &len, &fault), MQTT_CONVERT_OK);
    ck_assert_uint_eq(len, n);
    ck_assert_mem_eq(out, expected, n);
    ck_assert_int_eq(mqtt_convert_read_frame(out, n, &got, &fault), MQTT_CONVERT_OK);
    ck_assert_int_eq(got.kind, frame.kind);
    ck_assert_int_eq(got.direction, frame.direction);
    ck_assert_uint_eq(got.sequence, frame.sequence);
    ck_assert_uint_eq(got.number, frame.number);
    ck_assert_uint_eq(got.bytes.len, frame.bytes.len);
    ck_assert(got.bytes.len == 0 || memcmp(got.bytes.ptr, frame.bytes.ptr, got.bytes.len) == 0);
}
END_TEST

static const struct mqtt_convert_frame bad_frames[] = {
    {.kind = MQTT_CONVERT_FRAME_EMPTY},
    {.kind = MQTT_CONVERT_FRAME_PACKET_V3},
    {.kind = MQTT_CONVERT_FRAME_PACKET_V5},
    {.kind = MQTT_CONVERT_FRAME_OTHER_CONTROL},
    {.kind = MQTT_CONVERT_FRAME_CREDIT},
    {.kind = MQTT_CONVERT_FRAME_PIECE},
    {.kind = MQTT_CONVERT_FRAME_BATCH},
    {.kind = MQTT_CONVERT_FRAME_PIECE, .bytes = {(const uint8_t *)"x", 1}, .number = UINT64_C(1) << 32},
    {.kind = MQTT_CONVERT_FRAME_ESTABLISH_V3, .bytes = {(const uint8_t *)"x", UINT32_MAX}},
};

START_TEST(frames_that_cannot_be_are_not_written)
{
    struct mqtt_fault fault;
    uint8_t out[64];
    size_t len;
    ck_assert_int_eq(mqtt_convert_write_frame(&bad_frames[_i], out, sizeof(out), &len, &fault), MQTT_CONVERT_REFUSED);
}
END_TEST

START_TEST(a_packet_travels_in_a_frame)
{
    struct mqtt_packet packet = {.type = MQTT_PUBACK, .version = MQTT_V5, .packet_id = 7}, *again;
    struct mqtt_convert_frame frame;
    struct mqtt_fault fault;
    uint8_t out[64], expected[64];
    size_t len, n = golden_bytes("10 AC02 18 01 2A 04 22 02 08 07", expected, sizeof(expected));
    ck_assert_int_eq(
        mqtt_convert_packet_to_frame(&packet, 300, MQTT_CONVERT_BROKER_TO_CLIENT, out, sizeof(out), &len, &fault),
        MQTT_CONVERT_OK);
    ck_assert_uint_eq(len, n);
    ck_assert_mem_eq(out, expected, n);
    ck_assert_int_eq(mqtt_convert_read_frame(out, len, &frame, &fault), MQTT_CONVERT_OK);
    ck_assert_int_eq(frame.kind, MQTT_CONVERT_FRAME_PACKET_V5);
    ck_assert_int_eq(
        mqtt_convert_message_to_packet(MQTT_CONVERT_MQTTV5, MQTT_V5, frame.bytes.ptr, frame.bytes.len, &again, &fault),
        MQTT_CONVERT_OK);
    ck_assert(mqtt_packet_equal(&packet, again));
    free(again);
}
END_TEST

START_TEST(frames_travel_in_a_batch)
{
    static const uint8_t first[] = {0x10, 1, 0x22, 2, 0x62, 0}, second[] = {0x10, 2, 0x22, 2, 0x62, 0};
    struct mqtt_convert_frame entry = {.kind = MQTT_CONVERT_FRAME_BATCH, .bytes = {first, sizeof(first)}}, batch;
    struct mqtt_fault fault;
    struct mqtt_bytes frame;
    uint8_t out[64];
    size_t len, second_len;
    ck_assert_int_eq(mqtt_convert_write_frame(&entry, out, sizeof(out), &len, &fault), MQTT_CONVERT_OK);
    entry.bytes.ptr = second;
    ck_assert_int_eq(mqtt_convert_write_frame(&entry, out + len, sizeof(out) - len, &second_len, &fault),
                     MQTT_CONVERT_OK);
    ck_assert_int_eq(mqtt_convert_read_frame(out, len + second_len, &batch, &fault), MQTT_CONVERT_OK);
    ck_assert_int_eq(batch.kind, MQTT_CONVERT_FRAME_BATCH);
    ck_assert(mqtt_convert_batch_next(&batch.bytes, &frame));
    ck_assert_uint_eq(frame.len, sizeof(first));
    ck_assert_mem_eq(frame.ptr, first, sizeof(first));
    ck_assert(mqtt_convert_batch_next(&batch.bytes, &frame));
    ck_assert_mem_eq(frame.ptr, second, sizeof(second));
    ck_assert(!mqtt_convert_batch_next(&batch.bytes, &frame));
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("convert", &t);
    tcase_add_test(t, frames_travel_in_a_batch);
    tcase_add_loop_test(t, bytes_become_the_message_in_one_call, 0, (int)golden_count);
    tcase_add_loop_test(t, the_message_becomes_the_bytes_in_one_call, 0, (int)golden_count);
    tcase_add_loop_test(t, a_packet_cut_anywhere_takes_nothing_and_asks_for_more, 0, (int)golden_count);
    tcase_add_loop_test(t, too_little_room_says_how_much_is_needed_and_takes_nothing, 0, (int)golden_count);
    tcase_add_loop_test(t, structs_and_packets_are_the_same_thing, 0, (int)golden_count);
    tcase_add_loop_test(t, messages_and_packets_are_the_same_thing, 0, (int)golden_count);
    tcase_add_test(t, the_session_speaks_what_its_connect_said);
    tcase_add_test(t, what_is_not_legal_is_refused_on_every_way);
    tcase_add_loop_test(t, frames_are_written_and_read, 0, TEST_COUNT(frame_rows));
    tcase_add_loop_test(t, frames_that_cannot_be_are_not_written, 0, TEST_COUNT(bad_frames));
    tcase_add_test(t, a_packet_travels_in_a_frame);
    return s;
}

TEST_MAIN(suite)
