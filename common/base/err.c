/* The error text of each thread. See err.h. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ERR_TEXT_MAX = 1024 };

static _Thread_local char err_buffer[ERR_TEXT_MAX];

/* Everything is formatted beside the present text first: the arguments may point into it. */
static void err_replace(const char *fmt, va_list args, const char *behind)
{
    char text[ERR_TEXT_MAX];
    int n = vsnprintf(text, sizeof(text), fmt, args);
    if (n < 0)
        text[0] = '\0';
    if (behind && n >= 0 && (size_t)n < sizeof(text)) {
        /* Cut on purpose when it does not fit: the context in front says more. */
        strncat(text, ": ", sizeof(text) - 1 - (size_t)n);
        strncat(text, behind, sizeof(text) - 1 - strlen(text));
    }
    memcpy(err_buffer, text, sizeof(text));
}

/* R may be -errno, evaluated before or after this call. */
int err_set_text(const char *fmt, ...)
{
    const int saved_errno = errno;
    va_list args;
    va_start(args, fmt);
    err_replace(fmt, args, NULL);
    va_end(args);
    errno = saved_errno;
    return 0;
}

int err_errno(int r, const char *fmt, ...)
{
    char reason[128];
    va_list args;
    va_start(args, fmt);
    err_replace(fmt, args, strerror_r(r < 0 ? -r : r, reason, sizeof(reason)));
    va_end(args);
    return r;
}

int err_context(int r, const char *fmt, ...)
{
    if (r >= 0)
        return r;
    char present[ERR_TEXT_MAX];
    memcpy(present, err_text(), strlen(err_text()) + 1);
    va_list args;
    va_start(args, fmt);
    err_replace(fmt, args, present);
    va_end(args);
    return r;
}

const char *err_text(void)
{
    return err_buffer[0] ? err_buffer : "unknown error";
}
