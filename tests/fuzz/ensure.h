/* What a fuzz target claims: unlike assert() it is never compiled away, and its argument may do something. */
#ifndef FUZZ_ENSURE_H
#define FUZZ_ENSURE_H

#include <stdio.h>
#include <stdlib.h>

#define ensure(claim)                                                           \
    do {                                                                        \
        if (!(claim)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                            \
        }                                                                       \
    } while (0)

#endif
