/* What one subscriber has seen of one publisher: which sequence numbers never came, came twice, or came behind a later
 * one.
 *
 * In order, a message costs one comparison. Only gaps are remembered, as ranges, so that a number below the expected
 * one is told apart: inside a gap it is late (out of order), outside it is a duplicate. */
#ifndef LOAD_SEQ_H
#define LOAD_SEQ_H

#include <stddef.h>
#include <stdint.h>

enum load_seq_result {
    LOAD_SEQ_NEW = 0, /* the expected one, or one above a new gap */
    LOAD_SEQ_LATE,    /* for the first time, behind a later one */
    LOAD_SEQ_DUPLICATE,
};

struct load_seq_gap {
    uint32_t from, to; /* missing: from <= number < to */
};

/* All zero bytes: nothing seen yet, 0 is expected. */
struct load_seq {
    uint32_t next;
    uint32_t gap_count;
    uint32_t gap_room;
    struct load_seq_gap *gaps; /* ascending, never touching; owned */
    uint64_t duplicates;
    uint64_t late;
};

void load_seq_deinit(struct load_seq *s);
/* The case that is not "the expected one": gaps, late ones, duplicates. enum load_seq_result; memory is never short
 * here, or the program ends. */
int load_seq_see_other(struct load_seq *s, uint32_t number);
/* How many of the numbers 0..ISSUED-1 never came. */
uint64_t load_seq_lost(const struct load_seq *s, uint32_t issued);

static inline int load_seq_see(struct load_seq *s, uint32_t number)
{
    if (__builtin_expect(number != s->next, 0))
        return load_seq_see_other(s, number);
    s->next++;
    return LOAD_SEQ_NEW;
}

#endif
