/* Gaps of one (publisher, subscriber) pair, kept as an ascending array of ranges. */
#include "load_seq.h"

#include <stdlib.h>
#include <string.h>

#include "load_mem.h"

void load_seq_deinit(struct load_seq *s)
{
    free(s->gaps);
    *s = (struct load_seq){0};
}

static void load_seq_insert_gap(struct load_seq *s, uint32_t at, struct load_seq_gap gap)
{
    if (s->gap_count == s->gap_room) {
        s->gap_room = s->gap_room ? 2 * s->gap_room : 16;
        s->gaps = load_mem_resize(s->gaps, s->gap_room * sizeof(*s->gaps));
    }
    memmove(&s->gaps[at + 1], &s->gaps[at], (s->gap_count - at) * sizeof(*s->gaps));
    s->gaps[at] = gap;
    s->gap_count++;
}

/* Take NUMBER out of gap AT, which holds it: the gap shrinks, splits, or vanishes. */
static void load_seq_fill_gap(struct load_seq *s, uint32_t at, uint32_t number)
{
    struct load_seq_gap *gap = &s->gaps[at];
    struct load_seq_gap upper = {number + 1, gap->to};

    gap->to = number;
    if (gap->from == gap->to && upper.from == upper.to) {
        memmove(gap, gap + 1, (s->gap_count - at - 1) * sizeof(*gap));
        s->gap_count--;
    } else if (gap->from == gap->to) {
        *gap = upper;
    } else if (upper.from != upper.to) {
        load_seq_insert_gap(s, at + 1, upper);
    }
}

int load_seq_see_other(struct load_seq *s, uint32_t number)
{
    if (number >= s->next) {
        if (number > s->next)
            load_seq_insert_gap(s, s->gap_count, (struct load_seq_gap){s->next, number});
        s->next = number + 1;
        return LOAD_SEQ_NEW;
    }
    uint32_t low = 0, high = s->gap_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->gaps[middle].to <= number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == s->gap_count || s->gaps[low].from > number) {
        s->duplicates++;
        return LOAD_SEQ_DUPLICATE;
    }
    load_seq_fill_gap(s, low, number);
    s->late++;
    return LOAD_SEQ_LATE;
}

uint64_t load_seq_lost(const struct load_seq *s, uint32_t issued)
{
    uint64_t lost = issued > s->next ? issued - s->next : 0;

    for (uint32_t i = 0; i < s->gap_count; i++)
        lost += s->gaps[i].to - s->gaps[i].from;
    return lost;
}
