/* How many bytes the whole process may hold for its clients (--max-buffered-bytes), and who stops when it is too many.
 *
 *   process  struct byte_budget        one total, moved in coarse steps
 *     loop   struct byte_budget_loop   knows its large holders; pauses the largest, resumes them, sheds when nothing
 * moves session  struct byte_budget_holder   says with byte_budget_set() what it holds now
 *
 * Above the limit the largest holder of the reporting loop is paused, one with each report: growth stops where it
 * happens, and small holders are never touched. Below 7/8 of the limit the paused ones go on, the last paused first.
 * When holders stay paused and the total has reached no new low for the stall time, unfinished packets fill the budget
 * and block each other: then the largest paused holder is shed. (That somebody released something proves nothing: small
 * holders come and go all the time beside a few that are stuck.)
 *
 * Reports, ticks and callbacks: on the loop of the holder. No clock inside. */
#ifndef BYTE_BUDGET_H
#define BYTE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

enum {
    BYTE_BUDGET_STEP = 16 * 1024,  /* smaller changes of a holder are not reported to the total */
    BYTE_BUDGET_LARGE = 64 * 1024, /* holders below this are never paused */
};

struct byte_budget {
    size_t limit_bytes;
    _Atomic size_t used_bytes;
};

struct byte_budget_holder;

struct byte_budget_calls {
    /* Take in no more bytes. */
    void (*on_pause)(struct byte_budget_holder *h);
    void (*on_resume)(struct byte_budget_holder *h);
    /* Give up: the holder ends, and calls byte_budget_leave() from inside or later. */
    void (*on_shed)(struct byte_budget_holder *h);
};

struct byte_budget_loop {
    struct byte_budget *budget;
    const struct byte_budget_calls *calls;
    struct list large;         /* holders of BYTE_BUDGET_LARGE and more that go on */
    struct list paused;        /* in the order of their pausing */
    uint64_t stalled_since_ms; /* 0 = not stalled */
    size_t lowest_bytes;       /* of the total since then */
    uint32_t stall_ms;
};

struct byte_budget_holder {
    struct byte_budget_loop *loop;
    struct list link;      /* in loop->large or loop->paused */
    size_t reported_bytes; /* what the total has of it */
    bool is_paused;
    bool is_shed; /* on_shed was called: it ends, the next one to be shed is another */
};

/* LIMIT_BYTES 0: a quarter of the machine's memory. */
void byte_budget_init(struct byte_budget *b, size_t limit_bytes);
/* CALLS must outlive the loop. */
void byte_budget_loop_init(struct byte_budget_loop *l, struct byte_budget *b, const struct byte_budget_calls *calls,
                           uint32_t stall_ms);
/* Regularly (every second or so): what other loops have released, and stalls. Holders may be gone afterwards. */
void byte_budget_tick(struct byte_budget_loop *l, uint64_t now_ms);

void byte_budget_join(struct byte_budget_loop *l, struct byte_budget_holder *h);
/* H holds nothing any more and gets no callbacks. */
void byte_budget_leave(struct byte_budget_holder *h);
/* Behind byte_budget_set(). */
void byte_budget_report(struct byte_budget_holder *h, size_t bytes);

/* H holds BYTES now. Cheap unless that changed by a step. Callbacks may run (on_pause of any holder of the loop,
 * on_resume). */
static inline void byte_budget_set(struct byte_budget_holder *h, size_t bytes)
{
    if (bytes < h->reported_bytes + BYTE_BUDGET_STEP && bytes + BYTE_BUDGET_STEP > h->reported_bytes)
        return;
    byte_budget_report(h, bytes);
}

#endif
