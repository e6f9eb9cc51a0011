/* A byte stream on the loop: read, write queue, pause, detach, attach, close. TCP and Unix sockets, with layers on them
 * (TLS, WebSocket: conn_layer.h) that the user does not see: their handshakes go on by themselves, paused or not, and
 * what is written meanwhile waits.
 *
 *   socket --> input (kept only while something is unread) --> on_input(cursor)      the user takes what it can
 *   conn_write*() --> output queue --(end of the turn, or writable)--> socket        one write per turn
 *
 * Input: on_input gets everything unread as one contiguous range and advances the cursor over what it has used; the
 * rest is kept and comes again, with more behind it, when more has arrived or after conn_continue(). An idle conn holds
 * no buffers. Memory grows with bytes that have arrived, never with lengths that a peer claims. Output: unbounded here
 * by design; the user asks conn_queued_bytes() and stops its source above its own high mark. on_drain tells when the
 * queue has fallen to the low mark given with conn_set_low_mark(). End: on_end runs at most once, when the peer has
 * closed or the stream has failed, after all that had arrived was offered; it never runs from inside a call of the
 * user. What the user has left unread then can still be had with conn_continue(); what is written is dropped if the
 * stream has failed. The user calls conn_close(). No callback runs after conn_close().
 *
 * All functions: on the loop's thread. Callbacks may call any function, conn_close() included. */
#ifndef CONN_H
#define CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "buf.h"
#include "cursor.h"

struct loop;
struct conn;
struct conn_facts;
struct conn_layer;

enum conn_end {
    CONN_END_EOF,   /* the peer has closed its side in order */
    CONN_END_ERROR, /* reset, timed out, TLS failure ...: the text says which, with certificate and reason */
};

/* Must outlive the conn. */
struct conn_cbs {
    /* Bytes have come. Use what you can; leave the cursor at the first byte not used. */
    void (*on_input)(struct conn *c, struct cursor *input, void *arg);
    /* Bytes have come that wait for conn_expect(): for byte budgets. May be NULL. */
    void (*on_progress)(struct conn *c, void *arg);
    /* The output queue has fallen to the low mark or below after having been above it. May be NULL. */
    void (*on_drain)(struct conn *c, void *arg);
    /* See above. TEXT is valid during the call. */
    void (*on_end)(struct conn *c, enum conn_end why, const char *text, void *arg);
};

/* IPv4 or IPv6. A sockaddr_storage would be 100 bytes more, twice per conn. */
union conn_address {
    struct sockaddr any; /* any.sa_family 0 where unknown, AF_UNIX without a path */
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* What is known of the peer; travels with detach/attach. Behind a proxy that is believed (listener.h) it is the client,
 * and LOCAL the address that the client connected to. */
struct conn_peer {
    union conn_address address;
    union conn_address local;
    char text[64];            /* "10.0.0.8:50122", "[::1]:1883", "unix:pid 17" */
    struct conn_facts *facts; /* NULL: nothing more; owned by the parcel or the conn (conn_facts.h) */
};

/* A conn taken off its loop, so that it can cross to another loop; without layers it is plain data and could cross to
 * another process too. */
struct conn_parcel {
    int fd; /* owned by the parcel */
    struct conn_peer peer;
    struct conn_layer *layer; /* on top of the socket, open or not yet; NULL = none; owned */
    struct buf *unread;       /* bytes received and not used; NULL = none; owned */
    struct buf *unsent;       /* bytes queued and not written; NULL = none; owned */
    uint64_t accepted_ms;     /* loop_now_ms() of whoever accepted it, before any handshake; 0: nobody did */
    bool peer_has_closed;     /* EOF was seen behind the unread bytes */
};

/* A conn on LOOP from PARCEL, whose contents it takes over, on success and on failure. 0 or negative errno.
 * Unread bytes are offered from the next turn on. */
int conn_attach(struct loop *loop, struct conn_parcel *parcel, const struct conn_cbs *cbs, void *arg,
                struct conn **ret_conn);
/* Takes C apart into *RET_PARCEL; C is gone afterwards and no callback runs any more. Not from inside on_input. */
void conn_detach(struct conn *c, struct conn_parcel *ret_parcel);
/* Close what a parcel holds. */
void conn_parcel_close(struct conn_parcel *parcel);

/* Change who is called, e.g. when a session takes over from whoever waited for CONNECT. */
void conn_set_cbs(struct conn *c, const struct conn_cbs *cbs, void *arg);
const struct conn_peer *conn_peer(const struct conn *c);
struct loop *conn_loop(const struct conn *c);

/* While paused nothing is read or offered, but the loss of the connection is still noticed (on_end with CONN_END_ERROR
 * for a reset, with what had arrived before among the unread bytes; an orderly close waits behind them). A new conn is
 * not paused. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);
bool conn_is_paused(const struct conn *c);
/* Offer unread bytes again in this turn although nothing new has come (after a packet has waited). */
void conn_continue(struct conn *c);
/* Bytes received and not used, for budgets; inside on_input what is left behind the cursor. */
size_t conn_unread_bytes(const struct conn *c);
/* The user needs N unread bytes before on_input makes sense again (a packet of known length): offers wait until then
 * (or until the stream has ended), and the buffer grows towards N as bytes arrive. One-shot: satisfied or replaced by
 * the next call. */
void conn_expect(struct conn *c, size_t n);

/* Where to encode N more output bytes in place; conn_commit() queues the first USED of them. NULL if memory is short.
 */
uint8_t *conn_reserve(struct conn *c, size_t n);
void conn_commit(struct conn *c, size_t used);
/* Copy N bytes to the output queue. 0 or -ENOMEM (nothing queued then). */
int conn_write(struct conn *c, const void *bytes, size_t n);
/* Queue BUF from OFFSET on without copying. Takes the caller's reference whether it succeeds or not. */
int conn_write_buf(struct conn *c, struct buf *buf, size_t offset);
/* What waits for the socket, in the queue and, encrypted or framed already, behind it. */
size_t conn_queued_bytes(const struct conn *c);
void conn_set_low_mark(struct conn *c, size_t bytes);
/* Bytes handed to the socket since the beginning: what credit is returned from. */
uint64_t conn_written_bytes(const struct conn *c);

/* Writes what is queued now, without waiting for the end of the turn. */
void conn_flush(struct conn *c);
/* Close: what is queued is written first if WITHIN_MS > 0 (then the layers' farewells and FIN; input is discarded
 * meanwhile, the socket is closed when the peer closes or the time is over); 0 = at once, output dropped; a socket with
 * unread input then sends RST. C must not be used afterwards. NULL is fine. */
struct conn *conn_close(struct conn *c, uint32_t within_ms);

#endif
