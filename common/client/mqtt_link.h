/* A connection to a broker that is kept up: dials, says CONNECT, subscribes, keeps alive, and does it again with
 * back-off when it is lost. It belongs to one session at the broker, which outlives the connection.
 *
 *   mqtt_link_open() --> DIALLING --> CONNECTING --CONNACK 0x00, on_up--> UP: on_packet, mqtt_link_send()
 *                           ^             | on_failed                      | on_down, or mqtt_link_retry()
 *                           '--- WAITING <+--------------------------------'
 *
 * The exchanges of the session are the user's: PUBLISH, PUBACK, PUBREC, PUBREL and PUBCOMP pass in both directions as
 * packets, with the ids that the sender of PUBLISH has given them; what is repeated on a new connection
 * (MQTT-4.4.0-1), and how many may be open (section 4.9), the user knows who keeps the messages. So a proxy of one
 * session on another one needs no memory here. Packets of the broker keep to mqtt_client_rules.h.
 *
 * Sources: OASIS MQTT 5.0 and 3.1.1; the bridge bit of 3.x is mosquitto's. One thread: the loop it was opened on.
 * Callbacks may call mqtt_link_retry() and mqtt_link_close(). */
#ifndef MQTT_LINK_H
#define MQTT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate.h"
#include "mqtt_packet.h"

struct loop;
struct mqtt_io;
struct mqtt_link;
struct tls;
struct url;

/* Key of a user property of CONNECT and CONNACK (5.0): its value tells bridges which broker stands behind the other
 * side. */
#define MQTT_LINK_BROKER_ID "$bridge"

enum {
    MQTT_LINK_SUBSCRIBE_ID = 65535, /* packet ids of its SUBSCRIBE and UNSUBSCRIBE: the user gives them to nothing */
    MQTT_LINK_UNSUBSCRIBE_ID = 65534,
    MQTT_LINK_EXPIRY_NEVER = UINT32_MAX,
    MQTT_LINK_RECEIVE_MAX_3 = 20, /* brokers of 3.x cannot say how much they take at a time: mosquitto's default */
};

/* Who connects, and to whom. All of it lives as long as the link. */
struct mqtt_link_config {
    const struct url *url;
    struct tls *tls;                               /* where the URL says TLS, else NULL */
    const char *client_id;                         /* not empty */
    const char *username;                          /* NULL: none */
    struct mqtt_bytes password;                    /* ptr NULL: none */
    const struct mqtt_will *will;                  /* NULL: none */
    const struct mqtt_subscription *subscriptions; /* made on every connection whose session does not have them */
    uint32_t n_subscriptions;
    uint32_t n_gone;
    const struct mqtt_bytes *gone; /* filters that its session may have from before, and shall not have any more */
    struct mqtt_bytes broker_id;   /* whose bridge it is, at most 64 bytes; empty: nobody is told */
    uint32_t session_expiry_s;     /* 5.0; in 3.x the session never ends */
    uint32_t max_packet_bytes;     /* largest packet taken from the broker; 0: MQTT's own limit */
    uint16_t send_max;             /* exchanges that the user will have open towards the broker; 0: as it says itself */
    uint16_t receive_max;          /* exchanges that the broker may have open; 5.0 */
    uint16_t keep_alive_s;         /* 0: none */
    uint8_t version;               /* enum mqtt_version */
    bool is_bridge;                /* 3.x: says so by MQTT_BRIDGE_BIT, if the broker takes that */
};

/* What CONNACK says. */
struct mqtt_link_grants {
    bool is_session_present; /* the broker has kept the session; of 3.1, which does not say, it is believed */
    bool has_retain;
    struct mqtt_bytes broker_id; /* valid during the call; empty: it has not said one */
    uint8_t max_qos;
    uint16_t receive_max; /* exchanges that may be open towards the broker */
};

struct mqtt_link_cbs {
    /* Packets may be sent from here on; the subscriptions have been. GATE_PASS, or GATE_CLOSED after retry or close. */
    enum gate_answer (*on_up)(struct mqtt_link *l, const struct mqtt_link_grants *grants, void *arg);
    /* PUBLISH or one of its acknowledgements. As in mqtt_io.h; GATE_CLOSED after retry or close. */
    enum gate_answer (*on_packet)(struct mqtt_link *l, const struct mqtt_packet *packet, void *arg);
    /* The broker has refused the subscription to FILTER. */
    void (*on_refused)(struct mqtt_link *l, struct mqtt_bytes filter, uint8_t reason, void *arg);
    /* The output has fallen to the low mark. */
    void (*on_drain)(struct mqtt_link *l, void *arg);
    /* After on_up: it is lost. In WAIT_MS it is dialled again. */
    void (*on_down)(struct mqtt_link *l, const char *text, uint32_t wait_ms, void *arg);
    /* Instead of on_up: an attempt has come to nothing. */
    void (*on_failed)(struct mqtt_link *l, const char *text, uint32_t wait_ms, void *arg);
};

/* Begins to dial with the next turn. IS_NEW: the user's side of the session is new, so the broker shall forget what it
 * has of it (MQTT-3.1.2-4; 3.x by a connection of its own, MQTT-3.1.2-6). CBS live as long as the link. 0 or negative
 * errno with err_text(). */
int mqtt_link_open(struct loop *loop, const struct mqtt_link_config *config, bool is_new,
                   const struct mqtt_link_cbs *cbs, void *arg, struct mqtt_link **ret_link);
/* What the properties of a CONNECT or CONNACK say of that; empty: nothing. */
struct mqtt_bytes mqtt_link_broker_id_of(const struct mqtt_properties *list);
bool mqtt_link_is_up(const struct mqtt_link *l);
/* Only while it is up. As mqtt_io_send(). */
int mqtt_link_send(struct mqtt_link *l, const struct mqtt_packet *packet);
/* NULL while it is not connected: for mqtt_io_hold(), mqtt_io_pause() and what waits in its conn. */
struct mqtt_io *mqtt_link_io(const struct mqtt_link *l);
/* Give this connection up with DISCONNECT of REASON (5.0), and dial again in mqtt_link_wait_ms(). No callback runs. */
void mqtt_link_retry(struct mqtt_link *l, uint8_t reason);
/* The pause before the next attempt, while it waits for that. */
uint32_t mqtt_link_wait_ms(const struct mqtt_link *l);
/* Says DISCONNECT and lets the broker have what is queued within WITHIN_MS; the session stays there. No callback runs
 * any more. NULL is fine. Returns NULL. */
struct mqtt_link *mqtt_link_close(struct mqtt_link *l, uint32_t within_ms);

#endif
