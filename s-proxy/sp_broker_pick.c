/* Choosing a broker (sp_broker_pick.h). */
#include "sp_broker_pick.h"

#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "random.h"
#include "sp_options.h"

enum {
    SP_BACKOFF_MIN_MS = 1000,
    SP_BACKOFF_MAX_MS = 30000,
};

int sp_broker_pick_init(struct sp_broker_pick *pick, const char *const *urls, unsigned count, unsigned turns)
{
    pick->count = 0;
    if (count == 0 || count > SP_BROKER_MAX)
        return err_set(-EINVAL, "upstream: between 1 and %d are possible, not %u", SP_BROKER_MAX, count);
    pick->brokers = calloc(count, sizeof pick->brokers[0]);
    if (!pick->brokers)
        return err_set(-ENOMEM, "upstream: out of memory");
    for (; pick->count < count; pick->count++) {
        struct sp_broker *b = &pick->brokers[pick->count];
        b->name = urls[pick->count];
        b->turns_max = turns;
        list_init(&b->waiting);
        int r = url_parse(b->name, SP_UPSTREAM_SCHEMES, &b->url);
        if (r < 0) {
            sp_broker_pick_deinit(pick);
            return err_context(r, "upstream");
        }
    }
    return 0;
}

void sp_broker_pick_deinit(struct sp_broker_pick *pick)
{
    free(pick->brokers);
    pick->brokers = NULL;
    pick->count = 0;
}

static bool sp_broker_is_due(const struct sp_broker *b, uint64_t now_ms)
{
    return b->retry_at_ms <= now_ms;
}

/* The first that is due; else the one that will be due first. */
static struct sp_broker *sp_broker_best(const struct sp_broker_pick *pick, uint64_t tried, uint64_t now_ms)
{
    struct sp_broker *best = NULL;
    for (unsigned i = 0; i < pick->count; i++) {
        struct sp_broker *b = &pick->brokers[i];
        if (tried & (UINT64_C(1) << i))
            continue;
        if (sp_broker_is_due(b, now_ms))
            return b;
        if (!best || b->retry_at_ms < best->retry_at_ms)
            best = b;
    }
    return best;
}

struct sp_broker *sp_broker_pick_next(struct sp_broker_pick *pick, struct sp_broker_tries *tries, uint64_t now_ms)
{
    struct sp_broker *b = sp_broker_best(pick, tries->tried, now_ms);
    if (!b)
        return NULL;
    tries->tried |= UINT64_C(1) << (b - pick->brokers);
    /* Until this probe has an answer the others go elsewhere. */
    if (b->retry_at_ms != 0 && sp_broker_is_due(b, now_ms)) {
        b->retry_at_ms = now_ms + b->backoff_ms;
        b->is_probing = true;
    }
    return b;
}

void sp_broker_has_answered(struct sp_broker *b)
{
    b->retry_at_ms = 0;
    b->backoff_ms = 0;
    b->is_probing = false;
}

bool sp_broker_has_failed(struct sp_broker *b, uint64_t now_ms)
{
    bool was_healthy = b->retry_at_ms == 0;
    /* A thousand sessions that fail together are one failure. */
    if (!was_healthy && !b->is_probing && !sp_broker_is_due(b, now_ms))
        return false;
    b->backoff_ms = b->backoff_ms ? b->backoff_ms * 2 : SP_BACKOFF_MIN_MS;
    if (b->backoff_ms > SP_BACKOFF_MAX_MS)
        b->backoff_ms = SP_BACKOFF_MAX_MS;
    b->retry_at_ms = now_ms + b->backoff_ms - random_below(b->backoff_ms / 4 + 1);
    b->is_probing = false;
    return was_healthy;
}
