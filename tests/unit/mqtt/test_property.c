/* Properties: the table against the standard's, places and repetition exhaustively, reading and writing. */
#include <string.h>

#include "mqtt_check.h"
#include "mqtt_property.h"
#include "mqtt_wire.h"
#include "test_main.h"

/* Table 2-4 of the standard, typed from it: where each property may stand. Letters: W will, c CONNECT, C CONNACK, P
 * PUBLISH, a PUBACK PUBREC PUBREL PUBCOMP, s SUBSCRIBE, S SUBACK, u UNSUBSCRIBE, U UNSUBACK, d DISCONNECT, A AUTH. */
static const struct {
    uint8_t id, type;
    const char *places;
} standard[] = {
    {0x01, MQTT_PROPERTY_TYPE_U8, "PW"},
    {0x02, MQTT_PROPERTY_TYPE_U32, "PW"},
    {0x03, MQTT_PROPERTY_TYPE_STRING, "PW"},
    {0x08, MQTT_PROPERTY_TYPE_STRING, "PW"},
    {0x09, MQTT_PROPERTY_TYPE_BINARY, "PW"},
    {0x0B, MQTT_PROPERTY_TYPE_VARINT, "Ps"},
    {0x11, MQTT_PROPERTY_TYPE_U32, "cCd"},
    {0x12, MQTT_PROPERTY_TYPE_STRING, "C"},
    {0x13, MQTT_PROPERTY_TYPE_U16, "C"},
    {0x15, MQTT_PROPERTY_TYPE_STRING, "cCA"},
    {0x16, MQTT_PROPERTY_TYPE_BINARY, "cCA"},
    {0x17, MQTT_PROPERTY_TYPE_U8, "c"},
    {0x18, MQTT_PROPERTY_TYPE_U32, "W"},
    {0x19, MQTT_PROPERTY_TYPE_U8, "c"},
    {0x1A, MQTT_PROPERTY_TYPE_STRING, "C"},
    {0x1C, MQTT_PROPERTY_TYPE_STRING, "Cd"},
    {0x1F, MQTT_PROPERTY_TYPE_STRING, "CaSUdA"},
    {0x21, MQTT_PROPERTY_TYPE_U16, "cC"},
    {0x22, MQTT_PROPERTY_TYPE_U16, "cC"},
    {0x23, MQTT_PROPERTY_TYPE_U16, "P"},
    {0x24, MQTT_PROPERTY_TYPE_U8, "C"},
    {0x25, MQTT_PROPERTY_TYPE_U8, "C"},
    {0x26, MQTT_PROPERTY_TYPE_PAIR, "WcCPasSuUdA"},
    {0x27, MQTT_PROPERTY_TYPE_U32, "cC"},
    {0x28, MQTT_PROPERTY_TYPE_U8, "C"},
    {0x29, MQTT_PROPERTY_TYPE_U8, "C"},
    {0x2A, MQTT_PROPERTY_TYPE_U8, "C"},
};

/* By packet type; 0 is the will, PING packets have none. */
static const char letters[] = "WcCPaaaasSuU--dA";

static bool may_stand(uint8_t id, uint8_t where)
{
    for (size_t i = 0; i < TEST_COUNT(standard); i++)
        if (standard[i].id == id)
            return letters[where] != '-' && strchr(standard[i].places, letters[where]);
    return false;
}

static struct mqtt_bytes bytes_of(const char *text)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)text, .len = (uint32_t)strlen(text)};
}

/* A value that is legal for ID. */
static struct mqtt_property property_of(uint8_t id)
{
    return (struct mqtt_property){.id = id,
                                  .type = mqtt_property_info(id)->type,
                                  .number = 1,
                                  .value = bytes_of("value"),
                                  .key = bytes_of("key")};
}

static int check_list(uint8_t where, const uint8_t *list, const uint8_t *end, struct mqtt_fault *fault)
{
    return mqtt_property_check(where, (struct mqtt_bytes){.ptr = list, .len = (uint32_t)(end - list)}, fault);
}

START_TEST(the_table_has_the_properties_of_the_standard)
{
    ck_assert_uint_eq(TEST_COUNT(standard), MQTT_PROPERTY_COUNT);
    unsigned known = 0;
    for (unsigned id = 0; id < 300; id++)
        known += mqtt_property_info(id)->type != MQTT_PROPERTY_TYPE_NONE;
    ck_assert_uint_eq(known, MQTT_PROPERTY_COUNT);
    for (size_t i = 0; i < TEST_COUNT(standard); i++) {
        ck_assert_uint_eq(mqtt_property_info(standard[i].id)->type, standard[i].type);
        ck_assert_ptr_nonnull(mqtt_property_info(standard[i].id)->name);
    }
}
END_TEST

/* M29: each property in each place. */
START_TEST(a_property_stands_only_where_it_may)
{
    for (size_t i = 0; i < TEST_COUNT(standard); i++)
        for (uint8_t where = 0; where < 16; where++) {
            uint8_t list[64];
            struct mqtt_property prop = property_of(standard[i].id);
            struct mqtt_fault fault = {.reason = 0};
            int r = check_list(where, list, mqtt_property_put(list, &prop), &fault);
            ck_assert_msg(r == (may_stand(prop.id, where) ? 0 : MQTT_CHECK_BAD), "property 0x%02X in %u", prop.id,
                          where);
            ck_assert_uint_eq(fault.reason, r ? MQTT_REASON_MALFORMED_PACKET : 0);
        }
}
END_TEST

/* M28: each property twice, in each place where it may stand once. */
START_TEST(a_property_comes_twice_only_if_it_may)
{
    for (size_t i = 0; i < TEST_COUNT(standard); i++)
        for (uint8_t where = 0; where < 16; where++) {
            uint8_t list[64];
            struct mqtt_property prop = property_of(standard[i].id);
            struct mqtt_fault fault = {.reason = 0};
            bool may = prop.id == 0x26 || (prop.id == 0x0B && where == MQTT_PUBLISH);
            if (!may_stand(prop.id, where))
                continue;
            uint8_t *end = mqtt_property_put(mqtt_property_put(list, &prop), &prop);
            ck_assert_int_eq(check_list(where, list, end, &fault), may ? 0 : MQTT_CHECK_BAD);
            ck_assert_uint_eq(fault.reason, may ? 0 : MQTT_REASON_PROTOCOL_ERROR);
        }
}
END_TEST

START_TEST(numbers_keep_to_their_range)
{
    static const struct {
        uint8_t id, where;
        uint32_t number;
        uint8_t reason; /* 0: legal */
    } cases[] = {
        {0x01, MQTT_PUBLISH, 0, 0},
        {0x01, MQTT_PUBLISH, 1, 0},
        {0x01, MQTT_PUBLISH, 2, 0x82},
        {0x01, MQTT_WILL, 255, 0x82},
        {0x02, MQTT_PUBLISH, 0, 0},
        {0x02, MQTT_PUBLISH, UINT32_MAX, 0},
        {0x0B, MQTT_SUBSCRIBE, 0, 0x82},
        {0x0B, MQTT_PUBLISH, 0, 0x82},
        {0x0B, MQTT_SUBSCRIBE, MQTT_VARINT_MAX, 0},
        {0x13, MQTT_CONNACK, 0, 0},
        {0x17, MQTT_CONNECT, 2, 0x82},
        {0x19, MQTT_CONNECT, 2, 0x82},
        {0x21, MQTT_CONNECT, 0, 0x82},
        {0x21, MQTT_CONNACK, 65535, 0},
        {0x22, MQTT_CONNECT, 0, 0},
        {0x23, MQTT_PUBLISH, 0, 0x94},
        {0x23, MQTT_PUBLISH, 65535, 0},
        {0x24, MQTT_CONNACK, 2, 0x82},
        {0x24, MQTT_CONNACK, 0, 0},
        {0x25, MQTT_CONNACK, 2, 0x82},
        {0x27, MQTT_CONNECT, 0, 0x82},
        {0x27, MQTT_CONNACK, 1, 0},
        {0x28, MQTT_CONNACK, 2, 0x82},
        {0x29, MQTT_CONNACK, 2, 0x82},
        {0x2A, MQTT_CONNACK, 2, 0x82},
        {0x11, MQTT_CONNECT, UINT32_MAX, 0},
        {0x18, MQTT_WILL, UINT32_MAX, 0},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        uint8_t list[8];
        struct mqtt_property prop = property_of(cases[i].id);
        struct mqtt_fault fault = {.reason = 0};
        prop.number = cases[i].number;
        check_list(cases[i].where, list, mqtt_property_put(list, &prop), &fault);
        ck_assert_msg(fault.reason == cases[i].reason, "property 0x%02X = %u: 0x%02X", prop.id, prop.number,
                      fault.reason);
    }
}
END_TEST

/* Cut at each byte a property is either whole before it or malformed. */
START_TEST(a_cut_list_is_malformed_and_its_walk_ends)
{
    for (size_t i = 0; i < TEST_COUNT(standard); i++) {
        uint8_t list[64];
        struct mqtt_property prop = property_of(standard[i].id), got;
        uint8_t where = (uint8_t)__builtin_ctz(mqtt_property_info(prop.id)->places);
        uint8_t *end = mqtt_property_put(list, &prop);
        for (uint8_t *cut = list + 1; cut < end; cut++) {
            uint8_t *exact = malloc((size_t)(cut - list));
            memcpy(exact, list, (size_t)(cut - list));
            struct mqtt_bytes iter = {.ptr = exact, .len = (uint32_t)(cut - list)};
            struct mqtt_fault fault;
            ck_assert_int_eq(mqtt_property_check(where, iter, &fault), MQTT_CHECK_BAD);
            ck_assert_uint_eq(fault.reason, MQTT_REASON_MALFORMED_PACKET);
            ck_assert(!mqtt_property_next(&iter, &got));
            free(exact);
        }
    }
}
END_TEST

START_TEST(what_is_put_is_read_again)
{
    uint8_t list[1024], *end = list;
    for (size_t i = 0; i < TEST_COUNT(standard); i++) {
        struct mqtt_property prop = property_of(standard[i].id);
        uint8_t *before = end;
        end = mqtt_property_put(end, &prop);
        ck_assert_uint_eq((size_t)(end - before), mqtt_property_size(&prop));
    }
    struct mqtt_bytes iter = {.ptr = list, .len = (uint32_t)(end - list)};
    struct mqtt_property got;
    for (size_t i = 0; i < TEST_COUNT(standard); i++) {
        ck_assert(mqtt_property_next(&iter, &got));
        ck_assert_uint_eq(got.id, standard[i].id);
        ck_assert_uint_eq(got.type, standard[i].type);
        if (got.type <= MQTT_PROPERTY_TYPE_VARINT) {
            ck_assert_uint_eq(got.number, 1);
            continue;
        }
        ck_assert_uint_eq(got.value.len, 5);
        ck_assert_mem_eq(got.value.ptr, "value", 5);
        ck_assert_uint_eq(got.key.len, got.type == MQTT_PROPERTY_TYPE_PAIR ? 3 : 0);
    }
    ck_assert(!mqtt_property_next(&iter, &got));
}
END_TEST

START_TEST(numbers_are_written_in_network_order)
{
    uint8_t out[8];
    ck_assert_ptr_eq(mqtt_property_put_u32(out, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 0x01020304), out + 5);
    ck_assert_mem_eq(out, "\x27\1\2\3\4", 5);
    ck_assert_ptr_eq(mqtt_property_put_u16(out, MQTT_PROPERTY_TOPIC_ALIAS, 0x0102), out + 3);
    ck_assert_mem_eq(out, "\x23\1\2", 3);
    ck_assert_ptr_eq(mqtt_property_put_varint(out, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER, 128), out + 3);
    ck_assert_mem_eq(out, "\x0B\x80\1", 3);
}
END_TEST

/* CONNECT with Receive Maximum 5, Maximum Packet Size 100, k=v. */
static const char connect_list[] = "\x21\0\5\x27\0\0\0\x64\x26\0\1k\0\1v";

static struct mqtt_properties list_of(const char *wire, size_t len)
{
    return (struct mqtt_properties){.wire = {.ptr = (const uint8_t *)wire, .len = (uint32_t)len}};
}

START_TEST(properties_are_found_by_id)
{
    struct mqtt_properties list = list_of(connect_list, sizeof(connect_list) - 1), none = {0};
    struct mqtt_property prop;
    ck_assert(mqtt_property_find(&list, MQTT_PROPERTY_USER_PROPERTY, &prop));
    ck_assert_uint_eq(prop.value.len, 1);
    ck_assert(!mqtt_property_find(&list, MQTT_PROPERTY_TOPIC_ALIAS, &prop));
    ck_assert(mqtt_property_has(&list, MQTT_PROPERTY_RECEIVE_MAXIMUM));
    ck_assert(!mqtt_property_has(&none, MQTT_PROPERTY_RECEIVE_MAXIMUM));
    ck_assert_uint_eq(mqtt_property_number(&list, MQTT_PROPERTY_RECEIVE_MAXIMUM, 65535), 5);
    ck_assert_uint_eq(mqtt_property_number(&none, MQTT_PROPERTY_RECEIVE_MAXIMUM, 65535), 65535);
}
END_TEST

START_TEST(a_copy_can_leave_one_id_out)
{
    struct mqtt_properties list = list_of(connect_list, sizeof(connect_list) - 1);
    uint8_t out[64];
    uint8_t *end = mqtt_property_copy_without(out, &list, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE);
    ck_assert_uint_eq((size_t)(end - out), 10);
    ck_assert_mem_eq(out, "\x21\0\5\x26\0\1k\0\1v", 10);
    end = mqtt_property_copy_without(out, &list, MQTT_PROPERTY_TOPIC_ALIAS);
    ck_assert_uint_eq((size_t)(end - out), list.wire.len);
    ck_assert_mem_eq(out, connect_list, list.wire.len);
}
END_TEST

START_TEST(a_copy_can_set_a_number)
{
    struct mqtt_properties list = list_of(connect_list, sizeof(connect_list) - 1), none = {0};
    uint8_t out[64];
    uint8_t *end = mqtt_property_copy_with_u32(out, &list, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 50);
    ck_assert_mem_eq(out, "\x21\0\5\x26\0\1k\0\1v\x27\0\0\0\x32", 15);
    ck_assert_uint_eq((size_t)(end - out), list.wire.len);
    end = mqtt_property_copy_with_u32(out, &none, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 50);
    ck_assert_uint_eq((size_t)(end - out), 5);
}
END_TEST

static Suite *property_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/property", &tc);
    tcase_add_test(tc, the_table_has_the_properties_of_the_standard);
    tcase_add_test(tc, a_property_stands_only_where_it_may);
    tcase_add_test(tc, a_property_comes_twice_only_if_it_may);
    tcase_add_test(tc, numbers_keep_to_their_range);
    tcase_add_test(tc, a_cut_list_is_malformed_and_its_walk_ends);
    tcase_add_test(tc, what_is_put_is_read_again);
    tcase_add_test(tc, numbers_are_written_in_network_order);
    tcase_add_test(tc, properties_are_found_by_id);
    tcase_add_test(tc, a_copy_can_leave_one_id_out);
    tcase_add_test(tc, a_copy_can_set_a_number);
    return suite;
}

TEST_MAIN(property_suite)
