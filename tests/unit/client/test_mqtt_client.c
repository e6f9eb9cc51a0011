/* mqtt_client: messages reach the broker within its window, in order, and over new connections; those of the broker are
 * acknowledged in their order, when the user says so. */
#include "mqtt_client.h"

#include <stdio.h>
#include <string.h>

#include "loop.h"
#include "loop_support.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "net.h"
#include "scripted_broker.h"
#include "test_main.h"

enum { RECEIPTS = 8 };

static struct loop *loop;
static struct url url;
static struct mqtt_link_config config;
static struct mqtt_client *client;
static struct {
    int up, down, messages, published;
    struct mqtt_receipt *receipts[RECEIPTS];
    char topics[RECEIPTS][8];
    int tokens[RECEIPTS];
    uint8_t reasons[RECEIPTS];
} seen;

static void on_message(struct mqtt_client *c, const struct mqtt_packet *publish, struct mqtt_receipt *receipt,
                       void *arg)
{
    ck_assert_int_lt(seen.messages, RECEIPTS);
    snprintf(seen.topics[seen.messages], sizeof seen.topics[0], "%.*s", (int)publish->publish.topic.len,
             (const char *)publish->publish.topic.ptr);
    seen.receipts[seen.messages++] = receipt;
}

static void on_published(struct mqtt_client *c, void *token, uint8_t reason, void *arg)
{
    ck_assert_int_lt(seen.published, RECEIPTS);
    seen.tokens[seen.published] = *(const int *)token;
    seen.reasons[seen.published++] = reason;
}

static void on_up(struct mqtt_client *c, const struct mqtt_link_grants *grants, void *arg)
{
    seen.up++;
}

static void on_refused(struct mqtt_client *c, struct mqtt_bytes filter, uint8_t reason, void *arg)
{
}

static void on_down(struct mqtt_client *c, const char *text, uint32_t wait_ms, void *arg)
{
    seen.down++;
}

static const struct mqtt_client_cbs cbs = {
    .on_message = on_message,
    .on_published = on_published,
    .on_up = on_up,
    .on_refused = on_refused,
    .on_down = on_down,
    .on_failed = on_down,
};

static bool has_come(void *arg)
{
    return *(int *)arg > 0;
}

static void wait_for(int *counter)
{
    loop_support_until(loop, has_come, counter);
    *counter = 0;
}

/* A connection; WINDOW: the broker's Receive Maximum. */
static void connect_again(bool is_session_present, uint16_t window)
{
    uint8_t bytes[8];
    const uint8_t *end = mqtt_property_put_u16(bytes, MQTT_PROPERTY_RECEIVE_MAXIMUM, window);
    scripted_expect_connect();
    scripted_connack(0, is_session_present,
                     config.version == MQTT_V5 ? (struct mqtt_bytes){bytes, (uint32_t)(end - bytes)}
                                               : (struct mqtt_bytes){NULL, 0});
    wait_for(&seen.up);
}

static void open_client(uint8_t version, uint16_t window)
{
    config.version = version;
    ck_assert_int_eq(mqtt_client_open(loop, &config, false, &cbs, NULL, &client), 0);
    connect_again(true, window);
}

static const int tokens[] = {0, 1, 2, 3};

static void publish(int n, uint8_t qos)
{
    const char *const topics[] = {"a", "b", "c", "d"};
    const struct mqtt_packet p = {.publish = {.topic = {(const uint8_t *)topics[n], 1}, .qos = qos}};
    ck_assert_int_eq(mqtt_client_publish(client, &p, (void *)(uintptr_t)&tokens[n]), 0);
}

/* The next packet is message N: its id. */
static uint16_t expect_publish(int n, bool dup)
{
    const struct mqtt_packet *got = scripted_expect(MQTT_PUBLISH);
    ck_assert_uint_eq(got->publish.topic.ptr[0], 'a' + n);
    ck_assert(got->dup == dup);
    return got->packet_id;
}

static void send_message(const char *topic, uint8_t qos, uint16_t id, bool dup)
{
    scripted_send(
        (struct mqtt_packet){.type = MQTT_PUBLISH,
                             .dup = dup,
                             .packet_id = id,
                             .publish = {.topic = {(const uint8_t *)topic, (uint32_t)strlen(topic)}, .qos = qos}});
}

static void expect_ack(enum mqtt_type type, uint16_t id)
{
    ck_assert_uint_eq(scripted_expect(type)->packet_id, id);
}

static void setup(void)
{
    memset(&seen, 0, sizeof seen);
    ck_assert_int_eq(loop_new(&loop), 0);
    url = scripted_listen(loop);
    config = (struct mqtt_link_config){.url = &url, .client_id = "me", .session_expiry_s = MQTT_LINK_EXPIRY_NEVER};
}

static void teardown(void)
{
    client = mqtt_client_close(client, 0);
    loop_support_to_end(loop);
    ck_assert_uint_eq(net_conn_count(loop), 0);
    loop = loop_free(loop);
    scripted_close();
}

/* --- To the broker */

START_TEST(messages_are_published_to_their_last_acknowledgement)
{
    open_client(MQTT_V311, 0);
    publish(0, 1);
    publish(1, 2);
    const uint16_t a = expect_publish(0, false), b = expect_publish(1, false);
    scripted_ack(MQTT_PUBACK, a, 0);
    scripted_ack(MQTT_PUBREC, b, 0);
    expect_ack(MQTT_PUBREL, b);
    ck_assert_int_eq(seen.published, 1);
    ck_assert_int_eq(seen.tokens[0], 0);
    ck_assert_uint_eq(mqtt_client_unpublished(client), 1);
    seen.published = 0;
    scripted_ack(MQTT_PUBCOMP, b, 0);
    loop_support_until(loop, has_come, &seen.published);
    ck_assert_int_eq(seen.tokens[0], 1);
    ck_assert_uint_eq(mqtt_client_unpublished(client), 0);
}
END_TEST

START_TEST(no_more_are_open_than_the_broker_takes)
{
    open_client(MQTT_V5, 2);
    for (int i = 0; i < 4; i++)
        publish(i, 1);
    const uint16_t first = expect_publish(0, false);
    expect_publish(1, false);
    scripted_expect_nothing();
    scripted_ack(MQTT_PUBACK, first, 0);
    expect_publish(2, false);
    scripted_expect_nothing();
}
END_TEST

START_TEST(open_messages_are_repeated_on_a_new_connection)
{
    open_client(MQTT_V5, 10);
    publish(0, 1);
    publish(1, 2);
    publish(2, 2);
    const uint16_t a = expect_publish(0, false), b = expect_publish(1, false), c = expect_publish(2, false);
    scripted_ack(MQTT_PUBREC, b, 0);
    expect_ack(MQTT_PUBREL, b);
    connect_again(true, 10);
    ck_assert_uint_eq(expect_publish(0, true), a);
    expect_ack(MQTT_PUBREL, b);
    ck_assert_uint_eq(expect_publish(2, true), c);
    publish(3, 1);
    expect_publish(3, false);
    ck_assert_int_eq(seen.published, 0);
}
END_TEST

START_TEST(a_lost_session_gets_open_messages_as_new_ones)
{
    open_client(MQTT_V5, 10);
    publish(0, 1);
    publish(1, 2);
    expect_publish(0, false);
    const uint16_t b = expect_publish(1, false);
    scripted_ack(MQTT_PUBREC, b, 0);
    expect_ack(MQTT_PUBREL, b);
    connect_again(false, 10);
    ck_assert_int_eq(seen.published, 1); /* the broker has had it */
    ck_assert_int_eq(seen.tokens[0], 1);
    expect_publish(0, false);
    scripted_expect_nothing();
}
END_TEST

START_TEST(what_waits_is_sent_when_there_is_a_connection)
{
    config.version = MQTT_V5;
    ck_assert_int_eq(mqtt_client_open(loop, &config, false, &cbs, NULL, &client), 0);
    publish(0, 1);
    const struct mqtt_packet p = {.publish = {.topic = {(const uint8_t *)"x", 1}}};
    ck_assert_int_eq(mqtt_client_publish(client, &p, NULL), MQTT_CLIENT_DOWN);
    connect_again(true, 10);
    expect_publish(0, false);
    ck_assert_int_eq(mqtt_client_publish(client, &p, NULL), 0);
    ck_assert_uint_eq(scripted_expect(MQTT_PUBLISH)->publish.qos, 0);
}
END_TEST

START_TEST(a_refusal_of_the_broker_is_told)
{
    open_client(MQTT_V5, 10);
    publish(0, 1);
    publish(1, 2);
    const uint16_t a = expect_publish(0, false), b = expect_publish(1, false);
    scripted_ack(MQTT_PUBACK, a, MQTT_REASON_NOT_AUTHORIZED);
    wait_for(&seen.published);
    ck_assert_uint_eq(seen.reasons[0], MQTT_REASON_NOT_AUTHORIZED);
    scripted_ack(MQTT_PUBREC, b, MQTT_REASON_QUOTA_EXCEEDED);
    wait_for(&seen.published);
    ck_assert_uint_eq(seen.reasons[0], MQTT_REASON_QUOTA_EXCEEDED);
    ck_assert_uint_eq(mqtt_client_unpublished(client), 0);
}
END_TEST

/* --- From the broker */

START_TEST(messages_are_acknowledged_in_their_order)
{
    open_client(MQTT_V5, 10);
    send_message("a", 1, 7, false);
    send_message("b", 2, 8, false);
    send_message("c", 0, 0, false);
    send_message("d", 1, 9, false);
    while (seen.messages < 4)
        loop_support_turns(loop, 1);
    ck_assert_ptr_null(seen.receipts[2]);
    mqtt_client_acknowledge(client, seen.receipts[3], 0);
    mqtt_client_acknowledge(client, seen.receipts[1], 0);
    scripted_expect_nothing();
    mqtt_client_acknowledge(client, seen.receipts[0], 0);
    expect_ack(MQTT_PUBACK, 7);
    expect_ack(MQTT_PUBREC, 8);
    expect_ack(MQTT_PUBACK, 9);
    scripted_ack(MQTT_PUBREL, 8, 0);
    expect_ack(MQTT_PUBCOMP, 8);
}
END_TEST

START_TEST(repeats_are_passed_over_while_the_user_has_the_message)
{
    open_client(MQTT_V5, 10);
    send_message("a", 1, 7, false);
    send_message("b", 2, 8, false);
    while (seen.messages < 2)
        loop_support_turns(loop, 1);
    connect_again(true, 10);
    send_message("a", 1, 7, true);
    send_message("b", 2, 8, true);
    scripted_expect_nothing();
    ck_assert_int_eq(seen.messages, 2);
    mqtt_client_acknowledge(client, seen.receipts[0], 0);
    mqtt_client_acknowledge(client, seen.receipts[1], 0);
    expect_ack(MQTT_PUBACK, 7);
    expect_ack(MQTT_PUBREC, 8);
    connect_again(true, 10);
    send_message("b", 2, 8, true); /* PUBREC has been lost */
    expect_ack(MQTT_PUBREC, 8);
    ck_assert_int_eq(seen.messages, 2);
}
END_TEST

START_TEST(receipts_of_a_lost_session_acknowledge_nothing)
{
    open_client(MQTT_V5, 10);
    send_message("a", 2, 7, false);
    wait_for(&seen.messages);
    struct mqtt_receipt *old = seen.receipts[0];
    connect_again(false, 10);
    send_message("b", 2, 7, false);
    wait_for(&seen.messages);
    mqtt_client_acknowledge(client, old, 0);
    scripted_expect_nothing();
    mqtt_client_acknowledge(client, seen.receipts[0], MQTT_REASON_NOT_AUTHORIZED);
    expect_ack(MQTT_PUBREC, 7);
    send_message("c", 2, 7, false); /* a refused one has ended */
    wait_for(&seen.messages);
    ck_assert_str_eq(seen.topics[0], "c");
}
END_TEST

START_TEST(nothing_is_read_while_it_is_paused)
{
    config.version = MQTT_V5;
    ck_assert_int_eq(mqtt_client_open(loop, &config, false, &cbs, NULL, &client), 0);
    mqtt_client_pause(client);
    connect_again(true, 10);
    send_message("a", 0, 0, false);
    scripted_expect_nothing();
    ck_assert_int_eq(seen.messages, 0);
    mqtt_client_resume(client);
    wait_for(&seen.messages);
}
END_TEST

static Suite *mqtt_client_suite(void)
{
    TCase *t;
    Suite *s = test_suite("mqtt_client", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, messages_are_published_to_their_last_acknowledgement);
    tcase_add_test(t, no_more_are_open_than_the_broker_takes);
    tcase_add_test(t, open_messages_are_repeated_on_a_new_connection);
    tcase_add_test(t, a_lost_session_gets_open_messages_as_new_ones);
    tcase_add_test(t, what_waits_is_sent_when_there_is_a_connection);
    tcase_add_test(t, a_refusal_of_the_broker_is_told);
    tcase_add_test(t, messages_are_acknowledged_in_their_order);
    tcase_add_test(t, repeats_are_passed_over_while_the_user_has_the_message);
    tcase_add_test(t, receipts_of_a_lost_session_acknowledge_nothing);
    tcase_add_test(t, nothing_is_read_while_it_is_paused);
    return s;
}

TEST_MAIN(mqtt_client_suite)
