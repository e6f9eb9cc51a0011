/* struct conn_ops for plain TCP and Unix sockets. */
#include <errno.h>
#include <sys/socket.h>

#include "conn_internal.h"

static ssize_t conn_tcp_read(struct conn *c, void *dst, size_t n)
{
    ssize_t got;
    do {
        got = recv(c->fd, dst, n, 0);
    } while (got < 0 && errno == EINTR);
    return got >= 0 ? got : -errno;
}

static ssize_t conn_tcp_write(struct conn *c, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    ssize_t sent;
    do {
        /* The common case spares the kernel a look at two structs. */
        sent = n == 1 ? send(c->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL) : sendmsg(c->fd, &msg, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : -errno;
}

static void conn_tcp_finish(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
}

const struct conn_ops conn_tcp_ops = {
    .read = conn_tcp_read,
    .write = conn_tcp_write,
    .finish = conn_tcp_finish,
};
