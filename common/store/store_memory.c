/* The driver `memory`: a skip list in the order of the keys. What the other drivers must do, in its simplest form.
 *
 *   head --3--------------------> (k) --3------------------> NULL
 *        --2--------> (f) ------> (k) --2--------> (r) ----> NULL
 *        --1-> (b) -> (f) -> (h) -> (k) -> (m) --> (r) ----> NULL    a node has a level more with probability 1/4
 *
 * The nodes of a batch are made before the first change, so that it happens as a whole or not at all. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "store_driver.h"

enum {
    MEMORY_LEVELS = 16,
    MEMORY_RESERVE_PARTS = 16, /* of max_bytes one is for batches that free space */
};

struct memory_node {
    size_t value_len;
    uint16_t key_len;
    uint8_t n_levels;
    struct memory_node *next[]; /* n_levels of them; behind them the key, behind that the value */
};

struct memory_store {
    struct store_driver driver;
    struct memory_node *head[MEMORY_LEVELS];
    uint64_t random;
    uint64_t used_bytes, max_bytes; /* of keys and values; 0 = no limit */
};

static struct memory_store *memory_of(struct store_driver *d)
{
    return (struct memory_store *)d;
}

static uint8_t *memory_key_bytes(const struct memory_node *n)
{
    return (uint8_t *)&n->next[n->n_levels];
}

static struct store_bytes memory_key(const struct memory_node *n)
{
    return (struct store_bytes){memory_key_bytes(n), n->key_len};
}

static struct store_bytes memory_value(const struct memory_node *n)
{
    return (struct store_bytes){memory_key_bytes(n) + n->key_len, n->value_len};
}

static size_t memory_bytes(const struct memory_node *n)
{
    return n->key_len + n->value_len;
}

/* --- The list. */

/* For each level the link that points to the first node not before KEY. */
struct memory_place {
    struct memory_node **links[MEMORY_LEVELS];
};

static void memory_find(struct memory_store *m, struct store_bytes key, struct memory_place *ret_place)
{
    struct memory_node **links = m->head; /* of the last node before KEY */
    for (int level = MEMORY_LEVELS - 1; level >= 0; level--) {
        while (links[level] && store_bytes_compare(memory_key(links[level]), key) < 0)
            links = links[level]->next;
        ret_place->links[level] = &links[level];
    }
}

/* The first node of RANGE, whatever its end. */
static struct memory_node *memory_first(struct memory_store *m, const struct store_range *range)
{
    struct memory_place place;
    memory_find(m, range->first, &place);
    struct memory_node *n = *place.links[0];
    if (n && range->is_after_first && store_bytes_compare(memory_key(n), range->first) == 0)
        return n->next[0];
    return n;
}

static struct memory_node *memory_get(struct memory_store *m, struct store_bytes key)
{
    const struct store_range from = {.first = key};
    struct memory_node *n = memory_first(m, &from);
    return n && store_bytes_compare(memory_key(n), key) == 0 ? n : NULL;
}

static void memory_take_out(struct memory_store *m, struct memory_node *n)
{
    struct memory_place place;
    memory_find(m, memory_key(n), &place);
    for (int level = 0; level < n->n_levels; level++)
        *place.links[level] = n->next[level];
    m->used_bytes -= memory_bytes(n);
    free(n);
}

static void memory_put_in(struct memory_store *m, struct memory_node *n)
{
    struct memory_node *old = memory_get(m, memory_key(n));
    struct memory_place place;
    if (old)
        memory_take_out(m, old);
    memory_find(m, memory_key(n), &place);
    for (int level = 0; level < n->n_levels; level++) {
        n->next[level] = *place.links[level];
        *place.links[level] = n;
    }
    m->used_bytes += memory_bytes(n);
}

static void memory_delete_range(struct memory_store *m, const struct store_range *range)
{
    struct memory_node *n = memory_first(m, range);
    while (n && store_range_has(range, memory_key(n))) {
        struct memory_node *next = n->next[0];
        memory_take_out(m, n);
        n = next;
    }
}

/* xorshift64: only balance depends on it. */
static uint8_t memory_random_levels(struct memory_store *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    int levels = 1 + __builtin_ctzll(m->random | UINT64_C(1) << 63) / 2;
    return (uint8_t)(levels < MEMORY_LEVELS ? levels : MEMORY_LEVELS);
}

static struct memory_node *memory_new_node(struct memory_store *m, const struct store_entry *e)
{
    uint8_t n_levels = memory_random_levels(m);
    size_t value_len = store_entry_value_len(e);
    struct memory_node *n = malloc(sizeof *n + n_levels * sizeof(struct memory_node *) + e->key_len + value_len);
    if (!n)
        return NULL;
    n->n_levels = n_levels;
    n->key_len = e->key_len;
    n->value_len = value_len;
    memcpy(memory_key_bytes(n), e->key, e->key_len);
    store_entry_copy_value(e, memory_key_bytes(n) + e->key_len);
    return n;
}

/* --- Batches. */

static bool memory_entry_holds(struct memory_store *m, const struct store_entry *e)
{
    if (e->kind != STORE_ENTRY_REQUIRE_VALUE && e->kind != STORE_ENTRY_REQUIRE_ABSENT)
        return true;
    const struct memory_node *n = memory_get(m, store_entry_key(e));
    if (e->kind == STORE_ENTRY_REQUIRE_ABSENT)
        return !n;
    return n && store_bytes_compare(memory_value(n), store_entry_head(e)) == 0;
}

static bool memory_holds(struct memory_store *m, const struct store_batch *b)
{
    for (const struct store_entry *e = b->first; b->n_requires && e; e = e->next) {
        if (!memory_entry_holds(m, e))
            return false;
    }
    return true;
}

static bool memory_has_room(const struct memory_store *m, const struct store_batch *b)
{
    uint64_t needed = 0;
    for (const struct store_entry *e = b->first; e; e = e->next)
        needed += e->kind == STORE_ENTRY_PUT ? e->key_len + store_entry_value_len(e) : 0;
    uint64_t limit = m->max_bytes;
    if (!store_batch_may_use_reserve(b))
        limit -= limit / MEMORY_RESERVE_PARTS;
    return !m->max_bytes || needed == 0 || m->used_bytes + needed <= limit;
}

static void memory_free_nodes(struct memory_node *n)
{
    while (n) {
        struct memory_node *next = n->next[0];
        free(n);
        n = next;
    }
}

/* A node for each put, in their order. */
static int memory_new_nodes(struct memory_store *m, const struct store_batch *b, struct memory_node **ret_first)
{
    struct memory_node *first = NULL, **end = &first;
    for (const struct store_entry *e = b->first; e; e = e->next) {
        if (e->kind != STORE_ENTRY_PUT)
            continue;
        struct memory_node *n = memory_new_node(m, e);
        *end = n;
        if (!n) {
            memory_free_nodes(first);
            return err_set(-ENOMEM, "out of memory");
        }
        n->next[0] = NULL;
        end = &n->next[0];
    }
    *ret_first = first;
    return 0;
}

static void memory_delete(struct memory_store *m, struct store_bytes key)
{
    struct memory_node *n = memory_get(m, key);
    if (n)
        memory_take_out(m, n);
}

static void memory_apply(struct memory_store *m, const struct store_batch *b, struct memory_node *nodes)
{
    for (const struct store_entry *e = b->first; e; e = e->next) {
        if (e->kind == STORE_ENTRY_PUT) {
            struct memory_node *n = nodes;
            assert(n);
            nodes = n->next[0];
            memory_put_in(m, n);
        } else if (e->kind == STORE_ENTRY_DELETE) {
            memory_delete(m, store_entry_key(e));
        } else if (e->kind == STORE_ENTRY_DELETE_RANGE) {
            struct store_range range = store_entry_range(e);
            memory_delete_range(m, &range);
        }
    }
}

static int memory_commit_batch(struct memory_store *m, const struct store_batch *b)
{
    struct memory_node *nodes;
    if (!memory_holds(m, b))
        return STORE_CONFLICT;
    if (!memory_has_room(m, b))
        return STORE_FULL;
    int r = memory_new_nodes(m, b, &nodes);
    if (r < 0)
        return r;
    memory_apply(m, b, nodes);
    return 0;
}

static int memory_commit(struct store_driver *d, struct store_batch *first)
{
    int worst = 0;
    for (struct store_batch *b = first; b; b = store_batch_next(b)) {
        b->result = memory_commit_batch(memory_of(d), b);
        if (b->result < 0)
            worst = b->result;
    }
    return worst;
}

/* --- Reading. */

static int memory_read(struct store_driver *d, const struct store_range *range, struct store_page_items *page)
{
    for (struct memory_node *n = memory_first(memory_of(d), range); n; n = n->next[0]) {
        if (!store_range_has(range, memory_key(n)))
            break;
        if (!store_page_add(page, memory_key(n), memory_value(n)))
            return 0;
    }
    store_page_end(page);
    return 0;
}

static int memory_load(struct store_driver *d, const struct store_range *range, store_load_fn *fn, void *arg)
{
    for (struct memory_node *n = memory_first(memory_of(d), range); n; n = n->next[0]) {
        if (!store_range_has(range, memory_key(n)))
            break;
        int r = fn(arg, memory_key(n), memory_value(n));
        if (r < 0)
            return r;
    }
    return 0;
}

static uint64_t memory_used_bytes(struct store_driver *d)
{
    return memory_of(d)->used_bytes;
}

/* --- Life. */

static int memory_open(const char *place, const struct store_options *options, struct store_driver **ret_driver,
                       struct store_report *ret_report)
{
    (void)ret_report;
    if (*place)
        return err_set(-EINVAL, "\"memory\" has nothing behind it");
    struct memory_store *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(-ENOMEM, "out of memory");
    m->driver.ops = &store_memory_ops;
    m->random = UINT64_C(0x9E3779B97F4A7C15);
    m->max_bytes = options->max_bytes;
    *ret_driver = &m->driver;
    return 0;
}

static void memory_close(struct store_driver *d)
{
    struct memory_store *m = memory_of(d);
    memory_free_nodes(m->head[0]);
    free(m);
}

const struct store_driver_ops store_memory_ops = {
    .scheme = "memory",
    .is_volatile = true,
    .open = memory_open,
    .close = memory_close,
    .commit = memory_commit,
    .read = memory_read,
    .load = memory_load,
    .used_bytes = memory_used_bytes,
};
