/* See lmdb_space.h. */
#include "lmdb_space.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>

#include "err.h"
#include "store.h"

static uint64_t lmdb_space_round(const struct lmdb_space *s, uint64_t n)
{
    return (n + s->page_bytes - 1) / s->page_bytes * s->page_bytes;
}

/* Up to N bytes are the file's own on the disk. 0, STORE_FULL, negative errno. Where the file system cannot promise
 * that a commit may meet the full disk itself, which is answered there. */
static int lmdb_space_allocate(struct lmdb_space *s, uint64_t n)
{
    while (fallocate(s->fd, 0, (off_t)s->file_bytes, (off_t)(n - s->file_bytes)) < 0) {
        if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
            return STORE_FULL;
        if (errno == EOPNOTSUPP || errno == ENOSYS)
            break;
        if (errno != EINTR)
            return err_errno(-errno, "data.mdb: allocate %llu bytes", (unsigned long long)n);
    }
    s->file_bytes = n;
    return 0;
}

int lmdb_space_set_reserve(struct lmdb_space *s, bool may_use)
{
    uint64_t n = s->file_bytes;
    if (!may_use)
        n -= n > LMDB_SPACE_RESERVE ? LMDB_SPACE_RESERVE : 0;
    int r = mdb_env_set_mapsize(s->env, n); /* never smaller than what is in use */
    return r ? err_set(r > 0 ? -r : -EIO, "map %llu bytes: %s", (unsigned long long)n, mdb_strerror(r)) : 0;
}

int lmdb_space_init(struct lmdb_space *s, MDB_env *env, uint64_t max_bytes)
{
    MDB_stat main_tree;
    struct stat st;
    mdb_filehandle_t fd;
    mdb_env_stat(env, &main_tree);
    mdb_env_get_fd(env, &fd);
    if (fstat(fd, &st) < 0)
        return err_errno(-errno, "data.mdb");
    *s = (struct lmdb_space){.env = env, .fd = fd, .page_bytes = main_tree.ms_psize, .max_bytes = max_bytes};
    s->file_bytes = lmdb_space_round(s, (uint64_t)st.st_size);
    int r = 0;
    if (s->file_bytes < 2 * LMDB_SPACE_RESERVE)
        r = lmdb_space_allocate(s, 2 * LMDB_SPACE_RESERVE);
    /* A disk that is full now may have space later, and reading needs none. */
    return r < 0 ? r : lmdb_space_set_reserve(s, false);
}

int lmdb_space_grow(struct lmdb_space *s, uint64_t needed)
{
    uint64_t step = s->file_bytes / 4;
    if (step > LMDB_SPACE_STEP_MAX)
        step = LMDB_SPACE_STEP_MAX;
    if (step < needed)
        step = needed;
    if (step < LMDB_SPACE_STEP_MIN)
        step = LMDB_SPACE_STEP_MIN;
    for (int r = STORE_FULL; r == STORE_FULL && step >= LMDB_SPACE_STEP_MIN; step /= 2) {
        uint64_t n = lmdb_space_round(s, s->file_bytes + step);
        if (s->max_bytes && n > s->max_bytes)
            continue;
        r = lmdb_space_allocate(s, n);
        if (r == 0)
            return lmdb_space_set_reserve(s, false);
        if (r < 0)
            return r;
    }
    return STORE_FULL;
}
