/* s-proxy -> client: packets out of the lane. */
#ifndef RP_DOWNLINK_H
#define RP_DOWNLINK_H

#include "gate.h"
#include "mqtt_packet.h"

struct lane;
struct rp_session;

/* lane_cbs.on_packet of a session. */
enum gate_answer rp_downlink_on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg);
/* Return credit for what has gone to the client's socket. */
void rp_downlink_settle(struct rp_session *s);

#endif
