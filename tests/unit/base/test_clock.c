/* clock: it runs forwards, and wall time looks as log lines promise. */
#include "clock.h"

#include <ctype.h>
#include <string.h>

#include "test_main.h"

START_TEST(time_never_goes_back)
{
    uint64_t before_us = clock_now_us(), before_ms = clock_now_ms();
    for (int i = 0; i < 1000; i++) {
        uint64_t us = clock_now_us(), ms = clock_now_ms();
        ck_assert_uint_ge(us, before_us);
        ck_assert_uint_ge(ms, before_ms);
        ck_assert_uint_ge(ms, us / 1000);
        before_us = us;
        before_ms = ms;
    }
}
END_TEST

START_TEST(wall_time_is_utc_with_milliseconds)
{
    static const char pattern[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    char text[25];
    memset(text, 'x', sizeof(text));
    clock_format_wall(text);
    ck_assert_uint_eq(strlen(text), strlen(pattern));
    for (size_t i = 0; pattern[i]; i++)
        ck_assert(pattern[i] == 'd' ? isdigit((unsigned char)text[i]) : text[i] == pattern[i]);
}
END_TEST

static Suite *clock_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("clock", &tc);
    tcase_add_test(tc, time_never_goes_back);
    tcase_add_test(tc, wall_time_is_utc_with_milliseconds);
    return suite;
}

TEST_MAIN(clock_suite)
