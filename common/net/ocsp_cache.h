/* What is known by OCSP, under a key of OCSP_DIGEST_BYTES, for a time. Bounded: the entry made longest ago makes way.
 * Not locked. Private to net. */
#ifndef OCSP_CACHE_H
#define OCSP_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "list.h"
#include "map.h"
#include "ocsp.h"

struct ocsp_cache {
    struct map map;
    struct list by_age; /* the oldest first */
    size_t max;
};

void ocsp_cache_init(struct ocsp_cache *c, size_t max);
/* Forgets everything; C may be used further. */
void ocsp_cache_clear(struct ocsp_cache *c);
void ocsp_cache_deinit(struct ocsp_cache *c);

/* KEY has STATUS before UNTIL; replaces what was known. What memory is short for is not kept. */
void ocsp_cache_put(struct ocsp_cache *c, const uint8_t *key, enum ocsp_status status, time_t until);
/* False: nothing is known at NOW. */
bool ocsp_cache_get(const struct ocsp_cache *c, const uint8_t *key, time_t now, enum ocsp_status *ret_status);

#endif
