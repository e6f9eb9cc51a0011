/* One table of the reason codes of MQTT 5.0, section 2.4, and the sections of the packets for who may send what. */
#include "mqtt_reason.h"

#include <stddef.h>

#include "mqtt_packet.h"

#define IN(TYPE) (1u << MQTT_##TYPE)

enum {
    ACKS = IN(PUBACK) | IN(PUBREC),
    RELEASES = IN(PUBREL) | IN(PUBCOMP),
    LISTS = IN(SUBACK) | IN(UNSUBACK),
    CLIENT = MQTT_FROM_CLIENT,
    SERVER = MQTT_FROM_SERVER,
    BOTH = MQTT_FROM_CLIENT | MQTT_FROM_SERVER,
};

struct reason_info {
    const char *name;
    const char *text;
    uint16_t places; /* bit (1 << type) of each packet that may carry it */
    uint8_t senders; /* who may put it into a DISCONNECT or AUTH */
};

static const struct reason_info reasons[] = {
    [0x00] = {"success", "Success", IN(CONNACK) | ACKS | RELEASES | LISTS | IN(DISCONNECT) | IN(AUTH), BOTH},
    [0x01] = {"granted_qos_1", "Granted QoS 1", IN(SUBACK), 0},
    [0x02] = {"granted_qos_2", "Granted QoS 2", IN(SUBACK), 0},
    [0x04] = {"disconnect_with_will", "Disconnect with Will Message", IN(DISCONNECT), CLIENT},
    [0x10] = {"no_matching_subscribers", "No matching subscribers", ACKS, 0},
    [0x11] = {"no_subscription_existed", "No subscription existed", IN(UNSUBACK), 0},
    [0x18] = {"continue_authentication", "Continue authentication", IN(AUTH), BOTH},
    [0x19] = {"re_authenticate", "Re-authenticate", IN(AUTH), CLIENT},
    [0x80] = {"unspecified", "Unspecified error", IN(CONNACK) | ACKS | LISTS | IN(DISCONNECT), BOTH},
    [0x81] = {"malformed_packet", "Malformed Packet", IN(CONNACK) | IN(DISCONNECT), BOTH},
    [0x82] = {"protocol_error", "Protocol Error", IN(CONNACK) | IN(DISCONNECT), BOTH},
    [0x83] = {"implementation_specific", "Implementation specific error", IN(CONNACK) | ACKS | LISTS | IN(DISCONNECT),
              BOTH},
    [0x84] = {"unsupported_version", "Unsupported Protocol Version", IN(CONNACK), 0},
    [0x85] = {"client_id_not_valid", "Client Identifier not valid", IN(CONNACK), 0},
    [0x86] = {"bad_user_name_or_password", "Bad User Name or Password", IN(CONNACK), 0},
    [0x87] = {"not_authorized", "Not authorized", IN(CONNACK) | ACKS | LISTS | IN(DISCONNECT), SERVER},
    [0x88] = {"server_unavailable", "Server unavailable", IN(CONNACK), 0},
    [0x89] = {"server_busy", "Server busy", IN(CONNACK) | IN(DISCONNECT), SERVER},
    [0x8A] = {"banned", "Banned", IN(CONNACK), 0},
    [0x8B] = {"server_shutting_down", "Server shutting down", IN(DISCONNECT), SERVER},
    /* Section 2.4 gives this one to DISCONNECT, table 3-10 of section 3.14.2.1 leaves it out: taken. */
    [0x8C] = {"bad_authentication_method", "Bad authentication method", IN(CONNACK) | IN(DISCONNECT), SERVER},
    [0x8D] = {"keep_alive_timeout", "Keep Alive timeout", IN(DISCONNECT), SERVER},
    [0x8E] = {"session_taken_over", "Session taken over", IN(DISCONNECT), SERVER},
    [0x8F] = {"topic_filter_invalid", "Topic Filter invalid", LISTS | IN(DISCONNECT), SERVER},
    [0x90] = {"topic_name_invalid", "Topic Name invalid", IN(CONNACK) | ACKS | IN(DISCONNECT), BOTH},
    [0x91] = {"packet_id_in_use", "Packet Identifier in use", ACKS | LISTS, 0},
    [0x92] = {"packet_id_not_found", "Packet Identifier not found", RELEASES, 0},
    [0x93] = {"receive_maximum_exceeded", "Receive Maximum exceeded", IN(DISCONNECT), BOTH},
    [0x94] = {"topic_alias_invalid", "Topic Alias invalid", IN(DISCONNECT), BOTH},
    [0x95] = {"packet_too_large", "Packet too large", IN(CONNACK) | IN(DISCONNECT), BOTH},
    [0x96] = {"message_rate_too_high", "Message rate too high", IN(DISCONNECT), BOTH},
    [0x97] = {"quota_exceeded", "Quota exceeded", IN(CONNACK) | ACKS | IN(SUBACK) | IN(DISCONNECT), BOTH},
    [0x98] = {"administrative_action", "Administrative action", IN(DISCONNECT), BOTH},
    [0x99] = {"payload_format_invalid", "Payload format invalid", IN(CONNACK) | ACKS | IN(DISCONNECT), BOTH},
    [0x9A] = {"retain_not_supported", "Retain not supported", IN(CONNACK) | IN(DISCONNECT), SERVER},
    [0x9B] = {"qos_not_supported", "QoS not supported", IN(CONNACK) | IN(DISCONNECT), SERVER},
    [0x9C] = {"use_another_server", "Use another server", IN(CONNACK) | IN(DISCONNECT), SERVER},
    [0x9D] = {"server_moved", "Server moved", IN(CONNACK) | IN(DISCONNECT), SERVER},
    [0x9E] = {"shared_subscriptions_not_supported", "Shared Subscriptions not supported", IN(SUBACK) | IN(DISCONNECT),
              SERVER},
    [0x9F] = {"connection_rate_exceeded", "Connection rate exceeded", IN(CONNACK) | IN(DISCONNECT), SERVER},
    [0xA0] = {"maximum_connect_time", "Maximum connect time", IN(DISCONNECT), SERVER},
    [0xA1] = {"subscription_ids_not_supported", "Subscription Identifiers not supported", IN(SUBACK) | IN(DISCONNECT),
              SERVER},
    [0xA2] = {"wildcard_subscriptions_not_supported", "Wildcard Subscriptions not supported",
              IN(SUBACK) | IN(DISCONNECT), SERVER},
};

static const struct reason_info *reason_info(uint8_t reason)
{
    static const struct reason_info none = {"unknown", "Unknown reason code", 0, 0};
    if (reason >= sizeof(reasons) / sizeof(reasons[0]) || !reasons[reason].name)
        return &none;
    return &reasons[reason];
}

const char *mqtt_reason_name(uint8_t reason)
{
    return reason_info(reason)->name;
}

const char *mqtt_reason_text(uint8_t type, uint8_t reason)
{
    if (reason == 0 && type == MQTT_DISCONNECT)
        return "Normal disconnection";
    if (reason == 0 && type == MQTT_SUBACK)
        return "Granted QoS 0";
    return reason_info(reason)->text;
}

static bool is_allowed_in_v3(uint8_t type, uint8_t code)
{
    if (type == MQTT_CONNACK)
        return code <= MQTT_V3_NOT_AUTHORIZED;
    /* MQTT 3.1 has no failure code in SUBACK; brokers send that of 3.1.1 all the same, and clients know it. */
    if (type == MQTT_SUBACK)
        return code <= MQTT_REASON_GRANTED_QOS_2 || code == MQTT_REASON_UNSPECIFIED;
    return code == 0;
}

bool mqtt_reason_is_allowed(uint8_t version, uint8_t type, uint8_t reason)
{
    if (version != MQTT_V5)
        return is_allowed_in_v3(type, reason);
    return reason_info(reason)->places & 1u << type;
}

unsigned mqtt_reason_senders(uint8_t type, uint8_t reason)
{
    if (!mqtt_reason_is_allowed(MQTT_V5, type, reason))
        return 0;
    /* Success of a (re-)authentication is for the server to say (section 3.15.2.1). */
    if (type == MQTT_AUTH && reason == MQTT_REASON_SUCCESS)
        return MQTT_FROM_SERVER;
    return reason_info(reason)->senders;
}

/* What a 3.x client is told. Where the fault is in its packets it is not told anything: 3.1.1 has no code for that and
 * asks for a close (section 4.8). Where the server cannot or will not, "unavailable" makes it come back later, which is
 * what 5.0 clients do with these codes. */
uint8_t mqtt_reason_to_v3(uint8_t reason)
{
    switch (reason) {
    case MQTT_REASON_SUCCESS:
        return MQTT_V3_ACCEPTED;
    case MQTT_REASON_UNSUPPORTED_VERSION:
        return MQTT_V3_BAD_VERSION;
    case MQTT_REASON_CLIENT_ID_NOT_VALID:
        return MQTT_V3_BAD_CLIENT_ID;
    case MQTT_REASON_BAD_USER_NAME_OR_PASSWORD:
        return MQTT_V3_BAD_USER_NAME_OR_PASSWORD;
    case MQTT_REASON_NOT_AUTHORIZED:
    case MQTT_REASON_BANNED:
    case MQTT_REASON_BAD_AUTHENTICATION_METHOD:
        return MQTT_V3_NOT_AUTHORIZED;
    case MQTT_REASON_UNSPECIFIED:
    case MQTT_REASON_IMPLEMENTATION_SPECIFIC:
    case MQTT_REASON_SERVER_UNAVAILABLE:
    case MQTT_REASON_SERVER_BUSY:
    case MQTT_REASON_SERVER_SHUTTING_DOWN:
    case MQTT_REASON_QUOTA_EXCEEDED:
    case MQTT_REASON_USE_ANOTHER_SERVER:
    case MQTT_REASON_SERVER_MOVED:
    case MQTT_REASON_CONNECTION_RATE_EXCEEDED:
        return MQTT_V3_UNAVAILABLE;
    default:
        return MQTT_V3_SILENT;
    }
}

uint8_t mqtt_reason_from_v3(uint8_t code)
{
    static const uint8_t table[] = {
        [MQTT_V3_ACCEPTED] = MQTT_REASON_SUCCESS,
        [MQTT_V3_BAD_VERSION] = MQTT_REASON_UNSUPPORTED_VERSION,
        [MQTT_V3_BAD_CLIENT_ID] = MQTT_REASON_CLIENT_ID_NOT_VALID,
        [MQTT_V3_UNAVAILABLE] = MQTT_REASON_SERVER_UNAVAILABLE,
        [MQTT_V3_BAD_USER_NAME_OR_PASSWORD] = MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
        [MQTT_V3_NOT_AUTHORIZED] = MQTT_REASON_NOT_AUTHORIZED,
    };
    return code < sizeof(table) ? table[code] : MQTT_REASON_UNSPECIFIED;
}

const char *mqtt_v3_code_text(uint8_t code)
{
    static const char *const texts[] = {
        [MQTT_V3_ACCEPTED] = "Connection Accepted",
        [MQTT_V3_BAD_VERSION] = "Connection Refused, unacceptable protocol version",
        [MQTT_V3_BAD_CLIENT_ID] = "Connection Refused, identifier rejected",
        [MQTT_V3_UNAVAILABLE] = "Connection Refused, Server unavailable",
        [MQTT_V3_BAD_USER_NAME_OR_PASSWORD] = "Connection Refused, bad user name or password",
        [MQTT_V3_NOT_AUTHORIZED] = "Connection Refused, not authorized",
    };
    return code < sizeof(texts) / sizeof(texts[0]) ? texts[code] : "Connection Refused, unknown return code";
}
