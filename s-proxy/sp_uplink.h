/* Frames -> broker: what a lane delivers goes to the upstream. */
#ifndef SP_UPLINK_H
#define SP_UPLINK_H

#include "lane.h"

struct sp_session;
struct upstream;

/* lane_cbs.on_packet of a session. */
enum gate_answer sp_uplink_on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg);
/* Return credit for what has gone to the socket. */
void sp_uplink_settle(struct sp_session *s);

#endif
