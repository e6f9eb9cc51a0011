/* Frames -> broker (sp_uplink.h).
 *
 *   lane --sp_uplink_on_packet()--> exchanges --upstream_send()--> mqtt_encode --> socket
 *     ^--------- lane_consumed() -------- sp_uplink_settle() <-- queue below its mark -'
 */
#define LOG_MODULE LOG_S_PROXY
#include "sp_uplink.h"

#include <string.h>

#include "err.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "sp_session.h"
#include "sp_worker.h"

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

/* CONNECT stays with the session until a broker has answered it; everything behind it waits. */
static enum gate_answer sp_uplink_connect(struct sp_session *s, const struct mqtt_packet *packet)
{
    s->version = packet->version;
    s->connect = mqtt_packet_store(packet);
    s->connect_wait = s->connect ? lane_hold(s->lane) : NULL;
    if (!s->connect_wait) {
        sp_session_end(s, LANE_END_LIMIT, MQTT_REASON_SERVER_BUSY, "out of memory", 0);
        return GATE_PASS;
    }
    s->client_packet_max = mqtt_property_number(&packet->properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, UINT32_MAX);
    s->id_len = (uint8_t)(packet->connect.client_id.len < sizeof s->id ? packet->connect.client_id.len : sizeof s->id);
    if (s->id_len > 0)
        memcpy(s->id, packet->connect.client_id.ptr, s->id_len);
    sp_session_open_upstream(s);
    return GATE_HOLD;
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
    if (r == 0)
        r = upstream_send(s->upstream, packet, NULL);
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
