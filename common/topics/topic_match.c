/* Matching: which filters of an index match a topic.
 *
 * At a million filters the time goes into waiting for memory, so every place is asked for some time before it is looked
 * at: the filter without wildcards before the walk through the trie, a branch before the way that is taken first, and
 * filters that the walk has found in groups: first the slots of all of them, then the filters, then the entries. */
#include "topic_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topic_index_internal.h"

enum { GROUP = 16, CACHE_LINE = 64 };

static const size_t ENTRIES_FIRST = 16;
static const size_t LEVELS_UNKNOWN = SIZE_MAX;

/* One search. */
struct search {
    struct topic_index *index;
    struct mqtt_bytes topic;
    struct topic_matches *matches;
    struct mqtt_levels left; /* of the topic, behind those that have been hashed */
    size_t n_hashed;
    size_t n_levels; /* LEVELS_UNKNOWN until the last one has been seen */
    size_t n_branches;
    size_t n_keys;
    uint64_t keys[GROUP]; /* of filters that match if they exist; no others have these keys, bar accidents */
    int result;
};

static int reserve(struct topic_matches *m, size_t n)
{
    if (n <= m->room - m->n)
        return 0;
    size_t room = m->room ? m->room : ENTRIES_FIRST;
    while (room - m->n < n)
        room *= 2;
    struct topic_entry *entries = realloc(m->entries, room * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    m->entries = entries;
    m->room = room;
    return 0;
}

static int append(struct topic_matches *m, const struct topic_filter *f)
{
    if (reserve(m, f->n) < 0)
        return -ENOMEM;
    memcpy(m->entries + m->n, topic_filter_first(f), f->n * sizeof(*m->entries));
    m->n += f->n;
    return 0;
}

static bool filter_matches(const struct topic_filter *f, struct mqtt_bytes topic)
{
    return f->is_wild ? mqtt_topic_matches(topic_filter_text(f), topic) : topic_filter_is_text(f, topic);
}

static void append_matching(struct search *s, struct topic_filter *const *filters, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (filter_matches(filters[i], s->topic) && append(s->matches, filters[i]) < 0)
            s->result = -ENOMEM;
}

/* Look at the filters whose keys have been collected. */
static void flush_keys(struct search *s)
{
    struct topic_filter *filters[GROUP];
    size_t n = 0;
    for (size_t i = 0; i < s->n_keys; i++) {
        const struct topic_filter_slot *slot = topic_table_find(&s->index->filters, s->keys[i]);
        for (; slot; slot = topic_table_find_next(&s->index->filters, slot)) {
            if (n == GROUP) {
                append_matching(s, filters, n);
                n = 0;
            }
            filters[n++] = slot->filter;
            __builtin_prefetch(slot->filter);
            __builtin_prefetch((const uint8_t *)slot->filter + CACHE_LINE);
        }
    }
    append_matching(s, filters, n);
    s->n_keys = 0;
}

static void collect_key(struct search *s, uint64_t key)
{
    if (s->n_keys == GROUP)
        flush_keys(s);
    s->keys[s->n_keys++] = key;
    topic_table_prefetch(&s->index->filters, key);
}

/* The hash of the topic's level DEPTH, which exists. Levels are asked for one after the other, or again. */
static uint64_t level_hash(struct search *s, size_t depth)
{
    uint64_t *hashes = s->index->scratch.level_hashes;
    if (depth == s->n_hashed) {
        struct mqtt_bytes level = {0};
        mqtt_topic_next_level(&s->left, &level);
        hashes[depth] = topic_trie_level_hash(level);
        if (s->left.is_end)
            s->n_levels = depth + 1;
        s->n_hashed++;
    }
    return hashes[depth];
}

/* The way down from a node by one kind of level, '+' or the topic's own. Returns whether there is a node at its end. */
static bool step(struct search *s, struct topic_branch from, uint64_t hash, bool ends, bool goes_on,
                 struct topic_branch *ret_to)
{
    if (!ends && !goes_on)
        return false;
    struct topic_branch to = {.key = topic_trie_extend(&s->index->trie, from.key, hash), .depth = from.depth + 1};
    if (ends)
        collect_key(s, to.key);
    if (goes_on)
        topic_table_prefetch(&s->index->trie.nodes, to.key);
    *ret_to = to;
    return goes_on;
}

/* Look at the node *AT, collect what matches there, and put the way by "+" aside. Returns whether there is one by the
 * topic's own level, which *AT then is. */
static bool visit(struct search *s, struct topic_branch *at)
{
    const struct topic_trie *trie = &s->index->trie;
    bool is_hidden = at->depth == 0 && s->topic.ptr[0] == '$'; /* MQTT-4.7.2-1 */
    const struct topic_node *node = at->depth == 0 ? &trie->root : topic_table_find(&trie->nodes, at->key);
    if (!node)
        return false;
    if (node->hash && !is_hidden)
        collect_key(s, topic_trie_extend(trie, at->key, trie->hash_hash));
    if (at->depth == s->n_levels)
        return false;
    uint64_t hash = level_hash(s, at->depth);
    bool is_last = at->depth + 1 == s->n_levels;
    struct topic_branch from = *at, plus;
    if (!is_hidden && step(s, from, trie->plus_hash, is_last && node->plus_ends, node->plus_goes_on, &plus))
        s->index->scratch.branches[s->n_branches++] = plus;
    return step(s, from, hash, is_last && node->literal_ends, node->literal_goes_on, at);
}

static void walk(struct search *s)
{
    struct topic_branch at = {.key = s->index->trie.root_key};
    for (;;) {
        if (visit(s, &at))
            continue;
        if (s->n_branches == 0)
            return;
        at = s->index->scratch.branches[--s->n_branches];
    }
}

int topic_index_match(struct topic_index *index, struct mqtt_bytes topic, struct topic_matches *matches)
{
    struct search s = {.index = index,
                       .topic = topic,
                       .matches = matches,
                       .left = mqtt_topic_levels(topic),
                       .n_levels = LEVELS_UNKNOWN};
    collect_key(&s, topic_index_exact_key(topic));
    if (!topic_trie_is_empty(&index->trie))
        walk(&s);
    flush_keys(&s);
    return s.result;
}

void topic_matches_deinit(struct topic_matches *matches)
{
    free(matches->entries);
    *matches = (struct topic_matches){0};
}
