/* The pieces of a large packet -> its bytes. Memory follows the bytes that have come, never what was announced. */
#ifndef LANE_JOIN_H
#define LANE_JOIN_H

#include "mqtt_packet.h"

/* All zero: no packet is being joined. */
struct lane_join {
    uint8_t *bytes; /* from malloc() */
    uint32_t len;   /* arrived */
    uint32_t room;  /* allocated */
    uint32_t total; /* announced by the first piece; 0 = no packet is being joined */
};

enum lane_join_result {
    LANE_JOIN_MORE = 0,
    LANE_JOIN_DONE,   /* ->bytes[0, ->len) is the whole: the caller takes it and zeroes the join */
    LANE_JOIN_BROKEN, /* the first piece, and only that, says a total; and no more comes than it says */
    LANE_JOIN_TOO_LARGE,
};
/* TOTAL_BYTES is 0 in all pieces but the first. -ENOMEM is the only error. */
int lane_join_add(struct lane_join *j, uint32_t total_bytes, struct mqtt_bytes data);
void lane_join_clear(struct lane_join *j);

#endif
