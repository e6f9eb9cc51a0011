/* The outbox of a lane: order, parts, counting. */
#include "lane_outbox.h"

#include <stdlib.h>
#include <string.h>

#include "frame_to_packet.h"
#include "test_main.h"

static struct lane_outbox outbox;

static void setup(void)
{
    lane_outbox_init(&outbox);
}

static void teardown(void)
{
    lane_outbox_clear(&outbox);
}

/* A PUBLISH with a payload of N bytes; returns how long it is as MqttPacket. */
static size_t put(uint8_t version, size_t n)
{
    uint8_t *payload = calloc(1, n + 1);
    memset(payload, (int)n, n);
    struct mqtt_packet packet = {.type = MQTT_PUBLISH, .version = version};
    packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"a/b", 3};
    packet.publish.payload = (struct mqtt_bytes){payload, (uint32_t)n};
    struct packet_frame f;
    size_t len = packet_to_message_plan(&f, &packet);
    ck_assert_int_eq(lane_outbox_put(&outbox, &f), 0);
    free(payload);
    return len;
}

/* The first one is a PUBLISH of VERSION with N bytes, of which SENT have gone. */
static void assert_first(uint8_t version, size_t n, size_t sent)
{
    const struct lane_outgoing *first = lane_outbox_first(&outbox);
    ck_assert_ptr_nonnull(first);
    ck_assert_uint_eq(first->sent, sent);
    struct frame_source source = {
        .message = {first->bytes, (uint32_t)first->len},
        .family = first->family,
        .session_version = version,
    };
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    ck_assert_int_eq(frame_to_packet(&source, &packet, &fault), CONVERT_OK);
    ck_assert_uint_eq(packet.publish.payload.len, n);
    ck_assert(n == 0 || packet.publish.payload.ptr[n - 1] == (uint8_t)n);
}

START_TEST(packets_go_in_the_order_in_which_they_came)
{
    static const uint8_t versions[] = {MQTT_V5, MQTT_V311, MQTT_V31};
    size_t lens[9], bytes = 0;
    for (size_t i = 0; i < TEST_COUNT(lens); i++)
        bytes += lens[i] = put(versions[i % 3], i * 7);
    ck_assert_uint_eq(outbox.bytes, bytes);
    for (size_t i = 0; i < TEST_COUNT(lens); i++) {
        assert_first(versions[i % 3], i * 7, 0);
        lane_outbox_sent(&outbox, lens[i]);
        bytes -= lens[i];
        ck_assert_uint_eq(outbox.bytes, bytes);
    }
    ck_assert_ptr_null(lane_outbox_first(&outbox));
    ck_assert_uint_eq(outbox.bytes, 0);
}
END_TEST

START_TEST(a_packet_stays_until_all_of_it_has_been_sent)
{
    size_t len = put(MQTT_V5, 1000);
    size_t next = put(MQTT_V311, 3);
    lane_outbox_sent(&outbox, 300);
    assert_first(MQTT_V5, 1000, 300);
    ck_assert_uint_eq(outbox.bytes, len + next - 300);
    lane_outbox_sent(&outbox, len - 301);
    assert_first(MQTT_V5, 1000, len - 1);
    lane_outbox_sent(&outbox, 1);
    assert_first(MQTT_V311, 3, 0);
    ck_assert_uint_eq(outbox.bytes, next);
}
END_TEST

/* A process-wide budget must see what small packets really cost. */
START_TEST(memory_is_counted_with_what_surrounds_a_packet)
{
    enum { N = 1000 };
    for (unsigned i = 0; i < N; i++)
        put(MQTT_V5, 0);
    ck_assert_uint_gt(outbox.memory_bytes, N * sizeof(struct lane_outgoing) + outbox.bytes - 1);
    lane_outbox_clear(&outbox);
    ck_assert_uint_eq(outbox.memory_bytes, 0);
    size_t len = put(MQTT_V5, 1000);
    size_t memory_bytes = outbox.memory_bytes;
    lane_outbox_sent(&outbox, len - 1);
    ck_assert_uint_eq(outbox.memory_bytes, memory_bytes); /* it is there as a whole until all has been sent */
    lane_outbox_sent(&outbox, 1);
    ck_assert_uint_eq(outbox.memory_bytes, 0);
}
END_TEST

START_TEST(clearing_leaves_nothing)
{
    put(MQTT_V5, 1000);
    put(MQTT_V5, 10);
    lane_outbox_sent(&outbox, 300);
    lane_outbox_clear(&outbox);
    ck_assert_ptr_null(lane_outbox_first(&outbox));
    ck_assert_uint_eq(outbox.bytes, 0);
    put(MQTT_V5, 10);
    assert_first(MQTT_V5, 10, 0);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("lane_outbox", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, packets_go_in_the_order_in_which_they_came);
    tcase_add_test(t, a_packet_stays_until_all_of_it_has_been_sent);
    tcase_add_test(t, memory_is_counted_with_what_surrounds_a_packet);
    tcase_add_test(t, clearing_leaves_nothing);
    return s;
}

TEST_MAIN(suite)
