/* See sp_limits.h. */
#include "sp_limits.h"

#include "sp_options.h"

enum { SP_OTHER_FILES = 32 }; /* listeners, log, loops; trunks have a share of their own */

void sp_limits_init(struct sp_limits *l, const struct sp_options *options, uint64_t n_files)
{
    const uint64_t other_files = SP_OTHER_FILES + n_files / 8;
    l->sessions.max = (uint64_t)options->max_sessions;
    if (l->sessions.max == 0)
        l->sessions.max = n_files > other_files ? n_files - other_files : 1;
    l->trunks.max = (uint64_t)options->max_trunks;
}

bool sp_limit_take(struct sp_limit *l)
{
    if (atomic_fetch_add_explicit(&l->count, 1, memory_order_relaxed) < l->max || l->max == 0)
        return true;
    sp_limit_give(l);
    return false;
}

void sp_limit_give(struct sp_limit *l)
{
    atomic_fetch_sub_explicit(&l->count, 1, memory_order_relaxed);
}
