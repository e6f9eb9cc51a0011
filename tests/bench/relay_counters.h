/* What counting-relay has counted, in a file that others map while it runs. Of two counters of one direction the second
 * may be a chunk behind the first. */
#ifndef RELAY_COUNTERS_H
#define RELAY_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum relay_way {
    RELAY_UP,   /* from who connected */
    RELAY_DOWN, /* to them */
    RELAY_WAYS,
};

enum {
    RELAY_SEGMENT_BYTES = 1448, /* of payload: what fits into an Ethernet frame beside the headers */
    RELAY_SEGMENT_HEADERS = 52, /* IPv4, TCP, and TCP's time stamps */
};

struct relay_counters {
    struct {
        _Atomic uint64_t bytes; /* TCP payload */
        _Atomic uint64_t segments;
    } ways[RELAY_WAYS];
};

#endif
