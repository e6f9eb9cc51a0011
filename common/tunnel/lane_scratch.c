/* One small scratch per thread: packets are passed one after the other, so the next one finds it free, unless passing
 * one made another lane pass one. */
#include "lane_scratch.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    SCRATCH_MIN = 4 * 1024,
    SCRATCH_KEPT_MAX = 64 * 1024, /* larger ones were for one packet */
};

static _Thread_local struct lane_scratch spare;
static _Thread_local bool is_spare_lent;
static pthread_key_t spare_key; /* its value is spare.bytes, so that it goes with the thread */
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    pthread_key_create(&spare_key, free);
}

/* The thread keeps S from here on. */
static void replace_spare(struct lane_scratch s)
{
    pthread_once(&spare_once, make_key);
    free(spare.bytes);
    spare = s;
    pthread_setspecific(spare_key, s.bytes);
}

bool lane_scratch_take(struct lane_scratch *s, size_t size)
{
    if (!is_spare_lent && spare.bytes && spare.size >= size) {
        is_spare_lent = true;
        *s = spare;
        return true;
    }
    size = size > SCRATCH_MIN ? size : SCRATCH_MIN;
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return false;
    *s = (struct lane_scratch){.bytes = bytes, .size = size};
    if (!is_spare_lent && size <= SCRATCH_KEPT_MAX) {
        is_spare_lent = true;
        replace_spare(*s);
    }
    return true;
}

void lane_scratch_give_back(struct lane_scratch *s)
{
    if (s->bytes && s->bytes == spare.bytes)
        is_spare_lent = false;
    else
        free(s->bytes);
    *s = (struct lane_scratch){.bytes = NULL};
}
