/* What counting-relay has counted in the measured window. */
#ifndef LOAD_RELAY_H
#define LOAD_RELAY_H

#include <stdint.h>

#include "relay_counters.h"

struct load_relay_way {
    uint64_t bytes, segments;
};

struct load_relay {
    const struct relay_counters *counters; /* mapped; NULL: there is no relay */
    struct load_relay_way before[RELAY_WAYS];
    struct load_relay_way ways[RELAY_WAYS]; /* from start to end */
};

/* 0 or a negative errno. */
int load_relay_open(struct load_relay *r, const char *path);
void load_relay_close(struct load_relay *r);
void load_relay_start(struct load_relay *r);
void load_relay_end(struct load_relay *r);
/* Both ways, with the headers. */
uint64_t load_relay_wire_bytes(const struct load_relay *r);

#endif
