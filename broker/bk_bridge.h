/* Bridges: messages exchanged with other brokers, each bridge by one session there and one session here.
 *
 *   this broker's session $bridge/NAME <--socket pair--> near | bridge | far <--mqtt_link--> session at the far broker
 *
 * A bridge is a proxy between the two: it changes topics and passes every packet on with its id, so an exchange of QoS
 * 1 or 2 has its two ends in the two sessions, and nothing is remembered in between. A message leaves the queue here
 * when the far broker has acknowledged it; the far broker gets its acknowledgement when the journal here has the
 * message. Either side may lose the connection, or be killed, and goes on where it was.
 *
 *   far down   near is closed: the session collects in its queue, like any client's that is away
 *   far up     near connects, with the far broker's Receive Maximum as its own, so the queue here keeps to that
 *   both up    status-topic says 1, here and there
 *
 * near is a client of this broker with privileges: no login, no ACL (bk_client.is_inner). If the far broker has lost
 * its session, the exchanges that it had begun are forgotten here. If this broker has (its store is new, or memory),
 * the far one is told to begin anew.
 *
 * Loops. One bridge: No Local here; there No Local (5.0) or mosquitto's bridge bit (3.x). Two of our brokers with a
 * bridge each to the other: with CONNECT and CONNACK of 5.0 both say who they are, and No Local holds for all sessions
 * behind which the same broker stands (bk_session.broker). Rings of more: loop-guard marks messages with the brokers
 * that they have passed.
 *
 * A bridge lives on the worker that owns its session's client id. On that worker's loop. */
#ifndef BK_BRIDGE_H
#define BK_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct bk_bridge;
struct bk_bridge_plans;
struct bk_bridges;
struct bk_worker;

/* The bridges of W are those of PLANS that belong to it: their sessions and subscriptions are there when this returns.
 * What is not in PLANS any more ends, with its session; what has another plan than before begins anew with its session.
 * 0 or negative errno with err_text(), W has some of them then. */
int bk_bridges_apply(struct bk_worker *w, const struct bk_bridge_plans *plans);
/* Those that are new connect. */
void bk_bridges_begin(struct bk_worker *w);
/* The program ends: farewell to the far brokers; sessions stay. */
void bk_bridges_end(struct bk_worker *w);
/* Every second: what is measured. */
void bk_bridges_tick(struct bk_worker *w);
/* A message for B's far broker does not fit into its queue. */
void bk_bridge_count_drop(struct bk_bridge *b);
/* For bk_session.broker; empty: 0. */
uint64_t bk_bridge_hash_of(struct mqtt_bytes broker_id);
/* Whether a session with this client id is a bridge's: no client may have it. */
bool bk_bridge_owns_id(struct mqtt_bytes id);

#endif
