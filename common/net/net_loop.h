/* What the sockets of one loop share. Exists while the loop has any of them. Private to net. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "loop.h"

enum {
    NET_SCRATCH_BYTES = 64 * 1024,
    NET_HANDSHAKES_US = 5000, /* of a turn; see net_loop_may_shake_hands() */
};

struct net_loop {
    struct loop *loop;
    size_t refs;                 /* objects whose memory still exists */
    size_t conns;                /* open ones, those that linger included */
    struct list listeners;       /* of struct listener, so that they can make way for each other */
    struct list checks;          /* of struct tls_check: they wait for their turn */
    unsigned n_asking;           /* of them: their question is under way */
    struct loop_task next_check; /* gives turns */
    uint64_t handshakes_turn_ms; /* the turn in which a handshake last went on, and how long they took in it */
    uint64_t handshakes_us;
    uint8_t scratch[NET_SCRATCH_BYTES]; /* every read of every conn lands here first: an idle conn needs no buffer */
};

/* The one of LOOP, made if need be; one reference. NULL if memory is short. */
struct net_loop *net_loop_get(struct loop *loop);
/* Freed with the last reference. Returns NULL. */
struct net_loop *net_loop_put(struct net_loop *n);

/* A handshake of TLS takes a millisecond or more, and a thousand clients may come in one turn: everybody else on this
 * loop, the heartbeats of trunks among them, would wait for all of those. So a turn has a share of time for them.
 * False: it is used up, and the handshake is to go on in the next turn, when poll reports its socket again. */
bool net_loop_may_shake_hands(struct net_loop *n);
/* A step of one has been taken, since SINCE_US (clock_now_us()). */
void net_loop_shook_hands(struct net_loop *n, uint64_t since_us);

#endif
