/* A lane: one session's ordered share of the tunnel, whatever carries it.
 *
 *   session --lane_send(packet)--> [ packet_to_frame, pieces, credit ] --> carrier ==> carrier --> on_packet -->
 * session
 *
 * The session code (rp_uplink, rp_downlink, sp_uplink, sp_downlink) knows lanes only. A carrier implements `struct
 * lane_ops`: relay.c (one gRPC stream per lane, compatible with the existing implementation); a trunk carries many
 * lanes in one stream.
 *
 * Back-pressure: lane_send() always takes the packet; the session asks lane_may_send() and stops its source when it
 * says no, until on_writable. In the other direction the carrier counts what it has delivered and the session says with
 * lane_consumed() when bytes have gone to the socket: so credit returns only for what has left this process. At most
 * LANE_WINDOW_BYTES plus one packet of a direction are under way between the two sessions, when both sides are ours.
 *
 * Life: open/accept -> on_open (once, when the peer's abilities are known) -> packets -> on_end (once, last) ->
 * lane_free(). One thread: the session's loop. */
#ifndef LANE_H
#define LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate.h"
#include "mqtt_packet.h"

struct lane;
struct trunk_client;

enum {
    LANE_WINDOW_BYTES = 256 * 1024,          /* credit in each direction; see lane_consumed() */
    LANE_PIECE_BYTES = 16 * 1000,            /* larger frames are cut, if the peer can join them */
    LANE_UNKNOWN_PEER_MAX = 4 * 1024 * 1024, /* decode limit of a peer that does not say what it is */
    /* An MQTT packet of this size is never longer than that as a frame, unless it consists of thousands of tiny
       properties. */
    LANE_UNKNOWN_PEER_PACKET_MAX = LANE_UNKNOWN_PEER_MAX - 64 * 1024,
};

/* What ended a lane; the carrier maps it to what its peer understands (relay: gRPC status, see proto/mqtt_relay.proto).
 */
enum lane_end {
    LANE_END_OK,          /* in order: everything before it has been delivered */
    LANE_END_UNAVAILABLE, /* s-proxy or broker not reachable, lost, or draining */
    LANE_END_LIMIT,       /* over a limit: packet size, buffers, streams */
    LANE_END_PROTOCOL,    /* the peer (or its client) broke the protocol */
    LANE_END_UNAUTHENTICATED,
    LANE_END_DENIED,
    LANE_END_LOST, /* the other side went away without a word: the Will must fire */
};
const char *lane_end_name(enum lane_end end);

/* What is known of the other side once on_open has run. */
struct lane_peer {
    bool is_extended;         /* one of ours: pieces, credit, no size limit below MQTT's */
    uint32_t max_frame_bytes; /* what lane_send() can pass in this direction; MQTT_PACKET_MAX * 2 if extended */
};

struct lane_cbs {
    void (*on_open)(struct lane *l, void *arg);
    /* A packet from the other side, valid during the call: whoever holds it (lane_hold()) has copied what is needed. */
    enum gate_answer (*on_packet)(struct lane *l, const struct mqtt_packet *packet, void *arg);
    /* Bytes have come that wait here: a packet whose pieces are still arriving. For byte budgets
     * (lane_buffered_bytes()). May be NULL. */
    void (*on_progress)(struct lane *l, void *arg);
    /* lane_may_send() has become true again. */
    void (*on_writable)(struct lane *l, void *arg);
    /* The other side has finished in order (client -> broker direction: r-proxy half-closed). May be NULL. */
    void (*on_finished)(struct lane *l, void *arg);
    void (*on_end)(struct lane *l, enum lane_end why, const char *text, void *arg);
};

enum { LANE_TOO_LARGE = 1 };
/* Queue PACKET (copied). 0; LANE_TOO_LARGE: the peer cannot take it (nothing queued, nothing ended: the session
 * decides); negative errno. Before on_open only what an unknown peer can take. */
int lane_send(struct lane *l, const struct mqtt_packet *packet);
bool lane_may_send(const struct lane *l);
/* The session has passed on BYTES (wire size of delivered packets, or what the carrier reported with them): return
 * credit. To be called once for each delivered packet with lane_packet_charge(). */
void lane_consumed(struct lane *l, size_t bytes);
/* What the packet now in on_packet was charged against the window. */
size_t lane_packet_charge(const struct lane *l);
struct gate_wait *lane_hold(struct lane *l);
/* Whether lane_peer() is known. Lanes of a trunk are open from the start, and on_open does not come. */
bool lane_is_open(const struct lane *l);
/* 32 hex digits, or what the peer called it; valid as long as the lane. */
const char *lane_session_id(const struct lane *l);
/* What the peer said of the client when it opened the lane (trunk_frame.h); NULL: nothing, as always over the relay
 * service. Valid as long as the lane. */
const struct trunk_client *lane_client(const struct lane *l);
/* For a lane that came without (trunk_cbs.on_lane). */
void lane_set_callbacks(struct lane *l, const struct lane_cbs *cbs, void *arg);
const struct lane_peer *lane_peer(const struct lane *l);
/* Memory held here for this lane: received and not delivered, plus queued to be sent. For budgets. */
size_t lane_buffered_bytes(const struct lane *l);
/* Stop and go on taking bytes from the peer (process-wide budget). */
void lane_pause(struct lane *l, bool is_paused);

/* End in order: what was sent before is delivered before. on_end follows when the peer has ended too. */
void lane_finish(struct lane *l, enum lane_end why, const char *text);
/* No callback any more. If the lane had not ended, the other side sees LANE_END_LOST. NULL is fine. */
struct lane *lane_free(struct lane *l);

#endif
