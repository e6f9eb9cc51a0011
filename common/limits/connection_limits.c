/* See connection_limits.h. */
#include "connection_limits.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "list.h"

struct connection_key {
    uint8_t bytes[8]; /* IPv4: four of them; IPv6: those of the /64 */
    uint32_t family;
};

struct connection_address {
    struct map_node node; /* in limits->addresses */
    struct connection_key key;
    uint64_t count;
};

static bool connection_key_is(const struct map_node *node, const void *key)
{
    return memcmp(&container_of(node, struct connection_address, node)->key, key, sizeof(struct connection_key)) == 0;
}

/* False: it has none. */
static bool connection_key_of(const struct sockaddr *address, struct connection_key *ret_key)
{
    *ret_key = (struct connection_key){.family = address->sa_family};
    if (address->sa_family == AF_INET)
        memcpy(ret_key->bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    else if (address->sa_family == AF_INET6)
        memcpy(ret_key->bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 8);
    else
        return false;
    return true;
}

void connection_limits_init(struct connection_limits *l, const struct connection_limits_options *options,
                            uint64_t now_ms)
{
    pthread_mutex_init(&l->mutex, NULL);
    l->options = *options;
    l->count = 0;
    map_init(&l->addresses, connection_key_is);
    token_bucket_init(&l->bucket, options->rate, now_ms);
}

void connection_limits_deinit(struct connection_limits *l)
{
    struct map_node *node;
    while ((node = map_any(&l->addresses))) {
        map_remove(&l->addresses, node);
        free(container_of(node, struct connection_address, node));
    }
    map_deinit(&l->addresses);
    pthread_mutex_destroy(&l->mutex);
}

static struct connection_address *connection_limits_add(struct connection_limits *l, const struct connection_key *key,
                                                        uint64_t hash)
{
    struct connection_address *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->key = *key;
    if (map_add(&l->addresses, &a->node, hash) == 0)
        return a;
    free(a);
    return NULL;
}

/* With the mutex. */
static enum connection_verdict connection_limits_admit(struct connection_limits *l, const struct sockaddr *address,
                                                       uint64_t now_ms, struct connection_place *ret_place)
{
    struct connection_key key;
    struct connection_address *a = NULL;
    if (l->options.max_connections > 0 && l->count >= l->options.max_connections)
        return CONNECTION_TOO_MANY;
    const bool is_by_address = l->options.max_per_address > 0 && connection_key_of(address, &key);
    const uint64_t hash = is_by_address ? map_hash_bytes(&key, sizeof(key)) : 0;
    struct map_node *node = is_by_address ? map_find(&l->addresses, hash, &key) : NULL;
    if (node) {
        a = container_of(node, struct connection_address, node);
        if (a->count >= l->options.max_per_address)
            return CONNECTION_TOO_MANY_OF_ADDRESS;
    }
    if (!token_bucket_take(&l->bucket, now_ms))
        return CONNECTION_TOO_FAST;
    if (is_by_address && !a && !(a = connection_limits_add(l, &key, hash)))
        return CONNECTION_NO_MEMORY;
    l->count++;
    if (a)
        a->count++;
    *ret_place = (struct connection_place){.limits = l, .address = a};
    return CONNECTION_WELCOME;
}

enum connection_verdict connection_limits_enter(struct connection_limits *l, const struct sockaddr *address,
                                                uint64_t now_ms, struct connection_place *ret_place)
{
    *ret_place = (struct connection_place){.limits = NULL};
    pthread_mutex_lock(&l->mutex);
    enum connection_verdict verdict = connection_limits_admit(l, address, now_ms, ret_place);
    pthread_mutex_unlock(&l->mutex);
    return verdict;
}

void connection_limits_leave(struct connection_place *place)
{
    struct connection_limits *l = place->limits;
    struct connection_address *a = place->address;
    if (!l)
        return;
    pthread_mutex_lock(&l->mutex);
    l->count--;
    if (a && --a->count == 0) {
        map_remove(&l->addresses, &a->node);
        free(a);
    }
    pthread_mutex_unlock(&l->mutex);
    *place = (struct connection_place){.limits = NULL};
}
