/* relay_frame: the envelope on the wire, fixed by hand, and what is refused in it. */
#include "relay_frame.h"

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

/* BYTES is hex, read from memory of exactly its length, which the caller frees. */
static int read_hex(const char *hex, uint8_t **ret_bytes, struct relay_frame *ret, struct mqtt_fault *ret_fault)
{
    uint8_t bytes[GOLDEN_MAX];
    size_t n = golden_bytes(hex, bytes, sizeof(bytes));
    *ret_bytes = malloc(n);
    memcpy(*ret_bytes, bytes, n);
    return relay_frame_read(*ret_bytes, n, ret, ret_fault);
}

struct control_row {
    const char *hex;
    enum relay_frame_kind kind;
    uint64_t sequence;
    enum relay_direction direction;
    const char *client_id;
};

/* ESTABLISHV3 without client id: presence of an empty field 50 is the only sign. */
static const struct control_row control_rows[] = {
    {"9203 00", RELAY_FRAME_ESTABLISH_V3, 0, RELAY_CLIENT_TO_BROKER, ""},
    {"9203 04 12 02'ab'", RELAY_FRAME_ESTABLISH_V3, 0, RELAY_CLIENT_TO_BROKER, "ab"},
    {"9203 06 08 01 12 02'ab'", RELAY_FRAME_ESTABLISH_V5, 0, RELAY_CLIENT_TO_BROKER, "ab"},
    {"10 03 9203 02 08 02", RELAY_FRAME_TERMINATE, 3, RELAY_CLIENT_TO_BROKER, ""},
    {"10 AC02 18 01 9203 02 08 03", RELAY_FRAME_HEARTBEAT, 300, RELAY_BROKER_TO_CLIENT, ""},
};

START_TEST(controls_are_written_as_the_golden_bytes)
{
    const struct control_row *row = &control_rows[_i];
    uint8_t expected[GOLDEN_MAX], got[GOLDEN_MAX];
    size_t n = golden_bytes(row->hex, expected, sizeof(expected));
    uint8_t *end = relay_frame_write_control(got, row->kind, row->sequence, row->direction, text(row->client_id));
    ck_assert_uint_eq(end - got, n);
    ck_assert_mem_eq(got, expected, n);
}
END_TEST

START_TEST(golden_bytes_are_read_as_controls)
{
    const struct control_row *row = &control_rows[_i];
    struct relay_frame frame;
    struct mqtt_fault fault;
    uint8_t *bytes;
    ck_assert_int_eq(read_hex(row->hex, &bytes, &frame, &fault), CONVERT_OK);
    ck_assert_int_eq(frame.kind, row->kind);
    ck_assert_uint_eq(frame.sequence, row->sequence);
    ck_assert_int_eq(frame.direction, row->direction);
    assert_text(frame.client_id, row->client_id);
    free(bytes);
}
END_TEST

START_TEST(credit_is_a_number_and_a_direction)
{
    uint8_t got[RELAY_FRAME_OVERHEAD], expected[GOLDEN_MAX], *bytes;
    size_t n = golden_bytes("18 01 A006 AC02", expected, sizeof(expected));
    ck_assert_uint_eq(relay_frame_write_credit(got, RELAY_BROKER_TO_CLIENT, 300) - got, n);
    ck_assert_mem_eq(got, expected, n);
    struct relay_frame frame;
    struct mqtt_fault fault;
    ck_assert_int_eq(read_hex("18 01 A006 AC02", &bytes, &frame, &fault), CONVERT_OK);
    ck_assert_int_eq(frame.kind, RELAY_FRAME_CREDIT);
    ck_assert_uint_eq(frame.credit_bytes, 300);
    ck_assert_int_eq(frame.direction, RELAY_BROKER_TO_CLIENT);
    free(bytes);
}
END_TEST

static const struct {
    const char *hex;
    uint32_t total_bytes;
    const char *data;
} piece_rows[] = {
    {"AA06 09 08 F0A204 12 03'abc'", 70000, "abc"},
    {"AA06 05 12 03'def'", 0, "def"},
};

START_TEST(pieces_hold_their_data_and_the_first_the_total)
{
    uint8_t got[GOLDEN_MAX], expected[GOLDEN_MAX], *bytes;
    size_t n = golden_bytes(piece_rows[_i].hex, expected, sizeof(expected));
    uint8_t *end = relay_frame_write_piece_head(got, RELAY_CLIENT_TO_BROKER, piece_rows[_i].total_bytes, 3);
    memcpy(end, piece_rows[_i].data, 3);
    ck_assert_uint_eq(end + 3 - got, n);
    ck_assert_mem_eq(got, expected, n);
    struct relay_frame frame;
    struct mqtt_fault fault;
    ck_assert_int_eq(read_hex(piece_rows[_i].hex, &bytes, &frame, &fault), CONVERT_OK);
    ck_assert_int_eq(frame.kind, RELAY_FRAME_PIECE);
    ck_assert_uint_eq(frame.piece.total_bytes, piece_rows[_i].total_bytes);
    assert_text(frame.piece.data, piece_rows[_i].data);
    free(bytes);
}
END_TEST

START_TEST(no_envelope_is_longer_than_the_overhead)
{
    uint8_t got[2 * RELAY_FRAME_OVERHEAD];
    struct mqtt_bytes none = {0};
    ck_assert_int_le(relay_frame_write_control(got, RELAY_FRAME_HEARTBEAT, UINT64_MAX, RELAY_BROKER_TO_CLIENT, none) -
                         got,
                     RELAY_FRAME_OVERHEAD - 10); /* two lengths of a client id may need five bytes each */
    ck_assert_int_le(relay_frame_write_credit(got, RELAY_BROKER_TO_CLIENT, UINT64_MAX) - got, RELAY_FRAME_OVERHEAD);
    ck_assert_int_le(relay_frame_write_piece_head(got, RELAY_BROKER_TO_CLIENT, UINT32_MAX, INT32_MAX) - got,
                     RELAY_FRAME_OVERHEAD);
}
END_TEST

/* What is shorter by each step adds up to the whole. */
START_TEST(a_batch_is_its_entries_in_order)
{
    static const char *const rows[] = {
        "B206 06 10 07 22 02 62 00 B206 04 10 08 18 01 B206 00",
        "3A 01'x' B206 06 10 07 22 02 62 00 AA1F 00 B206 04 10 08 18 01 B206 00 AA1F 02 00 00",
    };
    static const char *const entries[] = {"10 07 22 02 62 00", "10 08 18 01", ""};
    struct relay_frame frame;
    struct mqtt_fault fault;
    struct mqtt_bytes entry;
    uint8_t *bytes;
    ck_assert_int_eq(read_hex(rows[_i], &bytes, &frame, &fault), CONVERT_OK);
    ck_assert_int_eq(frame.kind, RELAY_FRAME_BATCH);
    struct mqtt_bytes iter = frame.batch;
    for (unsigned i = 0; i < TEST_COUNT(entries); i++) {
        uint8_t expected[GOLDEN_MAX];
        size_t n = golden_bytes(entries[i], expected, sizeof(expected));
        ck_assert(relay_batch_next(&iter, &entry));
        ck_assert_uint_eq(entry.len, n);
        ck_assert(n == 0 || memcmp(entry.ptr, expected, n) == 0);
        ck_assert_ptr_eq(iter.ptr + iter.len, frame.batch.ptr + frame.batch.len);
    }
    ck_assert_uint_eq(iter.len, 0);
    ck_assert(!relay_batch_next(&iter, &entry));
    free(bytes);
}
END_TEST

START_TEST(the_head_of_an_entry_is_tag_and_length)
{
    static const struct {
        size_t len;
        const char *hex;
    } rows[] = {{0, "B206 00"}, {127, "B206 7F"}, {128, "B206 8001"}, {16000, "B206 807D"}};
    for (unsigned i = 0; i < TEST_COUNT(rows); i++) {
        uint8_t got[8], expected[8];
        size_t n = golden_bytes(rows[i].hex, expected, sizeof(expected));
        ck_assert_uint_eq(relay_batch_write_head(got, rows[i].len) - got, n);
        ck_assert_mem_eq(got, expected, n);
        ck_assert_uint_eq(relay_batch_entry_size(rows[i].len), n + rows[i].len);
    }
}
END_TEST

static const struct {
    const char *what;
    const char *hex;
    enum relay_frame_kind kind;
    uint64_t sequence;
} odd_rows[] = {
    {"nothing at all", "", RELAY_FRAME_EMPTY, 0},
    {"a sequence number alone", "10 07", RELAY_FRAME_EMPTY, 7},
    {"no credit", "A006 00", RELAY_FRAME_EMPTY, 0},
    {"the session id of earlier days", "0A 02's1' 10 01 2A 02 62 00", RELAY_FRAME_PACKET_V5, 1},
    {"a control of later days", "9203 02 08 04", RELAY_FRAME_OTHER_CONTROL, 0},
    {"a negative control", "9203 0B 08 FFFFFFFFFFFFFFFFFF01", RELAY_FRAME_OTHER_CONTROL, 0},
    {"a direction of later days", "18 02 22 02 62 00", RELAY_FRAME_PACKET_V3, 0},
    {"the envelope's fields behind the packet", "22 02 62 00 18 01 10 05", RELAY_FRAME_PACKET_V3, 5},
    {"the last member of the oneof counts", "2A 02 62 00 9203 00", RELAY_FRAME_ESTABLISH_V3, 0},
    {"unknown fields", "3A 01'x' AA1F 00 9203 02 18 01 B806 01", RELAY_FRAME_ESTABLISH_V3, 0},
};

START_TEST(what_is_not_known_is_ignored)
{
    struct relay_frame frame;
    struct mqtt_fault fault;
    uint8_t *bytes;
    int r = read_hex(odd_rows[_i].hex, &bytes, &frame, &fault);
    ck_assert_msg(r == CONVERT_OK, "%s: %d", odd_rows[_i].what, r);
    ck_assert_msg(frame.kind == odd_rows[_i].kind, "%s: %s", odd_rows[_i].what, relay_frame_kind_name(frame.kind));
    ck_assert_uint_eq(frame.sequence, odd_rows[_i].sequence);
    free(bytes);
}
END_TEST

static const struct {
    const char *what;
    const char *hex;
    const char *says;
} refusal_rows[] = {
    {"packet and credit", "22 02 62 00 A006 01", "two things"},
    {"packet and piece", "22 02 62 00 AA06 03 12 01'x'", "two things"},
    {"control and credit", "9203 00 A006 01", "two things"},
    {"credit and piece", "A006 01 AA06 03 12 01'x'", "two things"},
    {"batch and packet", "B206 06 10 01 22 02 62 00 22 02 62 00", "two things"},
    {"batch and control", "9203 00 B206 06 10 01 22 02 62 00", "two things"},
    {"batch and credit", "B206 06 10 01 22 02 62 00 A006 01", "two things"},
    {"batch and piece", "AA06 03 12 01'x' B206 00", "two things"},
    {"a batch that is a number", "B006 01", "not well-formed"},
    {"an entry longer than the batch", "B206 07 10 01 22 02 62 00", "not well-formed"},
    {"a second entry longer than the batch", "B206 04 22 02 62 00 B206 05 22 02 62 00", "not well-formed"},
    {"a batch that ends in the head of an entry", "B206 04 22 02 62 00 B206", "not well-formed"},
    {"a piece without data", "AA06 00", "without data"},
    {"a first piece without data", "AA06 02 08 07", "without data"},
    {"a piece that is a number", "A806 01", "not well-formed"},
    {"a piece that is not protobuf", "AA06 01 12", "not well-formed"},
    {"a credit that is a string", "A206 01'x'", "not well-formed"},
    {"a packet that is a number", "20 01", "not well-formed"},
    {"a control that is not protobuf", "9203 01 08", "not well-formed"},
    {"a replaced packet that is not protobuf", "22 01 62 9203 00", "not well-formed"},
    {"a replaced control that is not protobuf", "9203 01 08 22 02 62 00", "not well-formed"},
    {"a client id that is a number", "9203 02 10 01", "not well-formed"},
    {"a sequence of fixed width", "11 0100000000000000 22 02 62 00", "not well-formed"},
    {"a direction that is a string", "1A 01'x'", "not well-formed"},
    {"an envelope cut short", "10", "not well-formed"},
    {"a group", "0B 0C", "not well-formed"},
};

START_TEST(what_is_no_envelope_is_refused_with_a_reason)
{
    struct relay_frame frame;
    struct mqtt_fault fault;
    uint8_t *bytes;
    int r = read_hex(refusal_rows[_i].hex, &bytes, &frame, &fault);
    ck_assert_msg(r == CONVERT_REFUSED, "%s: %d", refusal_rows[_i].what, r);
    ck_assert_msg(strstr(fault.text, refusal_rows[_i].says), "%s: says \"%s\"", refusal_rows[_i].what, fault.text);
    free(bytes);
}
END_TEST

START_TEST(the_packet_of_a_frame_follows_its_family_and_the_session)
{
    struct relay_frame frame;
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    uint8_t *bytes;
    ck_assert_int_eq(read_hex("22 02 62 00", &bytes, &frame, &fault), CONVERT_OK);
    ck_assert_int_eq(relay_frame_packet(&frame, MQTT_V31, NULL, 0, &packet, &fault), CONVERT_OK);
    ck_assert_int_eq(packet.type, MQTT_PINGREQ);
    ck_assert_int_eq(packet.version, MQTT_V31);
    ck_assert_int_eq(relay_frame_packet(&frame, MQTT_V5, NULL, 0, &packet, &fault), CONVERT_REFUSED);
    free(bytes);
    ck_assert_int_eq(read_hex("2A 02 62 00", &bytes, &frame, &fault), CONVERT_OK);
    ck_assert_int_eq(relay_frame_packet(&frame, MQTT_V5, NULL, 0, &packet, &fault), CONVERT_OK);
    ck_assert_int_eq(packet.version, MQTT_V5);
    ck_assert_int_eq(relay_frame_packet(&frame, MQTT_V311, NULL, 0, &packet, &fault), CONVERT_REFUSED);
    free(bytes);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("relay_frame", &t);
    tcase_add_loop_test(t, controls_are_written_as_the_golden_bytes, 0, TEST_COUNT(control_rows));
    tcase_add_loop_test(t, golden_bytes_are_read_as_controls, 0, TEST_COUNT(control_rows));
    tcase_add_test(t, credit_is_a_number_and_a_direction);
    tcase_add_loop_test(t, pieces_hold_their_data_and_the_first_the_total, 0, TEST_COUNT(piece_rows));
    tcase_add_loop_test(t, a_batch_is_its_entries_in_order, 0, 2);
    tcase_add_test(t, the_head_of_an_entry_is_tag_and_length);
    tcase_add_test(t, no_envelope_is_longer_than_the_overhead);
    tcase_add_loop_test(t, what_is_not_known_is_ignored, 0, TEST_COUNT(odd_rows));
    tcase_add_loop_test(t, what_is_no_envelope_is_refused_with_a_reason, 0, TEST_COUNT(refusal_rows));
    tcase_add_test(t, the_packet_of_a_frame_follows_its_family_and_the_session);
    return s;
}

TEST_MAIN(suite)
