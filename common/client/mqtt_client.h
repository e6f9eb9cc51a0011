/* A client of a broker: one session, kept over any number of connections, with its exchanges of QoS 1 and 2 both ways.
 *
 *   mqtt_client_publish() --> [ waits ] --Receive Maximum--> [ open ] --PUBACK, or PUBREC, PUBREL, PUBCOMP-->
 * on_published
 *                                                               '-- a new connection: repeated with DUP (MQTT-4.4.0-1)
 *
 *   on_message(receipt) --user: now, later, in any order: mqtt_client_acknowledge(receipt)--> PUBACK, PUBREC
 *                                            in the order in which the messages came (MQTT-4.6.0-2, -3)
 *
 * Connections, subscriptions, keep-alive and back-off are those of mqtt_link.h, whose config this takes. What is not
 * acknowledged is known in memory alone: a message that the user has not acknowledged when the process ends comes again
 * from the broker, one that was not published has to be published again by the user. So QoS 2 is exactly once as long
 * as the process lives. A broker that has lost the session gets open messages as new ones, and receipts of before are
 * good for nothing (acknowledging one is harmless).
 *
 * One thread: the loop it was opened on. Callbacks never run from inside a call of the user; they may call everything
 * but mqtt_client_close(). */
#ifndef MQTT_CLIENT_H
#define MQTT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_link.h"

struct mqtt_client;

/* A message of QoS 1 or 2 that the user has been given and that the broker waits to hear of. It is the client's, and
 * there until it is acknowledged or the client is closed. */
struct mqtt_receipt;

struct mqtt_client_cbs {
    /* A message; PUBLISH is valid during the call. RECEIPT: to be acknowledged once; NULL: QoS 0. */
    void (*on_message)(struct mqtt_client *c, const struct mqtt_packet *publish, struct mqtt_receipt *receipt,
                       void *arg);
    /* The broker has the message that was published with TOKEN; or REASON, 0x80 and above, says why it never will
     * (MQTT_REASON_PACKET_TOO_LARGE: it was not even sent). */
    void (*on_published)(struct mqtt_client *c, void *token, uint8_t reason, void *arg);
    /* As in mqtt_link.h. */
    void (*on_up)(struct mqtt_client *c, const struct mqtt_link_grants *grants, void *arg);
    void (*on_refused)(struct mqtt_client *c, struct mqtt_bytes filter, uint8_t reason, void *arg);
    void (*on_down)(struct mqtt_client *c, const char *text, uint32_t wait_ms, void *arg);
    void (*on_failed)(struct mqtt_client *c, const char *text, uint32_t wait_ms, void *arg);
};

/* CONFIG and CBS live as long as the client. The first connection begins a new session (IS_NEW of mqtt_link_open()) if
 * IS_NEW. 0 or negative errno with err_text(). */
int mqtt_client_open(struct loop *loop, const struct mqtt_link_config *config, bool is_new,
                     const struct mqtt_client_cbs *cbs, void *arg, struct mqtt_client **ret_client);
/* As mqtt_link_close(). Receipts are gone, on_published does not run any more. NULL is fine. Returns NULL. */
struct mqtt_client *mqtt_client_close(struct mqtt_client *c, uint32_t within_ms);

bool mqtt_client_is_up(const struct mqtt_client *c);

/* Publish a copy of PUBLISH: its topic, payload, properties (5.0), QoS and RETAIN; id, DUP and version are the client's
 * business. QoS 0 leaves at once, on_published does not run. 0, MQTT_CLIENT_DOWN (> 0: QoS 0, and there is no
 * connection), or -ENOMEM. The queue has no limit: the user asks mqtt_client_unpublished(). */
enum { MQTT_CLIENT_DOWN = 1 };
int mqtt_client_publish(struct mqtt_client *c, const struct mqtt_packet *publish, void *token);
/* Messages of QoS 1 and 2 for which on_published has not run. */
size_t mqtt_client_unpublished(const struct mqtt_client *c);

/* The user is done with the message of R; REASON: 0, or why it is refused (5.0; 0x80 and above). R is gone. */
void mqtt_client_acknowledge(struct mqtt_client *c, struct mqtt_receipt *r, uint8_t reason);

/* Nothing is read from the broker, acknowledgements neither, until mqtt_client_resume(), over new connections too. */
void mqtt_client_pause(struct mqtt_client *c);
void mqtt_client_resume(struct mqtt_client *c);

#endif
