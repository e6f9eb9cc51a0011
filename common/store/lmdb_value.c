/* See lmdb_value.h. Eight bytes a step, little-endian words (LMDB's file is of the machine's byte order anyway). */
#include "lmdb_value.h"

#define LMDB_SUM_FACTOR UINT64_C(0x9E3779B97F4A7C15)

static uint64_t lmdb_sum_step(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * LMDB_SUM_FACTOR;
    return sum ^ sum >> 32;
}

static uint64_t lmdb_sum(uint64_t sum, const uint8_t *bytes, size_t n)
{
    uint64_t word;
    for (; n >= sizeof word; n -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        sum = lmdb_sum_step(sum, word);
    }
    word = 0;
    if (n)
        memcpy(&word, bytes, n);
    return lmdb_sum_step(sum, word);
}

/* The lengths go first: bytes that move from the key to the value are another sum. */
uint32_t lmdb_checksum(struct store_bytes key, const void *bytes, size_t n)
{
    uint64_t sum = lmdb_sum_step(LMDB_SUM_FACTOR, (uint64_t)key.len << 32 | n);
    sum = lmdb_sum(sum, key.bytes, key.len);
    sum = lmdb_sum(sum, bytes, n);
    return (uint32_t)(sum ^ sum >> 32);
}
