/* bk_alias: what a number stands for, both ways. */
#include "bk_alias.h"

#include <stdio.h>
#include <string.h>

#include "test_main.h"

static struct mqtt_bytes bytes(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static void assert_topic(const struct bk_aliases_in *t, uint16_t alias, const char *topic)
{
    const struct mqtt_bytes got = bk_aliases_in_get(t, alias);
    ck_assert_uint_eq(got.len, strlen(topic));
    if (got.len > 0)
        ck_assert_int_eq(memcmp(got.ptr, topic, got.len), 0);
}

START_TEST(what_the_client_sets_can_be_set_again)
{
    struct bk_aliases_in *t = NULL;
    assert_topic(t, 1, "");
    ck_assert_int_eq(bk_aliases_in_set(&t, 3, 1, bytes("a")), 0);
    ck_assert_int_eq(bk_aliases_in_set(&t, 3, 3, bytes("c/d")), 0);
    ck_assert_int_eq(bk_aliases_in_set(&t, 3, 1, bytes("other")), 0);
    ck_assert_int_eq(bk_aliases_in_set(&t, 3, 1, bytes("other")), 0);
    assert_topic(t, 1, "other");
    assert_topic(t, 2, "");
    assert_topic(t, 3, "c/d");
    assert_topic(t, 4, "");
    bk_aliases_in_free(t);
}
END_TEST

START_TEST(ours_are_known_from_the_second_time)
{
    bool is_known;
    ck_assert_ptr_null(bk_aliases_out_new(0));
    struct bk_aliases_out *t = bk_aliases_out_new(2);
    ck_assert_uint_eq(bk_aliases_out_use(t, bytes("a"), &is_known), 1);
    ck_assert(!is_known);
    ck_assert_uint_eq(bk_aliases_out_use(t, bytes("a"), &is_known), 1);
    ck_assert(is_known);
    ck_assert_uint_eq(bk_aliases_out_use(t, bytes("b"), &is_known), 2);
    ck_assert(!is_known);
    ck_assert_uint_eq(bk_aliases_out_use(t, bytes("a"), &is_known), 1);
    /* "b" was used longest ago */
    ck_assert_uint_eq(bk_aliases_out_use(t, bytes("c"), &is_known), 2);
    ck_assert(!is_known);
    ck_assert_uint_eq(bk_aliases_out_use(t, bytes("a"), &is_known), 1);
    ck_assert(is_known);
    bk_aliases_out_free(t);
}
END_TEST

START_TEST(never_above_what_the_client_allows)
{
    struct bk_aliases_out *t = bk_aliases_out_new(65535);
    char topic[16];
    bool is_known;
    for (int i = 0; i < 1000; i++) {
        snprintf(topic, sizeof topic, "t/%d", i);
        ck_assert_uint_le(bk_aliases_out_use(t, bytes(topic), &is_known), BK_ALIASES_OUT_MAX);
        ck_assert(!is_known);
    }
    bk_aliases_out_free(t);
}
END_TEST

static Suite *bk_alias_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("bk_alias", &tcase);
    tcase_add_test(tcase, what_the_client_sets_can_be_set_again);
    tcase_add_test(tcase, ours_are_known_from_the_second_time);
    tcase_add_test(tcase, never_above_what_the_client_allows);
    return suite;
}

TEST_MAIN(bk_alias_suite)
