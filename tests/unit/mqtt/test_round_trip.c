/* Codec over generated packets of every version: what goes out comes back, in any split. */
#include "mqtt_check.h"
#include "mqtt_decode.h"
#include "mqtt_encode.h"
#include "packet_gen.h"
#include "test_main.h"

enum { ROUNDS = 4000, MAX_BYTES = 1 << 20 };

static const uint8_t versions[] = {MQTT_V31, MQTT_V311, MQTT_V5};

static uint8_t *wire;
static struct packet_gen gen;

static void set_up(void)
{
    wire = malloc(MAX_BYTES);
    ck_assert_ptr_nonnull(wire);
    packet_gen_init(&gen, 20260101);
}

static void tear_down(void)
{
    packet_gen_deinit(&gen);
    free(wire);
}

static size_t encode(const struct mqtt_packet *p)
{
    size_t size = mqtt_encode_size(p);
    ck_assert_uint_le(size, MAX_BYTES);
    ck_assert_uint_eq(mqtt_encode(p, wire), size);
    return size;
}

START_TEST(generated_packets_are_legal)
{
    struct mqtt_packet p;
    struct mqtt_fault fault = {.text = ""};
    for (int i = 0; i < ROUNDS; i++) {
        packet_gen_next(&gen, versions[_i], &p);
        int r = mqtt_packet_check(&p, &fault);
        ck_assert_msg(r == 0, "%s: %s", mqtt_type_name(p.type), fault.text);
    }
}
END_TEST

START_TEST(what_is_encoded_is_decoded_again)
{
    struct mqtt_decoder d;
    mqtt_decoder_init(&d, versions[_i], 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct mqtt_packet sent, got;
        packet_gen_next(&gen, versions[_i], &sent);
        struct cursor c = cursor_make(wire, encode(&sent));
        int r = mqtt_decoder_feed(&d, &c, &got);
        ck_assert_msg(r == MQTT_DECODE_OK, "%s: %s", mqtt_type_name(sent.type), mqtt_decoder_text(&d));
        ck_assert_uint_eq(c.len, 0);
        ck_assert(mqtt_packet_equal(&sent, &got));
    }
}
END_TEST

/* Bytes that the encoder made are the shortest form, so they come out of it again as they were. */
START_TEST(what_is_decoded_is_encoded_to_the_same_bytes)
{
    struct mqtt_decoder d;
    uint8_t *again = malloc(MAX_BYTES);
    mqtt_decoder_init(&d, versions[_i], 0);
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct mqtt_packet sent, got;
        packet_gen_next(&gen, versions[_i], &sent);
        size_t size = encode(&sent);
        struct cursor c = cursor_make(wire, size);
        ck_assert_int_eq(mqtt_decoder_feed(&d, &c, &got), MQTT_DECODE_OK);
        ck_assert_uint_eq(mqtt_encode(&got, again), size);
        ck_assert_mem_eq(wire, again, size);
    }
    free(again);
}
END_TEST

/* As a connection does it: offers what it has, keeps what is not used, comes back with more. */
static void feed_in_pieces(struct mqtt_decoder *d, size_t size, size_t piece, const struct mqtt_packet *sent)
{
    struct mqtt_packet got;
    for (size_t len = piece; len < size; len += piece) {
        struct cursor c = cursor_make(wire, len);
        ck_assert_int_eq(mqtt_decoder_feed(d, &c, &got), MQTT_DECODE_MORE);
        ck_assert_uint_eq(c.len, len);
        ck_assert(mqtt_decoder_needed(d) == 0 || mqtt_decoder_needed(d) == size);
        ck_assert(len < 5 || mqtt_decoder_needed(d) == size);
    }
    struct cursor c = cursor_make(wire, size);
    ck_assert_int_eq(mqtt_decoder_feed(d, &c, &got), MQTT_DECODE_OK);
    ck_assert(mqtt_packet_equal(sent, &got));
}

START_TEST(every_piece_size_gives_the_same_packet)
{
    static const size_t pieces[] = {1, 2, 3, 11, 1000, 65536};
    struct mqtt_decoder d;
    mqtt_decoder_init(&d, versions[_i], 0);
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct mqtt_packet sent;
        packet_gen_next(&gen, versions[_i], &sent);
        size_t size = encode(&sent);
        for (size_t k = size < 4096 ? 0 : 3; k < TEST_COUNT(pieces); k++)
            feed_in_pieces(&d, size, pieces[k], &sent);
    }
}
END_TEST

START_TEST(packets_in_a_row_come_out_one_by_one)
{
    struct mqtt_decoder d;
    mqtt_decoder_init(&d, versions[_i], 0);
    for (int i = 0; i < ROUNDS / 10; i++) {
        struct mqtt_packet first, second, got;
        packet_gen_next(&gen, versions[_i], &first);
        size_t size = encode(&first);
        struct mqtt_packet *kept = mqtt_packet_store(&first);
        packet_gen_next(&gen, versions[_i], &second);
        ck_assert_uint_le(size + mqtt_encode_size(&second), MAX_BYTES);
        size_t total = size + mqtt_encode(&second, wire + size);
        struct cursor c = cursor_make(wire, total);
        ck_assert_int_eq(mqtt_decoder_feed(&d, &c, &got), MQTT_DECODE_OK);
        ck_assert(mqtt_packet_equal(kept, &got));
        ck_assert_ptr_eq(c.ptr, wire + size);
        ck_assert_int_eq(mqtt_decoder_feed(&d, &c, &got), MQTT_DECODE_OK);
        ck_assert(mqtt_packet_equal(&second, &got));
        ck_assert_uint_eq(c.len, 0);
        free(kept);
    }
}
END_TEST

START_TEST(a_publish_head_and_its_payload_make_the_packet)
{
    uint8_t *head = malloc(MAX_BYTES);
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct mqtt_packet p;
        packet_gen_type(&gen, versions[_i], MQTT_PUBLISH, &p);
        size_t size = encode(&p), head_size = mqtt_encode_publish_head(&p, head);
        ck_assert_uint_eq(head_size + p.publish.payload.len, size);
        ck_assert_mem_eq(head, wire, head_size);
    }
    free(head);
}
END_TEST

START_TEST(a_stored_packet_outlives_its_view)
{
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct mqtt_packet p;
        packet_gen_next(&gen, versions[_i], &p);
        size_t size = encode(&p);
        struct mqtt_packet *kept = mqtt_packet_store(&p);
        ck_assert(mqtt_packet_equal(&p, kept));
        memset(gen.arena, 0xAA, gen.used);
        uint8_t *again = malloc(size);
        ck_assert_uint_eq(mqtt_encode(kept, again), size);
        ck_assert_mem_eq(again, wire, size);
        free(again);
        free(kept);
    }
}
END_TEST

START_TEST(the_same_seed_gives_the_same_packets)
{
    struct packet_gen other;
    packet_gen_init(&other, 20260101);
    for (int i = 0; i < 200; i++) {
        struct mqtt_packet a, b;
        packet_gen_next(&gen, versions[_i], &a);
        packet_gen_next(&other, versions[_i], &b);
        ck_assert(mqtt_packet_equal(&a, &b));
    }
    packet_gen_deinit(&other);
}
END_TEST

static Suite *round_trip_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/round_trip", &tc);
    int n = TEST_COUNT(versions);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, generated_packets_are_legal, 0, n);
    tcase_add_loop_test(tc, what_is_encoded_is_decoded_again, 0, n);
    tcase_add_loop_test(tc, what_is_decoded_is_encoded_to_the_same_bytes, 0, n);
    tcase_add_loop_test(tc, every_piece_size_gives_the_same_packet, 0, n);
    tcase_add_loop_test(tc, packets_in_a_row_come_out_one_by_one, 0, n);
    tcase_add_loop_test(tc, a_publish_head_and_its_payload_make_the_packet, 0, n);
    tcase_add_loop_test(tc, a_stored_packet_outlives_its_view, 0, n);
    tcase_add_loop_test(tc, the_same_seed_gives_the_same_packets, 0, n);
    return suite;
}

TEST_MAIN(round_trip_suite)
