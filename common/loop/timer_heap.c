/* See timer_heap.h. */
#include "timer_heap.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "loop.h"

enum { TIMER_HEAP_WIDTH = 4, TIMER_HEAP_FIRST_CAP = 64 };

static void timer_heap_put(struct timer_heap *h, uint32_t at, struct loop_timer *t)
{
    h->slots[at] = t;
    t->heap_index = at + 1;
}

/* T belongs at AT or nearer to the top. */
static void timer_heap_sift_up(struct timer_heap *h, uint32_t at, struct loop_timer *t)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / TIMER_HEAP_WIDTH;
        if (h->slots[parent]->due_ms <= t->due_ms)
            break;
        timer_heap_put(h, at, h->slots[parent]);
        at = parent;
    }
    timer_heap_put(h, at, t);
}

static uint32_t timer_heap_least_child(const struct timer_heap *h, uint32_t first)
{
    uint32_t least = first;
    for (uint32_t i = first + 1; i < first + TIMER_HEAP_WIDTH && i < h->count; i++) {
        if (h->slots[i]->due_ms < h->slots[least]->due_ms)
            least = i;
    }
    return least;
}

/* T belongs at AT or further down. */
static void timer_heap_sift_down(struct timer_heap *h, uint32_t at, struct loop_timer *t)
{
    for (;;) {
        uint32_t first = at * TIMER_HEAP_WIDTH + 1;
        if (first >= h->count)
            break;
        uint32_t child = timer_heap_least_child(h, first);
        if (t->due_ms <= h->slots[child]->due_ms)
            break;
        timer_heap_put(h, at, h->slots[child]);
        at = child;
    }
    timer_heap_put(h, at, t);
}

static void timer_heap_sift(struct timer_heap *h, uint32_t at, struct loop_timer *t)
{
    if (at > 0 && t->due_ms < h->slots[(at - 1) / TIMER_HEAP_WIDTH]->due_ms)
        timer_heap_sift_up(h, at, t);
    else
        timer_heap_sift_down(h, at, t);
}

void timer_heap_deinit(struct timer_heap *h)
{
    assert(h->count == 0);
    free(h->slots);
    h->slots = NULL;
    h->cap = 0;
}

void timer_heap_add(struct timer_heap *h, struct loop_timer *t)
{
    if (h->count == h->cap) {
        h->cap = h->cap > 0 ? h->cap * 2 : TIMER_HEAP_FIRST_CAP;
        h->slots = realloc(h->slots, h->cap * sizeof(struct loop_timer *));
        if (!h->slots)
            abort();
    }
    timer_heap_sift_up(h, h->count++, t);
}

void timer_heap_remove(struct timer_heap *h, struct loop_timer *t)
{
    uint32_t at = t->heap_index - 1;
    assert(at < h->count && h->slots[at] == t);
    t->heap_index = 0;
    struct loop_timer *last = h->slots[--h->count];
    if (last != t)
        timer_heap_sift(h, at, last);
}

void timer_heap_moved(struct timer_heap *h, struct loop_timer *t)
{
    uint32_t at = t->heap_index - 1;
    assert(at < h->count && h->slots[at] == t);
    timer_heap_sift(h, at, t);
}
