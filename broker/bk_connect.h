/* CONNECT: who comes, which session is theirs, what is agreed (MQTT 5.0 sections 3.1.4, 3.2). */
#ifndef BK_CONNECT_H
#define BK_CONNECT_H

#include <stdint.h>

#include "gate.h"

struct bk_client;
struct mqtt_packet;

/* C has sent CONNECT. It is live afterwards, or closed (GATE_CLOSED), or its connection is on its way to the worker
 * that owns the client id. */
enum gate_answer bk_connect_packet(struct bk_client *c, const struct mqtt_packet *said);
/* The same of C that comes from another worker with its CONNECT: there it was looked at as far as it concerns what is
 * in front of the broker. */
enum gate_answer bk_connect_go_on(struct bk_client *c, const struct mqtt_packet *connect);
/* Hooks have been asked, and it is not known yet who C is; or it is: USER (NULL: who it claims to be). */
enum gate_answer bk_connect_login(struct bk_client *c, const struct mqtt_packet *connect);
enum gate_answer bk_connect_known(struct bk_client *c, const struct mqtt_packet *connect, const char *user);
/* C, whose CONNECT has waited, may come in. */
enum gate_answer bk_connect_allowed(struct bk_client *c);
/* Or may not; CONNECT is what it has sent. C is gone. */
enum gate_answer bk_connect_refuse(struct bk_client *c, const struct mqtt_packet *connect, uint8_t reason,
                                   const char *text);
/* What C's CONNECT has changed is with the disk: CONNACK may leave. */
void bk_connect_committed(struct bk_client *c);

#endif
