/* Packets -> frames of the relay service.
 *
 *   relay_send() --credit, nothing waits--> one message
 *        '--------> [ waiting ] --relay_flush(): credit, room in the stream--> a message, or pieces of one
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "relay_internal.h"

enum {
    /* Bytes in the stream's queue above which nothing is added: what waits here can still be dropped or counted. */
    RELAY_QUEUE_MARK = 64 * 1024,
};

static bool relay_has_room(const struct relay *r)
{
    if (!r->is_open || rpc_stream_queued_bytes(r->stream) >= RELAY_QUEUE_MARK)
        return false;
    return !r->lane.peer.is_extended || r->send_credit > 0;
}

bool relay_may_send(const struct lane *l)
{
    const struct relay *r = (const struct relay *)l;
    bool may = list_is_empty(&r->waiting) && relay_has_room(r);
    ((struct relay *)r)->is_told_full |= !may;
    return may;
}

void relay_tell_writable(struct relay *r)
{
    if (!r->is_told_full || r->is_failed || !relay_may_send(&r->lane))
        return;
    r->is_told_full = false;
    r->lane.cbs->on_writable(&r->lane, r->lane.arg);
}

/* --- Messages */

static void relay_charge_send(struct relay *r, size_t bytes)
{
    if (r->lane.peer.is_extended || !r->is_open)
        r->send_credit -= (int64_t)bytes;
}

static int relay_send_plan(struct relay *r, const struct packet_frame *plan)
{
    struct rpc_message *m = rpc_message_new(plan->total_bytes);
    if (!m)
        return err_set(-ENOMEM, "no memory for a frame of %zu bytes", plan->total_bytes);
    packet_to_frame_write(plan, rpc_message_bytes(m));
    relay_charge_send(r, plan->total_bytes);
    rpc_stream_send(r->stream, m);
    return 0;
}

static int relay_wait_plan(struct relay *r, const struct packet_frame *plan)
{
    struct relay_frame_out *f = malloc(sizeof(*f) + plan->total_bytes);
    if (!f)
        return err_set(-ENOMEM, "no memory for a frame of %zu bytes", plan->total_bytes);
    f->len = plan->total_bytes;
    f->sent = 0;
    packet_to_frame_write(plan, f->bytes);
    list_add_tail(&r->waiting, &f->link);
    r->waiting_bytes += f->len;
    return 0;
}

/* CONNECT is the one packet that goes before the peer is known, unless only one of ours could take it. */
static bool relay_goes_at_once(const struct relay *r, const struct mqtt_packet *packet, size_t bytes)
{
    if (!list_is_empty(&r->waiting))
        return false;
    if (!r->is_open)
        return packet->type == MQTT_CONNECT && bytes <= LANE_UNKNOWN_PEER_MAX;
    if (!r->lane.peer.is_extended)
        return true;
    return r->send_credit > 0 && bytes <= LANE_PIECE_BYTES;
}

int relay_send(struct lane *l, const struct mqtt_packet *packet)
{
    struct relay *r = (struct relay *)l;
    struct packet_frame plan;
    if (r->is_finishing || r->is_failed)
        return 0; /* on_end is on its way */
    uint64_t sequence = packet->type == MQTT_CONNECT ? 0 : r->sequence + 1;
    size_t bytes = packet_to_frame_plan(&plan, packet, sequence, relay_own_direction(r));
    if (r->is_open && bytes > r->lane.peer.max_frame_bytes)
        return LANE_TOO_LARGE;
    int e = relay_goes_at_once(r, packet, bytes) ? relay_send_plan(r, &plan) : relay_wait_plan(r, &plan);
    if (e < 0)
        return e;
    r->sequence = sequence;
    relay_flush(r);
    return 0;
}

static int relay_send_bytes(struct relay *r, const uint8_t *head, size_t head_len, const uint8_t *data, size_t len)
{
    struct rpc_message *m = rpc_message_new(head_len + len);
    if (!m)
        return -ENOMEM;
    if (head_len > 0)
        memcpy(rpc_message_bytes(m), head, head_len);
    memcpy(rpc_message_bytes(m) + head_len, data, len);
    rpc_stream_send(r->stream, m);
    return 0;
}

void relay_send_control(struct relay *r, enum relay_frame_kind kind)
{
    uint8_t bytes[RELAY_FRAME_OVERHEAD + RELAY_SESSION_ID_MAX];
    struct mqtt_bytes id = {(const uint8_t *)r->session_id, (uint32_t)strlen(r->session_id)};
    const uint8_t *end = relay_frame_write_control(bytes, kind, 0, relay_own_direction(r), id);
    if (relay_send_bytes(r, NULL, 0, bytes, (size_t)(end - bytes)) < 0)
        relay_fail(r, LANE_END_LIMIT, "out of memory");
}

void relay_send_credit(struct relay *r, uint64_t credit)
{
    uint8_t bytes[RELAY_FRAME_OVERHEAD];
    const uint8_t *end = relay_frame_write_credit(bytes, relay_own_direction(r), credit);
    if (relay_send_bytes(r, NULL, 0, bytes, (size_t)(end - bytes)) < 0)
        relay_fail(r, LANE_END_LIMIT, "out of memory");
}

/* --- What waits */

static void relay_free_waiting(struct relay *r, struct relay_frame_out *f)
{
    r->waiting_bytes -= f->len - f->sent;
    list_del(&f->link);
    free(f);
}

void relay_drop_waiting(struct relay *r)
{
    while (!list_is_empty(&r->waiting))
        relay_free_waiting(r, list_entry(list_first(&r->waiting), struct relay_frame_out, link));
}

/* The next piece of F, or all of it where no pieces are needed or understood. */
static int relay_send_part(struct relay *r, struct relay_frame_out *f)
{
    uint8_t head[RELAY_FRAME_OVERHEAD];
    size_t head_len = 0, len = f->len - f->sent;
    if (r->lane.peer.is_extended && f->len > LANE_PIECE_BYTES) {
        if (len > LANE_PIECE_BYTES)
            len = LANE_PIECE_BYTES;
        uint32_t total = f->sent == 0 ? (uint32_t)f->len : 0;
        head_len = (size_t)(relay_frame_write_piece_head(head, relay_own_direction(r), total, (uint32_t)len) - head);
    }
    int e = relay_send_bytes(r, head, head_len, f->bytes + f->sent, len);
    if (e < 0)
        return e;
    relay_charge_send(r, head_len + len);
    f->sent += len;
    r->waiting_bytes -= len;
    return 0;
}

static void relay_send_end(struct relay *r)
{
    r->is_end_sent = true;
    if (r->is_client)
        rpc_stream_half_close(r->stream);
    else
        rpc_stream_finish(r->stream, relay_status(r->end), r->end_text ? r->end_text : "");
}

void relay_flush(struct relay *r)
{
    while (!list_is_empty(&r->waiting) && relay_has_room(r) && !r->is_failed) {
        struct relay_frame_out *f = list_entry(list_first(&r->waiting), struct relay_frame_out, link);
        if (!r->lane.peer.is_extended && f->len > LANE_UNKNOWN_PEER_MAX) {
            relay_fail(r, LANE_END_LIMIT, "the packet is larger than the other side can take");
            return;
        }
        if (relay_send_part(r, f) < 0) {
            relay_fail(r, LANE_END_LIMIT, "out of memory");
            return;
        }
        if (f->sent == f->len)
            relay_free_waiting(r, f);
    }
    if (r->is_finishing && !r->is_end_sent && !r->is_failed && list_is_empty(&r->waiting))
        relay_send_end(r);
}
