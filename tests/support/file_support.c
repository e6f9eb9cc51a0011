/* See file_support.h. */
#include "file_support.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[32];

void file_support_make(void)
{
    strcpy(path, "/tmp/test-file.XXXXXX");
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

void file_support_remove(void)
{
    unlink(path);
}

const char *file_support_write_bytes(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    fclose(f);
    return path;
}

const char *file_support_write(const char *text)
{
    return file_support_write_bytes(text, strlen(text));
}
