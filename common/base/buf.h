/* A growing run of bytes. Written by one owner, then shared read-only by reference.
 *
 * Invariants: off <= len <= cap <= max. Bytes [off, len) are the content. Once there is more than one reference nobody
 * writes. References may be taken and dropped on any thread; writing is for the owner. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf;

/* An empty buffer with room for SIZE bytes that may grow to MAX (>= SIZE). One reference. NULL if memory is short. */
struct buf *buf_new(size_t size, size_t max);
struct buf *buf_ref(struct buf *b);
/* Drops one reference, frees with the last. NULL is fine. Returns NULL. */
struct buf *buf_unref(struct buf *b);

const uint8_t *buf_bytes(const struct buf *b);
size_t buf_len(const struct buf *b);
/* Room for N more bytes; NULL if that would pass the maximum or memory is short. The pointer lasts until the next call.
 */
uint8_t *buf_reserve(struct buf *b, size_t n);
/* N bytes of what was reserved have been written. */
void buf_commit(struct buf *b, size_t n);
/* Copy N bytes to the end. 0 or -ENOBUFS (maximum) or -ENOMEM. */
int buf_append(struct buf *b, const void *bytes, size_t n);
/* Forget N bytes from the front; moves nothing. */
void buf_consume(struct buf *b, size_t n);

#endif
