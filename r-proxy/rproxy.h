/* The program object of r-proxy: listeners on the main loop, workers with the clients. */
#ifndef RPROXY_H
#define RPROXY_H

#include <stdint.h>

#include "program.h"

struct byte_budget;
struct metrics_registry;
struct rp_options;
struct rpc_cq;
struct rpc_tls;
struct rpc_tokens;
struct rproxy;
struct trunk_options;

/* start, drain, stop, reload of the program. */
extern const struct program_calls rproxy_calls;

/* For workers; any thread. */
const struct rp_options *rproxy_options(const struct rproxy *r);
struct byte_budget *rproxy_budget(struct rproxy *r);
struct rpc_cq *rproxy_cq(const struct rproxy *r);
const struct trunk_options *rproxy_trunk_options(const struct rproxy *r);
/* NULL: trunks are in clear text. */
struct rpc_tls *rproxy_tls(const struct rproxy *r);
/* NULL: none are shown. */
struct rpc_tokens *rproxy_tokens(const struct rproxy *r);
struct metrics_registry *rproxy_metrics(const struct rproxy *r);
/* Counts up in the process: names clients in the log. */
uint64_t rproxy_next_number(struct rproxy *r);
/* The calling worker has nothing left while draining. */
void rproxy_worker_is_idle(struct rproxy *r);

#endif
