/* Random numbers of the kernel: session ids, seeds, jitter. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fill DST with N unpredictable bytes. 0 or a negative errno with err_text() (a kernel that refuses; nothing to fall
 * back to). */
int random_bytes(void *dst, size_t n);
/* 0 <= result < N, evenly; 0 when N is 0. For jitter, not for secrets: it answers even when the kernel does not. */
uint32_t random_below(uint32_t n);

#endif
