/* The file of the audit log (bk_audit_file.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "metrics.h"
#include "thread.h"

struct bk_audit_metrics {
    BK_AUDIT_METRICS(METRIC_FIELD)
};

#define METRICS_OWNER struct bk_audit_metrics
static const struct metric_info bk_audit_metric_infos[] = {BK_AUDIT_METRICS(METRIC_INFO)};

struct bk_lines {
    char *bytes; /* room for BK_AUDIT_WAITING_MAX */
    size_t len;
};

/* What the file is called and how it is rotated. */
struct bk_audit_place {
    char *path; /* owned */
    uint64_t max_bytes;
    unsigned keep;
};

struct bk_audit_file {
    pthread_t thread;
    /* of the thread */
    int fd;
    bool is_regular;
    uint64_t bytes; /* of the file, if it is regular */
    struct bk_audit_place place;
    struct bk_lines writing;
    struct metrics_registry *registry;
    struct bk_audit_metrics metrics;
    struct { /* only under the lock */
        pthread_mutex_t lock;
        pthread_cond_t has_work;
        struct bk_lines lines;
        size_t reopen_at;            /* lines before here belong to the old file */
        struct bk_audit_place fresh; /* path NULL: the file stays */
        uint64_t n_without_room;
        bool is_stopping;
    } _shared;
};

/* --- The file */

static int bk_audit_place_init(struct bk_audit_place *place, const struct bk_audit_file_params *params)
{
    *place = (struct bk_audit_place){strdup(params->path), params->max_bytes, params->keep};
    return place->path ? 0 : err_set(-ENOMEM, "out of memory");
}

/* PLACE is taken over, if it can be opened; what is open stays otherwise. */
static int bk_audit_file_use(struct bk_audit_file *f, struct bk_audit_place *place)
{
    struct stat info;
    const int fd = open(place->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0 || fstat(fd, &info) < 0) {
        const int e = -errno;
        if (fd >= 0)
            close(fd);
        return err_errno(e, "%s", place->path);
    }
    if (f->fd >= 0)
        close(f->fd);
    if (f->place.path != place->path)
        free(f->place.path);
    f->fd = fd;
    f->place = *place;
    f->is_regular = S_ISREG(info.st_mode);
    f->bytes = (uint64_t)info.st_size;
    return 0;
}

/* PATH.(KEEP-1) becomes PATH.KEEP, and so on down to PATH itself. */
static void bk_audit_file_shift(const struct bk_audit_place *place)
{
    const size_t size = strlen(place->path) + 16;
    char *from = malloc(size), *to = malloc(size);
    for (unsigned i = place->keep; from && to && i > 0; i--) {
        snprintf(to, size, "%s.%u", place->path, i);
        snprintf(from, size, i > 1 ? "%s.%u" : "%s", place->path, i - 1);
        if (rename(from, to) < 0 && errno != ENOENT)
            log_error(NULL, "audit-log: %s cannot become %s: %s", from, to, strerror(errno));
    }
    free(from);
    free(to);
}

static void bk_audit_file_rotate(struct bk_audit_file *f)
{
    metric_add(&f->metrics.rotations, 1);
    if (f->place.keep == 0) {
        if (ftruncate(f->fd, 0) < 0)
            log_error(NULL, "audit-log: %s: %s", f->place.path, strerror(errno));
        f->bytes = 0;
        return;
    }
    bk_audit_file_shift(&f->place);
    if (bk_audit_file_use(f, &f->place) < 0) {
        log_error(NULL, "audit-log: %s", err_text());
        f->bytes = 0; /* it goes on in the old one, and tries again when so much more has been written */
    }
}

static int64_t bk_count_lines(const char *bytes, size_t len)
{
    int64_t n = 0;
    for (const char *end; len > 0 && (end = memchr(bytes, '\n', len)); n++) {
        len -= (size_t)(end + 1 - bytes);
        bytes = end + 1;
    }
    return n;
}

static void bk_audit_file_lose(struct bk_audit_file *f, int64_t n, const char *why)
{
    static struct log_limit limit = LOG_LIMIT(1, 10000);
    metric_add(&f->metrics.lines_lost, n);
    log_rate_limited(&limit, LOG_LEVEL_ERROR, NULL, "audit-log: lines are lost: %s", why);
}

/* Whole lines. */
static void bk_audit_file_put(struct bk_audit_file *f, const char *bytes, size_t len)
{
    size_t done = 0;
    ssize_t n = 0;
    while (done < len && ((n = write(f->fd, bytes + done, len - done)) >= 0 || errno == EINTR))
        done += n > 0 ? (size_t)n : 0;
    if (done == len) {
        f->bytes += len;
        metric_add(&f->metrics.lines_written, bk_count_lines(bytes, len));
        return;
    }
    const int e = errno;
    const char *last = memrchr(bytes, '\n', done);
    const size_t whole = last ? (size_t)(last + 1 - bytes) : 0;
    f->bytes += whole;
    if (f->is_regular && done > whole && ftruncate(f->fd, (off_t)f->bytes) < 0)
        log_error(NULL, "audit-log: %s: half a line stays: %s", f->place.path, strerror(errno));
    metric_add(&f->metrics.lines_written, bk_count_lines(bytes, whole));
    bk_audit_file_lose(f, bk_count_lines(bytes + whole, len - whole), strerror(e));
}

/* How much of LINES still fits into the file: whole lines, one at least into a file that is empty. */
static size_t bk_audit_file_room(const struct bk_audit_file *f, const char *lines, size_t len)
{
    if (!f->is_regular || f->place.max_bytes == 0 || f->bytes + len <= f->place.max_bytes)
        return len;
    const uint64_t room = f->bytes < f->place.max_bytes ? f->place.max_bytes - f->bytes : 0;
    const char *last = memrchr(lines, '\n', room < len ? (size_t)room : len);
    if (!last && f->bytes == 0)
        last = memchr(lines, '\n', len);
    return last ? (size_t)(last + 1 - lines) : 0;
}

static void bk_audit_file_write(struct bk_audit_file *f, const char *lines, size_t len)
{
    while (len > 0) {
        const size_t n = bk_audit_file_room(f, lines, len);
        if (n == 0)
            bk_audit_file_rotate(f);
        bk_audit_file_put(f, lines, n);
        lines += n;
        len -= n;
    }
}

/* --- The thread */

/* What there is to do, taken out of what is shared. False: nothing, and nothing will come. */
static bool bk_audit_file_take(struct bk_audit_file *f, size_t *ret_reopen_at, struct bk_audit_place *ret_fresh,
                               uint64_t *ret_without_room)
{
    pthread_mutex_lock(&f->_shared.lock);
    while (f->_shared.lines.len == 0 && !f->_shared.fresh.path && f->_shared.n_without_room == 0 &&
           !f->_shared.is_stopping)
        pthread_cond_wait(&f->_shared.has_work, &f->_shared.lock);
    const struct bk_lines lines = f->_shared.lines;
    f->_shared.lines = (struct bk_lines){.bytes = f->writing.bytes};
    f->writing = lines;
    *ret_reopen_at = f->_shared.reopen_at;
    *ret_fresh = f->_shared.fresh;
    *ret_without_room = f->_shared.n_without_room;
    f->_shared.fresh = (struct bk_audit_place){NULL, 0, 0};
    f->_shared.n_without_room = 0;
    const bool is_end = f->_shared.is_stopping && lines.len == 0;
    pthread_mutex_unlock(&f->_shared.lock);
    return !is_end || ret_fresh->path || *ret_without_room > 0;
}

static void *bk_audit_file_run(void *arg)
{
    struct bk_audit_file *f = arg;
    struct bk_audit_place fresh;
    size_t reopen_at;
    uint64_t n_without_room;
    while (bk_audit_file_take(f, &reopen_at, &fresh, &n_without_room)) {
        const size_t before = fresh.path ? reopen_at : 0;
        bk_audit_file_write(f, f->writing.bytes, before);
        if (fresh.path && bk_audit_file_use(f, &fresh) < 0) {
            log_error(NULL, "audit-log: the file that was open goes on: %s", err_text());
            free(fresh.path);
        }
        bk_audit_file_write(f, f->writing.bytes + before, f->writing.len - before);
        if (n_without_room > 0)
            bk_audit_file_lose(f, (int64_t)n_without_room, "the disk is too slow");
    }
    return NULL;
}

/* --- Life */

static void bk_audit_file_free(struct bk_audit_file *f)
{
    metrics_remove(f->registry, &f->metrics);
    pthread_cond_destroy(&f->_shared.has_work);
    pthread_mutex_destroy(&f->_shared.lock);
    if (f->fd >= 0)
        close(f->fd);
    free(f->place.path);
    free(f->_shared.fresh.path);
    free(f->_shared.lines.bytes);
    free(f->writing.bytes);
    free(f);
}

static int bk_audit_file_begin(struct bk_audit_file *f, const struct bk_audit_file_params *params)
{
    struct bk_audit_place place;
    int e = bk_audit_place_init(&place, params);
    if (e < 0)
        return e;
    e = bk_audit_file_use(f, &place);
    if (e < 0) {
        free(place.path);
        return e;
    }
    f->writing.bytes = malloc(BK_AUDIT_WAITING_MAX);
    f->_shared.lines.bytes = malloc(BK_AUDIT_WAITING_MAX);
    if (!f->writing.bytes || !f->_shared.lines.bytes ||
        metrics_add(f->registry, "broker_audit", bk_audit_metric_infos,
                    sizeof bk_audit_metric_infos / sizeof bk_audit_metric_infos[0], &f->metrics) < 0)
        return err_set(-ENOMEM, "out of memory");
    return thread_start("audit", bk_audit_file_run, f, &f->thread);
}

int bk_audit_file_open(const struct bk_audit_file_params *params, struct metrics_registry *registry,
                       struct bk_audit_file **ret_file)
{
    struct bk_audit_file *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(-ENOMEM, "out of memory");
    f->fd = -1;
    f->registry = registry;
    pthread_mutex_init(&f->_shared.lock, NULL);
    pthread_cond_init(&f->_shared.has_work, NULL);
    const int e = bk_audit_file_begin(f, params);
    if (e < 0) {
        bk_audit_file_free(f);
        return e;
    }
    *ret_file = f;
    return 0;
}

struct bk_audit_file *bk_audit_file_close(struct bk_audit_file *f)
{
    if (!f)
        return NULL;
    pthread_mutex_lock(&f->_shared.lock);
    f->_shared.is_stopping = true;
    pthread_cond_signal(&f->_shared.has_work);
    pthread_mutex_unlock(&f->_shared.lock);
    pthread_join(f->thread, NULL);
    bk_audit_file_free(f);
    return NULL;
}

/* --- Any thread */

void bk_audit_file_add(struct bk_audit_file *f, const char *line, size_t len)
{
    pthread_mutex_lock(&f->_shared.lock);
    struct bk_lines *lines = &f->_shared.lines;
    if (len > BK_AUDIT_WAITING_MAX - lines->len) {
        f->_shared.n_without_room++;
    } else {
        memcpy(lines->bytes + lines->len, line, len);
        lines->len += len;
    }
    pthread_cond_signal(&f->_shared.has_work);
    pthread_mutex_unlock(&f->_shared.lock);
}

void bk_audit_file_reopen(struct bk_audit_file *f, const struct bk_audit_file_params *params)
{
    struct bk_audit_place place;
    if (bk_audit_place_init(&place, params) < 0) {
        log_error(NULL, "audit-log: the file that was open goes on: %s", err_text());
        return;
    }
    pthread_mutex_lock(&f->_shared.lock);
    free(f->_shared.fresh.path); /* of a request that nobody has got to yet */
    f->_shared.fresh = place;
    f->_shared.reopen_at = f->_shared.lines.len;
    pthread_cond_signal(&f->_shared.has_work);
    pthread_mutex_unlock(&f->_shared.lock);
}
