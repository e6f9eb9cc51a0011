/* Packet -> messages of the stream.
 *
 *   relay_send() --fits--> rpc_message (extended peer: relay_collect()) ----> stream
 *        '------ else ---> outbox --relay_send_on()--> whole or in pieces --> stream
 *                                     ^ credit, on_drain, on_open
 *
 * Only whole small packets overtake nothing: as long as the outbox holds something everything goes through it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "relay_internal.h"

enum {
    /* The stream's queue: above HIGH the session is asked to stop; from the outbox it is filled to FULL only, so that
     * credit and the end of the stream wait for little. RELAY_QUEUE_LOW is below both. */
    QUEUE_HIGH = 128 * 1024,
    QUEUE_FULL = 64 * 1024,
    PIECE_DATA = LANE_PIECE_BYTES - RELAY_FRAME_OVERHEAD,
};

static bool is_over(const struct relay *r)
{
    return r->is_failed || r->is_ended || r->is_finishing;
}

/* Whether the peer takes another message with a packet now (section 5). */
static bool has_window(const struct relay *r)
{
    return !r->lane.peer.is_extended || r->window > 0;
}

/* r-proxy has half-closed, so no credit can come any more; and its client is gone. What cannot leave now never can. */
static bool is_deaf(const struct relay *r)
{
    return r->inbox.is_server && r->is_half_closed && !has_window(r);
}

void relay_pass_on(struct relay *r, struct rpc_message *m)
{
    rpc_stream_send(r->stream, m);
    if (rpc_stream_queued_bytes(r->stream) > RELAY_QUEUE_LOW)
        rpc_stream_wait_drain(r->stream); /* on_drain, for whoever is stopped above the higher marks */
}

static void send_charged(struct relay *r, struct rpc_message *m, size_t n)
{
    r->window -= (int64_t)n;
    relay_pass_on(r, m);
}

static int send_frame_now(struct relay *r, const struct packet_frame *f)
{
    struct rpc_message *m = rpc_message_new(f->total_bytes);
    if (!m)
        return err_errno(-ENOMEM, "lane");
    packet_to_frame_write(f, rpc_message_bytes(m));
    send_charged(r, m, f->total_bytes);
    return 0;
}

static bool may_leave_now(const struct relay *r, size_t n)
{
    if (!r->lane.is_open || !list_is_empty(&r->outbox.items))
        return false;
    return r->lane.peer.is_extended ? n <= LANE_PIECE_BYTES && r->window > 0 : true;
}

int relay_send(struct lane *l, const struct mqtt_packet *packet)
{
    struct relay *r = relay_of(l);
    if (is_over(r) || is_deaf(r))
        return 0;
    struct packet_frame f;
    size_t n = packet_to_frame_plan(&f, packet, r->next_sequence, relay_direction_of(r));
    if (n > l->peer.max_frame_bytes)
        return LANE_TOO_LARGE;
    int result;
    if (may_leave_now(r, n)) {
        result = l->peer.is_extended ? relay_collect(r, &f) : send_frame_now(r, &f);
    } else {
        result = lane_outbox_put(&r->outbox, &f);
        relay_send_on(r);
    }
    if (result == 0)
        r->next_sequence++;
    return result;
}

bool relay_may_send(const struct lane *l)
{
    const struct relay *r = relay_of(l);
    if (is_over(r) || is_deaf(r))
        return true; /* it is dropped: no reason to stop anybody */
    return r->lane.is_open && list_is_empty(&r->outbox.items) && has_window(r) &&
           r->collected.len + rpc_stream_queued_bytes(r->stream) < QUEUE_HIGH;
}

/* --- The outbox */

void relay_drop_unsent(struct relay *r)
{
    relay_collect_drop(r);
    lane_outbox_clear(&r->outbox);
}

/* The next message made of O; *RET_DATA: how far it takes it. NULL if memory is short. */
static struct rpc_message *next_piece(const struct relay *r, const struct lane_outgoing *o, size_t *ret_data)
{
    size_t left = o->len - o->sent;
    size_t n = left < PIECE_DATA ? left : PIECE_DATA;
    struct rpc_message *m = rpc_message_new(RELAY_FRAME_OVERHEAD + n);
    if (!m)
        return NULL;
    uint8_t *start = rpc_message_bytes(m);
    uint32_t total = o->sent == 0 ? (uint32_t)o->len : 0;
    uint8_t *data = relay_frame_write_piece_head(start, relay_direction_of(r), total, (uint32_t)n);
    memcpy(data, o->bytes + o->sent, n);
    rpc_message_set_length(m, (size_t)(data - start) + n);
    *ret_data = n;
    return m;
}

static struct rpc_message *whole(const struct lane_outgoing *o)
{
    struct rpc_message *m = rpc_message_new(o->len);
    if (m)
        memcpy(rpc_message_bytes(m), o->bytes, o->len);
    return m;
}

static bool send_one(struct relay *r, const struct lane_outgoing *o)
{
    size_t data = o->len;
    bool is_whole = !r->lane.peer.is_extended || o->len <= LANE_PIECE_BYTES;
    struct rpc_message *m = is_whole ? whole(o) : next_piece(r, o, &data);
    if (!m)
        return false;
    relay_flush(r);
    send_charged(r, m, rpc_message_length(m));
    lane_outbox_sent(&r->outbox, data);
    return true;
}

static void send_end(struct relay *r)
{
    static const int statuses[] = {
        [LANE_END_OK] = RPC_OK,
        [LANE_END_UNAVAILABLE] = RPC_UNAVAILABLE,
        [LANE_END_LIMIT] = RPC_RESOURCE_EXHAUSTED,
        [LANE_END_PROTOCOL] = RPC_INVALID_ARGUMENT,
        [LANE_END_UNAUTHENTICATED] = RPC_UNAUTHENTICATED,
        [LANE_END_DENIED] = RPC_PERMISSION_DENIED,
        [LANE_END_LOST] = RPC_UNAVAILABLE,
    };
    r->is_finish_sent = true;
    relay_flush(r);
    if (r->inbox.is_server)
        rpc_stream_finish(r->stream, statuses[r->finish_why], r->finish_text);
    else
        rpc_stream_half_close(r->stream);
}

void relay_send_on(struct relay *r)
{
    /* A server may end a stream that never came to ESTABLISH. */
    if ((!r->lane.is_open && !r->inbox.is_server) || r->is_failed || r->is_ended)
        return;
    const struct lane_outgoing *first;
    while ((first = lane_outbox_first(&r->outbox)) && has_window(r) &&
           rpc_stream_queued_bytes(r->stream) < QUEUE_FULL) {
        if (!send_one(r, first)) {
            relay_fail(r, LANE_END_LIMIT, "out of memory");
            return;
        }
    }
    if (is_deaf(r))
        lane_outbox_clear(&r->outbox);
    if (r->is_finishing && !r->is_finish_sent && list_is_empty(&r->outbox.items))
        send_end(r);
}

/* --- What is not a packet of the session's, or not yet */

int relay_send_establish(struct relay *r, const char *client_id)
{
    struct mqtt_bytes id = {.ptr = (const uint8_t *)client_id, .len = (uint32_t)strlen(client_id)};
    struct rpc_message *m = rpc_message_new(RELAY_FRAME_OVERHEAD + id.len);
    if (!m)
        return err_errno(-ENOMEM, "lane");
    uint8_t *start = rpc_message_bytes(m);
    enum relay_frame_kind kind = r->inbox.family == FRAME_MQTTV5 ? RELAY_FRAME_ESTABLISH_V5 : RELAY_FRAME_ESTABLISH_V3;
    uint8_t *end = relay_frame_write_control(start, kind, 0, RELAY_CLIENT_TO_BROKER, id);
    rpc_message_set_length(m, (size_t)(end - start));
    relay_pass_on(r, m);
    return 0;
}

int relay_send_connect(struct relay *r, const struct mqtt_packet *connect)
{
    struct packet_frame f;
    size_t n = packet_to_frame_plan(&f, connect, 0, RELAY_CLIENT_TO_BROKER);
    /* A large one waits until it is known whether the peer can take it in pieces. */
    return n <= LANE_UNKNOWN_PEER_MAX ? send_frame_now(r, &f) : lane_outbox_put(&r->outbox, &f);
}

void relay_send_credit(struct relay *r, uint64_t bytes)
{
    struct rpc_message *m = rpc_message_new(RELAY_FRAME_OVERHEAD);
    if (!m) {
        relay_fail(r, LANE_END_LIMIT, "out of memory");
        return;
    }
    uint8_t *start = rpc_message_bytes(m);
    rpc_message_set_length(m, (size_t)(relay_frame_write_credit(start, relay_direction_of(r), bytes) - start));
    relay_flush(r);
    relay_pass_on(r, m);
}

void relay_send_heartbeat(struct relay *r)
{
    const struct mqtt_bytes none = {.ptr = NULL, .len = 0};
    struct rpc_message *m = rpc_message_new(RELAY_FRAME_OVERHEAD);
    if (!m)
        return; /* a help for others, not needed by the stream */
    uint8_t *start = rpc_message_bytes(m);
    uint8_t *end = relay_frame_write_control(start, RELAY_FRAME_HEARTBEAT, 0, relay_direction_of(r), none);
    rpc_message_set_length(m, (size_t)(end - start));
    relay_pass_on(r, m);
}

void relay_add_window(struct relay *r, uint64_t bytes)
{
    const int64_t limit = INT64_C(1) << 62;
    if (bytes >= (uint64_t)limit || r->window >= limit - (int64_t)bytes) {
        relay_fail(r, LANE_END_PROTOCOL, "credit: the window is above 2^62");
        return;
    }
    r->window += (int64_t)bytes;
}
