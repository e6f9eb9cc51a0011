/* Quotas of users (bk_quota.h). */
#include "bk_quota.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bk_options.h"
#include "err.h"
#include "list.h"
#include "map.h"
#include "mqtt_encode.h"
#include "token_bucket.h"

/* Everything but the numbers is under the lock of the quotas. */
struct bk_account {
    struct map_node node; /* in quotas->accounts, by name */
    struct bk_quotas *quotas;
    uint64_t refs;
    _Atomic int64_t used[BK_QUOTAS];
    struct { /* only under its own lock */
        pthread_mutex_t lock;
        struct token_bucket messages, bytes;
    } _rates;
    bool is_named;
    uint32_t len;
    uint8_t name[];
};

/* That a topic has a retained message. Topics are told apart by their hash alone, 64 bits with a seed of the process:
 * two of a million that have the same are one chance in 30 million, and cost a number that is wrong by one. */
struct bk_retained_place {
    struct map_node node;       /* in quotas->retained; hash = of the topic */
    struct bk_account *account; /* one reference; NULL: nobody's */
};

struct bk_quotas {
    int64_t limits[BK_QUOTAS];        /* of a user; 0 = none */
    int64_t max_retained;             /* of all; 0 = none */
    uint64_t message_rate, byte_rate; /* of a user; 0 = none */
    pthread_mutex_t lock;
    struct map accounts, retained;
};

/* Those without one have the empty name, and are told apart from who has that. */
struct bk_user_name {
    const uint8_t *ptr;
    uint32_t len;
    bool is_named;
};

static bool bk_account_is_of(const struct map_node *node, const void *key)
{
    const struct bk_account *a = container_of(node, struct bk_account, node);
    const struct bk_user_name *name = key;
    return a->is_named == name->is_named && a->len == name->len && memcmp(a->name, name->ptr, name->len) == 0;
}

static bool bk_retained_place_is_of(const struct map_node *node, const void *key)
{
    return true; /* the hash says it all */
}

int bk_quotas_new(const struct bk_options *o, struct bk_quotas **ret_quotas)
{
    const int64_t limits[BK_QUOTAS] = {
        [BK_QUOTA_CONNECTIONS] = o->max_user_connections,
        [BK_QUOTA_SUBSCRIPTIONS] = o->max_user_subscriptions,
        [BK_QUOTA_QUEUED_BYTES] = (int64_t)o->max_user_queued_bytes,
        [BK_QUOTA_RETAINED] = o->max_user_retained,
    };
    bool has_any = o->max_retained > 0 || o->max_user_message_rate > 0 || o->max_user_byte_rate > 0;
    for (size_t i = 0; i < BK_QUOTAS; i++)
        has_any = has_any || limits[i] > 0;
    *ret_quotas = NULL;
    if (!has_any)
        return 0;
    struct bk_quotas *q = calloc(1, sizeof *q);
    if (!q)
        return err_set(-ENOMEM, "out of memory");
    memcpy(q->limits, limits, sizeof limits);
    q->max_retained = o->max_retained;
    q->message_rate = (uint64_t)o->max_user_message_rate;
    q->byte_rate = o->max_user_byte_rate;
    pthread_mutex_init(&q->lock, NULL);
    map_init(&q->accounts, bk_account_is_of);
    map_init(&q->retained, bk_retained_place_is_of);
    *ret_quotas = q;
    return 0;
}

/* --- Accounts. Under the lock: */

static void bk_account_drop(struct bk_account *a)
{
    if (!a || --a->refs > 0)
        return;
    map_remove(&a->quotas->accounts, &a->node);
    pthread_mutex_destroy(&a->_rates.lock);
    free(a);
}

static struct bk_account *bk_account_find(struct bk_quotas *q, const struct bk_user_name *name)
{
    const uint64_t hash = map_hash_bytes(name->ptr, name->len);
    struct map_node *node = map_find(&q->accounts, hash, name);
    if (node)
        return container_of(node, struct bk_account, node);
    struct bk_account *a = calloc(1, sizeof *a + name->len);
    if (!a || map_add(&q->accounts, &a->node, hash) < 0) {
        free(a);
        return NULL;
    }
    a->quotas = q;
    pthread_mutex_init(&a->_rates.lock, NULL);
    token_bucket_init(&a->_rates.messages, q->message_rate, 0); /* full whenever the first packet comes */
    token_bucket_init(&a->_rates.bytes, q->byte_rate, 0);
    a->is_named = name->is_named;
    a->len = name->len;
    memcpy(a->name, name->ptr, name->len);
    return a;
}

/* --- And without: */

struct bk_account *bk_account_get(struct bk_quotas *q, struct mqtt_bytes user)
{
    static const uint8_t none;
    const struct bk_user_name name = {
        .ptr = user.ptr ? user.ptr : &none, .len = user.ptr ? user.len : 0, .is_named = user.ptr != NULL};
    if (!q)
        return NULL;
    pthread_mutex_lock(&q->lock);
    struct bk_account *a = bk_account_find(q, &name);
    if (a)
        a->refs++;
    pthread_mutex_unlock(&q->lock);
    return a;
}

struct bk_account *bk_account_ref(struct bk_account *a)
{
    if (!a)
        return NULL;
    pthread_mutex_lock(&a->quotas->lock);
    a->refs++;
    pthread_mutex_unlock(&a->quotas->lock);
    return a;
}

struct bk_account *bk_account_unref(struct bk_account *a)
{
    if (!a)
        return NULL;
    struct bk_quotas *q = a->quotas;
    pthread_mutex_lock(&q->lock);
    bk_account_drop(a);
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

bool bk_account_take(struct bk_account *a, enum bk_quota what, int64_t n)
{
    if (!a)
        return true;
    const int64_t limit = a->quotas->limits[what];
    const int64_t before = atomic_fetch_add_explicit(&a->used[what], n, memory_order_relaxed);
    if (limit == 0 || before + n <= limit)
        return true;
    atomic_fetch_sub_explicit(&a->used[what], n, memory_order_relaxed);
    return false;
}

void bk_account_charge(struct bk_account *a, enum bk_quota what, int64_t n)
{
    if (a && n != 0)
        atomic_fetch_add_explicit(&a->used[what], n, memory_order_relaxed);
}

bool bk_account_has_room(const struct bk_account *a, enum bk_quota what, int64_t n)
{
    return !a || a->quotas->limits[what] == 0 ||
           atomic_load_explicit(&a->used[what], memory_order_relaxed) + n <= a->quotas->limits[what];
}

bool bk_quotas_have_rates(const struct bk_quotas *q)
{
    return q && (q->message_rate > 0 || q->byte_rate > 0);
}

uint64_t bk_account_spend(struct bk_account *a, const struct mqtt_packet *packet, uint64_t now_ms)
{
    if (!a)
        return 0;
    pthread_mutex_lock(&a->_rates.lock);
    if (now_ms < a->_rates.bytes.now_ms) /* clocks of loops stand still during a turn: another one was ahead */
        now_ms = a->_rates.bytes.now_ms;
    if (now_ms < a->_rates.messages.now_ms)
        now_ms = a->_rates.messages.now_ms;
    const uint64_t for_messages_ms = token_bucket_spend(&a->_rates.messages, packet->type == MQTT_PUBLISH, now_ms);
    const uint64_t for_bytes_ms = token_bucket_spend(&a->_rates.bytes, mqtt_encode_size(packet), now_ms);
    pthread_mutex_unlock(&a->_rates.lock);
    return for_messages_ms > for_bytes_ms ? for_messages_ms : for_bytes_ms;
}

/* --- Retained messages. Under the lock: */

static void bk_retained_place_free(struct bk_quotas *q, struct bk_retained_place *place)
{
    map_remove(&q->retained, &place->node);
    bk_account_charge(place->account, BK_QUOTA_RETAINED, -1);
    bk_account_drop(place->account);
    free(place);
}

/* Its topic's message is A's from now on, whosever it was. */
static bool bk_retained_place_give(struct bk_retained_place *place, struct bk_account *a)
{
    if (place->account == a)
        return true;
    if (!bk_account_take(a, BK_QUOTA_RETAINED, 1))
        return false;
    bk_account_charge(place->account, BK_QUOTA_RETAINED, -1);
    bk_account_drop(place->account);
    place->account = a;
    if (a)
        a->refs++;
    return true;
}

static bool bk_retained_place_new(struct bk_quotas *q, struct bk_account *a, uint64_t hash)
{
    if (q->max_retained > 0 && q->retained.count >= (size_t)q->max_retained)
        return false;
    struct bk_retained_place *place = calloc(1, sizeof *place);
    if (!place || map_add(&q->retained, &place->node, hash) < 0) {
        free(place);
        return false;
    }
    if (bk_retained_place_give(place, a))
        return true;
    bk_retained_place_free(q, place);
    return false;
}

static struct bk_retained_place *bk_retained_place_find(struct bk_quotas *q, uint64_t hash)
{
    struct map_node *node = map_find(&q->retained, hash, NULL);
    return node ? container_of(node, struct bk_retained_place, node) : NULL;
}

/* --- And without: */

bool bk_quota_retain(struct bk_quotas *q, struct bk_account *a, struct mqtt_bytes topic, bool is_empty)
{
    if (!q)
        return true;
    const uint64_t hash = map_hash_bytes(topic.ptr, topic.len);
    bool is_allowed = true;
    pthread_mutex_lock(&q->lock);
    struct bk_retained_place *place = bk_retained_place_find(q, hash);
    if (!is_empty)
        is_allowed = place ? bk_retained_place_give(place, a) : bk_retained_place_new(q, a, hash);
    else if (place)
        bk_retained_place_free(q, place);
    pthread_mutex_unlock(&q->lock);
    return is_allowed;
}

void bk_quota_retained_expired(struct bk_quotas *q, struct mqtt_bytes topic)
{
    bk_quota_retain(q, NULL, topic, true);
}

void bk_quota_retained_restored(struct bk_quotas *q, struct mqtt_bytes topic)
{
    if (!q)
        return;
    const uint64_t hash = map_hash_bytes(topic.ptr, topic.len);
    struct bk_retained_place *place = calloc(1, sizeof *place);
    pthread_mutex_lock(&q->lock);
    if (!place || map_add(&q->retained, &place->node, hash) < 0)
        free(place);
    pthread_mutex_unlock(&q->lock);
}

struct bk_quotas *bk_quotas_free(struct bk_quotas *q)
{
    struct map_node *node;
    if (!q)
        return NULL;
    while ((node = map_any(&q->retained)))
        bk_retained_place_free(q, container_of(node, struct bk_retained_place, node));
    map_deinit(&q->retained);
    map_deinit(&q->accounts);
    pthread_mutex_destroy(&q->lock);
    free(q);
    return NULL;
}
