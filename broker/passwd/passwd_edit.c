/* See passwd_edit.h. The lock is on the file itself; since rename() puts another one in its place, who has waited for
 * the lock looks whether the file is still the one under that name. */
#include "passwd_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "secret_file.h"

enum {
    NEW_FILE_MODE = 0600,
    KEPT_MODE = 0660, /* of a file that is there */
    FILE_MAX_BYTES = 1 << 30,
};

struct edit {
    char path[PATH_MAX]; /* without symbolic links */
    struct stat st;
    int lock;
    char *text; /* what it held */
    size_t len;
};

/* --- The file as it is */

/* 0; -EAGAIN: another one has taken its place while we waited. */
static int edit_try_lock(struct edit *e, int flags)
{
    struct stat now;
    e->lock = open(e->path, flags, NEW_FILE_MODE);
    if (e->lock < 0)
        return -errno;
    if (flock(e->lock, LOCK_EX) < 0 || fstat(e->lock, &e->st) < 0)
        return -errno;
    if (stat(e->path, &now) == 0 && now.st_dev == e->st.st_dev && now.st_ino == e->st.st_ino)
        return 0;
    close(e->lock);
    e->lock = -1;
    return -EAGAIN;
}

static int edit_open(struct edit *e, const struct passwd_change *change)
{
    const int flags = O_RDWR | O_CLOEXEC | (change->secret ? O_CREAT : 0);
    int r;
    if (strlen(change->file) >= sizeof(e->path))
        return err_errno(-ENAMETOOLONG, "%s", change->file);
    if (!realpath(change->file, e->path)) { /* not there yet; open() knows better what else is wrong */
        strcpy(e->path, change->file);
    }
    do
        r = edit_try_lock(e, flags);
    while (r == -EAGAIN);
    if (r < 0)
        return err_errno(r, "%s", change->file);
    if (!S_ISREG(e->st.st_mode))
        return err_set(-EINVAL, "%s: not a regular file", change->file);
    return change->forgets_others ? 0 : secret_file_read(e->path, FILE_MAX_BYTES, &e->text, &e->len);
}

static void edit_close(struct edit *e)
{
    if (e->lock >= 0)
        close(e->lock);
    e->text = secret_file_wipe(e->text, e->len);
}

/* --- The file as it becomes */

static bool line_is_of(const char *line, size_t len, const char *user)
{
    const size_t user_len = strlen(user);
    return len > user_len && memcmp(line, user, user_len) == 0 && line[user_len] == ':';
}

static void write_secret(FILE *f, const struct passwd_change *change)
{
    if (change->secret)
        fprintf(f, "%s:%s\n", change->user, change->secret);
}

/* The line at *AT, which moves behind it. */
static void write_line(FILE *f, const char **at, const char *end, const struct passwd_change *change,
                       bool *ret_is_there)
{
    const char *feed = memchr(*at, '\n', (size_t)(end - *at));
    const size_t len = feed ? (size_t)(feed - *at) : (size_t)(end - *at);
    if (!line_is_of(*at, len, change->user)) {
        fwrite(*at, 1, len, f);
        fputc('\n', f);
    } else if (!*ret_is_there) {
        write_secret(f, change);
        *ret_is_there = true;
    }
    *at += len + (feed ? 1 : 0);
}

static void write_lines(FILE *f, const struct edit *e, const struct passwd_change *change, bool *ret_is_there)
{
    *ret_is_there = false;
    if (e->len > 0) {
        for (const char *at = e->text; at < e->text + e->len;)
            write_line(f, &at, e->text + e->len, change, ret_is_there);
    }
    if (!*ret_is_there)
        write_secret(f, change);
}

/* Whoever could read the old file can read the new one, except everybody. */
static int copy_owner(int fd, const struct stat *st)
{
    struct stat own;
    if (fstat(fd, &own) < 0)
        return -errno;
    if ((own.st_uid != st->st_uid || own.st_gid != st->st_gid) && fchown(fd, st->st_uid, st->st_gid) < 0)
        return -errno;
    return fchmod(fd, st->st_mode & KEPT_MODE) < 0 ? -errno : 0;
}

static int fill(FILE *f, const struct edit *e, const struct passwd_change *change, bool *ret_is_there)
{
    int r = copy_owner(fileno(f), &e->st);
    if (r < 0)
        return r;
    write_lines(f, e, change, ret_is_there);
    if (fflush(f) != 0 || fsync(fileno(f)) < 0)
        return -errno;
    return 0;
}

/* So that the new name outlasts a power failure. */
static int sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static int edit_replace(const struct edit *e, const struct passwd_change *change)
{
    char draft[PATH_MAX + 8];
    bool is_there = false;
    snprintf(draft, sizeof(draft), "%s.XXXXXX", e->path);
    const int fd = mkostemp(draft, O_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!f)
        return err_errno(-errno, "%s", draft);
    int r = fill(f, e, change, &is_there);
    fclose(f);
    const bool is_wanted = r == 0 && (is_there || change->secret);
    if (is_wanted && rename(draft, e->path) < 0)
        r = -errno;
    if (r < 0 || !is_wanted)
        unlink(draft);
    else
        r = sync_folder(e->path);
    if (r < 0)
        return err_errno(r, "%s", change->file);
    return is_wanted ? 0 : PASSWD_EDIT_MISSING;
}

int passwd_edit(const struct passwd_change *change)
{
    struct edit e = {.path = "", .lock = -1};
    int r = edit_open(&e, change);
    if (r == 0)
        r = edit_replace(&e, change);
    edit_close(&e);
    return r;
}
