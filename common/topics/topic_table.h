/* A hash table for keys that are hash values already: open addressing, one cache line for most finds. For this folder.
 *
 * Slots have one size and begin with their key, which is not 0; a key may be there several times. The upper byte of a
 * key names one of 256 parts that grow and shrink for themselves: so growing never moves more than a 256th of
 * everything at a time, which is what a loop that serves others can afford, and an element never changes its part.
 *
 * A slot's address is valid until the next add or remove. */
#ifndef TOPICS_TOPIC_TABLE_H
#define TOPICS_TOPIC_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "map.h"
#include "mqtt_packet.h"

enum { TOPIC_TABLE_PARTS = 256, TOPIC_TABLE_REGIONS = 32 };

struct topic_table_part {
    uint8_t *slots; /* NULL until the first element */
    uint32_t mask;  /* number of slots, a power of two, less 1 */
    uint32_t n;     /* slots in use; the others have key 0 */
};

/* The memory of all parts that have 1 << I slots, I being its number. NULL while none has. */
struct topic_table_region {
    uint8_t *bytes;
    unsigned n_parts;
};

struct topic_table {
    unsigned slot_shift; /* a slot has 1 << slot_shift bytes, no more than a cache line */
    size_t count;
    struct topic_table_region regions[TOPIC_TABLE_REGIONS];
    struct topic_table_part parts[TOPIC_TABLE_PARTS];
};

/* SLOT_BYTES is a power of two. */
void topic_table_init(struct topic_table *t, size_t slot_bytes);
void topic_table_deinit(struct topic_table *t);
/* A new slot for KEY, zero behind it. NULL if memory is short. */
void *topic_table_add(struct topic_table *t, uint64_t key);
void topic_table_remove(struct topic_table *t, void *slot);

/* The key of a text, from a seed of the process. */
static inline uint64_t topic_table_key(struct mqtt_bytes text)
{
    uint64_t hash = map_hash_bytes(text.ptr, text.len);
    return hash ? hash : 1;
}

static inline const struct topic_table_part *topic_table_part(const struct topic_table *t, uint64_t key)
{
    return &t->parts[key >> 56];
}

static inline void *topic_table_slot(const struct topic_table *t, const struct topic_table_part *part, uint64_t at)
{
    return part->slots + ((size_t)(at & part->mask) << t->slot_shift);
}

/* The slot with KEY at AT or behind it, up to the first free one. */
static inline void *topic_table_probe(const struct topic_table *t, const struct topic_table_part *part, uint64_t key,
                                      uint64_t at)
{
    for (;; at++) {
        uint64_t *slot = topic_table_slot(t, part, at);
        if (*slot == key)
            return slot;
        if (*slot == 0)
            return NULL;
    }
}

/* The first slot with KEY, or NULL. */
static inline void *topic_table_find(const struct topic_table *t, uint64_t key)
{
    const struct topic_table_part *part = topic_table_part(t, key);
    return part->slots ? topic_table_probe(t, part, key, key) : NULL;
}

/* The next one with the same key, or NULL. */
static inline void *topic_table_find_next(const struct topic_table *t, const void *slot)
{
    uint64_t key = *(const uint64_t *)slot;
    const struct topic_table_part *part = topic_table_part(t, key);
    return topic_table_probe(t, part, key, ((size_t)((const uint8_t *)slot - part->slots) >> t->slot_shift) + 1);
}

/* Have the processor fetch the place of KEY while something else is done. */
static inline void topic_table_prefetch(const struct topic_table *t, uint64_t key)
{
    const struct topic_table_part *part = topic_table_part(t, key);
    if (part->slots)
        __builtin_prefetch(topic_table_slot(t, part, key));
}

#endif
