/* Messages on their way to one session (bk_deliver.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_deliver.h"

#include <string.h>

#include "bk_access.h"
#include "bk_alias.h"
#include "bk_bridge.h"
#include "bk_client.h"
#include "bk_journal.h"
#include "bk_marks.h"
#include "bk_message.h"
#include "bk_options.h"
#include "bk_pace.h"
#include "bk_page.h"
#include "bk_quota.h"
#include "bk_retain.h"
#include "bk_route.h"
#include "bk_session.h"
#include "bk_share.h"
#include "bk_tag.h"
#include "bk_worker.h"
#include "buf.h"
#include "mqtt_property.h"
#include "tenant.h"

enum {
    BK_OUTPUT_BYTES = 1024 * 1024, /* output beyond which nothing of QoS 1 and 2 is begun; it goes on at the low mark */
    BK_PUBLISH_DUP = 1 << 3,
    BK_PUBLISH_RETAIN = 1,
};

/* What a delivery is on the wire. */
struct bk_delivery {
    struct bk_publication *p;
    const struct bk_tag *tag;
    uint16_t id; /* 0: QoS 0 */
    uint8_t qos;
    bool retain;
    bool dup;
};

/* The client of S, if it is live. */
static struct bk_client *bk_deliver_client(const struct bk_session *s)
{
    return s->client && bk_client_is_live(s->client) ? s->client : NULL;
}

/* --- Bytes */

static uint8_t bk_first_byte(const struct bk_delivery *d)
{
    return (uint8_t)(MQTT_PUBLISH << 4 | (d->dup ? BK_PUBLISH_DUP : 0) | d->qos << 1 |
                     (d->retain ? BK_PUBLISH_RETAIN : 0));
}

/* As everybody gets it: the form with this client's id. False: too large for it, or memory is short. */
static bool bk_write_form(struct bk_client *c, const struct bk_delivery *d)
{
    const struct bk_form *form = bk_publication_form(d->p, c->version == MQTT_V5, d->id != 0);
    if (!form || (c->send_limit > 0 && form->total > c->send_limit)) {
        metric_add(form ? &c->worker->metrics.dropped_too_large : &c->worker->metrics.dropped_no_memory, 1);
        return false;
    }
    uint8_t *dst = conn_reserve(c->conn, form->len);
    if (!dst) {
        metric_add(&c->worker->metrics.dropped_no_memory, 1);
        return false;
    }
    memcpy(dst, form->bytes, form->len);
    dst[0] = bk_first_byte(d);
    if (d->id != 0) {
        dst[form->id_at] = (uint8_t)(d->id >> 8);
        dst[form->id_at + 1] = (uint8_t)d->id;
    }
    conn_commit(c->conn, form->len);
    if (form->total > form->len)
        conn_write_buf(c->conn, buf_ref(d->p->rest), 0);
    return true;
}

/* With what only this client gets: identifiers of its subscriptions, an alias. MESSAGE is P as it sees it. */
static bool bk_write_own(struct bk_client *c, const struct bk_delivery *d, const struct mqtt_packet *message)
{
    const struct mqtt_bytes topic = message->publish.topic, properties = message->properties.wire;
    const uint32_t n_ids = d->tag ? d->tag->n_ids : 0;
    uint8_t small[256];
    const size_t room = 3 + n_ids * 5u + properties.len;
    uint8_t *bytes = room <= sizeof small ? small : malloc(room);
    if (!bytes) {
        metric_add(&c->worker->metrics.dropped_no_memory, 1);
        return false;
    }
    bool is_known = false;
    const uint16_t alias = c->aliases_out ? bk_aliases_out_use(c->aliases_out, topic, &is_known) : 0;
    uint8_t *end = bytes;
    if (alias != 0)
        end = mqtt_property_put_u16(end, MQTT_PROPERTY_TOPIC_ALIAS, alias);
    for (uint32_t i = 0; i < n_ids; i++)
        end = mqtt_property_put_varint(end, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER, d->tag->ids[i]);
    if (properties.len > 0)
        memcpy(end, properties.ptr, properties.len);
    end += properties.len;
    struct mqtt_packet packet = *message;
    packet.properties.wire = (struct mqtt_bytes){bytes, (uint32_t)(end - bytes)};
    if (is_known)
        packet.publish.topic = (struct mqtt_bytes){NULL, 0};
    const int r = mqtt_io_send(c->io, &packet, NULL);
    if (bytes != small)
        free(bytes);
    if (r != 0)
        metric_add(r > 0 ? &c->worker->metrics.dropped_too_large : &c->worker->metrics.dropped_no_memory, 1);
    return r == 0;
}

static bool bk_write_packet(struct bk_client *c, const struct bk_delivery *d)
{
    const struct bk_publication *p = d->p;
    struct mqtt_packet message = {
        .type = MQTT_PUBLISH,
        .version = c->version,
        .dup = d->dup,
        .packet_id = d->id,
        .properties = c->version == MQTT_V5 ? p->properties : (struct mqtt_properties){{NULL, 0}},
        .publish = {.topic = p->topic, .payload = p->payload, .qos = d->qos, .retain = d->retain},
    };
    struct tenant_scratch scratch;
    if (!c->tenant)
        return bk_write_own(c, d, &message);
    tenant_scratch_init(&scratch);
    const int r = tenant_unmount_publish(c->tenant, &message, &scratch);
    if (r < 0)
        metric_add(&c->worker->metrics.dropped_no_memory, 1);
    const bool is_written = r == 0 && bk_write_own(c, d, &message);
    tenant_scratch_deinit(&scratch);
    return is_written;
}

static bool bk_write(struct bk_client *c, const struct bk_delivery *d)
{
    const bool is_own = c->version == MQTT_V5 && (c->aliases_out || (d->tag && d->tag->n_ids > 0));
    const bool is_written = is_own || c->tenant ? bk_write_packet(c, d) : bk_write_form(c, d);
    if (is_written) {
        metric_add(&c->worker->metrics.publishes_sent, 1);
        metric_add(&c->worker->metrics.payload_bytes_sent, d->p->payload.len);
    }
    bk_client_account(c);
    return is_written;
}

/* --- QoS 0 */

static void bk_deliver_0(struct bk_session *s, const struct bk_delivery *d)
{
    struct bk_client *c = bk_deliver_client(s);
    if (!c)
        return;
    const struct bk_options *o = s->worker->options;
    const size_t queued = conn_queued_bytes(c->conn);
    const bool is_waited_for = o->slow_consumer == BK_SLOW_PACE && !c->is_stalled && !c->budget.is_paused;
    if (!is_waited_for && o->max_queued_bytes > 0 && queued >= o->max_queued_bytes) {
        metric_add(&s->worker->metrics.dropped_slow, 1);
        return;
    }
    bk_write(c, d);
    if (is_waited_for && queued >= BK_PACE_BYTES)
        bk_pace_hold(d->p, c);
}

/* --- QoS 1 and 2 */

static bool bk_client_is_open(const struct bk_client *c)
{
    return conn_queued_bytes(c->conn) < BK_OUTPUT_BYTES && !c->budget.is_paused;
}

bool bk_deliver_is_open(const struct bk_session *s)
{
    const struct bk_client *c = bk_deliver_client(s);
    return c && bk_queue_waiting(&s->queue) == 0 && s->n_unsent == 0 && s->queue.open < c->receive_max &&
           bk_client_is_open(c);
}

/* Whether anybody may ask for the message again once it has been sent: the session after a reconnect, or another member
 * of the shared subscription. */
static bool bk_deliver_must_keep(const struct bk_session *s, const struct bk_tag *tag)
{
    return s->expiry_s > 0 || s->is_in_journal || (tag && tag->share);
}

static void bk_deliver_count_drop(struct bk_session *s)
{
    metric_add(&s->worker->metrics.dropped_full, 1);
    if (s->bridge)
        bk_bridge_count_drop(s->bridge);
    if (s->is_full_told)
        return;
    s->is_full_told = true;
    log_warn(s->client ? &s->client->log : NULL,
             "session '%.*s': its queue is full (max-queued-messages, "
             "max-queued-bytes, max-user-queued-bytes), what comes now is dropped",
             (int)s->id_len, s->id);
}

static bool bk_queue_has_room(const struct bk_session *s, const struct bk_publication *p)
{
    const struct bk_options *o = s->worker->options;
    const size_t bytes = p->topic.len + p->payload.len;
    return (o->max_queued_messages == 0 || bk_queue_waiting(&s->queue) < (uint64_t)o->max_queued_messages) &&
           (o->max_queued_bytes == 0 || s->queue.bytes + bytes <= o->max_queued_bytes) &&
           (!s->grant || bk_account_has_room(s->grant->account, BK_QUOTA_QUEUED_BYTES, (int64_t)bytes));
}

/* One more in the queue, with its message. */
static bool bk_deliver_push(struct bk_session *s, const struct bk_delivery *d)
{
    struct bk_message *m = bk_journal_message(s, d->p);
    if (!m)
        return false;
    struct bk_tag *tag = bk_tag_ref((struct bk_tag *)(uintptr_t)d->tag);
    if (bk_queue_push(&s->queue, bk_message_ref(m), tag, d->qos, d->retain) < 0)
        return false;
    bk_journal_delivery(s, bk_queue_last(&s->queue));
    bk_session_charge(s);
    if (d->p->marks && s->is_in_journal)
        bk_marks_put_session(d->p->marks, s->number);
    return true;
}

/* Keep P for later. */
static void bk_deliver_queue(struct bk_session *s, const struct bk_delivery *d)
{
    struct bk_client *c = bk_deliver_client(s);
    struct bk_publication *p = d->p;
    if (!bk_queue_has_room(s, p)) {
        bk_deliver_count_drop(s);
        return;
    }
    if (!bk_deliver_push(s, d)) {
        metric_add(&s->worker->metrics.dropped_no_memory, 1);
        return;
    }
    metric_add(&s->worker->metrics.publishes_queued, 1);
    const unsigned share = p->far ? 8 : 2; /* of the limit: more is on its way from another worker */
    if (c && s->worker->options->slow_consumer == BK_SLOW_PACE && !c->is_stalled &&
        (bk_queue_waiting(&s->queue) * share >= (uint64_t)s->worker->options->max_queued_messages ||
         s->queue.bytes * share >= s->worker->options->max_queued_bytes))
        bk_pace_hold(p, c);
}

/* The window is open: P leaves now. */
static void bk_deliver_begin(struct bk_session *s, struct bk_delivery *d)
{
    const bool is_pushed = bk_deliver_must_keep(s, d->tag)
                               ? bk_deliver_push(s, d)
                               : bk_queue_push(&s->queue, NULL, NULL, d->qos, d->retain) == 0;
    if (is_pushed && d->qos == 2 && !bk_journal_is_safe(s, bk_queue_last(&s->queue)))
        return;
    struct bk_entry *e = is_pushed ? bk_queue_begin(&s->queue) : NULL;
    if (!e) {
        metric_add(&s->worker->metrics.dropped_no_memory, 1);
        return;
    }
    d->id = e->id;
    bk_journal_window(s);
    if (bk_write(bk_deliver_client(s), d))
        return;
    bk_journal_done(s, e); /* MQTT-3.1.2-25: as if it had been sent */
    bk_queue_done(&s->queue, e);
}

static void bk_deliver_as(struct bk_session *s, struct bk_delivery *d)
{
    if (d->qos == 0)
        bk_deliver_0(s, d);
    else if (bk_deliver_is_open(s))
        bk_deliver_begin(s, d);
    else
        bk_deliver_queue(s, d);
}

/* What the filter matches and the ACL forbids. */
static bool bk_deliver_is_allowed(struct bk_session *s, const struct bk_publication *p)
{
    if (!s->grant || acl_may_receive(&s->grant->view, p->topic))
        return true;
    metric_add(&s->worker->metrics.dropped_not_allowed, 1);
    return false;
}

static uint8_t bk_lower_qos(uint8_t published, uint32_t options)
{
    const uint8_t granted = (uint8_t)(options & BK_ENTRY_QOS);
    return published < granted ? published : granted;
}

static bool bk_deliver_is_own(const struct bk_session *s, const struct bk_publication *p)
{
    return p->publisher == s->node.hash || (s->broker != 0 && p->publisher == s->broker);
}

bool bk_deliver(struct bk_session *s, struct bk_publication *p, uint32_t options, struct bk_tag *tag)
{
    if ((options & BK_ENTRY_NO_LOCAL) && bk_deliver_is_own(s, p))
        return false;
    if ((options & BK_ENTRY_GUARDED) && !bk_deliver_is_allowed(s, p))
        return true;
    struct bk_delivery d = {
        .p = p,
        .tag = tag,
        .qos = bk_lower_qos(p->qos, options),
        .retain = p->retain && (options & BK_ENTRY_RETAIN_AS_PUBLISHED),
    };
    bk_deliver_as(s, &d);
    return true;
}

void bk_deliver_retained(struct bk_session *s, struct bk_publication *p, uint32_t options, struct bk_tag *tag)
{
    struct bk_delivery d = {.p = p, .tag = tag, .qos = bk_lower_qos(p->qos, options), .retain = true};
    if (bk_deliver_is_allowed(s, p))
        bk_deliver_as(s, &d);
}

/* --- The queue */

/* The exchange is over. */
static void bk_deliver_drop(struct bk_session *s, struct bk_entry *e)
{
    bk_journal_done(s, e);
    bk_journal_window(s);
    bk_queue_done(&s->queue, e);
}

/* Repeat one open exchange. */
static void bk_deliver_repeat(struct bk_session *s, struct bk_entry *e)
{
    struct bk_client *c = bk_deliver_client(s);
    struct bk_publication p;
    e->is_unsent = false;
    s->n_unsent--;
    if (e->state == BK_ENTRY_RELEASED) {
        bk_client_send_ack(c, MQTT_PUBREL, e->id, MQTT_REASON_SUCCESS);
        return;
    }
    /* Sent once, it does not expire any more (MQTT-4.3.3-7); what is left of its time cannot be below nothing. */
    const uint64_t now_ms = loop_now_ms(s->worker->loop);
    const uint64_t then_ms = bk_message_is_expired(e->message, now_ms) ? e->message->expires_ms - 1 : now_ms;
    if (!bk_publication_of(&p, e->message, then_ms, &s->worker->resend_scratch)) {
        metric_add(&s->worker->metrics.dropped_no_memory, 1);
        bk_deliver_drop(s, e);
        return;
    }
    const struct bk_delivery d = {.p = &p, .tag = e->tag, .id = e->id, .qos = e->qos, .retain = e->retain, .dup = true};
    if (!bk_write(c, &d))
        bk_deliver_drop(s, e);
    bk_publication_end(&p);
}

static struct bk_entry *bk_deliver_unsent(struct bk_session *s)
{
    uint64_t pos = 0;
    struct bk_entry *e;
    while ((e = bk_queue_open_next(&s->queue, &pos)))
        if (e->is_unsent)
            return e;
    return NULL;
}

void bk_deliver_resume(struct bk_session *s)
{
    uint64_t pos = 0;
    struct bk_entry *e;
    s->n_unsent = 0;
    while ((e = bk_queue_open_next(&s->queue, &pos))) {
        e->is_unsent = true;
        s->n_unsent++;
    }
    bk_deliver_pump(s);
}

/* Send the first that waits. False: nothing can be sent now. */
static bool bk_deliver_next(struct bk_session *s)
{
    struct bk_worker *w = s->worker;
    struct bk_publication p;
    struct bk_entry *e = bk_queue_waiting_first(&s->queue);
    if (e->segment)
        return false; /* it goes on when it is back in memory */
    if (e->qos == 2 && !bk_journal_is_safe(s, e))
        return false; /* it goes on when it is with the disk */
    if (!e->message || !bk_publication_of(&p, e->message, loop_now_ms(w->loop), &w->resend_scratch)) {
        metric_add(&w->metrics.dropped_expired, e->message != NULL);
        bk_journal_done(s, e);
        return bk_queue_skip(&s->queue);
    }
    e = bk_queue_begin(&s->queue);
    if (e) {
        const struct bk_delivery d = {.p = &p, .tag = e->tag, .id = e->id, .qos = e->qos, .retain = e->retain};
        bk_journal_window(s);
        if (!bk_write(bk_deliver_client(s), &d)) {
            bk_journal_done(s, e);
            bk_queue_done(&s->queue, e);
        } else if (!bk_deliver_must_keep(s, e->tag)) {
            bk_queue_forget(&s->queue, e);
        }
    }
    bk_publication_end(&p);
    return e;
}

void bk_deliver_pump(struct bk_session *s)
{
    struct bk_client *c = bk_deliver_client(s);
    if (!c)
        return;
    while (s->n_unsent > 0 && s->queue.open - s->n_unsent < c->receive_max && bk_client_is_open(c))
        bk_deliver_repeat(s, bk_deliver_unsent(s));
    bk_page_ahead(s);
    if (s->n_unsent > 0)
        return;
    while (bk_queue_waiting(&s->queue) > 0 && s->queue.open < c->receive_max && bk_client_is_open(c))
        if (!bk_deliver_next(s))
            return;
    if (bk_queue_waiting(&s->queue) > 0)
        return;
    s->is_full_told = false;
    bk_retain_continue(s);
}

/* --- Acknowledgements */

static void bk_deliver_end_exchange(struct bk_session *s, struct bk_entry *e, uint8_t reason)
{
    if (reason >= MQTT_REASON_UNSPECIFIED)
        metric_add(&s->worker->metrics.dropped_refused, 1);
    if (e->is_unsent)
        s->n_unsent--;
    struct bk_share *share = e->tag && e->tag->share ? bk_share_ref(e->tag->share) : NULL;
    bk_deliver_drop(s, e);
    bk_deliver_pump(s);
    bk_session_charge(s);
    bk_share_delivered(share);
    bk_share_unref(share);
    const struct bk_client *c = s->client;
    if (bk_pace_is_waited_for(c) && bk_queue_waiting(&s->queue) == 0 && conn_queued_bytes(c->conn) < BK_PACE_BYTES)
        bk_pace_release(s->client);
}

void bk_deliver_give_up(struct bk_session *s, uint64_t number)
{
    struct bk_entry *e = bk_queue_find_number(&s->queue, number);
    if (e) {
        s->n_unsent -= e->is_unsent;
        bk_deliver_drop(s, e);
    } else {
        e = bk_queue_waiting_first(&s->queue);
        if (!e || e->number != number)
            return;
        bk_journal_done(s, e);
        bk_queue_skip(&s->queue);
        bk_journal_window(s);
    }
    bk_session_charge(s);
    bk_deliver_pump(s);
}

static void bk_deliver_received(struct bk_session *s, struct bk_entry *e, const struct mqtt_packet *packet)
{
    if (packet->reason_code >= MQTT_REASON_UNSPECIFIED) {
        if (e && e->state == BK_ENTRY_SENT)
            bk_deliver_end_exchange(s, e, packet->reason_code);
        return;
    }
    if (e && e->is_unsent) {
        e->is_unsent = false;
        s->n_unsent--;
    }
    if (e && e->state == BK_ENTRY_SENT) {
        bk_journal_done(s, e);
        bk_journal_window(s);
        bk_queue_release(&s->queue, e);
        bk_session_charge(s);
    }
    bk_client_answer(s->client, MQTT_PUBREL, packet->packet_id,
                     e ? MQTT_REASON_SUCCESS : MQTT_REASON_PACKET_ID_NOT_FOUND);
}

void bk_deliver_acknowledged(struct bk_session *s, const struct mqtt_packet *packet)
{
    struct bk_entry *e = bk_queue_find(&s->queue, packet->packet_id);
    switch (packet->type) {
    case MQTT_PUBACK:
        if (e && e->qos == 1)
            bk_deliver_end_exchange(s, e, packet->reason_code);
        break;
    case MQTT_PUBREC:
        bk_deliver_received(s, e && e->qos == 2 ? e : NULL, packet);
        break;
    case MQTT_PUBCOMP:
        if (e && e->state == BK_ENTRY_RELEASED)
            bk_deliver_end_exchange(s, e, MQTT_REASON_SUCCESS);
        break;
    default:
        break;
    }
}
