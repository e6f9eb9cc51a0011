/* See retained_index.h. A sorted array of sorted blocks: a topic that comes moves at most a block's worth of pointers,
 * and a block that comes, which is once in a hundred topics or so, the array of blocks. And a hash table: what most
 * often happens to a topic is that its value is replaced. */
#include "retained_index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "retained_internal.h"

enum { FIRST_RUNS = 8 };

struct retained_index *retained_index_new(void)
{
    struct retained_index *index = calloc(1, sizeof(*index));
    if (index)
        topic_table_init(&index->slots, sizeof(struct retained_slot));
    return index;
}

struct retained_index *retained_index_free(struct retained_index *index)
{
    if (!index)
        return NULL;
    for (size_t i = 0; i < index->n_runs; i++) {
        struct retained_block *block = index->runs[i].block;
        for (uint32_t j = 0; j < block->n; j++)
            free(block->topics[j]);
        free(block);
    }
    free(index->runs);
    topic_table_deinit(&index->slots);
    free(index);
    return NULL;
}

size_t retained_index_count(const struct retained_index *index)
{
    return index->slots.count;
}

/* By hash */

static struct retained_slot *find_slot(const struct retained_index *index, struct mqtt_bytes text, uint64_t key)
{
    struct retained_slot *slot = topic_table_find(&index->slots, key);
    while (slot && !(slot->topic->len == text.len && memcmp(slot->topic->text, text.ptr, text.len) == 0))
        slot = topic_table_find_next(&index->slots, slot);
    return slot;
}

void *retained_index_find(const struct retained_index *index, struct mqtt_bytes topic)
{
    const struct retained_slot *slot = find_slot(index, topic, topic_table_key(topic));
    return slot ? slot->topic->value : NULL;
}

/* Order */

static int rank(uint8_t byte)
{
    return byte == '/' ? 0 : byte + 1;
}

int retained_order(struct mqtt_bytes a, struct mqtt_bytes b)
{
    uint32_t at = mqtt_topic_common(a, b);
    if (at < a.len && at < b.len)
        return rank(a.ptr[at]) - rank(b.ptr[at]);
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool is_below(struct mqtt_bytes topic, struct mqtt_bytes parent)
{
    return topic.len > parent.len && topic.ptr[parent.len] == '/' && memcmp(topic.ptr, parent.ptr, parent.len) == 0;
}

static bool is_behind(const struct retained_topic *topic, const struct retained_place *place)
{
    struct mqtt_bytes text = retained_topic_text(topic);
    int order = retained_order(text, place->text);
    switch (place->side) {
    case RETAINED_AT:
        return order >= 0;
    case RETAINED_AFTER:
        return order > 0;
    case RETAINED_PAST:
        return order > 0 && !is_below(text, place->text);
    }
    return false;
}

/* Search. Among a million topics nearly all of its time goes into waiting for texts: so those that may be the next to
 * be looked at are asked for while one is. */

static void prefetch(const struct retained_topic *topic)
{
    __builtin_prefetch(topic);
    __builtin_prefetch(topic->text + 32); /* most texts end, and differ, on the next cache line */
}

/* The first topic of BLOCK from LOW on that is behind PLACE, or the end of the block. */
static uint32_t seek_in_block(const struct retained_block *block, uint32_t low, const struct retained_place *place)
{
    uint32_t high = block->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        prefetch(block->topics[(low + middle) / 2]);
        prefetch(block->topics[(middle + high) / 2]);
        if (is_behind(block->topics[middle], place))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* How many runs begin before PLACE: what is searched for is in the last of them, or begins the next one. */
static size_t runs_before(const struct retained_index *index, const struct retained_place *place)
{
    size_t low = 0, high = index->n_runs;
    while (low < high) {
        size_t middle = (low + high) / 2;
        prefetch(index->runs[(low + middle) / 2].first);
        prefetch(index->runs[(middle + high) / 2].first);
        if (is_behind(index->runs[middle].first, place))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static struct retained_spot spot_or_next_run(const struct retained_index *index, struct retained_spot spot)
{
    if (spot.at == index->runs[spot.run].block->n)
        return (struct retained_spot){.run = spot.run + 1};
    return spot;
}

struct retained_spot retained_index_seek(const struct retained_index *index, const struct retained_place *place)
{
    size_t before = runs_before(index, place);
    if (before == 0)
        return (struct retained_spot){0};
    struct retained_spot spot = {.run = before - 1};
    spot.at = seek_in_block(index->runs[spot.run].block, 1, place);
    return spot_or_next_run(index, spot);
}

struct retained_spot retained_index_seek_on(const struct retained_index *index, struct retained_spot spot,
                                            const struct retained_place *place)
{
    const struct retained_block *block = index->runs[spot.run].block;
    if (!is_behind(block->topics[block->n - 1], place))
        return retained_index_seek(index, place);
    spot.at = seek_in_block(block, spot.at + 1, place);
    return spot;
}

struct retained_spot retained_index_next(const struct retained_index *index, struct retained_spot spot)
{
    spot.at++;
    return spot_or_next_run(index, spot);
}

/* Where TOPIC is or would be. */
static struct retained_spot seek_topic(const struct retained_index *index, struct mqtt_bytes topic)
{
    return retained_index_seek(index, &(struct retained_place){.text = topic});
}

/* Change */

static void note_first(struct retained_index *index, size_t run)
{
    index->runs[run].first = index->runs[run].block->topics[0];
}

/* A run without topics at place RUN of the array; the caller fills it. */
static int add_run(struct retained_index *index, size_t run)
{
    if (index->n_runs == index->room) {
        size_t room = index->room ? index->room * 2 : FIRST_RUNS;
        struct retained_run *runs = realloc(index->runs, room * sizeof(*runs));
        if (!runs)
            return -ENOMEM;
        index->runs = runs;
        index->room = room;
    }
    struct retained_block *block = malloc(sizeof(*block));
    if (!block)
        return -ENOMEM;
    block->n = 0;
    memmove(&index->runs[run + 1], &index->runs[run], (index->n_runs - run) * sizeof(*index->runs));
    index->runs[run] = (struct retained_run){.block = block};
    index->n_runs++;
    return 0;
}

static void remove_run(struct retained_index *index, size_t run)
{
    free(index->runs[run].block);
    index->n_runs--;
    memmove(&index->runs[run], &index->runs[run + 1], (index->n_runs - run) * sizeof(*index->runs));
}

/* Of N pointers in a block. */
static size_t topics_bytes(uint32_t n)
{
    return n * sizeof(struct retained_topic *);
}

/* Topics of the run from AT on go to the end of the run TO. */
static void move_topics(struct retained_index *index, size_t run, uint32_t at, size_t to)
{
    struct retained_block *from = index->runs[run].block, *block = index->runs[to].block;
    memcpy(&block->topics[block->n], &from->topics[at], topics_bytes(from->n - at));
    block->n += from->n - at;
    from->n = at;
}

/* Make a place for one more topic before *SPOT, which becomes that place. The block at the end is not split but
 * followed by a new one: topics that come in order, as out of a store, fill their blocks. */
static int make_room(struct retained_index *index, struct retained_spot *spot)
{
    if (index->n_runs == 0)
        return add_run(index, 0);
    if (spot->at == 0 && spot->run > 0) {
        spot->run--;
        spot->at = index->runs[spot->run].block->n;
    }
    struct retained_block *block = index->runs[spot->run].block;
    if (block->n < RETAINED_BLOCK_TOPICS)
        return 0;
    bool is_last = spot->run + 1 == index->n_runs && spot->at == block->n;
    uint32_t keep = is_last ? block->n : block->n / 2;
    if (add_run(index, spot->run + 1) < 0)
        return -ENOMEM;
    move_topics(index, spot->run, keep, spot->run + 1);
    if (!is_last)
        note_first(index, spot->run + 1);
    if (spot->at >= keep && (is_last || spot->at > keep)) {
        spot->run++;
        spot->at -= keep;
    }
    return 0;
}

static struct retained_topic *topic_new(struct mqtt_bytes text, void *value)
{
    struct retained_topic *topic = malloc(offsetof(struct retained_topic, text) + text.len);
    if (!topic)
        return NULL;
    topic->value = value;
    topic->len = (uint16_t)text.len;
    memcpy(topic->text, text.ptr, text.len);
    return topic;
}

static int put_in_order(struct retained_index *index, struct retained_topic *topic)
{
    struct retained_spot spot = seek_topic(index, retained_topic_text(topic));
    if (make_room(index, &spot) < 0)
        return -ENOMEM;
    struct retained_block *block = index->runs[spot.run].block;
    memmove(&block->topics[spot.at + 1], &block->topics[spot.at], topics_bytes(block->n - spot.at));
    block->topics[spot.at] = topic;
    block->n++;
    if (spot.at == 0)
        note_first(index, spot.run);
    return 0;
}

static int insert(struct retained_index *index, struct mqtt_bytes text, uint64_t key, void *value)
{
    struct retained_topic *topic = topic_new(text, value);
    struct retained_slot *slot = topic ? topic_table_add(&index->slots, key) : NULL;
    if (!slot) {
        free(topic);
        return -ENOMEM;
    }
    slot->topic = topic;
    int r = put_in_order(index, topic);
    if (r < 0) {
        topic_table_remove(&index->slots, slot);
        free(topic);
    }
    return r;
}

int retained_index_set(struct retained_index *index, struct mqtt_bytes topic, void *value, void **ret_old)
{
    assert(value && mqtt_topic_name_is_valid(topic) && topic.len <= MQTT_STRING_MAX);
    uint64_t key = topic_table_key(topic);
    const struct retained_slot *found = find_slot(index, topic, key);
    if (!found) {
        int r = insert(index, topic, key, value);
        if (r == 0)
            *ret_old = NULL;
        return r;
    }
    *ret_old = found->topic->value;
    found->topic->value = value;
    return 0;
}

/* What has become small joins the run after or before it, where there is room to spare. */
static void join(struct retained_index *index, size_t run)
{
    enum { SMALL = RETAINED_BLOCK_TOPICS / 4, FULL_ENOUGH = RETAINED_BLOCK_TOPICS / 2 };
    if (index->runs[run].block->n > SMALL)
        return;
    size_t first = run > 0 ? run - 1 : run;
    for (size_t i = first; i <= run && i + 1 < index->n_runs; i++) {
        if (index->runs[i].block->n + index->runs[i + 1].block->n > FULL_ENOUGH)
            continue;
        move_topics(index, i + 1, 0, i);
        remove_run(index, i + 1);
        return;
    }
}

static void take_out(struct retained_index *index, struct retained_spot spot)
{
    struct retained_block *block = index->runs[spot.run].block;
    block->n--;
    memmove(&block->topics[spot.at], &block->topics[spot.at + 1], topics_bytes(block->n - spot.at));
    if (block->n == 0) {
        remove_run(index, spot.run);
        return;
    }
    if (spot.at == 0)
        note_first(index, spot.run);
    join(index, spot.run);
}

void *retained_index_remove(struct retained_index *index, struct mqtt_bytes topic)
{
    struct retained_slot *slot = find_slot(index, topic, topic_table_key(topic));
    if (!slot)
        return NULL;
    struct retained_topic *found = slot->topic;
    void *value = found->value;
    topic_table_remove(&index->slots, slot);
    take_out(index, seek_topic(index, topic));
    free(found);
    return value;
}
