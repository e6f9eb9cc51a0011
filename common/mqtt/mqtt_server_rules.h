/* What a server does with each packet of a client, in each state of the connection: pass it or close, and with which
 * reason. Pure: no clock, no I/O; r-proxy and the broker act on the answer.
 *
 *     CONNECT due --CONNECT--> CONNACK due --CONNACK 0x00--> LIVE --DISCONNECT--> OVER
 *                                    `-------CONNACK refused-------------------->
 *
 * Packets given to it are legal in themselves (mqtt_check.h). Left to their owners: ids in use and Receive Maximum
 * (mqtt_inflight.h), keep alive and CONNECT time-out (a clock), packet size (decoder), Topic Aliases that were never
 * set and that AUTH repeats the method of CONNECT (both need memory per connection; the broker has it). */
#ifndef MQTT_SERVER_RULES_H
#define MQTT_SERVER_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"
#include "mqtt_reason.h"

enum mqtt_rules_state {
    MQTT_RULES_CONNECT_DUE = 0,
    MQTT_RULES_CONNACK_DUE,
    MQTT_RULES_LIVE,
    MQTT_RULES_OVER, /* DISCONNECT or a refusing CONNACK has passed */
};

enum { MQTT_RULES_CLOSE = 1 }; /* the connection has to be closed; *ret_fault says why */

struct mqtt_server_rules {
    uint8_t state;               /* enum mqtt_rules_state */
    uint8_t version;             /* of CONNECT; 0 before */
    bool has_auth_method;        /* CONNECT has an Authentication Method */
    bool is_session_expiry_zero; /* CONNECT has Session Expiry Interval 0 or none */
    /* What the server granted in its CONNACK, as the client was told. Until CONNACK everything goes: the broker
     * decides. */
    bool is_alias_max_known;
    uint16_t topic_alias_max; /* 0 = no aliases */
    uint8_t max_qos;
    bool has_retain;
    bool has_wildcards;
    bool has_subscription_ids;
    bool has_shared;
};

void mqtt_server_rules_init(struct mqtt_server_rules *rules);
/* A packet came from the client. 0: pass it (and the state has moved on); MQTT_RULES_CLOSE. */
int mqtt_server_rules_check(struct mqtt_server_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *ret_fault);
/* A packet goes to the client: CONNACK says what was granted, DISCONNECT ends everything. */
void mqtt_server_rules_sent(struct mqtt_server_rules *rules, const struct mqtt_packet *p);

#endif
