/* Frames -> broker (sp_uplink.h).
 *
 *   lane --sp_uplink_on_packet()--> exchanges --upstream_send()--> mqtt_encode --> socket
 *     ^--------- lane_consumed() -------- sp_uplink_settle() <-- queue below its mark -'
 */
#define LOG_MODULE LOG_S_PROXY
#include "sp_uplink.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "sp_identity.h"
#include "sp_session.h"
#include "sp_worker.h"
#include "tenant.h"
#include "trunk_frame.h"

enum {
    /* Below this the socket is considered to take what it gets, and credit returns at once. */
    SP_UPLINK_QUEUE_MARK = 64 * 1024,
};

void sp_uplink_settle(struct sp_session *s)
{
    if (s->owed_bytes == 0)
        return;
    if (s->upstream && upstream_io(s->upstream) &&
        conn_queued_bytes(mqtt_io_conn(upstream_io(s->upstream))) > SP_UPLINK_QUEUE_MARK)
        return;
    size_t bytes = s->owed_bytes;
    s->owed_bytes = 0;
    lane_consumed(s->lane, bytes);
}

static int sp_uplink_open_tenant(struct sp_session *s, struct mqtt_packet *connect, struct tenant_scratch *scratch,
                                 struct mqtt_fault *fault)
{
    struct trunk_client client;
    struct tenant_params params = {
        .rules = sp_identity_rules(s->identity), .metrics = &s->worker->tenant_metrics, .log = &s->log};
    if (sp_session_client(s, &client) && client.has_certificate)
        params.certificate = client.common_name;
    return tenant_open(&params, connect, scratch, &s->tenant, fault);
}

/* What is to be said, to whichever broker. 0, or the session has ended. */
static int sp_uplink_keep_connect(struct sp_session *s, const struct mqtt_packet *packet)
{
    struct mqtt_packet said = *packet;
    struct mqtt_fault fault;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    int r = sp_uplink_open_tenant(s, &said, &scratch, &fault);
    if (r == 0) {
        s->connect = mqtt_packet_store(&said);
        s->connect_wait = s->connect ? lane_hold(s->lane) : NULL;
    }
    tenant_scratch_deinit(&scratch);
    if (r == TENANT_REFUSED)
        sp_session_end(s, LANE_END_DENIED, fault.reason, fault.text, 0);
    else if (!s->connect_wait)
        sp_session_end(s, LANE_END_LIMIT, MQTT_REASON_SERVER_BUSY, "out of memory", 0);
    return s->connect_wait ? 0 : -ECANCELED;
}

/* CONNECT stays with the session until a broker has answered it; everything behind it waits. */
static enum gate_answer sp_uplink_connect(struct sp_session *s, const struct mqtt_packet *packet)
{
    s->version = packet->version;
    if (sp_uplink_keep_connect(s, packet) < 0)
        return GATE_PASS;
    s->client_packet_max = mqtt_property_number(&packet->properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, UINT32_MAX);
    s->id_len = (uint8_t)(packet->connect.client_id.len < sizeof s->id ? packet->connect.client_id.len : sizeof s->id);
    if (s->id_len > 0)
        memcpy(s->id, packet->connect.client_id.ptr, s->id_len);
    sp_session_open_upstream(s);
    return GATE_HOLD;
}

enum { SP_UPLINK_REFUSED = 2 };

/* As upstream_send(), for a session with a tenant; or SP_UPLINK_REFUSED with *RET_FAULT. */
static int sp_uplink_send_mounted(struct sp_session *s, const struct mqtt_packet *packet, struct mqtt_fault *ret_fault)
{
    struct mqtt_packet mounted = *packet;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    int r = tenant_mount(s->tenant, &mounted, &scratch, ret_fault);
    if (r == 0)
        r = upstream_send(s->upstream, &mounted, NULL);
    else if (r == TENANT_REFUSED)
        r = SP_UPLINK_REFUSED;
    tenant_scratch_deinit(&scratch);
    return r;
}

/* The client acknowledges nothing that it never got: the second half of a QoS 2 delivery that was dropped here is ours.
 */
static enum gate_answer sp_uplink_forward(struct sp_session *s, const struct mqtt_packet *packet)
{
    if (s->has_said_goodbye)
        return GATE_PASS;
    if (s->worker->is_draining && mqtt_exchange_begins(packet)) {
        metric_add(&s->worker->metrics.publishes_left_to_sender, 1);
        log_debug(&s->log, "draining: PUBLISH %u is left to the client, unacknowledged", packet->packet_id);
        return GATE_PASS;
    }
    int r = mqtt_exchanges_pass_up(&s->exchanges, packet);
    struct mqtt_fault fault = {.text = NULL};
    if (r == 0)
        r = s->tenant ? sp_uplink_send_mounted(s, packet, &fault) : upstream_send(s->upstream, packet, NULL);
    if (r == SP_UPLINK_REFUSED) {
        sp_session_end(s, LANE_END_PROTOCOL, fault.reason, fault.text, 0);
        return GATE_PASS;
    }
    if (r < 0) {
        sp_session_end(s, LANE_END_LIMIT, MQTT_REASON_SERVER_BUSY, err_text(), 0);
        return GATE_PASS;
    }
    metric_add(&s->worker->metrics.packets_up, 1);
    if (packet->type == MQTT_DISCONNECT)
        sp_session_goodbye(s);
    else
        sp_session_check_drained(s);
    return GATE_PASS;
}

enum gate_answer sp_uplink_on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg)
{
    struct sp_session *s = arg;
    struct mqtt_fault fault;
    s->owed_bytes += lane_packet_charge(l);
    enum gate_answer answer = GATE_PASS; /* an ending session takes and drops what still comes */
    bool is_heard = s->state != SP_SESSION_ENDING && !s->has_said_goodbye && !s->was_told;
    if (is_heard && mqtt_server_rules_check(&s->client_rules, packet, &fault) != 0)
        sp_session_end(s, LANE_END_PROTOCOL, fault.reason, fault.text, 0);
    switch ((enum sp_session_state)s->state) {
    case SP_SESSION_NEW:
        answer = sp_uplink_connect(s, packet);
        break;
    case SP_SESSION_ASKING:
    case SP_SESSION_LIVE:
        answer = sp_uplink_forward(s, packet);
        break;
    case SP_SESSION_DIALLING:
    case SP_SESSION_ENDING:
        break;
    }
    sp_uplink_settle(s);
    sp_session_account(s);
    return answer;
}
