/* See rp_subscriptions.h. */
#include "rp_subscriptions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mqtt_encode.h"
#include "mqtt_reason.h"
#include "mqtt_topic.h"

/* A filter that counts. */
struct rp_filter {
    struct map_node node;
    uint32_t len;
    uint8_t text[];
};

/* What has become of one filter of a SUBSCRIBE; from MQTT_REASON_UNSPECIFIED on: refused, with this code. */
enum {
    RP_FATE_PASSED = 0,
    RP_FATE_COUNTED = 1, /* passed, and it counts from then on */
};

/* A SUBSCRIBE on its way to the broker, as the client said it. */
struct rp_asked {
    struct list link;
    struct mqtt_packet *subscribe;
    size_t bytes;
    uint32_t n_passed, n_counted;
    uint8_t fates[]; /* subscribe->subscriptions.count of them */
};

/* --- The filters that count */

static bool rp_filter_is(const struct map_node *node, const void *key)
{
    const struct rp_filter *f = container_of(node, struct rp_filter, node);
    const struct mqtt_bytes *text = key;
    return f->len == text->len && (f->len == 0 || memcmp(f->text, text->ptr, f->len) == 0);
}

static struct rp_filter *rp_filter_find(const struct rp_subscriptions *s, struct mqtt_bytes text)
{
    struct map_node *node = map_find(&s->filters, map_hash_bytes(text.ptr, text.len), &text);
    return node ? container_of(node, struct rp_filter, node) : NULL;
}

static void rp_filter_remove(struct rp_subscriptions *s, struct rp_filter *f)
{
    s->bytes -= sizeof *f + f->len;
    map_remove(&s->filters, &f->node);
    free(f);
}

static int rp_filter_add(struct rp_subscriptions *s, struct mqtt_bytes text)
{
    struct rp_filter *f = malloc(sizeof *f + text.len);
    if (!f)
        return -ENOMEM;
    f->len = text.len;
    memcpy(f->text, text.ptr, text.len);
    int r = map_add(&s->filters, &f->node, map_hash_bytes(text.ptr, text.len));
    if (r < 0)
        free(f);
    else
        s->bytes += sizeof *f + text.len;
    return r;
}

static void rp_filter_drop(struct rp_subscriptions *s, struct mqtt_bytes text)
{
    struct rp_filter *f = rp_filter_find(s, text);
    if (f)
        rp_filter_remove(s, f);
}

/* --- Life */

void rp_subscriptions_init(struct rp_subscriptions *s, uint32_t max, uint32_t max_levels)
{
    *s = (struct rp_subscriptions){.max = max, .max_levels = max_levels};
    map_init(&s->filters, rp_filter_is);
    list_init(&s->asked);
}

static struct rp_asked *rp_asked_free(struct rp_asked *a)
{
    if (a)
        free(a->subscribe);
    free(a);
    return NULL;
}

static void rp_asked_end(struct rp_subscriptions *s, struct rp_asked *a)
{
    s->bytes -= a->bytes;
    list_del(&a->link);
    rp_asked_free(a);
}

void rp_subscriptions_deinit(struct rp_subscriptions *s)
{
    struct map_node *node;
    while ((node = map_any(&s->filters)))
        rp_filter_remove(s, container_of(node, struct rp_filter, node));
    map_deinit(&s->filters);
    list_for_each_safe (it, tmp, &s->asked)
        rp_asked_end(s, list_entry(it, struct rp_asked, link));
}

/* --- SUBSCRIBE */

static int rp_out_of_memory(void)
{
    return err_set(-ENOMEM, "SUBSCRIBE: out of memory");
}

/* RP_FATE_..., a reason code, or -ENOMEM. */
static int rp_subscriptions_judge(struct rp_subscriptions *s, struct mqtt_bytes filter)
{
    if (s->max_levels != 0 && mqtt_topic_is_deeper(filter, s->max_levels))
        return MQTT_REASON_TOPIC_FILTER_INVALID;
    if (s->max == 0 || rp_filter_find(s, filter))
        return RP_FATE_PASSED;
    if (s->filters.count >= s->max)
        return MQTT_REASON_QUOTA_EXCEEDED;
    int r = rp_filter_add(s, filter);
    return r < 0 ? r : RP_FATE_COUNTED;
}

static int rp_subscriptions_judge_all(struct rp_subscriptions *s, const struct mqtt_packet *subscribe,
                                      struct rp_asked *a, struct rp_subscriptions_reply *ret)
{
    struct mqtt_bytes iter = subscribe->subscriptions.wire;
    struct mqtt_subscription subscription;
    for (size_t i = 0; mqtt_subscription_next(&iter, &subscription); i++) {
        int fate = rp_subscriptions_judge(s, subscription.filter);
        if (fate < 0)
            return rp_out_of_memory();
        a->fates[i] = (uint8_t)fate;
        a->n_passed += fate < MQTT_REASON_UNSPECIFIED;
        a->n_counted += fate == RP_FATE_COUNTED;
        ret->n_too_many += fate == MQTT_REASON_QUOTA_EXCEEDED;
        ret->n_too_deep += fate == MQTT_REASON_TOPIC_FILTER_INVALID;
    }
    return 0;
}

/* 3.1.1 has one code for every failure, and it is sent to clients of 3.1 too. */
static uint8_t rp_fate_code(uint8_t fate, uint8_t version)
{
    return version == MQTT_V5 ? fate : MQTT_REASON_UNSPECIFIED;
}

/* Nothing is left of SUBSCRIBE. */
static int rp_subscriptions_answer(const struct mqtt_packet *subscribe, const struct rp_asked *a,
                                   struct rp_subscriptions_reply *ret)
{
    const uint32_t n = subscribe->subscriptions.count;
    ret->memory = malloc(n);
    if (!ret->memory)
        return rp_out_of_memory();
    for (uint32_t i = 0; i < n; i++)
        ret->memory[i] = rp_fate_code(a->fates[i], subscribe->version);
    ret->suback = (struct mqtt_packet){.type = MQTT_SUBACK,
                                       .version = subscribe->version,
                                       .packet_id = subscribe->packet_id,
                                       .reason_codes = {.ptr = ret->memory, .len = n}};
    return 0;
}

/* SUBSCRIBE without what is refused. */
static int rp_subscriptions_cut(const struct mqtt_packet *subscribe, const struct rp_asked *a,
                                struct rp_subscriptions_reply *ret)
{
    struct mqtt_bytes iter = subscribe->subscriptions.wire;
    struct mqtt_subscription subscription;
    uint8_t *end = ret->memory = malloc(iter.len);
    if (!end)
        return rp_out_of_memory();
    const uint8_t *entry = iter.ptr;
    for (size_t i = 0; mqtt_subscription_next(&iter, &subscription); entry = iter.ptr, i++) {
        const size_t len = (size_t)(iter.ptr - entry);
        if (a->fates[i] >= MQTT_REASON_UNSPECIFIED)
            continue;
        memcpy(end, entry, len);
        end += len;
    }
    ret->subscribe = *subscribe;
    ret->subscribe.subscriptions =
        (struct mqtt_list){.wire = {.ptr = ret->memory, .len = (uint32_t)(end - ret->memory)}, .count = a->n_passed};
    return 0;
}

/* SUBACK will have to be looked at. */
static int rp_asked_remember(struct rp_subscriptions *s, struct rp_asked *a, const struct mqtt_packet *subscribe)
{
    a->subscribe = mqtt_packet_store(subscribe);
    if (!a->subscribe)
        return rp_out_of_memory();
    a->bytes = sizeof *a + subscribe->subscriptions.count + mqtt_encode_size(subscribe);
    s->bytes += a->bytes;
    list_add_tail(&s->asked, &a->link);
    return 0;
}

static int rp_subscriptions_pass(struct rp_subscriptions *s, const struct mqtt_packet *subscribe, struct rp_asked **a,
                                 struct rp_subscriptions_reply *ret)
{
    const uint32_t n = subscribe->subscriptions.count;
    int r = 0;
    ret->subscribe = *subscribe;
    if ((*a)->n_passed < n)
        r = rp_subscriptions_cut(subscribe, *a, ret);
    if (r < 0 || ((*a)->n_passed == n && (*a)->n_counted == 0))
        return r;
    r = rp_asked_remember(s, *a, subscribe);
    if (r == 0)
        *a = NULL;
    return r;
}

int rp_subscriptions_ask(struct rp_subscriptions *s, const struct mqtt_packet *subscribe,
                         struct rp_subscriptions_reply *ret)
{
    struct rp_asked *a = calloc(1, sizeof *a + subscribe->subscriptions.count);
    *ret = (struct rp_subscriptions_reply){.memory = NULL};
    if (!a)
        return rp_out_of_memory();
    int r = rp_subscriptions_judge_all(s, subscribe, a, ret);
    if (r == 0 && a->n_passed == 0)
        r = rp_subscriptions_answer(subscribe, a, ret);
    else if (r == 0)
        r = rp_subscriptions_pass(s, subscribe, &a, ret);
    rp_asked_free(a);
    if (r < 0) {
        free(ret->memory);
        ret->memory = NULL;
    }
    return r;
}

/* --- SUBACK */

static struct rp_asked *rp_asked_find(const struct rp_subscriptions *s, uint16_t packet_id)
{
    list_for_each (it, &s->asked) {
        struct rp_asked *a = list_entry(it, struct rp_asked, link);
        if (a->subscribe->packet_id == packet_id)
            return a;
    }
    return NULL;
}

/* What the broker has refused counts no more. CODES: for those that have passed. */
static void rp_subscriptions_take_back(struct rp_subscriptions *s, const struct rp_asked *a, const uint8_t *codes)
{
    struct mqtt_bytes iter = a->subscribe->subscriptions.wire;
    struct mqtt_subscription subscription;
    for (size_t i = 0; mqtt_subscription_next(&iter, &subscription); i++) {
        if (a->fates[i] >= MQTT_REASON_UNSPECIFIED)
            continue;
        if (*codes >= MQTT_REASON_UNSPECIFIED && a->fates[i] == RP_FATE_COUNTED)
            rp_filter_drop(s, subscription.filter);
        codes++;
    }
}

static int rp_subscriptions_merge(const struct rp_asked *a, struct mqtt_packet *suback, uint8_t **ret_memory)
{
    const uint32_t n = a->subscribe->subscriptions.count;
    const uint8_t *codes = suback->reason_codes.ptr;
    uint8_t *merged = malloc(n);
    if (!merged)
        return err_set(-ENOMEM, "SUBACK: out of memory");
    for (uint32_t i = 0; i < n; i++)
        merged[i] = a->fates[i] < MQTT_REASON_UNSPECIFIED ? *codes++ : rp_fate_code(a->fates[i], suback->version);
    suback->reason_codes = (struct mqtt_bytes){.ptr = merged, .len = n};
    *ret_memory = merged;
    return 0;
}

int rp_subscriptions_answered(struct rp_subscriptions *s, const struct mqtt_packet *suback, struct mqtt_packet *ret,
                              uint8_t **ret_memory)
{
    struct rp_asked *a = rp_asked_find(s, suback->packet_id);
    int r = 0;
    *ret = *suback;
    *ret_memory = NULL;
    if (!a)
        return 0;
    if (suback->reason_codes.len != a->n_passed)
        r = err_set(-EPROTO, "MQTT-3.8.4-6: SUBACK with %u reason codes for %u filters", suback->reason_codes.len,
                    a->n_passed);
    if (r == 0)
        rp_subscriptions_take_back(s, a, suback->reason_codes.ptr);
    if (r == 0 && a->n_passed < a->subscribe->subscriptions.count)
        r = rp_subscriptions_merge(a, ret, ret_memory);
    rp_asked_end(s, a);
    return r;
}

void rp_subscriptions_drop(struct rp_subscriptions *s, const struct mqtt_packet *unsubscribe)
{
    struct mqtt_bytes iter = unsubscribe->filters.wire;
    struct mqtt_bytes filter;
    while (s->filters.count > 0 && mqtt_filter_next(&iter, &filter))
        rp_filter_drop(s, filter);
}
