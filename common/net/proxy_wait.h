/* Accepted connections that have to begin with a PROXY header, until they have. Exactly the header's bytes are read
 * from the socket: whatever follows it, TLS too, sees a connection that has just been accepted.
 *
 *   proxy_wait_start(parcel) --header--> on_header(parcel, with the peer that the header names)
 *                               '--anything else, time over--> on_refused(), closed
 *                               '--closed without a byte-----> closed: balancers look so whether somebody is there
 *
 * One thread: the loop's. Private to net. */
#ifndef PROXY_WAIT_H
#define PROXY_WAIT_H

#include <stdint.h>

#include "conn.h"
#include "list.h"

struct loop;

struct proxy_waits {
    struct loop *loop;
    uint32_t timeout_ms;
    /* Takes over PARCEL. Both may call proxy_waits_cancel(), and may run from inside proxy_wait_start(). */
    void (*on_header)(struct conn_parcel *parcel, void *arg);
    /* PEER is who connected. */
    void (*on_refused)(const struct conn_peer *peer, const char *why, void *arg);
    void *arg;
    struct list waiting; /* list_init() by the owner */
};

/* Takes PARCEL, as it was accepted. */
void proxy_wait_start(struct proxy_waits *all, struct conn_parcel *parcel);
/* Close all that still wait; no callback. */
void proxy_waits_cancel(struct proxy_waits *all);

#endif
