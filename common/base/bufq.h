/* A queue of bytes: appended in place or by reference, taken from the front as an iovec. No sockets inside.
 *
 *   reserve/commit, append, append_buf --> [chunk][chunk][buf by reference][chunk] --> iovec, consume
 *
 * Empty queues hold no memory. One thread. */
#ifndef BASE_BUFQ_H
#define BASE_BUFQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "buf.h"
#include "list.h"

struct bufq {
    struct list chunks;
    size_t len; /* bytes queued */
    size_t max; /* hard limit; SIZE_MAX = none */
};

void bufq_init(struct bufq *q, size_t max);
/* Drops the content; the queue may be used again. */
void bufq_clear(struct bufq *q);
static inline size_t bufq_len(const struct bufq *q)
{
    return q->len;
}
/* Room for N contiguous bytes at the end; NULL above the maximum or when memory is short. */
uint8_t *bufq_reserve(struct bufq *q, size_t n);
void bufq_commit(struct bufq *q, size_t used);
/* 0, -ENOBUFS or -ENOMEM; all or nothing. */
int bufq_append(struct bufq *q, const void *bytes, size_t n);
/* Bytes of BUF from OFFSET on, by reference. Takes the caller's reference whether it succeeds or not. */
int bufq_append_buf(struct bufq *q, struct buf *buf, size_t offset);
/* Fill at most MAX entries with what is at the front. Returns how many. */
int bufq_iovec(const struct bufq *q, struct iovec *iov, int max);
/* Forget N bytes from the front. */
void bufq_consume(struct bufq *q, size_t n);
/* Everything as one contiguous new buf (for a parcel); NULL if empty or memory is short. The queue is empty afterwards.
 */
struct buf *bufq_take(struct bufq *q);

#endif
