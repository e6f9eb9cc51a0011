/* The store as one loop sees it: the round of the turn, its way to the store thread and back, callbacks in order.
 *
 *   hold (first use in a turn) --> held --end of the turn--> waiting --store thread--> taken --mail--> finished
 *                                    ^------- hold ------------'
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "store_internal.h"

/* --- The round of this turn. */

struct store_round *store_client_look(struct store_client *c)
{
    if (c->held || c->has_looked)
        return c->held;
    c->has_looked = true;
    loop_defer(c->loop, &c->turn);
    if (c->n_out == 0)
        return NULL;
    pthread_mutex_lock(&c->store->_shared.lock);
    c->held = c->_shared.waiting;
    c->_shared.waiting = NULL;
    pthread_mutex_unlock(&c->store->_shared.lock);
    if (c->held)
        c->n_out--;
    return c->held;
}

static struct store_round *store_client_new_round(struct store_client *c)
{
    struct store_round *r = c->spare;
    c->spare = NULL;
    if (!r)
        r = store_round_new(c);
    if (!r)
        abort();
    store_round_reset(r, c->next_serial);
    return r;
}

struct store_round *store_client_hold(struct store_client *c)
{
    if (!store_client_look(c))
        c->held = store_client_new_round(c);
    return c->held;
}

/* Nothing points into R any more. */
static void store_client_recycle(struct store_client *c, struct store_round *r)
{
    c->waiting_bytes -= r->bytes;
    if (c->spare)
        store_round_free(r);
    else
        c->spare = r;
}

/* --- Callbacks. */

static void store_explain(const struct store_batch *b, int result)
{
    if (result == -EINVAL && b->error)
        err_set(result, "store: a key or a value of a length that no store takes");
    else if (b->error)
        err_errno(result, "store");
    else
        err_set(result, "store: %s", b->round->reason);
}

static void store_batch_finish(struct store_client *c, struct store_batch *b, int result)
{
    b->request.is_done = true;
    b->round->n_undone--;
    c->n_undone--;
    if (!b->done)
        return;
    if (result < 0)
        store_explain(b, result);
    b->done(b->arg, result);
}

static void store_scan_finish(struct store_client *c, struct store_round *r, struct store_scan_request *scan)
{
    static const struct store_page none = {.is_end = true};
    scan->request.is_done = true;
    r->n_undone--;
    c->n_undone--;
    const struct store_page *page = scan->result < 0 ? NULL : store_page_finish(scan->page, &scan->range);
    int result = scan->result;
    if (result < 0)
        err_set(result, "store: %s", r->reason);
    else if (!page)
        result = err_set(-ENOMEM, "scan: out of memory");
    scan->fn(scan->arg, result, page ? page : &none);
    scan->page = store_page_free(scan->page);
}

static void store_request_finish(struct store_client *c, struct store_round *r, struct store_request *q)
{
    if (q->is_scan) {
        store_scan_finish(c, r, (struct store_scan_request *)q);
        return;
    }
    struct store_batch *b = (struct store_batch *)q;
    store_batch_release(b);
    if (!q->is_done)
        store_batch_finish(c, b, b->error ? b->error : b->result);
}

/* All of it, in order. */
static void store_round_finish(struct store_client *c, struct store_round *r)
{
    for (struct store_request *q = r->first; q; q = q->next)
        store_request_finish(c, r, q);
    store_client_recycle(c, r);
}

void store_client_take_back(struct store_round *r)
{
    struct store_client *c = r->client;
    c->n_out--;
    store_round_finish(c, r);
}

/* --- The end of the turn. */

void store_client_finish_early(struct store_client *c, struct store_batch *b)
{
    b->request.is_done = true; /* on the list once */
    b->next_early = c->early;
    c->early = b;
}

/* Those whose cancelling has left nothing. What callbacks add to the list comes with the next round of deferred work.
 */
static void store_client_run_early(struct store_client *c)
{
    struct store_batch *first = NULL;
    for (struct store_batch *b = c->early, *next; b; b = next) { /* the list has the newest first */
        next = b->next_early;
        b->next_early = first;
        first = b;
    }
    c->early = NULL;
    for (struct store_batch *b = first, *next; b; b = next) {
        next = b->next_early;
        store_batch_finish(c, b, b->error);
    }
}

/* Q needs no answer of the database, or does not wait for it. */
static bool store_client_may_finish(const struct store_client *c, const struct store_request *q)
{
    const struct store_batch *b = (const struct store_batch *)q;
    if (q->is_scan)
        return false;
    if (b->error || (b->n_writes == 0 && b->n_requires == 0))
        return true;
    return c->store->durability == STORE_NONE && b->n_requires == 0 && c->waiting_bytes <= STORE_LAZY_MAX_BYTES &&
           !atomic_load(&c->store->has_lost);
}

/* As many as may be done here and now, in order, and only where nothing before them is under way. What callbacks commit
 * has its turn next time (goes_on): a callback that commits may not keep the loop for ever. */
static void store_client_run_in_place(struct store_client *c, struct store_round *r)
{
    struct store_request *last = container_of(r->end, struct store_request, next);
    if (!r->first || c->n_undone > r->n_undone)
        return;
    for (struct store_request *q = r->next_undone; q; q = r->next_undone) {
        if (!q->is_done && !store_client_may_finish(c, q))
            return;
        r->next_undone = q->next;
        if (!q->is_done)
            store_batch_finish(c, (struct store_batch *)q, ((struct store_batch *)q)->error);
        if (q == last)
            break;
    }
    c->goes_on = r->next_undone && store_client_may_finish(c, r->next_undone);
}

/* R is not held any more. */
static void store_client_let_go(struct store_client *c, struct store_round *r)
{
    c->held = NULL;
    c->next_serial = r->first_serial + r->n_entries;
}

/* The store thread may take it from now on. */
static void store_client_publish(struct store_client *c, struct store_round *r)
{
    bool is_lazy = c->store->durability == STORE_NONE && (r->n_undone == 0 || c->goes_on);
    store_client_let_go(c, r);
    c->n_out++;
    pthread_mutex_lock(&c->store->_shared.lock);
    store_thread_offer(c, r, !is_lazy || r->bytes > STORE_LAZY_BYTES);
    pthread_mutex_unlock(&c->store->_shared.lock);
}

static void store_client_end_turn(struct store_client *c)
{
    c->has_looked = false;
    metric_set(&c->metrics.waiting_bytes, (int64_t)c->waiting_bytes);
    struct store_round *r = c->held;
    if (!r)
        return;
    if (r->n_undone > 0 || store_round_has_work(r)) {
        store_client_publish(c, r);
        return;
    }
    store_client_let_go(c, r);
    store_round_finish(c, r);
}

static void store_client_on_turn(struct loop_task *turn)
{
    struct store_client *c = container_of(turn, struct store_client, turn);
    if (c->goes_on)
        store_client_look(c);
    c->goes_on = false;
    store_client_run_early(c);
    if (c->held)
        store_client_run_in_place(c, c->held);
    if (c->goes_on || c->early)
        loop_defer(c->loop, &c->turn);
    if (!c->early) /* those are of the round that is held */
        store_client_end_turn(c);
}

/* --- Life. */

int store_attach(struct store *s, struct loop *loop, struct store_client **ret_client)
{
    struct store_client *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(-ENOMEM, "store: out of memory");
    int r = mailbox_new(loop, &c->mailbox);
    if (r < 0) {
        free(c);
        return r;
    }
    c->store = s;
    c->loop = loop;
    c->next_serial = 1;
    c->_shared.returned_end = &c->_shared.returned;
    loop_task_init(&c->turn, store_client_on_turn);
    pthread_mutex_lock(&s->_shared.lock);
    list_add_tail(&s->_shared.clients, &c->link);
    pthread_mutex_unlock(&s->_shared.lock);
    *ret_client = c;
    return 0;
}

/* The first that has come back; waits for it. */
static struct store_round *store_client_wait(struct store_client *c)
{
    struct store *s = c->store;
    pthread_mutex_lock(&s->_shared.lock);
    while (!c->_shared.returned)
        pthread_cond_wait(&s->_shared.returned, &s->_shared.lock);
    struct store_round *r = c->_shared.returned;
    c->_shared.returned = r->next;
    if (!r->next)
        c->_shared.returned_end = &c->_shared.returned;
    pthread_mutex_unlock(&s->_shared.lock);
    return r;
}

/* Rounds come back by hand from now on; what waits lazily waits no longer. */
static void store_client_hurry(struct store_client *c)
{
    struct store *s = c->store;
    pthread_mutex_lock(&s->_shared.lock);
    c->_shared.is_detaching = true;
    if (c->_shared.waiting)
        store_thread_offer(c, c->_shared.waiting, true);
    pthread_mutex_unlock(&s->_shared.lock);
}

static bool store_client_is_busy(const struct store_client *c)
{
    return c->held || c->early || c->goes_on || c->n_out > 0;
}

struct store_client *store_detach(struct store_client *c)
{
    if (!c)
        return NULL;
    store_client_hurry(c);
    c->mailbox = mailbox_free(c->mailbox); /* what is on its way as mail */
    while (store_client_is_busy(c)) {
        store_client_on_turn(&c->turn);
        store_client_hurry(c);
        if (!c->early && !c->goes_on && c->n_out > 0)
            store_client_take_back(store_client_wait(c));
    }
    loop_task_cancel(&c->turn);
    pthread_mutex_lock(&c->store->_shared.lock);
    list_del(&c->link);
    pthread_mutex_unlock(&c->store->_shared.lock);
    if (c->registry)
        metrics_remove(c->registry, &c->metrics);
    store_round_free(c->spare);
    free(c);
    return NULL;
}

size_t store_waiting_bytes(const struct store_client *c)
{
    return c->waiting_bytes;
}

#define METRICS_OWNER struct store_client_metrics
static const struct metric_info store_client_metric_infos[] = {STORE_CLIENT_METRICS(METRIC_INFO)};

int store_client_metrics_add(struct store_client *c, struct metrics_registry *registry, const char *prefix)
{
    size_t n = sizeof store_client_metric_infos / sizeof store_client_metric_infos[0];
    int r = metrics_add(registry, prefix, store_client_metric_infos, n, &c->metrics);
    if (r < 0)
        return err_errno(r, "metrics of the store");
    c->registry = registry;
    return 0;
}
