/* Retained messages (bk_retain.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_retain.h"

#include <errno.h>
#include <stdlib.h>

#include "bk_broker.h"
#include "bk_client.h"
#include "bk_deliver.h"
#include "bk_journal.h"
#include "bk_message.h"
#include "bk_peers.h"
#include "bk_quota.h"
#include "bk_route.h"
#include "bk_session.h"
#include "bk_tag.h"
#include "bk_worker.h"
#include "mqtt_topic.h"
#include "retained_index.h"

enum {
    BK_RETAIN_ITEMS = 64,         /* sent in a row */
    BK_RETAIN_STEPS = 1000,       /* topics looked at in a turn of the loop */
    BK_RETAIN_BYTES = 256 * 1024, /* of output: then the rest waits until it has been taken */
    BK_SWEEP_STEPS = 2000,
};

/* What a session still has to get for one subscription, from one worker. */
struct bk_retain_walk {
    struct list link; /* in the session's list */
    struct bk_session *session;
    struct retained_walk *walk; /* NULL: from a peer */
    struct bk_tag *tag;
    uint32_t options;
    uint32_t n, at;          /* items that have come, and those that the session has got */
    struct map_node node;    /* of a peer: in worker->questions; hash = the question's number */
    struct bk_peer *peer;    /* NULL: this worker */
    bool is_end, is_pausing; /* nothing is left there; it waits until it is asked for more */
    struct bk_message *items[];
};

/* What a peer has asked for. */
struct bk_retain_answer {
    struct list link; /* in worker->answers */
    struct loop_timer timer;
    struct retained_walk *walk;
    struct bk_worker *worker;
    struct bk_peer *peer;
    uint32_t id;
    uint32_t n;   /* items sent since it has asked */
    size_t bytes; /* likewise */
};

/* --- Storing */

static void bk_retain_remove(struct bk_worker *w, struct mqtt_bytes topic)
{
    struct bk_message *old = retained_index_remove(w->retained, topic);
    if (!old)
        return;
    bk_journal_retained(w, topic, NULL);
    bk_message_unref(old);
    metric_add(&w->metrics.retained, -1);
}

void bk_retain_set(struct bk_worker *w, struct bk_publication *p)
{
    if (p->payload.len == 0) {
        bk_retain_remove(w, p->topic); /* MQTT-3.3.1-6, -7 */
        return;
    }
    void *old = NULL;
    struct bk_message *m = bk_publication_keep(p);
    if (!m || retained_index_set(w->retained, p->topic, m, &old) < 0) {
        log_error(NULL, "a retained message is lost: out of memory");
        metric_add(&w->metrics.dropped_no_memory, 1);
        return;
    }
    bk_message_ref(m);
    bk_journal_retained(w, p->topic, m);
    if (old)
        bk_message_unref(old);
    else
        metric_add(&w->metrics.retained, 1);
}

static void bk_retain_answer_end(struct bk_retain_answer *a);

void bk_retain_clear(struct bk_worker *w)
{
    const struct mqtt_bytes all = {NULL, 0};
    list_for_each_safe (it, tmp, &w->answers)
        bk_retain_answer_end(list_entry(it, struct bk_retain_answer, link));
    struct retained_walk *walk = retained_walk_new(w->retained, all);
    struct retained_item items[BK_RETAIN_ITEMS];
    int n;
    while (walk && !retained_walk_is_done(walk) &&
           (n = retained_walk_next(walk, items, BK_RETAIN_ITEMS, BK_RETAIN_STEPS)) >= 0)
        for (int i = 0; i < n; i++)
            bk_message_unref(items[i].value);
    retained_walk_free(walk);
    w->sweep = retained_walk_free(w->sweep);
    w->retained = retained_index_free(w->retained);
}

/* A part of all in each tick, from the first to the last and again. */
void bk_retain_tick(struct bk_worker *w)
{
    const struct mqtt_bytes all = {NULL, 0};
    struct retained_item items[BK_RETAIN_ITEMS];
    if (!w->sweep)
        w->sweep = retained_walk_new(w->retained, all);
    if (!w->sweep)
        return;
    for (int left = BK_SWEEP_STEPS; left > 0; left -= BK_RETAIN_ITEMS) {
        const int n = retained_walk_next(w->sweep, items, BK_RETAIN_ITEMS, BK_RETAIN_ITEMS);
        for (int i = 0; i < n; i++) {
            struct bk_message *m = items[i].value;
            if (!bk_message_is_expired(m, loop_now_ms(w->loop)))
                continue;
            /* the index is about to change: what follows comes with the next look, items[] may not be used on */
            const struct mqtt_bytes topic = {m->bytes, m->topic_len};
            bk_quota_retained_expired(broker_quotas(w->broker), topic);
            bk_retain_remove(w, topic);
            break;
        }
        if (n < 0 || retained_walk_is_done(w->sweep)) {
            w->sweep = retained_walk_free(w->sweep);
            return;
        }
    }
}

/* --- Sending */

static void bk_retain_end_walk(struct bk_retain_walk *walk)
{
    struct bk_worker *w = walk->session->worker;
    list_del(&walk->link);
    if (walk->peer) {
        map_remove(&w->questions, &walk->node);
        if (!walk->is_end)
            bk_peer_ask_no_more(walk->peer, (uint32_t)walk->node.hash);
    }
    while (walk->at < walk->n)
        bk_message_unref(walk->items[walk->at++]);
    retained_walk_free(walk->walk);
    bk_tag_unref(walk->tag);
    free(walk);
}

static void bk_retain_deliver(struct bk_session *s, const struct bk_retain_walk *walk, struct bk_message *m)
{
    struct bk_publication p;
    if (!bk_publication_of(&p, m, loop_now_ms(s->worker->loop), &s->worker->resend_scratch))
        return;
    bk_deliver_retained(s, &p, walk->options, walk->tag);
    bk_publication_end(&p);
}

/* Whether S can take one more: an output that is read, and room in the window for what is not QoS 0. */
static bool bk_retain_is_open(const struct bk_session *s, const struct bk_retain_walk *walk)
{
    return s->client && conn_queued_bytes(s->client->conn) < BK_RETAIN_BYTES &&
           ((walk->options & BK_ENTRY_QOS) == 0 || bk_deliver_is_open(s));
}

/* What has come from a peer. False: S takes no more now, or nothing has come. */
static bool bk_retain_step_far(struct bk_session *s, struct bk_retain_walk *walk)
{
    while (walk->at < walk->n) {
        if (!bk_retain_is_open(s, walk))
            return false;
        struct bk_message *m = walk->items[walk->at++];
        bk_retain_deliver(s, walk, m);
        bk_message_unref(m);
    }
    if (walk->is_end) {
        bk_retain_end_walk(walk);
        return true;
    }
    if (walk->is_pausing) {
        walk->is_pausing = false;
        walk->n = walk->at = 0;
        bk_peer_ask_more(walk->peer, (uint32_t)walk->node.hash);
    }
    return false;
}

/* One at a time: where the window closes the walk stays where it is. False: S takes no more now. */
static bool bk_retain_step(struct bk_session *s, struct bk_retain_walk *walk)
{
    struct retained_item item;
    if (walk->peer)
        return bk_retain_step_far(s, walk);
    for (int looked = 0; looked < BK_RETAIN_STEPS; looked += BK_RETAIN_ITEMS) {
        if (!bk_retain_is_open(s, walk))
            return false;
        const int n = retained_walk_next(walk->walk, &item, 1, BK_RETAIN_ITEMS);
        if (n > 0)
            bk_retain_deliver(s, walk, item.value);
        if (n < 0 || retained_walk_is_done(walk->walk)) {
            bk_retain_end_walk(walk);
            return true;
        }
    }
    return true;
}

void bk_retain_continue(struct bk_session *s)
{
    if (!list_is_empty(&s->retain_walks) && !loop_timer_is_started(&s->retain_timer))
        loop_timer_start(&s->retain_timer, 0);
}

void bk_retain_on_timer(struct loop_timer *timer)
{
    struct bk_session *s = container_of(timer, struct bk_session, retain_timer);
    struct list *first = list_first(&s->retain_walks);
    if (s->client && s->client->behind)
        return; /* behind SUBACK */
    if (first && bk_retain_step(s, list_entry(first, struct bk_retain_walk, link)))
        bk_retain_continue(s);
}

/* One more for S, with room for N_ITEMS of a peer. NULL: out of memory. */
static struct bk_retain_walk *bk_retain_walk_new(struct bk_session *s, uint32_t options, uint32_t identifier,
                                                 size_t n_items)
{
    struct bk_retain_walk *walk = calloc(1, sizeof *walk + n_items * sizeof(struct bk_message *));
    if (!walk)
        return NULL;
    walk->session = s;
    walk->tag = bk_tag_new(NULL, &identifier, identifier != 0);
    walk->options = options;
    if (identifier != 0 && !walk->tag) {
        free(walk);
        return NULL;
    }
    list_add_tail(&s->retain_walks, &walk->link);
    return walk;
}

static int bk_retain_send_here(struct bk_session *s, struct mqtt_bytes filter, uint32_t options, uint32_t identifier)
{
    struct bk_worker *w = s->worker;
    if (retained_index_count(w->retained) == 0)
        return 0;
    struct bk_retain_walk *walk = bk_retain_walk_new(s, options, identifier, 0);
    if (!walk)
        return -ENOMEM;
    walk->walk = retained_walk_new(w->retained, filter);
    if (!walk->walk) {
        bk_retain_end_walk(walk);
        return -ENOMEM;
    }
    bk_retain_continue(s);
    return 0;
}

static int bk_retain_ask(struct bk_session *s, unsigned worker, struct mqtt_bytes filter, uint32_t options,
                         uint32_t identifier)
{
    struct bk_worker *w = s->worker;
    struct bk_retain_walk *walk = bk_retain_walk_new(s, options, identifier, BK_RETAIN_ITEMS);
    if (!walk)
        return -ENOMEM;
    const uint32_t id = ++w->last_question;
    if (map_add(&w->questions, &walk->node, id) < 0) {
        bk_retain_end_walk(walk);
        return -ENOMEM;
    }
    walk->peer = bk_peers_get(w->peers, worker);
    bk_peer_ask_retained(walk->peer, id, filter);
    return 0;
}

int bk_retain_send(struct bk_session *s, struct mqtt_bytes filter, uint32_t options, uint32_t identifier)
{
    const struct bk_worker *w = s->worker;
    const bool is_one_topic = !mqtt_topic_has_wildcard(filter);
    const unsigned owner = is_one_topic ? bk_worker_of(w, filter) : 0;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < w->n_workers; i++) {
        if (is_one_topic && i != owner)
            continue;
        r = i == w->index_of ? bk_retain_send_here(s, filter, options, identifier)
                             : bk_retain_ask(s, i, filter, options, identifier);
    }
    return r;
}

void bk_retain_forget(struct bk_session *s)
{
    loop_timer_stop(&s->retain_timer);
    list_for_each_safe (it, tmp, &s->retain_walks)
        bk_retain_end_walk(list_entry(it, struct bk_retain_walk, link));
}

/* --- Questions of peers */

static void bk_retain_answer_end(struct bk_retain_answer *a)
{
    list_del(&a->link);
    loop_timer_stop(&a->timer);
    retained_walk_free(a->walk);
    free(a);
}

/* False: it has expired. */
static bool bk_retain_answer_item(struct bk_retain_answer *a, struct bk_message *m)
{
    struct bk_publication p;
    if (!bk_publication_of(&p, m, loop_now_ms(a->worker->loop), &a->worker->resend_scratch))
        return false;
    bk_peer_answer_retained(a->peer, a->id, &p);
    bk_publication_end(&p);
    return true;
}

/* A slice. */
static void bk_retain_answer_step(struct bk_retain_answer *a)
{
    struct retained_item item;
    for (int looked = 0; looked < BK_RETAIN_STEPS; looked += BK_RETAIN_ITEMS) {
        const int n = retained_walk_next(a->walk, &item, 1, BK_RETAIN_ITEMS);
        if (n > 0 && bk_retain_answer_item(a, item.value)) {
            a->n++;
            a->bytes += bk_message_bytes(item.value);
        }
        if (n < 0 || retained_walk_is_done(a->walk)) {
            bk_peer_answer_pause(a->peer, a->id, true);
            bk_retain_answer_end(a);
            return;
        }
        if (a->n == BK_RETAIN_ITEMS || a->bytes >= BK_RETAIN_BYTES) {
            a->n = 0;
            a->bytes = 0;
            bk_peer_answer_pause(a->peer, a->id, false);
            return;
        }
    }
    loop_timer_start(&a->timer, 0);
}

static void bk_retain_on_answer_timer(struct loop_timer *timer)
{
    bk_retain_answer_step(container_of(timer, struct bk_retain_answer, timer));
}

int bk_retain_asked(struct bk_worker *w, struct bk_peer *peer, uint32_t id, struct mqtt_bytes filter)
{
    struct bk_retain_answer *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->walk = retained_walk_new(w->retained, filter);
    if (!a->walk) {
        free(a);
        return -ENOMEM;
    }
    a->worker = w;
    a->peer = peer;
    a->id = id;
    list_add_tail(&w->answers, &a->link);
    loop_timer_init(&a->timer, w->loop, bk_retain_on_answer_timer);
    bk_retain_answer_step(a);
    return 0;
}

void bk_retain_asked_on(struct bk_worker *w, const struct bk_peer *peer, uint32_t id, bool wants_more)
{
    list_for_each_safe (it, tmp, &w->answers) {
        struct bk_retain_answer *a = list_entry(it, struct bk_retain_answer, link);
        if (a->peer != peer || a->id != id)
            continue;
        if (wants_more)
            bk_retain_answer_step(a);
        else
            bk_retain_answer_end(a);
        return;
    }
}

/* NULL: its session has gone. */
static struct bk_retain_walk *bk_retain_question(struct bk_worker *w, uint32_t id)
{
    const uint64_t number = id;
    struct map_node *node = map_find(&w->questions, number, &number);
    return node ? container_of(node, struct bk_retain_walk, node) : NULL;
}

void bk_retain_answer(struct bk_worker *w, uint32_t id, struct bk_publication *p)
{
    struct bk_retain_walk *walk = bk_retain_question(w, id);
    struct bk_message *m = walk && walk->n < BK_RETAIN_ITEMS ? bk_publication_keep(p) : NULL;
    if (m)
        walk->items[walk->n++] = bk_message_ref(m);
    else if (walk)
        metric_add(&w->metrics.dropped_no_memory, 1);
}

void bk_retain_answered(struct bk_worker *w, uint32_t id, bool is_end)
{
    struct bk_retain_walk *walk = bk_retain_question(w, id);
    if (!walk)
        return;
    walk->is_end = is_end;
    walk->is_pausing = !is_end;
    bk_retain_continue(walk->session);
}
