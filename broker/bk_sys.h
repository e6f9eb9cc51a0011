/* $SYS: what the broker tells of itself, under the names that mosquitto's users know. One worker publishes for all.
 *
 * Every --sys-interval those values that have changed are published, retained; load averages are over 1, 5 and 15
 * minutes, per minute. */
#ifndef BK_SYS_H
#define BK_SYS_H

struct bk_sys;
struct bk_worker;

/* On W's loop, once all workers run. NULL if memory is short or nobody wants it (interval 0). */
struct bk_sys *bk_sys_start(struct bk_worker *w);
/* NULL is fine. Returns NULL. */
struct bk_sys *bk_sys_stop(struct bk_sys *s);

#endif
