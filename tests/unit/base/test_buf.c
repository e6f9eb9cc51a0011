/* buf: content, growth, the maximum, references. */
#include "buf.h"

#include <errno.h>
#include <string.h>

#include "test_main.h"

static void check_content(const struct buf *b, const char *want)
{
    ck_assert_uint_eq(buf_len(b), strlen(want));
    ck_assert_mem_eq(buf_bytes(b), want, strlen(want));
}

START_TEST(content_is_what_was_appended_and_not_consumed)
{
    struct buf *b = buf_new(4, 100);
    ck_assert_int_eq(buf_append(b, "hello", 5), 0);
    ck_assert_int_eq(buf_append(b, NULL, 0), 0);
    ck_assert_int_eq(buf_append(b, " world", 6), 0);
    buf_consume(b, 6);
    check_content(b, "world");
    ck_assert_int_eq(buf_append(b, "!", 1), 0);
    check_content(b, "world!");
    buf_consume(b, 6);
    ck_assert_uint_eq(buf_len(b), 0);
    ck_assert_ptr_null(buf_unref(b));
}
END_TEST

/* A model of the same bytes; every size of step, so that growing, moving and both together happen. */
START_TEST(growing_and_moving_keeps_every_byte)
{
    const size_t step = (size_t)_i + 1;
    struct buf *b = buf_new(0, SIZE_MAX);
    uint8_t written = 0, read = 0;
    for (int round = 0; round < 40; round++) {
        uint8_t *to = buf_reserve(b, step);
        ck_assert_ptr_nonnull(to);
        for (size_t i = 0; i < step; i++)
            to[i] = written++;
        buf_commit(b, step);
        for (size_t n = buf_len(b) / 3; n > 0; n--, buf_consume(b, 1))
            ck_assert_uint_eq(*buf_bytes(b), read++);
    }
    for (; buf_len(b) > 0; buf_consume(b, 1))
        ck_assert_uint_eq(*buf_bytes(b), read++);
    ck_assert_uint_eq(read, written);
    buf_unref(b);
}
END_TEST

START_TEST(the_maximum_counts_content_not_what_was_consumed)
{
    struct buf *b = buf_new(8, 8);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(buf_append(b, "abcde", 5), 0);
        ck_assert_int_eq(buf_append(b, "fghi", 4), -ENOBUFS);
        ck_assert_ptr_null(buf_reserve(b, 4));
        check_content(b, "abcde");
        buf_consume(b, 2);
        ck_assert_int_eq(buf_append(b, "fghij", 5), 0);
        check_content(b, "cdefghij");
        buf_consume(b, 8);
    }
    buf_unref(b);
}
END_TEST

START_TEST(what_cannot_be_allocated_is_refused_and_changes_nothing)
{
    ck_assert_ptr_null(buf_new(SIZE_MAX, SIZE_MAX));
    struct buf *b = buf_new(4, SIZE_MAX);
    buf_append(b, "abcd", 4);
    ck_assert_ptr_null(buf_reserve(b, SIZE_MAX / 4));
    ck_assert_int_eq(buf_append(b, b, SIZE_MAX), -ENOBUFS);
    check_content(b, "abcd");
    buf_unref(b);
}
END_TEST

START_TEST(the_last_reference_frees)
{
    struct buf *b = buf_new(4, 4);
    buf_append(b, "abcd", 4);
    ck_assert_ptr_eq(buf_ref(b), b);
    ck_assert_ptr_null(buf_unref(b));
    check_content(b, "abcd");
    ck_assert_ptr_null(buf_unref(b));
    ck_assert_ptr_null(buf_unref(NULL));
}
END_TEST

static Suite *buf_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("buf", &tc);
    tcase_add_test(tc, content_is_what_was_appended_and_not_consumed);
    tcase_add_loop_test(tc, growing_and_moving_keeps_every_byte, 0, 70);
    tcase_add_test(tc, the_maximum_counts_content_not_what_was_consumed);
    tcase_add_test(tc, what_cannot_be_allocated_is_refused_and_changes_nothing);
    tcase_add_test(tc, the_last_reference_frees);
    return suite;
}

TEST_MAIN(buf_suite)
