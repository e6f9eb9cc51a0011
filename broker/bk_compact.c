/* See bk_compact.h. */
#include "bk_compact.h"

#include "bk_record.h"

static int bk_skip_message(struct cursor *c)
{
    struct mqtt_bytes bytes;
    uint64_t expires;
    uint8_t flags;
    if (cursor_read_u8(c, &flags) != 0 || bk_get_u64(c, &expires) != 0)
        return BK_RECORD_BAD;
    for (int i = 0; i < 3; i++) /* topic, properties, payload */
        if (bk_get_bytes(c, &bytes) != 0)
            return BK_RECORD_BAD;
    return 0;
}

static int bk_read_target(struct cursor *c, uint64_t *ret_session, uint64_t *ret_number)
{
    struct mqtt_bytes share;
    uint64_t n, id;
    uint8_t flags;
    if (bk_get_u64(c, ret_session) != 0 || bk_get_u64(c, ret_number) != 0 || cursor_read_u8(c, &flags) != 0 ||
        bk_get_varint(c, &n) != 0)
        return BK_RECORD_BAD;
    for (; n > 0; n--)
        if (bk_get_varint(c, &id) != 0)
            return BK_RECORD_BAD;
    return flags & BK_FLAG_SHARED ? bk_get_bytes(c, &share) : 0;
}

int bk_compact(struct mqtt_bytes segment, bk_compact_is_due_fn *is_due, void *arg, struct bk_writer *out,
               uint32_t *ret_n)
{
    struct cursor c = cursor_make(segment.ptr, segment.len);
    uint32_t n_kept = 0;
    while (c.len > 0) {
        const uint8_t *begin = segment.ptr + (segment.len - c.len);
        uint64_t session, number;
        uint32_t n;
        bool is_needed = false;
        if (bk_skip_message(&c) != 0 || cursor_read_u32(&c, &n) != 0)
            return BK_RECORD_BAD;
        for (; n > 0; n--) {
            if (bk_read_target(&c, &session, &number) != 0)
                return BK_RECORD_BAD;
            is_needed = is_needed || is_due(arg, session, number);
        }
        if (is_needed)
            bk_put_raw(out, begin, (size_t)(segment.ptr + (segment.len - c.len) - begin));
        n_kept += is_needed;
    }
    *ret_n = n_kept;
    return 0;
}
