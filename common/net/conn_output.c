/* The way out of a conn: what was queued during a turn leaves with one write at its end, or when the socket has room
 * again. */
#include <errno.h>

#include "conn_internal.h"

enum {
    CONN_OUTPUT_IOVECS = 64,
    CONN_OUTPUT_WRITES_PER_TURN = 4, /* more than one only for a queue of more than 64 chunks */
};

/* One write. True if all of what was offered to the socket was taken. */
static bool conn_output_write_once(struct conn *c)
{
    struct iovec iov[CONN_OUTPUT_IOVECS];
    int n = bufq_iovec(&c->out, iov, CONN_OUTPUT_IOVECS);
    size_t offered = 0;
    for (int i = 0; i < n; i++)
        offered += iov[i].iov_len;
    ssize_t taken = c->ops->write(c, iov, n);
    if (taken < 0 && taken != -EAGAIN) {
        conn_fail(c, (int)taken);
        return false;
    }
    if (taken > 0) {
        c->written_bytes += (uint64_t)taken;
        bufq_consume(&c->out, (size_t)taken);
    }
    c->is_write_blocked = taken < (ssize_t)offered;
    return !c->is_write_blocked;
}

void conn_output_write(struct conn *c)
{
    if (c->is_write_blocked)
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
