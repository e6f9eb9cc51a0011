/* See log_writer.h. */
#include "log_writer.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "str.h"

enum {
    LOG_PARENTS_MAX = 8,   /* deeper is a ring by mistake */
    LOG_FIELD_MAX = 1024,  /* of one value */
    LOG_BYTES_SHOWN = 128, /* of what a stranger sent */
};

static bool log_put(struct log_writer *w, const char *text, size_t n)
{
    if (w->len + n > w->limit)
        return false;
    memcpy(w->line + w->len, text, n);
    w->len += n;
    return true;
}

/* For what has its room behind the limit. */
static void log_put_end(struct log_writer *w, const char *text)
{
    size_t n = strlen(text);
    if (n > LOG_LINE_MAX - w->len)
        n = LOG_LINE_MAX - w->len;
    memcpy(w->line + w->len, text, n);
    w->len += n;
}

static size_t log_escape_json(char *piece, size_t size, uint8_t byte)
{
    switch (byte) {
    case '"':
        return (size_t)snprintf(piece, size, "\\\"");
    case '\\':
        return (size_t)snprintf(piece, size, "\\\\");
    case '\n':
        return (size_t)snprintf(piece, size, "\\n");
    default:
        return (size_t)snprintf(piece, size, byte < 0x80 ? "\\u%04x" : "\\ufffd", (unsigned)byte);
    }
}

/* The character at AT as it may stand in a value, in PIECE; *RET_TAKEN is how many bytes of AT it stands for. */
static size_t log_escape(enum log_format format, const uint8_t *at, size_t n, char *piece, size_t size,
                         size_t *ret_taken)
{
    uint32_t code;
    size_t len = str_utf8_next(at, n, &code);
    const bool is_json = format == LOG_FORMAT_JSON;
    if (len > 0 && str_is_printable(code) && !(is_json && (code == '"' || code == '\\'))) {
        memcpy(piece, at, len);
        *ret_taken = len;
        return len;
    }
    *ret_taken = 1;
    if (!is_json)
        return (size_t)snprintf(piece, size, "\\x%02x", (unsigned)*at);
    if (len > 1) { /* JSON may hold it as it is; a terminal that shows JSON is not harmed by its escape */
        *ret_taken = len;
        return (size_t)snprintf(piece, size, code < 0x10000 ? "\\u%04x" : "\\ufffd", (unsigned)code);
    }
    return log_escape_json(piece, size, *at);
}

static void log_put_value(struct log_writer *w, const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    for (size_t n = strlen(text), taken; n > 0; at += taken, n -= taken) {
        char piece[12];
        size_t len = log_escape(w->format, at, n, piece, sizeof(piece), &taken);
        if (!log_put(w, piece, len)) {
            log_put_end(w, "...");
            w->limit = w->len; /* nothing behind a cut value */
            return;
        }
    }
}

/* The part in front of a value: ` name=` or `,"name":`. False if there is no room for it and a short value. */
static bool log_put_name(struct log_writer *w, const char *name)
{
    char text[64];
    int n = snprintf(text, sizeof(text), w->format == LOG_FORMAT_JSON ? ",\"%s\":" : " %s=", name);
    if (n < 0 || (size_t)n >= sizeof(text) || w->len + (size_t)n + 8 > w->limit)
        return false;
    return log_put(w, text, (size_t)n);
}

static void log_put_field(struct log_writer *w, const char *name, const char *value, const char *text_quote)
{
    if (!log_put_name(w, name))
        return;
    const char *quote = w->format == LOG_FORMAT_JSON ? "\"" : text_quote;
    log_put(w, quote, strlen(quote));
    log_put_value(w, value);
    log_put_end(w, quote);
}

void log_field(struct log_writer *w, const char *name, const char *fmt, ...)
{
    char value[LOG_FIELD_MAX];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(value, sizeof(value), fmt, args) < 0)
        value[0] = '\0';
    va_end(args);
    log_put_field(w, name, value, "");
}

void log_field_u64(struct log_writer *w, const char *name, uint64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    if (w->len + strlen(name) + (size_t)n + 8 <= w->limit && log_put_name(w, name))
        log_put(w, text, (size_t)n);
}

void log_field_bytes(struct log_writer *w, const char *name, const void *bytes, size_t n)
{
    char value[LOG_BYTES_SHOWN];
    log_put_field(w, name, str_quote(value, sizeof(value), bytes, n), "'");
}

void log_writer_start(struct log_writer *w, enum log_format format, enum log_module module, enum log_level level)
{
    static const char *const upper[LOG_LEVEL_COUNT] = {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
    char time[25];
    clock_format_wall(time);
    w->format = format;
    w->limit = LOG_FIELDS_MAX;
    int n = format == LOG_FORMAT_JSON
                ? snprintf(w->line, LOG_LINE_MAX, "{\"time\":\"%s\",\"level\":\"%s\",\"module\":\"%s\"", time,
                           log_level_name(level), log_module_name(module))
                : snprintf(w->line, LOG_LINE_MAX, "%s %s %s", time, upper[level], log_module_name(module));
    w->len = (size_t)n;
}

void log_writer_object(struct log_writer *w, const struct log_object *object)
{
    const struct log_object *chain[LOG_PARENTS_MAX];
    size_t n = 0;
    for (; object && n < LOG_PARENTS_MAX; object = object->parent)
        chain[n++] = object;
    while (n-- > 0) {
        if (chain[n]->describe)
            chain[n]->describe(chain[n], w);
    }
}

void log_writer_finish(struct log_writer *w, uint32_t suppressed, const char *fmt, va_list args)
{
    const bool is_json = w->format == LOG_FORMAT_JSON;
    char text[LOG_LINE_MAX];
    if (vsnprintf(text, sizeof(text), fmt, args) < 0)
        text[0] = '\0';
    w->limit = LOG_MESSAGE_MAX;
    log_put_end(w, is_json ? ",\"message\":\"" : ": ");
    log_put_value(w, text);
    if (suppressed > 0) {
        snprintf(text, sizeof(text), " (suppressed %u similar)", (unsigned)suppressed);
        log_put_end(w, text);
    }
    log_put_end(w, is_json ? "\"}\n" : "\n");
}
