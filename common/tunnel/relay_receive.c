/* Frames of the relay service -> packets; joining pieces; the window in which the peer may send.
 *
 *   granted >= received          what the peer may still send is granted - received
 *   held    = whole packets passed to the session and not consumed yet
 *   we grant until  granted - received = LANE_WINDOW_BYTES - held;  a packet whose pieces are still coming is not held:
 * it cannot be consumed before it is whole
 */
#include <stdlib.h>
#include <string.h>

#include "relay_internal.h"

enum {
    RELAY_GRANT_STEP = LANE_WINDOW_BYTES / 4, /* smaller grants are not worth a message */
    RELAY_SCRATCH_BYTES = 4096,               /* for lists of ordinary packets */
    RELAY_JOIN_FIRST_BYTES = 64 * 1024,
};

/* --- The window */

static void relay_grant(struct relay *r)
{
    uint64_t window = r->held_bytes < LANE_WINDOW_BYTES ? LANE_WINDOW_BYTES - r->held_bytes : 0;
    uint64_t wanted = r->received_bytes + window;
    if (r->is_paused || wanted < r->granted_bytes + RELAY_GRANT_STEP)
        return;
    uint64_t more = wanted - r->granted_bytes;
    r->granted_bytes = wanted;
    relay_send_credit(r, more);
}

/* A peer without credit is stopped by HTTP/2 when nobody reads its stream. */
static void relay_pause_stream(struct relay *r)
{
    size_t mark = r->is_stream_paused ? LANE_WINDOW_BYTES / 2 : LANE_WINDOW_BYTES;
    bool is_full = r->is_paused || r->held_bytes > mark;
    if (is_full == r->is_stream_paused)
        return;
    r->is_stream_paused = is_full;
    if (is_full)
        rpc_stream_pause(r->stream);
    else
        rpc_stream_resume(r->stream);
}

void relay_update_window(struct relay *r)
{
    if (r->is_failed || !r->is_open)
        return;
    if (r->lane.peer.is_extended)
        relay_grant(r);
    else
        relay_pause_stream(r);
}

void relay_consumed(struct lane *l, size_t bytes)
{
    struct relay *r = (struct relay *)l;
    r->held_bytes -= bytes;
    relay_update_window(r);
}

/* --- Packets */

static enum gate_answer relay_refuse(struct relay *r, const char *text)
{
    relay_fail(r, LANE_END_PROTOCOL, text);
    return GATE_PASS;
}

/* CONNECT first, and once; its version is the session's. */
static const char *relay_check_order(struct relay *r, const struct mqtt_packet *packet)
{
    if (r->is_client)
        return NULL;
    if (r->version == 0 && packet->type != MQTT_CONNECT)
        return "a packet came before CONNECT";
    if (r->version != 0 && packet->type == MQTT_CONNECT)
        return "a second CONNECT came";
    r->version = packet->version;
    return NULL;
}

static enum gate_answer relay_pass_on(struct relay *r, const struct mqtt_packet *packet, size_t charge)
{
    const char *fault = relay_check_order(r, packet);
    if (fault)
        return relay_refuse(r, fault);
    r->held_bytes += charge;
    r->lane.packet_charge = charge;
    return r->lane.cbs->on_packet(&r->lane, packet, r->lane.arg);
}

static uint8_t relay_family_of(const struct relay_frame *frame)
{
    return frame->kind == RELAY_FRAME_PACKET_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
}

static enum gate_answer relay_take_packet(struct relay *r, const struct relay_frame *frame, size_t charge)
{
    static _Thread_local uint8_t small[RELAY_SCRATCH_BYTES];
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    if (r->family == 0)
        return relay_refuse(r, "a packet came before ESTABLISH");
    if (r->family != relay_family_of(frame))
        return relay_refuse(r, "a packet of the wrong protocol version came");
    int e = relay_frame_packet(frame, r->version, small, sizeof(small), &packet, &fault);
    uint8_t *large = NULL;
    if (e == CONVERT_SCRATCH) {
        size_t bytes = frame_scratch_bytes(frame->message.len);
        large = malloc(bytes);
        if (!large) {
            relay_fail(r, LANE_END_LIMIT, "out of memory");
            return GATE_PASS;
        }
        e = relay_frame_packet(frame, r->version, large, bytes, &packet, &fault);
    }
    enum gate_answer answer = e == CONVERT_OK ? relay_pass_on(r, &packet, charge) : relay_refuse(r, fault.text);
    free(large);
    return answer;
}

/* --- Pieces */

static void relay_join_reset(struct relay *r)
{
    free(r->joined);
    r->joined = NULL;
    r->joined_len = r->joined_cap = r->joined_total = r->joined_charge = 0;
}

/* Room for N more bytes: twice what has come, never more than the frame will have. */
static bool relay_join_grow(struct relay *r, size_t n)
{
    size_t need = r->joined_len + n;
    if (need <= r->joined_cap)
        return true;
    size_t cap = r->joined_cap ? r->joined_cap * 2 : RELAY_JOIN_FIRST_BYTES;
    if (cap < need)
        cap = need;
    if (cap > r->joined_total)
        cap = r->joined_total;
    uint8_t *grown = realloc(r->joined, cap);
    if (!grown)
        return false;
    r->joined = grown;
    r->joined_cap = cap;
    return true;
}

static const char *relay_check_piece(const struct relay *r, const struct relay_frame *frame)
{
    if (!r->lane.peer.is_extended)
        return "a piece came from a peer that did not say it knows pieces";
    if ((frame->piece.total_bytes != 0) == (r->joined_total != 0))
        return r->joined_total ? "a first piece came inside another frame's pieces"
                               : "a piece came without a first one";
    size_t total = frame->piece.total_bytes ? frame->piece.total_bytes : r->joined_total;
    if (total > r->lane.peer.max_frame_bytes)
        return "a frame larger than any MQTT packet was announced";
    if (frame->piece.data.len > total - r->joined_len)
        return "pieces are longer than announced";
    return NULL;
}

/* The frame is whole. Its bytes stay until the packet in it has been passed on. */
static enum gate_answer relay_take_joined(struct relay *r)
{
    struct relay_frame frame;
    struct mqtt_fault fault;
    uint8_t *bytes = r->joined;
    size_t len = r->joined_len, charge = r->joined_charge;
    r->joined = NULL;
    relay_join_reset(r);
    enum gate_answer answer;
    if (relay_frame_read(bytes, len, &frame, &fault) != CONVERT_OK)
        answer = relay_refuse(r, fault.text);
    else if (frame.kind != RELAY_FRAME_PACKET_V3 && frame.kind != RELAY_FRAME_PACKET_V5)
        answer = relay_refuse(r, "pieces joined to what is no packet");
    else
        answer = relay_take_packet(r, &frame, charge);
    free(bytes);
    return answer;
}

static enum gate_answer relay_take_piece(struct relay *r, const struct relay_frame *frame, size_t charge)
{
    const char *fault = relay_check_piece(r, frame);
    if (fault)
        return relay_refuse(r, fault);
    if (frame->piece.total_bytes)
        r->joined_total = frame->piece.total_bytes;
    if (!relay_join_grow(r, frame->piece.data.len)) {
        relay_fail(r, LANE_END_LIMIT, "out of memory");
        return GATE_PASS;
    }
    memcpy(r->joined + r->joined_len, frame->piece.data.ptr, frame->piece.data.len);
    r->joined_len += frame->piece.data.len;
    r->joined_charge += charge;
    if (r->joined_len == r->joined_total)
        return relay_take_joined(r);
    relay_update_window(r);
    if (r->lane.cbs->on_progress)
        r->lane.cbs->on_progress(&r->lane, r->lane.arg);
    return GATE_PASS;
}

/* --- Frames */

static enum gate_answer relay_take_establish(struct relay *r, const struct relay_frame *frame)
{
    if (r->is_client)
        return GATE_PASS; /* a control that means nothing in this direction */
    if (r->family != 0)
        return relay_refuse(r, "a second ESTABLISH came");
    r->family = frame->kind == RELAY_FRAME_ESTABLISH_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
    return GATE_PASS;
}

static enum gate_answer relay_take_credit(struct relay *r, const struct relay_frame *frame)
{
    if (!r->lane.peer.is_extended)
        return GATE_PASS;
    if (frame->credit_bytes > INT64_MAX / 4 || r->send_credit > INT64_MAX / 2)
        return relay_refuse(r, "more credit than can be counted");
    r->send_credit += (int64_t)frame->credit_bytes;
    relay_flush(r);
    relay_tell_writable(r);
    return GATE_PASS;
}

static enum gate_answer relay_take_control(struct relay *r, const struct relay_frame *frame)
{
    if (frame->kind == RELAY_FRAME_TERMINATE && !r->is_client && r->lane.cbs->on_finished)
        r->lane.cbs->on_finished(&r->lane, r->lane.arg);
    return GATE_PASS;
}

/* Packets and pieces use credit; a sender that has none left may not send. */
static bool relay_charge(struct relay *r, size_t n)
{
    bool had_credit = r->received_bytes < r->granted_bytes;
    r->received_bytes += n;
    return had_credit || !r->lane.peer.is_extended;
}

enum gate_answer relay_on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg)
{
    struct relay *r = arg;
    struct relay_frame frame;
    struct mqtt_fault fault;
    if (r->is_failed)
        return GATE_PASS;
    if (relay_frame_read(bytes, n, &frame, &fault) != CONVERT_OK)
        return relay_refuse(r, fault.text);
    switch ((enum relay_frame_kind)frame.kind) {
    case RELAY_FRAME_PACKET_V3:
    case RELAY_FRAME_PACKET_V5:
        return relay_charge(r, n) ? relay_take_packet(r, &frame, n)
                                  : relay_refuse(r, "more was sent than credit allows");
    case RELAY_FRAME_PIECE:
        return relay_charge(r, n) ? relay_take_piece(r, &frame, n)
                                  : relay_refuse(r, "more was sent than credit allows");
    case RELAY_FRAME_ESTABLISH_V3:
    case RELAY_FRAME_ESTABLISH_V5:
        return relay_take_establish(r, &frame);
    case RELAY_FRAME_CREDIT:
        return relay_take_credit(r, &frame);
    case RELAY_FRAME_TERMINATE:
    case RELAY_FRAME_HEARTBEAT:
    case RELAY_FRAME_OTHER_CONTROL:
    case RELAY_FRAME_EMPTY:
        break;
    }
    return relay_take_control(r, &frame);
}
