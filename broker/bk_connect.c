/* CONNECT and CONNACK (bk_connect.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_connect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bk_access.h"
#include "bk_alias.h"
#include "bk_audit.h"
#include "bk_bridge.h"
#include "bk_broker.h"
#include "bk_client.h"
#include "bk_deliver.h"
#include "bk_hooks.h"
#include "bk_journal.h"
#include "bk_login.h"
#include "bk_options.h"
#include "bk_publish.h"
#include "bk_quota.h"
#include "bk_session.h"
#include "bk_will.h"
#include "bk_worker.h"
#include "err.h"
#include "front_client.h"
#include "front_identity.h"
#include "mqtt_link.h"
#include "mqtt_property.h"
#include "random.h"
#include "tenant.h"

enum {
    BK_ASSIGNED_ID_BYTES = 23,     /* "auto-" and 18 hex digits: what every client must be able to take */
    BK_CONNACK_PROPERTIES = 1024,  /* the longest is the answer of SCRAM: 50 */
    BK_CONNACK_TIMEOUT_MS = 60000, /* the longest that a client waits for what is not its own turn */
    BK_RECEIVE_MAX_3 = 1000,       /* clients of 3.x cannot say how much they can take at a time */
};

struct bk_connack {
    struct mqtt_packet packet;
    uint16_t keep_alive_s;
    bool is_resumed;
    uint8_t properties[BK_CONNACK_PROPERTIES];
};

/* What has been found out about a CONNECT that is accepted. */
struct bk_agreement {
    const struct mqtt_packet *connect;
    struct mqtt_bytes client_id;
    char assigned_id[BK_ASSIGNED_ID_BYTES + 1]; /* empty: the client's own */
    uint32_t expiry_s;
    uint16_t keep_alive_s;
    bool is_session_present;
};

/* --- The client id */

/* One that belongs to this worker. */
static void bk_assign_id(const struct bk_worker *w, struct bk_agreement *a)
{
    uint8_t bytes[9];
    do {
        random_bytes(bytes, sizeof bytes);
        char *at = a->assigned_id + sprintf(a->assigned_id, "auto-");
        for (size_t i = 0; i < sizeof bytes; i++)
            at += sprintf(at, "%02x", bytes[i]);
        a->client_id = (struct mqtt_bytes){(const uint8_t *)a->assigned_id, BK_ASSIGNED_ID_BYTES};
    } while (bk_worker_of(w, a->client_id) != w->index_of);
}

/* False: there is none and none can be given (MQTT 3.1.1: MQTT-3.1.3-8; 3.1 has no empty ones). */
static bool bk_find_id(const struct bk_worker *w, struct bk_agreement *a)
{
    const struct mqtt_connect *f = &a->connect->connect;
    a->client_id = f->client_id;
    if (a->client_id.len > 0)
        return true;
    if (a->connect->version == MQTT_V31 || (a->connect->version == MQTT_V311 && !f->clean_start))
        return false;
    bk_assign_id(w, a);
    return true;
}

/* --- The session */

static uint32_t bk_agreed_expiry(const struct bk_client *c, const struct mqtt_packet *connect)
{
    uint32_t wanted_s;
    if (connect->version == MQTT_V5)
        wanted_s = mqtt_property_number(&connect->properties, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, 0);
    else
        wanted_s = connect->connect.clean_start ? 0 : BK_EXPIRY_NEVER;
    return c->is_inner ? wanted_s : bk_session_agreed_expiry(c->worker, wanted_s);
}

/* Whoever is connected with this id hears that it is taken over (MQTT-3.1.4-3). The session may be gone afterwards. */
static struct bk_session *bk_take_over(struct bk_worker *w, struct mqtt_bytes id)
{
    struct bk_session *s = bk_session_find(w, id);
    if (!s || !s->client)
        return s;
    metric_add(&w->metrics.clients_taken_over, 1);
    bk_client_close(s->client, bk_client_is_live(s->client) ? MQTT_REASON_SESSION_TAKEN_OVER : MQTT_REASON_SUCCESS,
                    "another client has connected with its client id");
    return bk_session_find(w, id);
}

/* NULL: out of memory. */
static struct bk_session *bk_find_session(struct bk_client *c, struct bk_agreement *a)
{
    struct bk_worker *w = c->worker;
    struct bk_session *s = bk_take_over(w, a->client_id);
    if (s && a->connect->connect.clean_start) {
        bk_session_end(s);
        s = NULL;
    }
    if (s && bk_session_end_if_over(s))
        s = NULL;
    a->is_session_present = s != NULL;
    if (!s)
        s = bk_session_new(w, a->client_id);
    return s;
}

/* --- CONNACK */

static uint16_t bk_agreed_keep_alive(const struct bk_client *c, uint16_t wanted_s)
{
    const uint16_t max_s = front_max_keep_alive_s(&c->worker->options->front);
    return max_s > 0 && (wanted_s == 0 || wanted_s > max_s) ? max_s : wanted_s;
}

static uint8_t *bk_connack_limits(const struct bk_client *c, uint8_t *p)
{
    const struct bk_options *o = c->worker->options;
    if (o->topic_alias_maximum > 0)
        p = mqtt_property_put_u16(p, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, (uint16_t)o->topic_alias_maximum);
    if (o->receive_maximum < UINT16_MAX)
        p = mqtt_property_put_u16(p, MQTT_PROPERTY_RECEIVE_MAXIMUM, (uint16_t)o->receive_maximum);
    if (o->max_packet_bytes > 0)
        p = mqtt_property_put_u32(p, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, (uint32_t)o->max_packet_bytes);
    return p;
}

/* A bridge has said whose it is. */
static uint8_t *bk_connack_broker_id(const struct bk_client *c, uint8_t *p)
{
    const struct mqtt_bytes key = {(const uint8_t *)MQTT_LINK_BROKER_ID, sizeof MQTT_LINK_BROKER_ID - 1};
    const struct mqtt_bytes id = {(const uint8_t *)broker_id(c->worker->broker), BROKER_ID_LEN};
    return mqtt_property_put_pair(p, MQTT_PROPERTY_USER_PROPERTY, key, id);
}

static void bk_compose_connack(const struct bk_client *c, const struct bk_agreement *a, struct bk_connack *ret)
{
    const struct mqtt_packet *connect = a->connect;
    ret->keep_alive_s = a->keep_alive_s;
    ret->is_resumed = a->is_session_present;
    ret->packet = (struct mqtt_packet){
        .type = MQTT_CONNACK, .version = c->version, .connack = {.session_present = a->is_session_present}};
    if (c->version == MQTT_V31)
        ret->packet.connack.session_present = false; /* 3.1 has no such flag */
    if (c->version != MQTT_V5)
        return;
    uint8_t *p = bk_connack_limits(c, ret->properties);
    if (a->expiry_s != mqtt_property_number(&connect->properties, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, 0))
        p = mqtt_property_put_u32(p, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, a->expiry_s);
    if (a->keep_alive_s != connect->connect.keep_alive_s)
        p = mqtt_property_put_u16(p, MQTT_PROPERTY_SERVER_KEEP_ALIVE, a->keep_alive_s);
    if (a->assigned_id[0])
        p = mqtt_property_put_bytes(p, MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER, a->client_id);
    if (c->broker != 0)
        p = bk_connack_broker_id(c, p);
    struct mqtt_bytes method, data;
    bk_login_answer(c->login, &method, &data);
    if (method.len > 0) {
        p = mqtt_property_put_bytes(p, MQTT_PROPERTY_AUTHENTICATION_METHOD, method);
        p = mqtt_property_put_bytes(p, MQTT_PROPERTY_AUTHENTICATION_DATA, data);
    }
    ret->packet.properties.wire = (struct mqtt_bytes){ret->properties, (uint32_t)(p - ret->properties)};
}

static void bk_learn_from_connect(struct bk_client *c, const struct mqtt_packet *connect)
{
    const struct mqtt_properties *list = &connect->properties;
    const bool is_v5 = connect->version == MQTT_V5;
    c->broker = bk_bridge_hash_of(mqtt_link_broker_id_of(list));
    c->is_bridge = connect->connect.protocol_level & MQTT_BRIDGE_BIT;
    c->has_reasons = is_v5 && mqtt_property_number(list, MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION, 1) == 1;
    c->receive_max =
        is_v5 ? (uint16_t)mqtt_property_number(list, MQTT_PROPERTY_RECEIVE_MAXIMUM, UINT16_MAX) : BK_RECEIVE_MAX_3;
    c->aliases_out = bk_aliases_out_new((uint16_t)mqtt_property_number(list, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 0));
    mqtt_io_set_send_limit(c->io, c->send_limit);
}

enum gate_answer bk_connect_refuse(struct bk_client *c, const struct mqtt_packet *connect, uint8_t reason,
                                   const char *text)
{
    metric_add(&c->worker->metrics.connects_refused, 1);
    bk_client_refuse(c, connect, reason, text);
    return GATE_CLOSED;
}

/* --- CONNACK leaves */

/* As a tenant sees it. CONNACK stays as it is, for the rules; it also does where memory is short. */
static void bk_connack_send(struct bk_client *c, const struct mqtt_packet *connack)
{
    struct mqtt_packet said = *connack;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    if (c->tenant && tenant_unmount(c->tenant, &said, &scratch, NULL, NULL) < 0)
        log_error(&c->log, "CONNACK: %s", err_text());
    bk_client_send(c, &said);
    tenant_scratch_deinit(&scratch);
}

static void bk_connect_finish(struct bk_client *c, struct bk_connack *connack)
{
    struct gate_wait *wait = c->connect_wait;
    c->connect_wait = NULL;
    bk_connack_send(c, &connack->packet);
    bk_client_go_live(c, connack->keep_alive_s);
    mqtt_server_rules_sent(&c->rules, &connack->packet);
    bk_login_settle(c);
    bk_audit_connected(c, connack->is_resumed);
    if (connack->is_resumed)
        bk_deliver_resume(c->session);
    gate_continue(wait);
}

static enum gate_answer bk_connect_hold(struct bk_client *c, const struct mqtt_packet *connect)
{
    if (!c->connect_wait)
        c->connect_wait = bk_hooks_hold(c);
    return c->connect_wait ? GATE_HOLD : bk_connect_refuse(c, connect, MQTT_REASON_SERVER_UNAVAILABLE, "out of memory");
}

static enum gate_answer bk_connect_wait(struct bk_client *c, const struct mqtt_packet *connect,
                                        const struct bk_connack *connack)
{
    const struct bk_waiter waiter = {.client = c, .type = MQTT_CONNACK};
    c->connack = malloc(sizeof *connack);
    if (!c->connack)
        return bk_connect_refuse(c, connect, MQTT_REASON_SERVER_UNAVAILABLE, "out of memory");
    *c->connack = *connack;
    c->connack->packet.properties.wire.ptr = c->connack->properties;
    const enum gate_answer answer = bk_connect_hold(c, connect);
    if (answer == GATE_HOLD)
        bk_journal_wait(c->worker, &waiter);
    return answer;
}

void bk_connect_committed(struct bk_client *c)
{
    struct bk_connack *connack = c->connack;
    c->connack = NULL;
    bk_connect_finish(c, connack);
    free(connack);
}

/* --- Who is allowed in gets a session */

static bool bk_connect_will_is_allowed(const struct bk_grant *grant, const struct mqtt_packet *connect)
{
    return !connect->connect.has_will || acl_may_publish(&grant->view, connect->connect.will.topic);
}

/* C counts for its user from now on, in place of the connection that it takes over. False: that would be one too many.
 */
static bool bk_connect_count(struct bk_client *c, const struct bk_agreement *a)
{
    const struct bk_session *s = bk_session_find(c->worker, a->client_id);
    struct bk_account *account = bk_account_get(broker_quotas(c->worker->broker), bk_login_user(c, a->connect));
    if (s && s->client && s->client->account == account) {
        bk_account_charge(account, BK_QUOTA_CONNECTIONS, 1);
    } else if (!bk_account_take(account, BK_QUOTA_CONNECTIONS, 1)) {
        bk_account_unref(account);
        return false;
    }
    c->account = account;
    return true;
}

/* GRANT is taken over; NULL: everything is allowed. */
static enum gate_answer bk_connect_join(struct bk_client *c, struct bk_agreement *a, struct bk_grant *grant)
{
    struct bk_connack connack;
    struct bk_session *s = bk_find_session(c, a);
    if (!s) {
        bk_grant_free(grant);
        return bk_connect_refuse(c, a->connect, MQTT_REASON_SERVER_UNAVAILABLE, "out of memory");
    }
    c->session = s;
    bk_session_join(s, c);
    s->expiry_s = a->expiry_s;
    s->broker = c->is_inner ? s->broker : c->broker;
    if (grant)
        bk_session_set_grant(s, grant);
    if (bk_will_set(s, a->connect) < 0)
        return bk_connect_refuse(c, a->connect, MQTT_REASON_SERVER_UNAVAILABLE, "out of memory");
    bk_journal_session(s);
    bk_compose_connack(c, a, &connack);
    if (bk_journal_changes(c->worker) != c->journal_mark)
        return bk_connect_wait(c, a->connect, &connack);
    bk_connect_finish(c, &connack);
    return GATE_PASS;
}

/* Nothing of another client or of a session is touched before all is known to be allowed. */
static enum gate_answer bk_connect_accept(struct bk_client *c, const struct mqtt_packet *connect)
{
    struct bk_agreement a = {.connect = connect};
    if (!bk_find_id(c->worker, &a))
        return bk_connect_refuse(c, connect, MQTT_REASON_CLIENT_ID_NOT_VALID, "MQTT-3.1.3-8: an empty client id");
    a.expiry_s = bk_agreed_expiry(c, connect);
    a.keep_alive_s = c->is_inner ? 0 : bk_agreed_keep_alive(c, connect->connect.keep_alive_s);
    if (c->is_inner)
        return bk_connect_join(c, &a, NULL);
    if (!bk_connect_count(c, &a))
        return bk_connect_refuse(c, connect, MQTT_REASON_QUOTA_EXCEEDED,
                                 "its user has as many clients as it may (max-user-connections)");
    struct bk_grant *grant = bk_grant_new(broker_access(c->worker->broker), bk_login_user(c, connect), a.client_id,
                                          bk_login_claims(c->login), c->account);
    if (!grant)
        return bk_connect_refuse(c, connect, MQTT_REASON_SERVER_UNAVAILABLE, "out of memory");
    if (bk_connect_will_is_allowed(grant, connect))
        return bk_connect_join(c, &a, grant);
    bk_grant_free(grant);
    return bk_connect_refuse(c, connect, MQTT_REASON_NOT_AUTHORIZED, "it may not publish to the topic of its Will");
}

enum gate_answer bk_connect_allowed(struct bk_client *c)
{
    c->journal_mark = bk_journal_changes(c->worker);
    c->is_auth_due = false;
    loop_timer_start(&c->timer, BK_CONNACK_TIMEOUT_MS);
    return bk_connect_accept(c, bk_login_connect(c->login));
}

enum gate_answer bk_connect_go_on(struct bk_client *c, const struct mqtt_packet *connect)
{
    const struct mqtt_bytes id = connect->connect.client_id;
    const unsigned owner = id.len > 0 ? bk_worker_of(c->worker, id) : c->worker->index_of;
    c->version = connect->version;
    if (c->worker->is_draining)
        return bk_connect_refuse(c, connect, MQTT_REASON_SERVER_UNAVAILABLE, "the broker is shutting down");
    if (bk_bridge_owns_id(id) && !c->is_inner)
        return bk_connect_refuse(c, connect, MQTT_REASON_CLIENT_ID_NOT_VALID, "its client id is reserved for bridges");
    if (owner != c->worker->index_of)
        return bk_client_move(c, connect, owner)
                   ? GATE_HOLD
                   : bk_connect_refuse(c, connect, MQTT_REASON_SERVER_UNAVAILABLE, "out of memory");
    bk_client_enter(c, BK_CLIENT_CONNECTING);
    loop_timer_start(&c->timer, BK_CONNACK_TIMEOUT_MS);
    bk_learn_from_connect(c, connect);
    if (bk_hooks_concern(c, BK_HOOK_CONNECT))
        return bk_hooks_ask(c, BK_HOOK_CONNECT, connect);
    return bk_connect_login(c, connect);
}

enum gate_answer bk_connect_known(struct bk_client *c, const struct mqtt_packet *connect, const char *user)
{
    if (mqtt_property_has(&connect->properties, MQTT_PROPERTY_AUTHENTICATION_METHOD))
        return bk_connect_login(c, connect); /* it gets no CONNACK without an exchange */
    if (user && bk_login_set_user(c, user) < 0)
        return bk_connect_refuse(c, connect, MQTT_REASON_SERVER_UNAVAILABLE, "out of memory");
    return bk_connect_accept(c, connect);
}

enum gate_answer bk_connect_login(struct bk_client *c, const struct mqtt_packet *connect)
{
    struct bk_login_fault fault;
    switch (bk_login_begin(c, connect, &fault)) {
    case BK_LOGIN_ALLOWED:
        return bk_connect_accept(c, connect);
    case BK_LOGIN_REFUSED:
        return bk_connect_refuse(c, connect, fault.reason, fault.text);
    case BK_LOGIN_WAITS_HELD:
        return bk_connect_hold(c, connect);
    case BK_LOGIN_WAITS_AUTH:
        c->is_auth_due = true;
        loop_timer_start(&c->timer, c->worker->options->front.connect_timeout_ms);
        break;
    }
    return GATE_PASS;
}

/* What stands before the broker has its say about CONNECT, which gets the user that TLS has proved. 0, or 1 with
 * *RET_FAULT. */
static int bk_connect_check(struct bk_client *c, struct mqtt_packet *connect, struct mqtt_fault *ret_fault)
{
    const struct front_refusal *refusal = c->ticket.refusal;
    struct bk_worker *w = c->worker;
    if (refusal)
        return mqtt_fault_set(ret_fault, refusal->reason, refusal->text);
    if (front_keep_alive_is_too_long(&w->options->front, connect)) {
        metric_add(&w->front_metrics.keep_alives_over_limit, 1);
        return mqtt_fault_set(ret_fault, MQTT_REASON_NOT_AUTHORIZED, FRONT_KEEP_ALIVE_TEXT);
    }
    if (connect->connect.has_will && bk_publish_has_too_many_levels(c, connect->connect.will.topic)) {
        metric_add(&w->front_metrics.topics_over_limit, 1);
        return mqtt_fault_set(ret_fault, MQTT_REASON_TOPIC_NAME_INVALID,
                              "its will topic has more levels than max-topic-levels");
    }
    const enum front_identity identity = front_identity_apply(c->conn, c->listener, &connect->connect);
    c->is_proved = identity == FRONT_IDENTITY_PROVED;
    return identity == FRONT_IDENTITY_MISSING
               ? mqtt_fault_set(ret_fault, MQTT_REASON_NOT_AUTHORIZED, FRONT_IDENTITY_MISSING_TEXT)
               : 0;
}

/* CONNECT of a client whose listener has a mount point or a prefix becomes what the rest of the broker sees. As
 * tenant_open(). */
static int bk_connect_mount(struct bk_client *c, struct mqtt_packet *connect, struct tenant_scratch *scratch,
                            struct mqtt_fault *ret_fault)
{
    const struct front_listener_options *o = c->listener;
    const char *name = front_identity_certificate_name(c->conn, o);
    const struct tenant_params params = {
        .rules = {.mount_point = o->mount_point, .client_id_prefix = o->client_id_prefix},
        .certificate = {(const uint8_t *)name, name ? (uint32_t)strlen(name) : 0},
        .metrics = &c->worker->tenant_metrics,
        .log = &c->log,
    };
    return tenant_open(&params, connect, scratch, &c->tenant, ret_fault);
}

enum gate_answer bk_connect_packet(struct bk_client *c, const struct mqtt_packet *said)
{
    struct mqtt_packet connect = *said;
    struct tenant_scratch scratch;
    struct mqtt_fault fault;
    enum gate_answer answer;
    c->send_limit = mqtt_property_number(&said->properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 0);
    mqtt_io_set_send_limit(c->io, c->send_limit);
    if (c->is_inner)
        return bk_connect_go_on(c, said);
    tenant_scratch_init(&scratch);
    int r = bk_connect_check(c, &connect, &fault);
    if (r == 0)
        r = bk_connect_mount(c, &connect, &scratch, &fault);
    if (r == 0)
        answer = bk_connect_go_on(c, &connect);
    else
        answer = bk_connect_refuse(c, said, r < 0 ? MQTT_REASON_SERVER_UNAVAILABLE : fault.reason,
                                   r < 0 ? err_text() : fault.text);
    tenant_scratch_deinit(&scratch);
    return answer;
}
