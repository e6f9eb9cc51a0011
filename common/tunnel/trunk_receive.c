/* Messages of the stream -> frames -> lanes (proto/mqtt_trunk.proto sections 2 to 6).
 *
 *   trunk_on_message() --> [ unzip ] --> frame by frame: lane_inbox (packet), lane_join (piece), credit, open, close
 *           '--> controls: taken, ping, pong, draining
 *
 * The stream is never held. A fault of a frame ends its lane; one of the message ends the trunk. */
#define LOG_MODULE LOG_TUNNEL
#include <stdlib.h>

#include "err.h"
#include "trunk_internal.h"

enum {
    /* Taken and unsaid: a message goes out for so much; of a slow link, whose sender waits for it, for less. */
    TELL_TAKEN = 64 * 1024,
    TELL_SLOW = 8 * 1024,
    TELL_SLOW_MS = 100,
    CREDIT_MAX = INT32_MAX, /* of one window; more is a fault */
};

/* --- Frames of a lane */

/* A packet or piece of N bytes: may it come now? */
static bool charge(struct trunk_lane *l, size_t n)
{
    if (l->receive_window <= 0) {
        trunk_lane_fail(l, LANE_END_PROTOCOL, "credit overrun");
        return false;
    }
    l->receive_window -= (int64_t)n;
    return true;
}

/* Whoever waits for its turn may be counted by its owner. */
static void report_progress(struct trunk_lane *l)
{
    bool has_waiting = l->inbox.waiting_bytes > 0 || l->join;
    if (has_waiting && !l->is_freed && !l->is_ended && l->lane.cbs && l->lane.cbs->on_progress)
        l->lane.cbs->on_progress(&l->lane, l->lane.arg);
}

static void receive_packet(struct trunk_lane *l, const struct trunk_frame *frame)
{
    uint8_t family = frame->kind == TRUNK_FRAME_PACKET_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
    if (!charge(l, frame->message.len))
        return;
    if (l->join) {
        trunk_lane_fail(l, LANE_END_PROTOCOL, "a packet between the pieces of another");
        return;
    }
    if (l->inbox.family == 0)
        l->inbox.family = family; /* CONNECT, or the lane fails over it */
    lane_inbox_receive(&l->inbox, frame->message, family, frame->message.len);
}

static void receive_joined(struct trunk_lane *l)
{
    struct lane_join *j = l->join;
    l->join = NULL;
    struct mqtt_bytes message = {.ptr = j->bytes, .len = (uint32_t)j->len};
    if (l->inbox.family == 0)
        l->inbox.family = l->join_family;
    lane_inbox_receive_owned(&l->inbox, j->bytes, message, l->join_family, j->len);
    free(j);
}

static struct lane_join *begin_join(struct trunk_lane *l, uint8_t family)
{
    l->join = calloc(1, sizeof(*l->join));
    l->join_family = family;
    return l->join;
}

static void receive_piece(struct trunk_lane *l, const struct trunk_frame *frame)
{
    if (!charge(l, frame->piece.data.len))
        return;
    if (!l->join && !begin_join(l, frame->piece.family)) {
        trunk_lane_fail(l, LANE_END_LIMIT, "out of memory");
        return;
    }
    switch (lane_join_add(l->join, frame->piece.total_bytes, frame->piece.data)) {
    case LANE_JOIN_MORE:
        trunk_lane_update_credit(l);
        break;
    case LANE_JOIN_DONE:
        receive_joined(l);
        break;
    case LANE_JOIN_BROKEN:
        trunk_lane_fail(l, LANE_END_PROTOCOL, "a piece that does not fit the packet");
        break;
    case LANE_JOIN_TOO_LARGE:
        trunk_lane_fail(l, LANE_END_LIMIT, "a packet larger than MQTT allows");
        break;
    default:
        trunk_lane_fail(l, LANE_END_LIMIT, "out of memory");
        break;
    }
}

static void receive_credit(struct trunk_lane *l, uint64_t bytes)
{
    if (bytes > (uint64_t)(CREDIT_MAX - l->send_window)) {
        trunk_lane_fail(l, LANE_END_PROTOCOL, "more credit than there can be");
        return;
    }
    l->send_window += (int64_t)bytes;
    if (l->send_window > 0 && (l->outbox.bytes > 0 || l->is_blocked))
        trunk_lane_make_ready(l);
}

static void receive_lane_frame(struct trunk_lane *l, const struct trunk_frame *frame)
{
    switch ((enum trunk_frame_kind)frame->kind) {
    case TRUNK_FRAME_PACKET_V3:
    case TRUNK_FRAME_PACKET_V5:
        receive_packet(l, frame);
        break;
    case TRUNK_FRAME_PIECE:
        receive_piece(l, frame);
        break;
    case TRUNK_FRAME_CREDIT:
        receive_credit(l, frame->credit_bytes);
        break;
    case TRUNK_FRAME_CLOSE:
        trunk_lane_receive_close(l, frame);
        break;
    case TRUNK_FRAME_OPEN:
        trunk_lane_fail(l, LANE_END_PROTOCOL, "an open of a lane that is open");
        break;
    case TRUNK_FRAME_BAD:
        trunk_lane_fail(l, LANE_END_PROTOCOL, frame->fault);
        break;
    }
}

static bool is_in_order(struct trunk_lane *l, const struct trunk_frame *frame)
{
    if (frame->kind == TRUNK_FRAME_CREDIT || frame->kind == TRUNK_FRAME_BAD)
        return true;
    if (frame->sequence == l->received_sequence + 1) {
        l->received_sequence++;
        return true;
    }
    trunk_lane_fail(l, LANE_END_PROTOCOL, "a gap in the sequence of frames");
    return false;
}

/* The lane still stands in the table, but this side has nothing to hear any more. */
static bool is_ignored(const struct trunk_lane *l, const struct trunk_frame *frame)
{
    if (frame->kind == TRUNK_FRAME_CLOSE)
        return l->is_close_received;
    return l->is_close_received || l->is_ended || l->is_freed || (l->is_server && l->is_close_sent);
}

static void receive_for_lane(struct trunk_lane *l, const struct trunk_frame *frame)
{
    if (is_ignored(l, frame)) {
        metric_add(&l->trunk->metrics->frames_ignored, 1);
        return;
    }
    /* Of a lane that has ended here only the peer's close is of interest, wherever it stands. */
    bool is_dead = l->is_ended || l->is_freed || (l->is_server && l->is_close_sent);
    trunk_lane_ref(l);
    if (is_dead)
        trunk_lane_receive_close(l, frame);
    else if (is_in_order(l, frame))
        receive_lane_frame(l, frame);
    report_progress(l);
    trunk_lane_unref(l);
}

/* --- Frames of no lane */

/* 0 is no lane; one above the limit was refused when it was opened. */
static bool is_beyond_all(const struct trunk *t, uint32_t lane)
{
    return lane == 0 || (t->is_server && lane > t->options->max_lanes);
}

static void refuse_unknown(struct trunk *t, const struct trunk_frame *frame)
{
    static const char text[] = "no such lane";
    metric_add(&t->metrics->frames_ignored, 1);
    if (is_beyond_all(t, frame->lane) || frame->kind == TRUNK_FRAME_CLOSE || frame->kind == TRUNK_FRAME_CREDIT)
        return;
    log_debug(&t->log, "%s for lane %u, which is not open", trunk_frame_kind_name(frame->kind), frame->lane);
    uint8_t *dst = trunk_batch_room(t, TRUNK_FRAME_OVERHEAD + sizeof(text));
    if (dst)
        trunk_batch_add(t, trunk_frame_write_close(dst, frame->lane, 1, TRUNK_CLOSE_PROTOCOL,
                                                   (struct mqtt_bytes){(const uint8_t *)text, sizeof(text) - 1}));
}

static void receive_frame(struct trunk *t, const struct trunk_frame *frame)
{
    struct trunk_lane *l = trunk_find_lane(t, frame->lane);
    if (l)
        receive_for_lane(l, frame);
    else if (frame->kind == TRUNK_FRAME_OPEN && frame->lane != 0 && t->is_server)
        trunk_receive_open(t, frame);
    else
        refuse_unknown(t, frame);
}

/* --- Messages */

static void receive_frames(struct trunk *t, struct trunk_message *m)
{
    struct trunk_frame frame;
    metric_add(&t->metrics->frames_received, m->n_frames);
    while (!trunk_is_over(t) && trunk_message_next(m, &frame))
        receive_frame(t, &frame);
}

static void receive_zipped(struct trunk *t, struct mqtt_bytes packed)
{
    struct trunk_message m;
    struct mqtt_fault fault;
    const uint8_t *bytes = NULL;
    size_t n = 0;
    int r = 0;
    if (!t->unzip)
        r = trunk_unzip_new(t->options->zstd_window_log, TRUNK_MESSAGE_MAX, &t->unzip);
    if (r == 0)
        r = trunk_unzip_unpack(t->unzip, packed.ptr, packed.len, &bytes, &n);
    if (r < 0) {
        log_warn(&t->log, "%s", err_text());
        trunk_fail(t, RPC_INVALID_ARGUMENT,
                   "compressed frames that cannot be taken: no zstd, too large a window, or larger than allowed");
        return;
    }
    bool is_good = trunk_message_read(bytes, n, &m, &fault) == CONVERT_OK && m.controls.zstd_frames.len == 0;
    if (is_good)
        receive_frames(t, &m);
    else
        trunk_fail(t, RPC_INVALID_ARGUMENT, "compressed frames that are none");
}

static void receive_taken(struct trunk *t, uint64_t bytes)
{
    if (bytes == 0)
        return;
    if (trunk_link_taken(&t->link, bytes, loop_now_ms(t->loop)))
        trunk_send_on(t);
    else
        trunk_fail(t, RPC_INVALID_ARGUMENT, "more bytes taken than were sent");
}

static void receive_controls(struct trunk *t, const struct trunk_controls *c)
{
    trunk_pulse_received(t, c);
    receive_taken(t, c->taken);
    if (c->is_draining && !t->is_peer_draining && !trunk_is_over(t)) {
        t->is_peer_draining = true;
        if (t->cbs->on_draining)
            t->cbs->on_draining(t, t->arg);
    }
}

static bool check_hello(struct trunk *t, const struct trunk_message *m)
{
    if (m->controls.has_hello == t->is_ready) {
        trunk_fail(t, RPC_INVALID_ARGUMENT, t->is_ready ? "a second hello" : "the first message is no hello");
        return false;
    }
    if (m->controls.has_hello)
        trunk_receive_hello(t, &m->controls.hello);
    return !trunk_is_over(t);
}

/* N bytes with frames have been given to their lanes. */
static void count_taken(struct trunk *t, size_t n)
{
    t->untold_bytes += n;
    bool is_slow = loop_now_ms(t->loop) - t->told_ms >= TELL_SLOW_MS;
    if (t->untold_bytes >= (is_slow ? TELL_SLOW : TELL_TAKEN))
        trunk_batch_control(t);
}

static void receive_message(struct trunk *t, const uint8_t *bytes, size_t n)
{
    struct trunk_message m;
    struct mqtt_fault fault;
    metric_add(&t->metrics->messages_received, 1);
    metric_add(&t->metrics->bytes_received, (int64_t)n);
    if (n > TRUNK_MESSAGE_MAX) {
        trunk_fail(t, RPC_RESOURCE_EXHAUSTED, "a message larger than hello allows");
        return;
    }
    if (trunk_message_read(bytes, n, &m, &fault) != CONVERT_OK) {
        trunk_fail(t, RPC_INVALID_ARGUMENT, fault.text);
        return;
    }
    if (!check_hello(t, &m))
        return;
    bool has_frames = m.n_frames > 0 || m.controls.zstd_frames.len > 0;
    receive_frames(t, &m);
    if (m.controls.zstd_frames.len > 0 && !trunk_is_over(t))
        receive_zipped(t, m.controls.zstd_frames);
    if (trunk_is_over(t))
        return;
    if (has_frames)
        count_taken(t, n);
    receive_controls(t, &m.controls);
}

enum gate_answer trunk_on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg)
{
    struct trunk *t = arg;
    trunk_ref(t);
    if (!trunk_is_over(t))
        receive_message(t, bytes, n);
    enum gate_answer answer = t->is_freed ? GATE_CLOSED : GATE_PASS;
    trunk_unref(t);
    return answer;
}
