/* One worker of s-proxy: a loop with the trunks and streams that were dealt to it, their sessions, and its own view of
 * the brokers' health. Nothing of it is shared on the data path. */
#ifndef SP_WORKER_H
#define SP_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "byte_budget.h"
#include "list.h"
#include "loop.h"
#include "metrics.h"
#include "sp_broker_pick.h"
#include "sp_options.h"
#include "tenant.h"
#include "trunk.h"
#include "worker.h"

struct rpc_stream;
struct sproxy;

#define SP_METRICS(X)                                                                                       \
    X(r_proxies_refused, COUNTER, "trunks and streams refused for want of a token or a name")               \
    X(trunks_over_limit, COUNTER, "trunks refused because of max-trunks")                                   \
    X(sessions_over_limit, COUNTER, "sessions refused because of max-sessions")                             \
    X(sessions_without_file, COUNTER, "sessions refused for want of a descriptor or of memory")             \
    X(sessions_opened, COUNTER, "sessions that r-proxies have opened")                                      \
    X(sessions_open, GAUGE, "sessions now")                                                                 \
    X(sessions_refused, COUNTER, "CONNECTs that the broker refused")                                        \
    X(sessions_without_broker, COUNTER, "CONNECTs for which no broker could be reached")                    \
    X(sessions_shed, COUNTER, "sessions ended because of max-buffered-bytes")                               \
    X(clients_disconnected, COUNTER, "clients that sent DISCONNECT")                                        \
    X(clients_lost, COUNTER, "clients that went away without DISCONNECT")                                   \
    X(broker_failures, COUNTER, "brokers that could not be reached or did not answer CONNECT")              \
    X(broker_closed, COUNTER, "sessions whose broker closed or was lost")                                   \
    X(broker_bad_packets, COUNTER, "malformed packets from brokers")                                        \
    X(packets_up, COUNTER, "packets passed to brokers")                                                     \
    X(packets_down, COUNTER, "packets passed from brokers")                                                 \
    X(publishes_dropped_too_large, COUNTER, "PUBLISHes dropped because the r-proxy cannot take their size") \
    X(publishes_left_to_sender, COUNTER, "QoS 1 and 2 PUBLISHes not begun while draining, unacknowledged")

struct sp_metrics {
    SP_METRICS(METRIC_FIELD)
};

struct sp_worker {
    struct sproxy *program;
    struct loop *loop;
    const struct sp_options *options;
    struct sp_broker_pick brokers;
    struct list sessions;
    struct list trunks; /* of struct sp_trunk */
    _Atomic unsigned
        n_trunks; /* that were given to this worker and have not ended; counted up by the thread that polls */
    struct byte_budget_loop budget;
    struct loop_timer tick;
    struct sp_metrics metrics;
    struct trunk_metrics trunk_metrics;
    struct tenant_metrics tenant_metrics;
    bool is_draining;
    bool is_idle_told; /* the program knows that draining has come to its end here */
};

/* worker_calls of the pool; the pool's argument is the struct sproxy. */
extern const struct worker_calls sp_worker_calls;

/* worker_fn: begin to drain. */
void sp_worker_drain(struct worker *worker, void *arg);

/* The one that pick() of an rpc_server_method chose for STREAM. */
struct sp_worker *sp_worker_of_stream(struct worker_pool *pool, const struct rpc_stream *stream);

uint64_t sp_worker_next_number(struct sp_worker *w);
/* 0, or -ENOSPC with err_text(): --max-sessions allows no more, which is counted and logged. */
int sp_worker_session_came(struct sp_worker *w);
void sp_worker_session_gone(struct sp_worker *w);
/* While draining: tell the program when nothing is left. */
void sp_worker_check_idle(struct sp_worker *w);

#endif
