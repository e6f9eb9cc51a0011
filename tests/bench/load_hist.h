/* A histogram of times with a relative error below 1 %, in the manner of HdrHistogram: 128 linear steps per power of
 * two. Adding is a shift and an increment, so that it can be done for each of millions of messages; two threads fill
 * two histograms, which are merged when both have ended. */
#ifndef LOAD_HIST_H
#define LOAD_HIST_H

#include <stdint.h>

enum {
    LOAD_HIST_STEP_BITS = 7,
    LOAD_HIST_TOP_BITS = 40, /* 2^40 ns = 18 minutes; longer times count as this */
    LOAD_HIST_BUCKETS = (LOAD_HIST_TOP_BITS - LOAD_HIST_STEP_BITS + 1) << LOAD_HIST_STEP_BITS,
};

struct load_hist {
    uint64_t total;
    uint64_t max_ns;
    uint64_t counts[LOAD_HIST_BUCKETS];
};

/* All zero bytes are an empty histogram: no init. */
void load_hist_add(struct load_hist *h, uint64_t value_ns);
void load_hist_merge(struct load_hist *h, const struct load_hist *other);
/* The smallest value such that FRACTION (0..1) of all values are not above it; 0 if the histogram is empty. */
uint64_t load_hist_percentile(const struct load_hist *h, double fraction);

#endif
