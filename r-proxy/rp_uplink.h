/* Client -> s-proxy: packets into the lane. */
#ifndef RP_UPLINK_H
#define RP_UPLINK_H

#include "gate.h"
#include "mqtt_packet.h"

struct lane;
struct rp_session;

/* One packet of the client behind CONNECT. */
enum gate_answer rp_uplink_packet(struct rp_session *s, const struct mqtt_packet *packet);
/* lane_cbs.on_writable of a session. */
void rp_uplink_on_writable(struct lane *l, void *arg);

#endif
