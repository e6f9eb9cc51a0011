/* See store_round.h. */
#include "store_round.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    STORE_BLOCK_BYTES = 64 * 1024 - 64, /* with the allocator's own bytes a round number of pages */
    STORE_SPARE_BYTES = 1024 * 1024,    /* kept by an empty round */
    STORE_GROUP_ENTRIES = 128,
    STORE_ALIGN = sizeof(void *),
};

struct store_block {
    struct store_block *next;
    size_t size, used; /* of `bytes` */
    uint8_t bytes[];
};
_Static_assert(offsetof(struct store_block, bytes) % STORE_ALIGN == 0, "what store_round_alloc() gives is aligned");

struct store_round *store_round_new(struct store_client *client)
{
    struct store_round *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->client = client;
    store_round_reset(r, 0);
    return r;
}

static void store_round_free_blocks(struct store_block *b)
{
    while (b) {
        struct store_block *next = b->next;
        free(b);
        b = next;
    }
}

struct store_round *store_round_free(struct store_round *r)
{
    if (!r)
        return NULL;
    store_round_free_blocks(r->blocks);
    store_round_free_blocks(r->spare);
    free(r->groups);
    free(r);
    return NULL;
}

static void store_round_spare_block(struct store_round *r, struct store_block *b)
{
    if (b->size != STORE_BLOCK_BYTES || r->spare_bytes + b->size > STORE_SPARE_BYTES) {
        free(b);
        return;
    }
    b->next = r->spare;
    r->spare = b;
    r->spare_bytes += b->size;
}

void store_round_reset(struct store_round *r, uint64_t first_serial)
{
    for (struct store_block *b = r->blocks, *next; b; b = next) {
        next = b->next;
        store_round_spare_block(r, b);
    }
    r->blocks = NULL;
    r->first = r->next_undone = NULL;
    r->end = &r->first;
    r->next = NULL;
    r->first_serial = first_serial;
    r->n_entries = r->n_undone = r->n_scans = r->n_writes = r->n_requires = 0;
    r->bytes = 0;
    r->reason[0] = '\0';
}

static struct store_block *store_round_take_spare(struct store_round *r)
{
    struct store_block *b = r->spare;
    if (!b)
        return NULL;
    r->spare = b->next;
    r->spare_bytes -= b->size;
    return b;
}

/* A block with room for N bytes is the newest from now on. */
static struct store_block *store_round_add_block(struct store_round *r, size_t n)
{
    size_t size = n > STORE_BLOCK_BYTES ? n : STORE_BLOCK_BYTES;
    struct store_block *b = size == STORE_BLOCK_BYTES ? store_round_take_spare(r) : NULL;
    if (!b)
        b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->size = size;
    b->used = 0;
    b->next = r->blocks;
    r->blocks = b;
    return b;
}

void *store_round_alloc(struct store_round *r, size_t n)
{
    struct store_block *b = r->blocks;
    n = (n + STORE_ALIGN - 1) / STORE_ALIGN * STORE_ALIGN;
    if (!b || b->size - b->used < n)
        b = store_round_add_block(r, n);
    if (!b)
        return NULL;
    void *bytes = b->bytes + b->used;
    b->used += n;
    return bytes;
}

/* Room for one group more. The table itself outlives store_round_reset(). */
static bool store_round_add_group(struct store_round *r, uint32_t index)
{
    if (index == r->n_group_slots) {
        uint32_t n = index ? index * 2 : 8;
        struct store_entry **groups = realloc(r->groups, n * sizeof(struct store_entry *));
        if (!groups)
            return false;
        r->groups = groups;
        r->n_group_slots = n;
    }
    r->groups[index] = store_round_alloc(r, STORE_GROUP_ENTRIES * sizeof *r->groups[index]);
    return r->groups[index] != NULL;
}

struct store_entry *store_round_add_entry(struct store_round *r, struct store_batch *b, uint64_t *ret_serial)
{
    uint32_t index = r->n_entries / STORE_GROUP_ENTRIES, place = r->n_entries % STORE_GROUP_ENTRIES;
    if (place == 0 && !store_round_add_group(r, index))
        return NULL;
    struct store_entry *e = &r->groups[index][place];
    *ret_serial = r->first_serial + r->n_entries++;
    e->next = NULL;
    e->batch = b;
    if (b->last)
        b->last->next = e;
    else
        b->first = e;
    b->last = e;
    return e;
}

struct store_entry *store_round_find_entry(const struct store_round *r, uint64_t serial)
{
    if (serial < r->first_serial || serial - r->first_serial >= r->n_entries)
        return NULL;
    uint32_t position = (uint32_t)(serial - r->first_serial);
    return &r->groups[position / STORE_GROUP_ENTRIES][position % STORE_GROUP_ENTRIES];
}

void store_round_add_request(struct store_round *r, struct store_request *request)
{
    request->next = NULL;
    *r->end = request;
    r->end = &request->next;
    r->n_undone++;
    if (!r->next_undone)
        r->next_undone = request;
}
