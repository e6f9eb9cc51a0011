/* See retained_index.h. A sorted array of sorted blocks: a topic that comes moves at most a block's worth of pointers,
 * and a block that comes, which is once in a hundred topics or so, the array of blocks. */
#include "retained_index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "retained_internal.h"

enum { FIRST_RUNS = 8 };

struct retained_index *retained_index_new(void)
{
    return calloc(1, sizeof(struct retained_index));
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
    free(index);
    return NULL;
}

size_t retained_index_count(const struct retained_index *index)
{
    return index->count;
}

/* Order */

static int rank(uint8_t byte)
{
    return byte == '/' ? 0 : byte + 1;
}

/* How many bytes are equal from the front, N at most. */
static uint32_t common_bytes(const uint8_t *a, const uint8_t *b, uint32_t n)
{
    uint32_t at = 0;
    for (; n - at >= 8; at += 8) {
        uint64_t x, y;
        memcpy(&x, a + at, 8);
        memcpy(&y, b + at, 8);
        if (x != y)
            break; /* one of the next eight is the one; which of them depends on the byte order */
    }
    while (at < n && a[at] == b[at])
        at++;
    return at;
}

int retained_order(struct mqtt_bytes a, struct mqtt_bytes b)
{
    uint32_t n = a.len < b.len ? a.len : b.len, at = common_bytes(a.ptr, b.ptr, n);
    if (at < n)
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

/* Search */

/* The first topic of BLOCK from LOW on that is behind PLACE, or the end of the block. */
static uint32_t seek_in_block(const struct retained_block *block, uint32_t low, const struct retained_place *place)
{
    uint32_t high = block->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
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

static struct retained_topic *topic_at(const struct retained_index *index, struct retained_spot spot,
                                       struct mqtt_bytes topic)
{
    if (retained_spot_is_end(index, spot))
        return NULL;
    struct retained_topic *found = retained_index_at(index, spot);
    return retained_order(retained_topic_text(found), topic) == 0 ? found : NULL;
}

void *retained_index_find(const struct retained_index *index, struct mqtt_bytes topic)
{
    const struct retained_topic *found = topic_at(index, seek_topic(index, topic), topic);
    return found ? found->value : NULL;
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

static int insert(struct retained_index *index, struct retained_spot spot, struct mqtt_bytes text, void *value)
{
    struct retained_topic *topic = topic_new(text, value);
    if (!topic || make_room(index, &spot) < 0) {
        free(topic);
        return -ENOMEM;
    }
    struct retained_block *block = index->runs[spot.run].block;
    memmove(&block->topics[spot.at + 1], &block->topics[spot.at], topics_bytes(block->n - spot.at));
    block->topics[spot.at] = topic;
    block->n++;
    if (spot.at == 0)
        note_first(index, spot.run);
    index->count++;
    return 0;
}

int retained_index_set(struct retained_index *index, struct mqtt_bytes topic, void *value, void **ret_old)
{
    assert(value && mqtt_topic_name_is_valid(topic) && topic.len <= MQTT_STRING_MAX);
    struct retained_spot spot = seek_topic(index, topic);
    struct retained_topic *found = topic_at(index, spot, topic);
    if (!found) {
        int r = insert(index, spot, topic, value);
        if (r == 0)
            *ret_old = NULL;
        return r;
    }
    *ret_old = found->value;
    found->value = value;
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
    index->count--;
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
    struct retained_spot spot = seek_topic(index, topic);
    struct retained_topic *found = topic_at(index, spot, topic);
    if (!found)
        return NULL;
    void *value = found->value;
    take_out(index, spot);
    free(found);
    return value;
}
