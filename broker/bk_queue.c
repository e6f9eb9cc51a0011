/* The ring of one session's deliveries (bk_queue.h). */
#include "bk_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bk_message.h"
#include "bk_tag.h"

enum {
    BK_RING_FIRST = 4,
    BK_RING_KEPT = 16, /* a ring of so many entries stays when it is empty */
    BK_IDS = UINT16_MAX,
    BK_RESTORE_GAP_MAX = 1 << 24,
};

static struct bk_entry *bk_queue_at(const struct bk_queue *q, uint64_t number)
{
    return &q->ring[number & (q->cap - 1)];
}

static void bk_entry_clear(struct bk_queue *q, struct bk_entry *e)
{
    q->bytes -= e->bytes;
    q->n_paged -= e->segment != NULL;
    e->bytes = 0;
    e->segment = NULL;
    e->message = bk_message_unref(e->message);
    e->tag = bk_tag_unref(e->tag);
}

void bk_queue_deinit(struct bk_queue *q)
{
    for (uint64_t i = q->head; i < q->tail; i++)
        bk_entry_clear(q, bk_queue_at(q, i));
    for (uint32_t i = 0; i < q->n_stragglers; i++)
        bk_entry_clear(q, &q->stragglers[i]);
    free(q->ring);
    free(q->stragglers);
    *q = (struct bk_queue){0};
}

static int bk_queue_grow(struct bk_queue *q)
{
    const uint32_t cap = q->cap == 0 ? BK_RING_FIRST : q->cap * 2;
    struct bk_entry *ring = cap > q->cap ? malloc(cap * sizeof *ring) : NULL;
    if (!ring)
        return -ENOMEM;
    for (uint64_t i = q->head; i < q->tail; i++)
        ring[i & (cap - 1)] = *bk_queue_at(q, i);
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    return 0;
}

/* ENTRY, which has none, has MESSAGE from now on. */
static void bk_queue_charge(struct bk_queue *q, struct bk_entry *entry, struct bk_message *message)
{
    const size_t bytes = message ? bk_message_bytes(message) : 0;
    entry->message = message;
    entry->bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    q->bytes += entry->bytes;
}

int bk_queue_push(struct bk_queue *q, struct bk_message *message, struct bk_tag *tag, uint8_t qos, bool retain)
{
    if (q->tail - q->head == q->cap && bk_queue_grow(q) < 0) {
        bk_message_unref(message);
        bk_tag_unref(tag);
        return -ENOMEM;
    }
    struct bk_entry *e = bk_queue_at(q, q->tail);
    *e = (struct bk_entry){.tag = tag, .number = q->tail, .qos = qos & 3u, .state = BK_ENTRY_WAITING, .retain = retain};
    bk_queue_charge(q, e, message);
    q->tail++;
    return 0;
}

struct bk_entry *bk_queue_last(struct bk_queue *q)
{
    return bk_queue_at(q, q->tail - 1);
}

struct bk_entry *bk_queue_waiting_first(struct bk_queue *q)
{
    return q->next == q->tail ? NULL : bk_queue_at(q, q->next);
}

/* --- Paging */

void bk_queue_page_out(struct bk_queue *q, struct bk_entry *entry, struct bk_segment *segment)
{
    assert(entry->message && !entry->segment);
    entry->message = bk_message_unref(entry->message);
    entry->segment = segment;
    q->n_paged++;
}

void bk_queue_page_in(struct bk_queue *q, struct bk_entry *entry, struct bk_message *message)
{
    assert(!entry->message && entry->segment);
    entry->message = message;
    entry->segment = NULL;
    q->n_paged--;
}

/* --- Packet ids */

static struct bk_entry *bk_queue_find_straggler(const struct bk_queue *q, uint16_t id)
{
    for (uint32_t i = 0; i < q->n_stragglers; i++)
        if (q->stragglers[i].id == id)
            return &q->stragglers[i];
    return NULL;
}

/* Behind whatever has been done at the front. */
static void bk_queue_advance(struct bk_queue *q)
{
    while (q->head < q->next && bk_queue_at(q, q->head)->state == BK_ENTRY_DONE)
        q->head++;
    if (q->head == q->tail && q->cap > BK_RING_KEPT) {
        free(q->ring);
        q->ring = NULL;
        q->cap = 0;
    }
}

/* The oldest exchange steps aside, so that its id is one to pass over. */
static int bk_queue_set_aside(struct bk_queue *q)
{
    struct bk_entry *stragglers = realloc(q->stragglers, (q->n_stragglers + 1) * sizeof *stragglers);
    if (!stragglers)
        return -ENOMEM;
    q->stragglers = stragglers;
    q->stragglers[q->n_stragglers++] = *bk_queue_at(q, q->head);
    q->head++;
    bk_queue_advance(q);
    return 0;
}

static uint16_t bk_next_id(uint16_t id)
{
    return id == BK_IDS ? 1 : (uint16_t)(id + 1);
}

/* Ids between that of the oldest in the ring, and ID. */
static uint32_t bk_queue_distance(const struct bk_queue *q, uint16_t id)
{
    return (uint32_t)(id + BK_IDS - bk_queue_at(q, q->head)->id) % BK_IDS;
}

/* The next id that is free; 0: out of memory. Not all of them are in use. */
static uint16_t bk_queue_free_id(struct bk_queue *q)
{
    uint16_t id = bk_next_id(q->last_id);
    for (;;) {
        if (q->head < q->next && bk_queue_at(q, q->head)->id == id && bk_queue_set_aside(q) < 0)
            return 0;
        if (q->n_stragglers == 0 || !bk_queue_find_straggler(q, id))
            return id;
        id = bk_next_id(id);
        q->skips++;
    }
}

struct bk_entry *bk_queue_begin(struct bk_queue *q)
{
    assert(q->next < q->tail);
    const uint16_t id = q->open < BK_IDS ? bk_queue_free_id(q) : 0;
    if (id == 0)
        return NULL;
    struct bk_entry *e = bk_queue_at(q, q->next++);
    e->id = id;
    e->state = BK_ENTRY_SENT;
    q->last_id = id;
    q->open++;
    return e;
}

struct bk_entry *bk_queue_find(struct bk_queue *q, uint16_t id)
{
    if (q->head < q->next) {
        /* in its place, or as many places before it as ids were passed over */
        const uint64_t place = q->head + bk_queue_distance(q, id);
        const uint64_t lowest = place - q->head > q->skips ? place - q->skips : q->head;
        for (uint64_t i = place + 1; i-- > lowest;) {
            if (i >= q->next)
                continue;
            struct bk_entry *e = bk_queue_at(q, i);
            if (e->id == id)
                return e->state == BK_ENTRY_DONE ? NULL : e;
        }
    }
    return bk_queue_find_straggler(q, id);
}

struct bk_entry *bk_queue_find_number(struct bk_queue *q, uint64_t number)
{
    for (uint32_t i = 0; i < q->n_stragglers; i++)
        if (q->stragglers[i].number == number)
            return &q->stragglers[i];
    if (number < q->head || number >= q->next)
        return NULL;
    struct bk_entry *e = bk_queue_at(q, number);
    return e->state == BK_ENTRY_DONE ? NULL : e;
}

struct bk_entry *bk_queue_find_due(struct bk_queue *q, uint64_t number)
{
    return number >= q->next && number < q->tail ? bk_queue_at(q, number) : bk_queue_find_number(q, number);
}

/* --- The end of exchanges */

void bk_queue_release(struct bk_queue *q, struct bk_entry *entry)
{
    bk_entry_clear(q, entry);
    entry->state = BK_ENTRY_RELEASED;
}

void bk_queue_forget(struct bk_queue *q, struct bk_entry *entry)
{
    bk_entry_clear(q, entry);
}

static bool bk_queue_is_straggler(const struct bk_queue *q, const struct bk_entry *e)
{
    return q->n_stragglers > 0 && e >= q->stragglers && e < q->stragglers + q->n_stragglers;
}

void bk_queue_done(struct bk_queue *q, struct bk_entry *entry)
{
    bk_entry_clear(q, entry);
    q->open--;
    if (bk_queue_is_straggler(q, entry)) {
        const size_t at = (size_t)(entry - q->stragglers);
        memmove(entry, entry + 1, (--q->n_stragglers - at) * sizeof *entry);
        return;
    }
    entry->state = BK_ENTRY_DONE;
    bk_queue_advance(q);
    if (q->head == q->next)
        q->skips = 0;
}

bool bk_queue_skip(struct bk_queue *q)
{
    struct bk_entry *e = bk_queue_begin(q);
    if (e)
        bk_queue_done(q, e);
    return e;
}

/* --- After a restart */

int bk_queue_restore(struct bk_queue *q, uint64_t next, uint16_t last_id)
{
    q->head = q->next = q->tail = next;
    q->last_id = last_id;
    return 0;
}

/* Room for numbers from FIRST on, those that nobody has filled are done. */
static int bk_queue_reach_down(struct bk_queue *q, uint64_t first)
{
    if (first >= q->next || q->next - first > BK_IDS)
        return -EINVAL;
    while (q->next - first > q->cap)
        if (bk_queue_grow(q) < 0)
            return -ENOMEM;
    for (uint64_t i = first; i < q->next; i++)
        *bk_queue_at(q, i) = (struct bk_entry){.number = i, .state = BK_ENTRY_DONE};
    q->head = first;
    return 0;
}

int bk_queue_restore_open(struct bk_queue *q, uint64_t number, uint16_t id, enum bk_entry_state state)
{
    const struct bk_entry entry = {
        .number = number, .id = id, .qos = state == BK_ENTRY_RELEASED ? 2 : 1, .state = (uint8_t)state & 3u};
    const uint32_t distance = (uint32_t)(q->last_id + BK_IDS - id) % BK_IDS;
    if (number >= q->next || id == 0)
        return -EINVAL;
    q->open++;
    if (q->next - 1 - number == distance) {
        const int r = q->head == q->next ? bk_queue_reach_down(q, number) : 0;
        if (r < 0)
            return r;
        *bk_queue_at(q, number) = entry;
        return 0;
    }
    /* its id is not where its number says: one that had stepped aside */
    struct bk_entry *stragglers = realloc(q->stragglers, (q->n_stragglers + 1) * sizeof *stragglers);
    if (!stragglers)
        return -ENOMEM;
    q->stragglers = stragglers;
    q->stragglers[q->n_stragglers++] = entry;
    return 0;
}

/* So that NUMBER comes next. What is missing between was done before it was ever written: it has no message. */
static int bk_queue_reach_up(struct bk_queue *q, uint64_t number)
{
    if (q->head == q->tail) {
        q->head = q->next = q->tail = number;
        return 0;
    }
    if (number - q->tail > BK_RESTORE_GAP_MAX)
        return -EINVAL;
    while (q->tail < number)
        if (bk_queue_push(q, NULL, NULL, 1, false) < 0)
            return -ENOMEM;
    return 0;
}

int bk_queue_restore_message(struct bk_queue *q, uint64_t number, struct bk_message *message, struct bk_tag *tag,
                             uint8_t qos, bool retain)
{
    struct bk_entry *e = bk_queue_find_number(q, number);
    if (number >= q->tail) {
        const int r = bk_queue_reach_up(q, number);
        if (r < 0) {
            bk_message_unref(message);
            bk_tag_unref(tag);
            return r;
        }
        if (bk_queue_push(q, message, tag, qos, retain) < 0)
            return -ENOMEM;
        bk_queue_last(q)->is_in_journal = true;
        return true;
    }
    if (!e || e->state != BK_ENTRY_SENT || e->message) {
        bk_message_unref(message);
        bk_tag_unref(tag);
        return false;
    }
    bk_queue_charge(q, e, message);
    e->tag = tag;
    e->qos = qos & 3u;
    e->retain = retain;
    e->is_in_journal = true;
    return true;
}

void bk_queue_restored(struct bk_queue *q)
{
    struct bk_entry *e;
    for (uint64_t pos = 0; (e = bk_queue_open_next(q, &pos));) {
        if (e->state != BK_ENTRY_SENT || e->message)
            continue;
        bk_queue_done(q, e);
        pos = 0; /* others may have moved */
    }
}

/* --- Walking */

struct bk_entry *bk_queue_open_next(struct bk_queue *q, uint64_t *pos)
{
    while (*pos < q->n_stragglers + (q->next - q->head)) {
        const uint64_t at = (*pos)++;
        struct bk_entry *e =
            at < q->n_stragglers ? &q->stragglers[at] : bk_queue_at(q, q->head + (at - q->n_stragglers));
        if (e->state != BK_ENTRY_DONE)
            return e;
    }
    return NULL;
}

struct bk_entry *bk_queue_waiting_next(struct bk_queue *q, uint64_t *pos)
{
    if (*pos >= q->tail - q->next)
        return NULL;
    return bk_queue_at(q, q->next + (*pos)++);
}
