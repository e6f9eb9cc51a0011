/* Base64: the vectors of RFC 4648, and what is not base64. */
#include "base64.h"

#include <string.h>

#include "test_main.h"

/* Section 10. */
static const struct {
    const char *bytes, *padded, *unpadded;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xff\xef\xbe", "/+++", "/+++"},
};

START_TEST(vectors_of_the_rfc_go_both_ways)
{
    char text[20];
    uint8_t bytes[20];
    size_t len;
    for (size_t i = 0; i < TEST_COUNT(vectors); i++) {
        const char *plain = vectors[i].bytes, *padded = vectors[i].padded, *unpadded = vectors[i].unpadded;
        ck_assert_str_eq(base64_encode(BASE64_PADDED, plain, strlen(plain), text), padded);
        ck_assert_str_eq(base64_encode(BASE64_UNPADDED, plain, strlen(plain), text), unpadded);
        ck_assert(base64_decode(BASE64_PADDED, padded, strlen(padded), bytes, sizeof(bytes), &len));
        ck_assert(len == strlen(plain) && memcmp(bytes, plain, len) == 0);
        ck_assert(base64_decode(BASE64_UNPADDED, padded, strlen(padded), bytes, sizeof(bytes), &len));
        ck_assert(base64_decode(BASE64_UNPADDED, unpadded, strlen(unpadded), bytes, sizeof(bytes), &len));
        ck_assert(len == strlen(plain) && memcmp(bytes, plain, len) == 0);
    }
    ck_assert(base64_decode(BASE64_URL, "_---", 4, bytes, sizeof(bytes), &len) && len == 3);
    ck_assert_int_eq(memcmp(bytes, "\xff\xef\xbe", 3), 0);
}
END_TEST

static const struct {
    enum base64_form form;
    const char *text;
} bad[] = {
    {BASE64_PADDED, "Zg"},    {BASE64_PADDED, "Zg="},    {BASE64_PADDED, "Zg==="},       {BASE64_PADDED, "Zm9v===="},
    {BASE64_PADDED, "Zh=="},  {BASE64_PADDED, "Zm9="},   {BASE64_PADDED, "Zm9\n"},       {BASE64_PADDED, "_---"},
    {BASE64_PADDED, "="},     {BASE64_PADDED, "Z==="},   {BASE64_PADDED, "Zg==Zg=="},    {BASE64_UNPADDED, "Z"},
    {BASE64_UNPADDED, "Zg="}, {BASE64_UNPADDED, "Zh"},   {BASE64_UNPADDED, "Zm9v Zm9v"}, {BASE64_URL, "/+++"},
    {BASE64_URL, "Zg=="},     {BASE64_URL, "Zm9vYmFyZ"}, {BASE64_URL, "Zm9vYh"},
};

START_TEST(what_is_not_base64_is_refused)
{
    uint8_t bytes[20];
    size_t len;
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        ck_assert_msg(!base64_decode(bad[i].form, bad[i].text, strlen(bad[i].text), bytes, sizeof(bytes), &len), "%s",
                      bad[i].text);
}
END_TEST

START_TEST(no_more_is_written_than_fits)
{
    uint8_t bytes[5];
    size_t len;
    ck_assert(base64_decode(BASE64_PADDED, "Zm9vYmE=", 8, bytes, 5, &len) && len == 5);
    ck_assert(!base64_decode(BASE64_PADDED, "Zm9vYmE=", 8, bytes, 4, &len));
    ck_assert(!base64_decode(BASE64_URL, "Zm9vYmE", 7, bytes, 4, &len));
    ck_assert(!base64_decode(BASE64_URL, "Zg", 2, bytes, 0, &len));
}
END_TEST

static Suite *base64_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("base64", &tcase);
    tcase_add_test(tcase, vectors_of_the_rfc_go_both_ways);
    tcase_add_test(tcase, what_is_not_base64_is_refused);
    tcase_add_test(tcase, no_more_is_written_than_fits);
    return suite;
}

TEST_MAIN(base64_suite)
