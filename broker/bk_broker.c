/* The program object of mqtt-broker (bk_broker.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_broker.h"

#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bk_access.h"
#include "bk_audit.h"
#include "bk_bridge_plan.h"
#include "bk_client.h"
#include "bk_options.h"
#include "bk_place.h"
#include "bk_quota.h"
#include "bk_record.h"
#include "bk_recover.h"
#include "bk_worker.h"
#include "byte_budget.h"
#include "err.h"
#include "front_admission.h"
#include "front_listeners.h"
#include "log.h"
#include "map.h"
#include "random.h"
#include "store.h"
#include "str.h"

struct broker {
    struct program *program;
    const struct bk_options *options;
    struct store *store;
    struct bk_access *access;
    struct bk_hooks *hooks;   /* whoever has started us owns them; NULL: none */
    struct bk_audit *audit;   /* NULL: none */
    struct bk_quotas *quotas; /* likewise */
    struct bk_bridge_plans *bridges;
    char id[BROKER_ID_LEN + 1];
    struct worker_pool *pool;
    struct front_listeners *listeners;
    struct front_admission admission;
    struct byte_budget budget;
    struct map shared_segments;
    _Atomic uint64_t numbers;
    _Atomic unsigned full_workers; /* that have something to write and no room for it */
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

struct bk_hooks *broker_hooks(const struct broker *b)
{
    return b->hooks;
}

struct bk_quotas *broker_quotas(const struct broker *b)
{
    return b->quotas;
}

struct store *broker_store(const struct broker *b)
{
    return b->store;
}

const struct bk_bridge_plans *broker_bridges(const struct broker *b)
{
    return b->bridges;
}

struct map *broker_shared_segments(struct broker *b)
{
    return &b->shared_segments;
}

const char *broker_id(const struct broker *b)
{
    return b->id;
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

void broker_note_full(struct broker *b, bool is_full)
{
    if (is_full)
        atomic_fetch_add_explicit(&b->full_workers, 1, memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(&b->full_workers, 1, memory_order_relaxed);
}

bool broker_is_full(const struct broker *b)
{
    return atomic_load_explicit(&b->full_workers, memory_order_relaxed) > 0;
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

static void broker_on_accept(struct conn_parcel *parcel, const struct front_listener_options *listener, void *arg)
{
    struct broker *b = arg;
    struct bk_arrival arrival = {.parcel = *parcel, .listener = listener};
    if (front_admission_ask(&b->admission, parcel, loop_now_ms(program_loop(b->program)), &arrival.ticket))
        bk_worker_give(broker_least_loaded(b), &arrival);
    else
        conn_parcel_close(parcel);
}

static int broker_listen(struct broker *b)
{
    const struct front_listeners_params params = {.loop = program_loop(b->program),
                                                  .options = &b->options->front,
                                                  .metrics = program_metrics(b->program),
                                                  .prefix = "broker",
                                                  .fn = broker_on_accept,
                                                  .arg = b};
    return front_listeners_open(&params, &b->listeners);
}

const char *broker_listener(const struct broker *b, size_t index)
{
    return front_listeners_name(b->listeners, index);
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
    const struct front_listener_options *items = b->options->front.listeners.items;
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

static bool broker_has_identities(const struct bk_options *o)
{
    const struct front_listener_options *items = o->front.listeners.items;
    for (size_t i = 0; i < o->front.listeners.count; i++)
        if (items[i].tls.identity != TLS_IDENTITY_NONE)
            return true;
    return false;
}

static void broker_warn_of_access(const struct bk_options *o)
{
    if (o->allow_anonymous)
        log_warn(NULL, "allow-anonymous: whoever reaches a listener may connect");
    else if (!o->password_file && !o->scram_file && !o->jwt_key && !broker_has_identities(o))
        log_warn(NULL, "nobody can connect: there is no password-file, scram-file, jwt-key or tls-identity, and "
                       "allow-anonymous is off");
}

static void broker_reload_bridges(struct broker *b, const struct bk_options *fresh)
{
    struct bk_bridge_plans *before = b->bridges, *plans;
    if (bk_bridge_plans_new(program_loop(b->program), b->id, &fresh->bridges, before, &plans) < 0) {
        log_error(NULL, "the bridges stay as they were: %s", err_text());
        return;
    }
    b->bridges = plans;
    broker_tell_all(b, bk_worker_rebridge);
    bk_bridge_plans_free(before);
}

static void broker_reload(struct program *p, const void *fresh)
{
    struct broker *b = program_object(p);
    const struct bk_options *o = fresh;
    broker_reload_bridges(b, o);
    bk_access_reload(b->access, o);
    bk_audit_reload(b->audit, o);
    front_listeners_reload(b->listeners, &o->front);
    for (unsigned i = 0; i < worker_pool_size(b->pool); i++)
        worker_post(worker_pool_get(b->pool, i), bk_worker_renew_grants, NULL);
}

static int broker_start(struct program *p, const void *options)
{
    uint8_t id[BROKER_ID_LEN / 2];
    if (random_bytes(id, sizeof id) < 0)
        return -EIO;
    struct broker *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(-ENOMEM, "out of memory");
    program_set_object(p, b);
    sem_init(&b->done, 0, 0);
    str_hex(b->id, id, sizeof id);
    map_init(&b->shared_segments, bk_shared_segment_has_key);
    b->program = p;
    b->options = options;
    b->hooks = program_arg(p);
    byte_budget_init(&b->budget, b->options->program.max_buffered_bytes);
    broker_warn_of_access(b->options);
    int e = front_admission_init(&b->admission, &b->options->front, program_metrics(p), "broker",
                                 loop_now_ms(program_loop(p)));
    if (e >= 0)
        e = bk_access_new(b->options, &b->access);
    if (e >= 0)
        e = bk_audit_new(b->options, program_metrics(p), &b->audit);
    if (e >= 0)
        e = bk_quotas_new(b->options, &b->quotas);
    if (e >= 0)
        e = bk_bridge_plans_new(program_loop(p), b->id, &b->options->bridges, NULL, &b->bridges);
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
    front_listeners_close(b->listeners);
    atomic_store_explicit(&b->busy_workers, n, memory_order_release);
    for (unsigned i = 0; i < n; i++)
        worker_post(worker_pool_get(b->pool, i), bk_worker_drain, NULL);
}

static void broker_stop(struct program *p)
{
    struct broker *b = program_object(p);
    if (!b)
        return;
    front_listeners_close(b->listeners);
    if (b->pool)
        broker_tell_all(b, bk_worker_part);
    b->pool = worker_pool_stop(b->pool);
    b->listeners = front_listeners_free(b->listeners);
    front_admission_deinit(&b->admission);
    b->store = store_close(b->store);
    b->audit = bk_audit_free(b->audit);
    b->quotas = bk_quotas_free(b->quotas);
    b->access = bk_access_free(b->access);
    b->bridges = bk_bridge_plans_free(b->bridges);
    bk_shared_segments_free(&b->shared_segments);
    sem_destroy(&b->done);
    free(b);
}

const struct program_calls broker_calls = {
    .start = broker_start, .reload = broker_reload, .drain = broker_drain, .stop = broker_stop};
