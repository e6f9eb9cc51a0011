/* Packets of a lane that could not leave at once: serialized, oldest first, the first of them perhaps sent in part. All
 * carriers share it. One thread. */
#ifndef LANE_OUTBOX_H
#define LANE_OUTBOX_H

#include "list.h"
#include "packet_to_frame.h"

struct lane_outgoing {
    struct list link;
    size_t len;
    size_t sent;
    uint8_t family; /* enum frame_family of the packet */
    uint8_t bytes[];
};

struct lane_outbox {
    struct list items;   /* of struct lane_outgoing */
    size_t bytes;        /* not sent yet */
    size_t memory_bytes; /* what the packets occupy, small ones far more than their bytes */
};

void lane_outbox_init(struct lane_outbox *o);
/* Behind all others. 0 or -ENOMEM with err_text(). */
int lane_outbox_put(struct lane_outbox *o, const struct packet_frame *f);
/* NULL: empty. */
struct lane_outgoing *lane_outbox_first(const struct lane_outbox *o);
/* BYTES more of the first one have been sent; it goes when all of it has. */
void lane_outbox_sent(struct lane_outbox *o, size_t bytes);
void lane_outbox_clear(struct lane_outbox *o);

#endif
