/* Log lines: what happened, to which object, and why. One line is one write(2) to stderr; any thread may log.
 *
 *   2026-11-21T09:57:00.123Z INFO r_proxy client=17 peer=10.0.0.8:50122 id='pump-3': connected, MQTT 5
 *
 * A source file says `#define LOG_MODULE LOG_TUNNEL` above its includes; a line that the filter turns off costs one
 * relaxed load and evaluates none of its arguments. Payloads and passwords never appear. Text that strangers chose goes
 * through str_quote() or log_field_bytes(). The object (may be NULL) names itself: it embeds a struct log_object. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log_filter.h"

struct log_writer;

/* What a line is about. */
struct log_object {
    /* Emits the fields of the object, by the log_field...() functions. NULL: the object has only a parent. */
    void (*describe)(const struct log_object *self, struct log_writer *w);
    const struct log_object *parent; /* its fields stand in front; NULL if there is none */
};

/* client=17. The text is ours; NAME is a literal. */
void log_field(struct log_writer *w, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* client=17, and a number in JSON. */
void log_field_u64(struct log_writer *w, const char *name, uint64_t value);
/* id='pump-3': bytes of a stranger, shortened and made harmless. */
void log_field_bytes(struct log_writer *w, const char *name, const void *bytes, size_t n);

enum log_format {
    LOG_FORMAT_TEXT = 0, /* for people */
    LOG_FORMAT_JSON,     /* one object per line: time, level, module, the fields, message */
};

void log_set_format(enum log_format format);
/* The filter from now on; any thread, at any time. 0, or -EINVAL with err_text() and no change. */
int log_set_filter(const char *text);
void log_apply_filter(const struct log_filter *filter);

/* Lines (with their newline) go to FN instead of stderr, one at a time; NULL: to stderr again. FN may not log. */
typedef void log_sink_fn(void *arg, const char *line, size_t len);
void log_set_sink(log_sink_fn *fn, void *arg);

extern _Atomic uint8_t log_thresholds[LOG_MODULE_COUNT];

static inline bool log_is_on(enum log_module module, enum log_level level)
{
    return level <= atomic_load_explicit(&log_thresholds[module], memory_order_relaxed);
}

/* Behind the macros. */
void log_write(enum log_module module, enum log_level level, const struct log_object *object, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define log_at(level, object, ...)                               \
    do {                                                         \
        if (log_is_on(LOG_MODULE, (level)))                      \
            log_write(LOG_MODULE, (level), object, __VA_ARGS__); \
    } while (0)

#define log_error(object, ...) log_at(LOG_LEVEL_ERROR, object, __VA_ARGS__)
#define log_warn(object, ...)  log_at(LOG_LEVEL_WARN, object, __VA_ARGS__)
#define log_info(object, ...)  log_at(LOG_LEVEL_INFO, object, __VA_ARGS__)
#define log_debug(object, ...) log_at(LOG_LEVEL_DEBUG, object, __VA_ARGS__)
#define log_trace(object, ...) log_at(LOG_LEVEL_TRACE, object, __VA_ARGS__)

/* At most LINES lines per INTERVAL_MS; the first line after that says how many were left out. Usually static, next to
 * the statement it limits; all threads may share it. */
struct log_limit {
    uint32_t lines;
    uint32_t interval_ms;
    _Atomic uint64_t window_start_ms;
    _Atomic uint32_t used;
    _Atomic uint32_t suppressed;
};

#define LOG_LIMIT(n_lines, per_ms)                  \
    {                                               \
        .lines = (n_lines), .interval_ms = (per_ms) \
    }

/* Whether a line may be written at NOW_MS; if so, how many were not since the last one. */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint32_t *ret_suppressed);

void log_write_limited(struct log_limit *limit, enum log_module module, enum log_level level,
                       const struct log_object *object, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/*   static struct log_limit limit = LOG_LIMIT(5, 10000);
 *   log_rate_limited(&limit, LOG_LEVEL_WARN, &c->log, "CONNECT refused: %s", err_text()); */
#define log_rate_limited(limit, level, object, ...)                               \
    do {                                                                          \
        if (log_is_on(LOG_MODULE, (level)))                                       \
            log_write_limited((limit), LOG_MODULE, (level), object, __VA_ARGS__); \
    } while (0)

#endif
