/* Sending: at most one operation of a stream is in flight, started for the owner when none was, else by the completion
 * of the one before it.
 *
 *   rpc_stream_send() --> outbox --> send_op --> send_done --> the next one, or the end, or nothing
 *
 * Batches are started without the mutex, since start_batch may write to the socket. That is safe because is_sending,
 * which is changed under the mutex only, says who may start the next one. */
#include <assert.h>
#include <stdlib.h>

#include "list.h"
#include "rpc_poll.h"
#include "rpc_stream_internal.h"

struct outgoing {
    struct rpc_message *message; /* NULL: the end */
    bool has_more;
};

/* Under the mutex, by whoever may start the next send. False: there is nothing to send. */
static bool take_outgoing(struct rpc_stream_shared *sh, struct outgoing *ret)
{
    struct rpc_item *item = rpc_queue_pop(&sh->outbox);
    if (!item) {
        if (sh->send_end != RPC_SEND_CLOSE_WANTED)
            return false;
        sh->send_end = RPC_SEND_CLOSE_STARTED;
    }
    /* What is queued now leaves behind this one without any event from outside, or never together with it (break_send):
     * so a message sent with the hint is always followed by one without, by the end of the stream, or by its death. */
    *ret = (struct outgoing){.message = rpc_item_message(item), .has_more = sh->outbox.head != NULL};
    return true;
}

/* As long as messages carry the hint libgrpc collects 64 KiB of a stream before it writes; in a flood over many
 * streams, whose queues never run empty, that is seconds of work before the first byte leaves. One DATA frame's worth
 * costs no more. */
enum { HINTED_MAX = 16000 };

static uint32_t write_flags(struct rpc_stream *s, bool has_more)
{
    s->hinted_bytes += s->sending_bytes;
    if (has_more && s->hinted_bytes < HINTED_MAX)
        return GRPC_WRITE_BUFFER_HINT;
    s->hinted_bytes = 0;
    return 0;
}

static void start_message(struct rpc_stream *s, const struct outgoing *out)
{
    struct rpc_message *m = out->message;
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&m->slice, 1);
    s->sending_bytes = GRPC_SLICE_LENGTH(m->slice);
    rpc_message_free(m);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .flags = write_flags(s, out->has_more)};
    op.data.send_message.send_message = buffer;
    rpc_op_start(&s->send_op, s->call, &op, 1);
    grpc_byte_buffer_destroy(buffer); /* the core has taken the slices out of it */
}

static void start_end(struct rpc_stream *s)
{
    s->sending_bytes = 0;
    if (!s->is_server) {
        grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
        rpc_op_start(&s->send_op, s->call, &op, 1);
        return;
    }
    /* Written before CLOSE_WANTED and never after it. */
    const char *text = s->shared.finish_text;
    grpc_slice details = grpc_slice_from_copied_string(text ? text : "");
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op.data.send_status_from_server.status = (grpc_status_code)s->shared.finish_status;
    op.data.send_status_from_server.status_details = text ? &details : NULL;
    rpc_op_start(&s->send_op, s->call, &op, 1);
    grpc_slice_unref(details);
}

static void start_outgoing(struct rpc_stream *s, const struct outgoing *out)
{
    rpc_poll_send_begins();
    if (out->message)
        start_message(s, out);
    else
        start_end(s);
}

/* Under the mutex. */
static void check_low_mark(struct rpc_stream *s)
{
    struct rpc_stream_shared *sh = &s->shared;
    if (!sh->is_drain_wanted || s->queued_bytes > sh->low_mark)
        return;
    sh->is_drain_wanted = false;
    if (sh->send_end == RPC_SEND_BROKEN)
        return; /* the end follows */
    sh->is_drain_due = true;
    rpc_stream_post(s);
}

void rpc_stream_send_done(struct rpc_op *op, bool is_ok)
{
    struct rpc_stream *s = container_of(op, struct rpc_stream, send_op);
    struct outgoing out;
    struct rpc_queue dropped = {NULL, NULL};
    rpc_poll_send_ends();
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    s->queued_bytes -= s->sending_bytes;
    if (!is_ok)
        dropped = rpc_stream_break_send(s);
    bool has_next = take_outgoing(sh, &out);
    sh->is_sending = has_next;
    check_low_mark(s);
    rpc_stream_unlock(s);
    rpc_queue_clear(&dropped);
    if (has_next)
        start_outgoing(s, &out);
    else
        rpc_stream_unref(s);
}

struct rpc_queue rpc_stream_break_send(struct rpc_stream *s)
{
    struct rpc_stream_shared *sh = &s->shared;
    struct rpc_queue dropped = sh->outbox;
    for (struct rpc_item *it = dropped.head; it; it = it->next)
        s->queued_bytes -= GRPC_SLICE_LENGTH(rpc_item_message(it)->slice);
    sh->outbox = (struct rpc_queue){NULL, NULL};
    sh->send_end = RPC_SEND_BROKEN;
    return dropped;
}

/* --- From the owner */

/* Whoever calls this has set is_sending, and holds a reference for the operation. */
static void start_next(struct rpc_stream *s)
{
    struct outgoing out;
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    bool is_due = take_outgoing(sh, &out);
    sh->is_sending = is_due;
    rpc_stream_unlock(s);
    if (is_due)
        start_outgoing(s, &out);
    else
        rpc_stream_unref(s);
}

void rpc_stream_send_here(struct mail *mail)
{
    start_next(container_of(mail, struct rpc_stream, send_mail));
}

/* Under the mutex, which it gives back: start what is due, unless something is in flight already. */
static void unlock_and_start(struct rpc_stream *s)
{
    bool is_mine = !s->shared.is_sending;
    s->shared.is_sending = true;
    rpc_stream_unlock(s);
    if (!is_mine)
        return;
    rpc_stream_ref(s);
    if (!rpc_poll_post(&s->send_mail))
        start_next(s);
}

void rpc_stream_send(struct rpc_stream *s, struct rpc_message *m)
{
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    if (sh->send_end != RPC_SEND_OPEN) {
        rpc_stream_unlock(s);
        rpc_message_free(m);
        return;
    }
    rpc_queue_push(&sh->outbox, &m->item);
    s->queued_bytes += GRPC_SLICE_LENGTH(m->slice);
    unlock_and_start(s);
}

size_t rpc_stream_queued_bytes(const struct rpc_stream *s)
{
    return atomic_load_explicit(&s->queued_bytes, memory_order_relaxed);
}

void rpc_stream_set_low_mark(struct rpc_stream *s, size_t bytes)
{
    rpc_stream_lock(s);
    s->shared.low_mark = bytes;
    rpc_stream_unlock(s);
}

bool rpc_stream_wait_drain(struct rpc_stream *s)
{
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    bool is_over = sh->send_end == RPC_SEND_BROKEN;
    sh->is_drain_wanted = !is_over && s->queued_bytes > sh->low_mark;
    sh->is_drain_due = false; /* of an earlier call, and not told yet: this one counts */
    bool is_wanted = sh->is_drain_wanted;
    rpc_stream_unlock(s);
    return is_wanted || is_over;
}

void rpc_stream_half_close(struct rpc_stream *s)
{
    assert(!s->is_server);
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    if (sh->send_end == RPC_SEND_OPEN)
        sh->send_end = RPC_SEND_CLOSE_WANTED;
    unlock_and_start(s);
}

void rpc_stream_send_status(struct rpc_stream *s, int status, char *text)
{
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    if (sh->send_end == RPC_SEND_OPEN) {
        sh->send_end = RPC_SEND_CLOSE_WANTED;
        sh->finish_status = status;
        sh->finish_text = text;
        text = NULL;
    }
    unlock_and_start(s);
    free(text);
}
