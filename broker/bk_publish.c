/* Publications (bk_publish.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_publish.h"

#include "bk_access.h"
#include "bk_alias.h"
#include "bk_audit.h"
#include "bk_behind.h"
#include "bk_broker.h"
#include "bk_client.h"
#include "bk_full.h"
#include "bk_hooks.h"
#include "bk_journal.h"
#include "bk_marks.h"
#include "bk_message.h"
#include "bk_options.h"
#include "bk_peers.h"
#include "bk_quota.h"
#include "bk_retain.h"
#include "bk_route.h"
#include "bk_session.h"
#include "bk_worker.h"
#include <stdlib.h>
#include <string.h>

#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "mqtt_topic.h"

/* Everybody gets P. Whether anybody has subscribed. */
static bool bk_publish(struct bk_worker *w, struct bk_publication *p)
{
    const unsigned owner = p->retain ? bk_worker_of(w, p->topic) : w->index_of;
    const bool is_far = owner != w->index_of;
    if (p->retain && !is_far)
        bk_retain_set(w, p);
    const bool is_taken = bk_route_publish(w, p, is_far ? bk_peers_get(w->peers, owner) : NULL);
    if (!is_taken)
        metric_add(&w->metrics.publishes_unmatched, 1);
    bk_publication_end(p);
    return is_taken;
}

void bk_publish_message(struct bk_worker *w, struct bk_message *m)
{
    struct bk_publication p;
    if (bk_publication_of(&p, m, loop_now_ms(w->loop), &w->scratch))
        bk_publish(w, &p);
}

/* --- From a client */

/* The topic, through the alias where there is one. False: C has been closed. */
static bool bk_publish_topic(struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes *ret_topic)
{
    *ret_topic = packet->publish.topic;
    if (packet->properties.wire.len == 0)
        return true;
    const uint16_t alias = (uint16_t)mqtt_property_number(&packet->properties, MQTT_PROPERTY_TOPIC_ALIAS, 0);
    if (alias == 0)
        return true;
    if (ret_topic->len > 0) {
        if (bk_aliases_in_set(&c->aliases_in, (uint16_t)c->worker->options->topic_alias_maximum, alias, *ret_topic) ==
            0)
            return true;
        bk_client_close(c, MQTT_REASON_UNSPECIFIED, "out of memory");
        return false;
    }
    *ret_topic = bk_aliases_in_get(c->aliases_in, alias);
    if (ret_topic->len > 0)
        return true;
    metric_add(&c->worker->metrics.protocol_errors, 1);
    bk_client_close(c, MQTT_REASON_PROTOCOL_ERROR, "MQTT-3.3.2.1: a topic alias that was never set");
    return false;
}

static void bk_publish_properties(struct bk_publication *p, const struct mqtt_packet *packet, uint64_t now_ms,
                                  uint8_t *bytes)
{
    p->properties = packet->properties;
    if (p->properties.wire.len == 0)
        return;
    if (mqtt_property_has(&p->properties, MQTT_PROPERTY_TOPIC_ALIAS)) {
        const uint8_t *end = mqtt_property_copy_without(bytes, &packet->properties, MQTT_PROPERTY_TOPIC_ALIAS);
        p->properties.wire = (struct mqtt_bytes){bytes, (uint32_t)(end - bytes)};
    }
    struct mqtt_property expiry;
    if (mqtt_property_find(&p->properties, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, &expiry))
        p->expires_ms = now_ms + 1000ull * expiry.number;
}

static uint8_t bk_publish_reason(bool is_taken)
{
    return is_taken ? MQTT_REASON_SUCCESS : MQTT_REASON_NO_MATCHING_SUBSCRIBERS;
}

/* P of QoS 2, published by C, has to survive at other workers, perhaps besides here: until it does its id is not known
 * for good, and PUBREC waits. */
static void bk_publish_wait(struct bk_client *c, struct bk_publication *p, uint8_t reason)
{
    struct bk_session *s = c->session;
    const bool is_whole_there = p->n_peers == 1 && p->marks->len == 0;
    const struct bk_waiter waiter = {.number = s->number,
                                     .is_exchange = true,
                                     .is_written = is_whole_there,
                                     .type = MQTT_PUBREC,
                                     .id = p->inbound_id,
                                     .reason = reason};
    if (is_whole_there)
        bk_peer_publish_whole(p);
    else
        bk_journal_inbound(c->worker, p);
    s->has_inbound_records = true;
    mqtt_inflight_advance(&s->inbound, p->inbound_id, MQTT_INFLIGHT_PUBLISH_2);
    bk_journal_wait(c->worker, &waiter);
}

/* P is exchange ID of S, which is kept. */
static void bk_publish_name(struct bk_publication *p, const struct bk_session *s, uint16_t id)
{
    p->inbound_session = s->number;
    p->inbound_id = id;
    p->had = bk_marks_find(s, id);
    p->marks = s->worker->peers ? &s->worker->marks : NULL;
    s->worker->marks.len = 0;
}

/* Route it. Whether anybody has subscribed. */
static bool bk_publish_from(struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes topic)
{
    struct bk_worker *w = c->worker;
    struct bk_publication p;
    uint8_t small[512];
    uint8_t *bytes = packet->properties.wire.len <= sizeof small ? small : malloc(packet->properties.wire.len);
    if (!bytes) {
        metric_add(&w->metrics.dropped_no_memory, 1);
        return true;
    }
    bk_publication_init(&p, &w->scratch);
    p.topic = topic;
    p.payload = packet->publish.payload;
    p.publisher = c->session->broker != 0 ? c->session->broker : c->session->node.hash;
    p.source = c;
    p.qos = packet->publish.qos;
    p.retain = packet->publish.retain;
    bk_publish_properties(&p, packet, loop_now_ms(w->loop), bytes);
    if (p.qos == 2 && c->session->is_in_journal)
        bk_publish_name(&p, c->session, packet->packet_id);
    const bool is_taken = bk_publish(w, &p);
    if (p.inbound_session != 0 && p.n_peers > 0)
        bk_publish_wait(c, &p, bk_publish_reason(is_taken));
    if (p.inbound_session != 0)
        bk_marks_drop(c->session, p.inbound_id);
    if (bytes != small)
        free(bytes);
    return is_taken;
}

bool bk_publish_has_too_many_levels(const struct bk_client *c, struct mqtt_bytes topic)
{
    const int64_t max = c->worker->options->max_topic_levels;
    return max > 0 && mqtt_topic_is_deeper(topic, (uint32_t)max + tenant_levels(c->tenant));
}

bool bk_publish_is_ours(struct mqtt_bytes topic)
{
    return topic.len >= 5 && memcmp(topic.ptr, "$SYS/", 5) == 0;
}

/* Why nobody gets this PUBLISH; MQTT_REASON_SUCCESS: everybody may. */
static uint8_t bk_publish_fault(const struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes topic)
{
    if (bk_publish_has_too_many_levels(c, topic))
        return MQTT_REASON_TOPIC_NAME_INVALID;
    if (bk_publish_is_ours(topic))
        return MQTT_REASON_NOT_AUTHORIZED;
    if (c->session->grant && !acl_may_publish(&c->session->grant->view, topic))
        return MQTT_REASON_NOT_AUTHORIZED;
    if (packet->publish.qos > 0 && bk_journal_is_full(c->worker))
        return MQTT_REASON_QUOTA_EXCEEDED;
    if (packet->publish.retain &&
        !bk_quota_retain(broker_quotas(c->worker->broker), c->account, topic, packet->publish.payload.len == 0))
        return MQTT_REASON_QUOTA_EXCEEDED;
    return MQTT_REASON_SUCCESS;
}

/* A client of 5.0 is told. One of 3.x cannot be: what it is not allowed is acknowledged and dropped, which 3.1.1 allows
 * (MQTT-3.3.5-2) and its clients know from other brokers; where trying again later helps there is no answer; for the
 * rest it is closed. */
enum gate_answer bk_publish_refuse(struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes topic,
                                   uint8_t reason)
{
    static struct log_limit limit = LOG_LIMIT(10, 10000);
    metric_add(&c->worker->metrics.publishes_refused, 1);
    bk_audit_publish_refused(c, topic, reason);
    if (reason == MQTT_REASON_TOPIC_NAME_INVALID)
        front_count_deep_topic(&c->worker->front_metrics, &c->log, packet->publish.qos);
    else
        log_rate_limited(&limit, LOG_LEVEL_WARN, &c->log, "PUBLISH refused: %s", mqtt_reason_text(MQTT_PUBACK, reason));
    if (packet->publish.qos == 0)
        return GATE_PASS;
    if (c->version == MQTT_V5) {
        bk_client_answer(c, packet->publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, packet->packet_id, reason);
        return GATE_PASS;
    }
    if (reason == MQTT_REASON_QUOTA_EXCEEDED)
        return GATE_PASS;
    if (reason == MQTT_REASON_NOT_AUTHORIZED) {
        bk_client_answer(c, packet->publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, packet->packet_id, reason);
        return GATE_PASS;
    }
    bk_client_close(c, reason, "it publishes what is not allowed, and 3.x has no word for that");
    return GATE_CLOSED;
}

/* More unacknowledged than it was told it may have (MQTT-3.3.4-7). Those of QoS 1 are acknowledged before the next
 * packet is looked at. */
static bool bk_publish_is_over_quota(const struct bk_client *c)
{
    return c->version == MQTT_V5 && !c->is_inner &&
           mqtt_inflight_publish_count(&c->session->inbound) >= (uint32_t)c->worker->options->receive_maximum;
}

static enum gate_answer bk_publish_close_over_quota(struct bk_client *c)
{
    metric_add(&c->worker->metrics.protocol_errors, 1);
    bk_client_close(c, MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED, "MQTT-3.3.4-7: more in flight than Receive Maximum");
    return GATE_CLOSED;
}

bool bk_publish_uses_id(const struct bk_client *c, uint16_t id)
{
    const struct mqtt_inflight *inbound = &c->session->inbound;
    return c->version == MQTT_V5 && mqtt_inflight_count(inbound) > 0 &&
           mqtt_inflight_find(inbound, id) != MQTT_INFLIGHT_NONE;
}

/* A retained message has to be with the worker that owns it before anybody hears that it is published: see
 * bk_behind.h. */
static enum gate_answer bk_publish_answer(struct bk_client *c, const struct mqtt_packet *packet, uint8_t type,
                                          uint8_t reason)
{
    const struct mqtt_packet answer = {.type = type,
                                       .version = c->version,
                                       .packet_id = packet->packet_id,
                                       .reason_code = c->version == MQTT_V5 ? reason : MQTT_REASON_SUCCESS};
    if (packet->publish.retain && !c->worker->journal && bk_behind_answer(c, &answer))
        return GATE_HOLD;
    bk_client_answer(c, type, packet->packet_id, reason);
    return GATE_PASS;
}

static enum gate_answer bk_publish_1(struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes topic)
{
    if (bk_publish_is_over_quota(c))
        return bk_publish_close_over_quota(c);
    const uint8_t reason = bk_publish_uses_id(c, packet->packet_id)
                               ? MQTT_REASON_PACKET_ID_IN_USE
                               : bk_publish_reason(bk_publish_from(c, packet, topic));
    return bk_publish_answer(c, packet, MQTT_PUBACK, reason);
}

static enum gate_answer bk_publish_2(struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes topic)
{
    struct mqtt_inflight *inbound = &c->session->inbound;
    const enum mqtt_inflight_state state = mqtt_inflight_find(inbound, packet->packet_id);
    if (state == MQTT_INFLIGHT_PUBLISH_2)
        return GATE_PASS; /* the answer is on its way */
    if (state != MQTT_INFLIGHT_NONE) {
        bk_client_answer(c, MQTT_PUBREC, packet->packet_id, MQTT_REASON_SUCCESS); /* MQTT-4.3.3-10 */
        return GATE_PASS;
    }
    if (bk_publish_is_over_quota(c))
        return bk_publish_close_over_quota(c);
    if (mqtt_inflight_add(inbound, packet->packet_id, MQTT_INFLIGHT_PUBREC) < 0) {
        bk_client_close(c, MQTT_REASON_UNSPECIFIED, "out of memory");
        return GATE_CLOSED;
    }
    bk_journal_window(c->session);
    const bool is_taken = bk_publish_from(c, packet, topic);
    if (mqtt_inflight_find(inbound, packet->packet_id) == MQTT_INFLIGHT_PUBLISH_2)
        return GATE_PASS;
    return bk_publish_answer(c, packet, MQTT_PUBREC, bk_publish_reason(is_taken));
}

/* Hooks are, but not about a QoS 2 message that has come before. */
static enum gate_answer bk_publish_ask(struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes topic)
{
    struct mqtt_packet whole = *packet;
    whole.publish.topic = topic;
    if (packet->publish.qos == 2 && mqtt_inflight_find(&c->session->inbound, packet->packet_id) != MQTT_INFLIGHT_NONE)
        return bk_publish_go_on(c, packet, topic);
    return bk_hooks_ask(c, BK_HOOK_PUBLISH, &whole);
}

enum gate_answer bk_publish_packet(struct bk_client *c, const struct mqtt_packet *packet)
{
    struct mqtt_bytes topic;
    metric_add(&c->worker->metrics.publishes_received, 1);
    metric_add(&c->worker->metrics.payload_bytes_received, packet->publish.payload.len);
    if (!bk_publish_topic(c, packet, &topic))
        return GATE_CLOSED;
    if (bk_hooks_concern(c, BK_HOOK_PUBLISH))
        return bk_publish_ask(c, packet, topic);
    return bk_publish_go_on(c, packet, topic);
}

enum gate_answer bk_publish_go_on(struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes topic)
{
    if (packet->publish.qos > 0 && c->version != MQTT_V5 && bk_journal_is_full(c->worker))
        return bk_full_hold(c, packet);
    const uint8_t fault = bk_publish_fault(c, packet, topic);
    if (fault != MQTT_REASON_SUCCESS)
        return bk_publish_refuse(c, packet, topic, fault);
    if (packet->publish.qos == 2)
        return bk_publish_2(c, packet, topic);
    if (packet->publish.qos == 1)
        return bk_publish_1(c, packet, topic);
    bk_publish_from(c, packet, topic);
    return GATE_PASS;
}

void bk_publish_release(struct bk_client *c, const struct mqtt_packet *packet)
{
    const bool is_known = mqtt_inflight_remove(&c->session->inbound, packet->packet_id) == 0;
    if (is_known) {
        bk_journal_window(c->session);
        bk_journal_inbound_gone(c->session, packet->packet_id);
    }
    bk_client_answer(c, MQTT_PUBCOMP, packet->packet_id,
                     is_known ? MQTT_REASON_SUCCESS : MQTT_REASON_PACKET_ID_NOT_FOUND);
}
