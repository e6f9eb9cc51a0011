/* bufq: the same bytes come out, whatever way they went in; limits; no memory held when empty. */
#include "bufq.h"

#include <errno.h>
#include <string.h>

#include "test_main.h"

/* The content as the iovec shows it, a few entries at a time. */
static size_t peek(const struct bufq *q, uint8_t *to, size_t room)
{
    struct iovec iov[64];
    int n = bufq_iovec(q, iov, 64);
    size_t len = 0;
    for (int i = 0; i < n; i++) {
        ck_assert_uint_gt(iov[i].iov_len, 0);
        ck_assert_uint_le(iov[i].iov_len, room - len);
        memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return len;
}

/* Bytes that count up from FIRST. One assertion for all: check's own cost would be most of the test's. */
static void check_counting(const uint8_t *bytes, size_t n, uint8_t first)
{
    size_t i = 0;
    while (i < n && bytes[i] == (uint8_t)(first + i))
        i++;
    ck_assert_uint_eq(i, n);
}

static struct buf *make_buf(uint8_t first, size_t n)
{
    struct buf *b = buf_new(n, n);
    uint8_t *to = buf_reserve(b, n);
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(first + i);
    buf_commit(b, n);
    return b;
}

static void append_one_way(struct bufq *q, int way, uint8_t first, size_t n)
{
    struct buf *b = make_buf(first, n + 3);
    uint8_t *to;
    switch (way % 3) {
    case 0:
        ck_assert_int_eq(bufq_append(q, buf_bytes(b), n), 0);
        break;
    case 1:
        to = bufq_reserve(q, n + 7);
        ck_assert_ptr_nonnull(to);
        memcpy(to, buf_bytes(b), n);
        bufq_commit(q, n);
        break;
    default:
        buf_unref(b);
        b = make_buf((uint8_t)(first - 3), n + 3);
        ck_assert_int_eq(bufq_append_buf(q, buf_ref(b), 3), 0);
        break;
    }
    buf_unref(b);
}

static const size_t sizes[] = {1, 2, 127, 700, 1023, 1024, 1025, 5000, 20000, 70000};

START_TEST(bytes_leave_as_they_came_whatever_the_way_in)
{
    static uint8_t got[3 * 70000 + 100];
    struct bufq q;
    bufq_init(&q, SIZE_MAX);
    const size_t n = sizes[_i];
    uint8_t written = 0, read = 0;
    for (int round = 0; round < 12; round++) {
        append_one_way(&q, round + _i, written, n);
        written = (uint8_t)(written + n);
        if (bufq_len(&q) < 2 * n)
            continue;
        size_t len = peek(&q, got, sizeof(got));
        ck_assert_uint_eq(len, bufq_len(&q));
        const size_t take = len - n / 2;
        check_counting(got, take, read);
        read = (uint8_t)(read + take);
        bufq_consume(&q, take);
    }
    size_t len = peek(&q, got, sizeof(got));
    check_counting(got, len, read);
    ck_assert_uint_eq((uint8_t)(read + len), written);
    bufq_consume(&q, len);
    ck_assert_uint_eq(bufq_len(&q), 0);
    ck_assert(list_is_empty(&q.chunks));
}
END_TEST

START_TEST(the_maximum_holds_for_every_way_in_and_nothing_is_added_in_part)
{
    struct bufq q;
    bufq_init(&q, 4000);
    ck_assert_ptr_null(bufq_reserve(&q, 4001));
    ck_assert_int_eq(bufq_append_buf(&q, make_buf(0, 3999), 0), 0);
    ck_assert_int_eq(bufq_append(&q, "ab", 2), -ENOBUFS);
    ck_assert_int_eq(bufq_append_buf(&q, make_buf(0, 2), 0), -ENOBUFS);
    ck_assert_int_eq(bufq_append_buf(&q, make_buf(0, 2000), 0), -ENOBUFS);
    ck_assert_ptr_null(bufq_reserve(&q, 2));
    ck_assert_uint_eq(bufq_len(&q), 3999);
    ck_assert_int_eq(bufq_append(&q, "a", 1), 0);
    bufq_consume(&q, 100);
    ck_assert_int_eq(bufq_append(&q, make_buf, 101), -ENOBUFS);
    bufq_clear(&q);
    ck_assert_uint_eq(bufq_len(&q), 0);
    ck_assert_ptr_nonnull(bufq_reserve(&q, 4000));
    bufq_clear(&q);
}
END_TEST

START_TEST(an_empty_queue_holds_no_memory)
{
    struct bufq q;
    bufq_init(&q, SIZE_MAX);
    ck_assert_int_eq(bufq_append(&q, "", 0), 0);
    ck_assert(list_is_empty(&q.chunks));
    ck_assert_int_eq(bufq_append_buf(&q, make_buf(0, 5000), 5000), 0);
    ck_assert(list_is_empty(&q.chunks));
    ck_assert_ptr_nonnull(bufq_reserve(&q, 10));
    bufq_commit(&q, 0);
    ck_assert(list_is_empty(&q.chunks));
    ck_assert_int_eq(bufq_append(&q, "abc", 3), 0);
    bufq_consume(&q, 3);
    ck_assert(list_is_empty(&q.chunks));
    ck_assert_ptr_nonnull(bufq_reserve(&q, 10));
    ck_assert_ptr_null(bufq_take(&q));
    ck_assert(list_is_empty(&q.chunks));
}
END_TEST

START_TEST(what_is_reserved_shows_only_once_committed)
{
    struct bufq q;
    struct iovec iov[4];
    bufq_init(&q, SIZE_MAX);
    bufq_append(&q, "ab", 2);
    uint8_t *to = bufq_reserve(&q, 50000);
    ck_assert_int_eq(bufq_iovec(&q, iov, 4), 1);
    memset(to, 'x', 50000);
    bufq_commit(&q, 49999);
    ck_assert_int_eq(bufq_iovec(&q, iov, 4), 2);
    ck_assert_int_eq(bufq_iovec(&q, iov, 1), 1);
    ck_assert_uint_eq(iov[0].iov_len, 2);
    ck_assert_uint_eq(bufq_len(&q), 50001);
    bufq_consume(&q, 50001);
}
END_TEST

START_TEST(a_large_buf_is_queued_by_reference)
{
    struct bufq q;
    struct iovec iov[1];
    bufq_init(&q, SIZE_MAX);
    struct buf *b = make_buf(0, 5000);
    ck_assert_int_eq(bufq_append_buf(&q, buf_ref(b), 1000), 0);
    ck_assert_int_eq(bufq_iovec(&q, iov, 1), 1);
    ck_assert_ptr_eq(iov[0].iov_base, buf_bytes(b) + 1000);
    /* Nothing may be written behind bytes that others read. */
    bufq_append(&q, "z", 1);
    ck_assert_uint_eq(bufq_len(&q), 4001);
    ck_assert_uint_eq(buf_len(b), 5000);
    bufq_clear(&q);
    buf_unref(b);
}
END_TEST

START_TEST(take_gives_everything_once)
{
    struct bufq q;
    bufq_init(&q, SIZE_MAX);
    const size_t n = sizes[_i];
    for (int chunks = 1; chunks <= 4; chunks++) {
        for (int i = 0; i < chunks; i++)
            append_one_way(&q, i + _i, (uint8_t)((size_t)i * n), n);
        bufq_consume(&q, n / 3);
        struct buf *b = bufq_take(&q);
        ck_assert_uint_eq(buf_len(b), n * (size_t)chunks - n / 3);
        check_counting(buf_bytes(b), buf_len(b), (uint8_t)(n / 3));
        ck_assert_uint_eq(bufq_len(&q), 0);
        ck_assert(list_is_empty(&q.chunks));
        ck_assert_ptr_null(bufq_take(&q));
        buf_unref(b);
    }
}
END_TEST

START_TEST(what_cannot_be_allocated_is_refused)
{
    struct bufq q;
    bufq_init(&q, SIZE_MAX);
    bufq_append(&q, "abc", 3);
    ck_assert_ptr_null(bufq_reserve(&q, SIZE_MAX - 3));
    ck_assert_ptr_null(bufq_reserve(&q, SIZE_MAX / 4));
    ck_assert_int_eq(bufq_append(&q, &q, SIZE_MAX / 4), -ENOMEM);
    ck_assert_uint_eq(bufq_len(&q), 3);
    bufq_clear(&q);
}
END_TEST

static Suite *bufq_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("bufq", &tc);
    tcase_add_loop_test(tc, bytes_leave_as_they_came_whatever_the_way_in, 0, TEST_COUNT(sizes));
    tcase_add_test(tc, the_maximum_holds_for_every_way_in_and_nothing_is_added_in_part);
    tcase_add_test(tc, an_empty_queue_holds_no_memory);
    tcase_add_test(tc, what_is_reserved_shows_only_once_committed);
    tcase_add_test(tc, a_large_buf_is_queued_by_reference);
    tcase_add_loop_test(tc, take_gives_everything_once, 0, TEST_COUNT(sizes));
    tcase_add_test(tc, what_cannot_be_allocated_is_refused);
    return suite;
}

TEST_MAIN(bufq_suite)
