/* Packets -> lane (sp_downlink.h).
 *
 *   socket --> mqtt_decode --sp_downlink_on_packet()--> rules, exchanges --lane_send()--> packet_to_frame --> carrier
 *     ^-- mqtt_io_pause(SP_PAUSE_CREDIT) while the lane takes no more <-----'
 */
#define LOG_MODULE LOG_S_PROXY
#include "sp_downlink.h"

#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "mqtt_compose.h"
#include "mqtt_encode.h"
#include "mqtt_reason.h"
#include "sp_session.h"
#include "sp_worker.h"
#include "tenant.h"

void sp_downlink_on_writable(struct lane *l, void *arg)
{
    struct sp_session *s = arg;
    if (s->upstream && upstream_io(s->upstream))
        mqtt_io_resume(upstream_io(s->upstream), SP_PAUSE_CREDIT);
}

void sp_downlink_tell(struct sp_session *s, uint8_t reason, const char *text)
{
    struct mqtt_reply reply;
    if (s->was_told || s->version == 0 || reason == MQTT_REASON_SUCCESS)
        return;
    s->was_told = true;
    if (s->state != SP_SESSION_LIVE) {
        if (!mqtt_reply_connack(&reply, s->version, reason, text))
            return;
    } else if (s->version == MQTT_V5) {
        mqtt_reply_disconnect(&reply, reason, text);
    } else {
        return; /* 3.x has no word for it: the end of the lane closes the client */
    }
    if (mqtt_encode_size(&reply.packet) > s->client_packet_max)
        mqtt_reply_drop_text(&reply);
    if (lane_send(s->lane, &reply.packet) != 0)
        log_debug(&s->log, "could not send %s 0x%02x to the client", mqtt_type_name(reply.packet.type), reason);
}

/* What became of a packet that goes no further: R is what mqtt_dropped.h says. 0 or negative errno. */
static int sp_downlink_answer(struct sp_session *s, int r, const struct mqtt_reply *answer)
{
    if (r == MQTT_DROPPED_ANSWER)
        r = upstream_send(s->upstream, &answer->packet, NULL);
    return r < 0 ? r : 0;
}

/* A PUBLISH that the peer on the other side cannot take. */
static int sp_downlink_drop(struct sp_session *s, const struct mqtt_packet *publish)
{
    struct mqtt_reply answer;
    metric_add(&s->worker->metrics.publishes_dropped_too_large, 1);
    log_warn(&s->log,
             "dropped a PUBLISH of QoS %u with %u bytes: the r-proxy on this stream takes at most %u bytes a message",
             publish->publish.qos, publish->publish.payload.len, lane_peer(s->lane)->max_frame_bytes);
    return sp_downlink_answer(s, mqtt_dropped_publish(&s->dropped, publish, &answer), &answer);
}

/* PACKET is what the client shall get. 0; LANE_TOO_LARGE: a PUBLISH that does not pass; negative errno. */
static int sp_downlink_forward(struct sp_session *s, const struct mqtt_packet *packet)
{
    if (s->worker->is_draining && mqtt_exchange_begins(packet)) {
        metric_add(&s->worker->metrics.publishes_left_to_sender, 1);
        return 0;
    }
    int r = lane_send(s->lane, packet);
    if (r == LANE_TOO_LARGE && packet->type != MQTT_PUBLISH)
        return err_set(-EMSGSIZE, "%s is larger than the r-proxy can take", mqtt_type_name(packet->type));
    if (r != 0)
        return r;
    metric_add(&s->worker->metrics.packets_down, 1);
    mqtt_server_rules_sent(&s->client_rules, packet);
    return mqtt_exchanges_pass_down(&s->exchanges, packet);
}

static enum lane_end sp_downlink_refusal(uint8_t version, uint8_t code)
{
    uint8_t reason = version == MQTT_V5 ? code : mqtt_reason_from_v3(code);
    switch (reason) {
    case MQTT_REASON_BAD_USER_NAME_OR_PASSWORD:
    case MQTT_REASON_BAD_AUTHENTICATION_METHOD:
        return LANE_END_UNAUTHENTICATED;
    case MQTT_REASON_NOT_AUTHORIZED:
    case MQTT_REASON_BANNED:
        return LANE_END_DENIED;
    default:
        return LANE_END_OK;
    }
}

/* CONNACK: what the broker promised may be more than the way there can carry. */
static int sp_downlink_connack(struct sp_session *s, const struct mqtt_packet *connack)
{
    struct mqtt_packet p = *connack;
    uint8_t *scratch = malloc(p.properties.wire.len + 8);
    if (!scratch)
        return err_set(-ENOMEM, "CONNACK: out of memory");
    if (!lane_peer(s->lane)->is_extended)
        mqtt_lower_packet_size(&p, LANE_UNKNOWN_PEER_PACKET_MAX, scratch);
    int r = sp_downlink_forward(s, &p);
    free(scratch);
    return r;
}

static int sp_downlink_pass(struct sp_session *s, const struct mqtt_packet *packet)
{
    return packet->type == MQTT_CONNACK ? sp_downlink_connack(s, packet) : sp_downlink_forward(s, packet);
}

/* What is dropped here never reaches the client, so what follows from it is ours, and so are its topic aliases. */
static int sp_downlink_pass_changed(struct sp_session *s, const struct mqtt_packet *packet)
{
    struct mqtt_packet changed = *packet;
    struct mqtt_reply answer;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    int r = s->tenant ? tenant_unmount(s->tenant, &changed, &scratch, &s->dropped, &answer)
                      : mqtt_dropped_check(&s->dropped, &changed, &answer);
    r = r == 0 ? sp_downlink_pass(s, &changed) : sp_downlink_answer(s, r, &answer);
    tenant_scratch_deinit(&scratch);
    return r;
}

/* What a packet means for the session, once it has been passed on. */
static void sp_downlink_follow(struct sp_session *s, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_CONNACK && packet->reason_code == 0) {
        sp_session_enter(s, SP_SESSION_LIVE);
        log_info(&s->log, "live at %s", s->broker->name);
    } else if (packet->type == MQTT_CONNACK) {
        s->was_told = true;
        metric_add(&s->worker->metrics.sessions_refused, 1);
        sp_session_end(s, sp_downlink_refusal(s->version, packet->reason_code), 0, "the broker refused the client", 0);
    } else if (packet->type == MQTT_DISCONNECT) {
        s->was_told = true; /* the broker closes next */
    }
}

enum gate_answer sp_downlink_on_packet(struct upstream *u, const struct mqtt_packet *packet, void *arg)
{
    struct sp_session *s = arg;
    struct mqtt_fault fault;
    if (mqtt_client_rules_check(&s->rules, packet, &fault) != 0) {
        log_warn(&s->log, "broker %s broke a rule: %s", s->broker->name, fault.text);
        sp_session_end(s, LANE_END_UNAVAILABLE, MQTT_REASON_SERVER_SHUTTING_DOWN, fault.text, 0);
        return GATE_CLOSED;
    }
    sp_session_broker_answered(s);
    const bool is_changed = s->tenant || s->dropped.list;
    int r = is_changed ? sp_downlink_pass_changed(s, packet) : sp_downlink_pass(s, packet);
    if (r == LANE_TOO_LARGE)
        r = sp_downlink_drop(s, packet);
    if (r < 0) {
        log_warn(&s->log, "%s", err_text());
        sp_session_end(s, LANE_END_LIMIT, MQTT_REASON_PACKET_TOO_LARGE, err_text(), 0);
        return GATE_CLOSED;
    }
    sp_downlink_follow(s, packet);
    sp_session_check_drained(s);
    if (!s->upstream)
        return GATE_CLOSED;
    if (!lane_may_send(s->lane))
        mqtt_io_pause(upstream_io(u), SP_PAUSE_CREDIT);
    sp_session_account(s);
    return GATE_PASS;
}
