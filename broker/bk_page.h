/* Paging: what waits for a session without client leaves memory once it is with the disk, and comes back when its
 * client does.
 *
 *   next                                 tail
 *     | 16 stay | paged out ...           |     no client: after each commit, whatever has been committed
 *     | up to 64, at most 1 MB | paged out |    a client: one segment after the other is read ahead of what is sent
 *
 * What is paged out is an entry of the queue that names its segment of the journal (bk_journal.h); the queue's limits
 * count it as before. Messages of shared subscriptions stay, and those that many sessions wait for. A restart does not
 * load what would be paged out. Nothing is paged without a store that lasts, nor with --durability none, where the
 * store may lose what it has taken. One loop. */
#ifndef BK_PAGE_H
#define BK_PAGE_H

#include <stdbool.h>

struct bk_session;

/* The client of S has gone, S goes on. */
void bk_page_leave(struct bk_session *s);
/* Page out what of S may be. False: something is not with the disk yet. */
bool bk_page_out(struct bk_session *s);
/* S has a client: read what it will need next; bk_deliver_pump() follows when it is there. A read that fails closes the
 * connection. */
void bk_page_ahead(struct bk_session *s);

#endif
