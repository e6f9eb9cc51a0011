/* Answers that leave when all other workers know what they are about: SUBACK, so that what anybody publishes behind it
 * arrives; without a journal, which waits for the same, PUBACK and PUBREC of a retained message, so that who subscribes
 * behind it gets it. The client's gate is held meanwhile. One loop. */
#ifndef BK_BEHIND_H
#define BK_BEHIND_H

#include <stdbool.h>

struct bk_client;
struct mqtt_packet;

/* ANSWER to C waits: the gate is held (GATE_HOLD). False: it need not wait, or memory is short; it is the caller's to
 * send. */
bool bk_behind_answer(struct bk_client *c, const struct mqtt_packet *answer);
/* C goes: its answer does not leave. Behind mqtt_io_close(). */
void bk_behind_forget(struct bk_client *c);

#endif
