/* Messages of shared subscriptions whose member has gone: to other members (MQTT 5.0 section 4.8.2).
 *
 *   connection ends --> QoS 1 sent and not acknowledged, all that waits --> a member that is connected; nobody is:
 * stays session ends    --> the same --> any other member
 *
 * QoS 2 whose PUBLISH has been sent stays with its member (MQTT-4.8.2-4), and ends with it (MQTT-4.8.2-5). What goes to
 * another worker is done with here when it is with the store there: who ends the process in between may see it twice,
 * but never lost. CONNACK of a client that comes back at once waits for the same, so it is not sent what has gone. One
 * loop. */
#ifndef BK_HANDOVER_H
#define BK_HANDOVER_H

struct bk_session;
struct bk_worker;

/* The client of S has gone, S goes on. */
void bk_handover_leave(struct bk_session *s);
/* S ends, and has left its subscriptions. */
void bk_handover_end(struct bk_session *s);
/* The worker ends: what other workers have not confirmed is forgotten. */
void bk_handover_forget_all(struct bk_worker *w);

#endif
