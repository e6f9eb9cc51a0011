/* A gRPC server: ports, registered stream methods, new streams handed to loops. */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include <stdint.h>

#include "rpc_stream.h"

struct mailbox;
struct rpc_cq;
struct rpc_server;
struct rpc_tls;

struct rpc_server_params {
    const char *const *listen; /* "[::]:50516", "127.0.0.1:0", ...; N_LISTEN of them */
    unsigned n_listen;
    uint32_t keepalive_ms;
    uint32_t keepalive_timeout_ms;
    uint32_t min_ping_interval_ms; /* a client that pings oftener than this is sent away */
    uint32_t max_message_bytes;    /* larger messages end their stream with RESOURCE_EXHAUSTED */
    uint32_t max_metadata_bytes;   /* as HTTP/2 counts them, 32 more for each line; more is RESOURCE_EXHAUSTED */
    uint32_t max_streams_per_connection;
    uint64_t max_unread_bytes; /* that libgrpc holds of what has come and nobody has read; see make_quota() */
    struct rpc_tls *tls;       /* a server's; NULL: in clear text */
};

/* A method served as bidirectional stream. */
struct rpc_server_method {
    const char *path; /* "/mqtt.MqttRelayService/StreamMqttMessages" */
    /* A new stream: choose the mailbox of the loop that will own it. On the thread that polls, must not block;
     * NULL refuses it with UNAVAILABLE. */
    struct mailbox *(*pick)(void *arg);
    /* The stream is on its loop (loop thread): call rpc_stream_accept() now, or refuse it with rpc_stream_finish() and
     * rpc_stream_free(). */
    void (*on_stream)(struct rpc_stream *stream, void *arg);
    void *arg;
};

/* Binds and serves. 0 or negative errno with err_text() naming the address. Port 0 picks one: rpc_server_port(). */
int rpc_server_open(struct rpc_cq *cq, const struct rpc_server_params *params, const struct rpc_server_method *methods,
                    unsigned n_methods, struct rpc_server **ret_server);
/* The port really bound for params->listen[INDEX]. */
uint16_t rpc_server_port(const struct rpc_server *s, unsigned index);
/* Stop accepting connections and streams (GOAWAY); streams that exist go on. Any thread. */
void rpc_server_drain(struct rpc_server *s);
/* Cancel streams that are left, wait until libgrpc has let go, free. Blocking (milliseconds). Any thread.
 * All streams' owners must have freed them or be able to on their loops. NULL is fine. */
struct rpc_server *rpc_server_close(struct rpc_server *s);

#endif
