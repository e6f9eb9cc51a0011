/* A value as it lies in LMDB: the bytes, and behind them a checksum of key and bytes. LMDB has none itself, so that a
 * page of something else, or of nothing, would be believed. */
#ifndef LMDB_VALUE_H
#define LMDB_VALUE_H

#include <string.h>

#include "store.h"

enum { LMDB_CHECKSUM_BYTES = 4 };

/* Against accident, not malice: every step is a bijection, so no change of a single word goes unseen before the last
 * fold, and others with 1 in 2^32. */
uint32_t lmdb_checksum(struct store_bytes key, const void *bytes, size_t n);

/* Behind the N bytes at BYTES. */
static inline void lmdb_value_seal(struct store_bytes key, uint8_t *bytes, size_t n)
{
    uint32_t sum = lmdb_checksum(key, bytes, n);
    memcpy(bytes + n, &sum, sizeof sum);
}

/* Without its checksum; false if that is wrong. */
static inline bool lmdb_value_unseal(struct store_bytes key, struct store_bytes sealed, struct store_bytes *ret_value)
{
    uint32_t sum;
    if (sealed.len < LMDB_CHECKSUM_BYTES)
        return false;
    size_t n = sealed.len - LMDB_CHECKSUM_BYTES;
    memcpy(&sum, (const uint8_t *)sealed.bytes + n, sizeof sum);
    if (sum != lmdb_checksum(key, sealed.bytes, n))
        return false;
    *ret_value = (struct store_bytes){sealed.bytes, n};
    return true;
}

#endif
