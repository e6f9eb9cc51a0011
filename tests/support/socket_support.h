/* Plain sockets for tests of what stands on the other side. Everything here checks its own results. */
#ifndef SOCKET_SUPPORT_H
#define SOCKET_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

enum socket_kind {
    SOCKET_UNIX,   /* a socketpair */
    SOCKET_TCP,    /* two ends over 127.0.0.1 */
    SOCKET_RECORD, /* Unix SEQPACKET: each write stays a record of its own, so writes can be counted */
};

/* Two connected descriptors that do not block. */
void socket_support_pair(enum socket_kind kind, int ret_fds[2]);
/* Writes all of it; the other side must have room. */
void socket_support_write(int fd, const void *bytes, size_t n);
/* What is there, at most SIZE bytes; -1 if nothing is there, 0 at the end of the stream. */
long socket_support_read(int fd, void *dst, size_t size);
/* Close so that the peer sees a reset (TCP). */
void socket_support_reset(int fd);
/* Descriptors that this process has open. */
int socket_support_count_fds(void);
/* N bytes from FROM on of a stream that repeats only after a long while. */
void socket_support_fill(uint8_t *dst, size_t from, size_t n);
/* BYTES are those. */
void socket_support_check(const uint8_t *bytes, size_t from, size_t n);

#endif
