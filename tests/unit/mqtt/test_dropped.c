/* mqtt_dropped: what a client never gets is acknowledged for it, to the end of the exchange, and its aliases stay true.
 */
#include "mqtt_dropped.h"

#include <errno.h>
#include <string.h>

#include "mqtt_check.h"
#include "mqtt_property.h"
#include "test_main.h"

static struct mqtt_dropped d;
static struct mqtt_reply answer;

static void set_up(void)
{
    mqtt_dropped_init(&d);
}

static void tear_down(void)
{
    mqtt_dropped_clear(&d);
}

/* ALIAS 0: none. Its properties last until the next call. */
static struct mqtt_packet publish_of(const char *topic, uint8_t qos, uint16_t alias)
{
    static uint8_t wire[8];
    struct mqtt_packet p = {.type = MQTT_PUBLISH, .version = MQTT_V5, .packet_id = qos ? 7 : 0};
    p.publish.qos = qos;
    p.publish.topic = (struct mqtt_bytes){(const uint8_t *)topic, (uint32_t)strlen(topic)};
    const uint8_t *end = alias ? mqtt_property_put_u16(wire, MQTT_PROPERTY_TOPIC_ALIAS, alias) : wire;
    p.properties.wire = (struct mqtt_bytes){wire, (uint32_t)(end - wire)};
    return p;
}

static int drop(const char *topic, uint8_t qos, uint16_t alias)
{
    struct mqtt_packet p = publish_of(topic, qos, alias);
    ck_assert_int_eq(mqtt_dropped_check(&d, &p, &answer), 0);
    return mqtt_dropped_publish(&d, &p, &answer);
}

static void assert_answer(enum mqtt_type type)
{
    struct mqtt_fault fault = {0};
    ck_assert_msg(mqtt_packet_check(&answer.packet, &fault) == 0, "%s", fault.text);
    ck_assert_uint_eq(answer.packet.type, type);
    ck_assert_uint_eq(answer.packet.packet_id, 7);
}

START_TEST(each_qos_has_its_answer)
{
    ck_assert_int_eq(drop("x", 0, 0), MQTT_DROPPED);
    ck_assert_int_eq(drop("x", 1, 0), MQTT_DROPPED_ANSWER);
    assert_answer(MQTT_PUBACK);
    ck_assert_int_eq(drop("x", 2, 0), MQTT_DROPPED_ANSWER);
    assert_answer(MQTT_PUBREC);
}
END_TEST

START_TEST(the_second_half_of_a_dropped_exchange_is_answered_once)
{
    struct mqtt_packet pubrel = {.type = MQTT_PUBREL, .version = MQTT_V5, .packet_id = 7};
    ck_assert_int_eq(mqtt_dropped_check(&d, &pubrel, &answer), 0);
    drop("x", 2, 0);
    drop("x", 2, 0); /* again, with DUP: the first PUBREC was lost */
    assert_answer(MQTT_PUBREC);
    ck_assert_int_eq(mqtt_dropped_check(&d, &pubrel, &answer), MQTT_DROPPED_ANSWER);
    assert_answer(MQTT_PUBCOMP);
    ck_assert_int_eq(mqtt_dropped_check(&d, &pubrel, &answer), 0);
    drop("x", 1, 0);
    ck_assert_int_eq(mqtt_dropped_check(&d, &pubrel, &answer), 0);
}
END_TEST

static void expect_topic(const char *topic, uint16_t alias, const char *wanted)
{
    struct mqtt_packet p = publish_of(topic, 1, alias);
    ck_assert_int_eq(mqtt_dropped_check(&d, &p, &answer), 0);
    ck_assert_uint_eq(p.publish.topic.len, strlen(wanted));
    if (*wanted)
        ck_assert_mem_eq(p.publish.topic.ptr, wanted, strlen(wanted));
}

START_TEST(an_alias_that_the_client_does_not_know_gets_its_topic_back)
{
    drop("lost", 1, 5);
    expect_topic("", 5, "lost");
    expect_topic("", 6, "");
    expect_topic("other", 0, "other");
    expect_topic("", 5, "lost");
    drop("", 1, 5); /* its topic was put back, and it does not pass either */
    expect_topic("", 5, "lost");
    expect_topic("new", 5, "new"); /* the client knows it from here on */
    expect_topic("", 5, "");
    drop("", 1, 5);
    expect_topic("", 5, "");
    drop("again", 1, 5);
    expect_topic("", 5, "again");
}
END_TEST

START_TEST(too_many_hidden_aliases_are_an_error)
{
    for (int alias = 1; alias <= MQTT_DROPPED_ALIASES_MAX; alias++)
        ck_assert_int_eq(drop("x", 0, (uint16_t)alias), MQTT_DROPPED);
    ck_assert_int_eq(drop("x", 0, 1), MQTT_DROPPED);
    ck_assert_int_eq(drop("x", 0, MQTT_DROPPED_ALIASES_MAX + 1), -ENOBUFS);
    expect_topic("y", 2, "y");
    ck_assert_int_eq(drop("x", 0, MQTT_DROPPED_ALIASES_MAX + 1), MQTT_DROPPED);
    expect_topic("", 1, "x");
    expect_topic("", MQTT_DROPPED_ALIASES_MAX, "x");
}
END_TEST

static Suite *dropped_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("dropped", &tc);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, each_qos_has_its_answer);
    tcase_add_test(tc, the_second_half_of_a_dropped_exchange_is_answered_once);
    tcase_add_test(tc, an_alias_that_the_client_does_not_know_gets_its_topic_back);
    tcase_add_test(tc, too_many_hidden_aliases_are_an_error);
    return suite;
}

TEST_MAIN(dropped_suite)
