/* See random.h. */
#include "random.h"

#include <errno.h>
#include <sys/random.h>

#include "clock.h"
#include "err.h"

int random_bytes(void *dst, size_t n)
{
    uint8_t *to = dst;
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(-errno, "getrandom");
        to += got;
        n -= (size_t)got;
    }
    return 0;
}

uint32_t random_below(uint32_t n)
{
    uint32_t value;
    if (random_bytes(&value, sizeof(value)) < 0)
        value = (uint32_t)clock_now_us() * 2654435761U;
    /* The high half of a 32 x 32 bit product; its bias is at most N / 2^32. */
    return (uint32_t)((uint64_t)value * n >> 32);
}
