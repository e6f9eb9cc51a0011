/* Names, lists, comparison and the lasting copy of a packet. */
#include "mqtt_packet.h"

#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "mqtt_wire.h"

const char *mqtt_type_name(unsigned type)
{
    static const char *const names[] = {
        "packet type 0", "CONNECT", "CONNACK",     "PUBLISH",  "PUBACK",  "PUBREC",   "PUBREL",     "PUBCOMP",
        "SUBSCRIBE",     "SUBACK",  "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
    };
    return type < sizeof(names) / sizeof(names[0]) ? names[type] : "no packet type";
}

const char *mqtt_version_name(unsigned version)
{
    switch (version) {
    case MQTT_V31:
        return "3.1";
    case MQTT_V311:
        return "3.1.1";
    case MQTT_V5:
        return "5.0";
    default:
        return "unknown version";
    }
}

bool mqtt_filter_next(struct mqtt_bytes *iter, struct mqtt_bytes *ret_filter)
{
    struct cursor c = cursor_make(iter->ptr, iter->len);
    if (mqtt_wire_read_text(&c, ret_filter))
        return false;
    *iter = (struct mqtt_bytes){.ptr = c.ptr, .len = (uint32_t)c.len};
    return true;
}

bool mqtt_subscription_next(struct mqtt_bytes *iter, struct mqtt_subscription *ret)
{
    struct cursor c = cursor_make(iter->ptr, iter->len);
    struct mqtt_bytes filter;
    uint8_t options;
    if (mqtt_wire_read_text(&c, &filter) || cursor_read_u8(&c, &options))
        return false;
    *ret = (struct mqtt_subscription){
        .filter = filter,
        .qos = options & 3,
        .no_local = options & 4,
        .retain_as_published = options & 8,
        .retain_handling = options >> 4 & 3,
    };
    *iter = (struct mqtt_bytes){.ptr = c.ptr, .len = (uint32_t)c.len};
    return true;
}

enum { MAX_VIEWS = 7 };

/* Addresses of all byte views that P has by its type and flags. Returns how many: the one place that knows where a
 * packet points to. */
static size_t views_of(struct mqtt_packet *p, struct mqtt_bytes *views[MAX_VIEWS])
{
    size_t n = 0;
    views[n++] = &p->properties.wire;
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        views[n++] = &p->connect.client_id;
        if (p->connect.has_username)
            views[n++] = &p->connect.username;
        if (p->connect.has_password)
            views[n++] = &p->connect.password;
        if (p->connect.has_will) {
            views[n++] = &p->connect.will.topic;
            views[n++] = &p->connect.will.payload;
            views[n++] = &p->connect.will.properties.wire;
        }
        break;
    case MQTT_PUBLISH:
        views[n++] = &p->publish.topic;
        views[n++] = &p->publish.payload;
        break;
    case MQTT_SUBSCRIBE:
        views[n++] = &p->subscriptions.wire;
        break;
    case MQTT_UNSUBSCRIBE:
        views[n++] = &p->filters.wire;
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        views[n++] = &p->reason_codes;
        break;
    case MQTT_CONNACK:
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        break;
    }
    return n;
}

static bool connect_equal(const struct mqtt_connect *a, const struct mqtt_connect *b)
{
    if (a->keep_alive_s != b->keep_alive_s || a->protocol_level != b->protocol_level ||
        a->clean_start != b->clean_start || a->has_username != b->has_username || a->has_password != b->has_password ||
        a->has_will != b->has_will)
        return false;
    return !a->has_will || (a->will.qos == b->will.qos && a->will.retain == b->will.retain);
}

/* Everything but the bytes that are pointed to. */
static bool fields_equal(const struct mqtt_packet *a, const struct mqtt_packet *b)
{
    if (a->type != b->type || a->version != b->version || a->dup != b->dup || a->reason_code != b->reason_code ||
        a->packet_id != b->packet_id)
        return false;
    switch (a->type) {
    case MQTT_CONNECT:
        return connect_equal(&a->connect, &b->connect);
    case MQTT_CONNACK:
        return a->connack.session_present == b->connack.session_present;
    case MQTT_PUBLISH:
        return a->publish.qos == b->publish.qos && a->publish.retain == b->publish.retain;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return a->subscriptions.count == b->subscriptions.count;
    default:
        return true;
    }
}

static bool bytes_equal(const struct mqtt_bytes *a, const struct mqtt_bytes *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

bool mqtt_packet_equal(const struct mqtt_packet *a, const struct mqtt_packet *b)
{
    if (!fields_equal(a, b))
        return false;
    struct mqtt_packet x = *a, y = *b;
    struct mqtt_bytes *views_x[MAX_VIEWS], *views_y[MAX_VIEWS];
    size_t n = views_of(&x, views_x);
    if (views_of(&y, views_y) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!bytes_equal(views_x[i], views_y[i]))
            return false;
    return true;
}

struct mqtt_packet *mqtt_packet_store(const struct mqtt_packet *view)
{
    struct mqtt_packet sized = *view;
    struct mqtt_bytes *views[MAX_VIEWS];
    size_t n = views_of(&sized, views), size = sizeof(sized);
    for (size_t i = 0; i < n; i++)
        size += views[i]->len;
    struct mqtt_packet *copy = malloc(size);
    if (!copy)
        return NULL;
    *copy = *view;
    uint8_t *dst = (uint8_t *)(copy + 1);
    n = views_of(copy, views);
    for (size_t i = 0; i < n; i++) {
        uint8_t *end = mqtt_wire_put_bytes(dst, *views[i]);
        views[i]->ptr = dst;
        dst = end;
    }
    return copy;
}
