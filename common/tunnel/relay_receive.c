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

static void item_free(struct relay *r, struct relay_item *item)
{
    rpc_message_free(item->message);
    free(item->copy);
    if (item == &r->direct)
        r->direct = (struct relay_item){.message = NULL};
    else
        free(item);
}

static bool is_packet(const struct relay_frame *frame)
{
    return frame->kind == RELAY_FRAME_PACKET_V3 || frame->kind == RELAY_FRAME_PACKET_V5;
}

/* --- Credit */

static void grant(struct relay *r)
{
    size_t room = r->held_bytes < LANE_WINDOW_BYTES ? LANE_WINDOW_BYTES - r->held_bytes : 0;
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
    if (r->is_failed || r->is_ended || r->is_finish_sent || !r->is_open)
        return;
    if (r->lane.peer.is_extended)
        grant(r);
    else if (r->is_paused || r->held_bytes > LANE_WINDOW_BYTES)
        rpc_stream_pause(r->stream);
    else
        rpc_stream_resume(r->stream);
}

/* --- To the session */

static void release_current(struct relay *r)
{
    if (r->current)
        item_free(r, r->current);
    r->current = NULL;
}

static int decode(struct relay *r, struct mqtt_packet *ret_packet, struct mqtt_fault *ret_fault)
{
    const struct relay_frame *frame = &r->current->frame;
    size_t size = 0;
    for (;;) {
        if (r->scratch.size < size)
            relay_scratch_give_back(&r->scratch);
        if (!r->scratch.bytes && !relay_scratch_take(&r->scratch, size)) {
            *ret_fault = (struct mqtt_fault){.text = "out of memory"};
            return CONVERT_REFUSED;
        }
        int result = relay_frame_packet(frame, r->version, r->scratch.bytes, r->scratch.size, ret_packet, ret_fault);
        if (result != CONVERT_SCRATCH)
            return result;
        size = frame_scratch_bytes(frame->message.len);
    }
}

/* NULL, or what is wrong with PACKET in this place. */
static const char *check_place(struct relay *r, const struct mqtt_packet *packet)
{
    if (!r->is_server)
        return NULL;
    if (r->version != 0)
        return packet->type == MQTT_CONNECT ? "a second CONNECT" : NULL;
    if (packet->type != MQTT_CONNECT)
        return "the first packet is not CONNECT";
    r->version = packet->version;
    return NULL;
}

static enum gate_answer pass_packet(struct relay *r)
{
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    bool is_v5 = r->current->frame.kind == RELAY_FRAME_PACKET_V5;
    const char *wrong = NULL;
    if (is_v5 != (r->family == FRAME_MQTTV5))
        wrong = "a packet of another version than ESTABLISH has said";
    else if (decode(r, &packet, &fault) != CONVERT_OK)
        wrong = fault.text;
    else
        wrong = check_place(r, &packet);
    if (wrong) {
        relay_fail(r, LANE_END_PROTOCOL, wrong);
        return GATE_PASS;
    }
    return r->lane.cbs->on_packet(&r->lane, &packet, r->lane.arg);
}

/* The item of the packet that passes next becomes the current one. False: nothing waits. */
static bool take_item(struct relay *r)
{
    if (r->current && r->current->rest.len > 0)
        return true;
    release_current(r);
    if (r->is_direct_next) {
        r->is_direct_next = false;
        r->current = &r->direct;
        return true;
    }
    struct list *first = list_first(&r->inbox);
    if (!first)
        return false;
    r->current = list_entry(first, struct relay_item, link);
    list_del(first);
    return true;
}

/* The next packet of ITEM goes into its frame. NULL, or what is wrong with it. */
static const char *take_packet(struct relay_item *item)
{
    if (item->rest.len == 0)
        return NULL; /* a message with one packet: there already */
    struct mqtt_bytes entry;
    struct mqtt_fault fault;
    uint32_t before = item->rest.len;
    if (!relay_batch_next(&item->rest, &entry))
        return "a batch that is not well-formed";
    item->charge = before - item->rest.len;
    if (relay_frame_read(entry.ptr, entry.len, &item->frame, &fault) != CONVERT_OK)
        return fault.text;
    return is_packet(&item->frame) ? NULL : "an entry of a batch that is no packet";
}

static enum gate_answer pass_item(struct relay *r)
{
    const char *wrong = take_packet(r->current);
    r->inbox_bytes -= r->current->charge;
    if (!wrong)
        return pass_packet(r);
    relay_fail(r, LANE_END_PROTOCOL, wrong);
    return GATE_PASS;
}

static void pass_end(struct relay *r)
{
    r->is_end_due = false;
    r->is_ended = true;
    relay_drop_unsent(r);
    relay_drop_inbox(r);
    r->lane.cbs->on_end(&r->lane, r->end_why, r->end_text ? r->end_text : "", r->lane.arg);
}

static enum gate_answer pass_next(struct relay *r)
{
    if (take_item(r))
        return pass_item(r);
    relay_scratch_give_back(&r->scratch);
    if (r->is_finished_due) {
        r->is_finished_due = false;
        if (r->lane.cbs->on_finished)
            r->lane.cbs->on_finished(&r->lane, r->lane.arg);
        return GATE_PASS;
    }
    if (r->is_end_due) {
        pass_end(r);
        return GATE_PASS;
    }
    return GATE_EMPTY;
}

/* The gate's `next`. */
static enum gate_answer next(void *arg)
{
    struct relay *r = arg;
    relay_ref(r); /* the session may free it */
    enum gate_answer answer = pass_next(r);
    if (r->is_freed)
        answer = GATE_CLOSED;
    relay_unref(r);
    return answer;
}

void relay_deliver(struct relay *r)
{
    /* A session that is beyond saving need not wait for its own held packet to learn it. */
    bool is_abrupt = r->is_end_due && (r->is_failed || (r->end_why == LANE_END_LOST && !r->is_half_closed));
    if (is_abrupt)
        pass_end(r);
    else
        gate_run(&r->gate);
}

void relay_drop_inbox(struct relay *r)
{
    struct list *first;
    while ((first = list_first(&r->inbox))) {
        list_del(first);
        item_free(r, list_entry(first, struct relay_item, link));
    }
    r->is_direct_next = false;
    if (r->current)
        r->current->rest.len = 0;
    r->inbox_bytes = 0;
    relay_join_clear(&r->join);
}

void relay_receive_init(struct relay *r)
{
    list_init(&r->inbox);
    gate_init(&r->gate, next, r);
    r->allowed_bytes = LANE_WINDOW_BYTES;
}

void relay_receive_deinit(struct relay *r)
{
    relay_drop_inbox(r);
    release_current(r);
    relay_scratch_give_back(&r->scratch);
}

/* --- From the peer */

/* A packet, piece or batch of N bytes may come now, and is charged. */
static bool charge(struct relay *r, size_t n)
{
    if (r->family == 0) {
        relay_fail(r, LANE_END_PROTOCOL, "a packet before ESTABLISH");
        return false;
    }
    if (!r->lane.peer.is_extended)
        return true;
    if (r->received_bytes >= r->allowed_bytes) {
        relay_fail(r, LANE_END_PROTOCOL, "credit overrun");
        return false;
    }
    r->received_bytes += n;
    return true;
}

/* N bytes with whole packets have come. */
static void put_into_item(struct relay *r, struct relay_item *item, const struct relay_frame *frame, size_t n)
{
    *item = (struct relay_item){.frame = *frame};
    if (frame->kind == RELAY_FRAME_BATCH)
        item->rest = frame->batch;
    else
        item->charge = n;
    r->inbox_bytes += n;
    r->held_bytes += n;
}

/* The same, to wait. Takes COPY, into which FRAME points. */
static void put_into_inbox(struct relay *r, const struct relay_frame *frame, uint8_t *copy, size_t n)
{
    struct relay_item *item = malloc(sizeof(*item));
    if (!item) {
        free(copy);
        relay_fail(r, LANE_END_LIMIT, "out of memory");
        return;
    }
    put_into_item(r, item, frame, n);
    item->copy = copy;
    list_add_tail(&r->inbox, &item->link);
}

static void copy_into_inbox(struct relay *r, struct relay_frame *frame, const uint8_t *bytes, size_t n)
{
    struct mqtt_bytes *content = frame->kind == RELAY_FRAME_BATCH ? &frame->batch : &frame->message;
    size_t offset = (size_t)(content->ptr - bytes);
    uint8_t *copy = malloc(n);
    if (!copy) {
        relay_fail(r, LANE_END_LIMIT, "out of memory");
        return;
    }
    memcpy(copy, bytes, n);
    content->ptr = copy + offset;
    put_into_inbox(r, frame, copy, n);
}

/* The message stays in libgrpc's memory for the moment in which it passes. What has to wait is copied out: a small
 * message would keep a whole read chunk of 8 or 64 KiB. */
static void receive_packets(struct relay *r, struct relay_frame *frame, const uint8_t *bytes, size_t n)
{
    if (!charge(r, n))
        return;
    if (r->join.total) {
        relay_fail(r, LANE_END_PROTOCOL, "a packet between the pieces of another");
        return;
    }
    if (r->current || !list_is_empty(&r->inbox)) {
        copy_into_inbox(r, frame, bytes, n);
        return;
    }
    put_into_item(r, &r->direct, frame, n);
    r->is_direct_next = true;
}

static void receive_batch(struct relay *r, struct relay_frame *frame, const uint8_t *bytes, size_t n)
{
    if (r->lane.peer.is_extended)
        receive_packets(r, frame, bytes, n);
    else
        relay_fail(r, LANE_END_PROTOCOL, "a batch from a peer that has not announced them");
}

/* The session holds a packet that is still where the stream has it. */
static void keep_direct(struct relay *r)
{
    if (r->current == &r->direct && !r->direct.message)
        r->direct.message = rpc_stream_take(r->stream);
}

static void receive_joined(struct relay *r)
{
    struct relay_join done = r->join;
    r->join = (struct relay_join){.bytes = NULL};
    struct relay_frame frame;
    struct mqtt_fault fault;
    const char *wrong = NULL;
    if (relay_frame_read(done.bytes, done.len, &frame, &fault) != CONVERT_OK)
        wrong = fault.text;
    else if (!is_packet(&frame))
        wrong = "the pieces make no packet";
    if (wrong) {
        free(done.bytes);
        relay_fail(r, LANE_END_PROTOCOL, wrong);
        return;
    }
    put_into_inbox(r, &frame, done.bytes, done.len);
}

static void receive_piece(struct relay *r, const struct relay_frame *frame, size_t n)
{
    if (!r->lane.peer.is_extended) {
        relay_fail(r, LANE_END_PROTOCOL, "a piece from a peer that has not announced them");
        return;
    }
    if (!charge(r, n))
        return;
    switch (relay_join_add(&r->join, frame->piece.total_bytes, frame->piece.data)) {
    case RELAY_JOIN_MORE:
        break;
    case RELAY_JOIN_DONE:
        receive_joined(r);
        break;
    case RELAY_JOIN_BROKEN:
        relay_fail(r, LANE_END_PROTOCOL, "a piece that does not fit the packet");
        break;
    case RELAY_JOIN_TOO_LARGE:
        relay_fail(r, LANE_END_LIMIT, "a packet larger than MQTT allows");
        break;
    default:
        relay_fail(r, LANE_END_LIMIT, "out of memory");
        break;
    }
}

static void receive_establish(struct relay *r, uint8_t family)
{
    if (!r->is_server)
        return; /* nothing that an s-proxy could mean */
    if (r->family != 0) {
        relay_fail(r, LANE_END_PROTOCOL, "a second ESTABLISH");
        return;
    }
    r->family = family;
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

static void receive_frame(struct relay *r, struct relay_frame *frame, const uint8_t *bytes, size_t n)
{
    switch ((enum relay_frame_kind)frame->kind) {
    case RELAY_FRAME_PACKET_V3:
    case RELAY_FRAME_PACKET_V5:
        receive_packets(r, frame, bytes, n);
        break;
    case RELAY_FRAME_BATCH:
        receive_batch(r, frame, bytes, n);
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
        if (r->is_server)
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
    receive_frame(r, &frame, bytes, n);
}

enum gate_answer relay_on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg)
{
    struct relay *r = arg;
    relay_ref(r);
    receive_message(r, bytes, n);
    if (!r->is_freed)
        relay_deliver(r);
    if (!r->is_freed)
        keep_direct(r);
    bool has_waiting = r->inbox_bytes > 0 || r->join.len > 0;
    if (!r->is_freed && has_waiting && r->lane.cbs->on_progress)
        r->lane.cbs->on_progress(&r->lane, r->lane.arg);
    if (!r->is_freed)
        relay_update_credit(r);
    enum gate_answer answer = r->is_freed ? GATE_CLOSED : GATE_PASS;
    relay_unref(r);
    return answer;
}
