/* The prefixes of filters with wildcards, as a trie without pointers. For this folder.
 *
 *   filters a/+/c  a/b/#      key of     below it
 *                             ""         1 literal that goes on
 *                             "a"        1 "+" that goes on, 1 literal that goes on
 *                             "a/+"      1 literal that ends
 *                             "a/b"      1 "#"
 *
 * A node is what filters have before one of their levels: a slot in a hash table, under a key made of the levels one
 * after the other. It counts, by kind, the filters that go on from it, so a search knows what it need not look for; the
 * filters themselves stand elsewhere, under the key of all their levels.
 *
 * A key is not proof: two prefixes may have the same, and then share a node. Each filter counts for itself at each of
 * its prefixes, so nothing is missed then; what is found too much, the comparison with the filter's text sorts out. */
#ifndef TOPICS_TOPIC_TRIE_H
#define TOPICS_TOPIC_TRIE_H

#include "map.h"
#include "mqtt_packet.h"
#include "topic_table.h"

/* A slot. */
struct topic_node {
    uint64_t key;
    uint32_t literal_ends; /* filters whose next level is literal and the last */
    uint32_t literal_goes_on;
    uint32_t plus_ends;
    uint32_t plus_goes_on;
    uint32_t hash; /* filters whose next level is "#" */
    uint32_t spare;
};

/* Keys depend on a seed of the process (map_hash_bytes()), which the secrets below come from. */
struct topic_trie {
    struct topic_table nodes;
    struct topic_node root;
    uint64_t secret[2], root_key, plus_hash, hash_hash;
};

void topic_trie_init(struct topic_trie *trie);
void topic_trie_deinit(struct topic_trie *trie);
/* Count FILTER, which has a wildcard, at all its prefixes. 0 or -ENOMEM: nothing has changed. */
int topic_trie_add(struct topic_trie *trie, struct mqtt_bytes filter);
void topic_trie_remove(struct topic_trie *trie, struct mqtt_bytes filter);
/* The key of all levels of FILTER. */
uint64_t topic_trie_key(const struct topic_trie *trie, struct mqtt_bytes filter);

static inline uint64_t topic_trie_level_hash(struct mqtt_bytes level)
{
    return map_hash_bytes(level.ptr, level.len);
}

/* The key of a prefix and one more level. Never 0. The hash of a level is out of anybody's reach already; here only
 * order must count, so a multiplication is enough. */
static inline uint64_t topic_trie_extend(const struct topic_trie *trie, uint64_t key, uint64_t level_hash)
{
    unsigned __int128 product = (unsigned __int128)(key ^ trie->secret[0]) * (level_hash ^ trie->secret[1]);
    uint64_t folded = (uint64_t)product ^ (uint64_t)(product >> 64);
    return folded ? folded : 1;
}

static inline bool topic_trie_is_empty(const struct topic_trie *trie)
{
    const struct topic_node *r = &trie->root;
    return (r->literal_goes_on | r->plus_ends | r->plus_goes_on | r->hash) == 0;
}

#endif
