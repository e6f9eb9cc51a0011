/* Whether a struct mqtt_packet is a legal packet: the rules about content, in one place for everybody.
 *
 *     bytes  --> mqtt_decode (structure) --> mqtt_check_content --> packet that can be trusted
 *     frames --> convert                 --> mqtt_packet_check  --> packet that can be trusted
 *
 * Whether it is allowed NOW (second CONNECT, alias above the maximum) is for mqtt_server_rules and mqtt_client_rules.
 */
#ifndef MQTT_CHECK_H
#define MQTT_CHECK_H

#include "mqtt_packet.h"
#include "mqtt_reason.h"

enum { MQTT_CHECK_BAD = 1 }; /* not a legal packet; *ret_fault says why */

/* Everything a legal packet must satisfy: strings, topics, filters, packet ids, QoS, flags, reason codes, properties,
 * the wire form and count of lists, fields that this type or version does not have, the size as a whole. For packets
 * that were put together from elsewhere: nothing about P is taken for granted except that its pointers are readable. 0
 * or MQTT_CHECK_BAD. */
int mqtt_packet_check(const struct mqtt_packet *p, struct mqtt_fault *ret_fault);

/* The part of it that the decoder needs: what the wire format can express and the standard forbids. P came from MQTT
 * bytes, so its type, version and lengths fit and its lists have been cut correctly. 0 or MQTT_CHECK_BAD. */
int mqtt_check_content(const struct mqtt_packet *p, struct mqtt_fault *ret_fault);

/* A UTF-8 string as MQTT has them. 0 or MQTT_CHECK_BAD. */
int mqtt_check_string(struct mqtt_bytes text, struct mqtt_fault *ret_fault);
/* A topic name: a string, without wildcards; it may be empty. 0 or MQTT_CHECK_BAD. */
int mqtt_check_topic(struct mqtt_bytes topic, struct mqtt_fault *ret_fault);

#endif
