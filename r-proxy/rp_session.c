/* A session of r-proxy (rp_session.h). */
#define LOG_MODULE LOG_R_PROXY
#include "rp_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn_facts.h"
#include "conn_tls.h"
#include "err.h"
#include "mqtt_encode.h"
#include "random.h"
#include "rp_client.h"
#include "rp_downlink.h"
#include "rp_tenant.h"
#include "rp_uplink.h"
#include "rp_worker.h"
#include "str.h"

enum { RP_SESSION_LANES_MAX = 3 };

static void rp_session_describe(const struct log_object *self, struct log_writer *w)
{
    char id[9];
    log_field(w, "sid", "%s", str_hex(id, container_of(self, struct rp_session, log)->id, 4));
}

static void rp_session_free(struct rp_session *s)
{
    struct rp_worker *w = s->worker;
    rp_place_cancel(&s->place);
    s->lane = lane_free(s->lane);
    if (s->trunk)
        rp_trunk_leave(s->trunk);
    gate_continue(s->connect_wait);
    free(s->connect);
    mqtt_exchanges_deinit(&s->exchanges);
    mqtt_dropped_clear(&s->dropped);
    tenant_close(s->tenant);
    list_del(&s->link);
    free(s);
    metric_add(&w->metrics.sessions_open, -1);
    rp_worker_check_idle(w);
}

/* --- The lane */

/* CONNECT is not said again. The packets behind it pass, if the client is still there. */
static void rp_session_let_pass(struct rp_session *s)
{
    struct gate_wait *wait = s->connect_wait;
    free(s->connect);
    s->connect = NULL;
    s->connect_wait = NULL;
    gate_continue(wait);
}

void rp_session_answered(struct rp_session *s)
{
    if (!s->connect)
        return;
    free(s->connect);
    s->connect = NULL;
    if (s->client)
        rp_client_account(s->client);
    rp_session_let_pass(s);
}

static void rp_session_on_open(struct lane *l, void *arg)
{
    struct rp_session *s = arg;
    if (!lane_peer(l)->is_extended)
        log_debug(&s->log, "the s-proxy is not one of ours: packets of up to %u bytes", lane_peer(l)->max_frame_bytes);
}

static void rp_session_on_progress(struct lane *l, void *arg)
{
    struct rp_session *s = arg;
    if (s->client)
        rp_client_account(s->client);
}

static void rp_session_end(struct rp_session *s, enum lane_end why, const char *text)
{
    struct rp_client *c = s->client;
    s->client = NULL;
    if (c) {
        c->session = NULL;
        rp_client_session_ended(c, why, text);
    }
    rp_session_free(s);
}

/* --- Its place */

static const struct lane_cbs rp_session_lane_cbs; /* below: what ends a lane may open the next */

static struct mqtt_bytes rp_session_text(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, text ? (uint32_t)strlen(text) : 0};
}

static void rp_session_tell_own_tls(struct trunk_client *client, const struct conn_tls_facts *tls)
{
    client->is_tls = true;
    client->tls_version = rp_session_text(tls->version);
    client->tls_cipher = rp_session_text(tls->cipher);
    client->has_certificate = tls->subject != NULL;
    client->common_name = rp_session_text(tls->common_name);
}

static void rp_session_tell_proxied_tls(struct trunk_client *client, const struct conn_facts *facts)
{
    client->is_tls = facts->is_tls;
    client->tls_version = rp_session_text(facts->tls_version);
    client->tls_cipher = rp_session_text(facts->tls_cipher);
    client->server_name = rp_session_text(facts->tls_server_name);
    client->has_certificate = facts->has_certificate;
    client->common_name = rp_session_text(facts->common_name);
}

/* What s-proxy learns of the client. TLS that ends here is known better than what a proxy says of its own. */
static struct trunk_client rp_session_client(const struct conn *c)
{
    const struct conn_peer *peer = conn_peer(c);
    const struct conn_tls_facts *tls = conn_tls_facts(c);
    const bool has_address = peer->address.any.sa_family == AF_INET || peer->address.any.sa_family == AF_INET6;
    struct trunk_client client = {.source = rp_session_text(has_address ? peer->text : NULL)};
    if (tls)
        rp_session_tell_own_tls(&client, tls);
    else if (peer->facts)
        rp_session_tell_proxied_tls(&client, peer->facts);
    return client;
}

/* CONNECT goes into a lane on T, or wherever there is room (T NULL). 0, RP_PLACE_LATER or negative errno. */
static int rp_session_open_lane(struct rp_session *s, struct rp_trunk *t)
{
    const struct trunk_client client = rp_session_client(mqtt_io_conn(s->client->io));
    const struct rp_trunk_lane_params params = {.session_id = s->id, .client = &client, .connect = s->connect};
    for (;;) {
        int r = t ? 0 : rp_place_find(&s->place, &t);
        if (r != 0)
            return r;
        r = rp_trunk_open_lane(t, &params, &rp_session_lane_cbs, s, &s->lane);
        if (r == 0)
            s->trunk = t;
        if (r != -ENOSPC)
            return r;
        t = NULL;
    }
}

/* The lane has come late: what has been said to the session meanwhile is said to it now. */
static void rp_session_placed(struct rp_session *s)
{
    lane_pause(s->lane, s->client->budget.is_paused);
    rp_client_account(s->client);
}

static void rp_session_on_place(struct rp_place *place, struct rp_trunk *t, const char *text)
{
    struct rp_session *s = container_of(place, struct rp_session, place);
    int r = t ? rp_session_open_lane(s, t) : -EHOSTUNREACH;
    if (r == 0)
        rp_session_placed(s);
    else if (r < 0)
        rp_session_end(s, LANE_END_UNAVAILABLE, t ? err_text() : text);
}

/* --- Another place */

/* Nothing has been said but CONNECT, and nothing heard: not even the AUTH of an exchange that cannot be moved. CONNECT
 * may have reached the broker; to the broker it then looks as if the client had tried again because no answer came. */
static bool rp_session_may_go_elsewhere(const struct rp_session *s, enum lane_end why)
{
    if (!s->connect || !s->client || s->n_lanes_lost >= RP_SESSION_LANES_MAX - 1)
        return false;
    /* An s-proxy that is full is not asked again at once. */
    return why == LANE_END_UNAVAILABLE || (why == LANE_END_LIMIT && rp_place_has_other(&s->place, s->trunk));
}

/* 0, RP_PLACE_LATER or negative errno. */
static int rp_session_go_elsewhere(struct rp_session *s)
{
    s->place.avoid = s->trunk;
    s->n_lanes_lost++;
    rp_trunk_leave(s->trunk);
    s->trunk = NULL;
    s->lane = NULL;
    metric_add(&s->worker->metrics.sessions_placed_again, 1);
    int r = rp_session_open_lane(s, NULL);
    if (r == 0)
        rp_session_placed(s);
    return r;
}

static void rp_session_on_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    struct rp_session *s = arg;
    log_debug(&s->log, "lane ended (%s): %s", lane_end_name(why), text);
    if (!rp_session_may_go_elsewhere(s, why)) {
        rp_session_end(s, why, text);
        return;
    }
    if (rp_session_go_elsewhere(s) < 0)
        rp_session_end(s, why, text);
    lane_free(l); /* TEXT is the lane's */
}

static const struct lane_cbs rp_session_lane_cbs = {
    .on_open = rp_session_on_open,
    .on_packet = rp_downlink_on_packet,
    .on_progress = rp_session_on_progress,
    .on_writable = rp_uplink_on_writable,
    .on_end = rp_session_on_end,
};

/* --- Beginning and end */

/* What is to be said, wherever its place will be. */
static int rp_session_keep_connect(struct rp_session *s, const struct mqtt_packet *connect, struct mqtt_fault *fault)
{
    struct mqtt_packet said = *connect;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    int r = rp_tenant_open(s, &said, &scratch, fault);
    if (r == 0) {
        mqtt_client_rules_init(&s->rules, &said);
        s->connect = mqtt_packet_store(&said);
    }
    tenant_scratch_deinit(&scratch);
    return r == 0 && !s->connect ? err_set(-ENOMEM, "session: out of memory") : r;
}

static int rp_session_start(struct rp_session *s, const struct mqtt_packet *connect, struct mqtt_fault *fault)
{
    int r = random_bytes(s->id, sizeof s->id);
    if (r == 0)
        r = rp_session_keep_connect(s, connect, fault);
    if (r != 0)
        return r;
    s->connect_wait = mqtt_io_hold(s->client->io);
    if (!s->connect_wait)
        return err_set(-ENOMEM, "session: out of memory");
    r = rp_session_open_lane(s, NULL);
    return r < 0 ? r : 0;
}

int rp_session_open(struct rp_client *c, const struct mqtt_packet *connect, struct rp_session **ret_session,
                    struct mqtt_fault *ret_fault)
{
    struct rp_session *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(-ENOMEM, "session: out of memory");
    s->worker = c->worker;
    s->client = c;
    s->log = (struct log_object){.describe = rp_session_describe, .parent = &c->log};
    rp_place_init(&s->place, c->worker->trunks, rp_session_on_place);
    mqtt_exchanges_init(&s->exchanges);
    mqtt_dropped_init(&s->dropped);
    list_add_tail(&c->worker->sessions, &s->link);
    metric_add(&c->worker->metrics.sessions_open, 1);
    int r = rp_session_start(s, connect, ret_fault);
    if (r != 0) {
        rp_session_free(s);
        return r;
    }
    *ret_session = s;
    return 0;
}

void rp_session_leave(struct rp_session *s)
{
    s->client = NULL;
    s->log.parent = NULL;
    if (!s->lane) {
        rp_session_free(s);
        return;
    }
    rp_downlink_settle(s);
    lane_finish(s->lane, LANE_END_OK, "the client is gone");
    rp_session_let_pass(s);
}

void rp_session_kill(struct rp_session *s)
{
    rp_session_free(s);
}

size_t rp_session_buffered_bytes(const struct rp_session *s)
{
    return (s->lane ? lane_buffered_bytes(s->lane) : 0) + (s->connect ? mqtt_encode_size(s->connect) : 0);
}

void rp_session_pause(struct rp_session *s, bool is_paused)
{
    if (s->lane)
        lane_pause(s->lane, is_paused);
}
