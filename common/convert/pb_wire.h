/* The alphabet of protobuf: tags, varints, lengths, bounded in both directions. Private to convert.
 *
 * Reading follows protobuf-c 1.4 to the letter, also where the protobuf documents leave a choice: see pb_next(). */
#ifndef PB_WIRE_H
#define PB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"
#include "mqtt_packet.h"
#include "mqtt_wire.h"

enum pb_wire_type {
    PB_VARINT = 0,
    PB_FIXED64 = 1,
    PB_BYTES = 2, /* strings, bytes, messages, packed lists */
    PB_FIXED32 = 5,
};

enum { PB_BAD = 1 }; /* not protobuf, or a known field with the wrong wire type */

/* One field as it stands in the bytes. */
struct pb_field {
    uint64_t value;        /* PB_VARINT; 0 otherwise */
    struct mqtt_bytes raw; /* PB_BYTES: the content; otherwise the bytes of the value */
    uint32_t number;
    uint8_t wire; /* enum pb_wire_type */
};

/* The longest form of a 64-bit number; and of a tag or a length, which have 32 bits (a longer one is refused). */
enum { PB_VARINT_MAX = 10, PB_VARINT32_MAX = 5 };

/* Of any length, up to MAX_BYTES. 0 or PB_BAD. */
static __attribute__((noinline, unused)) int pb_read_long_varint(struct cursor *c, unsigned max_bytes, uint64_t *ret)
{
    uint64_t value = 0;
    size_t limit = c->len < max_bytes ? c->len : max_bytes;
    for (size_t i = 0; i < limit; i++) {
        uint8_t byte = c->ptr[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret = value;
            cursor_skip(c, i + 1);
            return 0;
        }
    }
    return PB_BAD;
}

/* One and two bytes, which nearly all of them have, without a loop. */
static inline __attribute__((always_inline)) int pb_read_varint(struct cursor *c, unsigned max_bytes, uint64_t *ret)
{
    if (c->len >= 1 && c->ptr[0] < 0x80) {
        *ret = c->ptr[0];
        cursor_skip(c, 1);
        return 0;
    }
    if (c->len >= 2 && c->ptr[1] < 0x80) {
        *ret = (c->ptr[0] & 0x7fu) | (uint32_t)c->ptr[1] << 7;
        cursor_skip(c, 2);
        return 0;
    }
    return pb_read_long_varint(c, max_bytes, ret);
}

/* What pb_next() does for fixed-width values, and refuses: groups and wire types that do not exist. */
static inline int pb_read_fixed(struct cursor *c, struct pb_field *f)
{
    if (f->wire != PB_FIXED64 && f->wire != PB_FIXED32)
        return PB_BAD;
    f->raw.len = f->wire == PB_FIXED64 ? 8 : 4;
    return cursor_read_bytes(c, f->raw.len, &f->raw.ptr) == 0 ? 0 : PB_BAD;
}

/* Take the next field from the front; C is not empty. 0 or PB_BAD. Field number 0 is refused in its one-byte form only:
 * longer forms of it are an unknown field. */
static inline __attribute__((always_inline)) int pb_next(struct cursor *c, struct pb_field *f)
{
    uint64_t tag;
    if (c->ptr[0] < 8 || pb_read_varint(c, PB_VARINT32_MAX, &tag) != 0)
        return PB_BAD;
    f->number = (uint32_t)(tag >> 3);
    f->wire = tag & 7;
    if (f->wire == PB_VARINT) {
        f->raw.ptr = c->ptr;
        if (pb_read_varint(c, PB_VARINT_MAX, &f->value) != 0)
            return PB_BAD;
        f->raw.len = (uint32_t)(c->ptr - f->raw.ptr);
        return 0;
    }
    f->value = 0;
    if (f->wire != PB_BYTES)
        return pb_read_fixed(c, f);
    uint64_t len;
    if (pb_read_varint(c, PB_VARINT32_MAX, &len) != 0 || len > INT32_MAX)
        return PB_BAD;
    f->raw.len = (uint32_t)len;
    return cursor_read_bytes(c, f->raw.len, &f->raw.ptr) == 0 ? 0 : PB_BAD;
}

/* The value of a known field. 0, or PB_BAD if it has another wire type. */
static inline int pb_take_u64(const struct pb_field *f, uint64_t *ret)
{
    if (f->wire != PB_VARINT)
        return PB_BAD;
    *ret = f->value;
    return 0;
}

/* uint32, int32, enum: the lower 32 bits, as protobuf has it. */
static inline int pb_take_u32(const struct pb_field *f, uint32_t *ret)
{
    if (f->wire != PB_VARINT)
        return PB_BAD;
    *ret = (uint32_t)f->value;
    return 0;
}

static inline int pb_take_bytes(const struct pb_field *f, struct mqtt_bytes *ret)
{
    if (f->wire != PB_BYTES)
        return PB_BAD;
    *ret = f->raw;
    return 0;
}

/* protobuf-c takes a bool from any wire type, true if a value bit is set in any of its bytes (also in those of a
 * length). */
static inline int pb_take_bool(const struct pb_field *f, bool *ret)
{
    uint8_t bits = f->wire == PB_BYTES && f->raw.len > 0;
    for (uint32_t i = 0; f->wire != PB_BYTES && i < f->raw.len; i++)
        bits |= f->raw.ptr[i] & 0x7f;
    *ret = bits != 0;
    return 0;
}

/* Sizes and writers. Each writer returns the byte behind. Those with "field" leave out what has its default value. */

static inline size_t pb_varint_size(uint64_t value)
{
    unsigned highest_bit = 63 ^ (unsigned)__builtin_clzll(value | 1);
    return (highest_bit * 9 + 73) / 64; /* = highest_bit / 7 + 1 for 0 to 63 */
}

/* Numbers are constants below 2048, so that all of this folds into one or two bytes. */
static inline size_t pb_tag_size(uint32_t number)
{
    return number < 16 ? 1 : 2;
}

static inline uint8_t *pb_put_varint(uint8_t *dst, uint64_t value)
{
    if (value >= 0x80 && value < 0x4000) { /* what the loop would do, without one */
        dst[0] = (uint8_t)(value | 0x80);
        dst[1] = (uint8_t)(value >> 7);
        return dst + 2;
    }
    for (; value >= 0x80; value >>= 7)
        *dst++ = (uint8_t)(value | 0x80);
    *dst++ = (uint8_t)value;
    return dst;
}

static inline uint8_t *pb_put_tag(uint8_t *dst, uint32_t number, enum pb_wire_type wire)
{
    uint32_t tag = number << 3 | wire;
    *dst++ = (uint8_t)(number < 16 ? tag : tag | 0x80);
    if (number >= 16)
        *dst++ = (uint8_t)(tag >> 7);
    return dst;
}

static inline size_t pb_uint_field_size(uint32_t number, uint64_t value)
{
    return value == 0 ? 0 : pb_tag_size(number) + pb_varint_size(value);
}

static inline uint8_t *pb_put_uint_field(uint8_t *dst, uint32_t number, uint64_t value)
{
    return value == 0 ? dst : pb_put_varint(pb_put_tag(dst, number, PB_VARINT), value);
}

/* Flags, QoS: a value below 128. */
static inline size_t pb_small_field_size(uint32_t number, uint8_t value)
{
    return (value != 0) * (pb_tag_size(number) + 1); /* a flag is 0 or 1: no branch */
}

static inline uint8_t *pb_put_small_field(uint8_t *dst, uint32_t number, uint8_t value)
{
    if (value == 0)
        return dst;
    dst = pb_put_tag(dst, number, PB_VARINT);
    *dst = value;
    return dst + 1;
}

/* An embedded message, or a member of a oneof: written even if it is empty. */
static inline size_t pb_block_size(uint32_t number, size_t len)
{
    return pb_tag_size(number) + pb_varint_size(len) + len;
}

/* The head of it; LEN bytes have to follow. */
static inline uint8_t *pb_put_block_head(uint8_t *dst, uint32_t number, size_t len)
{
    return pb_put_varint(pb_put_tag(dst, number, PB_BYTES), len);
}

static inline uint8_t *pb_put_block(uint8_t *dst, uint32_t number, struct mqtt_bytes bytes)
{
    dst = pb_put_block_head(dst, number, bytes.len);
    return mqtt_wire_put_bytes(dst, bytes);
}

static inline size_t pb_bytes_field_size(uint32_t number, struct mqtt_bytes bytes)
{
    return bytes.len == 0 ? 0 : pb_block_size(number, bytes.len);
}

static inline uint8_t *pb_put_bytes_field(uint8_t *dst, uint32_t number, struct mqtt_bytes bytes)
{
    return bytes.len == 0 ? dst : pb_put_block(dst, number, bytes);
}

#endif
