/* Both forms agree: on every packet that the generator makes, and on bytes that are almost a frame. */
#include <stdlib.h>
#include <string.h>

#include "convert_oracle.h"
#include "golden.h"
#include "packet_gen.h"
#include "test_main.h"
#include "trunk_oracle.h"

static const uint8_t versions[] = {MQTT_V31, MQTT_V311, MQTT_V5};

/* The frame of PACKET by hand, in new memory. */
static uint8_t *write_by_hand(const struct mqtt_packet *packet, uint64_t sequence, size_t *ret_len)
{
    struct packet_frame f;
    *ret_len = packet_to_frame_plan(&f, packet, sequence, RELAY_CLIENT_TO_BROKER);
    uint8_t *bytes = malloc(*ret_len);
    ck_assert_ptr_eq(packet_to_frame_write(&f, bytes), bytes + *ret_len);
    return bytes;
}

static void assert_round_trip(const struct mqtt_packet *packet, uint64_t sequence)
{
    size_t len, oracle_len;
    uint8_t *bytes = write_by_hand(packet, sequence, &len);
    uint8_t *by_oracle = oracle_write(packet, sequence, RELAY_CLIENT_TO_BROKER, &oracle_len);
    ck_assert_uint_eq(len, oracle_len);
    ck_assert_mem_eq(bytes, by_oracle, len);
    struct by_hand h;
    struct oracle o;
    int r = by_hand_read(&h, bytes, len, packet->version);
    ck_assert_msg(r == CONVERT_OK, "%s: %s", mqtt_type_name(packet->type),
                  r == CONVERT_REFUSED ? h.fault.text : "scratch");
    ck_assert_int_eq(oracle_read(&o, bytes, len, packet->version), CONVERT_OK);
    ck_assert(mqtt_packet_equal(&h.packet, packet));
    ck_assert(mqtt_packet_equal(&o.packet, packet));
    by_hand_free(&h);
    oracle_free(&o);
    free(bytes);
    free(by_oracle);
}

START_TEST(every_generated_packet_survives_both_forms)
{
    struct packet_gen g;
    packet_gen_init(&g, 20260101 + (uint64_t)_i);
    for (unsigned i = 0; i < 1500; i++) {
        struct mqtt_packet packet;
        packet_gen_next(&g, versions[_i], &packet);
        assert_round_trip(&packet, i % 3 == 0 ? 0 : i);
    }
    packet_gen_deinit(&g);
}
END_TEST

/* The session's version is not always what the frame is of. */
static uint8_t any_session_version(struct packet_gen *g, uint8_t version)
{
    return packet_gen_one_in(g, 8) ? (uint8_t)packet_gen_below(g, 7) : version;
}

/* Longer frames differ from shorter ones only in what costs time. */
enum { DAMAGED_MAX = 4096 };

/* One thing changed in BYTES, which has room for one more: a byte set, cut out, doubled, or the end cut off. Returns
 * the length. */
static size_t mutate(struct packet_gen *g, uint8_t *bytes, size_t len)
{
    static const uint8_t liked[] = {0x00, 0x01, 0x02, 0x03, 0x7f, 0x80, 0xff, 0x08,
                                    0x0a, 0x12, 0x22, 0x2a, 0x42, 0x0b, 0x0c};
    size_t at = packet_gen_below(g, (uint32_t)len);
    switch (packet_gen_below(g, 5)) {
    case 0:
        bytes[at] = liked[packet_gen_below(g, sizeof(liked))];
        return len;
    case 1:
        bytes[at] ^= (uint8_t)(1u << packet_gen_below(g, 8));
        return len;
    case 2:
        memmove(bytes + at, bytes + at + 1, len - at - 1);
        return len - 1;
    case 3:
        memmove(bytes + at + 1, bytes + at, len - at);
        return len + 1;
    default:
        return at;
    }
}

START_TEST(both_forms_agree_about_damaged_frames)
{
    struct packet_gen g;
    uint8_t version = versions[_i % 3];
    packet_gen_init(&g, 4711 + (uint64_t)_i);
    for (unsigned i = 0; i < 400; i++) {
        struct mqtt_packet packet;
        size_t len;
        packet_gen_next(&g, version, &packet);
        uint8_t *frame = write_by_hand(&packet, i, &len);
        uint8_t bytes[DAMAGED_MAX];
        memcpy(bytes, frame, len < DAMAGED_MAX ? len : 0);
        free(frame);
        for (unsigned k = 0; k < 20 && len > 0 && len < DAMAGED_MAX; k++) {
            len = mutate(&g, bytes, len);
            ck_assert_int_ge(oracle_compare(bytes, len, any_session_version(&g, version)), 0);
        }
    }
    packet_gen_deinit(&g);
}
END_TEST

/* Behind each other they are one frame with several packets and headers: the last packet counts, Wills merge, lists
 * grow. */
START_TEST(both_forms_agree_about_frames_put_behind_each_other)
{
    struct packet_gen g;
    packet_gen_init(&g, 815);
    for (unsigned i = 0; i < 400; i++) {
        struct mqtt_packet packet;
        size_t first_len, second_len;
        packet_gen_next(&g, versions[i % 3], &packet);
        uint8_t *first = write_by_hand(&packet, i, &first_len);
        packet_gen_next(&g, versions[packet_gen_below(&g, 3)], &packet);
        uint8_t *second = write_by_hand(&packet, i, &second_len);
        uint8_t *both = malloc(first_len + second_len);
        memcpy(both, first, first_len);
        memcpy(both + first_len, second, second_len);
        ck_assert_int_ge(oracle_compare(both, first_len + second_len, packet.version), 0);
        free(both);
        free(first);
        free(second);
    }
    packet_gen_deinit(&g);
}
END_TEST

/* The same inside a packet: BODY twice in one message of the type, so every field comes twice. */
static void compare_doubled_body(const uint8_t *body, size_t len, uint8_t type, uint8_t version)
{
    size_t doubled = 2 * len;
    uint8_t *frame = malloc(doubled + 16), *dst = frame;
    uint8_t inner[8], *end = inner;
    *end++ = (uint8_t)(type << 3 | 2);
    for (size_t n = doubled; (*end = (uint8_t)(n & 0x7f), n >= 0x80); n >>= 7)
        *end++ |= 0x80;
    end++;
    *dst++ = version == MQTT_V5 ? 0x2a : 0x22;
    for (size_t n = doubled + (size_t)(end - inner); (*dst = (uint8_t)(n & 0x7f), n >= 0x80); n >>= 7)
        *dst++ |= 0x80;
    dst++;
    memcpy(dst, inner, (size_t)(end - inner));
    dst += end - inner;
    memcpy(dst, body, len);
    memcpy(dst + len, body, len);
    ck_assert_int_ge(oracle_compare(frame, (size_t)(dst - frame) + doubled, version), 0);
    free(frame);
}

START_TEST(both_forms_agree_about_fields_that_come_twice)
{
    struct packet_gen g;
    uint8_t version = versions[_i];
    packet_gen_init(&g, 99);
    for (unsigned i = 0; i < 300; i++) {
        struct mqtt_packet packet;
        struct packet_frame f;
        packet_gen_next(&g, version, &packet);
        size_t n = packet_to_message_plan(&f, &packet);
        uint8_t *message = malloc(n);
        packet_to_frame_write(&f, message);
        compare_doubled_body(message + (n - f.body_bytes), f.body_bytes, packet.type, version);
        free(message);
    }
    packet_gen_deinit(&g);
}
END_TEST

START_TEST(both_forms_agree_about_bytes_without_meaning)
{
    struct packet_gen g;
    uint8_t bytes[64];
    packet_gen_init(&g, 7);
    for (unsigned i = 0; i < 20000; i++) {
        size_t len = packet_gen_below(&g, sizeof(bytes));
        for (size_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)packet_gen_below(&g, 256);
        if (len > 2 && i % 2 == 0) { /* a length that fits: so that some get further */
            bytes[0] = i % 4 == 0 ? 0x22 : 0x2a;
            bytes[1] = (uint8_t)(len - 2);
        }
        ck_assert_int_ge(oracle_compare(bytes, len, versions[i % 3]), 0);
    }
    packet_gen_deinit(&g);
}
END_TEST

/* Up to N packets of VERSION as a batch, in new memory; *RET_LEN: without the byte of room behind. */
static uint8_t *write_batch(struct packet_gen *g, uint8_t version, unsigned n, size_t *ret_len)
{
    uint8_t *batch = malloc(1);
    size_t len = 0;
    for (unsigned i = 0; i < n; i++) {
        struct mqtt_packet packet;
        size_t frame_len;
        packet_gen_next(g, version, &packet);
        uint8_t *frame = write_by_hand(&packet, i, &frame_len);
        uint8_t *longer = realloc(batch, len + relay_batch_entry_size(frame_len) + 1);
        ck_assert_ptr_nonnull(longer);
        batch = longer;
        uint8_t *dst = relay_batch_write_head(batch + len, frame_len);
        memcpy(dst, frame, frame_len);
        ck_assert_uint_eq(dst + frame_len - (batch + len), relay_batch_entry_size(frame_len));
        len += relay_batch_entry_size(frame_len);
        free(frame);
    }
    *ret_len = len;
    return batch;
}

START_TEST(both_forms_agree_about_batches)
{
    struct packet_gen g;
    packet_gen_init(&g, 31415);
    for (unsigned i = 0; i < 300; i++) {
        uint8_t version = versions[i % 3];
        size_t len;
        uint8_t *batch = write_batch(&g, version, 1 + i % 5, &len);
        ck_assert_int_eq(oracle_compare(batch, len, version), CONVERT_OK);
        struct oracle o;
        oracle_read(&o, batch, len, version);
        ck_assert_uint_eq(o.message->n_batch, 1 + i % 5);
        ck_assert_uint_eq(mqtt__mqtt_stream_message__get_packed_size(o.message), len);
        uint8_t *again = malloc(len);
        mqtt__mqtt_stream_message__pack(o.message, again);
        ck_assert_mem_eq(again, batch, len);
        free(again);
        oracle_free(&o);
        free(batch);
    }
    packet_gen_deinit(&g);
}
END_TEST

START_TEST(both_forms_agree_about_damaged_batches)
{
    struct packet_gen g;
    packet_gen_init(&g, 27182);
    for (unsigned i = 0; i < 400; i++) {
        uint8_t version = versions[i % 3];
        size_t len;
        uint8_t *batch = write_batch(&g, version, 1 + i % 4, &len);
        for (unsigned k = 0; k < 20 && len > 0 && len < 4096; k++) {
            uint8_t *longer = realloc(batch, len + 1);
            ck_assert_ptr_nonnull(longer);
            batch = longer;
            len = mutate(&g, batch, len);
            ck_assert_int_ge(oracle_compare(batch, len, version), 0);
        }
        free(batch);
    }
    packet_gen_deinit(&g);
}
END_TEST

/* Small numbers, and the edges of each length. */
static uint64_t any_number(struct packet_gen *g)
{
    uint64_t number = (uint64_t)packet_gen_below(g, UINT32_MAX) << 32 | packet_gen_below(g, UINT32_MAX);
    unsigned bits = packet_gen_below(g, 65);
    if (bits == 0)
        return 0;
    return packet_gen_one_in(g, 4) ? UINT64_MAX >> (64 - bits) : number >> (64 - bits);
}

/* A frame of any kind but BAD, with bytes from POOL, whose first 16 are the session id. */
static void any_trunk_frame(struct packet_gen *g, const uint8_t *pool, size_t pool_len, struct trunk_frame *ret)
{
    struct mqtt_bytes some = {pool, 1 + packet_gen_below(g, (uint32_t)pool_len)};
    *ret = (struct trunk_frame){.kind = (uint8_t)(TRUNK_FRAME_PACKET_V3 + packet_gen_below(g, TRUNK_FRAME_CREDIT)),
                                .lane = (uint32_t)any_number(g)};
    ret->sequence = ret->kind == TRUNK_FRAME_CREDIT ? 0 : any_number(g);
    if (ret->kind == TRUNK_FRAME_OPEN) {
        ret->open.session_id = (struct mqtt_bytes){pool, TRUNK_SESSION_ID_BYTES};
    } else if (ret->kind == TRUNK_FRAME_CLOSE) {
        ret->close.reason = (uint32_t)any_number(g);
        if (!packet_gen_one_in(g, 3))
            ret->close.text = some;
    } else if (ret->kind == TRUNK_FRAME_PIECE) {
        ret->piece.data = some;
        ret->piece.total_bytes = packet_gen_one_in(g, 2) ? 0 : (uint32_t)any_number(g);
        if (ret->piece.total_bytes > 0)
            ret->piece.family = packet_gen_one_in(g, 2) ? FRAME_MQTTV3 : FRAME_MQTTV5;
    } else if (ret->kind == TRUNK_FRAME_CREDIT) {
        ret->credit_bytes = any_number(g) | 1;
    }
}

/* FRAME and, if it has one, PACKET: by hand, the same as by protobuf-c, in new memory. */
static uint8_t *write_trunk_frame(struct trunk_frame *frame, const struct mqtt_packet *packet, size_t *ret_len)
{
    bool has_packet = frame->kind == TRUNK_FRAME_PACKET_V3 || frame->kind == TRUNK_FRAME_PACKET_V5;
    struct packet_frame f = {0};
    if (has_packet) {
        frame->kind = packet->version == MQTT_V5 ? TRUNK_FRAME_PACKET_V5 : TRUNK_FRAME_PACKET_V3;
        packet_to_message_plan(&f, packet);
    }
    uint8_t *by_oracle = trunk_oracle_write_frame(frame, packet, ret_len);
    uint8_t *bytes = malloc(*ret_len);
    uint8_t *end = has_packet ? trunk_frame_write_packet(bytes, frame->lane, frame->sequence, &f)
                              : trunk_frame_write_any(bytes, frame);
    ck_assert_uint_eq(end - bytes, *ret_len);
    ck_assert(memcmp(bytes, by_oracle, *ret_len) == 0);
    if (has_packet)
        ck_assert_uint_eq(trunk_frame_packet_bytes(frame->lane, frame->sequence, &f), *ret_len);
    free(by_oracle);
    return bytes;
}

/* BYTES hold FRAME: by hand, a message that is serialized already writes the same again. */
static void assert_trunk_frame_again(const uint8_t *bytes, size_t len, const struct trunk_frame *expected,
                                     const struct mqtt_packet *packet)
{
    struct trunk_message message;
    struct trunk_frame frame;
    struct mqtt_fault fault;
    ck_assert_int_eq(trunk_message_read(bytes, len, &message, &fault), CONVERT_OK);
    ck_assert(trunk_message_next(&message, &frame));
    ck_assert_int_eq(frame.kind, expected->kind);
    uint8_t *again = malloc(len);
    ck_assert_uint_eq(trunk_frame_write_any(again, &frame) - again, len);
    ck_assert(memcmp(again, bytes, len) == 0);
    if (frame.kind == TRUNK_FRAME_PACKET_V3 || frame.kind == TRUNK_FRAME_PACKET_V5) {
        struct mqtt_packet read;
        size_t scratch_bytes = frame_scratch_bytes(frame.message.len);
        uint8_t *scratch = malloc(scratch_bytes);
        uint8_t family = frame.kind == TRUNK_FRAME_PACKET_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
        ck_assert_int_eq(
            trunk_frame_packet(frame.message, family, packet->version, scratch, scratch_bytes, &read, &fault),
            CONVERT_OK);
        ck_assert(mqtt_packet_equal(&read, packet));
        free(scratch);
    }
    free(again);
}

enum { POOL_BYTES = 300 };

static void fill_pool(struct packet_gen *g, uint8_t pool[POOL_BYTES])
{
    for (unsigned i = 0; i < POOL_BYTES; i++)
        pool[i] = (uint8_t)(1 + packet_gen_below(g, 255)); /* no zero byte: it may be a text */
}

START_TEST(every_generated_trunk_frame_survives_both_forms)
{
    struct packet_gen g;
    uint8_t pool[POOL_BYTES];
    packet_gen_init(&g, 1618 + (uint64_t)_i);
    fill_pool(&g, pool);
    for (unsigned i = 0; i < 1500; i++) {
        struct mqtt_packet packet;
        struct trunk_frame frame;
        size_t len;
        any_trunk_frame(&g, pool, sizeof(pool), &frame);
        packet_gen_next(&g, versions[_i], &packet);
        uint8_t *bytes = write_trunk_frame(&frame, &packet, &len);
        assert_trunk_frame_again(bytes, len, &frame, &packet);
        ck_assert_int_eq(trunk_oracle_compare(bytes, len), CONVERT_OK);
        free(bytes);
    }
    packet_gen_deinit(&g);
}
END_TEST

static struct trunk_controls any_controls(struct packet_gen *g, const uint8_t *pool, bool has_frames)
{
    struct trunk_controls c = {.has_hello = packet_gen_one_in(g, 4), .is_draining = packet_gen_one_in(g, 4)};
    c.taken = packet_gen_one_in(g, 2) ? any_number(g) : 0;
    c.ping = packet_gen_one_in(g, 4) ? any_number(g) : 0;
    c.pong = packet_gen_one_in(g, 4) ? any_number(g) : 0;
    if (!has_frames)
        c.zstd_frames = (struct mqtt_bytes){pool, packet_gen_below(g, POOL_BYTES)};
    if (c.has_hello) {
        uint32_t *numbers[] = {&c.hello.version,   &c.hello.lane_window,   &c.hello.max_message_bytes,
                               &c.hello.max_lanes, &c.hello.dead_after_ms, &c.hello.zstd_window_log};
        for (unsigned i = 0; i < TEST_COUNT(numbers); i++)
            *numbers[i] = (uint32_t)any_number(g);
        c.hello.software = (struct mqtt_bytes){pool, packet_gen_below(g, 40)};
    }
    return c;
}

/* N frames and any controls as a message of at most DAMAGED_MAX, to BYTES. Returns its length. */
static size_t write_trunk_message(struct packet_gen *g, const uint8_t *pool, unsigned n, uint8_t *bytes)
{
    size_t used = 0;
    for (unsigned i = 0; i < n; i++) {
        struct mqtt_packet packet;
        struct trunk_frame frame;
        size_t len;
        any_trunk_frame(g, pool, 40, &frame);
        packet_gen_next(g, versions[i % 3], &packet);
        uint8_t *one = write_trunk_frame(&frame, &packet, &len);
        if (used + len + TRUNK_CONTROLS_MAX + POOL_BYTES < DAMAGED_MAX) {
            memcpy(bytes + used, one, len);
            used += len;
        }
        free(one);
    }
    struct trunk_controls controls = any_controls(g, pool, used > 0);
    size_t len;
    uint8_t *by_oracle = trunk_oracle_write_controls(&controls, &len);
    ck_assert_uint_eq(trunk_controls_write(bytes + used, &controls) - (bytes + used), len);
    ck_assert(len == 0 || memcmp(bytes + used, by_oracle, len) == 0);
    free(by_oracle);
    return used + len;
}

START_TEST(both_forms_agree_about_trunk_messages_whole_and_damaged)
{
    struct packet_gen g;
    uint8_t pool[POOL_BYTES], bytes[DAMAGED_MAX];
    packet_gen_init(&g, 2718 + (uint64_t)_i);
    fill_pool(&g, pool);
    for (unsigned i = 0; i < 400; i++) {
        size_t len = write_trunk_message(&g, pool, i % 5, bytes);
        ck_assert_int_eq(trunk_oracle_compare(bytes, len), CONVERT_OK);
        for (unsigned k = 0; k < 30 && len > 0 && len < DAMAGED_MAX; k++) {
            len = mutate(&g, bytes, len);
            ck_assert_int_ge(trunk_oracle_compare(bytes, len), 0);
        }
    }
    packet_gen_deinit(&g);
}
END_TEST

/* Behind each other they are one message: numbers of the second count, hellos merge. */
START_TEST(both_forms_agree_about_trunk_messages_put_behind_each_other)
{
    struct packet_gen g;
    uint8_t pool[POOL_BYTES], bytes[2 * DAMAGED_MAX];
    packet_gen_init(&g, 577);
    fill_pool(&g, pool);
    for (unsigned i = 0; i < 1000; i++) {
        size_t len = write_trunk_message(&g, pool, i % 3, bytes);
        len += write_trunk_message(&g, pool, i % 2, bytes + len);
        ck_assert_int_ge(trunk_oracle_compare(bytes, len), 0);
    }
    packet_gen_deinit(&g);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("agreement", &t);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, every_generated_packet_survives_both_forms, 0, TEST_COUNT(versions));
    tcase_add_loop_test(t, both_forms_agree_about_damaged_frames, 0, 9);
    tcase_add_test(t, both_forms_agree_about_frames_put_behind_each_other);
    tcase_add_loop_test(t, both_forms_agree_about_fields_that_come_twice, 0, TEST_COUNT(versions));
    tcase_add_test(t, both_forms_agree_about_bytes_without_meaning);
    tcase_add_test(t, both_forms_agree_about_batches);
    tcase_add_test(t, both_forms_agree_about_damaged_batches);
    tcase_add_loop_test(t, every_generated_trunk_frame_survives_both_forms, 0, TEST_COUNT(versions));
    tcase_add_loop_test(t, both_forms_agree_about_trunk_messages_whole_and_damaged, 0, 4);
    tcase_add_test(t, both_forms_agree_about_trunk_messages_put_behind_each_other);
    return s;
}

TEST_MAIN(suite)
