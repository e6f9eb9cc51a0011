/* Filling a batch, committing it, taking puts back: plain memory operations on the round of this turn. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "store_internal.h"

struct store_batch *store_begin(struct store_client *c)
{
    struct store_round *r = store_client_hold(c);
    struct store_batch *b = store_round_alloc(r, sizeof *b);
    if (!b)
        abort();
    *b = (struct store_batch){.round = r};
    return b;
}

/* The first mistake is the one that counts. */
static void store_batch_fail(struct store_batch *b, int error)
{
    if (!b->error)
        b->error = error;
}

static uint8_t *store_append(uint8_t *dst, struct store_bytes part)
{
    if (part.len)
        memcpy(dst, part.bytes, part.len);
    return dst + part.len;
}

/* An entry with copies of KEY and, behind it, TAIL. NULL if memory is short. */
static struct store_entry *store_batch_add(struct store_batch *b, struct store_bytes key, struct store_bytes tail,
                                           uint64_t *ret_serial)
{
    struct store_round *r = b->round;
    assert(r == r->client->held); /* begun, filled and committed in one turn */
    uint8_t *copy = store_round_alloc(r, key.len + tail.len);
    struct store_entry *e = copy ? store_round_add_entry(r, b, ret_serial) : NULL;
    if (!e) {
        store_batch_fail(b, -ENOMEM);
        return NULL;
    }
    store_append(store_append(copy, key), tail);
    e->key = copy;
    e->key_len = (uint16_t)key.len;
    e->head_len = (uint32_t)tail.len;
    e->body = NULL;
    e->body_len = 0;
    e->release = NULL;
    r->bytes += key.len + tail.len;
    r->client->waiting_bytes += key.len + tail.len;
    return e;
}

static void store_value_release(const struct store_value *value)
{
    if (value->release)
        value->release(value->owner);
}

static bool store_value_is_good(const struct store_value *value)
{
    return value->head.len <= STORE_VALUE_MAX && value->body.len <= STORE_VALUE_MAX - value->head.len;
}

static struct store_entry *store_batch_add_put(struct store_batch *b, struct store_bytes key,
                                               const struct store_value *value, uint64_t *ret_serial)
{
    if (!store_key_is_good(key) || !store_value_is_good(value)) {
        store_batch_fail(b, -EINVAL);
        return NULL;
    }
    return store_batch_add(b, key, value->head, ret_serial);
}

store_ticket store_put(struct store_batch *b, struct store_bytes key, const struct store_value *value)
{
    uint64_t serial;
    struct store_entry *e = store_batch_add_put(b, key, value, &serial);
    if (!e) {
        store_value_release(value);
        return 0;
    }
    e->kind = STORE_ENTRY_PUT;
    e->body = value->body.bytes;
    e->body_len = (uint32_t)value->body.len;
    e->release = value->release;
    e->owner = value->owner;
    b->n_writes++;
    b->n_puts++;
    b->has_body |= value->release != NULL;
    struct store_client *c = b->round->client;
    b->round->bytes += value->body.len;
    c->waiting_bytes += value->body.len;
    metric_add(&c->metrics.puts, 1);
    return serial;
}

void store_delete(struct store_batch *b, struct store_bytes key)
{
    uint64_t serial;
    if (!store_key_is_good(key)) {
        store_batch_fail(b, -EINVAL);
        return;
    }
    struct store_entry *e = store_batch_add(b, key, (struct store_bytes){0}, &serial);
    if (!e)
        return;
    e->kind = STORE_ENTRY_DELETE;
    b->n_writes++;
}

void store_delete_range(struct store_batch *b, const struct store_range *range)
{
    uint64_t serial;
    struct store_range whole = store_range_of_caller(range);
    if (whole.first.len > STORE_KEY_MAX || whole.end.len > STORE_KEY_MAX) {
        store_batch_fail(b, -EINVAL);
        return;
    }
    struct store_entry *e = store_batch_add(b, whole.first, whole.end, &serial);
    if (!e)
        return;
    e->kind = STORE_ENTRY_DELETE_RANGE;
    e->is_after_first = whole.is_after_first;
    b->n_writes++;
}

void store_require(struct store_batch *b, struct store_bytes key, const struct store_bytes *expected)
{
    uint64_t serial;
    if (!store_key_is_good(key) || (expected && expected->len > STORE_VALUE_MAX)) {
        store_batch_fail(b, -EINVAL);
        return;
    }
    struct store_entry *e = store_batch_add(b, key, expected ? *expected : (struct store_bytes){0}, &serial);
    if (!e)
        return;
    e->kind = expected ? STORE_ENTRY_REQUIRE_VALUE : STORE_ENTRY_REQUIRE_ABSENT;
    b->n_requires++;
}

/* --- Committing. */

/* It has come to where the database need not be asked. */
static bool store_batch_is_empty(const struct store_batch *b)
{
    return b->error || (b->n_writes == 0 && b->n_requires == 0);
}

void store_commit(struct store_batch *b, unsigned flags, store_done_fn *done, void *arg)
{
    struct store_round *r = b->round;
    assert(r == r->client->held && !b->is_committed);
    b->done = done;
    b->arg = arg;
    b->flags = (uint8_t)flags;
    b->is_committed = true;
    store_round_add_request(r, &b->request);
    r->client->n_undone++;
    if (!b->error) {
        r->n_writes += b->n_writes;
        r->n_requires += b->n_requires;
    }
    if (store_batch_is_empty(b) && (flags & STORE_MAY_OVERTAKE))
        store_client_finish_early(r->client, b);
}

/* --- Taking back. */

static void store_entry_release(struct store_entry *e)
{
    if (e->release)
        e->release(e->owner);
    e->release = NULL;
}

void store_batch_release(struct store_batch *b)
{
    if (!b->has_body)
        return;
    for (struct store_entry *e = b->first; e; e = e->next)
        store_entry_release(e);
}

static void store_batch_take_off(struct store_batch *b)
{
    struct store_round *r = b->round;
    b->n_writes--;
    b->n_puts--;
    if (!b->is_committed || b->error)
        return;
    r->n_writes--;
    if (store_batch_is_empty(b) && (b->flags & STORE_MAY_OVERTAKE) && !b->request.is_done)
        store_client_finish_early(r->client, b);
}

bool store_cancel(struct store_client *c, store_ticket ticket)
{
    struct store_round *r = store_client_look(c);
    struct store_entry *e = r ? store_round_find_entry(r, ticket) : NULL;
    if (!e || e->kind != STORE_ENTRY_PUT)
        return false;
    e->kind = STORE_ENTRY_CANCELLED;
    r->bytes -= e->body_len;
    c->waiting_bytes -= e->body_len;
    metric_add(&c->metrics.cancelled, 1);
    store_batch_take_off(e->batch);
    store_entry_release(e); /* the caller's: what it does to the store comes after this */
    return true;
}

/* --- Scanning. */

static const uint8_t *store_round_copy(struct store_round *r, struct store_bytes from)
{
    uint8_t *copy = store_round_alloc(r, from.len + 1);
    if (!copy)
        abort();
    store_append(copy, from);
    return copy;
}

void store_scan(struct store_client *c, const struct store_range *range, size_t max_items, size_t max_bytes,
                store_scan_fn *fn, void *arg)
{
    struct store_round *r = store_client_hold(c);
    struct store_scan_request *scan = store_round_alloc(r, sizeof *scan);
    if (!scan)
        abort();
    *scan = (struct store_scan_request){.request.is_scan = true, .range = store_range_of_caller(range)};
    scan->range.first.bytes = store_round_copy(r, scan->range.first);
    scan->range.end.bytes = store_round_copy(r, scan->range.end);
    scan->max_items = max_items;
    scan->max_bytes = max_bytes;
    scan->fn = fn;
    scan->arg = arg;
    store_round_add_request(r, &scan->request);
    r->n_scans++;
    c->n_undone++;
}
