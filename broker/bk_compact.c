/* See bk_compact.h. */
#include "bk_compact.h"

#include "bk_record.h"

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
            if (bk_skip_target(&c, &session, &number) != 0)
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
