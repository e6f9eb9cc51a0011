/* A log line while it is built, as text or as JSON. Only log.c uses this. A line never grows beyond its buffer: values
 * that do not fit are cut with "...", fields that do not fit are left out, and the message keeps a share of its own. */
#ifndef LOG_LOG_WRITER_H
#define LOG_LOG_WRITER_H

#include <stdarg.h>

#include "log.h"

enum {
    LOG_LINE_MAX = 4096,                   /* PIPE_BUF: lines of several threads or processes in one pipe do not mix */
    LOG_FIELDS_MAX = LOG_LINE_MAX * 3 / 4, /* the message has the rest */
    LOG_MESSAGE_MAX = LOG_LINE_MAX - 64,   /* room for "...", how many were suppressed, and the end */
};

struct log_writer {
    enum log_format format;
    size_t len;
    size_t limit; /* of what is written at present; a value that was cut has its dots behind it */
    char line[LOG_LINE_MAX];
};

/* Time, level and module. */
void log_writer_start(struct log_writer *w, enum log_format format, enum log_module module, enum log_level level);
/* The fields of OBJECT behind those of its parents. NULL: none. */
void log_writer_object(struct log_writer *w, const struct log_object *object);
/* The message and the end of the line, newline included. SUPPRESSED > 0 is mentioned. */
void log_writer_finish(struct log_writer *w, uint32_t suppressed, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
