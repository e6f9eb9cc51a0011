/* Reason codes of MQTT 5.0 (section 2.4): their names, which packet may carry which, and what they are in MQTT 3.x.
 *
 * Everything is a constant table. A fault is what every judge of this module answers with: the reason code that a
 * DISCONNECT or CONNACK of 5.0 would carry, and a constant text that names the rule which was broken. */
#ifndef MQTT_REASON_H
#define MQTT_REASON_H

#include <stdbool.h>
#include <stdint.h>

enum mqtt_reason {
    MQTT_REASON_SUCCESS = 0x00, /* also: normal disconnection, granted QoS 0 */
    MQTT_REASON_GRANTED_QOS_1 = 0x01,
    MQTT_REASON_GRANTED_QOS_2 = 0x02,
    MQTT_REASON_DISCONNECT_WITH_WILL = 0x04,
    MQTT_REASON_NO_MATCHING_SUBSCRIBERS = 0x10,
    MQTT_REASON_NO_SUBSCRIPTION_EXISTED = 0x11,
    MQTT_REASON_CONTINUE_AUTHENTICATION = 0x18,
    MQTT_REASON_RE_AUTHENTICATE = 0x19,
    MQTT_REASON_UNSPECIFIED = 0x80, /* the first that is a failure; 3.x: the failure code of SUBACK */
    MQTT_REASON_MALFORMED_PACKET = 0x81,
    MQTT_REASON_PROTOCOL_ERROR = 0x82,
    MQTT_REASON_IMPLEMENTATION_SPECIFIC = 0x83,
    MQTT_REASON_UNSUPPORTED_VERSION = 0x84,
    MQTT_REASON_CLIENT_ID_NOT_VALID = 0x85,
    MQTT_REASON_BAD_USER_NAME_OR_PASSWORD = 0x86,
    MQTT_REASON_NOT_AUTHORIZED = 0x87,
    MQTT_REASON_SERVER_UNAVAILABLE = 0x88,
    MQTT_REASON_SERVER_BUSY = 0x89,
    MQTT_REASON_BANNED = 0x8A,
    MQTT_REASON_SERVER_SHUTTING_DOWN = 0x8B,
    MQTT_REASON_BAD_AUTHENTICATION_METHOD = 0x8C,
    MQTT_REASON_KEEP_ALIVE_TIMEOUT = 0x8D,
    MQTT_REASON_SESSION_TAKEN_OVER = 0x8E,
    MQTT_REASON_TOPIC_FILTER_INVALID = 0x8F,
    MQTT_REASON_TOPIC_NAME_INVALID = 0x90,
    MQTT_REASON_PACKET_ID_IN_USE = 0x91,
    MQTT_REASON_PACKET_ID_NOT_FOUND = 0x92,
    MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED = 0x93,
    MQTT_REASON_TOPIC_ALIAS_INVALID = 0x94,
    MQTT_REASON_PACKET_TOO_LARGE = 0x95,
    MQTT_REASON_MESSAGE_RATE_TOO_HIGH = 0x96,
    MQTT_REASON_QUOTA_EXCEEDED = 0x97,
    MQTT_REASON_ADMINISTRATIVE_ACTION = 0x98,
    MQTT_REASON_PAYLOAD_FORMAT_INVALID = 0x99,
    MQTT_REASON_RETAIN_NOT_SUPPORTED = 0x9A,
    MQTT_REASON_QOS_NOT_SUPPORTED = 0x9B,
    MQTT_REASON_USE_ANOTHER_SERVER = 0x9C,
    MQTT_REASON_SERVER_MOVED = 0x9D,
    MQTT_REASON_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E,
    MQTT_REASON_CONNECTION_RATE_EXCEEDED = 0x9F,
    MQTT_REASON_MAXIMUM_CONNECT_TIME = 0xA0,
    MQTT_REASON_SUBSCRIPTION_IDS_NOT_SUPPORTED = 0xA1,
    MQTT_REASON_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2,
};

/* Return codes of CONNACK in 3.1 and 3.1.1 (section 3.2.2.3 of 3.1.1). */
enum mqtt_v3_code {
    MQTT_V3_ACCEPTED = 0,
    MQTT_V3_BAD_VERSION = 1,
    MQTT_V3_BAD_CLIENT_ID = 2,
    MQTT_V3_UNAVAILABLE = 3,
    MQTT_V3_BAD_USER_NAME_OR_PASSWORD = 4,
    MQTT_V3_NOT_AUTHORIZED = 5,
    MQTT_V3_SILENT = 0xFF, /* never on the wire: no code fits, the connection is closed without a word */
};

enum mqtt_sender {
    MQTT_FROM_CLIENT = 1,
    MQTT_FROM_SERVER = 2,
};

/* Why something is refused. */
struct mqtt_fault {
    uint8_t reason;   /* enum mqtt_reason */
    const char *text; /* a constant: "MQTT-3.3.2-2: topic name holds a wildcard" */
};

/* Fill *F and return 1, the outcome "refused" of every judge (MQTT_CHECK_BAD, MQTT_RULES_CLOSE). */
static inline int mqtt_fault_set(struct mqtt_fault *f, uint8_t reason, const char *text)
{
    f->reason = reason;
    f->text = text;
    return 1;
}

/* "malformed_packet": for metrics, options and logs that machines read. "unknown" if there is no such code. */
const char *mqtt_reason_name(uint8_t reason);
/* "Malformed Packet", as the standard writes it. Type decides what 0x00 means ("Normal disconnection"). Never NULL. */
const char *mqtt_reason_text(uint8_t type, uint8_t reason);

/* Whether a packet of this TYPE may carry REASON. In 3.x: the return codes of CONNACK and SUBACK; everything else has
 * only 0. For SUBACK and UNSUBACK it is about each byte of the list. */
bool mqtt_reason_is_allowed(uint8_t version, uint8_t type, uint8_t reason);
/* Which senders may use REASON in a DISCONNECT or AUTH of 5.0: enum mqtt_sender, or-ed. 0 if it is not allowed at all.
 */
unsigned mqtt_reason_senders(uint8_t type, uint8_t reason);

/* CONNACK's reason code of 5.0 as return code of 3.x: enum mqtt_v3_code, MQTT_V3_SILENT included. */
uint8_t mqtt_reason_to_v3(uint8_t reason);
/* And back; a return code that does not exist becomes MQTT_REASON_UNSPECIFIED. */
uint8_t mqtt_reason_from_v3(uint8_t code);
/* "Connection Refused, not authorized". Never NULL. */
const char *mqtt_v3_code_text(uint8_t code);

#endif
