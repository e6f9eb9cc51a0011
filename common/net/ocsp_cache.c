/* See ocsp_cache.h. */
#include "ocsp_cache.h"

#include <stdlib.h>
#include <string.h>

struct ocsp_cache_entry {
    struct map_node node;
    struct list link; /* in by_age */
    time_t until;
    enum ocsp_status status;
    uint8_t key[OCSP_DIGEST_BYTES];
};

static bool ocsp_cache_equal(const struct map_node *node, const void *key)
{
    return memcmp(container_of(node, struct ocsp_cache_entry, node)->key, key, OCSP_DIGEST_BYTES) == 0;
}

static struct ocsp_cache_entry *ocsp_cache_find(const struct ocsp_cache *c, const uint8_t *key)
{
    const struct map_node *node = map_find(&c->map, map_hash_bytes(key, OCSP_DIGEST_BYTES), key);
    return node ? container_of(node, struct ocsp_cache_entry, node) : NULL;
}

static void ocsp_cache_drop(struct ocsp_cache *c, struct ocsp_cache_entry *e)
{
    map_remove(&c->map, &e->node);
    list_del(&e->link);
    free(e);
}

void ocsp_cache_init(struct ocsp_cache *c, size_t max)
{
    map_init(&c->map, ocsp_cache_equal);
    list_init(&c->by_age);
    c->max = max;
}

void ocsp_cache_clear(struct ocsp_cache *c)
{
    list_for_each_safe (it, tmp, &c->by_age)
        ocsp_cache_drop(c, list_entry(it, struct ocsp_cache_entry, link));
}

void ocsp_cache_deinit(struct ocsp_cache *c)
{
    ocsp_cache_clear(c);
    map_deinit(&c->map);
}

static struct ocsp_cache_entry *ocsp_cache_add(struct ocsp_cache *c, const uint8_t *key)
{
    if (c->map.count >= c->max)
        ocsp_cache_drop(c, list_entry(list_first(&c->by_age), struct ocsp_cache_entry, link));
    struct ocsp_cache_entry *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    memcpy(e->key, key, OCSP_DIGEST_BYTES);
    list_init(&e->link);
    if (map_add(&c->map, &e->node, map_hash_bytes(key, OCSP_DIGEST_BYTES)) < 0) {
        free(e);
        return NULL;
    }
    return e;
}

void ocsp_cache_put(struct ocsp_cache *c, const uint8_t *key, enum ocsp_status status, time_t until)
{
    struct ocsp_cache_entry *e = ocsp_cache_find(c, key);
    if (!e)
        e = ocsp_cache_add(c, key);
    if (!e)
        return;
    e->status = status;
    e->until = until;
    list_move_tail(&c->by_age, &e->link);
}

bool ocsp_cache_get(const struct ocsp_cache *c, const uint8_t *key, time_t now, enum ocsp_status *ret_status)
{
    const struct ocsp_cache_entry *e = ocsp_cache_find(c, key);
    if (!e || now >= e->until)
        return false;
    *ret_status = e->status;
    return true;
}
