/* A conn's life, events and end (conn.h); the two directions are conn_input.c and conn_output.c.
 *
 *   poll says readable --> conn_input_read()                     during the turn
 *   poll says writable --> the socket is no longer blocked
 *   conn_task, at the end of the turn: offer again what was asked for, write, on_drain, on_end, set poll
 *
 * Every callback may close the conn: C itself stays until the end of the turn, so `is_closed` can be asked afterwards.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn_facts.h"
#include "conn_internal.h"
#include "err.h"
#include "net_loop.h"

_Static_assert(sizeof(struct conn) <= 448, "ten thousand idle conns are a few megabytes");

/* --- Events */

void conn_schedule(struct conn *c)
{
    loop_defer(c->net->loop, &c->task);
}

static void conn_on_poll(uv_poll_t *poll, int status, int events);

static void conn_set_poll(struct conn *c, int events)
{
    if (events == c->watched)
        return;
    c->watched = (uint8_t)events;
    int r = events != 0 ? uv_poll_start(&c->poll, events, conn_on_poll) : uv_poll_stop(&c->poll);
    assert(r == 0);
    (void)r;
}

/* While paused only the loss of the connection matters. ERR and HUP are reported whatever is asked for, but something
 * must be asked for: urgent data, which nobody sends. (RDHUP would be reported again and again once the peer has sent
 * FIN.) */
static int conn_read_events(const struct conn *c)
{
    if (c->is_read_done)
        return 0;
    if (!conn_is_waiting(c) && (!c->is_paused || conn_is_opening(c)))
        return UV_READABLE;
    return c->is_hung_up ? 0 : UV_PRIORITIZED;
}

void conn_watch(struct conn *c)
{
    int events = conn_read_events(c);
    /* A pause shorter than the peer's silence costs no system call: poll is set only when bytes do come (conn_on_poll).
     */
    if (events == UV_PRIORITIZED && (c->watched & UV_READABLE))
        events = UV_READABLE;
    conn_set_poll(c, events | (c->is_write_blocked ? UV_WRITABLE : 0));
}

bool conn_is_opening(const struct conn *c)
{
    return c->layer && !c->layer->is_open;
}

bool conn_is_waiting(const struct conn *c)
{
    return c->layer && c->layer->is_waiting;
}

/* What they waited for has come. */
static void conn_on_wake(void *arg)
{
    conn_input_open(arg);
}

static int conn_socket_error(const struct conn *c)
{
    int err = 0;
    socklen_t len = sizeof(err);
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    return -err;
}

/* Paused or waiting, and poll has something to say about reading. */
static void conn_on_paused_event(struct conn *c, int events)
{
    if (events & UV_READABLE) {
        c->watched &= (uint8_t)~UV_READABLE;
        c->watched |= UV_PRIORITIZED;
        int r = uv_poll_start(&c->poll, c->watched, conn_on_poll);
        assert(r == 0);
        (void)r;
        return;
    }
    int err = conn_socket_error(c);
    if (err < 0)
        conn_fail(c, err);
    c->is_hung_up = true;
    conn_schedule(c);
}

static void conn_on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;
    if (status < 0)
        c->watched = 0; /* ERR: libuv has stopped the poll; reading or SO_ERROR says what it was */
    if (status < 0 || (events & UV_WRITABLE)) {
        c->is_write_blocked = false;
        conn_schedule(c);
    }
    if (c->linger) {
        conn_linger_step(c);
        return;
    }
    if (status >= 0 && !(events & (UV_READABLE | UV_PRIORITIZED)))
        return;
    if (conn_is_opening(c) && !conn_is_waiting(c)) {
        if (status < 0 || net_loop_may_shake_hands(c->net)) /* after an error poll would not come again */
            conn_input_open(c);
    } else if (c->is_paused || conn_is_waiting(c)) {
        conn_on_paused_event(c, events);
    } else {
        conn_input_read(c);
    }
}

/* --- The end */

void conn_fail(struct conn *c, int err)
{
    if (c->error == 0)
        c->error = err;
    bufq_clear(&c->out);
    c->is_write_blocked = false;
    conn_schedule(c);
}

/* The stream has died: first what had arrived before, a turn's share at a time. */
static void conn_read_last(struct conn *c)
{
    if (c->is_read_done)
        return;
    if (c->is_paused) {
        conn_input_take_rest(c);
    } else if (conn_input_read(c) && !c->is_read_done) {
        c->is_read_done = true;
        if (c->unread && c->expect_bytes > 0)
            c->is_offer_due = true;
    }
}

/* An orderly end waits behind the bytes in front of it; so does any other, unless the conn is paused. */
static bool conn_is_end_due(const struct conn *c)
{
    if (c->is_end_reported || !c->is_read_done)
        return false;
    return c->is_paused ? c->error < 0 : !c->is_offer_due;
}

static const char *conn_error_text(const struct conn *c)
{
    const char *text = conn_layer_text(c->layer);
    return text ? text : strerror(-c->error);
}

static void conn_report_end(struct conn *c)
{
    if (!conn_is_end_due(c))
        return;
    c->is_end_reported = true;
    if (c->error == 0)
        c->cbs->on_end(c, CONN_END_EOF, "closed by the peer", c->arg);
    else
        c->cbs->on_end(c, CONN_END_ERROR, conn_error_text(c), c->arg);
}

static void conn_report_drain(struct conn *c)
{
    if (!c->is_drain_due)
        return;
    c->is_drain_due = false;
    if (c->cbs->on_drain)
        c->cbs->on_drain(c, c->arg);
}

/* Bytes that the layers hold: poll does not come for them. */
static bool conn_is_input_due(const struct conn *c)
{
    return c->is_input_left && !c->is_paused && !c->is_read_done;
}

static bool conn_is_write_due(const struct conn *c)
{
    return bufq_len(&c->out) > 0 && !c->is_write_blocked && !conn_is_opening(c);
}

/* What is left for the next turn, and what poll shall say. */
static void conn_settle(struct conn *c)
{
    const bool is_write_left = conn_is_write_due(c);
    const bool is_offer_left = c->is_offer_due && !c->is_paused;
    const bool is_read_left = c->error < 0 && !c->is_read_done;
    if (is_write_left || is_offer_left || is_read_left || conn_is_input_due(c))
        conn_schedule(c);
    conn_watch(c);
}

static void conn_on_task(struct loop_task *task)
{
    struct conn *c = container_of(task, struct conn, task);
    if (c->linger) {
        conn_linger_step(c);
        return;
    }
    if (c->is_offer_due && !c->is_paused)
        conn_input_offer(c);
    if (!c->is_closed && conn_is_input_due(c))
        conn_input_read(c);
    if (!c->is_closed)
        conn_output_write(c);
    if (!c->is_closed)
        conn_report_drain(c);
    if (!c->is_closed && c->error < 0)
        conn_read_last(c);
    if (!c->is_closed)
        conn_report_end(c);
    if (!c->is_closed)
        conn_settle(c);
}

/* --- Life */

static void conn_parcel_drop_bytes(struct conn_parcel *parcel)
{
    parcel->unread = buf_unref(parcel->unread);
    parcel->unsent = buf_unref(parcel->unsent);
}

void conn_parcel_close(struct conn_parcel *parcel)
{
    conn_parcel_drop_bytes(parcel);
    parcel->layer = conn_layer_free(parcel->layer);
    if (parcel->fd >= 0)
        close(parcel->fd);
    parcel->fd = -1;
    parcel->peer.facts = conn_facts_free(parcel->peer.facts);
}

/* Copied, because the parcel's buffer may be shared or may not grow. */
static int conn_adopt_unread(struct conn *c, struct conn_parcel *parcel)
{
    if (!parcel->unread || buf_len(parcel->unread) == 0)
        return 0;
    c->unread = buf_new(buf_len(parcel->unread), SIZE_MAX);
    if (!c->unread)
        return -ENOMEM;
    c->is_offer_due = true;
    return buf_append(c->unread, buf_bytes(parcel->unread), buf_len(parcel->unread));
}

static int conn_adopt_unsent(struct conn *c, struct conn_parcel *parcel)
{
    struct buf *unsent = parcel->unsent;
    parcel->unsent = NULL;
    return unsent ? bufq_append_buf(&c->out, unsent, 0) : 0;
}

static int conn_open(struct loop *loop, struct conn_parcel *parcel, struct conn *c)
{
    c->fd = parcel->fd;
    c->peer = parcel->peer;
    c->is_read_done = parcel->peer_has_closed;
    bufq_init(&c->out, SIZE_MAX);
    loop_task_init(&c->task, conn_on_task);
    int r = conn_adopt_unread(c, parcel);
    if (r >= 0)
        r = conn_adopt_unsent(c, parcel);
    if (r < 0)
        return err_errno(r, "connection %s", c->peer.text);
    c->net = net_loop_get(loop);
    if (!c->net)
        return err_errno(-ENOMEM, "connection %s", c->peer.text);
    r = uv_poll_init(loop_uv(loop), &c->poll, c->fd); /* makes it non-blocking too */
    if (r < 0) {
        net_loop_put(c->net);
        return err_errno(r, "connection %s", c->peer.text);
    }
    return 0;
}

/* What could not be opened. */
static void conn_discard(struct conn *c)
{
    buf_unref(c->unread);
    bufq_clear(&c->out);
    free(c);
}

int conn_attach(struct loop *loop, struct conn_parcel *parcel, const struct conn_cbs *cbs, void *arg,
                struct conn **ret_conn)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c) {
        conn_parcel_close(parcel);
        return err_errno(-ENOMEM, "connection %s", parcel->peer.text);
    }
    int r = conn_open(loop, parcel, c);
    if (r < 0) {
        conn_discard(c);
        conn_parcel_close(parcel);
        return r;
    }
    conn_parcel_drop_bytes(parcel);
    c->layer = parcel->layer;
    c->is_input_left = c->layer && c->layer->is_open;
    conn_layer_drive(c->layer, loop, conn_on_wake, c);
    parcel->layer = NULL;
    parcel->fd = -1;
    parcel->peer.facts = NULL;
    c->cbs = cbs;
    c->arg = arg;
    c->poll.data = c;
    c->net->conns++;
    conn_schedule(c);
    *ret_conn = c;
    return 0;
}

static void conn_on_closed(uv_handle_t *poll)
{
    struct conn *c = poll->data;
    buf_unref(c->unread);
    conn_layer_free(c->layer);
    conn_facts_free(c->peer.facts);
    net_loop_put(c->net);
    free(c);
}

/* Off the loop, the descriptor stays open. */
static void conn_take_off(struct conn *c)
{
    c->is_closed = true;
    c->net->conns--;
    loop_task_cancel(&c->task);
    conn_linger_free(c);
    uv_close((uv_handle_t *)&c->poll, conn_on_closed);
}

void conn_destroy(struct conn *c)
{
    conn_layer_drive(c->layer, NULL, NULL, NULL);
    conn_take_off(c);
    bufq_clear(&c->out);
    close(c->fd);
}

void conn_detach(struct conn *c, struct conn_parcel *ret_parcel)
{
    assert(!c->offer && !c->is_closed);
    const bool has_unsent = bufq_len(&c->out) > 0;
    conn_layer_drive(c->layer, NULL, NULL, NULL);
    *ret_parcel = (struct conn_parcel){
        .fd = c->fd,
        .peer = c->peer,
        .layer = c->layer,
        .unread = c->unread,
        .unsent = bufq_take(&c->out),
        .peer_has_closed = c->is_read_done,
    };
    /* Memory was short: a stream with a hole is worse than one that ends. */
    if (has_unsent && !ret_parcel->unsent) {
        bufq_clear(&c->out);
        shutdown(c->fd, SHUT_RDWR);
    }
    c->unread = NULL;
    c->layer = NULL;
    c->peer.facts = NULL;
    conn_take_off(c);
}

/* A stream that a layer has ended has a socket that works: the peer shall hear why. */
static bool conn_may_linger(const struct conn *c)
{
    if (conn_layer_error(c->layer) < 0)
        return true;
    return c->error == 0 && !conn_is_opening(c);
}

struct conn *conn_close(struct conn *c, uint32_t within_ms)
{
    if (!c)
        return NULL;
    assert(!c->is_closed);
    if (within_ms > 0 && conn_may_linger(c) && conn_linger_start(c, within_ms) == 0) {
        c->is_closed = true; /* for callbacks on the stack */
        return NULL;
    }
    conn_destroy(c);
    return NULL;
}

/* --- What the user sees */

void conn_set_cbs(struct conn *c, const struct conn_cbs *cbs, void *arg)
{
    c->cbs = cbs;
    c->arg = arg;
}

const struct conn_peer *conn_peer(const struct conn *c)
{
    return &c->peer;
}

struct loop *conn_loop(const struct conn *c)
{
    return c->net->loop;
}

void conn_pause(struct conn *c)
{
    c->is_paused = true;
}

void conn_resume(struct conn *c)
{
    if (!c->is_paused)
        return;
    c->is_paused = false;
    if (c->unread)
        c->is_offer_due = true;
    if (c->is_offer_due || c->is_read_done || c->is_input_left || !(c->watched & UV_READABLE))
        conn_schedule(c);
}

bool conn_is_paused(const struct conn *c)
{
    return c->is_paused;
}

void conn_continue(struct conn *c)
{
    c->is_offer_due = true;
    conn_schedule(c);
}

size_t conn_unread_bytes(const struct conn *c)
{
    if (c->offer)
        return c->offer->len;
    return c->unread ? buf_len(c->unread) : 0;
}

void conn_expect(struct conn *c, size_t n)
{
    c->expect_bytes = n;
}

/* The queue has grown. */
static void conn_queued(struct conn *c)
{
    if (c->error < 0) {
        bufq_clear(&c->out); /* nobody will read it; on_end tells */
        return;
    }
    if (bufq_len(&c->out) > c->low_mark_bytes)
        c->is_above_mark = true;
    if (!c->is_write_blocked)
        conn_schedule(c);
}

uint8_t *conn_reserve(struct conn *c, size_t n)
{
    return bufq_reserve(&c->out, n);
}

void conn_commit(struct conn *c, size_t used)
{
    bufq_commit(&c->out, used);
    conn_queued(c);
}

int conn_write(struct conn *c, const void *bytes, size_t n)
{
    int r = bufq_append(&c->out, bytes, n);
    conn_queued(c);
    return r;
}

int conn_write_buf(struct conn *c, struct buf *buf, size_t offset)
{
    int r = bufq_append_buf(&c->out, buf, offset);
    conn_queued(c);
    return r;
}

size_t conn_queued_bytes(const struct conn *c)
{
    return bufq_len(&c->out) + conn_layer_pending_bytes(c->layer);
}

void conn_set_low_mark(struct conn *c, size_t bytes)
{
    c->low_mark_bytes = bytes;
}

uint64_t conn_written_bytes(const struct conn *c)
{
    return c->written_bytes;
}

void conn_flush(struct conn *c)
{
    conn_output_write(c);
    conn_schedule(c); /* for poll, and for what on_drain and on_end have to say */
}
