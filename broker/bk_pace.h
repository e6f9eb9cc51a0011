/* --slow-consumer pace: who publishes to a slow subscriber is held back until that one has taken what it was sent. One
 * that does not move at all for --slow-consumer-timeout is waited for no more: from then on it is treated as with
 * `drop`, until it has caught up. A publisher at another worker is held back there (bk_peer_pace()). One loop. */
#ifndef BK_PACE_H
#define BK_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bk_client;
struct bk_publication;
struct bk_worker;

enum { BK_PACE_BYTES = 256 * 1024 }; /* of output: beyond, publishers wait */

/* Who publishes P sends more than SUBSCRIBER takes: not read from now on. */
void bk_pace_hold(const struct bk_publication *p, struct bk_client *subscriber);
/* Whether anybody waits for SUBSCRIBER. */
bool bk_pace_is_waited_for(const struct bk_client *subscriber);
/* SUBSCRIBER has caught up, or is gone: all that wait for it go on. */
void bk_pace_release(struct bk_client *subscriber);
/* PUBLISHER waits for nobody any more (it goes). */
void bk_pace_leave(struct bk_client *publisher);
/* A number by which peers can have PUBLISHER held back; 0 where they need not: it is NULL, or nobody is waited for. */
uint64_t bk_pace_name(struct bk_client *publisher);
/* A peer says so: the client of that number is held back, or no longer. It may have gone. */
void bk_pace_from_peer(struct bk_worker *w, uint64_t number, bool is_held);
/* Regularly: who stands still? */
void bk_pace_tick(struct bk_client *subscriber);

#endif
