/* The inside of a conn, for the files conn*.c only.
 *
 *   conn.c         life, events, the task at the end of the turn, the end
 *   conn_input.c   socket -> scratch or own buffer -> on_input
 *   conn_output.c  queue -> socket, low mark
 *   conn_linger.c  after conn_close(): write the rest, FIN, wait for the peer's
 *   conn_tcp.c     bytes in and out of the socket
 *   conn_layer.c   what may stand between: TLS, WebSocket */
#ifndef CONN_INTERNAL_H
#define CONN_INTERNAL_H

#include <uv.h>

#include "bufq.h"
#include "conn.h"
#include "conn_layer.h"
#include "loop.h"

struct net_loop;

enum { CONN_READ_BYTES_PER_TURN = 128 * 1024 }; /* then others have their turn; poll comes back at once */

struct conn_linger;

struct conn {
    uv_poll_t poll;
    struct loop_task task;    /* deferred while there is something to do at the end of the turn */
    struct conn_layer *layer; /* the top one; NULL: only the socket */
    const struct conn_cbs *cbs;
    void *arg;
    struct net_loop *net;       /* one reference */
    struct conn_linger *linger; /* NULL until conn_close() with time left */
    struct buf *unread;         /* NULL when there is nothing unread */
    const struct cursor *offer; /* what on_input has not used yet; NULL unless it is on the stack */
    size_t expect_bytes;        /* no offer below so many unread bytes */
    struct bufq out;
    size_t low_mark_bytes;
    uint64_t written_bytes;
    int fd;
    int error;          /* negative errno that ended the stream; 0 = none, or EOF */
    uint8_t watched;    /* the events that poll is set to */
    bool is_closed : 1; /* conn_close() or conn_detach(): no callback any more, memory goes with the turn */
    bool is_paused : 1;
    bool is_offer_due : 1;
    bool is_read_done : 1;  /* nothing more will come from the socket */
    bool is_input_left : 1; /* the layers may hold bytes that poll does not know of */
    bool is_hung_up : 1;    /* poll reports HUP, which cannot be masked: not watched while paused */
    bool is_end_reported : 1;
    bool is_write_blocked : 1; /* until poll says writable */
    bool is_above_mark : 1;    /* the queue has been above the low mark since the last on_drain */
    bool is_drain_due : 1;
    struct conn_peer peer;
};

/* conn.c */
/* Have the task run at the end of this turn. */
void conn_schedule(struct conn *c);
/* The stream is dead for ERR (negative errno). What has arrived before is still offered. */
void conn_fail(struct conn *c, int err);
/* Close the socket; C is freed at the end of the turn. */
void conn_destroy(struct conn *c);
/* Set poll to what C waits for now. */
void conn_watch(struct conn *c);

/* Whether the layers' handshakes are still going on: nothing is read or written meanwhile. */
bool conn_is_opening(const struct conn *c);
/* Whether they wait for something that is no input, so that the socket is left alone as if C were paused. */
bool conn_is_waiting(const struct conn *c);

/* conn_input.c */
/* Read and offer, bounded. True if the socket has nothing more at present. */
bool conn_input_read(struct conn *c);
/* Offer what is unread, if the user still wants that. */
void conn_input_offer(struct conn *c);
/* After the stream has died, while paused: take what had arrived into memory, so that it is not lost with the socket.
 */
void conn_input_take_rest(struct conn *c);

/* The layers' handshakes go on, paused or not. */
void conn_input_open(struct conn *c);

/* conn_output.c */
/* Write what the socket takes. */
void conn_output_write(struct conn *c);

/* conn_linger.c */
/* 0, or a negative errno: C is as before. */
int conn_linger_start(struct conn *c, uint32_t within_ms);
/* Something has happened on the socket, or the turn ends. */
void conn_linger_step(struct conn *c);
void conn_linger_free(struct conn *c);

#endif
