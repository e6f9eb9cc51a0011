/* mqtt_compose: what a proxy says itself is a legal packet and the right one. mqtt_exchanges: what is open. */
#include "mqtt_compose.h"

#include <stdlib.h>
#include <string.h>

#include "mqtt_check.h"
#include "mqtt_encode.h"
#include "mqtt_exchanges.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "test_main.h"

static void check_legal(const struct mqtt_packet *p)
{
    struct mqtt_fault fault = {0};
    ck_assert_msg(mqtt_packet_check(p, &fault) == 0, "%s", fault.text);
}

START_TEST(a_v5_refusal_carries_code_and_text)
{
    struct mqtt_reply reply;
    struct mqtt_property text;
    ck_assert(mqtt_reply_connack(&reply, MQTT_V5, MQTT_REASON_SERVER_UNAVAILABLE, "no broker"));
    check_legal(&reply.packet);
    ck_assert_uint_eq(reply.packet.reason_code, 0x88);
    ck_assert(mqtt_property_find(&reply.packet.properties, MQTT_PROPERTY_REASON_STRING, &text));
    ck_assert_uint_eq(text.value.len, strlen("no broker"));
    mqtt_reply_drop_text(&reply);
    ck_assert(!mqtt_property_find(&reply.packet.properties, MQTT_PROPERTY_REASON_STRING, &text));
    check_legal(&reply.packet);
}
END_TEST

START_TEST(a_v3_refusal_is_the_old_code_or_silence)
{
    struct mqtt_reply reply;
    ck_assert(mqtt_reply_connack(&reply, MQTT_V311, MQTT_REASON_SERVER_UNAVAILABLE, "no broker"));
    ck_assert_uint_eq(reply.packet.reason_code, 3);
    ck_assert_uint_eq(reply.packet.properties.wire.len, 0);
    check_legal(&reply.packet);
    ck_assert(!mqtt_reply_connack(&reply, MQTT_V311, MQTT_REASON_MALFORMED_PACKET, NULL));
}
END_TEST

START_TEST(a_long_text_is_cut_between_characters)
{
    char text[MQTT_COMPOSE_TEXT_MAX * 2 + 1];
    struct mqtt_reply reply;
    text[0] = 'x'; /* so that the limit falls into the middle of a two-byte character */
    for (size_t i = 1; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xC3\xA4", 3);
    mqtt_reply_disconnect(&reply, MQTT_REASON_SERVER_SHUTTING_DOWN, text);
    check_legal(&reply.packet);
    ck_assert_uint_le(reply.packet.properties.wire.len, sizeof reply.properties);
}
END_TEST

START_TEST(a_reference_takes_the_place_of_the_text)
{
    struct mqtt_reply reply;
    struct mqtt_property found;
    mqtt_reply_disconnect(&reply, MQTT_REASON_USE_ANOTHER_SERVER, "away");
    mqtt_reply_set_reference(&reply, "other.example:1883");
    check_legal(&reply.packet);
    ck_assert(mqtt_property_find(&reply.packet.properties, MQTT_PROPERTY_SERVER_REFERENCE, &found));
    ck_assert_mem_eq(found.value.ptr, "other.example:1883", found.value.len);
    ck_assert(!mqtt_property_has(&reply.packet.properties, MQTT_PROPERTY_REASON_STRING));
    ck_assert(mqtt_reply_connack(&reply, MQTT_V311, MQTT_REASON_USE_ANOTHER_SERVER, "away"));
    mqtt_reply_set_reference(&reply, "other.example:1883");
    ck_assert_uint_eq(reply.packet.reason_code, 3);
    check_legal(&reply.packet);
}
END_TEST

START_TEST(acks_are_legal_in_every_version)
{
    static const enum mqtt_type types[] = {MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL, MQTT_PUBCOMP};
    for (uint8_t version = MQTT_V31; version <= MQTT_V5; version++)
        for (size_t i = 0; i < TEST_COUNT(types); i++) {
            struct mqtt_reply reply;
            mqtt_reply_ack(&reply, version, types[i], 17);
            check_legal(&reply.packet);
            ck_assert_uint_eq(reply.packet.packet_id, 17);
            ck_assert_uint_eq(mqtt_encode_size(&reply.packet), 4);
        }
}
END_TEST

START_TEST(packet_size_is_lowered_never_raised)
{
    uint8_t wire[16], scratch[32];
    uint8_t *end = mqtt_property_put_u16(wire, MQTT_PROPERTY_RECEIVE_MAXIMUM, 7);
    struct mqtt_packet p = {.type = MQTT_CONNACK, .version = MQTT_V5};
    p.properties.wire = (struct mqtt_bytes){wire, (uint32_t)(end - wire)};
    ck_assert(mqtt_lower_packet_size(&p, 1000, scratch));
    ck_assert_uint_eq(mqtt_property_number(&p.properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 0), 1000);
    ck_assert_uint_eq(mqtt_property_number(&p.properties, MQTT_PROPERTY_RECEIVE_MAXIMUM, 0), 7);
    ck_assert(!mqtt_lower_packet_size(&p, 2000, wire));
    ck_assert(!mqtt_lower_packet_size(&p, 1000, wire));
    p.version = MQTT_V311;
    ck_assert(!mqtt_lower_packet_size(&p, 10, wire));
}
END_TEST

struct grant_sample {
    const char *name;
    uint16_t id; /* of the property; 0: the server does not say */
    uint32_t said;
    uint16_t asked_keep_alive_s;
    struct mqtt_grants most;
    uint16_t lowered_id; /* 0: nothing had to change */
    uint32_t lowered;
};

static const struct grant_sample grant_samples[] = {
    {"aliases, none offered", 0, 0, 60, {.topic_aliases = 3}, 0, 0},
    {"aliases", MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 10, 60, {.topic_aliases = 3}, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 3},
    {"aliases, fewer offered", MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 10, 60, {.topic_aliases = 10}, 0, 0},
    {"receive maximum, not said", 0, 0, 60, {.receive_maximum = 20}, MQTT_PROPERTY_RECEIVE_MAXIMUM, 20},
    {"receive maximum",
     MQTT_PROPERTY_RECEIVE_MAXIMUM,
     21,
     60,
     {.receive_maximum = 20},
     MQTT_PROPERTY_RECEIVE_MAXIMUM,
     20},
    {"receive maximum, less", MQTT_PROPERTY_RECEIVE_MAXIMUM, 20, 60, {.receive_maximum = 20}, 0, 0},
    {"receive maximum, no limit", MQTT_PROPERTY_RECEIVE_MAXIMUM, 20, 60, {.topic_aliases = 1}, 0, 0},
    {"packet size, not said", 0, 0, 60, {.packet_bytes = 9000}, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 9000},
    {"packet size",
     MQTT_PROPERTY_MAXIMUM_PACKET_SIZE,
     9001,
     60,
     {.packet_bytes = 9000},
     MQTT_PROPERTY_MAXIMUM_PACKET_SIZE,
     9000},
    {"packet size, less", MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 8999, 60, {.packet_bytes = 9000}, 0, 0},
    {"keep alive as asked", 0, 0, 60, {.keep_alive_s = 60}, 0, 0},
    {"keep alive above", 0, 0, 61, {.keep_alive_s = 60}, MQTT_PROPERTY_SERVER_KEEP_ALIVE, 60},
    {"no keep alive", 0, 0, 0, {.keep_alive_s = 60}, MQTT_PROPERTY_SERVER_KEEP_ALIVE, 60},
    {"the server's keep alive", MQTT_PROPERTY_SERVER_KEEP_ALIVE, 30, 0, {.keep_alive_s = 60}, 0, 0},
    {"the server's is more",
     MQTT_PROPERTY_SERVER_KEEP_ALIVE,
     90,
     10,
     {.keep_alive_s = 60},
     MQTT_PROPERTY_SERVER_KEEP_ALIVE,
     60},
    {"the server's is none",
     MQTT_PROPERTY_SERVER_KEEP_ALIVE,
     0,
     10,
     {.keep_alive_s = 60},
     MQTT_PROPERTY_SERVER_KEEP_ALIVE,
     60},
};

START_TEST(what_is_granted_is_lowered_never_raised)
{
    const struct grant_sample *s = &grant_samples[_i];
    uint8_t wire[16];
    const struct mqtt_bytes key = {(const uint8_t *)"k", 1}, value = {(const uint8_t *)"v", 1};
    uint8_t *end = mqtt_property_put_pair(wire, MQTT_PROPERTY_USER_PROPERTY, key, value);
    if (s->id != 0) {
        const struct mqtt_property prop = {
            .id = (uint8_t)s->id, .type = mqtt_property_info(s->id)->type, .number = s->said};
        end = mqtt_property_put(end, &prop);
    }
    struct mqtt_packet p = {.type = MQTT_CONNACK, .version = MQTT_V5};
    p.properties.wire = (struct mqtt_bytes){wire, (uint32_t)(end - wire)};
    uint8_t *scratch = malloc(p.properties.wire.len + MQTT_LOWER_GRANTS_ROOM); /* no more: the sanitizer looks */
    ck_assert_msg(mqtt_lower_grants(&p, &s->most, s->asked_keep_alive_s, scratch) == (s->lowered_id != 0), "%s",
                  s->name);
    if (s->lowered_id != 0)
        ck_assert_msg(mqtt_property_number(&p.properties, s->lowered_id, 0) == s->lowered, "%s", s->name);
    else
        ck_assert_ptr_eq(p.properties.wire.ptr, wire);
    ck_assert(mqtt_property_has(&p.properties, MQTT_PROPERTY_USER_PROPERTY));
    check_legal(&p);
    free(scratch);
}
END_TEST

START_TEST(everything_is_lowered_at_once)
{
    const struct mqtt_grants most = {.packet_bytes = 1, .receive_maximum = 2, .topic_aliases = 3, .keep_alive_s = 4};
    uint8_t wire[16], *scratch = malloc(3 + MQTT_LOWER_GRANTS_ROOM);
    uint8_t *end = mqtt_property_put_u16(wire, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 10);
    struct mqtt_packet p = {.type = MQTT_CONNACK, .version = MQTT_V5};
    p.properties.wire = (struct mqtt_bytes){wire, (uint32_t)(end - wire)};
    ck_assert(mqtt_lower_grants(&p, &most, 0, scratch));
    ck_assert_uint_eq(mqtt_property_number(&p.properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 0), 1);
    ck_assert_uint_eq(mqtt_property_number(&p.properties, MQTT_PROPERTY_RECEIVE_MAXIMUM, 0), 2);
    ck_assert_uint_eq(mqtt_property_number(&p.properties, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 0), 3);
    ck_assert_uint_eq(mqtt_property_number(&p.properties, MQTT_PROPERTY_SERVER_KEEP_ALIVE, 0), 4);
    check_legal(&p);
    p = (struct mqtt_packet){.type = MQTT_CONNACK, .version = MQTT_V311};
    ck_assert(!mqtt_lower_grants(&p, &most, 0, scratch));
    free(scratch);
}
END_TEST

static struct mqtt_packet packet(enum mqtt_type type, uint16_t id, uint8_t qos)
{
    struct mqtt_packet p = {.type = (uint8_t)type, .version = MQTT_V311, .packet_id = id};
    if (type == MQTT_PUBLISH)
        p.publish.qos = qos;
    return p;
}

START_TEST(a_session_is_done_when_every_exchange_both_ways_is)
{
    struct mqtt_exchanges e;
    mqtt_exchanges_init(&e);
    ck_assert(mqtt_exchanges_are_done(&e));
    const struct mqtt_packet up = packet(MQTT_PUBLISH, 1, 2), down = packet(MQTT_PUBLISH, 1, 1);
    ck_assert_int_eq(mqtt_exchanges_pass_up(&e, &up), 0);
    ck_assert_int_eq(mqtt_exchanges_pass_down(&e, &down), 0);
    const struct mqtt_packet pubrec = packet(MQTT_PUBREC, 1, 0), pubrel = packet(MQTT_PUBREL, 1, 0),
                             pubcomp = packet(MQTT_PUBCOMP, 1, 0), puback = packet(MQTT_PUBACK, 1, 0);
    mqtt_exchanges_pass_up(&e, &puback);
    ck_assert(!mqtt_exchanges_are_done(&e));
    mqtt_exchanges_pass_down(&e, &pubrec);
    mqtt_exchanges_pass_up(&e, &pubrel);
    ck_assert(!mqtt_exchanges_are_done(&e));
    mqtt_exchanges_pass_down(&e, &pubcomp);
    ck_assert(mqtt_exchanges_are_done(&e));
    mqtt_exchanges_deinit(&e);
}
END_TEST

START_TEST(qos_0_begins_no_exchange)
{
    const struct mqtt_packet qos0 = packet(MQTT_PUBLISH, 0, 0), qos1 = packet(MQTT_PUBLISH, 9, 1),
                             subscribe = packet(MQTT_SUBSCRIBE, 9, 0);
    ck_assert(!mqtt_exchange_begins(&qos0));
    ck_assert(mqtt_exchange_begins(&qos1));
    ck_assert(!mqtt_exchange_begins(&subscribe));
}
END_TEST

static Suite *mqtt_compose_suite(void)
{
    TCase *t;
    Suite *s = test_suite("mqtt_compose", &t);
    tcase_add_test(t, a_v5_refusal_carries_code_and_text);
    tcase_add_test(t, a_v3_refusal_is_the_old_code_or_silence);
    tcase_add_test(t, a_long_text_is_cut_between_characters);
    tcase_add_test(t, a_reference_takes_the_place_of_the_text);
    tcase_add_test(t, acks_are_legal_in_every_version);
    tcase_add_test(t, packet_size_is_lowered_never_raised);
    tcase_add_loop_test(t, what_is_granted_is_lowered_never_raised, 0, TEST_COUNT(grant_samples));
    tcase_add_test(t, everything_is_lowered_at_once);
    tcase_add_test(t, a_session_is_done_when_every_exchange_both_ways_is);
    tcase_add_test(t, qos_0_begins_no_exchange);
    return s;
}

TEST_MAIN(mqtt_compose_suite)
