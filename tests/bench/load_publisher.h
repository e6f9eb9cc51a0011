/* The sending side of one publishing client: which message is next, whether time and window allow it, which packet ids
 * are under way. */
#ifndef LOAD_PUBLISHER_H
#define LOAD_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "load_client.h"
#include "load_hist.h"
#include "load_options.h"
#include "load_pace.h"
#include "load_telemetry.h"
#include "load_wire.h"

struct load_publisher {
    struct load_wire_template template;
    uint32_t index;   /* among all publishers: named in the stamp */
    uint32_t slot;    /* among those of its thread */
    uint32_t made;    /* messages handed to the client's output */
    uint32_t allowed; /* time allows so many */
    uint32_t limit;   /* and never more than this */
    uint64_t *due_ns; /* random times: of each message that was allowed; owned */
    uint32_t due_room;
    enum load_inject inject;
    enum load_fill fill;
    uint64_t random;                 /* fill RANDOM: state */
    struct load_telemetry telemetry; /* fill JSON */
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
/* A burst is due: so many MESSAGES more. */
void load_publisher_allow(struct load_publisher *p, uint32_t messages);
/* The same at a random time. */
void load_publisher_allow_at(struct load_publisher *p, uint32_t messages, uint64_t due_ns);
bool load_publisher_may_make(const struct load_publisher *p);
/* Messages that are allowed, into the output of C, until it is about 64 KB full. LAG gets how late they are. */
void load_publisher_fill(struct load_publisher *p, struct load_client *c, const struct load_pace *pace, uint64_t now_ns,
                         struct load_hist *lag);
/* PUBACK, PUBREC or PUBCOMP; the answer, if one is due, goes to the output of C. */
void load_publisher_acked(struct load_publisher *p, struct load_client *c, const struct load_wire_packet *packet);
/* Numbers 0 .. result-1 should arrive. */
uint32_t load_publisher_issued(const struct load_publisher *p);

#endif
