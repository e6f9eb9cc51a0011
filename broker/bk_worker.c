/* A worker of the broker (bk_worker.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bk_bridge.h"
#include "bk_broker.h"
#include "bk_client.h"
#include "bk_full.h"
#include "bk_handover.h"
#include "bk_hooks.h"
#include "bk_journal.h"
#include "bk_options.h"
#include "bk_pace.h"
#include "bk_peers.h"
#include "bk_recover.h"
#include "bk_retain.h"
#include "bk_session.h"
#include "bk_share.h"
#include "bk_sys.h"
#include "bk_will.h"
#include "err.h"
#include "log.h"
#include "mailbox.h"
#include "mqtt_reason.h"
#include "retained_index.h"
#include "store.h"
#include "topic_index.h"

enum {
    BK_TICK_MS = 1000,
    BK_STALL_MS = 30000, /* so long may buffers stay full with nothing moving before the largest holder is shed */
};

#define METRICS_OWNER struct bk_metrics
static const struct metric_info bk_metric_infos[] = {BK_METRICS(METRIC_INFO)};

static bool bk_session_has_id(const struct map_node *node, const void *key)
{
    const struct bk_session *s = container_of(node, struct bk_session, node);
    const struct mqtt_bytes *id = key;
    return s->id_len == id->len && memcmp(s->id, id->ptr, id->len) == 0;
}

static bool bk_share_has_text(const struct map_node *node, const void *key)
{
    const struct bk_share *s = container_of(node, struct bk_share, node);
    const struct mqtt_bytes *text = key;
    return s->text_len == text->len && memcmp(s->text, text->ptr, text->len) == 0;
}

static bool bk_node_is_number(const struct map_node *node, const void *key)
{
    return node->hash == *(const uint64_t *)key;
}

static void bk_worker_on_tick(struct loop_timer *timer)
{
    struct bk_worker *w = container_of(timer, struct bk_worker, tick);
    byte_budget_tick(&w->budget, loop_now_ms(w->loop));
    bk_retain_tick(w);
    bk_full_tick(w);
    bk_bridges_tick(w);
    if (w->journal)
        bk_journal_tick(w->journal);
    if (w->options->slow_consumer == BK_SLOW_PACE)
        list_for_each (it, &w->clients)
            bk_pace_tick(list_entry(it, struct bk_client, link));
    loop_timer_start(&w->tick, BK_TICK_MS);
}

/* --- Life */

static void bk_worker_free(struct bk_worker *w)
{
    bk_share_forget_all(w);
    if (w->retained)
        bk_retain_clear(w);
    metrics_remove(broker_metrics(w->broker), &w->metrics);
    metrics_remove(broker_metrics(w->broker), &w->front_metrics);
    metrics_remove(broker_metrics(w->broker), &w->tenant_metrics);
    w->journal = bk_journal_free(w->journal);
    w->peers = bk_peers_free(w->peers);
    bk_handover_forget_all(w);
    bk_routes_deinit(&w->routes);
    topic_index_free(w->index);
    bk_scratch_deinit(&w->scratch);
    free(w->marks.bytes);
    bk_scratch_deinit(&w->resend_scratch);
    map_deinit(&w->sessions);
    map_deinit(&w->shares);
    map_deinit(&w->paced);
    map_deinit(&w->far_publishers);
    map_deinit(&w->questions);
    free(w);
}

static void bk_worker_forget_sessions(struct bk_worker *w)
{
    struct map_node *node;
    w->is_stopping = true;
    while ((node = map_any(&w->sessions))) {
        struct bk_session *s = container_of(node, struct bk_session, node);
        bk_will_drop(s);
        bk_session_end(s);
    }
}

/* Where there is a store that keeps anything. */
static int bk_worker_recover(struct bk_worker *w)
{
    struct store *store = broker_store(w->broker);
    if (store_is_volatile(store))
        return 0;
    w->journal = bk_journal_new(w);
    return w->journal ? bk_recover(w, store) : err_set(-ENOMEM, "worker: out of memory");
}

static void bk_worker_apply_bridges(struct bk_worker *w)
{
    if (bk_bridges_apply(w, broker_bridges(w->broker)) < 0)
        log_error(NULL, "%s", err_text());
}

void bk_worker_meet(struct worker *worker, void *arg)
{
    struct bk_worker *w = worker->object;
    if (w->journal && bk_journal_start(w->journal, broker_store(w->broker)) < 0)
        log_error(NULL, "store: %s", err_text());
    bk_worker_apply_bridges(w);
    bk_peers_open(w->peers);
    broker_worker_has_done(arg);
}

void bk_worker_begin(struct worker *worker, void *arg)
{
    struct bk_worker *w = worker->object;
    bk_recover_wake(w);
    bk_bridges_begin(w);
    if (worker->index == 0)
        w->sys = bk_sys_start(w);
    broker_worker_has_done(arg);
}

void bk_worker_rebridge(struct worker *worker, void *arg)
{
    struct bk_worker *w = worker->object;
    if (!w->is_draining) {
        bk_worker_apply_bridges(w);
        bk_bridges_begin(w);
    }
    broker_worker_has_done(arg);
}

void bk_worker_part(struct worker *worker, void *arg)
{
    struct bk_worker *w = worker->object;
    w->is_parting = true;
    w->sys = bk_sys_stop(w->sys); /* it looks at all workers */
    bk_peers_shut(w->peers);
    broker_worker_has_done(arg);
}

static int bk_worker_init(struct worker *worker, void *arg)
{
    struct bk_worker *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(-ENOMEM, "worker: out of memory");
    w->broker = arg;
    w->worker = worker;
    w->loop = worker->loop;
    w->index_of = worker->index;
    w->n_workers = broker_workers(w->broker);
    w->mailbox = worker->mailbox;
    w->options = broker_options(w->broker);
    map_init(&w->sessions, bk_session_has_id);
    map_init(&w->shares, bk_share_has_text);
    map_init(&w->paced, bk_node_is_number);
    map_init(&w->far_publishers, bk_node_is_number);
    map_init(&w->questions, bk_node_is_number);
    list_init(&w->answers);
    list_init(&w->full_waits);
    list_init(&w->handovers);
    list_init(&w->clients);
    list_init(&w->asked);
    w->hooks = broker_hooks(w->broker);
    w->hook_kinds = bk_hooks_kinds(w->hooks);
    byte_budget_loop_init(&w->budget, broker_budget(w->broker), &bk_client_budget_calls, BK_STALL_MS);
    w->index = topic_index_new();
    w->retained = retained_index_new();
    int r = w->index && w->retained ? bk_routes_init(&w->routes) : -ENOMEM;
    if (r >= 0)
        r = bk_peers_new(w, w->n_workers, &w->peers);
    if (r >= 0)
        r = metrics_add(broker_metrics(w->broker), "broker", bk_metric_infos,
                        sizeof bk_metric_infos / sizeof bk_metric_infos[0], &w->metrics);
    if (r >= 0)
        r = front_metrics_add(&w->front_metrics, broker_metrics(w->broker), "broker");
    if (r >= 0)
        r = tenant_metrics_add(&w->tenant_metrics, broker_metrics(w->broker), "broker");
    if (r < 0)
        err_set(r, "worker: out of memory");
    else
        r = bk_worker_recover(w);
    if (r < 0) {
        bk_worker_forget_sessions(w);
        bk_worker_free(w);
        return r;
    }
    loop_timer_init(&w->tick, w->loop, bk_worker_on_tick);
    loop_timer_start(&w->tick, BK_TICK_MS);
    worker->object = w;
    return 0;
}

/* The program ends: whoever is still there hears it and is closed. */
static void bk_worker_deinit(struct worker *worker, void *arg)
{
    struct bk_worker *w = worker->object;
    worker->object = NULL; /* for mails that are still there */
    w->is_idle_told = true;
    bk_bridges_end(w);
    list_for_each_safe (it, tmp, &w->clients)
        bk_client_close(list_entry(it, struct bk_client, link), MQTT_REASON_SERVER_SHUTTING_DOWN,
                        "the broker has stopped");
    bk_hooks_end(w);
    bk_journal_stop(w->journal);
    bk_worker_forget_sessions(w);
    loop_timer_stop(&w->tick);
    bk_worker_free(w);
}

const struct worker_calls bk_worker_calls = {.init = bk_worker_init, .deinit = bk_worker_deinit};

/* --- Connections */

static void bk_worker_take(struct worker *worker, void *arg)
{
    struct bk_worker *w = worker->object;
    struct bk_arrival *arrival = arg;
    if (!w) {
        bk_arrival_drop(arrival);
    } else {
        metric_add(&w->metrics.connections_accepted, arrival->connect == NULL);
        metric_add(&w->metrics.connections_open, 1);
        bk_client_new(w, arrival);
    }
    free(arrival->connect);
    free(arrival);
}

static void bk_worker_post_arrival(struct bk_worker *to, struct bk_arrival *arrival)
{
    atomic_fetch_add_explicit(&to->load, 1, memory_order_relaxed);
    worker_post(to->worker, bk_worker_take, arrival);
}

void bk_worker_give(struct bk_worker *w, struct bk_arrival *arrival)
{
    struct bk_arrival *a = malloc(sizeof *a);
    if (!a) {
        bk_arrival_drop(arrival);
        return;
    }
    *a = *arrival;
    bk_worker_post_arrival(w, a);
}

void bk_worker_take_inner(struct bk_worker *w, const struct conn_parcel *parcel)
{
    struct bk_arrival arrival = {.parcel = *parcel, .is_inner = true};
    arrival.parcel.accepted_ms = loop_now_ms(w->loop);
    atomic_fetch_add_explicit(&w->load, 1, memory_order_relaxed);
    metric_add(&w->metrics.connections_open, 1);
    bk_client_new(w, &arrival);
}

void bk_worker_move(struct bk_worker *from, unsigned to, struct bk_arrival *arrival)
{
    struct worker *worker = worker_pool_get(broker_pool(from->broker), to);
    bk_worker_post_arrival(worker->object, arrival);
}

void bk_worker_renew_grants(struct worker *worker, void *arg)
{
    struct bk_worker *w = worker->object;
    for (size_t i = 0; i < w->sessions.n_slots; i++)
        for (struct map_node *node = w->sessions.slots[i]; node; node = node->next)
            bk_session_renew_grant(container_of(node, struct bk_session, node));
}

unsigned bk_worker_of(const struct bk_worker *w, struct mqtt_bytes name)
{
    return w->n_workers == 1 ? 0 : (unsigned)(map_hash_bytes(name.ptr, name.len) % w->n_workers);
}

uint64_t bk_worker_next_number(struct bk_worker *w)
{
    return broker_next_number(w->broker);
}

void bk_worker_client_gone(struct bk_worker *w)
{
    metric_add(&w->metrics.connections_open, -1);
    atomic_fetch_sub_explicit(&w->load, 1, memory_order_relaxed);
    if (!w->is_draining || w->is_idle_told || !list_is_empty(&w->clients))
        return;
    w->is_idle_told = true;
    broker_worker_is_idle(w->broker);
}

void bk_worker_drain(struct worker *worker, void *arg)
{
    struct bk_worker *w = worker->object;
    w->is_draining = true;
    bk_bridges_end(w);
    list_for_each_safe (it, tmp, &w->clients)
        bk_client_drain(list_entry(it, struct bk_client, link));
    if (w->is_idle_told || !list_is_empty(&w->clients))
        return;
    w->is_idle_told = true;
    broker_worker_is_idle(w->broker);
}
