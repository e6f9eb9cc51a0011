/* What a lane has received and not passed on: the receiving half that all carriers share.
 *
 *   carrier --lane_inbox_receive(MqttPacket)--> nothing waits: in place --gate--> on_packet
 *      |                                 '----> else: copied, queued ------'   (may be held)
 *      '----lane_inbox_run()-----------------------------------------------> calls->idle, behind all of it
 *
 * The carrier's stream is never held: credit for the other direction comes through it, and two full directions would
 * wait for each other. What may wait is bounded by credit, which is the carrier's business; here it is only counted.
 *
 * One thread. Callbacks of the session may free the lane, so the carrier counts references: `ref` and `unref` are
 * called around each of them, and the memory of the inbox stays until the last one. */
#ifndef LANE_INBOX_H
#define LANE_INBOX_H

#include "frame_to_packet.h"
#include "gate.h"
#include "lane_internal.h"
#include "list.h"

struct lane_inbox;

struct lane_inbox_calls {
    void (*ref)(struct lane_inbox *in);
    void (*unref)(struct lane_inbox *in);
    /* A packet is wrong in itself or in its place, or memory is short: end the lane. Called outside on_packet. */
    void (*fail)(struct lane_inbox *in, enum lane_end why, const char *text);
    /* Nothing waits any more: pass one thing that is due behind the packets (on_finished, on_end), or say GATE_EMPTY.
     */
    enum gate_answer (*idle)(struct lane_inbox *in);
};

struct lane_entry;

struct lane_inbox {
    struct lane *lane; /* whose callbacks are called */
    const struct lane_inbox_calls *calls;
    struct gate gate;
    struct list items;               /* packets that wait, oldest first */
    const struct lane_entry *direct; /* the packet that passes without waiting; on the stack of receive() */
    size_t waiting_bytes;            /* charge of what has not been passed on */
    size_t held_bytes;               /* charge of what the session has not consumed, waiting or passed */
    size_t memory_bytes;             /* what the packets that wait occupy here, small ones far more than their charge */
    uint32_t charge;                 /* of the packet in on_packet, or held, else 0 */
    uint8_t version;                 /* enum mqtt_version of the session; server: 0 until CONNECT has passed */
    uint8_t family;                  /* enum frame_family of the session: a packet of another one fails. 0: not known */
    bool is_server;                  /* the first packet must be CONNECT, and no later one may be */
    bool is_closed;                  /* lane_inbox_close(): takes and passes nothing more */
};

void lane_inbox_init(struct lane_inbox *in, struct lane *lane, const struct lane_inbox_calls *calls, bool is_server);
/* Nothing passes any more, what waits is dropped, waits (lane_hold()) become harmless. */
void lane_inbox_close(struct lane_inbox *in);
/* Drop the packets that wait; the end (calls->idle) may still pass. */
void lane_inbox_drop(struct lane_inbox *in);

/* One packet, as serialized MqttPacket of FAMILY (enum frame_family), charged CHARGE bytes. If nothing waits it passes
 * inside this call, in place; else it is copied. */
void lane_inbox_receive(struct lane_inbox *in, struct mqtt_bytes message, uint8_t family, size_t charge);
/* The same with bytes that are the inbox's from here on: MESSAGE lies in BYTES, which came from malloc(). */
void lane_inbox_receive_owned(struct lane_inbox *in, uint8_t *bytes, struct mqtt_bytes message, uint8_t family,
                              size_t charge);
/* Pass what can pass, the things behind the packets included. */
void lane_inbox_run(struct lane_inbox *in);

/* The session has consumed BYTES. */
void lane_inbox_consumed(struct lane_inbox *in, size_t bytes);
struct gate_wait *lane_inbox_hold(struct lane_inbox *in);

#endif
