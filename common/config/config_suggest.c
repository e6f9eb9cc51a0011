/* The known name that is nearest to an unknown one. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "config_loader.h"

/* How many letters to insert, delete or replace to make B of A. */
static size_t config_distance(const char *a, const char *b)
{
    size_t row[CONFIG_NAME_MAX + 1];
    const size_t n = strlen(b);
    if (n > CONFIG_NAME_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

static void config_nearest(const char *name, const struct config_slots *slots, const char **best, size_t *best_distance)
{
    for (size_t i = 0; slots && i < slots->count; i++) {
        size_t distance = config_distance(name, slots->slots[i].row->name);
        if (distance < *best_distance) {
            *best_distance = distance;
            *best = slots->slots[i].row->name;
        }
    }
}

const char *config_suggest(const char *name, const struct config_slots *slots, const struct config_slots *more,
                           char *buf, size_t size)
{
    const char *best = NULL;
    size_t distance = 3 + strlen(name) / 4; /* farther away it is another word */
    config_nearest(name, slots, &best, &distance);
    config_nearest(name, more, &best, &distance);
    buf[0] = '\0';
    if (best)
        snprintf(buf, size, "; did you mean %s?", best);
    return buf;
}
