/* Which state of data.mdb has reached the disk, where commits do not wait for it (STORE_ASYNC, STORE_NONE).
 *
 * LMDB without syncs survives the end of its process, since the kernel has everything; after a power loss its file is a
 * mixture of old and new pages that LMDB would believe. Three things together keep one whole state on the disk:
 *
 *   - about once a second everything is synced, and then the state of that moment, LMDB's meta page, is copied into the
 *     file `synced`, with the kernel's boot id;
 *   - a read transaction of that state stays open until the next one: LMDB does not use a page again that it needs;
 *   - if at the next start the boot id is another one, the copy is written back over both meta pages.
 *
 * With an orderly end everything is synced and the file is removed. It has two slots that are written in turn, each
 * with a checksum, so that a torn one leaves the other. */
#ifndef LMDB_SYNCED_H
#define LMDB_SYNCED_H

#include <stdbool.h>
#include <stdint.h>

#include "lmdb_dir.h"

struct lmdb_synced {
    int fd;           /* -1: not in use */
    uint64_t counter; /* of the last slot written */
};

/* Before LMDB opens DATA_FD: put it back to the state that reached the disk, if power was lost since. 0, or negative
 * errno with err_text(), as for all of these. */
int lmdb_synced_recover(const struct lmdb_dir *d, int data_fd, bool *ret_is_rolled_back);
/* Everything has reached the disk: no state is remembered any more. */
int lmdb_synced_forget(const struct lmdb_dir *d);
int lmdb_synced_open(const struct lmdb_dir *d, struct lmdb_synced *ret_synced);
/* DATA_FD's transaction TXN, the last one, has reached the disk: remember it, durably. */
int lmdb_synced_note(struct lmdb_synced *s, int data_fd, uint32_t page_bytes, uint64_t txn);
/* Everything has, and nothing will be written any more. */
int lmdb_synced_note_end(struct lmdb_synced *s);
void lmdb_synced_close(struct lmdb_synced *s);

#endif
