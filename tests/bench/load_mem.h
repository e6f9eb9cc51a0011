/* Memory for a measuring program: a shortage ends it with a message, since half a measurement is none. */
#ifndef LOAD_MEM_H
#define LOAD_MEM_H

#include <stdio.h>
#include <stdlib.h>

static inline void *load_mem_check(void *p, size_t size)
{
    if (!p) {
        fprintf(stderr, "mqtt-load: no memory for %zu bytes\n", size);
        exit(1);
    }
    return p;
}

/* SIZE zero bytes; freed with free(). */
static inline void *load_mem_zeroed(size_t count, size_t size)
{
    return load_mem_check(calloc(count ? count : 1, size ? size : 1), count * size);
}

static inline void *load_mem_resize(void *old, size_t size)
{
    return load_mem_check(realloc(old, size), size);
}

#endif
