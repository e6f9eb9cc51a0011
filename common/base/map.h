/* Intrusive hash table: elements embed a map_node, the user says when two keys are equal. Grows by itself. One thread.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

typedef bool map_equal_fn(const struct map_node *node, const void *key);

struct map {
    struct map_node **slots; /* NULL until the first element */
    size_t n_slots;          /* a power of two */
    size_t count;
    size_t first_used; /* no element in the slots before this one: emptying by map_any() stays linear */
    map_equal_fn *equal;
};

void map_init(struct map *m, map_equal_fn *equal);
/* Frees the table, not the elements. */
void map_deinit(struct map *m);
/* 0 or -ENOMEM. KEY is not in the map yet. */
int map_add(struct map *m, struct map_node *node, uint64_t hash);
/* NULL if there is none. */
struct map_node *map_find(const struct map *m, uint64_t hash, const void *key);
void map_remove(struct map *m, struct map_node *node);
/* Any element, NULL when empty: for taking everything out. */
struct map_node *map_any(struct map *m);
/* SipHash-like strength is not needed for ids we chose; for keys that strangers choose use this one: seeded per
 * process. */
uint64_t map_hash_bytes(const void *bytes, size_t n);

#endif
