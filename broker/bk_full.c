/* See bk_full.h. */
#include "bk_full.h"

#include <stdlib.h>

#include "bk_client.h"
#include "bk_hooks.h"
#include "bk_journal.h"
#include "bk_publish.h"
#include "bk_worker.h"
#include "list.h"
#include "mqtt_packet.h"
#include "mqtt_reason.h"

struct bk_full_wait {
    struct list link; /* in worker->full_waits */
    struct bk_client *client;
    struct mqtt_packet *packet; /* owned */
    struct gate_wait *wait;
};

enum gate_answer bk_full_hold(struct bk_client *c, const struct mqtt_packet *packet)
{
    struct bk_full_wait *f = malloc(sizeof *f);
    struct mqtt_packet *copy = mqtt_packet_store(packet);
    struct gate_wait *wait = f && copy ? bk_hooks_hold(c) : NULL;
    if (!wait) {
        free(f);
        free(copy);
        bk_client_close(c, MQTT_REASON_UNSPECIFIED, "out of memory");
        return GATE_CLOSED;
    }
    *f = (struct bk_full_wait){.client = c, .packet = copy, .wait = wait};
    list_add_tail(&c->worker->full_waits, &f->link);
    c->full_wait = f;
    return GATE_HOLD;
}

static void bk_full_free(struct bk_full_wait *f)
{
    list_del(&f->link);
    free(f->packet);
    free(f);
}

static void bk_full_go_on(struct bk_full_wait *f)
{
    struct bk_client *c = f->client;
    struct gate_wait *wait = f->wait;
    c->full_wait = NULL;
    c->journal_mark = bk_journal_changes(c->worker);
    bk_publish_go_on(c, f->packet, f->packet->publish.topic); /* C may be gone from here on */
    bk_full_free(f);
    gate_continue(wait);
}

void bk_full_tick(struct bk_worker *w)
{
    while (!list_is_empty(&w->full_waits) && !bk_journal_is_full(w))
        bk_full_go_on(list_entry(list_first(&w->full_waits), struct bk_full_wait, link));
}

void bk_full_forget(struct bk_client *c)
{
    struct bk_full_wait *f = c->full_wait;
    if (!f)
        return;
    gate_continue(f->wait);
    bk_full_free(f);
}
