/* Shared subscriptions (bk_share.h). */
#include "bk_share.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bk_client.h"
#include "bk_deliver.h"
#include "bk_marks.h"
#include "bk_message.h"
#include "bk_options.h"
#include "bk_peers.h"
#include "bk_route.h"
#include "bk_session.h"
#include "bk_tag.h"
#include "bk_worker.h"

enum { BK_SHARE_FEW = 3 }; /* messages in flight: not worth telling */

struct bk_share *bk_share_ref(struct bk_share *s)
{
    s->refs++;
    return s;
}

struct bk_share *bk_share_unref(struct bk_share *s)
{
    if (!s || --s->refs > 0)
        return NULL;
    map_remove(&s->worker->shares, &s->node);
    free(s->members);
    free(s->workers);
    free(s);
    return NULL;
}

struct bk_share *bk_share_find(struct bk_worker *w, struct mqtt_bytes text)
{
    struct map_node *node = map_find(&w->shares, map_hash_bytes(text.ptr, text.len), &text);
    return node ? container_of(node, struct bk_share, node) : NULL;
}

int bk_share_get(struct bk_worker *w, struct mqtt_bytes text, struct mqtt_bytes filter, struct bk_share **ret_share)
{
    struct bk_share *s = bk_share_find(w, text);
    *ret_share = s ? bk_share_ref(s) : NULL;
    if (s)
        return 0;
    s = calloc(1, sizeof *s + text.len);
    if (!s)
        return -ENOMEM;
    s->worker = w;
    s->refs = 1;
    s->text_len = (uint16_t)text.len;
    s->filter_at = (uint16_t)(text.len - filter.len);
    memcpy(s->text, text.ptr, text.len);
    if (w->peers)
        s->workers = calloc(w->n_workers, sizeof *s->workers);
    if ((w->peers && !s->workers) || map_add(&w->shares, &s->node, map_hash_bytes(text.ptr, text.len)) < 0) {
        free(s->workers);
        free(s);
        return -ENOMEM;
    }
    *ret_share = s;
    return 0;
}

/* --- Members */

static struct bk_member *bk_share_member(const struct bk_share *s, const struct bk_session *session)
{
    for (size_t i = 0; i < s->n_members; i++)
        if (s->members[i].session == session)
            return &s->members[i];
    return NULL;
}

bool bk_share_has(const struct bk_share *s, const struct bk_session *session)
{
    return bk_share_member(s, session) != NULL;
}

bool bk_share_has_other(const struct bk_share *s, const struct bk_session *session)
{
    for (unsigned i = 0; s->workers && i < s->worker->n_workers; i++)
        if (i != s->worker->index_of && s->workers[i].here > 0)
            return true;
    for (size_t i = 0; i < s->n_members; i++)
        if (s->members[i].session != session && s->members[i].session->client)
            return true;
    return false;
}

/* The first member anywhere makes the entry in the index. */
static int bk_share_enter_index(struct bk_share *s)
{
    const struct mqtt_bytes filter = {(const uint8_t *)s->text + s->filter_at, s->text_len - (uint32_t)s->filter_at};
    const struct topic_entry entry = {.owner = s, .options = BK_ENTRY_SHARE};
    const int r = s->filter ? 0 : topic_index_add(s->worker->index, filter, &entry, &s->filter);
    return r < 0 ? r : 0;
}

/* The last one takes it out. */
static void bk_share_leave_index(struct bk_share *s)
{
    if (s->n_members > 0 || s->n_far > 0 || !s->filter)
        return;
    topic_index_remove(s->worker->index, s->filter, s);
    s->filter = NULL;
}

int bk_share_join(struct bk_share *s, const struct bk_member *member, bool *ret_was_member)
{
    struct bk_member *m = bk_share_member(s, member->session);
    *ret_was_member = m != NULL;
    if (m) {
        bk_tag_unref(m->tag);
        *m = *member;
        return 0;
    }
    if (s->n_members == s->room) {
        const size_t room = s->room == 0 ? 4 : s->room * 2;
        struct bk_member *members = realloc(s->members, room * sizeof *members);
        if (!members)
            return -ENOMEM;
        s->members = members;
        s->room = room;
    }
    if (bk_share_enter_index(s) < 0)
        return -ENOMEM;
    s->members[s->n_members++] = *member;
    bk_share_tell(s);
    return 0;
}

void bk_share_guard(struct bk_share *s, const struct bk_session *session, uint32_t guard)
{
    struct bk_member *m = bk_share_member(s, session);
    if (m)
        m->options = (m->options & ~(uint32_t)BK_ENTRY_GUARDED) | guard;
}

void bk_share_leave(struct bk_share *s, const struct bk_session *session)
{
    struct bk_member *m = bk_share_member(s, session);
    if (!m)
        return;
    bk_share_ref(s); /* the tag's may be the last but this one */
    bk_tag_unref(m->tag);
    const size_t at = (size_t)(m - s->members);
    memmove(m, m + 1, (--s->n_members - at) * sizeof *m);
    if (s->turn > at)
        s->turn--;
    bk_share_leave_index(s);
    bk_share_tell(s);
    bk_share_unref(s);
}

/* --- Choosing */

/* How gladly a member is given a message: it can send it at once; it is there; it will come back. */
static int bk_member_rank(const struct bk_member *m)
{
    const struct bk_session *s = m->session;
    if (bk_deliver_is_open(s))
        return 3;
    if (s->client)
        return 2;
    return s->expiry_s > 0 ? 1 : 0;
}

/* Members of WORKER, as far as is known here. */
static uint32_t bk_share_count(const struct bk_share *s, unsigned worker)
{
    if (worker == s->worker->index_of)
        return (uint32_t)s->n_members;
    return s->workers[worker].here + s->workers[worker].away;
}

static size_t bk_share_total(const struct bk_share *s)
{
    return s->n_members + s->n_far;
}

/* Where looking begins, among the members of all workers in their order. */
static size_t bk_share_start(const struct bk_share *s, const struct bk_publication *p)
{
    const size_t n = bk_share_total(s);
    switch ((enum bk_share_policy)s->worker->options->shared_policy) {
    case BK_SHARE_HASH_CLIENT:
        return (size_t)(p->publisher % n);
    case BK_SHARE_HASH_TOPIC:
        return (size_t)(map_hash_bytes(p->topic.ptr, p->topic.len) % n);
    case BK_SHARE_ROUND_ROBIN:
    case BK_SHARE_LEAST_INFLIGHT:
    case BK_SHARE_STICKY:
        return s->turn % n;
    }
    return 0;
}

static uint32_t bk_member_in_flight(const struct bk_member *m)
{
    const uint64_t n = m->session->queue.open + bk_queue_waiting(&m->session->queue);
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* What the policy wants to be least, among members that can take the message equally well. */
static uint64_t bk_member_cost(const struct bk_share *s, const struct bk_member *m)
{
    switch ((enum bk_share_policy)s->worker->options->shared_policy) {
    case BK_SHARE_LEAST_INFLIGHT:
        return bk_member_in_flight(m);
    case BK_SHARE_STICKY:
        return m->session->client ? m->session->client->number : UINT64_MAX;
    case BK_SHARE_ROUND_ROBIN:
    case BK_SHARE_HASH_CLIENT:
    case BK_SHARE_HASH_TOPIC:
        break;
    }
    return 0; /* who is looked at first */
}

/* The same of a worker's members; SELF is the best of this worker, and the one that counts there. */
static uint64_t bk_share_worker_cost(const struct bk_share *s, unsigned worker, const struct bk_member *self)
{
    const struct bk_share_count *count = &s->workers[worker];
    if (worker == s->worker->index_of)
        return bk_member_cost(s, self);
    if (s->worker->options->shared_policy == BK_SHARE_STICKY)
        return count->oldest;
    return s->worker->options->shared_policy == BK_SHARE_LEAST_INFLIGHT ? count->in_flight : 0;
}

static bool bk_member_is_better(const struct bk_share *s, const struct bk_member *a, const struct bk_member *b)
{
    const int rank_a = bk_member_rank(a), rank_b = bk_member_rank(b);
    return rank_a != rank_b ? rank_a > rank_b : bk_member_cost(s, a) < bk_member_cost(s, b);
}

/* Of this worker; the first of the best rank from START on is taken. NULL: nobody. */
static struct bk_member *bk_share_choose(struct bk_share *s, size_t start, const struct bk_session *except)
{
    struct bk_member *best = NULL;
    for (size_t i = 0; i < s->n_members; i++) {
        struct bk_member *m = &s->members[(start + i) % s->n_members];
        if (m->session == except || bk_member_rank(m) == 0)
            continue;
        if (!best || bk_member_is_better(s, m, best))
            best = m;
        if (bk_member_rank(best) == 3 && bk_member_cost(s, best) == 0)
            break;
    }
    return best;
}

/* What is looked for: a member here that SELF says how gladly takes the message, or another worker. */
struct bk_share_search {
    struct bk_member *self; /* the best of this worker; NULL: none */
    const struct bk_workers_set *tried;
    unsigned first; /* the worker of the slot where looking begins */
};

enum { BK_SHARE_NOWHERE = UINT32_MAX };

static bool bk_share_may_take(const struct bk_share *s, const struct bk_share_search *q, unsigned worker, int rank,
                              bool is_away)
{
    if (worker == s->worker->index_of)
        return q->self && bk_member_rank(q->self) >= rank;
    if (bk_workers_set_has(q->tried, worker))
        return false;
    return (is_away ? s->workers[worker].away : s->workers[worker].here) > 0;
}

/* The best worker, by the policy, the first from the beginning on among equals, where somebody is connected (or,
 * IS_AWAY, somebody will be again), of those that have not been tried; this one only if its best member has RANK. */
static unsigned bk_share_find_worker(const struct bk_share *s, const struct bk_share_search *q, int rank, bool is_away)
{
    const struct bk_worker *w = s->worker;
    unsigned best = BK_SHARE_NOWHERE;
    uint64_t least = UINT64_MAX;
    if (!s->workers)
        return bk_share_may_take(s, q, w->index_of, rank, is_away) ? w->index_of : BK_SHARE_NOWHERE;
    for (unsigned i = 0; i < w->n_workers; i++) {
        const unsigned at = (q->first + i) % w->n_workers;
        if (!bk_share_may_take(s, q, at, rank, is_away))
            continue;
        const uint64_t cost = bk_share_worker_cost(s, at, q->self);
        if (best != BK_SHARE_NOWHERE && cost >= least)
            continue;
        best = at;
        least = cost;
    }
    return best;
}

/* Who can take it at once, or is connected elsewhere and has not been asked; who is connected here; who is away. */
static unsigned bk_share_choose_worker(const struct bk_share *s, const struct bk_share_search *q)
{
    const unsigned at = bk_share_find_worker(s, q, 3, false);
    if (at != BK_SHARE_NOWHERE)
        return at;
    if (q->self && bk_member_rank(q->self) == 2)
        return s->worker->index_of;
    return bk_share_find_worker(s, q, 1, true);
}

/* The worker that has SLOT; what remains of SLOT there. */
static unsigned bk_share_worker_of(const struct bk_share *s, size_t *slot)
{
    for (unsigned i = 0; i < s->worker->n_workers; i++) {
        const uint32_t n = bk_share_count(s, i);
        if (*slot < n)
            return i;
        *slot -= n;
    }
    return s->worker->index_of;
}

static struct mqtt_bytes bk_share_text(const struct bk_share *s)
{
    return (struct mqtt_bytes){(const uint8_t *)s->text, s->text_len};
}

static bool bk_share_deliver(const struct bk_share *s, const struct bk_member *m, struct bk_publication *p)
{
    const size_t before = p->marks ? p->marks->len : 0;
    const bool is_taken = bk_deliver(m->session, p, m->options, m->tag);
    if (p->marks && p->marks->len > before)
        bk_marks_put_share(p->marks, bk_share_text(s));
    return is_taken;
}

static bool bk_share_place(struct bk_share *s, struct bk_publication *p, const struct bk_session *except,
                           struct bk_workers_set *tried, size_t slot)
{
    const unsigned here = s->worker->index_of;
    struct bk_share_search q = {.tried = tried};
    q.first = bk_workers_set_has(tried, here) || !s->workers ? here : bk_share_worker_of(s, &slot);
    q.self = bk_share_choose(s, q.first == here ? slot : 0, except);
    const bool is_open = q.self && bk_member_rank(q.self) == 3;
    const bool is_from_far = bk_workers_set_has(tried, here);
    if (!is_open)
        bk_workers_set_add(tried, here);
    /* Whoever was chosen by somebody else takes it if it can: otherwise it might go to and fro. */
    const unsigned at = is_open && is_from_far ? here : bk_share_choose_worker(s, &q);
    if (at == BK_SHARE_NOWHERE)
        return false;
    if (at == here) {
        assert(q.self);
        const bool is_taken = bk_share_deliver(s, q.self, p);
        bk_share_delivered(s);
        return is_taken;
    }
    struct bk_peer *peer = p->far ? p->far : bk_peers_get(s->worker->peers, at);
    bk_peer_publish_shared(peer, p, bk_share_text(s), tried, at == q.first ? (uint32_t)slot : 0);
    return true;
}

bool bk_share_publish(struct bk_share *s, struct bk_publication *p, const struct bk_session *except)
{
    struct bk_workers_set tried = {{0}};
    if (bk_share_total(s) == 0)
        return false;
    if (p->had.len > 0 && bk_marks_has_share(p->had, bk_share_text(s)))
        return true;
    const size_t start = bk_share_start(s, p);
    s->turn = start + 1;
    return bk_share_place(s, p, except, &tried, start);
}

void bk_share_publish_far(struct bk_worker *w, struct mqtt_bytes text, struct bk_publication *p,
                          struct bk_workers_set *tried, uint32_t slot)
{
    struct bk_share *s = bk_share_find(w, text);
    bk_workers_set_add(tried, w->index_of); /* SLOT is one of this worker's */
    if (s && bk_share_place(s, p, NULL, tried, slot))
        return;
    if (p->far)
        bk_peer_publish_shared(p->far, p, text, tried, 0); /* the last members here have just gone */
    else
        metric_add(&w->metrics.publishes_unmatched, 1);
}

/* --- Members elsewhere */

static struct bk_share_count bk_share_count_here(const struct bk_share *s)
{
    struct bk_share_count now = {.in_flight = UINT32_MAX, .oldest = UINT64_MAX};
    for (size_t i = 0; i < s->n_members; i++) {
        const struct bk_session *m = s->members[i].session;
        now.here += m->client != NULL;
        now.away += !m->client && m->expiry_s > 0;
        if (!m->client)
            continue;
        const uint32_t in_flight = bk_member_in_flight(&s->members[i]);
        now.in_flight = in_flight < now.in_flight ? in_flight : now.in_flight;
        now.oldest = m->client->number < now.oldest ? m->client->number : now.oldest;
    }
    return now;
}

/* Whether others should hear that not TOLD but NOW are in flight: twice as many, or half of them, with some room where
 * they are few; and none, lest a member without any is passed over for ever. */
static bool bk_share_is_worth_telling(uint32_t told, uint32_t now)
{
    const uint64_t less = told < now ? told : now, more = told < now ? now : told;
    return more > 2 * less + BK_SHARE_FEW || (now == 0 && told > 0);
}

void bk_share_tell(struct bk_share *s)
{
    if (!s->workers)
        return;
    const struct bk_share_count now = bk_share_count_here(s);
    struct bk_share_count *told = &s->workers[s->worker->index_of];
    if (told->here == now.here && told->away == now.away && told->oldest == now.oldest &&
        !bk_share_is_worth_telling(told->in_flight, now.in_flight))
        return;
    *told = now;
    bk_peers_share(s->worker, bk_share_text(s), s->filter_at, &now);
}

void bk_share_delivered(struct bk_share *s)
{
    if (s && s->workers && s->worker->options->shared_policy == BK_SHARE_LEAST_INFLIGHT)
        bk_share_tell(s);
}

int bk_share_set_far(struct bk_worker *w, struct mqtt_bytes text, uint32_t filter_at, unsigned worker,
                     const struct bk_share_count *count)
{
    const struct mqtt_bytes filter = {text.ptr + filter_at, text.len - filter_at};
    struct bk_share *s;
    if (bk_share_get(w, text, filter, &s) < 0)
        return -ENOMEM;
    const uint32_t before = s->n_far;
    s->n_far += count->here + count->away - bk_share_count(s, worker);
    s->workers[worker] = *count;
    int r = 0;
    if (s->n_far > 0)
        r = bk_share_enter_index(s);
    else
        bk_share_leave_index(s);
    bk_routes_change(&w->routes);
    if (before == 0 && s->n_far > 0)
        bk_share_ref(s);
    if (before > 0 && s->n_far == 0)
        bk_share_unref(s);
    bk_share_unref(s);
    return r;
}

void bk_share_forget_all(struct bk_worker *w)
{
    struct map_node *node;
    while ((node = map_any(&w->shares))) {
        struct bk_share *s = container_of(node, struct bk_share, node);
        s->n_far = 0;
        bk_share_leave_index(s);
        bk_share_unref(s);
    }
}
