/* See conn_layer.h. */
#include "conn_layer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONN_LAYER_IOVECS = 16 };

void conn_layer_push(struct conn_layer **top, int fd, struct conn_layer *layer)
{
    bufq_init(&layer->pending, SIZE_MAX);
    layer->below = *top;
    layer->fd = fd;
    *top = layer;
}

struct conn_layer *conn_layer_free(struct conn_layer *l)
{
    while (l) {
        struct conn_layer *below = l->below;
        bufq_clear(&l->pending);
        free(l->text);
        l->ops->free(l);
        l = below;
    }
    return NULL;
}

void conn_layer_drive(struct conn_layer *l, struct loop *loop, conn_layer_wake_fn *wake, void *arg)
{
    for (; l; l = l->below) {
        l->is_waiting = false;
        if (l->ops->drive)
            l->ops->drive(l, loop, wake, arg);
    }
}

int conn_layer_open(struct conn_layer *l)
{
    if (l->is_open)
        return 0;
    int r = l->below ? conn_layer_open(l->below) : 0;
    if (r == 0)
        r = l->ops->open(l);
    l->is_open = r == 0;
    l->is_waiting = r == -EINPROGRESS;
    return r;
}

void conn_layer_tell(struct conn_layer *l, struct conn_peer *peer)
{
    if (l->below)
        conn_layer_tell(l->below, peer);
    if (l->ops->tell)
        l->ops->tell(l, peer);
}

ssize_t conn_layer_read(struct conn_layer *l, void *dst, size_t n)
{
    if (l->error < 0)
        return l->error;
    return l->is_open ? l->ops->read(l, dst, n) : -EAGAIN;
}

ssize_t conn_layer_write(struct conn_layer *l, const struct iovec *iov, int n)
{
    if (l->error < 0)
        return l->error;
    if (!l->is_open)
        return -EAGAIN;
    int r = conn_layer_flush(l);
    return r < 0 ? r : l->ops->write(l, iov, n);
}

/* --- What goes out */

static ssize_t conn_layer_write_below(struct conn_layer *l, const struct iovec *iov, int n)
{
    return l->below ? conn_layer_write(l->below, iov, n) : conn_tcp_write(l->fd, iov, n);
}

static int conn_layer_flush_one(struct conn_layer *l)
{
    while (bufq_len(&l->pending) > 0) {
        struct iovec iov[CONN_LAYER_IOVECS];
        int n = bufq_iovec(&l->pending, iov, CONN_LAYER_IOVECS);
        ssize_t taken = conn_layer_write_below(l, iov, n);
        if (taken < 0)
            return (int)taken;
        bufq_consume(&l->pending, (size_t)taken);
    }
    return 0;
}

int conn_layer_flush(struct conn_layer *l)
{
    int r = l->below ? conn_layer_flush(l->below) : 0;
    return r < 0 ? r : conn_layer_flush_one(l);
}

int conn_layer_finish(struct conn_layer *l)
{
    if (!l->is_finished && l->is_open && l->error == 0)
        l->ops->finish(l);
    l->is_finished = true;
    int r = conn_layer_flush(l);
    if (r < 0)
        return r;
    if (l->below)
        return conn_layer_finish(l->below);
    conn_tcp_finish(l->fd);
    return 0;
}

int conn_layer_send(struct conn_layer *l, const void *bytes, size_t n)
{
    struct iovec left = {.iov_base = (void *)bytes, .iov_len = n};
    while (left.iov_len > 0 && bufq_len(&l->pending) == 0) {
        ssize_t taken = conn_layer_write_below(l, &left, 1);
        if (taken == -EAGAIN)
            break;
        if (taken < 0)
            return (int)taken;
        left.iov_base = (char *)left.iov_base + taken;
        left.iov_len -= (size_t)taken;
    }
    return left.iov_len > 0 ? bufq_append(&l->pending, left.iov_base, left.iov_len) : 0;
}

/* --- What comes in */

ssize_t conn_layer_read_below(struct conn_layer *l, void *dst, size_t n)
{
    return l->below ? conn_layer_read(l->below, dst, n) : conn_tcp_read(l->fd, dst, n);
}

/* --- What is known of them */

size_t conn_layer_pending_bytes(const struct conn_layer *l)
{
    size_t bytes = 0;
    for (; l; l = l->below)
        bytes += bufq_len(&l->pending);
    return bytes;
}

int conn_layer_fail(struct conn_layer *l, int err, const char *fmt, ...)
{
    va_list args;
    if (l->error < 0)
        return l->error;
    l->error = err;
    va_start(args, fmt);
    if (vasprintf(&l->text, fmt, args) < 0)
        l->text = NULL;
    va_end(args);
    return err;
}

bool conn_layer_has_ended(const struct conn_layer *l)
{
    while (l && !l->has_ended && l->error == 0)
        l = l->below;
    return l != NULL;
}

int conn_layer_error(const struct conn_layer *l)
{
    while (l && l->error == 0)
        l = l->below;
    return l ? l->error : 0;
}

const char *conn_layer_text(const struct conn_layer *l)
{
    while (l && !l->text)
        l = l->below;
    return l ? l->text : NULL;
}
