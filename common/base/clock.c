/* See clock.h. */
#include "clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

void clock_format_wall(char *buf)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(buf, 25, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(buf + n, 25 - n, ".%03uZ", (unsigned)(now.tv_nsec / 1000000) % 1000);
}
