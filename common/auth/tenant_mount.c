/* Client -> broker: the mount point before topics, the prefix before the client id (tenant.h). */
#include <errno.h>
#include <string.h>

#include "err.h"
#include "mqtt_encode.h"
#include "mqtt_property.h"
#include "mqtt_topic.h"
#include "mqtt_wire.h"
#include "tenant_internal.h"

/* HEAD and TAIL as one text at *AT, which goes behind it. */
static struct mqtt_bytes join(uint8_t **at, struct mqtt_bytes head, struct mqtt_bytes tail)
{
    const uint8_t *begin = *at;
    *at = mqtt_wire_put_bytes(mqtt_wire_put_bytes(*at, head), tail);
    return tenant_part(begin, *at);
}

/* --- A message: PUBLISH or Will */

struct message {
    struct mqtt_bytes *topic; /* of the packet */
    struct mqtt_properties *properties;
    struct mqtt_property response; /* if has_response */
    bool has_topic;                /* that moves; likewise */
    bool has_response;
};

static bool is_mounted(const struct tenant *t, struct mqtt_bytes topic)
{
    return t->mount.len > 0 && topic.len > 0 && !tenant_is_sys(topic);
}

static bool is_too_long(const struct tenant *t, struct mqtt_bytes topic)
{
    return topic.len > MQTT_STRING_MAX - t->mount.len;
}

/* What of *M moves, and the room that it takes. 0 or TENANT_REFUSED. */
static int plan_message(const struct tenant *t, struct message *m, size_t *room, struct mqtt_fault *fault)
{
    m->has_topic = is_mounted(t, *m->topic);
    m->has_response = m->properties->wire.len > 0 &&
                      mqtt_property_find(m->properties, MQTT_PROPERTY_RESPONSE_TOPIC, &m->response) &&
                      is_mounted(t, m->response.value);
    if ((m->has_topic && is_too_long(t, *m->topic)) || (m->has_response && is_too_long(t, m->response.value)))
        return mqtt_fault_set(fault, MQTT_REASON_TOPIC_NAME_INVALID, "the topic is too long below its mount point");
    if (m->has_topic)
        *room += t->mount.len + m->topic->len;
    if (m->has_response)
        *room += t->mount.len + m->response.value.len + t->mount.len + m->properties->wire.len;
    return 0;
}

static uint8_t *move_message(const struct tenant *t, struct message *m, uint8_t *at)
{
    if (m->has_topic)
        *m->topic = join(&at, t->mount, *m->topic);
    if (!m->has_response)
        return at;
    m->response.value = join(&at, t->mount, m->response.value);
    uint8_t *end = mqtt_property_copy_replacing(at, m->properties, &m->response);
    m->properties->wire = tenant_part(at, end);
    return end;
}

static int mount_publish(struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s, struct mqtt_fault *fault)
{
    struct message m = {.topic = &p->publish.topic, .properties = &p->properties};
    size_t room = 0;
    int r = plan_message(t, &m, &room, fault);
    if (r != 0 || room == 0)
        return r;
    uint8_t *at = tenant_scratch_room(s, room);
    if (!at)
        return -ENOMEM;
    move_message(t, &m, at);
    return 0;
}

/* --- CONNECT */

static bool has_new_id(const struct tenant *t)
{
    return t->id_prefix.len > 0;
}

static struct mqtt_bytes own_id(const struct tenant *t, const struct mqtt_packet *p)
{
    return t->made_id.len > 0 ? t->made_id : p->connect.client_id;
}

/* The broker may send so much more as we shall take away. */
static bool raises_packet_max(const struct tenant *t)
{
    return t->mount.len > 0 && t->client_packet_max != UINT32_MAX;
}

static uint8_t *raise_packet_max(const struct tenant *t, struct mqtt_packet *p, uint8_t *at)
{
    const uint32_t growth = tenant_growth(t);
    const uint32_t limit = t->client_packet_max < UINT32_MAX - growth ? t->client_packet_max + growth : UINT32_MAX;
    uint8_t *end = mqtt_property_copy_with_u32(at, &p->properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, limit);
    p->properties.wire = tenant_part(at, end);
    return end;
}

static int mount_connect(struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s, struct mqtt_fault *fault)
{
    struct message will = {.topic = &p->connect.will.topic, .properties = &p->connect.will.properties};
    const struct mqtt_bytes id = own_id(t, p);
    size_t room = (size_t)t->id_prefix.len + id.len + p->properties.wire.len + 5;
    if (has_new_id(t) && id.len > MQTT_STRING_MAX - t->id_prefix.len)
        return mqtt_fault_set(fault, MQTT_REASON_CLIENT_ID_NOT_VALID, "the client id is too long behind its prefix");
    int r = p->connect.has_will ? plan_message(t, &will, &room, fault) : 0;
    if (r != 0)
        return r;
    uint8_t *at = tenant_scratch_room(s, room);
    if (!at)
        return -ENOMEM;
    if (has_new_id(t))
        p->connect.client_id = join(&at, t->id_prefix, id);
    if (raises_packet_max(t))
        at = raise_packet_max(t, p, at);
    if (p->connect.has_will)
        move_message(t, &will, at);
    return 0;
}

/* --- SUBSCRIBE and UNSUBSCRIBE */

/* Where in FILTER the mount point goes. False: nowhere. Of a shared subscription without a filter the broker says that
 * it is none; one whose group is not valid has its mount point all the same, since a broker may be less strict. */
static bool find_place(struct mqtt_bytes filter, uint32_t *ret_place)
{
    struct mqtt_bytes inner = filter;
    if (mqtt_topic_is_shared(filter)) {
        const uint8_t *group = (const uint8_t *)memchr(filter.ptr, '/', filter.len) + 1, *end = filter.ptr + filter.len;
        const uint8_t *slash = memchr(group, '/', (size_t)(end - group));
        inner = slash ? tenant_part(slash + 1, end) : (struct mqtt_bytes){0};
    }
    *ret_place = filter.len - inner.len;
    return inner.len > 0 && !tenant_is_sys(inner);
}

static uint8_t *put_filter(uint8_t *at, const struct tenant *t, struct mqtt_bytes filter)
{
    uint32_t place;
    if (!find_place(filter, &place))
        return mqtt_wire_put_text(at, filter);
    at = mqtt_wire_put_u16(at, (uint16_t)(filter.len + t->mount.len));
    at = mqtt_wire_put_bytes(at, (struct mqtt_bytes){filter.ptr, place});
    at = mqtt_wire_put_bytes(at, t->mount);
    return mqtt_wire_put_bytes(at, tenant_part(filter.ptr + place, filter.ptr + filter.len));
}

/* The next filter of a checked list; the options byte of a subscription is behind it. */
static bool next_filter(struct mqtt_bytes *iter, bool has_options, struct mqtt_bytes *ret_filter)
{
    struct mqtt_subscription subscription;
    if (!has_options)
        return mqtt_filter_next(iter, ret_filter);
    if (!mqtt_subscription_next(iter, &subscription))
        return false;
    *ret_filter = subscription.filter;
    return true;
}

static int move_filters(const struct tenant *t, struct mqtt_list *list, bool has_options, uint8_t *begin,
                        struct mqtt_fault *fault)
{
    struct mqtt_bytes iter = list->wire, filter;
    uint8_t *at = begin;
    while (next_filter(&iter, has_options, &filter)) {
        if (is_too_long(t, filter))
            return mqtt_fault_set(fault, MQTT_REASON_TOPIC_FILTER_INVALID,
                                  "the topic filter is too long below its mount point");
        at = put_filter(at, t, filter);
        if (has_options)
            at = mqtt_wire_put_u8(at, filter.ptr[filter.len]);
    }
    list->wire = tenant_part(begin, at);
    return 0;
}

/* Of many short filters a small packet may become a very large one: how large is known before memory is asked for. */
static int mount_filters(struct tenant *t, struct mqtt_list *list, bool has_options, struct tenant_scratch *s,
                         struct mqtt_fault *fault)
{
    const uint64_t room = list->wire.len + (uint64_t)list->count * t->mount.len;
    if (t->mount.len == 0)
        return 0;
    if (room > MQTT_PACKET_MAX || room > t->broker_packet_max)
        return mqtt_fault_set(fault, MQTT_REASON_PACKET_TOO_LARGE, "the packet is too large with its mount point");
    uint8_t *at = tenant_scratch_room(s, room);
    return at ? move_filters(t, list, has_options, at, fault) : -ENOMEM;
}

/* --- Any packet */

static int mount_parts(struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s, struct mqtt_fault *fault)
{
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        return mount_connect(t, p, s, fault);
    case MQTT_PUBLISH:
        return mount_publish(t, p, s, fault);
    case MQTT_SUBSCRIBE:
        return mount_filters(t, &p->subscriptions, true, s, fault);
    case MQTT_UNSUBSCRIBE:
        return mount_filters(t, &p->filters, false, s, fault);
    case MQTT_CONNACK:
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        break;
    }
    return 0;
}

int tenant_mount(struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s, struct mqtt_fault *ret_fault)
{
    int r = mount_parts(t, p, s, ret_fault);
    if (r != 0)
        return r;
    const size_t size = mqtt_encode_size(p);
    if (size > MQTT_PACKET_MAX || size > t->broker_packet_max)
        return mqtt_fault_set(ret_fault, MQTT_REASON_PACKET_TOO_LARGE, "the packet is too large with its mount point");
    return 0;
}
