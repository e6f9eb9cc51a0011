/* Messages of the stream -> packets.
 *
 *   relay_on_message() --packet, batch, or last piece--> inbox --gate--> on_packet    (may be held; what follows waits)
 *          |                '-- nothing waits: in place, where the stream has it --'
 *          '--credit, control: at once, whatever waits
 *
 * The stream itself is never held: credit for the other direction comes through it, and two full directions would wait
 * for each other. What may wait is bounded by our own credit, or by pausing the stream of a peer that knows no credit.
 */
#include <stdlib.h>
#include <string.h>

#include "relay_internal.h"

static bool is_packet(const struct relay_frame *frame)
{
    return frame->kind == RELAY_FRAME_PACKET_V3 || frame->kind == RELAY_FRAME_PACKET_V5;
}

/* --- Credit */

static void grant(struct relay *r)
{
    size_t room = r->inbox.held_bytes < LANE_WINDOW_BYTES ? LANE_WINDOW_BYTES - r->inbox.held_bytes : 0;
    uint64_t target = r->received_bytes + room;
    /* In quarters of the window. A peer at zero gets its first quarter at the latest when a quarter is free here, so
     * nothing waits for ever, and a slow session does not ask for crumbs. */
    if (r->is_paused || r->is_half_closed || target < r->allowed_bytes + LANE_WINDOW_BYTES / 4)
        return;
    relay_send_credit(r, target - r->allowed_bytes);
    r->allowed_bytes = target;
}

void relay_update_credit(struct relay *r)
{
    if (r->is_failed || r->is_ended || r->is_finish_sent || !r->lane.is_open)
        return;
    if (r->lane.peer.is_extended)
        grant(r);
    else if (r->is_paused || r->inbox.held_bytes > LANE_WINDOW_BYTES)
        rpc_stream_pause(r->stream);
    else
        rpc_stream_resume(r->stream);
}

/* --- To the session */

static struct relay *relay_of_inbox(struct lane_inbox *in)
{
    return container_of(in, struct relay, inbox);
}

static void pass_finished(struct relay *r)
{
    r->is_finished_due = false;
    if (r->lane.cbs->on_finished)
        r->lane.cbs->on_finished(&r->lane, r->lane.arg);
}

static void pass_end(struct relay *r)
{
    r->is_end_due = false;
    r->is_ended = true;
    relay_drop_unsent(r);
    relay_drop_received(r);
    r->lane.cbs->on_end(&r->lane, r->end_why, r->end_text ? r->end_text : "", r->lane.arg);
}

static enum gate_answer inbox_idle(struct lane_inbox *in)
{
    struct relay *r = relay_of_inbox(in);
    if (r->is_finished_due)
        pass_finished(r);
    else if (r->is_end_due)
        pass_end(r);
    else
        return GATE_EMPTY;
    return GATE_PASS;
}

static void inbox_ref(struct lane_inbox *in)
{
    relay_ref(relay_of_inbox(in));
}

static void inbox_unref(struct lane_inbox *in)
{
    relay_unref(relay_of_inbox(in));
}

static void inbox_fail(struct lane_inbox *in, enum lane_end why, const char *text)
{
    relay_fail(relay_of_inbox(in), why, text);
}

static const struct lane_inbox_calls inbox_calls = {
    .ref = inbox_ref,
    .unref = inbox_unref,
    .fail = inbox_fail,
    .idle = inbox_idle,
};

void relay_receive_init(struct relay *r, bool is_server)
{
    lane_inbox_init(&r->inbox, &r->lane, &inbox_calls, is_server);
    r->allowed_bytes = LANE_WINDOW_BYTES;
}

void relay_drop_received(struct relay *r)
{
    lane_inbox_drop(&r->inbox);
    lane_join_clear(&r->join);
}

void relay_deliver(struct relay *r)
{
    /* A session that is beyond saving need not wait for its own held packet to learn it. */
    bool is_abrupt = r->is_end_due && (r->is_failed || (r->end_why == LANE_END_LOST && !r->is_half_closed));
    if (is_abrupt)
        pass_end(r);
    else
        lane_inbox_run(&r->inbox);
}

/* --- From the peer */

/* Whether a packet, piece or batch may come now. */
static bool check_turn(struct relay *r)
{
    const char *wrong = NULL;
    if (r->inbox.family == 0)
        wrong = "a packet before ESTABLISH";
    else if (r->lane.peer.is_extended && r->received_bytes >= r->allowed_bytes)
        wrong = "credit overrun";
    if (wrong)
        relay_fail(r, LANE_END_PROTOCOL, wrong);
    return !wrong;
}

/* The same for what is not a piece. */
static bool check_whole_turn(struct relay *r)
{
    if (!check_turn(r))
        return false;
    if (r->join.total)
        relay_fail(r, LANE_END_PROTOCOL, "a packet between the pieces of another");
    return !r->is_failed;
}

static uint8_t family_of(const struct relay_frame *frame)
{
    return frame->kind == RELAY_FRAME_PACKET_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
}

/* N bytes of the stream were a packet. */
static void receive_packet(struct relay *r, const struct relay_frame *frame, size_t n)
{
    r->received_bytes += n;
    lane_inbox_receive(&r->inbox, frame->message, family_of(frame), n);
}

/* Reads a frame that has to be one with a packet. NULL, or what is wrong with it. */
static const char *read_packet_frame(const void *bytes, size_t len, struct relay_frame *ret, const char *no_packet_text)
{
    struct mqtt_fault fault;
    if (relay_frame_read(bytes, len, ret, &fault) != CONVERT_OK)
        return fault.text;
    return is_packet(ret) ? NULL : no_packet_text;
}

static void receive_entry(struct relay *r, struct mqtt_bytes *rest)
{
    uint32_t before = rest->len;
    struct mqtt_bytes entry;
    struct relay_frame frame;
    const char *wrong = "a batch that is not well-formed";
    if (relay_batch_next(rest, &entry))
        wrong = read_packet_frame(entry.ptr, entry.len, &frame, "an entry of a batch that is no packet");
    if (wrong)
        relay_fail(r, LANE_END_PROTOCOL, wrong);
    else
        receive_packet(r, &frame, before - rest->len);
}

/* Credit that returns for the first entries must not count the room of the others, which are in the window still: so
 * each is counted as it comes to its turn. */
static void receive_batch(struct relay *r, const struct relay_frame *frame)
{
    if (!r->lane.peer.is_extended) {
        relay_fail(r, LANE_END_PROTOCOL, "a batch from a peer that has not announced them");
        return;
    }
    if (!check_whole_turn(r))
        return;
    struct mqtt_bytes rest = frame->batch;
    while (rest.len > 0 && !r->is_failed && !r->is_freed)
        receive_entry(r, &rest);
}

static void receive_joined(struct relay *r)
{
    struct lane_join done = r->join;
    r->join = (struct lane_join){.bytes = NULL};
    struct relay_frame frame;
    const char *wrong = read_packet_frame(done.bytes, done.len, &frame, "the pieces make no packet");
    if (wrong) {
        free(done.bytes);
        relay_fail(r, LANE_END_PROTOCOL, wrong);
        return;
    }
    lane_inbox_receive_owned(&r->inbox, done.bytes, frame.message, family_of(&frame), done.len);
}

static void receive_piece(struct relay *r, const struct relay_frame *frame, size_t n)
{
    if (!r->lane.peer.is_extended) {
        relay_fail(r, LANE_END_PROTOCOL, "a piece from a peer that has not announced them");
        return;
    }
    if (!check_turn(r))
        return;
    r->received_bytes += n;
    switch (lane_join_add(&r->join, frame->piece.total_bytes, frame->piece.data)) {
    case LANE_JOIN_MORE:
        break;
    case LANE_JOIN_DONE:
        receive_joined(r);
        break;
    case LANE_JOIN_BROKEN:
        relay_fail(r, LANE_END_PROTOCOL, "a piece that does not fit the packet");
        break;
    case LANE_JOIN_TOO_LARGE:
        relay_fail(r, LANE_END_LIMIT, "a packet larger than MQTT allows");
        break;
    default:
        relay_fail(r, LANE_END_LIMIT, "out of memory");
        break;
    }
}

static void receive_establish(struct relay *r, uint8_t family)
{
    if (!r->inbox.is_server)
        return; /* nothing that an s-proxy could mean */
    if (r->inbox.family != 0) {
        relay_fail(r, LANE_END_PROTOCOL, "a second ESTABLISH");
        return;
    }
    r->inbox.family = family;
    relay_opened(r, r->lane.peer.is_extended);
}

static void receive_credit(struct relay *r, uint64_t bytes)
{
    if (!r->lane.peer.is_extended)
        return;
    bool could_send = relay_may_send(&r->lane);
    relay_add_window(r, bytes);
    relay_send_on(r);
    if (!could_send && !r->is_failed && relay_may_send(&r->lane))
        r->lane.cbs->on_writable(&r->lane, r->lane.arg);
}

void relay_half_closed(struct relay *r)
{
    if (r->is_half_closed || r->is_failed)
        return; /* TERMINATE and half-close may both come */
    if (r->join.total) {
        relay_fail(r, LANE_END_PROTOCOL, "the end in the middle of a packet");
        return;
    }
    r->is_half_closed = r->is_finished_due = true;
    relay_send_on(r);
}

static void receive_frame(struct relay *r, const struct relay_frame *frame, size_t n)
{
    switch ((enum relay_frame_kind)frame->kind) {
    case RELAY_FRAME_PACKET_V3:
    case RELAY_FRAME_PACKET_V5:
        if (check_whole_turn(r))
            receive_packet(r, frame, n);
        break;
    case RELAY_FRAME_BATCH:
        receive_batch(r, frame);
        break;
    case RELAY_FRAME_PIECE:
        receive_piece(r, frame, n);
        break;
    case RELAY_FRAME_CREDIT:
        receive_credit(r, frame->credit_bytes);
        break;
    case RELAY_FRAME_ESTABLISH_V3:
        receive_establish(r, FRAME_MQTTV3);
        break;
    case RELAY_FRAME_ESTABLISH_V5:
        receive_establish(r, FRAME_MQTTV5);
        break;
    case RELAY_FRAME_TERMINATE:
        if (r->inbox.is_server)
            relay_half_closed(r);
        break;
    case RELAY_FRAME_EMPTY:
    case RELAY_FRAME_HEARTBEAT:
    case RELAY_FRAME_OTHER_CONTROL:
        break;
    }
}

static void receive_message(struct relay *r, const uint8_t *bytes, size_t n)
{
    struct relay_frame frame;
    struct mqtt_fault fault;
    if (r->is_failed)
        return;
    if (relay_frame_read(bytes, n, &frame, &fault) != CONVERT_OK) {
        relay_fail(r, LANE_END_PROTOCOL, fault.text);
        return;
    }
    bool is_credit = frame.kind == RELAY_FRAME_CREDIT;
    if (r->is_half_closed && !is_credit)
        return; /* behind TERMINATE */
    receive_frame(r, &frame, n);
}

enum gate_answer relay_on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg)
{
    struct relay *r = arg;
    relay_ref(r);
    receive_message(r, bytes, n);
    if (!r->is_freed)
        relay_deliver(r);
    bool has_waiting = r->inbox.waiting_bytes > 0 || r->join.len > 0;
    if (!r->is_freed && has_waiting && r->lane.cbs->on_progress)
        r->lane.cbs->on_progress(&r->lane, r->lane.arg);
    if (!r->is_freed)
        relay_update_credit(r);
    enum gate_answer answer = r->is_freed ? GATE_CLOSED : GATE_PASS;
    relay_unref(r);
    return answer;
}
