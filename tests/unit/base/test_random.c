/* random: all bytes are filled, and below means below. */
#include "random.h"

#include <stdbool.h>
#include <string.h>

#include "test_main.h"

START_TEST(every_byte_is_filled_and_none_behind)
{
    uint8_t bytes[40], seen[40] = {0};
    for (int round = 0; round < 50; round++) {
        memset(bytes, 0, sizeof(bytes));
        ck_assert_int_eq(random_bytes(bytes, 39), 0);
        ck_assert_uint_eq(bytes[39], 0);
        for (size_t i = 0; i < 39; i++)
            seen[i] |= bytes[i];
    }
    for (size_t i = 0; i < 39; i++)
        ck_assert_uint_ne(seen[i], 0);
    ck_assert_int_eq(random_bytes(bytes, 0), 0);
}
END_TEST

START_TEST(results_are_below_and_reach_every_value)
{
    bool seen[7] = {false};
    for (int i = 0; i < 1000; i++) {
        uint32_t value = random_below(7);
        ck_assert_uint_lt(value, 7);
        seen[value] = true;
    }
    for (size_t i = 0; i < 7; i++)
        ck_assert(seen[i]);
    ck_assert_uint_eq(random_below(0), 0);
    ck_assert_uint_eq(random_below(1), 0);
}
END_TEST

static Suite *random_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("random", &tc);
    tcase_add_test(tc, every_byte_is_filled_and_none_behind);
    tcase_add_test(tc, results_are_below_and_reach_every_value);
    return suite;
}

TEST_MAIN(random_suite)
