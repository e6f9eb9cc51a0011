/* See bufq.h. A chunk of our own is one buf: the chunk's struct occupies its first bytes and the content the rest, so
 * that bufq_take() can hand a single chunk on without copying. A chunk by reference is a small struct beside its buf.
 *
 *   own:       buf [ struct bufq_chunk | consumed | content | room ]
 *   reference: struct bufq_chunk --> buf [ before offset | content ]
 *
 * Chunks start small, because most queues of most connections hold one small packet for one loop turn, and get larger
 * while bytes pile up. */
#include "bufq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUFQ_FIRST_ALLOC = 960, /* with malloc's and buf's own words still within glibc's per-thread cache */
    BUFQ_LAST_ALLOC = 64 * 1024,
    BUFQ_COPY_BELOW = 1024, /* copying so few bytes is cheaper than an iovec entry and an atomic count of their own */
};

struct bufq_chunk {
    struct buf *buf; /* one reference */
    uint8_t *bytes;  /* content starts here */
    size_t len;
    size_t room;  /* bytes that may still be written behind the content; 0 in a chunk by reference */
    size_t alloc; /* size of the allocation; 0 = by reference */
    struct list node;
};

void bufq_init(struct bufq *q, size_t max)
{
    list_init(&q->chunks);
    q->len = 0;
    q->max = max;
}

static struct bufq_chunk *bufq_last(const struct bufq *q)
{
    assert(q->chunks.prev); /* bufq_init() was called */
    return list_is_empty(&q->chunks) ? NULL : list_entry(q->chunks.prev, struct bufq_chunk, node);
}

static void bufq_chunk_free(struct bufq_chunk *c)
{
    list_del(&c->node);
    struct buf *b = c->buf;
    if (c->alloc == 0)
        free(c);
    buf_unref(b); /* a chunk of our own lies in it */
}

void bufq_clear(struct bufq *q)
{
    list_for_each_safe (it, tmp, &q->chunks)
        bufq_chunk_free(list_entry(it, struct bufq_chunk, node));
    q->len = 0;
}

static size_t bufq_next_alloc(const struct bufq *q)
{
    const struct bufq_chunk *last = bufq_last(q);
    if (!last)
        return BUFQ_FIRST_ALLOC;
    if (last->alloc == 0)
        return (size_t)BUFQ_FIRST_ALLOC * 4;
    return last->alloc >= BUFQ_LAST_ALLOC / 4 ? BUFQ_LAST_ALLOC : last->alloc * 4;
}

/* A new last chunk with room for N bytes at least. */
static struct bufq_chunk *bufq_add_chunk(struct bufq *q, size_t n)
{
    size_t alloc = bufq_next_alloc(q);
    if (n > SIZE_MAX / 2)
        return NULL;
    if (alloc < sizeof(struct bufq_chunk) + n)
        alloc = sizeof(struct bufq_chunk) + n;
    struct buf *b = buf_new(alloc, alloc);
    if (!b)
        return NULL;
    struct bufq_chunk *c = (struct bufq_chunk *)(void *)buf_reserve(b, alloc);
    buf_commit(b, sizeof(*c));
    *c = (struct bufq_chunk){.buf = b, .bytes = (uint8_t *)(c + 1), .room = alloc - sizeof(*c), .alloc = alloc};
    list_add_tail(&q->chunks, &c->node);
    return c;
}

static bool bufq_is_above_max(const struct bufq *q, size_t n)
{
    return n > q->max || q->len > q->max - n;
}

uint8_t *bufq_reserve(struct bufq *q, size_t n)
{
    if (bufq_is_above_max(q, n))
        return NULL;
    struct bufq_chunk *c = bufq_last(q);
    if (!c || c->room < n || c->alloc == 0)
        c = bufq_add_chunk(q, n);
    return c ? c->bytes + c->len : NULL;
}

void bufq_commit(struct bufq *q, size_t used)
{
    struct bufq_chunk *c = bufq_last(q);
    assert(c && used <= c->room);
    c->len += used;
    c->room -= used;
    q->len += used;
    if (c->len == 0)
        bufq_chunk_free(c);
}

int bufq_append(struct bufq *q, const void *bytes, size_t n)
{
    if (bufq_is_above_max(q, n))
        return -ENOBUFS;
    if (n == 0)
        return 0;
    struct bufq_chunk *c = bufq_last(q);
    size_t fits = !c ? 0 : c->room < n ? c->room : n;
    if (fits < n && !bufq_add_chunk(q, n - fits))
        return -ENOMEM;
    if (fits > 0) {
        memcpy(c->bytes + c->len, bytes, fits);
        c->len += fits;
        c->room -= fits;
        q->len += fits;
    }
    if (fits < n) {
        c = bufq_last(q);
        memcpy(c->bytes, (const uint8_t *)bytes + fits, n - fits);
        bufq_commit(q, n - fits);
    }
    return 0;
}

/* Takes the caller's reference on success only. */
static int bufq_add_reference(struct bufq *q, struct buf *buf, size_t offset)
{
    struct bufq_chunk *c = malloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    *c = (struct bufq_chunk){.buf = buf, .bytes = (uint8_t *)buf_bytes(buf) + offset, .len = buf_len(buf) - offset};
    list_add_tail(&q->chunks, &c->node);
    q->len += c->len;
    return 0;
}

int bufq_append_buf(struct bufq *q, struct buf *buf, size_t offset)
{
    assert(offset <= buf_len(buf));
    size_t n = buf_len(buf) - offset;
    int r;
    if (n >= BUFQ_COPY_BELOW && !bufq_is_above_max(q, n)) {
        r = bufq_add_reference(q, buf, offset);
        if (r == 0)
            return 0;
    } else {
        r = bufq_append(q, buf_bytes(buf) + offset, n);
    }
    buf_unref(buf);
    return r;
}

int bufq_iovec(const struct bufq *q, struct iovec *iov, int max)
{
    int n = 0;
    list_for_each (it, &q->chunks) {
        struct bufq_chunk *c = list_entry(it, struct bufq_chunk, node);
        if (c->len == 0)
            continue; /* reserved, not committed yet */
        if (n == max)
            break;
        iov[n++] = (struct iovec){.iov_base = c->bytes, .iov_len = c->len};
    }
    return n;
}

void bufq_consume(struct bufq *q, size_t n)
{
    assert(n <= q->len);
    q->len -= n;
    while (n > 0) {
        struct bufq_chunk *c = list_entry(list_first(&q->chunks), struct bufq_chunk, node);
        size_t part = n < c->len ? n : c->len;
        c->bytes += part;
        c->len -= part;
        n -= part;
        if (c->len == 0)
            bufq_chunk_free(c);
    }
}

/* The buf of the one chunk there is, cut to its content; NULL if copying is right: a shared buf, or mostly empty room.
 */
static struct buf *bufq_take_only_chunk(struct bufq *q)
{
    struct bufq_chunk *c = bufq_last(q);
    if (q->chunks.next != q->chunks.prev || c->alloc == 0 || c->len < c->alloc / 4)
        return NULL;
    struct buf *b = c->buf;
    const size_t len = c->len;
    const size_t before = (size_t)(c->bytes - (uint8_t *)c);
    list_del(&c->node);
    q->len = 0;
    buf_commit(b, before + len - sizeof(*c));
    buf_consume(b, before);
    return b;
}

struct buf *bufq_take(struct bufq *q)
{
    if (q->len == 0) {
        bufq_clear(q);
        return NULL;
    }
    struct buf *b = bufq_take_only_chunk(q);
    if (b)
        return b;
    b = buf_new(q->len, q->len);
    if (!b)
        return NULL;
    list_for_each (it, &q->chunks) {
        struct bufq_chunk *c = list_entry(it, struct bufq_chunk, node);
        buf_append(b, c->bytes, c->len);
    }
    bufq_clear(q);
    return b;
}
