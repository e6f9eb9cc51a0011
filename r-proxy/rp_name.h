/* The name of a fleet of s-proxies: what addresses it has, looked up every 30 s and when asked to. An answer that is no
 * answer (no name server, no address) changes nothing: what was known is kept, and asked for again with back-off. */
#ifndef RP_NAME_H
#define RP_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "log.h"
#include "loop.h"

struct resolve;
struct rp_name;

/* N > 0 addresses, valid during the call; N = 0: TEXT says why there are none. */
typedef void rp_name_fn(struct rp_name *n, const union conn_address *addresses, size_t n_addresses, const char *text);

struct rp_name {
    struct loop *loop;
    const char *host; /* NULL: not started */
    rp_name_fn *fn;
    struct resolve *resolve; /* NULL: nothing is being looked up */
    struct loop_timer timer;
    struct log_object log;
    uint64_t asked_at_ms;
    uint32_t backoff_ms;
    uint16_t port;
    bool is_asked;   /* one answer, good or bad, has come */
    bool has_failed; /* the last one was bad */
};

/* HOST outlives it. */
void rp_name_start(struct rp_name *n, struct loop *loop, const char *host, uint16_t port, rp_name_fn *fn);
void rp_name_stop(struct rp_name *n);
/* An address was of no use: perhaps there are others by now. */
void rp_name_hurry(struct rp_name *n);

#endif
