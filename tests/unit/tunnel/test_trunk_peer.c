/* A trunk against a peer that breaks the rules: raw messages on r-proxy's side of the stream. proto/mqtt_trunk.proto is
 * what both are measured by: a fault ends as much as it must (nothing, a lane, the trunk), and says why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lane_fixture.h"
#include "test_main.h"
#include "trunk.h"
#include "trunk_messages.h"
#include "trunk_zip.h"

enum { LANES = 4, MAX_LANES = 10, CLOSES = 20 };

static struct rig rig;

/* --- Our side: s-proxy */

static struct trunk *trunk;
static struct party parties[LANES];
static unsigned n_parties, n_ready, n_trunk_ends;
static char trunk_text[200];
static struct trunk_metrics metrics;
static struct trunk_options options;

static void on_ready(struct trunk *t, void *arg)
{
    n_ready++;
    loop_stop(rig.loop);
}

static void on_lane(struct trunk *t, struct lane *l, void *arg)
{
    ck_assert_uint_lt(n_parties, LANES);
    struct party *p = &parties[n_parties++];
    p->rig = &rig;
    p->lane = l;
    lane_set_callbacks(l, &party_cbs, p);
    loop_stop(rig.loop);
}

static void on_trunk_end(struct trunk *t, int status, const char *text, void *arg)
{
    n_trunk_ends++;
    snprintf(trunk_text, sizeof(trunk_text), "%s", text);
    loop_stop(rig.loop);
}

static const struct trunk_cbs trunk_cbs = {.on_ready = on_ready, .on_lane = on_lane, .on_end = on_trunk_end};

static void arrive(struct rig *r, struct rpc_stream *stream)
{
    const struct trunk_params params = {.options = &options, .metrics = &metrics, .cbs = &trunk_cbs};
    ck_assert_int_eq(trunk_accept(stream, &params, &trunk), 0);
}

/* --- The raw side: r-proxy */

static struct {
    struct rpc_stream *stream;
    unsigned n_messages, n_ends;
    int status;
    char text[600];
    bool has_hello, is_draining;
    struct trunk_hello hello;
    uint64_t taken, credit, pong, ping;
    unsigned n_packets, n_closes;
    struct {
        uint32_t lane, reason;
        char text[200];
    } closes[CLOSES];
} raw;

static void take_frame(const struct trunk_frame *frame)
{
    if (frame->kind == TRUNK_FRAME_CLOSE) {
        ck_assert_uint_lt(raw.n_closes, CLOSES);
        raw.closes[raw.n_closes].lane = frame->lane;
        raw.closes[raw.n_closes].reason = frame->close.reason;
        snprintf(raw.closes[raw.n_closes].text, 200, "%.*s", (int)frame->close.text.len, frame->close.text.ptr);
        raw.n_closes++;
    }
    raw.n_packets += frame->kind == TRUNK_FRAME_PACKET_V3 || frame->kind == TRUNK_FRAME_PACKET_V5 ||
                     frame->kind == TRUNK_FRAME_PIECE;
    if (frame->kind == TRUNK_FRAME_CREDIT)
        raw.credit += frame->credit_bytes;
}

static enum gate_answer raw_on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg)
{
    struct trunk_message m;
    struct trunk_frame frame;
    struct mqtt_fault fault;
    ck_assert_int_eq(trunk_message_read(bytes, n, &m, &fault), CONVERT_OK);
    ck_assert_msg(raw.n_messages > 0 || m.controls.has_hello, "the first message has no hello");
    raw.n_messages++;
    raw.taken += m.controls.taken;
    raw.pong = m.controls.pong ? m.controls.pong : raw.pong;
    raw.ping = m.controls.ping ? m.controls.ping : raw.ping;
    raw.is_draining |= m.controls.is_draining;
    if (m.controls.has_hello) {
        raw.has_hello = true;
        raw.hello = m.controls.hello;
    }
    while (trunk_message_next(&m, &frame))
        take_frame(&frame);
    loop_stop(rig.loop);
    return GATE_PASS;
}

static void raw_on_end(struct rpc_stream *s, int status, const char *text, void *arg)
{
    raw.n_ends++;
    raw.status = status;
    snprintf(raw.text, sizeof(raw.text), "%s", text);
    loop_stop(rig.loop);
}

static const struct rpc_stream_cbs raw_cbs = {.on_message = raw_on_message, .on_end = raw_on_end};

/* What has been put together. */
static size_t raw_send(void)
{
    size_t n = (size_t)(message_end - message);
    struct rpc_message *m = rpc_message_new(n);
    memcpy(rpc_message_bytes(m), message, n);
    rpc_stream_send(raw.stream, m);
    message_end = message;
    return n;
}

static void raw_open(void)
{
    const struct rpc_metadata metadata = {"trunk-id", "000102030405060708090a0b0c0d0e0f"};
    ck_assert_int_eq(rpc_stream_open(rig.channel, rig.mailbox, TRUNK_PATH, &metadata, 1, &raw_cbs, NULL, &raw.stream),
                     0);
}

/* The trunk is up, with N lanes that have sent CONNECT (sequence numbers 1 and 2). */
static void connect_raw(unsigned n)
{
    raw_open();
    put_controls(good_hello(0));
    raw_send();
    for (uint32_t i = 1; i <= n; i++) {
        put_open(i, 1);
        put_packet(i, 2, sample_connect(MQTT_V5, 0));
        raw_send();
    }
    RIG_RUN_UNTIL(&rig, n_ready == 1 && raw.has_hello && n_parties == n && (n == 0 || parties[n - 1].n_packets == 1));
}

static void setup(void)
{
    memset(&raw, 0, sizeof(raw));
    memset(parties, 0, sizeof(parties));
    memset(&metrics, 0, sizeof(metrics));
    n_parties = n_ready = n_trunk_ends = 0;
    trunk_text[0] = '\0';
    message_end = message;
    trunk = NULL;
    options = (struct trunk_options){
        .software = "test", .dead_after_ms = 60000, .max_lanes = MAX_LANES, .zstd_window_log = 20};
    rig_init_at(&rig, TRUNK_PATH, 8 << 20, 1);
    rig.on_arrival = arrive;
}

static void teardown(void)
{
    for (unsigned i = 0; i < LANES; i++)
        party_free(&parties[i]);
    trunk = trunk_free(trunk);
    raw.stream = rpc_stream_free(raw.stream);
    rig_deinit(&rig);
}

/* Lane 2 works: what happened to lane 1 is not its business. SEQUENCE: its next one. */
static void check_other_lane(uint64_t sequence)
{
    unsigned before = parties[1].n_packets;
    put_publish(2, sequence, parties[1].next_number, 50);
    raw_send();
    RIG_RUN_UNTIL(&rig, parties[1].n_packets == before + 1);
    ck_assert_uint_eq(parties[1].n_wrong, 0);
    ck_assert_uint_eq(n_trunk_ends, 0);
}

static void check_lane_fault(const char *text)
{
    RIG_RUN_UNTIL(&rig, raw.n_closes == 1 && parties[0].n_ends == 1);
    ck_assert_uint_eq(raw.closes[0].lane, 1);
    ck_assert_uint_eq(raw.closes[0].reason, CLOSE_PROTOCOL);
    ck_assert_str_eq(raw.closes[0].text, text);
    ck_assert_int_eq(parties[0].why, LANE_END_PROTOCOL);
    ck_assert_str_eq(parties[0].text, text);
    ck_assert_int_eq(metric_get(&metrics.lanes_failed), 1);
    check_other_lane(3);
}

static void check_trunk_fault(int status, const char *text)
{
    RIG_RUN_UNTIL(&rig, raw.n_ends == 1 && n_trunk_ends == 1);
    ck_assert_int_eq(raw.status, status);
    ck_assert_str_eq(raw.text, text);
    ck_assert_str_eq(trunk_text, text);
    ck_assert_int_eq(metric_get(&metrics.trunks_failed), 1);
    for (unsigned i = 0; i < n_parties; i++) {
        ck_assert_uint_eq(parties[i].n_ends, 1);
        ck_assert_int_eq(parties[i].why, LANE_END_LOST);
    }
}

/* --- In order */

START_TEST(hello_says_what_we_take)
{
    connect_raw(0);
    ck_assert_uint_eq(raw.hello.version, 1);
    ck_assert_uint_eq(raw.hello.lane_window, LANE_WINDOW_BYTES);
    ck_assert_uint_eq(raw.hello.max_lanes, MAX_LANES);
    ck_assert_uint_eq(raw.hello.dead_after_ms, 60000);
    ck_assert_uint_eq(raw.hello.zstd_window_log, 20);
    ck_assert_str_eq(trunk_id(trunk), "000102030405060708090a0b0c0d0e0f");
}
END_TEST

START_TEST(a_lane_goes_from_open_to_close)
{
    connect_raw(1);
    ck_assert_str_eq(lane_session_id(parties[0].lane), "ab000000000000000000000000000000");
    put_publish(1, 3, 0, 100);
    put_close(1, 4, CLOSE_OK);
    raw_send();
    RIG_RUN_UNTIL(&rig, parties[0].n_finished == 1);
    ck_assert_uint_eq(parties[0].n_packets, 2);
    ck_assert_uint_eq(raw.n_closes, 0);
    lane_finish(parties[0].lane, LANE_END_OK, "bye");
    ck_assert_uint_eq(parties[0].n_ends, 0); /* never inside a call of the session */
    RIG_RUN_UNTIL(&rig, raw.n_closes == 1 && parties[0].n_ends == 1);
    ck_assert_uint_eq(raw.closes[0].reason, CLOSE_OK);
    ck_assert_int_eq(parties[0].why, LANE_END_OK);
    ck_assert_uint_eq(trunk_lane_count(trunk), 0);

    put_open(1, 1); /* the id is free again */
    put_packet(1, 2, sample_connect(MQTT_V311, 0));
    raw_send();
    RIG_RUN_UNTIL(&rig, n_parties == 2 && parties[1].n_packets == 1);
}
END_TEST

START_TEST(bytes_taken_are_said_without_being_asked)
{
    connect_raw(1);
    size_t sent = 0;
    for (uint32_t i = 0; i < 20; i++) {
        put_publish(1, 3 + i, i, 10000);
        sent += raw_send();
    }
    RIG_RUN_UNTIL(&rig, raw.taken + 65536 > sent);
    RIG_RUN_UNTIL(&rig, parties[0].n_packets == 21);
    ck_assert_uint_ge(raw.credit, LANE_WINDOW_BYTES / 4);
}
END_TEST

START_TEST(a_ping_is_answered)
{
    connect_raw(0);
    put_controls((struct trunk_controls){.ping = 4711});
    raw_send();
    RIG_RUN_UNTIL(&rig, raw.pong == 4711);
}
END_TEST

START_TEST(draining_is_told_and_new_lanes_are_refused)
{
    connect_raw(1);
    trunk_drain(trunk);
    RIG_RUN_UNTIL(&rig, raw.is_draining);
    put_open(5, 1);
    put_packet(5, 2, sample_connect(MQTT_V5, 0));
    put_publish(1, 3, 0, 10);
    raw_send();
    RIG_RUN_UNTIL(&rig, raw.n_closes == 1 && parties[0].n_packets == 2);
    ck_assert_uint_eq(raw.closes[0].lane, 5);
    ck_assert_uint_eq(raw.closes[0].reason, CLOSE_UNAVAILABLE);
    ck_assert_int_eq(metric_get(&metrics.lanes_refused), 1);
    ck_assert_uint_eq(n_parties, 1);
}
END_TEST

/* --- Faults of a lane */

static void fault_gap(void)
{
    put_publish(1, 4, 0, 10);
}

static void fault_repeat(void)
{
    put_publish(1, 2, 0, 10);
}

static void fault_second_open(void)
{
    put_open(1, 3);
}

static void fault_second_connect(void)
{
    put_packet(1, 3, sample_connect(MQTT_V5, 0));
}

static void fault_no_body(void)
{
    static const uint8_t frame[] = {0x0a, 4, 0x08, 1, 0x10, 3};
    put_bytes(frame, sizeof(frame));
}

/* Of a type that nobody knows: field 15. */
static void fault_unknown_body(void)
{
    static const uint8_t frame[] = {0x0a, 7, 0x08, 1, 0x10, 3, 0x7a, 1, 0};
    put_bytes(frame, sizeof(frame));
}

/* A credit and a close. */
static void fault_two_bodies(void)
{
    static const uint8_t frame[] = {0x0a, 8, 0x08, 1, 0x10, 3, 0x32, 0, 0x40, 1};
    put_bytes(frame, sizeof(frame));
}

/* A close that is a number. */
static void fault_wrong_wire_type(void)
{
    static const uint8_t frame[] = {0x0a, 6, 0x08, 1, 0x10, 3, 0x30, 1};
    put_bytes(frame, sizeof(frame));
}

static void fault_credit(void)
{
    put_credit(1, (uint64_t)1 << 40);
}

static void fault_piece_without_total(void)
{
    put_piece(1, 3, 0, "data");
}

static void fault_piece_too_long(void)
{
    put_piece(1, 3, 6, "four");
    put_piece(1, 4, 0, "four");
}

static void fault_packet_between_pieces(void)
{
    put_piece(1, 3, 100, "four");
    put_publish(1, 4, 0, 10);
}

static void fault_close_between_pieces(void)
{
    put_piece(1, 3, 100, "four");
    put_close(1, 4, CLOSE_OK);
}

static void fault_wrong_family(void)
{
    struct mqtt_packet packet = {.type = MQTT_PINGREQ, .version = MQTT_V311};
    put_packet(1, 3, &packet);
}

static const struct {
    void (*put)(void);
    const char *text;
} lane_faults[] = {
    {fault_gap, "a gap in the sequence of frames"},
    {fault_repeat, "a gap in the sequence of frames"},
    {fault_second_open, "an open of a lane that is open"},
    {fault_second_connect, "a second CONNECT"},
    {fault_no_body, "frame: carries nothing"},
    {fault_unknown_body, "frame: carries nothing"},
    {fault_two_bodies, "frame: carries two things at once"},
    {fault_wrong_wire_type, "frame: not well-formed protobuf"},
    {fault_credit, "more credit than there can be"},
    {fault_piece_without_total, "a piece that does not fit the packet"},
    {fault_piece_too_long, "a piece that does not fit the packet"},
    {fault_packet_between_pieces, "a packet between the pieces of another"},
    {fault_close_between_pieces, "the end in the middle of a packet"},
    {fault_wrong_family, "a packet of another version than the session's"},
};

START_TEST(a_fault_of_a_lane_ends_that_lane)
{
    connect_raw(2);
    lane_faults[_i].put();
    raw_send();
    check_lane_fault(lane_faults[_i].text);
}
END_TEST

START_TEST(the_first_packet_must_be_connect)
{
    connect_raw(2);
    put_open(3, 1);
    put_publish(3, 2, 0, 10);
    raw_send();
    RIG_RUN_UNTIL(&rig, raw.n_closes == 1 && parties[2].n_ends == 1);
    ck_assert_str_eq(raw.closes[0].text, "the first packet is not CONNECT");
    check_other_lane(3);
}
END_TEST

START_TEST(credit_that_is_overrun_ends_the_lane)
{
    connect_raw(2);
    parties[0].is_stalled = true;
    /* CONNECT was consumed before; the packet that uses up the window may overrun it, the next one may not. */
    for (uint32_t i = 0; i < 5 + 1; i++) {
        put_publish(1, 3 + i, i, 60000);
        raw_send();
    }
    check_lane_fault("credit overrun");
    ck_assert_uint_eq(parties[0].n_packets, 1 + 5);
}
END_TEST

START_TEST(an_unknown_lane_is_refused_and_no_other_touched)
{
    connect_raw(2);
    put_publish(7, 3, 0, 10);
    put_close(8, 1, CLOSE_OK); /* no answer */
    put_credit(9, 1);          /* likewise */
    put_publish(0, 1, 0, 10);  /* 0 is no lane */
    raw_send();
    check_other_lane(3);
    RIG_RUN_UNTIL(&rig, raw.n_closes == 1);
    ck_assert_uint_eq(raw.closes[0].lane, 7);
    ck_assert_uint_eq(raw.closes[0].reason, CLOSE_PROTOCOL);
    ck_assert_str_eq(raw.closes[0].text, "no such lane");
    ck_assert_int_eq(metric_get(&metrics.frames_ignored), 4);
    ck_assert_int_eq(metric_get(&metrics.lanes_failed), 0);
}
END_TEST

START_TEST(a_lane_above_the_limit_is_refused)
{
    connect_raw(2);
    put_open(MAX_LANES + 1, 1);
    raw_send();
    RIG_RUN_UNTIL(&rig, raw.n_closes == 1);
    ck_assert_uint_eq(raw.closes[0].lane, MAX_LANES + 1);
    ck_assert_uint_eq(raw.closes[0].reason, CLOSE_LIMIT);
    ck_assert_int_eq(metric_get(&metrics.lanes_refused), 1);
    check_other_lane(3);
}
END_TEST

START_TEST(a_lane_that_is_lost_is_told_although_a_packet_waits)
{
    connect_raw(2);
    parties[0].holds_next = true;
    put_publish(1, 3, 0, 10);
    put_publish(1, 4, 1, 10);
    put_close(1, 5, CLOSE_LOST);
    raw_send();
    RIG_RUN_UNTIL(&rig, parties[0].n_ends == 1 && raw.n_closes == 1);
    ck_assert_int_eq(parties[0].why, LANE_END_LOST);
    ck_assert_uint_eq(parties[0].n_finished, 0);
    ck_assert_uint_eq(raw.closes[0].reason, CLOSE_OK);
    check_other_lane(3);
}
END_TEST

/* --- Faults of the trunk */

static void fault_garbage(void)
{
    memset(message_end, 0xff, 20);
    message_end += 20;
}

static void fault_second_hello(void)
{
    put_controls(good_hello(0));
}

static void fault_taken(void)
{
    put_controls((struct trunk_controls){.taken = 1 << 20});
}

static void fault_zstd(void)
{
    put_controls((struct trunk_controls){.zstd_frames = {(const uint8_t *)"no zstd at all", 14}});
}

static void fault_both(void)
{
    put_publish(1, 3, 0, 10);
    fault_zstd();
}

static void fault_too_large(void)
{
    for (uint32_t i = 0; i < 30; i++)
        put_publish(1, 3 + i, i, 60000);
}

/* 16 MiB of zeros in few bytes. */
static void fault_bomb(void)
{
    enum { BYTES = 16 << 20 };
    struct trunk_zip *zip;
    uint8_t *zeros = calloc(1, BYTES), *packed = malloc(trunk_zip_bound(BYTES));
    ck_assert_int_eq(trunk_zip_new(3, 20, &zip), 0);
    int64_t n = trunk_zip_pack(zip, zeros, BYTES, packed);
    ck_assert_int_gt(n, 0);
    ck_assert_int_lt(n, MESSAGE_ROOM / 2);
    put_controls((struct trunk_controls){.zstd_frames = {packed, (uint32_t)n}});
    trunk_zip_free(zip);
    free(zeros);
    free(packed);
}

static const char zip_text[] =
    "compressed frames that cannot be taken: no zstd, too large a window, or larger than allowed";
static const struct {
    void (*put)(void);
    int status;
    const char *text;
} trunk_faults[] = {
    {fault_garbage, RPC_INVALID_ARGUMENT, NULL},
    {fault_second_hello, RPC_INVALID_ARGUMENT, "a second hello"},
    {fault_taken, RPC_INVALID_ARGUMENT, "more bytes taken than were sent"},
    {fault_zstd, RPC_INVALID_ARGUMENT, zip_text},
    {fault_both, RPC_INVALID_ARGUMENT, NULL},
    {fault_too_large, RPC_RESOURCE_EXHAUSTED, "a message larger than hello allows"},
    {fault_bomb, RPC_INVALID_ARGUMENT, zip_text},
};

START_TEST(a_fault_of_a_message_ends_the_trunk)
{
    connect_raw(2);
    trunk_faults[_i].put();
    raw_send();
    RIG_RUN_UNTIL(&rig, raw.n_ends == 1);
    check_trunk_fault(trunk_faults[_i].status, trunk_faults[_i].text ? trunk_faults[_i].text : raw.text);
    ck_assert_uint_gt(strlen(raw.text), 0);
}
END_TEST

START_TEST(a_trunk_begins_with_hello)
{
    static const char *const texts[] = {"the first message is no hello", "hello without version",
                                        "hello with an impossible lane_window",
                                        "hello with too small a max_message_bytes"};
    struct trunk_controls hello = good_hello(0);
    hello.has_hello = _i != 0;
    hello.ping = _i == 0;
    hello.hello.version = _i != 1;
    hello.hello.lane_window = _i == 2 ? 100 : 262144;
    hello.hello.max_message_bytes = _i == 3 ? 100 : 1 << 20;
    raw_open();
    put_controls(hello);
    raw_send();
    check_trunk_fault(RPC_INVALID_ARGUMENT, texts[_i]);
    ck_assert_uint_eq(n_ready, 0);
}
END_TEST

/* --- Silence */

START_TEST(a_silent_peer_is_dead)
{
    options.dead_after_ms = 150;
    connect_raw(1);
    RIG_RUN_UNTIL(&rig, raw.ping != 0); /* it was asked */
    RIG_RUN_UNTIL(&rig, n_trunk_ends == 1);
    ck_assert_str_eq(trunk_text, "the peer is silent");
    ck_assert_int_eq(parties[0].why, LANE_END_LOST);
    ck_assert_int_eq(metric_get(&metrics.trunks_dead), 1);
}
END_TEST

START_TEST(a_peer_without_hello_is_dead)
{
    options.dead_after_ms = 100;
    raw_open();
    RIG_RUN_UNTIL(&rig, n_trunk_ends == 1);
    ck_assert_str_eq(trunk_text, "no hello from the peer in time");
}
END_TEST

/* It says that it lives, and takes nothing. */
static void answer_forever(struct loop_timer *timer)
{
    put_controls((struct trunk_controls){.ping = 1});
    raw_send();
    loop_timer_start(timer, 20);
}

static void check_nothing_taken(unsigned n_lanes)
{
    static const char text[] = "the peer takes nothing of what is sent";
    struct loop_timer timer;
    loop_timer_init(&timer, rig.loop, answer_forever);
    loop_timer_start(&timer, 1);
    RIG_RUN_UNTIL(&rig, n_trunk_ends == 1);
    loop_timer_stop(&timer);
    ck_assert_str_eq(trunk_text, text);
    ck_assert_int_eq(metric_get(&metrics.trunks_dead), 1);
    for (unsigned i = 0; i < n_lanes; i++) {
        ck_assert_int_eq(parties[i].why, LANE_END_LOST);
        ck_assert_str_eq(parties[i].text, text);
    }
    rpc_stream_resume(raw.stream);
    RIG_RUN_UNTIL(&rig, raw.n_ends == 1);
    ck_assert_int_eq(raw.status, RPC_UNAVAILABLE);
    ck_assert_str_eq(raw.text, text);
}

START_TEST(a_peer_that_takes_nothing_is_dead)
{
    options.dead_after_ms = 100;
    connect_raw(1);
    party_publish(&parties[0], MQTT_V5, 0, 1000);
    check_nothing_taken(1);
}
END_TEST

/* What is for it fills its own lane; what comes from it goes on. */
START_TEST(a_peer_that_never_reads_is_dead_and_costs_a_bound)
{
    uint32_t n = 0;
    options.dead_after_ms = 200;
    connect_raw(2);
    rpc_stream_pause(raw.stream);
    for (; lane_may_send(parties[0].lane); n++)
        party_publish(&parties[0], MQTT_V5, n, 3000);
    ck_assert_uint_le(n * 3000, LANE_WINDOW_BYTES + 3000);
    ck_assert_uint_eq(lane_buffered_bytes(parties[1].lane), 0);
    check_other_lane(3);
    check_nothing_taken(2);
}
END_TEST

/* What it may have under way is bounded, so what does not leave stays with the sessions. */
START_TEST(a_peer_that_says_nothing_taken_gets_no_more_than_a_bound)
{
    connect_raw(1);
    for (uint32_t i = 0; i < 40; i++) {
        put_credit(1, 1 << 20);
        raw_send();
    }
    RIG_RUN_UNTIL(&rig, lane_may_send(parties[0].lane));
    for (uint32_t i = 0; i < 2000; i++)
        party_publish(&parties[0], MQTT_V5, i, 3000);
    RIG_RUN_UNTIL(&rig, raw.n_packets >= 40);
    ck_assert(!lane_may_send(parties[0].lane));
    ck_assert_uint_gt(lane_buffered_bytes(parties[0].lane), 5000 * 1000);
    ck_assert_int_gt(metric_get(&metrics.link_stalls), 0);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("trunk_peer", &t);
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, hello_says_what_we_take);
    tcase_add_test(t, a_lane_goes_from_open_to_close);
    tcase_add_test(t, bytes_taken_are_said_without_being_asked);
    tcase_add_test(t, a_ping_is_answered);
    tcase_add_test(t, draining_is_told_and_new_lanes_are_refused);
    tcase_add_loop_test(t, a_fault_of_a_lane_ends_that_lane, 0, TEST_COUNT(lane_faults));
    tcase_add_test(t, the_first_packet_must_be_connect);
    tcase_add_test(t, credit_that_is_overrun_ends_the_lane);
    tcase_add_test(t, an_unknown_lane_is_refused_and_no_other_touched);
    tcase_add_test(t, a_lane_above_the_limit_is_refused);
    tcase_add_test(t, a_lane_that_is_lost_is_told_although_a_packet_waits);
    tcase_add_loop_test(t, a_fault_of_a_message_ends_the_trunk, 0, TEST_COUNT(trunk_faults));
    tcase_add_loop_test(t, a_trunk_begins_with_hello, 0, 4);
    tcase_add_test(t, a_silent_peer_is_dead);
    tcase_add_test(t, a_peer_without_hello_is_dead);
    tcase_add_test(t, a_peer_that_takes_nothing_is_dead);
    tcase_add_test(t, a_peer_that_never_reads_is_dead_and_costs_a_bound);
    tcase_add_test(t, a_peer_that_says_nothing_taken_gets_no_more_than_a_bound);
    return s;
}

TEST_MAIN(suite)
