/* Messages (bk_message.h). */
#include "bk_message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "mqtt_encode.h"
#include "mqtt_property.h"

/* --- Scratch memory */

enum { BK_SLOT_PROPERTIES = BK_FORMS };

void bk_scratch_deinit(struct bk_scratch *s)
{
    for (size_t i = 0; i < sizeof s->slots / sizeof s->slots[0]; i++)
        free(s->slots[i].bytes);
    *s = (struct bk_scratch){0};
}

static uint8_t *bk_scratch_get(struct bk_scratch *s, unsigned slot, size_t n)
{
    if (n > s->slots[slot].cap) {
        size_t cap = n < 512 ? 1024 : n * 2;
        uint8_t *bytes = realloc(s->slots[slot].bytes, cap);
        if (!bytes)
            return NULL;
        s->slots[slot].bytes = bytes;
        s->slots[slot].cap = cap;
    }
    return s->slots[slot].bytes;
}

/* --- Messages that last */

struct bk_message *bk_message_ref(struct bk_message *m)
{
    m->refs++;
    return m;
}

struct bk_message *bk_message_copy(const struct bk_message *m)
{
    const size_t bytes = (size_t)m->topic_len + m->properties_len + (m->payload ? 0 : m->payload_len);
    struct bk_message *copy = malloc(sizeof *m + bytes);
    if (!copy)
        return NULL;
    memcpy(copy, m, sizeof *m + bytes);
    copy->refs = 1;
    copy->payload = m->payload ? buf_ref(m->payload) : NULL;
    copy->segment = NULL;
    copy->due = 0;
    copy->is_in_journal = false;
    return copy;
}

struct bk_message *bk_message_unref(struct bk_message *m)
{
    if (!m || --m->refs > 0)
        return NULL;
    buf_unref(m->payload);
    free(m);
    return NULL;
}

size_t bk_message_bytes(const struct bk_message *m)
{
    return sizeof *m + m->topic_len + m->properties_len + m->payload_len;
}

bool bk_message_is_expired(const struct bk_message *m, uint64_t now_ms)
{
    return m->expires_ms != BK_NEVER && m->expires_ms <= now_ms;
}

/* --- Publications */

void bk_publication_init(struct bk_publication *p, struct bk_scratch *scratch)
{
    memset(p, 0, offsetof(struct bk_publication, forms));
    p->scratch = scratch;
}

struct buf *bk_publication_rest(struct bk_publication *p)
{
    if (!p->rest) {
        p->rest = buf_new(p->payload.len, p->payload.len);
        if (p->rest)
            buf_append(p->rest, p->payload.ptr, p->payload.len);
    }
    return p->rest;
}

static const uint8_t *bk_message_inline_payload(const struct bk_message *m)
{
    return m->bytes + m->topic_len + m->properties_len;
}

bool bk_publication_of(struct bk_publication *p, struct bk_message *m, uint64_t now_ms, struct bk_scratch *scratch)
{
    if (bk_message_is_expired(m, now_ms))
        return false;
    bk_publication_init(p, scratch);
    p->topic = (struct mqtt_bytes){m->bytes, m->topic_len};
    p->properties.wire = (struct mqtt_bytes){m->bytes + m->topic_len, m->properties_len};
    p->payload = (struct mqtt_bytes){m->payload ? buf_bytes(m->payload) : bk_message_inline_payload(m), m->payload_len};
    p->rest = m->payload ? buf_ref(m->payload) : NULL;
    p->expires_ms = m->expires_ms;
    p->publisher = m->publisher;
    p->qos = m->qos;
    p->retain = m->retain;
    p->message = bk_message_ref(m);
    if (m->expires_ms == BK_NEVER)
        return true;
    uint8_t *bytes = bk_scratch_get(scratch, BK_SLOT_PROPERTIES, m->properties_len + 5);
    if (!bytes) {
        bk_publication_end(p);
        return false;
    }
    const uint8_t *end = mqtt_property_copy_with_u32(bytes, &p->properties, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL,
                                                     (uint32_t)((m->expires_ms - now_ms + 999) / 1000));
    p->properties.wire = (struct mqtt_bytes){bytes, (uint32_t)(end - bytes)};
    return true;
}

void bk_publication_end(struct bk_publication *p)
{
    p->message = bk_message_unref(p->message);
    p->rest = buf_unref(p->rest);
    p->forms_made = 0;
}

struct bk_message *bk_publication_keep(struct bk_publication *p)
{
    if (p->message)
        return p->message;
    const bool is_inline = p->payload.len <= BK_PAYLOAD_INLINE;
    if (!is_inline && !bk_publication_rest(p))
        return NULL;
    struct bk_message *m = malloc(sizeof *m + p->topic.len + p->properties.wire.len + (is_inline ? p->payload.len : 0));
    if (!m)
        return NULL;
    *m = (struct bk_message){
        .refs = 1,
        .payload_len = p->payload.len,
        .topic_len = (uint16_t)p->topic.len,
        .qos = p->qos,
        .retain = p->retain,
        .expires_ms = p->expires_ms,
        .publisher = p->publisher,
        .payload = is_inline ? NULL : buf_ref(p->rest),
    };
    memcpy(m->bytes, p->topic.ptr, p->topic.len);
    uint8_t *at = m->bytes + p->topic.len;
    if (p->properties.wire.len > 0) {
        uint8_t *end = mqtt_property_copy_without(at, &p->properties, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL);
        m->properties_len = (uint32_t)(end - at);
        at = end;
    }
    if (is_inline && p->payload.len > 0)
        memcpy(at, p->payload.ptr, p->payload.len);
    p->message = m;
    return m;
}

static bool bk_publication_make_form(struct bk_publication *p, unsigned which, bool is_v5, bool has_id)
{
    const struct mqtt_packet packet = {
        .type = MQTT_PUBLISH,
        .version = is_v5 ? MQTT_V5 : MQTT_V311,
        .packet_id = has_id,
        .properties = is_v5 ? p->properties : (struct mqtt_properties){{NULL, 0}},
        .publish = {.topic = p->topic, .payload = p->payload, .qos = has_id},
    };
    const bool is_inline = p->payload.len <= BK_PAYLOAD_INLINE;
    const size_t total = mqtt_encode_size(&packet);
    if (total > MQTT_PACKET_MAX || (!is_inline && !bk_publication_rest(p)))
        return false;
    const size_t len = is_inline ? total : total - p->payload.len;
    uint8_t *bytes = bk_scratch_get(p->scratch, which, len);
    if (!bytes)
        return false;
    if (is_inline)
        mqtt_encode(&packet, bytes);
    else
        mqtt_encode_publish_head(&packet, bytes);
    bytes[0] = MQTT_PUBLISH << 4;
    /* fixed header, topic, then the id; the length takes 1 to 4 bytes, each but the last with its high bit set */
    uint32_t id_at = 2;
    while (bytes[id_at - 1] & 0x80)
        id_at++;
    id_at += 2 + p->topic.len;
    p->forms[which] = (struct bk_form){bytes, (uint32_t)len, has_id ? id_at : 0, (uint32_t)total};
    p->forms_made |= (uint8_t)(1u << which);
    return true;
}

const struct bk_form *bk_publication_form(struct bk_publication *p, bool is_v5, bool has_id)
{
    const unsigned which = (is_v5 ? 2u : 0) + (has_id ? 1u : 0);
    if (!(p->forms_made & (1u << which)) && !bk_publication_make_form(p, which, is_v5, has_id))
        return NULL;
    return &p->forms[which];
}
