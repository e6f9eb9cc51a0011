/* Sessions (bk_session.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bk_access.h"
#include "bk_broker.h"
#include "bk_client.h"
#include "bk_handover.h"
#include "bk_hooks.h"
#include "bk_journal.h"
#include "bk_marks.h"
#include "bk_options.h"
#include "bk_page.h"
#include "bk_peers.h"
#include "bk_quota.h"
#include "bk_retain.h"
#include "bk_route.h"
#include "bk_share.h"
#include "bk_tag.h"
#include "bk_will.h"
#include "bk_worker.h"
#include "mqtt_topic.h"

struct mqtt_bytes bk_session_id(const struct bk_session *s)
{
    return (struct mqtt_bytes){(const uint8_t *)s->id, s->id_len};
}

struct bk_session *bk_session_find(struct bk_worker *w, struct mqtt_bytes id)
{
    struct map_node *node = map_find(&w->sessions, map_hash_bytes(id.ptr, id.len), &id);
    return node ? container_of(node, struct bk_session, node) : NULL;
}

/* --- Time without a client */

uint32_t bk_session_agreed_expiry(const struct bk_worker *w, uint32_t wanted_s)
{
    const uint64_t max_s = w->options->max_session_expiry_ms / 1000;
    return max_s > 0 && wanted_s > max_s ? (uint32_t)max_s : wanted_s;
}

static void bk_session_expire(struct bk_session *s)
{
    metric_add(&s->worker->metrics.sessions_expired, 1);
    log_info(NULL, "session '%.*s' has expired", (int)s->id_len, s->id);
    bk_session_end(s);
}

bool bk_session_end_if_over(struct bk_session *s)
{
    if (s->expires_ms == 0 || s->expires_ms > loop_now_ms(s->worker->loop))
        return false;
    bk_session_expire(s);
    return true;
}

/* When something happens next: the Will's delay, the expiry. */
static void bk_session_start_timer(struct bk_session *s)
{
    const uint64_t now_ms = loop_now_ms(s->worker->loop);
    uint64_t due_ms = s->expires_ms;
    if (s->will && (due_ms == 0 || s->will->due_ms < due_ms))
        due_ms = s->will->due_ms;
    if (due_ms != 0)
        loop_timer_start(&s->timer, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void bk_session_on_timer(struct loop_timer *timer)
{
    struct bk_session *s = container_of(timer, struct bk_session, timer);
    const uint64_t now_ms = loop_now_ms(s->worker->loop);
    if (s->will && s->will->due_ms <= now_ms) {
        bk_will_publish(s);
        bk_journal_session(s);
    }
    if (!bk_session_end_if_over(s))
        bk_session_start_timer(s);
}

/* --- Life */

struct bk_session *bk_session_new(struct bk_worker *w, struct mqtt_bytes id)
{
    struct bk_session *s = calloc(1, sizeof *s + id.len);
    if (!s)
        return NULL;
    s->worker = w;
    s->number = bk_worker_next_number(w);
    s->id_len = (uint16_t)id.len;
    memcpy(s->id, id.ptr, id.len);
    mqtt_inflight_init(&s->inbound);
    list_init(&s->retain_walks);
    list_init(&s->dirty_link);
    list_init(&s->waiting_link);
    list_init(&s->growing_link);
    loop_timer_init(&s->timer, w->loop, bk_session_on_timer);
    loop_timer_init(&s->retain_timer, w->loop, bk_retain_on_timer);
    if (map_add(&w->sessions, &s->node, map_hash_bytes(id.ptr, id.len)) < 0) {
        free(s);
        return NULL;
    }
    metric_add(&w->metrics.sessions, 1);
    return s;
}

/* Its client has come or gone: peers that choose among members of shared subscriptions want to know. */
static void bk_session_tell_shares(struct bk_session *s)
{
    for (uint32_t i = 0; s->worker->peers && i < s->n_subscriptions; i++)
        if (s->subscriptions[i].share)
            bk_share_tell(s->subscriptions[i].share);
}

/* Receive Maximum begins anew with each connection (section 4.9): what is open from before takes nothing from it. */
static void bk_session_renew_quota(struct bk_session *s)
{
    uint16_t id;
    enum mqtt_inflight_state state;
    for (uint32_t pos = 0; mqtt_inflight_next(&s->inbound, &pos, &id, &state);)
        if (state == MQTT_INFLIGHT_PUBREC)
            mqtt_inflight_advance(&s->inbound, id, MQTT_INFLIGHT_PUBREL_ALONE);
}

bool bk_session_has_shares(const struct bk_session *s)
{
    for (uint32_t i = 0; i < s->n_subscriptions; i++)
        if (s->subscriptions[i].share)
            return true;
    return false;
}

void bk_session_join(struct bk_session *s, struct bk_client *c)
{
    loop_timer_stop(&s->timer);
    s->expires_ms = 0;
    s->client = c;
    bk_session_renew_quota(s);
    bk_session_tell_shares(s);
}

void bk_session_leave(struct bk_session *s)
{
    const uint64_t now_ms = loop_now_ms(s->worker->loop);
    s->client = NULL;
    s->n_unsent = 0;
    bk_session_tell_shares(s);
    if (s->will && s->will->delay_s == 0)
        bk_will_publish(s);
    if (s->expiry_s == 0) {
        bk_session_end(s);
        return;
    }
    if (s->expiry_s != BK_EXPIRY_NEVER)
        s->expires_ms = now_ms + 1000ull * s->expiry_s;
    if (s->will)
        s->will->due_ms = now_ms + 1000ull * s->will->delay_s;
    bk_journal_session(s);
    bk_session_start_timer(s);
    bk_handover_leave(s);
    bk_page_leave(s);
}

/* --- What its user may have */

static struct bk_account *bk_session_account(const struct bk_session *s)
{
    return s->grant ? s->grant->account : NULL;
}

void bk_session_charge(struct bk_session *s)
{
    struct bk_grant *g = s->grant;
    if (!g || !g->account)
        return;
    bk_account_charge(g->account, BK_QUOTA_QUEUED_BYTES, (int64_t)s->queue.bytes - g->queued_bytes);
    g->queued_bytes = (int64_t)s->queue.bytes;
}

void bk_session_set_grant(struct bk_session *s, struct bk_grant *g)
{
    bk_account_charge(bk_session_account(s), BK_QUOTA_SUBSCRIPTIONS, -(int64_t)s->n_subscriptions);
    bk_grant_free(s->grant);
    s->grant = g;
    if (g->view.client_id.len > 0)
        g->view.client_id = bk_session_id(s); /* it was CONNECT's */
    bk_account_charge(g->account, BK_QUOTA_SUBSCRIPTIONS, s->n_subscriptions);
    bk_session_charge(s);
}

void bk_session_forget_inbound(struct bk_session *s)
{
    uint16_t id;
    enum mqtt_inflight_state state;
    for (uint32_t pos = 0; mqtt_inflight_next(&s->inbound, &pos, &id, &state);)
        bk_journal_inbound_gone(s, id);
    mqtt_inflight_clear(&s->inbound);
    bk_journal_window(s);
}

/* --- Subscriptions */

static void bk_session_drop_subscription(struct bk_session *s, uint32_t at)
{
    struct bk_subscription *sub = &s->subscriptions[at];
    if (!s->worker->is_stopping)
        bk_journal_subscription_gone(s, sub->serial);
    if (sub->share) {
        bk_share_leave(sub->share, s);
    } else {
        bk_peers_interest_ends(s->worker, sub->filter);
        topic_index_remove(s->worker->index, sub->filter, s);
    }
    bk_share_unref(sub->share);
    *sub = s->subscriptions[--s->n_subscriptions];
    bk_account_charge(bk_session_account(s), BK_QUOTA_SUBSCRIPTIONS, -1);
    bk_routes_change(&s->worker->routes);
    metric_add(&s->worker->metrics.subscriptions, -1);
}

/* 0, -ENOMEM, or -EDQUOT: its user has too many. */
static int bk_session_add_subscription(struct bk_session *s, struct topic_filter *filter, struct bk_share *share)
{
    if (s->n_subscriptions == s->subscriptions_room) {
        const uint32_t room = s->subscriptions_room == 0 ? 2 : s->subscriptions_room * 2;
        struct bk_subscription *list = realloc(s->subscriptions, room * sizeof *list);
        if (!list)
            return -ENOMEM;
        s->subscriptions = list;
        s->subscriptions_room = room;
    }
    if (!bk_account_take(bk_session_account(s), BK_QUOTA_SUBSCRIPTIONS, 1))
        return -EDQUOT;
    s->subscriptions[s->n_subscriptions++] =
        (struct bk_subscription){.filter = filter, .share = share, .serial = ++s->last_serial};
    metric_add(&s->worker->metrics.subscriptions, 1);
    return 0;
}

/* What the ACL says of FILTER: 0, BK_ENTRY_GUARDED, or -EACCES. */
static int bk_session_guard(const struct bk_session *s, struct mqtt_bytes filter)
{
    switch (s->grant ? acl_may_subscribe(&s->grant->view, filter) : ACL_SUBSCRIPTION_OPEN) {
    case ACL_SUBSCRIPTION_OPEN:
        return 0;
    case ACL_SUBSCRIPTION_GUARDED:
        return BK_ENTRY_GUARDED;
    case ACL_SUBSCRIPTION_REFUSED:
        break;
    }
    return -EACCES;
}

static uint32_t bk_subscription_options(const struct mqtt_subscription *sub)
{
    return sub->qos | (sub->no_local ? BK_ENTRY_NO_LOCAL : 0u) |
           (sub->retain_as_published ? BK_ENTRY_RETAIN_AS_PUBLISHED : 0u);
}

static bool bk_session_is_at_limit(const struct bk_session *s)
{
    const int64_t max = s->worker->options->max_subscriptions;
    return max > 0 && !s->bridge && s->n_subscriptions >= max;
}

/* 0, TOPIC_REPLACED or -ENOMEM; -EDQUOT above the limit. */
static int bk_session_subscribe_plain(struct bk_session *s, const struct mqtt_subscription *sub, uint32_t guard,
                                      uint32_t identifier)
{
    struct topic_index *index = s->worker->index;
    struct topic_filter *filter = topic_index_find(index, sub->filter);
    const bool is_new = !filter || !topic_filter_entry(filter, s);
    if (is_new && bk_session_is_at_limit(s))
        return -EDQUOT;
    const struct topic_entry entry = {s, bk_subscription_options(sub) | guard, identifier};
    int r = topic_index_add(index, sub->filter, &entry, &filter);
    if (r != 0)
        return r;
    r = bk_session_add_subscription(s, filter, NULL);
    if (r < 0)
        topic_index_remove(index, filter, s);
    else
        bk_peers_interest(s->worker, filter);
    return r;
}

/* Likewise. INNER is the filter behind the group. */
static int bk_session_subscribe_shared(struct bk_session *s, const struct mqtt_subscription *sub,
                                       struct mqtt_bytes inner, uint32_t guard, uint32_t identifier)
{
    struct bk_share *share;
    bool was_member = false;
    if (bk_share_get(s->worker, sub->filter, inner, &share) < 0)
        return -ENOMEM;
    const struct bk_member member = {
        .session = s,
        .tag = bk_tag_new(share, &identifier, identifier != 0),
        .options = bk_subscription_options(sub) | guard,
    };
    int r = -ENOMEM;
    if (!bk_share_has(share, s) && bk_session_is_at_limit(s))
        r = -EDQUOT;
    else if (member.tag)
        r = bk_share_join(share, &member, &was_member);
    if (r < 0) {
        bk_tag_unref(member.tag);
    } else if (!was_member && (r = bk_session_add_subscription(s, NULL, bk_share_ref(share))) < 0) {
        bk_share_leave(share, s);
        bk_share_unref(share);
    }
    bk_share_unref(share);
    return r < 0 ? r : was_member ? TOPIC_REPLACED : 0;
}

/* The subscription of FILTER: the last one if it is new. */
static const struct bk_subscription *bk_session_subscription(const struct bk_session *s, struct mqtt_bytes filter,
                                                             bool is_new)
{
    const bool is_shared = mqtt_topic_is_shared(filter);
    const struct bk_share *share = is_shared ? bk_share_find(s->worker, filter) : NULL;
    const struct topic_filter *plain = is_shared ? NULL : topic_index_find(s->worker->index, filter);
    for (uint32_t i = is_new ? s->n_subscriptions - 1 : 0; i < s->n_subscriptions; i++)
        if (s->subscriptions[i].share == share && s->subscriptions[i].filter == plain)
            return &s->subscriptions[i];
    return NULL;
}

static struct bk_subscribe_result bk_session_enter(struct bk_session *s, const struct mqtt_subscription *sub,
                                                   uint32_t guard, uint32_t identifier)
{
    struct mqtt_bytes group, inner;
    int r;
    if (!mqtt_topic_is_shared(sub->filter))
        r = bk_session_subscribe_plain(s, sub, guard, identifier);
    else if (mqtt_topic_split_shared(sub->filter, &group, &inner))
        r = bk_session_subscribe_shared(s, sub, inner, guard, identifier);
    else
        return (struct bk_subscribe_result){.reason_code = MQTT_REASON_TOPIC_FILTER_INVALID};
    if (r < 0)
        return (struct bk_subscribe_result){.reason_code =
                                                r == -EDQUOT ? MQTT_REASON_QUOTA_EXCEEDED : MQTT_REASON_UNSPECIFIED};
    bk_routes_change(&s->worker->routes);
    return (struct bk_subscribe_result){.reason_code = sub->qos, .is_new = r != TOPIC_REPLACED};
}

struct bk_subscribe_result bk_session_subscribe(struct bk_session *s, const struct mqtt_subscription *sub,
                                                uint32_t identifier)
{
    const int guard = bk_session_guard(s, sub->filter);
    if (guard < 0)
        return (struct bk_subscribe_result){.reason_code = MQTT_REASON_NOT_AUTHORIZED};
    const struct bk_subscribe_result r = bk_session_enter(s, sub, (uint32_t)guard, identifier);
    if (r.reason_code < MQTT_REASON_UNSPECIFIED)
        bk_journal_subscription(s, bk_session_subscription(s, sub->filter, r.is_new)->serial, sub->filter,
                                bk_subscription_options(sub), identifier);
    return r;
}

static void bk_session_renew_subscription(struct bk_session *s, const struct bk_subscription *sub)
{
    const struct mqtt_bytes filter = sub->share
                                         ? (struct mqtt_bytes){(const uint8_t *)sub->share->text, sub->share->text_len}
                                         : topic_filter_text(sub->filter);
    const uint32_t guard = bk_session_guard(s, filter) == 0 ? 0 : BK_ENTRY_GUARDED;
    if (sub->share) {
        bk_share_guard(sub->share, s, guard);
        return;
    }
    struct topic_entry entry = *topic_filter_entry(sub->filter, s);
    entry.options = (entry.options & ~(uint32_t)BK_ENTRY_GUARDED) | guard;
    topic_index_add(s->worker->index, filter, &entry, NULL); /* in its place, which needs no memory */
}

void bk_session_renew_grant(struct bk_session *s)
{
    if (!s->grant)
        return;
    bk_grant_renew(s->grant, broker_access(s->worker->broker));
    for (uint32_t i = 0; i < s->n_subscriptions; i++)
        bk_session_renew_subscription(s, &s->subscriptions[i]);
    bk_routes_change(&s->worker->routes);
}

bool bk_session_unsubscribe(struct bk_session *s, struct mqtt_bytes filter)
{
    const struct bk_subscription *sub = bk_session_subscription(s, filter, false);
    if (sub)
        bk_session_drop_subscription(s, (uint32_t)(sub - s->subscriptions));
    return sub;
}

/* --- The end */

void bk_session_end(struct bk_session *s)
{
    struct bk_worker *w = s->worker;
    assert(!s->client);
    if (s->will)
        bk_will_publish(s);
    while (s->n_subscriptions > 0)
        bk_session_drop_subscription(s, s->n_subscriptions - 1);
    free(s->subscriptions);
    if (!w->is_stopping) {
        bk_handover_end(s);
        bk_journal_session_gone(s);
        if (w->hook_kinds & BK_HOOK_SESSION_END)
            bk_hooks_session_ended(s);
    }
    bk_journal_leave(s);
    bk_retain_forget(s);
    bk_queue_deinit(&s->queue);
    bk_grant_free(s->grant);
    mqtt_inflight_clear(&s->inbound);
    bk_marks_drop_all(s);
    loop_timer_stop(&s->timer);
    map_remove(&w->sessions, &s->node);
    metric_add(&w->metrics.sessions, -1);
    free(s);
}

/* --- After a restart */

uint8_t bk_session_restore_subscription(struct bk_session *s, const struct mqtt_subscription *sub, uint32_t identifier,
                                        uint32_t serial)
{
    const int guard = bk_session_guard(s, sub->filter);
    const struct bk_subscribe_result r = bk_session_enter(s, sub, guard == 0 ? 0 : BK_ENTRY_GUARDED, identifier);
    if (r.reason_code < MQTT_REASON_UNSPECIFIED && r.is_new)
        s->subscriptions[s->n_subscriptions - 1].serial = serial;
    if (serial > s->last_serial)
        s->last_serial = serial;
    return r.reason_code;
}

void bk_session_restored(struct bk_session *s)
{
    const uint64_t now_ms = loop_now_ms(s->worker->loop);
    bk_queue_restored(&s->queue);
    if (s->expires_ms == 0 && s->expiry_s != BK_EXPIRY_NEVER)
        s->expires_ms = now_ms + 1000ull * s->expiry_s;
    if (s->will && s->will->due_ms == 0)
        s->will->due_ms = now_ms + 1000ull * s->will->delay_s;
    bk_journal_session(s);
    bk_session_start_timer(s);
}
