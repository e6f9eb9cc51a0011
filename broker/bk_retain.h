/* Retained messages (MQTT 5.0 section 3.3.1.3): the last of each topic that was published with RETAIN.
 *
 * A topic's message is with the worker that the topic's hash names. Who subscribes asks that one, for a filter with
 * wildcards all of them. Another worker answers with so many items at a time and waits until they have been taken. */
#ifndef BK_RETAIN_H
#define BK_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct bk_peer;
struct bk_publication;
struct bk_session;
struct bk_worker;
struct loop_timer;

/* P was published with RETAIN, and its topic belongs to W: it takes the place of its topic's message; an empty payload
 * removes that. */
void bk_retain_set(struct bk_worker *w, struct bk_publication *p);
/* S has subscribed to FILTER: it gets what is retained there, a part in each turn of the loop. 0 or -ENOMEM. */
int bk_retain_send(struct bk_session *s, struct mqtt_bytes filter, uint32_t options, uint32_t identifier);
/* S may take more now, or SUBACK has left. */
void bk_retain_continue(struct bk_session *s);
/* loop_timer_fn of a session's retain_timer. */
void bk_retain_on_timer(struct loop_timer *timer);
/* S ends: what it still had to get is forgotten. */
void bk_retain_forget(struct bk_session *s);
/* Regularly: look at some for those that have expired. */
void bk_retain_tick(struct bk_worker *w);
/* The worker ends. */
void bk_retain_clear(struct bk_worker *w);

/* --- For bk_peers.c */

/* PEER asks what is retained here under FILTER. 0 or -ENOMEM. */
int bk_retain_asked(struct bk_worker *w, struct bk_peer *peer, uint32_t id, struct mqtt_bytes filter);
/* It has taken what it has been sent; or !WANTS_MORE: it needs no answer any more. */
void bk_retain_asked_on(struct bk_worker *w, const struct bk_peer *peer, uint32_t id, bool wants_more);
/* An item of the answer to our question; all there are, or all until we ask for more. */
void bk_retain_answer(struct bk_worker *w, uint32_t id, struct bk_publication *p);
void bk_retain_answered(struct bk_worker *w, uint32_t id, bool is_end);

#endif
