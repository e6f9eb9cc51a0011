/* bk_quota: places are taken and given back, and who has what is known exactly. */
#include "bk_quota.h"

#include <string.h>

#include "bk_options.h"
#include "mqtt_packet.h"
#include "test_main.h"

static struct mqtt_bytes bytes(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static struct bk_quotas *quotas(const struct bk_options *options)
{
    struct bk_quotas *q = NULL;
    ck_assert_int_eq(bk_quotas_new(options, &q), 0);
    return q;
}

START_TEST(without_limits_there_is_nothing)
{
    const struct bk_options none = {0};
    ck_assert_ptr_null(quotas(&none));
    ck_assert_ptr_null(bk_account_get(NULL, bytes("alice")));
    ck_assert(bk_account_take(NULL, BK_QUOTA_CONNECTIONS, 1000));
    ck_assert(bk_account_has_room(NULL, BK_QUOTA_QUEUED_BYTES, 1000));
    ck_assert(bk_quota_retain(NULL, NULL, bytes("t"), false));
}
END_TEST

START_TEST(a_user_is_one_account_however_often_it_comes)
{
    const struct bk_options options = {.max_user_connections = 2};
    struct bk_quotas *q = quotas(&options);
    struct bk_account *alice = bk_account_get(q, bytes("alice")), *again = bk_account_get(q, bytes("alice"));
    struct bk_account *nobody = bk_account_get(q, (struct mqtt_bytes){NULL, 0}), *empty = bk_account_get(q, bytes(""));
    ck_assert_ptr_eq(alice, again);
    ck_assert_ptr_ne(nobody, empty);
    ck_assert(bk_account_take(alice, BK_QUOTA_CONNECTIONS, 1));
    ck_assert(bk_account_take(again, BK_QUOTA_CONNECTIONS, 1));
    ck_assert(!bk_account_take(alice, BK_QUOTA_CONNECTIONS, 1));
    ck_assert(bk_account_take(nobody, BK_QUOTA_CONNECTIONS, 1));
    ck_assert(bk_account_take(alice, BK_QUOTA_SUBSCRIPTIONS, 1000000));
    bk_account_charge(again, BK_QUOTA_CONNECTIONS, -1);
    ck_assert(bk_account_has_room(alice, BK_QUOTA_CONNECTIONS, 1));
    ck_assert(bk_account_take(alice, BK_QUOTA_CONNECTIONS, 1));
    bk_account_unref(bk_account_ref(alice));
    bk_account_unref(alice);
    bk_account_unref(again);
    bk_account_unref(nobody);
    bk_account_unref(empty);
    bk_quotas_free(q);
}
END_TEST

START_TEST(a_retained_topic_belongs_to_who_published_last)
{
    const struct bk_options options = {.max_user_retained = 1, .max_retained = 2};
    struct bk_quotas *q = quotas(&options);
    struct bk_account *a = bk_account_get(q, bytes("a")), *b = bk_account_get(q, bytes("b"));
    ck_assert(bk_quota_retain(q, a, bytes("1"), false));
    ck_assert(bk_quota_retain(q, a, bytes("1"), false));
    ck_assert(!bk_quota_retain(q, a, bytes("2"), false));
    ck_assert(bk_quota_retain(q, b, bytes("1"), false));  /* now it is b's */
    ck_assert(!bk_quota_retain(q, b, bytes("2"), false)); /* and that one has no more */
    ck_assert(bk_quota_retain(q, a, bytes("2"), false));
    ck_assert(!bk_quota_retain(q, a, bytes("1"), false));
    ck_assert(!bk_quota_retain(q, NULL, bytes("3"), false)); /* two in all */
    ck_assert(bk_quota_retain(q, NULL, bytes("2"), true));
    ck_assert(bk_quota_retain(q, NULL, bytes("2"), true)); /* nothing there any more */
    ck_assert(bk_quota_retain(q, a, bytes("3"), false));
    bk_account_unref(a);
    bk_account_unref(b); /* the topics go on to know whose they are */
    bk_quotas_free(q);
}
END_TEST

START_TEST(what_expires_or_was_restored_counts_in_all)
{
    const struct bk_options options = {.max_retained = 1};
    struct bk_quotas *q = quotas(&options);
    bk_quota_retained_restored(q, bytes("old"));
    ck_assert(!bk_quota_retain(q, NULL, bytes("new"), false));
    ck_assert(bk_quota_retain(q, NULL, bytes("old"), false));
    bk_quota_retained_expired(q, bytes("old"));
    ck_assert(bk_quota_retain(q, NULL, bytes("new"), false));
    bk_quotas_free(q);
}
END_TEST

START_TEST(all_clients_of_a_user_share_its_rates)
{
    const struct bk_options options = {.max_user_message_rate = 10};
    const struct mqtt_packet publish = {.type = MQTT_PUBLISH, .version = MQTT_V311, .publish = {.topic = bytes("t")}};
    const struct mqtt_packet ping = {.type = MQTT_PINGREQ, .version = MQTT_V311};
    struct bk_quotas *q = quotas(&options);
    struct bk_account *a = bk_account_get(q, bytes("a")), *again = bk_account_get(q, bytes("a"));
    struct bk_account *b = bk_account_get(q, bytes("b"));
    ck_assert(bk_quotas_have_rates(q));
    ck_assert(!bk_quotas_have_rates(NULL));
    ck_assert_uint_eq(bk_account_spend(NULL, &publish, 5000), 0);
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(bk_account_spend(i % 2 ? a : again, &publish, 5000), 0);
    ck_assert_uint_eq(bk_account_spend(again, &publish, 5000), 100);
    ck_assert_uint_eq(bk_account_spend(a, &publish, 4990), 200); /* the clock of a loop that is behind */
    ck_assert_uint_eq(bk_account_spend(b, &publish, 5000), 0);
    ck_assert_uint_eq(bk_account_spend(a, &ping, 5200), 0);
    bk_account_unref(a);
    bk_account_unref(again);
    bk_account_unref(b);
    bk_quotas_free(q);
}
END_TEST

static Suite *suite(void)
{
    TCase *tc;
    Suite *s = test_suite("bk_quota", &tc);
    tcase_add_test(tc, without_limits_there_is_nothing);
    tcase_add_test(tc, a_user_is_one_account_however_often_it_comes);
    tcase_add_test(tc, a_retained_topic_belongs_to_who_published_last);
    tcase_add_test(tc, what_expires_or_was_restored_counts_in_all);
    tcase_add_test(tc, all_clients_of_a_user_share_its_rates);
    return s;
}

TEST_MAIN(suite)
