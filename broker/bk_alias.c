/* See bk_alias.h. */
#include "bk_alias.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

struct bk_aliases_in {
    uint16_t max;
    struct mqtt_bytes topics[]; /* owned; by alias, from 1 */
};

int bk_aliases_in_set(struct bk_aliases_in **table, uint16_t max, uint16_t alias, struct mqtt_bytes topic)
{
    struct bk_aliases_in *t = *table;
    if (!t) {
        t = calloc(1, sizeof *t + (max + 1u) * sizeof *t->topics);
        if (!t)
            return -ENOMEM;
        t->max = max;
        *table = t;
    }
    struct mqtt_bytes *at = &t->topics[alias];
    if (at->ptr && at->len == topic.len && memcmp(at->ptr, topic.ptr, topic.len) == 0)
        return 0;
    uint8_t *copy = malloc(topic.len);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, topic.ptr, topic.len);
    free((void *)(uintptr_t)at->ptr);
    at->ptr = copy;
    at->len = topic.len;
    return 0;
}

struct mqtt_bytes bk_aliases_in_get(const struct bk_aliases_in *table, uint16_t alias)
{
    return table && alias <= table->max ? table->topics[alias] : (struct mqtt_bytes){NULL, 0};
}

struct bk_aliases_in *bk_aliases_in_free(struct bk_aliases_in *table)
{
    for (unsigned i = 0; table && i <= table->max; i++)
        free((void *)(uintptr_t)table->topics[i].ptr);
    free(table);
    return NULL;
}

struct bk_aliases_out {
    uint16_t max, count;
    uint64_t clock; /* counts uses */
    uint64_t hashes[BK_ALIASES_OUT_MAX];
    uint64_t used[BK_ALIASES_OUT_MAX]; /* clock at the last use */
    struct mqtt_bytes topics[BK_ALIASES_OUT_MAX];
};

struct bk_aliases_out *bk_aliases_out_new(uint16_t max)
{
    struct bk_aliases_out *t = max > 0 ? calloc(1, sizeof *t) : NULL;
    if (t)
        t->max = max < BK_ALIASES_OUT_MAX ? max : BK_ALIASES_OUT_MAX;
    return t;
}

struct bk_aliases_out *bk_aliases_out_free(struct bk_aliases_out *table)
{
    for (unsigned i = 0; table && i < table->count; i++)
        free((void *)(uintptr_t)table->topics[i].ptr);
    free(table);
    return NULL;
}

static unsigned bk_aliases_out_oldest(const struct bk_aliases_out *t)
{
    unsigned oldest = 0;
    for (unsigned i = 1; i < t->count; i++)
        if (t->used[i] < t->used[oldest])
            oldest = i;
    return oldest;
}

uint16_t bk_aliases_out_use(struct bk_aliases_out *t, struct mqtt_bytes topic, bool *ret_is_known)
{
    const uint64_t hash = map_hash_bytes(topic.ptr, topic.len);
    t->clock++;
    for (unsigned i = 0; i < t->count; i++) {
        if (t->hashes[i] == hash && t->topics[i].len == topic.len &&
            memcmp(t->topics[i].ptr, topic.ptr, topic.len) == 0) {
            t->used[i] = t->clock;
            *ret_is_known = true;
            return (uint16_t)(i + 1);
        }
    }
    *ret_is_known = false;
    uint8_t *copy = malloc(topic.len);
    if (!copy)
        return 0;
    memcpy(copy, topic.ptr, topic.len);
    const unsigned at = t->count < t->max ? t->count++ : bk_aliases_out_oldest(t);
    free((void *)(uintptr_t)t->topics[at].ptr);
    t->topics[at] = (struct mqtt_bytes){copy, topic.len};
    t->hashes[at] = hash;
    t->used[at] = t->clock;
    return (uint16_t)(at + 1);
}
