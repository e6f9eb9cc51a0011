/* Subscribing (bk_subscribe.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_subscribe.h"

#include <stdlib.h>

#include "bk_audit.h"
#include "bk_behind.h"
#include "bk_client.h"
#include "bk_hooks.h"
#include "bk_journal.h"
#include "bk_options.h"
#include "bk_publish.h"
#include "bk_retain.h"
#include "bk_route.h"
#include "bk_session.h"
#include "bk_worker.h"
#include "mqtt_encode.h"
#include "mqtt_property.h"
#include "mqtt_topic.h"

/* What bridges of mosquitto expect, and other clients of 3.x do not have. */
static void bk_subscribe_as_bridge(const struct bk_client *c, struct mqtt_subscription *sub)
{
    if (!c->is_bridge)
        return;
    sub->no_local = true;
    sub->retain_as_published = true;
}

static bool bk_wants_retained(const struct mqtt_subscription *sub, bool is_new)
{
    return !mqtt_topic_is_shared(sub->filter) && (sub->retain_handling == 0 || (sub->retain_handling == 1 && is_new));
}

/* One filter. The reason code of the SUBACK. */
static uint8_t bk_subscribe_one(struct bk_client *c, struct mqtt_subscription *sub, uint32_t identifier)
{
    struct bk_session *s = c->session;
    bk_subscribe_as_bridge(c, sub);
    const struct bk_subscribe_result r = bk_session_subscribe(s, sub, identifier);
    if (r.reason_code >= MQTT_REASON_UNSPECIFIED || !bk_wants_retained(sub, r.is_new))
        return r.reason_code;
    if (bk_retain_send(s, sub->filter, sub->qos, identifier) < 0)
        log_error(&c->log, "retained messages are not sent: out of memory");
    return r.reason_code;
}

/* Whether it waits with the gate held. */
static bool bk_send_codes(struct bk_client *c, uint8_t type, uint16_t id, const uint8_t *codes, uint32_t n)
{
    struct mqtt_packet answer = {.type = type, .version = c->version, .packet_id = id};
    if (type == MQTT_SUBACK || c->version == MQTT_V5)
        answer.reason_codes = (struct mqtt_bytes){codes, n};
    if (bk_journal_changes(c->worker) == c->journal_mark) {
        const bool must_wait = type == MQTT_SUBACK && bk_behind_answer(c, &answer);
        if (!must_wait)
            bk_client_send(c, &answer);
        return must_wait;
    }
    struct bk_waiter waiter = {.client = c, .packet_len = (uint32_t)mqtt_encode_size(&answer)};
    waiter.packet = malloc(waiter.packet_len);
    if (waiter.packet) {
        mqtt_encode(&answer, waiter.packet);
        bk_journal_wait(c->worker, &waiter);
    }
    return false;
}

enum gate_answer bk_subscribe_packet(struct bk_client *c, const struct mqtt_packet *packet)
{
    if (bk_hooks_concern(c, BK_HOOK_SUBSCRIBE))
        return bk_hooks_ask(c, BK_HOOK_SUBSCRIBE, packet);
    return bk_subscribe_go_on(c, packet, NULL);
}

enum gate_answer bk_subscribe_go_on(struct bk_client *c, const struct mqtt_packet *packet, const uint8_t *refusals)
{
    const uint32_t identifier = mqtt_property_number(&packet->properties, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER, 0);
    uint8_t *codes = malloc(packet->subscriptions.count);
    struct mqtt_bytes iter = packet->subscriptions.wire;
    struct mqtt_subscription sub;
    const bool is_id_in_use = bk_publish_uses_id(c, packet->packet_id);
    uint32_t n = 0, n_too_many = 0, n_too_deep = 0;
    if (!codes) {
        bk_client_close(c, MQTT_REASON_UNSPECIFIED, "out of memory");
        return GATE_CLOSED;
    }
    while (mqtt_subscription_next(&iter, &sub)) {
        const bool is_deep = bk_publish_has_too_many_levels(c, sub.filter);
        const uint8_t code = is_id_in_use              ? MQTT_REASON_PACKET_ID_IN_USE
                             : is_deep                 ? MQTT_REASON_TOPIC_FILTER_INVALID
                             : refusals && refusals[n] ? refusals[n]
                                                       : bk_subscribe_one(c, &sub, identifier);
        const bool is_refused = code >= MQTT_REASON_UNSPECIFIED;
        bk_audit_subscribed(c, &sub, code);
        log_debug(&c->log, "subscribes to '%.*s': 0x%02X", (int)sub.filter.len, (const char *)sub.filter.ptr, code);
        n_too_many += code == MQTT_REASON_QUOTA_EXCEEDED;
        n_too_deep += is_deep && !is_id_in_use;
        codes[n++] = is_refused && c->version != MQTT_V5 ? MQTT_REASON_UNSPECIFIED : code;
    }
    front_count_refused_filters(&c->worker->front_metrics, &c->log, n_too_many, n_too_deep);
    const bool is_held = bk_send_codes(c, MQTT_SUBACK, packet->packet_id, codes, n);
    free(codes);
    return is_held ? GATE_HOLD : GATE_PASS;
}

static uint8_t bk_unsubscribe_one(struct bk_client *c, struct mqtt_bytes filter)
{
    if (!bk_session_unsubscribe(c->session, filter))
        return MQTT_REASON_NO_SUBSCRIPTION_EXISTED;
    bk_audit_unsubscribed(c, filter);
    return MQTT_REASON_SUCCESS;
}

enum gate_answer bk_unsubscribe_packet(struct bk_client *c, const struct mqtt_packet *packet)
{
    if (bk_hooks_concern(c, BK_HOOK_UNSUBSCRIBE))
        return bk_hooks_ask(c, BK_HOOK_UNSUBSCRIBE, packet);
    bk_unsubscribe_go_on(c, packet, NULL);
    return GATE_PASS;
}

void bk_unsubscribe_go_on(struct bk_client *c, const struct mqtt_packet *packet, const uint8_t *refusals)
{
    uint8_t *codes = malloc(packet->filters.count);
    struct mqtt_bytes iter = packet->filters.wire;
    struct mqtt_bytes filter;
    const bool is_id_in_use = bk_publish_uses_id(c, packet->packet_id);
    uint32_t n = 0;
    if (!codes) {
        bk_client_close(c, MQTT_REASON_UNSPECIFIED, "out of memory");
        return;
    }
    for (; mqtt_filter_next(&iter, &filter); n++)
        codes[n] = is_id_in_use              ? MQTT_REASON_PACKET_ID_IN_USE
                   : refusals && refusals[n] ? refusals[n]
                                             : bk_unsubscribe_one(c, filter);
    bk_send_codes(c, MQTT_UNSUBACK, packet->packet_id, codes, n);
    free(codes);
}
