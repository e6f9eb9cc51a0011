/* mqtt_link: CONNECT says what the config says, the session is begun anew where it must be, subscriptions are made when
 * they are not there, losses and refusals are told and tried again. The broker is a socket of the test. */
#include "mqtt_link.h"

#include <stdio.h>
#include <string.h>

#include "loop.h"
#include "loop_support.h"
#include "mqtt_io.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "net.h"
#include "scripted_broker.h"
#include "test_main.h"

enum { PATIENCE_ROUNDS = 3 };

static struct loop *loop;
static struct url url;
static struct mqtt_link *link_of_test;
static struct mqtt_link_config config;
static struct mqtt_subscription subscriptions[2];
static const struct mqtt_packet *got; /* the last packet that the broker has read */
static struct {
    int up, packets, refused, drained, down, failed;
    struct mqtt_link_grants grants;
    uint8_t last_type, refused_reason;
    uint32_t wait_ms;
    char text[300];
} seen;

static enum gate_answer on_up(struct mqtt_link *l, const struct mqtt_link_grants *grants, void *arg)
{
    seen.up++;
    seen.grants = *grants;
    return GATE_PASS;
}

static enum gate_answer on_packet(struct mqtt_link *l, const struct mqtt_packet *packet, void *arg)
{
    seen.packets++;
    seen.last_type = packet->type;
    return GATE_PASS;
}

static void on_refused(struct mqtt_link *l, struct mqtt_bytes filter, uint8_t reason, void *arg)
{
    seen.refused++;
    seen.refused_reason = reason;
    snprintf(seen.text, sizeof seen.text, "%.*s", (int)filter.len, (const char *)filter.ptr);
}

static void on_drain(struct mqtt_link *l, void *arg)
{
    seen.drained++;
}

static void on_down(struct mqtt_link *l, const char *text, uint32_t wait_ms, void *arg)
{
    seen.down++;
    seen.wait_ms = wait_ms;
    snprintf(seen.text, sizeof seen.text, "%s", text);
}

static void on_failed(struct mqtt_link *l, const char *text, uint32_t wait_ms, void *arg)
{
    seen.failed++;
    seen.wait_ms = wait_ms;
    snprintf(seen.text, sizeof seen.text, "%s", text);
}

static const struct mqtt_link_cbs cbs = {
    .on_up = on_up,
    .on_packet = on_packet,
    .on_refused = on_refused,
    .on_drain = on_drain,
    .on_down = on_down,
    .on_failed = on_failed,
};

static bool has_come(void *arg)
{
    return *(int *)arg > 0;
}

static const struct mqtt_bytes nothing = {NULL, 0};

/* --- The link */

static void open_link(uint8_t version, bool is_new)
{
    config.version = version;
    ck_assert_int_eq(mqtt_link_open(loop, &config, is_new, &cbs, NULL, &link_of_test), 0);
    ck_assert_int_eq(mqtt_link_is_up(link_of_test), 0);
    ck_assert_ptr_null(mqtt_link_io(link_of_test));
}

static void open_until_up(uint8_t version)
{
    open_link(version, false);
    got = scripted_expect_connect();
    scripted_connack(0, true, nothing);
    loop_support_until(loop, has_come, &seen.up);
    got = scripted_expect(MQTT_SUBSCRIBE);
    scripted_suback((const uint8_t[]){1, 2}, 2);
}

static void setup(void)
{
    memset(&seen, 0, sizeof seen);
    ck_assert_int_eq(loop_new(&loop), 0);
    url = scripted_listen(loop);
    subscriptions[0] = (struct mqtt_subscription){.filter = {(const uint8_t *)"a/#", 3}, .qos = 1, .no_local = true};
    subscriptions[1] = (struct mqtt_subscription){
        .filter = {(const uint8_t *)"b", 1}, .qos = 2, .retain_as_published = true, .retain_handling = 1};
    config = (struct mqtt_link_config){
        .url = &url,
        .client_id = "me",
        .subscriptions = subscriptions,
        .n_subscriptions = 2,
        .session_expiry_s = MQTT_LINK_EXPIRY_NEVER,
        .keep_alive_s = 60,
    };
}

static void teardown(void)
{
    link_of_test = mqtt_link_close(link_of_test, 0);
    loop_support_to_end(loop);
    ck_assert_uint_eq(net_conn_count(loop), 0);
    loop = loop_free(loop);
    scripted_close();
}

/* --- Tests */

START_TEST(connect_says_who_it_is)
{
    const struct mqtt_will will = {.topic = {(const uint8_t *)"w", 1}, .payload = {(const uint8_t *)"0", 1}, .qos = 1};
    config.username = "user";
    config.password = (struct mqtt_bytes){(const uint8_t *)"pass", 4};
    config.will = &will;
    config.receive_max = 7;
    config.broker_id = (struct mqtt_bytes){(const uint8_t *)"id", 2};
    open_link(MQTT_V5, false);
    got = scripted_expect_connect();
    const struct mqtt_connect *c = &got->connect;
    ck_assert_uint_eq(c->protocol_level, 5);
    ck_assert_mem_eq(c->client_id.ptr, "me", 2);
    ck_assert_mem_eq(c->username.ptr, "user", 4);
    ck_assert_mem_eq(c->password.ptr, "pass", 4);
    ck_assert_mem_eq(c->will.topic.ptr, "w", 1);
    ck_assert_uint_eq(c->keep_alive_s, 60);
    ck_assert(!c->clean_start);
    ck_assert_uint_eq(mqtt_property_number(&got->properties, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, 0), UINT32_MAX);
    ck_assert_uint_eq(mqtt_property_number(&got->properties, MQTT_PROPERTY_RECEIVE_MAXIMUM, 0), 7);
    const struct mqtt_bytes id = mqtt_link_broker_id_of(&got->properties);
    ck_assert_uint_eq(id.len, 2);
    ck_assert_mem_eq(id.ptr, "id", 2);
}
END_TEST

START_TEST(connack_says_what_is_granted)
{
    uint8_t bytes[64];
    uint8_t *p = mqtt_property_put_u16(bytes, MQTT_PROPERTY_RECEIVE_MAXIMUM, 9);
    p = mqtt_property_put_u8(p, MQTT_PROPERTY_MAXIMUM_QOS, 1);
    p = mqtt_property_put_u8(p, MQTT_PROPERTY_RETAIN_AVAILABLE, 0);
    p = mqtt_property_put_u32(p, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 40);
    open_link(MQTT_V5, false);
    got = scripted_expect_connect();
    scripted_connack(0, true, (struct mqtt_bytes){bytes, (uint32_t)(p - bytes)});
    loop_support_until(loop, has_come, &seen.up);
    ck_assert(mqtt_link_is_up(link_of_test));
    ck_assert(seen.grants.is_session_present);
    ck_assert(!seen.grants.has_retain);
    ck_assert_uint_eq(seen.grants.max_qos, 1);
    ck_assert_uint_eq(seen.grants.receive_max, 9);
    const struct mqtt_packet large = {.type = MQTT_PUBLISH,
                                      .version = MQTT_V5,
                                      .publish = {.topic = {(const uint8_t *)"t", 1}, .payload = {bytes, 60}}};
    ck_assert_int_eq(mqtt_link_send(link_of_test, &large), MQTT_IO_TOO_LARGE);
}
END_TEST

static const uint8_t versions[] = {MQTT_V31, MQTT_V311, MQTT_V5};

START_TEST(subscriptions_are_made_once_for_a_session_that_stays)
{
    open_until_up(versions[_i]);
    ck_assert_uint_eq(got->packet_id, MQTT_LINK_SUBSCRIBE_ID);
    struct mqtt_bytes iter = got->subscriptions.wire;
    struct mqtt_subscription sub;
    for (int i = 0; i < 2; i++) {
        ck_assert(mqtt_subscription_next(&iter, &sub));
        ck_assert_uint_eq(sub.qos, subscriptions[i].qos);
        ck_assert(sub.no_local == (config.version == MQTT_V5 && i == 0));
        ck_assert(sub.retain_as_published == (config.version == MQTT_V5 && i == 1));
    }
    loop_support_turns(loop, PATIENCE_ROUNDS);
    seen.up = 0;
    got = scripted_expect_connect();
    ck_assert_int_eq(seen.down, 1);
    scripted_connack(0, true, nothing);
    loop_support_until(loop, has_come, &seen.up);
    mqtt_link_retry(link_of_test, MQTT_REASON_SUCCESS);
    got = scripted_expect(MQTT_DISCONNECT); /* no SUBSCRIBE before it */
}
END_TEST

START_TEST(subscriptions_are_made_again_for_a_new_session)
{
    open_until_up(MQTT_V5);
    loop_support_turns(loop, PATIENCE_ROUNDS);
    got = scripted_expect_connect();
    scripted_connack(0, false, nothing);
    got = scripted_expect(MQTT_SUBSCRIBE);
    ck_assert(!seen.grants.is_session_present);
}
END_TEST

START_TEST(filters_that_are_gone_are_unsubscribed_from)
{
    const struct mqtt_bytes gone[] = {{(const uint8_t *)"old/#", 5}, {(const uint8_t *)"x", 1}};
    struct mqtt_bytes filter;
    config.gone = gone;
    config.n_gone = 2;
    open_link(versions[_i], false);
    got = scripted_expect_connect();
    scripted_connack(0, true, nothing);
    got = scripted_expect(MQTT_UNSUBSCRIBE);
    struct mqtt_bytes iter = got->filters.wire;
    for (int i = 0; i < 2; i++) {
        ck_assert(mqtt_filter_next(&iter, &filter));
        ck_assert_uint_eq(filter.len, gone[i].len);
        ck_assert_mem_eq(filter.ptr, gone[i].ptr, filter.len);
    }
    got = scripted_expect(MQTT_SUBSCRIBE);
    scripted_suback((const uint8_t[]){1, 2}, 2);
    loop_support_turns(loop, PATIENCE_ROUNDS);
    got = scripted_expect_connect();
    scripted_connack(0, true, nothing);
    loop_support_turns(loop, PATIENCE_ROUNDS);
    scripted_expect_nothing(); /* once is enough */
}
END_TEST

START_TEST(a_refused_subscription_is_told)
{
    open_link(MQTT_V5, false);
    got = scripted_expect_connect();
    scripted_connack(0, false, nothing);
    got = scripted_expect(MQTT_SUBSCRIBE);
    scripted_suback((const uint8_t[]){1, MQTT_REASON_NOT_AUTHORIZED}, 2);
    loop_support_until(loop, has_come, &seen.refused);
    ck_assert_uint_eq(seen.refused_reason, MQTT_REASON_NOT_AUTHORIZED);
    ck_assert_str_eq(seen.text, "b");
}
END_TEST

START_TEST(a_new_session_begins_with_a_clean_start)
{
    open_link(MQTT_V5, true);
    got = scripted_expect_connect();
    ck_assert(got->connect.clean_start);
    scripted_connack(0, false, nothing);
    loop_support_until(loop, has_come, &seen.up);
    got = scripted_expect_connect();
    ck_assert(!got->connect.clean_start);
}
END_TEST

START_TEST(in_3_the_broker_is_made_to_forget_by_a_connection_of_its_own)
{
    const struct mqtt_will will = {.topic = {(const uint8_t *)"w", 1}};
    config.will = &will;
    open_link(MQTT_V311, true);
    got = scripted_expect_connect();
    ck_assert(got->connect.clean_start);
    ck_assert(!got->connect.has_will);
    scripted_connack(0, false, nothing);
    got = scripted_expect(MQTT_DISCONNECT);
    ck_assert_int_eq(seen.up, 0);
    got = scripted_expect_connect();
    ck_assert(!got->connect.clean_start);
    ck_assert(got->connect.has_will);
    scripted_connack(0, false, nothing);
    loop_support_until(loop, has_come, &seen.up);
    ck_assert_int_eq(seen.failed + seen.down, 0);
}
END_TEST

START_TEST(a_broker_that_does_not_take_the_bridge_bit_gets_none)
{
    config.is_bridge = true;
    open_link(MQTT_V311, false);
    got = scripted_expect_connect();
    ck_assert_uint_eq(got->connect.protocol_level, MQTT_V311 | MQTT_BRIDGE_BIT);
    scripted_connack(MQTT_V3_BAD_VERSION, false, nothing);
    got = scripted_expect_connect();
    ck_assert_uint_eq(got->connect.protocol_level, MQTT_V311);
    ck_assert_int_eq(seen.failed, 0);
}
END_TEST

START_TEST(a_refusal_says_why_and_is_tried_again)
{
    open_link(MQTT_V5, false);
    got = scripted_expect_connect();
    scripted_connack(MQTT_REASON_NOT_AUTHORIZED, false, nothing);
    loop_support_until(loop, has_come, &seen.failed);
    ck_assert_ptr_nonnull(strstr(seen.text, "Not authorized"));
    ck_assert_uint_ge(seen.wait_ms, 750);
    ck_assert_uint_le(seen.wait_ms, 1000);
    ck_assert_int_eq(seen.down, 0);
    got = scripted_expect_connect();
    scripted_connack(MQTT_REASON_NOT_AUTHORIZED, false, nothing);
    seen.failed = 0;
    loop_support_until(loop, has_come, &seen.failed);
    ck_assert_uint_ge(seen.wait_ms, 1500);
}
END_TEST

START_TEST(nobody_there_is_a_failure)
{
    scripted_deafen();
    open_link(MQTT_V5, false);
    loop_support_until(loop, has_come, &seen.failed);
    ck_assert_ptr_nonnull(strstr(seen.text, "refused"));
}
END_TEST

START_TEST(exchanges_pass_as_packets)
{
    open_until_up(MQTT_V5);
    const struct mqtt_packet publish = {.type = MQTT_PUBLISH,
                                        .version = MQTT_V5,
                                        .packet_id = 4711,
                                        .publish = {.topic = {(const uint8_t *)"t", 1}, .qos = 2}};
    scripted_send(publish);
    loop_support_until(loop, has_come, &seen.packets);
    ck_assert_uint_eq(seen.last_type, MQTT_PUBLISH);
    const struct mqtt_packet pubrec = {.type = MQTT_PUBREC, .version = MQTT_V5, .packet_id = 4711};
    ck_assert_int_eq(mqtt_link_send(link_of_test, &pubrec), 0);
    got = scripted_expect(MQTT_PUBREC);
    ck_assert_uint_eq(got->packet_id, 4711);
    ck_assert_int_eq(seen.packets, 1); /* SUBACK is its own */
}
END_TEST

START_TEST(what_breaks_the_rules_is_closed_with_the_reason)
{
    open_until_up(MQTT_V5);
    scripted_connack(0, false, nothing); /* a second one */
    loop_support_until(loop, has_come, &seen.down);
    got = scripted_expect(MQTT_DISCONNECT);
    ck_assert_uint_eq(got->reason_code, MQTT_REASON_PROTOCOL_ERROR);
    ck_assert_ptr_nonnull(strstr(seen.text, "second CONNACK"));
}
END_TEST

START_TEST(a_silent_broker_is_lost)
{
    config.keep_alive_s = 1;
    open_until_up(MQTT_V311);
    got = scripted_expect(MQTT_PINGREQ);
    loop_support_until(loop, has_come, &seen.down);
    ck_assert_ptr_nonnull(strstr(seen.text, "PINGREQ"));
}
END_TEST

START_TEST(a_broker_that_answers_is_kept)
{
    const struct mqtt_packet pong = {.type = MQTT_PINGRESP, .version = MQTT_V311};
    config.keep_alive_s = 1;
    open_until_up(MQTT_V311);
    for (int i = 0; i < PATIENCE_ROUNDS; i++) {
        got = scripted_expect(MQTT_PINGREQ);
        scripted_send(pong);
    }
    ck_assert_int_eq(seen.down, 0);
}
END_TEST

START_TEST(closing_says_disconnect)
{
    open_until_up(MQTT_V5);
    link_of_test = mqtt_link_close(link_of_test, 1000);
    got = scripted_expect(MQTT_DISCONNECT);
    ck_assert_uint_eq(got->reason_code, MQTT_REASON_SUCCESS);
    scripted_hang_up();
    ck_assert_int_eq(seen.down, 0);
}
END_TEST

static Suite *mqtt_link_suite(void)
{
    TCase *t;
    Suite *s = test_suite("mqtt_link", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, connect_says_who_it_is);
    tcase_add_test(t, connack_says_what_is_granted);
    tcase_add_loop_test(t, subscriptions_are_made_once_for_a_session_that_stays, 0, 3);
    tcase_add_test(t, subscriptions_are_made_again_for_a_new_session);
    tcase_add_loop_test(t, filters_that_are_gone_are_unsubscribed_from, 0, 3);
    tcase_add_test(t, a_refused_subscription_is_told);
    tcase_add_test(t, a_new_session_begins_with_a_clean_start);
    tcase_add_test(t, in_3_the_broker_is_made_to_forget_by_a_connection_of_its_own);
    tcase_add_test(t, a_broker_that_does_not_take_the_bridge_bit_gets_none);
    tcase_add_test(t, a_refusal_says_why_and_is_tried_again);
    tcase_add_test(t, nobody_there_is_a_failure);
    tcase_add_test(t, exchanges_pass_as_packets);
    tcase_add_test(t, what_breaks_the_rules_is_closed_with_the_reason);
    tcase_add_test(t, a_silent_broker_is_lost);
    tcase_add_test(t, a_broker_that_answers_is_kept);
    tcase_add_test(t, closing_says_disconnect);
    return s;
}

TEST_MAIN(mqtt_link_suite)
