/* Buckets: below 2^7 each value has its own; above, the top 8 bits of a value (the first is always 1) name its bucket.
 */
#include "load_hist.h"

static uint32_t load_hist_index(uint64_t value_ns)
{
    const uint64_t top = (UINT64_C(1) << LOAD_HIST_TOP_BITS) - 1;

    if (value_ns > top)
        value_ns = top;
    if (value_ns < (1u << LOAD_HIST_STEP_BITS))
        return (uint32_t)value_ns;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value_ns) - LOAD_HIST_STEP_BITS;
    return ((shift + 1) << LOAD_HIST_STEP_BITS) + (uint32_t)(value_ns >> shift) - (1u << LOAD_HIST_STEP_BITS);
}

/* The largest value that load_hist_index() puts into bucket INDEX. */
static uint64_t load_hist_value(uint32_t index)
{
    uint32_t row = index >> LOAD_HIST_STEP_BITS;
    uint64_t step = index & ((1u << LOAD_HIST_STEP_BITS) - 1);

    if (row == 0)
        return step;
    return (((step + (1u << LOAD_HIST_STEP_BITS)) + 1) << (row - 1)) - 1;
}

void load_hist_add(struct load_hist *h, uint64_t value_ns)
{
    h->counts[load_hist_index(value_ns)]++;
    h->total++;
    if (value_ns > h->max_ns)
        h->max_ns = value_ns;
}

void load_hist_merge(struct load_hist *h, const struct load_hist *other)
{
    for (uint32_t i = 0; i < LOAD_HIST_BUCKETS; i++)
        h->counts[i] += other->counts[i];
    h->total += other->total;
    if (other->max_ns > h->max_ns)
        h->max_ns = other->max_ns;
}

uint64_t load_hist_percentile(const struct load_hist *h, double fraction)
{
    uint64_t rank = (uint64_t)(fraction * (double)h->total + 0.999999);
    uint64_t seen = 0;

    if (h->total == 0)
        return 0;
    for (uint32_t i = 0; i < LOAD_HIST_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank && seen > 0) {
            uint64_t value = load_hist_value(i);
            return value < h->max_ns ? value : h->max_ns;
        }
    }
    return h->max_ns;
}
