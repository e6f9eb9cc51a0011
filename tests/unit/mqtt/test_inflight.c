/* Ids in flight: the set against a plain array, and the exchanges of QoS 1 and 2. */
#include <string.h>

#include "mqtt_inflight.h"
#include "mqtt_reason.h"
#include "packet_gen.h"
#include "test_main.h"

static struct mqtt_inflight f;

static void set_up(void)
{
    mqtt_inflight_init(&f);
}

static void tear_down(void)
{
    mqtt_inflight_clear(&f);
}

static struct mqtt_packet packet_of(uint8_t type, uint16_t id, uint8_t qos)
{
    struct mqtt_packet p = {.type = type, .version = MQTT_V5, .packet_id = id};
    if (type == MQTT_PUBLISH)
        p.publish.qos = qos;
    return p;
}

static int sent(uint8_t type, uint16_t id, uint8_t qos)
{
    struct mqtt_packet p = packet_of(type, id, qos);
    return mqtt_inflight_sent(&f, &p);
}

static int answered(uint8_t type, uint16_t id, uint8_t reason)
{
    struct mqtt_packet p = packet_of(type, id, 0);
    p.reason_code = reason;
    return mqtt_inflight_answered(&f, &p);
}

START_TEST(an_empty_set_holds_no_memory)
{
    ck_assert_uint_eq(mqtt_inflight_count(&f), 0);
    for (uint16_t id = 1; id <= 6; id++)
        ck_assert_int_eq(mqtt_inflight_add(&f, id, MQTT_INFLIGHT_PUBLISH_1), 0);
    ck_assert_ptr_null(f.slots);
    for (uint16_t id = 7; id <= 1000; id++)
        ck_assert_int_eq(mqtt_inflight_add(&f, id, MQTT_INFLIGHT_PUBLISH_1), 0);
    ck_assert_ptr_nonnull(f.slots);
    for (uint16_t id = 1; id <= 1000; id++)
        ck_assert_int_eq(mqtt_inflight_remove(&f, id), 0);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 0);
    ck_assert_ptr_null(f.slots);
}
END_TEST

START_TEST(an_id_is_in_use_once)
{
    ck_assert_int_eq(mqtt_inflight_add(&f, 65535, MQTT_INFLIGHT_SUBSCRIBE), 0);
    ck_assert_int_eq(mqtt_inflight_add(&f, 65535, MQTT_INFLIGHT_PUBLISH_1), MQTT_INFLIGHT_IN_USE);
    ck_assert_int_eq(mqtt_inflight_find(&f, 65535), MQTT_INFLIGHT_SUBSCRIBE);
    ck_assert_int_eq(mqtt_inflight_find(&f, 1), MQTT_INFLIGHT_NONE);
    ck_assert_int_eq(mqtt_inflight_advance(&f, 1, MQTT_INFLIGHT_PUBREC), MQTT_INFLIGHT_UNKNOWN);
    ck_assert_int_eq(mqtt_inflight_remove(&f, 1), MQTT_INFLIGHT_UNKNOWN);
    ck_assert_int_eq(mqtt_inflight_remove(&f, 65535), 0);
    ck_assert_int_eq(mqtt_inflight_find(&f, 65535), MQTT_INFLIGHT_NONE);
}
END_TEST

START_TEST(all_65535_ids_fit_at_once)
{
    for (uint32_t id = 1; id <= 65535; id++)
        ck_assert_int_eq(mqtt_inflight_add(&f, (uint16_t)id, MQTT_INFLIGHT_PUBLISH_2), 0);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 65535);
    for (uint32_t id = 1; id <= 65535; id++)
        ck_assert_int_eq(mqtt_inflight_find(&f, (uint16_t)id), MQTT_INFLIGHT_PUBLISH_2);
}
END_TEST

static uint8_t model[65536];
static uint32_t model_count, model_publishes, model_qos_1;

static bool is_publish(uint8_t state)
{
    return state >= MQTT_INFLIGHT_PUBLISH_1 && state <= MQTT_INFLIGHT_PUBREL;
}

static void model_set(uint16_t id, uint8_t state)
{
    uint8_t old = model[id];
    model_count += (state != 0) - (old != 0);
    model_publishes += is_publish(state) - is_publish(old);
    model_qos_1 += (state == MQTT_INFLIGHT_PUBLISH_1) - (old == MQTT_INFLIGHT_PUBLISH_1);
    model[id] = state;
}

static void step(struct packet_gen *g, uint32_t range)
{
    uint16_t id = (uint16_t)(1 + packet_gen_below(g, range));
    uint8_t state = (uint8_t)(1 + packet_gen_below(g, 7));
    bool is_known = model[id] != 0;
    switch (packet_gen_below(g, 3)) {
    case 0:
        ck_assert_int_eq(mqtt_inflight_add(&f, id, state), is_known ? MQTT_INFLIGHT_IN_USE : 0);
        if (!is_known)
            model_set(id, state);
        break;
    case 1:
        ck_assert_int_eq(mqtt_inflight_remove(&f, id), is_known ? 0 : MQTT_INFLIGHT_UNKNOWN);
        model_set(id, 0);
        break;
    default:
        ck_assert_int_eq(mqtt_inflight_advance(&f, id, state), is_known ? 0 : MQTT_INFLIGHT_UNKNOWN);
        if (is_known)
            model_set(id, state);
    }
}

static void assert_same_as_model(void)
{
    uint32_t pos = 0, n = 0;
    uint16_t id;
    enum mqtt_inflight_state state;
    ck_assert_uint_eq(mqtt_inflight_count(&f), model_count);
    ck_assert_uint_eq(mqtt_inflight_publish_count(&f), model_publishes);
    ck_assert_uint_eq(mqtt_inflight_qos_1_count(&f), model_qos_1);
    for (; mqtt_inflight_next(&f, &pos, &id, &state); n++)
        ck_assert_uint_eq(model[id], state);
    ck_assert_uint_eq(n, model_count);
    for (uint32_t i = 1; i < 65536; i++)
        ck_assert_uint_eq(mqtt_inflight_find(&f, (uint16_t)i), model[i]);
}

/* Few ids over and over, so that additions and removals meet in the same slots; then many. */
START_TEST(the_set_behaves_like_an_array)
{
    static const uint32_t ranges[] = {5, 12, 100, 3000, 65535};
    struct packet_gen g;
    packet_gen_init(&g, 99);
    memset(model, 0, sizeof(model));
    model_count = model_publishes = model_qos_1 = 0;
    for (size_t k = 0; k < TEST_COUNT(ranges); k++) {
        for (int i = 0; i < 20000; i++)
            step(&g, ranges[k]);
        assert_same_as_model();
    }
    packet_gen_deinit(&g);
}
END_TEST

START_TEST(qos_1_ends_with_puback)
{
    ck_assert_int_eq(sent(MQTT_PUBLISH, 7, 1), 0);
    ck_assert_int_eq(mqtt_inflight_find(&f, 7), MQTT_INFLIGHT_PUBLISH_1);
    ck_assert_int_eq(answered(MQTT_PUBREC, 7, 0), MQTT_INFLIGHT_UNKNOWN);
    ck_assert_int_eq(answered(MQTT_PUBACK, 7, 0), 0);
    ck_assert_int_eq(answered(MQTT_PUBACK, 7, 0), MQTT_INFLIGHT_UNKNOWN);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 0);
}
END_TEST

START_TEST(qos_2_goes_through_its_three_states)
{
    ck_assert_int_eq(sent(MQTT_PUBLISH, 7, 2), 0);
    ck_assert_int_eq(mqtt_inflight_find(&f, 7), MQTT_INFLIGHT_PUBLISH_2);
    ck_assert_int_eq(answered(MQTT_PUBREC, 7, 0x10), 0);
    ck_assert_int_eq(mqtt_inflight_find(&f, 7), MQTT_INFLIGHT_PUBREC);
    ck_assert_int_eq(answered(MQTT_PUBCOMP, 7, 0), MQTT_INFLIGHT_UNKNOWN);
    ck_assert_int_eq(sent(MQTT_PUBREL, 7, 0), 0);
    ck_assert_int_eq(mqtt_inflight_find(&f, 7), MQTT_INFLIGHT_PUBREL);
    ck_assert_int_eq(answered(MQTT_PUBCOMP, 7, 0), 0);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 0);
}
END_TEST

START_TEST(a_failed_pubrec_ends_the_exchange)
{
    sent(MQTT_PUBLISH, 7, 2);
    ck_assert_int_eq(answered(MQTT_PUBREC, 7, 0x80), 0);
    ck_assert_int_eq(mqtt_inflight_find(&f, 7), MQTT_INFLIGHT_NONE);
}
END_TEST

START_TEST(repeats_change_nothing)
{
    sent(MQTT_PUBLISH, 7, 2);
    ck_assert_int_eq(sent(MQTT_PUBLISH, 7, 2), 0);
    answered(MQTT_PUBREC, 7, 0);
    ck_assert_int_eq(sent(MQTT_PUBLISH, 7, 2), 0);
    ck_assert_int_eq(mqtt_inflight_find(&f, 7), MQTT_INFLIGHT_PUBREC);
    sent(MQTT_PUBREL, 7, 0);
    ck_assert_int_eq(answered(MQTT_PUBREC, 7, 0), 0);
    ck_assert_int_eq(sent(MQTT_PUBREL, 7, 0), 0);
    ck_assert_int_eq(sent(MQTT_PUBLISH, 7, 2), 0); /* against MQTT-4.3.3-6, but harmless */
    ck_assert_int_eq(mqtt_inflight_find(&f, 7), MQTT_INFLIGHT_PUBREL);
    ck_assert_int_eq(sent(MQTT_PUBLISH, 7, 1), MQTT_INFLIGHT_IN_USE);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 1);
}
END_TEST

START_TEST(an_id_does_not_serve_two_kinds_of_exchange)
{
    sent(MQTT_SUBSCRIBE, 7, 0);
    ck_assert_int_eq(sent(MQTT_PUBLISH, 7, 1), MQTT_INFLIGHT_IN_USE);
    ck_assert_int_eq(sent(MQTT_PUBLISH, 7, 2), MQTT_INFLIGHT_IN_USE);
    ck_assert_int_eq(sent(MQTT_PUBREL, 7, 0), MQTT_INFLIGHT_IN_USE);
    ck_assert_int_eq(sent(MQTT_UNSUBSCRIBE, 7, 0), MQTT_INFLIGHT_IN_USE);
    ck_assert_int_eq(answered(MQTT_UNSUBACK, 7, 0), MQTT_INFLIGHT_UNKNOWN);
    ck_assert_int_eq(answered(MQTT_SUBACK, 7, 0), 0);
    ck_assert_int_eq(sent(MQTT_UNSUBSCRIBE, 7, 0), 0);
    ck_assert_int_eq(answered(MQTT_UNSUBACK, 7, 0), 0);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 0);
}
END_TEST

/* A session that came back: PUBREL is the first that is seen of the exchange. Its PUBLISH took from the Receive Maximum
 * of another connection. */
START_TEST(a_pubrel_out_of_nothing_awaits_its_pubcomp)
{
    ck_assert_int_eq(sent(MQTT_PUBREL, 7, 0), MQTT_INFLIGHT_UNKNOWN);
    ck_assert_int_eq(sent(MQTT_PUBREL, 7, 0), 0);
    ck_assert_int_eq(mqtt_inflight_find(&f, 7), MQTT_INFLIGHT_PUBREL_ALONE);
    ck_assert_uint_eq(mqtt_inflight_publish_count(&f), 0);
    ck_assert_int_eq(answered(MQTT_PUBCOMP, 7, 0x92), 0);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 0);
}
END_TEST

START_TEST(other_packets_are_nothing_to_the_set)
{
    ck_assert_int_eq(sent(MQTT_PUBLISH, 0, 0), 0);
    ck_assert_int_eq(sent(MQTT_PINGREQ, 0, 0), 0);
    ck_assert_int_eq(sent(MQTT_PUBACK, 3, 0), 0);
    ck_assert_int_eq(answered(MQTT_PUBLISH, 3, 0), 0);
    ck_assert_int_eq(answered(MQTT_CONNACK, 0, 0), 0);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 0);
}
END_TEST

START_TEST(only_publishes_count_against_receive_maximum)
{
    sent(MQTT_SUBSCRIBE, 1, 0);
    sent(MQTT_PUBLISH, 2, 1);
    sent(MQTT_PUBLISH, 3, 2);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 3);
    ck_assert_uint_eq(mqtt_inflight_publish_count(&f), 2);
    ck_assert_uint_eq(mqtt_inflight_qos_1_count(&f), 1);
    answered(MQTT_PUBREC, 3, 0);
    ck_assert_uint_eq(mqtt_inflight_publish_count(&f), 2);
    sent(MQTT_PUBREL, 3, 0);
    answered(MQTT_PUBCOMP, 3, 0);
    answered(MQTT_PUBACK, 2, 0);
    ck_assert_uint_eq(mqtt_inflight_publish_count(&f), 0);
    ck_assert_uint_eq(mqtt_inflight_count(&f), 1);
}
END_TEST

static Suite *inflight_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/inflight", &tc);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, an_empty_set_holds_no_memory);
    tcase_add_test(tc, an_id_is_in_use_once);
    tcase_add_test(tc, all_65535_ids_fit_at_once);
    tcase_add_test(tc, the_set_behaves_like_an_array);
    tcase_add_test(tc, qos_1_ends_with_puback);
    tcase_add_test(tc, qos_2_goes_through_its_three_states);
    tcase_add_test(tc, a_failed_pubrec_ends_the_exchange);
    tcase_add_test(tc, repeats_change_nothing);
    tcase_add_test(tc, an_id_does_not_serve_two_kinds_of_exchange);
    tcase_add_test(tc, a_pubrel_out_of_nothing_awaits_its_pubcomp);
    tcase_add_test(tc, other_packets_are_nothing_to_the_set);
    tcase_add_test(tc, only_publishes_count_against_receive_maximum);
    return suite;
}

TEST_MAIN(inflight_suite)
