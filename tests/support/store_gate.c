/* See store_gate.h. */
#include "store_gate.h"

#include <pthread.h>

#include "err.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_closed;
    bool is_somebody_waiting;
    int failure;
    unsigned n_commits;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int gate_pass(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.n_commits++;
    while (gate.is_closed) {
        gate.is_somebody_waiting = true;
        pthread_cond_broadcast(&gate.changed);
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    gate.is_somebody_waiting = false;
    int failure = gate.failure;
    pthread_mutex_unlock(&gate.lock);
    return failure;
}

static int gate_commit(struct store_driver *d, struct store_batch *first)
{
    int failure = gate_pass();
    if (!failure)
        return store_memory_ops.commit(d, first);
    for (struct store_batch *b = first; b; b = store_batch_next(b))
        b->result = failure;
    return failure < 0 ? err_set(failure, "the gate says no") : 0;
}

static int gate_driver_open(const char *place, const struct store_options *options, struct store_driver **ret_driver,
                            struct store_report *ret_report)
{
    int r = store_memory_ops.open(place, options, ret_driver, ret_report);
    if (r < 0)
        return r;
    (*ret_driver)->ops = &store_gate_ops;
    pthread_mutex_lock(&gate.lock);
    gate.is_closed = false;
    gate.failure = 0;
    gate.n_commits = 0;
    pthread_mutex_unlock(&gate.lock);
    return 0;
}

static void gate_driver_close(struct store_driver *d)
{
    store_memory_ops.close(d);
}

static int gate_read(struct store_driver *d, const struct store_range *range, struct store_page_items *page)
{
    return store_memory_ops.read(d, range, page);
}

static int gate_load(struct store_driver *d, const struct store_range *range, store_load_fn *fn, void *arg)
{
    return store_memory_ops.load(d, range, fn, arg);
}

static uint64_t gate_used_bytes(struct store_driver *d)
{
    return store_memory_ops.used_bytes(d);
}

const struct store_driver_ops store_gate_ops = {
    .scheme = "gate",
    .is_volatile = true,
    .open = gate_driver_open,
    .close = gate_driver_close,
    .commit = gate_commit,
    .read = gate_read,
    .load = gate_load,
    .used_bytes = gate_used_bytes,
};

void store_gate_close(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_closed = true;
    pthread_mutex_unlock(&gate.lock);
}

void store_gate_wait(void)
{
    pthread_mutex_lock(&gate.lock);
    while (!gate.is_somebody_waiting)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

void store_gate_open(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_closed = false;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

void store_gate_fail(int result)
{
    pthread_mutex_lock(&gate.lock);
    gate.failure = result;
    pthread_mutex_unlock(&gate.lock);
}

unsigned store_gate_commits(void)
{
    pthread_mutex_lock(&gate.lock);
    unsigned n = gate.n_commits;
    pthread_mutex_unlock(&gate.lock);
    return n;
}
