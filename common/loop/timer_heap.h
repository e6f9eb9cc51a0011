/* The started timers of a loop, the next one first: a 4-ary heap, because a timer that is restarted with every packet
 * moves in it, and four children share a cache line. The nodes are the timers themselves, which know their place. */
#ifndef TIMER_HEAP_H
#define TIMER_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct loop_timer;

struct timer_heap {
    struct loop_timer **slots;
    uint32_t count, cap;
};

/* Zeroed memory is an empty heap. Asserts that it is empty again. */
void timer_heap_deinit(struct timer_heap *h);
/* T has its due time and is not in the heap yet. Aborts when memory is short. */
void timer_heap_add(struct timer_heap *h, struct loop_timer *t);
void timer_heap_remove(struct timer_heap *h, struct loop_timer *t);
/* The due time of T, which is in the heap, has changed. */
void timer_heap_moved(struct timer_heap *h, struct loop_timer *t);
/* The one that is due first; NULL when empty. */
static inline struct loop_timer *timer_heap_first(const struct timer_heap *h)
{
    return h->count > 0 ? h->slots[0] : NULL;
}

#endif
