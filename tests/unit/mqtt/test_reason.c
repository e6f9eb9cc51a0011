/* Reason codes: which packet may carry which (tables of the standard, exhaustively), who may send it, and what 3.x is
 * told. */
#include <string.h>

#include "mqtt_packet.h"
#include "mqtt_reason.h"
#include "test_main.h"

/* Typed from the tables of sections 3.2.2.2, 3.4.2.1 ... 3.15.2.1. */
static const struct {
    uint8_t type;
    const char *codes;
    size_t n;
} allowed_v5[] = {
    {MQTT_CONNACK, "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8A\x8C\x90\x95\x97\x99\x9A\x9B\x9C\x9D\x9F", 22},
    {MQTT_PUBACK, "\x00\x10\x80\x83\x87\x90\x91\x97\x99", 9},
    {MQTT_PUBREC, "\x00\x10\x80\x83\x87\x90\x91\x97\x99", 9},
    {MQTT_PUBREL, "\x00\x92", 2},
    {MQTT_PUBCOMP, "\x00\x92", 2},
    {MQTT_SUBACK, "\x00\x01\x02\x80\x83\x87\x8F\x91\x97\x9E\xA1\xA2", 12},
    {MQTT_UNSUBACK, "\x00\x11\x80\x83\x87\x8F\x91", 7},
    {MQTT_DISCONNECT,
     "\x00\x04\x80\x81\x82\x83\x87\x89\x8B\x8C\x8D\x8E\x8F\x90\x93\x94\x95\x96\x97\x98\x99\x9A\x9B\x9C\x9D\x9E\x9F\xA0"
     "\xA1\xA2",
     30},
    {MQTT_AUTH, "\x00\x18\x19", 3},
};

static bool is_listed(uint8_t type, uint8_t reason)
{
    for (size_t i = 0; i < TEST_COUNT(allowed_v5); i++)
        if (allowed_v5[i].type == type)
            return memchr(allowed_v5[i].codes, reason, allowed_v5[i].n) != NULL;
    return false;
}

START_TEST(packets_of_5_0_carry_the_codes_of_their_tables)
{
    for (unsigned type = 1; type < 16; type++)
        for (unsigned reason = 0; reason < 256; reason++)
            ck_assert_msg(mqtt_reason_is_allowed(MQTT_V5, (uint8_t)type, (uint8_t)reason) ==
                              is_listed((uint8_t)type, (uint8_t)reason),
                          "%s 0x%02X", mqtt_type_name(type), reason);
}
END_TEST

START_TEST(packets_of_3_x_carry_theirs)
{
    static const uint8_t versions[] = {MQTT_V31, MQTT_V311};
    for (unsigned reason = 0; reason < 256; reason++) {
        uint8_t version = versions[reason & 1], code = (uint8_t)reason;
        ck_assert(mqtt_reason_is_allowed(version, MQTT_CONNACK, code) == (reason <= 5));
        ck_assert(mqtt_reason_is_allowed(version, MQTT_SUBACK, code) == (reason <= 2 || reason == 0x80));
        ck_assert(mqtt_reason_is_allowed(version, MQTT_PUBACK, code) == (reason == 0));
    }
}
END_TEST

START_TEST(every_code_has_a_name_of_its_own_and_a_text)
{
    for (unsigned a = 0; a < 256; a++) {
        bool is_known = strcmp(mqtt_reason_name((uint8_t)a), "unknown") != 0;
        bool is_used = false;
        for (unsigned type = 1; type < 16; type++)
            is_used = is_used || is_listed((uint8_t)type, (uint8_t)a);
        ck_assert_msg(is_known == is_used, "0x%02X", a);
        ck_assert_ptr_nonnull(mqtt_reason_text(MQTT_CONNACK, (uint8_t)a));
        for (unsigned b = 0; b < a && is_known; b++)
            ck_assert_str_ne(mqtt_reason_name((uint8_t)a), mqtt_reason_name((uint8_t)b));
    }
}
END_TEST

START_TEST(zero_is_called_what_it_means)
{
    ck_assert_str_eq(mqtt_reason_text(MQTT_CONNACK, 0), "Success");
    ck_assert_str_eq(mqtt_reason_text(MQTT_SUBACK, 0), "Granted QoS 0");
    ck_assert_str_eq(mqtt_reason_text(MQTT_DISCONNECT, 0), "Normal disconnection");
    ck_assert_str_eq(mqtt_reason_text(MQTT_DISCONNECT, 0x81), "Malformed Packet");
}
END_TEST

/* Column "Sent by" of section 3.14.2.1 and 3.15.2.1; 0x8C is in table 2-6 only. */
START_TEST(each_side_sends_its_own_codes)
{
    static const char both[] = "\x00\x80\x81\x82\x83\x90\x93\x94\x95\x96\x97\x98\x99";
    for (unsigned reason = 0; reason < 256; reason++) {
        unsigned expected = MQTT_FROM_SERVER;
        if (!is_listed(MQTT_DISCONNECT, (uint8_t)reason))
            expected = 0;
        else if (reason == MQTT_REASON_DISCONNECT_WITH_WILL)
            expected = MQTT_FROM_CLIENT;
        else if (memchr(both, (int)reason, sizeof(both) - 1))
            expected = MQTT_FROM_CLIENT | MQTT_FROM_SERVER;
        ck_assert_msg(mqtt_reason_senders(MQTT_DISCONNECT, (uint8_t)reason) == expected, "0x%02X", reason);
    }
    ck_assert_uint_eq(mqtt_reason_senders(MQTT_AUTH, 0x00), MQTT_FROM_SERVER);
    ck_assert_uint_eq(mqtt_reason_senders(MQTT_AUTH, 0x18), MQTT_FROM_CLIENT | MQTT_FROM_SERVER);
    ck_assert_uint_eq(mqtt_reason_senders(MQTT_AUTH, 0x19), MQTT_FROM_CLIENT);
    ck_assert_uint_eq(mqtt_reason_senders(MQTT_AUTH, 0x80), 0);
}
END_TEST

START_TEST(older_clients_are_told_what_fits)
{
    static const uint8_t cases[][2] = {{0x00, 0}, {0x80, 3}, {0x83, 3}, {0x84, 1}, {0x85, 2},
                                       {0x86, 4}, {0x87, 5}, {0x88, 3}, {0x89, 3}, {0x8A, 5},
                                       {0x8C, 5}, {0x97, 3}, {0x9C, 3}, {0x9D, 3}, {0x9F, 3}};
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        ck_assert_uint_eq(mqtt_reason_to_v3(cases[i][0]), cases[i][1]);
}
END_TEST

/* 3.1.1 section 3.1.4 and 4.8: a CONNECT that breaks the rules is not answered. */
START_TEST(older_clients_are_told_nothing_about_their_own_faults)
{
    static const uint8_t silent[] = {0x81, 0x82, 0x90, 0x95, 0x99, 0x9A, 0x9B, 0x01, 0xFF};
    for (size_t i = 0; i < TEST_COUNT(silent); i++)
        ck_assert_uint_eq(mqtt_reason_to_v3(silent[i]), MQTT_V3_SILENT);
}
END_TEST

START_TEST(every_code_a_connack_has_fits_one_of_3_x_or_is_silent)
{
    for (unsigned reason = 0; reason < 256; reason++) {
        uint8_t code = mqtt_reason_to_v3((uint8_t)reason);
        ck_assert(code <= MQTT_V3_NOT_AUTHORIZED || code == MQTT_V3_SILENT);
        ck_assert(code != 0 || reason == 0);
    }
}
END_TEST

START_TEST(return_codes_become_reason_codes_and_back)
{
    for (uint8_t code = 0; code <= 5; code++) {
        ck_assert_uint_eq(mqtt_reason_to_v3(mqtt_reason_from_v3(code)), code);
        ck_assert(mqtt_reason_is_allowed(MQTT_V5, MQTT_CONNACK, mqtt_reason_from_v3(code)));
        ck_assert_int_eq(strncmp(mqtt_v3_code_text(code), "Connection ", 11), 0);
    }
    ck_assert_uint_eq(mqtt_reason_from_v3(6), MQTT_REASON_UNSPECIFIED);
    ck_assert_ptr_nonnull(mqtt_v3_code_text(200));
}
END_TEST

static Suite *reason_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/reason", &tc);
    tcase_add_test(tc, packets_of_5_0_carry_the_codes_of_their_tables);
    tcase_add_test(tc, packets_of_3_x_carry_theirs);
    tcase_add_test(tc, every_code_has_a_name_of_its_own_and_a_text);
    tcase_add_test(tc, zero_is_called_what_it_means);
    tcase_add_test(tc, each_side_sends_its_own_codes);
    tcase_add_test(tc, older_clients_are_told_what_fits);
    tcase_add_test(tc, older_clients_are_told_nothing_about_their_own_faults);
    tcase_add_test(tc, every_code_a_connack_has_fits_one_of_3_x_or_is_silent);
    tcase_add_test(tc, return_codes_become_reason_codes_and_back);
    return suite;
}

TEST_MAIN(reason_suite)
