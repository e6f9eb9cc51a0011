/* Other workers (bk_peers.h). Frames, numbers as in bk_record.h; a batch is a run of them:
 *
 *   PUBLISH         how u8 (bk_peer_publish_flags) | message
 *   SHARED          text bytes | slot u32 | tried u64 x 4 | message
 *   RETURNED        the same, from who has nobody to whom it came from
 *   INTEREST        begins u8 | filter bytes
 *   SHARE           text bytes | filter at u32 | members here u32 | away u32
 *   ASK             question u32 | filter bytes                         retained messages
 *   ASK_MORE, ASK_NO_MORE        question u32
 *   ANSWER          question u32 | message
 *   ANSWER_PAUSE    question u32 | is end u8
 *   PACE            client u64 | is held u8
 *   CONFIRM         batch u64
 *   message         flags u8 (QoS, 4 = RETAIN, 8 = payload is a buf) | expires u64 (monotonic ms) | publisher u64
 *                   | source u64 (client, 0 = none to be paced) [ QoS 2: exchange ] | topic bytes | properties bytes
 *                   | payload bytes or nothing
 *   exchange        session u64 [ not 0: packet id u16 | is whole u8 | marks bytes ] */
#define LOG_MODULE LOG_BROKER
#include "bk_peers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bk_broker.h"
#include "bk_client.h"
#include "bk_journal.h"
#include "bk_message.h"
#include "bk_options.h"
#include "bk_pace.h"
#include "bk_record.h"
#include "bk_retain.h"
#include "bk_route.h"
#include "bk_share.h"
#include "bk_worker.h"
#include "buf.h"
#include "log.h"
#include "mailbox.h"
#include "topic_index.h"

enum {
    BK_PEER_MARK_BYTES = 64 * 1024,   /* sent without a confirmation: the next batch asks for one */
    BK_PEER_LIMIT_BYTES = 256 * 1024, /* not confirmed: who publishes there waits; less than fills a session's queue */
    BK_FLAG_BUF = 8,
};

enum bk_frame {
    BK_FRAME_PUBLISH = 1,
    BK_FRAME_SHARED,
    BK_FRAME_RETURNED,
    BK_FRAME_INTEREST,
    BK_FRAME_SHARE,
    BK_FRAME_ASK,
    BK_FRAME_ASK_MORE,
    BK_FRAME_ASK_NO_MORE,
    BK_FRAME_ANSWER,
    BK_FRAME_ANSWER_PAUSE,
    BK_FRAME_PACE,
    BK_FRAME_CONFIRM,
};

/* Bufs that frames refer to, in their order. */
struct bk_bufs {
    struct buf **list;
    size_t n, room;
};

/* On its way to another worker. */
struct bk_batch {
    struct mail mail;
    struct worker *to;
    unsigned from;
    uint64_t number; /* to be confirmed; 0: not */
    struct bk_writer frames;
    struct bk_bufs bufs;
};

struct bk_peer {
    struct bk_peers *peers;
    struct bk_writer out;
    struct bk_bufs bufs;
    struct list paused;        /* our clients that wait for it to take what they have published */
    uint64_t last;             /* number of the last batch that asks for a confirmation */
    uint64_t confirmed;        /* by it */
    uint64_t sent_bytes;       /* in all, outbox included */
    uint64_t confirmed_bytes;  /* of them, as far as is known */
    uint64_t mark, mark_bytes; /* when MARK is confirmed so are MARK_BYTES; 0: none is under way */
    uint64_t route_mark;
    uint32_t n_unconfirmed; /* its batches whose confirmation waits for our store */
    uint32_t n_returns;     /* what it has returned and its confirmations behind that, which wait for our store */
    unsigned index;
    bool must_confirm; /* the batch that grows */
};

struct bk_hold {
    struct list link; /* in peers->holds */
    bk_peers_hold_fn *fn;
    void *arg;
    uint64_t marks[]; /* by worker */
};

struct bk_peers {
    struct bk_worker *worker;
    struct loop_task task; /* at the end of the turn */
    struct list holds;
    unsigned n;
    bool is_open, is_shut;
    struct bk_peer list[]; /* by worker; our own is not used */
};

/* --- Life */

static void bk_bufs_clear(struct bk_bufs *bufs)
{
    for (size_t i = 0; i < bufs->n; i++)
        buf_unref(bufs->list[i]);
    free(bufs->list);
    *bufs = (struct bk_bufs){0};
}

static void bk_batch_free(struct bk_batch *b)
{
    free(b->frames.bytes);
    bk_bufs_clear(&b->bufs);
    free(b);
}

struct bk_peers *bk_peers_free(struct bk_peers *p)
{
    if (!p)
        return NULL;
    loop_task_cancel(&p->task);
    list_for_each_safe (it, tmp, &p->holds)
        free(list_entry(it, struct bk_hold, link));
    for (unsigned i = 0; i < p->n; i++) {
        free(p->list[i].out.bytes);
        bk_bufs_clear(&p->list[i].bufs);
    }
    free(p);
    return NULL;
}

struct bk_peer *bk_peers_get(const struct bk_peers *p, unsigned index)
{
    return (struct bk_peer *)&p->list[index];
}

unsigned bk_peer_index(const struct bk_peer *peer)
{
    return peer->index;
}

bool bk_peer_mark(struct bk_peer *peer, uint64_t mark)
{
    const bool is_new = peer->route_mark != mark;
    peer->route_mark = mark;
    return is_new;
}

/* --- The outbox */

static struct bk_writer *bk_peer_begin(struct bk_peer *peer, enum bk_frame kind)
{
    loop_defer(peer->peers->worker->loop, &peer->peers->task);
    bk_put_u8(&peer->out, (uint8_t)kind);
    return &peer->out;
}

/* The batch that grows has to be confirmed. */
static void bk_peer_must_confirm(struct bk_peer *peer)
{
    if (!peer->must_confirm)
        peer->last++;
    peer->must_confirm = true;
}

static void bk_batch_run(struct mail *mail);

static void bk_peer_flush(struct bk_peer *peer)
{
    struct bk_worker *w = peer->peers->worker;
    if (peer->out.len == 0)
        return;
    peer->sent_bytes += peer->out.len;
    if (peer->mark == 0 && peer->sent_bytes - peer->confirmed_bytes > BK_PEER_MARK_BYTES)
        bk_peer_must_confirm(peer);
    if (peer->mark == 0 && peer->must_confirm) {
        peer->mark = peer->last;
        peer->mark_bytes = peer->sent_bytes;
    }
    struct bk_batch *b = malloc(sizeof *b);
    if (!b || peer->out.has_failed) {
        log_error(NULL, "out of memory: workers cannot go on together");
        abort(); /* a message that one of them misses, or an answer that never comes, would be the alternative */
    }
    *b = (struct bk_batch){
        .mail = {.fn = bk_batch_run},
        .to = worker_pool_get(broker_pool(w->broker), peer->index),
        .from = w->index_of,
        .number = peer->must_confirm ? peer->last : 0,
        .frames = peer->out,
        .bufs = peer->bufs,
    };
    peer->out = (struct bk_writer){0};
    peer->bufs = (struct bk_bufs){0};
    peer->must_confirm = false;
    mailbox_post(b->to->mailbox, &b->mail);
}

static void bk_peers_on_turn_end(struct loop_task *task)
{
    struct bk_peers *p = container_of(task, struct bk_peers, task);
    for (unsigned i = 0; i < p->n; i++) {
        if (p->is_open && !p->is_shut)
            bk_peer_flush(&p->list[i]);
        else if (p->is_shut)
            p->list[i].out.len = 0;
    }
}

void bk_peers_open(struct bk_peers *p)
{
    if (!p)
        return;
    p->is_open = true;
    bk_peers_on_turn_end(&p->task);
}

void bk_peers_shut(struct bk_peers *p)
{
    if (!p)
        return;
    bk_peers_on_turn_end(&p->task);
    p->is_shut = true;
}

/* --- Interests */

/* Whether one session and nobody else of this worker has FILTER. Shared subscriptions go by their members instead. */
static bool bk_is_only_subscriber(const struct topic_filter *filter)
{
    size_t n, n_here = 0;
    const struct topic_entry *entries = topic_filter_entries(filter, &n);
    for (size_t i = 0; i < n && n_here < 2; i++)
        n_here += (entries[i].options & (BK_ENTRY_PEER | BK_ENTRY_SHARE)) == 0;
    return n_here == 1;
}

static void bk_peers_tell_interest(struct bk_peers *p, const struct topic_filter *filter, bool begins)
{
    const struct mqtt_bytes text = topic_filter_text(filter);
    if (!p || !bk_is_only_subscriber(filter))
        return;
    for (unsigned i = 0; i < p->n; i++) {
        if (i == p->worker->index_of)
            continue;
        struct bk_writer *out = bk_peer_begin(&p->list[i], BK_FRAME_INTEREST);
        bk_put_u8(out, begins);
        bk_put_bytes(out, text.ptr, text.len);
        if (begins)
            bk_peer_must_confirm(&p->list[i]);
    }
}

void bk_peers_interest(struct bk_worker *w, const struct topic_filter *filter)
{
    bk_peers_tell_interest(w->peers, filter, true);
}

void bk_peers_interest_ends(struct bk_worker *w, const struct topic_filter *filter)
{
    bk_peers_tell_interest(w->peers, filter, false);
}

void bk_peers_share(struct bk_worker *w, struct mqtt_bytes text, uint32_t filter_at, const struct bk_share_count *count)
{
    struct bk_peers *p = w->peers;
    for (unsigned i = 0; p && i < p->n; i++) {
        if (i == w->index_of)
            continue;
        struct bk_writer *out = bk_peer_begin(&p->list[i], BK_FRAME_SHARE);
        bk_put_bytes(out, text.ptr, text.len);
        bk_put_u32(out, filter_at);
        bk_put_u32(out, count->here);
        bk_put_u32(out, count->away);
        bk_put_u32(out, count->in_flight);
        bk_put_u64(out, count->oldest);
        bk_peer_must_confirm(&p->list[i]);
    }
}

static int bk_frame_interest(struct bk_peer *peer, struct cursor *c)
{
    struct bk_worker *w = peer->peers->worker;
    struct mqtt_bytes filter;
    uint8_t begins;
    if (cursor_read_u8(c, &begins) != 0 || bk_get_bytes(c, &filter) != 0)
        return BK_RECORD_BAD;
    if (begins) {
        const struct topic_entry entry = {.owner = peer, .options = BK_ENTRY_PEER};
        if (topic_index_add(w->index, filter, &entry, NULL) < 0)
            return -ENOMEM;
    } else {
        struct topic_filter *known = topic_index_find(w->index, filter);
        if (known)
            topic_index_remove(w->index, known, peer);
    }
    bk_routes_change(&w->routes);
    return 0;
}

static int bk_frame_share(struct bk_peer *peer, struct cursor *c)
{
    struct mqtt_bytes text;
    uint32_t filter_at;
    struct bk_share_count count;
    if (bk_get_bytes(c, &text) != 0 || cursor_read_u32(c, &filter_at) != 0 || cursor_read_u32(c, &count.here) != 0 ||
        cursor_read_u32(c, &count.away) != 0 || cursor_read_u32(c, &count.in_flight) != 0 ||
        bk_get_u64(c, &count.oldest) != 0)
        return BK_RECORD_BAD;
    return bk_share_set_far(peer->peers->worker, text, filter_at, peer->index, &count);
}

/* --- Messages */

static void bk_peer_add_buf(struct bk_peer *peer, struct buf *b)
{
    struct bk_bufs *bufs = &peer->bufs;
    if (bufs->n == bufs->room) {
        const size_t room = bufs->room == 0 ? 8 : bufs->room * 2;
        struct buf **list = realloc(bufs->list, room * sizeof(struct buf *));
        if (!list) {
            peer->out.has_failed = true;
            return;
        }
        bufs->list = list;
        bufs->room = room;
    }
    bufs->list[bufs->n++] = buf_ref(b);
}

/* Who publishes more than the peer takes waits. */
static void bk_peer_hold_back(struct bk_peer *peer, struct bk_client *source)
{
    if (!source || list_is_linked(&source->peer_link) ||
        peer->sent_bytes + peer->out.len - peer->confirmed_bytes < BK_PEER_LIMIT_BYTES)
        return;
    list_add_tail(&peer->paused, &source->peer_link);
    mqtt_io_pause(source->io, BK_PAUSE_PEER);
}

static void bk_peer_let_go(struct bk_peer *peer)
{
    list_for_each_safe (it, tmp, &peer->paused) {
        struct bk_client *c = list_entry(it, struct bk_client, peer_link);
        list_del(it);
        mqtt_io_resume(c->io, BK_PAUSE_PEER);
    }
}

static void bk_peer_put_exchange(struct bk_peer *peer, struct bk_publication *p)
{
    struct bk_writer *out = &peer->out;
    bk_put_u64(out, p->inbound_session);
    if (p->inbound_session == 0)
        return;
    bk_put_u16(out, p->inbound_id);
    p->whole_at = out->len;
    bk_put_u8(out, p->is_whole);
    bk_put_bytes(out, p->had.ptr, p->had.len);
}

static void bk_peer_put_message(struct bk_peer *peer, struct bk_publication *p)
{
    struct bk_writer *out = &peer->out;
    const bool is_inline = p->payload.len <= BK_PAYLOAD_INLINE;
    struct buf *rest = is_inline ? NULL : bk_publication_rest(p);
    bk_put_u8(out, (uint8_t)(p->qos | (p->retain ? BK_FLAG_RETAIN : 0) | (rest ? BK_FLAG_BUF : 0)));
    bk_put_u64(out, p->expires_ms);
    bk_put_u64(out, p->publisher);
    bk_put_u64(out, bk_pace_name(p->source));
    p->n_peers++;
    p->last_peer = peer;
    if (p->qos == 2)
        bk_peer_put_exchange(peer, p);
    bk_put_bytes(out, p->topic.ptr, p->topic.len);
    bk_put_bytes(out, p->properties.wire.ptr, p->properties.wire.len);
    if (rest) {
        bk_peer_add_buf(peer, rest);
        peer->sent_bytes += p->payload.len;
    } else {
        bk_put_bytes(out, p->payload.ptr, p->payload.len);
    }
}

void bk_peer_publish_whole(const struct bk_publication *p)
{
    bk_set_u8(&p->last_peer->out, p->whole_at, true);
}

/* What was just put into the outbox has to survive where it goes: answers wait until it does. */
static void bk_peer_promise(struct bk_peer *peer, const struct bk_publication *p, bool is_retained)
{
    struct bk_worker *w = peer->peers->worker;
    if (p->qos == 0 && !(is_retained && w->journal))
        return;
    if (!w->journal && !is_retained)
        return;
    bk_peer_must_confirm(peer);
    if (w->journal)
        bk_journal_promise(w);
}

void bk_peer_publish(struct bk_peer *peer, struct bk_publication *p, bool is_owner)
{
    bk_put_u8(bk_peer_begin(peer, BK_FRAME_PUBLISH), is_owner);
    bk_peer_put_message(peer, p);
    bk_peer_promise(peer, p, is_owner);
    bk_peer_hold_back(peer, p->source);
}

void bk_peer_publish_shared(struct bk_peer *peer, struct bk_publication *p, struct mqtt_bytes text,
                            const struct bk_workers_set *tried, uint32_t slot)
{
    const bool is_return = p->far == peer;
    struct bk_writer *out = bk_peer_begin(peer, is_return ? BK_FRAME_RETURNED : BK_FRAME_SHARED);
    bk_put_bytes(out, text.ptr, text.len);
    bk_put_u32(out, slot);
    for (unsigned i = 0; i < BK_WORKERS_MAX / 64; i++)
        bk_put_u64(out, tried->bits[i]);
    bk_peer_put_message(peer, p);
    if (is_return)
        return; /* our confirmation comes behind it */
    bk_peer_promise(peer, p, false);
    bk_peer_hold_back(peer, p->source);
}

static int bk_get_exchange(struct bk_peer *peer, struct cursor *c, struct bk_publication *p)
{
    uint8_t is_whole;
    if (bk_get_u64(c, &p->inbound_session) != 0)
        return BK_RECORD_BAD;
    if (p->inbound_session == 0)
        return 0;
    if (cursor_read_u16(c, &p->inbound_id) != 0 || cursor_read_u8(c, &is_whole) != 0 || bk_get_bytes(c, &p->had) != 0)
        return BK_RECORD_BAD;
    p->is_whole = is_whole;
    p->marks = &peer->peers->worker->marks;
    p->marks->len = 0;
    return 0;
}

/* A view of what stands in the batch. */
static int bk_get_publication(struct bk_peer *peer, struct bk_bufs *bufs, struct cursor *c, struct bk_publication *p)
{
    uint8_t flags;
    bk_publication_init(p, &peer->peers->worker->scratch);
    if (cursor_read_u8(c, &flags) != 0 || bk_get_u64(c, &p->expires_ms) != 0 || bk_get_u64(c, &p->publisher) != 0 ||
        bk_get_u64(c, &p->far_source) != 0)
        return BK_RECORD_BAD;
    p->qos = flags & 3;
    if (p->qos == 2 && bk_get_exchange(peer, c, p) != 0)
        return BK_RECORD_BAD;
    if (bk_get_bytes(c, &p->topic) != 0 || bk_get_bytes(c, &p->properties.wire) != 0)
        return BK_RECORD_BAD;
    p->retain = flags & BK_FLAG_RETAIN;
    p->far = peer;
    if (!(flags & BK_FLAG_BUF))
        return bk_get_bytes(c, &p->payload);
    if (bufs->room == bufs->n)
        return BK_RECORD_BAD;
    p->rest = buf_ref(bufs->list[bufs->room++]); /* of a batch, `room` counts those that have been read */
    p->payload = (struct mqtt_bytes){buf_bytes(p->rest), (uint32_t)buf_len(p->rest)};
    return 0;
}

static int bk_frame_publish(struct bk_peer *peer, struct bk_bufs *bufs, struct cursor *c)
{
    struct bk_worker *w = peer->peers->worker;
    struct bk_publication p;
    uint8_t is_owner;
    if (cursor_read_u8(c, &is_owner) != 0 || bk_get_publication(peer, bufs, c, &p) != 0)
        return BK_RECORD_BAD;
    if (is_owner)
        bk_retain_set(w, &p);
    /* Even if PEER knew of no subscriber: who has become one since then was not sent what is retained now. */
    bk_route_publish_here(w, &p);
    bk_journal_inbound(w, &p);
    bk_publication_end(&p);
    return 0;
}

/* What waits for confirmations waits from here on for those of all that has been sent up to now. */
static void bk_peers_raise_holds(struct bk_peers *p)
{
    list_for_each (it, &p->holds) {
        struct bk_hold *h = list_entry(it, struct bk_hold, link);
        for (unsigned i = 0; i < p->n; i++)
            h->marks[i] = p->list[i].last;
    }
}

/* PEER had nobody for P, which has been placed again: what waits for PEER's confirmation waits for that too. */
static void bk_peer_wait_for_returned(struct bk_peer *peer, const struct bk_publication *p, uint64_t changes)
{
    struct bk_worker *w = peer->peers->worker;
    if (p->n_peers > 0) {
        bk_peers_raise_holds(peer->peers);
    } else if (bk_journal_changes(w) != changes) {
        peer->n_returns++;
        bk_journal_wait(w, &(struct bk_waiter){.peer = peer, .is_return = true});
    }
}

static int bk_frame_shared(struct bk_peer *peer, enum bk_frame kind, struct bk_bufs *bufs, struct cursor *c)
{
    struct bk_worker *w = peer->peers->worker;
    const uint64_t changes = bk_journal_changes(w);
    struct bk_workers_set tried;
    struct bk_publication p;
    struct mqtt_bytes text;
    uint32_t slot;
    int e = bk_get_bytes(c, &text) != 0 || cursor_read_u32(c, &slot) != 0 ? BK_RECORD_BAD : 0;
    for (unsigned i = 0; e == 0 && i < BK_WORKERS_MAX / 64; i++)
        e = bk_get_u64(c, &tried.bits[i]);
    if (e != 0 || bk_get_publication(peer, bufs, c, &p) != 0)
        return BK_RECORD_BAD;
    if (kind == BK_FRAME_RETURNED)
        p.far = NULL;
    bk_share_publish_far(w, text, &p, &tried, slot);
    if (p.n_peers == 0)
        bk_journal_inbound(w, &p);
    if (kind == BK_FRAME_RETURNED)
        bk_peer_wait_for_returned(peer, &p, changes);
    bk_publication_end(&p);
    return 0;
}

/* --- Retained messages */

static void bk_peer_question(struct bk_peer *peer, enum bk_frame kind, uint32_t id)
{
    bk_put_u32(bk_peer_begin(peer, kind), id);
}

void bk_peer_ask_retained(struct bk_peer *peer, uint32_t id, struct mqtt_bytes filter)
{
    bk_peer_question(peer, BK_FRAME_ASK, id);
    bk_put_bytes(&peer->out, filter.ptr, filter.len);
}

void bk_peer_ask_more(struct bk_peer *peer, uint32_t id)
{
    bk_peer_question(peer, BK_FRAME_ASK_MORE, id);
}

void bk_peer_ask_no_more(struct bk_peer *peer, uint32_t id)
{
    bk_peer_question(peer, BK_FRAME_ASK_NO_MORE, id);
}

void bk_peer_answer_retained(struct bk_peer *peer, uint32_t id, struct bk_publication *p)
{
    bk_peer_question(peer, BK_FRAME_ANSWER, id);
    bk_peer_put_message(peer, p);
}

void bk_peer_answer_pause(struct bk_peer *peer, uint32_t id, bool is_end)
{
    bk_peer_question(peer, BK_FRAME_ANSWER_PAUSE, id);
    bk_put_u8(&peer->out, is_end);
}

static int bk_frame_retained(struct bk_peer *peer, enum bk_frame kind, struct bk_bufs *bufs, struct cursor *c)
{
    struct bk_worker *w = peer->peers->worker;
    struct mqtt_bytes filter;
    struct bk_publication p;
    uint32_t id;
    uint8_t is_end;
    if (cursor_read_u32(c, &id) != 0)
        return BK_RECORD_BAD;
    if (kind == BK_FRAME_ASK)
        return bk_get_bytes(c, &filter) != 0 ? BK_RECORD_BAD : bk_retain_asked(w, peer, id, filter);
    if (kind == BK_FRAME_ASK_MORE || kind == BK_FRAME_ASK_NO_MORE) {
        bk_retain_asked_on(w, peer, id, kind == BK_FRAME_ASK_MORE);
        return 0;
    }
    if (kind == BK_FRAME_ANSWER_PAUSE) {
        if (cursor_read_u8(c, &is_end) != 0)
            return BK_RECORD_BAD;
        bk_retain_answered(w, id, is_end);
        return 0;
    }
    if (bk_get_publication(peer, bufs, c, &p) != 0)
        return BK_RECORD_BAD;
    bk_retain_answer(w, id, &p);
    bk_publication_end(&p);
    return 0;
}

/* --- --slow-consumer pace */

void bk_peer_pace(struct bk_peer *peer, uint64_t number, bool is_held)
{
    struct bk_writer *out = bk_peer_begin(peer, BK_FRAME_PACE);
    bk_put_u64(out, number);
    bk_put_u8(out, is_held);
}

static int bk_frame_pace(struct bk_peer *peer, struct cursor *c)
{
    uint64_t number;
    uint8_t is_held;
    if (bk_get_u64(c, &number) != 0 || cursor_read_u8(c, &is_held) != 0)
        return BK_RECORD_BAD;
    bk_pace_from_peer(peer->peers->worker, number, is_held);
    return 0;
}

/* --- Confirmations */

static bool bk_hold_is_over(const struct bk_peers *p, const struct bk_hold *h)
{
    for (unsigned i = 0; i < p->n; i++)
        if (p->list[i].confirmed < h->marks[i])
            return false;
    return true;
}

static void bk_peers_run_holds(struct bk_peers *p)
{
    while (!list_is_empty(&p->holds)) {
        struct bk_hold *h = list_entry(list_first(&p->holds), struct bk_hold, link);
        if (!bk_hold_is_over(p, h))
            return;
        list_del(&h->link);
        h->fn(h->arg);
        free(h);
    }
}

bool bk_peers_hold(struct bk_worker *w, bk_peers_hold_fn *fn, void *arg)
{
    struct bk_peers *p = w->peers;
    bool is_confirmed = true;
    for (unsigned i = 0; p && i < p->n; i++)
        is_confirmed &= p->list[i].confirmed == p->list[i].last;
    if (is_confirmed)
        return false;
    struct bk_hold *h = calloc(1, sizeof *h + p->n * sizeof h->marks[0]);
    if (!h)
        abort(); /* an answer that is never given hangs its client: as for a timer */
    h->fn = fn;
    h->arg = arg;
    for (unsigned i = 0; i < p->n; i++)
        h->marks[i] = p->list[i].last;
    list_add_tail(&p->holds, &h->link);
    return true;
}

void bk_peers_unhold(struct bk_worker *w, const void *arg)
{
    struct bk_peers *p = w->peers;
    if (!p)
        return;
    list_for_each_safe (it, tmp, &p->holds) {
        struct bk_hold *h = list_entry(it, struct bk_hold, link);
        if (h->arg != arg)
            continue;
        list_del(it);
        free(h);
    }
}

/* The last of them stands for all before it. */
static void bk_peer_confirm(struct bk_peer *peer, uint64_t number)
{
    bk_put_u64(bk_peer_begin(peer, BK_FRAME_CONFIRM), number);
}

void bk_peer_committed(struct bk_peer *peer, uint64_t number)
{
    peer->n_unconfirmed--;
    bk_peer_confirm(peer, number);
}

static void bk_peer_confirmed(struct bk_peer *peer, uint64_t number)
{
    peer->confirmed = number;
    if (peer->mark != 0 && number >= peer->mark) {
        peer->mark = 0;
        peer->confirmed_bytes = peer->mark_bytes;
        bk_peer_let_go(peer);
    }
    bk_peers_run_holds(peer->peers);
}

void bk_peer_return_committed(struct bk_peer *peer, uint64_t number)
{
    peer->n_returns--;
    if (number != 0)
        bk_peer_confirmed(peer, number);
}

static int bk_frame_confirm(struct bk_peer *peer, struct cursor *c)
{
    uint64_t number;
    if (bk_get_u64(c, &number) != 0)
        return BK_RECORD_BAD;
    if (peer->n_returns == 0) {
        bk_peer_confirmed(peer, number);
        return 0;
    }
    peer->n_returns++;
    bk_journal_wait(peer->peers->worker, &(struct bk_waiter){.peer = peer, .is_return = true, .number = number});
    return 0;
}

/* Everything of the batch has been done here; CHANGES is bk_journal_changes() of before. */
static void bk_batch_done(struct bk_peer *peer, uint64_t number, uint64_t changes)
{
    struct bk_worker *w = peer->peers->worker;
    if (number == 0)
        return;
    if (peer->n_unconfirmed == 0 && bk_journal_changes(w) == changes) {
        bk_peer_confirm(peer, number);
        return;
    }
    const struct bk_waiter waiter = {.peer = peer, .number = number};
    peer->n_unconfirmed++;
    bk_journal_wait(w, &waiter);
}

/* --- A batch has come */

static int bk_frame_run(struct bk_peer *peer, struct bk_bufs *bufs, struct cursor *c)
{
    uint8_t kind;
    if (cursor_read_u8(c, &kind) != 0)
        return BK_RECORD_BAD;
    switch ((enum bk_frame)kind) {
    case BK_FRAME_PUBLISH:
        return bk_frame_publish(peer, bufs, c);
    case BK_FRAME_SHARED:
    case BK_FRAME_RETURNED:
        return bk_frame_shared(peer, kind, bufs, c);
    case BK_FRAME_INTEREST:
        return bk_frame_interest(peer, c);
    case BK_FRAME_SHARE:
        return bk_frame_share(peer, c);
    case BK_FRAME_ASK:
    case BK_FRAME_ASK_MORE:
    case BK_FRAME_ASK_NO_MORE:
    case BK_FRAME_ANSWER:
    case BK_FRAME_ANSWER_PAUSE:
        return bk_frame_retained(peer, kind, bufs, c);
    case BK_FRAME_PACE:
        return bk_frame_pace(peer, c);
    case BK_FRAME_CONFIRM:
        return bk_frame_confirm(peer, c);
    }
    return BK_RECORD_BAD;
}

static void bk_batch_take(struct bk_worker *w, struct bk_batch *b)
{
    struct bk_peer *peer = &w->peers->list[b->from];
    struct cursor c = cursor_make(b->frames.bytes, b->frames.len);
    const uint64_t changes = bk_journal_changes(w);
    b->bufs.room = 0; /* from here on: how many of them have been read */
    while (c.len > 0) {
        const int e = bk_frame_run(peer, &b->bufs, &c);
        if (e == 0)
            continue;
        log_error(NULL, "worker %u: %s", b->from, e == -ENOMEM ? "out of memory" : "a frame that cannot be");
        abort(); /* as in bk_peer_flush() */
    }
    bk_batch_done(peer, b->number, changes);
}

static void bk_batch_run(struct mail *mail)
{
    struct bk_batch *b = container_of(mail, struct bk_batch, mail);
    if (b->to->object) /* NULL: the worker has ended */
        bk_batch_take(b->to->object, b);
    bk_batch_free(b);
}

/* --- The beginning */

int bk_peers_new(struct bk_worker *w, unsigned n, struct bk_peers **ret_peers)
{
    *ret_peers = NULL;
    if (n < 2)
        return 0;
    struct bk_peers *p = calloc(1, sizeof *p + n * sizeof p->list[0]);
    if (!p)
        return -ENOMEM;
    p->worker = w;
    p->n = n;
    list_init(&p->holds);
    loop_task_init(&p->task, bk_peers_on_turn_end);
    for (unsigned i = 0; i < n; i++) {
        p->list[i].peers = p;
        p->list[i].index = i;
        list_init(&p->list[i].paused);
    }
    *ret_peers = p;
    return 0;
}
