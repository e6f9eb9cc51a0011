/* Hooks (bk_hooks.h).
 *
 * A question's state says who goes on when it is answered:
 *
 *   ASKING --answered inside the hook's function, or before it is held--> ANSWERED: the loop sees it and goes on
 *      '----held: the gate is shut, the packet copied----> HELD --answered--> ANSWERED: a mail brings it to the loop */
#define LOG_MODULE LOG_BROKER
#include "bk_hooks.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bk_access.h"
#include "bk_client.h"
#include "bk_connect.h"
#include "bk_journal.h"
#include "bk_publish.h"
#include "bk_session.h"
#include "bk_subscribe.h"
#include "bk_worker.h"
#include "mailbox.h"
#include "mqtt_packet.h"
#include "mqtt_reason.h"

struct bk_hooks {
    pthread_mutex_t lock; /* of the mailboxes of all questions */
    _Atomic unsigned refs;
    unsigned kinds;
    size_t n;
    struct mqtt_broker_hook *items;
};

enum bk_question_state { BK_QUESTION_ASKING = 0, BK_QUESTION_HELD, BK_QUESTION_ANSWERED };

struct mqtt_broker_question {
    struct mail mail;            /* once it is held and answered */
    struct list link;            /* in worker->asked, while it is held */
    struct bk_hooks *hooks;      /* one reference */
    struct mailbox *mailbox;     /* under hooks->lock; NULL: its worker has ended */
    struct bk_client *client;    /* NULL: it has gone */
    struct gate_wait *wait;      /* NULL: nothing had to wait yet */
    struct mqtt_packet *packet;  /* a copy, owned; likewise */
    uint8_t *codes;              /* of filters: 0, or the reason why not; owned; NULL: no filters */
    char *user;                  /* of the last answer; owned */
    size_t at;                   /* the hook that is asked */
    uint32_t filter, filters_at; /* the filter that it is about, and where that stands in the packet's list */
    enum bk_hook_kind kind;
    _Atomic int state; /* enum bk_question_state */
    uint8_t verdict;   /* enum mqtt_broker_verdict: the last answer, as the one below */
    uint8_t reason;
};

/* What a hook is told besides who it is. */
struct bk_subject {
    struct mqtt_broker_client client;
    union {
        struct mqtt_broker_connect connect;
        struct mqtt_broker_publication publication;
        struct mqtt_broker_filter filter;
    };
};

/* --- The chain */

struct bk_hooks *bk_hooks_new(void)
{
    struct bk_hooks *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    pthread_mutex_init(&h->lock, NULL);
    atomic_init(&h->refs, 1);
    return h;
}

static struct bk_hooks *bk_hooks_ref(struct bk_hooks *h)
{
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

struct bk_hooks *bk_hooks_unref(struct bk_hooks *h)
{
    if (!h || atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    pthread_mutex_destroy(&h->lock);
    free(h->items);
    free(h);
    return NULL;
}

int bk_hooks_add(struct bk_hooks *h, const struct mqtt_broker_hook *hook)
{
    struct mqtt_broker_hook *items = realloc(h->items, (h->n + 1) * sizeof *items);
    if (!items)
        return -ENOMEM;
    h->items = items;
    h->items[h->n++] = *hook;
    h->kinds |= (hook->on_connect ? BK_HOOK_CONNECT : 0u) | (hook->on_publish ? BK_HOOK_PUBLISH : 0u) |
                (hook->on_subscribe ? BK_HOOK_SUBSCRIBE : 0u) | (hook->on_unsubscribe ? BK_HOOK_UNSUBSCRIBE : 0u) |
                (hook->on_disconnect ? BK_HOOK_DISCONNECT : 0u) | (hook->on_session_end ? BK_HOOK_SESSION_END : 0u);
    return 0;
}

unsigned bk_hooks_kinds(const struct bk_hooks *h)
{
    return h ? h->kinds : 0;
}

/* --- What it is about */

static struct mqtt_broker_text bk_text(struct mqtt_bytes bytes)
{
    return (struct mqtt_broker_text){(const char *)bytes.ptr, bytes.len};
}

static struct mqtt_broker_client bk_hook_client(const struct bk_client *c, const struct mqtt_packet *packet)
{
    struct mqtt_broker_client client = {
        .number = c->number, .address = conn_peer(c->conn)->text, .version = c->version};
    if (c->session) {
        const char *user = c->session->grant ? c->session->grant->user : NULL; /* a bridge has none */
        client.client_id = bk_text(bk_session_id(c->session));
        client.user = (struct mqtt_broker_text){user, user ? strlen(user) : 0};
    } else if (packet) {
        client.client_id = bk_text(packet->connect.client_id);
        client.user =
            packet->connect.has_username ? bk_text(packet->connect.username) : (struct mqtt_broker_text){NULL, 0};
    }
    return client;
}

static void bk_subject_of_connect(struct bk_subject *s, const struct mqtt_connect *f)
{
    s->connect = (struct mqtt_broker_connect){.is_clean = f->clean_start, .has_will = f->has_will};
    if (f->has_password)
        s->connect.password = bk_text(f->password);
    if (f->has_will)
        s->connect.will_topic = bk_text(f->will.topic);
}

/* The next filter of PACKET. False: there is none. */
static bool bk_subject_of_filter(struct bk_subject *s, const struct mqtt_broker_question *q,
                                 const struct mqtt_packet *packet, uint32_t *ret_next)
{
    const bool is_subscribe = q->kind == BK_HOOK_SUBSCRIBE;
    const struct mqtt_bytes wire = is_subscribe ? packet->subscriptions.wire : packet->filters.wire;
    struct mqtt_bytes iter = {wire.ptr + q->filters_at, wire.len - q->filters_at};
    struct mqtt_subscription sub = {.qos = 0};
    if (is_subscribe ? !mqtt_subscription_next(&iter, &sub) : !mqtt_filter_next(&iter, &sub.filter))
        return false;
    s->filter = (struct mqtt_broker_filter){.filter = bk_text(sub.filter), .qos = sub.qos};
    *ret_next = (uint32_t)(iter.ptr - wire.ptr);
    return true;
}

/* False: all has been asked. *RET_NEXT: where the filter behind this one stands. */
static bool bk_subject_init(struct bk_subject *s, const struct mqtt_broker_question *q,
                            const struct mqtt_packet *packet, uint32_t *ret_next)
{
    s->client = bk_hook_client(q->client, packet);
    *ret_next = 0;
    if (q->codes)
        return bk_subject_of_filter(s, q, packet, ret_next);
    if (q->kind == BK_HOOK_CONNECT)
        bk_subject_of_connect(s, &packet->connect);
    else
        s->publication = (struct mqtt_broker_publication){.topic = bk_text(packet->publish.topic),
                                                          .payload = bk_text(packet->publish.payload),
                                                          .qos = packet->publish.qos,
                                                          .retain = packet->publish.retain};
    return true;
}

/* --- Asking */

/* False: this one does not ask about it. */
static bool bk_hook_call(const struct mqtt_broker_hook *hook, struct mqtt_broker_question *q,
                         const struct bk_subject *s)
{
    switch (q->kind) {
    case BK_HOOK_CONNECT:
        if (hook->on_connect)
            hook->on_connect(hook->arg, &s->client, &s->connect, q);
        return hook->on_connect;
    case BK_HOOK_PUBLISH:
        if (hook->on_publish)
            hook->on_publish(hook->arg, &s->client, &s->publication, q);
        return hook->on_publish;
    case BK_HOOK_SUBSCRIBE:
        if (hook->on_subscribe)
            hook->on_subscribe(hook->arg, &s->client, &s->filter, q);
        return hook->on_subscribe;
    case BK_HOOK_UNSUBSCRIBE:
        if (hook->on_unsubscribe)
            hook->on_unsubscribe(hook->arg, &s->client, &s->filter, q);
        return hook->on_unsubscribe;
    case BK_HOOK_DISCONNECT:
    case BK_HOOK_SESSION_END:
        break;
    }
    return false;
}

/* From Q->at on, until one has decided, or none has. False: one wants to think. */
static bool bk_question_ask(struct mqtt_broker_question *q, const struct bk_subject *s)
{
    for (; q->at < q->hooks->n; q->at++) {
        q->verdict = MQTT_BROKER_NEXT;
        atomic_store_explicit(&q->state, BK_QUESTION_ASKING, memory_order_relaxed);
        if (!bk_hook_call(&q->hooks->items[q->at], q, s))
            continue;
        if (atomic_load_explicit(&q->state, memory_order_acquire) != BK_QUESTION_ANSWERED)
            return false;
        if (q->verdict != MQTT_BROKER_NEXT)
            return true;
    }
    return true;
}

static void bk_question_free(struct mqtt_broker_question *q)
{
    gate_continue(q->wait);
    bk_hooks_unref(q->hooks);
    list_del(&q->link);
    free(q->packet);
    free(q->codes);
    free(q->user);
    free(q);
}

/* Shuts the gate, if it is not shut yet. -ENOMEM. */
static int bk_question_hold(struct mqtt_broker_question *q, const struct mqtt_packet *packet)
{
    if (q->wait)
        return 0;
    q->packet = mqtt_packet_store(packet);
    q->wait = q->packet ? mqtt_io_hold(q->client->io) : NULL;
    if (!q->wait)
        return -ENOMEM;
    list_add_tail(&q->client->worker->asked, &q->link);
    return 0;
}

/* The answer has come. False: the next hook is to be asked. */
static bool bk_question_is_decided(struct mqtt_broker_question *q)
{
    if (q->verdict != MQTT_BROKER_NEXT)
        return true;
    q->at++;
    return false;
}

/* The hooks that are left are asked about S. GATE_PASS: it is decided. GATE_HOLD: later. GATE_EMPTY: memory is short.
 */
static enum gate_answer bk_question_decide(struct mqtt_broker_question *q, const struct bk_subject *s,
                                           const struct mqtt_packet *packet)
{
    while (!bk_question_ask(q, s)) {
        int asking = BK_QUESTION_ASKING;
        if (bk_question_hold(q, packet) < 0)
            return GATE_EMPTY;
        if (atomic_compare_exchange_strong_explicit(&q->state, &asking, BK_QUESTION_HELD, memory_order_acq_rel,
                                                    memory_order_acquire))
            return GATE_HOLD;
        if (bk_question_is_decided(q)) /* another thread was faster */
            break;
    }
    return GATE_PASS;
}

/* --- What becomes of it */

/* The packet that refuses. */
static uint8_t bk_question_refusal(enum bk_hook_kind kind)
{
    switch (kind) {
    case BK_HOOK_CONNECT:
        return MQTT_CONNACK;
    case BK_HOOK_SUBSCRIBE:
        return MQTT_SUBACK;
    case BK_HOOK_UNSUBSCRIBE:
        return MQTT_UNSUBACK;
    case BK_HOOK_PUBLISH:
    case BK_HOOK_DISCONNECT:
    case BK_HOOK_SESSION_END:
        break;
    }
    return MQTT_PUBACK;
}

static uint8_t bk_question_reason(const struct mqtt_broker_question *q)
{
    const bool is_good = q->reason >= MQTT_REASON_UNSPECIFIED &&
                         mqtt_reason_is_allowed(MQTT_V5, bk_question_refusal(q->kind), q->reason);
    return is_good ? q->reason : MQTT_REASON_NOT_AUTHORIZED;
}

static enum gate_answer bk_question_act(struct mqtt_broker_question *q, const struct mqtt_packet *packet)
{
    struct bk_client *c = q->client;
    const bool is_refused = q->verdict == MQTT_BROKER_REFUSE;
    const uint8_t reason = bk_question_reason(q);
    if (q->wait)
        c->journal_mark = bk_journal_changes(c->worker);
    switch (q->kind) {
    case BK_HOOK_CONNECT:
        if (is_refused)
            return bk_connect_refuse(c, packet, reason, "a hook refuses it");
        return q->verdict == MQTT_BROKER_ALLOW ? bk_connect_known(c, packet, q->user) : bk_connect_login(c, packet);
    case BK_HOOK_PUBLISH:
        if (is_refused)
            return bk_publish_refuse(c, packet, packet->publish.topic, reason);
        return bk_publish_go_on(c, packet, packet->publish.topic);
    case BK_HOOK_SUBSCRIBE:
        return bk_subscribe_go_on(c, packet, q->codes);
    case BK_HOOK_UNSUBSCRIBE:
        bk_unsubscribe_go_on(c, packet, q->codes);
        break;
    case BK_HOOK_DISCONNECT:
    case BK_HOOK_SESSION_END:
        break;
    }
    return GATE_PASS;
}

/* All has been asked. Q is gone afterwards. */
static enum gate_answer bk_question_end(struct mqtt_broker_question *q, const struct mqtt_packet *packet)
{
    const bool was_held = q->wait;
    enum gate_answer answer = bk_question_act(q, packet);
    if (!q->client)
        answer = GATE_CLOSED;
    else
        q->client->question = NULL;
    if (answer == GATE_PASS && was_held)
        answer = GATE_HOLD; /* what is freed below lets the next packet pass */
    bk_question_free(q);    /* the client may be gone from here on */
    return answer;
}

/* Its client is closed and its hook has not answered: who does finds nobody. */
static void bk_question_abandon(struct mqtt_broker_question *q)
{
    int asking = BK_QUESTION_ASKING;
    q->mailbox = NULL; /* only who answers looks at it, once it is held */
    if (!atomic_compare_exchange_strong_explicit(&q->state, &asking, BK_QUESTION_HELD, memory_order_acq_rel,
                                                 memory_order_acquire))
        bk_question_free(q);
}

/* IS_DECIDED: what it is about at present. */
static enum gate_answer bk_question_go_on(struct mqtt_broker_question *q, const struct mqtt_packet *packet,
                                          bool is_decided)
{
    struct bk_subject subject;
    uint32_t next;
    while (bk_subject_init(&subject, q, packet, &next)) {
        const enum gate_answer answer = is_decided ? GATE_PASS : bk_question_decide(q, &subject, packet);
        if (answer == GATE_HOLD)
            return GATE_HOLD;
        if (answer == GATE_EMPTY) {
            bk_client_close(q->client, MQTT_REASON_UNSPECIFIED, "out of memory");
            bk_question_abandon(q);
            return GATE_CLOSED;
        }
        if (!q->codes)
            break;
        q->codes[q->filter++] = q->verdict == MQTT_BROKER_REFUSE ? bk_question_reason(q) : 0;
        q->filters_at = next;
        q->at = 0;
        is_decided = false;
    }
    return bk_question_end(q, packet);
}

static void bk_question_on_answer(struct mail *mail)
{
    struct mqtt_broker_question *q = container_of(mail, struct mqtt_broker_question, mail);
    if (q->client)
        bk_question_go_on(q, q->packet, bk_question_is_decided(q));
    else
        bk_question_free(q);
}

void mqtt_broker_answer(struct mqtt_broker_question *q, const struct mqtt_broker_reply *reply)
{
    struct bk_hooks *hooks = bk_hooks_ref(q->hooks);
    q->verdict = (uint8_t)reply->verdict;
    q->reason = reply->reason;
    free(q->user);
    q->user = reply->user ? strdup(reply->user) : NULL;
    /* Q may be gone behind this line, if it was not held */
    if (atomic_exchange_explicit(&q->state, BK_QUESTION_ANSWERED, memory_order_acq_rel) == BK_QUESTION_HELD) {
        pthread_mutex_lock(&hooks->lock);
        if (q->mailbox)
            mailbox_post(q->mailbox, &q->mail);
        const bool is_alone = !q->mailbox;
        pthread_mutex_unlock(&hooks->lock);
        if (is_alone)
            bk_question_free(q);
    }
    bk_hooks_unref(hooks);
}

/* --- For the worker */

enum gate_answer bk_hooks_ask(struct bk_client *c, enum bk_hook_kind kind, const struct mqtt_packet *packet)
{
    const uint32_t n_filters = kind == BK_HOOK_SUBSCRIBE     ? packet->subscriptions.count
                               : kind == BK_HOOK_UNSUBSCRIBE ? packet->filters.count
                                                             : 0;
    struct mqtt_broker_question *q = calloc(1, sizeof *q);
    uint8_t *codes = n_filters > 0 ? calloc(n_filters, 1) : NULL;
    if (!q || (n_filters > 0 && !codes)) {
        free(codes);
        free(q);
        bk_client_close(c, MQTT_REASON_UNSPECIFIED, "out of memory");
        return GATE_CLOSED;
    }
    q->mail.fn = bk_question_on_answer;
    q->hooks = bk_hooks_ref(c->worker->hooks);
    q->mailbox = c->worker->mailbox;
    q->client = c;
    q->codes = codes;
    q->kind = kind;
    list_init(&q->link);
    c->question = q;
    return bk_question_go_on(q, packet, false);
}

struct gate_wait *bk_hooks_hold(struct bk_client *c)
{
    struct gate_wait *wait = c->question ? c->question->wait : NULL;
    if (!wait)
        return mqtt_io_hold(c->io);
    c->question->wait = NULL;
    return wait;
}

const struct mqtt_packet *bk_hooks_connect(const struct bk_client *c)
{
    return c->question && c->question->kind == BK_HOOK_CONNECT ? c->question->packet : NULL;
}

void bk_hooks_forget(struct bk_client *c)
{
    struct mqtt_broker_question *q = c->question;
    if (!q)
        return;
    c->question = NULL;
    q->client = NULL;
    gate_continue(q->wait);
    q->wait = NULL;
}

void bk_hooks_end(struct bk_worker *w)
{
    list_for_each_safe (it, tmp, &w->asked) {
        struct mqtt_broker_question *q = list_entry(it, struct mqtt_broker_question, link);
        list_del(it);
        pthread_mutex_lock(&q->hooks->lock);
        q->mailbox = NULL;
        pthread_mutex_unlock(&w->hooks->lock); /* Q may be gone */
    }
}

void bk_hooks_disconnected(const struct bk_client *c, uint8_t reason, const char *text)
{
    const struct bk_hooks *h = c->worker->hooks;
    const struct mqtt_broker_client client = bk_hook_client(c, NULL);
    for (size_t i = 0; i < h->n; i++)
        if (h->items[i].on_disconnect)
            h->items[i].on_disconnect(h->items[i].arg, &client, reason, text);
}

void bk_hooks_session_ended(const struct bk_session *s)
{
    const struct bk_hooks *h = s->worker->hooks;
    for (size_t i = 0; i < h->n; i++)
        if (h->items[i].on_session_end)
            h->items[i].on_session_end(h->items[i].arg, bk_text(bk_session_id(s)));
}
