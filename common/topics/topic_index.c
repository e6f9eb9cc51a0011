/* See topic_index.h: filters coming and going. */
#include "topic_index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "topic_index_internal.h"

_Static_assert((int)TOPIC_INDEX_SLICES == (int)TOPIC_TABLE_PARTS, "a slice is a part of the table");

struct topic_index *topic_index_new(void)
{
    struct topic_index *index = calloc(1, sizeof(*index));
    if (!index)
        return NULL;
    topic_table_init(&index->filters, sizeof(struct topic_filter_slot));
    topic_trie_init(&index->trie);
    return index;
}

static void free_filter(struct topic_filter *filter, void *arg)
{
    topic_filter_free(filter);
}

struct topic_index *topic_index_free(struct topic_index *index)
{
    if (!index)
        return NULL;
    for (unsigned i = 0; i < TOPIC_INDEX_SLICES; i++)
        topic_index_slice(index, i, free_filter, NULL);
    topic_table_deinit(&index->filters);
    topic_trie_deinit(&index->trie);
    free(index->scratch.branches);
    free(index->scratch.level_hashes);
    free(index);
    return NULL;
}

static uint64_t filter_key(const struct topic_index *index, struct mqtt_bytes text, bool is_wild)
{
    return is_wild ? topic_trie_key(&index->trie, text) : topic_table_key(text);
}

static struct topic_filter_slot *find_slot(const struct topic_index *index, struct mqtt_bytes text, uint64_t key)
{
    struct topic_filter_slot *slot = topic_table_find(&index->filters, key);
    while (slot && !topic_filter_is_text(slot->filter, text))
        slot = topic_table_find_next(&index->filters, slot);
    return slot;
}

struct topic_filter *topic_index_find(const struct topic_index *index, struct mqtt_bytes filter)
{
    uint64_t key = filter_key(index, filter, mqtt_topic_has_wildcard(filter));
    const struct topic_filter_slot *slot = find_slot(index, filter, key);
    return slot ? slot->filter : NULL;
}

static uint32_t count_levels(struct mqtt_bytes text)
{
    struct mqtt_levels left = mqtt_topic_levels(text);
    struct mqtt_bytes level;
    uint32_t n = 0;
    while (mqtt_topic_next_level(&left, &level))
        n++;
    return n;
}

static int scratch_reserve(struct topic_scratch *s, uint32_t n_levels)
{
    uint32_t room = s->n_levels ? s->n_levels : TOPIC_LEVELS_FIRST;
    while (room < n_levels)
        room *= 2;
    if (room == s->n_levels)
        return 0;
    struct topic_branch *branches = realloc(s->branches, 2 * sizeof(*branches) * room);
    if (!branches)
        return -ENOMEM;
    s->branches = branches;
    uint64_t *hashes = realloc(s->level_hashes, sizeof(*hashes) * room);
    if (!hashes)
        return -ENOMEM;
    s->level_hashes = hashes;
    s->n_levels = room;
    return 0;
}

static int count_in_trie(struct topic_index *index, const struct topic_filter *filter)
{
    if (!filter->is_wild)
        return 0;
    struct mqtt_bytes text = topic_filter_text(filter);
    int r = scratch_reserve(&index->scratch, count_levels(text));
    return r < 0 ? r : topic_trie_add(&index->trie, text);
}

/* A filter that has its first entry already. */
static int link_filter(struct topic_index *index, struct topic_filter *filter, uint64_t key)
{
    struct topic_filter_slot *slot = topic_table_add(&index->filters, key);
    if (!slot)
        return -ENOMEM;
    slot->filter = filter;
    int r = count_in_trie(index, filter);
    if (r < 0)
        topic_table_remove(&index->filters, slot);
    return r;
}

static int add_filter(struct topic_index *index, struct mqtt_bytes text, uint64_t key, const struct topic_entry *entry,
                      struct topic_filter **ret_filter)
{
    struct topic_filter *filter = topic_filter_new(text);
    if (!filter)
        return -ENOMEM;
    int r = topic_filter_put(filter, entry);
    if (r == 0)
        r = link_filter(index, filter, key);
    if (r < 0) {
        topic_filter_free(filter);
        return r;
    }
    *ret_filter = filter;
    return 0;
}

int topic_index_add(struct topic_index *index, struct mqtt_bytes filter, const struct topic_entry *entry,
                    struct topic_filter **ret_filter)
{
    assert(entry->owner && mqtt_topic_filter_is_valid(filter) && filter.len <= MQTT_STRING_MAX);
    uint64_t key = filter_key(index, filter, mqtt_topic_has_wildcard(filter));
    struct topic_filter_slot *slot = find_slot(index, filter, key);
    struct topic_filter *found = slot ? slot->filter : NULL;
    int r = found ? topic_filter_put(found, entry) : add_filter(index, filter, key, entry, &found);
    if (r < 0)
        return r;
    index->count += r == 0;
    if (ret_filter)
        *ret_filter = found;
    return r;
}

static void remove_filter(struct topic_index *index, struct topic_filter *filter)
{
    struct mqtt_bytes text = topic_filter_text(filter);
    topic_table_remove(&index->filters, find_slot(index, text, filter_key(index, text, filter->is_wild)));
    if (filter->is_wild)
        topic_trie_remove(&index->trie, text);
    topic_filter_free(filter);
}

bool topic_index_remove(struct topic_index *index, struct topic_filter *filter, const void *owner)
{
    if (!topic_filter_take(filter, owner))
        return false;
    index->count--;
    if (filter->n == 0)
        remove_filter(index, filter);
    return true;
}

size_t topic_index_count(const struct topic_index *index)
{
    return index->count;
}

size_t topic_index_count_filters(const struct topic_index *index)
{
    return index->filters.count;
}

void topic_index_slice(const struct topic_index *index, unsigned slice, topic_filter_fn *fn, void *arg)
{
    const struct topic_table_part *part = &index->filters.parts[slice];
    for (uint64_t i = 0; part->n > 0 && i <= part->mask; i++) {
        const struct topic_filter_slot *slot = topic_table_slot(&index->filters, part, i);
        if (slot->key)
            fn(slot->filter, arg);
    }
}
