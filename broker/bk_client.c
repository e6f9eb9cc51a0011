/* One connection (bk_client.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bk_access.h"
#include "bk_alias.h"
#include "bk_audit.h"
#include "bk_behind.h"
#include "bk_broker.h"
#include "bk_connect.h"
#include "bk_deliver.h"
#include "bk_full.h"
#include "bk_hooks.h"
#include "bk_journal.h"
#include "bk_login.h"
#include "bk_options.h"
#include "bk_pace.h"
#include "bk_publish.h"
#include "bk_quota.h"
#include "bk_retain.h"
#include "bk_session.h"
#include "bk_subscribe.h"
#include "bk_will.h"
#include "bk_worker.h"
#include "conn_ws.h"
#include "err.h"
#include "front_client.h"
#include "front_pace.h"
#include "mqtt_compose.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "str.h"
#include "tenant.h"

enum {
    BK_INPUT_LIMIT = 64 * 1024, /* unread bytes behind a packet that waits */
    BK_LOW_MARK = 64 * 1024,    /* of the output queue: then what waits goes on */
    BK_LINGER_MS = 2000,        /* for a client to take its last packets */
};

struct bk_move {
    struct loop_task task;
    struct bk_client *client;
    struct bk_arrival *arrival; /* its parcel is still the client's */
    unsigned to;
};

static const char *const bk_client_state_names[] = {
    [BK_CLIENT_WAIT_CONNECT] = "waiting for CONNECT",
    [BK_CLIENT_CONNECTING] = "connecting",
    [BK_CLIENT_LIVE] = "live",
};

void bk_client_enter(struct bk_client *c, enum bk_client_state next)
{
    assert((unsigned)next == c->state + 1u);
    log_debug(&c->log, "%s -> %s", bk_client_state_names[c->state], bk_client_state_names[next]);
    c->state = (uint8_t)next;
}

static void bk_client_describe(const struct log_object *self, struct log_writer *w)
{
    const struct bk_client *c = container_of(self, struct bk_client, log);
    log_field_u64(w, "client", c->number);
    if (c->conn)
        front_describe_peer(conn_peer(c->conn), w);
    if (c->session)
        log_field_bytes(w, "id", c->session->id, c->session->id_len);
}

void bk_client_account(struct bk_client *c)
{
    byte_budget_set(&c->budget, conn_queued_bytes(c->conn) + conn_unread_bytes(c->conn));
}

/* --- Sending */

void bk_client_send(struct bk_client *c, struct mqtt_packet *packet)
{
    if (mqtt_io_send(c->io, packet, NULL) == MQTT_IO_TOO_LARGE && packet->properties.wire.len > 0) {
        packet->properties.wire = (struct mqtt_bytes){NULL, 0};
        mqtt_io_send(c->io, packet, NULL);
    }
}

void bk_client_send_ack(struct bk_client *c, uint8_t type, uint16_t id, uint8_t reason)
{
    const struct mqtt_packet ack = {
        .type = type,
        .version = c->version,
        .packet_id = id,
        .reason_code = c->version == MQTT_V5 ? reason : MQTT_REASON_SUCCESS,
    };
    mqtt_io_send(c->io, &ack, NULL);
}

void bk_client_answer(struct bk_client *c, uint8_t type, uint16_t id, uint8_t reason)
{
    if (c->n_waiting == 0 && bk_journal_changes(c->worker) == c->journal_mark) {
        bk_client_send_ack(c, type, id, reason);
        return;
    }
    const struct bk_waiter waiter = {.client = c, .type = type, .id = id, .reason = reason};
    bk_journal_wait(c->worker, &waiter);
}

void bk_client_wait(struct bk_client *c)
{
    if (++c->n_waiting != c->worker->options->receive_maximum)
        return;
    metric_add(&c->worker->metrics.clients_held, 1);
    mqtt_io_pause(c->io, BK_PAUSE_ANSWERS);
}

void bk_client_waited(struct bk_client *c)
{
    if (c->n_waiting-- == c->worker->options->receive_maximum)
        mqtt_io_resume(c->io, BK_PAUSE_ANSWERS);
}

/* --- The end */

/* Where clients are sent instead of hearing REASON; NULL: nowhere. */
static const char *bk_client_reference(const struct bk_client *c, uint8_t reason)
{
    const bool is_end = reason == MQTT_REASON_SERVER_SHUTTING_DOWN || reason == MQTT_REASON_SERVER_UNAVAILABLE;
    return c->worker->is_draining && is_end ? c->worker->options->server_reference : NULL;
}

static bool bk_client_compose_farewell(const struct bk_client *c, uint8_t reason, const char *text,
                                       struct mqtt_reply *ret)
{
    const uint8_t version = mqtt_io_version(c->io);
    if (reason == MQTT_REASON_SUCCESS || c->rules.state == MQTT_RULES_OVER)
        return false;
    /* A level that nobody knows is answered in the form that every client can read (MQTT-3.1.2-2). */
    if (version == 0)
        return reason == MQTT_REASON_UNSUPPORTED_VERSION && mqtt_reply_connack(ret, MQTT_V311, reason, NULL);
    if (c->state != BK_CLIENT_LIVE)
        return mqtt_reply_connack(ret, version, reason, text);
    if (version != MQTT_V5)
        return false;
    mqtt_reply_disconnect(ret, reason, text);
    return true;
}

static void bk_client_send_farewell(struct bk_client *c, uint8_t reason, const char *text)
{
    struct mqtt_reply reply;
    const char *reference = bk_client_reference(c, reason);
    if (!bk_client_compose_farewell(c, reference ? MQTT_REASON_USE_ANOTHER_SERVER : reason, text, &reply))
        return;
    if (reference)
        mqtt_reply_set_reference(&reply, reference);
    bk_client_send(c, &reply.packet);
}

/* It does not go to another worker. */
static void bk_client_stay(struct bk_client *c)
{
    if (!c->move)
        return;
    loop_task_cancel(&c->move->task);
    free(c->move->arrival->connect);
    free(c->move->arrival);
    free(c->move);
    c->move = NULL;
}

static void bk_client_free(struct bk_client *c)
{
    struct bk_worker *w = c->worker;
    loop_timer_stop(&c->timer);
    bk_pace_leave(c);
    bk_pace_release(c);
    list_del(&c->peer_link);
    bk_journal_forget(c);
    bk_client_stay(c);
    front_ticket_return(&c->ticket);
    c->pace = front_pace_free(c->pace);
    c->tenant = tenant_close(c->tenant);
    c->login = bk_login_free(c->login);
    bk_account_charge(c->account, BK_QUOTA_CONNECTIONS, -1);
    bk_account_unref(c->account);
    byte_budget_leave(&c->budget);
    c->io = mqtt_io_close(c->io, BK_LINGER_MS);
    /* nothing passes the gate any more */
    gate_continue(c->connect_wait);
    bk_behind_forget(c);
    bk_hooks_forget(c);
    bk_full_forget(c);
    free(c->connack);
    c->aliases_in = bk_aliases_in_free(c->aliases_in);
    c->aliases_out = bk_aliases_out_free(c->aliases_out);
    list_del(&c->link);
    if (c->state == BK_CLIENT_LIVE)
        metric_add(&w->metrics.clients_connected, -1);
    free(c);
    bk_worker_client_gone(w);
}

/* Anybody can open connections: those that never come to CONNECT do not fill the log. */
static void bk_client_log_close(const struct bk_client *c, const char *text)
{
    static struct log_limit limit = LOG_LIMIT(50, 10000);
    if (c->ticket.refusal)
        log_debug(&c->log, "closed: %s", text); /* front_admission has said it, as often as is good */
    else if (c->state == BK_CLIENT_WAIT_CONNECT)
        log_rate_limited(&limit, LOG_LEVEL_INFO, &c->log, "closed: %s", text);
    else
        log_info(&c->log, "closed: %s", text);
}

static void bk_client_end(struct bk_client *c, const struct mqtt_packet *connect, uint8_t reason, const char *text)
{
    bk_client_log_close(c, text);
    bk_audit_ended(c, connect, reason, text);
    if (bk_client_is_live(c) && bk_hooks_concern(c, BK_HOOK_DISCONNECT))
        bk_hooks_disconnected(c, reason, text);
    bk_client_send_farewell(c, reason, text);
    if (reason == MQTT_REASON_SERVER_SHUTTING_DOWN)
        conn_ws_set_going_away(c->conn);
    struct bk_session *s = c->session;
    if (s && !bk_client_is_live(c))
        bk_will_drop(s); /* it was not told that it is connected */
    bk_client_free(c);
    if (s)
        bk_session_leave(s);
}

void bk_client_close(struct bk_client *c, uint8_t reason, const char *text)
{
    const struct mqtt_packet *connect = bk_hooks_connect(c);
    if (!connect && c->login)
        connect = bk_login_connect(c->login);
    bk_client_end(c, connect, reason, text);
}

void bk_client_refuse(struct bk_client *c, const struct mqtt_packet *connect, uint8_t reason, const char *text)
{
    bk_client_end(c, connect, reason, text);
}

/* DISCONNECT of the client. */
static void bk_client_goodbye(struct bk_client *c, const struct mqtt_packet *packet)
{
    struct bk_session *s = c->session;
    struct mqtt_property expiry;
    if (!bk_client_is_live(c)) {
        bk_client_close(c, MQTT_REASON_SUCCESS, "the client gave up while it logged in");
        return;
    }
    if (packet->reason_code == MQTT_REASON_SUCCESS)
        bk_will_drop(s); /* MQTT-3.14.4-3 */
    if (mqtt_property_find(&packet->properties, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, &expiry))
        s->expiry_s = bk_session_agreed_expiry(c->worker, expiry.number);
    bk_client_close(c, MQTT_REASON_SUCCESS, "the client disconnected");
}

void bk_client_drain(struct bk_client *c)
{
    if (c->state == BK_CLIENT_WAIT_CONNECT && c->worker->options->server_reference)
        return;
    bk_client_close(c, c->state == BK_CLIENT_LIVE ? MQTT_REASON_SERVER_SHUTTING_DOWN : MQTT_REASON_SERVER_UNAVAILABLE,
                    "the broker is shutting down");
}

/* --- Time */

/* Keep-alive (MQTT-3.1.2-22): looked at when the time may be over, not at every packet. */
static void bk_client_check_keep_alive(struct bk_client *c)
{
    uint64_t silent_ms = loop_now_ms(c->worker->loop) - mqtt_io_last_input_ms(c->io);
    if (conn_is_paused(c->conn))
        silent_ms = 0; /* it is we who do not listen */
    if (silent_ms >= c->keep_alive_ms) {
        metric_add(&c->worker->metrics.clients_timed_out, 1);
        bk_client_close(c, MQTT_REASON_KEEP_ALIVE_TIMEOUT, "nothing heard for 1.5 times the keep-alive time");
        return;
    }
    loop_timer_start(&c->timer, c->keep_alive_ms - silent_ms);
}

static void bk_client_on_timer(struct loop_timer *timer)
{
    struct bk_client *c = container_of(timer, struct bk_client, timer);
    if (c->state == BK_CLIENT_LIVE) {
        bk_client_check_keep_alive(c);
        return;
    }
    if (c->state == BK_CLIENT_CONNECTING && !c->is_auth_due) {
        bk_client_close(c, MQTT_REASON_SERVER_UNAVAILABLE, "no answer to CONNECT in time");
        return;
    }
    metric_add(&c->worker->metrics.connect_timeouts, 1);
    bk_client_close(c, MQTT_REASON_SUCCESS, c->is_auth_due ? "no AUTH in time" : "no CONNECT in time");
}

static void bk_client_log_connected(const struct bk_client *c)
{
    const char *user = c->session->grant ? c->session->grant->user : NULL;
    char tls[256], name[128] = "", quoted[96];
    if (user)
        snprintf(name, sizeof name, ", user '%s'", str_quote(quoted, sizeof quoted, user, strlen(user)));
    log_info(&c->log, "connected, MQTT %s%s%s", mqtt_version_name(c->version), name,
             front_tls_text(c->conn, tls, sizeof tls));
}

void bk_client_go_live(struct bk_client *c, uint16_t keep_alive_s)
{
    bk_client_enter(c, BK_CLIENT_LIVE);
    c->keep_alive_ms = keep_alive_s * 1500u;
    if (c->keep_alive_ms != 0)
        loop_timer_start(&c->timer, c->keep_alive_ms);
    else
        loop_timer_stop(&c->timer);
    metric_add(&c->worker->metrics.connects, 1);
    metric_add(&c->worker->metrics.clients_connected, 1);
    bk_client_log_connected(c);
}

/* --- Packets */

static enum gate_answer bk_client_pass(struct bk_client *c, const struct mqtt_packet *packet)
{
    switch (packet->type) {
    case MQTT_CONNECT:
        return bk_connect_packet(c, packet);
    case MQTT_PUBLISH:
        return bk_publish_packet(c, packet);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
        bk_deliver_acknowledged(c->session, packet);
        return GATE_PASS;
    case MQTT_PUBREL:
        bk_publish_release(c, packet);
        return GATE_PASS;
    case MQTT_SUBSCRIBE:
        return bk_subscribe_packet(c, packet);
    case MQTT_UNSUBSCRIBE:
        return bk_unsubscribe_packet(c, packet);
    case MQTT_PINGREQ: {
        struct mqtt_packet answer = {.type = MQTT_PINGRESP, .version = c->version};
        bk_client_send(c, &answer);
        return GATE_PASS;
    }
    case MQTT_AUTH:
        return bk_login_auth(c, packet);
    case MQTT_DISCONNECT:
        bk_client_goodbye(c, packet);
        return GATE_CLOSED;
    default:
        return GATE_PASS;
    }
}

/* A packet of a tenant, as the rest of the broker has it. */
static enum gate_answer bk_client_mount(struct bk_client *c, const struct mqtt_packet *packet)
{
    struct mqtt_packet mounted = *packet;
    struct tenant_scratch scratch;
    struct mqtt_fault fault;
    tenant_scratch_init(&scratch);
    enum gate_answer answer = GATE_CLOSED;
    const int r = tenant_mount(c->tenant, &mounted, &scratch, &fault);
    if (r == 0)
        answer = bk_client_pass(c, &mounted);
    else
        bk_client_close(c, r < 0 ? MQTT_REASON_UNSPECIFIED : fault.reason, r < 0 ? err_text() : fault.text);
    tenant_scratch_deinit(&scratch);
    return answer;
}

static enum gate_answer bk_client_on_packet(struct mqtt_io *io, const struct mqtt_packet *packet, void *arg)
{
    struct bk_client *c = arg;
    struct mqtt_fault fault;
    metric_add(&c->worker->metrics.packets_received, 1);
    c->journal_mark = bk_journal_changes(c->worker);
    if (mqtt_server_rules_check(&c->rules, packet, &fault) != 0) {
        metric_add(&c->worker->metrics.protocol_errors, 1);
        bk_client_close(c, fault.reason, fault.text);
        return GATE_CLOSED;
    }
    if (c->pace && packet->type != MQTT_CONNECT)
        front_pace_count(c->pace, packet);
    return c->tenant ? bk_client_mount(c, packet) : bk_client_pass(c, packet);
}

static void bk_client_on_bad_packet(struct mqtt_io *io, uint8_t reason, const char *text, void *arg)
{
    struct bk_client *c = arg;
    metric_add(&c->worker->metrics.protocol_errors, 1);
    bk_client_close(c, reason, text);
}

static void bk_client_on_progress(struct mqtt_io *io, void *arg)
{
    bk_client_account(arg);
}

static void bk_client_on_drain(struct mqtt_io *io, void *arg)
{
    struct bk_client *c = arg;
    c->is_stalled = false;
    bk_pace_release(c);
    if (c->session) {
        bk_deliver_pump(c->session);
        bk_retain_continue(c->session);
    }
    bk_client_account(c);
}

static void bk_client_on_end(struct mqtt_io *io, enum conn_end why, const char *text, void *arg)
{
    struct bk_client *c = arg;
    front_count_end(c->conn, &c->worker->front_metrics);
    if (c->state == BK_CLIENT_LIVE)
        metric_add(&c->worker->metrics.clients_lost, 1);
    bk_client_close(c, MQTT_REASON_SUCCESS, why == CONN_END_EOF ? "the client closed without DISCONNECT" : text);
}

static const struct mqtt_io_cbs bk_client_io_cbs = {
    .on_packet = bk_client_on_packet,
    .on_bad_packet = bk_client_on_bad_packet,
    .on_progress = bk_client_on_progress,
    .on_drain = bk_client_on_drain,
    .on_end = bk_client_on_end,
};

/* --- Byte budget */

static void bk_client_budget_pause(struct byte_budget_holder *holder)
{
    struct bk_client *c = container_of(holder, struct bk_client, budget);
    mqtt_io_pause(c->io, BK_PAUSE_BUDGET);
}

static void bk_client_budget_resume(struct byte_budget_holder *holder)
{
    struct bk_client *c = container_of(holder, struct bk_client, budget);
    mqtt_io_resume(c->io, BK_PAUSE_BUDGET);
    if (c->session)
        bk_deliver_pump(c->session);
}

static void bk_client_budget_shed(struct byte_budget_holder *holder)
{
    struct bk_client *c = container_of(holder, struct bk_client, budget);
    metric_add(&c->worker->metrics.clients_shed, 1);
    bk_client_close(c, MQTT_REASON_QUOTA_EXCEEDED, "it holds the most bytes and nothing moves (max-buffered-bytes)");
}

const struct byte_budget_calls bk_client_budget_calls = {
    .on_pause = bk_client_budget_pause,
    .on_resume = bk_client_budget_resume,
    .on_shed = bk_client_budget_shed,
};

/* --- The beginning */

static void bk_client_on_move(struct loop_task *task)
{
    struct bk_move *move = container_of(task, struct bk_move, task);
    struct bk_client *c = move->client;
    struct bk_worker *w = c->worker;
    struct bk_arrival *arrival = move->arrival;
    if (w->is_parting) {
        bk_client_close(c, MQTT_REASON_SERVER_UNAVAILABLE, "the broker is shutting down");
        return;
    }
    c->move = NULL;
    c->conn = NULL;
    byte_budget_set(&c->budget, 0);
    c->io = mqtt_io_detach(c->io, &arrival->parcel);
    arrival->ticket = c->ticket;
    c->ticket = (struct front_ticket){.refusal = NULL};
    arrival->tenant = c->tenant;
    c->tenant = NULL;
    bk_worker_move(w, move->to, arrival);
    free(move);
    bk_client_free(c);
}

bool bk_client_move(struct bk_client *c, const struct mqtt_packet *connect, unsigned to)
{
    struct bk_move *move = calloc(1, sizeof *move);
    struct bk_arrival *arrival = calloc(1, sizeof *arrival);
    c->connect_wait = move && arrival ? mqtt_io_hold(c->io) : NULL;
    if (c->connect_wait)
        arrival->connect = mqtt_packet_store(connect);
    if (!c->connect_wait || !arrival->connect) {
        free(move);
        free(arrival);
        return false;
    }
    arrival->rules = c->rules;
    arrival->number = c->number;
    arrival->listener = c->listener;
    arrival->send_limit = c->send_limit;
    arrival->version = connect->version;
    arrival->is_proved = c->is_proved;
    *move = (struct bk_move){.client = c, .arrival = arrival, .to = to};
    loop_task_init(&move->task, bk_client_on_move);
    loop_defer(c->worker->loop, &move->task);
    c->move = move;
    log_debug(&c->log, "goes to worker %u", to);
    return true;
}

/* It comes from another worker, which has read its CONNECT. */
static void bk_client_go_on(struct bk_client *c, const struct bk_arrival *arrival)
{
    c->rules = arrival->rules;
    c->journal_mark = bk_journal_changes(c->worker);
    c->send_limit = arrival->send_limit;
    c->is_proved = arrival->is_proved;
    bk_connect_go_on(c, arrival->connect); /* C may be gone from here on */
}

void bk_arrival_drop(struct bk_arrival *arrival)
{
    conn_parcel_close(&arrival->parcel);
    front_ticket_return(&arrival->ticket);
    arrival->tenant = tenant_close(arrival->tenant);
}

static uint64_t bk_client_share(const struct mqtt_packet *packet, uint64_t now_ms, void *arg)
{
    const struct bk_client *c = arg;
    return bk_account_spend(c->account, packet, now_ms);
}

static int bk_client_pace(struct bk_client *c)
{
    struct bk_worker *w = c->worker;
    const struct bk_quotas *quotas = broker_quotas(w->broker);
    if (c->is_inner)
        return 0;
    const struct front_pace_params params = {.loop = w->loop,
                                             .io = c->io,
                                             .pause_bit = BK_PAUSE_PACE,
                                             .pauses = &w->front_metrics.clients_paced,
                                             .log = &c->log,
                                             .share = bk_quotas_have_rates(quotas) ? bk_client_share : NULL,
                                             .share_name = "max-user-message-rate or max-user-byte-rate",
                                             .arg = c};
    return front_pace_new(&w->options->front, &params, &c->pace);
}

void bk_client_new(struct bk_worker *w, struct bk_arrival *arrival)
{
    const struct front_options *o = &w->options->front;
    const uint64_t connect_ms = arrival->connect
                                    ? o->connect_timeout_ms
                                    : front_connect_time_ms(o, arrival->parcel.accepted_ms, loop_now_ms(w->loop));
    struct bk_client *c = calloc(1, sizeof *c);
    if (!c) {
        bk_arrival_drop(arrival);
        bk_worker_client_gone(w);
        return;
    }
    c->worker = w;
    c->listener = arrival->listener;
    c->ticket = arrival->ticket;
    c->tenant = arrival->tenant;
    tenant_move(c->tenant, &w->tenant_metrics, &c->log);
    c->number = arrival->connect ? arrival->number : bk_worker_next_number(w);
    c->is_inner = arrival->is_inner;
    c->log.describe = bk_client_describe;
    mqtt_server_rules_init(&c->rules);
    list_init(&c->paced);
    list_init(&c->paced_link);
    list_init(&c->peer_link);
    loop_timer_init(&c->timer, w->loop, bk_client_on_timer);
    byte_budget_join(&w->budget, &c->budget);
    list_add_tail(&w->clients, &c->link);
    const struct mqtt_io_params params = {
        .cbs = &bk_client_io_cbs,
        .arg = c,
        .version = arrival->version,
        .is_server = true,
        .max_packet_bytes = c->is_inner ? 0 : (uint32_t)w->options->max_packet_bytes,
        .input_limit = BK_INPUT_LIMIT,
    };
    if (mqtt_io_open(w->loop, &arrival->parcel, &params, &c->io) < 0 || bk_client_pace(c) < 0) {
        log_error(&c->log, "new connection: %s", err_text());
        bk_client_free(c);
        return;
    }
    c->conn = mqtt_io_conn(c->io);
    conn_set_low_mark(c->conn, BK_LOW_MARK);
    loop_timer_start(&c->timer, connect_ms);
    log_debug(&c->log, "accepted");
    if (arrival->connect)
        bk_client_go_on(c, arrival);
    else if (w->is_draining)
        bk_client_drain(c);
}
