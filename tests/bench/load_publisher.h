/* The sending side of one publishing client: which message is next, whether time and window allow it, which packet ids
 * are under way. */
#ifndef LOAD_PUBLISHER_H
#define LOAD_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "load_client.h"
#include "load_hist.h"
#include "load_options.h"
#include "load_wire.h"

/* When the messages of one thread are due: its publishers take turns, BURST messages each. Latency is counted from the
 * time when a message was due, not from when it could be sent: a stall must not hide the messages that it delayed. */
struct load_pace {
    bool is_flood;
    uint64_t start_ns;
    double interval_ns; /* between two bursts of this thread */
    uint32_t burst;
    uint32_t publishers; /* of this thread */
    uint64_t bursts_due; /* so many have been allowed so far */
};

struct load_publisher {
    struct load_wire_template template;
    uint32_t index;   /* among all publishers: named in the stamp */
    uint32_t slot;    /* among those of its thread */
    uint32_t made;    /* messages handed to the client's output */
    uint32_t allowed; /* time allows so many */
    uint32_t limit;   /* and never more than this */
    enum load_inject inject;
    int qos;
    bool is_done; /* nothing more to send, everything acknowledged, or closed */

    uint32_t window; /* QoS 1, 2 */
    uint32_t in_flight;
    uint32_t id_head; /* free packet ids: a ring of window entries, in_flight of which are out */
    uint16_t *ids;
    uint8_t *id_state;     /* by packet id: enum id_state */
    uint64_t refused;      /* acknowledgements that said no */
    uint64_t strange_acks; /* acknowledgements of nothing */
};

void load_publisher_init(struct load_publisher *p, const struct load_options *o, uint32_t index, uint32_t slot,
                         const char *topic);
void load_publisher_deinit(struct load_publisher *p);
/* After CONNACK: the server may take fewer unacknowledged messages than we would send. */
void load_publisher_open_window(struct load_publisher *p, uint16_t receive_maximum);
bool load_publisher_may_make(const struct load_publisher *p);
/* Messages that are allowed, into the output of C, until it is about 64 KB full. LAG gets how late they are. */
void load_publisher_fill(struct load_publisher *p, struct load_client *c, const struct load_pace *pace, uint64_t now_ns,
                         struct load_hist *lag);
/* PUBACK, PUBREC or PUBCOMP; the answer, if one is due, goes to the output of C. */
void load_publisher_acked(struct load_publisher *p, struct load_client *c, const struct load_wire_packet *packet);
/* Numbers 0 .. result-1 should arrive. */
uint32_t load_publisher_issued(const struct load_publisher *p);

#endif
