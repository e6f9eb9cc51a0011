/* A session of r-proxy (rp_session.h). */
#define LOG_MODULE LOG_R_PROXY
#include "rp_session.h"

#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "random.h"
#include "relay.h"
#include "rp_client.h"
#include "rp_downlink.h"
#include "rp_uplink.h"
#include "rp_worker.h"
#include "str.h"

static void rp_session_describe(const struct log_object *self, struct log_writer *w)
{
    log_field(w, "sid", "%.8s", container_of(self, struct rp_session, log)->id);
}

static void rp_session_free(struct rp_session *s)
{
    struct rp_worker *w = s->worker;
    s->lane = lane_free(s->lane);
    gate_continue(s->connect_wait);
    mqtt_exchanges_deinit(&s->exchanges);
    list_del(&s->link);
    free(s);
    metric_add(&w->metrics.sessions_open, -1);
    rp_worker_check_idle(w);
}

static void rp_session_on_open(struct lane *l, void *arg)
{
    struct rp_session *s = arg;
    if (!lane_peer(l)->is_extended)
        log_debug(&s->log, "the s-proxy is not one of ours: packets of up to %u bytes", lane_peer(l)->max_frame_bytes);
    struct gate_wait *wait = s->connect_wait;
    s->connect_wait = NULL;
    gate_continue(wait); /* the session may be gone from here on */
}

static void rp_session_on_progress(struct lane *l, void *arg)
{
    struct rp_session *s = arg;
    if (s->client)
        rp_client_account(s->client);
}

static void rp_session_on_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    struct rp_session *s = arg;
    struct rp_client *c = s->client;
    s->client = NULL;
    log_debug(&s->log, "lane ended (%s): %s", lane_end_name(why), text);
    if (c) {
        c->session = NULL;
        rp_client_session_ended(c, why, text);
    }
    rp_session_free(s);
}

static const struct lane_cbs rp_session_lane_cbs = {
    .on_open = rp_session_on_open,
    .on_packet = rp_downlink_on_packet,
    .on_progress = rp_session_on_progress,
    .on_writable = rp_uplink_on_writable,
    .on_end = rp_session_on_end,
};

static int rp_session_open_lane(struct rp_session *s, const struct mqtt_packet *connect)
{
    uint8_t id[RP_SESSION_ID_BYTES];
    int r = random_bytes(id, sizeof id);
    if (r < 0)
        return r;
    str_hex(s->id, id, sizeof id);
    struct relay_open_params params = {
        .channel = s->worker->channel,
        .mailbox = s->worker->mailbox,
        .session_id = s->id,
        .connect = connect,
    };
    r = relay_open(&params, &rp_session_lane_cbs, s, &s->lane);
    if (r < 0)
        return r;
    s->connect_wait = mqtt_io_hold(s->client->io);
    return s->connect_wait ? 0 : err_set(-ENOMEM, "session: out of memory");
}

int rp_session_open(struct rp_client *c, const struct mqtt_packet *connect, struct rp_session **ret_session)
{
    struct rp_session *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(-ENOMEM, "session: out of memory");
    s->worker = c->worker;
    s->client = c;
    s->log = (struct log_object){.describe = rp_session_describe, .parent = &c->log};
    mqtt_exchanges_init(&s->exchanges);
    mqtt_client_rules_init(&s->rules, connect);
    list_add_tail(&c->worker->sessions, &s->link);
    metric_add(&c->worker->metrics.sessions_open, 1);
    int r = rp_session_open_lane(s, connect);
    if (r < 0) {
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
    rp_downlink_settle(s);
    lane_finish(s->lane, LANE_END_OK, "the client is gone");
    struct gate_wait *wait = s->connect_wait;
    s->connect_wait = NULL;
    gate_continue(wait);
}

void rp_session_kill(struct rp_session *s)
{
    rp_session_free(s);
}
