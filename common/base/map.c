/* See map.h. Chains of elements; the table doubles when there are as many elements as slots. */
#include "map.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "random.h"

enum { MAP_FIRST_SLOTS = 16 };

/* Multiplying spreads keys that differ in few bits (counters, addresses) over the high bits. */
static size_t map_slot(uint64_t hash, size_t n_slots)
{
    return (size_t)((hash * 0x9e3779b97f4a7c15U) >> 32) & (n_slots - 1);
}

void map_init(struct map *m, map_equal_fn *equal)
{
    *m = (struct map){.equal = equal};
}

void map_deinit(struct map *m)
{
    free(m->slots);
    *m = (struct map){.equal = m->equal};
}

static void map_link(struct map *m, struct map_node *node)
{
    size_t at = map_slot(node->hash, m->n_slots);
    node->next = m->slots[at];
    m->slots[at] = node;
    if (at < m->first_used)
        m->first_used = at;
}

static int map_grow(struct map *m)
{
    size_t old_n = m->n_slots;
    struct map_node **old = m->slots;
    size_t n = old_n ? old_n * 2 : MAP_FIRST_SLOTS;
    struct map_node **slots = calloc(n, sizeof(struct map_node *));
    if (!slots)
        return -ENOMEM;
    m->slots = slots;
    m->n_slots = n;
    m->first_used = n;
    for (size_t i = 0; i < old_n; i++) {
        for (struct map_node *node = old[i], *next; node; node = next) {
            next = node->next;
            map_link(m, node);
        }
    }
    free(old);
    return 0;
}

int map_add(struct map *m, struct map_node *node, uint64_t hash)
{
    /* A table that cannot grow gets slower, which is better than refusing; only without any table there is nothing to
     * do. */
    if (m->count >= m->n_slots && map_grow(m) < 0 && !m->slots)
        return -ENOMEM;
    node->hash = hash;
    map_link(m, node);
    m->count++;
    return 0;
}

struct map_node *map_find(const struct map *m, uint64_t hash, const void *key)
{
    if (m->count == 0)
        return NULL;
    struct map_node *node = m->slots[map_slot(hash, m->n_slots)];
    while (node && !(node->hash == hash && m->equal(node, key)))
        node = node->next;
    return node;
}

void map_remove(struct map *m, struct map_node *node)
{
    struct map_node **link = &m->slots[map_slot(node->hash, m->n_slots)];
    while (*link != node) {
        assert(*link);
        link = &(*link)->next;
    }
    *link = node->next;
    node->next = NULL;
    m->count--;
}

struct map_node *map_any(struct map *m)
{
    if (m->count == 0)
        return NULL;
    while (!m->slots[m->first_used])
        m->first_used++;
    return m->slots[m->first_used];
}

/* SipHash-1-3 (Aumasson, Bernstein): short, and nobody outside can make collisions without the seed. */
static uint64_t map_seed[2];

static void map_seed_once(void)
{
    if (random_bytes(map_seed, sizeof(map_seed)) < 0)
        map_seed[0] = clock_now_us();
}

static uint64_t map_rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void map_sip_round(uint64_t v[4])
{
    v[0] += v[1], v[2] += v[3];
    v[1] = map_rotl(v[1], 13) ^ v[0];
    v[3] = map_rotl(v[3], 16) ^ v[2];
    v[0] = map_rotl(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = map_rotl(v[1], 17) ^ v[2];
    v[3] = map_rotl(v[3], 21) ^ v[0];
    v[2] = map_rotl(v[2], 32);
}

static void map_sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    map_sip_round(v);
    v[0] ^= word;
}

uint64_t map_hash_bytes(const void *bytes, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, map_seed_once);
    uint64_t v[4] = {map_seed[0] ^ 0x736f6d6570736575U, map_seed[1] ^ 0x646f72616e646f6dU,
                     map_seed[0] ^ 0x6c7967656e657261U, map_seed[1] ^ 0x7465646279746573U};
    const uint8_t *at = bytes;
    uint64_t word, last = (uint64_t)n << 56;
    for (; n >= 8; at += 8, n -= 8) {
        memcpy(&word, at, 8);
        map_sip_word(v, word);
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)at[i] << (8 * i);
    map_sip_word(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        map_sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
