/* Counters and gauges, declared next to the functions that move them, and their text in Prometheus' format.
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
};

typedef _Atomic int64_t metric;

#define METRIC_FIELD(name, kind, help) metric name;

struct metric_info {
    const char *name;
    enum metric_kind kind;
    const char *help;
    size_t offset; /* in the struct that holds the values */
};

/* A row of an array of struct metric_info; the file defines METRICS_OWNER as the struct that holds the values. */
#define METRIC_INFO(name_, kind_, help_) {#name_, METRIC_##kind_, help_, offsetof(METRICS_OWNER, name_)},

/* Only for the thread that owns the struct: no locked instruction. */
static inline void metric_add(metric *m, int64_t n)
{
    atomic_store_explicit(m, atomic_load_explicit(m, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline int64_t metric_get(const metric *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
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

#endif
