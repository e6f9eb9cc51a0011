/* Eight bytes of text at a time: questions about a word of ASCII, for mqtt_utf8.c and mqtt_topic.c only.
 *
 * "Holds a zero byte" is (word - ONES) & HIGHS, which is exact as long as no byte of the word has its high bit set; the
 * callers ask about that bit in the same breath, so a wrong yes only sends them the slow way. */
#ifndef MQTT_SWAR_H
#define MQTT_SWAR_H

#include <stdint.h>
#include <string.h>

#define SWAR_ONES  UINT64_C(0x0101010101010101)
#define SWAR_HIGHS UINT64_C(0x8080808080808080)

static inline uint64_t swar_load(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* SWAR_HIGHS of it is not zero if a byte of WORD is 0 or not ASCII. */
static inline uint64_t swar_not_plain(uint64_t word)
{
    return (word - SWAR_ONES) | word;
}

/* Likewise if a byte of WORD, which is all ASCII, is "+" (0x2B) or "#" (0x23): they differ in one bit, which is masked.
 */
static inline uint64_t swar_has_wildcard(uint64_t word)
{
    return ((word & ~(SWAR_ONES * 0x08)) ^ (SWAR_ONES * 0x23)) - SWAR_ONES;
}

#endif
