/* Taking an input of libFuzzer apart: what is not there reads as zeros, or as less. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include "cursor.h"
#include "mqtt_packet.h"

static inline uint8_t take_u8(struct cursor *c)
{
    uint8_t value = 0;
    cursor_read_u8(c, &value);
    return value;
}

/* A length of one byte, so that inputs stay small; cut to what is there. */
static inline struct mqtt_bytes take_bytes(struct cursor *c)
{
    uint8_t len = take_u8(c);
    const uint8_t *bytes;
    if (cursor_read_bytes(c, len, &bytes))
        cursor_read_bytes(c, len = (uint8_t)c->len, &bytes);
    return (struct mqtt_bytes){.ptr = bytes, .len = len};
}

#endif
