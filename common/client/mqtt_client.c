/* A session and its exchanges (mqtt_client.h). */
#include "mqtt_client.h"

#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "list.h"
#include "loop.h"
#include "map.h"
#include "mqtt_inflight.h"
#include "mqtt_io.h"
#include "mqtt_reason.h"

enum {
    CLIENT_HIGH_MARK = 256 * 1024, /* of the output: nothing more is begun above it */
    CLIENT_OPEN_MAX = 32768,       /* open exchanges, so that there is always an id for one more */
    CLIENT_PAUSE_USER = 1,         /* mqtt_io_pause() */
};

/* A message on its way to the broker. */
struct mqtt_outgoing {
    struct list link;           /* in client->outgoing */
    struct map_node by_id;      /* once it has an id; hash = id */
    struct mqtt_packet *packet; /* owned; NULL once PUBREC has come */
    void *token;
    uint16_t id;  /* 0: it waits */
    bool is_sent; /* on this connection */
};

struct mqtt_receipt {
    struct list link; /* in client->receipts, or client->stale */
    uint16_t id;
    uint8_t qos;
    uint8_t reason;
    bool is_done;
    bool is_stale; /* the session that it is of is no more */
};

struct mqtt_client {
    struct mqtt_link *link;
    const struct mqtt_link_config *config;
    const struct mqtt_client_cbs *cbs;
    void *arg;
    struct loop *loop;
    struct loop_task task; /* sends what can be sent, at the end of the turn */
    struct list outgoing;  /* in order: those with an id, then those that wait */
    struct map by_id;
    struct list *next; /* in outgoing: the first that is not sent on this connection, or its head */
    size_t n_outgoing;
    uint32_t n_open;      /* sent on this connection and not over */
    uint16_t receive_max; /* the broker's */
    uint16_t last_id;
    struct list receipts; /* in the order of their messages */
    struct list stale;
    struct mqtt_inflight inbound; /* PUBLISH_1, PUBLISH_2: the user has it; PUBREC: has been sent */
    bool is_paused;
};

static bool mqtt_client_has_id(const struct map_node *node, const void *key)
{
    return node->hash == *(const uint64_t *)key;
}

static struct mqtt_outgoing *mqtt_client_find(const struct mqtt_client *c, uint16_t id)
{
    const uint64_t hash = id;
    struct map_node *node = map_find(&c->by_id, hash, &hash);
    return node ? container_of(node, struct mqtt_outgoing, by_id) : NULL;
}

static void mqtt_client_send_ack(struct mqtt_client *c, enum mqtt_type type, uint16_t id, uint8_t reason)
{
    const struct mqtt_packet ack = {.type = type,
                                    .version = c->config->version,
                                    .packet_id = id,
                                    .reason_code = c->config->version == MQTT_V5 ? reason : 0};
    mqtt_link_send(c->link, &ack); /* what memory is short for is asked for again on the next connection */
}

/* --- To the broker */

static void mqtt_client_free_outgoing(struct mqtt_client *c, struct mqtt_outgoing *o)
{
    if (c->next == &o->link)
        c->next = o->link.next;
    if (o->id != 0)
        map_remove(&c->by_id, &o->by_id);
    c->n_open -= o->is_sent;
    c->n_outgoing--;
    list_del(&o->link);
    free(o->packet);
    free(o);
}

static void mqtt_client_finish(struct mqtt_client *c, struct mqtt_outgoing *o, uint8_t reason)
{
    void *token = o->token;
    mqtt_client_free_outgoing(c, o);
    loop_defer(c->loop, &c->task);
    c->cbs->on_published(c, token, reason, c->arg);
}

/* False: out of memory. */
static bool mqtt_client_give_id(struct mqtt_client *c, struct mqtt_outgoing *o)
{
    do
        c->last_id = (uint16_t)(c->last_id % (MQTT_LINK_UNSUBSCRIBE_ID - 1) + 1);
    while (mqtt_client_find(c, c->last_id));
    if (map_add(&c->by_id, &o->by_id, c->last_id) < 0)
        return false;
    o->id = c->last_id;
    o->packet->packet_id = o->id;
    return true;
}

/* As mqtt_link_send(). */
static int mqtt_client_begin(struct mqtt_client *c, struct mqtt_outgoing *o)
{
    if (!o->packet) {
        mqtt_client_send_ack(c, MQTT_PUBREL, o->id, MQTT_REASON_SUCCESS);
        return 0;
    }
    if (o->id == 0 && !mqtt_client_give_id(c, o))
        return -ENOMEM;
    const int r = mqtt_link_send(c->link, o->packet);
    if (r == 0)
        o->packet->dup = true; /* next time */
    return r;
}

static bool mqtt_client_is_open(const struct mqtt_client *c)
{
    return mqtt_link_is_up(c->link) && c->n_open < c->receive_max &&
           conn_queued_bytes(mqtt_io_conn(mqtt_link_io(c->link))) < CLIENT_HIGH_MARK;
}

static void mqtt_client_pump(struct mqtt_client *c)
{
    while (c->next != &c->outgoing && mqtt_client_is_open(c)) {
        struct mqtt_outgoing *o = list_entry(c->next, struct mqtt_outgoing, link);
        const int r = mqtt_client_begin(c, o);
        if (r < 0)
            return; /* memory is short: again when something has moved */
        if (r == MQTT_IO_TOO_LARGE) {
            mqtt_client_finish(c, o, MQTT_REASON_PACKET_TOO_LARGE);
            continue;
        }
        o->is_sent = true;
        c->n_open++;
        c->next = o->link.next;
    }
}

/* PUBREC. */
static void mqtt_client_received(struct mqtt_client *c, struct mqtt_outgoing *o, const struct mqtt_packet *ack)
{
    if (o && o->packet && ack->reason_code >= MQTT_REASON_UNSPECIFIED) {
        mqtt_client_finish(c, o, ack->reason_code);
        return;
    }
    if (o) {
        free(o->packet);
        o->packet = NULL;
    }
    if (ack->reason_code < MQTT_REASON_UNSPECIFIED)
        mqtt_client_send_ack(c, MQTT_PUBREL, ack->packet_id, o ? MQTT_REASON_SUCCESS : MQTT_REASON_PACKET_ID_NOT_FOUND);
}

static void mqtt_client_answered(struct mqtt_client *c, const struct mqtt_packet *ack)
{
    struct mqtt_outgoing *o = mqtt_client_find(c, ack->packet_id);
    if (ack->type == MQTT_PUBREC)
        mqtt_client_received(c, o && !(o->packet && o->packet->publish.qos != 2) ? o : NULL, ack);
    else if (o && ack->type == MQTT_PUBACK && o->packet && o->packet->publish.qos == 1)
        mqtt_client_finish(c, o, ack->reason_code);
    else if (o && ack->type == MQTT_PUBCOMP && !o->packet)
        mqtt_client_finish(c, o, MQTT_REASON_SUCCESS);
}

int mqtt_client_publish(struct mqtt_client *c, const struct mqtt_packet *publish, void *token)
{
    struct mqtt_packet copy = *publish;
    copy.type = MQTT_PUBLISH;
    copy.version = c->config->version;
    copy.dup = false;
    copy.packet_id = 0;
    if (copy.version != MQTT_V5)
        copy.properties.wire = (struct mqtt_bytes){NULL, 0};
    if (copy.publish.qos == 0)
        return mqtt_link_is_up(c->link) ? mqtt_link_send(c->link, &copy) : MQTT_CLIENT_DOWN;
    struct mqtt_outgoing *o = calloc(1, sizeof *o);
    if (!o || !(o->packet = mqtt_packet_store(&copy))) {
        free(o);
        return err_set(-ENOMEM, "out of memory");
    }
    o->token = token;
    list_add_tail(&c->outgoing, &o->link);
    c->n_outgoing++;
    if (c->next == &c->outgoing)
        c->next = &o->link;
    loop_defer(c->loop, &c->task);
    return 0;
}

size_t mqtt_client_unpublished(const struct mqtt_client *c)
{
    return c->n_outgoing;
}

/* --- From the broker */

static enum gate_answer mqtt_client_give_up(struct mqtt_client *c)
{
    mqtt_link_retry(c->link, MQTT_REASON_UNSPECIFIED);
    c->cbs->on_down(c, "out of memory", mqtt_link_wait_ms(c->link), c->arg);
    return GATE_CLOSED;
}

static enum gate_answer mqtt_client_take(struct mqtt_client *c, const struct mqtt_packet *publish)
{
    struct mqtt_receipt *r = calloc(1, sizeof *r);
    const bool is_2 = publish->publish.qos == 2;
    if (!r || mqtt_inflight_add(&c->inbound, publish->packet_id,
                                is_2 ? MQTT_INFLIGHT_PUBLISH_2 : MQTT_INFLIGHT_PUBLISH_1) < 0) {
        free(r);
        return mqtt_client_give_up(c);
    }
    r->id = publish->packet_id;
    r->qos = publish->publish.qos;
    list_add_tail(&c->receipts, &r->link);
    c->cbs->on_message(c, publish, r, c->arg);
    return GATE_PASS;
}

/* A repeat of what the user has is passed over; of what it is done with, acknowledged (MQTT-4.3.3-10). */
static enum gate_answer mqtt_client_message(struct mqtt_client *c, const struct mqtt_packet *publish)
{
    if (publish->publish.qos == 0) {
        c->cbs->on_message(c, publish, NULL, c->arg);
        return GATE_PASS;
    }
    switch (mqtt_inflight_find(&c->inbound, publish->packet_id)) {
    case MQTT_INFLIGHT_NONE:
        return mqtt_client_take(c, publish);
    case MQTT_INFLIGHT_PUBREC:
        mqtt_client_send_ack(c, MQTT_PUBREC, publish->packet_id, MQTT_REASON_SUCCESS);
        return GATE_PASS;
    default:
        return GATE_PASS;
    }
}

static void mqtt_client_release(struct mqtt_client *c, const struct mqtt_packet *pubrel)
{
    const bool is_known = mqtt_inflight_find(&c->inbound, pubrel->packet_id) == MQTT_INFLIGHT_PUBREC;
    if (is_known)
        mqtt_inflight_remove(&c->inbound, pubrel->packet_id);
    mqtt_client_send_ack(c, MQTT_PUBCOMP, pubrel->packet_id,
                         is_known ? MQTT_REASON_SUCCESS : MQTT_REASON_PACKET_ID_NOT_FOUND);
}

/* Acknowledge the first messages that the user is done with. */
static void mqtt_client_flush(struct mqtt_client *c)
{
    while (mqtt_link_is_up(c->link) && !list_is_empty(&c->receipts)) {
        struct mqtt_receipt *r = list_entry(list_first(&c->receipts), struct mqtt_receipt, link);
        if (!r->is_done)
            return;
        if (r->qos == 2 && r->reason < MQTT_REASON_UNSPECIFIED)
            mqtt_inflight_advance(&c->inbound, r->id, MQTT_INFLIGHT_PUBREC);
        else
            mqtt_inflight_remove(&c->inbound, r->id);
        mqtt_client_send_ack(c, r->qos == 2 ? MQTT_PUBREC : MQTT_PUBACK, r->id, r->reason);
        list_del(&r->link);
        free(r);
    }
}

void mqtt_client_acknowledge(struct mqtt_client *c, struct mqtt_receipt *r, uint8_t reason)
{
    if (r->is_stale) {
        list_del(&r->link);
        free(r);
        return;
    }
    r->is_done = true;
    r->reason = reason;
    loop_defer(c->loop, &c->task);
}

static void mqtt_client_on_task(struct loop_task *task)
{
    struct mqtt_client *c = container_of(task, struct mqtt_client, task);
    mqtt_client_flush(c);
    mqtt_client_pump(c);
}

/* --- Connections */

/* The broker's session is a new one. */
static void mqtt_client_begin_anew(struct mqtt_client *c)
{
    list_for_each_safe (it, tmp, &c->receipts) {
        struct mqtt_receipt *r = list_entry(it, struct mqtt_receipt, link);
        r->is_stale = true;
        list_move_tail(&c->stale, it);
        if (r->is_done) {
            list_del(it);
            free(r);
        }
    }
    mqtt_inflight_clear(&c->inbound);
    list_for_each_safe (it, tmp, &c->outgoing) {
        struct mqtt_outgoing *o = list_entry(it, struct mqtt_outgoing, link);
        if (o->packet)
            o->packet->dup = false;
        else
            mqtt_client_finish(c, o, MQTT_REASON_SUCCESS); /* it had the message */
    }
}

static enum gate_answer mqtt_client_on_up(struct mqtt_link *l, const struct mqtt_link_grants *grants, void *arg)
{
    struct mqtt_client *c = arg;
    c->receive_max = grants->receive_max < CLIENT_OPEN_MAX ? grants->receive_max : CLIENT_OPEN_MAX;
    c->n_open = 0;
    list_for_each (it, &c->outgoing)
        list_entry(it, struct mqtt_outgoing, link)->is_sent = false;
    c->next = c->outgoing.next;
    if (!grants->is_session_present)
        mqtt_client_begin_anew(c);
    if (c->is_paused)
        mqtt_io_pause(mqtt_link_io(l), CLIENT_PAUSE_USER);
    loop_defer(c->loop, &c->task);
    c->cbs->on_up(c, grants, c->arg);
    return GATE_PASS;
}

static enum gate_answer mqtt_client_on_packet(struct mqtt_link *l, const struct mqtt_packet *packet, void *arg)
{
    struct mqtt_client *c = arg;
    switch (packet->type) {
    case MQTT_PUBLISH:
        return mqtt_client_message(c, packet);
    case MQTT_PUBREL:
        mqtt_client_release(c, packet);
        return GATE_PASS;
    default:
        mqtt_client_answered(c, packet);
        return GATE_PASS;
    }
}

static void mqtt_client_on_refused(struct mqtt_link *l, struct mqtt_bytes filter, uint8_t reason, void *arg)
{
    struct mqtt_client *c = arg;
    c->cbs->on_refused(c, filter, reason, c->arg);
}

static void mqtt_client_on_drain(struct mqtt_link *l, void *arg)
{
    mqtt_client_pump(arg);
}

static void mqtt_client_on_down(struct mqtt_link *l, const char *text, uint32_t wait_ms, void *arg)
{
    struct mqtt_client *c = arg;
    c->cbs->on_down(c, text, wait_ms, c->arg);
}

static void mqtt_client_on_failed(struct mqtt_link *l, const char *text, uint32_t wait_ms, void *arg)
{
    struct mqtt_client *c = arg;
    c->cbs->on_failed(c, text, wait_ms, c->arg);
}

static const struct mqtt_link_cbs mqtt_client_link_cbs = {
    .on_up = mqtt_client_on_up,
    .on_packet = mqtt_client_on_packet,
    .on_refused = mqtt_client_on_refused,
    .on_drain = mqtt_client_on_drain,
    .on_down = mqtt_client_on_down,
    .on_failed = mqtt_client_on_failed,
};

bool mqtt_client_is_up(const struct mqtt_client *c)
{
    return mqtt_link_is_up(c->link);
}

void mqtt_client_pause(struct mqtt_client *c)
{
    c->is_paused = true;
    if (mqtt_link_is_up(c->link))
        mqtt_io_pause(mqtt_link_io(c->link), CLIENT_PAUSE_USER);
}

void mqtt_client_resume(struct mqtt_client *c)
{
    c->is_paused = false;
    if (mqtt_link_is_up(c->link))
        mqtt_io_resume(mqtt_link_io(c->link), CLIENT_PAUSE_USER);
}

/* --- Life */

int mqtt_client_open(struct loop *loop, const struct mqtt_link_config *config, bool is_new,
                     const struct mqtt_client_cbs *cbs, void *arg, struct mqtt_client **ret_client)
{
    struct mqtt_client *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(-ENOMEM, "client: out of memory");
    c->loop = loop;
    c->config = config;
    c->cbs = cbs;
    c->arg = arg;
    loop_task_init(&c->task, mqtt_client_on_task);
    list_init(&c->outgoing);
    list_init(&c->receipts);
    list_init(&c->stale);
    c->next = &c->outgoing;
    map_init(&c->by_id, mqtt_client_has_id);
    mqtt_inflight_init(&c->inbound);
    int r = mqtt_link_open(loop, config, is_new, &mqtt_client_link_cbs, c, &c->link);
    if (r < 0) {
        free(c);
        return r;
    }
    *ret_client = c;
    return 0;
}

static void mqtt_client_free_receipts(struct list *receipts)
{
    list_for_each_safe (it, tmp, receipts)
        free(list_entry(it, struct mqtt_receipt, link));
}

struct mqtt_client *mqtt_client_close(struct mqtt_client *c, uint32_t within_ms)
{
    if (!c)
        return NULL;
    mqtt_client_flush(c);
    mqtt_link_close(c->link, within_ms);
    loop_task_cancel(&c->task);
    list_for_each_safe (it, tmp, &c->outgoing)
        mqtt_client_free_outgoing(c, list_entry(it, struct mqtt_outgoing, link));
    mqtt_client_free_receipts(&c->receipts);
    mqtt_client_free_receipts(&c->stale);
    map_deinit(&c->by_id);
    mqtt_inflight_clear(&c->inbound);
    free(c);
    return NULL;
}
