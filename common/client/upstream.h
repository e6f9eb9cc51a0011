/* One MQTT connection to a broker: dials it, passes packets both ways untouched. It keeps no session and never
 * reconnects; whoever opened it decides what a failure means.
 *
 *   upstream_open() --> dialling --> on_connected --> upstream_send() / on_packet --> on_end
 *                          \--> on_failed
 *
 * Exactly one of on_failed and on_end tells that it is over (unless upstream_close() came first); callbacks never run
 * from inside a call of the user, and none after upstream_close(). One thread: the loop it was opened on. */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include <stddef.h>
#include <stdint.h>

#include "mqtt_io.h"
#include "url.h"

struct loop;
struct tls;
struct upstream;

enum {
    /* Unacknowledged bytes towards the broker for so long mean that it is gone (TCP_USER_TIMEOUT). */
    UPSTREAM_USER_TIMEOUT_MS = 30000,
};

struct upstream_cbs {
    /* As in dial.h: what is sent before anything else, TLS included. May be NULL. */
    size_t (*write_preface)(const struct conn_peer *broker, uint8_t *dst, void *arg);
    void (*on_connected)(struct upstream *u, void *arg);
    /* No address answered; TEXT says which and why. */
    void (*on_failed)(struct upstream *u, const char *text, void *arg);
    /* A packet from the broker, valid during the call; a handler that answers GATE_HOLD stores what it needs. */
    enum gate_answer (*on_packet)(struct upstream *u, const struct mqtt_packet *packet, void *arg);
    /* The broker sent what is no packet. Nothing is read from it any more; close it. */
    void (*on_bad_packet)(struct upstream *u, uint8_t reason, const char *text, void *arg);
    /* The write queue has fallen to the low mark. */
    void (*on_drain)(struct upstream *u, void *arg);
    /* Bytes of a packet that is not whole yet have come: for byte budgets. */
    void (*on_progress)(struct upstream *u, void *arg);
    void (*on_end)(struct upstream *u, enum conn_end why, const char *text, void *arg);
};

struct upstream_params {
    const struct url *url;          /* used during the call only */
    struct tls *tls;                /* as of struct dial_params */
    uint32_t timeout_ms;            /* to connect */
    uint32_t max_packet_bytes;      /* larger packets of the broker are refused (on_bad_packet, 0x95) */
    uint8_t version;                /* of the session: enum mqtt_version */
    const struct upstream_cbs *cbs; /* must outlive the upstream */
    void *arg;
};

/* 0 or negative errno. */
int upstream_open(struct loop *loop, const struct upstream_params *params, struct upstream **ret_upstream);
/* NULL until on_connected. */
struct mqtt_io *upstream_io(const struct upstream *u);
/* In on_failed: this process had no descriptor or no memory for it; the broker may be as well as ever. */
bool upstream_was_short(const struct upstream *u);
/* Only once connected. As mqtt_io_send(). */
int upstream_send(struct upstream *u, const struct mqtt_packet *packet, size_t *ret_bytes);
/* As mqtt_io_close(): WITHIN_MS > 0 lets the broker have what is queued first. NULL is fine. */
struct upstream *upstream_close(struct upstream *u, uint32_t within_ms);

#endif
