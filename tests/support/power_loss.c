/* See power_loss.h.
 *
 *   DISK/names        "INODE NAME" lines, as of the last fsync() of the directory
 *   DISK/synced-INODE what of the file has reached the disk
 *   DISK/log-INODE    what has not: records of offset, length, bytes */

/* So that the names below are the names of the functions: LMDB calls open(), what Meson compiles calls open64(). */
#undef _FILE_OFFSET_BITS

#include "power_loss.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS_MAX = 256 };

enum watch_kind { WATCH_NOTHING = 0, WATCH_FILE, WATCH_DIR };

static struct watch {
    enum watch_kind kind;
    bool is_dsync;
    unsigned long inode;
} watches[FDS_MAX];
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;

struct record {
    uint64_t offset, len;
};

/* Empty if it is not set. */
static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

/* The file system, past everything that stands in front of it. */
static int raw_open(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static void raw_write_at(int fd, const void *bytes, size_t n, uint64_t offset)
{
    if (syscall(SYS_pwrite64, fd, bytes, n, offset) != (long)n)
        abort();
}

static void raw_append(int fd, const void *bytes, size_t n)
{
    if (syscall(SYS_write, fd, bytes, n) != (long)n)
        abort();
}

static const char *disk_path(char *path, size_t size, const char *what, unsigned long inode)
{
    snprintf(path, size, "%s/%s-%lu", setting("POWER_LOSS_DISK"), what, inode);
    return path;
}

/* --- What is written and synced. */

static void watch_log(const struct watch *w, const void *bytes, size_t n, uint64_t offset)
{
    char path[4096];
    struct record record = {offset, n};
    int fd = raw_open(disk_path(path, sizeof path, w->is_dsync ? "synced" : "log", w->inode),
                      O_WRONLY | O_CREAT | (w->is_dsync ? 0 : O_APPEND));
    if (w->is_dsync) {
        raw_write_at(fd, bytes, n, offset);
    } else {
        raw_append(fd, &record, sizeof record);
        raw_append(fd, bytes, n);
    }
    close(fd);
}

/* The records of a log from FD's position on; false at its end, or where it was cut. BYTES to be freed. */
static bool log_next(int fd, struct record *ret_record, uint8_t **ret_bytes)
{
    if (read(fd, ret_record, sizeof *ret_record) != (ssize_t)sizeof *ret_record)
        return false;
    *ret_bytes = malloc(ret_record->len);
    if (read(fd, *ret_bytes, ret_record->len) == (ssize_t)ret_record->len)
        return true;
    free(*ret_bytes);
    return false;
}

static void watch_sync_file(int fd, const struct watch *w)
{
    char path[4096];
    struct record record;
    struct stat st;
    uint8_t *bytes;
    int log = raw_open(disk_path(path, sizeof path, "log", w->inode), O_RDWR | O_CREAT);
    int synced = raw_open(disk_path(path, sizeof path, "synced", w->inode), O_WRONLY | O_CREAT);
    while (log_next(log, &record, &bytes)) {
        raw_write_at(synced, bytes, record.len, record.offset);
        free(bytes);
    }
    fstat(fd, &st);
    syscall(SYS_ftruncate, synced, st.st_size);
    syscall(SYS_ftruncate, log, 0);
    close(log);
    close(synced);
}

static void watch_sync_dir(void)
{
    char path[4096], line[400];
    snprintf(path, sizeof path, "%s/names", setting("POWER_LOSS_DISK"));
    int fd = raw_open(path, O_WRONLY | O_CREAT | O_TRUNC);
    DIR *d = opendir(setting("POWER_LOSS_DIR"));
    for (const struct dirent *entry; d && (entry = readdir(d));) {
        int n = snprintf(line, sizeof line, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
        if (entry->d_type == DT_REG)
            raw_append(fd, line, (size_t)n);
    }
    if (d)
        closedir(d);
    close(fd);
}

static void watch_on_sync(int fd)
{
    pthread_mutex_lock(&watch_lock);
    if (fd >= 0 && fd < FDS_MAX && watches[fd].kind == WATCH_FILE)
        watch_sync_file(fd, &watches[fd]);
    else if (fd >= 0 && fd < FDS_MAX && watches[fd].kind == WATCH_DIR)
        watch_sync_dir();
    pthread_mutex_unlock(&watch_lock);
}

static void watch_on_write(int fd, const void *bytes, ssize_t n, uint64_t offset)
{
    pthread_mutex_lock(&watch_lock);
    if (fd >= 0 && fd < FDS_MAX && n > 0 && watches[fd].kind == WATCH_FILE)
        watch_log(&watches[fd], bytes, (size_t)n, offset);
    pthread_mutex_unlock(&watch_lock);
}

/* The kind of what is behind FD. */
static enum watch_kind watch_kind_of(int fd, const struct stat *st)
{
    char fd_name[64], target[4096];
    const char *dir = setting("POWER_LOSS_DIR");
    snprintf(fd_name, sizeof fd_name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(fd_name, target, sizeof target - 1);
    if (!*dir || n < 0)
        return WATCH_NOTHING;
    target[n] = '\0';
    if (strncmp(target, dir, strlen(dir)) != 0)
        return WATCH_NOTHING;
    if (S_ISDIR(st->st_mode))
        return WATCH_DIR;
    return S_ISREG(st->st_mode) && !strstr(target, "lock") ? WATCH_FILE : WATCH_NOTHING;
}

/* A file of no length has nothing on the disk, whatever its inode was before. */
static void watch_forget(unsigned long inode)
{
    char path[4096];
    unlink(disk_path(path, sizeof path, "synced", inode));
    unlink(disk_path(path, sizeof path, "log", inode));
}

/* A file that was there before any of this is on the disk. */
static void watch_adopt(int fd, unsigned long inode)
{
    char path[4096], from[64];
    static char block[65536];
    if (access(disk_path(path, sizeof path, "synced", inode), F_OK) == 0)
        return;
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    int in = raw_open(from, O_RDONLY), out = raw_open(path, O_WRONLY | O_CREAT);
    for (ssize_t n; (n = read(in, block, sizeof block)) > 0;)
        raw_append(out, block, (size_t)n);
    close(in);
    close(out);
}

static int watch_on_open(int fd, int flags)
{
    struct stat st;
    if (fd < 0 || fd >= FDS_MAX || fstat(fd, &st) < 0)
        return fd;
    pthread_mutex_lock(&watch_lock);
    watches[fd] = (struct watch){watch_kind_of(fd, &st), (flags & O_DSYNC) != 0, (unsigned long)st.st_ino};
    if (watches[fd].kind == WATCH_FILE && st.st_size == 0)
        watch_forget(watches[fd].inode);
    else if (watches[fd].kind == WATCH_FILE)
        watch_adopt(fd, watches[fd].inode);
    pthread_mutex_unlock(&watch_lock);
    return fd;
}

/* --- In front of the C library. */

static const char *open_path(const char *path)
{
    const char *boot_id = setting("POWER_LOSS_BOOT_ID");
    return *boot_id && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? boot_id : path;
}

static mode_t open_mode(int flags, va_list args)
{
    return flags & O_CREAT ? va_arg(args, mode_t) : 0;
}

int open(const char *file, int oflag, ...)
{
    va_list args;
    va_start(args, oflag);
    mode_t mode = open_mode(oflag, args);
    va_end(args);
    return watch_on_open((int)syscall(SYS_openat, AT_FDCWD, open_path(file), oflag, mode), oflag);
}

int openat(int fd, const char *file, int oflag, ...)
{
    va_list args;
    va_start(args, oflag);
    mode_t mode = open_mode(oflag, args);
    va_end(args);
    return watch_on_open((int)syscall(SYS_openat, fd, file, oflag, mode), oflag);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    ssize_t r = (ssize_t)syscall(SYS_pwrite64, fd, buf, n, offset);
    watch_on_write(fd, buf, r, (uint64_t)offset);
    return r;
}

int open64(const char *file, int oflag, ...) __attribute__((alias("open")));
int openat64(int fd, const char *file, int oflag, ...) __attribute__((alias("openat")));
ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset) __attribute__((alias("pwrite")));

ssize_t write(int fd, const void *buf, size_t n)
{
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t r = (ssize_t)syscall(SYS_write, fd, buf, n);
    watch_on_write(fd, buf, r, (uint64_t)offset);
    return r;
}

ssize_t writev(int fd, const struct iovec *iovec, int count)
{
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t r = (ssize_t)syscall(SYS_writev, fd, iovec, count), left = r;
    for (int i = 0; i < count && left > 0; i++) {
        ssize_t n = (ssize_t)iovec[i].iov_len < left ? (ssize_t)iovec[i].iov_len : left;
        watch_on_write(fd, iovec[i].iov_base, n, (uint64_t)offset);
        offset += n;
        left -= n;
    }
    return r;
}

/* The real disk need not be asked while its double is. */
static int sync_by(int fd, long number)
{
    if (!*setting("POWER_LOSS_DIR"))
        return (int)syscall(number, fd);
    watch_on_sync(fd);
    return 0;
}

int fsync(int fd)
{
    return sync_by(fd, SYS_fsync);
}

int fdatasync(int fildes)
{
    return sync_by(fildes, SYS_fdatasync);
}
