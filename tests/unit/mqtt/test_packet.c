/* Packet structs: names, lists, equality and the copy that lasts. */
#include <string.h>

#include "mqtt_packet.h"
#include "packet_gen.h"
#include "test_main.h"

static struct mqtt_bytes bytes_of(const char *wire, size_t len)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)wire, .len = (uint32_t)len};
}

START_TEST(names_are_never_null)
{
    ck_assert_str_eq(mqtt_type_name(MQTT_CONNECT), "CONNECT");
    ck_assert_str_eq(mqtt_type_name(MQTT_PUBCOMP), "PUBCOMP");
    ck_assert_str_eq(mqtt_type_name(MQTT_AUTH), "AUTH");
    ck_assert_str_eq(mqtt_type_name(0), "packet type 0");
    ck_assert_ptr_nonnull(mqtt_type_name(16));
    ck_assert_str_eq(mqtt_version_name(MQTT_V31), "3.1");
    ck_assert_str_eq(mqtt_version_name(MQTT_V311), "3.1.1");
    ck_assert_str_eq(mqtt_version_name(MQTT_V5), "5.0");
    ck_assert_ptr_nonnull(mqtt_version_name(9));
}
END_TEST

START_TEST(subscriptions_come_one_by_one)
{
    struct mqtt_bytes iter = bytes_of("\0\1a\x2E\0\3b/#\x01", 10);
    struct mqtt_subscription s;
    ck_assert(mqtt_subscription_next(&iter, &s));
    ck_assert_mem_eq(s.filter.ptr, "a", 1);
    ck_assert_uint_eq(s.qos, 2);
    ck_assert_uint_eq(s.retain_handling, 2);
    ck_assert(s.no_local && s.retain_as_published);
    ck_assert(mqtt_subscription_next(&iter, &s));
    ck_assert_uint_eq(s.filter.len, 3);
    ck_assert_uint_eq(s.qos, 1);
    ck_assert(!s.no_local && !s.retain_as_published && s.retain_handling == 0);
    ck_assert(!mqtt_subscription_next(&iter, &s));
    ck_assert_uint_eq(iter.len, 0);
}
END_TEST

START_TEST(a_walk_stops_where_a_list_is_cut)
{
    struct mqtt_subscription s;
    struct mqtt_bytes filter;
    for (size_t cut = 0; cut < 4; cut++) {
        struct mqtt_bytes iter = bytes_of("\0\1a\1", cut);
        ck_assert(!mqtt_subscription_next(&iter, &s));
        ck_assert_uint_eq(iter.len, cut);
    }
    struct mqtt_bytes iter = bytes_of("\0\1a\0", 4);
    ck_assert(mqtt_filter_next(&iter, &filter));
    ck_assert(!mqtt_filter_next(&iter, &filter));
    ck_assert_uint_eq(iter.len, 1);
}
END_TEST

START_TEST(a_changed_field_makes_packets_differ)
{
    struct packet_gen g;
    packet_gen_init(&g, 5);
    for (int i = 0; i < 500; i++) {
        struct mqtt_packet p;
        packet_gen_next(&g, MQTT_V5, &p);
        struct mqtt_packet changed[] = {p, p, p, p, p};
        changed[0].type ^= 1;
        changed[1].version = MQTT_V311;
        changed[2].packet_id++;
        changed[3].reason_code++;
        changed[4].dup = !p.dup;
        for (size_t k = 0; k < TEST_COUNT(changed); k++)
            ck_assert(!mqtt_packet_equal(&p, &changed[k]));
    }
    packet_gen_deinit(&g);
}
END_TEST

static const uint8_t text[] = "same and other";

static struct mqtt_packet connect_of(void)
{
    struct mqtt_packet p = {.type = MQTT_CONNECT, .version = MQTT_V5};
    p.connect = (struct mqtt_connect){.protocol_level = 5, .has_username = true, .has_will = true};
    p.connect.client_id = p.connect.username = p.connect.will.topic = p.connect.will.payload =
        (struct mqtt_bytes){text, 4};
    return p;
}

START_TEST(a_changed_connect_field_makes_packets_differ)
{
    struct mqtt_packet p = connect_of(), changed[11];
    for (size_t i = 0; i < TEST_COUNT(changed); i++)
        changed[i] = p;
    changed[0].connect.keep_alive_s++;
    changed[1].connect.protocol_level |= MQTT_BRIDGE_BIT;
    changed[2].connect.clean_start = true;
    changed[3].connect.has_username = false;
    changed[4].connect.has_password = true; /* and empty: not the same as absent */
    changed[5].connect.will.qos = 1;
    changed[6].connect.will.retain = true;
    changed[7].connect.client_id.len = 3;
    changed[8].connect.username.ptr += 5;
    changed[9].connect.will.payload.len = 0;
    changed[10].connect.will.properties.wire = (struct mqtt_bytes){text, 1};
    for (size_t i = 0; i < TEST_COUNT(changed); i++)
        ck_assert_msg(!mqtt_packet_equal(&p, &changed[i]), "change %zu", i);
    ck_assert(mqtt_packet_equal(&p, &p));
}
END_TEST

START_TEST(a_changed_field_of_other_packets_makes_them_differ)
{
    struct mqtt_packet publish = {.type = MQTT_PUBLISH, .version = MQTT_V5}, changed = publish;
    changed.publish.qos = 1;
    ck_assert(!mqtt_packet_equal(&publish, &changed));
    changed = publish;
    changed.publish.retain = true;
    ck_assert(!mqtt_packet_equal(&publish, &changed));
    changed = publish;
    changed.publish.topic = changed.publish.payload = (struct mqtt_bytes){text, 1};
    ck_assert(!mqtt_packet_equal(&publish, &changed));

    struct mqtt_packet connack = {.type = MQTT_CONNACK, .version = MQTT_V311};
    changed = connack;
    changed.connack.session_present = true;
    ck_assert(!mqtt_packet_equal(&connack, &changed));

    struct mqtt_packet suback = {.type = MQTT_SUBACK, .version = MQTT_V311};
    changed = suback;
    changed.reason_codes = (struct mqtt_bytes){text, 1};
    ck_assert(!mqtt_packet_equal(&suback, &changed));
}
END_TEST

START_TEST(what_a_packet_does_not_have_does_not_count)
{
    struct mqtt_packet a = connect_of(), b = connect_of();
    a.connect.has_will = b.connect.has_will = a.connect.has_username = b.connect.has_username = false;
    b.connect.will.topic.len = 1;
    b.connect.will.qos = 2;
    b.connect.username.len = 2;
    ck_assert(mqtt_packet_equal(&a, &b));
}
END_TEST

START_TEST(an_empty_value_is_the_same_wherever_it_points)
{
    struct mqtt_packet a = {.type = MQTT_PUBLISH, .version = MQTT_V311}, b = a;
    a.publish.topic = b.publish.topic = (struct mqtt_bytes){text, 4};
    b.publish.payload = (struct mqtt_bytes){text, 0};
    ck_assert(mqtt_packet_equal(&a, &b));
}
END_TEST

START_TEST(a_stored_packet_points_into_itself)
{
    struct mqtt_packet p = connect_of();
    struct mqtt_packet *copy = mqtt_packet_store(&p);
    ck_assert(mqtt_packet_equal(&p, copy));
    ck_assert_ptr_eq(copy->connect.client_id.ptr, (uint8_t *)(copy + 1));
    ck_assert_ptr_ne(copy->connect.will.payload.ptr, text);
    free(copy);
}
END_TEST

static Suite *packet_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/packet", &tc);
    tcase_add_test(tc, names_are_never_null);
    tcase_add_test(tc, subscriptions_come_one_by_one);
    tcase_add_test(tc, a_walk_stops_where_a_list_is_cut);
    tcase_add_test(tc, a_changed_field_makes_packets_differ);
    tcase_add_test(tc, a_changed_connect_field_makes_packets_differ);
    tcase_add_test(tc, a_changed_field_of_other_packets_makes_them_differ);
    tcase_add_test(tc, what_a_packet_does_not_have_does_not_count);
    tcase_add_test(tc, an_empty_value_is_the_same_wherever_it_points);
    tcase_add_test(tc, a_stored_packet_points_into_itself);
    return suite;
}

TEST_MAIN(packet_suite)
