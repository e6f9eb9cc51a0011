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

/* A node of the trie that a search has to look at. */
struct topic_branch {
    uint64_t key;
    uint32_t depth;
};

/* How many of them may wait while their nodes come from memory: then a search goes in breadth. With more it goes in
 * depth first, so that there never are more than this and one for each level. */
enum { TOPIC_BRANCHES_AHEAD = 8, TOPIC_LEVELS_FIRST = 16 };

/* What a search needs: room for as many levels as filters with wildcards have had, a power of two, since deeper it
 * never goes. So matching needs no memory of its own. */
struct topic_scratch {
    uint32_t n_levels;
    uint64_t *level_hashes;
    struct topic_branch *branches; /* a ring of twice N_LEVELS */
};

struct topic_index {
    struct topic_table filters;
    struct topic_trie trie;
    struct topic_scratch scratch;
    size_t count;
};

#endif
