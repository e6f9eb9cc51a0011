/* The rules of a server about the packets of its clients: one function per packet kind that has any, and a table of who
 * may send what. */
#include "mqtt_server_rules.h"

#include "mqtt_property.h"
#include "mqtt_topic.h"

enum { PROTOCOL_ERROR = MQTT_REASON_PROTOCOL_ERROR };

void mqtt_server_rules_init(struct mqtt_server_rules *rules)
{
    *rules = (struct mqtt_server_rules){
        .state = MQTT_RULES_CONNECT_DUE,
        .max_qos = 2,
        .has_retain = true,
        .has_wildcards = true,
        .has_subscription_ids = true,
        .has_shared = true,
    };
}

static int check_connect(struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (rules->state != MQTT_RULES_CONNECT_DUE)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.1.0-2: second CONNECT");
    rules->version = p->version;
    rules->has_auth_method = mqtt_property_has(&p->properties, MQTT_PROPERTY_AUTHENTICATION_METHOD);
    rules->is_session_expiry_zero = mqtt_property_number(&p->properties, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, 0) == 0;
    rules->state = MQTT_RULES_CONNACK_DUE;
    return 0;
}

/* 0 was refused by mqtt_check.h. Which aliases have been set is for whoever keeps their topics. */
static int check_alias(const struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (!rules->is_alias_max_known)
        return 0;
    if (mqtt_property_number(&p->properties, MQTT_PROPERTY_TOPIC_ALIAS, 0) > rules->topic_alias_max)
        return mqtt_fault_set(fault, MQTT_REASON_TOPIC_ALIAS_INVALID,
                              "MQTT-3.3.2-9: Topic Alias above the server's maximum");
    return 0;
}

static int check_publish(struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (p->publish.qos > rules->max_qos)
        return mqtt_fault_set(fault, MQTT_REASON_QOS_NOT_SUPPORTED,
                              "MQTT-3.2.2-11: QoS above the server's Maximum QoS");
    if (p->publish.retain && !rules->has_retain)
        return mqtt_fault_set(fault, MQTT_REASON_RETAIN_NOT_SUPPORTED, "MQTT-3.2.2-14: RETAIN to a server without it");
    if (p->properties.wire.len == 0)
        return 0;
    if (mqtt_property_has(&p->properties, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER))
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.3.4-6: Subscription Identifier in a client's PUBLISH");
    return check_alias(rules, p, fault);
}

static int check_filters(const struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    struct mqtt_bytes iter = p->subscriptions.wire;
    struct mqtt_subscription subscription;
    while (mqtt_subscription_next(&iter, &subscription)) {
        if (!rules->has_wildcards && mqtt_topic_has_wildcard(subscription.filter))
            return mqtt_fault_set(fault, MQTT_REASON_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
                                  "MQTT 3.2.2.3.11: wildcard to a server without them");
        if (!rules->has_shared && mqtt_topic_is_shared(subscription.filter))
            return mqtt_fault_set(fault, MQTT_REASON_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
                                  "MQTT 3.2.2.3.13: shared subscription to a server without them");
    }
    return 0;
}

static int check_subscribe(struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (!rules->has_subscription_ids && mqtt_property_has(&p->properties, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER))
        return mqtt_fault_set(fault, MQTT_REASON_SUBSCRIPTION_IDS_NOT_SUPPORTED,
                              "MQTT 3.2.2.3.12: Subscription Identifier to a server without them");
    /* Everything is granted as a rule: then the list, which may be long, need not be walked. */
    return rules->has_wildcards && rules->has_shared ? 0 : check_filters(rules, p, fault);
}

static int check_disconnect(struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (p->version == MQTT_V5) {
        if (!(mqtt_reason_senders(MQTT_DISCONNECT, p->reason_code) & MQTT_FROM_CLIENT))
            return mqtt_fault_set(fault, PROTOCOL_ERROR,
                                  "MQTT 3.14.2.1: reason code of a server in a client's DISCONNECT");
        if (mqtt_property_has(&p->properties, MQTT_PROPERTY_SERVER_REFERENCE))
            return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.14.2.2.5: Server Reference in a client's DISCONNECT");
        if (rules->is_session_expiry_zero &&
            mqtt_property_number(&p->properties, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, 0) > 0)
            return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.14.2.2.2: Session Expiry Interval raised from 0");
    }
    rules->state = MQTT_RULES_OVER;
    return 0;
}

static int check_auth(struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (!rules->has_auth_method)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-4.12.0-7: AUTH, but CONNECT had no Authentication Method");
    if (!(mqtt_reason_senders(MQTT_AUTH, p->reason_code) & MQTT_FROM_CLIENT))
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.15.2.1: reason code of a server in a client's AUTH");
    if (p->reason_code == MQTT_REASON_RE_AUTHENTICATE && rules->state != MQTT_RULES_LIVE)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 4.12.1: re-authentication before CONNACK");
    return 0;
}

static int check_anything(struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    return 0;
}

typedef int check_fn(struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault);

/* NULL: a client never sends it. */
static check_fn *const checks[] = {
    [MQTT_CONNECT] = check_connect,     [MQTT_PUBLISH] = check_publish,
    [MQTT_PUBACK] = check_anything,     [MQTT_PUBREC] = check_anything,
    [MQTT_PUBREL] = check_anything,     [MQTT_PUBCOMP] = check_anything,
    [MQTT_SUBSCRIBE] = check_subscribe, [MQTT_UNSUBSCRIBE] = check_anything,
    [MQTT_PINGREQ] = check_anything,    [MQTT_DISCONNECT] = check_disconnect,
    [MQTT_AUTH] = check_auth,
};

static int check_state(const struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (rules->state == MQTT_RULES_OVER)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.14.4-1: packet after the end of the connection");
    if (rules->state == MQTT_RULES_CONNECT_DUE && p->type != MQTT_CONNECT)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.1.0-1: first packet is not CONNECT");
    if (rules->state == MQTT_RULES_CONNECT_DUE)
        return 0;
    if (p->version != rules->version && p->type != MQTT_CONNECT)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.1.2.2: packet of another version than CONNECT");
    /* Without a method a client need not wait for CONNACK (section 3.1.4). */
    bool may_pass = p->type == MQTT_AUTH || p->type == MQTT_DISCONNECT || p->type == MQTT_CONNECT;
    if (rules->state == MQTT_RULES_CONNACK_DUE && rules->has_auth_method && !may_pass)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.1.2-30: neither AUTH nor DISCONNECT before CONNACK");
    return 0;
}

int mqtt_server_rules_check(struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *ret_fault)
{
    if (check_state(rules, p, ret_fault))
        return MQTT_RULES_CLOSE;
    check_fn *check = checks[p->type];
    if (!check)
        return mqtt_fault_set(ret_fault, PROTOCOL_ERROR, "MQTT 2.1.2: packet that only a server sends");
    return check(rules, p, ret_fault);
}

/* What was not said was granted; for 3.x nothing can be said. */
static void take_grants(struct mqtt_server_rules *rules, const struct mqtt_packet *connack)
{
    const struct mqtt_properties *list = &connack->properties;
    rules->is_alias_max_known = true;
    rules->topic_alias_max = (uint16_t)mqtt_property_number(list, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 0);
    rules->max_qos = (uint8_t)mqtt_property_number(list, MQTT_PROPERTY_MAXIMUM_QOS, 2);
    rules->has_retain = mqtt_property_number(list, MQTT_PROPERTY_RETAIN_AVAILABLE, 1);
    rules->has_wildcards = mqtt_property_number(list, MQTT_PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE, 1);
    rules->has_subscription_ids = mqtt_property_number(list, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIERS_AVAILABLE, 1);
    rules->has_shared = mqtt_property_number(list, MQTT_PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE, 1);
}

void mqtt_server_rules_sent(struct mqtt_server_rules *rules, const struct mqtt_packet *p)
{
    bool is_refusal = p->type == MQTT_CONNACK && p->reason_code != 0;
    if (p->type == MQTT_DISCONNECT || is_refusal) {
        rules->state = MQTT_RULES_OVER; /* MQTT-3.1.4-6: nothing that follows is processed */
    } else if (p->type == MQTT_CONNACK) {
        take_grants(rules, p);
        if (rules->state == MQTT_RULES_CONNACK_DUE)
            rules->state = MQTT_RULES_LIVE;
    }
}
