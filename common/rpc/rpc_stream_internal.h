/* What the files of rpc know of a stream. rpc_stream.c: life and the loop's side; rpc_stream_send.c and
 * rpc_stream_receive.c: what goes through the completion queue. */
#ifndef RPC_STREAM_INTERNAL_H
#define RPC_STREAM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "loop.h"
#include "mailbox.h"
#include "rpc_metadata.h"
#include "rpc_op.h"
#include "rpc_stream.h"

/* What stands in a queue: messages to be sent, and what the loop is to be told. The kinds other than MESSAGE sit in the
 * stream, each comes once. */
enum rpc_item_kind {
    RPC_ITEM_MESSAGE,
    RPC_ITEM_HEADERS,
    RPC_ITEM_HALF_CLOSE,
    RPC_ITEM_END,
};

struct rpc_item {
    struct rpc_item *next;
    enum rpc_item_kind kind;
};

struct rpc_queue {
    struct rpc_item *head, *tail;
};

struct rpc_message {
    struct rpc_item item;
    grpc_slice slice;         /* its bytes in one run */
    grpc_byte_buffer *buffer; /* received, not yet in one run: ours to destroy; else NULL */
};

/* How far the queue of messages may go on, seen from whoever adds to it or takes from it. */
enum rpc_send_end {
    RPC_SEND_OPEN,
    RPC_SEND_CLOSE_WANTED, /* half-close or status follows behind the last message */
    RPC_SEND_CLOSE_STARTED,
    RPC_SEND_BROKEN, /* nothing leaves any more: lost, cancelled or freed */
};

/* References: the owner on the loop; each operation in flight; the mail while posted. Who drops the last one frees it,
 * on whatever thread. */
struct rpc_stream {
    /* Never changed once the first operation has started. */
    grpc_call *call; /* NULL once refused */
    struct mailbox *mailbox;
    bool is_server;
    bool is_proxied; /* client: behind an HTTP proxy */
    atomic_uint refs;

    struct {
        const struct rpc_stream_cbs *cbs;
        void *arg;
        struct gate gate;
        struct rpc_queue inbox;      /* taken out of shared.inbox, not yet passed on */
        struct rpc_message *message; /* the one now in on_message, or held */
        size_t passed_bytes;         /* passed on since shared.unread_bytes was last corrected */
        struct rpc_metadata_text *texts;
        char *peer;
        int cancel_status; /* of rpc_stream_cancel(); RPC_OK: not called */
        char *cancel_text;
        bool is_peer_known; /* its metadata is there */
        bool is_paused;
        bool is_freed; /* no callback any more */
    } loop;

    struct mail mail;
    struct mail send_mail, receive_mail; /* to the thread that polls: start the operation there */
    struct loop_task again;              /* on the loop that polls, between two receives */
    bool is_again_new;
    struct rpc_item headers, half_close, end;

    /* Of the operation of that name, between its start and its end. */
    struct rpc_op send_op, receive_op, headers_op, status_op;
    size_t sending_bytes;
    size_t hinted_bytes; /* sent with the buffer hint since the last message without it */
    grpc_byte_buffer *received;
    grpc_metadata_array metadata; /* the peer's initial metadata */
    grpc_metadata_array trailing;
    grpc_status_code status; /* client */
    grpc_slice status_text;  /* client */
    int cancelled;           /* server: RECV_CLOSE_ON_SERVER's answer */

    atomic_size_t queued_bytes; /* written under the mutex, read by the loop */

    /* Both threads, under the mutex. Nothing but mailbox_post() is called with it held. */
    struct rpc_stream_shared {
        pthread_mutex_t mutex;
        struct rpc_queue outbox;
        size_t low_mark;
        enum rpc_send_end send_end;
        bool is_sending; /* an operation is in flight: only its completion may start the next */
        bool is_drain_wanted;
        bool is_drain_due;
        int finish_status; /* server: set together with CLOSE_WANTED, never changed after it */
        char *finish_text;

        struct rpc_queue inbox;
        size_t unread_bytes; /* messages received that on_message has not seen yet */
        bool is_receiving;
        bool is_paused;
        bool has_headers; /* client: what comes before is kept back, so that on_headers is first */
        bool is_eos;      /* no message follows */
        bool is_over;     /* the status is known */
        bool is_end_queued;
        bool is_posted;
        bool is_freed;
    } shared;
};

void rpc_stream_ref(struct rpc_stream *s);
void rpc_stream_unref(struct rpc_stream *s);

/* Server, on the thread that polls: a stream of CALL, with the METADATA of its request (moved). NULL if memory is
 * short; CALL and METADATA are the caller's then. */
struct rpc_stream *rpc_stream_incoming(grpc_call *call, grpc_metadata_array *metadata, struct mailbox *mailbox);

static inline struct rpc_stream_shared *rpc_stream_lock(struct rpc_stream *s)
{
    pthread_mutex_lock(&s->shared.mutex);
    return &s->shared;
}

static inline void rpc_stream_unlock(struct rpc_stream *s)
{
    pthread_mutex_unlock(&s->shared.mutex);
}

/* --- rpc_stream_send.c */

rpc_op_fn rpc_stream_send_done;
mail_fn rpc_stream_send_here, rpc_stream_receive_here;
/* Server: end with STATUS behind what is queued. Takes TEXT (NULL: none). */
void rpc_stream_send_status(struct rpc_stream *s, int status, char *text);
/* Under the mutex: everything not yet started is given up. The caller clears the result without the mutex. */
struct rpc_queue rpc_stream_break_send(struct rpc_stream *s);

/* --- rpc_stream_receive.c */

/* Start the operations of a new stream, as client and as server. METADATA stays the caller's. */
void rpc_stream_start_client(struct rpc_stream *s, grpc_metadata *metadata, unsigned n_metadata);
void rpc_stream_start_server(struct rpc_stream *s, grpc_metadata *metadata, unsigned n_metadata);
/* BYTES have been passed on: receive again if that was waited for. */
void rpc_stream_read_on(struct rpc_stream *s, size_t bytes);
/* Under the mutex: see to it that the loop looks at the stream. */
void rpc_stream_post(struct rpc_stream *s);

/* --- rpc_message.c */

void rpc_queue_push(struct rpc_queue *q, struct rpc_item *item);
/* NULL if empty. */
struct rpc_item *rpc_queue_pop(struct rpc_queue *q);
/* Everything in FROM behind what is in TO. */
void rpc_queue_splice(struct rpc_queue *to, struct rpc_queue *from);
/* Frees the messages in it. */
void rpc_queue_clear(struct rpc_queue *q);
/* A received message. Takes BUFFER. Never NULL: out of memory aborts, as in libgrpc itself. */
struct rpc_message *rpc_message_of(grpc_byte_buffer *buffer);
/* Bring a received message into one run. */
void rpc_message_flatten(struct rpc_message *m);

static inline struct rpc_message *rpc_item_message(struct rpc_item *item)
{
    return (struct rpc_message *)item;
}

/* --- Of channel and server. */

grpc_call *rpc_channel_call(struct rpc_channel *ch, const char *path);
/* NULL: none are shown. */
struct rpc_tokens *rpc_channel_tokens(const struct rpc_channel *ch);
bool rpc_channel_is_proxied(const struct rpc_channel *ch);

static inline grpc_arg rpc_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

#endif
