/* Time. Everything that measures waits uses the monotonic clock; wall time is only for log lines. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ms(void);
uint64_t clock_now_us(void);
/* "2026-11-21T09:57:00.123Z" into BUF of at least 25 bytes. */
void clock_format_wall(char *buf);

#endif
