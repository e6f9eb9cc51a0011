/* All topics and all filters of a few levels over a few words, for tests that want every case. */
#ifndef TOPIC_WORDS_H
#define TOPIC_WORDS_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "mqtt_topic.h"

/* For long loops: ck_assert() writes each claim into a file. */
#define claim(what)                                    \
    do {                                               \
        if (!(what))                                   \
            ck_abort_msg("line %d: " #what, __LINE__); \
    } while (0)

enum { WORD_BYTES = 16, WORDS_MAX = 4096 };

struct topic_words {
    char text[WORDS_MAX][WORD_BYTES];
    uint32_t n;
};

/* 0 .. N - 1, the same ones in each run. */
static inline uint32_t random_of(uint32_t n)
{
    static uint64_t state = 88172645463325252U;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

static inline struct mqtt_bytes bytes_of(const char *text)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)text, .len = (uint32_t)strlen(text)};
}

/* Behind each of the words FROM to TO, "/" and each of LEVELS. */
static inline void words_deepen(struct topic_words *w, size_t from, size_t to, const char *const *levels,
                                size_t n_levels)
{
    for (size_t i = from; i < to; i++) {
        for (size_t j = 0; j < n_levels; j++) {
            claim(w->n < WORDS_MAX);
            int len = snprintf(w->text[w->n++], WORD_BYTES, "%s/%s", w->text[i], levels[j]);
            claim(len < WORD_BYTES);
        }
    }
}

/* Those that are no valid filter are left out: the empty one, "#" in the middle. */
static inline void words_fill(struct topic_words *w, unsigned depth, const char *const *levels, size_t n_levels)
{
    uint32_t n_valid = 0;
    w->n = 0;
    for (size_t i = 0; i < n_levels; i++)
        strcpy(w->text[w->n++], levels[i]);
    for (size_t from = 0, to = w->n; --depth > 0; from = to, to = w->n)
        words_deepen(w, from, to, levels, n_levels);
    for (size_t i = 0; i < w->n; i++)
        if (mqtt_topic_filter_is_valid(bytes_of(w->text[i])))
            memmove(w->text[n_valid++], w->text[i], WORD_BYTES);
    w->n = n_valid;
}

static inline void words_fill_topics(struct topic_words *w, unsigned depth)
{
    static const char *const levels[] = {"", "a", "b", "$x"};
    words_fill(w, depth, levels, 4);
}

static inline void words_fill_filters(struct topic_words *w, unsigned depth)
{
    static const char *const levels[] = {"", "a", "b", "$x", "+", "#"};
    words_fill(w, depth, levels, 6);
}

#endif
