/* packet_to_protobuf, protobuf_to_packet: the structs that users of the library see, whole memory management included.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "mqtt_encode.h"
#include "mqttv3.pb-c.h"
#include "mqttv5.pb-c.h"
#include "packet_to_protobuf.h"
#include "protobuf_to_packet.h"
#include "test_main.h"

/* Counts what is not freed yet, and fails from the allocation number `fail_at` on. */
struct counting {
    ProtobufCAllocator allocator;
    int allocated, live, fail_at;
};

static void *counting_alloc(void *data, size_t size)
{
    struct counting *c = data;
    if (c->allocated++ >= c->fail_at)
        return NULL;
    c->live++;
    return malloc(size);
}

static void counting_free(void *data, void *ptr)
{
    struct counting *c = data;
    c->live -= ptr != NULL;
    free(ptr);
}

static void counting_init(struct counting *c, int fail_at)
{
    *c = (struct counting){.allocator = {counting_alloc, counting_free, c}, .fail_at = fail_at};
}

START_TEST(every_packet_packs_to_the_golden_message)
{
    const struct golden *row = &golden[_i];
    struct mqtt_packet packet;
    ProtobufCMessage *m;
    uint8_t wire[GOLDEN_MAX], expected[GOLDEN_MAX], got[GOLDEN_MAX];
    size_t len = golden_bytes(row->message, expected, sizeof(expected));
    golden_packet(row, wire, &packet);
    ck_assert_int_eq(packet_to_protobuf(&packet, NULL, &m), 0);
    ck_assert_msg(protobuf_c_message_get_packed_size(m) == len, "%s", row->name);
    protobuf_c_message_pack(m, got);
    ck_assert_msg(memcmp(got, expected, len) == 0, "%s", row->name);
    protobuf_c_message_free_unpacked(m, NULL);
}
END_TEST

START_TEST(every_golden_message_unpacks_to_its_packet)
{
    const struct golden *row = &golden[_i];
    uint8_t bytes[GOLDEN_MAX], mqtt[GOLDEN_MAX], got[GOLDEN_MAX];
    size_t len = golden_bytes(row->message, bytes, sizeof(bytes));
    size_t mqtt_len = golden_bytes(row->mqtt, mqtt, sizeof(mqtt));
    ProtobufCMessage *m = protobuf_c_message_unpack(row->version == MQTT_V5 ? &mqttv5__mqtt_packet__descriptor
                                                                            : &mqttv3__mqtt_packet__descriptor,
                                                    NULL, len, bytes);
    ck_assert_ptr_nonnull(m);
    size_t scratch_bytes = protobuf_scratch_bytes(m);
    uint8_t *scratch = malloc(scratch_bytes);
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    if (scratch_bytes > 0)
        ck_assert_int_eq(protobuf_to_packet(m, row->version, scratch, scratch_bytes - 1, &packet, &fault),
                         CONVERT_SCRATCH);
    int r = protobuf_to_packet(m, row->version, scratch, scratch_bytes, &packet, &fault);
    ck_assert_msg(r == CONVERT_OK, "%s: %s", row->name, r == CONVERT_REFUSED ? fault.text : "");
    ck_assert_uint_eq(mqtt_encode(&packet, got), mqtt_len);
    ck_assert_msg(memcmp(got, mqtt, mqtt_len) == 0, "%s", row->name);
    free(scratch);
    protobuf_c_message_free_unpacked(m, NULL);
}
END_TEST

START_TEST(each_allocation_that_fails_leaves_nothing_behind)
{
    const struct golden *row = &golden[_i];
    struct mqtt_packet packet;
    struct counting c;
    ProtobufCMessage *m = NULL;
    uint8_t wire[GOLDEN_MAX];
    golden_packet(row, wire, &packet);
    counting_init(&c, INT32_MAX);
    ck_assert_int_eq(packet_to_protobuf(&packet, &c.allocator, &m), 0);
    protobuf_c_message_free_unpacked(m, &c.allocator);
    ck_assert_int_eq(c.live, 0);
    int needed = c.allocated;
    for (int fail_at = 0; fail_at < needed; fail_at++) {
        m = NULL;
        counting_init(&c, fail_at);
        ck_assert_int_eq(packet_to_protobuf(&packet, &c.allocator, &m), -ENOMEM);
        ck_assert_ptr_null(m);
        ck_assert_int_eq(c.live, 0);
    }
}
END_TEST

static int judge(const ProtobufCMessage *m, uint8_t session_version, struct mqtt_fault *ret_fault)
{
    uint8_t scratch[256];
    struct mqtt_packet packet;
    return protobuf_to_packet(m, session_version, scratch, sizeof(scratch), &packet, ret_fault);
}

START_TEST(a_message_put_together_wrongly_is_refused_not_followed)
{
    struct mqtt_fault fault;
    Mqttv5__MqttPacket m = MQTTV5__MQTT_PACKET__INIT;
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_REFUSED); /* nothing in it */
    m.packet_case = MQTTV5__MQTT_PACKET__PACKET_PUBLISH;
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_REFUSED); /* says PUBLISH, points nowhere */
    m.packet_case = (Mqttv5__MqttPacket__PacketCase)99;
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_REFUSED); /* no such packet */

    Mqttv5__Publish publish = MQTTV5__PUBLISH__INIT;
    m.packet_case = MQTTV5__MQTT_PACKET__PACKET_PUBLISH;
    m.publish = &publish;
    publish.topic = NULL;
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_REFUSED); /* no topic */
    publish.topic = (char *)"t";
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_OK);
    publish.n_properties = 1;
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_REFUSED); /* a list without elements */

    Mqttv5__Property property = MQTTV5__PROPERTY__INIT, *list[] = {&property};
    publish.properties = list;
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_REFUSED); /* no value */
    ck_assert_ptr_nonnull(strstr(fault.text, "without value"));
    property.property_type_case = MQTTV5__PROPERTY__PROPERTY_TYPE_USER_PROPERTY;
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_REFUSED); /* a user property that points nowhere */
    property.property_type_case = MQTTV5__PROPERTY__PROPERTY_TYPE_TOPIC_ALIAS;
    property.topic_alias = 65536;
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_REFUSED);
    property.topic_alias = 65535;
    ck_assert_int_eq(judge(&m.base, MQTT_V5, &fault), CONVERT_OK);
    ck_assert_int_eq(judge(&m.base, MQTT_V311, &fault), CONVERT_REFUSED); /* another version than the session's */
}
END_TEST

START_TEST(numbers_that_do_not_fit_are_refused)
{
    struct mqtt_fault fault;
    Mqttv3__MqttPacket m = MQTTV3__MQTT_PACKET__INIT;
    Mqttv3__Puback ack = MQTTV3__PUBACK__INIT;
    m.packet_case = MQTTV3__MQTT_PACKET__PACKET_PUBACK;
    m.puback = &ack;
    ack.message_id = 65536;
    ck_assert_int_eq(judge(&m.base, MQTT_V311, &fault), CONVERT_REFUSED);
    ack.message_id = 65535;
    ck_assert_int_eq(judge(&m.base, MQTT_V311, &fault), CONVERT_OK);

    Mqttv3__Publish publish = MQTTV3__PUBLISH__INIT;
    m.packet_case = MQTTV3__MQTT_PACKET__PACKET_PUBLISH;
    m.publish = &publish;
    publish.topic = (char *)"t";
    publish.qos = (Mqttv3__QoS)-1;
    ck_assert_int_eq(judge(&m.base, MQTT_V311, &fault), CONVERT_REFUSED);
    publish.qos = MQTTV3__QO_S__AT_MOST_ONCE;
    ck_assert_int_eq(judge(&m.base, MQTT_V311, &fault), CONVERT_OK);

    uint32_t codes[] = {0, 256};
    Mqttv3__Suback suback = MQTTV3__SUBACK__INIT;
    m.packet_case = MQTTV3__MQTT_PACKET__PACKET_SUBACK;
    m.suback = &suback;
    suback.message_id = 1;
    suback.return_codes = codes;
    suback.n_return_codes = 2;
    ck_assert_int_eq(judge(&m.base, MQTT_V311, &fault), CONVERT_REFUSED);
    codes[1] = 128;
    ck_assert_int_eq(judge(&m.base, MQTT_V311, &fault), CONVERT_OK);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("protobuf", &t);
    tcase_add_loop_test(t, every_packet_packs_to_the_golden_message, 0, (int)golden_count);
    tcase_add_loop_test(t, every_golden_message_unpacks_to_its_packet, 0, (int)golden_count);
    tcase_add_loop_test(t, each_allocation_that_fails_leaves_nothing_behind, 0, (int)golden_count);
    tcase_add_test(t, a_message_put_together_wrongly_is_refused_not_followed);
    tcase_add_test(t, numbers_that_do_not_fit_are_refused);
    return s;
}

TEST_MAIN(suite)
