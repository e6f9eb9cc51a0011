/* The way in of a conn.
 *
 *   held <= CARRY:  socket --recv--> scratch [ held | new ] --> on_input;  what is left over --> own buffer
 *   held >  CARRY:  socket --recv--> own buffer             --> on_input   (a large packet is arriving: no second copy)
 *
 * The scratch is the loop's, so an idle conn has no buffer; the own buffer at most doubles what has really arrived. */
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "conn_internal.h"
#include "net_loop.h"

enum {
    CONN_INPUT_CARRY_BYTES = 16 * 1024,
    CONN_INPUT_REST_MAX = 16 * 1024 * 1024, /* more than a receive buffer holds: whoever sends more is not dead */
};

/* As recv(): less than N means that there is no more, so a full read leaves open whether the layers hold bytes. */
static ssize_t conn_input_recv(struct conn *c, void *dst, size_t n)
{
    if (!c->layer)
        return conn_tcp_read(c->fd, dst, n);
    ssize_t got = conn_layer_read(c->layer, dst, n);
    c->is_input_left = got == (ssize_t)n || c->layer->is_input_left || (got > 0 && conn_layer_has_ended(c->layer));
    if (c->is_input_left || conn_layer_pending_bytes(c->layer) > 0)
        conn_schedule(c);
    return got;
}

static bool conn_input_is_wanted(const struct conn *c)
{
    return !c->is_closed && !c->is_paused;
}

/* Returns how many of the LEN bytes were used. */
static size_t conn_input_call(struct conn *c, const uint8_t *bytes, size_t len)
{
    struct cursor input = cursor_make(bytes, len);
    c->is_offer_due = false;
    c->expect_bytes = 0;
    c->offer = &input;
    c->cbs->on_input(c, &input, c->arg);
    c->offer = NULL;
    return len - input.len;
}

static void conn_input_progress(struct conn *c)
{
    if (c->cbs->on_progress)
        c->cbs->on_progress(c, c->arg);
}

static void conn_input_drop(struct conn *c, size_t used)
{
    buf_consume(c->unread, used);
    if (buf_len(c->unread) == 0)
        c->unread = buf_unref(c->unread);
}

void conn_input_offer(struct conn *c)
{
    c->is_offer_due = false;
    if (!c->unread || (c->expect_bytes > buf_len(c->unread) && !c->is_read_done))
        return;
    size_t used = conn_input_call(c, buf_bytes(c->unread), buf_len(c->unread));
    if (!c->is_closed) /* otherwise the caller of conn_close() may still look at the bytes */
        conn_input_drop(c, used);
}

static void conn_input_keep(struct conn *c, const uint8_t *bytes, size_t n)
{
    if (!c->unread)
        c->unread = buf_new(n, SIZE_MAX);
    int r = c->unread ? buf_append(c->unread, bytes, n) : -ENOMEM;
    if (r < 0) {
        c->is_read_done = true; /* a stream with a hole is worse than one that ends */
        conn_fail(c, r);
    }
}

/* Nothing more comes. All that is there is offered once more if a part of it has never been. */
static void conn_input_end(struct conn *c, int err)
{
    c->is_read_done = true;
    if (err < 0 && c->error == 0)
        c->error = err;
    if (c->unread && c->expect_bytes > 0)
        c->is_offer_due = true;
    conn_schedule(c);
}

/* What recv() said about N <= 0. True if the socket has nothing more. */
static bool conn_input_stop(struct conn *c, ssize_t n)
{
    if (n != -EAGAIN)
        conn_input_end(c, (int)n);
    return true;
}

/* The held bytes were copied in front of the new ones; USED of them all have been used. */
static void conn_input_keep_rest(struct conn *c, size_t held, size_t total, size_t used)
{
    if (held > 0)
        conn_input_drop(c, used < held ? used : held);
    size_t from = used > held ? used : held;
    if (from < total)
        conn_input_keep(c, c->net->scratch + from, total - from);
}

static bool conn_input_read_scratch(struct conn *c, size_t held)
{
    uint8_t *scratch = c->net->scratch;
    const size_t room = NET_SCRATCH_BYTES - held;
    ssize_t n = conn_input_recv(c, scratch + held, room);
    if (n <= 0)
        return conn_input_stop(c, n);
    const size_t total = held + (size_t)n;
    if (total < c->expect_bytes) {
        conn_input_keep(c, scratch + held, (size_t)n);
        conn_input_progress(c);
        return (size_t)n < room;
    }
    if (held > 0)
        memcpy(scratch, buf_bytes(c->unread), held);
    size_t used = conn_input_call(c, scratch, total);
    if (!c->is_closed)
        conn_input_keep_rest(c, held, total, used);
    return (size_t)n < room;
}

/* Exactly to the end of what is expected, so that nothing small comes to lie in the large buffer; never more than has
 * arrived already, so that a claimed length costs no memory. */
static size_t conn_input_direct_room(const struct conn *c, size_t held)
{
    if (c->expect_bytes <= held)
        return CONN_INPUT_CARRY_BYTES;
    size_t missing = c->expect_bytes - held;
    size_t most = held < CONN_READ_BYTES_PER_TURN ? held : CONN_READ_BYTES_PER_TURN;
    return missing < most ? missing : most;
}

static bool conn_input_read_direct(struct conn *c, size_t held)
{
    const size_t room = conn_input_direct_room(c, held);
    uint8_t *dst = buf_reserve(c->unread, room);
    if (!dst) {
        c->is_read_done = true;
        conn_fail(c, -ENOMEM);
        return true;
    }
    ssize_t n = conn_input_recv(c, dst, room);
    if (n <= 0)
        return conn_input_stop(c, n);
    buf_commit(c->unread, (size_t)n);
    if (buf_len(c->unread) >= c->expect_bytes)
        conn_input_offer(c);
    else
        conn_input_progress(c);
    return (size_t)n < room;
}

bool conn_input_read(struct conn *c)
{
    size_t budget = CONN_READ_BYTES_PER_TURN;
    while (conn_input_is_wanted(c) && !c->is_read_done) {
        size_t held = conn_unread_bytes(c);
        size_t room = held <= CONN_INPUT_CARRY_BYTES ? NET_SCRATCH_BYTES - held : conn_input_direct_room(c, held);
        if (room > budget)
            return false;
        budget -= room;
        bool is_empty =
            held <= CONN_INPUT_CARRY_BYTES ? conn_input_read_scratch(c, held) : conn_input_read_direct(c, held);
        if (is_empty)
            return true;
    }
    return c->is_read_done;
}

void conn_input_take_rest(struct conn *c)
{
    size_t before = conn_unread_bytes(c);
    while (!c->is_read_done && conn_unread_bytes(c) - before < CONN_INPUT_REST_MAX) {
        ssize_t n = conn_input_recv(c, c->net->scratch, NET_SCRATCH_BYTES);
        if (n <= 0)
            break;
        conn_input_keep(c, c->net->scratch, (size_t)n);
    }
    c->is_read_done = true;
}

void conn_input_open(struct conn *c)
{
    const uint64_t since_us = clock_now_us();
    int r = conn_layer_open(c->layer);
    net_loop_shook_hands(c->net, since_us);
    conn_schedule(c);
    if (r == -EAGAIN || r == -EINPROGRESS)
        return;
    if (r < 0) {
        c->is_read_done = true;
        conn_fail(c, r);
        return;
    }
    conn_layer_tell(c->layer, &c->peer);
    c->is_input_left = true; /* what came together with the end of the handshake */
}
