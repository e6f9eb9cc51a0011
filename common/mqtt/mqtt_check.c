/* Rules about the content of packets: one function per packet kind, picked from a table.
 *
 *     mqtt_packet_check  =  shape (fields that fit the type, version and wire format)  +  mqtt_check_content (what the
 * standard says) */
#include "mqtt_check.h"

#include "mqtt_encode.h"
#include "mqtt_property.h"
#include "mqtt_topic.h"
#include "mqtt_utf8.h"
#include "mqtt_wire.h"

enum {
    MALFORMED = MQTT_REASON_MALFORMED_PACKET,
    PROTOCOL_ERROR = MQTT_REASON_PROTOCOL_ERROR,
};

/* BAD_TEXT is what to say if it is not UTF-8. */
static int check_text(struct mqtt_bytes text, const char *bad_text, struct mqtt_fault *fault)
{
    switch (mqtt_utf8_check(text.ptr, text.len)) {
    case MQTT_UTF8_OK:
        return 0;
    case MQTT_UTF8_BAD:
        return mqtt_fault_set(fault, MALFORMED, bad_text);
    case MQTT_UTF8_NUL:
        break;
    }
    return mqtt_fault_set(fault, MALFORMED, "MQTT-1.5.4-2: string holds U+0000");
}

int mqtt_check_string(struct mqtt_bytes text, struct mqtt_fault *ret_fault)
{
    return check_text(text, "MQTT-1.5.4-1: string is not UTF-8", ret_fault);
}

/* Kept apart so that the common case below needs no registers saved. */
static __attribute__((noinline)) int check_odd_topic(struct mqtt_bytes topic, struct mqtt_fault *fault)
{
    if (check_text(topic, "MQTT-3.3.2-1: topic name is not UTF-8", fault))
        return MQTT_CHECK_BAD;
    if (mqtt_topic_has_wildcard(topic))
        return mqtt_fault_set(fault, MQTT_REASON_TOPIC_NAME_INVALID, "MQTT-3.3.2-2: topic name holds a wildcard");
    return 0;
}

/* Static: in position independent code a global function is not inlined, and this one is on the hot path. */
static int check_topic(struct mqtt_bytes topic, struct mqtt_fault *fault)
{
    return mqtt_topic_is_simple(topic) ? 0 : check_odd_topic(topic, fault);
}

int mqtt_check_topic(struct mqtt_bytes topic, struct mqtt_fault *ret_fault)
{
    return check_topic(topic, ret_fault);
}

static int check_properties(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    return p->properties.wire.len > 0 ? mqtt_property_check(p->type, p->properties.wire, fault) : 0;
}

static int check_reason(const struct mqtt_packet *p, const char *text, struct mqtt_fault *fault)
{
    if (!mqtt_reason_is_allowed(p->version, p->type, p->reason_code))
        return mqtt_fault_set(fault, PROTOCOL_ERROR, text);
    return 0;
}

static int check_packet_id(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (p->packet_id == 0)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-2.2.1-3: packet identifier is 0");
    return 0;
}

static int check_will(const struct mqtt_will *will, struct mqtt_fault *fault)
{
    if (will->qos > 2)
        return mqtt_fault_set(fault, MALFORMED, "MQTT-3.1.2-12: will QoS is 3");
    if (will->topic.len == 0)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-4.7.3-1: will topic is empty");
    if (check_text(will->topic, "MQTT-3.1.3-11: will topic is not UTF-8", fault))
        return MQTT_CHECK_BAD;
    if (mqtt_topic_has_wildcard(will->topic))
        return mqtt_fault_set(fault, MQTT_REASON_TOPIC_NAME_INVALID, "MQTT-4.7.0-1: will topic holds a wildcard");
    return mqtt_property_check(MQTT_WILL, will->properties.wire, fault);
}

/* The client id may be empty in every version: whether that is accepted is for the broker to say (3.1.1: code 2 unless
 * Clean Session; 3.1 asks for 1 to 23 characters, which nobody enforces). */
static int check_connect(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    const struct mqtt_connect *c = &p->connect;
    if (check_properties(p, fault))
        return MQTT_CHECK_BAD;
    if (mqtt_property_has(&p->properties, MQTT_PROPERTY_AUTHENTICATION_DATA) &&
        !mqtt_property_has(&p->properties, MQTT_PROPERTY_AUTHENTICATION_METHOD))
        return mqtt_fault_set(fault, PROTOCOL_ERROR,
                              "MQTT 3.1.2.11.10: Authentication Data without Authentication Method");
    if (check_text(c->client_id, "MQTT-3.1.3-4: client id is not UTF-8", fault))
        return MQTT_CHECK_BAD;
    if (c->has_will && check_will(&c->will, fault))
        return MQTT_CHECK_BAD;
    if (c->has_username && check_text(c->username, "MQTT-3.1.3-12: user name is not UTF-8", fault))
        return MQTT_CHECK_BAD;
    if (p->version != MQTT_V5 && c->has_password && !c->has_username)
        return mqtt_fault_set(fault, MALFORMED, "MQTT 3.1.1 MQTT-3.1.2-22: password without user name");
    return 0;
}

static int check_connack(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (check_reason(p, "MQTT-3.2.2-8: CONNACK has no such reason code", fault))
        return MQTT_CHECK_BAD;
    return check_properties(p, fault);
}

static int check_publish(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    const struct mqtt_publish *publish = &p->publish;
    if (publish->qos > 2)
        return mqtt_fault_set(fault, MALFORMED, "MQTT-3.3.1-4: QoS is 3");
    if (publish->qos == 0 && p->dup)
        return mqtt_fault_set(fault, MALFORMED, "MQTT-3.3.1-2: DUP is set with QoS 0");
    if (publish->qos > 0 && check_packet_id(p, fault))
        return MQTT_CHECK_BAD;
    if (check_topic(publish->topic, fault) || check_properties(p, fault))
        return MQTT_CHECK_BAD;
    if (publish->topic.len == 0 && !mqtt_property_has(&p->properties, MQTT_PROPERTY_TOPIC_ALIAS))
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-4.7.3-1: topic name is empty and there is no Topic Alias");
    return 0;
}

/* PUBACK, PUBREC, PUBREL, PUBCOMP. */
static int check_ack(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    static const char *const texts[] = {
        [MQTT_PUBACK] = "MQTT-3.4.2-1: PUBACK has no such reason code",
        [MQTT_PUBREC] = "MQTT-3.5.2-1: PUBREC has no such reason code",
        [MQTT_PUBREL] = "MQTT-3.6.2-1: PUBREL has no such reason code",
        [MQTT_PUBCOMP] = "MQTT-3.7.2-1: PUBCOMP has no such reason code",
    };
    if (check_packet_id(p, fault) || check_reason(p, texts[p->type], fault))
        return MQTT_CHECK_BAD;
    return check_properties(p, fault);
}

/* A "$share/" filter is a shared subscription in 5.0 only; in 3.x it is the broker that may give it a meaning. */
static int check_filter(uint8_t version, struct mqtt_bytes filter, const char *bad_text, struct mqtt_fault *fault)
{
    struct mqtt_bytes group, inner;
    if (check_text(filter, bad_text, fault))
        return MQTT_CHECK_BAD;
    if (!mqtt_topic_filter_is_valid(filter))
        return mqtt_fault_set(fault, MQTT_REASON_TOPIC_FILTER_INVALID, "MQTT-4.7.1-1: topic filter is not valid");
    if (version == MQTT_V5 && mqtt_topic_is_shared(filter) && !mqtt_topic_split_shared(filter, &group, &inner))
        return mqtt_fault_set(fault, MQTT_REASON_TOPIC_FILTER_INVALID,
                              "MQTT-4.8.2-1: shared subscription is not valid");
    return 0;
}

static int check_options(uint8_t version, struct mqtt_bytes filter, uint8_t options, struct mqtt_fault *fault)
{
    uint8_t reserved = version == MQTT_V5 ? 0xC0 : 0xFC;
    if (options & reserved)
        return mqtt_fault_set(fault, MALFORMED, "MQTT-3.8.3-5: reserved bits in the subscription options");
    if ((options & 3) == 3)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.8.3.1: QoS of a subscription is 3");
    if ((options >> 4 & 3) == 3)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.8.3.1: Retain Handling is 3");
    if ((options & 4) && mqtt_topic_is_shared(filter))
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.8.3-4: No Local on a shared subscription");
    return 0;
}

static int check_subscriptions(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    struct cursor c = cursor_make(p->subscriptions.wire.ptr, p->subscriptions.wire.len);
    if (c.len == 0)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.8.3-2: SUBSCRIBE without topic filter");
    while (c.len > 0) {
        struct mqtt_bytes filter;
        uint8_t options;
        if (mqtt_wire_read_text(&c, &filter) || cursor_read_u8(&c, &options))
            return mqtt_fault_set(fault, MALFORMED, "MQTT 3.8.3: subscription is cut short");
        if (check_filter(p->version, filter, "MQTT-3.8.3-1: topic filter is not UTF-8", fault) ||
            check_options(p->version, filter, options, fault))
            return MQTT_CHECK_BAD;
    }
    return 0;
}

static int check_subscribe(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (check_packet_id(p, fault) || check_properties(p, fault))
        return MQTT_CHECK_BAD;
    return check_subscriptions(p, fault);
}

static int check_filters(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    struct cursor c = cursor_make(p->filters.wire.ptr, p->filters.wire.len);
    if (c.len == 0)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.10.3-2: UNSUBSCRIBE without topic filter");
    while (c.len > 0) {
        struct mqtt_bytes filter;
        if (mqtt_wire_read_text(&c, &filter))
            return mqtt_fault_set(fault, MALFORMED, "MQTT 3.10.3: topic filter is cut short");
        if (check_filter(p->version, filter, "MQTT-3.10.3-1: topic filter is not UTF-8", fault))
            return MQTT_CHECK_BAD;
    }
    return 0;
}

static int check_unsubscribe(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (check_packet_id(p, fault) || check_properties(p, fault))
        return MQTT_CHECK_BAD;
    return check_filters(p, fault);
}

/* SUBACK; UNSUBACK of 5.0. One code for each filter of a request that has at least one, so never none (CVE-2024-10525).
 */
static int check_reason_list(const struct mqtt_packet *p, const char *text, struct mqtt_fault *fault)
{
    if (p->reason_codes.len == 0)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.8.4-6: acknowledgement without reason code");
    for (uint32_t i = 0; i < p->reason_codes.len; i++)
        if (!mqtt_reason_is_allowed(p->version, p->type, p->reason_codes.ptr[i]))
            return mqtt_fault_set(fault, PROTOCOL_ERROR, text);
    return 0;
}

static int check_suback(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (check_packet_id(p, fault) || check_properties(p, fault))
        return MQTT_CHECK_BAD;
    return check_reason_list(p, "MQTT-3.9.3-2: SUBACK has no such reason code", fault);
}

static int check_unsuback(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (check_packet_id(p, fault) || check_properties(p, fault))
        return MQTT_CHECK_BAD;
    if (p->version != MQTT_V5)
        return 0;
    return check_reason_list(p, "MQTT-3.11.3-2: UNSUBACK has no such reason code", fault);
}

static int check_ping(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    return 0;
}

static int check_disconnect(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (check_reason(p, "MQTT-3.14.2-1: DISCONNECT has no such reason code", fault))
        return MQTT_CHECK_BAD;
    return check_properties(p, fault);
}

static int check_auth(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (check_reason(p, "MQTT-3.15.2-1: AUTH has no such reason code", fault) || check_properties(p, fault))
        return MQTT_CHECK_BAD;
    if (!mqtt_property_has(&p->properties, MQTT_PROPERTY_AUTHENTICATION_METHOD))
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.15.2.2.2: AUTH without Authentication Method");
    return 0;
}

typedef int check_fn(const struct mqtt_packet *p, struct mqtt_fault *fault);

static check_fn *const checks[] = {
    [MQTT_CONNECT] = check_connect,   [MQTT_CONNACK] = check_connack,
    [MQTT_PUBLISH] = check_publish,   [MQTT_PUBACK] = check_ack,
    [MQTT_PUBREC] = check_ack,        [MQTT_PUBREL] = check_ack,
    [MQTT_PUBCOMP] = check_ack,       [MQTT_SUBSCRIBE] = check_subscribe,
    [MQTT_SUBACK] = check_suback,     [MQTT_UNSUBSCRIBE] = check_unsubscribe,
    [MQTT_UNSUBACK] = check_unsuback, [MQTT_PINGREQ] = check_ping,
    [MQTT_PINGRESP] = check_ping,     [MQTT_DISCONNECT] = check_disconnect,
    [MQTT_AUTH] = check_auth,
};

int mqtt_check_content(const struct mqtt_packet *p, struct mqtt_fault *ret_fault)
{
    return checks[p->type](p, ret_fault);
}

/* A packet that came through other hands may have fields that its wire format has no place for: those would get lost
 * silently or, worse, be narrowed. */
static int refuse_shape(struct mqtt_fault *fault, const char *text)
{
    return mqtt_fault_set(fault, MALFORMED, text);
}

static bool fits(struct mqtt_bytes bytes, uint32_t max)
{
    return bytes.len <= max && (bytes.ptr || bytes.len == 0);
}

static bool has_place_for_dup(const struct mqtt_packet *p)
{
    bool is_old_repeat = p->type == MQTT_PUBREL || p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE;
    return p->type == MQTT_PUBLISH || (p->version == MQTT_V31 && is_old_repeat);
}

static bool has_place_for_id(const struct mqtt_packet *p)
{
    if (p->type == MQTT_PUBLISH)
        return p->publish.qos > 0;
    return p->type >= MQTT_PUBACK && p->type <= MQTT_UNSUBACK;
}

static bool has_place_for_reason(const struct mqtt_packet *p)
{
    if (p->type == MQTT_CONNACK)
        return true;
    return p->version == MQTT_V5 && ((p->type >= MQTT_PUBACK && p->type <= MQTT_PUBCOMP) || p->type >= MQTT_DISCONNECT);
}

static bool has_place_for_properties(const struct mqtt_packet *p)
{
    return p->version == MQTT_V5 && p->type != MQTT_PINGREQ && p->type != MQTT_PINGRESP;
}

static int check_common_shape(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (p->version < MQTT_V31 || p->version > MQTT_V5)
        return refuse_shape(fault, "there is no such MQTT version");
    if (p->type < MQTT_CONNECT || p->type > MQTT_AUTH || (p->type == MQTT_AUTH && p->version != MQTT_V5))
        return refuse_shape(fault, "MQTT 2.1.2: there is no such packet type in this version");
    if (p->dup && !has_place_for_dup(p))
        return refuse_shape(fault, "MQTT-2.1.3-1: DUP on a packet that has none");
    if (p->packet_id != 0 && !has_place_for_id(p))
        return refuse_shape(fault, "MQTT-2.2.1-2: packet identifier on a packet that has none");
    if (p->reason_code != 0 && !has_place_for_reason(p))
        return refuse_shape(fault, "MQTT 2.4: reason code on a packet that has none");
    if (p->properties.wire.len > 0 && !has_place_for_properties(p))
        return refuse_shape(fault, "MQTT 2.2.2: properties on a packet that has none");
    if (!fits(p->properties.wire, MQTT_VARINT_MAX))
        return refuse_shape(fault, "MQTT 2.2.2.1: properties are too long");
    return 0;
}

static bool level_fits(const struct mqtt_packet *p)
{
    uint8_t level = p->connect.protocol_level;
    return level == p->version || (p->version != MQTT_V5 && level == (p->version | MQTT_BRIDGE_BIT));
}

static int check_connect_shape(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    const struct mqtt_connect *c = &p->connect;
    if (!level_fits(p))
        return mqtt_fault_set(fault, MQTT_REASON_UNSUPPORTED_VERSION,
                              "MQTT-3.1.2-2: protocol level does not fit the version");
    if (!fits(c->client_id, MQTT_STRING_MAX) || (c->has_username && !fits(c->username, MQTT_STRING_MAX)) ||
        (c->has_password && !fits(c->password, MQTT_STRING_MAX)))
        return refuse_shape(fault, "MQTT 1.5.4: client id, user name or password is longer than 65,535 bytes");
    if (!c->has_will)
        return 0;
    if (!fits(c->will.topic, MQTT_STRING_MAX) || !fits(c->will.payload, MQTT_STRING_MAX))
        return refuse_shape(fault, "MQTT 1.5.4: will topic or payload is longer than 65,535 bytes");
    if (!fits(c->will.properties.wire, MQTT_VARINT_MAX) || (c->will.properties.wire.len > 0 && p->version != MQTT_V5))
        return refuse_shape(fault, "MQTT 3.1.3.2: will properties are too long or there are none in this version");
    return 0;
}

static int check_list_shape(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    const struct mqtt_list *list = p->type == MQTT_SUBSCRIBE ? &p->subscriptions : &p->filters;
    if (!fits(list->wire, MQTT_PACKET_MAX))
        return refuse_shape(fault, "MQTT 2.1.4: list of topic filters is too long");
    struct mqtt_bytes iter = list->wire, filter;
    struct mqtt_subscription subscription;
    uint32_t count = 0;
    while (p->type == MQTT_SUBSCRIBE ? mqtt_subscription_next(&iter, &subscription) : mqtt_filter_next(&iter, &filter))
        count++;
    if (iter.len > 0 || count != list->count)
        return refuse_shape(fault, "list of topic filters is cut short or has another length than it says");
    return 0;
}

static int check_type_shape(const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    switch (p->type) {
    case MQTT_CONNECT:
        return check_connect_shape(p, fault);
    case MQTT_PUBLISH:
        if (!fits(p->publish.topic, MQTT_STRING_MAX) || !fits(p->publish.payload, MQTT_PACKET_MAX))
            return refuse_shape(fault, "MQTT 1.5.4: topic name or payload is too long");
        return 0;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return check_list_shape(p, fault);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        if (!fits(p->reason_codes, MQTT_PACKET_MAX))
            return refuse_shape(fault, "MQTT 2.1.4: list of reason codes is too long");
        if (p->type == MQTT_UNSUBACK && p->version != MQTT_V5 && p->reason_codes.len > 0)
            return refuse_shape(fault, "MQTT 3.11.3: UNSUBACK has no reason codes in this version");
        return 0;
    default:
        return 0;
    }
}

int mqtt_packet_check(const struct mqtt_packet *p, struct mqtt_fault *ret_fault)
{
    if (check_common_shape(p, ret_fault) || check_type_shape(p, ret_fault))
        return MQTT_CHECK_BAD;
    if (mqtt_encode_size(p) > MQTT_PACKET_MAX)
        return mqtt_fault_set(ret_fault, MQTT_REASON_PACKET_TOO_LARGE, "MQTT 2.1.4: packet is larger than MQTT allows");
    return mqtt_check_content(p, ret_fault);
}
