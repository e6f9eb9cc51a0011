/* See relay.h. Life of a lane over a stream of its own, and what the session asks of it. */
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mailbox.h"
#include "relay_internal.h"

/* Says in the metadata that a side knows credit, pieces, batches and endings (proto/mqtt_relay.proto section 1). */
static const char EXTENSION_KEY[] = "mqtt-relay-ext";
static const char EXTENSION_VALUE[] = "1";

void relay_ref(struct relay *r)
{
    r->refs++;
}

void relay_unref(struct relay *r)
{
    if (--r->refs > 0)
        return;
    free(r->finish_text);
    free(r->end_text);
    free(r);
}

void relay_fail(struct relay *r, enum lane_end why, const char *text)
{
    if (r->is_failed || r->is_ended)
        return;
    r->is_failed = true;
    relay_drop_unsent(r);
    relay_drop_received(r);
    rpc_stream_cancel(r->stream, why == LANE_END_LIMIT ? RPC_RESOURCE_EXHAUSTED : RPC_INVALID_ARGUMENT, text);
}

/* --- The peer is known */

static void set_peer(struct relay *r, bool is_extended)
{
    r->lane.peer = (struct lane_peer){
        .is_extended = is_extended,
        .max_frame_bytes = is_extended ? MQTT_PACKET_MAX * 2u : LANE_UNKNOWN_PEER_MAX,
    };
}

static bool says_extension(const struct rpc_stream *s)
{
    const char *value = rpc_stream_metadata(s, EXTENSION_KEY);
    return value && strcmp(value, EXTENSION_VALUE) == 0;
}

/* Only CONNECT can be too large: nothing else was taken before. */
static bool holds_too_large(const struct relay *r)
{
    const struct lane_outgoing *first = lane_outbox_first(&r->outbox);
    return first && first->len > r->lane.peer.max_frame_bytes;
}

void relay_opened(struct relay *r, bool is_extended)
{
    set_peer(r, is_extended);
    r->lane.is_open = true;
    if (holds_too_large(r)) {
        relay_fail(r, LANE_END_LIMIT, "CONNECT is larger than this s-proxy can take");
        return;
    }
    relay_ref(r);
    r->lane.cbs->on_open(&r->lane, r->lane.arg);
    if (!r->is_freed)
        relay_send_on(r);
    if (!r->is_freed && !r->is_failed && relay_may_send(&r->lane))
        r->lane.cbs->on_writable(&r->lane, r->lane.arg);
    relay_unref(r);
}

/* --- From the stream */

static void on_headers(struct rpc_stream *s, void *arg)
{
    relay_opened(arg, says_extension(s));
}

static void on_drain(struct rpc_stream *s, void *arg)
{
    struct relay *r = arg;
    relay_send_on(r);
    if (!r->is_failed && relay_may_send(&r->lane))
        r->lane.cbs->on_writable(&r->lane, r->lane.arg);
}

static void on_half_close(struct rpc_stream *s, void *arg)
{
    struct relay *r = arg;
    relay_half_closed(r);
    relay_deliver(r);
}

static enum lane_end end_of_status(const struct relay *r, int status)
{
    switch (status) {
    case RPC_OK:
        return LANE_END_OK;
    case RPC_RESOURCE_EXHAUSTED:
        return LANE_END_LIMIT;
    case RPC_INVALID_ARGUMENT:
        return LANE_END_PROTOCOL;
    case RPC_UNAUTHENTICATED:
        return LANE_END_UNAUTHENTICATED;
    case RPC_PERMISSION_DENIED:
        return LANE_END_DENIED;
    default:
        /* r-proxy cannot tell a lost link from an s-proxy that is not there; for s-proxy it means that the will must
         * fire. */
        return r->inbox.is_server ? LANE_END_LOST : LANE_END_UNAVAILABLE;
    }
}

static void on_end(struct rpc_stream *s, int status, const char *text, void *arg)
{
    struct relay *r = arg;
    r->is_end_due = true;
    r->end_why = end_of_status(r, status);
    r->end_text = strdup(text);
    relay_deliver(r);
}

static const struct rpc_stream_cbs stream_cbs = {
    .on_headers = on_headers,
    .on_message = relay_on_message,
    .on_drain = on_drain,
    .on_half_close = on_half_close,
    .on_end = on_end,
};

/* --- From the session */

static void consumed(struct lane *l, size_t bytes)
{
    struct relay *r = relay_of(l);
    lane_inbox_consumed(&r->inbox, bytes);
    relay_update_credit(r);
}

static size_t packet_charge(const struct lane *l)
{
    return relay_of(l)->inbox.charge;
}

static struct gate_wait *hold(struct lane *l)
{
    return lane_inbox_hold(&relay_of(l)->inbox);
}

static const char *session_id(const struct lane *l)
{
    const char *id = rpc_stream_metadata(relay_of(l)->stream, "session-id");
    return id ? id : "unknown";
}

static size_t buffered_bytes(const struct lane *l)
{
    const struct relay *r = relay_of(l);
    return r->inbox.memory_bytes + r->join.room + r->outbox.memory_bytes + r->collected.len +
           rpc_stream_queued_bytes(r->stream);
}

static void pause_lane(struct lane *l, bool is_paused)
{
    struct relay *r = relay_of(l);
    r->is_paused = is_paused;
    relay_update_credit(r);
}

static void finish(struct lane *l, enum lane_end why, const char *text)
{
    struct relay *r = relay_of(l);
    if (r->is_finishing)
        return;
    r->is_finishing = true;
    r->finish_why = why;
    r->finish_text = text ? strdup(text) : NULL;
    relay_send_on(r);
}

static void free_lane(struct lane *l)
{
    struct relay *r = relay_of(l);
    r->is_freed = true;
    lane_inbox_close(&r->inbox);
    lane_join_clear(&r->join);
    r->stream = rpc_stream_free(r->stream);
    relay_drop_unsent(r);
    relay_unref(r);
}

static const struct lane_ops relay_ops = {
    .send = relay_send,
    .may_send = relay_may_send,
    .consumed = consumed,
    .packet_charge = packet_charge,
    .hold = hold,
    .session_id = session_id,
    .buffered_bytes = buffered_bytes,
    .pause = pause_lane,
    .finish = finish,
    .free = free_lane,
};

/* --- Beginning */

static struct relay *relay_new(const struct lane_cbs *cbs, void *arg, bool is_server)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->lane = (struct lane){.ops = &relay_ops, .cbs = cbs, .arg = arg};
    r->refs = 1;
    r->window = LANE_WINDOW_BYTES;
    r->next_sequence = 1;
    lane_outbox_init(&r->outbox);
    relay_collect_init(r);
    relay_receive_init(r, is_server);
    set_peer(r, false);
    return r;
}

static int open_stream(struct relay *r, const struct relay_open_params *params)
{
    const struct rpc_metadata metadata[] = {
        {"session-id", params->session_id},
        {"client-id", params->session_id}, /* the true one travels in CONNECT: it may not be ASCII, or not unique */
        {EXTENSION_KEY, EXTENSION_VALUE},
    };
    int result = rpc_stream_open(params->channel, params->mailbox, RELAY_PATH, metadata, 3, &stream_cbs, r, &r->stream);
    if (result < 0)
        return result;
    r->loop = mailbox_loop(params->mailbox);
    rpc_stream_set_low_mark(r->stream, RELAY_QUEUE_LOW);
    result = relay_send_establish(r, params->session_id);
    if (result < 0)
        return result;
    return relay_send_connect(r, params->connect);
}

int relay_open(const struct relay_open_params *params, const struct lane_cbs *cbs, void *arg, struct lane **ret_lane)
{
    struct relay *r = relay_new(cbs, arg, false);
    if (!r)
        return err_errno(-ENOMEM, "lane");
    r->inbox.version = params->connect->version;
    r->inbox.family = r->inbox.version == MQTT_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
    int result = open_stream(r, params);
    if (result < 0) {
        lane_free(&r->lane);
        return err_context(result, "lane");
    }
    *ret_lane = &r->lane;
    return 0;
}

int relay_accept(struct rpc_stream *stream, const struct lane_cbs *cbs, void *arg, struct lane **ret_lane)
{
    struct relay *r = relay_new(cbs, arg, true);
    if (!r) {
        rpc_stream_free(stream);
        return err_errno(-ENOMEM, "lane");
    }
    r->stream = stream;
    r->loop = mailbox_loop(rpc_stream_mailbox(stream));
    const struct rpc_metadata metadata = {EXTENSION_KEY, EXTENSION_VALUE};
    int result = rpc_stream_accept(stream, &metadata, 1, &stream_cbs, r);
    if (result < 0) {
        lane_free(&r->lane);
        return err_context(result, "lane");
    }
    rpc_stream_set_low_mark(stream, RELAY_QUEUE_LOW);
    set_peer(r, says_extension(stream));
    /* Behind a balancer that holds headers back until data follows r-proxy would not learn what we are. */
    if (r->lane.peer.is_extended)
        relay_send_heartbeat(r);
    *ret_lane = &r->lane;
    return 0;
}
