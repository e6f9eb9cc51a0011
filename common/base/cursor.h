/* Bounded reading: the only place where a parser moves a pointer. Integers are big-endian, as MQTT's. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
    const uint8_t *ptr;
    size_t len; /* bytes left */
};

enum { CURSOR_SHORT = 1 }; /* fewer bytes left than asked for; nothing was read */

static inline struct cursor cursor_make(const void *bytes, size_t len)
{
    return (struct cursor){.ptr = bytes, .len = len};
}

/* N <= c->len. */
static inline void cursor_skip(struct cursor *c, size_t n)
{
    c->ptr += n;
    c->len -= n;
}

static inline int cursor_read_u8(struct cursor *c, uint8_t *ret_value)
{
    if (c->len < 1)
        return CURSOR_SHORT;
    *ret_value = c->ptr[0];
    cursor_skip(c, 1);
    return 0;
}

static inline int cursor_read_u16(struct cursor *c, uint16_t *ret_value)
{
    if (c->len < 2)
        return CURSOR_SHORT;
    *ret_value = (uint16_t)(c->ptr[0] << 8 | c->ptr[1]);
    cursor_skip(c, 2);
    return 0;
}

static inline int cursor_read_u32(struct cursor *c, uint32_t *ret_value)
{
    if (c->len < 4)
        return CURSOR_SHORT;
    *ret_value = (uint32_t)c->ptr[0] << 24 | (uint32_t)c->ptr[1] << 16 | (uint32_t)c->ptr[2] << 8 | c->ptr[3];
    cursor_skip(c, 4);
    return 0;
}

/* N bytes in place. */
static inline int cursor_read_bytes(struct cursor *c, size_t n, const uint8_t **ret_bytes)
{
    if (c->len < n)
        return CURSOR_SHORT;
    *ret_bytes = c->ptr;
    cursor_skip(c, n);
    return 0;
}

#endif
