/* The journal (bk_journal.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_journal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bk_broker.h"
#include "bk_client.h"
#include "bk_compact.h"
#include "bk_connect.h"
#include "bk_deliver.h"
#include "bk_message.h"
#include "bk_page.h"
#include "bk_peers.h"
#include "bk_record.h"
#include "bk_recover.h"
#include "bk_session.h"
#include "bk_share.h"
#include "bk_tag.h"
#include "bk_will.h"
#include "bk_worker.h"
#include "err.h"
#include "store.h"

enum {
    BK_RETRY_MS = 1000,
    BK_SPARSE_BYTES = 4096,       /* smaller segments are never too large for what is due in them */
    BK_SPARSE_PART = 4,           /* and so many times as many messages as are due */
    BK_SPARSE_MS = 2000,          /* most of what is sparse will be empty before long */
    BK_SEGMENT_BYTES = 32 * 1024, /* nothing is added to one of so many: paging reads it for any message of it */
    BK_PAGE_SHARED = 16,          /* a message of more sessions stays in memory: one copy serves all */
};

struct bk_segment {
    struct list link; /* in journal->segments, journal->sparse or, while it is not committed, journal->writing */
    struct bk_journal *journal;
    struct bk_shared_segment *shared; /* with other workers, from before a restart; NULL: this worker's own */
    uint64_t sparse_ms;               /* since when; 0: it is not */
    size_t at;                        /* in the body of `now`, while it is not committed */
    size_t bytes;                     /* of its value */
    uint32_t n;                       /* messages in it */
    uint32_t due;                     /* of them, here and due to somebody; and deliveries that are paged out */
    bool is_read;                     /* nothing is added to it any more */
    bool is_gone;                     /* while it is being read again: it has been deleted */
    uint8_t key_len;
    uint8_t key[15];
};

/* A message of the segment that grows: its bytes in `messages`. */
struct bk_item {
    struct bk_message *message; /* one reference */
    struct bk_segment *segment; /* that it is written to; NULL: not yet, or it was not due any more */
    size_t at, end;             /* END of the last one moves while targets are added */
    size_t count_at;            /* where the number of targets stands */
    uint32_t n;
};

struct bk_items {
    struct bk_item *list;
    size_t n, room;
};

struct bk_waiters {
    struct bk_waiter *list;
    size_t n, room;
};

/* Those of one flight, from its beginning on. */
struct bk_answers {
    struct list link; /* in journal->answers */
    struct bk_journal *journal;
    struct bk_waiters waiters;
    unsigned n_due; /* the commit; the peers */
};

enum bk_change { BK_CHANGE_PUT = 0, BK_CHANGE_DELETE, BK_CHANGE_DELETE_RANGE /* the value is its end */ };

/* What is with the store, or comes next. */
struct bk_flight {
    struct bk_writer changes; /* { enum bk_change u8, key bytes, value bytes } */
    struct bk_items items;
    struct bk_waiters waiters;  /* of `next` */
    struct bk_answers *answers; /* of `now`; NULL: none wait */
    struct bk_writer body;      /* the values of journal->writing */
    bool frees_space;           /* it deletes segments, and something of it has been refused for want of space */
};

struct bk_journal {
    struct bk_worker *worker;
    struct store_client *client;
    struct map sessions; /* by number */
    struct list segments;
    struct list writing;         /* others, of `now` */
    struct list sparse;          /* others, in the order of their time */
    struct bk_segment *compacts; /* in neither: it is being read again */
    struct list dirty;           /* sessions with a record to be written */
    struct list waiting;         /* sessions with QoS 2 that waits for the disk */
    struct list growing;         /* sessions without client that have to be paged out */
    struct list resting;         /* the same as `waiting`, for the commit that is on its way */
    struct list answers;         /* that have not been given, of flights that have begun */
    struct list leaving;         /* shared segments that are not needed here, when what comes next has been committed */
    struct list left;            /* the same, for the commit that is on its way */
    struct bk_writer messages;   /* of the items of `next` */
    struct bk_flight next, now;
    struct loop_task task;   /* at the end of the turn */
    struct loop_timer retry; /* after a failure */
    uint64_t changes;        /* counts */
    uint64_t last_segment;
    bool is_under_way; /* `now` is with the store, or will be again */
    bool is_full;
    bool is_failed; /* said in the log */
    bool is_stopping;
};

static uint64_t bk_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool bk_session_has_number(const struct map_node *node, const void *key)
{
    return node->hash == *(const uint64_t *)key;
}

static void bk_journal_touch(struct bk_journal *j)
{
    j->changes++;
    if (!j->is_under_way && j->client && !j->is_stopping)
        loop_defer(j->worker->loop, &j->task);
}

void bk_journal_promise(struct bk_worker *w)
{
    w->journal->changes++;
}

uint64_t bk_journal_changes(const struct bk_worker *w)
{
    return w->journal ? w->journal->changes : 0;
}

bool bk_journal_is_full(const struct bk_worker *w)
{
    return w->journal && broker_is_full(w->broker);
}

/* --- Changes */

static void bk_change_put(struct bk_writer *w, const struct bk_key *key, const struct bk_writer *value)
{
    bk_put_u8(w, BK_CHANGE_PUT);
    bk_put_bytes(w, key->bytes, key->len);
    bk_put_bytes(w, value->bytes, value->len);
    w->has_failed |= value->has_failed;
}

static void bk_change_delete(struct bk_writer *w, const void *key, size_t key_len)
{
    bk_put_u8(w, BK_CHANGE_DELETE);
    bk_put_bytes(w, key, key_len);
    bk_put_bytes(w, NULL, 0);
}

static void bk_change_delete_range(struct bk_writer *w, const struct bk_key *first, const struct bk_key *end)
{
    bk_put_u8(w, BK_CHANGE_DELETE_RANGE);
    bk_put_bytes(w, first->bytes, first->len);
    bk_put_bytes(w, end->bytes, end->len);
}

int bk_journal_restore_session(struct bk_journal *j, struct bk_session *s)
{
    if (map_add(&j->sessions, &s->by_number, s->number) < 0)
        return -ENOMEM;
    s->is_in_journal = true;
    return 0;
}

struct bk_session *bk_journal_find_session(const struct bk_journal *j, uint64_t number)
{
    struct map_node *node = map_find(&j->sessions, number, &number);
    return node ? container_of(node, struct bk_session, by_number) : NULL;
}

static void bk_journal_mark_dirty(struct bk_session *s)
{
    struct bk_journal *j = s->worker->journal;
    if (!list_is_linked(&s->dirty_link))
        list_add_tail(&j->dirty, &s->dirty_link);
    bk_journal_touch(j);
}

void bk_journal_session(struct bk_session *s)
{
    struct bk_journal *j = s->worker->journal;
    if (!j || (!s->is_in_journal && s->expiry_s == 0))
        return;
    if (!s->is_in_journal && bk_journal_restore_session(j, s) < 0) {
        log_error(NULL, "session '%.*s' will not survive a restart: out of memory", (int)s->id_len, s->id);
        return;
    }
    s->is_record_dirty = s->is_window_dirty = true;
    bk_journal_mark_dirty(s);
}

void bk_journal_window(struct bk_session *s)
{
    if (!s->is_in_journal)
        return;
    s->is_window_dirty = true;
    bk_journal_mark_dirty(s);
}

void bk_journal_leave(struct bk_session *s)
{
    list_del(&s->dirty_link);
    list_del(&s->waiting_link);
    list_del(&s->growing_link);
    if (s->is_in_journal)
        map_remove(&s->worker->journal->sessions, &s->by_number);
    s->is_in_journal = false;
}

void bk_journal_inbound(struct bk_worker *w, const struct bk_publication *p)
{
    uint8_t zero = 0;
    const struct bk_writer whole = {.bytes = &zero, .len = 1};
    if (!w->journal || p->inbound_session == 0 || (!p->is_whole && p->marks->len == 0))
        return;
    const struct bk_key key = p->is_whole
                                  ? bk_key_of_inbound(p->inbound_session, p->inbound_id)
                                  : bk_key_of_marks(p->inbound_session, p->inbound_id, bk_worker_next_number(w));
    bk_change_put(&w->journal->next.changes, &key, p->is_whole ? &whole : p->marks);
    bk_journal_touch(w->journal);
}

void bk_journal_inbound_gone(struct bk_session *s, uint16_t id)
{
    struct bk_journal *j = s->worker->journal;
    if (!s->is_in_journal || !s->has_inbound_records)
        return;
    const struct bk_key first = bk_key_of_inbound(s->number, id), end = bk_key_behind(&first);
    bk_change_delete_range(&j->next.changes, &first, &end);
    bk_journal_touch(j);
}

void bk_journal_session_gone(struct bk_session *s)
{
    struct bk_journal *j = s->worker->journal;
    struct bk_entry *e;
    if (!s->is_in_journal)
        return;
    for (uint64_t pos = 0; (e = bk_queue_open_next(&s->queue, &pos));)
        bk_journal_done(s, e);
    for (uint64_t pos = 0; (e = bk_queue_waiting_next(&s->queue, &pos));)
        bk_journal_done(s, e);
    struct bk_key key = bk_key_of_session(BK_RECORD_INBOUND, s->number);
    const struct bk_key end = bk_key_behind(&key);
    if (s->has_inbound_records)
        bk_change_delete_range(&j->next.changes, &key, &end);
    key = bk_key_of_session(BK_RECORD_SESSION, s->number);
    bk_change_delete(&j->next.changes, key.bytes, key.len);
    key = bk_key_of_session(BK_RECORD_WINDOW, s->number);
    bk_change_delete(&j->next.changes, key.bytes, key.len);
    bk_journal_touch(j);
}

void bk_journal_subscription(struct bk_session *s, uint32_t serial, struct mqtt_bytes filter, uint32_t options,
                             uint32_t identifier)
{
    struct bk_journal *j = s->worker->journal;
    struct bk_writer value = {0};
    if (!s->is_in_journal)
        return;
    const struct bk_key key = bk_key_of_subscription(s->number, serial);
    bk_put_bytes(&value, filter.ptr, filter.len);
    bk_put_u32(&value, options);
    bk_put_u32(&value, identifier);
    bk_change_put(&j->next.changes, &key, &value);
    free(value.bytes);
    bk_journal_touch(j);
}

void bk_journal_subscription_gone(struct bk_session *s, uint32_t serial)
{
    struct bk_journal *j = s->worker->journal;
    if (!s->is_in_journal)
        return;
    const struct bk_key key = bk_key_of_subscription(s->number, serial);
    bk_change_delete(&j->next.changes, key.bytes, key.len);
    bk_journal_touch(j);
}

void bk_journal_retained(struct bk_worker *w, struct mqtt_bytes topic, struct bk_message *m)
{
    struct bk_journal *j = w->journal;
    struct bk_writer value = {0};
    if (!j || (topic.len >= 5 && memcmp(topic.ptr, "$SYS/", 5) == 0))
        return; /* $SYS is made anew */
    const struct bk_key key = bk_key_of_topic(topic);
    if (m) {
        bk_put_message(&value, m, loop_now_ms(w->loop), bk_wall_ms());
        bk_change_put(&j->next.changes, &key, &value);
        free(value.bytes);
    } else {
        bk_change_delete(&j->next.changes, key.bytes, key.len);
    }
    bk_journal_touch(j);
}

/* --- Deliveries */

static struct bk_item *bk_items_last(struct bk_items *items)
{
    return items->n > 0 ? &items->list[items->n - 1] : NULL;
}

struct bk_message *bk_journal_message(struct bk_session *s, struct bk_publication *p)
{
    struct bk_message *m = bk_publication_keep(p);
    if (!m || !s->is_in_journal || !m->is_in_journal)
        return m;
    const struct bk_item *last = bk_items_last(&s->worker->journal->next.items);
    if (last && last->message == m)
        return m;
    struct bk_message *copy = bk_message_copy(m);
    if (!copy)
        return NULL;
    bk_message_unref(p->message);
    p->message = copy;
    return copy;
}

static struct bk_item *bk_journal_item(struct bk_journal *j, struct bk_message *m)
{
    struct bk_items *items = &j->next.items;
    struct bk_item *last = bk_items_last(items);
    if (last && last->message == m)
        return last;
    if (items->n == items->room) {
        const size_t room = items->room == 0 ? 64 : items->room * 2;
        struct bk_item *list = realloc(items->list, room * sizeof *list);
        if (!list)
            return NULL;
        items->list = list;
        items->room = room;
    }
    assert(items->list);
    struct bk_item *item = &items->list[items->n++];
    *item = (struct bk_item){.message = bk_message_ref(m), .at = j->messages.len};
    bk_put_message(&j->messages, m, loop_now_ms(j->worker->loop), bk_wall_ms());
    item->count_at = j->messages.len;
    bk_put_u32(&j->messages, 0);
    m->is_in_journal = true;
    return item;
}

static void bk_put_tag(struct bk_writer *w, const struct bk_entry *e)
{
    const struct bk_share *share = e->tag ? e->tag->share : NULL;
    const uint32_t n_ids = e->tag ? e->tag->n_ids : 0;
    bk_put_u8(w, (uint8_t)(e->qos | (e->retain ? BK_FLAG_RETAIN : 0) | (share ? BK_FLAG_SHARED : 0)));
    bk_put_varint(w, n_ids);
    for (uint32_t i = 0; i < n_ids; i++)
        bk_put_varint(w, e->tag->ids[i]);
    if (share)
        bk_put_bytes(w, share->text, share->text_len);
}

void bk_journal_delivery(struct bk_session *s, struct bk_entry *e)
{
    struct bk_journal *j = s->worker->journal;
    if (!s->is_in_journal)
        return;
    struct bk_item *item = bk_journal_item(j, e->message);
    if (!item) {
        j->messages.has_failed = true;
        return;
    }
    bk_put_u64(&j->messages, s->number);
    bk_put_u64(&j->messages, e->number);
    bk_put_tag(&j->messages, e);
    bk_set_u32(&j->messages, item->count_at, ++item->n);
    item->end = j->messages.len;
    e->message->due++;
    e->is_in_journal = true;
    if (!s->client)
        bk_journal_page_later(s);
    bk_journal_touch(j);
}

/* Little of it is due. */
static void bk_segment_check_sparse(struct bk_segment *segment)
{
    struct bk_journal *j = segment->journal;
    if (segment->shared || segment->sparse_ms != 0 || segment->bytes < BK_SPARSE_BYTES ||
        segment->n / BK_SPARSE_PART < segment->due)
        return;
    segment->sparse_ms = loop_now_ms(j->worker->loop);
    list_move_tail(&j->sparse, &segment->link);
}

static void bk_segment_let_go(struct bk_segment *segment)
{
    struct bk_journal *j = segment->journal;
    if (!segment->is_read)
        return;
    if (segment->due > 0) {
        bk_segment_check_sparse(segment);
        return;
    }
    if (segment->shared) {
        /* its record may only go behind the windows that say that nothing in it is due */
        list_move_tail(&j->leaving, &segment->link);
        bk_journal_touch(j);
        return;
    }
    bk_change_delete(&j->next.changes, segment->key, segment->key_len);
    j->next.frees_space = j->is_full;
    bk_journal_touch(j);
    if (segment == j->compacts) {
        segment->is_gone = true;
        return;
    }
    list_del(&segment->link);
    free(segment);
}

void bk_journal_done(struct bk_session *s, struct bk_entry *e)
{
    struct bk_message *m = e->message;
    struct bk_segment *segment = e->segment;
    if (!s->is_in_journal || !e->is_in_journal)
        return;
    e->is_in_journal = false;
    metric_add(&s->worker->metrics.messages_paged_out, -(int)(segment != NULL));
    if (m && --m->due == 0) {
        segment = m->segment;
        m->segment = NULL;
    }
    if (!segment)
        return;
    segment->due--;
    bk_segment_let_go(segment);
}

bool bk_journal_is_safe(const struct bk_session *s, const struct bk_entry *e)
{
    struct bk_journal *j = s->worker->journal;
    if (!e->is_in_journal || !e->message || e->message->segment)
        return true;
    struct bk_session *waits = (struct bk_session *)(uintptr_t)s;
    if (!list_is_linked(&waits->waiting_link))
        list_add_tail(&j->waiting, &waits->waiting_link);
    return false;
}

/* --- Waiting */

static struct bk_waiter *bk_waiters_add(struct bk_waiters *waiters)
{
    if (waiters->n == waiters->room) {
        const size_t room = waiters->room == 0 ? 64 : waiters->room * 2;
        struct bk_waiter *list = realloc(waiters->list, room * sizeof *list);
        if (!list)
            abort(); /* an answer that is never given hangs its client: as for a timer */
        waiters->list = list;
        waiters->room = room;
    }
    return &waiters->list[waiters->n++];
}

void bk_journal_wait(struct bk_worker *w, const struct bk_waiter *waiter)
{
    struct bk_journal *j = w->journal;
    *bk_waiters_add(&j->next.waiters) = *waiter;
    if (waiter->client)
        bk_client_wait(waiter->client);
    bk_journal_touch(j);
}

static void bk_waiters_forget(struct bk_waiters *waiters, const struct bk_client *c)
{
    for (size_t i = 0; i < waiters->n; i++)
        if (waiters->list[i].client == c)
            waiters->list[i].client = NULL;
}

void bk_journal_forget(struct bk_client *c)
{
    struct bk_journal *j = c->worker->journal;
    if (c->n_waiting == 0)
        return;
    bk_waiters_forget(&j->next.waiters, c);
    list_for_each (it, &j->answers)
        bk_waiters_forget(&list_entry(it, struct bk_answers, link)->waiters, c);
}

/* An exchange whose message is at other workers: from here on its id is known for good. */
static void bk_waiter_settle(struct bk_journal *j, const struct bk_waiter *waiter)
{
    struct bk_session *s = bk_journal_find_session(j, waiter->number);
    if (!s || mqtt_inflight_find(&s->inbound, waiter->id) != MQTT_INFLIGHT_PUBLISH_2)
        return;
    struct bk_client *c = s->client && bk_client_is_live(s->client) ? s->client : NULL;
    mqtt_inflight_advance(&s->inbound, waiter->id, MQTT_INFLIGHT_PUBREC);
    if (c && waiter->is_written)
        bk_client_send_ack(c, MQTT_PUBREC, waiter->id, waiter->reason);
    bk_journal_window(s);
    if (!c || waiter->is_written)
        return;
    const struct bk_waiter answer = {.client = c, .type = MQTT_PUBREC, .id = waiter->id, .reason = waiter->reason};
    bk_journal_wait(j->worker, &answer);
}

static void bk_waiter_answer(struct bk_journal *j, struct bk_waiter *waiter)
{
    struct bk_client *c = waiter->client;
    if (waiter->is_exchange) {
        bk_waiter_settle(j, waiter);
    } else if (c) {
        bk_client_waited(c);
        if (waiter->packet)
            conn_write(c->conn, waiter->packet, waiter->packet_len);
        else if (waiter->type == MQTT_CONNACK)
            bk_connect_committed(c);
        else
            bk_client_send_ack(c, waiter->type, waiter->id, waiter->reason);
    }
    free(waiter->packet);
}

/* One of the two that they wait for has come. Clients that go meanwhile are found in the list (bk_journal_forget()). */
static void bk_answers_step(void *arg)
{
    struct bk_answers *a = arg;
    if (--a->n_due > 0)
        return;
    for (size_t i = 0; i < a->waiters.n; i++)
        bk_waiter_answer(a->journal, &a->waiters.list[i]);
    list_del(&a->link);
    free(a->waiters.list);
    free(a);
}

/* What a peer waits for does not wait for other peers. */
static void bk_answers_commit(struct bk_answers *a)
{
    for (size_t i = 0; i < a->waiters.n; i++) {
        struct bk_waiter *waiter = &a->waiters.list[i];
        if (waiter->is_return)
            bk_peer_return_committed(waiter->peer, waiter->number);
        else if (waiter->peer)
            bk_peer_committed(waiter->peer, waiter->number);
    }
    bk_answers_step(a);
}

/* A flight with WAITERS begins. */
static struct bk_answers *bk_answers_begin(struct bk_journal *j, const struct bk_waiters *waiters)
{
    if (waiters->n == 0)
        return NULL;
    struct bk_answers *a = malloc(sizeof *a);
    if (!a)
        abort(); /* as in bk_journal_wait() */
    *a = (struct bk_answers){.journal = j, .waiters = *waiters, .n_due = 1};
    list_add_tail(&j->answers, &a->link);
    if (bk_peers_hold(j->worker, bk_answers_step, a))
        a->n_due++;
    return a;
}

/* --- Records of sessions */

static void bk_put_will(struct bk_writer *w, const struct bk_will *will, uint64_t now_ms, uint64_t wall_ms)
{
    bk_put_u8(w, will != NULL);
    if (!will)
        return;
    bk_put_message(w, will->message, now_ms, wall_ms);
    bk_put_u32(w, will->delay_s);
    bk_put_u8(w, will->has_expiry);
    bk_put_u32(w, will->expiry_s);
    bk_put_u64(w, will->due_ms == 0 ? 0 : will->due_ms + wall_ms - now_ms);
}

static void bk_put_session(struct bk_writer *w, const struct bk_session *s, uint64_t now_ms, uint64_t wall_ms)
{
    bk_put_bytes(w, s->id, s->id_len);
    bk_put_u32(w, s->expiry_s);
    bk_put_u64(w, s->expires_ms == 0 ? 0 : s->expires_ms + wall_ms - now_ms);
    bk_put_will(w, s->will, now_ms, wall_ms);
}

static void bk_put_window(struct bk_writer *w, struct bk_session *s)
{
    struct bk_entry *e;
    uint32_t pos = 0;
    uint16_t id;
    enum mqtt_inflight_state state;
    bk_put_u64(w, s->queue.next);
    bk_put_u16(w, s->queue.last_id);
    bk_put_varint(w, s->queue.open);
    for (uint64_t at = 0; (e = bk_queue_open_next(&s->queue, &at));) {
        bk_put_u64(w, e->number);
        bk_put_u16(w, e->id);
        bk_put_u8(w, e->state);
    }
    uint32_t n = 0;
    while (mqtt_inflight_next(&s->inbound, &pos, &id, &state))
        n += state != MQTT_INFLIGHT_PUBLISH_2;
    bk_put_varint(w, n);
    for (pos = 0; mqtt_inflight_next(&s->inbound, &pos, &id, &state);)
        if (state != MQTT_INFLIGHT_PUBLISH_2) /* those are not known for good, see bk_waiter_settle() */
            bk_put_u16(w, id);
}

static void bk_journal_write_session(struct bk_journal *j, struct bk_session *s, uint64_t wall_ms)
{
    struct bk_writer value = {0};
    if (s->is_record_dirty) {
        const struct bk_key key = bk_key_of_session(BK_RECORD_SESSION, s->number);
        bk_put_session(&value, s, loop_now_ms(j->worker->loop), wall_ms);
        bk_change_put(&j->next.changes, &key, &value);
        value.len = 0;
    }
    if (s->is_window_dirty) {
        const struct bk_key key = bk_key_of_session(BK_RECORD_WINDOW, s->number);
        bk_put_window(&value, s);
        bk_change_put(&j->next.changes, &key, &value);
    }
    free(value.bytes);
    s->is_record_dirty = s->is_window_dirty = false;
}

static void bk_journal_write_sessions(struct bk_journal *j)
{
    const uint64_t wall_ms = bk_wall_ms();
    list_for_each_safe (it, tmp, &j->dirty) {
        list_del(it);
        bk_journal_write_session(j, list_entry(it, struct bk_session, dirty_link), wall_ms);
    }
}

/* --- Segments */

static struct bk_segment *bk_segment_new(struct bk_journal *j, const void *key, size_t key_len)
{
    struct bk_segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return NULL;
    assert(key_len <= sizeof segment->key);
    segment->journal = j;
    list_add_tail(&j->segments, &segment->link);
    segment->key_len = (uint8_t)key_len;
    memcpy(segment->key, key, key_len);
    return segment;
}

struct bk_segment *bk_journal_restore_segment(struct bk_journal *j, const void *key, size_t key_len,
                                              struct bk_shared_segment *shared)
{
    struct bk_segment *segment = bk_segment_new(j, key, key_len);
    struct cursor c = cursor_make(key, key_len);
    uint64_t number;
    if (!segment)
        return NULL;
    segment->shared = shared;
    cursor_skip(&c, key_len < 1 ? key_len : 1);
    if (bk_get_u64(&c, &number) == 0 && number > j->last_segment)
        j->last_segment = number; /* new ones do not take its key */
    return segment;
}

void bk_journal_restore_message(struct bk_segment *segment, struct bk_message *m, uint32_t n)
{
    m->segment = segment;
    m->is_in_journal = true;
    m->due = n;
    segment->due++;
}

void bk_journal_restore_done(struct bk_segment *segment, uint32_t n, size_t bytes)
{
    segment->is_read = true;
    segment->n = n;
    segment->bytes = bytes;
    bk_segment_let_go(segment);
}

/* Where the next item of `now` goes. NULL: out of memory. */
static struct bk_segment *bk_journal_open_segment(struct bk_journal *j)
{
    if (!list_is_empty(&j->writing)) {
        struct bk_segment *last = list_entry(j->writing.prev, struct bk_segment, link);
        if (last->bytes < BK_SEGMENT_BYTES)
            return last;
    }
    const struct bk_key key = bk_key_of_segment(++j->last_segment, (uint16_t)j->worker->index_of);
    struct bk_segment *segment = bk_segment_new(j, key.bytes, key.len);
    if (!segment)
        return NULL;
    list_move_tail(&j->writing, &segment->link);
    segment->at = j->now.body.len;
    return segment;
}

/* What of the items from FIRST on is still due becomes the values of segments, or joins the last one. */
static void bk_journal_make_segments(struct bk_journal *j, size_t first)
{
    struct bk_flight *now = &j->now;
    for (size_t i = first; i < now->items.n; i++) {
        struct bk_item *item = &now->items.list[i];
        if (item->message->due == 0)
            continue;
        item->segment = bk_journal_open_segment(j);
        if (!item->segment) {
            now->body.has_failed = true;
            return;
        }
        bk_put_raw(&now->body, j->messages.bytes + item->at, item->end - item->at);
        item->segment->bytes += item->end - item->at;
        item->segment->n++;
    }
}

/* They are with the disk: messages that are still due belong to them. */
static void bk_journal_settle_items(struct bk_journal *j)
{
    struct bk_items *items = &j->now.items;
    for (size_t i = 0; i < items->n; i++) {
        struct bk_item *item = &items->list[i];
        if (item->segment && item->message->due > 0) {
            item->message->segment = item->segment;
            item->segment->due++;
        }
        bk_message_unref(item->message);
    }
    free(items->list);
    *items = (struct bk_items){0};
    while (!list_is_empty(&j->writing)) {
        struct bk_segment *segment = list_entry(list_first(&j->writing), struct bk_segment, link);
        list_move_tail(&j->segments, &segment->link);
        segment->is_read = true;
        bk_segment_let_go(segment);
    }
}

void bk_journal_read(struct bk_journal *j, const struct bk_segment *segment, store_scan_fn *fn, void *arg)
{
    struct bk_key key = {.len = segment->key_len};
    memcpy(key.bytes, segment->key, segment->key_len);
    const struct bk_key end = bk_key_behind(&key);
    const struct store_range range = {.first = {key.bytes, key.len}, .end = {end.bytes, end.len}};
    store_scan(j->client, &range, 1, 0, fn, arg);
}

/* --- Paging */

void bk_journal_page_later(struct bk_session *s)
{
    if (s->is_in_journal && !list_is_linked(&s->growing_link))
        list_add_tail(&s->worker->journal->growing, &s->growing_link);
}

bool bk_journal_page_out(struct bk_session *s, struct bk_entry *e)
{
    struct bk_message *m = e->message;
    if (!e->is_in_journal || !m || (e->tag && e->tag->share))
        return true; /* what is shared may have to go to another member */
    struct bk_segment *segment = m->segment;
    if (!segment)
        return false;
    if (m->refs > BK_PAGE_SHARED)
        return true;
    if (--m->due == 0)
        m->segment = NULL;
    else
        segment->due++;
    bk_queue_page_out(&s->queue, e, segment);
    metric_add(&s->worker->metrics.messages_paged_out, 1);
    return true;
}

void bk_journal_page_in(struct bk_session *s, struct bk_entry *e, struct bk_message *m)
{
    struct bk_segment *segment = e->segment;
    if (m->due++ > 0)
        segment->due--;
    m->segment = segment;
    m->is_in_journal = true;
    bk_queue_page_in(&s->queue, e, bk_message_ref(m));
    metric_add(&s->worker->metrics.messages_paged_out, -1);
}

static void bk_journal_page_growing(struct bk_journal *j)
{
    struct list sessions;
    list_init(&sessions);
    list_splice_tail(&sessions, &j->growing);
    list_for_each_safe (it, tmp, &sessions) {
        struct bk_session *s = list_entry(it, struct bk_session, growing_link);
        list_del(it);
        if (!bk_page_out(s))
            bk_journal_page_later(s);
    }
}

/* --- Compaction */

static bool bk_segment_is_due(void *arg, uint64_t session, uint64_t number)
{
    const struct bk_segment *segment = arg;
    struct bk_session *s = bk_journal_find_session(segment->journal, session);
    const struct bk_entry *e = s ? bk_queue_find_due(&s->queue, number) : NULL;
    return e && e->is_in_journal && (e->message ? e->message->segment : e->segment) == segment;
}

static void bk_segment_compact(struct bk_segment *segment, struct store_bytes value)
{
    struct bk_journal *j = segment->journal;
    struct bk_writer out = {0};
    uint32_t n;
    const struct mqtt_bytes bytes = {value.bytes, (uint32_t)value.len};
    if (bk_compact(bytes, bk_segment_is_due, segment, &out, &n) != 0) {
        log_error(NULL, "store: a segment cannot be read any more: it stays as it is");
    } else {
        struct bk_key key = {.len = segment->key_len};
        memcpy(key.bytes, segment->key, segment->key_len);
        bk_change_put(&j->next.changes, &key, &out);
        bk_journal_touch(j);
        segment->n = n;
        segment->bytes = out.len;
        segment->sparse_ms = 0;
    }
    free(out.bytes);
}

static void bk_journal_on_segment(void *arg, int result, const struct store_page *page)
{
    struct bk_segment *segment = arg;
    struct bk_journal *j = segment->journal;
    j->compacts = NULL;
    if (segment->is_gone) {
        free(segment);
        return;
    }
    list_add_tail(&j->segments, &segment->link);
    if (j->is_stopping)
        return;
    if (result == 0 && page->n_items == 1)
        bk_segment_compact(segment, page->items[0].value);
    bk_journal_tick(j); /* the next one */
}

void bk_journal_tick(struct bk_journal *j)
{
    if (!j->client || j->compacts || j->is_full || list_is_empty(&j->sparse))
        return;
    struct bk_segment *segment = list_entry(list_first(&j->sparse), struct bk_segment, link);
    if (loop_now_ms(j->worker->loop) - segment->sparse_ms < BK_SPARSE_MS)
        return;
    list_del(&segment->link);
    j->compacts = segment;
    bk_journal_read(j, segment, bk_journal_on_segment, segment);
}

/* --- Commits */

static void bk_journal_on_turn_end(struct loop_task *task);

static bool bk_journal_has_work(const struct bk_journal *j)
{
    return j->next.changes.len > 0 || j->next.items.n > 0 || j->next.waiters.n > 0 || !list_is_empty(&j->dirty) ||
           !list_is_empty(&j->leaving);
}

static void bk_flight_clear(struct bk_flight *f)
{
    free(f->changes.bytes);
    free(f->body.bytes);
    f->changes = f->body = (struct bk_writer){0};
    f->frees_space = false;
}

static void bk_journal_pump_waiting(struct bk_journal *j)
{
    while (!list_is_empty(&j->resting)) {
        struct bk_session *s = list_entry(list_first(&j->resting), struct bk_session, waiting_link);
        list_del(&s->waiting_link);
        bk_deliver_pump(s);
    }
}

/* Whoever of the workers needs a shared segment last deletes it. */
static void bk_journal_leave_shared(struct bk_journal *j)
{
    list_for_each_safe (it, tmp, &j->left) {
        struct bk_segment *segment = list_entry(it, struct bk_segment, link);
        if (bk_shared_segment_leave(segment->shared))
            bk_change_delete(&j->next.changes, segment->key, segment->key_len);
        list_del(it);
        free(segment);
    }
}

static void bk_journal_note_full(struct bk_journal *j, bool is_full)
{
    if (is_full != j->is_full)
        broker_note_full(j->worker->broker, is_full);
    j->is_full = is_full;
}

static void bk_journal_on_done(void *arg, int result)
{
    struct bk_journal *j = arg;
    if (result != 0) {
        if (!j->is_failed)
            log_error(NULL, "the store does not take what has changed%s; nothing is acknowledged until it does: %s",
                      result == STORE_FULL ? ", it is full" : "", result < 0 ? err_text() : "trying again");
        j->is_failed = true;
        bk_journal_note_full(j, result == STORE_FULL);
        if (!j->is_stopping)
            loop_timer_start(&j->retry, BK_RETRY_MS);
        return;
    }
    if (j->is_failed)
        log_info(NULL, "the store takes changes again");
    j->is_failed = false;
    bk_journal_note_full(j, false);
    j->is_under_way = false;
    bk_journal_settle_items(j);
    bk_journal_page_growing(j);
    bk_flight_clear(&j->now);
    bk_journal_leave_shared(j);
    struct bk_answers *answers = j->now.answers;
    j->now.answers = NULL;
    if (answers)
        bk_answers_commit(answers);
    bk_journal_pump_waiting(j);
    if (j->is_stopping)
        bk_journal_on_turn_end(&j->task);
    else if (bk_journal_has_work(j))
        loop_defer(j->worker->loop, &j->task);
}

static void bk_journal_submit_changes(struct store_batch *b, const struct bk_writer *changes)
{
    struct cursor c = cursor_make(changes->bytes, changes->len);
    struct mqtt_bytes key, value;
    uint8_t kind;
    while (cursor_read_u8(&c, &kind) == 0 && bk_get_bytes(&c, &key) == 0 && bk_get_bytes(&c, &value) == 0) {
        const struct store_bytes k = {key.ptr, key.len};
        const struct store_value v = {.head = {value.ptr, value.len}};
        if (kind == BK_CHANGE_PUT)
            store_put(b, k, &v);
        else if (kind == BK_CHANGE_DELETE)
            store_delete(b, k);
        else
            store_delete_range(b, &(struct store_range){.first = k, .end = v.head});
    }
}

/* Hand `now` to the store, for the first time or again. */
static void bk_journal_send(struct bk_journal *j)
{
    struct bk_flight *now = &j->now;
    struct store_batch *b = store_begin(j->client);
    if (now->changes.has_failed || now->body.has_failed) {
        log_error(NULL, "out of memory: what has changed cannot be written, and what waits for it is not acknowledged");
        abort(); /* the store would miss a part: a restart from what it has is the honest way on */
    }
    bk_journal_submit_changes(b, &now->changes);
    list_for_each (it, &j->writing) {
        const struct bk_segment *segment = list_entry(it, struct bk_segment, link);
        const struct store_value v = {.body = {now->body.bytes + segment->at, segment->bytes}};
        store_put(b, (struct store_bytes){segment->key, segment->key_len}, &v);
    }
    store_commit(b, now->frees_space ? STORE_FREES_SPACE : 0, bk_journal_on_done, j);
}

static void bk_journal_on_turn_end(struct loop_task *task)
{
    struct bk_journal *j = container_of(task, struct bk_journal, task);
    if (j->is_under_way || !bk_journal_has_work(j))
        return;
    bk_journal_write_sessions(j);
    j->now = j->next;
    j->next = (struct bk_flight){0};
    j->now.changes.has_failed |= j->messages.has_failed;
    bk_journal_make_segments(j, 0);
    j->messages.len = 0;
    list_splice_tail(&j->resting, &j->waiting);
    list_splice_tail(&j->left, &j->leaving);
    j->now.answers = bk_answers_begin(j, &j->now.waiters);
    j->now.waiters = (struct bk_waiters){0};
    j->is_under_way = true;
    bk_journal_send(j);
}

static void bk_items_append(struct bk_items *to, struct bk_items *from)
{
    struct bk_item *list = realloc(to->list, (to->n + from->n + 1) * sizeof *list);
    if (!list)
        abort(); /* as in bk_journal_send() */
    if (from->n > 0)
        memcpy(list + to->n, from->list, from->n * sizeof *list);
    free(from->list);
    *to = (struct bk_items){.list = list, .n = to->n + from->n, .room = to->n + from->n + 1};
    *from = (struct bk_items){0};
}

/* Those of `next` are answered with those of `now`. */
static void bk_journal_join_answers(struct bk_journal *j)
{
    struct bk_answers *a = j->now.answers;
    if (!a) {
        j->now.answers = bk_answers_begin(j, &j->next.waiters);
    } else if (j->next.waiters.n > 0) {
        for (size_t i = 0; i < j->next.waiters.n; i++)
            *bk_waiters_add(&a->waiters) = j->next.waiters.list[i];
        free(j->next.waiters.list);
        a->n_due += bk_peers_hold(j->worker, bk_answers_step, a);
    }
    j->next.waiters = (struct bk_waiters){0};
}

/* There was no room for `now`. What has changed since may free more than it takes (acknowledged messages go), and must
 * not wait behind it: both become one. */
static void bk_journal_join_flights(struct bk_journal *j)
{
    const size_t first = j->now.items.n;
    bk_journal_write_sessions(j);
    bk_put_raw(&j->now.changes, j->next.changes.bytes, j->next.changes.len);
    j->now.changes.has_failed |= j->next.changes.has_failed | j->messages.has_failed;
    j->now.frees_space |= j->next.frees_space;
    bk_flight_clear(&j->next);
    bk_items_append(&j->now.items, &j->next.items);
    bk_journal_make_segments(j, first);
    j->messages.len = 0;
    list_splice_tail(&j->resting, &j->waiting);
    list_splice_tail(&j->left, &j->leaving);
    bk_journal_join_answers(j);
}

static void bk_journal_on_retry(struct loop_timer *timer)
{
    struct bk_journal *j = container_of(timer, struct bk_journal, retry);
    if (j->is_full && bk_journal_has_work(j))
        bk_journal_join_flights(j);
    bk_journal_send(j);
}

/* --- Life */

struct bk_journal *bk_journal_new(struct bk_worker *w)
{
    struct bk_journal *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->worker = w;
    map_init(&j->sessions, bk_session_has_number);
    list_init(&j->segments);
    list_init(&j->writing);
    list_init(&j->sparse);
    list_init(&j->answers);
    list_init(&j->leaving);
    list_init(&j->left);
    list_init(&j->dirty);
    list_init(&j->waiting);
    list_init(&j->growing);
    list_init(&j->resting);
    loop_task_init(&j->task, bk_journal_on_turn_end);
    loop_timer_init(&j->retry, w->loop, bk_journal_on_retry);
    return j;
}

int bk_journal_start(struct bk_journal *j, struct store *store)
{
    const int r = store_attach(store, j->worker->loop, &j->client);
    if (r >= 0 && bk_journal_has_work(j))
        loop_defer(j->worker->loop, &j->task);
    return r;
}

void bk_journal_stop(struct bk_journal *j)
{
    if (!j || !j->client)
        return;
    j->is_stopping = true;
    bk_journal_on_turn_end(&j->task);
    j->client = store_detach(j->client);
    loop_timer_stop(&j->retry);
    loop_task_cancel(&j->task);
}

static void bk_waiters_free(struct bk_waiters *waiters)
{
    for (size_t i = 0; i < waiters->n; i++)
        free(waiters->list[i].packet);
    free(waiters->list);
}

static void bk_flight_free(struct bk_flight *f)
{
    bk_flight_clear(f);
    for (size_t i = 0; i < f->items.n; i++)
        bk_message_unref(f->items.list[i].message);
    free(f->items.list);
    bk_waiters_free(&f->waiters);
}

struct bk_journal *bk_journal_free(struct bk_journal *j)
{
    if (!j)
        return NULL;
    bk_journal_stop(j);
    list_splice_tail(&j->segments, &j->writing);
    list_splice_tail(&j->segments, &j->sparse);
    list_splice_tail(&j->segments, &j->leaving);
    list_splice_tail(&j->segments, &j->left);
    list_for_each_safe (it, tmp, &j->segments)
        free(list_entry(it, struct bk_segment, link));
    list_for_each_safe (it, tmp, &j->answers) {
        bk_waiters_free(&list_entry(it, struct bk_answers, link)->waiters);
        free(list_entry(it, struct bk_answers, link));
    }
    bk_flight_free(&j->next);
    bk_flight_free(&j->now);
    free(j->messages.bytes);
    map_deinit(&j->sessions);
    free(j);
    return NULL;
}
