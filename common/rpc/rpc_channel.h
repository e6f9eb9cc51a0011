/* The client's side of an HTTP/2 connection to one address of an s-proxy. Names are the caller's business: a channel on
 * a name would pick one of its addresses for all. */
#ifndef RPC_CHANNEL_H
#define RPC_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

struct mailbox;
struct rpc_channel;
struct rpc_cq;
struct rpc_tls;
struct rpc_tokens;

struct rpc_channel_params {
    const char *target;    /* "ipv4:10.0.0.8:50516", "ipv6:[::1]:50516", "unix:///path" */
    const char *authority; /* what the other side is called: "fleet.example:50516"; NULL: as the target says */
    uint32_t keepalive_ms; /* HTTP/2 ping period */
    uint32_t keepalive_timeout_ms;
    struct rpc_tls *tls;       /* NULL: in clear text. Else AUTHORITY is what its certificate must name, and SNI */
    struct rpc_tokens *tokens; /* shown with each stream; NULL: none. Outlives the channel */
    const char *connect_to;  /* TARGET is an HTTP proxy, and is asked (CONNECT) for this, "HOST:PORT"; NULL: no proxy */
    const char *proxy_login; /* for the proxy: "user:password", Basic; NULL: none */
};

/* Connects when the first stream is opened. One TCP connection per channel, never shared. A connection that is lost is
 * made again for the next stream; an attempt that failed is repeated (100 ms .. 5 s back-off) while the channel is
 * there, so who has a back-off of his own takes a new channel for each attempt. 0 or negative errno. */
int rpc_channel_open(struct rpc_cq *cq, const struct rpc_channel_params *params, struct rpc_channel **ret_channel);
/* Streams still open go on, on their connection, until they end. NULL is fine. */
struct rpc_channel *rpc_channel_close(struct rpc_channel *ch);
/* Begin connecting now, without a stream. */
void rpc_channel_connect(struct rpc_channel *ch);

/* IS_UP: there is a connection; else it could not be made, is lost, or takes no more streams (GOAWAY): the last call.
 * Runs on the loop of the mailbox and may close CH. */
typedef void rpc_channel_watch_fn(struct rpc_channel *ch, bool is_up, void *arg);
/* Once per channel. Does not connect by itself. 0 or negative errno. */
int rpc_channel_watch(struct rpc_channel *ch, struct mailbox *mailbox, rpc_channel_watch_fn *fn, void *arg);

/* As given; behind an HTTP proxy "fleet.example:50516 through ipv4:10.0.0.1:3128". */
const char *rpc_channel_target(const struct rpc_channel *ch);

#endif
