/* See proxy_wait.h. */
#include "proxy_wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "address.h"
#include "conn_facts.h"
#include "loop.h"
#include "net_loop.h"
#include "proxy_header.h"

struct proxy_wait {
    uv_poll_t poll;
    struct proxy_waits *all;
    struct list link; /* in all->waiting */
    struct loop_timer timer;
    struct net_loop *net; /* one reference: the loop lives as long as the handle */
    struct conn_parcel parcel;
    size_t have; /* of bytes */
    uint8_t bytes[PROXY_HEADER_MAX];
};

static void proxy_wait_on_closed(uv_handle_t *poll)
{
    struct proxy_wait *w = poll->data;
    net_loop_put(w->net);
    free(w);
}

/* W waits no more; its parcel is the caller's. */
static void proxy_wait_end(struct proxy_wait *w, struct conn_parcel *ret_parcel)
{
    *ret_parcel = w->parcel;
    list_del(&w->link);
    loop_timer_stop(&w->timer);
    uv_close((uv_handle_t *)&w->poll, proxy_wait_on_closed);
}

static void proxy_wait_refuse(struct proxy_wait *w, const char *why)
{
    const struct proxy_waits *all = w->all;
    struct conn_parcel parcel;
    proxy_wait_end(w, &parcel);
    all->on_refused(&parcel.peer, why, all->arg); /* ALL may be gone from here on */
    conn_parcel_close(&parcel);
}

/* The peer as H tells it. False if memory is short. */
static bool proxy_wait_tell(struct conn_peer *peer, const struct proxy_header *h)
{
    const bool has_source = h->source.any.sa_family != AF_UNSPEC;
    peer->facts = conn_facts_from_header(h, has_source ? peer->text : NULL);
    if (!peer->facts)
        return false;
    if (!has_source)
        return true;
    peer->address = h->source;
    peer->local = h->destination;
    address_format(&peer->address, peer->text);
    return true;
}

static void proxy_wait_done(struct proxy_wait *w, const struct proxy_header *h)
{
    const struct proxy_waits *all = w->all;
    struct conn_parcel parcel;
    if (!proxy_wait_tell(&w->parcel.peer, h)) {
        proxy_wait_refuse(w, "out of memory");
        return;
    }
    proxy_wait_end(w, &parcel);
    all->on_header(&parcel, all->arg);
}

static ssize_t proxy_wait_receive(struct proxy_wait *w, size_t n, int flags)
{
    ssize_t got;
    do {
        got = recv(w->parcel.fd, w->bytes + w->have, n, flags);
    } while (got < 0 && errno == EINTR);
    return got >= 0 ? got : -errno;
}

/* recv() has said N <= 0. */
static void proxy_wait_on_end(struct proxy_wait *w, ssize_t n)
{
    struct conn_parcel parcel;
    if (n == -EAGAIN)
        return;
    if (n < 0 || w->have > 0) {
        proxy_wait_refuse(w, n < 0 ? strerror((int)-n) : "closed before its PROXY header was whole");
        return;
    }
    proxy_wait_end(w, &parcel); /* not a byte: balancers look in this way whether somebody is there */
    conn_parcel_close(&parcel);
}

/* Looked at first, then taken: the header and nothing behind it. W may be gone afterwards. */
static void proxy_wait_read(struct proxy_wait *w)
{
    for (;;) {
        struct proxy_header h;
        const char *reason = "";
        size_t used = 0;
        ssize_t n = proxy_wait_receive(w, sizeof(w->bytes) - w->have, MSG_PEEK);
        if (n <= 0) {
            proxy_wait_on_end(w, n);
            return;
        }
        enum proxy_header_result r = proxy_header_read(w->bytes, w->have + (size_t)n, &h, &used, &reason);
        if (r == PROXY_HEADER_BAD) {
            proxy_wait_refuse(w, reason);
            return;
        }
        n = proxy_wait_receive(w, r == PROXY_HEADER_OK ? used - w->have : (size_t)n, 0);
        if (n <= 0) {
            proxy_wait_on_end(w, n);
            return;
        }
        w->have += (size_t)n;
        if (r == PROXY_HEADER_OK) {
            proxy_wait_done(w, &h);
            return;
        }
    }
}

static void proxy_wait_on_poll(uv_poll_t *poll, int status, int events)
{
    proxy_wait_read(poll->data); /* an error too: recv() says which */
}

static void proxy_wait_on_timer(struct loop_timer *timer)
{
    proxy_wait_refuse(container_of(timer, struct proxy_wait, timer), "no PROXY header in time");
}

static int proxy_wait_open(struct proxy_waits *all, const struct conn_parcel *parcel, struct proxy_wait **ret_wait)
{
    struct proxy_wait *w = calloc(1, sizeof(*w));
    struct net_loop *net = w ? net_loop_get(all->loop) : NULL;
    int r = net ? uv_poll_init(loop_uv(all->loop), &w->poll, parcel->fd) : -ENOMEM;
    if (r < 0) {
        if (net)
            net_loop_put(net);
        free(w);
        return r;
    }
    w->poll.data = w;
    w->all = all;
    w->net = net;
    w->parcel = *parcel;
    list_add_tail(&all->waiting, &w->link);
    loop_timer_init(&w->timer, all->loop, proxy_wait_on_timer);
    loop_timer_start(&w->timer, all->timeout_ms);
    *ret_wait = w;
    return uv_poll_start(&w->poll, UV_READABLE, proxy_wait_on_poll);
}

void proxy_wait_start(struct proxy_waits *all, struct conn_parcel *parcel)
{
    struct proxy_wait *w = NULL;
    int r = proxy_wait_open(all, parcel, &w);
    if (!w) {
        all->on_refused(&parcel->peer, strerror(-r), all->arg);
        conn_parcel_close(parcel);
        return;
    }
    if (r < 0)
        proxy_wait_refuse(w, strerror(-r));
    else
        proxy_wait_read(w); /* it usually comes with the connection */
}

void proxy_waits_cancel(struct proxy_waits *all)
{
    list_for_each_safe (it, tmp, &all->waiting) {
        struct conn_parcel parcel;
        proxy_wait_end(list_entry(it, struct proxy_wait, link), &parcel);
        conn_parcel_close(&parcel);
    }
}
