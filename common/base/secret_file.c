/* See secret_file.h. */
#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

enum { SECRET_FILE_FIRST = 4096 }; /* bytes, doubled as needed: a pipe does not say how long it is */

struct secret_text {
    char *text;
    size_t len, size;
};

char *secret_file_wipe(char *text, size_t len)
{
    if (text)
        explicit_bzero(text, len);
    free(text);
    return NULL;
}

/* realloc() would leave a copy behind. */
static int secret_text_grow(struct secret_text *t)
{
    const size_t size = t->size ? t->size * 2 : SECRET_FILE_FIRST;
    char *text = malloc(size);
    if (!text)
        return -ENOMEM;
    if (t->text)
        memcpy(text, t->text, t->len);
    secret_file_wipe(t->text, t->len);
    t->text = text;
    t->size = size;
    return 0;
}

/* Always leaves room for a NUL. */
static int secret_text_fill(struct secret_text *t, int fd, size_t max)
{
    for (;;) {
        if (t->size - t->len < 2 && secret_text_grow(t) < 0)
            return -ENOMEM;
        const ssize_t n = read(fd, t->text + t->len, t->size - t->len - 1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        t->len += n > 0 ? (size_t)n : 0;
        if (t->len > max)
            return -EFBIG;
    }
}

int secret_file_read(const char *file, size_t max, char **ret_text, size_t *ret_len)
{
    struct secret_text t = {.text = NULL};
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(-errno, "%s", file);
    int r = secret_text_fill(&t, fd, max);
    close(fd);
    if (r < 0) {
        secret_file_wipe(t.text, t.len);
        return r == -EFBIG ? err_set(r, "%s: longer than %zu bytes", file, max) : err_errno(r, "%s", file);
    }
    t.text[t.len] = '\0';
    *ret_text = t.text;
    *ret_len = t.len;
    return 0;
}

/* LINE has LEN bytes and a byte behind them that may be overwritten. */
static int secret_line(char *line, size_t len, secret_file_line_fn *fn, void *arg)
{
    if (memchr(line, '\0', len))
        return err_set(-EINVAL, "there is a NUL in it");
    while (len > 0 && strchr(" \t\r", line[len - 1]))
        len--;
    line[len] = '\0';
    return len == 0 || line[0] == '#' ? 0 : fn(line, arg);
}

int secret_file_each_line(const char *file, secret_file_line_fn *fn, void *arg)
{
    char *text = NULL;
    size_t len = 0;
    int r = secret_file_read(file, SIZE_MAX / 4, &text, &len);
    if (r < 0)
        return r;
    size_t number = 1;
    for (char *line = text; r == 0 && line < text + len; number++) {
        char *end = memchr(line, '\n', (size_t)(text + len - line));
        end = end ? end : text + len;
        r = err_context(secret_line(line, (size_t)(end - line), fn, arg), "%s, line %zu", file, number);
        line = end + 1;
    }
    secret_file_wipe(text, len);
    return r;
}

bool secret_file_is_exposed(const char *file, char *text, size_t n)
{
    struct stat st;
    if (!file || stat(file, &st) < 0 || !(st.st_mode & (S_IRWXG | S_IRWXO)))
        return false;
    snprintf(text, n, "%s can be read by others than its owner (mode %03o): chmod 600", file, st.st_mode & 0777);
    return true;
}
