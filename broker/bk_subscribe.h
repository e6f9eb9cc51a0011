/* SUBSCRIBE and UNSUBSCRIBE of a client, and their answers (MQTT 5.0 sections 3.8 to 3.11). */
#ifndef BK_SUBSCRIBE_H
#define BK_SUBSCRIBE_H

#include "gate.h"

struct bk_client;
struct mqtt_packet;

/* The next packet waits until other workers know of the subscription (GATE_HOLD). C is gone after GATE_CLOSED. */
enum gate_answer bk_subscribe_packet(struct bk_client *c, const struct mqtt_packet *packet);
void bk_unsubscribe_packet(struct bk_client *c, const struct mqtt_packet *packet);
/* C goes: the answer that waits is forgotten. */
void bk_subscribe_forget(struct bk_client *c);

#endif
