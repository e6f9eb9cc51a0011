/* Matching as the standard words it (MQTT 5.0 section 4.7): too slow to use and too simple to be wrong. */
#ifndef SUPPORT_SLOW_MATCH_H
#define SUPPORT_SLOW_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

/* One byte at a time; recursion is fine here. */
static inline bool slow_match_bytes(const uint8_t *f, size_t f_len, const uint8_t *t, size_t t_len)
{
    if (f_len == 0)
        return t_len == 0;
    if (f[0] == '#')
        return true;
    if (f[0] == '+') {
        while (t_len > 0 && t[0] != '/')
            t++, t_len--;
        if (t_len == 0 && f_len == 3 && f[1] == '/' && f[2] == '#')
            return true;
        return slow_match_bytes(f + 1, f_len - 1, t, t_len);
    }
    if (t_len == 0)
        return f_len == 2 && f[0] == '/' && f[1] == '#';
    return f[0] == t[0] && slow_match_bytes(f + 1, f_len - 1, t + 1, t_len - 1);
}

/* Both are valid. */
static inline bool slow_match(struct mqtt_bytes filter, struct mqtt_bytes topic)
{
    bool is_hidden = topic.ptr[0] == '$' && (filter.ptr[0] == '#' || filter.ptr[0] == '+');
    return !is_hidden && slow_match_bytes(filter.ptr, filter.len, topic.ptr, topic.len);
}

#endif
