/* The byte budget of the process (byte_budget.h). */
#include "byte_budget.h"

#include <unistd.h>

void byte_budget_init(struct byte_budget *b, size_t limit_bytes)
{
    if (limit_bytes == 0)
        limit_bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / 4;
    b->limit_bytes = limit_bytes;
    atomic_init(&b->used_bytes, 0);
}

void byte_budget_loop_init(struct byte_budget_loop *l, struct byte_budget *b, const struct byte_budget_calls *calls,
                           uint32_t stall_ms)
{
    l->budget = b;
    l->calls = calls;
    list_init(&l->large);
    list_init(&l->paused);
    l->stalled_since_ms = 0;
    l->lowest_bytes = 0;
    l->stall_ms = stall_ms;
}

static size_t byte_budget_used(const struct byte_budget_loop *l)
{
    return atomic_load_explicit(&l->budget->used_bytes, memory_order_relaxed);
}

static struct byte_budget_holder *byte_budget_largest(const struct list *holders)
{
    struct byte_budget_holder *largest = NULL;
    list_for_each (it, holders) {
        struct byte_budget_holder *h = list_entry(it, struct byte_budget_holder, link);
        if (h->is_shed)
            continue;
        if (!largest || h->reported_bytes > largest->reported_bytes)
            largest = h;
    }
    return largest;
}

static void byte_budget_pause_largest(struct byte_budget_loop *l)
{
    struct byte_budget_holder *h = byte_budget_largest(&l->large);
    if (!h)
        return;
    h->is_paused = true;
    list_move_tail(&l->paused, &h->link);
    l->calls->on_pause(h);
}

static void byte_budget_place(struct byte_budget_holder *h)
{
    if (h->is_paused)
        return;
    if (h->reported_bytes >= BYTE_BUDGET_LARGE && !list_is_linked(&h->link))
        list_add_tail(&h->loop->large, &h->link);
    else if (h->reported_bytes < BYTE_BUDGET_LARGE)
        list_del(&h->link);
}

static void byte_budget_resume_paused(struct byte_budget_loop *l)
{
    size_t low_mark = l->budget->limit_bytes - l->budget->limit_bytes / 8;
    while (!list_is_empty(&l->paused) && byte_budget_used(l) < low_mark) {
        struct byte_budget_holder *h = list_entry(l->paused.prev, struct byte_budget_holder, link);
        h->is_paused = false;
        list_del(&h->link);
        byte_budget_place(h);
        l->calls->on_resume(h);
    }
}

static void byte_budget_move(struct byte_budget_holder *h, size_t bytes)
{
    struct byte_budget *b = h->loop->budget;
    if (bytes < h->reported_bytes)
        atomic_fetch_sub_explicit(&b->used_bytes, h->reported_bytes - bytes, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&b->used_bytes, bytes - h->reported_bytes, memory_order_relaxed);
    h->reported_bytes = bytes;
}

void byte_budget_report(struct byte_budget_holder *h, size_t bytes)
{
    struct byte_budget_loop *l = h->loop;
    bool has_grown = bytes > h->reported_bytes;
    byte_budget_move(h, bytes);
    byte_budget_place(h);
    if (!has_grown)
        byte_budget_resume_paused(l);
    else if (byte_budget_used(l) > l->budget->limit_bytes)
        byte_budget_pause_largest(l);
}

static void byte_budget_shed_if_stalled(struct byte_budget_loop *l, uint64_t now_ms)
{
    const size_t used = byte_budget_used(l);
    if (l->stalled_since_ms == 0 || used + BYTE_BUDGET_STEP <= l->lowest_bytes) {
        l->lowest_bytes = used;
        l->stalled_since_ms = now_ms;
        return;
    }
    if (now_ms - l->stalled_since_ms < l->stall_ms)
        return;
    l->stalled_since_ms = now_ms;
    struct byte_budget_holder *h = byte_budget_largest(&l->paused);
    if (!h)
        return;
    h->is_shed = true;
    l->calls->on_shed(h);
}

void byte_budget_tick(struct byte_budget_loop *l, uint64_t now_ms)
{
    byte_budget_resume_paused(l);
    if (list_is_empty(&l->paused))
        l->stalled_since_ms = 0;
    else
        byte_budget_shed_if_stalled(l, now_ms);
}

void byte_budget_join(struct byte_budget_loop *l, struct byte_budget_holder *h)
{
    h->loop = l;
    h->reported_bytes = 0;
    h->is_paused = h->is_shed = false;
    list_init(&h->link);
}

void byte_budget_leave(struct byte_budget_holder *h)
{
    list_del(&h->link);
    h->is_paused = h->is_shed = false;
    if (h->reported_bytes != 0)
        byte_budget_move(h, 0);
    byte_budget_resume_paused(h->loop);
}
