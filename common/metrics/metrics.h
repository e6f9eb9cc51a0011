/* Counters, gauges and histograms, declared next to the functions that move them, and their text in Prometheus' format.
 *
 *   #define TRUNK_METRICS(X)                                    \
 *       X(frames_sent, COUNTER, "frames handed to the stream")  \
 *       X(queued_bytes, GAUGE, "bytes behind flow control")
 *   struct trunk_metrics { TRUNK_METRICS(METRIC_FIELD) };
 *   #define METRICS_OWNER struct trunk_metrics
 *   static const struct metric_info trunk_metric_infos[] = { TRUNK_METRICS(METRIC_INFO) };
 *
 * Every worker has a struct of its own, so that counting costs no shared cache line; the text shows the sum of all
 * structs that were added under one prefix. Values are relaxed atomics: one thread writes, any thread reads. */
#ifndef METRICS_H
#define METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum metric_kind {
    METRIC_COUNTER, /* only grows; its exported name ends in _total */
    METRIC_GAUGE,   /* comes and goes */
    METRIC_HISTOGRAM,
};

typedef _Atomic int64_t metric;

enum { METRIC_BUCKETS = 14 };

/* How often values of each size occurred: bucket I has those up to 4^I that no lower one has, the last one the rest. In
 * microseconds that is 1 us to 17 s, in bytes 1 to 16 MiB: fixed bounds that fit both need no choice and sum over
 * workers. */
struct metric_histogram {
    metric buckets[METRIC_BUCKETS];
    metric sum; /* of the values */
};

#define METRIC_TYPE_COUNTER            metric
#define METRIC_TYPE_GAUGE              metric
#define METRIC_TYPE_HISTOGRAM          struct metric_histogram
#define METRIC_VALUES_COUNTER          1
#define METRIC_VALUES_GAUGE            1
#define METRIC_VALUES_HISTOGRAM        (METRIC_BUCKETS + 1)
#define METRIC_FIELD(name, kind, help) METRIC_TYPE_##kind name;

struct metric_info {
    const char *name;
    enum metric_kind kind;
    const char *help;
    size_t offset;   /* in the struct that holds the values */
    size_t n_values; /* 1; more for a histogram */
};

/* A row of an array of struct metric_info; the file defines METRICS_OWNER as the struct that holds the values. */
#define METRIC_INFO(name_, kind_, help_) \
    {#name_, METRIC_##kind_, help_, offsetof(METRICS_OWNER, name_), METRIC_VALUES_##kind_},

/* Only for the thread that owns the struct: no locked instruction. */
static inline void metric_add(metric *m, int64_t n)
{
    atomic_store_explicit(m, atomic_load_explicit(m, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Likewise; of a gauge. */
static inline void metric_set(metric *m, int64_t value)
{
    atomic_store_explicit(m, value, memory_order_relaxed);
}

static inline int64_t metric_get(const metric *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
}

/* Likewise. */
static inline void metric_observe(struct metric_histogram *h, uint64_t value)
{
    size_t bucket = value <= 1 ? 0 : (size_t)(65 - __builtin_clzll(value - 1)) / 2;
    metric_add(&h->buckets[bucket < METRIC_BUCKETS ? bucket : METRIC_BUCKETS - 1], 1);
    metric_add(&h->sum, (int64_t)value);
}

struct metrics_registry;

int metrics_registry_new(struct metrics_registry **ret_registry);
/* NULL is fine. */
struct metrics_registry *metrics_registry_free(struct metrics_registry *r);
/* VALUES (described by the COUNT rows at INFOS) are part of the text from now on, as PREFIX_name. INFOS and PREFIX live
 * as long as the registry, VALUES until metrics_remove(). Any thread. 0 or -ENOMEM. */
int metrics_add(struct metrics_registry *r, const char *prefix, const struct metric_info *infos, size_t count,
                const void *values);
/* The last values stay in the sums (of gauges too: they have come to what they will stay at). Any thread. */
void metrics_remove(struct metrics_registry *r, const void *values);
/* Prometheus text exposition format 0.0.4, ending with NUL. Owned by the caller (free()); NULL if memory is short. Any
 * thread. */
char *metrics_format(struct metrics_registry *r);
/* What is not zero as one line, "rproxy_clients_connected=5 rproxy_clients_lost=1" (of a histogram how often): for the
 * log. Otherwise as above. */
char *metrics_summary(struct metrics_registry *r);

#endif
