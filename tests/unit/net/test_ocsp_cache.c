/* What is known by OCSP is known for its time, and the oldest makes way. */
#include "ocsp_cache.h"

#include <string.h>

#include "test_main.h"

enum { MAX = 4, NOW = 1000 };

static struct ocsp_cache cache;

static const uint8_t *key_of(uint8_t number)
{
    static uint8_t key[OCSP_DIGEST_BYTES];
    memset(key, number, sizeof(key));
    return key;
}

static bool has(uint8_t number, enum ocsp_status wanted)
{
    enum ocsp_status status;
    return ocsp_cache_get(&cache, key_of(number), NOW, &status) && status == wanted;
}

static void setup(void)
{
    ocsp_cache_init(&cache, MAX);
}

static void teardown(void)
{
    ocsp_cache_deinit(&cache);
}

START_TEST(what_was_put_is_there_before_its_time_is_over)
{
    ocsp_cache_put(&cache, key_of(1), OCSP_STATUS_GOOD, NOW + 1);
    ocsp_cache_put(&cache, key_of(2), OCSP_STATUS_REVOKED, NOW);
    ck_assert(has(1, OCSP_STATUS_GOOD));
    ck_assert(!has(2, OCSP_STATUS_REVOKED));
    ck_assert(!has(3, OCSP_STATUS_GOOD));
}
END_TEST

START_TEST(the_newer_word_counts)
{
    ocsp_cache_put(&cache, key_of(1), OCSP_STATUS_GOOD, NOW + 10);
    ocsp_cache_put(&cache, key_of(1), OCSP_STATUS_REVOKED, NOW + 1);
    ck_assert(has(1, OCSP_STATUS_REVOKED));
    ck_assert_uint_eq(cache.map.count, 1);
}
END_TEST

START_TEST(the_oldest_makes_way)
{
    for (int i = 0; i < MAX; i++)
        ocsp_cache_put(&cache, key_of((uint8_t)i), OCSP_STATUS_GOOD, NOW + 10);
    ocsp_cache_put(&cache, key_of(0), OCSP_STATUS_GOOD, NOW + 10); /* not the oldest any more */
    ocsp_cache_put(&cache, key_of(MAX), OCSP_STATUS_GOOD, NOW + 10);
    ck_assert_uint_eq(cache.map.count, MAX);
    ck_assert(has(0, OCSP_STATUS_GOOD));
    ck_assert(!has(1, OCSP_STATUS_GOOD));
    ck_assert(has(MAX, OCSP_STATUS_GOOD));
}
END_TEST

START_TEST(all_can_be_forgotten)
{
    ocsp_cache_put(&cache, key_of(1), OCSP_STATUS_GOOD, NOW + 10);
    ocsp_cache_clear(&cache);
    ck_assert(!has(1, OCSP_STATUS_GOOD));
    ocsp_cache_put(&cache, key_of(1), OCSP_STATUS_REVOKED, NOW + 10);
    ck_assert(has(1, OCSP_STATUS_REVOKED));
}
END_TEST

static Suite *ocsp_cache_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("ocsp_cache", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_was_put_is_there_before_its_time_is_over);
    tcase_add_test(tc, the_newer_word_counts);
    tcase_add_test(tc, the_oldest_makes_way);
    tcase_add_test(tc, all_can_be_forgotten);
    return suite;
}

TEST_MAIN(ocsp_cache_suite)
