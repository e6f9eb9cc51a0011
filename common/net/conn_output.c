/* The way out of a conn: what was queued during a turn leaves with one write at its end, or when the socket has room
 * again. */
#include <errno.h>

#include "conn_internal.h"

enum {
    CONN_OUTPUT_IOVECS = 64,
    CONN_OUTPUT_WRITES_PER_TURN = 4, /* more than one only for a queue of more than 64 chunks */
};

static ssize_t conn_output_send(struct conn *c, const struct iovec *iov, int n)
{
    return c->layer ? conn_layer_write(c->layer, iov, n) : conn_tcp_write(c->fd, iov, n);
}

/* Whether the socket has no room. A layer that takes less than was offered wants to be asked again, unless some of it
 * is pending. */
static bool conn_output_is_blocked(const struct conn *c, ssize_t taken, size_t offered)
{
    if (!c->layer || taken < 0)
        return taken < (ssize_t)offered;
    return conn_layer_pending_bytes(c->layer) > 0;
}

/* One write. True if another may follow. */
static bool conn_output_write_once(struct conn *c)
{
    struct iovec iov[CONN_OUTPUT_IOVECS];
    int n = bufq_iovec(&c->out, iov, CONN_OUTPUT_IOVECS);
    size_t offered = 0;
    for (int i = 0; i < n; i++)
        offered += iov[i].iov_len;
    ssize_t taken = conn_output_send(c, iov, n);
    if (taken < 0 && taken != -EAGAIN) {
        conn_fail(c, (int)taken);
        return false;
    }
    if (taken > 0) {
        c->written_bytes += (uint64_t)taken;
        bufq_consume(&c->out, (size_t)taken);
    }
    c->is_write_blocked = conn_output_is_blocked(c, taken, offered);
    return !c->is_write_blocked;
}

/* What the layers themselves have to say. True if it has gone. */
static bool conn_output_flush_layers(struct conn *c)
{
    int r = conn_layer_flush(c->layer);
    if (r == 0)
        return true;
    if (r == -EAGAIN)
        c->is_write_blocked = true;
    else
        conn_fail(c, r);
    return false;
}

void conn_output_write(struct conn *c)
{
    if (c->is_write_blocked || (c->layer && !conn_output_flush_layers(c)) || conn_is_opening(c))
        return;
    for (int i = 0; i < CONN_OUTPUT_WRITES_PER_TURN && bufq_len(&c->out) > 0; i++) {
        if (!conn_output_write_once(c))
            break;
    }
    if (c->is_above_mark && bufq_len(&c->out) <= c->low_mark_bytes) {
        c->is_above_mark = false;
        c->is_drain_due = true;
    }
}
