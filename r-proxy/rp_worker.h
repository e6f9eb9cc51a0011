/* One worker of r-proxy: a loop with its clients, their sessions, and a trunk to each s-proxy. Nothing of it is shared
 * on the data path. */
#ifndef RP_WORKER_H
#define RP_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "byte_budget.h"
#include "conn.h"
#include "front_admission.h"
#include "front_client.h"
#include "list.h"
#include "loop.h"
#include "metrics.h"
#include "rp_options.h"
#include "tenant.h"
#include "trunk.h"
#include "worker.h"

struct rp_trunk_set;
struct rproxy;

#define RP_METRICS(X)                                                                                  \
    X(connections_accepted, COUNTER, "connections of MQTT clients taken over by a worker")             \
    X(connections_open, GAUGE, "connections of MQTT clients now")                                      \
    X(sessions_open, GAUGE, "sessions carried to s-proxy now")                                         \
    X(sessions_waiting, GAUGE, "sessions that wait for a trunk to come up now")                        \
    X(sessions_placed_again, COUNTER, "times that an s-proxy ended before CONNECT was answered")       \
    X(sessions_without_s_proxy, COUNTER, "CONNECTs refused because no s-proxy could be reached")       \
    X(s_proxies, GAUGE, "addresses of s-proxies, each worker's own counted")                           \
    X(s_proxies_up, GAUGE, "those of them that take sessions now")                                     \
    X(clients_connected, COUNTER, "CONNECTs that the broker accepted")                                 \
    X(clients_refused, COUNTER, "CONNECTs that the broker refused")                                    \
    X(clients_disconnected, COUNTER, "clients that sent DISCONNECT")                                   \
    X(clients_lost, COUNTER, "clients that went away without DISCONNECT")                              \
    X(clients_timed_out, COUNTER, "clients silent for 1.5 times their keep-alive time")                \
    X(clients_shed, COUNTER, "clients closed because of max-buffered-bytes")                           \
    X(clients_held, COUNTER, "pauses of 3.x clients because of receive-maximum")                       \
    X(clients_over_receive_maximum, COUNTER, "clients of 5.0 closed because of receive-maximum")       \
    X(connect_timeouts, COUNTER, "connections closed because no CONNECT came in time")                 \
    X(protocol_errors, COUNTER, "clients closed because of a malformed packet or a broken rule")       \
    X(sessions_ended_upstream, COUNTER, "sessions ended by s-proxy or the loss of it")                 \
    X(packets_up, COUNTER, "packets passed from clients to s-proxy")                                   \
    X(packets_down, COUNTER, "packets passed from s-proxy to clients")                                 \
    X(packets_for_gone_clients, COUNTER, "packets from s-proxy dropped because their client had gone") \
    X(publishes_left_to_sender, COUNTER, "QoS 1 and 2 PUBLISHes not begun while draining, unacknowledged")

struct rp_metrics {
    RP_METRICS(METRIC_FIELD)
};

struct rp_worker {
    struct rproxy *program;
    struct worker *worker;
    struct loop *loop;
    struct mailbox *mailbox;
    const struct rp_options *options;
    struct rp_trunk_set *trunks;
    struct list clients;
    struct list sessions;
    struct byte_budget_loop budget;
    struct loop_timer tick;
    struct rp_metrics metrics;
    struct front_metrics front_metrics;
    struct trunk_metrics trunk_metrics;
    struct tenant_metrics tenant_metrics;
    _Atomic unsigned load; /* connections dealt to it and not ended: the one field that the accepting thread shares */
    bool is_draining;
    bool is_idle_told; /* the program knows that draining has come to its end here */
};

/* worker_calls of the pool; the pool's argument is the struct rproxy. */
extern const struct worker_calls rp_worker_calls;

/* A connection on its way from its listener to its client. */
struct rp_arrival {
    struct conn_parcel parcel;
    struct front_ticket ticket;
    const struct front_listener_options *options; /* of its listener; they live as long as the program's */
};

/* Give ARRIVAL, which is taken over, to this worker. Any thread. */
void rp_worker_give(struct rp_worker *w, struct rp_arrival *arrival);
/* worker_fn: begin to drain. */
void rp_worker_drain(struct worker *worker, void *arg);

uint64_t rp_worker_next_number(struct rp_worker *w);
void rp_worker_client_gone(struct rp_worker *w);
/* Something has ended: is the drain over? */
void rp_worker_check_idle(struct rp_worker *w);

#endif
