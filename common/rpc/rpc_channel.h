/* The client's side of an HTTP/2 connection to one s-proxy. */
#ifndef RPC_CHANNEL_H
#define RPC_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

struct rpc_channel;
struct rpc_cq;

struct rpc_channel_params {
    const char *target;    /* "host:port", "[::1]:50516", "dns:///fleet:50516", "unix:/path" */
    uint32_t keepalive_ms; /* HTTP/2 ping period */
    uint32_t keepalive_timeout_ms;
};

/* Connects when the first stream is opened, and again (100 ms .. 5 s back-off) whenever it is lost and wanted.
 * One TCP connection per channel, never shared. 0 or negative errno. */
int rpc_channel_open(struct rpc_cq *cq, const struct rpc_channel_params *params, struct rpc_channel **ret_channel);
/* Streams still open keep it alive in libgrpc until they have ended. NULL is fine. */
struct rpc_channel *rpc_channel_close(struct rpc_channel *ch);
/* Begin connecting now, without a stream. */
void rpc_channel_connect(struct rpc_channel *ch);
/* "[::1]:50516", as given. */
const char *rpc_channel_target(const struct rpc_channel *ch);

#endif
