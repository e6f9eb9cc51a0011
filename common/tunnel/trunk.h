/* The trunk service (proto/mqtt_trunk.proto): many lanes in one gRPC stream.
 *
 *   lanes --lane_send()--> trunk_batch [ 16,000 bytes, or the end of the turn ] --> rpc_stream ==> peer
 *   lanes <--lane_inbox--- trunk_receive <-- message <-- rpc_stream
 *
 * A trunk and its lanes belong to one loop. Life of a trunk: open/accept -> on_ready (the peer's hello has come) ->
 * lanes -> on_end (once, last, when all lanes have had their on_end) -> trunk_free(). */
#ifndef TRUNK_H
#define TRUNK_H

#include "lane.h"
#include "metrics.h"
#include "trunk_frame.h"

struct loop;
struct mailbox;
struct rpc_channel;
struct rpc_stream;
struct trunk;

#define TRUNK_PATH "/mqtt.MqttTrunkService/Trunk"

enum { TRUNK_ID_TEXT = 33 }; /* 32 hex digits and NUL */

/* Counters of all trunks of a worker. */
#define TRUNK_METRICS(X)                                                                                \
    X(trunks_open, GAUGE, "trunks now")                                                                 \
    X(trunks_opened, COUNTER, "trunks that have come up")                                               \
    X(trunks_failed, COUNTER, "trunks ended by a fault of the peer")                                    \
    X(trunks_dead, COUNTER, "trunks given up because the peer was silent")                              \
    X(lanes_open, GAUGE, "lanes now")                                                                   \
    X(lanes_opened, COUNTER, "lanes opened")                                                            \
    X(lanes_failed, COUNTER, "lanes ended by a fault of the peer's: sequence, credit, frame or packet") \
    X(lanes_refused, COUNTER, "lanes refused: a limit, draining, or an open out of sequence")           \
    X(frames_sent, COUNTER, "frames sent in trunks")                                                    \
    X(frames_received, COUNTER, "frames received in trunks")                                            \
    X(frames_ignored, COUNTER, "frames received for lanes that are not open, or already ended")         \
    X(messages_sent, COUNTER, "messages (batches) sent in trunks")                                      \
    X(messages_received, COUNTER, "messages (batches) received in trunks")                              \
    X(bytes_sent, COUNTER, "bytes of messages sent in trunks")                                          \
    X(bytes_received, COUNTER, "bytes of messages received in trunks")                                  \
    X(bytes_before_zstd, COUNTER, "bytes of frames that were compressed")                               \
    X(bytes_after_zstd, COUNTER, "what they became")                                                    \
    X(credit_stalls, COUNTER, "times that a lane had to wait for credit")                               \
    X(link_stalls, COUNTER, "times that a trunk had as much under way as it may")

struct trunk_metrics {
    TRUNK_METRICS(METRIC_FIELD)
};
/* Have M shown by REGISTRY (metrics_add()), as PREFIX_trunks_open and so on. 0 or negative errno. */
int trunk_metrics_add(struct trunk_metrics *m, struct metrics_registry *registry, const char *prefix);

struct trunk_options {
    const char *software;   /* "r-proxy 0.1.0"; outlives the trunk */
    uint32_t dead_after_ms; /* 0: never */
    uint32_t linger_ms;     /* wait so long to fill a message */
    uint32_t max_lanes;     /* server: what a peer may open */
    uint8_t zstd_level;     /* 0: send in the clear */
    uint8_t zstd_window_log;
    bool is_zstd_on_loopback; /* compress even if the peer is this machine */
};

struct trunk_cbs {
    void (*on_ready)(struct trunk *t, void *arg);
    /* Server: the peer has opened a lane. lane_set_callbacks() at once, or lane_finish() and lane_free(). */
    void (*on_lane)(struct trunk *t, struct lane *l, void *arg);
    /* The peer wants no new lanes. Once. May be NULL. */
    void (*on_draining)(struct trunk *t, void *arg);
    /* STATUS: enum rpc_status; RPC_UNIMPLEMENTED: the peer does not know trunks. */
    void (*on_end)(struct trunk *t, int status, const char *text, void *arg);
};

struct trunk_params {
    struct mailbox *mailbox;             /* of the loop; server: NULL, the stream's */
    const struct trunk_options *options; /* outlives the trunk */
    struct trunk_metrics *metrics;       /* likewise; the worker's */
    const struct trunk_cbs *cbs;
    void *arg;
};

/* r-proxy. No on_ready within dead_after_ms (10 s if that is 0): on_end with UNAVAILABLE. 0 or negative errno. */
int trunk_open(struct rpc_channel *channel, const struct trunk_params *params, struct trunk **ret_trunk);
/* s-proxy: takes STREAM in any case. */
int trunk_accept(struct rpc_stream *stream, const struct trunk_params *params, struct trunk **ret_trunk);
/* Lanes that are still there are lost to the peer, and get no callback: their owners free them before or after. NULL is
 * fine. */
struct trunk *trunk_free(struct trunk *t);

struct trunk_lane_params {
    const uint8_t *session_id;         /* TRUNK_SESSION_ID_BYTES */
    const struct trunk_client *client; /* what is known of the client; NULL: nothing. Copied */
    const struct mqtt_packet *connect; /* sent first; copied */
};
/* r-proxy, after on_ready: lane_is_open() from the start. 0; -ENOSPC: max_lanes of the peer are open; other negative
 * errno. */
int trunk_open_lane(struct trunk *t, const struct trunk_lane_params *params, const struct lane_cbs *cbs, void *arg,
                    struct lane **ret_lane);

/* Tell the peer that no new lanes are wanted. Those there are go on. Server: the trunk ends with UNAVAILABLE,
 * "draining", when the last of them has ended. */
void trunk_drain(struct trunk *t);
/* No new lanes here: the peer drains, or the trunk is about to end. */
bool trunk_is_usable(const struct trunk *t);
unsigned trunk_lane_count(const struct trunk *t);
/* Last round trip measured by a heartbeat; 0: none yet. */
uint32_t trunk_rtt_us(const struct trunk *t);
/* "ipv4:10.0.0.8:50122". */
const char *trunk_peer(const struct trunk *t);
/* What hello said; "" before. */
const char *trunk_peer_software(const struct trunk *t);
const char *trunk_id(const struct trunk *t);
/* What carries it, to ask who the peer is. Until trunk_free(). */
const struct rpc_stream *trunk_stream(const struct trunk *t);

#endif
