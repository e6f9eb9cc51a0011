/* A trunk on a stream that does what the test says (stream_double.h): what leaves when, whose turn it is, and what
 * sessions may do inside callbacks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"
#include "mailbox.h"
#include "stream_double.h"
#include "test_main.h"
#include "trunk.h"
#include "trunk_messages.h"

enum { MAX_LANES = 10000, BATCH_BYTES = 16000, SENT_MAX = 4000 };

static struct loop *loop;
static struct mailbox *mailbox;
static struct trunk *trunk;
static struct trunk_options options;
static struct trunk_metrics metrics;
static unsigned n_trunk_ends;
static char trunk_text[80];

/* --- Sessions */

struct session {
    struct lane *lane;
    struct gate_wait *wait;
    unsigned n_packets, n_writable, n_finished, n_ends;
    enum lane_end why;
    char text[80];
    bool holds_next, is_stalled;
    void (*on_end)(struct session *s);
};

static struct session sessions[MAX_LANES];
static unsigned n_sessions;

static enum gate_answer on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg)
{
    struct session *s = arg;
    s->n_packets++;
    if (!s->is_stalled)
        lane_consumed(l, lane_packet_charge(l));
    if (!s->holds_next)
        return GATE_PASS;
    s->holds_next = false;
    s->wait = lane_hold(l);
    return GATE_HOLD;
}

static void on_writable(struct lane *l, void *arg)
{
    struct session *s = arg;
    s->n_writable++;
}

static void on_finished(struct lane *l, void *arg)
{
    struct session *s = arg;
    ck_assert_uint_eq(s->n_ends, 0);
    s->n_finished++;
}

static void on_lane_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    struct session *s = arg;
    s->n_ends++;
    s->why = why;
    snprintf(s->text, sizeof(s->text), "%s", text);
    if (s->on_end)
        s->on_end(s);
}

static const struct lane_cbs lane_cbs = {
    .on_packet = on_packet, .on_writable = on_writable, .on_finished = on_finished, .on_end = on_lane_end};

static void go_on(struct session *s)
{
    struct gate_wait *wait = s->wait;
    s->wait = NULL;
    gate_continue(wait);
}

static void publish(struct session *s, uint32_t number, size_t n)
{
    struct mqtt_packet packet = sample_publish(number, n);
    ck_assert_int_eq(lane_send(s->lane, &packet), 0);
}

/* --- The trunk */

static void on_trunk_ready(struct trunk *t, void *arg)
{
}

static void on_lane(struct trunk *t, struct lane *l, void *arg)
{
    struct session *s = &sessions[n_sessions++];
    s->lane = l;
    lane_set_callbacks(l, &lane_cbs, s);
}

static void on_trunk_end(struct trunk *t, int status, const char *text, void *arg)
{
    n_trunk_ends++;
    snprintf(trunk_text, sizeof(trunk_text), "%s", text);
}

static const struct trunk_cbs trunk_cbs = {.on_ready = on_trunk_ready, .on_lane = on_lane, .on_end = on_trunk_end};

/* --- What it sends: all frames in order, and of each message how many it has */

struct sent_frame {
    uint8_t kind;
    uint32_t lane, reason;
    size_t bytes;
    char text[80]; /* of a close */
};

static struct {
    struct sent_frame frames[SENT_MAX];
    unsigned n_frames, n_messages;
    size_t longest;
    uint64_t pong;
    bool is_draining;
} sent;

static void on_send(const uint8_t *bytes, size_t n)
{
    struct trunk_message m;
    struct trunk_frame f;
    struct mqtt_fault fault;
    ck_assert_int_eq(trunk_message_read(bytes, n, &m, &fault), CONVERT_OK);
    sent.n_messages++;
    sent.longest = n > sent.longest ? n : sent.longest;
    sent.pong = m.controls.pong ? m.controls.pong : sent.pong;
    sent.is_draining |= m.controls.is_draining;
    while (trunk_message_next(&m, &f)) {
        struct sent_frame *to = &sent.frames[sent.n_frames++ % SENT_MAX];
        *to = (struct sent_frame){.kind = f.kind, .lane = f.lane};
        if (f.kind == TRUNK_FRAME_PIECE)
            to->bytes = f.piece.data.len;
        if (f.kind == TRUNK_FRAME_CLOSE) {
            to->reason = f.close.reason;
            snprintf(to->text, sizeof(to->text), "%.*s", (int)f.close.text.len, f.close.text.ptr);
        }
    }
}

static void forget_sent(void)
{
    memset(&sent, 0, sizeof(sent));
}

static void stop(struct loop_task *task)
{
    loop_stop(loop);
}

/* The end of this turn, and what that defers. */
static void turn(void)
{
    struct loop_task task;
    loop_task_init(&task, stop);
    for (unsigned i = 0; i < 2; i++) {
        loop_defer(loop, &task);
        loop_run(loop);
    }
}

static void deliver(void)
{
    size_t n = (size_t)(message_end - message);
    message_end = message;
    stream_double_deliver(message, n);
}

/* Up, and everything sent has left. */
static void start(bool is_server)
{
    const struct trunk_params params = {
        .mailbox = mailbox, .options = &options, .metrics = &metrics, .cbs = &trunk_cbs};
    ck_assert_int_eq(is_server ? trunk_accept(&stream_double, &params, &trunk) : trunk_open(NULL, &params, &trunk), 0);
    put_controls(good_hello(is_server ? 0 : MAX_LANES));
    deliver();
    turn();
    stream_double_drain();
    forget_sent();
}

static int try_open(void)
{
    static const uint8_t id[TRUNK_SESSION_ID_BYTES] = {1};
    struct mqtt_packet connect = {.type = MQTT_CONNECT, .version = MQTT_V5};
    connect.connect = (struct mqtt_connect){.protocol_level = MQTT_V5, .clean_start = true};
    const struct trunk_lane_params params = {.session_id = id, .connect = &connect};
    struct session *s = &sessions[n_sessions];
    int r = trunk_open_lane(trunk, &params, &lane_cbs, s, &s->lane);
    n_sessions += r == 0;
    return r;
}

static void open_lanes(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        ck_assert_int_eq(try_open(), 0);
    turn();
    stream_double_drain();
    forget_sent();
}

/* The peer opens lanes 1 to N and sends CONNECT on each. */
static void accept_lanes(unsigned n)
{
    struct mqtt_packet connect = {.type = MQTT_CONNECT, .version = MQTT_V5};
    connect.connect = (struct mqtt_connect){.protocol_level = MQTT_V5, .clean_start = true};
    for (uint32_t i = 1; i <= n; i++) {
        put_open(i, 1);
        put_packet(i, 2, &connect);
    }
    deliver();
    ck_assert_uint_eq(n_sessions, n);
    turn();
    stream_double_drain();
    forget_sent();
}

static void end_stream(void)
{
    stream_double.cbs->on_end(&stream_double, RPC_UNAVAILABLE, "gone", stream_double.arg);
}

static void setup(void)
{
    memset(sessions, 0, sizeof(sessions));
    memset(&metrics, 0, sizeof(metrics));
    n_sessions = n_trunk_ends = 0;
    message_end = message;
    forget_sent();
    options = (struct trunk_options){.software = "test", .max_lanes = MAX_LANES};
    ck_assert_int_eq(loop_new(&loop), 0);
    ck_assert_int_eq(mailbox_new(loop, &mailbox), 0);
    stream_double_mailbox = mailbox;
    stream_double_on_send = on_send;
}

static void free_sessions(void)
{
    for (unsigned i = 0; i < n_sessions; i++) {
        sessions[i].lane = lane_free(sessions[i].lane);
        go_on(&sessions[i]);
    }
}

static void teardown(void)
{
    free_sessions();
    trunk = trunk_free(trunk);
    ck_assert_int_eq(metric_get(&metrics.lanes_open), 0);
    ck_assert_int_eq(metric_get(&metrics.trunks_open), 0);
    mailbox = mailbox_free(mailbox);
    loop = loop_free(loop);
}

/* --- Messages */

START_TEST(a_frame_leaves_at_the_end_of_its_turn_when_nothing_is_in_flight)
{
    start(false);
    open_lanes(2);
    publish(&sessions[0], 0, 100);
    publish(&sessions[1], 0, 100);
    ck_assert_uint_eq(sent.n_messages, 0);
    turn();
    ck_assert_uint_eq(sent.n_messages, 1);
    ck_assert_uint_eq(sent.n_frames, 2);
}
END_TEST

START_TEST(frames_collect_while_a_message_is_in_flight)
{
    start(false);
    open_lanes(1);
    publish(&sessions[0], 0, 100);
    turn();
    ck_assert_uint_eq(sent.n_messages, 1);
    for (uint32_t i = 1; i <= 20; i++) {
        publish(&sessions[0], i, 100);
        turn();
    }
    ck_assert_uint_eq(sent.n_messages, 1);
    stream_double_drain();
    ck_assert_uint_eq(sent.n_messages, 2);
    ck_assert_uint_eq(sent.n_frames, 21);
}
END_TEST

START_TEST(a_message_closes_at_its_limit_and_leaves_although_others_are_in_flight)
{
    enum { N = 100, BYTES = 1000 };
    start(false);
    open_lanes(1);
    for (uint32_t i = 0; i < N; i++)
        publish(&sessions[0], i, BYTES);
    ck_assert_uint_ge(sent.n_messages, N * BYTES / BATCH_BYTES);
    ck_assert_uint_le(sent.longest, BATCH_BYTES);
    ck_assert_uint_gt(sent.longest, BATCH_BYTES - 2 * BYTES);
    turn();
    stream_double_drain();
    ck_assert_uint_eq(sent.n_frames, N);
}
END_TEST

START_TEST(a_control_leaves_without_frames)
{
    start(_i);
    put_controls((struct trunk_controls){.ping = 77});
    deliver();
    turn();
    ck_assert_uint_eq(sent.n_messages, 1);
    ck_assert_uint_eq(sent.pong, 77);
}
END_TEST

static void stop_at_message(struct loop_timer *timer)
{
    if (sent.n_messages > 0)
        loop_stop(loop);
    else
        loop_timer_start(timer, 1);
}

START_TEST(lingering_frames_wait_for_the_timer_or_for_a_control)
{
    options.linger_ms = _i ? 3600 * 1000 : 1;
    start(false);
    open_lanes(0);
    ck_assert_int_eq(try_open(), 0);
    uint64_t begun_ms = loop_now_ms(loop);
    turn();
    if (_i) {
        ck_assert_uint_eq(sent.n_messages, 0);
        put_controls((struct trunk_controls){.ping = 77});
        deliver();
        turn();
    } else {
        struct loop_timer timer;
        loop_timer_init(&timer, loop, stop_at_message);
        loop_timer_start(&timer, 1);
        loop_run(loop);
        ck_assert_uint_ge(loop_now_ms(loop), begun_ms + options.linger_ms);
    }
    ck_assert_uint_eq(sent.n_messages, 1);
    ck_assert_uint_eq(sent.n_frames, 2);
    ck_assert_uint_eq(sent.pong, _i ? 77 : 0);
}
END_TEST

START_TEST(a_peer_that_only_asks_is_not_answered_for_ever)
{
    static const uint8_t frame[] = {0x0a, 8, 0x08, 9, 0x10, 3, 0x2a, 2, 0x0a, 0}; /* lane 9: an open without id */
    start(true);
    for (unsigned i = 0; i < 100 && !stream_double.is_over; i++) {
        while (message_end < message + 1000 * 1000)
            put_bytes(frame, sizeof(frame));
        deliver();
    }
    ck_assert(stream_double.is_over);
    ck_assert_int_eq(stream_double.status, RPC_RESOURCE_EXHAUSTED);
    ck_assert_uint_lt(stream_double.queued_bytes, 33 << 20);
    ck_assert_int_eq(metric_get(&metrics.trunks_failed), 1);
    end_stream();
    ck_assert_str_eq(trunk_text, "the peer reads nothing of what is sent");
}
END_TEST

/* --- Turns */

START_TEST(lanes_take_turns_with_their_pieces)
{
    enum { BYTES = 40000 };
    start(false);
    open_lanes(3);
    publish(&sessions[0], 0, BYTES);
    publish(&sessions[1], 0, BYTES);
    turn();
    stream_double_drain();
    ck_assert_uint_ge(sent.n_frames, 2 * BYTES / 4000);
    for (unsigned i = 0; i < sent.n_frames; i++) {
        ck_assert_uint_eq(sent.frames[i].kind, TRUNK_FRAME_PIECE);
        ck_assert_uint_eq(sent.frames[i].lane, 1 + i % 2);
        ck_assert_uint_le(sent.frames[i].bytes, 4000);
    }
    publish(&sessions[2], 0, 100);
    turn();
    stream_double_drain();
    ck_assert_uint_eq(sent.frames[sent.n_frames - 1].lane, 3);
}
END_TEST

/* The link is not what a lane waits for. */
static void take_200000(void)
{
    for (unsigned i = 0; i < 4; i++) {
        turn();
        stream_double_drain();
        put_controls((struct trunk_controls){.taken = 50000});
        deliver();
    }
    for (unsigned i = 0; i < 2; i++) {
        turn();
        stream_double_drain();
    }
}

START_TEST(a_lane_without_credit_does_not_stop_another)
{
    start(false);
    open_lanes(2);
    for (uint32_t i = 0; i < 8; i++)
        publish(&sessions[0], i, 60000);
    ck_assert(!lane_may_send(sessions[0].lane));
    take_200000();
    ck_assert_int_eq(metric_get(&metrics.credit_stalls), 1);
    forget_sent();
    ck_assert(lane_may_send(sessions[1].lane));
    publish(&sessions[1], 0, 100);
    turn();
    ck_assert_uint_eq(sent.n_frames, 1);
    ck_assert_uint_eq(sent.frames[0].lane, 2);

    stream_double_drain();
    put_credit(1, 1 << 20);
    while (sessions[0].n_writable == 0) {
        put_controls((struct trunk_controls){.taken = 10000});
        deliver();
        turn();
        stream_double_drain();
    }
    ck_assert(lane_may_send(sessions[0].lane));
}
END_TEST

START_TEST(whoever_waits_for_credit_is_told_that_none_will_come)
{
    start(true);
    accept_lanes(1);
    for (uint32_t i = 0; i < 8; i++)
        publish(&sessions[0], i, 60000);
    take_200000();
    ck_assert(!lane_may_send(sessions[0].lane));
    ck_assert_uint_eq(sessions[0].n_writable, 0);
    put_close(1, 3, CLOSE_OK);
    deliver();
    turn();
    ck_assert_uint_eq(sessions[0].n_finished, 1);
    ck_assert_uint_eq(sessions[0].n_writable, 1);
    ck_assert_uint_eq(lane_buffered_bytes(sessions[0].lane), 0);
}
END_TEST

/* --- Lanes */

START_TEST(the_smallest_free_id_is_used_again)
{
    start(false);
    open_lanes(3);
    put_close(2, 1, CLOSE_UNAVAILABLE);
    deliver();
    ck_assert_uint_eq(sessions[1].n_ends, 1);
    ck_assert_int_eq(sessions[1].why, LANE_END_UNAVAILABLE);
    turn();
    stream_double_drain();
    forget_sent();
    ck_assert_int_eq(try_open(), 0);
    turn();
    ck_assert_uint_eq(sent.frames[0].kind, TRUNK_FRAME_OPEN);
    ck_assert_uint_eq(sent.frames[0].lane, 2);
    put_publish(2, 1, 0, 10); /* its numbers begin anew */
    deliver();
    ck_assert_uint_eq(sessions[3].n_packets, 1);
}
END_TEST

START_TEST(an_id_is_not_free_before_both_have_closed)
{
    start(false);
    open_lanes(1);
    lane_finish(sessions[0].lane, LANE_END_OK, NULL);
    sessions[0].lane = lane_free(sessions[0].lane);
    turn();
    ck_assert_uint_eq(trunk_lane_count(trunk), 1);
    ck_assert_int_eq(try_open(), 0);
    turn();
    stream_double_drain();
    ck_assert_uint_eq(sent.frames[1].lane, 2);
    put_publish(1, 1, 0, 10); /* sent before the close had come */
    put_close(1, 2, CLOSE_OK);
    deliver();
    ck_assert_uint_eq(trunk_lane_count(trunk), 1);
    ck_assert_uint_eq(sessions[1].n_packets, 0);
}
END_TEST

START_TEST(ten_thousand_lanes_come_and_go)
{
    start(false);
    for (unsigned round = 0; round < 3; round++) {
        n_sessions = 0;
        for (unsigned i = 0; i < MAX_LANES; i++)
            ck_assert_int_eq(try_open(), 0);
        ck_assert_int_eq(trunk_lane_count(trunk), MAX_LANES);
        struct session extra = sessions[0];
        n_sessions = 0;
        ck_assert_int_eq(try_open(), -ENOSPC);
        ck_assert_ptr_eq(sessions[0].lane, extra.lane);
        n_sessions = MAX_LANES;
        for (unsigned i = 0; i < MAX_LANES; i++)
            lane_finish(sessions[i].lane, LANE_END_OK, NULL);
        for (uint32_t i = 1; i <= MAX_LANES; i++)
            put_close(i, 1, CLOSE_OK);
        deliver();
        for (unsigned i = 0; i < MAX_LANES; i++) {
            ck_assert_uint_eq(sessions[i].n_ends, round + 1);
            sessions[i].lane = lane_free(sessions[i].lane);
        }
        ck_assert_uint_eq(trunk_lane_count(trunk), 0);
        turn();
        stream_double_drain();
    }
    ck_assert_int_eq(metric_get(&metrics.lanes_opened), 3 * MAX_LANES);
}
END_TEST

START_TEST(what_is_refused_is_told_once)
{
    start(true);
    uint32_t lane = _i ? MAX_LANES + 1 : 5;
    put_open(lane, _i ? 1 : 4);
    put_publish(lane, _i ? 2 : 5, 0, 10);
    put_publish(lane, _i ? 3 : 6, 0, 10);
    put_close(lane, _i ? 4 : 7, CLOSE_OK);
    deliver();
    turn();
    ck_assert_uint_eq(sent.n_frames, 1);
    ck_assert_uint_eq(sent.frames[0].kind, TRUNK_FRAME_CLOSE);
    ck_assert_uint_eq(sent.frames[0].lane, lane);
    ck_assert_uint_eq(sent.frames[0].reason, _i ? CLOSE_LIMIT : CLOSE_PROTOCOL);
    ck_assert_uint_eq(n_sessions, 0);
    ck_assert_uint_eq(trunk_lane_count(trunk), 0);
    ck_assert_int_eq(metric_get(&metrics.lanes_refused), 1);
}
END_TEST

START_TEST(no_lane_is_taken_from_the_moment_of_draining_on)
{
    start(true);
    accept_lanes(1);
    publish(&sessions[0], 0, 100);
    turn(); /* a message is in flight: the word must wait */
    trunk_drain(trunk);
    put_open(2, 1);
    deliver();
    ck_assert_uint_eq(n_sessions, 1);
    turn();
    stream_double_drain();
    ck_assert(sent.is_draining);
    ck_assert(!stream_double.is_over);
    put_close(2, 2, CLOSE_OK);
    put_close(1, 3, CLOSE_LOST);
    deliver();
    turn();
    stream_double_drain();
    ck_assert(stream_double.is_over);
    ck_assert_int_eq(stream_double.status, RPC_UNAVAILABLE);
}
END_TEST

/* --- Faults of s-proxy; those of r-proxy are in test_trunk_peer.c */

static void fault_gap(void)
{
    put_publish(1, 2, 0, 10);
}

static void fault_open(void)
{
    put_open(1, 1);
}

static void fault_credit(void)
{
    put_credit(1, INT32_MAX);
}

static void fault_no_body(void)
{
    static const uint8_t frame[] = {0x0a, 4, 0x08, 1, 0x10, 1};
    put_bytes(frame, sizeof(frame));
}

static void fault_wrong_family(void)
{
    struct mqtt_packet packet = {.type = MQTT_PINGRESP, .version = MQTT_V311};
    put_packet(1, 1, &packet);
}

static void fault_overrun(void)
{
    sessions[0].is_stalled = true;
    for (uint32_t i = 0; i < 6; i++)
        put_publish(1, 1 + i, i, 60000);
}

static const struct {
    void (*put)(void);
    const char *text;
} lane_faults[] = {
    {fault_gap, "a gap in the sequence of frames"},
    {fault_open, "an open of a lane that is open"},
    {fault_credit, "more credit than there can be"},
    {fault_no_body, "frame: carries nothing"},
    {fault_wrong_family, "a packet of another version than the session's"},
    {fault_overrun, "credit overrun"},
};

/* Lane 2 works in both directions. */
static void check_other_lane(void)
{
    stream_double_drain();
    forget_sent();
    put_publish(2, 1, 0, 10);
    deliver();
    ck_assert_uint_eq(sessions[1].n_packets, 1);
    publish(&sessions[1], 0, 10);
    turn();
    ck_assert_uint_eq(sent.n_frames, 1);
    ck_assert_uint_eq(sent.frames[0].lane, 2);
    ck_assert_uint_eq(sessions[1].n_ends, 0);
    ck_assert_int_eq(metric_get(&metrics.trunks_failed), 0);
}

START_TEST(a_fault_of_a_lane_ends_that_lane)
{
    start(false);
    open_lanes(2);
    lane_faults[_i].put();
    deliver();
    turn();
    ck_assert_uint_eq(sent.n_frames, 1);
    ck_assert_uint_eq(sent.frames[0].kind, TRUNK_FRAME_CLOSE);
    ck_assert_uint_eq(sent.frames[0].lane, 1);
    ck_assert_uint_eq(sent.frames[0].reason, CLOSE_PROTOCOL);
    ck_assert_str_eq(sent.frames[0].text, lane_faults[_i].text);
    ck_assert_uint_eq(sessions[0].n_ends, 1);
    ck_assert_int_eq(sessions[0].why, LANE_END_PROTOCOL);
    ck_assert_str_eq(sessions[0].text, lane_faults[_i].text);
    ck_assert_int_eq(metric_get(&metrics.lanes_failed), 1);
    check_other_lane();
}
END_TEST

START_TEST(an_unknown_lane_is_refused_and_no_other_touched)
{
    start(false);
    open_lanes(2);
    put_publish(7, 1, 0, 10);
    put_open(8, 1); /* which only r-proxy may */
    put_credit(9, 1);
    put_close(10, 1, CLOSE_OK);
    put_publish(0, 1, 0, 10);
    deliver();
    turn();
    ck_assert_uint_eq(sent.n_frames, 2);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(sent.frames[i].kind, TRUNK_FRAME_CLOSE);
        ck_assert_uint_eq(sent.frames[i].lane, 7 + i);
        ck_assert_uint_eq(sent.frames[i].reason, CLOSE_PROTOCOL);
        ck_assert_str_eq(sent.frames[i].text, "no such lane");
    }
    ck_assert_int_eq(metric_get(&metrics.frames_ignored), 5);
    ck_assert_int_eq(metric_get(&metrics.lanes_failed), 0);
    check_other_lane();
}
END_TEST

START_TEST(a_window_may_be_as_large_as_it_may_be)
{
    start(false);
    open_lanes(2);
    put_credit(1, INT32_MAX - 262144); /* CONNECT has used some of it */
    deliver();
    ck_assert_uint_eq(sessions[0].n_ends, 0);
    put_credit(1, 262144);
    deliver();
    ck_assert_uint_eq(sessions[0].n_ends, 1);
}
END_TEST

static void fault_garbage(void)
{
    memset(message_end, 0xff, 20);
    message_end += 20;
}

static void fault_second_hello(void)
{
    put_controls(good_hello(MAX_LANES));
}

static void fault_taken(void)
{
    put_controls((struct trunk_controls){.taken = 1 << 30});
}

static void fault_zstd(void)
{
    put_controls((struct trunk_controls){.zstd_frames = {(const uint8_t *)"no zstd at all", 14}});
}

static void fault_too_large(void)
{
    for (uint32_t i = 0; i < 30; i++)
        put_publish(1, 1 + i, i, 60000);
}

static const struct {
    void (*put)(void);
    int status;
} trunk_faults[] = {
    {fault_garbage, RPC_INVALID_ARGUMENT},     {fault_second_hello, RPC_INVALID_ARGUMENT},
    {fault_taken, RPC_INVALID_ARGUMENT},       {fault_zstd, RPC_INVALID_ARGUMENT},
    {fault_too_large, RPC_RESOURCE_EXHAUSTED},
};

START_TEST(a_fault_of_a_message_ends_the_trunk)
{
    start(false);
    open_lanes(2);
    trunk_faults[_i].put();
    deliver();
    ck_assert(stream_double.is_over);
    ck_assert_int_eq(stream_double.status, trunk_faults[_i].status);
    ck_assert_int_eq(metric_get(&metrics.trunks_failed), 1);
    end_stream();
    ck_assert_uint_eq(n_trunk_ends, 1);
    ck_assert_uint_gt(strlen(trunk_text), 0);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(sessions[i].n_packets, 0);
        ck_assert_uint_eq(sessions[i].n_ends, 1);
        ck_assert_int_eq(sessions[i].why, LANE_END_UNAVAILABLE);
        ck_assert_str_eq(sessions[i].text, trunk_text);
    }
}
END_TEST

/* --- Ends */

START_TEST(nothing_is_written_into_a_trunk_that_has_failed)
{
    start(_i);
    if (_i)
        accept_lanes(2);
    else
        open_lanes(2);
    put_controls((struct trunk_controls){.taken = 1 << 30});
    deliver();
    ck_assert(stream_double.is_over);
    for (uint32_t i = 0; i < 100; i++)
        publish(&sessions[0], i, 1000);
    ck_assert(lane_may_send(sessions[0].lane));
    lane_finish(sessions[1].lane, LANE_END_OK, NULL);
    ck_assert_int_ne(try_open(), 0);
    turn();
    ck_assert_uint_eq(sent.n_messages, 0);
    end_stream();
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(sessions[i].n_ends, 1);
        ck_assert_int_eq(sessions[i].why, _i ? LANE_END_LOST : LANE_END_UNAVAILABLE);
    }
    ck_assert_uint_eq(n_trunk_ends, 1);
}
END_TEST

START_TEST(nothing_comes_behind_the_end_of_a_lane)
{
    struct mqtt_packet wrong = {.type = MQTT_PINGREQ, .version = MQTT_V311};
    start(true);
    accept_lanes(1);
    sessions[0].holds_next = true;
    put_publish(1, 3, 0, 10);
    put_packet(1, 4, &wrong);
    put_close(1, 5, CLOSE_OK);
    deliver();
    if (_i)
        end_stream();
    go_on(&sessions[0]);
    turn();
    ck_assert_uint_eq(sessions[0].n_ends, 1);
    ck_assert_int_eq(sessions[0].why, _i ? LANE_END_LOST : LANE_END_PROTOCOL);
    ck_assert_uint_eq(sessions[0].n_finished, 0);
}
END_TEST

static void free_trunk(struct session *s)
{
    trunk = trunk_free(trunk);
}

START_TEST(a_trunk_may_be_freed_in_the_end_of_one_lane_of_several)
{
    start(true);
    accept_lanes(3);
    sessions[0].on_end = free_trunk;
    sessions[1].holds_next = true;
    put_publish(2, 3, 0, 10);
    for (uint32_t i = 1; i <= 3; i++)
        put_close(i, i == 2 ? 4 : 3, CLOSE_OK);
    deliver();
    for (unsigned i = 0; i < 3; i++)
        lane_finish(sessions[i].lane, LANE_END_OK, NULL);
    turn();
    ck_assert_ptr_null(trunk);
    ck_assert_uint_eq(sessions[0].n_ends, 1);
    for (unsigned i = 0; i < 3; i++)
        publish(&sessions[i], 0, 100); /* to nobody */
    go_on(&sessions[1]);
}
END_TEST

START_TEST(an_end_that_waits_for_a_held_packet_comes_behind_it)
{
    start(true);
    accept_lanes(1);
    sessions[0].holds_next = true;
    put_publish(1, 3, 0, 10);
    put_publish(1, 4, 0, 10);
    put_close(1, 5, CLOSE_OK);
    deliver();
    lane_finish(sessions[0].lane, LANE_END_OK, NULL);
    turn();
    ck_assert_uint_eq(sessions[0].n_ends, 0);
    if (_i)
        end_stream();
    turn();
    go_on(&sessions[0]);
    ck_assert_uint_eq(sessions[0].n_packets, 3);
    ck_assert_uint_eq(sessions[0].n_finished, 1);
    ck_assert_uint_eq(sessions[0].n_ends, 1);
    ck_assert_int_eq(sessions[0].why, LANE_END_OK);
}
END_TEST

static void finish_the_other(struct session *s)
{
    lane_finish(sessions[s == &sessions[0]].lane, LANE_END_OK, NULL);
}

START_TEST(a_lane_finished_while_its_trunk_ends_has_its_end)
{
    start(true);
    accept_lanes(2);
    put_close(2, 3, CLOSE_OK);
    deliver();
    sessions[0].on_end = finish_the_other;
    end_stream();
    ck_assert_uint_eq(sessions[0].n_ends, 1);
    ck_assert_uint_eq(sessions[1].n_ends, 1);
}
END_TEST

START_TEST(lanes_outlive_a_trunk_that_is_freed)
{
    start(_i);
    if (_i)
        accept_lanes(3);
    else
        open_lanes(3);
    for (uint32_t i = 0; i < 8; i++)
        publish(&sessions[0], i, 60000);
    trunk = trunk_free(trunk);
    publish(&sessions[0], 0, 100);
    lane_finish(sessions[1].lane, LANE_END_OK, NULL);
    lane_pause(sessions[2].lane, true);
    lane_pause(sessions[2].lane, false);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(sessions[i].n_ends, 0);
}
END_TEST

/* SIGSTOP, a suspended machine: what the peer said meanwhile is read after the timers have run. */
START_TEST(a_loop_that_has_slept_does_not_take_its_peer_for_dead)
{
    options.dead_after_ms = 600;
    start(true);
    accept_lanes(1);
    usleep(1300 * 1000);
    turn();
    usleep(10 * 1000);
    turn();
    ck_assert(!stream_double.is_over);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("trunk_alone", &t);
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_frame_leaves_at_the_end_of_its_turn_when_nothing_is_in_flight);
    tcase_add_test(t, frames_collect_while_a_message_is_in_flight);
    tcase_add_test(t, a_message_closes_at_its_limit_and_leaves_although_others_are_in_flight);
    tcase_add_loop_test(t, a_control_leaves_without_frames, 0, 2);
    tcase_add_loop_test(t, lingering_frames_wait_for_the_timer_or_for_a_control, 0, 2);
    tcase_add_test(t, a_peer_that_only_asks_is_not_answered_for_ever);
    tcase_add_test(t, lanes_take_turns_with_their_pieces);
    tcase_add_test(t, a_lane_without_credit_does_not_stop_another);
    tcase_add_test(t, whoever_waits_for_credit_is_told_that_none_will_come);
    tcase_add_test(t, the_smallest_free_id_is_used_again);
    tcase_add_test(t, an_id_is_not_free_before_both_have_closed);
    tcase_add_test(t, ten_thousand_lanes_come_and_go);
    tcase_add_loop_test(t, what_is_refused_is_told_once, 0, 2);
    tcase_add_test(t, no_lane_is_taken_from_the_moment_of_draining_on);
    tcase_add_loop_test(t, a_fault_of_a_lane_ends_that_lane, 0, TEST_COUNT(lane_faults));
    tcase_add_test(t, an_unknown_lane_is_refused_and_no_other_touched);
    tcase_add_test(t, a_window_may_be_as_large_as_it_may_be);
    tcase_add_loop_test(t, a_fault_of_a_message_ends_the_trunk, 0, TEST_COUNT(trunk_faults));
    tcase_add_loop_test(t, nothing_is_written_into_a_trunk_that_has_failed, 0, 2);
    tcase_add_loop_test(t, nothing_comes_behind_the_end_of_a_lane, 0, 2);
    tcase_add_test(t, a_trunk_may_be_freed_in_the_end_of_one_lane_of_several);
    tcase_add_loop_test(t, an_end_that_waits_for_a_held_packet_comes_behind_it, 0, 2);
    tcase_add_test(t, a_lane_finished_while_its_trunk_ends_has_its_end);
    tcase_add_loop_test(t, lanes_outlive_a_trunk_that_is_freed, 0, 2);
    tcase_add_test(t, a_loop_that_has_slept_does_not_take_its_peer_for_dead);
    return s;
}

TEST_MAIN(suite)
