/* The program object of s-proxy: the gRPC server, workers with the sessions. */
#ifndef SPROXY_H
#define SPROXY_H

#include <stdint.h>

#include "program.h"

struct byte_budget;
struct metrics_registry;
struct sp_options;
struct rpc_cq;
struct sp_admission;
struct sp_limits;
struct sproxy;
struct tls;
struct trunk_options;

/* start, reload, drain, stop of the program. */
extern const struct program_calls sproxy_calls;

/* For workers; any thread. */
struct rpc_cq *sproxy_cq(const struct sproxy *s);
unsigned sproxy_workers(const struct sproxy *s);
const struct sp_options *sproxy_options(const struct sproxy *s);
struct byte_budget *sproxy_budget(struct sproxy *s);
struct metrics_registry *sproxy_metrics(const struct sproxy *s);
const struct trunk_options *sproxy_trunk_options(const struct sproxy *s);
struct sp_admission *sproxy_admission(const struct sproxy *s);
struct sp_limits *sproxy_limits(struct sproxy *s);
/* What mqtts:// brokers are dialled with; NULL: there are none. */
struct tls *sproxy_upstream_tls(const struct sproxy *s);
/* Counts up in the process: names sessions in the log. */
uint64_t sproxy_next_number(struct sproxy *s);
/* The calling worker has nothing left while draining. */
void sproxy_worker_is_idle(struct sproxy *s);

#endif
