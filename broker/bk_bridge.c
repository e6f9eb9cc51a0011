/* Bridges (bk_bridge.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_bridge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bk_bridge_plan.h"
#include "bk_broker.h"
#include "bk_client.h"
#include "bk_journal.h"
#include "bk_message.h"
#include "bk_publish.h"
#include "bk_retain.h"
#include "bk_session.h"
#include "bk_worker.h"
#include "conn.h"
#include "err.h"
#include "log.h"
#include "metrics.h"
#include "mqtt_io.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "topic_filter.h"

enum {
    BK_BRIDGE_INPUT_LIMIT = 64 * 1024,
    BK_BRIDGE_HIGH_MARK = 256 * 1024, /* of one side's output: then nothing is read from the other one */
    BK_BRIDGE_LOW_MARK = 32 * 1024,
    BK_BRIDGE_LINGER_MS = 2000,
};

/* Why a side is not read. */
enum {
    BK_BRIDGE_PAUSE_FULL = 1, /* the other side does not take more */
    BK_BRIDGE_PAUSE_NEAR = 2, /* far: near is not connected yet */
};

#define BK_BRIDGE_METRICS(X)                                                                        \
    X(connected, GAUGE, "bridges with both sides connected now")                                    \
    X(connection_failures, COUNTER, "attempts to reach a far broker that came to nothing")          \
    X(messages_in, COUNTER, "messages from far brokers")                                            \
    X(messages_out, COUNTER, "messages to far brokers")                                             \
    X(looped, COUNTER, "messages that had passed this broker before and were dropped (loop-guard)") \
    X(queued, GAUGE, "messages for far brokers that wait or are not acknowledged yet")              \
    X(dropped, COUNTER, "messages that were not passed on: the queue was full, too large, or not of any topic")

struct bk_bridge_metrics {
    BK_BRIDGE_METRICS(METRIC_FIELD)
};

#define METRICS_OWNER struct bk_bridge_metrics
static const struct metric_info bk_bridge_metric_infos[] = {BK_BRIDGE_METRICS(METRIC_INFO)};

struct bk_bridges {
    struct list list; /* of struct bk_bridge */
    struct bk_bridge_metrics metrics;
};

struct bk_bridge {
    struct list link;
    struct bk_worker *worker;
    struct bk_bridges *all;
    struct bk_bridge_plan *plan; /* one reference */
    struct bk_session *session;  /* here; it lasts longer */
    struct mqtt_link *far;       /* NULL until it begins */
    struct mqtt_io *near;        /* NULL unless far is up */
    struct mqtt_link_grants grants;
    struct log_object log;
    int64_t queued; /* as the metric has it */
    bool is_new;    /* the session here has nothing to do with any there */
    bool is_up;     /* near is connected too */
    uint8_t topic[MQTT_STRING_MAX];
};

static void bk_bridge_describe(const struct log_object *self, struct log_writer *w)
{
    const struct bk_bridge *b = container_of(self, struct bk_bridge, log);
    log_field(w, "bridge", "%s", b->plan->name);
}

void bk_bridge_count_drop(struct bk_bridge *b)
{
    metric_add(&b->all->metrics.dropped, 1);
}

uint64_t bk_bridge_hash_of(struct mqtt_bytes broker_id)
{
    return broker_id.len > 0 ? map_hash_bytes(broker_id.ptr, broker_id.len) : 0;
}

static void bk_bridge_measure(struct bk_bridge *b)
{
    const struct bk_queue *q = &b->session->queue;
    const int64_t queued = (int64_t)bk_queue_waiting(q) + q->open;
    metric_add(&b->all->metrics.queued, queued - b->queued);
    b->queued = queued;
}

bool bk_bridge_owns_id(struct mqtt_bytes id)
{
    static const size_t n = sizeof BK_BRIDGE_ID - 1;
    return id.len >= n && memcmp(id.ptr, BK_BRIDGE_ID, n) == 0;
}

/* --- status-topic */

static struct mqtt_bytes bk_bridge_status_topic(const struct bk_bridge *b)
{
    return (struct mqtt_bytes){(const uint8_t *)b->plan->status_topic, (uint32_t)strlen(b->plan->status_topic)};
}

/* Here. Its publisher is the bridge, so it does not go out by the bridge's own subscriptions. */
static void bk_bridge_say_here(struct bk_bridge *b, const char *status)
{
    struct bk_publication p;
    if (!b->plan->status_topic)
        return;
    bk_publication_init(&p, NULL);
    p.topic = bk_bridge_status_topic(b);
    p.payload = (struct mqtt_bytes){(const uint8_t *)status, 1};
    p.publisher = b->session->node.hash;
    p.qos = 1;
    p.retain = true;
    struct bk_message *m = bk_publication_keep(&p);
    if (m)
        bk_publish_message(b->worker, m);
    bk_publication_end(&p);
}

static void bk_bridge_say_there(struct bk_bridge *b, const char *status)
{
    const struct mqtt_packet publish = {
        .type = MQTT_PUBLISH,
        .version = b->plan->far.version,
        .publish = {.topic = b->plan->status_topic ? bk_bridge_status_topic(b) : (struct mqtt_bytes){NULL, 0},
                    .payload = {(const uint8_t *)status, 1},
                    .retain = b->grants.has_retain},
    };
    if (b->plan->status_topic)
        mqtt_link_send(b->far, &publish);
}

/* --- The end of a connection of both sides */

static void bk_bridge_close_near(struct bk_bridge *b)
{
    const struct mqtt_packet goodbye = {.type = MQTT_DISCONNECT, .version = MQTT_V5};
    if (b->near)
        mqtt_io_send(b->near, &goodbye, NULL);
    b->near = mqtt_io_close(b->near, BK_BRIDGE_LINGER_MS);
    if (!b->is_up)
        return;
    b->is_up = false;
    metric_add(&b->all->metrics.connected, -1);
    bk_bridge_say_here(b, "0");
}

/* Our side cannot go on: both connections end, and are tried again. */
static enum gate_answer bk_bridge_break(struct bk_bridge *b, uint8_t reason, const char *text)
{
    if (b->is_up)
        bk_bridge_say_there(b, "0");
    mqtt_link_retry(b->far, reason);
    log_warn(&b->log, "connection given up: %s; again in %u ms", text, mqtt_link_wait_ms(b->far));
    bk_bridge_close_near(b);
    return GATE_CLOSED;
}

/* --- Packets from one side to the other */

static void bk_bridge_send_near(struct bk_bridge *b, const struct mqtt_packet *packet)
{
    mqtt_io_send(b->near, packet, NULL); /* it has no limit; what memory is short for is repeated later */
    if (conn_queued_bytes(mqtt_io_conn(b->near)) > BK_BRIDGE_HIGH_MARK)
        mqtt_io_pause(mqtt_link_io(b->far), BK_BRIDGE_PAUSE_FULL);
}

static int bk_bridge_send_far(struct bk_bridge *b, const struct mqtt_packet *packet)
{
    const int r = mqtt_link_send(b->far, packet);
    if (conn_queued_bytes(mqtt_io_conn(mqtt_link_io(b->far))) > BK_BRIDGE_HIGH_MARK)
        mqtt_io_pause(b->near, BK_BRIDGE_PAUSE_FULL);
    return r;
}

/* What acknowledges a PUBLISH that does not go on. */
static struct mqtt_packet bk_bridge_refusal(const struct mqtt_packet *publish, uint8_t version, uint8_t reason)
{
    return (struct mqtt_packet){
        .type = publish->publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
        .version = version,
        .packet_id = publish->packet_id,
        .reason_code = version == MQTT_V5 ? reason : MQTT_REASON_SUCCESS,
    };
}

/* PUBLISH as it goes on, with its topic in B->topic. MQTT_REASON_SUCCESS, or why it does not. */
static uint8_t bk_bridge_translate(struct bk_bridge *b, enum bk_bridge_way way, uint8_t version,
                                   const struct mqtt_packet *publish, struct mqtt_packet *ret)
{
    struct bk_bridge_name name;
    if (!bk_bridge_topics_map(&b->plan->topics, way, publish->publish.topic, &name) ||
        name.prefix.len + name.rest.len > sizeof b->topic)
        return MQTT_REASON_TOPIC_NAME_INVALID;
    if (name.prefix.len > 0)
        memcpy(b->topic, name.prefix.ptr, name.prefix.len);
    if (name.rest.len > 0)
        memcpy(b->topic + name.prefix.len, name.rest.ptr, name.rest.len);
    *ret = *publish;
    ret->version = version;
    ret->publish.topic = (struct mqtt_bytes){b->topic, name.prefix.len + name.rest.len};
    if (version != MQTT_V5)
        ret->properties.wire = (struct mqtt_bytes){NULL, 0};
    return MQTT_REASON_SUCCESS;
}

/* --- Loops */

static struct mqtt_property bk_bridge_mark(const struct bk_bridge *b)
{
    return (struct mqtt_property){
        .id = MQTT_PROPERTY_USER_PROPERTY,
        .type = MQTT_PROPERTY_TYPE_PAIR,
        .key = {(const uint8_t *)MQTT_LINK_BROKER_ID, sizeof MQTT_LINK_BROKER_ID - 1},
        .value = b->plan->far.broker_id,
    };
}

static bool bk_bridge_bytes_equal(struct mqtt_bytes x, struct mqtt_bytes y)
{
    return x.len == y.len && (x.len == 0 || memcmp(x.ptr, y.ptr, x.len) == 0);
}

static bool bk_bridge_has_been_here(const struct bk_bridge *b, const struct mqtt_packet *publish)
{
    if (!b->plan->has_guard)
        return false;
    const struct mqtt_property mark = bk_bridge_mark(b);
    struct mqtt_bytes iter = publish->properties.wire;
    struct mqtt_property prop;
    while (mqtt_property_next(&iter, &prop))
        if (prop.id == mark.id && bk_bridge_bytes_equal(prop.key, mark.key) &&
            bk_bridge_bytes_equal(prop.value, mark.value))
            return true;
    return false;
}

/* As mqtt_link_send(), of a PUBLISH with this broker among those that it has passed. */
static int bk_bridge_send_marked(struct bk_bridge *b, struct mqtt_packet *publish)
{
    const struct mqtt_property mark = bk_bridge_mark(b);
    const size_t len = publish->properties.wire.len;
    uint8_t *bytes = malloc(len + mqtt_property_size(&mark));
    if (!bytes)
        return err_set(-ENOMEM, "out of memory");
    if (len > 0)
        memcpy(bytes, publish->properties.wire.ptr, len);
    const uint8_t *end = mqtt_property_put(bytes + len, &mark);
    publish->properties.wire = (struct mqtt_bytes){bytes, (uint32_t)(end - bytes)};
    const int r = bk_bridge_send_far(b, publish);
    free(bytes);
    return r;
}

/* --- PUBLISH */

static void bk_bridge_done_near(struct bk_bridge *b, const struct mqtt_packet *publish)
{
    const struct mqtt_packet done = bk_bridge_refusal(publish, MQTT_V5, MQTT_REASON_SUCCESS);
    bk_bridge_send_near(b, &done);
}

/* The far broker has a Maximum QoS. An exchange of QoS 2 here is one of QoS 1 there, and its second half stays here;
 * with QoS 0 all of it does. */
static void bk_bridge_lower_qos(const struct bk_bridge *b, struct mqtt_packet *publish)
{
    if (publish->publish.qos <= b->grants.max_qos)
        return;
    publish->publish.qos = b->grants.max_qos;
    if (publish->publish.qos > 0)
        return;
    publish->packet_id = 0;
    publish->dup = false;
}

/* PUBACK there, of an exchange of QoS 2 here. */
static bool bk_bridge_was_lowered(const struct bk_bridge *b, const struct mqtt_packet *ack)
{
    if (b->grants.max_qos == 2 || ack->type != MQTT_PUBACK)
        return false;
    const struct bk_entry *e = bk_queue_find(&b->session->queue, ack->packet_id);
    return e && e->qos == 2;
}

/* PUBLISH of our session. */
static enum gate_answer bk_bridge_publish_out(struct bk_bridge *b, const struct mqtt_packet *publish)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    struct mqtt_packet out;
    if (bk_bridge_has_been_here(b, publish)) {
        metric_add(&b->all->metrics.looped, 1);
        if (publish->publish.qos > 0)
            bk_bridge_done_near(b, publish);
        return GATE_PASS;
    }
    uint8_t reason = bk_bridge_translate(b, BK_BRIDGE_OUT, b->plan->far.version, publish, &out);
    if (reason == MQTT_REASON_SUCCESS) {
        out.publish.retain = out.publish.retain && b->grants.has_retain;
        bk_bridge_lower_qos(b, &out);
        const int r = b->plan->has_guard ? bk_bridge_send_marked(b, &out) : bk_bridge_send_far(b, &out);
        if (r < 0)
            return bk_bridge_break(b, MQTT_REASON_UNSPECIFIED, err_text());
        reason = r == MQTT_IO_TOO_LARGE ? MQTT_REASON_IMPLEMENTATION_SPECIFIC : MQTT_REASON_SUCCESS;
    }
    if (reason == MQTT_REASON_SUCCESS) {
        metric_add(&b->all->metrics.messages_out, 1);
        if (publish->publish.qos > 0 && out.publish.qos == 0)
            bk_bridge_done_near(b, publish);
        return GATE_PASS;
    }
    bk_bridge_count_drop(b);
    log_rate_limited(&limit, LOG_LEVEL_WARN, &b->log, "a message is dropped: %s",
                     reason == MQTT_REASON_IMPLEMENTATION_SPECIFIC
                         ? "it is larger than the far broker takes"
                         : "its topic is not bridged any more, or too long there");
    const struct mqtt_packet refusal = bk_bridge_refusal(publish, MQTT_V5, reason);
    if (publish->publish.qos > 0)
        bk_bridge_send_near(b, &refusal);
    return GATE_PASS;
}

/* PUBLISH of the far session. */
static enum gate_answer bk_bridge_publish_in(struct bk_bridge *b, const struct mqtt_packet *publish)
{
    struct mqtt_packet in;
    const bool is_looped = bk_bridge_has_been_here(b, publish);
    const uint8_t reason =
        is_looped ? MQTT_REASON_SUCCESS : bk_bridge_translate(b, BK_BRIDGE_IN, MQTT_V5, publish, &in);
    if (reason == MQTT_REASON_SUCCESS && !is_looped) {
        metric_add(&b->all->metrics.messages_in, 1);
        bk_bridge_send_near(b, &in);
        return GATE_PASS;
    }
    /* else it is of a subscription of before that the far session still has */
    metric_add(is_looped ? &b->all->metrics.looped : &b->all->metrics.dropped, 1);
    const struct mqtt_packet refusal = bk_bridge_refusal(publish, b->plan->far.version, reason);
    if (publish->publish.qos > 0)
        bk_bridge_send_far(b, &refusal);
    return GATE_PASS;
}

/* An acknowledgement as it goes on: the outcome stays, what only one side has words for does not. */
static struct mqtt_packet bk_bridge_ack(const struct mqtt_packet *ack, uint8_t version)
{
    const bool is_error = version == MQTT_V5 && ack->reason_code >= MQTT_REASON_UNSPECIFIED;
    return (struct mqtt_packet){
        .type = ack->type,
        .version = version,
        .packet_id = ack->packet_id,
        .reason_code = is_error ? ack->reason_code : MQTT_REASON_SUCCESS,
    };
}

/* The message would be lost to a side that has no room at present: it stays where it is. */
static bool bk_bridge_is_full(const struct mqtt_packet *ack)
{
    return (ack->type == MQTT_PUBACK || ack->type == MQTT_PUBREC) && ack->reason_code == MQTT_REASON_QUOTA_EXCEEDED;
}

/* --- near */

static void bk_bridge_go_up(struct bk_bridge *b)
{
    b->is_up = true;
    b->is_new = false;
    metric_add(&b->all->metrics.connected, 1);
    bk_bridge_measure(b);
    log_info(&b->log, "connected, MQTT %s", mqtt_version_name(b->plan->far.version));
    bk_bridge_say_here(b, "1");
    bk_bridge_say_there(b, "1");
    mqtt_io_resume(mqtt_link_io(b->far), BK_BRIDGE_PAUSE_NEAR);
}

static enum gate_answer bk_bridge_from_near(struct mqtt_io *io, const struct mqtt_packet *packet, void *arg)
{
    struct bk_bridge *b = arg;
    struct mqtt_packet ack;
    switch (packet->type) {
    case MQTT_CONNACK:
        if (packet->reason_code != MQTT_REASON_SUCCESS)
            return bk_bridge_break(b, MQTT_REASON_UNSPECIFIED, mqtt_reason_text(MQTT_CONNACK, packet->reason_code));
        bk_bridge_go_up(b);
        return GATE_PASS;
    case MQTT_PUBLISH:
        return bk_bridge_publish_out(b, packet);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        if (bk_bridge_is_full(packet))
            return bk_bridge_break(b, MQTT_REASON_QUOTA_EXCEEDED, "the store is full");
        if (packet->type == MQTT_PUBREL && b->grants.max_qos < 2) {
            ack = bk_bridge_ack(packet, MQTT_V5);
            ack.type = MQTT_PUBCOMP;
            bk_bridge_send_near(b, &ack);
            return GATE_PASS;
        }
        ack = bk_bridge_ack(packet, b->plan->far.version);
        return bk_bridge_send_far(b, &ack) < 0 ? bk_bridge_break(b, MQTT_REASON_UNSPECIFIED, err_text()) : GATE_PASS;
    default: /* DISCONNECT */
        return bk_bridge_break(b, MQTT_REASON_UNSPECIFIED, mqtt_reason_text(packet->type, packet->reason_code));
    }
}

static void bk_bridge_on_near_bad(struct mqtt_io *io, uint8_t reason, const char *text, void *arg)
{
    bk_bridge_break(arg, MQTT_REASON_UNSPECIFIED, text);
}

static void bk_bridge_on_near_drain(struct mqtt_io *io, void *arg)
{
    struct bk_bridge *b = arg;
    mqtt_io_resume(mqtt_link_io(b->far), BK_BRIDGE_PAUSE_FULL);
}

static void bk_bridge_on_near_end(struct mqtt_io *io, enum conn_end why, const char *text, void *arg)
{
    bk_bridge_break(arg, MQTT_REASON_UNSPECIFIED, "its session here was closed");
}

static const struct mqtt_io_cbs bk_bridge_near_cbs = {
    .on_packet = bk_bridge_from_near,
    .on_bad_packet = bk_bridge_on_near_bad,
    .on_drain = bk_bridge_on_near_drain,
    .on_end = bk_bridge_on_near_end,
};

static struct conn_parcel bk_bridge_parcel(const struct bk_bridge *b, int fd)
{
    struct conn_parcel parcel = {.fd = fd};
    parcel.peer.address.any.sa_family = parcel.peer.local.any.sa_family = AF_UNIX;
    snprintf(parcel.peer.text, sizeof parcel.peer.text, "bridge:%.50s", b->plan->name);
    return parcel;
}

static void bk_bridge_connect_near(struct bk_bridge *b)
{
    uint8_t properties[8];
    uint8_t *p = mqtt_property_put_u32(properties, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, BK_EXPIRY_NEVER);
    p = mqtt_property_put_u16(p, MQTT_PROPERTY_RECEIVE_MAXIMUM, b->grants.receive_max);
    const struct mqtt_packet connect = {
        .type = MQTT_CONNECT,
        .version = MQTT_V5,
        .properties = {{properties, (uint32_t)(p - properties)}},
        .connect = {.client_id = {(const uint8_t *)b->plan->local_id, (uint32_t)strlen(b->plan->local_id)},
                    .protocol_level = MQTT_V5},
    };
    mqtt_io_send(b->near, &connect, NULL);
}

/* A socket pair: one end is ours, the other a client of this worker. 0 or negative errno with err_text(). */
static int bk_bridge_open_near(struct bk_bridge *b)
{
    struct bk_worker *w = b->worker;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return err_errno(-errno, "socket pair");
    const struct mqtt_io_params params = {
        .cbs = &bk_bridge_near_cbs, .arg = b, .version = MQTT_V5, .input_limit = BK_BRIDGE_INPUT_LIMIT};
    struct conn_parcel ours = bk_bridge_parcel(b, fds[0]), theirs = bk_bridge_parcel(b, fds[1]);
    int r = mqtt_io_open(w->loop, &ours, &params, &b->near);
    if (r < 0) {
        close(fds[1]);
        return r;
    }
    conn_set_low_mark(mqtt_io_conn(b->near), BK_BRIDGE_LOW_MARK);
    bk_worker_take_inner(w, &theirs);
    bk_bridge_connect_near(b);
    return 0;
}

/* --- far */

/* Until near is there, nothing of the far session is read. */
static enum gate_answer bk_bridge_on_far_up(struct mqtt_link *l, const struct mqtt_link_grants *grants, void *arg)
{
    struct bk_bridge *b = arg;
    b->grants = *grants;
    b->session->broker = bk_bridge_hash_of(grants->broker_id);
    if (!grants->is_session_present) {
        if (!b->is_new)
            log_warn(&b->log, "the far broker does not know the session any more: what waited there is lost");
        bk_session_forget_inbound(b->session);
    }
    if (bk_bridge_open_near(b) < 0)
        return bk_bridge_break(b, MQTT_REASON_UNSPECIFIED, err_text());
    mqtt_io_pause(mqtt_link_io(l), BK_BRIDGE_PAUSE_NEAR);
    return GATE_PASS;
}

static enum gate_answer bk_bridge_from_far(struct mqtt_link *l, const struct mqtt_packet *packet, void *arg)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    struct bk_bridge *b = arg;
    if (packet->type == MQTT_PUBLISH)
        return bk_bridge_publish_in(b, packet);
    if (bk_bridge_is_full(packet))
        return bk_bridge_break(b, MQTT_REASON_SUCCESS, "the far broker has no room");
    struct mqtt_packet ack = bk_bridge_ack(packet, MQTT_V5);
    if (bk_bridge_was_lowered(b, packet))
        ack.type = MQTT_PUBREC;
    if (packet->type != MQTT_PUBREL && packet->type != MQTT_PUBCOMP && ack.reason_code != MQTT_REASON_SUCCESS) {
        bk_bridge_count_drop(b);
        log_rate_limited(&limit, LOG_LEVEL_WARN, &b->log, "the far broker refuses a message: %s",
                         mqtt_reason_text(packet->type, packet->reason_code));
    }
    bk_bridge_send_near(b, &ack);
    return GATE_PASS;
}

static void bk_bridge_on_far_refused(struct mqtt_link *l, struct mqtt_bytes filter, uint8_t reason, void *arg)
{
    const struct bk_bridge *b = arg;
    log_error(&b->log, "the far broker refuses the subscription to '%.*s': %s", (int)filter.len,
              (const char *)filter.ptr, mqtt_reason_text(MQTT_SUBACK, reason));
}

static void bk_bridge_on_far_drain(struct mqtt_link *l, void *arg)
{
    struct bk_bridge *b = arg;
    if (b->near)
        mqtt_io_resume(b->near, BK_BRIDGE_PAUSE_FULL);
}

static void bk_bridge_on_far_down(struct mqtt_link *l, const char *text, uint32_t wait_ms, void *arg)
{
    struct bk_bridge *b = arg;
    log_warn(&b->log, "connection lost: %s; again in %u ms", text, wait_ms);
    bk_bridge_close_near(b);
}

static void bk_bridge_on_far_failed(struct mqtt_link *l, const char *text, uint32_t wait_ms, void *arg)
{
    struct bk_bridge *b = arg;
    metric_add(&b->all->metrics.connection_failures, 1);
    log_warn(&b->log, "not connected: %s; again in %u ms", text, wait_ms);
}

static const struct mqtt_link_cbs bk_bridge_far_cbs = {
    .on_up = bk_bridge_on_far_up,
    .on_packet = bk_bridge_from_far,
    .on_refused = bk_bridge_on_far_refused,
    .on_drain = bk_bridge_on_far_drain,
    .on_down = bk_bridge_on_far_down,
    .on_failed = bk_bridge_on_far_failed,
};

/* --- Its session here */

static struct mqtt_bytes bk_bridge_filter(const struct bk_bridge_topic *line)
{
    return (struct mqtt_bytes){(const uint8_t *)line->local, (uint32_t)strlen(line->local)};
}

static bool bk_bridge_wants(const struct bk_bridge_plan *plan, struct mqtt_bytes filter)
{
    for (size_t i = 0; i < plan->topics.n; i++) {
        const struct bk_bridge_topic *line = &plan->topics.list[i];
        const struct mqtt_bytes wanted = bk_bridge_filter(line);
        if ((line->ways & BK_BRIDGE_OUT) && wanted.len == filter.len && memcmp(wanted.ptr, filter.ptr, filter.len) == 0)
            return true;
    }
    return false;
}

/* Subscriptions that the plan does not have any more. */
static void bk_bridge_unsubscribe(struct bk_bridge *b)
{
    struct bk_session *s = b->session;
    for (uint32_t i = s->n_subscriptions; i-- > 0;) {
        const struct mqtt_bytes filter = topic_filter_text(s->subscriptions[i].filter);
        if (!bk_bridge_wants(b->plan, filter))
            bk_session_unsubscribe(s, filter);
    }
}

/* No Local: what comes from there does not go back. What is retained here goes there once. */
static int bk_bridge_subscribe(struct bk_bridge *b)
{
    struct bk_session *s = b->session;
    for (size_t i = 0; i < b->plan->topics.n; i++) {
        const struct bk_bridge_topic *line = &b->plan->topics.list[i];
        const struct mqtt_subscription sub = {
            .filter = bk_bridge_filter(line), .qos = line->qos, .no_local = true, .retain_as_published = true};
        if (!(line->ways & BK_BRIDGE_OUT))
            continue;
        const struct bk_subscribe_result r = bk_session_subscribe(s, &sub, 0);
        if (r.reason_code >= MQTT_REASON_UNSPECIFIED)
            return err_set(-EINVAL, "'%.200s': %s", line->local, mqtt_reason_text(MQTT_SUBACK, r.reason_code));
        if (r.is_new && bk_retain_send(s, sub.filter, sub.qos, 0) < 0)
            return err_set(-ENOMEM, "out of memory");
    }
    return 0;
}

static int bk_bridge_open_session(struct bk_bridge *b)
{
    const struct mqtt_bytes id = {(const uint8_t *)b->plan->local_id, (uint32_t)strlen(b->plan->local_id)};
    struct bk_session *s = bk_session_find(b->worker, id);
    b->is_new = b->is_new || !s;
    if (!s)
        s = bk_session_new(b->worker, id);
    if (!s)
        return err_set(-ENOMEM, "out of memory");
    b->session = s;
    s->bridge = b;
    s->expiry_s = BK_EXPIRY_NEVER;
    bk_journal_session(s);
    bk_bridge_unsubscribe(b);
    return bk_bridge_subscribe(b);
}

/* --- Life */

static struct bk_bridge *bk_bridge_free(struct bk_bridge *b)
{
    if (b->far && mqtt_link_is_up(b->far) && b->is_up)
        bk_bridge_say_there(b, "0");
    if (b->session)
        bk_bridge_close_near(b);
    mqtt_link_close(b->far, BK_BRIDGE_LINGER_MS);
    if (b->session)
        b->session->bridge = NULL;
    metric_add(&b->all->metrics.queued, -b->queued);
    list_del(&b->link);
    bk_bridge_plan_unref(b->plan);
    free(b);
    return NULL;
}

/* BEFORE: the plan that it had until now; NULL: it is new. 0 or negative errno with err_text(). */
static int bk_bridge_new(struct bk_worker *w, struct bk_bridge_plan *plan, const struct bk_bridge_plan *before)
{
    struct bk_bridge *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(-ENOMEM, "out of memory");
    b->worker = w;
    b->all = w->bridges;
    b->plan = bk_bridge_plan_ref(plan);
    b->log.describe = bk_bridge_describe;
    b->is_new = before && !bk_bridge_plan_has_same_session(plan, before);
    list_add_tail(&b->all->list, &b->link);
    int r = bk_bridge_open_session(b);
    if (r < 0) {
        bk_bridge_free(b);
        return err_context(r, "bridge %s", plan->name);
    }
    bk_bridge_say_here(b, "0");
    return 0;
}

/* --- All of a worker */

static struct bk_bridges *bk_bridges_new(struct bk_worker *w)
{
    struct bk_bridges *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    list_init(&all->list);
    if (metrics_add(broker_metrics(w->broker), "bridge", bk_bridge_metric_infos,
                    sizeof bk_bridge_metric_infos / sizeof bk_bridge_metric_infos[0], &all->metrics) == 0)
        return all;
    free(all);
    return NULL;
}

static struct bk_bridge *bk_bridges_find(const struct bk_bridges *all, const struct bk_bridge_plan *plan)
{
    list_for_each (it, &all->list) {
        struct bk_bridge *b = list_entry(it, struct bk_bridge, link);
        if (strcmp(b->plan->name, plan->name) == 0)
            return b;
    }
    return NULL;
}

/* The session of ID has no connection any more. */
static void bk_bridges_part(struct bk_session *s)
{
    if (s->client)
        bk_client_close(s->client, MQTT_REASON_SUCCESS, "its bridge has ended or changed");
}

static int bk_bridges_add(struct bk_worker *w, struct bk_bridge_plan *plan)
{
    struct bk_bridge *old = bk_bridges_find(w->bridges, plan);
    if (!old)
        return bk_bridge_new(w, plan, NULL);
    if (old->plan == plan)
        return 0;
    struct bk_bridge_plan *before = bk_bridge_plan_ref(old->plan);
    struct bk_session *s = old->session;
    log_info(&old->log, "begins anew, its options have changed");
    bk_bridge_free(old);
    bk_bridges_part(s);
    const int r = bk_bridge_new(w, plan, before);
    bk_bridge_plan_unref(before);
    return r;
}

static bool bk_bridge_is_planned(const struct bk_bridge *b, const struct bk_bridge_plans *plans)
{
    for (size_t i = 0; i < bk_bridge_plans_count(plans); i++)
        if (strcmp(bk_bridge_plans_get(plans, i)->name, b->plan->name) == 0)
            return true;
    return false;
}

/* One whose bridge is not there any more. */
static struct bk_session *bk_bridges_orphan(const struct bk_worker *w)
{
    for (size_t i = 0; i < w->sessions.n_slots; i++)
        for (struct map_node *node = w->sessions.slots[i]; node; node = node->next) {
            struct bk_session *s = container_of(node, struct bk_session, node);
            if (!s->bridge && bk_bridge_owns_id(bk_session_id(s)))
                return s;
        }
    return NULL;
}

static void bk_bridges_end_orphans(struct bk_worker *w)
{
    struct bk_session *s;
    while ((s = bk_bridges_orphan(w))) {
        log_info(NULL, "bridge '%.*s' is not there any more: its session ends", (int)s->id_len, s->id);
        bk_bridges_part(s);
        bk_session_end(s);
    }
}

static int bk_bridges_add_all(struct bk_worker *w, const struct bk_bridge_plans *plans)
{
    for (size_t i = 0; i < bk_bridge_plans_count(plans); i++) {
        struct bk_bridge_plan *plan = bk_bridge_plans_get(plans, i);
        const struct mqtt_bytes id = {(const uint8_t *)plan->local_id, (uint32_t)strlen(plan->local_id)};
        if (bk_worker_of(w, id) != w->index_of)
            continue;
        if (!w->bridges)
            w->bridges = bk_bridges_new(w);
        int r = w->bridges ? bk_bridges_add(w, plan) : err_set(-ENOMEM, "out of memory");
        if (r < 0)
            return r;
    }
    return 0;
}

int bk_bridges_apply(struct bk_worker *w, const struct bk_bridge_plans *plans)
{
    int r = bk_bridges_add_all(w, plans);
    if (w->bridges) {
        list_for_each_safe (it, tmp, &w->bridges->list) {
            struct bk_bridge *b = list_entry(it, struct bk_bridge, link);
            if (!bk_bridge_is_planned(b, plans))
                bk_bridge_free(b);
        }
    }
    if (r == 0)
        bk_bridges_end_orphans(w);
    return r;
}

void bk_bridges_begin(struct bk_worker *w)
{
    if (!w->bridges)
        return;
    list_for_each (it, &w->bridges->list) {
        struct bk_bridge *b = list_entry(it, struct bk_bridge, link);
        if (!b->far && mqtt_link_open(w->loop, &b->plan->far, b->is_new, &bk_bridge_far_cbs, b, &b->far) < 0)
            log_error(&b->log, "not connected: %s", err_text());
    }
}

void bk_bridges_end(struct bk_worker *w)
{
    struct bk_bridges *all = w->bridges;
    if (!all)
        return;
    list_for_each_safe (it, tmp, &all->list)
        bk_bridge_free(list_entry(it, struct bk_bridge, link));
    metrics_remove(broker_metrics(w->broker), &all->metrics);
    free(all);
    w->bridges = NULL;
}

void bk_bridges_tick(struct bk_worker *w)
{
    if (!w->bridges)
        return;
    list_for_each (it, &w->bridges->list)
        bk_bridge_measure(list_entry(it, struct bk_bridge, link));
}
