/* What a client does with each packet of a server: the other side of mqtt_server_rules.h, for whoever dials a broker.
 *
 *     CONNACK due --CONNACK 0x00--> LIVE --DISCONNECT--> OVER
 *             `-----CONNACK refused-------------------->
 *
 * Packets given to it are legal in themselves (mqtt_check.h). Left to their owners: ids in use and Receive Maximum
 * (mqtt_inflight.h), packet size (decoder), Topic Aliases that were never set. */
#ifndef MQTT_CLIENT_RULES_H
#define MQTT_CLIENT_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"
#include "mqtt_reason.h"
#include "mqtt_server_rules.h"

struct mqtt_client_rules {
    uint8_t state;            /* enum mqtt_rules_state, never MQTT_RULES_CONNECT_DUE */
    uint8_t version;          /* of CONNECT */
    bool has_auth_method;     /* CONNECT has an Authentication Method */
    bool is_clean_start;      /* CONNECT asked for a new session */
    uint16_t topic_alias_max; /* that CONNECT allowed the server */
};

/* CONNECT is what was sent. */
void mqtt_client_rules_init(struct mqtt_client_rules *rules, const struct mqtt_packet *connect);
/* A packet came from the server. 0: pass it (and the state has moved on); MQTT_RULES_CLOSE. */
int mqtt_client_rules_check(struct mqtt_client_rules *rules, const struct mqtt_packet *p, struct mqtt_fault *ret_fault);

#endif
