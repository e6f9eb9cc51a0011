/* See rp_limits.h. */
#define LOG_MODULE LOG_R_PROXY
#include "rp_limits.h"

#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "front_client.h"
#include "mqtt_compose.h"
#include "mqtt_property.h"
#include "mqtt_topic.h"
#include "rp_client.h"
#include "rp_options.h"
#include "rp_session.h"
#include "rp_uplink.h"
#include "rp_worker.h"

/* --- Life */

int rp_limits_new(struct rp_client *c, struct rp_limits **ret_limits)
{
    const struct rp_options *o = c->worker->options;
    *ret_limits = NULL;
    if (o->receive_maximum == 0 && o->max_subscriptions == 0 && o->max_topic_levels == 0)
        return 0;
    struct rp_limits *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(-ENOMEM, "client: out of memory");
    l->client = c;
    l->receive_maximum = (uint32_t)o->receive_maximum;
    l->max_topic_levels = (uint32_t)o->max_topic_levels;
    rp_subscriptions_init(&l->subscriptions, (uint32_t)o->max_subscriptions, l->max_topic_levels);
    *ret_limits = l;
    return 0;
}

struct rp_limits *rp_limits_free(struct rp_limits *l)
{
    if (l)
        rp_subscriptions_deinit(&l->subscriptions);
    free(l);
    return NULL;
}

size_t rp_limits_bytes(const struct rp_limits *l)
{
    return l ? l->subscriptions.bytes : 0;
}

static struct rp_metrics *rp_limits_metrics(const struct rp_client *c)
{
    return &c->worker->metrics;
}

/* --- CONNECT */

struct mqtt_grants rp_limits_grants(const struct rp_options *o, uint32_t packet_bytes)
{
    return (struct mqtt_grants){
        .packet_bytes = packet_bytes,
        .receive_maximum = (uint16_t)o->receive_maximum,
        .topic_aliases = (uint16_t)o->topic_alias_maximum,
        .keep_alive_s = front_max_keep_alive_s(&o->front),
    };
}

bool rp_limits_refuse_connect(const struct rp_client *c, const struct mqtt_packet *connect,
                              struct mqtt_fault *ret_fault)
{
    const struct rp_options *o = c->worker->options;
    if (front_keep_alive_is_too_long(&o->front, connect)) {
        metric_add(&c->worker->front_metrics.keep_alives_over_limit, 1);
        mqtt_fault_set(ret_fault, MQTT_REASON_NOT_AUTHORIZED, FRONT_KEEP_ALIVE_TEXT);
        return true;
    }
    if (o->max_topic_levels != 0 && connect->connect.has_will &&
        mqtt_topic_is_deeper(connect->connect.will.topic, (uint32_t)o->max_topic_levels)) {
        metric_add(&c->worker->front_metrics.topics_over_limit, 1);
        mqtt_fault_set(ret_fault, MQTT_REASON_TOPIC_NAME_INVALID,
                       "its will topic has more levels than max-topic-levels");
        return true;
    }
    return false;
}

/* --- PUBLISH */

static enum gate_answer rp_limits_close(struct rp_limits *l, uint8_t reason, const char *text)
{
    rp_client_close(l->client, reason, text);
    return GATE_CLOSED;
}

/* Too many levels. */
static enum gate_answer rp_limits_refuse_publish(struct rp_limits *l, const struct mqtt_packet *publish)
{
    static const char text[] = "topic with more levels than max-topic-levels allows";
    const bool is_v5 = publish->version == MQTT_V5;
    const uint8_t qos = publish->publish.qos;
    struct mqtt_reply reply;
    front_count_deep_topic(&l->client->worker->front_metrics, &l->client->log, qos);
    if ((qos > 0 && !is_v5) || mqtt_property_has(&publish->properties, MQTT_PROPERTY_TOPIC_ALIAS))
        return rp_limits_close(l, MQTT_REASON_TOPIC_NAME_INVALID, text);
    if (qos == 0)
        return GATE_PASS;
    mqtt_reply_ack(&reply, MQTT_V5, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, publish->packet_id);
    reply.packet.reason_code = MQTT_REASON_TOPIC_NAME_INVALID;
    if (mqtt_io_send(l->client->io, &reply.packet, NULL) < 0)
        return rp_limits_close(l, MQTT_REASON_SERVER_BUSY, err_text());
    return GATE_PASS;
}

static bool rp_limits_is_one_too_many(const struct rp_limits *l, const struct mqtt_packet *publish)
{
    const struct mqtt_inflight *f = &l->client->session->exchanges.uplink;
    return publish->version == MQTT_V5 && mqtt_inflight_publish_count(f) >= l->receive_maximum &&
           mqtt_inflight_find(f, publish->packet_id) == MQTT_INFLIGHT_NONE;
}

/* Until the broker has answered. QoS 2 does not count: a broker may answer it only when it has the PUBRELs of earlier
 * ones, and they would be behind the pause. */
static void rp_limits_hold(struct rp_limits *l)
{
    struct rp_client *c = l->client;
    if (mqtt_inflight_qos_1_count(&c->session->exchanges.uplink) < l->receive_maximum)
        return;
    metric_add(&rp_limits_metrics(c)->clients_held, 1);
    mqtt_io_pause(c->io, RP_PAUSE_INFLIGHT);
}

static enum gate_answer rp_limits_publish(struct rp_limits *l, const struct mqtt_packet *publish)
{
    if (l->max_topic_levels != 0 && mqtt_topic_is_deeper(publish->publish.topic, l->max_topic_levels))
        return rp_limits_refuse_publish(l, publish);
    if (l->receive_maximum == 0 || publish->publish.qos == 0)
        return rp_uplink_packet(l->client->session, publish);
    if (rp_limits_is_one_too_many(l, publish)) {
        metric_add(&rp_limits_metrics(l->client)->clients_over_receive_maximum, 1);
        return rp_limits_close(l, MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED,
                               "more PUBLISHes unacknowledged than receive-maximum allows");
    }
    const uint8_t version = publish->version;
    enum gate_answer answer = rp_uplink_packet(l->client->session, publish);
    if (answer == GATE_PASS && version != MQTT_V5)
        rp_limits_hold(l);
    return answer;
}

/* --- SUBSCRIBE */

static enum gate_answer rp_limits_subscribe(struct rp_limits *l, const struct mqtt_packet *subscribe)
{
    struct rp_subscriptions_reply reply;
    enum gate_answer answer = GATE_PASS;
    if (rp_subscriptions_ask(&l->subscriptions, subscribe, &reply) < 0)
        return rp_limits_close(l, MQTT_REASON_SERVER_BUSY, err_text());
    front_count_refused_filters(&l->client->worker->front_metrics, &l->client->log, reply.n_too_many, reply.n_too_deep);
    if (reply.suback.type != 0 && mqtt_io_send(l->client->io, &reply.suback, NULL) < 0)
        answer = rp_limits_close(l, MQTT_REASON_SERVER_BUSY, err_text());
    else if (reply.subscribe.type != 0)
        answer = rp_uplink_packet(l->client->session, &reply.subscribe);
    free(reply.memory);
    return answer;
}

/* --- Both ways */

enum gate_answer rp_limits_uplink(struct rp_limits *l, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_PUBLISH)
        return rp_limits_publish(l, packet);
    if (packet->type == MQTT_SUBSCRIBE)
        return rp_limits_subscribe(l, packet);
    if (packet->type == MQTT_UNSUBSCRIBE)
        rp_subscriptions_drop(&l->subscriptions, packet);
    return rp_uplink_packet(l->client->session, packet);
}

static int rp_limits_suback(struct rp_limits *l, const struct mqtt_packet *suback)
{
    struct mqtt_packet merged;
    uint8_t *memory;
    int r = rp_subscriptions_answered(&l->subscriptions, suback, &merged, &memory);
    if (r == 0)
        r = mqtt_io_send(l->client->io, &merged, NULL);
    free(memory);
    return r;
}

int rp_limits_downlink(struct rp_limits *l, const struct mqtt_packet *packet)
{
    struct rp_client *c = l->client;
    if (packet->type == MQTT_SUBACK)
        return rp_limits_suback(l, packet);
    if (packet->type == MQTT_PUBACK && mqtt_inflight_qos_1_count(&c->session->exchanges.uplink) < l->receive_maximum)
        mqtt_io_resume(c->io, RP_PAUSE_INFLIGHT);
    return mqtt_io_send(c->io, packet, NULL);
}
