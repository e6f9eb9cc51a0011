/* A page of a scan: keys and values one behind the other in one piece of memory. */
#include <stdlib.h>
#include <string.h>

#include "store_internal.h"

struct store_page_items {
    struct store_page page;
    struct store_item *items; /* their pointers are set in the end: the memory below moves while it grows */
    size_t n_items, n_slots, max_items;
    uint8_t *bytes;
    size_t used, size, max_bytes;
    bool is_end;
    bool is_short; /* of memory */
};

struct store_page_items *store_page_new(size_t max_items, size_t max_bytes)
{
    struct store_page_items *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->max_items = max_items ? max_items : STORE_SCAN_ITEMS;
    p->max_bytes = max_bytes ? max_bytes : STORE_SCAN_BYTES;
    return p;
}

struct store_page_items *store_page_free(struct store_page_items *p)
{
    if (!p)
        return NULL;
    free(p->items);
    free(p->bytes);
    free(p);
    return NULL;
}

static bool store_page_grow_items(struct store_page_items *p)
{
    size_t n = p->n_slots ? p->n_slots * 2 : 16;
    struct store_item *items = realloc(p->items, n * sizeof *items);
    if (!items)
        return false;
    p->items = items;
    p->n_slots = n;
    return true;
}

static bool store_page_grow_bytes(struct store_page_items *p, size_t n)
{
    size_t size = p->size ? p->size * 2 : 1024;
    if (size < p->used + n)
        size = p->used + n;
    uint8_t *bytes = realloc(p->bytes, size);
    if (!bytes)
        return false;
    p->bytes = bytes;
    p->size = size;
    return true;
}

static void store_page_append(struct store_page_items *p, struct store_bytes part)
{
    if (part.len)
        memcpy(p->bytes + p->used, part.bytes, part.len);
    p->used += part.len;
}

bool store_page_add(struct store_page_items *p, struct store_bytes key, struct store_bytes value)
{
    size_t n = key.len + value.len;
    if (p->n_items > 0 && (p->n_items >= p->max_items || p->used + n > p->max_bytes))
        return false;
    bool has_room = (p->n_items < p->n_slots || store_page_grow_items(p)) &&
                    (p->size - p->used >= n || store_page_grow_bytes(p, n));
    p->is_short = !has_room;
    if (!has_room)
        return false;
    p->items[p->n_items++] = (struct store_item){{NULL, key.len}, {NULL, value.len}};
    store_page_append(p, key);
    store_page_append(p, value);
    return true;
}

void store_page_end(struct store_page_items *p)
{
    p->is_end = true;
}

const struct store_page *store_page_finish(struct store_page_items *p, const struct store_range *range)
{
    if (p->is_short)
        return NULL;
    const uint8_t *at = p->bytes;
    for (size_t i = 0; i < p->n_items; i++) {
        struct store_item *item = &p->items[i];
        item->key.bytes = at;
        item->value.bytes = at + item->key.len;
        at += item->key.len + item->value.len;
    }
    p->page = (struct store_page){.items = p->items, .n_items = p->n_items, .is_end = p->is_end, .rest = *range};
    if (p->n_items > 0) {
        p->page.rest.first = p->items[p->n_items - 1].key;
        p->page.rest.is_after_first = true;
    }
    return &p->page;
}
