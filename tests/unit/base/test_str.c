/* str: what people may write, what they may not and what they are told; and bytes of strangers made safe to show. */
#include "str.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "test_main.h"

struct number_row {
    const char *text;
    int r;
    uint64_t value;
    const char *says; /* in err_text() on failure */
};

static const struct number_row size_rows[] = {
    {"0", 0, 0, NULL},
    {"1234", 0, 1234, NULL},
    {"10k", 0, 10240, NULL},
    {"10K", 0, 10240, NULL},
    {"16M", 0, 16777216, NULL},
    {"2G", 0, 2147483648U, NULL},
    {"17179869183G", 0, 17179869183U << 30, NULL},
    {"17179869184G", -ERANGE, 0, "\"17179869184G\" is too large"},
    {"18446744073709551615", 0, UINT64_MAX, NULL},
    {"18446744073709551616", -ERANGE, 0, "too large"},
    {"", -EINVAL, 0, "\"\" is not a number"},
    {"k", -EINVAL, 0, "\"k\" is not a number"},
    {"-1", -EINVAL, 0, "not a number"},
    {" 1", -EINVAL, 0, "not a number"},
    {"1 k", -EINVAL, 0, "not a size"},
    {"1m", -EINVAL, 0, "not a size (a number with k, M, G or nothing behind it)"},
    {"1MB", -EINVAL, 0, "not a size"},
    {"1.5k", -EINVAL, 0, "not a size"},
};

static const struct number_row duration_rows[] = {
    {"0", 0, 0, NULL},
    {"0s", 0, 0, NULL},
    {"500ms", 0, 500, NULL},
    {"3s", 0, 3000, NULL},
    {"10m", 0, 600000, NULL},
    {"1h", 0, 3600000, NULL},
    {"10", -EINVAL, 0, "\"10\" has no unit (ms, s, m, h)"},
    {"00", 0, 0, NULL},
    {"10d", -EINVAL, 0, "\"10d\" is not a duration"},
    {"10 s", -EINVAL, 0, "not a duration"},
    {"s", -EINVAL, 0, "\"s\" is not a number"},
    {"1h30m", -EINVAL, 0, "not a duration"},
    {"18446744073709551615h", -ERANGE, 0, "too large"},
};

static void check_number(const struct number_row *row, int r, uint64_t value)
{
    ck_assert_int_eq(r, row->r);
    ck_assert_uint_eq(value, r == 0 ? row->value : 77);
    if (r < 0 && !strstr(err_text(), row->says))
        ck_abort_msg("%s: says %s", row->text, err_text());
}

START_TEST(sizes_mean_what_they_say)
{
    uint64_t value = 77;
    int r = str_parse_size(size_rows[_i].text, &value);
    check_number(&size_rows[_i], r, value);
}
END_TEST

START_TEST(durations_mean_what_they_say)
{
    uint64_t value = 77;
    int r = str_parse_duration(duration_rows[_i].text, &value);
    check_number(&duration_rows[_i], r, value);
}
END_TEST

static const struct {
    const char *text;
    int64_t min, max;
    int r;
    int64_t value;
} int_rows[] = {
    {"0", 0, 0, 0, 0},
    {"-5", -5, 5, 0, -5},
    {"5", -5, 5, 0, 5},
    {"6", -5, 5, -ERANGE, 0},
    {"-6", -5, 5, -ERANGE, 0},
    {"9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX},
    {"9223372036854775808", INT64_MIN, INT64_MAX, -ERANGE, 0},
    {"99999999999999999999", INT64_MIN, INT64_MAX, -ERANGE, 0},
    {"", 0, 9, -EINVAL, 0},
    {"-", -9, 9, -EINVAL, 0},
    {"--1", -9, 9, -EINVAL, 0},
    {"+1", 0, 9, -EINVAL, 0},
    {"1x", 0, 9, -EINVAL, 0},
    {"0x1", 0, 9, -EINVAL, 0},
};

START_TEST(whole_numbers_keep_their_bounds)
{
    int64_t value = 77;
    ck_assert_int_eq(str_parse_int(int_rows[_i].text, int_rows[_i].min, int_rows[_i].max, &value), int_rows[_i].r);
    ck_assert_int_eq(value, int_rows[_i].r == 0 ? int_rows[_i].value : 77);
}
END_TEST

START_TEST(yes_and_no_in_the_usual_words)
{
    static const char *const yes[] = {"true", "yes", "on", "1", "True", "ON"};
    static const char *const no[] = {"false", "no", "off", "0", "False", "OFF"};
    static const char *const neither[] = {"", "2", "y", "truey", "null"};
    bool value;
    for (size_t i = 0; i < TEST_COUNT(yes); i++)
        ck_assert(str_parse_bool(yes[i], &value) == 0 && value);
    for (size_t i = 0; i < TEST_COUNT(no); i++)
        ck_assert(str_parse_bool(no[i], &value) == 0 && !value);
    for (size_t i = 0; i < TEST_COUNT(neither); i++)
        ck_assert_int_eq(str_parse_bool(neither[i], &value), -EINVAL);
}
END_TEST

static const struct {
    const char *bytes;
    size_t n;
    const char *shown;
} quote_rows[] = {
    {"", 0, ""},
    {"pump-3", 6, "pump-3"},
    {"a b~", 4, "a b~"},
    {"a\0b", 3, "a\\x00b"},
    {"\x1b[2J\n\x7f", 6, "\\x1b[2J\\x0a\\x7f"},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"'\"\\", 3, "\\x27\\x22\\x5c"},
    {"\xc0\x80", 2, "\\xc0\\x80"},                   /* not the shortest form */
    {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},          /* a surrogate */
    {"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"}, /* above U+10FFFF */
    {"\xc3", 1, "\\xc3"},                            /* cut */
    {"\xe2\x82", 2, "\\xe2\\x82"},
    {"\xe2\x82z", 3, "\\xe2\\x82z"},
    {"\xc2\x85", 2, "\\xc2\\x85"},          /* C1 */
    {"\xe2\x80\xae", 3, "\\xe2\\x80\\xae"}, /* right-to-left override */
    {"\xef\xbb\xbf", 3, "\\xef\\xbb\\xbf"},
    {"\xff\xfe", 2, "\\xff\\xfe"},
};

START_TEST(bytes_of_strangers_cannot_harm_a_line)
{
    char shown[80];
    ck_assert_ptr_eq(str_quote(shown, sizeof(shown), quote_rows[_i].bytes, quote_rows[_i].n), shown);
    ck_assert_str_eq(shown, quote_rows[_i].shown);
}
END_TEST

START_TEST(a_text_too_long_is_cut_with_dots)
{
    char shown[10];
    ck_assert_str_eq(str_quote(shown, 10, "123456789", 9), "123456789");
    ck_assert_str_eq(str_quote(shown, 10, "1234567890", 10), "123456...");
    ck_assert_str_eq(str_quote(shown, 10, "12345678\n", 9), "123456...");
    ck_assert_str_eq(str_quote(shown, 10,
                               "12345\xc3\xa4"
                               "890",
                               10),
                     "12345...");
    ck_assert_str_eq(str_quote(shown, 4, "1234", 4), "...");
    ck_assert_str_eq(str_quote(shown, 3, "1234", 4), "..");
    ck_assert_str_eq(str_quote(shown, 1, "1234", 4), "");
    ck_assert_ptr_eq(str_quote(shown, 0, "1234", 4), shown);
}
END_TEST

START_TEST(no_cut_overruns_or_splits_a_character)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\n\xf0\x9f\x98\x80 end of it";
    for (size_t size = 1; size < 40; size++) {
        char *shown = malloc(size);
        str_quote(shown, size, text, sizeof(text) - 1);
        ck_assert_uint_lt(strlen(shown), size);
        char again[80];
        str_quote(again, sizeof(again), shown, strlen(shown));
        ck_assert_ptr_null(strstr(again, "\\xc3"));
        ck_assert_ptr_null(strstr(again, "\\xe2"));
        ck_assert_ptr_null(strstr(again, "\\xf0"));
        free(shown);
    }
}
END_TEST

START_TEST(hex_is_two_digits_a_byte)
{
    char hex[9];
    ck_assert_str_eq(str_hex(hex, "\x00\x0f\xa5\xff", 4), "000fa5ff");
    ck_assert_str_eq(str_hex(hex, "", 0), "");
}
END_TEST

static Suite *str_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("str", &tc);
    tcase_add_loop_test(tc, sizes_mean_what_they_say, 0, TEST_COUNT(size_rows));
    tcase_add_loop_test(tc, durations_mean_what_they_say, 0, TEST_COUNT(duration_rows));
    tcase_add_loop_test(tc, whole_numbers_keep_their_bounds, 0, TEST_COUNT(int_rows));
    tcase_add_test(tc, yes_and_no_in_the_usual_words);
    tcase_add_loop_test(tc, bytes_of_strangers_cannot_harm_a_line, 0, TEST_COUNT(quote_rows));
    tcase_add_test(tc, a_text_too_long_is_cut_with_dots);
    tcase_add_test(tc, no_cut_overruns_or_splits_a_character);
    tcase_add_test(tc, hex_is_two_digits_a_byte);
    return suite;
}

TEST_MAIN(str_suite)
