/* Messages of members that have gone (bk_handover.h). */
#include "bk_handover.h"

#include <stdlib.h>

#include "bk_deliver.h"
#include "bk_journal.h"
#include "bk_message.h"
#include "bk_peers.h"
#include "bk_session.h"
#include "bk_share.h"
#include "bk_tag.h"
#include "bk_worker.h"

/* Deliveries of SESSION that others have now, and what of them other workers have not confirmed. */
struct bk_handover {
    struct list link; /* in worker->handovers */
    struct bk_worker *worker;
    uint64_t session;
    size_t n;
    uint64_t numbers[];
};

/* To another member than S. N_PEERS counts what has gone to other workers. */
static bool bk_handover_pass(struct bk_session *s, const struct bk_entry *e, uint32_t *n_peers)
{
    struct bk_publication p;
    if (!bk_publication_of(&p, e->message, loop_now_ms(s->worker->loop), &s->worker->scratch))
        return false;
    const bool is_taken = bk_share_publish(e->tag->share, &p, s);
    *n_peers += p.n_peers;
    bk_publication_end(&p);
    return is_taken;
}

static bool bk_handover_may_pass(const struct bk_entry *e)
{
    return e->message && e->tag && e->tag->share && (e->qos == 1 || e->state == BK_ENTRY_WAITING);
}

/* --- The session ends */

void bk_handover_end(struct bk_session *s)
{
    struct bk_entry *e;
    uint32_t n_peers = 0;
    for (uint64_t pos = 0; (e = bk_queue_open_next(&s->queue, &pos));)
        if (bk_handover_may_pass(e))
            bk_handover_pass(s, e, &n_peers);
    for (uint64_t pos = 0; (e = bk_queue_waiting_next(&s->queue, &pos));)
        if (bk_handover_may_pass(e))
            bk_handover_pass(s, e, &n_peers);
}

/* --- The connection ends */

static void bk_handover_finish(struct bk_handover *h, struct bk_session *s)
{
    for (size_t i = 0; s && i < h->n; i++)
        bk_deliver_give_up(s, h->numbers[i]);
    free(h);
}

/* bk_peers_hold_fn: other workers have what was passed on to them. The session may be gone. */
static void bk_handover_on_confirm(void *arg)
{
    struct bk_handover *h = arg;
    list_del(&h->link);
    bk_handover_finish(h, bk_journal_find_session(h->worker->journal, h->session));
}

static bool bk_handover_try(struct bk_session *s, const struct bk_entry *e, struct bk_handover *h, uint32_t *n_peers)
{
    if (!bk_handover_may_pass(e) || !bk_share_has_other(e->tag->share, s) || !bk_handover_pass(s, e, n_peers))
        return false;
    h->numbers[h->n++] = e->number;
    return true;
}

/* Of those that wait only the first ones can be done with: the window (bk_record.h) knows no gaps among the others. */
static uint32_t bk_handover_pass_all(struct bk_session *s, struct bk_handover *h)
{
    struct bk_entry *e;
    uint32_t n_peers = 0;
    for (uint64_t pos = 0; (e = bk_queue_open_next(&s->queue, &pos));)
        bk_handover_try(s, e, h, &n_peers);
    for (uint64_t pos = 0; (e = bk_queue_waiting_next(&s->queue, &pos));)
        if (!bk_handover_try(s, e, h, &n_peers))
            break;
    return n_peers;
}

void bk_handover_leave(struct bk_session *s)
{
    struct bk_worker *w = s->worker;
    if (w->is_draining || w->is_stopping || bk_queue_is_empty(&s->queue) || !bk_session_has_shares(s))
        return;
    const size_t n = s->queue.open + bk_queue_waiting(&s->queue);
    struct bk_handover *h = malloc(sizeof *h + n * sizeof h->numbers[0]);
    if (!h)
        return; /* they stay where they are */
    *h = (struct bk_handover){.worker = w, .session = s->number};
    const uint32_t n_peers = bk_handover_pass_all(s, h);
    if (n_peers > 0 && s->is_in_journal && bk_peers_hold(w, bk_handover_on_confirm, h))
        list_add_tail(&w->handovers, &h->link);
    else
        bk_handover_finish(h, s);
}

void bk_handover_forget_all(struct bk_worker *w)
{
    list_for_each_safe (it, tmp, &w->handovers)
        free(list_entry(it, struct bk_handover, link));
}
