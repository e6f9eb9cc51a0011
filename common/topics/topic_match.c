/* Matching: which filters of an index match a topic.
 *
 * At a million filters the time goes into waiting for memory, so every place is asked for some time before it is looked
 * at. The trie is searched in breadth, some nodes at a time, while the filter without wildcards is on its way; the
 * filters that this finds are looked at in groups: the slots of all of them, then the filters.
 *
 * What was tried and is not here: a table of topics with the filters that matched last time. It made 600 ns 200 where
 * everything is near, and 1,800 ns 1,400 among a million filters, but every filter that comes or goes empties it. */
#include "topic_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topic_index_internal.h"

enum { GROUP = 16, CACHE_LINE = 64 };

static const size_t ENTRIES_FIRST = 16;
static const uint32_t LEVELS_UNKNOWN = UINT32_MAX;

/* One search. */
struct search {
    struct topic_index *index;
    struct mqtt_bytes topic;
    struct topic_matches *matches;
    struct mqtt_levels left; /* of the topic, behind those that have been hashed */
    uint32_t n_hashed;
    uint32_t n_levels;   /* LEVELS_UNKNOWN until the last one has been seen */
    uint32_t first, end; /* branches that wait, as numbers in the ring */
    uint32_t n_keys;
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
    for (uint32_t i = 0; i < s->n_keys; i++) {
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
static uint64_t level_hash(struct search *s, uint32_t depth)
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

static struct topic_branch *ring_at(const struct search *s, uint32_t number)
{
    const struct topic_scratch *scratch = &s->index->scratch;
    return &scratch->branches[number & (2 * scratch->n_levels - 1)];
}

/* The way down from a node by one kind of level, "+" or the topic's own, whose hash this is. */
static void step(struct search *s, const struct topic_branch *from, uint64_t hash, bool ends, bool goes_on)
{
    if (!ends && !goes_on)
        return;
    uint64_t key = topic_trie_extend(&s->index->trie, from->key, hash);
    if (ends)
        collect_key(s, key);
    if (!goes_on)
        return;
    topic_table_prefetch(&s->index->trie.nodes, key);
    *ring_at(s, s->end++) = (struct topic_branch){.key = key, .depth = from->depth + 1};
}

/* Look at a node: collect what matches here, and let wait what may match below. */
static void visit(struct search *s, const struct topic_branch *at)
{
    const struct topic_trie *trie = &s->index->trie;
    bool is_hidden = at->depth == 0 && s->topic.ptr[0] == '$'; /* MQTT-4.7.2-1 */
    const struct topic_node *node = at->depth == 0 ? &trie->root : topic_table_find(&trie->nodes, at->key);
    if (!node)
        return;
    if (node->hash && !is_hidden)
        collect_key(s, topic_trie_extend(trie, at->key, trie->hash_hash));
    if (at->depth == s->n_levels)
        return;
    uint64_t hash = level_hash(s, at->depth);
    bool is_last = at->depth + 1 == s->n_levels;
    step(s, at, hash, is_last && node->literal_ends, node->literal_goes_on);
    if (!is_hidden)
        step(s, at, trie->plus_hash, is_last && node->plus_ends, node->plus_goes_on);
}

static void walk(struct search *s)
{
    struct topic_branch at = {.key = s->index->trie.root_key};
    visit(s, &at);
    while (s->first != s->end) {
        at = *(s->end - s->first < TOPIC_BRANCHES_AHEAD ? ring_at(s, s->first++) : ring_at(s, --s->end));
        visit(s, &at);
    }
}

int topic_index_match(struct topic_index *index, struct mqtt_bytes topic, struct topic_matches *matches)
{
    struct search s = {.index = index,
                       .topic = topic,
                       .matches = matches,
                       .left = mqtt_topic_levels(topic),
                       .n_levels = LEVELS_UNKNOWN};
    collect_key(&s, topic_table_key(topic));
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
