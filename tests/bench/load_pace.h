/* When the messages of one thread are due.
 *
 * Latency is counted from the time when a message was due, not from when it could be sent: a stall must not hide the
 * messages that it delayed. */
#ifndef LOAD_PACE_H
#define LOAD_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "load_options.h"

struct load_pace {
    bool is_flood;     /* always */
    bool is_random;    /* exponential times between, and any publisher; else regular times, and publishers take turns */
    uint32_t burst;    /* messages of a publisher at a time */
    uint32_t together; /* publishers that send at the same time */
    uint32_t publishers; /* of this thread */
    uint64_t start_ns;
    double interval_ns;  /* between two bursts of this thread, in the mean */
    uint64_t bursts_due; /* so many have been taken */
    uint64_t random;     /* state */
    double next_ns;      /* random: when the next ones are due, after the start */
};

/* PUBLISHERS of all belong to this thread, number THREAD. */
void load_pace_init(struct load_pace *pace, const struct load_options *o, uint32_t publishers, uint32_t thread,
                    uint64_t start_ns);
/* Nothing to wait for. */
bool load_pace_is_idle(const struct load_pace *pace);
/* When the next burst is due. */
uint64_t load_pace_next_ns(const struct load_pace *pace);
/* The next burst, if it is due by NOW_NS: by which publisher of this thread, and since when. */
bool load_pace_take(struct load_pace *pace, uint64_t now_ns, uint32_t *ret_slot, uint64_t *ret_due_ns);
/* Regular times: when the message with this number of this publisher is due. */
uint64_t load_pace_due_ns(const struct load_pace *pace, uint32_t slot, uint32_t number);

#endif
