/* See load_pace.h. Bursts are numbered from 0; TOGETHER of them share their time. */
#include "load_pace.h"

#include <math.h>

static uint64_t next_random(struct load_pace *pace)
{
    pace->random ^= pace->random << 13;
    pace->random ^= pace->random >> 7;
    pace->random ^= pace->random << 17;
    return pace->random;
}

/* Exponentially distributed, which is what many independent senders add up to. */
static double random_interval_ns(struct load_pace *pace)
{
    double uniform = ((double)(next_random(pace) >> 11) + 1) * 0x1p-53; /* above 0, up to 1 */

    return -log(uniform) * pace->interval_ns * pace->together;
}

void load_pace_init(struct load_pace *pace, const struct load_options *o, uint32_t publishers, uint32_t thread,
                    uint64_t start_ns)
{
    *pace = (struct load_pace){.is_flood = o->rate == 0,
                               .is_random = o->is_random,
                               .burst = o->burst,
                               .together = o->together,
                               .publishers = publishers,
                               .start_ns = start_ns,
                               .random = UINT64_C(0x9e3779b97f4a7c15) * (thread + 1)};
    if (publishers > 0 && o->rate > 0)
        pace->interval_ns = 1e9 * o->burst * o->publishers / (o->rate * publishers);
}

bool load_pace_is_idle(const struct load_pace *pace)
{
    return pace->is_flood || pace->publishers == 0;
}

static uint64_t burst_ns(const struct load_pace *pace, uint64_t burst)
{
    return pace->start_ns + (uint64_t)((double)(burst - burst % pace->together) * pace->interval_ns);
}

uint64_t load_pace_next_ns(const struct load_pace *pace)
{
    return pace->is_random ? pace->start_ns + (uint64_t)pace->next_ns : burst_ns(pace, pace->bursts_due);
}

bool load_pace_take(struct load_pace *pace, uint64_t now_ns, uint32_t *ret_slot, uint64_t *ret_due_ns)
{
    if (load_pace_is_idle(pace) || now_ns < load_pace_next_ns(pace))
        return false;
    *ret_due_ns = load_pace_next_ns(pace);
    *ret_slot = (uint32_t)((pace->is_random ? next_random(pace) >> 32 : pace->bursts_due) % pace->publishers);
    pace->bursts_due++;
    if (pace->is_random && pace->bursts_due % pace->together == 0)
        pace->next_ns += random_interval_ns(pace);
    return true;
}

uint64_t load_pace_due_ns(const struct load_pace *pace, uint32_t slot, uint32_t number)
{
    return burst_ns(pace, (uint64_t)(number / pace->burst) * pace->publishers + slot);
}
