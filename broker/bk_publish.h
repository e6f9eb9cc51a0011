/* PUBLISH from a client, and from the broker itself: checked, made a publication, routed, retained, acknowledged. */
#ifndef BK_PUBLISH_H
#define BK_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "gate.h"
#include "mqtt_packet.h"

struct bk_client;
struct bk_message;
struct bk_publication;
struct bk_worker;

/* C is gone after GATE_CLOSED. */
enum gate_answer bk_publish_packet(struct bk_client *c, const struct mqtt_packet *packet);
/* Hooks have been asked: it is routed, TOPIC being its topic; or refused. */
enum gate_answer bk_publish_go_on(struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes topic);
enum gate_answer bk_publish_refuse(struct bk_client *c, const struct mqtt_packet *packet, struct mqtt_bytes topic,
                                   uint8_t reason);
/* PUBREL of C. */
void bk_publish_release(struct bk_client *c, const struct mqtt_packet *packet);

/* ID belongs to an exchange of QoS 2 that C, of 5.0, has begun: it is not free for anything else (0x91). */
bool bk_publish_uses_id(const struct bk_client *c, uint16_t id);

/* --max-topic-levels: of a topic or a filter. */
bool bk_publish_has_too_many_levels(const struct bk_client *c, struct mqtt_bytes topic);

/* Below $SYS: the broker alone publishes there. */
bool bk_publish_is_ours(struct mqtt_bytes topic);

/* What nobody's PUBLISH brought: a Will, $SYS. Routed, and retained if it says so. */
void bk_publish_message(struct bk_worker *w, struct bk_message *m);

#endif
