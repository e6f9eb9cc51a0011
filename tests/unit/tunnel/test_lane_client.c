/* What a lane keeps of what the peer has said of its client. */
#include <string.h>

#include "lane_internal.h"
#include "test_main.h"
#include "trunk_frame.h"

static struct lane lane;

static void setup(void)
{
    memset(&lane, 0, sizeof(lane));
}

static void teardown(void)
{
    free(lane.client);
}

static struct mqtt_bytes said(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static void check(struct mqtt_bytes kept, const char *wanted)
{
    ck_assert_uint_eq(kept.len, strlen(wanted));
    ck_assert(kept.len == 0 || memcmp(kept.ptr, wanted, kept.len) == 0);
}

START_TEST(a_copy_outlives_the_message)
{
    char text[] = "192.0.2.1:50122TLSv1.3CIPHERedge.examplepump-3";
    const uint8_t *at = (const uint8_t *)text;
    const struct trunk_client client = {.source = {at, 15},
                                        .tls_version = {at + 15, 7},
                                        .tls_cipher = {at + 22, 6},
                                        .server_name = {at + 28, 12},
                                        .common_name = {at + 40, 6},
                                        .is_tls = true,
                                        .has_certificate = true};
    ck_assert_int_eq(lane_set_client(&lane, &client), 0);
    memset(text, '!', sizeof(text));
    const struct trunk_client *kept = lane_client(&lane);
    ck_assert_ptr_nonnull(kept);
    check(kept->source, "192.0.2.1:50122");
    check(kept->tls_version, "TLSv1.3");
    check(kept->tls_cipher, "CIPHER");
    check(kept->server_name, "edge.example");
    check(kept->common_name, "pump-3");
    ck_assert(kept->is_tls && kept->has_certificate);
}
END_TEST

START_TEST(nothing_said_costs_nothing)
{
    ck_assert_int_eq(lane_set_client(&lane, &(struct trunk_client){.is_tls = false}), 0);
    ck_assert_ptr_null(lane_client(&lane));
}
END_TEST

START_TEST(tls_without_texts_is_still_tls)
{
    ck_assert_int_eq(lane_set_client(&lane, &(struct trunk_client){.is_tls = true}), 0);
    ck_assert_ptr_nonnull(lane_client(&lane));
    ck_assert(lane_client(&lane)->is_tls && !lane_client(&lane)->has_certificate);
    check(lane_client(&lane)->source, "");
}
END_TEST

START_TEST(a_text_that_is_too_long_is_left_out_and_the_others_stay)
{
    char text[LANE_CLIENT_TEXT_MAX + 2];
    memset(text, 'x', sizeof(text));
    text[LANE_CLIENT_TEXT_MAX + 1] = '\0';
    const struct trunk_client client = {
        .source = said(text), .server_name = said(text + 1), .common_name = said("pump-3"), .is_tls = true};
    ck_assert_int_eq(lane_set_client(&lane, &client), 0);
    check(lane_client(&lane)->source, "");
    check(lane_client(&lane)->server_name, text + 1);
    check(lane_client(&lane)->common_name, "pump-3");
}
END_TEST

START_TEST(only_texts_that_are_too_long_are_nothing)
{
    char text[1000];
    memset(text, 'x', sizeof(text));
    ck_assert_int_eq(lane_set_client(&lane, &(struct trunk_client){.source = {(const uint8_t *)text, sizeof(text)}}),
                     0);
    ck_assert_ptr_null(lane_client(&lane));
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("lane_client", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_copy_outlives_the_message);
    tcase_add_test(t, nothing_said_costs_nothing);
    tcase_add_test(t, tls_without_texts_is_still_tls);
    tcase_add_test(t, a_text_that_is_too_long_is_left_out_and_the_others_stay);
    tcase_add_test(t, only_texts_that_are_too_long_are_nothing);
    return s;
}

TEST_MAIN(suite)
