/* Recovery (bk_recover.h), record by record as bk_record.h says. */
#define LOG_MODULE LOG_BROKER
#include "bk_recover.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bk_broker.h"
#include "bk_journal.h"
#include "bk_marks.h"
#include "bk_message.h"
#include "bk_page.h"
#include "bk_publish.h"
#include "bk_quota.h"
#include "bk_record.h"
#include "bk_route.h"
#include "bk_session.h"
#include "bk_share.h"
#include "bk_tag.h"
#include "bk_will.h"
#include "bk_worker.h"
#include "err.h"
#include "log.h"
#include "mqtt_reason.h"
#include "mqtt_topic.h"
#include "retained_index.h"
#include "store.h"

enum { BK_TARGET_IDS_MAX = 4096 };

struct bk_shared_segment {
    struct map_node node;
    _Atomic unsigned n_workers; /* that need it */
    size_t key_len;
    uint8_t key[];
};

struct bk_recovery {
    struct bk_worker *w;
    uint64_t now_ms, wall_ms; /* the same moment */
    uint64_t sessions, messages, retained;
};

static int bk_recover_fault(struct store_bytes key, const char *what)
{
    const uint8_t *bytes = key.bytes;
    char text[64];
    size_t n = 0;
    for (size_t i = 0; i < key.len && n < sizeof text - 3; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%02x", bytes[i]);
    return err_set(-EBADMSG, "store: record %s: %s", text, what);
}

/* The number of a session in KEY, behind its kind. */
static int bk_key_session(struct store_bytes key, uint64_t *ret_number)
{
    struct cursor c = cursor_make((const uint8_t *)key.bytes + 1, key.len - 1);
    return bk_get_u64(&c, ret_number);
}

static uint64_t bk_recover_time(const struct bk_recovery *r, uint64_t wall_ms)
{
    return wall_ms > r->wall_ms ? r->now_ms + (wall_ms - r->wall_ms) : r->now_ms;
}

/* --- Sessions */

static int bk_recover_will(struct bk_recovery *r, struct bk_session *s, struct cursor *c)
{
    uint8_t has_will, has_expiry;
    uint64_t due_ms;
    if (cursor_read_u8(c, &has_will) != 0)
        return BK_RECORD_BAD;
    if (!has_will)
        return 0;
    struct bk_will *will = calloc(1, sizeof *will);
    if (!will)
        return -ENOMEM;
    s->will = will;
    int e = bk_get_message(c, r->now_ms, r->wall_ms, &will->message);
    if (e == 0 && (cursor_read_u32(c, &will->delay_s) != 0 || cursor_read_u8(c, &has_expiry) != 0 ||
                   cursor_read_u32(c, &will->expiry_s) != 0 || bk_get_u64(c, &due_ms) != 0))
        e = BK_RECORD_BAD;
    if (e != 0)
        return e;
    will->has_expiry = has_expiry;
    will->due_ms = due_ms == 0 ? 0 : bk_recover_time(r, due_ms);
    return 0;
}

static int bk_recover_session(void *arg, struct store_bytes key, struct store_bytes value)
{
    struct bk_recovery *r = arg;
    struct cursor c = cursor_make(value.bytes, value.len);
    struct mqtt_bytes id;
    uint64_t number, expires_ms;
    uint32_t expiry_s;
    if (bk_key_session(key, &number) != 0 || bk_get_bytes(&c, &id) != 0 || id.len > MQTT_STRING_MAX ||
        cursor_read_u32(&c, &expiry_s) != 0 || bk_get_u64(&c, &expires_ms) != 0)
        return bk_recover_fault(key, "it is no session");
    broker_reserve_numbers(r->w->broker, number);
    if (bk_worker_of(r->w, id) != r->w->index_of)
        return 0;
    if (bk_session_find(r->w, id))
        return bk_recover_fault(key, "there is another session of this client id");
    struct bk_session *s = bk_session_new(r->w, id);
    if (!s)
        return err_set(-ENOMEM, "out of memory");
    s->number = number;
    s->expiry_s = expiry_s;
    s->expires_ms = expires_ms == 0 ? 0 : bk_recover_time(r, expires_ms);
    if (bk_recover_will(r, s, &c) != 0)
        return bk_recover_fault(key, "its Will cannot be read");
    if (bk_journal_restore_session(r->w->journal, s) < 0)
        return err_set(-ENOMEM, "out of memory");
    r->sessions++;
    return 0;
}

static int bk_recover_window(void *arg, struct store_bytes key, struct store_bytes value)
{
    struct bk_recovery *r = arg;
    struct cursor c = cursor_make(value.bytes, value.len);
    uint64_t number, next, n;
    uint16_t id;
    uint8_t state;
    if (bk_key_session(key, &number) != 0 || bk_get_u64(&c, &next) != 0 || cursor_read_u16(&c, &id) != 0)
        return bk_recover_fault(key, "it is no window");
    struct bk_session *s = bk_journal_find_session(r->w->journal, number);
    if (!s)
        return 0;
    bk_queue_restore(&s->queue, next, id);
    if (bk_get_varint(&c, &n) != 0)
        return bk_recover_fault(key, "it is too short");
    for (; n > 0; n--) {
        if (bk_get_u64(&c, &number) != 0 || cursor_read_u16(&c, &id) != 0 || cursor_read_u8(&c, &state) != 0 ||
            (state != BK_ENTRY_SENT && state != BK_ENTRY_RELEASED) ||
            bk_queue_restore_open(&s->queue, number, id, state) < 0)
            return bk_recover_fault(key, "an open exchange in it cannot be");
    }
    if (bk_get_varint(&c, &n) != 0)
        return bk_recover_fault(key, "it is too short");
    for (; n > 0; n--)
        if (cursor_read_u16(&c, &id) != 0 || mqtt_inflight_add(&s->inbound, id, MQTT_INFLIGHT_PUBREC) != 0)
            return bk_recover_fault(key, "an inbound packet id in it cannot be");
    return 0;
}

/* Beside those of the window, and behind them. Exchanges that are known for good come first. */
static int bk_recover_inbound(void *arg, struct store_bytes key, struct store_bytes value)
{
    struct bk_recovery *r = arg;
    struct cursor k = cursor_make((const uint8_t *)key.bytes + 1, key.len - 1);
    const struct mqtt_bytes marks = {value.bytes, (uint32_t)value.len};
    uint64_t number, serial = 0;
    uint16_t id;
    if (bk_get_u64(&k, &number) != 0 || cursor_read_u16(&k, &id) != 0 || id == 0)
        return bk_recover_fault(key, "it is no packet id");
    if (k.len > 0 && (bk_get_u64(&k, &serial) != 0 || !bk_marks_is_good(marks)))
        return bk_recover_fault(key, "it does not say who has had a message");
    broker_reserve_numbers(r->w->broker, serial);
    struct bk_session *s = bk_journal_find_session(r->w->journal, number);
    if (!s)
        return 0;
    s->has_inbound_records = true;
    int e = 0;
    if (serial == 0)
        e = mqtt_inflight_add(&s->inbound, id, MQTT_INFLIGHT_PUBREC);
    else if (mqtt_inflight_find(&s->inbound, id) == MQTT_INFLIGHT_NONE)
        e = bk_marks_keep(s, id, marks);
    return e < 0 ? err_set(-ENOMEM, "out of memory") : 0;
}

static int bk_recover_subscription(void *arg, struct store_bytes key, struct store_bytes value)
{
    struct bk_recovery *r = arg;
    struct cursor c = cursor_make(value.bytes, value.len);
    struct mqtt_subscription sub = {0};
    uint64_t number;
    uint32_t options, identifier, serial;
    struct cursor k = cursor_make((const uint8_t *)key.bytes + 1, key.len - 1);
    if (bk_get_u64(&k, &number) != 0 || cursor_read_u32(&k, &serial) != 0 || bk_get_bytes(&c, &sub.filter) != 0 ||
        cursor_read_u32(&c, &options) != 0 || cursor_read_u32(&c, &identifier) != 0)
        return bk_recover_fault(key, "it is no subscription");
    struct bk_session *s = bk_journal_find_session(r->w->journal, number);
    if (!s)
        return 0;
    sub.qos = options & BK_ENTRY_QOS;
    sub.no_local = options & BK_ENTRY_NO_LOCAL;
    sub.retain_as_published = options & BK_ENTRY_RETAIN_AS_PUBLISHED;
    if (bk_session_restore_subscription(s, &sub, identifier, serial) >= MQTT_REASON_UNSPECIFIED)
        return bk_recover_fault(key, "its filter cannot be subscribed to");
    return 0;
}

/* --- Retained messages */

static int bk_recover_retained(void *arg, struct store_bytes key, struct store_bytes value)
{
    struct bk_recovery *r = arg;
    struct cursor c = cursor_make(value.bytes, value.len);
    struct bk_message *m;
    void *old = NULL;
    if (bk_get_message(&c, r->now_ms, r->wall_ms, &m) != 0)
        return bk_recover_fault(key, "it is no message");
    const struct mqtt_bytes topic = {m->bytes, m->topic_len};
    if (bk_worker_of(r->w, topic) != r->w->index_of) {
        bk_message_unref(m);
        return 0;
    }
    if (retained_index_set(r->w->retained, topic, m, &old) < 0) {
        bk_message_unref(m);
        return err_set(-ENOMEM, "out of memory");
    }
    if (!bk_publish_is_ours(topic))
        bk_quota_retained_restored(broker_quotas(r->w->broker), topic);
    r->retained++;
    return 0;
}

/* --- From older versions */

static int bk_upgrade_segment(void *arg, struct store_bytes key, struct store_bytes value)
{
    struct bk_key fresh;
    if (!bk_key_of_segment_1(key.bytes, key.len, &fresh))
        return bk_recover_fault(key, "it is no segment");
    const int e = store_upgrade_put(arg, (struct store_bytes){fresh.bytes, fresh.len}, value);
    return e < 0 ? e : store_upgrade_delete(arg, key);
}

static int bk_upgrade_1(struct store_upgrade_access *a)
{
    const uint8_t first = BK_RECORD_SEGMENT_1, end = BK_RECORD_SEGMENT_1 + 1;
    return store_upgrade_each(a, &(struct store_range){.first = {&first, 1}, .end = {&end, 1}}, bk_upgrade_segment, a);
}

const struct store_upgrade bk_upgrades[BK_UPGRADES] = {{1, bk_upgrade_1}};

/* --- Segments */

/* The shared subscription that a delivery is of; it may have no members any more. One reference. 0, BK_RECORD_BAD or
 * -ENOMEM. */
static int bk_recover_share(struct bk_worker *w, struct cursor *c, struct bk_share **ret_share)
{
    struct mqtt_bytes text, group, filter;
    if (bk_get_bytes(c, &text) != 0 || !mqtt_topic_split_shared(text, &group, &filter))
        return BK_RECORD_BAD;
    return bk_share_get(w, text, filter, ret_share);
}

static int bk_recover_tag(struct bk_worker *w, struct cursor *c, bool is_shared, struct bk_tag **ret_tag)
{
    uint32_t ids[BK_TARGET_IDS_MAX];
    uint64_t n, id;
    struct bk_share *share = NULL;
    *ret_tag = NULL;
    if (bk_get_varint(c, &n) != 0 || n > BK_TARGET_IDS_MAX)
        return BK_RECORD_BAD;
    for (uint64_t i = 0; i < n; i++) {
        if (bk_get_varint(c, &id) != 0 || id > UINT32_MAX)
            return BK_RECORD_BAD;
        ids[i] = (uint32_t)id;
    }
    const int e = is_shared ? bk_recover_share(w, c, &share) : 0;
    if (e != 0)
        return e;
    *ret_tag = bk_tag_new(share, ids, (uint32_t)n);
    bk_share_unref(share);
    return 0;
}

/* One session that M is for. 1: it is due there; 0: not, or not ours; else negative. */
static int bk_recover_target(struct bk_recovery *r, struct cursor *c, struct bk_message *m)
{
    uint64_t session, number;
    uint8_t flags;
    struct bk_tag *tag;
    if (bk_get_u64(c, &session) != 0 || bk_get_u64(c, &number) != 0 || cursor_read_u8(c, &flags) != 0 ||
        bk_recover_tag(r->w, c, flags & BK_FLAG_SHARED, &tag) != 0)
        return -EBADMSG;
    struct bk_session *s = bk_journal_find_session(r->w->journal, session);
    if (s)
        return bk_queue_restore_message(&s->queue, number, bk_message_ref(m), tag, flags & 3, flags & BK_FLAG_RETAIN);
    bk_tag_unref(tag);
    return 0;
}

/* What is far back in the queues of the N TARGETS, which have been read once, is not needed in memory. */
static void bk_recover_page_out(const struct bk_recovery *r, struct cursor targets, uint32_t n)
{
    uint64_t session, number;
    for (; n > 0 && bk_skip_target(&targets, &session, &number) == 0; n--) {
        struct bk_session *s = bk_journal_find_session(r->w->journal, session);
        if (s)
            bk_page_out(s);
    }
}

static int bk_recover_item(struct bk_recovery *r, struct cursor *c, struct bk_segment *segment)
{
    struct bk_message *m;
    uint32_t n, n_due = 0;
    int e = bk_get_message(c, r->now_ms, r->wall_ms, &m);
    if (e != 0)
        return e;
    e = cursor_read_u32(c, &n) != 0 ? -EBADMSG : 0;
    const struct cursor targets = *c;
    for (uint32_t i = 0; e >= 0 && i < n; i++) {
        e = bk_recover_target(r, c, m);
        n_due += e > 0;
    }
    if (n_due > 0) {
        bk_journal_restore_message(segment, m, n_due);
        r->messages++;
        bk_recover_page_out(r, targets, n);
    }
    bk_message_unref(m);
    return e < 0 ? e : 0;
}

bool bk_shared_segment_has_key(const struct map_node *node, const void *key)
{
    const struct bk_shared_segment *s = container_of(node, struct bk_shared_segment, node);
    const struct store_bytes *wanted = key;
    return s->key_len == wanted->len && memcmp(s->key, wanted->bytes, wanted->len) == 0;
}

bool bk_shared_segment_leave(struct bk_shared_segment *s)
{
    return atomic_fetch_sub_explicit(&s->n_workers, 1, memory_order_acq_rel) == 1;
}

void bk_shared_segments_free(struct map *segments)
{
    struct map_node *node;
    while ((node = map_any(segments))) {
        map_remove(segments, node);
        free(container_of(node, struct bk_shared_segment, node));
    }
    map_deinit(segments);
}

/* The first worker makes it. */
static int bk_recover_shared(const struct bk_worker *w, struct store_bytes key, struct bk_shared_segment **ret)
{
    struct map *segments = broker_shared_segments(w->broker);
    const uint64_t hash = map_hash_bytes(key.bytes, key.len);
    struct map_node *node = map_find(segments, hash, &key);
    if (node) {
        *ret = container_of(node, struct bk_shared_segment, node);
        return 0;
    }
    struct bk_shared_segment *s = malloc(sizeof *s + key.len);
    if (!s || map_add(segments, &s->node, hash) < 0) {
        free(s);
        return err_set(-ENOMEM, "out of memory");
    }
    atomic_init(&s->n_workers, w->n_workers);
    s->key_len = key.len;
    memcpy(s->key, key.bytes, key.len);
    *ret = s;
    return 0;
}

static int bk_recover_segment(void *arg, struct store_bytes key, struct store_bytes value)
{
    struct bk_recovery *r = arg;
    struct cursor c = cursor_make(value.bytes, value.len);
    struct bk_shared_segment *shared = NULL;
    if (r->w->n_workers > 1 && bk_recover_shared(r->w, key, &shared) < 0)
        return -ENOMEM;
    struct bk_segment *segment = bk_journal_restore_segment(r->w->journal, key.bytes, key.len, shared);
    if (!segment)
        return err_set(-ENOMEM, "out of memory");
    uint32_t n = 0;
    for (; c.len > 0; n++)
        if (bk_recover_item(r, &c, segment) != 0)
            return bk_recover_fault(key, "a message in it cannot be read");
    bk_journal_restore_done(segment, n, value.len);
    return 0;
}

/* --- All of it */

static int bk_recover_kind(struct bk_recovery *r, struct store *store, enum bk_record_kind kind, store_load_fn *fn)
{
    const uint8_t first = (uint8_t)kind, end = (uint8_t)(kind + 1);
    const struct store_range range = {.first = {&first, 1}, .end = {&end, 1}};
    return store_load(store, &range, fn, r);
}

/* Whoever was connected has lost the connection when the broker ended. */
void bk_recover_wake(struct bk_worker *w)
{
    for (size_t i = 0; i < w->sessions.n_slots; i++)
        for (struct map_node *node = w->sessions.slots[i]; node; node = node->next)
            bk_session_restored(container_of(node, struct bk_session, node));
}

int bk_recover(struct bk_worker *w, struct store *store)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    struct bk_recovery r = {
        .w = w,
        .now_ms = loop_now_ms(w->loop),
        .wall_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000,
    };
    int e = bk_recover_kind(&r, store, BK_RECORD_SESSION, bk_recover_session);
    if (e >= 0)
        e = bk_recover_kind(&r, store, BK_RECORD_SUBSCRIPTION, bk_recover_subscription);
    if (e >= 0)
        e = bk_recover_kind(&r, store, BK_RECORD_WINDOW, bk_recover_window);
    if (e >= 0)
        e = bk_recover_kind(&r, store, BK_RECORD_INBOUND, bk_recover_inbound);
    if (e >= 0)
        e = bk_recover_kind(&r, store, BK_RECORD_SEGMENT, bk_recover_segment);
    if (e >= 0)
        e = bk_recover_kind(&r, store, BK_RECORD_RETAINED_LONG, bk_recover_retained);
    if (e >= 0)
        e = bk_recover_kind(&r, store, BK_RECORD_RETAINED, bk_recover_retained);
    if (e < 0)
        return e;
    metric_add(&w->metrics.retained, (int64_t)r.retained);
    if (r.sessions + r.retained > 0)
        log_info(NULL, "from the store: %llu sessions, %llu messages due, %llu retained",
                 (unsigned long long)r.sessions, (unsigned long long)r.messages, (unsigned long long)r.retained);
    return 0;
}
