/* Records as bytes (bk_record.h). */
#include "bk_record.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "bk_message.h"
#include "buf.h"

/* --- Writing */

static uint8_t *bk_writer_room(struct bk_writer *w, size_t n)
{
    if (w->has_failed)
        return NULL;
    if (n > w->cap - w->len) {
        const size_t cap = (w->len + n) * 2;
        uint8_t *bytes = realloc(w->bytes, cap);
        if (!bytes) {
            w->has_failed = true;
            return NULL;
        }
        w->bytes = bytes;
        w->cap = cap;
    }
    uint8_t *at = w->bytes + w->len;
    w->len += n;
    return at;
}

static void bk_put_number(struct bk_writer *w, uint64_t value, size_t n)
{
    uint8_t *at = bk_writer_room(w, n);
    for (size_t i = 0; at && i < n; i++)
        at[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

void bk_put_u8(struct bk_writer *w, uint8_t value)
{
    bk_put_number(w, value, 1);
}

void bk_put_u16(struct bk_writer *w, uint16_t value)
{
    bk_put_number(w, value, 2);
}

void bk_put_u32(struct bk_writer *w, uint32_t value)
{
    bk_put_number(w, value, 4);
}

void bk_put_u64(struct bk_writer *w, uint64_t value)
{
    bk_put_number(w, value, 8);
}

void bk_put_varint(struct bk_writer *w, uint64_t value)
{
    while (value >= 0x80) {
        bk_put_u8(w, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    bk_put_u8(w, (uint8_t)value);
}

void bk_put_bytes(struct bk_writer *w, const void *bytes, size_t len)
{
    bk_put_varint(w, len);
    bk_put_raw(w, bytes, len);
}

void bk_put_raw(struct bk_writer *w, const void *bytes, size_t len)
{
    uint8_t *at = len > 0 ? bk_writer_room(w, len) : NULL;
    if (at)
        memcpy(at, bytes, len);
}

void bk_set_u32(struct bk_writer *w, size_t offset, uint32_t value)
{
    for (size_t i = 0; !w->has_failed && i < 4; i++)
        w->bytes[offset + i] = (uint8_t)(value >> (8 * (3 - i)));
}

void bk_set_u8(struct bk_writer *w, size_t offset, uint8_t value)
{
    if (!w->has_failed)
        w->bytes[offset] = value;
}

void bk_put_message(struct bk_writer *w, const struct bk_message *m, uint64_t now_ms, uint64_t wall_ms)
{
    const uint8_t *payload = m->payload ? buf_bytes(m->payload) : m->bytes + m->topic_len + m->properties_len;
    bk_put_u8(w, (uint8_t)(m->qos | (m->retain ? BK_FLAG_RETAIN : 0)));
    bk_put_u64(w, m->expires_ms == BK_NEVER ? 0 : m->expires_ms + wall_ms - now_ms);
    bk_put_bytes(w, m->bytes, m->topic_len);
    bk_put_bytes(w, m->bytes + m->topic_len, m->properties_len);
    bk_put_bytes(w, payload, m->payload_len);
}

/* --- Reading */

int bk_get_u64(struct cursor *c, uint64_t *ret_value)
{
    uint32_t high, low;
    if (cursor_read_u32(c, &high) != 0 || cursor_read_u32(c, &low) != 0)
        return BK_RECORD_BAD;
    *ret_value = (uint64_t)high << 32 | low;
    return 0;
}

int bk_get_varint(struct cursor *c, uint64_t *ret_value)
{
    uint64_t value = 0;
    uint8_t byte;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (cursor_read_u8(c, &byte) != 0)
            return BK_RECORD_BAD;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return 0;
        }
    }
    return BK_RECORD_BAD;
}

int bk_get_bytes(struct cursor *c, struct mqtt_bytes *ret_bytes)
{
    uint64_t len;
    if (bk_get_varint(c, &len) != 0 || len > UINT32_MAX || cursor_read_bytes(c, (size_t)len, &ret_bytes->ptr) != 0)
        return BK_RECORD_BAD;
    ret_bytes->len = (uint32_t)len;
    return 0;
}

int bk_get_message(struct cursor *c, uint64_t now_ms, uint64_t wall_ms, struct bk_message **ret_message)
{
    struct bk_publication p;
    uint64_t expires;
    uint8_t flags;
    bk_publication_init(&p, NULL);
    if (cursor_read_u8(c, &flags) != 0 || (flags & 3) > 2 || bk_get_u64(c, &expires) != 0 ||
        bk_get_bytes(c, &p.topic) != 0 || p.topic.len > MQTT_STRING_MAX || bk_get_bytes(c, &p.properties.wire) != 0 ||
        bk_get_bytes(c, &p.payload) != 0)
        return BK_RECORD_BAD;
    p.qos = flags & 3;
    p.retain = flags & BK_FLAG_RETAIN;
    if (expires != 0)
        p.expires_ms = expires > wall_ms ? now_ms + (expires - wall_ms) : 1;
    struct bk_message *m = bk_publication_keep(&p);
    *ret_message = m ? bk_message_ref(m) : NULL;
    bk_publication_end(&p);
    return m ? 0 : -ENOMEM;
}

int bk_skip_message(struct cursor *c)
{
    struct mqtt_bytes bytes;
    uint64_t expires;
    uint8_t flags;
    if (cursor_read_u8(c, &flags) != 0 || bk_get_u64(c, &expires) != 0)
        return BK_RECORD_BAD;
    for (int i = 0; i < 3; i++) /* topic, properties, payload */
        if (bk_get_bytes(c, &bytes) != 0)
            return BK_RECORD_BAD;
    return 0;
}

int bk_skip_target(struct cursor *c, uint64_t *ret_session, uint64_t *ret_number)
{
    struct mqtt_bytes share;
    uint64_t n, id;
    uint8_t flags;
    if (bk_get_u64(c, ret_session) != 0 || bk_get_u64(c, ret_number) != 0 || cursor_read_u8(c, &flags) != 0 ||
        bk_get_varint(c, &n) != 0)
        return BK_RECORD_BAD;
    for (; n > 0; n--)
        if (bk_get_varint(c, &id) != 0)
            return BK_RECORD_BAD;
    return flags & BK_FLAG_SHARED ? bk_get_bytes(c, &share) : 0;
}

/* --- Keys */

static void bk_key_add(struct bk_key *key, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        key->bytes[key->len++] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static struct bk_key bk_key_begin(enum bk_record_kind kind)
{
    struct bk_key key;
    key.bytes[0] = (uint8_t)kind;
    key.len = 1;
    return key;
}

struct bk_key bk_key_of_session(enum bk_record_kind kind, uint64_t session)
{
    struct bk_key key = bk_key_begin(kind);
    bk_key_add(&key, session, 8);
    return key;
}

struct bk_key bk_key_of_subscription(uint64_t session, uint32_t serial)
{
    struct bk_key key = bk_key_of_session(BK_RECORD_SUBSCRIPTION, session);
    bk_key_add(&key, serial, 4);
    return key;
}

struct bk_key bk_key_of_inbound(uint64_t session, uint16_t id)
{
    struct bk_key key = bk_key_of_session(BK_RECORD_INBOUND, session);
    bk_key_add(&key, id, 2);
    return key;
}

struct bk_key bk_key_of_marks(uint64_t session, uint16_t id, uint64_t number)
{
    struct bk_key key = bk_key_of_inbound(session, id);
    bk_key_add(&key, number, 8);
    return key;
}

struct bk_key bk_key_behind(const struct bk_key *key)
{
    struct bk_key end = *key;
    for (size_t i = end.len; i-- > 0 && ++end.bytes[i] == 0;) /* the kind is no 0xFF */
        ;
    return end;
}

struct bk_key bk_key_of_topic(struct mqtt_bytes topic)
{
    if (topic.len < BK_KEY_MAX) {
        struct bk_key key = bk_key_begin(BK_RECORD_RETAINED);
        memcpy(key.bytes + 1, topic.ptr, topic.len);
        key.len += topic.len;
        return key;
    }
    struct bk_key key = bk_key_begin(BK_RECORD_RETAINED_LONG);
    SHA256(topic.ptr, topic.len, key.bytes + 1);
    key.len += SHA256_DIGEST_LENGTH;
    return key;
}

struct bk_key bk_key_of_segment(uint64_t number, uint16_t loop)
{
    struct bk_key key = bk_key_begin(BK_RECORD_SEGMENT);
    bk_key_add(&key, number, 8);
    bk_key_add(&key, loop, 2);
    return key;
}

bool bk_key_of_segment_1(const void *old, size_t old_len, struct bk_key *ret_key)
{
    struct cursor c = cursor_make(old, old_len);
    uint8_t kind;
    uint16_t loop;
    uint64_t number;
    if (cursor_read_u8(&c, &kind) != 0 || kind != BK_RECORD_SEGMENT_1 || cursor_read_u16(&c, &loop) != 0 ||
        bk_get_u64(&c, &number) != 0 || c.len > 0)
        return false;
    *ret_key = bk_key_of_segment(number, loop);
    return true;
}
