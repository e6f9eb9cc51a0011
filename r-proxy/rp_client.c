/* A client connection of r-proxy (rp_client.h). */
#define LOG_MODULE LOG_R_PROXY
#include "rp_client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn_ws.h"
#include "err.h"
#include "front_client.h"
#include "front_identity.h"
#include "front_pace.h"
#include "mqtt_compose.h"
#include "mqtt_encode.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "rp_downlink.h"
#include "rp_limits.h"
#include "rp_session.h"
#include "rp_uplink.h"
#include "rp_worker.h"

enum {
    RP_INPUT_LIMIT = 64 * 1024,    /* unread bytes behind a packet that waits */
    RP_LOW_MARK = 32 * 1024,       /* of the output queue */
    RP_LINGER_MS = 2000,           /* for a client to take its last packets */
    RP_CONNACK_TIMEOUT_MS = 60000, /* the longest that a client waits for an answer to CONNECT */
    RP_GOODBYE_MS = 10000,         /* for the other side to end the session after DISCONNECT */
};

static const char *const rp_client_state_names[] = {
    [RP_CLIENT_WAIT_CONNECT] = "waiting for CONNECT",
    [RP_CLIENT_CONNECTING] = "connecting",
    [RP_CLIENT_LIVE] = "live",
};

void rp_client_enter(struct rp_client *c, enum rp_client_state next)
{
    assert((unsigned)next == c->state + 1u);
    log_debug(&c->log, "%s -> %s", rp_client_state_names[c->state], rp_client_state_names[next]);
    c->state = (uint8_t)next;
}

static void rp_client_describe(const struct log_object *self, struct log_writer *w)
{
    const struct rp_client *c = container_of(self, struct rp_client, log);
    log_field_u64(w, "client", c->number);
    if (c->io)
        front_describe_peer(conn_peer(mqtt_io_conn(c->io)), w);
    if (c->state != RP_CLIENT_WAIT_CONNECT)
        log_field_bytes(w, "id", c->id, c->id_len);
}

void rp_client_account(struct rp_client *c)
{
    struct conn *conn = mqtt_io_conn(c->io);
    size_t bytes = conn_queued_bytes(conn) + conn_unread_bytes(conn) + rp_limits_bytes(c->limits);
    if (c->session)
        bytes += rp_session_buffered_bytes(c->session);
    byte_budget_set(&c->budget, bytes);
}

/* --- The end */

static bool rp_client_compose_farewell(const struct rp_client *c, uint8_t reason, const char *text,
                                       struct mqtt_reply *ret)
{
    uint8_t version = mqtt_io_version(c->io);
    if (reason == MQTT_REASON_SUCCESS || c->rules.state == MQTT_RULES_OVER)
        return false;
    /* A level that nobody knows is answered in the form that every client can read (MQTT-3.1.2-2). */
    if (version == 0 && reason == MQTT_REASON_UNSUPPORTED_VERSION)
        return mqtt_reply_connack(ret, MQTT_V311, reason, NULL);
    if (version == 0)
        return false;
    if (c->state != RP_CLIENT_LIVE)
        return mqtt_reply_connack(ret, version, reason, text);
    if (version != MQTT_V5)
        return false;
    mqtt_reply_disconnect(ret, reason, text);
    return true;
}

static void rp_client_say_farewell(struct rp_client *c, uint8_t reason, const char *text)
{
    struct mqtt_reply reply;
    if (!rp_client_compose_farewell(c, reason, text, &reply))
        return;
    if (mqtt_io_send(c->io, &reply.packet, NULL) == MQTT_IO_TOO_LARGE) {
        mqtt_reply_drop_text(&reply);
        mqtt_io_send(c->io, &reply.packet, NULL);
    }
}

static void rp_client_free(struct rp_client *c)
{
    struct rp_worker *w = c->worker;
    loop_timer_stop(&c->timer);
    byte_budget_leave(&c->budget);
    c->io = mqtt_io_close(c->io, RP_LINGER_MS);
    list_del(&c->link);
    front_ticket_return(&c->ticket);
    c->pace = front_pace_free(c->pace);
    c->limits = rp_limits_free(c->limits);
    free(c);
    rp_worker_client_gone(w);
}

/* Anybody can open connections: those that never come to CONNECT do not fill the log. */
static void rp_client_log_close(const struct rp_client *c, const char *text)
{
    static struct log_limit limit = LOG_LIMIT(50, 10000);
    if (c->ticket.refusal)
        log_debug(&c->log, "closed: %s", text); /* front_admission has said it, as often as is good */
    else if (c->state == RP_CLIENT_WAIT_CONNECT)
        log_rate_limited(&limit, LOG_LEVEL_INFO, &c->log, "closed: %s", text);
    else
        log_info(&c->log, "closed: %s", text);
}

void rp_client_close(struct rp_client *c, uint8_t reason, const char *text)
{
    rp_client_log_close(c, text);
    rp_client_say_farewell(c, reason, text);
    if (reason == MQTT_REASON_SERVER_SHUTTING_DOWN)
        conn_ws_set_going_away(mqtt_io_conn(c->io));
    struct rp_session *s = c->session;
    c->session = NULL;
    if (s)
        rp_session_leave(s);
    rp_client_free(c);
}

/* What the end of a session is to a client that is still connecting, and to one that was live. */
static uint8_t rp_client_end_reason(enum lane_end why, bool is_live)
{
    switch (why) {
    case LANE_END_OK:
        return is_live ? MQTT_REASON_SERVER_SHUTTING_DOWN : MQTT_REASON_SUCCESS;
    case LANE_END_UNAVAILABLE:
    case LANE_END_LOST:
        return is_live ? MQTT_REASON_SERVER_SHUTTING_DOWN : MQTT_REASON_SERVER_UNAVAILABLE;
    case LANE_END_LIMIT:
        return MQTT_REASON_QUOTA_EXCEEDED;
    case LANE_END_PROTOCOL:
        return MQTT_REASON_PROTOCOL_ERROR;
    case LANE_END_UNAUTHENTICATED:
    case LANE_END_DENIED:
        return MQTT_REASON_NOT_AUTHORIZED;
    }
    return MQTT_REASON_UNSPECIFIED;
}

void rp_client_goodbye(struct rp_client *c)
{
    c->is_leaving = true;
    mqtt_io_pause(c->io, RP_PAUSE_LEAVING);
    loop_timer_start(&c->timer, RP_GOODBYE_MS);
    lane_finish(c->session->lane, LANE_END_OK, "the client disconnected");
}

void rp_client_session_ended(struct rp_client *c, enum lane_end why, const char *text)
{
    if (c->is_leaving) {
        rp_client_close(c, MQTT_REASON_SUCCESS, "the client disconnected");
        return;
    }
    bool is_live = c->state == RP_CLIENT_LIVE;
    char detail[MQTT_COMPOSE_TEXT_MAX];
    if (why == LANE_END_UNAVAILABLE) {
        snprintf(detail, sizeof(detail), "%s: %s", is_live ? "the s-proxy is lost" : "no s-proxy can be reached", text);
        text = detail;
    }
    metric_add(&c->worker->metrics.sessions_ended_upstream, 1);
    rp_client_close(c, rp_client_end_reason(why, is_live), text);
}

bool rp_client_check_drained(struct rp_client *c)
{
    if (!c->worker->is_draining || c->is_leaving || c->state != RP_CLIENT_LIVE ||
        !mqtt_exchanges_are_done(&c->session->exchanges))
        return false;
    rp_client_close(c, MQTT_REASON_SERVER_SHUTTING_DOWN, "r-proxy is shutting down");
    return true;
}

void rp_client_drain(struct rp_client *c)
{
    if (c->state == RP_CLIENT_LIVE)
        rp_client_check_drained(c);
    else
        rp_client_close(c, MQTT_REASON_SERVER_UNAVAILABLE, "r-proxy is shutting down");
}

/* --- Time */

/* Keep-alive (MQTT-3.1.2-22): looked at when the time may be over, not at every packet. */
static void rp_client_check_keep_alive(struct rp_client *c)
{
    uint64_t silent_ms = loop_now_ms(c->worker->loop) - mqtt_io_last_input_ms(c->io);
    if (conn_is_paused(mqtt_io_conn(c->io)))
        silent_ms = 0; /* it is we who do not listen */
    if (silent_ms >= c->keep_alive_ms) {
        metric_add(&c->worker->metrics.clients_timed_out, 1);
        rp_client_close(c, MQTT_REASON_KEEP_ALIVE_TIMEOUT, "nothing heard for 1.5 times the keep-alive time");
        return;
    }
    loop_timer_start(&c->timer, c->keep_alive_ms - silent_ms);
}

static void rp_client_on_timer(struct loop_timer *timer)
{
    struct rp_client *c = container_of(timer, struct rp_client, timer);
    if (c->is_leaving) {
        rp_client_close(c, MQTT_REASON_SUCCESS, "the client disconnected, s-proxy did not answer in time");
        return;
    }
    switch ((enum rp_client_state)c->state) {
    case RP_CLIENT_WAIT_CONNECT:
        metric_add(&c->worker->metrics.connect_timeouts, 1);
        rp_client_close(c, MQTT_REASON_SUCCESS, "no CONNECT in time");
        break;
    case RP_CLIENT_CONNECTING:
        rp_client_close(c, MQTT_REASON_SERVER_UNAVAILABLE, "no answer to CONNECT in time");
        break;
    case RP_CLIENT_LIVE:
        rp_client_check_keep_alive(c);
        break;
    }
}

static void rp_client_start_keep_alive(struct rp_client *c, uint32_t keep_alive_s)
{
    c->keep_alive_ms = keep_alive_s * 1500;
    if (c->is_leaving)
        return;
    if (c->keep_alive_ms != 0)
        loop_timer_start(&c->timer, c->keep_alive_ms);
    else
        loop_timer_stop(&c->timer);
}

/* --- Packets */

static enum gate_answer rp_client_connect(struct rp_client *c, const struct mqtt_packet *said)
{
    struct mqtt_packet connect = *said;
    struct mqtt_fault fault;
    const struct mqtt_connect *f = &connect.connect;
    c->id_len = (uint8_t)(f->client_id.len < sizeof c->id ? f->client_id.len : sizeof c->id);
    if (c->id_len > 0)
        memcpy(c->id, f->client_id.ptr, c->id_len);
    rp_client_enter(c, RP_CLIENT_CONNECTING);
    c->keep_alive_s = f->keep_alive_s;
    mqtt_io_set_send_limit(c->io, mqtt_property_number(&connect.properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 0));
    if (rp_limits_refuse_connect(c, &connect, &fault)) {
        rp_client_close(c, fault.reason, fault.text);
        return GATE_CLOSED;
    }
    if (front_identity_apply(mqtt_io_conn(c->io), c->options, &connect.connect) == FRONT_IDENTITY_MISSING) {
        rp_client_close(c, MQTT_REASON_NOT_AUTHORIZED, FRONT_IDENTITY_MISSING_TEXT);
        return GATE_CLOSED;
    }
    loop_timer_start(&c->timer, RP_CONNACK_TIMEOUT_MS);
    int r = rp_session_open(c, &connect, &c->session, &fault);
    if (r != 0) {
        rp_client_close(c, r < 0 ? MQTT_REASON_SERVER_UNAVAILABLE : fault.reason, r < 0 ? err_text() : fault.text);
        return GATE_CLOSED;
    }
    rp_client_account(c);
    return GATE_HOLD;
}

void rp_client_accepted(struct rp_client *c, const struct mqtt_packet *connack)
{
    uint32_t keep_alive_s =
        mqtt_property_number(&connack->properties, MQTT_PROPERTY_SERVER_KEEP_ALIVE, c->keep_alive_s);
    rp_client_enter(c, RP_CLIENT_LIVE);
    rp_client_start_keep_alive(c, keep_alive_s);
    metric_add(&c->worker->metrics.clients_connected, 1);
    log_info(&c->log, "connected, MQTT %s", mqtt_version_name(connack->version));
}

/* It was let in to hear this. */
static enum gate_answer rp_client_refuse(struct rp_client *c, const struct mqtt_packet *connect)
{
    const struct front_refusal *refusal = c->ticket.refusal;
    mqtt_io_set_send_limit(c->io, mqtt_property_number(&connect->properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 0));
    rp_client_close(c, refusal->reason, refusal->text);
    return GATE_CLOSED;
}

static enum gate_answer rp_client_on_packet(struct mqtt_io *io, const struct mqtt_packet *packet, void *arg)
{
    struct rp_client *c = arg;
    struct mqtt_fault fault;
    if (mqtt_server_rules_check(&c->rules, packet, &fault) != 0) {
        metric_add(&c->worker->metrics.protocol_errors, 1);
        rp_client_close(c, fault.reason, fault.text);
        return GATE_CLOSED;
    }
    if (packet->type == MQTT_CONNECT)
        return c->ticket.refusal ? rp_client_refuse(c, packet) : rp_client_connect(c, packet);
    if (c->pace)
        front_pace_count(c->pace, packet);
    return c->limits ? rp_limits_uplink(c->limits, packet) : rp_uplink_packet(c->session, packet);
}

static void rp_client_on_bad_packet(struct mqtt_io *io, uint8_t reason, const char *text, void *arg)
{
    struct rp_client *c = arg;
    metric_add(&c->worker->metrics.protocol_errors, 1);
    rp_client_close(c, reason, text);
}

static void rp_client_on_progress(struct mqtt_io *io, void *arg)
{
    rp_client_account(arg);
}

static void rp_client_on_drain(struct mqtt_io *io, void *arg)
{
    struct rp_client *c = arg;
    if (c->session)
        rp_downlink_settle(c->session);
    rp_client_account(c);
}

static void rp_client_on_end(struct mqtt_io *io, enum conn_end why, const char *text, void *arg)
{
    struct rp_client *c = arg;
    front_count_end(mqtt_io_conn(c->io), &c->worker->front_metrics);
    if (c->state != RP_CLIENT_WAIT_CONNECT && !c->is_leaving)
        metric_add(&c->worker->metrics.clients_lost, 1);
    if (c->is_leaving)
        text = "the client disconnected";
    else if (why == CONN_END_EOF)
        text = "the client closed without DISCONNECT";
    rp_client_close(c, MQTT_REASON_SUCCESS, text);
}

static const struct mqtt_io_cbs rp_client_io_cbs = {
    .on_packet = rp_client_on_packet,
    .on_bad_packet = rp_client_on_bad_packet,
    .on_progress = rp_client_on_progress,
    .on_drain = rp_client_on_drain,
    .on_end = rp_client_on_end,
};

/* --- Byte budget */

static void rp_client_budget_pause(struct byte_budget_holder *holder)
{
    struct rp_client *c = container_of(holder, struct rp_client, budget);
    mqtt_io_pause(c->io, RP_PAUSE_BUDGET);
    if (c->session)
        rp_session_pause(c->session, true);
}

static void rp_client_budget_resume(struct byte_budget_holder *holder)
{
    struct rp_client *c = container_of(holder, struct rp_client, budget);
    mqtt_io_resume(c->io, RP_PAUSE_BUDGET);
    if (c->session)
        rp_session_pause(c->session, false);
}

static void rp_client_budget_shed(struct byte_budget_holder *holder)
{
    struct rp_client *c = container_of(holder, struct rp_client, budget);
    metric_add(&c->worker->metrics.clients_shed, 1);
    rp_client_close(c, MQTT_REASON_QUOTA_EXCEEDED, "it holds the most bytes and nothing moves (max-buffered-bytes)");
}

const struct byte_budget_calls rp_client_budget_calls = {
    .on_pause = rp_client_budget_pause,
    .on_resume = rp_client_budget_resume,
    .on_shed = rp_client_budget_shed,
};

/* --- The beginning */

static int rp_client_pace(struct rp_client *c)
{
    const struct rp_worker *w = c->worker;
    const struct front_pace_params params = {.loop = w->loop,
                                             .io = c->io,
                                             .pause_bit = RP_PAUSE_PACE,
                                             .pauses = &c->worker->front_metrics.clients_paced,
                                             .log = &c->log};
    return front_pace_new(&w->options->front, &params, &c->pace);
}

void rp_client_new(struct rp_worker *w, struct rp_arrival *arrival)
{
    const uint64_t connect_ms =
        front_connect_time_ms(&w->options->front, arrival->parcel.accepted_ms, loop_now_ms(w->loop));
    struct rp_client *c = calloc(1, sizeof *c);
    if (!c) {
        conn_parcel_close(&arrival->parcel);
        front_ticket_return(&arrival->ticket);
        rp_worker_client_gone(w);
        return;
    }
    c->worker = w;
    c->options = arrival->options;
    c->ticket = arrival->ticket;
    c->number = rp_worker_next_number(w);
    c->log.describe = rp_client_describe;
    mqtt_server_rules_init(&c->rules);
    loop_timer_init(&c->timer, w->loop, rp_client_on_timer);
    byte_budget_join(&w->budget, &c->budget);
    list_add_tail(&w->clients, &c->link);
    struct mqtt_io_params params = {
        .cbs = &rp_client_io_cbs,
        .arg = c,
        .is_server = true,
        .max_packet_bytes = w->options->max_packet_bytes,
        .input_limit = RP_INPUT_LIMIT,
    };
    if (mqtt_io_open(w->loop, &arrival->parcel, &params, &c->io) < 0 || rp_client_pace(c) < 0 ||
        rp_limits_new(c, &c->limits) < 0) {
        log_error(&c->log, "new connection: %s", err_text());
        rp_client_free(c);
        return;
    }
    conn_set_low_mark(mqtt_io_conn(c->io), RP_LOW_MARK);
    loop_timer_start(&c->timer, connect_ms);
    log_debug(&c->log, "accepted");
    if (w->is_draining)
        rp_client_drain(c);
}
