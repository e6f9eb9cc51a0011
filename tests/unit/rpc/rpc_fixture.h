/* A loop with a gRPC server and a channel to it, and recording ends of streams, for the tests of rpc and of what stands
 * on it.
 *
 * Nothing waits for time: every event of an end stops the loop, so that RIG_RUN_UNTIL() looks at its condition again.
 */
#ifndef RPC_FIXTURE_H
#define RPC_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate.h"
#include "loop.h"
#include "mailbox.h"
#include "rpc_channel.h"
#include "rpc_cq.h"
#include "rpc_server.h"
#include "rpc_stream.h"

/* The name of an environment variable: if it is there a thread polls for libgrpc, else the rig's loop does. */
#define RIG_THREAD "TEST_RPC_THREAD"
#define RIG_PATH   "/test.Service/Talk"

enum { RIG_MAX_MESSAGE = 1024 * 1024, RIG_MAX_METADATA = 16 * 1024 };

struct end;
struct rpc_tls;

enum end_event { END_HEADERS, END_MESSAGE, END_DRAIN, END_HALF_CLOSE, END_END };

/* One side of a stream and what has happened to it. */
struct end {
    struct rig *rig;
    struct rpc_stream *stream; /* NULL when freed */
    unsigned n_headers, n_messages, n_drains, n_half_closes, n_ends;
    size_t n_bytes;
    int status;
    char text[600];
    uint32_t next_number; /* the messages are numbered: see end_send_numbers() */
    unsigned n_wrong;
    struct gate_wait *wait; /* a held message */

    /* What a test wants to happen beyond recording; may be NULL. Runs last, may free the stream. */
    void (*on_event)(struct end *e, enum end_event event, const uint8_t *bytes, size_t n);
    void *arg;
    bool holds_next; /* hold the next message */
};

struct rig {
    struct loop *loop;
    struct mailbox *mailbox;
    struct rpc_cq *cq;
    struct rpc_server *server;
    struct rpc_channel *channel;
    const char *path;
    char target[64];
    struct loop_timer guard;
    atomic_bool refuses_arrivals;                                 /* pick() answers NULL */
    void (*on_arrival)(struct rig *r, struct rpc_stream *stream); /* NULL: accept into the next of ENDS */
    struct end *ends;                                             /* servers' ends, in order of arrival */
    unsigned n_ends, n_arrived;
};

/* CHANNEL goes to SERVER. The server's ends are made by the rig. */
void rig_init(struct rig *r, unsigned n_ends);
/* The same with a server that speaks TLS, and without CHANNEL: the test has its own ones. */
void rig_init_tls(struct rig *r, struct rpc_tls *tls, unsigned n_ends);
/* As rig_init(), for another method. */
void rig_init_at(struct rig *r, const char *path, uint32_t max_message_bytes, unsigned n_ends);
void rig_deinit(struct rig *r);
/* One wait for events. Fails the test when nothing happens for long. */
void rig_turn(struct rig *r);
#define RIG_RUN_UNTIL(rig, condition) \
    while (!(condition))              \
    rig_turn(rig)

extern const struct rpc_stream_cbs end_cbs;
/* A client's end, its stream opened. */
void end_open(struct end *e, struct rig *r);
/* The same over another channel. */
void end_open_at(struct end *e, struct rig *r, struct rpc_channel *channel);
void end_free(struct end *e);
/* N bytes of KIND of content that says its number. N >= 4. */
void end_send(struct end *e, uint32_t number, size_t n);

#endif
