/* The few packets that a proxy makes or changes itself: refusals, farewells, acknowledgements of what it had to drop,
 * and a CONNACK that grants less.
 *
 * The packet points into the struct that holds it, so that struct stays where it is until the packet has been encoded.
 */
#ifndef MQTT_COMPOSE_H
#define MQTT_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

enum { MQTT_COMPOSE_TEXT_MAX = 240 }; /* longer reason strings are cut */

struct mqtt_reply {
    struct mqtt_packet packet;
    uint8_t properties[MQTT_COMPOSE_TEXT_MAX + 8];
};

/* CONNACK that refuses: v5 with REASON and, if TEXT is not NULL, a Reason String; 3.x with the return code that fits.
 * False if 3.x has none that fits: the connection is then closed without a word. */
bool mqtt_reply_connack(struct mqtt_reply *ret, uint8_t version, uint8_t reason, const char *text);
/* DISCONNECT of v5 (3.x servers send none). TEXT may be NULL. */
void mqtt_reply_disconnect(struct mqtt_reply *ret, uint8_t reason, const char *text);
/* REPLY, a CONNACK or DISCONNECT, says where else to go (sections 3.2.2.3.16, 3.14.2.2.5) in place of its Reason
 * String; 3.x has no word for that, nothing changes. REFERENCE lasts until the packet has been encoded, and is no
 * longer than MQTT_COMPOSE_TEXT_MAX. */
void mqtt_reply_set_reference(struct mqtt_reply *reply, const char *reference);
/* PUBACK, PUBREC, PUBREL or PUBCOMP of success. */
void mqtt_reply_ack(struct mqtt_reply *ret, uint8_t version, enum mqtt_type type, uint16_t packet_id);
/* The same reply without its Reason String, for peers whose Maximum Packet Size it would pass
 * (MQTT-3.2.2-19, 3.14.2-3). */
void mqtt_reply_drop_text(struct mqtt_reply *reply);

/* PACKET, a CONNECT or CONNACK of v5, shall not promise more than LIMIT bytes as Maximum Packet Size. True: it did, and
 * now its properties lie in SCRATCH, which has room for packet->properties.wire.len + 5 bytes. False: nothing had to
 * change. */
bool mqtt_lower_packet_size(struct mqtt_packet *packet, uint32_t limit, uint8_t *scratch);

/* The most that a client shall be granted; 0 = what the server says. */
struct mqtt_grants {
    uint32_t packet_bytes; /* Maximum Packet Size */
    uint16_t receive_maximum;
    uint16_t topic_aliases;
    uint16_t keep_alive_s; /* no keep-alive is more than any */
};

enum { MQTT_LOWER_GRANTS_ROOM = 5 + 3 + 3 + 3 };
/* CONNACK, of v5, shall grant no more than MOST says. KEEP_ALIVE_S is what CONNECT has asked for. True: it did, and now
 * its properties lie in SCRATCH, which has room for MQTT_LOWER_GRANTS_ROOM bytes more than they have. False: nothing
 * had to change. */
bool mqtt_lower_grants(struct mqtt_packet *connack, const struct mqtt_grants *most, uint16_t keep_alive_s,
                       uint8_t *scratch);

#endif
