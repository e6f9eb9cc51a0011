/* What may stand between a conn and its socket. Private to net.
 *
 *   conn <--> [WebSocket] <--> [TLS] <--> socket            each layer owns the one below it
 *
 * A layer begins with a handshake of its own (open), then carries the user's bytes (read, write), and ends by telling
 * the peer so (finish). It never blocks and never calls back, but for the one call that a handshake may wait for
 * (drive). Whatever it has to say goes out through
 * conn_layer_send(), which always takes it: what the layer below has no room for waits in `pending`, and whoever drives
 * the layers, a conn or a dial, flushes it when the socket is writable. So a layer waits for nothing but input: its
 * read may write and its write never has to read. A layer that fails (fail it with conn_layer_fail()) is not called any
 * more; what it has sent before, an alert, still goes out.
 *
 * The layers of a conn are one object that travels with its descriptor, also to another thread (conn_parcel). */
#ifndef CONN_LAYER_H
#define CONN_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "bufq.h"

struct conn_layer;
struct conn_peer;
struct loop;

/* A handshake that waited for something else than the peer can go on: conn_layer_open(). Never from inside a call. */
typedef void conn_layer_wake_fn(void *arg);

struct conn_layer_ops {
    /* Goes on with the handshake; the layer below is open. 0 once it is done; -EAGAIN: more must come; -EINPROGRESS: it
     * waits for something that is no input, `wake` tells when that is over; another negative errno: it is dead. */
    int (*open)(struct conn_layer *l);
    /* From now on WAKE(ARG) is to be told, on LOOP; LOOP NULL: nobody is, what it waits for is given up, and
     * conn_layer_open() begins with it anew. NULL: this layer never waits in that way. */
    void (*drive)(struct conn_layer *l, struct loop *loop, conn_layer_wake_fn *wake, void *arg);
    /* Once, when all layers are open: what the handshake has told of the peer. May be NULL. */
    void (*tell)(struct conn_layer *l, struct conn_peer *peer);
    /* As many bytes as there are, up to N > 0: less than N says that nothing more comes before the socket is readable
     * again (unless is_input_left), or that the end is known (has_ended, error) and comes with the next call. 0 at the
     * orderly end; -EAGAIN; another negative errno: it is dead. Only when open. */
    ssize_t (*read)(struct conn_layer *l, void *dst, size_t n);
    /* Returns how many bytes were taken, at least one; another call may take more. Negative errno: it is dead. Only
     * when open and with nothing pending. */
    ssize_t (*write)(struct conn_layer *l, const struct iovec *iov, int n);
    /* No more will be written: send what tells the peer. Only when open, once. */
    void (*finish)(struct conn_layer *l);
    /* Frees L and nothing below it. */
    void (*free)(struct conn_layer *l);
};

/* The beginning of each layer's struct. */
struct conn_layer {
    const struct conn_layer_ops *ops;
    struct conn_layer *below; /* NULL: the socket */
    struct bufq pending;      /* sent by the layer, not yet taken by the one below */
    char *text;               /* why it failed; NULL: the errno says it */
    int fd;                   /* the socket below all layers */
    int error;                /* negative errno with which it failed; 0 */
    bool is_open;
    bool is_waiting; /* the last open() has said -EINPROGRESS */
    bool is_finished;
    bool is_input_left; /* of the top: read() has stopped although there may be more, others have their turn */
    bool has_ended;     /* what is to be read ends in order, whether or not the socket's input does */
};

/* --- For whoever drives them: L is the top. */

/* Put LAYER on top of *TOP (NULL: the socket FD). */
void conn_layer_push(struct conn_layer **top, int fd, struct conn_layer *layer);
/* All of them. NULL is fine. Returns NULL. */
struct conn_layer *conn_layer_free(struct conn_layer *l);
/* Who drives them from now on, on LOOP; LOOP NULL: nobody, and none of them knows of a loop any more. L NULL is fine.
 */
void conn_layer_drive(struct conn_layer *l, struct loop *loop, conn_layer_wake_fn *wake, void *arg);
/* The handshakes, from the bottom up. A conn calls it first when bytes have come, so the side that speaks first is to
 * call it itself (a dial does). 0 when all are done; -EAGAIN: call again when the socket is readable; -EINPROGRESS:
 * call again when woken, and not before; another negative errno. */
int conn_layer_open(struct conn_layer *l);
/* After that, once: what they know of the peer goes to *PEER, from the bottom up. */
void conn_layer_tell(struct conn_layer *l, struct conn_peer *peer);
/* As the ops; a layer that is not open has nothing yet (-EAGAIN), and one with bytes pending takes nothing (-EAGAIN).
 */
ssize_t conn_layer_read(struct conn_layer *l, void *dst, size_t n);
ssize_t conn_layer_write(struct conn_layer *l, const struct iovec *iov, int n);
/* Write what is pending. 0; -EAGAIN: call again when the socket is writable; another negative errno. */
int conn_layer_flush(struct conn_layer *l);
/* From the top down to FIN; results as of flush. */
int conn_layer_finish(struct conn_layer *l);
/* Bytes pending in all of them. */
size_t conn_layer_pending_bytes(const struct conn_layer *l);
/* Whether read() will tell of the end without the socket being readable. */
bool conn_layer_has_ended(const struct conn_layer *l);
/* The error with which one of them has failed; 0: none has, the socket may have. */
int conn_layer_error(const struct conn_layer *l);
/* What that error was, in words; NULL. */
const char *conn_layer_text(const struct conn_layer *l);

/* --- For the layers themselves */

/* The layer below, or the socket. A write that takes nothing is -EAGAIN. */
ssize_t conn_layer_read_below(struct conn_layer *l, void *dst, size_t n);
/* Bytes made by L towards the peer, behind those that are pending. 0 or negative errno. */
int conn_layer_send(struct conn_layer *l, const void *bytes, size_t n);
/* L has failed: FMT says what happened, for on_end. Returns ERR. */
int conn_layer_fail(struct conn_layer *l, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* --- conn_tcp.c: the socket. Results as of the ops. */
ssize_t conn_tcp_read(int fd, void *dst, size_t n);
ssize_t conn_tcp_write(int fd, const struct iovec *iov, int n);
void conn_tcp_finish(int fd);

#endif
