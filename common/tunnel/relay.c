/* A lane on a gRPC stream of its own (relay.h): its beginning and its end. */
#include "relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "relay_internal.h"

#define RELAY_EXT_KEY     "mqtt-relay-ext"
#define RELAY_EXT_VERSION "1"
#define RELAY_SESSION_KEY "session-id"
#define RELAY_CLIENT_KEY  "client-id"

/* --- Ends and gRPC status (the list in proto/mqtt_relay.proto) */

int relay_status(enum lane_end end)
{
    switch (end) {
    case LANE_END_OK:
        return RPC_OK;
    case LANE_END_UNAVAILABLE:
        return RPC_UNAVAILABLE;
    case LANE_END_LIMIT:
        return RPC_RESOURCE_EXHAUSTED;
    case LANE_END_PROTOCOL:
        return RPC_INVALID_ARGUMENT;
    case LANE_END_UNAUTHENTICATED:
        return RPC_UNAUTHENTICATED;
    case LANE_END_DENIED:
        return RPC_PERMISSION_DENIED;
    case LANE_END_LOST:
        return RPC_CANCELLED;
    }
    return RPC_INTERNAL;
}

/* Anything but an answer of s-proxy itself means that it cannot be had. */
static enum lane_end relay_end_of_server(int status)
{
    static const enum lane_end own[] = {LANE_END_OK, LANE_END_LIMIT, LANE_END_PROTOCOL, LANE_END_DENIED,
                                        LANE_END_UNAUTHENTICATED};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (relay_status(own[i]) == status)
            return own[i];
    return LANE_END_UNAVAILABLE;
}

static void relay_set_end(struct relay *r, enum lane_end why, const char *text)
{
    r->end = why;
    free(r->end_text);
    r->end_text = strdup(text);
}

void relay_fail(struct relay *r, enum lane_end why, const char *text)
{
    if (r->is_failed)
        return;
    r->is_failed = true;
    relay_drop_waiting(r);
    relay_set_end(r, why, text);
    if (r->is_client)
        rpc_stream_cancel(r->stream, relay_status(why), text);
    else
        rpc_stream_finish(r->stream, relay_status(why), text);
}

/* --- The stream's callbacks */

static void relay_learn_peer(struct relay *r)
{
    const char *ext = rpc_stream_metadata(r->stream, RELAY_EXT_KEY);
    r->lane.peer.is_extended = ext && strcmp(ext, RELAY_EXT_VERSION) == 0;
    r->lane.peer.max_frame_bytes = r->lane.peer.is_extended ? 2 * MQTT_PACKET_MAX : LANE_UNKNOWN_PEER_MAX;
    r->is_open = true;
}

static void relay_on_headers(struct rpc_stream *s, void *arg)
{
    struct relay *r = arg;
    relay_learn_peer(r);
    relay_flush(r);
    r->is_told_full = false;
    r->lane.cbs->on_open(&r->lane, r->lane.arg);
}

static void relay_on_drain(struct rpc_stream *s, void *arg)
{
    struct relay *r = arg;
    relay_flush(r);
    relay_tell_writable(r);
}

static void relay_on_half_close(struct rpc_stream *s, void *arg)
{
    struct relay *r = arg;
    if (!r->is_failed && r->lane.cbs->on_finished)
        r->lane.cbs->on_finished(&r->lane, r->lane.arg);
}

static void relay_on_end(struct rpc_stream *s, int status, const char *text, void *arg)
{
    struct relay *r = arg;
    enum lane_end end;
    if (r->is_failed)
        end = r->end;
    else if (r->is_client)
        end = relay_end_of_server(status);
    else
        end = status == RPC_OK ? LANE_END_OK : LANE_END_LOST;
    const char *why = r->is_failed && r->end_text ? r->end_text : text;
    r->lane.cbs->on_end(&r->lane, end, why[0] ? why : rpc_status_name(status), r->lane.arg);
}

static const struct rpc_stream_cbs relay_stream_cbs = {
    .on_headers = relay_on_headers,
    .on_message = relay_on_message,
    .on_drain = relay_on_drain,
    .on_half_close = relay_on_half_close,
    .on_end = relay_on_end,
};

/* --- What the lane offers */

static struct gate_wait *relay_hold(struct lane *l)
{
    return rpc_stream_hold(((struct relay *)l)->stream);
}

static size_t relay_buffered_bytes(const struct lane *l)
{
    const struct relay *r = (const struct relay *)l;
    return r->waiting_bytes + r->joined_cap + rpc_stream_queued_bytes(r->stream);
}

static void relay_pause(struct lane *l, bool is_paused)
{
    struct relay *r = (struct relay *)l;
    r->is_paused = is_paused;
    relay_update_window(r);
}

static void relay_finish(struct lane *l, enum lane_end why, const char *text)
{
    struct relay *r = (struct relay *)l;
    if (r->is_finishing || r->is_failed)
        return;
    r->is_finishing = true;
    relay_set_end(r, why, text);
    relay_flush(r);
}

static void relay_free(struct lane *l)
{
    struct relay *r = (struct relay *)l;
    r->stream = rpc_stream_free(r->stream);
    relay_drop_waiting(r);
    free(r->joined);
    free(r->end_text);
    free(r);
}

static const struct lane_ops relay_ops = {
    .send = relay_send,
    .may_send = relay_may_send,
    .consumed = relay_consumed,
    .hold = relay_hold,
    .buffered_bytes = relay_buffered_bytes,
    .pause = relay_pause,
    .finish = relay_finish,
    .free = relay_free,
};

/* --- The beginning */

static struct relay *relay_new(const struct lane_cbs *cbs, void *arg, const char *session_id)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->lane = (struct lane){.ops = &relay_ops, .cbs = cbs, .arg = arg};
    r->lane.peer.max_frame_bytes = LANE_UNKNOWN_PEER_MAX;
    r->send_credit = LANE_WINDOW_BYTES;
    r->granted_bytes = LANE_WINDOW_BYTES;
    list_init(&r->waiting);
    snprintf(r->session_id, sizeof(r->session_id), "%s", session_id);
    return r;
}

static int relay_open_stream(struct relay *r, const struct relay_open_params *params)
{
    const struct rpc_metadata metadata[] = {
        {RELAY_SESSION_KEY, r->session_id},
        {RELAY_CLIENT_KEY, r->session_id}, /* the true one travels in CONNECT: it may be anything */
        {RELAY_EXT_KEY, RELAY_EXT_VERSION},
    };
    return rpc_stream_open(params->channel, params->mailbox, RELAY_PATH, metadata,
                           sizeof(metadata) / sizeof(metadata[0]), &relay_stream_cbs, r, &r->stream);
}

int relay_open(const struct relay_open_params *params, const struct lane_cbs *cbs, void *arg, struct lane **ret_lane)
{
    struct relay *r = relay_new(cbs, arg, params->session_id);
    if (!r)
        return err_set(-ENOMEM, "lane: out of memory");
    bool is_v5 = params->connect->version == MQTT_V5;
    r->is_client = true;
    r->version = params->connect->version;
    r->family = is_v5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
    int e = relay_open_stream(r, params);
    if (e < 0) {
        free(r);
        return e;
    }
    relay_send_control(r, is_v5 ? RELAY_FRAME_ESTABLISH_V5 : RELAY_FRAME_ESTABLISH_V3);
    e = relay_send(&r->lane, params->connect);
    if (e < 0) {
        relay_free(&r->lane);
        return e;
    }
    *ret_lane = &r->lane;
    return 0;
}

int relay_accept(struct rpc_stream *stream, const struct lane_cbs *cbs, void *arg, struct lane **ret_lane)
{
    const struct rpc_metadata metadata[] = {{RELAY_EXT_KEY, RELAY_EXT_VERSION}};
    const char *session_id = rpc_stream_metadata(stream, RELAY_SESSION_KEY);
    struct relay *r = relay_new(cbs, arg, session_id ? session_id : "unknown");
    if (!r) {
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, "out of memory");
        return err_set(-ENOMEM, "lane: out of memory");
    }
    r->stream = stream;
    relay_learn_peer(r);
    int e = rpc_stream_accept(stream, metadata, 1, &relay_stream_cbs, r);
    if (e < 0) {
        relay_free(&r->lane);
        return e;
    }
    /* Some balancers keep the headers back until a message follows, and the client waits for them. */
    if (r->lane.peer.is_extended)
        relay_send_control(r, RELAY_FRAME_HEARTBEAT);
    *ret_lane = &r->lane;
    return 0;
}

const char *relay_session_id(const struct lane *l)
{
    return ((const struct relay *)l)->session_id;
}
