/* Routes (bk_route.h). */
#include "bk_route.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bk_deliver.h"
#include "bk_marks.h"
#include "bk_message.h"
#include "bk_peers.h"
#include "bk_session.h"
#include "bk_share.h"
#include "bk_tag.h"
#include "bk_worker.h"

int bk_routes_init(struct bk_routes *r)
{
    *r = (struct bk_routes){.generation = 1};
    r->kept = calloc(BK_ROUTES, sizeof(struct bk_route *));
    r->seen = calloc(BK_ROUTES, sizeof *r->seen);
    if (r->kept && r->seen)
        return 0;
    bk_routes_deinit(r);
    return -ENOMEM;
}

static void bk_route_clear(struct bk_route *route)
{
    for (size_t i = 0; i < route->n; i++)
        bk_tag_unref(route->targets[i].tag);
    route->n = 0;
}

static void bk_route_free(struct bk_route *route)
{
    if (!route)
        return;
    bk_route_clear(route);
    free(route->targets);
    free(route);
}

void bk_routes_deinit(struct bk_routes *r)
{
    for (size_t i = 0; r->kept && i < BK_ROUTES; i++)
        bk_route_free(r->kept[i]);
    bk_route_free(r->spare);
    free(r->kept);
    free(r->seen);
    topic_matches_deinit(&r->matches);
    *r = (struct bk_routes){0};
}

/* --- Making one */

static struct bk_target *bk_route_add(struct bk_route *route)
{
    if (route->n == route->room) {
        const size_t room = route->room == 0 ? 4 : route->room * 2;
        struct bk_target *targets = realloc(route->targets, room * sizeof *targets);
        if (!targets)
            return NULL;
        route->targets = targets;
        route->room = room;
    }
    return &route->targets[route->n++];
}

/* A tag with one identifier more. */
static int bk_target_add_id(struct bk_target *t, uint32_t id)
{
    const uint32_t n = t->tag ? t->tag->n_ids : 0;
    uint32_t *ids = malloc((n + 1) * sizeof *ids);
    struct bk_tag *tag = NULL;
    if (ids) {
        if (n > 0)
            memcpy(ids, t->tag->ids, n * sizeof *ids);
        ids[n] = id;
        tag = bk_tag_new(NULL, ids, n + 1);
    }
    free(ids);
    if (!tag)
        return -ENOMEM;
    bk_tag_unref(t->tag);
    t->tag = tag;
    return 0;
}

/* The target of this session that ENTRY may join; NULL: it needs one of its own. */
static struct bk_target *bk_route_same(struct bk_route *route, const struct bk_session *s,
                                       const struct topic_entry *entry, uint64_t mark)
{
    if (s->route_mark != mark)
        return NULL;
    assert(route->targets && s->route_at < route->n);
    struct bk_target *t = &route->targets[s->route_at];
    return (t->options & BK_ENTRY_NO_LOCAL) == (entry->options & BK_ENTRY_NO_LOCAL) ? t : NULL;
}

static void bk_target_join(struct bk_target *t, uint32_t options)
{
    uint32_t qos = t->options & BK_ENTRY_QOS;
    if ((options & BK_ENTRY_QOS) > qos)
        qos = options & BK_ENTRY_QOS;
    t->options =
        (t->options & ~(uint32_t)BK_ENTRY_QOS) | (options & (BK_ENTRY_RETAIN_AS_PUBLISHED | BK_ENTRY_GUARDED)) | qos;
}

static int bk_route_take(struct bk_route *route, const struct topic_entry *entry, uint64_t mark)
{
    if ((entry->options & BK_ENTRY_PEER) && !bk_peer_mark(entry->owner, mark))
        return 0;
    struct bk_session *s = entry->options & (BK_ENTRY_SHARE | BK_ENTRY_PEER) ? NULL : entry->owner;
    struct bk_target *t = s ? bk_route_same(route, s, entry, mark) : NULL;
    if (t) {
        bk_target_join(t, entry->options);
    } else {
        t = bk_route_add(route);
        if (!t)
            return -ENOMEM;
        *t = (struct bk_target){.owner = entry->owner, .options = entry->options};
        if (s) {
            s->route_mark = mark;
            s->route_at = (uint32_t)(route->n - 1);
        }
    }
    return s && entry->subscription_id != 0 ? bk_target_add_id(t, entry->subscription_id) : 0;
}

static int bk_route_fill(struct bk_worker *w, struct bk_route *route, struct mqtt_bytes topic)
{
    struct bk_routes *r = &w->routes;
    bk_route_clear(route);
    r->matches.n = 0;
    int e = topic_index_match(w->index, topic, &r->matches);
    const uint64_t mark = ++r->mark;
    for (size_t i = 0; e >= 0 && i < r->matches.n; i++)
        e = bk_route_take(route, &r->matches.entries[i], mark);
    route->generation = r->generation;
    return e;
}

/* --- Finding one */

static struct bk_route *bk_route_new(struct mqtt_bytes topic, uint64_t hash)
{
    struct bk_route *route = calloc(1, sizeof *route + topic.len);
    if (!route)
        return NULL;
    route->hash = hash;
    route->topic_len = (uint16_t)topic.len;
    memcpy(route->topic, topic.ptr, topic.len);
    return route;
}

static bool bk_route_is_of(const struct bk_route *route, struct mqtt_bytes topic, uint64_t hash)
{
    return route && route->hash == hash && route->topic_len == topic.len &&
           memcmp(route->topic, topic.ptr, topic.len) == 0;
}

/* The place where TOPIC's route is kept, or shall be; else the spare one. NULL: out of memory. */
static struct bk_route *bk_routes_place(struct bk_routes *r, struct mqtt_bytes topic)
{
    const uint64_t hash = map_hash_bytes(topic.ptr, topic.len);
    const size_t at = hash % BK_ROUTES;
    if (bk_route_is_of(r->kept[at], topic, hash))
        return r->kept[at];
    if (r->seen[at] == hash) {
        struct bk_route *route = bk_route_new(topic, hash);
        if (route) {
            bk_route_free(r->kept[at]);
            r->kept[at] = route;
            return route;
        }
    }
    r->seen[at] = hash;
    if (!r->spare)
        r->spare = calloc(1, sizeof *r->spare);
    else
        r->spare->generation = 0;
    return r->spare;
}

/* NULL: out of memory, the message is lost. */
static const struct bk_route *bk_route_find(struct bk_worker *w, struct mqtt_bytes topic)
{
    struct bk_route *route = bk_routes_place(&w->routes, topic);
    if (route && (route->generation == w->routes.generation || bk_route_fill(w, route, topic) >= 0))
        return route;
    if (route)
        route->generation = 0;
    metric_add(&w->metrics.dropped_no_memory, 1);
    return NULL;
}

static bool bk_target_deliver(const struct bk_target *t, struct bk_publication *p)
{
    const struct bk_session *s = t->owner;
    assert(s);
    if (p->had.len > 0 && bk_marks_has_session(p->had, s->number))
        return true;
    return bk_deliver(t->owner, p, t->options, t->tag);
}

static bool bk_target_publish(const struct bk_target *t, struct bk_publication *p, const struct bk_peer *owner)
{
    if (t->options & BK_ENTRY_SHARE)
        return bk_share_publish(t->owner, p, NULL);
    if (!(t->options & BK_ENTRY_PEER))
        return bk_target_deliver(t, p);
    bk_peer_publish(t->owner, p, t->owner == owner);
    return true;
}

bool bk_route_publish(struct bk_worker *w, struct bk_publication *p, struct bk_peer *owner)
{
    const struct bk_route *route = bk_route_find(w, p->topic);
    bool is_taken = !route, is_owner_told = false;
    for (size_t i = 0; route && i < route->n; i++) {
        is_taken |= bk_target_publish(&route->targets[i], p, owner);
        is_owner_told |= route->targets[i].owner == owner;
    }
    if (owner && !is_owner_told)
        bk_peer_publish(owner, p, true);
    return is_taken;
}

void bk_route_publish_here(struct bk_worker *w, struct bk_publication *p)
{
    const struct bk_route *route = bk_route_find(w, p->topic);
    for (size_t i = 0; route && i < route->n; i++) {
        const struct bk_target *t = &route->targets[i];
        if (!(t->options & (BK_ENTRY_SHARE | BK_ENTRY_PEER)))
            bk_target_deliver(t, p);
    }
}
