/* So many per second, with a second's worth saved up at most. Pure: the caller has the clock. */
#ifndef TOKEN_BUCKET_H
#define TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
    uint64_t rate;   /* per second; 0 = no limit */
    int64_t milli;   /* thousandths of tokens that are there; below 0: spent in advance */
    uint64_t now_ms; /* when that was */
};

/* Full at first. RATE up to 2^40. */
void token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t now_ms);
/* Take one if there is one. */
bool token_bucket_take(struct token_bucket *b, uint64_t now_ms);
/* Take N in any case, for what has happened already. Returns for how many ms nothing more should: 0 = go on. */
uint64_t token_bucket_spend(struct token_bucket *b, uint64_t n, uint64_t now_ms);

#endif
