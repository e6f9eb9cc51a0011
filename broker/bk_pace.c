/* Publishers wait for slow subscribers (bk_pace.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_pace.h"

#include <stdlib.h>

#include "bk_client.h"
#include "bk_message.h"
#include "bk_options.h"
#include "bk_peers.h"
#include "bk_worker.h"

/* Somebody at another worker, held back until no subscriber here is too slow any more: what it publishes before it
 * hears that it has to wait again would fill the queues of the others little by little. */
struct bk_far_publisher {
    struct map_node node; /* in worker->far_publishers; hash = its number */
    struct bk_worker *worker;
    struct bk_peer *peer;
};

bool bk_pace_is_waited_for(const struct bk_client *subscriber)
{
    return !list_is_empty(&subscriber->paced) || subscriber->is_far_slow;
}

static void bk_pace_begin(struct bk_client *subscriber)
{
    if (bk_pace_is_waited_for(subscriber))
        return;
    subscriber->paced_bytes = conn_written_bytes(subscriber->conn);
    subscriber->paced_ms = loop_now_ms(subscriber->worker->loop);
}

static void bk_pace_hold_far(const struct bk_publication *p, struct bk_client *subscriber)
{
    struct bk_worker *w = subscriber->worker;
    if (p->far_source == 0)
        return;
    w->n_far_slow += !subscriber->is_far_slow;
    subscriber->is_far_slow = true;
    if (map_find(&w->far_publishers, p->far_source, &p->far_source))
        return;
    struct bk_far_publisher *f = calloc(1, sizeof *f);
    if (!f || map_add(&w->far_publishers, &f->node, p->far_source) < 0) {
        free(f); /* it will publish again */
        return;
    }
    f->worker = w;
    f->peer = p->far;
    bk_peer_pace(f->peer, p->far_source, true);
}

void bk_pace_hold(const struct bk_publication *p, struct bk_client *subscriber)
{
    struct bk_client *publisher = p->source;
    if (publisher == subscriber || subscriber->is_stalled)
        return;
    if (publisher && list_is_linked(&publisher->paced_link))
        return;
    bk_pace_begin(subscriber);
    if (!publisher) {
        bk_pace_hold_far(p, subscriber);
        return;
    }
    list_add_tail(&subscriber->paced, &publisher->paced_link);
    mqtt_io_pause(publisher->io, BK_PAUSE_SLOW);
    metric_add(&publisher->worker->metrics.paced, 1);
}

void bk_pace_leave(struct bk_client *publisher)
{
    list_del(&publisher->paced_link);
    if (publisher->is_far_known)
        map_remove(&publisher->worker->paced, &publisher->by_number);
    publisher->is_far_known = false;
}

static void bk_pace_release_far(struct bk_far_publisher *f)
{
    bk_peer_pace(f->peer, f->node.hash, false);
    map_remove(&f->worker->far_publishers, &f->node);
    free(f);
}

void bk_pace_release(struct bk_client *subscriber)
{
    list_for_each_safe (it, tmp, &subscriber->paced) {
        struct bk_client *publisher = list_entry(it, struct bk_client, paced_link);
        list_del(it);
        mqtt_io_resume(publisher->io, BK_PAUSE_SLOW);
    }
    struct bk_worker *w = subscriber->worker;
    if (!subscriber->is_far_slow)
        return;
    subscriber->is_far_slow = false;
    struct map_node *node;
    for (w->n_far_slow--; w->n_far_slow == 0 && (node = map_any(&w->far_publishers));)
        bk_pace_release_far(container_of(node, struct bk_far_publisher, node));
}

/* --- For other workers */

uint64_t bk_pace_name(struct bk_client *publisher)
{
    if (!publisher || publisher->worker->options->slow_consumer != BK_SLOW_PACE)
        return 0;
    if (!publisher->is_far_known)
        publisher->is_far_known = map_add(&publisher->worker->paced, &publisher->by_number, publisher->number) == 0;
    return publisher->is_far_known ? publisher->number : 0;
}

void bk_pace_from_peer(struct bk_worker *w, uint64_t number, bool is_held)
{
    struct map_node *node = map_find(&w->paced, number, &number);
    if (!node)
        return;
    struct bk_client *c = container_of(node, struct bk_client, by_number);
    if (is_held && c->n_far_holds++ == 0) {
        mqtt_io_pause(c->io, BK_PAUSE_FAR);
        metric_add(&w->metrics.paced, 1);
    } else if (!is_held && --c->n_far_holds == 0) {
        mqtt_io_resume(c->io, BK_PAUSE_FAR);
    }
}

void bk_pace_tick(struct bk_client *subscriber)
{
    const struct bk_worker *w = subscriber->worker;
    if (!bk_pace_is_waited_for(subscriber))
        return;
    const uint64_t written = conn_written_bytes(subscriber->conn);
    const uint64_t now_ms = loop_now_ms(w->loop);
    if (written != subscriber->paced_bytes) {
        subscriber->paced_bytes = written;
        subscriber->paced_ms = now_ms;
    } else if (now_ms - subscriber->paced_ms >= w->options->slow_consumer_timeout_ms) {
        log_warn(&subscriber->log,
                 "takes nothing: publishers wait for it no more, and what it is too slow for is dropped");
        subscriber->is_stalled = true;
        bk_pace_release(subscriber);
    }
}
