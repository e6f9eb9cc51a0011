/* The program object of mqtt-broker (broker.h). */
#define LOG_MODULE LOG_BROKER
#include "broker.h"

#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bk_access.h"
#include "bk_audit.h"
#include "bk_options.h"
#include "bk_place.h"
#include "bk_quota.h"
#include "bk_record.h"
#include "bk_recover.h"
#include "bk_worker.h"
#include "byte_budget.h"
#include "err.h"
#include "listener.h"
#include "log.h"
#include "map.h"
#include "store.h"
#include "url.h"

enum { BK_PORT = 1884 };

struct broker {
    struct program *program;
    const struct bk_options *options;
    struct store *store;
    struct bk_access *access;
    struct bk_audit *audit;   /* NULL: none */
    struct bk_quotas *quotas; /* likewise */
    struct worker_pool *pool;
    struct listener **listeners;
    size_t n_listeners;
    struct byte_budget budget;
    struct map shared_segments;
    _Atomic uint64_t numbers;
    unsigned next_worker;          /* where the search for the least loaded begins */
    _Atomic unsigned busy_workers; /* while draining */
    sem_t done;                    /* posted by each worker, see broker_tell_all() */
};

const struct bk_options *broker_options(const struct broker *b)
{
    return b->options;
}

struct byte_budget *broker_budget(struct broker *b)
{
    return &b->budget;
}

struct metrics_registry *broker_metrics(const struct broker *b)
{
    return program_metrics(b->program);
}

unsigned broker_workers(const struct broker *b)
{
    return program_workers(b->program);
}

struct worker_pool *broker_pool(const struct broker *b)
{
    return b->pool;
}

struct bk_access *broker_access(const struct broker *b)
{
    return b->access;
}

struct bk_audit *broker_audit(const struct broker *b)
{
    return b->audit;
}

struct bk_quotas *broker_quotas(const struct broker *b)
{
    return b->quotas;
}

struct store *broker_store(const struct broker *b)
{
    return b->store;
}

struct map *broker_shared_segments(struct broker *b)
{
    return &b->shared_segments;
}

void broker_reserve_numbers(struct broker *b, uint64_t number)
{
    uint64_t now = atomic_load_explicit(&b->numbers, memory_order_relaxed);
    while (now < number && !atomic_compare_exchange_weak_explicit(&b->numbers, &now, number, memory_order_relaxed,
                                                                  memory_order_relaxed))
        ;
}

uint64_t broker_next_number(struct broker *b)
{
    return atomic_fetch_add_explicit(&b->numbers, 1, memory_order_relaxed) + 1;
}

/* --- Accepting */

static struct bk_worker *broker_least_loaded(struct broker *b)
{
    const unsigned n = worker_pool_size(b->pool);
    assert(n > 0);
    struct bk_worker *best = NULL;
    unsigned best_load = 0;
    for (unsigned i = 0; i < n; i++) {
        struct bk_worker *w = worker_pool_get(b->pool, (b->next_worker + i) % n)->object;
        const unsigned load = atomic_load_explicit(&w->load, memory_order_relaxed);
        if (!best || load < best_load) {
            best = w;
            best_load = load;
        }
    }
    b->next_worker = (b->next_worker + 1) % n;
    return best;
}

static void broker_on_accept(struct listener *l, struct conn_parcel *parcel, void *arg)
{
    bk_worker_give(broker_least_loaded(arg), parcel);
}

static const struct listener_cbs broker_listener_cbs = {.on_accept = broker_on_accept};

static int broker_listen(struct broker *b)
{
    const struct bk_listener_options *items = b->options->listeners.items;
    b->listeners = calloc(b->options->listeners.count, sizeof(struct listener *));
    if (!b->listeners)
        return err_set(-ENOMEM, "out of memory");
    for (size_t i = 0; i < b->options->listeners.count; i++) {
        struct url url;
        const struct listener_params params = {.url = &url, .default_port = BK_PORT};
        int r = url_parse(items[i].url, "mqtt unix", &url);
        if (r >= 0)
            r = listener_open(program_loop(b->program), &params, &broker_listener_cbs, b, &b->listeners[i]);
        if (r < 0)
            return r;
        b->n_listeners++;
        log_info(NULL, "listening on %s", listener_name(b->listeners[i]));
    }
    return 0;
}

static void broker_close_listeners(struct broker *b)
{
    for (size_t i = 0; i < b->n_listeners; i++)
        b->listeners[i] = listener_close(b->listeners[i]);
    b->n_listeners = 0;
}

/* --- Life */

void broker_worker_has_done(struct broker *b)
{
    sem_post(&b->done);
}

/* All workers run FN, which calls broker_worker_has_done(); returns when they have. */
static void broker_tell_all(struct broker *b, worker_fn *fn)
{
    const unsigned n = worker_pool_size(b->pool);
    for (unsigned i = 0; i < n; i++)
        worker_post(worker_pool_get(b->pool, i), fn, b);
    for (unsigned i = 0; i < n; i++)
        while (sem_wait(&b->done) < 0)
            ;
}

static const char *broker_first_url(const struct broker *b)
{
    const struct bk_listener_options *items = b->options->listeners.items;
    return items[0].url;
}

static int broker_open_store(struct broker *b)
{
    const struct bk_options *o = b->options;
    char place[BK_PLACE_MAX];
    struct store_options options = {.url = o->store,
                                    .durability = o->durability,
                                    .format = BK_RECORD_FORMAT,
                                    .upgrades = bk_upgrades,
                                    .n_upgrades = BK_UPGRADES,
                                    .repair = o->repair};
    struct store_report report;
    int e = o->store ? 0 : bk_place_default(broker_first_url(b), place);
    if (e >= 0) {
        options.url = o->store ? o->store : place;
        e = store_open(&options, &b->store, &report);
    }
    if (e < 0)
        return o->store ? err_context(e, "store %s", o->store)
                        : err_context(e, "the store, which is where --store says (lmdb:DIR or memory)");
    log_info(NULL, "store %s", options.url);
    if (report.upgraded_from != 0)
        log_info(NULL, "store %s: upgraded from format %u to %u", options.url, (unsigned)report.upgraded_from,
                 (unsigned)BK_RECORD_FORMAT);
    if (report.is_rolled_back)
        log_warn(NULL, "store %s: power was lost; it is as it was at the last sync", options.url);
    if (report.is_repaired)
        log_warn(NULL,
                 "store %s: repaired: %llu entries kept, %llu lost, %llu pages could not be read; what was there "
                 "is kept in %s",
                 options.url, (unsigned long long)report.kept_entries, (unsigned long long)report.lost_entries,
                 (unsigned long long)report.lost_pages, report.kept_aside);
    return store_metrics_add(b->store, program_metrics(b->program), "broker_store");
}

static void broker_warn_of_access(const struct bk_options *o)
{
    if (o->allow_anonymous)
        log_warn(NULL, "allow-anonymous: whoever reaches a listener may connect");
    else if (!o->password_file && !o->scram_file && !o->jwt_key)
        log_warn(NULL,
                 "nobody can connect: there is no password-file, scram-file or jwt-key, and allow-anonymous is off");
}

static void broker_reload(struct program *p, const void *fresh)
{
    struct broker *b = program_object(p);
    bk_access_reload(b->access, fresh);
    bk_audit_reload(b->audit, fresh);
    for (unsigned i = 0; i < worker_pool_size(b->pool); i++)
        worker_post(worker_pool_get(b->pool, i), bk_worker_renew_grants, NULL);
}

static int broker_start(struct program *p, const void *options)
{
    struct broker *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(-ENOMEM, "out of memory");
    program_set_object(p, b);
    sem_init(&b->done, 0, 0);
    map_init(&b->shared_segments, bk_shared_segment_has_key);
    b->program = p;
    b->options = options;
    byte_budget_init(&b->budget, b->options->program.max_buffered_bytes);
    broker_warn_of_access(b->options);
    int e = bk_access_new(b->options, &b->access);
    if (e >= 0)
        e = bk_audit_new(b->options, program_metrics(p), &b->audit);
    if (e >= 0)
        e = bk_quotas_new(b->options, &b->quotas);
    if (e >= 0)
        e = broker_open_store(b);
    if (e >= 0)
        e = worker_pool_start("broker", program_workers(p), &bk_worker_calls, b, &b->pool);
    if (e < 0)
        return e;
    broker_tell_all(b, bk_worker_meet);
    broker_tell_all(b, bk_worker_begin);
    bk_audit_event(b->audit, "started");
    return broker_listen(b);
}

void broker_worker_is_idle(struct broker *b)
{
    if (atomic_fetch_sub_explicit(&b->busy_workers, 1, memory_order_acq_rel) == 1)
        program_post(b->program, program_drained);
}

static void broker_drain(struct program *p)
{
    struct broker *b = program_object(p);
    const unsigned n = worker_pool_size(b->pool);
    bk_audit_event(b->audit, "draining");
    broker_close_listeners(b);
    atomic_store_explicit(&b->busy_workers, n, memory_order_release);
    for (unsigned i = 0; i < n; i++)
        worker_post(worker_pool_get(b->pool, i), bk_worker_drain, NULL);
}

static void broker_stop(struct program *p)
{
    struct broker *b = program_object(p);
    if (!b)
        return;
    broker_close_listeners(b);
    if (b->pool)
        broker_tell_all(b, bk_worker_part);
    b->pool = worker_pool_stop(b->pool);
    b->store = store_close(b->store);
    b->audit = bk_audit_free(b->audit);
    b->quotas = bk_quotas_free(b->quotas);
    b->access = bk_access_free(b->access);
    free(b->listeners);
    bk_shared_segments_free(&b->shared_segments);
    sem_destroy(&b->done);
    free(b);
}

const struct program_calls broker_calls = {
    .start = broker_start, .reload = broker_reload, .drain = broker_drain, .stop = broker_stop};
