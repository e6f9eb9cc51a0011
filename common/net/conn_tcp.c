/* Bytes in and out of plain TCP and Unix sockets (conn_layer.h). */
#include <errno.h>
#include <sys/socket.h>

#include "conn_layer.h"

ssize_t conn_tcp_read(int fd, void *dst, size_t n)
{
    ssize_t got;
    do {
        got = recv(fd, dst, n, 0);
    } while (got < 0 && errno == EINTR);
    return got >= 0 ? got : -errno;
}

ssize_t conn_tcp_write(int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    ssize_t sent;
    do {
        /* The common case spares the kernel a look at two structs. */
        sent = n == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL) : sendmsg(fd, &msg, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : -errno;
}

void conn_tcp_finish(int fd)
{
    shutdown(fd, SHUT_WR);
}
