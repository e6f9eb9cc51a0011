/* The data types of MQTT (MQTT 5.0 section 1.5) as bytes: what cursor.h does not have for reading, and everything for
 * writing. Writers return the byte behind what they wrote; the caller has made room. */
#ifndef MQTT_WIRE_H
#define MQTT_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cursor.h"
#include "mqtt_packet.h"

enum { MQTT_VARINT_MAX = 268435455 };

enum { MQTT_WIRE_BAD = 2 }; /* Variable Byte Integer with a fifth byte, or more bytes than it needs: MQTT-1.5.5-1 */

/* Variable Byte Integer: seven bits a byte from the low end. 0, CURSOR_SHORT (nothing wrong so far) or MQTT_WIRE_BAD;
 * nothing has been read unless the result is 0. */
static inline int mqtt_wire_read_varint(struct cursor *c, uint32_t *ret_value)
{
    struct cursor in = *c;
    uint32_t value = 0;
    uint8_t byte;
#pragma GCC unroll 4
    for (unsigned shift = 0; shift < 28; shift += 7) {
        if (cursor_read_u8(&in, &byte))
            return CURSOR_SHORT;
        value |= (uint32_t)(byte & 0x7F) << shift;
        if (byte & 0x80)
            continue;
        if (byte == 0 && shift > 0)
            return MQTT_WIRE_BAD;
        *c = in;
        *ret_value = value;
        return 0;
    }
    return MQTT_WIRE_BAD;
}

/* N bytes in place. 0 or CURSOR_SHORT. */
static inline int mqtt_wire_read_bytes(struct cursor *c, uint32_t n, struct mqtt_bytes *ret_bytes)
{
    const uint8_t *bytes;
    if (cursor_read_bytes(c, n, &bytes))
        return CURSOR_SHORT;
    *ret_bytes = (struct mqtt_bytes){.ptr = bytes, .len = n};
    return 0;
}

/* A string or binary value with its two-byte length, in place. 0 or CURSOR_SHORT. */
static inline int mqtt_wire_read_text(struct cursor *c, struct mqtt_bytes *ret_text)
{
    uint16_t len;
    if (cursor_read_u16(c, &len))
        return CURSOR_SHORT;
    return mqtt_wire_read_bytes(c, len, ret_text);
}

/* Bytes that VALUE <= MQTT_VARINT_MAX takes: 1 to 4. */
static inline size_t mqtt_wire_varint_size(uint32_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

static inline uint8_t *mqtt_wire_put_varint(uint8_t *dst, uint32_t value)
{
    for (; value >= 128; value >>= 7)
        *dst++ = (uint8_t)(value | 0x80);
    *dst++ = (uint8_t)value;
    return dst;
}

static inline uint8_t *mqtt_wire_put_u8(uint8_t *dst, uint8_t value)
{
    *dst = value;
    return dst + 1;
}

static inline uint8_t *mqtt_wire_put_u16(uint8_t *dst, uint16_t value)
{
    dst[0] = (uint8_t)(value >> 8);
    dst[1] = (uint8_t)value;
    return dst + 2;
}

static inline uint8_t *mqtt_wire_put_u32(uint8_t *dst, uint32_t value)
{
    return mqtt_wire_put_u16(mqtt_wire_put_u16(dst, (uint16_t)(value >> 16)), (uint16_t)value);
}

static inline uint8_t *mqtt_wire_put_bytes(uint8_t *dst, struct mqtt_bytes bytes)
{
    if (bytes.len > 0) /* an empty value may have no address, which memcpy() forbids */
        memcpy(dst, bytes.ptr, bytes.len);
    return dst + bytes.len;
}

/* With its two-byte length; at most MQTT_STRING_MAX bytes. */
static inline uint8_t *mqtt_wire_put_text(uint8_t *dst, struct mqtt_bytes text)
{
    return mqtt_wire_put_bytes(mqtt_wire_put_u16(dst, (uint16_t)text.len), text);
}

#endif
