/* How much r-proxies may open here, all together: --max-sessions, --max-trunks. Any thread. */
#ifndef SP_LIMITS_H
#define SP_LIMITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sp_options;

struct sp_limit {
    uint64_t max; /* 0 = no limit */
    _Atomic uint64_t count;
};

struct sp_limits {
    struct sp_limit sessions;
    struct sp_limit trunks;
};

/* N_FILES: how many this process may open, which is the limit of sessions where OPTIONS name none: each needs a
 * connection to its broker, and a broker is not to be held for dead because of a descriptor that is missing here. */
void sp_limits_init(struct sp_limits *l, const struct sp_options *options, uint64_t n_files);

/* One more, if there is room; to be given back. */
bool sp_limit_take(struct sp_limit *l);
void sp_limit_give(struct sp_limit *l);

#endif
