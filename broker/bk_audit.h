/* The audit log: who came, from where, what became of it, what was refused; one JSON object a line (--audit-log).
 *
 *   {"time":"2026-11-21T09:57:00.123Z","event":"connected","client":17,"client_id":"pump-3","user":"alice",
 *    "address":"10.0.0.8:50122","version":"5","session_present":false}
 *
 * Without the option there is no struct bk_audit, and every function here takes NULL. Never in it: passwords, tokens,
 * payloads. Any thread; what is about a client, on its loop. */
#ifndef BK_AUDIT_H
#define BK_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct bk_audit;
struct bk_client;
struct bk_options;
struct metrics_registry;

/* *RET_AUDIT is NULL where OPTIONS have no audit-log. 0 or negative errno with err_text(). */
int bk_audit_new(const struct bk_options *options, struct metrics_registry *registry, struct bk_audit **ret_audit);
/* All lines are written before. NULL is fine. Returns NULL. */
struct bk_audit *bk_audit_free(struct bk_audit *a);
/* The file is opened again, for logrotate and where FRESH has another name; then an event says so. */
void bk_audit_reload(struct bk_audit *a, const struct bk_options *fresh);
/* The program itself: "started", "draining". */
void bk_audit_event(struct bk_audit *a, const char *event);

/* C has its CONNACK. */
void bk_audit_connected(const struct bk_client *c, bool is_session_present);
/* C's connection ends: "disconnected", or "refused" where it never came in. CONNECT (NULL: none, or it is not there any
 * more) is what a refused one has sent. Somebody who sent nothing and goes is not mentioned. */
void bk_audit_ended(const struct bk_client *c, const struct mqtt_packet *connect, uint8_t reason, const char *text);
/* CODE is that of SUBACK in 5.0: "subscribed", or "subscribe_refused". */
void bk_audit_subscribed(const struct bk_client *c, const struct mqtt_subscription *subscription, uint8_t code);
void bk_audit_unsubscribed(const struct bk_client *c, struct mqtt_bytes filter);
/* Not more than 100 in a second; the first one after that says how many were left out. */
void bk_audit_publish_refused(const struct bk_client *c, struct mqtt_bytes topic, uint8_t reason);

#endif
