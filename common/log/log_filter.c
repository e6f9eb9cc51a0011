/* See log_filter.h. The text is cut at commas (not at those inside the [span{a,b}] of RUST_LOG), each part at '='. */
#include "log_filter.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "err.h"

enum { LOG_THRESHOLD_UNSET = 255 };

/* A piece of the text; not ended by NUL. */
struct log_part {
    const char *at;
    size_t len;
};

static const char *const log_level_names[LOG_LEVEL_COUNT] = {"off", "error", "warn", "info", "debug", "trace"};

#define LOG_MODULE_NAME(constant, name) name,
static const char *const log_module_names[LOG_MODULE_COUNT] = {LOG_MODULES(LOG_MODULE_NAME)};

const char *log_level_name(enum log_level level)
{
    return log_level_names[level];
}

const char *log_module_name(enum log_module module)
{
    return log_module_names[module];
}

static struct log_part log_part_trim(struct log_part part)
{
    while (part.len > 0 && (*part.at == ' ' || *part.at == '\t')) {
        part.at++;
        part.len--;
    }
    while (part.len > 0 && (part.at[part.len - 1] == ' ' || part.at[part.len - 1] == '\t'))
        part.len--;
    return part;
}

static bool log_find_level(struct log_part part, uint8_t *ret_level)
{
    for (unsigned level = 0; level < LOG_LEVEL_COUNT; level++) {
        const char *name = log_level_names[level];
        if (strlen(name) == part.len && strncasecmp(name, part.at, part.len) == 0) {
            *ret_level = (uint8_t)level;
            return true;
        }
    }
    return false;
}

static bool log_module_is(const char *name, struct log_part part)
{
    if (strlen(name) != part.len)
        return false;
    for (size_t i = 0; i < part.len; i++) {
        if ((part.at[i] == '-' ? '_' : part.at[i]) != name[i])
            return false;
    }
    return true;
}

static bool log_find_module(struct log_part part, size_t *ret_module)
{
    for (size_t i = 0; i < LOG_MODULE_COUNT; i++) {
        if (log_module_is(log_module_names[i], part)) {
            *ret_module = i;
            return true;
        }
    }
    return false;
}

static int log_filter_wrong(const char *what, struct log_part part)
{
    return err_set(-EINVAL, "log filter: \"%.*s\" is %s", (int)part.len, part.at, what);
}

/* MODULE=LEVEL, or MODULE alone, which means everything. */
static int log_filter_parse_module(struct log_part name, struct log_part level, struct log_filter *filter)
{
    size_t module;
    uint8_t threshold = LOG_LEVEL_TRACE;
    if (!log_find_module(name, &module))
        return log_filter_wrong(level.at ? "not a module" : "neither a level nor a module", name);
    if (level.at && !log_find_level(level, &threshold))
        return log_filter_wrong("not a level (off, error, warn, info, debug, trace)", level);
    filter->thresholds[module] = threshold;
    return 0;
}

static int log_filter_parse_part(struct log_part part, struct log_filter *filter, uint8_t *all)
{
    const char *equals = memchr(part.at, '=', part.len);
    if (part.len == 0 || (!equals && log_find_level(part, all)))
        return 0;
    if (!equals)
        return log_filter_parse_module(part, (struct log_part){NULL, 0}, filter);
    struct log_part name = {part.at, (size_t)(equals - part.at)};
    struct log_part level = {equals + 1, part.len - name.len - 1};
    return log_filter_parse_module(log_part_trim(name), log_part_trim(level), filter);
}

/* The text up to the next comma; *TEXT moves behind it, and to NULL at the end. */
static struct log_part log_filter_cut(const char **text)
{
    const char *at = *text;
    int depth = 0;
    size_t len = 0;
    for (; at[len] != '\0' && (at[len] != ',' || depth > 0); len++) {
        depth += at[len] == '[' || at[len] == '{';
        depth -= at[len] == ']' || at[len] == '}';
    }
    *text = at[len] == '\0' ? NULL : at + len + 1;
    return log_part_trim((struct log_part){at, len});
}

int log_filter_parse(const char *text, enum log_filter_mode mode, struct log_filter *ret_filter)
{
    struct log_filter filter;
    uint8_t all = LOG_LEVEL_INFO;
    memset(filter.thresholds, LOG_THRESHOLD_UNSET, sizeof(filter.thresholds));
    while (text) {
        int r = log_filter_parse_part(log_filter_cut(&text), &filter, &all);
        if (r < 0 && mode == LOG_FILTER_STRICT)
            return r;
    }
    for (size_t i = 0; i < LOG_MODULE_COUNT; i++) {
        if (filter.thresholds[i] == LOG_THRESHOLD_UNSET)
            filter.thresholds[i] = all;
    }
    *ret_filter = filter;
    return 0;
}
