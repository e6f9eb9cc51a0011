/* A session of s-proxy, from the stream or trunk that brings it to the end of its lane (sp_session.h). */
#define LOG_MODULE LOG_S_PROXY
#include "sp_session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "mqtt_compose.h"
#include "mqtt_reason.h"
#include "relay.h"
#include "rpc_stream.h"
#include "sp_downlink.h"
#include "sp_identity.h"
#include "sp_preface.h"
#include "sp_uplink.h"
#include "sp_worker.h"
#include "sproxy.h"
#include "trunk_frame.h"

enum {
    SP_CONNECT_TIMEOUT_MS = 10000, /* from the lane's beginning to its CONNECT */
    SP_LINGER_MS = 10000,          /* for a broker to take the last bytes of a session */
    SP_GOODBYE_MS = 1000,          /* for a broker to close after DISCONNECT */
};

static const char *const sp_session_state_names[] = {
    [SP_SESSION_NEW] = "new",   [SP_SESSION_DIALLING] = "dialling", [SP_SESSION_ASKING] = "asking",
    [SP_SESSION_LIVE] = "live", [SP_SESSION_ENDING] = "ending",
};

/* DIALLING and ASKING may repeat: the next broker. */
static bool sp_session_may_go(uint8_t from, enum sp_session_state next)
{
    if (next == SP_SESSION_ENDING)
        return from != SP_SESSION_ENDING;
    if (next == SP_SESSION_DIALLING)
        return from == SP_SESSION_NEW || from == SP_SESSION_DIALLING || from == SP_SESSION_ASKING;
    return (unsigned)next == from + 1u;
}

void sp_session_enter(struct sp_session *s, enum sp_session_state next)
{
    assert(sp_session_may_go(s->state, next));
    log_debug(&s->log, "%s -> %s", sp_session_state_names[s->state], sp_session_state_names[next]);
    s->state = (uint8_t)next;
}

bool sp_session_client(const struct sp_session *s, struct trunk_client *ret_client)
{
    const struct trunk_client *client = lane_client(s->lane);
    if (!client)
        return false;
    *ret_client = *client;
    sp_identity_censor(s->identity, ret_client);
    return true;
}

static void sp_session_describe_client(const struct sp_session *s, struct log_writer *w)
{
    struct trunk_client client;
    if (!sp_session_client(s, &client))
        return;
    if (client.source.len > 0)
        log_field_bytes(w, "peer", client.source.ptr, client.source.len);
    if (client.common_name.len > 0)
        log_field_bytes(w, "cn", client.common_name.ptr, client.common_name.len);
}

static void sp_session_describe(const struct log_object *self, struct log_writer *w)
{
    const struct sp_session *s = container_of(self, struct sp_session, log);
    log_field_u64(w, "session", s->number);
    if (s->lane) {
        log_field(w, "sid", "%.8s", lane_session_id(s->lane));
        sp_session_describe_client(s, w);
    }
    if (s->version != 0)
        log_field_bytes(w, "id", s->id, s->id_len);
}

void sp_session_account(struct sp_session *s)
{
    size_t bytes = lane_buffered_bytes(s->lane);
    struct mqtt_io *io = s->upstream ? upstream_io(s->upstream) : NULL;
    if (io)
        bytes += conn_queued_bytes(mqtt_io_conn(io)) + conn_unread_bytes(mqtt_io_conn(io));
    byte_budget_set(&s->budget, bytes);
}

/* --- The broker's side */

static void sp_session_broker_hung_up(struct sp_session *s, const char *text);

static void sp_session_on_connected(struct upstream *u, void *arg)
{
    struct sp_session *s = arg;
    struct mqtt_packet connect = *s->connect;
    uint8_t *scratch = malloc(connect.properties.wire.len + 8);
    int r = scratch ? 0 : err_set(-ENOMEM, "CONNECT: out of memory");
    if (r == 0 && !lane_peer(s->lane)->is_extended)
        mqtt_lower_packet_size(&connect, LANE_UNKNOWN_PEER_PACKET_MAX, scratch);
    sp_session_enter(s, SP_SESSION_ASKING);
    mqtt_client_rules_init(&s->rules, &connect);
    if (r == 0)
        r = upstream_send(u, &connect, NULL);
    free(scratch);
    if (r < 0)
        sp_session_end(s, LANE_END_LIMIT, MQTT_REASON_SERVER_BUSY, err_text(), 0);
    else
        loop_timer_start(&s->timer, s->worker->options->upstream_connect_timeout_ms);
}

/* An r-proxy of ours takes the client to another s-proxy, or tells it itself. */
static void sp_session_is_short(struct sp_session *s, const char *text)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    const bool is_ours = lane_peer(s->lane)->is_extended;
    metric_add(&s->worker->metrics.sessions_without_file, 1);
    log_rate_limited(&limit, LOG_LEVEL_ERROR, &s->log, "%s (ulimit -n)", text);
    sp_session_end(s, LANE_END_LIMIT, is_ours ? MQTT_REASON_SUCCESS : MQTT_REASON_SERVER_BUSY,
                   "the s-proxy has no room for more connections", 0);
}

static void sp_session_on_failed(struct upstream *u, const char *text, void *arg)
{
    if (upstream_was_short(u))
        sp_session_is_short(arg, text);
    else
        sp_session_broker_failed(arg, text);
}

static void sp_session_on_bad_packet(struct upstream *u, uint8_t reason, const char *text, void *arg)
{
    struct sp_session *s = arg;
    metric_add(&s->worker->metrics.broker_bad_packets, 1);
    log_warn(&s->log, "broker %s sent what is no MQTT packet: %s", s->broker->name, text);
    if (s->connect)
        sp_session_broker_failed(s, text);
    else
        sp_session_end(s, LANE_END_UNAVAILABLE, MQTT_REASON_SERVER_SHUTTING_DOWN, text, 0);
}

static void sp_session_on_upstream_drain(struct upstream *u, void *arg)
{
    struct sp_session *s = arg;
    sp_uplink_settle(s);
    sp_session_account(s);
}

static void sp_session_on_upstream_progress(struct upstream *u, void *arg)
{
    sp_session_account(arg);
}

static void sp_session_on_upstream_end(struct upstream *u, enum conn_end why, const char *text, void *arg)
{
    struct sp_session *s = arg;
    if (s->connect) {
        sp_session_broker_hung_up(s, text);
        return;
    }
    if (s->has_said_goodbye) {
        sp_session_finish(s);
        return;
    }
    log_info(&s->log, "broker %s %s%s", s->broker->name,
             why == CONN_END_EOF ? "closed the connection" : "is lost: ", why == CONN_END_EOF ? "" : text);
    metric_add(&s->worker->metrics.broker_closed, 1);
    sp_session_end(s, why == CONN_END_EOF ? LANE_END_OK : LANE_END_UNAVAILABLE, MQTT_REASON_SERVER_SHUTTING_DOWN,
                   "the broker closed the connection", 0);
}

static size_t sp_session_write_preface(const struct conn_peer *broker, uint8_t *dst, void *arg)
{
    const struct sp_session *s = arg;
    struct trunk_client client;
    const bool is_known = sp_session_client(s, &client);
    return sp_preface_write(dst, s->worker->options->upstream_proxy_protocol, is_known ? &client : NULL,
                            s->connect->connect.client_id, broker);
}

static const struct upstream_cbs sp_session_upstream_cbs = {
    .write_preface = sp_session_write_preface,
    .on_connected = sp_session_on_connected,
    .on_failed = sp_session_on_failed,
    .on_packet = sp_downlink_on_packet,
    .on_bad_packet = sp_session_on_bad_packet,
    .on_drain = sp_session_on_upstream_drain,
    .on_progress = sp_session_on_upstream_progress,
    .on_end = sp_session_on_upstream_end,
};

static void sp_session_dial(struct sp_session *s)
{
    const struct upstream_params params = {
        .url = &s->broker->url,
        .tls = url_is_tls(&s->broker->url) ? sproxy_upstream_tls(s->worker->program) : NULL,
        .timeout_ms = s->worker->options->upstream_connect_timeout_ms,
        .max_packet_bytes = MQTT_PACKET_MAX,
        .version = s->version,
        .cbs = &sp_session_upstream_cbs,
        .arg = s,
    };
    if (upstream_open(s->worker->loop, &params, &s->upstream) < 0)
        sp_session_end(s, LANE_END_LIMIT, MQTT_REASON_SERVER_BUSY, err_text(), 0);
}

void sp_session_open_upstream(struct sp_session *s)
{
    struct sp_broker *b = sp_broker_pick_next(&s->worker->brokers, &s->tries, loop_now_ms(s->worker->loop));
    if (!b && s->was_snubbed) {
        s->was_told = true; /* as without us: the connection closes, and nobody knows why */
        sp_session_end(s, LANE_END_OK, 0, "the broker closed the connection without an answer to CONNECT", 0);
        return;
    }
    if (!b) {
        metric_add(&s->worker->metrics.sessions_without_broker, 1);
        sp_session_end(s, LANE_END_UNAVAILABLE, MQTT_REASON_SERVER_UNAVAILABLE, "no broker can be reached", 0);
        return;
    }
    s->broker = b;
    sp_session_enter(s, SP_SESSION_DIALLING);
    if (sp_broker_turn_take(&s->turn, b))
        sp_session_dial(s);
}

static void sp_session_try_next(struct sp_session *s)
{
    loop_timer_stop(&s->timer);
    sp_broker_turn_end(&s->turn);
    s->upstream = upstream_close(s->upstream, 0);
    sp_session_open_upstream(s);
}

/* A broker that has failed while S waited for it is not asked by all who wait, one time-out after the other. */
static void sp_session_on_turn(struct sp_broker_turn *turn)
{
    struct sp_session *s = container_of(turn, struct sp_session, turn);
    if (s->broker->retry_at_ms == 0)
        sp_session_dial(s);
    else
        sp_session_try_next(s);
}

void sp_session_broker_failed(struct sp_session *s, const char *text)
{
    bool is_news = sp_broker_has_failed(s->broker, loop_now_ms(s->worker->loop));
    metric_add(&s->worker->metrics.broker_failures, 1);
    if (is_news)
        log_warn(&s->log, "broker %s: %s", s->broker->name, text);
    else
        log_debug(&s->log, "broker %s: %s", s->broker->name, text);
    sp_session_try_next(s);
}

/* It took CONNECT and hung up. That may be its opinion of this client: no reason to keep others away from it. */
static void sp_session_broker_hung_up(struct sp_session *s, const char *text)
{
    log_info(&s->log, "broker %s did not answer CONNECT: %s", s->broker->name, text);
    s->was_snubbed = true;
    sp_session_try_next(s);
}

void sp_session_broker_answered(struct sp_session *s)
{
    if (!s->connect)
        return;
    sp_broker_has_answered(s->broker);
    sp_broker_turn_end(&s->turn);
    loop_timer_stop(&s->timer);
    free(s->connect);
    s->connect = NULL;
    loop_defer(s->worker->loop, &s->go_on_task);
}

/* What waited behind CONNECT. It may end the session and free it, so nobody else who works on S may be on the stack. */
static void sp_session_go_on(struct loop_task *task)
{
    struct sp_session *s = container_of(task, struct sp_session, go_on_task);
    struct gate_wait *wait = s->connect_wait;
    s->connect_wait = NULL;
    gate_continue(wait);
}

/* --- The lane's side */

static void sp_session_on_open(struct lane *l, void *arg)
{
    /* The peer's abilities were in its metadata: lane_peer() is used where they matter. */
}

static void sp_session_on_progress(struct lane *l, void *arg)
{
    sp_session_account(arg);
}

/* r-proxy half-closed: its client is gone, with DISCONNECT or without. Everything it sent has been delivered to us. */
static void sp_session_on_finished(struct lane *l, void *arg)
{
    struct sp_session *s = arg;
    if (s->state != SP_SESSION_ENDING && !s->has_said_goodbye)
        sp_session_finish(s);
}

static void sp_session_free(struct sp_session *s)
{
    struct sp_worker *w = s->worker;
    loop_timer_stop(&s->timer);
    loop_task_cancel(&s->go_on_task);
    sp_broker_turn_end(&s->turn);
    s->upstream = upstream_close(s->upstream, s->state == SP_SESSION_LIVE ? SP_LINGER_MS : 0);
    s->lane = lane_free(s->lane);
    gate_continue(s->connect_wait);
    free(s->connect);
    mqtt_exchanges_deinit(&s->exchanges);
    mqtt_dropped_clear(&s->dropped);
    tenant_close(s->tenant);
    sp_identity_unref(s->identity);
    byte_budget_leave(&s->budget);
    list_del(&s->link);
    free(s);
    sp_worker_session_gone(w);
}

/* Streams that never come to CONNECT may be a stranger's, who can open many. */
static void sp_session_log_loss(const struct sp_session *s, enum lane_end why, const char *text)
{
    static struct log_limit limit = LOG_LIMIT(10, 10000);
    if (s->state == SP_SESSION_NEW)
        log_rate_limited(&limit, LOG_LEVEL_INFO, &s->log, "lost before CONNECT (%s): %s", lane_end_name(why), text);
    else
        log_info(&s->log, "r-proxy is lost (%s): %s", lane_end_name(why), text);
}

static void sp_session_on_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    struct sp_session *s = arg;
    if (s->state != SP_SESSION_ENDING)
        sp_session_log_loss(s, why, text);
    sp_session_free(s);
}

static const struct lane_cbs sp_session_lane_cbs = {
    .on_open = sp_session_on_open,
    .on_packet = sp_uplink_on_packet,
    .on_progress = sp_session_on_progress,
    .on_writable = sp_downlink_on_writable,
    .on_finished = sp_session_on_finished,
    .on_end = sp_session_on_end,
};

/* --- Beginning and end */

static void sp_session_on_timer(struct loop_timer *timer)
{
    struct sp_session *s = container_of(timer, struct sp_session, timer);
    if (s->has_said_goodbye)
        sp_session_finish(s);
    else if (s->state == SP_SESSION_NEW)
        sp_session_end(s, LANE_END_PROTOCOL, MQTT_REASON_PROTOCOL_ERROR, "no CONNECT within 10 s", 0);
    else
        sp_session_broker_failed(s, "no answer to CONNECT in time");
}

static void sp_session_pause(struct byte_budget_holder *holder)
{
    struct sp_session *s = container_of(holder, struct sp_session, budget);
    lane_pause(s->lane, true);
    if (s->upstream && upstream_io(s->upstream))
        mqtt_io_pause(upstream_io(s->upstream), SP_PAUSE_BUDGET);
}

static void sp_session_resume(struct byte_budget_holder *holder)
{
    struct sp_session *s = container_of(holder, struct sp_session, budget);
    lane_pause(s->lane, false);
    if (s->upstream && upstream_io(s->upstream))
        mqtt_io_resume(upstream_io(s->upstream), SP_PAUSE_BUDGET);
}

static void sp_session_shed(struct byte_budget_holder *holder)
{
    struct sp_session *s = container_of(holder, struct sp_session, budget);
    metric_add(&s->worker->metrics.sessions_shed, 1);
    log_warn(&s->log, "ended: it holds the most bytes and nothing moves (max-buffered-bytes)");
    sp_session_end(s, LANE_END_LIMIT, MQTT_REASON_QUOTA_EXCEEDED, "too many bytes are buffered", 0);
}

const struct byte_budget_calls sp_session_budget_calls = {
    .on_pause = sp_session_pause,
    .on_resume = sp_session_resume,
    .on_shed = sp_session_shed,
};

/* NULL with err_text() if there is no room for it. IDENTITY is taken over in any case. */
static struct sp_session *sp_session_new(struct sp_worker *w, struct sp_identity *identity)
{
    struct sp_session *s = calloc(1, sizeof *s);
    int r = s ? sp_worker_session_came(w) : err_set(-ENOMEM, "out of memory");
    if (r < 0) {
        free(s);
        sp_identity_unref(identity);
        return NULL;
    }
    s->worker = w;
    s->identity = identity;
    s->number = sp_worker_next_number(w);
    s->log.describe = sp_session_describe;
    s->client_packet_max = UINT32_MAX;
    mqtt_server_rules_init(&s->client_rules);
    mqtt_exchanges_init(&s->exchanges);
    mqtt_dropped_init(&s->dropped);
    loop_timer_init(&s->timer, w->loop, sp_session_on_timer);
    loop_task_init(&s->go_on_task, sp_session_go_on);
    sp_broker_turn_init(&s->turn, sp_session_on_turn);
    byte_budget_join(&w->budget, &s->budget);
    list_add_tail(&w->sessions, &s->link);
    return s;
}

/* The lane is there. */
static void sp_session_start(struct sp_session *s)
{
    loop_timer_start(&s->timer, SP_CONNECT_TIMEOUT_MS);
    log_debug(&s->log, "opened");
}

void sp_session_on_stream(struct sp_worker *w, struct rpc_stream *stream, struct sp_identity *identity)
{
    struct sp_session *s = sp_session_new(w, identity);
    if (!s) {
        rpc_stream_finish(stream, RPC_RESOURCE_EXHAUSTED, err_text());
        rpc_stream_free(stream);
        return;
    }
    if (relay_accept(stream, &sp_session_lane_cbs, s, &s->lane) < 0) {
        log_error(NULL, "new stream: %s", err_text());
        sp_session_free(s);
        return;
    }
    sp_session_start(s);
}

void sp_session_on_lane(struct sp_worker *w, struct lane *lane, struct sp_identity *identity)
{
    struct sp_session *s = sp_session_new(w, identity);
    if (!s) {
        lane_finish(lane, LANE_END_LIMIT, err_text());
        lane_free(lane);
        return;
    }
    s->lane = lane;
    lane_set_callbacks(lane, &sp_session_lane_cbs, s);
    sp_session_start(s);
}

/* ENDING: neither side says anything any more, only the lane's own end is due. */
static void sp_session_let_go(struct sp_session *s, uint32_t linger_ms)
{
    loop_timer_stop(&s->timer);
    sp_session_enter(s, SP_SESSION_ENDING);
    sp_broker_turn_end(&s->turn);
    s->upstream = upstream_close(s->upstream, linger_ms);
    free(s->connect);
    s->connect = NULL;
    sp_uplink_settle(s);
    loop_defer(s->worker->loop, &s->go_on_task);
}

void sp_session_end(struct sp_session *s, enum lane_end how, uint8_t reason, const char *text, uint32_t linger_ms)
{
    if (s->state == SP_SESSION_ENDING)
        return;
    log_info(&s->log, "ended (%s): %s", lane_end_name(how), text);
    sp_downlink_tell(s, reason, text);
    lane_finish(s->lane, how, text);
    sp_session_let_go(s, linger_ms);
}

void sp_session_goodbye(struct sp_session *s)
{
    s->has_said_goodbye = true;
    loop_timer_start(&s->timer, SP_GOODBYE_MS);
}

void sp_session_finish(struct sp_session *s)
{
    if (s->has_said_goodbye) {
        log_info(&s->log, "the client disconnected");
        metric_add(&s->worker->metrics.clients_disconnected, 1);
    } else if (!s->was_told) {
        log_info(&s->log, "the client is lost");
        metric_add(&s->worker->metrics.clients_lost, 1);
    }
    lane_finish(s->lane, LANE_END_OK, "the session is over");
    sp_session_let_go(s, SP_LINGER_MS);
}

void sp_session_check_drained(struct sp_session *s)
{
    if (!s->worker->is_draining || s->state != SP_SESSION_LIVE || !mqtt_exchanges_are_done(&s->exchanges))
        return;
    sp_session_end(s, LANE_END_UNAVAILABLE, MQTT_REASON_SERVER_SHUTTING_DOWN, "s-proxy is shutting down", SP_LINGER_MS);
}

void sp_session_drain(struct sp_session *s)
{
    if (s->state == SP_SESSION_LIVE) {
        sp_session_check_drained(s);
        return;
    }
    /* An r-proxy of ours says CONNECT to another s-proxy, unless its client has heard an answer. */
    uint8_t reason = lane_peer(s->lane)->is_extended ? MQTT_REASON_SUCCESS : MQTT_REASON_SERVER_UNAVAILABLE;
    sp_session_end(s, LANE_END_UNAVAILABLE, reason, "s-proxy is shutting down", 0);
}

void sp_session_kill(struct sp_session *s)
{
    if (s->state != SP_SESSION_ENDING)
        sp_session_end(s, LANE_END_UNAVAILABLE, MQTT_REASON_SERVER_SHUTTING_DOWN, "s-proxy has stopped", 0);
    sp_session_free(s);
}
