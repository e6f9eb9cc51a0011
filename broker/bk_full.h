/* Publishers of 3.x while the store has no room: nobody can tell them, so their PUBLISH of QoS 1 or 2 waits,
 * unanswered, and what they send behind it stays unread. Clients of 5.0 hear Quota exceeded instead (bk_publish.c). One
 * loop. */
#ifndef BK_FULL_H
#define BK_FULL_H

#include "gate.h"

struct bk_client;
struct bk_worker;
struct mqtt_packet;

/* PACKET, which C has sent and hooks allow, waits: GATE_HOLD; or GATE_CLOSED if memory is short: C is gone. */
enum gate_answer bk_full_hold(struct bk_client *c, const struct mqtt_packet *packet);
/* Regularly: if there is room again, all that waits goes on. */
void bk_full_tick(struct bk_worker *w);
/* C goes. Behind mqtt_io_close(). */
void bk_full_forget(struct bk_client *c);

#endif
