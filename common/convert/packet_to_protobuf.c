/* Field numbers stand here as in packet_to_frame.c, on purpose a second time: this form is the oracle of that one. */
#include "packet_to_protobuf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt_property.h"
#include "mqttv3.pb-c.h"
#include "mqttv5.pb-c.h"
#include "pb_property.h"
#include "pb_storage.h"

enum { FIELD_HAS_USERNAME = 100, FIELD_HAS_PASSWORD = 101, FIELD_DUP = 100 };

struct writer {
    ProtobufCAllocator *allocator;
    int result; /* 0 or -ENOMEM; after that nothing is allocated any more */
};

static void *default_alloc(void *data, size_t size)
{
    return malloc(size);
}

static void default_free(void *data, void *ptr)
{
    free(ptr);
}

static ProtobufCAllocator default_allocator = {default_alloc, default_free, NULL};

/* Zeroed. */
static void *writer_alloc(struct writer *w, size_t size)
{
    void *ptr = w->result == 0 ? w->allocator->alloc(w->allocator->allocator_data, size) : NULL;
    if (ptr)
        memset(ptr, 0, size);
    else
        w->result = -ENOMEM;
    return ptr;
}

static ProtobufCMessage *new_message(struct writer *w, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *m = writer_alloc(w, descriptor->sizeof_message);
    if (m)
        protobuf_c_message_init(descriptor, m);
    return m;
}

/* A member of a oneof says so. */
static void mark_member(ProtobufCMessage *m, const ProtobufCFieldDescriptor *field)
{
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)pb_quantifier(m, field) = field->id;
}

static void set_uint(ProtobufCMessage *m, unsigned number, uint32_t value)
{
    const ProtobufCFieldDescriptor *field;
    void *at = pb_storage(m, number, &field);
    if (!at) {
        assert(value == 0); /* a field of another version is empty in a legal packet */
        return;
    }
    mark_member(m, field);
    if (field->type == PROTOBUF_C_TYPE_BOOL)
        *(protobuf_c_boolean *)at = value != 0;
    else
        *(uint32_t *)at = value; /* uint32, enum */
}

static char *copy_text(struct writer *w, struct mqtt_bytes text)
{
    char *copy = writer_alloc(w, (size_t)text.len + 1);
    if (copy && text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

/* A string or bytes. */
static void set_bytes(struct writer *w, ProtobufCMessage *m, unsigned number, struct mqtt_bytes bytes)
{
    const ProtobufCFieldDescriptor *field;
    void *at = pb_storage(m, number, &field);
    bool is_member = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (field->type == PROTOBUF_C_TYPE_BYTES && bytes.len > 0) {
        ProtobufCBinaryData *data = at;
        data->data = writer_alloc(w, bytes.len);
        if (data->data)
            memcpy(data->data, bytes.ptr, data->len = bytes.len);
    } else if (field->type == PROTOBUF_C_TYPE_STRING && (bytes.len > 0 || is_member)) {
        char *copy = copy_text(w, bytes);
        if (copy)
            *(char **)at = copy;
    }
    mark_member(m, field);
}

/* An embedded message, now in M; NULL without memory. */
static ProtobufCMessage *add_message(struct writer *w, ProtobufCMessage *m, unsigned number)
{
    const ProtobufCFieldDescriptor *field;
    ProtobufCMessage **at = pb_storage(m, number, &field);
    ProtobufCMessage *embedded = new_message(w, field->descriptor);
    if (embedded) {
        *at = embedded;
        mark_member(m, field);
    }
    return embedded;
}

/* A repeated field with room for COUNT elements, none of them in it yet: the counter is in *RET_COUNT. */
static void *add_list(struct writer *w, ProtobufCMessage *m, unsigned number, size_t count, size_t element_size,
                      size_t **ret_count)
{
    const ProtobufCFieldDescriptor *field;
    void **at = pb_storage(m, number, &field);
    *ret_count = pb_quantifier(m, field);
    if (count > 0)
        *at = writer_alloc(w, count * element_size);
    return *at;
}

/* Add an element to a list of messages. */
static ProtobufCMessage *add_element(struct writer *w, const ProtobufCMessage *m, unsigned number)
{
    const ProtobufCFieldDescriptor *field;
    ProtobufCMessage **list = *(ProtobufCMessage ***)pb_storage(m, number, &field);
    ProtobufCMessage *element = new_message(w, field->descriptor);
    if (element)
        list[(*(size_t *)pb_quantifier(m, field))++] = element;
    return element;
}

static void set_property(struct writer *w, ProtobufCMessage *m, const struct mqtt_property *prop)
{
    unsigned number = pb_property_number(prop->id);
    ProtobufCMessage *pair;
    switch ((enum mqtt_property_type)prop->type) {
    case MQTT_PROPERTY_TYPE_U8:
    case MQTT_PROPERTY_TYPE_U16:
    case MQTT_PROPERTY_TYPE_U32:
    case MQTT_PROPERTY_TYPE_VARINT:
        set_uint(m, number, prop->number);
        break;
    case MQTT_PROPERTY_TYPE_STRING:
    case MQTT_PROPERTY_TYPE_BINARY:
        set_bytes(w, m, number, prop->value);
        break;
    case MQTT_PROPERTY_TYPE_PAIR:
        pair = add_message(w, m, number);
        if (pair) {
            set_bytes(w, pair, 1, prop->key);
            set_bytes(w, pair, 2, prop->value);
        }
        break;
    case MQTT_PROPERTY_TYPE_NONE:
        break;
    }
}

static void set_properties(struct writer *w, ProtobufCMessage *m, unsigned number,
                           const struct mqtt_properties *properties)
{
    struct mqtt_property prop;
    size_t count = 0, *in_list;
    struct mqtt_bytes iter = properties->wire;
    while (mqtt_property_next(&iter, &prop))
        count++;
    if (count == 0 || !add_list(w, m, number, count, sizeof(void *), &in_list))
        return;
    for (iter = properties->wire; mqtt_property_next(&iter, &prop);) {
        ProtobufCMessage *element = add_element(w, m, number);
        if (!element)
            return;
        set_property(w, element, &prop);
    }
}

static void set_will(struct writer *w, ProtobufCMessage *m, const struct mqtt_will *will)
{
    set_bytes(w, m, 1, will->topic);
    set_bytes(w, m, 2, will->payload);
    set_uint(m, 3, will->qos);
    set_uint(m, 4, will->retain);
    set_properties(w, m, 5, &will->properties);
}

static void set_connect(struct writer *w, ProtobufCMessage *m, const struct mqtt_packet *p)
{
    const struct mqtt_connect *c = &p->connect;
    const char *name = p->version == MQTT_V31 ? "MQIsdp" : "MQTT";
    set_bytes(w, m, 1, c->client_id);
    set_bytes(w, m, 2, (struct mqtt_bytes){(const uint8_t *)name, (uint32_t)strlen(name)});
    set_uint(m, 3, c->protocol_level);
    set_uint(m, 4, c->clean_start);
    set_uint(m, 5, c->keep_alive_s);
    if (c->has_username)
        set_bytes(w, m, 6, c->username);
    if (c->has_password)
        set_bytes(w, m, 7, c->password);
    ProtobufCMessage *will = c->has_will ? add_message(w, m, 8) : NULL;
    if (will)
        set_will(w, will, &c->will);
    set_properties(w, m, 9, &p->properties);
    set_uint(m, FIELD_HAS_USERNAME, c->has_username);
    set_uint(m, FIELD_HAS_PASSWORD, c->has_password);
}

static void set_publish(struct writer *w, ProtobufCMessage *m, const struct mqtt_packet *p)
{
    set_bytes(w, m, 1, p->publish.topic);
    set_uint(m, 2, p->packet_id);
    set_uint(m, 3, p->publish.qos);
    set_uint(m, 4, p->publish.retain);
    set_uint(m, 5, p->dup);
    set_bytes(w, m, 6, p->publish.payload);
    set_properties(w, m, 7, &p->properties);
}

static void set_subscriptions(struct writer *w, ProtobufCMessage *m, const struct mqtt_packet *p)
{
    size_t *in_list;
    struct mqtt_bytes iter = p->subscriptions.wire;
    struct mqtt_subscription s;
    if (!add_list(w, m, 2, p->subscriptions.count, sizeof(void *), &in_list))
        return;
    while (mqtt_subscription_next(&iter, &s)) {
        ProtobufCMessage *element = add_element(w, m, 2);
        if (!element)
            return;
        set_bytes(w, element, 1, s.filter);
        set_uint(element, 2, s.qos);
        set_uint(element, 3, s.no_local);
        set_uint(element, 4, s.retain_as_published);
        set_uint(element, 5, s.retain_handling);
    }
}

static void set_filters(struct writer *w, ProtobufCMessage *m, const struct mqtt_packet *p)
{
    size_t *in_list;
    struct mqtt_bytes iter = p->filters.wire, filter;
    char **list = add_list(w, m, 2, p->filters.count, sizeof(char *), &in_list);
    while (list && mqtt_filter_next(&iter, &filter)) {
        char *copy = copy_text(w, filter);
        if (!copy)
            return;
        list[(*in_list)++] = copy;
    }
}

static void set_codes(struct writer *w, ProtobufCMessage *m, const struct mqtt_packet *p)
{
    size_t *in_list;
    struct mqtt_bytes codes = p->reason_codes;
    if (codes.len == 0)
        return;
    uint32_t *list = add_list(w, m, 2, codes.len, sizeof(uint32_t), &in_list);
    for (; list && *in_list < codes.len; (*in_list)++)
        list[*in_list] = codes.ptr[*in_list];
}

/* The messages with a packet id and a list in field 2. */
static void set_list_packet(struct writer *w, ProtobufCMessage *m, const struct mqtt_packet *p)
{
    set_uint(m, 1, p->packet_id);
    if (p->type == MQTT_SUBSCRIBE)
        set_subscriptions(w, m, p);
    else if (p->type == MQTT_UNSUBSCRIBE)
        set_filters(w, m, p);
    else
        set_codes(w, m, p);
    set_properties(w, m, 3, &p->properties);
    set_uint(m, FIELD_DUP, p->dup);
}

static void set_body(struct writer *w, ProtobufCMessage *m, const struct mqtt_packet *p)
{
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        set_connect(w, m, p);
        break;
    case MQTT_CONNACK:
        set_uint(m, 1, p->connack.session_present);
        set_uint(m, 2, p->reason_code);
        set_properties(w, m, 3, &p->properties);
        break;
    case MQTT_PUBLISH:
        set_publish(w, m, p);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        set_uint(m, 1, p->packet_id);
        set_uint(m, 2, p->reason_code);
        set_properties(w, m, 3, &p->properties);
        set_uint(m, FIELD_DUP, p->dup);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_SUBACK:
    case MQTT_UNSUBSCRIBE:
    case MQTT_UNSUBACK:
        set_list_packet(w, m, p);
        break;
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        set_uint(m, 1, p->reason_code);
        set_properties(w, m, 2, &p->properties);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    }
}

int packet_to_protobuf(const struct mqtt_packet *packet, ProtobufCAllocator *allocator, ProtobufCMessage **ret_message)
{
    struct writer w = {.allocator = allocator ? allocator : &default_allocator};
    ProtobufCMessage *m = new_message(&w, packet->version == MQTT_V5 ? &mqttv5__mqtt_packet__descriptor
                                                                     : &mqttv3__mqtt_packet__descriptor);
    ProtobufCMessage *body = m ? add_message(&w, m, packet->type) : NULL;
    if (body)
        set_body(&w, body, packet);
    if (w.result < 0)
        protobuf_c_message_free_unpacked(m, w.allocator);
    else
        *ret_message = m;
    return w.result;
}
