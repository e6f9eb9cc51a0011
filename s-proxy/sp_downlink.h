/* Packets -> lane: what the broker sends goes to the client's side of the tunnel. */
#ifndef SP_DOWNLINK_H
#define SP_DOWNLINK_H

#include "upstream.h"

struct lane;
struct sp_session;

/* upstream_cbs.on_packet of a session. */
enum gate_answer sp_downlink_on_packet(struct upstream *u, const struct mqtt_packet *packet, void *arg);
/* lane_cbs.on_writable of a session. */
void sp_downlink_on_writable(struct lane *l, void *arg);
/* Say something of our own to the client (a refusal, a farewell). */
void sp_downlink_tell(struct sp_session *s, uint8_t reason, const char *text);

#endif
