/* token_bucket: what passes when. */
#include "token_bucket.h"

#include "test_main.h"

enum { START = 5000 };

START_TEST(a_second_is_saved_up_and_no_more)
{
    struct token_bucket b;
    token_bucket_init(&b, 3, START);
    for (int i = 0; i < 3; i++)
        ck_assert(token_bucket_take(&b, START));
    ck_assert(!token_bucket_take(&b, START));
    ck_assert(!token_bucket_take(&b, START + 333));
    ck_assert(token_bucket_take(&b, START + 334));
    for (int i = 0; i < 3; i++)
        ck_assert(token_bucket_take(&b, START + 1000000));
    ck_assert(!token_bucket_take(&b, START + 1000000));
}
END_TEST

START_TEST(none_is_no_limit)
{
    struct token_bucket b;
    token_bucket_init(&b, 0, START);
    for (int i = 0; i < 1000; i++)
        ck_assert(token_bucket_take(&b, START));
    ck_assert_uint_eq(token_bucket_spend(&b, UINT32_MAX, START), 0);
}
END_TEST

START_TEST(what_is_spent_in_advance_is_waited_for)
{
    struct token_bucket b;
    token_bucket_init(&b, 10, START);
    ck_assert_uint_eq(token_bucket_spend(&b, 10, START), 0);
    ck_assert_uint_eq(token_bucket_spend(&b, 1, START), 100);
    ck_assert_uint_eq(token_bucket_spend(&b, 10, START + 100), 1000);
    ck_assert_uint_eq(token_bucket_spend(&b, 0, START + 1100), 0);
}
END_TEST

START_TEST(neither_a_long_time_nor_large_numbers_overflow)
{
    struct token_bucket b;
    const uint64_t rate = UINT64_C(1) << 40;
    token_bucket_init(&b, rate, 0);
    ck_assert_uint_eq(token_bucket_spend(&b, rate, 0), 0);
    ck_assert_uint_eq(token_bucket_spend(&b, 256 << 20, 0), 1);
    ck_assert(token_bucket_take(&b, UINT64_MAX / 2));
    ck_assert_int_eq(b.milli, (int64_t)(rate - 1) * 1000);
    token_bucket_init(&b, 1, 0);
    ck_assert_uint_eq(token_bucket_spend(&b, 256 << 20, 0), ((256u << 20) - 1) * UINT64_C(1000));
    ck_assert(!token_bucket_take(&b, 1000));
}
END_TEST

static Suite *token_bucket_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("token_bucket", &tc);
    tcase_add_test(tc, a_second_is_saved_up_and_no_more);
    tcase_add_test(tc, none_is_no_limit);
    tcase_add_test(tc, what_is_spent_in_advance_is_waited_for);
    tcase_add_test(tc, neither_a_long_time_nor_large_numbers_overflow);
    return suite;
}

TEST_MAIN(token_bucket_suite)
