/* See topic_table.h. Linear probing; what is removed leaves no mark, its followers move up. */
#include "topic_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CACHE_LINE = 64, FIRST_SLOTS = 4 };

static size_t n_slots(const struct topic_table_part *part)
{
    return part->slots ? (size_t)part->mask + 1 : 0;
}

void topic_table_init(struct topic_table *t, size_t slot_bytes)
{
    memset(t, 0, sizeof(*t));
    t->slot_shift = (unsigned)__builtin_ctzll(slot_bytes);
}

void topic_table_deinit(struct topic_table *t)
{
    for (unsigned i = 0; i < TOPIC_TABLE_REGIONS; i++)
        free(t->regions[i].bytes);
    memset(t->regions, 0, sizeof(t->regions));
    memset(t->parts, 0, sizeof(t->parts));
    t->count = 0;
}

static uint64_t *free_slot(const struct topic_table *t, const struct topic_table_part *part, uint64_t key)
{
    return topic_table_probe(t, part, 0, key);
}

static size_t region_of(size_t n)
{
    return (size_t)__builtin_ctzll(n);
}

/* Memory for N slots of part number PART, zeroed. Parts of a size lie side by side, so that a table of many megabytes
 * can have huge pages: with those a search among a million filters takes a quarter less. */
static uint8_t *region_take(struct topic_table *t, size_t n, size_t part)
{
    static const size_t huge_page = 2 << 20;
    struct topic_table_region *region = &t->regions[region_of(n)];
    size_t part_bytes = n << t->slot_shift, all_bytes = part_bytes * TOPIC_TABLE_PARTS;
    if (!region->bytes) {
        region->bytes = aligned_alloc(all_bytes < huge_page ? CACHE_LINE : huge_page, all_bytes);
        if (!region->bytes)
            return NULL;
        if (all_bytes >= huge_page)
            madvise(region->bytes, all_bytes, MADV_HUGEPAGE); /* a kernel without them does without */
    }
    region->n_parts++;
    return memset(region->bytes + part_bytes * part, 0, part_bytes);
}

static void region_give_back(struct topic_table *t, size_t n)
{
    struct topic_table_region *region = &t->regions[region_of(n)];
    if (--region->n_parts > 0)
        return;
    free(region->bytes);
    region->bytes = NULL;
}

/* False if memory is short: then nothing has changed. */
static bool part_resize(struct topic_table *t, struct topic_table_part *part, size_t n)
{
    size_t slot_bytes = (size_t)1 << t->slot_shift, old_n = n_slots(part);
    struct topic_table_part resized = {.mask = (uint32_t)(n - 1), .n = part->n};
    resized.slots = region_take(t, n, (size_t)(part - t->parts));
    if (!resized.slots)
        return false;
    for (size_t i = 0; i < old_n; i++) {
        const uint64_t *slot = topic_table_slot(t, part, i);
        if (*slot)
            memcpy(free_slot(t, &resized, *slot), slot, slot_bytes);
    }
    if (old_n > 0)
        region_give_back(t, old_n);
    *part = resized;
    return true;
}

void *topic_table_add(struct topic_table *t, uint64_t key)
{
    struct topic_table_part *part = &t->parts[key >> 56];
    size_t n = n_slots(part);
    if (part->n + 1 > n / 4 * 3 && !part_resize(t, part, n ? n * 2 : FIRST_SLOTS))
        return NULL;
    uint64_t *slot = free_slot(t, part, key);
    *slot = key;
    part->n++;
    t->count++;
    return slot;
}

/* Whether an element whose probe begins at HOME and that stands at AT may stand at HOLE, which is before AT. */
static bool may_move(size_t home, size_t at, size_t hole, size_t mask)
{
    return ((at - home) & mask) >= ((at - hole) & mask);
}

void topic_table_remove(struct topic_table *t, void *slot)
{
    struct topic_table_part *part = &t->parts[*(uint64_t *)slot >> 56];
    size_t slot_bytes = (size_t)1 << t->slot_shift, hole = (size_t)((uint8_t *)slot - part->slots) >> t->slot_shift;
    for (size_t at = (hole + 1) & part->mask;; at = (at + 1) & part->mask) {
        const uint64_t *follower = topic_table_slot(t, part, at);
        if (*follower == 0)
            break;
        if (!may_move(*follower & part->mask, at, hole, part->mask))
            continue;
        memcpy(topic_table_slot(t, part, hole), follower, slot_bytes);
        hole = at;
    }
    memset(topic_table_slot(t, part, hole), 0, slot_bytes);
    part->n--;
    t->count--;
    /* Of what is gone the memory goes too; where that fails, it stays. */
    if (n_slots(part) > FIRST_SLOTS && part->n < n_slots(part) / 8)
        part_resize(t, part, n_slots(part) / 2);
}
