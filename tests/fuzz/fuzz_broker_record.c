/* Messages in the broker's store: what can be read is written again as the same, and goes out to clients of any
 * version; whatever else is there is refused. Input: the bytes of a segment's messages, one after the other; the same
 * bytes are a segment to be compacted, and marks. */
#include <stdlib.h>
#include <string.h>

#include "bk_compact.h"
#include "bk_marks.h"
#include "bk_message.h"
#include "bk_record.h"
#include "ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW_MS = 1000000, WALL_MS = 2000000000 };

static struct bk_scratch scratch;

static void is_written_as_it_was(const struct bk_message *m)
{
    struct bk_writer w = {0};
    struct bk_message *again;
    bk_put_message(&w, m, NOW_MS, WALL_MS);
    ensure(!w.has_failed);
    struct cursor c = cursor_make(w.bytes, w.len);
    ensure(bk_get_message(&c, NOW_MS, WALL_MS, &again) == 0);
    ensure(c.len == 0 && again->qos == m->qos && again->retain == m->retain && again->expires_ms == m->expires_ms);
    ensure(again->topic_len == m->topic_len && again->properties_len == m->properties_len &&
           again->payload_len == m->payload_len);
    ensure(memcmp(again->bytes, m->bytes, m->topic_len + m->properties_len + (m->payload ? 0 : m->payload_len)) == 0);
    bk_message_unref(again);
    free(w.bytes);
}

static void goes_out(struct bk_message *m)
{
    struct bk_publication p;
    if (!bk_publication_of(&p, m, NOW_MS, &scratch))
        return; /* expired */
    for (int form = 0; form < BK_FORMS; form++) {
        const struct bk_form *f = bk_publication_form(&p, form & 1, form & 2);
        ensure(f && f->total >= f->len);
    }
    bk_publication_end(&p);
}

static bool is_due(void *arg, uint64_t session, uint64_t number)
{
    return *(const bool *)arg;
}

/* With everything due it stays as it was, with nothing it is empty. */
static void is_compacted(struct mqtt_bytes segment)
{
    struct bk_writer all = {0}, none = {0};
    bool due = true, not_due = false;
    uint32_t n_all, n_none;
    const int e = bk_compact(segment, is_due, &due, &all, &n_all);
    ensure(bk_compact(segment, is_due, &not_due, &none, &n_none) == e);
    if (e == 0) {
        ensure(none.len == 0 && n_none == 0 && all.len <= segment.len);
        ensure(n_all == 0 || memcmp(all.bytes, segment.ptr, 1) == 0 || all.len < segment.len);
    }
    free(all.bytes);
    free(none.bytes);
}

static void are_marks(struct mqtt_bytes marks)
{
    struct bk_writer w = {0};
    bk_put_raw(&w, marks.ptr, marks.len);
    bk_marks_put_session(&w, UINT64_MAX);
    const struct mqtt_bytes more = {w.bytes, (uint32_t)w.len};
    if (bk_marks_is_good(marks))
        ensure(bk_marks_is_good(more) && bk_marks_has_session(more, UINT64_MAX));
    bk_marks_has_share(more, marks);
    free(w.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    is_compacted((struct mqtt_bytes){data, (uint32_t)size});
    are_marks((struct mqtt_bytes){data, (uint32_t)size});
    struct cursor c = cursor_make(data, size);
    struct bk_message *m;
    while (c.len > 0 && bk_get_message(&c, NOW_MS, WALL_MS, &m) == 0) {
        is_written_as_it_was(m);
        goes_out(m);
        bk_message_unref(m);
    }
    bk_scratch_deinit(&scratch);
    return 0;
}
