/* Recording ends of lanes over either service, on the loop of an rpc rig. Uses only what lane.h, relay.h and trunk.h
 * promise.
 */
#ifndef LANE_FIXTURE_H
#define LANE_FIXTURE_H

#include "relay.h"
#include "rpc_fixture.h"
#include "trunk.h"

enum party_event { PARTY_OPEN, PARTY_PACKET, PARTY_PROGRESS, PARTY_WRITABLE, PARTY_FINISHED, PARTY_END };

/* One session at one end of a lane, and what has happened to it. */
struct party {
    struct rig *rig;
    struct lane *lane; /* NULL when freed */
    unsigned n_opens, n_packets, n_progress, n_writable, n_finished, n_ends;
    size_t n_payload_bytes;
    enum lane_end why;
    char text[600];
    unsigned n_wrong; /* publishes of party_publish() out of order or changed */
    uint32_t next_number;
    size_t most_buffered; /* largest lane_buffered_bytes() seen in a callback */

    size_t owed;        /* delivered, not consumed */
    bool is_unnumbered; /* what comes is not of party_publish() */
    bool is_stalled;    /* consumes nothing */
    bool holds_next;    /* holds the next packet */
    struct gate_wait *wait;
    struct mqtt_packet *held_copy; /* until party_continue() */

    /* What a test wants beyond recording; runs last, may free the lane. */
    void (*on_event)(struct party *p, enum party_event event, const struct mqtt_packet *packet);
    void *arg;
};

extern const struct lane_cbs party_cbs;

enum lane_carrier { LANE_OVER_RELAY, LANE_OVER_TRUNK };
/* A rig whose arriving lanes become server parties, in order. Over trunk: one trunk, which is up. */
void lanes_init(struct rig *r, enum lane_carrier carrier, struct party *servers, unsigned n_servers);
/* When the parties have been freed. */
void lanes_deinit(struct rig *r);
/* How many lanes have come to the server. */
unsigned lanes_arrived(void);
/* CONNECT of VERSION with a will of WILL_BYTES (0: none); valid until the next call. */
const struct mqtt_packet *sample_connect(uint8_t version, size_t will_bytes);
/* CONNECT of version 5 with user properties of about BYTES. */
const struct mqtt_packet *sample_large_connect(size_t bytes);
void party_open(struct party *p, struct rig *r, const struct mqtt_packet *connect);
void party_free(struct party *p);
/* PUBLISH number NUMBER of N >= 4 bytes. Returns what lane_send() says. */
int party_publish(struct party *p, uint8_t version, uint32_t number, size_t n);
/* The held packet waits no longer. */
void party_continue(struct party *p);
/* Everything owed is consumed, and what comes from now on at once. */
void party_consume(struct party *p);

#endif
