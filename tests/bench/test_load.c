/* The parts of the load generator that decide what is true: sequences, histogram, packets, the publisher's window. */
#include <stdlib.h>
#include <string.h>

#include "load_hist.h"
#include "load_mem.h"
#include "load_publisher.h"
#include "load_seq.h"
#include "load_wire.h"
#include "test_main.h"

/* ---- load_seq */

START_TEST(in_order_nothing_is_remembered)
{
    struct load_seq s = {0};
    for (uint32_t i = 0; i < 1000; i++)
        ck_assert_int_eq(load_seq_see(&s, i), LOAD_SEQ_NEW);
    ck_assert_uint_eq(load_seq_lost(&s, 1000), 0);
    ck_assert_uint_eq(load_seq_lost(&s, 1005), 5);
    ck_assert_ptr_null(s.gaps);
}
END_TEST

START_TEST(a_late_number_fills_its_gap_and_a_second_one_is_a_duplicate)
{
    struct load_seq s = {0};
    ck_assert_int_eq(load_seq_see(&s, 5), LOAD_SEQ_NEW); /* 0-4 missing */
    ck_assert_uint_eq(load_seq_lost(&s, 6), 5);
    ck_assert_int_eq(load_seq_see(&s, 2), LOAD_SEQ_LATE); /* splits */
    ck_assert_int_eq(load_seq_see(&s, 2), LOAD_SEQ_DUPLICATE);
    ck_assert_int_eq(load_seq_see(&s, 0), LOAD_SEQ_LATE); /* lower end */
    ck_assert_int_eq(load_seq_see(&s, 4), LOAD_SEQ_LATE); /* upper end */
    ck_assert_int_eq(load_seq_see(&s, 5), LOAD_SEQ_DUPLICATE);
    ck_assert_uint_eq(load_seq_lost(&s, 6), 2);
    ck_assert_int_eq(load_seq_see(&s, 1), LOAD_SEQ_LATE);
    ck_assert_int_eq(load_seq_see(&s, 3), LOAD_SEQ_LATE); /* the last gap vanishes */
    ck_assert_uint_eq(load_seq_lost(&s, 6), 0);
    ck_assert_uint_eq(s.gap_count, 0);
    ck_assert_uint_eq(s.late, 5);
    ck_assert_uint_eq(s.duplicates, 2);
    load_seq_deinit(&s);
}
END_TEST

/* Any order, with repeats and omissions, against one flag per number. */
START_TEST(any_order_is_counted_as_a_plain_table_counts_it)
{
    enum { NUMBERS = 400, STEPS = 3000 };
    bool seen[NUMBERS] = {false};
    struct load_seq s = {0};
    uint64_t late = 0, duplicates = 0, missing = 0;
    uint32_t highest = 0;
    uint32_t random = (uint32_t)_i;
    for (int i = 0; i < STEPS; i++) {
        random = random * 1664525u + 1013904223u; /* the same numbers every time */
        uint32_t n = (random >> 16) % (uint32_t)(i * NUMBERS / STEPS + 1);
        bool is_late = !seen[n] && n < highest;
        late += is_late;
        duplicates += seen[n];
        int want = seen[n] ? LOAD_SEQ_DUPLICATE : is_late ? LOAD_SEQ_LATE : LOAD_SEQ_NEW;
        ck_assert_int_eq(load_seq_see(&s, n), want);
        seen[n] = true;
        highest = n > highest ? n : highest;
    }
    for (uint32_t n = 0; n < NUMBERS; n++)
        missing += !seen[n];
    ck_assert_uint_eq(s.late, late);
    ck_assert_uint_eq(s.duplicates, duplicates);
    ck_assert_uint_eq(load_seq_lost(&s, NUMBERS), missing);
    load_seq_deinit(&s);
}
END_TEST

/* ---- load_hist */

START_TEST(percentiles_are_within_one_percent)
{
    struct load_hist *h = load_mem_zeroed(1, sizeof(*h));
    for (uint64_t v = 1; v <= 100000; v++)
        load_hist_add(h, v * 1000);
    ck_assert_uint_eq(h->total, 100000);
    const double fractions[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < TEST_COUNT(fractions); i++) {
        double want = fractions[i] * 1e8, got = (double)load_hist_percentile(h, fractions[i]);
        ck_assert_double_ge(got, want);
        ck_assert_double_le(got, want * 1.01);
    }
    ck_assert_uint_eq(load_hist_percentile(h, 1), 100000000);
    free(h);
}
END_TEST

START_TEST(small_huge_and_no_values_have_a_place)
{
    struct load_hist *h = load_mem_zeroed(2, sizeof(*h));
    ck_assert_uint_eq(load_hist_percentile(h, 0.5), 0);
    load_hist_add(h, 0);
    load_hist_add(h, 127);
    load_hist_add(h, 128);
    ck_assert_uint_eq(load_hist_percentile(h, 0.3), 0);
    ck_assert_uint_eq(load_hist_percentile(h, 0.6), 127);
    ck_assert_uint_eq(load_hist_percentile(h, 1), 128);
    load_hist_add(&h[1], UINT64_MAX);
    load_hist_merge(h, &h[1]);
    ck_assert_uint_eq(h->total, 4);
    ck_assert_uint_eq(h->max_ns, UINT64_MAX);
    ck_assert_uint_ge(load_hist_percentile(h, 1), (UINT64_C(1) << LOAD_HIST_TOP_BITS) - 1);
    free(h);
}
END_TEST

/* ---- load_wire */

START_TEST(a_publish_is_read_as_it_was_written)
{
    const struct load_wire_stamp stamp = {
        .publisher = 7, .number = 0x80000001, .sent_ns = UINT64_C(0x0102030405060708)};
    for (int version = 4; version <= 5; version++) {
        for (int qos = 0; qos <= 2; qos++) {
            struct load_wire_template t;
            struct load_wire_packet p;
            uint8_t bytes[512];
            load_wire_template_init(&t, version, "a/b", qos, 200);
            load_wire_put_publish(bytes, &t, 0x1234, &stamp);
            size_t head = t.stamp_at + LOAD_WIRE_STAMP_SIZE;
            for (size_t len = 0; len < head; len++)
                ck_assert_int_eq(load_wire_read(bytes, len, version, &p), LOAD_WIRE_MORE);
            ck_assert_int_eq(load_wire_read(bytes, head, version, &p), LOAD_WIRE_OK);
            ck_assert_uint_eq(p.len, t.len);
            ck_assert_uint_eq(p.payload_len, 200);
            ck_assert_uint_eq(p.qos, qos);
            ck_assert_uint_eq(p.packet_id, qos ? 0x1234 : 0);
            ck_assert_uint_eq(p.stamp.publisher, stamp.publisher);
            ck_assert_uint_eq(p.stamp.number, stamp.number);
            ck_assert_uint_eq(p.stamp.sent_ns, stamp.sent_ns);
            load_wire_template_deinit(&t);
        }
    }
}
END_TEST

START_TEST(receive_maximum_is_found_among_other_properties)
{
    const uint8_t connack[] = {0x20, 21,  1,    0, 18, 0x24, 1,   0x26, 0,    1,    'k', 0,
                               1,    'v', 0x12, 0, 3,  'a',  'b', 'c',  0x21, 0x01, 0x00};
    struct load_wire_packet p;
    for (size_t len = 0; len < sizeof(connack); len++)
        ck_assert_int_eq(load_wire_read(connack, len, 5, &p), LOAD_WIRE_MORE);
    ck_assert_int_eq(load_wire_read(connack, sizeof(connack), 5, &p), LOAD_WIRE_OK);
    ck_assert_uint_eq(p.receive_maximum, 256);
    ck_assert_uint_eq(p.reason_code, 0);
}
END_TEST

START_TEST(what_is_no_mqtt_is_refused)
{
    const struct {
        uint8_t bytes[8];
        size_t len;
    } samples[] = {
        {{0x30, 0xff, 0xff, 0xff, 0xff}, 5}, /* remaining length of five bytes */
        {{0x36, 4, 0, 0, 0, 0}, 6},          /* QoS 3 */
        {{0x30, 3, 0, 9, 'a'}, 5},           /* topic longer than the packet */
        {{0x20, 4, 0, 0, 9, 0x24}, 6},       /* properties longer than the packet */
        {{0x20, 4, 0, 0, 1, 0x7f}, 6},       /* property cut */
        {{0x20, 1, 0}, 3},                   /* CONNACK without code */
        {{0x40, 1, 0}, 3},                   /* PUBACK without packet id */
    };
    struct load_wire_packet p;
    for (size_t i = 0; i < TEST_COUNT(samples); i++)
        ck_assert_int_eq(load_wire_read(samples[i].bytes, samples[i].len, 5, &p), LOAD_WIRE_BAD);
}
END_TEST

/* ---- load_publisher */

static void fill(struct load_publisher *p, struct load_client *c)
{
    static struct load_hist lag;
    const struct load_pace flood = {.is_flood = true};
    load_publisher_fill(p, c, &flood, 1, &lag);
}

/* Packet ids of the output of C, which is emptied: as if written. */
static size_t sent_ids(const struct load_publisher *p, struct load_client *c, uint16_t *ids)
{
    size_t n = 0;
    for (size_t at = 0; at < c->out_len; at += p->template.len, n++)
        ids[n] = (uint16_t)(c->out[at + p->template.packet_id_at] << 8 | c->out[at + p->template.packet_id_at + 1]);
    c->out_len = 0;
    return n;
}

START_TEST(the_window_is_never_exceeded_and_ids_come_back)
{
    const struct load_options o = {.version = 4, .qos = 1, .window = 20, .payload_len = 16, .count = 1000};
    struct load_publisher p;
    struct load_client c;
    uint16_t ids[32];
    load_publisher_init(&p, &o, 0, 0, "t");
    load_client_init(&c, LOAD_CLIENT_PUBLISHER, 0, 4);
    load_publisher_open_window(&p, 3);
    p.allowed = p.limit;
    for (int round = 0; round < 5; round++) {
        fill(&p, &c);
        ck_assert_uint_eq(sent_ids(&p, &c, ids), 3);
        ck_assert(!load_publisher_may_make(&p));
        for (int i = 2; i >= 0; i--) {
            struct load_wire_packet ack = {.type = LOAD_WIRE_PUBACK, .packet_id = ids[i]};
            load_publisher_acked(&p, &c, &ack);
        }
        ck_assert_uint_eq(p.in_flight, 0);
    }
    ck_assert_uint_eq(p.strange_acks, 0);
    load_client_deinit(&c);
    load_publisher_deinit(&p);
}
END_TEST

START_TEST(acknowledgements_of_nothing_are_counted)
{
    const struct load_options o = {.version = 4, .qos = 2, .window = 2, .payload_len = 16, .count = 1};
    struct load_publisher p;
    struct load_client c;
    uint16_t ids[4];
    load_publisher_init(&p, &o, 0, 0, "t");
    load_client_init(&c, LOAD_CLIENT_PUBLISHER, 0, 4);
    load_publisher_open_window(&p, UINT16_MAX);
    p.allowed = p.limit;
    fill(&p, &c);
    ck_assert_uint_eq(sent_ids(&p, &c, ids), 1);
    const struct {
        uint8_t type;
        uint16_t id;
        uint32_t strange;
        size_t answer;
    } steps[] = {
        {LOAD_WIRE_PUBACK, ids[0], 1, 0},  /* not the acknowledgement of QoS 2 */
        {LOAD_WIRE_PUBCOMP, ids[0], 2, 0}, /* too early */
        {LOAD_WIRE_PUBREC, 9, 3, 0},       /* unknown id */
        {LOAD_WIRE_PUBREC, ids[0], 3, LOAD_WIRE_ACK_SIZE},
        {LOAD_WIRE_PUBREC, ids[0], 4, LOAD_WIRE_ACK_SIZE}, /* twice */
        {LOAD_WIRE_PUBCOMP, ids[0], 4, LOAD_WIRE_ACK_SIZE},
        {LOAD_WIRE_PUBCOMP, ids[0], 5, LOAD_WIRE_ACK_SIZE}, /* twice */
    };
    for (size_t i = 0; i < TEST_COUNT(steps); i++) {
        struct load_wire_packet ack = {.type = steps[i].type, .packet_id = steps[i].id};
        load_publisher_acked(&p, &c, &ack);
        ck_assert_uint_eq(p.strange_acks, steps[i].strange);
        ck_assert_uint_eq(c.out_len, steps[i].answer);
    }
    ck_assert_uint_eq(p.in_flight, 0);
    load_client_deinit(&c);
    load_publisher_deinit(&p);
}
END_TEST

START_TEST(messages_that_did_not_leave_are_known)
{
    const struct load_options o = {.version = 5, .payload_len = 300, .count = 10};
    struct load_publisher p;
    struct load_client c;
    load_publisher_init(&p, &o, 0, 0, "t");
    load_client_init(&c, LOAD_CLIENT_PUBLISHER, 0, 5);
    load_publisher_open_window(&p, UINT16_MAX);
    p.allowed = p.limit;
    fill(&p, &c);
    ck_assert_uint_eq(load_client_unsent(&c), 10);
    c.out_sent = 1; /* a message that has begun to leave counts as sent: it may arrive */
    ck_assert_uint_eq(load_client_unsent(&c), 9);
    c.out_sent = p.template.len * 9 + 1;
    ck_assert_uint_eq(load_client_unsent(&c), 0);
    load_client_deinit(&c);
    load_publisher_deinit(&p);
}
END_TEST

/* ---- load_telemetry */

START_TEST(telemetry_has_its_length_and_bears_its_stamp)
{
    static const uint64_t times_us[] = {1, 19601440952, 99999999999999};
    struct load_telemetry t;
    char out[LOAD_TELEMETRY_MAX + 1];
    for (uint32_t index = 0; index < 600; index++) {
        load_telemetry_init(&t, index * index); /* up to six digits */
        for (uint32_t i = 0; i < 60; i++) {
            struct load_wire_stamp got;
            struct load_wire_stamp stamp = {index * index, i == 0 ? UINT32_MAX : i * 1000,
                                            times_us[i % 3] * 1000 + 999};
            size_t len = load_telemetry_put(&t, out, &stamp);
            ck_assert_uint_ge(len, LOAD_TELEMETRY_MIN);
            ck_assert_uint_le(len, LOAD_TELEMETRY_MAX);
            ck_assert_uint_eq(strlen(out), len);
            ck_assert(out[0] == '{' && out[len - 1] == '}');
            ck_assert(load_telemetry_read_stamp((uint8_t *)out, LOAD_TELEMETRY_STAMP_MAX, &got));
            ck_assert(got.publisher == stamp.publisher && got.number == stamp.number);
            ck_assert_uint_eq(got.sent_ns, times_us[i % 3] * 1000);
        }
    }
}
END_TEST

START_TEST(telemetry_drifts)
{
    struct load_telemetry t;
    char out[LOAD_TELEMETRY_MAX + 1];
    const struct load_wire_stamp stamp = {1, 1, 1};
    double least = 100, most = -100;
    load_telemetry_init(&t, 1);
    for (int i = 0; i < 1000; i++) {
        double before = t.temperature;
        load_telemetry_put(&t, out, &stamp);
        ck_assert(t.temperature - before <= 0.2 && before - t.temperature <= 0.2);
        least = t.temperature < least ? t.temperature : least;
        most = t.temperature > most ? t.temperature : most;
    }
    ck_assert(most - least > 1 && most - least < 80);
}
END_TEST

START_TEST(what_is_no_telemetry_has_no_stamp)
{
    static const char *const texts[] = {"", "{\"device\":\"sensor-", "{\"device\":\"sensor-1\",\"seq\":2,\"us\":3",
                                        "{\"device\":\"sensor-x\",\"seq\":2,\"us\":3,",
                                        "{\"device\":\"sensor-1\",\"us\":3,"};
    struct load_wire_stamp got;
    for (size_t i = 0; i < TEST_COUNT(texts); i++)
        ck_assert(!load_telemetry_read_stamp((const uint8_t *)texts[i], strlen(texts[i]), &got));
    ck_assert(load_telemetry_read_stamp((const uint8_t *)"{\"device\":\"sensor-1\",\"seq\":2,\"us\":3,", 39, &got));
}
END_TEST

START_TEST(a_publish_of_telemetry_is_read_as_it_was_written)
{
    const struct load_wire_stamp stamp = {.publisher = 499, .number = 70000, .sent_ns = 123456789000};
    uint8_t bytes[700];
    for (int version = 4; version <= 5; version++) {
        struct load_telemetry telemetry;
        struct load_wire_template t;
        struct load_wire_packet p;
        load_telemetry_init(&telemetry, 499);
        load_wire_template_init(&t, version, "a/b", 1, LOAD_TELEMETRY_MAX);
        size_t len = load_telemetry_put(&telemetry, (char *)bytes + t.stamp_at, &stamp);
        load_wire_put_publish_head(bytes, &t, 0x1234, len);
        size_t head = t.stamp_at + LOAD_TELEMETRY_STAMP_MAX;
        for (size_t here = 0; here < head; here++)
            ck_assert_int_eq(load_wire_read(bytes, here, version, &p), LOAD_WIRE_MORE);
        ck_assert_int_eq(load_wire_read(bytes, head, version, &p), LOAD_WIRE_OK);
        ck_assert_uint_eq(p.len, t.stamp_at + len);
        ck_assert_uint_eq(p.payload_len, len);
        ck_assert_uint_eq(p.packet_id, 0x1234);
        ck_assert(p.stamp.publisher == 499 && p.stamp.number == 70000 && p.stamp.sent_ns == 123456789000);
        load_wire_template_deinit(&t);
    }
}
END_TEST

/* ---- load_pace */

/* How many bursts there are in the first MS milliseconds, of each publisher. */
static uint32_t run_pace(struct load_pace *pace, uint32_t ms, uint32_t *counts)
{
    uint32_t slot, n = 0;
    uint64_t due_ns, last_ns = 0;
    for (uint64_t now_ns = pace->start_ns; now_ns < pace->start_ns + ms * UINT64_C(1000000); now_ns += 100000) {
        for (; load_pace_take(pace, now_ns, &slot, &due_ns); n++) {
            ck_assert(due_ns <= now_ns && due_ns >= last_ns);
            if (!pace->is_random)
                ck_assert_uint_eq(due_ns, load_pace_due_ns(pace, slot, counts[slot]));
            counts[slot]++;
            last_ns = due_ns;
        }
        ck_assert_uint_gt(load_pace_next_ns(pace), now_ns);
    }
    return n;
}

START_TEST(publishers_in_turn_keep_the_rate)
{
    const struct load_options o = {.rate = 1000, .burst = 1, .together = 1, .publishers = 10};
    struct load_pace pace;
    uint32_t counts[10] = {0};
    load_pace_init(&pace, &o, 10, 0, 5);
    ck_assert_uint_eq(run_pace(&pace, 1000, counts), 1000);
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(counts[i], 100);
}
END_TEST

START_TEST(publishers_send_together)
{
    const struct load_options o = {.rate = 2000, .burst = 1, .together = 25, .publishers = 500};
    struct load_pace pace;
    uint64_t due_ns[50];
    uint32_t slot;
    load_pace_init(&pace, &o, 500, 0, 7);
    for (uint32_t i = 0; i < 50; i++) {
        ck_assert(load_pace_take(&pace, UINT64_MAX, &slot, &due_ns[i]));
        ck_assert_uint_eq(slot, i);
        ck_assert_uint_eq(due_ns[i], i < 25 ? 7 : 7 + 12500000);
    }
}
END_TEST

START_TEST(random_times_keep_the_rate_too)
{
    const struct load_options o = {.rate = 2000, .burst = 1, .together = 1, .publishers = 20, .is_random = true};
    struct load_pace pace;
    uint32_t counts[20] = {0};
    load_pace_init(&pace, &o, 20, 0, 5);
    uint32_t n = run_pace(&pace, 10000, counts); /* 20,000 in the mean, with a deviation of 141 */
    ck_assert(n > 19300 && n < 20700);
    for (int i = 0; i < 20; i++)
        ck_assert(counts[i] > 800 && counts[i] < 1200);
}
END_TEST

START_TEST(a_publisher_remembers_when_its_messages_were_due)
{
    const struct load_options o = {.version = 4, .payload_len = 16, .count = 3};
    const struct load_pace pace = {.is_random = true};
    static struct load_hist lag;
    struct load_publisher p;
    struct load_client c;
    struct load_wire_packet packet;
    load_publisher_init(&p, &o, 0, 0, "t");
    load_client_init(&c, LOAD_CLIENT_PUBLISHER, 0, 4);
    load_publisher_allow_at(&p, 1, 100);
    load_publisher_allow_at(&p, 1, 300);
    load_publisher_allow_at(&p, 2, 400); /* one more than it may make in all */
    ck_assert_uint_eq(p.allowed, 3);
    load_publisher_fill(&p, &c, &pace, 1000, &lag);
    ck_assert_uint_eq(c.out_len, 3 * p.template.len);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(load_wire_read(c.out + i * p.template.len, p.template.len, 4, &packet), LOAD_WIRE_OK);
        ck_assert_uint_eq(packet.stamp.sent_ns, i == 0 ? 100 : i == 1 ? 300 : 400);
    }
    load_client_deinit(&c);
    load_publisher_deinit(&p);
}
END_TEST

static Suite *load_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("load", &tc);
    tcase_add_test(tc, in_order_nothing_is_remembered);
    tcase_add_test(tc, a_late_number_fills_its_gap_and_a_second_one_is_a_duplicate);
    tcase_add_loop_test(tc, any_order_is_counted_as_a_plain_table_counts_it, 0, 20);
    tcase_add_test(tc, percentiles_are_within_one_percent);
    tcase_add_test(tc, small_huge_and_no_values_have_a_place);
    tcase_add_test(tc, a_publish_is_read_as_it_was_written);
    tcase_add_test(tc, receive_maximum_is_found_among_other_properties);
    tcase_add_test(tc, what_is_no_mqtt_is_refused);
    tcase_add_test(tc, the_window_is_never_exceeded_and_ids_come_back);
    tcase_add_test(tc, acknowledgements_of_nothing_are_counted);
    tcase_add_test(tc, messages_that_did_not_leave_are_known);
    tcase_add_test(tc, telemetry_has_its_length_and_bears_its_stamp);
    tcase_add_test(tc, telemetry_drifts);
    tcase_add_test(tc, what_is_no_telemetry_has_no_stamp);
    tcase_add_test(tc, a_publish_of_telemetry_is_read_as_it_was_written);
    tcase_add_test(tc, publishers_in_turn_keep_the_rate);
    tcase_add_test(tc, publishers_send_together);
    tcase_add_test(tc, random_times_keep_the_rate_too);
    tcase_add_test(tc, a_publisher_remembers_when_its_messages_were_due);
    return suite;
}

TEST_MAIN(load_suite)
