/* See lmdb_dir.h. */
#include "lmdb_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

/* Other people's messages and passwords of sessions lie in it. */
static int lmdb_dir_check(const struct lmdb_dir *d)
{
    struct stat st;
    if (fstat(d->fd, &st) < 0)
        return err_errno(-errno, "%s", d->path);
    if (st.st_uid != geteuid())
        return err_set(-EPERM, "%s belongs to user %u, this is user %u", d->path, st.st_uid, geteuid());
    if (st.st_mode & 077)
        return err_set(-EPERM, "%s has mode %04o, which lets others in: chmod 700 %s", d->path, st.st_mode & 07777,
                       d->path);
    return 0;
}

/* Who has it, as far as it can be said. */
static int lmdb_dir_refuse(const struct lmdb_dir *d)
{
    char owner[16] = "";
    ssize_t n = pread(d->lock_fd, owner, sizeof owner - 1, 0);
    long pid = n > 0 ? strtol(owner, NULL, 10) : 0;
    if (pid > 0)
        return err_set(-EBUSY, "%s is in use by process %ld", d->path, pid);
    return err_set(-EBUSY, "%s is in use by another process", d->path);
}

static int lmdb_dir_lock(struct lmdb_dir *d)
{
    d->lock_fd = openat(d->fd, "owner.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0)
        return err_errno(-errno, "%s/owner.lock", d->path);
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? lmdb_dir_refuse(d) : err_errno(-errno, "%s/owner.lock", d->path);
    char owner[16];
    int n = snprintf(owner, sizeof owner, "%d\n", getpid());
    /* Only for the message above: a disk that is full is not a reason to stay away. */
    if (ftruncate(d->lock_fd, 0) < 0 || pwrite(d->lock_fd, owner, (size_t)n, 0) < 0)
        return 0;
    return 0;
}

/* A new directory is one only when the one above it is with the disk. */
static int lmdb_dir_make_new(const char *path)
{
    char above[PATH_MAX];
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : err_errno(-errno, "make %s", path);
    if ((size_t)snprintf(above, sizeof above, "%s/..", path) >= sizeof above)
        return err_set(-ENAMETOOLONG, "make %s: its name is too long", path);
    int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? err_errno(-errno, "make %s", path) : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static int lmdb_dir_make(struct lmdb_dir *d)
{
    int r = lmdb_dir_make_new(d->path);
    if (r < 0)
        return r;
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0)
        return err_errno(-errno, "%s", d->path);
    return 0;
}

int lmdb_dir_open(const char *path, struct lmdb_dir *ret_dir)
{
    struct lmdb_dir d = {.path = path, .fd = -1, .lock_fd = -1};
    if (!*path)
        return err_set(-EINVAL, "lmdb: no directory is given");
    int r = lmdb_dir_make(&d);
    if (r >= 0)
        r = lmdb_dir_check(&d);
    if (r >= 0)
        r = lmdb_dir_lock(&d);
    if (r < 0) {
        lmdb_dir_close(&d);
        return r;
    }
    *ret_dir = d;
    return 0;
}

void lmdb_dir_close(struct lmdb_dir *d)
{
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = d->lock_fd = -1;
}

int lmdb_dir_sync(const struct lmdb_dir *d)
{
    if (fsync(d->fd) < 0)
        return err_errno(-errno, "%s", d->path);
    return 0;
}
