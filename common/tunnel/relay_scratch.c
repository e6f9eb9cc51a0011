/* One small scratch per thread: packets are decoded one after the other, so the next one finds it free, unless a packet
 * that waits has taken it along. */
#include <pthread.h>
#include <stdlib.h>

#include "relay_internal.h"

enum {
    SCRATCH_MIN = 4 * 1024,
    SCRATCH_KEPT_MAX = 64 * 1024, /* larger ones were for one packet */
};

static _Thread_local struct relay_scratch spare;
static pthread_key_t spare_key; /* its value is spare.bytes, so that it goes with the thread */
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    pthread_key_create(&spare_key, free);
}

static void set_spare(struct relay_scratch s)
{
    spare = s;
    pthread_setspecific(spare_key, s.bytes);
}

bool relay_scratch_take(struct relay_scratch *s, size_t size)
{
    pthread_once(&spare_once, make_key);
    if (spare.bytes && spare.size >= size) {
        *s = spare;
        set_spare((struct relay_scratch){NULL, 0});
        return true;
    }
    size = size > SCRATCH_MIN ? size : SCRATCH_MIN;
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return false;
    *s = (struct relay_scratch){.bytes = bytes, .size = size};
    return true;
}

void relay_scratch_give_back(struct relay_scratch *s)
{
    if (s->bytes && !spare.bytes && s->size <= SCRATCH_KEPT_MAX)
        set_spare(*s);
    else
        free(s->bytes);
    *s = (struct relay_scratch){NULL, 0};
}
