/* Sessions that connect to a broker take turns: so many at a time are between connect() and the broker's answer, the
 * others wait in the order of their CONNECTs.
 *
 * A broker's listen queue is short (mosquitto's holds 100). What does not fit in it is not refused but dropped, and TCP
 * tries again a second later, then after two more, then four: without turns a thousand clients that come at once are
 * up in seven seconds, and with them in a tenth of one. One object per session, on its worker's loop. */
#ifndef SP_BROKER_TURN_H
#define SP_BROKER_TURN_H

#include <stdbool.h>

#include "list.h"

struct sp_broker;
struct sp_broker_turn;
/* It is T's turn. */
typedef void sp_broker_turn_fn(struct sp_broker_turn *t);

struct sp_broker_turn {
    struct list link;         /* in broker->waiting */
    struct sp_broker *broker; /* NULL: neither waits nor has its turn */
    sp_broker_turn_fn *fn;
};

void sp_broker_turn_init(struct sp_broker_turn *t, sp_broker_turn_fn *fn);
/* True: it is T's turn now. False: FN runs when it is, never from inside this call. */
bool sp_broker_turn_take(struct sp_broker_turn *t, struct sp_broker *broker);
/* The turn is over, or no longer waited for: that of the next begins, if one was free. Does nothing when there was
 * none.
 */
void sp_broker_turn_end(struct sp_broker_turn *t);

#endif
