/* MQTT packets over a conn: one decoder, one gate and the write queue of a connection, the same for every program.
 *
 *   conn --> mqtt_decode --> gate --> on_packet (may answer later)          mqtt_io_send --> mqtt_encode --> conn
 *
 * Packets are decoded in place, one at a time, from the conn's unread bytes. While one waits (GATE_HOLD) the next stays
 * undecoded; reading pauses once more than `input_limit` bytes wait behind it. The bytes of a held packet are gone when
 * on_packet has returned: who holds it keeps what it needs (mqtt_packet_store()).
 *
 * on_end comes behind all packets that have arrived, also when one of them waits meanwhile: the rest passes, then
 * on_end. Only a connection that is lost while mqtt_io_pause() holds it is reported at once, with the packets behind
 * the pause undecoded. All functions: on the loop's thread. Callbacks may call mqtt_io_close(). */
#ifndef MQTT_IO_H
#define MQTT_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"
#include "gate.h"
#include "mqtt_packet.h"

struct mqtt_io;

struct mqtt_io_cbs {
    /* One packet, valid during the call (also when it is held: a handler that holds keeps a copy of what it needs).
     * GATE_PASS, GATE_HOLD (after mqtt_io_hold()) or GATE_CLOSED (after mqtt_io_close()). */
    enum gate_answer (*on_packet)(struct mqtt_io *io, const struct mqtt_packet *packet, void *arg);
    /* Bytes that are no packet: REASON is the v5 reason code (0x81, 0x82, 0x8F, 0x90, 0x95 ...), TEXT names the rule.
     * Nothing is read any more. Close from here or later. */
    void (*on_bad_packet)(struct mqtt_io *io, uint8_t reason, const char *text, void *arg);
    /* Bytes have come that wait: behind a held packet, or of a packet that is not whole yet. For byte budgets
     * (conn_unread_bytes()). May be NULL. */
    void (*on_progress)(struct mqtt_io *io, void *arg);
    /* See conn.h. */
    void (*on_drain)(struct mqtt_io *io, void *arg);
    /* As in conn.h; behind a packet that is held, and those behind that one. */
    void (*on_end)(struct mqtt_io *io, enum conn_end why, const char *text, void *arg);
};

struct mqtt_io_params {
    const struct mqtt_io_cbs *cbs; /* must outlive the mqtt_io */
    void *arg;
    uint8_t version;           /* of the packets to expect; 0 = learn it from CONNECT (server side) */
    bool is_server;            /* the peer is a client: only CONNECT may come first */
    uint32_t max_packet_bytes; /* larger packets are refused with 0x95 as soon as their length is known */
    size_t input_limit;        /* see above */
};

/* Takes over PARCEL in any case. 0 or negative errno. */
int mqtt_io_open(struct loop *loop, struct conn_parcel *parcel, const struct mqtt_io_params *params,
                 struct mqtt_io **ret_io);

/* The packet now in on_packet waits; gate_continue() lets the next pass (gate.h). */
struct gate_wait *mqtt_io_hold(struct mqtt_io *io);
/* Stop and go on reading, for credit and budgets: several reasons may hold at once (bits chosen by the user); packets
 * are neither read nor decoded while any of them holds. */
void mqtt_io_pause(struct mqtt_io *io, unsigned reason_bit);
void mqtt_io_resume(struct mqtt_io *io, unsigned reason_bit);

/* Encode PACKET into the write queue. 0; MQTT_IO_TOO_LARGE (> 0) when it is above the peer's limit, nothing queued;
 * negative errno. *RET_BYTES (may be NULL): its encoded size. */
enum { MQTT_IO_TOO_LARGE = 1 };
int mqtt_io_send(struct mqtt_io *io, const struct mqtt_packet *packet, size_t *ret_bytes);
/* The peer's Maximum Packet Size; 0, the default = no limit. */
void mqtt_io_set_send_limit(struct mqtt_io *io, uint32_t max_packet_bytes);
/* The limit of what is accepted from now on; 0 = MQTT's own. */
void mqtt_io_set_receive_limit(struct mqtt_io *io, uint32_t max_packet_bytes);

uint8_t mqtt_io_version(const struct mqtt_io *io);
struct conn *mqtt_io_conn(const struct mqtt_io *io);
/* loop_now_ms() when bytes last came: what keep-alive is measured from. */
uint64_t mqtt_io_last_input_ms(const struct mqtt_io *io);
/* Packets received and sent since the beginning. */
uint64_t mqtt_io_packets_in(const struct mqtt_io *io);
uint64_t mqtt_io_packets_out(const struct mqtt_io *io);

/* Takes IO off its loop, as conn_detach() does: what has not been decoded is among the parcel's unread bytes. The other
 * side's mqtt_io_open() needs the version where CONNECT has passed. Not from inside a callback. Returns NULL. */
struct mqtt_io *mqtt_io_detach(struct mqtt_io *io, struct conn_parcel *ret_parcel);
/* As conn_close(): WITHIN_MS > 0 writes out what is queued first. NULL is fine. */
struct mqtt_io *mqtt_io_close(struct mqtt_io *io, uint32_t within_ms);

#endif
