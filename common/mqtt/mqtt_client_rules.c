/* The rules of a client about the packets of its server. */
#include "mqtt_client_rules.h"

#include "mqtt_property.h"

enum { PROTOCOL_ERROR = MQTT_REASON_PROTOCOL_ERROR };

void mqtt_client_rules_init(struct mqtt_client_rules *rules, const struct mqtt_packet *connect)
{
    *rules = (struct mqtt_client_rules){
        .state = MQTT_RULES_CONNACK_DUE,
        .version = connect->version,
        .has_auth_method = mqtt_property_has(&connect->properties, MQTT_PROPERTY_AUTHENTICATION_METHOD),
        .is_clean_start = connect->connect.clean_start,
        .topic_alias_max = (uint16_t)mqtt_property_number(&connect->properties, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 0),
    };
}

/* That a successful CONNACK repeats the method (MQTT-4.12.0-5) is not asked for: brokers forget it, and nothing depends
 * on it. */
static int check_connack(struct mqtt_client_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    bool is_session_present = p->connack.session_present && p->version != MQTT_V31; /* 3.1 has no such flag */
    if (rules->state != MQTT_RULES_CONNACK_DUE)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.2.0-2: second CONNACK");
    if (is_session_present && p->reason_code != 0)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.2.2-6: CONNACK refuses, but says that there is a session");
    if (is_session_present && rules->is_clean_start)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.2.2-2: CONNACK has an old session for a clean start");
    if (!rules->has_auth_method && mqtt_property_has(&p->properties, MQTT_PROPERTY_AUTHENTICATION_METHOD))
        return mqtt_fault_set(fault, PROTOCOL_ERROR,
                              "MQTT-4.12.0-6: CONNACK has a method that CONNECT did not ask for");
    rules->state = p->reason_code == 0 ? MQTT_RULES_LIVE : MQTT_RULES_OVER;
    return 0;
}

static int check_publish(struct mqtt_client_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (p->properties.wire.len == 0)
        return 0;
    if (mqtt_property_number(&p->properties, MQTT_PROPERTY_TOPIC_ALIAS, 0) > rules->topic_alias_max)
        return mqtt_fault_set(fault, MQTT_REASON_TOPIC_ALIAS_INVALID,
                              "MQTT-3.3.2-11: Topic Alias above the client's maximum");
    return 0;
}

static int check_disconnect(struct mqtt_client_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (p->version != MQTT_V5)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.1.1 3.14: DISCONNECT from a server");
    if (!(mqtt_reason_senders(MQTT_DISCONNECT, p->reason_code) & MQTT_FROM_SERVER))
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.14.2.1: reason code of a client in a server's DISCONNECT");
    if (mqtt_property_has(&p->properties, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL))
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-3.14.2-2: Session Expiry Interval in a server's DISCONNECT");
    rules->state = MQTT_RULES_OVER;
    return 0;
}

static int check_auth(struct mqtt_client_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (!rules->has_auth_method)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-4.12.0-6: AUTH, but CONNECT had no Authentication Method");
    if (!(mqtt_reason_senders(MQTT_AUTH, p->reason_code) & MQTT_FROM_SERVER))
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT 3.15.2.1: reason code of a client in a server's AUTH");
    /* Before CONNACK the end of a successful exchange is CONNACK itself (section 4.12). */
    if (rules->state == MQTT_RULES_CONNACK_DUE && p->reason_code != MQTT_REASON_CONTINUE_AUTHENTICATION)
        return mqtt_fault_set(fault, PROTOCOL_ERROR, "MQTT-4.12.0-2: AUTH before CONNACK does not ask for more");
    return 0;
}

static int check_anything(struct mqtt_client_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault)
{
    return 0;
}

typedef int check_fn(struct mqtt_client_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *fault);

/* NULL: a server never sends it. */
static check_fn *const checks[MQTT_AUTH + 1] = {
    [MQTT_CONNACK] = check_connack,       [MQTT_PUBLISH] = check_publish,   [MQTT_PUBACK] = check_anything,
    [MQTT_PUBREC] = check_anything,       [MQTT_PUBREL] = check_anything,   [MQTT_PUBCOMP] = check_anything,
    [MQTT_SUBACK] = check_anything,       [MQTT_UNSUBACK] = check_anything, [MQTT_PINGRESP] = check_anything,
    [MQTT_DISCONNECT] = check_disconnect, [MQTT_AUTH] = check_auth,
};

int mqtt_client_rules_check(struct mqtt_client_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *ret_fault)
{
    if (rules->state == MQTT_RULES_OVER)
        return mqtt_fault_set(ret_fault, PROTOCOL_ERROR, "MQTT-3.14.4-1: packet after the end of the connection");
    if (p->version != rules->version)
        return mqtt_fault_set(ret_fault, PROTOCOL_ERROR, "MQTT 3.1.2.2: packet of another version than CONNECT");
    check_fn *check = checks[p->type];
    if (!check)
        return mqtt_fault_set(ret_fault, PROTOCOL_ERROR, "MQTT 2.1.2: packet that only a client sends");
    if (rules->state == MQTT_RULES_CONNACK_DUE && p->type != MQTT_CONNACK && p->type != MQTT_AUTH)
        return mqtt_fault_set(ret_fault, PROTOCOL_ERROR, "MQTT-3.2.0-1: packet before CONNACK");
    return check(rules, p, ret_fault);
}
