/* Judge of packets that did not come from MQTT bytes: what no wire form can say is refused, never narrowed. What bytes
 * can say is tested with the decoder, which asks the same judge. */
#include <string.h>

#include "mqtt_check.h"
#include "mqtt_encode.h"
#include "test_main.h"

static struct mqtt_bytes bytes_of(const char *wire, size_t len)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)wire, .len = (uint32_t)len};
}

static struct mqtt_packet publish_of(uint8_t version)
{
    struct mqtt_packet p = {.type = MQTT_PUBLISH, .version = version, .packet_id = 7};
    p.publish = (struct mqtt_publish){.topic = bytes_of("a/b", 3), .payload = bytes_of("x", 1), .qos = 1};
    return p;
}

static struct mqtt_packet connect_of(uint8_t version)
{
    struct mqtt_packet p = {.type = MQTT_CONNECT, .version = version};
    p.connect = (struct mqtt_connect){.client_id = bytes_of("c", 1), .protocol_level = version};
    return p;
}

static struct mqtt_packet subscribe_of(uint8_t version)
{
    struct mqtt_packet p = {.type = MQTT_SUBSCRIBE, .version = version, .packet_id = 7};
    p.subscriptions = (struct mqtt_list){.wire = bytes_of("\0\1a\1", 4), .count = 1};
    return p;
}

static struct mqtt_packet simple_of(uint8_t version, uint8_t type)
{
    return (struct mqtt_packet){.type = type, .version = version};
}

static uint8_t reason_for(const struct mqtt_packet *p)
{
    struct mqtt_fault fault = {.reason = 0, .text = NULL};
    int r = mqtt_packet_check(p, &fault);
    ck_assert_int_eq(r, fault.reason ? MQTT_CHECK_BAD : 0);
    ck_assert((fault.text != NULL) == (fault.reason != 0));
    return fault.reason;
}

#define assert_legal(p)   ck_assert_uint_eq(reason_for(p), 0)
#define assert_refused(p) ck_assert_uint_eq(reason_for(p), MQTT_REASON_MALFORMED_PACKET)

START_TEST(unknown_types_and_versions_are_refused)
{
    for (unsigned version = 0; version < 256; version++)
        for (unsigned type = 0; type < 256; type++) {
            bool is_known =
                version >= 3 && version <= 5 && type >= 1 && type <= 15 && (type != MQTT_AUTH || version == 5);
            struct mqtt_packet p = simple_of((uint8_t)version, (uint8_t)type);
            if (!is_known)
                assert_refused(&p);
        }
    struct mqtt_packet ping = simple_of(MQTT_V31, MQTT_PINGREQ);
    assert_legal(&ping);
}
END_TEST

START_TEST(dup_needs_a_packet_that_has_it)
{
    struct mqtt_packet p = publish_of(MQTT_V311);
    p.dup = true;
    assert_legal(&p);
    p = subscribe_of(MQTT_V31);
    p.dup = true;
    assert_legal(&p);
    p.version = MQTT_V311;
    assert_refused(&p);
    p = simple_of(MQTT_V31, MQTT_PUBACK);
    p.packet_id = 1;
    assert_legal(&p);
    p.dup = true;
    assert_refused(&p);
}
END_TEST

START_TEST(packet_ids_need_a_packet_that_has_them)
{
    struct mqtt_packet p = publish_of(MQTT_V5);
    p.publish.qos = 0;
    assert_refused(&p);
    p.packet_id = 0;
    assert_legal(&p);
    p = connect_of(MQTT_V5);
    p.packet_id = 1;
    assert_refused(&p);
    p = simple_of(MQTT_V5, MQTT_DISCONNECT);
    p.packet_id = 1;
    assert_refused(&p);
}
END_TEST

START_TEST(reason_codes_need_a_packet_that_has_them)
{
    struct mqtt_packet p = simple_of(MQTT_V311, MQTT_PUBACK);
    p.packet_id = 1;
    p.reason_code = 0x10;
    assert_refused(&p);
    p.version = MQTT_V5;
    assert_legal(&p);
    p = simple_of(MQTT_V311, MQTT_DISCONNECT);
    p.reason_code = 0x04;
    assert_refused(&p);
    p = simple_of(MQTT_V5, MQTT_PINGREQ);
    p.reason_code = 0x80;
    assert_refused(&p);
    p = simple_of(MQTT_V311, MQTT_CONNACK);
    p.reason_code = 5;
    assert_legal(&p);
}
END_TEST

START_TEST(properties_need_a_packet_that_has_them)
{
    struct mqtt_packet p = publish_of(MQTT_V5);
    p.properties.wire = bytes_of("\x01\x01", 2);
    assert_legal(&p);
    p.version = MQTT_V311;
    assert_refused(&p);
    p = simple_of(MQTT_V5, MQTT_PINGRESP);
    p.properties.wire = bytes_of("\x26\0\0\0\0", 5);
    assert_refused(&p);
    p = connect_of(MQTT_V311);
    p.connect.has_will = true;
    p.connect.will.topic = bytes_of("w", 1);
    assert_legal(&p);
    p.connect.will.properties.wire = bytes_of("\x01\x01", 2);
    assert_refused(&p);
}
END_TEST

START_TEST(the_protocol_level_fits_the_version)
{
    static const uint8_t versions[] = {MQTT_V31, MQTT_V311, MQTT_V5};
    for (size_t i = 0; i < TEST_COUNT(versions); i++)
        for (unsigned level = 0; level < 256; level++) {
            struct mqtt_packet p = connect_of(versions[i]);
            p.connect.protocol_level = (uint8_t)level;
            bool fits = level == versions[i] || (versions[i] != MQTT_V5 && level == (versions[i] | 0x80u));
            ck_assert_uint_eq(reason_for(&p), fits ? 0 : MQTT_REASON_UNSUPPORTED_VERSION);
        }
}
END_TEST

START_TEST(strings_have_at_most_65535_bytes)
{
    uint8_t *text = malloc(MQTT_STRING_MAX + 1);
    memset(text, 'x', MQTT_STRING_MAX + 1);
    struct mqtt_packet p = connect_of(MQTT_V5), publish = publish_of(MQTT_V5);
    p.connect.has_username = p.connect.has_password = p.connect.has_will = true;
    struct mqtt_bytes *fields[] = {&p.connect.client_id, &p.connect.username, &p.connect.password,
                                   &p.connect.will.topic, &p.connect.will.payload};
    for (size_t i = 0; i < TEST_COUNT(fields); i++)
        *fields[i] = (struct mqtt_bytes){text, MQTT_STRING_MAX};
    assert_legal(&p);
    for (size_t i = 0; i < TEST_COUNT(fields); i++) {
        fields[i]->len++;
        assert_refused(&p);
        fields[i]->len--;
    }
    publish.publish.topic = (struct mqtt_bytes){text, MQTT_STRING_MAX};
    assert_legal(&publish);
    publish.publish.topic.len++;
    assert_refused(&publish);
    free(text);
}
END_TEST

START_TEST(a_length_without_bytes_is_refused)
{
    struct mqtt_packet p = publish_of(MQTT_V311);
    p.publish.payload = (struct mqtt_bytes){NULL, 1};
    assert_refused(&p);
    p.publish.payload.len = 0;
    assert_legal(&p);
}
END_TEST

START_TEST(lists_say_how_long_they_are)
{
    struct mqtt_packet p = subscribe_of(MQTT_V311);
    assert_legal(&p);
    p.subscriptions.count = 2;
    assert_refused(&p);
    p = subscribe_of(MQTT_V311);
    p.subscriptions.wire.len = 3; /* without options */
    assert_refused(&p);
    p.type = MQTT_UNSUBSCRIBE;
    assert_legal(&p);
    p.filters.count = 0;
    assert_refused(&p);
}
END_TEST

START_TEST(reason_code_lists_belong_to_5_0)
{
    struct mqtt_packet p = {.type = MQTT_UNSUBACK, .version = MQTT_V5, .packet_id = 1};
    p.reason_codes = bytes_of("\0\x11", 2);
    assert_legal(&p);
    p.version = MQTT_V311;
    assert_refused(&p);
    p.reason_codes.len = 0;
    assert_legal(&p);
}
END_TEST

/* Only the lengths are looked at before the refusal, so the bytes need not be there. */
START_TEST(a_packet_has_at_most_256_mb)
{
    static const uint8_t nothing[1];
    struct mqtt_packet p = publish_of(MQTT_V311);
    uint32_t head = 2 + p.publish.topic.len + 2;
    p.publish.payload = (struct mqtt_bytes){nothing, 268435455 - head};
    ck_assert_uint_eq(mqtt_encode_size(&p), MQTT_PACKET_MAX);
    assert_legal(&p);
    p.publish.payload.len++;
    ck_assert_uint_eq(reason_for(&p), MQTT_REASON_PACKET_TOO_LARGE);
    p.publish.payload.len = UINT32_MAX;
    assert_refused(&p);
}
END_TEST

START_TEST(content_is_judged_as_the_decoder_judges_it)
{
    struct mqtt_packet p = publish_of(MQTT_V5);
    p.publish.qos = 3;
    ck_assert_uint_eq(reason_for(&p), MQTT_REASON_MALFORMED_PACKET);
    p = publish_of(MQTT_V5);
    p.publish.topic = bytes_of("a/#", 3);
    ck_assert_uint_eq(reason_for(&p), MQTT_REASON_TOPIC_NAME_INVALID);
    p = publish_of(MQTT_V5);
    p.packet_id = 0;
    ck_assert_uint_eq(reason_for(&p), MQTT_REASON_PROTOCOL_ERROR);
    p = connect_of(MQTT_V5);
    p.connect.has_will = true;
    p.connect.will = (struct mqtt_will){.topic = bytes_of("w", 1), .qos = 3};
    ck_assert_uint_eq(reason_for(&p), MQTT_REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(strings_and_topics_name_their_fault)
{
    struct mqtt_fault fault;
    ck_assert_int_eq(mqtt_check_string(bytes_of("a\0", 2), &fault), MQTT_CHECK_BAD);
    ck_assert_str_eq(fault.text, "MQTT-1.5.4-2: string holds U+0000");
    ck_assert_int_eq(mqtt_check_string(bytes_of("a\xFF", 2), &fault), MQTT_CHECK_BAD);
    ck_assert_int_eq(strncmp(fault.text, "MQTT-1.5.4-1", 12), 0);
    ck_assert_int_eq(mqtt_check_topic(bytes_of("a/+", 3), &fault), MQTT_CHECK_BAD);
    ck_assert_str_eq(fault.text, "MQTT-3.3.2-2: topic name holds a wildcard");
    ck_assert_int_eq(mqtt_check_topic(bytes_of("", 0), &fault), 0);
    ck_assert_int_eq(mqtt_check_topic(bytes_of("\xC3\xBC", 2), &fault), 0);
}
END_TEST

static Suite *check_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/check", &tc);
    tcase_add_test(tc, unknown_types_and_versions_are_refused);
    tcase_add_test(tc, dup_needs_a_packet_that_has_it);
    tcase_add_test(tc, packet_ids_need_a_packet_that_has_them);
    tcase_add_test(tc, reason_codes_need_a_packet_that_has_them);
    tcase_add_test(tc, properties_need_a_packet_that_has_them);
    tcase_add_test(tc, the_protocol_level_fits_the_version);
    tcase_add_test(tc, strings_have_at_most_65535_bytes);
    tcase_add_test(tc, a_length_without_bytes_is_refused);
    tcase_add_test(tc, lists_say_how_long_they_are);
    tcase_add_test(tc, reason_code_lists_belong_to_5_0);
    tcase_add_test(tc, a_packet_has_at_most_256_mb);
    tcase_add_test(tc, content_is_judged_as_the_decoder_judges_it);
    tcase_add_test(tc, strings_and_topics_name_their_fault);
    return suite;
}

TEST_MAIN(check_suite)
