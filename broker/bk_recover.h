/* After a restart: sessions, subscriptions, deliveries and retained messages from the store. */
#ifndef BK_RECOVER_H
#define BK_RECOVER_H

#include <stdbool.h>

#include "store.h"

struct bk_shared_segment;
struct bk_worker;
struct map;
struct map_node;

/* From older versions of the records (bk_record.h), for store_open(). */
enum { BK_UPGRADES = 1 };
extern const struct store_upgrade bk_upgrades[BK_UPGRADES];

/* Everything of STORE that belongs to W, before any worker's journal starts. 0 or negative errno with err_text(): which
 * record, and what is wrong with it. On W's loop. */
int bk_recover(struct bk_worker *w, struct store *store);
/* All workers know of all subscriptions: timers of sessions without a client run, Wills that are due are published. */
void bk_recover_wake(struct bk_worker *w);

/* A segment from before the restart may hold messages for sessions of several workers: its record goes when none of
 * them needs it. All begin by having it. */

/* For a map_init() of those, which recovery fills, one worker after the other. */
bool bk_shared_segment_has_key(const struct map_node *node, const void *key);
/* The caller does not need it any more. True: nobody does. Any thread. */
bool bk_shared_segment_leave(struct bk_shared_segment *s);
void bk_shared_segments_free(struct map *segments);

#endif
