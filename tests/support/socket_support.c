/* See socket_support.h. */
#include "socket_support.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static void tcp_pair(int ret_fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    ret_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(ret_fds[0], (struct sockaddr *)&address, len), 0);
    ret_fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(ret_fds[1], 0);
    close(listener);
    for (int i = 0; i < 2; i++) {
        fcntl(ret_fds[i], F_SETFL, O_NONBLOCK);
        setsockopt(ret_fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
}

void socket_support_pair(enum socket_kind kind, int ret_fds[2])
{
    if (kind == SOCKET_TCP) {
        tcp_pair(ret_fds);
        return;
    }
    int type = kind == SOCKET_RECORD ? SOCK_SEQPACKET : SOCK_STREAM;
    ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_fds), 0);
}

void socket_support_write(int fd, const void *bytes, size_t n)
{
    const uint8_t *from = bytes;
    while (n > 0) {
        ssize_t sent = send(fd, from, n, MSG_NOSIGNAL);
        ck_assert_msg(sent > 0, "write to the peer: errno %d", errno);
        from += sent;
        n -= (size_t)sent;
    }
}

long socket_support_read(int fd, void *dst, size_t size)
{
    ssize_t n = recv(fd, dst, size, MSG_DONTWAIT);
    ck_assert_msg(n >= 0 || errno == EAGAIN, "read from the peer: errno %d", errno);
    return n;
}

void socket_support_reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(fd);
}

int socket_support_count_fds(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* ".", ".." and the directory itself */
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)((i * 2654435761u) >> 13);
}

void socket_support_fill(uint8_t *dst, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = pattern(from + i);
}

void socket_support_check(const uint8_t *bytes, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != pattern(from + i)) /* an assertion for each byte would cost more than the test */
            ck_abort_msg("byte %zu of the stream differs", from + i);
    }
}
