/* cursor: reads what is there, refuses what is not, and then has read nothing. */
#include "cursor.h"

#include "test_main.h"

static const uint8_t bytes[] = {0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8};

START_TEST(integers_are_big_endian)
{
    struct cursor c = cursor_make(bytes, sizeof(bytes));
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    const uint8_t *rest;
    ck_assert_int_eq(cursor_read_u8(&c, &u8), 0);
    ck_assert_uint_eq(u8, 0xf1);
    ck_assert_int_eq(cursor_read_u16(&c, &u16), 0);
    ck_assert_uint_eq(u16, 0xf2f3);
    ck_assert_int_eq(cursor_read_u32(&c, &u32), 0);
    ck_assert_uint_eq(u32, 0xf4f5f6f7);
    ck_assert_int_eq(cursor_read_bytes(&c, 1, &rest), 0);
    ck_assert_ptr_eq(rest, bytes + 7);
    ck_assert_uint_eq(c.len, 0);
    ck_assert_int_eq(cursor_read_bytes(&c, 0, &rest), 0);
}
END_TEST

START_TEST(too_few_bytes_change_nothing)
{
    const size_t len = (size_t)_i;
    struct cursor c = cursor_make(bytes, len);
    uint8_t u8 = 9;
    uint16_t u16 = 9;
    uint32_t u32 = 9;
    const uint8_t *in_place = NULL;
    if (len < 4)
        ck_assert_int_eq(cursor_read_u32(&c, &u32), CURSOR_SHORT);
    if (len < 2)
        ck_assert_int_eq(cursor_read_u16(&c, &u16), CURSOR_SHORT);
    if (len < 1)
        ck_assert_int_eq(cursor_read_u8(&c, &u8), CURSOR_SHORT);
    ck_assert_int_eq(cursor_read_bytes(&c, len + 1, &in_place), CURSOR_SHORT);
    ck_assert_int_eq(cursor_read_bytes(&c, SIZE_MAX, &in_place), CURSOR_SHORT);
    ck_assert_uint_eq(u8 + u16 + u32, 27);
    ck_assert_ptr_null(in_place);
    ck_assert_ptr_eq(c.ptr, bytes);
    ck_assert_uint_eq(c.len, len);
}
END_TEST

static Suite *cursor_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("cursor", &tc);
    tcase_add_test(tc, integers_are_big_endian);
    tcase_add_loop_test(tc, too_few_bytes_change_nothing, 0, 4);
    return suite;
}

TEST_MAIN(cursor_suite)
