/* Any bytes as a peer's compressed stream: it is unpacked or refused, and memory stays within what was allowed. What we
 * pack ourselves from the same bytes comes out as it went in.
 *
 * Input: a byte for the window, then parts: two bytes of length, and so many bytes. */
#include <errno.h>
#include <sanitizer/allocator_interface.h>
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "ensure.h"
#include "trunk_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    KIB = 1024,
    MAX_BYTES = 64 * KIB,
    PARTS_MAX = 32,
    WINDOW_LOGS = 8,
    MEMORY_MAX = (1 << (TRUNK_ZIP_WINDOW_LOG_MIN + WINDOW_LOGS)) + 512 * KIB + 2 * MAX_BYTES,
};

/* A block of just these bytes, so that a read past them is seen. */
static int unpack(struct trunk_unzip *u, const uint8_t *src, size_t len, const uint8_t **ret, size_t *ret_len)
{
    uint8_t *block = malloc(len > 0 ? len : 1);
    if (len > 0)
        memcpy(block, src, len);
    int r = trunk_unzip_unpack(u, block, len, ret, ret_len);
    free(block);
    return r;
}

static struct cursor next_part(struct cursor *c)
{
    uint16_t len = 0;
    if (cursor_read_u16(c, &len) != 0 || len > c->len)
        len = (uint16_t)(c->len < UINT16_MAX ? c->len : UINT16_MAX);
    struct cursor part = cursor_make(c->ptr, len);
    *c = cursor_make(c->ptr + len, c->len - len);
    return part;
}

static void take_anything(unsigned window_log, struct cursor c)
{
    struct trunk_unzip *u = NULL;
    size_t before = __sanitizer_get_current_allocated_bytes();
    bool is_broken = false;
    ensure(trunk_unzip_new(window_log, MAX_BYTES, &u) == 0);
    for (int i = 0; i < PARTS_MAX && c.len > 0; i++) {
        struct cursor part = next_part(&c);
        const uint8_t *got = NULL;
        size_t got_len = 0;
        int r = unpack(u, part.ptr, part.len, &got, &got_len);
        ensure(r == 0 || r == -EBADMSG || r == -EMSGSIZE);
        ensure(r < 0 || (got && got_len <= MAX_BYTES && !is_broken));
        ensure(__sanitizer_get_current_allocated_bytes() <= before + MEMORY_MAX);
        is_broken = r < 0;
    }
    trunk_unzip_free(u);
}

static void pass_on(struct trunk_zip *z, struct trunk_unzip *u, struct cursor message)
{
    uint8_t *packed = malloc(trunk_zip_bound(message.len));
    int64_t became = trunk_zip_pack(z, message.ptr, message.len, packed);
    const uint8_t *got = NULL;
    size_t got_len = 0;
    ensure(became >= 0 && (size_t)became <= trunk_zip_bound(message.len));
    if (became > 0) {
        ensure(unpack(u, packed, (size_t)became, &got, &got_len) == 0);
        ensure(got_len == message.len && memcmp(got, message.ptr, message.len) == 0);
    }
    free(packed);
}

static void round_trip(unsigned window_log, struct cursor c)
{
    struct trunk_zip *z = NULL;
    struct trunk_unzip *u = NULL;
    ensure(trunk_zip_new(TRUNK_ZIP_LEVEL_DEFAULT, window_log, &z) == 0);
    ensure(trunk_unzip_new(window_log, MAX_BYTES, &u) == 0);
    for (int i = 0; i < PARTS_MAX && c.len > 0; i++)
        pass_on(z, u, next_part(&c));
    trunk_zip_free(z);
    trunk_unzip_free(u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned window_log = TRUNK_ZIP_WINDOW_LOG_MIN + data[0] % WINDOW_LOGS;
    take_anything(window_log, cursor_make(data + 1, size - 1));
    round_trip(window_log, cursor_make(data + 1, size - 1));
    return 0;
}
