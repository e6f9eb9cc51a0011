/* What is left of a conn after conn_close() with time to write the rest: no callbacks, only
 *
 *   write what is queued --> the layers' farewells, FIN --> discard input until the peer's FIN --> close
 *
 * and a time limit. Input is discarded as it comes from the socket, past all layers. Waiting for the peer matters: a
 * socket closed with unread input sends RST, and a RST that overtakes the bytes just written takes them from the peer's
 * receive buffer. */
#include <errno.h>
#include <stdlib.h>

#include "conn_internal.h"
#include "net_loop.h"

struct conn_linger {
    struct loop_timer timer;
    struct conn *conn;
    bool is_finished; /* FIN has been sent */
    bool is_lost;     /* the socket takes no more */
};

static void conn_linger_on_timer(struct loop_timer *timer)
{
    struct conn *c = container_of(timer, struct conn_linger, timer)->conn;
    conn_destroy(c);
}

int conn_linger_start(struct conn *c, uint32_t within_ms)
{
    c->linger = calloc(1, sizeof(*c->linger));
    if (!c->linger)
        return -ENOMEM;
    c->linger->conn = c;
    loop_timer_init(&c->linger->timer, c->net->loop, conn_linger_on_timer);
    loop_timer_start(&c->linger->timer, within_ms);
    c->is_paused = false; /* what comes is read and thrown away */
    if (c->layer)
        c->is_read_done = false; /* a layer may have come to its end before the socket */
    conn_schedule(c);
    return 0;
}

static void conn_linger_discard(struct conn *c)
{
    size_t budget = CONN_READ_BYTES_PER_TURN;
    while (!c->is_read_done && budget >= NET_SCRATCH_BYTES) {
        ssize_t n = conn_tcp_read(c->fd, c->net->scratch, NET_SCRATCH_BYTES);
        if (n == -EAGAIN)
            return;
        if (n <= 0)
            c->is_read_done = true;
        if (n < NET_SCRATCH_BYTES)
            return;
        budget -= NET_SCRATCH_BYTES;
    }
}

static void conn_linger_finish(struct conn *c)
{
    int r = 0;
    if (c->layer)
        r = conn_layer_finish(c->layer);
    else
        conn_tcp_finish(c->fd);
    if (r == -EAGAIN)
        c->is_write_blocked = true;
    else if (r < 0)
        c->linger->is_lost = true;
    else
        c->linger->is_finished = true;
}

void conn_linger_step(struct conn *c)
{
    const int error = c->error;
    conn_linger_discard(c);
    conn_output_write(c);
    if (c->error != error)
        c->linger->is_lost = true;
    else if (bufq_len(&c->out) == 0 && !c->linger->is_finished && !c->is_write_blocked)
        conn_linger_finish(c);
    if (c->linger->is_lost || (c->is_read_done && c->linger->is_finished)) {
        conn_destroy(c);
        return;
    }
    if (bufq_len(&c->out) > 0 && !c->is_write_blocked)
        conn_schedule(c);
    conn_watch(c);
}

void conn_linger_free(struct conn *c)
{
    if (!c->linger)
        return;
    loop_timer_stop(&c->linger->timer);
    free(c->linger);
    c->linger = NULL;
}
