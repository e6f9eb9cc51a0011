/* Receiving, and how a stream begins and ends:
 *
 *   receive_op --> receive_done --> inbox --> mail --> loop;  again at once, unless paused or too much is unread
 *
 * One receive is in flight at most; is_receiving, changed under the mutex only, says who may start the next one. */

#include "list.h"
#include "rpc_poll.h"
#include "rpc_stream_internal.h"

/* Above this the peer waits until the loop has caught up. HTTP/2 holds what it sends meanwhile. */
enum { UNREAD_MAX = 256 * 1024 };

void rpc_stream_post(struct rpc_stream *s)
{
    struct rpc_stream_shared *sh = &s->shared;
    if (sh->is_posted || sh->is_freed)
        return;
    sh->is_posted = true;
    rpc_stream_ref(s);
    /* With the mutex held: once rpc_stream_free() has returned there may be no mailbox any more. */
    mailbox_post(s->mailbox, &s->mail);
}

static void start_receive(struct rpc_stream *s)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &s->received;
    rpc_op_start(&s->receive_op, s->call, &op, 1);
    rpc_poll_touch();
}

static bool wants_receive(const struct rpc_stream_shared *sh)
{
    return !sh->is_paused && !sh->is_eos && !sh->is_over && !sh->is_freed && sh->unread_bytes < UNREAD_MAX;
}

/* Under the mutex. The end comes behind a message that a receive in flight may still bring. */
static void check_end(struct rpc_stream *s)
{
    struct rpc_stream_shared *sh = &s->shared;
    if (!sh->is_over || sh->is_receiving || sh->is_end_queued)
        return;
    sh->is_end_queued = true;
    rpc_queue_push(&sh->inbox, &s->end);
    rpc_stream_post(s);
}

/* Under the mutex, which it gives back, by whoever may start the next receive and holds its reference. */
static void unlock_and_receive(struct rpc_stream *s)
{
    bool is_again = wants_receive(&s->shared);
    s->shared.is_receiving = is_again;
    check_end(s);
    rpc_stream_unlock(s);
    if (is_again)
        start_receive(s);
    else
        rpc_stream_unref(s);
}

/* libgrpc tells the peer at once that there is room again, which takes as long as a small message. On a loop that is
 * done when what has just come has been passed on and has left: a turn later. */
static void on_again(struct loop_task *task)
{
    struct rpc_stream *s = container_of(task, struct rpc_stream, again);
    struct loop *loop = rpc_poll_here();
    if (s->is_again_new && loop) {
        s->is_again_new = false;
        loop_defer(loop, &s->again);
        return;
    }
    rpc_stream_lock(s);
    unlock_and_receive(s);
}

static void receive_done(struct rpc_op *op, bool is_ok)
{
    struct rpc_stream *s = container_of(op, struct rpc_stream, receive_op);
    struct rpc_message *m = s->received ? rpc_message_of(s->received) : NULL;
    s->received = NULL;
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    if (m) {
        sh->unread_bytes += grpc_byte_buffer_length(m->buffer);
        rpc_queue_push(&sh->inbox, &m->item);
        rpc_stream_post(s);
    } else {
        sh->is_eos = true;
        /* No message: the client has half-closed, or it is lost and the end will say so. */
        if (s->is_server && is_ok && !grpc_call_failed_before_recv_message(s->call)) {
            rpc_queue_push(&sh->inbox, &s->half_close);
            rpc_stream_post(s);
        }
    }
    struct loop *loop = rpc_poll_here();
    if (!loop) {
        unlock_and_receive(s);
        return;
    }
    rpc_stream_unlock(s);
    s->is_again_new = true;
    loop_task_init(&s->again, on_again);
    loop_defer(loop, &s->again);
}

void rpc_stream_read_on(struct rpc_stream *s, size_t bytes)
{
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    sh->unread_bytes -= bytes;
    bool is_due = !sh->is_receiving && wants_receive(sh);
    if (is_due)
        sh->is_receiving = true;
    rpc_stream_unlock(s);
    if (!is_due)
        return;
    rpc_stream_ref(s);
    if (!rpc_poll_post(&s->receive_mail))
        start_receive(s);
}

void rpc_stream_receive_here(struct mail *mail)
{
    start_receive(container_of(mail, struct rpc_stream, receive_mail));
}

/* --- Beginning and end */

static void headers_done(struct rpc_op *op, bool is_ok)
{
    struct rpc_stream *s = container_of(op, struct rpc_stream, headers_op);
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    if (is_ok && !s->is_server) {
        s->headers.next = sh->inbox.head;
        sh->inbox.head = &s->headers;
        if (!sh->inbox.tail)
            sh->inbox.tail = &s->headers;
    }
    sh->has_headers = true;
    if (sh->inbox.head)
        rpc_stream_post(s);
    rpc_stream_unlock(s);
    rpc_stream_unref(s);
}

static void status_done(struct rpc_op *op, bool is_ok)
{
    struct rpc_stream *s = container_of(op, struct rpc_stream, status_op);
    struct rpc_stream_shared *sh = rpc_stream_lock(s);
    sh->is_over = true;
    check_end(s);
    rpc_stream_unlock(s);
    rpc_stream_unref(s);
}

static void name_operations(struct rpc_stream *s)
{
    s->send_op.done = rpc_stream_send_done;
    s->receive_op.done = receive_done;
    s->headers_op.done = headers_done;
    s->status_op.done = status_done;
}

/* One reference for each operation has to be there before the first of them can complete. */
void rpc_stream_start_client(struct rpc_stream *s, grpc_metadata *metadata, unsigned n_metadata)
{
    name_operations(s);
    s->shared.is_receiving = true;
    for (int i = 0; i < 3; i++)
        rpc_stream_ref(s);

    grpc_op headers[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    headers[0].data.send_initial_metadata.metadata = metadata;
    headers[0].data.send_initial_metadata.count = n_metadata;
    headers[1].data.recv_initial_metadata.recv_initial_metadata = &s->metadata;
    rpc_op_start(&s->headers_op, s->call, headers, 2);

    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    status.data.recv_status_on_client.trailing_metadata = &s->trailing;
    status.data.recv_status_on_client.status = &s->status;
    status.data.recv_status_on_client.status_details = &s->status_text;
    rpc_op_start(&s->status_op, s->call, &status, 1);
    start_receive(s);
}

void rpc_stream_start_server(struct rpc_stream *s, grpc_metadata *metadata, unsigned n_metadata)
{
    name_operations(s);
    s->shared.is_receiving = true;
    s->shared.has_headers = true;
    for (int i = 0; i < 3; i++)
        rpc_stream_ref(s);

    grpc_op headers = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    headers.data.send_initial_metadata.metadata = metadata;
    headers.data.send_initial_metadata.count = n_metadata;
    rpc_op_start(&s->headers_op, s->call, &headers, 1);

    grpc_op status = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    status.data.recv_close_on_server.cancelled = &s->cancelled;
    rpc_op_start(&s->status_op, s->call, &status, 1);
    start_receive(s);
}
