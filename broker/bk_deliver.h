/* A message on its way to one session: now, or when its window and its connection allow (MQTT 5.0 sections 3.3.4, 4.3,
 * 4.9).
 *
 *   QoS 0   connected: written; else nothing
 *   QoS 1,2 queued, and the first that wait are written while the client's Receive Maximum and its output allow
 *
 * What is dropped is counted. A client that reads too slowly: --slow-consumer. */
#ifndef BK_DELIVER_H
#define BK_DELIVER_H

#include <stdbool.h>
#include <stdint.h>

struct bk_publication;
struct bk_session;
struct bk_tag;
struct mqtt_packet;

/* Give P to S by a subscription with OPTIONS (bk_route.h) and TAG, which stays the caller's. False: it is S's own, and
 * No Local. */
bool bk_deliver(struct bk_session *s, struct bk_publication *p, uint32_t options, struct bk_tag *tag);
/* A retained message for a new subscription: RETAIN stays set. */
void bk_deliver_retained(struct bk_session *s, struct bk_publication *p, uint32_t options, struct bk_tag *tag);
/* Whether a delivery of QoS 1 or 2 would leave at once. */
bool bk_deliver_is_open(const struct bk_session *s);

/* The connection, the window or the output has room: repeat what is due, send what waits. */
void bk_deliver_pump(struct bk_session *s);
/* The session goes on over a new connection: all open exchanges are to be repeated (MQTT-4.4.0-1). */
void bk_deliver_resume(struct bk_session *s);

/* Delivery NUMBER of S, if it is not done, is somebody else's now: open, or the first that waits. */
void bk_deliver_give_up(struct bk_session *s, uint64_t number);

/* PUBACK, PUBREC or PUBCOMP of S's client. */
void bk_deliver_acknowledged(struct bk_session *s, const struct mqtt_packet *packet);

#endif
