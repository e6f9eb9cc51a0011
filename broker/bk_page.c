/* Paging (bk_page.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_page.h"

#include <stdlib.h>
#include <time.h>

#include "bk_client.h"
#include "bk_deliver.h"
#include "bk_journal.h"
#include "bk_message.h"
#include "bk_options.h"
#include "bk_record.h"
#include "bk_session.h"
#include "bk_worker.h"
#include "cursor.h"
#include "err.h"
#include "log.h"
#include "mqtt_reason.h"

enum {
    BK_PAGE_KEPT = 16,
    BK_PAGE_AHEAD = 64,
    BK_PAGE_AHEAD_BYTES = 1024 * 1024,
};

/* A segment that is being read for SESSION, whose delivery NUMBER it has. */
struct bk_page_read {
    struct bk_worker *worker;
    uint64_t session, number;
};

/* --- Out */

void bk_page_leave(struct bk_session *s)
{
    s->queue.paged_to = 0; /* what came back and was not sent is looked at again */
    bk_journal_page_later(s);
}

bool bk_page_out(struct bk_session *s)
{
    struct bk_queue *q = &s->queue;
    if (s->client || s->worker->options->durability == STORE_NONE)
        return true;
    if (q->paged_to < q->next + BK_PAGE_KEPT)
        q->paged_to = q->next + BK_PAGE_KEPT;
    for (; q->paged_to < q->tail; q->paged_to++)
        if (!bk_journal_page_out(s, bk_queue_find_due(q, q->paged_to)))
            return false;
    return true;
}

/* --- In */

/* One message of a segment, and to whom. 0, BK_RECORD_BAD or -ENOMEM. */
static int bk_page_in_item(struct bk_session *s, struct cursor *c, uint64_t now_ms, uint64_t wall_ms)
{
    struct cursor message = *c;
    struct bk_message *m = NULL;
    uint64_t session, number;
    uint32_t n;
    int r = bk_skip_message(c) != 0 || cursor_read_u32(c, &n) != 0 ? BK_RECORD_BAD : 0;
    for (uint32_t i = 0; r == 0 && i < n; i++) {
        r = bk_skip_target(c, &session, &number);
        if (r != 0 || session != s->number || number >= s->queue.next + BK_PAGE_AHEAD)
            continue;
        struct bk_entry *e = bk_queue_find_due(&s->queue, number);
        if (!e || !e->segment)
            continue;
        r = m ? 0 : bk_get_message(&message, now_ms, wall_ms, &m);
        if (r == 0)
            bk_journal_page_in(s, e, m);
    }
    bk_message_unref(m);
    return r;
}

static int bk_page_in(struct bk_session *s, struct store_bytes value)
{
    struct cursor c = cursor_make(value.bytes, value.len);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    const uint64_t wall_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    int r = 0;
    while (r == 0 && c.len > 0)
        r = bk_page_in_item(s, &c, loop_now_ms(s->worker->loop), wall_ms);
    return r;
}

/* The store has been damaged while it was in use. */
static void bk_page_give_up(struct bk_session *s, uint64_t number)
{
    struct bk_entry *e = bk_queue_find_due(&s->queue, number);
    if (!e || !e->segment)
        return;
    log_error(&s->client->log, "session '%.*s': the store does not have a message any more that waits for it",
              (int)s->id_len, s->id);
    bk_journal_done(s, e);
    bk_queue_forget(&s->queue, e);
}

static void bk_page_on_segment(void *arg, int result, const struct store_page *page)
{
    const struct bk_page_read read = *(struct bk_page_read *)arg;
    free(arg);
    struct bk_session *s = bk_journal_find_session(read.worker->journal, read.session);
    if (!s)
        return;
    s->is_paging = false;
    if (!s->client || read.worker->is_stopping)
        return;
    if (result == 0 && page->n_items > 0)
        result = bk_page_in(s, page->items[0].value);
    if (result < 0) {
        log_error(&s->client->log, "session '%.*s': what waits for it cannot be read: %s", (int)s->id_len, s->id,
                  err_text());
        bk_client_close(s->client, MQTT_REASON_UNSPECIFIED, "what waits cannot be read");
        return;
    }
    bk_page_give_up(s, read.number);
    bk_deliver_pump(s);
}

/* The first that is paged out, of those that are to be here. */
static struct bk_entry *bk_page_wanted(struct bk_queue *q)
{
    size_t bytes = 0;
    struct bk_entry *e;
    for (uint64_t pos = 0; pos < BK_PAGE_AHEAD && (e = bk_queue_waiting_next(q, &pos));) {
        if (e->segment)
            return e;
        bytes += e->bytes;
        if (bytes >= BK_PAGE_AHEAD_BYTES)
            break;
    }
    return NULL;
}

void bk_page_ahead(struct bk_session *s)
{
    if (s->queue.n_paged == 0 || s->is_paging || s->worker->is_stopping)
        return;
    const struct bk_entry *e = bk_page_wanted(&s->queue);
    if (!e)
        return;
    struct bk_page_read *read = malloc(sizeof *read);
    if (!read)
        abort(); /* a message that never comes back hangs its client: as for a timer */
    *read = (struct bk_page_read){.worker = s->worker, .session = s->number, .number = e->number};
    s->is_paging = true;
    bk_journal_read(s->worker->journal, e->segment, bk_page_on_segment, read);
}
