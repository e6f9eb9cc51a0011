/* trunk_frame: messages and frames of the trunk on the wire, fixed by hand, and what is refused in them. */
#include "trunk_frame.h"

#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "test_main.h"

static struct mqtt_bytes text(const char *s)
{
    return (struct mqtt_bytes){(const uint8_t *)s, (uint32_t)strlen(s)};
}

static void assert_text(struct mqtt_bytes got, const char *expected)
{
    ck_assert_uint_eq(got.len, strlen(expected));
    ck_assert(got.len == 0 || memcmp(got.ptr, expected, got.len) == 0);
}

static void assert_hex(const uint8_t *got, const uint8_t *end, const char *hex)
{
    uint8_t expected[GOLDEN_MAX];
    size_t n = golden_bytes(hex, expected, sizeof(expected));
    ck_assert_uint_eq(end - got, n);
    ck_assert_mem_eq(got, expected, n);
}

/* A message as it was read from memory of exactly its length. */
struct got {
    uint8_t *bytes;
    struct trunk_message message;
    struct mqtt_fault fault;
    int result;
};

static struct got read_hex(const char *hex)
{
    uint8_t bytes[GOLDEN_MAX];
    size_t n = golden_bytes(hex, bytes, sizeof(bytes));
    struct got got = {.bytes = malloc(n)};
    memcpy(got.bytes, bytes, n);
    got.result = trunk_message_read(got.bytes, n, &got.message, &got.fault);
    return got;
}

/* Its only frame. */
static struct trunk_frame only_frame(struct got *got, const char *what)
{
    struct trunk_frame frame, other;
    ck_assert_msg(got->result == CONVERT_OK, "%s: %d", what, got->result);
    ck_assert_uint_eq(got->message.n_frames, 1);
    ck_assert_msg(trunk_message_next(&got->message, &frame), "%s", what);
    ck_assert_msg(!trunk_message_next(&got->message, &other), "%s", what);
    return frame;
}

static const char session_id[TRUNK_SESSION_ID_BYTES + 1] = "0123456789abcdef";

START_TEST(an_open_holds_the_session_id)
{
    static const char hex[] = "0A 18 08 02 10 01 2A 12 0A 10'0123456789abcdef'";
    uint8_t bytes[TRUNK_FRAME_OVERHEAD];
    assert_hex(bytes, trunk_frame_write_open(bytes, 2, 1, (const uint8_t *)session_id), hex);
    struct got got = read_hex(hex);
    struct trunk_frame frame = only_frame(&got, "open");
    ck_assert_int_eq(frame.kind, TRUNK_FRAME_OPEN);
    ck_assert_uint_eq(frame.lane, 2);
    ck_assert_uint_eq(frame.sequence, 1);
    assert_text(frame.open.session_id, session_id);
    free(got.bytes);
}
END_TEST

static const struct {
    const char *hex;
    uint32_t reason;
    const char *text;
} close_rows[] = {
    {"0A 07 08 AC02 10 05 32 00", 0, ""},
    {"0A 0D 08 AC02 10 05 32 06 08 03 12 02'no'", 3, "no"},
    {"0A 09 08 AC02 10 05 32 02 08 63", 99, ""},
};

START_TEST(a_close_holds_reason_and_text)
{
    uint8_t bytes[TRUNK_FRAME_OVERHEAD + 2];
    uint8_t *end = trunk_frame_write_close(bytes, 300, 5, close_rows[_i].reason, text(close_rows[_i].text));
    assert_hex(bytes, end, close_rows[_i].hex);
    struct got got = read_hex(close_rows[_i].hex);
    struct trunk_frame frame = only_frame(&got, "close");
    ck_assert_int_eq(frame.kind, TRUNK_FRAME_CLOSE);
    ck_assert_uint_eq(frame.lane, 300);
    ck_assert_uint_eq(frame.sequence, 5);
    ck_assert_uint_eq(frame.close.reason, close_rows[_i].reason);
    assert_text(frame.close.text, close_rows[_i].text);
    free(got.bytes);
}
END_TEST

static const struct {
    const char *hex;
    uint32_t total_bytes;
    uint8_t family;
} piece_rows[] = {
    {"0A 11 08 01 10 03 3A 0B 08 F0A204 12 03'abc' 18 05", 70000, FRAME_MQTTV5},
    {"0A 11 08 01 10 03 3A 0B 08 F0A204 12 03'abc' 18 03", 70000, FRAME_MQTTV3},
    {"0A 0B 08 01 10 03 3A 05 12 03'abc'", 0, 0},
};

START_TEST(pieces_hold_their_data_and_the_first_total_and_family)
{
    uint8_t bytes[TRUNK_FRAME_OVERHEAD + 3];
    assert_hex(bytes,
               trunk_frame_write_piece(bytes, 1, 3, piece_rows[_i].total_bytes, piece_rows[_i].family, text("abc")),
               piece_rows[_i].hex);
    struct got got = read_hex(piece_rows[_i].hex);
    struct trunk_frame frame = only_frame(&got, "piece");
    ck_assert_int_eq(frame.kind, TRUNK_FRAME_PIECE);
    ck_assert_uint_eq(frame.piece.total_bytes, piece_rows[_i].total_bytes);
    ck_assert_uint_eq(frame.piece.family, piece_rows[_i].family);
    assert_text(frame.piece.data, "abc");
    free(got.bytes);
}
END_TEST

START_TEST(a_credit_has_no_sequence_number)
{
    uint8_t bytes[TRUNK_FRAME_OVERHEAD];
    assert_hex(bytes, trunk_frame_write_credit(bytes, 7, 300), "0A 05 08 07 40 AC02");
    struct got got = read_hex("0A 05 08 07 40 AC02");
    struct trunk_frame frame = only_frame(&got, "credit");
    ck_assert_int_eq(frame.kind, TRUNK_FRAME_CREDIT);
    ck_assert_uint_eq(frame.lane, 7);
    ck_assert_uint_eq(frame.sequence, 0);
    ck_assert_uint_eq(frame.credit_bytes, 300);
    free(got.bytes);
}
END_TEST

static const struct {
    uint8_t version;
    uint8_t kind;
    uint8_t family;
    const char *hex;
} packet_rows[] = {
    {MQTT_V31, TRUNK_FRAME_PACKET_V3, FRAME_MQTTV3, "0A 08 08 01 10 02 1A 02 62 00"},
    {MQTT_V311, TRUNK_FRAME_PACKET_V3, FRAME_MQTTV3, "0A 08 08 01 10 02 1A 02 62 00"},
    {MQTT_V5, TRUNK_FRAME_PACKET_V5, FRAME_MQTTV5, "0A 08 08 01 10 02 22 02 62 00"},
};

START_TEST(a_packet_is_written_and_read_in_its_family)
{
    struct mqtt_packet packet = {.type = MQTT_PINGREQ, .version = packet_rows[_i].version}, again;
    struct packet_frame f;
    uint8_t bytes[TRUNK_FRAME_OVERHEAD];
    packet_to_message_plan(&f, &packet);
    assert_hex(bytes, trunk_frame_write_packet(bytes, 1, 2, &f), packet_rows[_i].hex);
    ck_assert_uint_eq(trunk_frame_packet_bytes(1, 2, &f), 10);
    assert_hex(
        bytes,
        trunk_frame_write_message(bytes, 1, 2, packet_rows[_i].family, (struct mqtt_bytes){(const uint8_t *)"\x62", 2}),
        packet_rows[_i].hex);
    struct got got = read_hex(packet_rows[_i].hex);
    struct trunk_frame frame = only_frame(&got, "packet");
    ck_assert_int_eq(frame.kind, packet_rows[_i].kind);
    ck_assert_int_eq(
        trunk_frame_packet(frame.message, packet_rows[_i].family, packet_rows[_i].version, NULL, 0, &again, &got.fault),
        CONVERT_OK);
    ck_assert_int_eq(again.type, MQTT_PINGREQ);
    ck_assert_int_eq(again.version, packet_rows[_i].version);
    free(got.bytes);
}
END_TEST

static const char controls_hex[] =
    "10 8008 1A 23 08 01 12 0D'r-proxy 0.1.0' 18 808010 20 80808002 28 90CE01 30 B817 38 14"
    "20 07 28 08 30 01 3A 03'zzz'";

START_TEST(controls_stand_in_the_order_of_their_numbers)
{
    static const struct trunk_controls controls = {
        .taken = 1024,
        .ping = 7,
        .pong = 8,
        .zstd_frames = {(const uint8_t *)"zzz", 3},
        .hello = {.version = 1,
                  .software = {(const uint8_t *)"r-proxy 0.1.0", 13},
                  .lane_window = 262144,
                  .max_message_bytes = 4194304,
                  .max_lanes = 26384,
                  .dead_after_ms = 3000,
                  .zstd_window_log = 20},
        .has_hello = true,
        .is_draining = true,
    };
    uint8_t bytes[TRUNK_CONTROLS_MAX + 16];
    assert_hex(bytes, trunk_controls_write(bytes, &controls), controls_hex);
    struct got got = read_hex(controls_hex);
    const struct trunk_controls *c = &got.message.controls;
    ck_assert_int_eq(got.result, CONVERT_OK);
    ck_assert_uint_eq(got.message.n_frames, 0);
    ck_assert_uint_eq(c->taken, 1024);
    ck_assert_uint_eq(c->ping, 7);
    ck_assert_uint_eq(c->pong, 8);
    ck_assert(c->is_draining);
    ck_assert(c->has_hello);
    assert_text(c->zstd_frames, "zzz");
    ck_assert_uint_eq(c->hello.version, 1);
    assert_text(c->hello.software, "r-proxy 0.1.0");
    ck_assert_uint_eq(c->hello.lane_window, 262144);
    ck_assert_uint_eq(c->hello.max_message_bytes, 4194304);
    ck_assert_uint_eq(c->hello.max_lanes, 26384);
    ck_assert_uint_eq(c->hello.dead_after_ms, 3000);
    ck_assert_uint_eq(c->hello.zstd_window_log, 20);
    free(got.bytes);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("trunk_frame", &t);
    tcase_add_test(t, an_open_holds_the_session_id);
    tcase_add_loop_test(t, a_close_holds_reason_and_text, 0, TEST_COUNT(close_rows));
    tcase_add_loop_test(t, pieces_hold_their_data_and_the_first_total_and_family, 0, TEST_COUNT(piece_rows));
    tcase_add_test(t, a_credit_has_no_sequence_number);
    tcase_add_loop_test(t, a_packet_is_written_and_read_in_its_family, 0, TEST_COUNT(packet_rows));
    tcase_add_test(t, controls_stand_in_the_order_of_their_numbers);
    return s;
}

TEST_MAIN(suite)
