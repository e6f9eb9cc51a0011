/* The store thread: takes what waits, has the driver commit it, reads pages, gives everything back. Syncs lazily where
 * the durability asks for no more. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "err.h"
#include "store_internal.h"
#include "thread.h"

/* --- Waiting for work. */

/* Until work is signalled, or DUE_MS (0 = for ever). */
static void store_thread_sleep(struct store *s, uint64_t due_ms)
{
    s->_shared.is_waiting = true;
    if (due_ms) {
        struct timespec due = {.tv_sec = (time_t)(due_ms / 1000), .tv_nsec = (long)(due_ms % 1000) * 1000000};
        pthread_cond_timedwait(&s->_shared.work, &s->_shared.lock, &due);
    } else {
        pthread_cond_wait(&s->_shared.work, &s->_shared.lock);
    }
    s->_shared.is_waiting = false;
}

/* Everything that waits, of all clients. */
static struct store_round *store_thread_take(struct store *s)
{
    struct store_round *rounds = NULL, **end = &rounds;
    list_for_each (it, &s->_shared.clients) {
        struct store_client *c = list_entry(it, struct store_client, link);
        struct store_round *r = c->_shared.waiting;
        if (!r)
            continue;
        c->_shared.waiting = NULL;
        r->next = NULL;
        *end = r;
        end = &r->next;
    }
    s->_shared.work_since_ms = 0;
    s->_shared.is_urgent = false;
    return rounds;
}

static void store_thread_sync(struct store *s)
{
    s->sync_due_ms = 0;
    if (s->driver->ops->sync(s->driver) >= 0)
        return;
    metric_add(&s->metrics.failed_syncs, 1);
    s->sync_due_ms = clock_now_ms() + STORE_SYNC_MS;
}

static uint64_t store_earlier(uint64_t a_ms, uint64_t b_ms)
{
    if (!a_ms || !b_ms)
        return a_ms ? a_ms : b_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

/* The next rounds; NULL: none will come. */
static struct store_round *store_thread_wait(struct store *s)
{
    struct store_round *rounds = NULL;
    pthread_mutex_lock(&s->_shared.lock);
    while (!rounds) {
        uint64_t now_ms = clock_now_ms();
        if (s->sync_due_ms && now_ms >= s->sync_due_ms) {
            pthread_mutex_unlock(&s->_shared.lock);
            store_thread_sync(s);
            pthread_mutex_lock(&s->_shared.lock);
            continue;
        }
        uint64_t work_due_ms = s->_shared.work_since_ms ? s->_shared.work_since_ms + STORE_LAZY_MS : 0;
        bool is_due = work_due_ms && (s->_shared.is_urgent || s->_shared.is_stopping || now_ms >= work_due_ms);
        if (is_due)
            rounds = store_thread_take(s);
        else if (s->_shared.is_stopping)
            break;
        else
            store_thread_sleep(s, store_earlier(work_due_ms, s->sync_due_ms));
    }
    pthread_mutex_unlock(&s->_shared.lock);
    return rounds;
}

void store_thread_offer(struct store_client *c, struct store_round *r, bool is_urgent)
{
    struct store *s = c->store;
    c->_shared.waiting = r;
    bool is_news = !s->_shared.work_since_ms || (is_urgent && !s->_shared.is_urgent);
    if (!s->_shared.work_since_ms)
        s->_shared.work_since_ms = clock_now_ms();
    s->_shared.is_urgent |= is_urgent;
    if (is_news && s->_shared.is_waiting)
        pthread_cond_signal(&s->_shared.work);
}

/* --- Working. */

struct store_tally {
    uint64_t batches, entries, conflicts, full, failed, lost;
};

static struct store_tally store_thread_tally(const struct store_batch *first)
{
    struct store_tally t = {0};
    for (const struct store_batch *b = first; b; b = store_batch_next(b)) {
        t.batches++;
        if (b->result == 0)
            t.entries += b->n_writes;
        else if (b->result == STORE_CONFLICT)
            t.conflicts++;
        else if (b->result == STORE_FULL)
            t.full++;
        else
            t.failed++;
        if (b->request.is_done && b->result != 0)
            t.lost++;
    }
    return t;
}

static void store_thread_count(struct store *s, const struct store_batch *first, uint64_t since_us)
{
    struct store_tally t = store_thread_tally(first);
    struct store_metrics *m = &s->metrics;
    metric_add(&m->commits, 1);
    metric_observe(&m->commit_us, clock_now_us() - since_us);
    metric_observe(&m->commit_batches, t.batches);
    metric_add(&m->written_entries, (int64_t)t.entries);
    metric_add(&m->conflicts, (int64_t)t.conflicts);
    metric_add(&m->refused_full, (int64_t)t.full);
    metric_add(&m->failed, (int64_t)t.failed);
    metric_add(&m->lost_lazily, (int64_t)t.lost);
    metric_set(&m->used_bytes, (int64_t)s->driver->ops->used_bytes(s->driver));
    if (t.lost || t.entries)
        atomic_store(&s->has_lost, t.lost > 0);
}

/* The requests of all rounds are one chain while the driver works on them. No round is empty. */
static void store_thread_chain(struct store_round *rounds)
{
    for (struct store_round *r = rounds; r->next; r = r->next)
        *r->end = r->next->first;
}

static void store_thread_unchain(struct store_round *rounds)
{
    for (struct store_round *r = rounds; r; r = r->next)
        *r->end = NULL;
}

static void store_thread_commit(struct store *s, struct store_round *rounds)
{
    store_thread_chain(rounds);
    struct store_batch *first = store_batch_to_write(rounds->first);
    if (first) {
        uint64_t since_us = clock_now_us();
        int r = s->driver->ops->commit(s->driver, first);
        for (struct store_round *it = r < 0 ? rounds : NULL; it; it = it->next)
            snprintf(it->reason, sizeof it->reason, "%s", err_text());
        store_thread_count(s, first, since_us);
        if (s->durability != STORE_SYNC && s->driver->ops->sync && !s->sync_due_ms)
            s->sync_due_ms = clock_now_ms() + STORE_SYNC_MS;
    }
    store_thread_unchain(rounds);
}

static int store_thread_read(struct store *s, struct store_scan_request *scan)
{
    scan->page = store_page_new(scan->max_items, scan->max_bytes);
    if (!scan->page)
        return err_set(-ENOMEM, "scan: out of memory");
    return s->driver->ops->read(s->driver, &scan->range, scan->page);
}

static void store_thread_scan(struct store *s, struct store_round *r)
{
    if (r->n_scans == 0)
        return;
    for (struct store_request *q = r->first; q; q = q->next) {
        if (!q->is_scan)
            continue;
        struct store_scan_request *scan = (struct store_scan_request *)q;
        scan->result = store_thread_read(s, scan);
        if (scan->result < 0)
            snprintf(r->reason, sizeof r->reason, "%s", err_text());
        metric_add(&s->metrics.scans, 1);
    }
}

static void store_thread_on_mail(struct mail *mail)
{
    store_client_take_back(container_of(mail, struct store_round, mail));
}

/* From here on R is its client's. */
static void store_thread_return(struct store *s, struct store_round *r)
{
    struct store_client *c = r->client;
    r->next = NULL;
    pthread_mutex_lock(&s->_shared.lock);
    if (c->_shared.is_detaching) {
        *c->_shared.returned_end = r;
        c->_shared.returned_end = &r->next;
        pthread_cond_broadcast(&s->_shared.returned);
    } else {
        r->mail.fn = store_thread_on_mail;
        mailbox_post(c->mailbox, &r->mail);
    }
    pthread_mutex_unlock(&s->_shared.lock);
}

static void *store_thread_main(void *arg)
{
    struct store *s = arg;
    struct store_round *rounds;
    while ((rounds = store_thread_wait(s))) {
        store_thread_commit(s, rounds);
        for (struct store_round *r = rounds; r; r = r->next)
            store_thread_scan(s, r);
        for (struct store_round *r = rounds, *next; r; r = next) {
            next = r->next;
            store_thread_return(s, r);
        }
    }
    return NULL;
}

int store_thread_start(struct store *s)
{
    return thread_start("store", store_thread_main, s, &s->thread);
}

void store_thread_stop(struct store *s)
{
    pthread_mutex_lock(&s->_shared.lock);
    s->_shared.is_stopping = true;
    pthread_cond_signal(&s->_shared.work);
    pthread_mutex_unlock(&s->_shared.lock);
    pthread_join(s->thread, NULL);
}
