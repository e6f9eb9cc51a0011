/* UTF-8: every code point, and every sequence of up to three bytes, against a slow reading of the standard. */
#include <stdbool.h>
#include <string.h>

#include "mqtt_utf8.h"
#include "test_main.h"

/* Decodes one character the slow way: by value, then asks whether that many bytes were needed. Returns its length, 0 if
 * bad. */
static size_t slow_character(const uint8_t *text, size_t len)
{
    size_t n = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 : text[0] >> 3 == 30 ? 4 : 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (n == 0 || n > len)
        return 0;
    uint32_t value = n == 1 ? text[0] : text[0] & (0xFF >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        value = value << 6 | (text[i] & 0x3F);
    }
    bool is_surrogate = value >= 0xD800 && value <= 0xDFFF;
    return value < least[n] || value > 0x10FFFF || is_surrogate ? 0 : n;
}

static enum mqtt_utf8_result slow_check(const uint8_t *text, size_t len)
{
    while (len > 0) {
        size_t n = slow_character(text, len);
        if (n == 0)
            return MQTT_UTF8_BAD;
        if (text[0] == 0)
            return MQTT_UTF8_NUL;
        text += n;
        len -= n;
    }
    return MQTT_UTF8_OK;
}

START_TEST(every_sequence_of_three_bytes_is_judged_right)
{
    unsigned wrong = 0;
    for (uint32_t i = 0; i < 1 << 24; i++) {
        uint8_t text[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        wrong += mqtt_utf8_check(text, 3) != slow_check(text, 3);
    }
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(every_shorter_sequence_is_judged_right)
{
    for (uint32_t i = 0; i < 1 << 16; i++) {
        uint8_t text[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        ck_assert_int_eq(mqtt_utf8_check(text, 2), slow_check(text, 2));
        ck_assert_int_eq(mqtt_utf8_check(text, 1), slow_check(text, 1));
    }
}
END_TEST

START_TEST(every_four_bytes_with_a_lead_byte_for_them_are_judged_right)
{
    unsigned wrong = 0;
    for (uint32_t lead = 0xF0; lead <= 0xF8; lead++)
        for (uint32_t i = 0; i < 1 << 16; i++) {
            uint8_t text[4] = {(uint8_t)lead, (uint8_t)(i >> 8), (uint8_t)i, 0x80};
            wrong += mqtt_utf8_check(text, 4) != slow_check(text, 4);
            text[3] = 0x7F;
            wrong += mqtt_utf8_check(text, 4) != slow_check(text, 4);
        }
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* The quick way takes eight bytes of ASCII at once: a byte that is not must be seen at every place, in every length. */
START_TEST(a_bad_byte_is_seen_wherever_it_stands)
{
    uint8_t text[40];
    for (size_t len = 1; len <= sizeof(text); len++)
        for (size_t at = 0; at < len; at++) {
            memset(text, 'x', sizeof(text));
            ck_assert_int_eq(mqtt_utf8_check(text, len), MQTT_UTF8_OK);
            text[at] = 0xFF;
            ck_assert_int_eq(mqtt_utf8_check(text, len), MQTT_UTF8_BAD);
            text[at] = 0;
            ck_assert_int_eq(mqtt_utf8_check(text, len), MQTT_UTF8_NUL);
        }
}
END_TEST

START_TEST(characters_may_stand_across_the_borders_of_eight_bytes)
{
    static const char *const characters[] = {"\x7F", "\xC3\xBC", "\xEF\xBB\xBF", "\xF4\x8F\xBF\xBF"};
    uint8_t text[40];
    for (size_t c = 0; c < TEST_COUNT(characters); c++)
        for (size_t at = 0; at < 30; at++) {
            size_t n = strlen(characters[c]);
            memset(text, 'x', sizeof(text));
            memcpy(text + at, characters[c], n);
            ck_assert_int_eq(mqtt_utf8_check(text, sizeof(text)), MQTT_UTF8_OK);
            for (size_t cut = 1; cut < n; cut++)
                ck_assert_int_eq(mqtt_utf8_check(text, at + cut), MQTT_UTF8_BAD);
        }
}
END_TEST

START_TEST(the_first_fault_decides)
{
    ck_assert_int_eq(mqtt_utf8_check((const uint8_t *)"a\0\xFF", 3), MQTT_UTF8_NUL);
    ck_assert_int_eq(mqtt_utf8_check((const uint8_t *)"a\xFF\0", 3), MQTT_UTF8_BAD);
}
END_TEST

START_TEST(nothing_is_a_string_too)
{
    ck_assert_int_eq(mqtt_utf8_check(NULL, 0), MQTT_UTF8_OK);
}
END_TEST

static Suite *utf8_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/utf8", &tc);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_sequence_of_three_bytes_is_judged_right);
    tcase_add_test(tc, every_shorter_sequence_is_judged_right);
    tcase_add_test(tc, every_four_bytes_with_a_lead_byte_for_them_are_judged_right);
    tcase_add_test(tc, a_bad_byte_is_seen_wherever_it_stands);
    tcase_add_test(tc, characters_may_stand_across_the_borders_of_eight_bytes);
    tcase_add_test(tc, the_first_fault_decides);
    tcase_add_test(tc, nothing_is_a_string_too);
    return suite;
}

TEST_MAIN(utf8_suite)
