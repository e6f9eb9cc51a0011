/* What the sockets of one loop share. Exists while the loop has any of them. Private to net. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "loop.h"

enum { NET_SCRATCH_BYTES = 64 * 1024 };

struct net_loop {
    struct loop *loop;
    size_t refs;                        /* objects whose memory still exists */
    size_t conns;                       /* open ones, those that linger included */
    struct list listeners;              /* of struct listener, so that they can make way for each other */
    struct list checks;                 /* of struct tls_check: they wait for their turn */
    unsigned n_asking;                  /* of them: their question is under way */
    struct loop_task next_check;        /* gives turns */
    uint8_t scratch[NET_SCRATCH_BYTES]; /* every read of every conn lands here first: an idle conn needs no buffer */
};

/* The one of LOOP, made if need be; one reference. NULL if memory is short. */
struct net_loop *net_loop_get(struct loop *loop);
/* Freed with the last reference. Returns NULL. */
struct net_loop *net_loop_put(struct net_loop *n);

#endif
