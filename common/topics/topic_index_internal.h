/* Between topic_index.c and topic_match.c. */
#ifndef TOPICS_TOPIC_INDEX_INTERNAL_H
#define TOPICS_TOPIC_INDEX_INTERNAL_H

#include "topic_filter.h"
#include "topic_table.h"
#include "topic_trie.h"

/* A slot: those without wildcards under the hash of their text, the others under the key of all their levels. */
struct topic_filter_slot {
    uint64_t key;
    struct topic_filter *filter;
};

/* Where the search in the trie has to come back to: at most one such place for each level. */
struct topic_branch {
    uint64_t key;
    uint32_t depth;
};

/* What a search needs for each level of a topic. As many as the deepest filter with wildcards has had levels: deeper
 * the search never goes. So matching needs no memory of its own. */
struct topic_scratch {
    struct topic_branch *branches;
    uint64_t *level_hashes;
    size_t n_levels;
};

struct topic_index {
    struct topic_table filters;
    struct topic_trie trie;
    struct topic_scratch scratch;
    size_t count;
};

static inline uint64_t topic_index_exact_key(struct mqtt_bytes topic)
{
    uint64_t hash = map_hash_bytes(topic.ptr, topic.len);
    return hash ? hash : 1;
}

#endif
