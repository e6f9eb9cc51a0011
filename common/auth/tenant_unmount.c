/* Broker -> client: mount point and prefix taken away (tenant.h). */
#define LOG_MODULE LOG_AUTH
#include <errno.h>
#include <string.h>

#include "err.h"
#include "log.h"
#include "mqtt_encode.h"
#include "mqtt_property.h"
#include "str.h"
#include "tenant_internal.h"

enum { TOPIC_SHOWN = 64 };

/* Takes PREFIX from the front of TEXT. False: it does not begin with it, or has nothing behind it. */
static bool take_prefix(struct mqtt_bytes *text, struct mqtt_bytes prefix)
{
    if (text->len <= prefix.len || memcmp(text->ptr, prefix.ptr, prefix.len) != 0)
        return false;
    *text = tenant_part(text->ptr + prefix.len, text->ptr + text->len);
    return true;
}

/* --- Explanations */

/* The broker took the client's limit for a higher one. */
static bool is_too_large(const struct tenant *t, const struct mqtt_packet *p)
{
    return t->mount.len > 0 && t->client_packet_max != UINT32_MAX && mqtt_encode_size(p) > t->client_packet_max;
}

/* Without what is said only where it fits (MQTT-3.2.2-19, 3.4.2-2 and so on). BEGIN has room for the other properties.
 */
static void drop_explanation(struct mqtt_packet *p, uint8_t *begin)
{
    struct mqtt_bytes iter = p->properties.wire;
    struct mqtt_property prop;
    uint8_t *at = begin;
    while (mqtt_property_next(&iter, &prop)) {
        if (prop.id != MQTT_PROPERTY_REASON_STRING && prop.id != MQTT_PROPERTY_USER_PROPERTY)
            at = mqtt_property_put(at, &prop);
    }
    p->properties.wire = tenant_part(begin, at);
}

static int unmount_answer(const struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s)
{
    if (p->properties.wire.len == 0 || !is_too_large(t, p))
        return 0;
    uint8_t *begin = tenant_scratch_room(s, p->properties.wire.len);
    if (!begin)
        return -ENOMEM;
    drop_explanation(p, begin);
    return 0;
}

/* --- CONNACK */

/* So much less may the client send as we shall add. */
static uint32_t lower(const struct tenant *t, uint32_t limit)
{
    const uint32_t growth = tenant_growth(t);
    return limit > growth ? limit - growth : 1;
}

static void unmount_property(struct tenant *t, struct mqtt_property *prop)
{
    switch ((enum mqtt_property_id)prop->id) {
    case MQTT_PROPERTY_MAXIMUM_PACKET_SIZE:
        t->broker_packet_max = prop->number;
        prop->number = lower(t, prop->number);
        break;
    case MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER:
        if (t->id_prefix.len > 0)
            take_prefix(&prop->value, t->id_prefix);
        break;
    case MQTT_PROPERTY_RESPONSE_INFORMATION:
        if (t->mount.len > 0)
            take_prefix(&prop->value, t->mount);
        break;
    default:
        break;
    }
}

static uint8_t *put_made_id(const struct tenant *t, const struct mqtt_packet *connack, uint8_t *at)
{
    const bool is_told =
        t->made_id.len == 0 || mqtt_property_has(&connack->properties, MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER);
    if (is_told || connack->reason_code != MQTT_REASON_SUCCESS)
        return at;
    return mqtt_property_put_bytes(at, MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER, t->made_id);
}

static int unmount_connack(struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s)
{
    struct mqtt_bytes iter = p->properties.wire;
    struct mqtt_property prop;
    if (p->version != MQTT_V5)
        return 0;
    const size_t room = (size_t)p->properties.wire.len + 3 + t->made_id.len;
    uint8_t *begin = tenant_scratch_room(s, 2 * room), *at = begin;
    if (!at)
        return -ENOMEM;
    while (mqtt_property_next(&iter, &prop)) {
        unmount_property(t, &prop);
        at = mqtt_property_put(at, &prop);
    }
    p->properties.wire = tenant_part(begin, put_made_id(t, p, at));
    if (is_too_large(t, p))
        drop_explanation(p, begin + room);
    return 0;
}

/* --- PUBLISH */

/* What becomes of a PUBLISH. */
enum verdict {
    PASSES = 0,
    IS_OUTSIDE,
    IS_TOO_LARGE,
};

/* The properties with another Response Topic, or without (its value is empty). */
static int set_response(struct mqtt_packet *p, const struct mqtt_property *response, struct tenant_scratch *s)
{
    uint8_t *begin = tenant_scratch_room(s, p->properties.wire.len);
    if (!begin)
        return -ENOMEM;
    const uint8_t *end = response->value.len > 0
                             ? mqtt_property_copy_replacing(begin, &p->properties, response)
                             : mqtt_property_copy_without(begin, &p->properties, MQTT_PROPERTY_RESPONSE_TOPIC);
    p->properties.wire = tenant_part(begin, end);
    return 0;
}

static int unmount_response(const struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s)
{
    struct mqtt_property response;
    if (p->properties.wire.len == 0 || !mqtt_property_find(&p->properties, MQTT_PROPERTY_RESPONSE_TOPIC, &response) ||
        tenant_is_sys(response.value))
        return 0;
    if (!take_prefix(&response.value, t->mount)) {
        response.value.len = 0;
        metric_add(&t->metrics->response_topics_removed, 1);
    }
    return set_response(p, &response, s);
}

/* enum verdict or -ENOMEM. */
static int judge_publish(const struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s)
{
    struct mqtt_bytes *topic = &p->publish.topic;
    if (t->mount.len == 0)
        return PASSES;
    if (topic->len > 0 && !take_prefix(topic, t->mount) && !tenant_is_sys(*topic))
        return IS_OUTSIDE;
    int r = unmount_response(t, p, s);
    return r == 0 && is_too_large(t, p) ? IS_TOO_LARGE : r;
}

static void count_dropped(const struct tenant *t, const struct mqtt_packet *publish, enum verdict verdict)
{
    char topic[TOPIC_SHOWN];
    metric *m = verdict == IS_OUTSIDE ? &t->metrics->publishes_outside_mount : &t->metrics->publishes_over_client_limit;
    metric_add(m, 1);
    log_debug(t->log, "dropped a PUBLISH of the broker, %s: '%s'",
              verdict == IS_OUTSIDE ? "not below the mount point" : "too large for the client",
              str_quote(topic, sizeof(topic), publish->publish.topic.ptr, publish->publish.topic.len));
}

int tenant_unmount_publish(const struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s)
{
    const struct mqtt_bytes topic = p->publish.topic;
    int r = judge_publish(t, p, s);
    if (r <= 0)
        return r;
    p->publish.topic = topic;
    count_dropped(t, p, (enum verdict)r);
    return TENANT_DROPPED;
}

static int unmount_publish(const struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s,
                           struct mqtt_dropped *dropped, struct mqtt_reply *answer)
{
    mqtt_dropped_check(dropped, p, answer);
    int r = tenant_unmount_publish(t, p, s);
    return r == TENANT_DROPPED ? mqtt_dropped_publish(dropped, p, answer) : r;
}

/* --- Any packet */

int tenant_unmount(struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s, struct mqtt_dropped *dropped,
                   struct mqtt_reply *ret_answer)
{
    int r;
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNACK:
        return unmount_connack(t, p, s);
    case MQTT_PUBLISH:
        return unmount_publish(t, p, s, dropped, ret_answer);
    case MQTT_PUBREL:
        r = mqtt_dropped_check(dropped, p, ret_answer);
        return r != 0 ? r : unmount_answer(t, p, s);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        return unmount_answer(t, p, s);
    case MQTT_CONNECT:
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    }
    return 0;
}
