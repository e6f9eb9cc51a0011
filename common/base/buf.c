/* See buf.h. The first storage lies behind the struct, so that a buffer that never grows is one allocation. */
#include "buf.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct buf {
    atomic_uint refs;
    size_t off, len, cap, max;
    uint8_t *bytes; /* FIRST, or an allocation of its own once it has grown */
    uint8_t first[];
};

static bool buf_is_sole(const struct buf *b)
{
    return atomic_load_explicit(&b->refs, memory_order_relaxed) == 1;
}

struct buf *buf_new(size_t size, size_t max)
{
    assert(size <= max);
    if (size > SIZE_MAX - sizeof(struct buf))
        return NULL;
    struct buf *b = malloc(sizeof(*b) + size);
    if (!b)
        return NULL;
    atomic_init(&b->refs, 1);
    b->off = b->len = 0;
    b->cap = size;
    b->max = max;
    b->bytes = b->first;
    return b;
}

struct buf *buf_ref(struct buf *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

struct buf *buf_unref(struct buf *b)
{
    /* Release: what this thread read or wrote is done before; acquire: the last one sees all of it before it frees. */
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    if (b->bytes != b->first)
        free(b->bytes);
    free(b);
    return NULL;
}

const uint8_t *buf_bytes(const struct buf *b)
{
    return b->bytes + b->off;
}

size_t buf_len(const struct buf *b)
{
    return b->len - b->off;
}

static void buf_compact(struct buf *b)
{
    size_t held = buf_len(b);
    memmove(b->bytes, b->bytes + b->off, held);
    b->off = 0;
    b->len = held;
}

/* Twice as large at least, so that appending costs constant time per byte; never beyond the maximum. */
static size_t buf_grown_cap(const struct buf *b, size_t need)
{
    size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
    if (cap < 64)
        cap = b->max < 64 ? b->max : 64;
    return cap < need ? need : cap;
}

static int buf_grow(struct buf *b, size_t need)
{
    size_t cap = buf_grown_cap(b, need);
    if (b->bytes != b->first) {
        buf_compact(b);
        uint8_t *moved = realloc(b->bytes, cap);
        if (!moved)
            return -ENOMEM;
        b->bytes = moved;
    } else {
        uint8_t *moved = malloc(cap);
        if (!moved)
            return -ENOMEM;
        memcpy(moved, buf_bytes(b), buf_len(b));
        b->len -= b->off;
        b->off = 0;
        b->bytes = moved;
    }
    b->cap = cap;
    return 0;
}

static int buf_make_room(struct buf *b, size_t n)
{
    assert(buf_is_sole(b));
    if (b->cap - b->len >= n)
        return 0;
    size_t held = buf_len(b);
    if (n > b->max - held)
        return -ENOBUFS;
    /* Moving pays only when at least as much was consumed as has to move; at the maximum there is no other way. */
    if (b->cap - held >= n && (b->off >= held || b->cap == b->max)) {
        buf_compact(b);
        return 0;
    }
    return buf_grow(b, held + n);
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    return buf_make_room(b, n) < 0 ? NULL : b->bytes + b->len;
}

void buf_commit(struct buf *b, size_t n)
{
    assert(n <= b->cap - b->len);
    b->len += n;
}

int buf_append(struct buf *b, const void *bytes, size_t n)
{
    int r = buf_make_room(b, n);
    if (r < 0)
        return r;
    if (n > 0)
        memcpy(b->bytes + b->len, bytes, n);
    b->len += n;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(buf_is_sole(b) && n <= buf_len(b));
    b->off += n;
    if (b->off == b->len)
        b->off = b->len = 0;
}
