/* An input of libFuzzer as a file for functions that take a path: in memory, the same one each time. */
#ifndef FUZZ_MEMORY_FILE_H
#define FUZZ_MEMORY_FILE_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ensure.h"
#include "mqtt_packet.h"

/* Its path, until the next call. */
static inline const char *memory_file(struct mqtt_bytes bytes)
{
    static char path[40];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    ensure(fd >= 0 && ftruncate(fd, 0) == 0);
    ensure(bytes.len == 0 || pwrite(fd, bytes.ptr, bytes.len, 0) == (ssize_t)bytes.len);
    return path;
}

/* From the front of *REST up to a NUL, which *REST moves behind. */
static inline struct mqtt_bytes take_text(struct mqtt_bytes *rest)
{
    struct mqtt_bytes text = {.ptr = rest->ptr, .len = 0};
    while (text.len < rest->len && rest->ptr[text.len] != 0)
        text.len++;
    const uint32_t used = text.len < rest->len ? text.len + 1 : text.len;
    rest->ptr += used;
    rest->len -= used;
    return text;
}

#endif
