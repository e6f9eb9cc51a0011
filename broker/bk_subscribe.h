/* SUBSCRIBE and UNSUBSCRIBE of a client, and their answers (MQTT 5.0 sections 3.8 to 3.11). */
#ifndef BK_SUBSCRIBE_H
#define BK_SUBSCRIBE_H

#include <stdint.h>

#include "gate.h"

struct bk_client;
struct mqtt_packet;

/* The next packet waits until other workers know of the subscription (GATE_HOLD). C is gone after GATE_CLOSED. */
enum gate_answer bk_subscribe_packet(struct bk_client *c, const struct mqtt_packet *packet);
enum gate_answer bk_unsubscribe_packet(struct bk_client *c, const struct mqtt_packet *packet);
/* Hooks have been asked. REFUSALS: for each filter 0, or the reason why not; NULL: all may. */
enum gate_answer bk_subscribe_go_on(struct bk_client *c, const struct mqtt_packet *packet, const uint8_t *refusals);
void bk_unsubscribe_go_on(struct bk_client *c, const struct mqtt_packet *packet, const uint8_t *refusals);

#endif
