/* One bidirectional stream, the same for both sides, seen from the loop that owns it.
 *
 *   loop thread                                   | the thread that polls (rpc_cq.h), often the same
 *   rpc_stream_send() --> [ queue under a mutex ] --> one SEND_MESSAGE at a time; the buffer hint if more is queued
 *   on_message()      <-- [ mailbox ] <------------ RECV_MESSAGE, re-armed at once unless paused or too much is unread
 *
 * Life: open/accept -> callbacks -> on_end (exactly once, always the last) -> rpc_stream_free(). rpc_stream_free()
 * before on_end cancels; no callback runs after it. Callbacks run on the loop's thread through its mailbox, never from
 * inside a call of the user, and may call any function here, rpc_stream_free() included. Source of the rules obeyed
 * underneath: grpc_types.h of gRPC core 1.51. */
#ifndef RPC_STREAM_H
#define RPC_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate.h"

struct mailbox;
struct rpc_channel;
struct rpc_stream;

/* gRPC status codes; values are those of the protocol. */
enum rpc_status {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_UNAUTHENTICATED = 16,
};
/* "UNAVAILABLE". */
const char *rpc_status_name(int status);

struct rpc_stream_cbs {
    /* The peer's initial metadata is known (client side; the server has it from the start), or it has refused the
     * stream and on_end follows. First of all callbacks but on_drain; does not come when there was no connection. May
     * be NULL. */
    void (*on_headers)(struct rpc_stream *s, void *arg);
    /* One message, valid during the call (or until gate_continue() when it is held with rpc_stream_hold()). */
    enum gate_answer (*on_message)(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg);
    /* The send queue has fallen to the low mark, as asked for with rpc_stream_wait_drain(). May be NULL if it is never
     * asked for. */
    void (*on_drain)(struct rpc_stream *s, void *arg);
    /* The peer will send nothing more (client half-closed, or server sent its status): all messages have been
     * delivered. Server side only; the client learns it through on_end. May be NULL. */
    void (*on_half_close)(struct rpc_stream *s, void *arg);
    /* The stream is over. Client: the server's status. Server: RPC_OK when the status we sent has gone out,
     * RPC_CANCELLED when the client or the connection was lost. Messages that came before are delivered before. */
    void (*on_end)(struct rpc_stream *s, int status, const char *text, void *arg);
};

struct rpc_metadata {
    const char *key;   /* lower case ASCII */
    const char *value; /* printable ASCII only: anything else ends the whole connection at the peer */
};

/* Client: open PATH on CH; the owner is the loop of MAILBOX. Fails at once with UNAVAILABLE (through on_end) when the
 * channel has just failed to connect; waits while it is connecting. METADATA is copied; CBS stays the caller's and
 * outlives the stream. 0 or negative errno. */
int rpc_stream_open(struct rpc_channel *ch, struct mailbox *mailbox, const char *path,
                    const struct rpc_metadata *metadata, unsigned n_metadata, const struct rpc_stream_cbs *cbs,
                    void *arg, struct rpc_stream **ret_stream);
/* Server: take the stream; response headers (with METADATA) leave at once. */
int rpc_stream_accept(struct rpc_stream *s, const struct rpc_metadata *metadata, unsigned n_metadata,
                      const struct rpc_stream_cbs *cbs, void *arg);

/* A value of the peer's initial metadata, NULL if absent. Client: from on_headers on. KEY is a literal. Valid as long
 * as the stream. */
const char *rpc_stream_metadata(const struct rpc_stream *s, const char *key);
/* "ipv4:10.0.0.8:50122". Valid as long as the stream. */
const char *rpc_stream_peer(const struct rpc_stream *s);
/* Whether FN says yes to one of the names in the peer's certificate: common name, and subject alternative names of each
 * kind. Without TLS, or without a certificate, there is none. Names are not checked for what bytes they hold. */
typedef bool rpc_name_fn(const char *name, size_t n, void *arg);
bool rpc_stream_any_name(const struct rpc_stream *s, rpc_name_fn *fn, void *arg);
/* Whether the peer is on this machine: 127.0.0.0/8 (also inside IPv6), ::1, a Unix socket. Not behind an HTTP proxy,
 * wherever that is. */
bool rpc_stream_is_loopback(const struct rpc_stream *s);
/* The same of the text of a peer. */
bool rpc_peer_is_loopback(const char *peer);
/* The mailbox of the loop that owns it. */
struct mailbox *rpc_stream_mailbox(const struct rpc_stream *s);

/* A message to fill: room for N bytes at rpc_message_bytes(). NULL if memory is short. */
struct rpc_message *rpc_message_new(size_t n);
uint8_t *rpc_message_bytes(struct rpc_message *m);
size_t rpc_message_length(const struct rpc_message *m);
/* Its final length, at most what was asked for. */
void rpc_message_set_length(struct rpc_message *m, size_t n);
struct rpc_message *rpc_message_free(struct rpc_message *m);
/* Queue M behind all others. Takes it in any case. After half-close, finish or end it is dropped with the stream. */
void rpc_stream_send(struct rpc_stream *s, struct rpc_message *m);
/* Bytes queued or in flight, i.e. not yet taken by HTTP/2 flow control. */
size_t rpc_stream_queued_bytes(const struct rpc_stream *s);
/* For calls of rpc_stream_wait_drain() that follow. 0: when HTTP/2 has taken everything. */
void rpc_stream_set_low_mark(struct rpc_stream *s, size_t bytes);
/* True: on_drain comes, once, when the queue has fallen to the low mark; or the stream is over, and on_end has come or
 * follows. False: it has fallen already, and no on_drain comes, not for an earlier call either. Whoever does not ask
 * is not told: under light load a message costs no mail to the loop. */
bool rpc_stream_wait_drain(struct rpc_stream *s);

/* Stop taking messages (the ones received wait), and go on. HTTP/2 flow control then stops the peer. */
void rpc_stream_pause(struct rpc_stream *s);
void rpc_stream_resume(struct rpc_stream *s);
/* The message now in on_message waits (gate.h). */
struct gate_wait *rpc_stream_hold(struct rpc_stream *s);

/* Client: nothing more will be sent; what is queued goes first. */
void rpc_stream_half_close(struct rpc_stream *s);
/* Server: end with STATUS and TEXT after what is queued. TEXT is copied, cut to what fits a header, and made printable
 * ASCII. A stream that was not accepted is refused; only rpc_stream_free() may follow. */
void rpc_stream_finish(struct rpc_stream *s, int status, const char *text);
/* End now; on_end follows. STATUS is what our side reports; the peer sees it from a server, CANCELLED from a client. */
void rpc_stream_cancel(struct rpc_stream *s, int status, const char *text);
/* No callback any more; cancels what is still going on. NULL is fine. */
struct rpc_stream *rpc_stream_free(struct rpc_stream *s);

#endif
