/* See log.h. Lines are built by log_writer; here is where they go, and whether. */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <unistd.h>

#include "clock.h"
#include "log_writer.h"

#define LOG_INFO_THRESHOLD(constant, name) LOG_LEVEL_INFO,
_Atomic uint8_t log_thresholds[LOG_MODULE_COUNT] = {LOG_MODULES(LOG_INFO_THRESHOLD)};

static _Atomic int log_present_format;

/* _shared: only under the mutex, except that `has_sink` may be read without. */
static struct {
    pthread_mutex_t mutex;
    atomic_bool has_sink;
    log_sink_fn *fn;
    void *arg;
} log_sink_shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void log_set_format(enum log_format format)
{
    atomic_store_explicit(&log_present_format, format, memory_order_relaxed);
}

void log_apply_filter(const struct log_filter *filter)
{
    for (size_t i = 0; i < LOG_MODULE_COUNT; i++)
        atomic_store_explicit(&log_thresholds[i], filter->thresholds[i], memory_order_relaxed);
}

int log_set_filter(const char *text)
{
    struct log_filter filter;
    int r = log_filter_parse(text, LOG_FILTER_STRICT, &filter);
    if (r < 0)
        return r;
    log_apply_filter(&filter);
    return 0;
}

void log_set_sink(log_sink_fn *fn, void *arg)
{
    pthread_mutex_lock(&log_sink_shared.mutex);
    log_sink_shared.fn = fn;
    log_sink_shared.arg = arg;
    atomic_store_explicit(&log_sink_shared.has_sink, fn != NULL, memory_order_relaxed);
    pthread_mutex_unlock(&log_sink_shared.mutex);
}

static bool log_to_sink(const char *line, size_t len)
{
    if (!atomic_load_explicit(&log_sink_shared.has_sink, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&log_sink_shared.mutex);
    const bool has_sink = log_sink_shared.fn != NULL;
    if (has_sink)
        log_sink_shared.fn(log_sink_shared.arg, line, len);
    pthread_mutex_unlock(&log_sink_shared.mutex);
    return has_sink;
}

/* The rest of a line follows a short write; where nobody reads (EAGAIN, EPIPE, ENOSPC) the line is lost, not the
 * program. */
static void log_to_stderr(const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, line, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        line += n;
        len -= (size_t)n;
    }
}

__attribute__((format(printf, 5, 0))) static void log_emit(enum log_module module, enum log_level level,
                                                           const struct log_object *object, uint32_t suppressed,
                                                           const char *fmt, va_list args)
{
    const int saved_errno = errno; /* a caller that logs between a call and its look at errno shall not be surprised */
    struct log_writer w;
    log_writer_start(&w, atomic_load_explicit(&log_present_format, memory_order_relaxed), module, level);
    log_writer_object(&w, object);
    log_writer_finish(&w, suppressed, fmt, args);
    if (!log_to_sink(w.line, w.len))
        log_to_stderr(w.line, w.len);
    errno = saved_errno;
}

void log_write(enum log_module module, enum log_level level, const struct log_object *object, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_emit(module, level, object, 0, fmt, args);
    va_end(args);
}

/* Two threads at the edge of a window may let a line more through; the count of suppressed lines stays exact. */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint32_t *ret_suppressed)
{
    uint64_t start = atomic_load_explicit(&limit->window_start_ms, memory_order_relaxed);
    if (now_ms >= start && now_ms - start >= limit->interval_ms &&
        atomic_compare_exchange_strong_explicit(&limit->window_start_ms, &start, now_ms, memory_order_relaxed,
                                                memory_order_relaxed))
        atomic_store_explicit(&limit->used, 0, memory_order_relaxed);
    if (atomic_load_explicit(&limit->used, memory_order_relaxed) >= limit->lines) {
        atomic_fetch_add_explicit(&limit->suppressed, 1, memory_order_relaxed);
        return false;
    }
    atomic_fetch_add_explicit(&limit->used, 1, memory_order_relaxed);
    *ret_suppressed = atomic_exchange_explicit(&limit->suppressed, 0, memory_order_relaxed);
    return true;
}

void log_write_limited(struct log_limit *limit, enum log_module module, enum log_level level,
                       const struct log_object *object, const char *fmt, ...)
{
    uint32_t suppressed;
    if (!log_limit_pass(limit, clock_now_ms(), &suppressed))
        return;
    va_list args;
    va_start(args, fmt);
    log_emit(module, level, object, suppressed, fmt, args);
    va_end(args);
}
