/* s-proxy -> client (rp_downlink.h).
 *
 *   carrier --> frame_to_packet --> lane --rp_downlink_on_packet()--> rules, exchanges --mqtt_io_send()--> mqtt_encode
 * --> socket
 *     ^-------- lane_consumed() -------- rp_downlink_settle() <-- queue below its mark
 * --------------------------------------'
 */
#define LOG_MODULE LOG_R_PROXY
#include "rp_downlink.h"

#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "mqtt_compose.h"
#include "mqtt_reason.h"
#include "rp_client.h"
#include "rp_limits.h"
#include "rp_session.h"
#include "rp_tenant.h"
#include "rp_worker.h"

enum {
    /* Below this the client is considered to take what it gets, and credit returns at once. */
    RP_DOWNLINK_QUEUE_MARK = 64 * 1024,
};

void rp_downlink_settle(struct rp_session *s)
{
    if (s->owed_bytes == 0)
        return;
    if (s->client && conn_queued_bytes(mqtt_io_conn(s->client->io)) > RP_DOWNLINK_QUEUE_MARK)
        return;
    size_t bytes = s->owed_bytes;
    s->owed_bytes = 0;
    lane_consumed(s->lane, bytes);
}

/* What this connection can really carry towards the broker, if that is less than the broker's own word (0 = no limit).
 */
static uint32_t rp_downlink_packet_limit(const struct rp_session *s)
{
    uint32_t limit = s->worker->options->max_packet_bytes;
    if (!lane_peer(s->lane)->is_extended && (limit == 0 || limit > LANE_UNKNOWN_PEER_PACKET_MAX))
        limit = LANE_UNKNOWN_PEER_PACKET_MAX;
    return limit;
}

static int rp_downlink_connack(struct rp_session *s, const struct mqtt_packet *connack)
{
    struct rp_client *c = s->client;
    struct mqtt_packet p = *connack;
    uint32_t limit = rp_downlink_packet_limit(s);
    const struct mqtt_grants most = rp_limits_grants(s->worker->options, limit);
    uint8_t *scratch = malloc(p.properties.wire.len + MQTT_LOWER_GRANTS_ROOM);
    if (!scratch)
        return err_set(-ENOMEM, "CONNACK: out of memory");
    mqtt_lower_grants(&p, &most, c->keep_alive_s, scratch);
    mqtt_server_rules_sent(&c->rules, &p);
    int r = mqtt_io_send(c->io, &p, NULL);
    if (r == 0 && p.reason_code == 0) {
        mqtt_io_set_receive_limit(c->io, limit);
        rp_client_accepted(c, &p);
    }
    free(scratch);
    return r;
}

static int rp_downlink_forward(struct rp_session *s, const struct mqtt_packet *packet)
{
    struct rp_client *c = s->client;
    int r = mqtt_exchanges_pass_down(&s->exchanges, packet);
    if (r < 0)
        return r;
    metric_add(&s->worker->metrics.packets_down, 1);
    if (packet->type == MQTT_CONNACK)
        return rp_downlink_connack(s, packet);
    mqtt_server_rules_sent(&c->rules, packet);
    return c->limits ? rp_limits_downlink(c->limits, packet) : mqtt_io_send(c->io, packet, NULL);
}

/* After a packet that ends the session the client is closed; true if that has happened. */
static bool rp_downlink_is_over(struct rp_client *c, const struct mqtt_packet *packet)
{
    bool is_refusal = packet->type == MQTT_CONNACK && packet->reason_code != 0;
    if (!is_refusal && packet->type != MQTT_DISCONNECT)
        return rp_client_check_drained(c);
    if (is_refusal) {
        metric_add(&c->worker->metrics.clients_refused, 1);
        log_info(&c->log, "refused by the broker: 0x%02x", packet->reason_code);
    } else {
        log_info(&c->log, "disconnected by the broker: 0x%02x %s", packet->reason_code,
                 mqtt_reason_text(packet->type, packet->reason_code));
    }
    rp_client_close(c, MQTT_REASON_SUCCESS, "the broker ended the session");
    return true;
}

static void rp_downlink_pass(struct rp_session *s, const struct mqtt_packet *packet)
{
    struct rp_client *c = s->client;
    int r = rp_downlink_forward(s, packet);
    if (r != 0) {
        rp_client_close(c, MQTT_REASON_SERVER_BUSY,
                        r < 0 ? err_text() : "the broker sent a packet above the client's Maximum Packet Size");
        return;
    }
    if (!rp_downlink_is_over(c, packet))
        rp_client_account(c);
}

static void rp_downlink_pass_tenant(struct rp_session *s, const struct mqtt_packet *packet)
{
    struct mqtt_packet unmounted = *packet;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    int r = rp_tenant_receive(s, &unmounted, &scratch);
    if (r == 0)
        rp_downlink_pass(s, &unmounted);
    else if (r < 0)
        rp_client_close(s->client, MQTT_REASON_SERVER_BUSY, err_text());
    tenant_scratch_deinit(&scratch);
}

static void rp_downlink_deliver(struct rp_session *s, const struct mqtt_packet *packet)
{
    struct rp_client *c = s->client;
    struct mqtt_fault fault;
    if (mqtt_client_rules_check(&s->rules, packet, &fault) != 0) {
        log_warn(&c->log, "s-proxy sent what no broker may send: %s", fault.text);
        rp_client_close(c, MQTT_REASON_IMPLEMENTATION_SPECIFIC, fault.text);
        return;
    }
    if (s->worker->is_draining && mqtt_exchange_begins(packet)) {
        metric_add(&s->worker->metrics.publishes_left_to_sender, 1);
        return;
    }
    if (s->tenant)
        rp_downlink_pass_tenant(s, packet);
    else
        rp_downlink_pass(s, packet);
}

enum gate_answer rp_downlink_on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg)
{
    struct rp_session *s = arg;
    s->owed_bytes += lane_packet_charge(l);
    if (s->client)
        rp_downlink_deliver(s, packet);
    else
        metric_add(&s->worker->metrics.packets_for_gone_clients, 1);
    rp_downlink_settle(s);
    rp_session_answered(s);
    return GATE_PASS;
}
