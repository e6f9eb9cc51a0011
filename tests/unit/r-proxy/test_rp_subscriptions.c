/* rp_subscriptions: what passes, what is refused, and where the broker's codes come back. */
#include "rp_subscriptions.h"

#include <string.h>

#include "err.h"
#include "mqtt_check.h"
#include "mqtt_encode.h"
#include "test_main.h"

enum { ID = 7 };

static struct rp_subscriptions s;
static struct rp_subscriptions_reply reply;
static uint8_t wire[4096];

static void set_up_limits(uint32_t max, uint32_t max_levels)
{
    rp_subscriptions_init(&s, max, max_levels);
}

static void tear_down(void)
{
    free(reply.memory);
    reply.memory = NULL;
    rp_subscriptions_deinit(&s);
    ck_assert_uint_eq(s.bytes, 0);
}

/* Filters are the words of TEXT. OPTIONS: the byte behind each, in SUBSCRIBE. */
static struct mqtt_packet packet_of(enum mqtt_type type, uint8_t version, const char *text)
{
    struct mqtt_packet p = {.type = (uint8_t)type, .version = version, .packet_id = ID};
    uint8_t *end = wire;
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        const size_t len = strcspn(text, " ");
        *end++ = (uint8_t)(len >> 8);
        *end++ = (uint8_t)len;
        memcpy(end, text, len);
        end += len;
        if (type == MQTT_SUBSCRIBE)
            *end++ = 1;
        p.subscriptions.count++;
        text += len;
    }
    p.subscriptions.wire = (struct mqtt_bytes){wire, (uint32_t)(end - wire)};
    return p;
}

static void ask_as(uint8_t version, uint16_t id, const char *filters)
{
    struct mqtt_packet p = packet_of(MQTT_SUBSCRIBE, version, filters);
    p.packet_id = id;
    free(reply.memory);
    ck_assert_int_eq(rp_subscriptions_ask(&s, &p, &reply), 0);
    memset(wire, 0xAA, sizeof wire); /* what is kept was copied, what goes on does not point here if it was changed */
}

static void ask(const char *filters)
{
    ask_as(MQTT_V5, ID, filters);
}

static void assert_goes_on(const char *filters)
{
    const struct mqtt_packet expected = packet_of(MQTT_SUBSCRIBE, reply.subscribe.version, filters);
    struct mqtt_fault fault = {0};
    ck_assert_msg(mqtt_packet_equal(&reply.subscribe, &expected), "%u filters", reply.subscribe.subscriptions.count);
    ck_assert_msg(mqtt_packet_check(&reply.subscribe, &fault) == 0, "%s", fault.text);
    ck_assert_uint_eq(reply.suback.type, 0);
}

static void assert_answered(size_t n, const uint8_t *codes)
{
    struct mqtt_fault fault = {0};
    ck_assert_uint_eq(reply.subscribe.type, 0);
    ck_assert_uint_eq(reply.suback.packet_id, ID);
    ck_assert_msg(mqtt_packet_check(&reply.suback, &fault) == 0, "%s", fault.text);
    ck_assert_uint_eq(reply.suback.reason_codes.len, n);
    ck_assert_mem_eq(reply.suback.reason_codes.ptr, codes, n);
}

/* The broker's SUBACK, and what the client gets. */
static void suback(uint8_t version, size_t n, const uint8_t *codes, size_t n_expected, const uint8_t *expected)
{
    const struct mqtt_packet p = {
        .type = MQTT_SUBACK, .version = version, .packet_id = ID, .reason_codes = {codes, (uint32_t)n}};
    struct mqtt_packet got;
    uint8_t *memory;
    ck_assert_int_eq(rp_subscriptions_answered(&s, &p, &got, &memory), 0);
    ck_assert_uint_eq(got.packet_id, ID);
    ck_assert_uint_eq(got.reason_codes.len, n_expected);
    ck_assert_mem_eq(got.reason_codes.ptr, expected, n_expected);
    free(memory);
}

#define CODES(...)                                \
    sizeof((uint8_t[]){__VA_ARGS__}), (uint8_t[]) \
    {                                             \
        __VA_ARGS__                               \
    }

static void unsubscribe(const char *filters)
{
    const struct mqtt_packet p = packet_of(MQTT_UNSUBSCRIBE, MQTT_V5, filters);
    rp_subscriptions_drop(&s, &p);
}

START_TEST(without_limits_nothing_is_kept)
{
    set_up_limits(0, 0);
    struct mqtt_packet p = packet_of(MQTT_SUBSCRIBE, MQTT_V5, "a b/c/d/e");
    ck_assert_int_eq(rp_subscriptions_ask(&s, &p, &reply), 0);
    ck_assert_ptr_eq(reply.subscribe.subscriptions.wire.ptr, wire);
    ck_assert_uint_eq(s.bytes, 0);
}
END_TEST

START_TEST(filters_beyond_are_refused_in_their_places)
{
    set_up_limits(2, 0);
    ask("a b c");
    assert_goes_on("a b");
    ck_assert_uint_eq(reply.n_too_many, 1);
    suback(MQTT_V5, CODES(0, 1), CODES(0, 1, 0x97));
    ask("x a y b z");
    assert_goes_on("a b");
    suback(MQTT_V5, CODES(2, 0x87), CODES(0x97, 2, 0x97, 0x87, 0x97));
    ask("x y");
    assert_answered(CODES(0x97, 0x97));
    ck_assert_uint_eq(reply.n_too_many, 2);
}
END_TEST

START_TEST(the_failure_of_3_x_is_0x80)
{
    set_up_limits(1, 2);
    ask_as(MQTT_V311, ID, "a b x/y/z");
    assert_goes_on("a");
    suback(MQTT_V311, CODES(1), CODES(1, 0x80, 0x80));
    ask_as(MQTT_V31, ID, "b");
    assert_answered(CODES(0x80));
}
END_TEST

START_TEST(the_same_filter_counts_once)
{
    set_up_limits(2, 0);
    ask("a a a b");
    suback(MQTT_V5, CODES(0, 0, 0, 0), CODES(0, 0, 0, 0));
    ask("a");
    suback(MQTT_V5, CODES(1), CODES(1));
    ask("c");
    assert_answered(CODES(0x97));
}
END_TEST

START_TEST(unsubscribe_makes_room)
{
    set_up_limits(1, 0);
    ask("a");
    suback(MQTT_V5, CODES(0), CODES(0));
    unsubscribe("x b");
    ask("b");
    assert_answered(CODES(0x97));
    unsubscribe("b a");
    ask("b");
    assert_goes_on("b");
}
END_TEST

START_TEST(what_the_broker_refuses_counts_no_more)
{
    set_up_limits(2, 0);
    ask("a b");
    suback(MQTT_V5, CODES(0x87, 0), CODES(0x87, 0));
    ask("b c");
    assert_goes_on("b c");
    suback(MQTT_V5, CODES(0x80, 0), CODES(0x80, 0)); /* b was there before: it stays */
    ask("d");
    assert_answered(CODES(0x97));
}
END_TEST

START_TEST(deep_filters_are_refused)
{
    set_up_limits(0, 2);
    ask("a/b a/b/c $share/g/a/b $share/g/a/b/c #");
    assert_goes_on("a/b $share/g/a/b #");
    ck_assert_uint_eq(reply.n_too_deep, 2);
    suback(MQTT_V5, CODES(0, 1, 2), CODES(0, 0x8F, 1, 0x8F, 2));
    ask("///");
    assert_answered(CODES(0x8F));
    ck_assert_uint_eq(s.bytes, 0);
}
END_TEST

START_TEST(depth_comes_before_number)
{
    set_up_limits(1, 1);
    ask("a/b a b");
    assert_goes_on("a");
    suback(MQTT_V5, CODES(0), CODES(0x8F, 0, 0x97));
}
END_TEST

START_TEST(answers_find_their_question)
{
    set_up_limits(3, 0);
    ask_as(MQTT_V5, 1, "a b");
    ask_as(MQTT_V5, ID, "c d");
    ask_as(MQTT_V5, 3, "b");
    suback(MQTT_V5, CODES(1), CODES(1, 0x97));
    suback(MQTT_V5, CODES(0, 0, 0), CODES(0, 0, 0)); /* of nothing that is known: it passes */
}
END_TEST

START_TEST(an_answer_that_does_not_fit_is_an_error)
{
    static const uint8_t codes[] = {0, 0};
    const struct mqtt_packet p = {.type = MQTT_SUBACK, .version = MQTT_V5, .packet_id = ID, .reason_codes = {codes, 2}};
    struct mqtt_packet got;
    uint8_t *memory;
    set_up_limits(1, 0);
    ask("a b");
    ck_assert_int_lt(rp_subscriptions_answered(&s, &p, &got, &memory), 0);
    ck_assert_ptr_nonnull(strstr(err_text(), "SUBACK"));
    ck_assert_ptr_null(memory);
}
END_TEST

static Suite *rp_subscriptions_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("rp_subscriptions", &tc);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, without_limits_nothing_is_kept);
    tcase_add_test(tc, filters_beyond_are_refused_in_their_places);
    tcase_add_test(tc, the_failure_of_3_x_is_0x80);
    tcase_add_test(tc, the_same_filter_counts_once);
    tcase_add_test(tc, unsubscribe_makes_room);
    tcase_add_test(tc, what_the_broker_refuses_counts_no_more);
    tcase_add_test(tc, deep_filters_are_refused);
    tcase_add_test(tc, depth_comes_before_number);
    tcase_add_test(tc, answers_find_their_question);
    tcase_add_test(tc, an_answer_that_does_not_fit_is_an_error);
    return suite;
}

TEST_MAIN(rp_subscriptions_suite)
