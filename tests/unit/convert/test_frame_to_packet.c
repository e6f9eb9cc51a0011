/* frame_to_packet: golden messages come back, odd ones mean what protobuf says, bad ones are refused with a reason. */
#include "frame_to_packet.h"

#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "mqtt_encode.h"
#include "test_main.h"

/* A message in memory of its own, with a scratch of its own: a sanitizer sees a byte too many. */
struct fixture {
    uint8_t *message;
    uint8_t *scratch;
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    size_t message_len;
};

static int read_with(struct fixture *x, const char *text, uint8_t family, uint8_t session_version, size_t scratch_bytes)
{
    uint8_t bytes[GOLDEN_MAX];
    x->message_len = golden_bytes(text, bytes, sizeof(bytes));
    x->message = malloc(x->message_len);
    memcpy(x->message, bytes, x->message_len);
    if (scratch_bytes == SIZE_MAX)
        scratch_bytes = frame_scratch_bytes(x->message_len);
    x->scratch = scratch_bytes > 0 ? malloc(scratch_bytes) : NULL;
    struct frame_source source = {
        .message = {x->message, (uint32_t)x->message_len},
        .scratch = x->scratch,
        .scratch_bytes = scratch_bytes,
        .family = family,
        .session_version = session_version,
    };
    return frame_to_packet(&source, &x->packet, &x->fault);
}

static void fixture_free(struct fixture *x)
{
    free(x->message);
    free(x->scratch);
}

static uint8_t family_of(uint8_t version)
{
    return version == MQTT_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
}

static void assert_is_mqtt(const struct mqtt_packet *packet, const char *mqtt, const char *name)
{
    uint8_t expected[GOLDEN_MAX], got[GOLDEN_MAX];
    size_t len = golden_bytes(mqtt, expected, sizeof(expected));
    size_t n = mqtt_encode_size(packet);
    ck_assert_msg(n <= sizeof(got) && mqtt_encode(packet, got) == len && memcmp(got, expected, len) == 0, "%s", name);
}

START_TEST(every_golden_message_becomes_its_packet)
{
    const struct golden *row = &golden[_i];
    struct fixture x;
    int r = read_with(&x, row->message, family_of(row->version), row->version, SIZE_MAX);
    ck_assert_msg(r == CONVERT_OK, "%s: %d %s", row->name, r, r == CONVERT_REFUSED ? x.fault.text : "");
    ck_assert_uint_eq(x.packet.version, row->version);
    assert_is_mqtt(&x.packet, row->mqtt, row->name);
    fixture_free(&x);
}
END_TEST

/* What protobuf lets other writers do differently. MQTT: what it has to be all the same. */
struct odd_row {
    const char *what;
    uint8_t version;
    const char *message;
    const char *mqtt;
};

static const struct odd_row odd_rows[] = {
    {"fields in reverse order", MQTT_V311, "1A 11 32 02'hi' 28 01 20 01 18 01 10 0A 0A 03'a/b'",
     "3B 09 0003'a/b' 000A 'hi'"},
    {"default values written out", MQTT_V311, "1A 0F 0A 01't' 10 00 18 00 20 00 28 00 32 02'hi'", "30 05 0001't' 'hi'"},
    {"unknown fields of every wire type", MQTT_V311,
     "A01F 05 1A 1F 0A 01't' 98 06 07 99 06 0102030405060708 9A 06 03'xyz' 9D 06 01020304 32 01'p' 7A 00 E2 1F 00 F8 "
     "1F 01",
     "30 04 0001't' 'p'"},
    {"an unknown member beside the packet", MQTT_V311, "7A 03'xyz' 62 00 82 01 00", "C0 00"},
    {"lengths longer than they need to be", MQTT_V311, "1A 8480808000 0A 8100't'", "30 03 0001't'"},
    {"a number of ten bytes", MQTT_V311, "22 0B 08 81808080808080808000", "40 02 0001"},
    {"a tag of five bytes", MQTT_V311, "A280808000 02 08 01", "40 02 0001"},
    {"above 32 bits a varint is cut, as protobuf says", MQTT_V311, "22 06 08 81808080 10", "40 02 0001"},
    {"the last value of a field counts", MQTT_V311, "1A 0C 0A 01'x' 32 01'q' 0A 01't' 32 01'p'", "30 04 0001't' 'p'"},
    {"the last member of the oneof counts", MQTT_V311, "1A 03 0A 01't' 22 02 08 07", "40 02 0007"},
    {"a member that comes twice starts anew", MQTT_V311, "1A 06 0A 01't' 32 01'p' 1A 03 0A 01'u'", "30 03 0001'u'"},
    {"a bad value in a replaced member is forgotten", MQTT_V311, "22 04 08 FFFF 7F 22 02 08 07", "40 02 0007"},
    {"return codes not packed", MQTT_V311, "4A 09 08 02 10 00 10 01 10 8001", "90 05 0002 00 01 80"},
    {"return codes packed, in two blocks, and not packed", MQTT_V311, "4A 0B 12 01 00 08 02 10 01 12 02 8001",
     "90 05 0002 00 01 80"},
    {"user name without flag is there if it is not empty", MQTT_V311, "0A 10 0A 01'a' 12 04'MQTT' 18 04 20 01 32 01'u'",
     "10 10 0004'MQTT' 04 82 0000 0001'a' 0001'u'"},
    {"lists with other fields between", MQTT_V5,
     "42 1C 12 05 0A 01'a' 10 01 1A 02 30 05 12 03 0A 01'b' 08 01 1A 08 BA01 05 0A 01'k' 12 00",
     "82 13 0001 08 0B 05 26 0001'k' 0000 0001'a'01 0001'b'00"},
    {"a property whose value is written twice", MQTT_V5, "1A 0A 0A 01't' 3A 05 10 07 A001 02",
     "30 07 0001't' 03 23 0002"},
    {"two wills, merged as protobuf-c does it", MQTT_V311,
     "0A 19 0A 01'a' 12 04'MQTT' 18 04 42 08 0A 01'w' 12 01'p' 18 01 42 02 20 01",
     "10 13 0004'MQTT' 04 24 0000 0001'a' 0001'w' 0001'p'"},
    {"an unknown field in a will of 5.0", MQTT_V5, "0A 13 0A 01'a' 12 04'MQTT' 18 05 42 06 0A 01'w' 9A06 00",
     "10 14 0004'MQTT' 05 04 0000 00 0001'a' 00 0001'w' 0000"},
    /* what 5.0 has added is unknown to 3.x, and may be anything there; DUP is unknown to 5.0 */
    {"properties of a will of 3.1.1", MQTT_V311, "0A 12 0A 01'a' 12 04'MQTT' 18 04 42 05 0A 01'w' 28 07",
     "10 12 0004'MQTT' 04 04 0000 0001'a' 0001'w' 0000"},
    {"properties of PUBLISH 3.1.1", MQTT_V311, "1A 05 0A 01't' 38 07", "30 03 0001't'"},
    {"properties of CONNACK 3.1.1", MQTT_V311, "12 02 18 07", "20 02 00 00"},
    {"reason code and properties of PUBACK 3.1.1", MQTT_V311, "22 07 08 01 12 01'x' 18 01", "40 02 0001"},
    {"options of a subscription of 3.1.1", MQTT_V311, "42 0E 08 01 12 0A 0A 01'a' 1A 01'x' 20 01 28 02",
     "82 06 0001 0001'a' 00"},
    {"options of a subscription of 3.1.1 that are strings", MQTT_V311, "42 0D 08 01 12 09 0A 01'a' 22 01'x' 2A 01'y'",
     "82 06 0001 0001'a' 00"},
    {"codes of UNSUBACK 3.1.1", MQTT_V311, "5A 07 08 03 15 01020304", "B0 02 0003"},
    {"reason code and properties of DISCONNECT 3.1.1", MQTT_V311, "72 05 0A 01'x' 10 01", "E0 00"},
    {"DUP of PUBREL 5.0", MQTT_V5, "32 06 08 01 A206 01'x'", "62 02 0001"},
    {"DUP of SUBSCRIBE 5.0", MQTT_V5, "42 0B 08 01 12 03 0A 01'a' A206 01'x'", "82 07 0001 00 0001'a' 00"},
    {"DUP of PUBACK 3.1", MQTT_V31, "22 06 08 01 A206 01'x'", "40 02 0001"},
    {"DUP of SUBACK 3.1", MQTT_V31, "4A 09 08 01 12 01 00 A206 01'x'", "90 03 0001 00"},
    {"a bool of fixed width, as protobuf-c reads it", MQTT_V311, "1A 08 0A 01't' 25 00000100", "31 03 0001't'"},
};

START_TEST(other_ways_of_writing_a_message_are_understood)
{
    const struct odd_row *row = &odd_rows[_i];
    struct fixture x;
    int r = read_with(&x, row->message, family_of(row->version), row->version, SIZE_MAX);
    ck_assert_msg(r == CONVERT_OK, "%s: %d %s", row->what, r, r == CONVERT_REFUSED ? x.fault.text : "");
    assert_is_mqtt(&x.packet, row->mqtt, row->what);
    fixture_free(&x);
}
END_TEST

struct refusal_row {
    const char *what;
    uint8_t family;
    uint8_t session_version;
    const char *message;
    uint8_t reason;
    const char *says;
};

enum {
    MALFORMED = MQTT_REASON_MALFORMED_PACKET,
    PROTOCOL = MQTT_REASON_PROTOCOL_ERROR,
    VERSION = MQTT_REASON_UNSUPPORTED_VERSION,
};

static const struct refusal_row refusal_rows[] = {
    /* not protobuf */
    {"nothing", 3, 4, "", MALFORMED, "no packet"},
    {"only fields of later days", 3, 4, "82 01 00", MALFORMED, "no packet"},
    {"AUTH in the messages of 3.x", 3, 4, "7A 00", MALFORMED, "no packet"},
    {"field number 0", 3, 4, "02 00", MALFORMED, "not well-formed"},
    {"a tag without end", 3, 4, "E2 80 80 80 80 00", MALFORMED, "not well-formed"},
    {"a length without end", 3, 4, "62 80 80 80 80 80 00", MALFORMED, "not well-formed"},
    {"a length above what is there", 3, 4, "62 01", MALFORMED, "not well-formed"},
    {"a length of 4 GB", 3, 4, "62 FF FF FF FF 0F", MALFORMED, "not well-formed"},
    {"a varint of eleven bytes", 3, 4, "22 0C 08 80 80 80 80 80 80 80 80 80 80 00", MALFORMED, "not well-formed"},
    {"a byte in PINGREQ that begins a field", 3, 4, "62 01 08", MALFORMED, "not well-formed"},
    {"a group", 3, 4, "63 64 62 00", MALFORMED, "not well-formed"},
    {"wire type 6", 3, 4, "66 00", MALFORMED, "not well-formed"},
    {"wire type 7", 3, 4, "67 00", MALFORMED, "not well-formed"},
    {"four bytes that are three", 3, 4, "62 04 A5 06 01 02", MALFORMED, "not well-formed"},
    {"a packet that is a number", 3, 4, "60 00", MALFORMED, "not well-formed"},
    {"a topic that is a number", 3, 4, "1A 02 08 01", MALFORMED, "not well-formed"},
    {"a packet id that is a string", 3, 4, "22 03 0A 01'x'", MALFORMED, "not well-formed"},
    {"a packet id of fixed width", 3, 4, "22 05 0D 01000000", MALFORMED, "not well-formed"},
    {"return codes of fixed width", 3, 4, "4A 07 08 01 15 01000000", MALFORMED, "not well-formed"},
    {"packed codes cut in the middle", 3, 4, "4A 05 08 01 12 01 80", MALFORMED, "not well-formed"},
    {"a replaced member that is not protobuf", 3, 4, "22 01 08 62 00", MALFORMED, "not well-formed"},
    {"a property that is not protobuf", 5, 5, "22 05 08 01 1A 01 08", MALFORMED, "not well-formed"},
    {"a user property that is not protobuf", 5, 5, "22 08 08 01 1A 04 BA01 01 0A", MALFORMED, "not well-formed"},
    /* numbers that MQTT has no room for */
    {"packet id of 17 bits", 3, 4, "22 04 08 80 80 04", MALFORMED, "message_id"},
    {"negative packet id", 3, 4, "22 0B 08 FFFFFFFFFFFFFFFFFF01", MALFORMED, "message_id"},
    {"keep alive of 17 bits", 3, 4, "0A 0E 12 04'MQTT' 18 04 20 01 28 80 80 04", MALFORMED, "keep_alive"},
    {"QoS 3", 3, 4, "1A 05 0A 01't' 18 03", MALFORMED, "QoS"},
    {"QoS -1", 3, 4, "1A 0E 0A 01't' 18 FFFFFFFFFFFFFFFFFF01", MALFORMED, "QoS"},
    {"QoS 256", 3, 4, "1A 06 0A 01't' 18 80 02", MALFORMED, "QoS"},
    {"will with QoS 3", 3, 4, "0A 12 0A 01'a' 12 04'MQTT' 18 04 42 05 0A 01'w' 18 03", MALFORMED, "QoS"},
    {"will with QoS 256", 3, 4, "0A 13 0A 01'a' 12 04'MQTT' 18 04 42 06 0A 01'w' 18 8002", MALFORMED, "QoS"},
    {"subscription with QoS 3", 3, 4, "42 09 08 01 12 05 0A 01'a' 10 03", MALFORMED, "QoS"},
    {"retain handling 3", 5, 5, "42 09 08 01 12 05 0A 01'a' 28 03", PROTOCOL, "retain_handling"},
    {"return code 256", 3, 4, "12 03 10 80 02", MALFORMED, "reason code"},
    {"code 256 in SUBACK", 3, 4, "4A 06 08 01 12 02 80 02", MALFORMED, "reason code"},
    {"reason code 256", 5, 5, "22 05 08 01 10 80 02", MALFORMED, "reason code"},
    {"receive maximum of 17 bits", 5, 5, "12 07 1A 05 90 01 80 80 04", MALFORMED, "two bytes"},
    {"maximum QoS 256", 5, 5, "12 06 1A 04 A8 01 80 02", MALFORMED, "one byte"},
    {"a subscription id above the limit", 5, 5, "1A 0B 0A 01't' 3A 06 30 80 80 80 80 01", MALFORMED, "268,435,455"},
    {"a property without value", 5, 5, "22 04 08 01 1A 00", MALFORMED, "without value"},
    {"a property of later days", 5, 5, "22 07 08 01 1A 03 E0 01 01", MALFORMED, "without value"},
    {"an empty filter", 3, 4, "42 04 08 01 12 00", MALFORMED, "4.7.3-1"},
    {"an empty filter to be unsubscribed", 3, 4, "52 04 08 01 12 00", MALFORMED, "4.7.3-1"},
    /* versions */
    {"version 6", 5, 0, "0A 08 12 04'MQTT' 18 06", VERSION, "protocol_version"},
    {"version 5 in the messages of 3.x", 3, 0, "0A 08 12 04'MQTT' 18 05", VERSION, "protocol_version"},
    {"version 4 in the messages of 5", 5, 0, "0A 08 12 04'MQTT' 18 04", VERSION, "protocol_version"},
    {"version 260, which is 4 in one byte", 3, 0, "0A 09 12 04'MQTT' 18 84 02", VERSION, "protocol_version"},
    {"bridge of version 5", 5, 0, "0A 09 12 04'MQTT' 18 85 01", VERSION, "protocol_version"},
    {"no version", 3, 0, "0A 06 12 04'MQTT'", VERSION, "protocol_version"},
    {"MQTT of version 3", 3, 0, "0A 0A 12 04'MQTT' 18 03 20 01", VERSION, "protocol_name"},
    {"MQIsdp of version 4", 3, 0, "0A 0C 12 06'MQIsdp' 18 04 20 01", VERSION, "protocol_name"},
    {"mqtt in small letters", 3, 0, "0A 0A 12 04'mqtt' 18 04 20 01", VERSION, "protocol_name"},
    {"no name", 3, 0, "0A 04 18 04 20 01", VERSION, "protocol_name"},
    {"3.x before CONNECT", 3, 0, "62 00", PROTOCOL, "before CONNECT"},
    {"3.x in a session of 5", 3, 5, "62 00", PROTOCOL, "another version"},
    {"5 in a session of 3.1.1", 5, 4, "62 00", PROTOCOL, "another version"},
    {"CONNECT of 3.1 in a session of 3.1.1", 3, 4, "0A 0E 0A 00 12 06'MQIsdp' 18 03 20 01", PROTOCOL,
     "another version"},
    /* what mqtt_packet_check() finds */
    {"packet id 0", 3, 4, "22 00", PROTOCOL, NULL},
    {"QoS 1 without packet id", 3, 4, "1A 05 0A 01't' 18 01", PROTOCOL, NULL},
    {"DUP of 3.1 in a session of 3.1.1", 3, 4, "32 05 08 01 A006 01", 0, NULL},
    {"topic with a wildcard", 3, 4, "1A 04 0A 02'a#'", MQTT_REASON_TOPIC_NAME_INVALID, "3.3.2-2"},
    {"topic with a zero byte", 3, 4, "1A 05 0A 03'a'00'b'", MALFORMED, "U+0000"},
    {"topic that is not UTF-8", 3, 4, "1A 04 0A 02 C0 80", MALFORMED, NULL},
    {"no topic", 3, 4, "1A 00", 0, NULL},
    {"a property of another packet", 5, 5, "22 07 08 01 1A 03 A0 01 01", 0, NULL},
    {"a property that may come once comes twice", 5, 5, "1A 0B 0A 01't' 3A 02 10 01 3A 02 10 01", 0, NULL},
    {"SUBSCRIBE without filter", 3, 4, "42 02 08 01", 0, NULL},
    {"SUBACK without code", 3, 4, "4A 02 08 01", 0, NULL},
    {"AUTH without reason that is one", 5, 5, "7A 02 08 05", 0, NULL},
};

START_TEST(what_is_no_legal_packet_is_refused_with_a_reason)
{
    const struct refusal_row *row = &refusal_rows[_i];
    struct fixture x;
    int r = read_with(&x, row->message, row->family, row->session_version, SIZE_MAX);
    ck_assert_msg(r == CONVERT_REFUSED, "%s: %d", row->what, r);
    ck_assert_msg(row->reason == 0 || x.fault.reason == row->reason, "%s: reason 0x%02x", row->what, x.fault.reason);
    ck_assert_msg(!row->says || strstr(x.fault.text, row->says), "%s: says \"%s\"", row->what, x.fault.text);
    fixture_free(&x);
}
END_TEST

START_TEST(a_message_cut_anywhere_is_refused)
{
    const struct golden *row = &golden[_i];
    uint8_t bytes[GOLDEN_MAX];
    size_t len = golden_bytes(row->message, bytes, sizeof(bytes));
    for (size_t cut = 1; cut < len; cut++) {
        uint8_t *message = malloc(cut), *scratch = malloc(frame_scratch_bytes(cut));
        struct frame_source source = {
            {message, (uint32_t)cut}, scratch, frame_scratch_bytes(cut), family_of(row->version), 0};
        struct mqtt_packet packet;
        struct mqtt_fault fault;
        memcpy(message, bytes, cut);
        ck_assert_int_eq(frame_to_packet(&source, &packet, &fault),
                         CONVERT_REFUSED); /* one member: its length says all */
        free(message);
        free(scratch);
    }
}
END_TEST

START_TEST(a_message_without_lists_needs_no_scratch)
{
    struct fixture x;
    ck_assert_int_eq(read_with(&x, "1A 11 0A 03'a/b' 10 0A 18 01 20 01 28 01 32 02'hi'", 3, 4, 0), CONVERT_OK);
    ck_assert_ptr_eq(x.packet.publish.topic.ptr, x.message + 4);
    ck_assert_ptr_eq(x.packet.publish.payload.ptr, x.message + x.message_len - 2);
    fixture_free(&x);
}
END_TEST

/* Each with the exact need in bytes. */
static const struct {
    const char *message;
    uint8_t family, version;
    size_t needed;
} scratch_rows[] = {
    {"42 13 08 01 12 0B 0A 01'a' 10 02 18 01 20 01 28 02 1A 02 30 05", 5, 5, 4 + 2},
    {"52 08 08 03 12 01'a' 12 01'b'", 3, 4, 6},
    {"4A 08 08 02 12 04 00 01 8001", 3, 4, 3},
    {"22 0B 08 01 10 10 1A 05 8A01 02'no'", 5, 5, 5},
    {"0A 37 0A 01'c' 12 04'MQTT' 18 05 32 01'u' 42 0D 0A 01'w' 18 02 2A 02 68 05 2A 02 08 01"
     " 4A 02 38 0A 4A 03 9001 14 4A 09 BA01 06 0A 01'k' 12 01'v'  A006 01 A806 01",
     5, 5, 15 + 7},
};

START_TEST(scratch_that_is_too_short_is_reported_not_overrun)
{
    for (size_t have = 0; have <= scratch_rows[_i].needed; have++) {
        struct fixture x;
        int r = read_with(&x, scratch_rows[_i].message, scratch_rows[_i].family, scratch_rows[_i].version, have);
        ck_assert_int_eq(r, have < scratch_rows[_i].needed ? CONVERT_SCRATCH : CONVERT_OK);
        fixture_free(&x);
    }
}
END_TEST

/* The entry that grows most, as often as fits: the bound must hold although mqtt_packet_check() refuses it in the end.
 */
START_TEST(the_scratch_bound_holds_for_the_shortest_entries)
{
    static const char *const entries[] = {"1A 02 10 00", "1A 02 38 00",    "1A 03 B0 01 00",
                                          "1A 02 30 01", "1A 03 BA 01 00", "1A 03 C0 01 00"};
    enum { COUNT = 1000 };
    uint8_t entry[8], message[8 * COUNT + 8], *dst = message + 4;
    size_t n = golden_bytes(entries[_i], entry, sizeof(entry)), body = n * COUNT;
    message[0] = 0x22; /* PUBACK, its length in three bytes */
    message[1] = (uint8_t)(body | 0x80);
    message[2] = (uint8_t)(body >> 7 | 0x80);
    message[3] = (uint8_t)(body >> 14);
    for (size_t i = 0; i < COUNT; i++)
        memcpy(dst + i * n, entry, n);
    size_t scratch_bytes = frame_scratch_bytes(body); /* even without the four bytes in front */
    uint8_t *scratch = malloc(scratch_bytes);
    struct frame_source source = {{message, (uint32_t)(4 + body)}, scratch, scratch_bytes, FRAME_MQTTV5, MQTT_V5};
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    ck_assert_int_eq(frame_to_packet(&source, &packet, &fault), CONVERT_REFUSED);
    free(scratch);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("frame_to_packet", &t);
    tcase_add_loop_test(t, every_golden_message_becomes_its_packet, 0, (int)golden_count);
    tcase_add_loop_test(t, other_ways_of_writing_a_message_are_understood, 0, TEST_COUNT(odd_rows));
    tcase_add_loop_test(t, what_is_no_legal_packet_is_refused_with_a_reason, 0, TEST_COUNT(refusal_rows));
    tcase_add_loop_test(t, a_message_cut_anywhere_is_refused, 0, (int)golden_count);
    tcase_add_test(t, a_message_without_lists_needs_no_scratch);
    tcase_add_loop_test(t, scratch_that_is_too_short_is_reported_not_overrun, 0, TEST_COUNT(scratch_rows));
    tcase_add_loop_test(t, the_scratch_bound_holds_for_the_shortest_entries, 0, 6);
    return s;
}

TEST_MAIN(suite)
