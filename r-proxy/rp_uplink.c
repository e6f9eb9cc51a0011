/* Client -> s-proxy (rp_uplink.h).
 *
 *   socket --> mqtt_decode --> rp_client (rules) --rp_uplink_packet()--> exchanges --lane_send()--> packet_to_frame -->
 * carrier
 *     ^-- mqtt_io_pause(RP_PAUSE_CREDIT) while the lane takes no more <---'
 */
#define LOG_MODULE LOG_R_PROXY
#include "rp_uplink.h"

#include "err.h"
#include "mqtt_reason.h"
#include "rp_client.h"
#include "rp_session.h"
#include "rp_tenant.h"
#include "rp_worker.h"

void rp_uplink_on_writable(struct lane *l, void *arg)
{
    struct rp_session *s = arg;
    if (s->client)
        mqtt_io_resume(s->client->io, RP_PAUSE_CREDIT);
}

static enum gate_answer rp_uplink_failed(struct rp_client *c, int r, const struct mqtt_fault *fault)
{
    if (r == RP_TENANT_REFUSED)
        rp_client_close(c, fault->reason, fault->text);
    else if (r == LANE_TOO_LARGE)
        rp_client_close(c, MQTT_REASON_PACKET_TOO_LARGE, "the packet is larger than the s-proxy can take");
    else
        rp_client_close(c, MQTT_REASON_SERVER_BUSY, err_text());
    return GATE_CLOSED;
}

enum gate_answer rp_uplink_packet(struct rp_session *s, const struct mqtt_packet *packet)
{
    struct rp_client *c = s->client;
    if (s->worker->is_draining && mqtt_exchange_begins(packet)) {
        metric_add(&s->worker->metrics.publishes_left_to_sender, 1);
        log_debug(&c->log, "draining: PUBLISH %u is left to the client, unacknowledged", packet->packet_id);
        return GATE_PASS;
    }
    struct mqtt_fault fault = {.text = NULL};
    int r = s->tenant ? rp_tenant_send(s, packet, &fault) : lane_send(s->lane, packet);
    if (r == 0)
        r = mqtt_exchanges_pass_up(&s->exchanges, packet);
    if (r != 0)
        return rp_uplink_failed(c, r, &fault);
    metric_add(&s->worker->metrics.packets_up, 1);
    if (packet->type == MQTT_DISCONNECT) {
        metric_add(&s->worker->metrics.clients_disconnected, 1);
        rp_client_goodbye(c);
        return GATE_PASS;
    }
    if (rp_client_check_drained(c))
        return GATE_CLOSED;
    if (!lane_may_send(s->lane))
        mqtt_io_pause(c->io, RP_PAUSE_CREDIT);
    rp_client_account(c);
    return GATE_PASS;
}
