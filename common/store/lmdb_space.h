/* How large the file may become, and what of it is kept for batches that free space.
 *
 *   |<----- for everything ----->|<- reserve ->|        file_bytes, all of it allocated on the disk
 *
 * The file grows before a transaction needs it, by fallocate(), so that a full disk shows there and not in the middle
 * of a commit; LMDB's map is as large as what may be used, so that "the map is full" stands for every way of being
 * full. */
#ifndef LMDB_SPACE_H
#define LMDB_SPACE_H

#include <stdbool.h>
#include <stdint.h>

struct MDB_env;

enum {
    LMDB_SPACE_RESERVE = 2 * 1024 * 1024, /* what deletes need until the pages that they free come back */
    LMDB_SPACE_STEP_MIN = 1024 * 1024,
    LMDB_SPACE_STEP_MAX = 256 * 1024 * 1024,
};

struct lmdb_space {
    struct MDB_env *env;
    int fd; /* of data.mdb; LMDB's own */
    uint64_t page_bytes;
    uint64_t file_bytes;
    uint64_t max_bytes; /* 0 = as long as the disk has space */
};

/* No transaction may be open during any of these. 0 or negative errno with err_text(). */
int lmdb_space_init(struct lmdb_space *s, struct MDB_env *env, uint64_t max_bytes);
/* Make it larger, by NEEDED bytes at least unless that is too much: 0, STORE_FULL, or negative errno. */
int lmdb_space_grow(struct lmdb_space *s, uint64_t needed);
/* From now on transactions may use the reserve, or may not. */
int lmdb_space_set_reserve(struct lmdb_space *s, bool may_use);

#endif
