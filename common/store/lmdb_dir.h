/* The directory of an LMDB store: made, checked, and ours alone while it is open.
 *
 *   data.mdb, lock.mdb   LMDB's
 *   owner.lock           held by the process that has the store open; its number stands in it
 *   synced               the state that has reached the disk, with lazy durability: lmdb_synced.h
 *   repair.tmp           a repair that was not finished
 *   damaged-TIME.mdb     data.mdb as it was before a repair */
#ifndef LMDB_DIR_H
#define LMDB_DIR_H

struct lmdb_dir {
    const char *path; /* the caller's */
    int fd;
    int lock_fd;
};

/* 0 or negative errno with err_text(). */
int lmdb_dir_open(const char *path, struct lmdb_dir *ret_dir);
void lmdb_dir_close(struct lmdb_dir *d);
/* What was made, renamed or removed in it is with the disk. */
int lmdb_dir_sync(const struct lmdb_dir *d);

#endif
