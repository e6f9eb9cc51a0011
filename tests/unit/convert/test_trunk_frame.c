/* trunk_frame: messages and frames of the trunk on the wire, fixed by hand, and what is refused in them. */
#include "trunk_frame.h"

#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "test_main.h"
#include "trunk_oracle.h"

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
    size_t n;
    struct trunk_message message;
    struct mqtt_fault fault;
    int result;
};

static struct got read_hex(const char *hex)
{
    uint8_t bytes[GOLDEN_MAX];
    size_t n = golden_bytes(hex, bytes, sizeof(bytes));
    struct got got = {.bytes = malloc(n), .n = n};
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

#define ALL32 UINT32_MAX

static const char session_id[TRUNK_SESSION_ID_BYTES + 1] = "0123456789abcdef";

START_TEST(an_open_holds_the_session_id)
{
    static const char hex[] = "0A 18 08 02 10 01 2A 12 0A 10'0123456789abcdef'";
    uint8_t bytes[TRUNK_FRAME_OVERHEAD];
    assert_hex(bytes, trunk_frame_write_open(bytes, 2, 1, (const uint8_t *)session_id, NULL), hex);
    struct got got = read_hex(hex);
    struct trunk_frame frame = only_frame(&got, "open");
    ck_assert_int_eq(frame.kind, TRUNK_FRAME_OPEN);
    ck_assert_uint_eq(frame.lane, 2);
    ck_assert_uint_eq(frame.sequence, 1);
    assert_text(frame.open.session_id, session_id);
    free(got.bytes);
}
END_TEST

START_TEST(an_open_tells_what_is_known_of_the_client)
{
    static const char hex[] = "0A 3C 08 02 10 01 2A 36 0A 10'0123456789abcdef' 22 0B'192.0.2.1:7' 2A 15"
                              "0A 03'1.3' 12 02'AA' 1A 03's.x' 20 01 2A 03'cn1'";
    const struct trunk_client client = {
        .source = text("192.0.2.1:7"),
        .tls_version = text("1.3"),
        .tls_cipher = text("AA"),
        .server_name = text("s.x"),
        .common_name = text("cn1"),
        .is_tls = true,
        .has_certificate = true,
    };
    uint8_t bytes[2 * TRUNK_FRAME_OVERHEAD];
    ck_assert_uint_le(TRUNK_FRAME_OVERHEAD + trunk_client_bytes(&client), sizeof(bytes));
    assert_hex(bytes, trunk_frame_write_open(bytes, 2, 1, (const uint8_t *)session_id, &client), hex);
    struct got got = read_hex(hex);
    struct trunk_frame frame = only_frame(&got, "open");
    ck_assert_int_eq(frame.kind, TRUNK_FRAME_OPEN);
    assert_text(frame.open.client.source, "192.0.2.1:7");
    assert_text(frame.open.client.common_name, "cn1");
    ck_assert(frame.open.client.is_tls && frame.open.client.has_certificate);
    ck_assert_int_ge(trunk_oracle_compare(got.bytes, got.n), 0);
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

START_TEST(nothing_is_written_for_controls_that_are_not_there)
{
    static const struct trunk_controls none = {0}, empty_hello = {.has_hello = true};
    uint8_t bytes[TRUNK_CONTROLS_MAX];
    assert_hex(bytes, trunk_controls_write(bytes, &none), "");
    assert_hex(bytes, trunk_controls_write(bytes, &empty_hello), "1A 00");
}
END_TEST

START_TEST(nothing_is_longer_than_its_limit)
{
    static const struct trunk_hello longest_hello = {0, {0}, ALL32, ALL32, ALL32, ALL32, ALL32};
    struct trunk_controls longest = {
        .taken = UINT64_MAX, .ping = UINT64_MAX, .pong = UINT64_MAX, .has_hello = true, .is_draining = true};
    uint8_t bytes[2 * TRUNK_CONTROLS_MAX];
    longest.hello = longest_hello;
    longest.hello.version = ALL32;
    /* the lengths of hello and of software in it may need nine bytes more */
    ck_assert_int_le(trunk_controls_write(bytes, &longest) - bytes, TRUNK_CONTROLS_MAX - 10);
    /* and so may those of a frame, its body, and the data or text in that */
    enum { MOST = TRUNK_FRAME_OVERHEAD - 12 };
    struct mqtt_bytes one = text("x");
    ck_assert_int_le(trunk_frame_write_piece(bytes, ALL32, UINT64_MAX, ALL32, 5, one) - bytes, MOST + 1);
    ck_assert_int_le(trunk_frame_write_close(bytes, ALL32, UINT64_MAX, ALL32, one) - bytes, MOST + 1);
    ck_assert_int_le(trunk_frame_write_message(bytes, ALL32, UINT64_MAX, FRAME_MQTTV5, one) - bytes, MOST + 1);
    ck_assert_int_le(trunk_frame_write_open(bytes, ALL32, UINT64_MAX, (const uint8_t *)session_id, NULL) - bytes,
                     TRUNK_FRAME_OVERHEAD);
    ck_assert_int_le(trunk_frame_write_credit(bytes, ALL32, UINT64_MAX) - bytes, TRUNK_FRAME_OVERHEAD);
}
END_TEST

static const struct {
    const char *what;
    const char *hex;
    unsigned n_frames;
    uint64_t ping;
} odd_message_rows[] = {
    {"nothing at all", "", 0, 0},
    {"controls in front of the frames", "20 07 0A 05 08 01 40 9003 0A 05 08 02 40 9003", 2, 7},
    {"controls between the frames", "0A 05 08 01 40 9003 20 07 0A 05 08 02 40 9003 28 01", 2, 7},
    {"unknown fields everywhere", "AA1F 00 0A 05 08 01 40 9003 4001 0A 05 08 02 40 9003 AA1F 02 00 00", 2, 0},
    {"a tag and a length in long forms", "8A00 8580 00 08 01 40 9003 0A 05 08 02 40 9003", 2, 0},
    {"the last number counts", "20 05 20 06 20 07", 0, 7},
    {"no zstd_frames", "0A 05 08 01 40 9003 3A 00 0A 05 08 02 40 9003", 2, 0},
    {"zstd_frames taken back", "3A 01'z' 0A 05 08 01 40 9003 3A 00 0A 05 08 02 40 9003", 2, 0},
};

START_TEST(frames_are_found_wherever_they_stand)
{
    struct got got = read_hex(odd_message_rows[_i].hex);
    struct trunk_frame frame;
    ck_assert_msg(got.result == CONVERT_OK, "%s", odd_message_rows[_i].what);
    ck_assert_uint_eq(got.message.n_frames, odd_message_rows[_i].n_frames);
    ck_assert_uint_eq(got.message.controls.ping, odd_message_rows[_i].ping);
    for (unsigned i = 0; i < odd_message_rows[_i].n_frames; i++) {
        ck_assert_msg(trunk_message_next(&got.message, &frame), "%s: frame %u", odd_message_rows[_i].what, i);
        ck_assert_int_eq(frame.kind, TRUNK_FRAME_CREDIT);
        ck_assert_uint_eq(frame.lane, i + 1);
        ck_assert_uint_eq(frame.credit_bytes, 400);
    }
    ck_assert_msg(!trunk_message_next(&got.message, &frame), "%s", odd_message_rows[_i].what);
    free(got.bytes);
}
END_TEST

static const struct {
    const char *hex;
    const char *software;
} merge_rows[] = {
    {"1A 06 08 01 12 02'ab' 1A 02 18 05", "ab"},
    {"1A 06 08 01 12 02'ab' 1A 04 12 00 18 05", ""},
    {"1A 06 08 01 12 02'ab' 1A 06 12 02'cd' 18 05", "cd"},
};

START_TEST(a_hello_that_comes_twice_is_merged_as_protobuf_c_does)
{
    struct got got = read_hex(merge_rows[_i].hex);
    ck_assert_int_eq(got.result, CONVERT_OK);
    assert_text(got.message.controls.hello.software, merge_rows[_i].software);
    ck_assert_uint_eq(got.message.controls.hello.version, 0);
    ck_assert_uint_eq(got.message.controls.hello.lane_window, 5);
    ck_assert_int_eq(trunk_oracle_compare(got.bytes, got.n), CONVERT_OK);
    free(got.bytes);
}
END_TEST

static const struct {
    const char *what;
    const char *hex;
    const char *says;
} refused_message_rows[] = {
    {"frames and zstd_frames", "0A 05 08 01 40 9003 3A 01'z'", "at once"},
    {"zstd_frames and frames", "3A 01'z' 0A 05 08 01 40 9003", "at once"},
    {"an empty frame and zstd_frames", "0A 00 3A 01'z'", "at once"},
    {"a frame longer than the message", "0A 06 08 01 40 9003", "not well-formed"},
    {"a second frame longer than the message", "0A 05 08 01 40 9003 0A 02 08", "not well-formed"},
    {"a frame that is a number", "08 01", "not well-formed"},
    {"a message that ends in a tag", "0A 05 08 01 40 9003 0A", "not well-formed"},
    {"taken as a string", "12 01'x'", "not well-formed"},
    {"hello as a number", "18 01", "not well-formed"},
    {"a hello that is cut short", "1A 01 08", "not well-formed"},
    {"a window as a string", "1A 03 1A 01'x'", "not well-formed"},
    {"software as a number", "1A 02 10 01", "not well-formed"},
    {"a first hello that is cut short", "1A 01 08 1A 00", "not well-formed"},
    {"ping of fixed width", "21 0100000000000000", "not well-formed"},
    {"zstd_frames as a number", "38 01", "not well-formed"},
    {"a group", "0B 0C", "not well-formed"},
};

START_TEST(what_is_no_message_is_refused_with_a_reason)
{
    struct got got = read_hex(refused_message_rows[_i].hex);
    ck_assert_msg(got.result == CONVERT_REFUSED, "%s", refused_message_rows[_i].what);
    ck_assert_msg(strstr(got.fault.text, refused_message_rows[_i].says), "%s: says \"%s\"",
                  refused_message_rows[_i].what, got.fault.text);
    free(got.bytes);
}
END_TEST

/* The frame alone; those whose own level can be read are of lane 9, number 4. */
static const struct {
    const char *what;
    const char *hex;
    const char *says;
    uint32_t lane;
} bad_frame_rows[] = {
    {"nothing", "08 09 10 04", "carries nothing", 9},
    {"a body of later days", "08 09 10 04 4A 01'x'", "carries nothing", 9},
    {"packet and credit", "08 09 10 04 22 02 62 00 40 01", "two things", 9},
    {"packets of both versions", "08 09 10 04 1A 02 62 00 22 02 62 00", "two things", 9},
    {"the same packet twice", "08 09 10 04 22 02 62 00 22 02 62 00", "two things", 9},
    {"a second body in front of the lane", "40 01 08 09 10 04 40 01", "two things", 9},
    {"a session id of 15 bytes", "08 09 10 04 2A 11 0A 0F'0123456789abcde'", "session id", 9},
    {"a session id of 17 bytes", "08 09 10 04 2A 13 0A 11'0123456789abcdefg'", "session id", 9},
    {"no session id", "08 09 10 04 2A 00", "session id", 9},
    {"a session id that is a number", "08 09 10 04 2A 02 08 01", "not well-formed", 9},
    {"an open that is cut short", "08 09 10 04 2A 13 0A 10'0123456789abcdef' 0A", "not well-formed", 9},
    {"a close that is a number", "08 09 10 04 30 01", "not well-formed", 9},
    {"a close that is cut short", "08 09 10 04 32 01 08", "not well-formed", 9},
    {"a reason that is a string", "08 09 10 04 32 03 0A 01'x'", "not well-formed", 9},
    {"a reason that is a string, then a number", "08 09 10 04 32 05 0A 01'x' 08 01", "not well-formed", 9},
    {"a piece without data", "08 09 10 04 3A 00", "without data", 9},
    {"a first piece without data", "08 09 10 04 3A 04 08 07 18 05", "without data", 9},
    {"a first piece without version", "08 09 10 04 3A 05 08 07 12 01'x'", "version", 9},
    {"a first piece of version 4", "08 09 10 04 3A 07 08 07 12 01'x' 18 04", "version", 9},
    {"a first piece of version 261", "08 09 10 04 3A 08 08 07 12 01'x' 18 8502", "version", 9},
    {"a piece with data as a number", "08 09 10 04 3A 02 10 01", "not well-formed", 9},
    {"a piece that is cut short", "08 09 10 04 3A 04 12 01'x' 18", "not well-formed", 9},
    {"a credit of nothing", "08 09 10 04 40 00", "credit of nothing", 9},
    {"a credit that is a string", "08 09 10 04 42 01 01", "not well-formed", 9},
    {"a packet that is a number", "08 09 10 04 20 01", "not well-formed", 9},
    {"an empty frame", "", "carries nothing", 0},
    {"a frame cut short", "08 09 10 04 22 03 62 00", "not well-formed", 0},
    {"a lane that is a string", "0A 01'x' 10 04 22 02 62 00", "not well-formed", 0},
    {"a sequence of fixed width", "08 09 11 0400000000000000 22 02 62 00", "not well-formed", 0},
    {"a group behind the packet", "08 09 10 04 22 02 62 00 4B 4C", "not well-formed", 0},
};

START_TEST(a_bad_frame_says_its_lane_and_what_is_wrong)
{
    uint8_t frame_bytes[GOLDEN_MAX], bytes[GOLDEN_MAX];
    size_t n = golden_bytes(bad_frame_rows[_i].hex, frame_bytes, 127);
    struct got got = {.bytes = bytes};
    bytes[0] = 0x0a;
    bytes[1] = (uint8_t)n;
    memcpy(bytes + 2, frame_bytes, n);
    got.result = trunk_message_read(bytes, n + 2, &got.message, &got.fault);
    struct trunk_frame frame = only_frame(&got, bad_frame_rows[_i].what);
    ck_assert_msg(frame.kind == TRUNK_FRAME_BAD, "%s: %s", bad_frame_rows[_i].what, trunk_frame_kind_name(frame.kind));
    ck_assert_msg(strstr(frame.fault, bad_frame_rows[_i].says), "%s: says \"%s\"", bad_frame_rows[_i].what,
                  frame.fault);
    ck_assert_uint_eq(frame.lane, bad_frame_rows[_i].lane);
    ck_assert_uint_eq(frame.sequence, bad_frame_rows[_i].lane ? 4 : 0);
}
END_TEST

/* A frame with PINGREQ of lane 300, number 70000, in other forms than ours. */
static const struct {
    const char *what;
    const char *hex;
} odd_frame_rows[] = {
    {"as we write it", "0A 0B 08 AC02 10 F0A204 22 02 62 00"},
    {"the packet in front", "0A 0B 22 02 62 00 08 AC02 10 F0A204"},
    {"the last lane counts", "0A 0D 08 01 08 AC02 10 F0A204 22 02 62 00"},
    {"unknown fields", "0A 10 08 AC02 10 F0A204 22 02 62 00 4A 00 AA1F 00"},
    {"a long form of the lane", "0A 0D 08 AC828000 10 F0A204 22 02 62 00"},
    {"a lane with bits above 32", "0A 0E 08 AC82808010 10 F0A204 22 02 62 00"},
    {"a long form of the length", "0A 0C 08 AC02 10 F0A204 22 8200 62 00"},
};

START_TEST(a_packet_may_be_written_in_other_ways)
{
    struct got got = read_hex(odd_frame_rows[_i].hex);
    struct trunk_frame frame = only_frame(&got, odd_frame_rows[_i].what);
    ck_assert_msg(frame.kind == TRUNK_FRAME_PACKET_V5, "%s", odd_frame_rows[_i].what);
    ck_assert_uint_eq(frame.lane, 300);
    ck_assert_uint_eq(frame.sequence, 70000);
    ck_assert_uint_eq(frame.message.len, 2);
    ck_assert_mem_eq(frame.message.ptr, "\x62", 2);
    free(got.bytes);
}
END_TEST

START_TEST(only_a_first_piece_has_a_family)
{
    struct got got = read_hex("0A 0B 08 01 10 03 3A 05 12 01'x' 18 05");
    struct trunk_frame frame = only_frame(&got, "piece");
    ck_assert_int_eq(frame.kind, TRUNK_FRAME_PIECE);
    ck_assert_int_eq(frame.piece.family, 0);
    free(got.bytes);
}
END_TEST

START_TEST(a_message_longer_than_protobuf_allows_is_refused)
{
    struct trunk_message message;
    struct mqtt_fault fault;
    ck_assert_int_eq(trunk_message_read("", (size_t)INT32_MAX + 1, &message, &fault), CONVERT_REFUSED);
    ck_assert_int_eq(fault.reason, MQTT_REASON_PACKET_TOO_LARGE);
}
END_TEST

START_TEST(numbers_have_all_their_bits)
{
    uint8_t bytes[TRUNK_FRAME_OVERHEAD];
    struct trunk_message message;
    struct trunk_frame frame;
    struct mqtt_fault fault;
    uint8_t *end = trunk_frame_write_message(bytes, ALL32, UINT64_MAX, FRAME_MQTTV3, text(""));
    ck_assert_int_eq(trunk_message_read(bytes, (size_t)(end - bytes), &message, &fault), CONVERT_OK);
    ck_assert(trunk_message_next(&message, &frame));
    ck_assert_int_eq(frame.kind, TRUNK_FRAME_PACKET_V3);
    ck_assert_uint_eq(frame.lane, ALL32);
    ck_assert_uint_eq(frame.sequence, UINT64_MAX);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("trunk_frame", &t);
    tcase_add_test(t, an_open_holds_the_session_id);
    tcase_add_test(t, an_open_tells_what_is_known_of_the_client);
    tcase_add_loop_test(t, a_close_holds_reason_and_text, 0, TEST_COUNT(close_rows));
    tcase_add_loop_test(t, pieces_hold_their_data_and_the_first_total_and_family, 0, TEST_COUNT(piece_rows));
    tcase_add_test(t, a_credit_has_no_sequence_number);
    tcase_add_loop_test(t, a_packet_is_written_and_read_in_its_family, 0, TEST_COUNT(packet_rows));
    tcase_add_test(t, controls_stand_in_the_order_of_their_numbers);
    tcase_add_test(t, nothing_is_written_for_controls_that_are_not_there);
    tcase_add_test(t, nothing_is_longer_than_its_limit);
    tcase_add_loop_test(t, frames_are_found_wherever_they_stand, 0, TEST_COUNT(odd_message_rows));
    tcase_add_loop_test(t, a_hello_that_comes_twice_is_merged_as_protobuf_c_does, 0, TEST_COUNT(merge_rows));
    tcase_add_loop_test(t, what_is_no_message_is_refused_with_a_reason, 0, TEST_COUNT(refused_message_rows));
    tcase_add_loop_test(t, a_bad_frame_says_its_lane_and_what_is_wrong, 0, TEST_COUNT(bad_frame_rows));
    tcase_add_loop_test(t, a_packet_may_be_written_in_other_ways, 0, TEST_COUNT(odd_frame_rows));
    tcase_add_test(t, only_a_first_piece_has_a_family);
    tcase_add_test(t, a_message_longer_than_protobuf_allows_is_refused);
    tcase_add_test(t, numbers_have_all_their_bits);
    return s;
}

TEST_MAIN(suite)
