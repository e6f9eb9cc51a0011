/* The relay service (proto/mqtt_relay.proto): a lane carried by a gRPC stream of its own. Works with the existing
 * implementation on the other side; when both sides are ours (metadata "mqtt-relay-ext: 1" both ways) it adds credit,
 * pieces of large packets and end reasons. */
#ifndef RELAY_H
#define RELAY_H

#include "lane.h"

struct mailbox;
struct rpc_channel;
struct rpc_stream;

#define RELAY_PATH "/mqtt.MqttRelayService/StreamMqttMessages"

struct relay_open_params {
    struct rpc_channel *channel;
    struct mailbox *mailbox;
    const char *session_id;            /* 32 hex digits: 128 random bits */
    const struct mqtt_packet *connect; /* sent first, behind ESTABLISH; copied */
};

/* r-proxy: open a lane for a session and send its CONNECT. A CONNECT above LANE_UNKNOWN_PEER_MAX waits for the peer to
 * say what it is. 0 or negative errno. */
int relay_open(const struct relay_open_params *params, const struct lane_cbs *cbs, void *arg, struct lane **ret_lane);

/* s-proxy: a new stream has arrived on this loop. Response headers go out at once; the session's packets begin with
 * CONNECT. A second ESTABLISH, a packet before ESTABLISH, or a packet of the wrong version ends it with
 * LANE_END_PROTOCOL. lane_session_id() is that of the peer's metadata ("unknown" if it sent none). on_open comes with
 * ESTABLISH; lane_peer() is right from the start. Takes STREAM in any case. */
int relay_accept(struct rpc_stream *stream, const struct lane_cbs *cbs, void *arg, struct lane **ret_lane);

#endif
