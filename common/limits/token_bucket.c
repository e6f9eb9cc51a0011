/* See token_bucket.h. A token is 1,000 parts, so that a millisecond is worth `rate` of them. */
#include "token_bucket.h"

enum { TOKEN_PARTS = 1000 };

void token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t now_ms)
{
    *b = (struct token_bucket){.rate = rate, .milli = (int64_t)rate * TOKEN_PARTS, .now_ms = now_ms};
}

static void token_bucket_refill(struct token_bucket *b, uint64_t now_ms)
{
    const int64_t full = (int64_t)b->rate * TOKEN_PARTS;
    const uint64_t missing = (uint64_t)(full - b->milli);
    const uint64_t passed_ms = now_ms - b->now_ms;
    b->now_ms = now_ms;
    if (passed_ms >= missing / b->rate + 1) /* so compared, nothing can overflow */
        b->milli = full;
    else
        b->milli += (int64_t)(passed_ms * b->rate);
    if (b->milli > full)
        b->milli = full;
}

bool token_bucket_take(struct token_bucket *b, uint64_t now_ms)
{
    if (b->rate == 0)
        return true;
    token_bucket_refill(b, now_ms);
    if (b->milli < TOKEN_PARTS)
        return false;
    b->milli -= TOKEN_PARTS;
    return true;
}

uint64_t token_bucket_spend(struct token_bucket *b, uint64_t n, uint64_t now_ms)
{
    if (b->rate == 0)
        return 0;
    token_bucket_refill(b, now_ms);
    b->milli -= (int64_t)n * TOKEN_PARTS;
    return b->milli >= 0 ? 0 : ((uint64_t)-b->milli + b->rate - 1) / b->rate;
}
