/* One worker of the broker: a loop with its clients and sessions, who subscribed to what, its share of the retained
 * messages. A client id belongs to the worker that its hash names; so does a topic's retained message. */
#ifndef BK_WORKER_H
#define BK_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bk_message.h"
#include "bk_record.h"
#include "bk_route.h"
#include "byte_budget.h"
#include "conn.h"
#include "front_client.h"
#include "list.h"
#include "loop.h"
#include "map.h"
#include "metrics.h"
#include "tenant.h"
#include "worker.h"

struct bk_bridges;
struct bk_hooks;
struct bk_journal;
struct bk_options;
struct bk_peers;
struct bk_sys;
struct bk_arrival;
struct broker;
struct retained_index;
struct retained_walk;
struct topic_index;

#define BK_METRICS(X)                                                                                    \
    X(connections_accepted, COUNTER, "connections taken over by a worker")                               \
    X(connections_open, GAUGE, "connections now")                                                        \
    X(clients_connected, GAUGE, "clients connected now")                                                 \
    X(connects, COUNTER, "CONNECTs accepted")                                                            \
    X(connects_refused, COUNTER, "CONNECTs refused")                                                     \
    X(connect_timeouts, COUNTER, "connections closed because no CONNECT came in time")                   \
    X(clients_lost, COUNTER, "clients that went away without DISCONNECT")                                \
    X(clients_timed_out, COUNTER, "clients silent for 1.5 times their keep-alive time")                  \
    X(clients_held, COUNTER, "times that a client was not read because of receive-maximum")              \
    X(clients_taken_over, COUNTER, "clients closed because their client id connected again")             \
    X(clients_shed, COUNTER, "clients closed because of max-buffered-bytes")                             \
    X(protocol_errors, COUNTER, "clients closed because of a malformed packet or a broken rule")         \
    X(sessions, GAUGE, "sessions now, with a client or without")                                         \
    X(sessions_expired, COUNTER, "sessions ended because nobody came back in time")                      \
    X(subscriptions, GAUGE, "subscriptions now")                                                         \
    X(retained, GAUGE, "retained messages now")                                                          \
    X(packets_received, COUNTER, "packets received")                                                     \
    X(packets_sent, COUNTER, "packets sent")                                                             \
    X(publishes_received, COUNTER, "PUBLISH packets received")                                           \
    X(publishes_sent, COUNTER, "PUBLISH packets sent")                                                   \
    X(payload_bytes_received, COUNTER, "bytes of payload in them")                                       \
    X(payload_bytes_sent, COUNTER, "bytes of payload sent")                                              \
    X(publishes_unmatched, COUNTER, "messages that no subscription matched")                             \
    X(publishes_queued, COUNTER, "deliveries that had to wait: window full, slow or away")               \
    X(messages_paged_out, GAUGE, "deliveries that wait on the disk alone")                               \
    X(dropped_slow, COUNTER, "deliveries of QoS 0 dropped because their client reads too slowly")        \
    X(dropped_full, COUNTER, "deliveries of QoS 1 and 2 dropped because the session's queue was full")   \
    X(dropped_expired, COUNTER, "deliveries dropped because the message had expired")                    \
    X(dropped_too_large, COUNTER, "deliveries dropped because of the client's Maximum Packet Size")      \
    X(dropped_not_allowed, COUNTER, "deliveries dropped because the ACL does not allow their topic")     \
    X(dropped_no_memory, COUNTER, "deliveries dropped because memory was short")                         \
    X(dropped_refused, COUNTER, "deliveries that the client refused (PUBACK, PUBREC of 0x80 and above)") \
    X(publishes_refused, COUNTER, "PUBLISHes that nobody gets: not allowed, or the store is full")       \
    X(paced, COUNTER, "times that a publisher was paused for a slow subscriber")                         \
    X(wills_published, COUNTER, "Wills published")

struct bk_metrics {
    BK_METRICS(METRIC_FIELD)
};

struct bk_worker {
    struct broker *broker;
    struct worker *worker;
    struct loop *loop;
    struct mailbox *mailbox;
    const struct bk_options *options;
    struct topic_index *index;
    struct retained_index *retained;
    struct retained_walk *sweep; /* for those that have expired; NULL: begins anew */
    struct bk_journal *journal;  /* NULL: nothing survives */
    struct bk_peers *peers;      /* NULL: it is the only worker */
    struct bk_hooks *hooks;      /* NULL: nobody is asked */
    struct bk_sys *sys;          /* NULL: another worker does it, or nobody */
    struct bk_bridges *bridges;  /* NULL: none runs here */
    struct bk_routes routes;
    struct bk_scratch scratch;        /* of what is being published */
    struct bk_writer marks;           /* of the publication that is being routed, see bk_marks.h */
    struct bk_scratch resend_scratch; /* of what a session gets from its queue meanwhile, or of retained messages */
    struct map sessions;              /* by client id */
    struct map shares;                /* by their whole filter */
    struct map paced;                 /* clients that a peer may hold back, by number */
    struct map far_publishers;        /* whom a slow subscriber here holds back there, see bk_pace.c */
    struct map questions;             /* to peers, for retained messages, by number, see bk_retain.c */
    struct list answers;              /* and those of theirs */
    struct list full_waits;           /* clients whose PUBLISH waits for room in the store */
    struct list handovers;            /* that other workers have not confirmed, see bk_handover.c */
    struct list clients;              /* all connections */
    struct list asked;                /* to hooks, that are not answered yet */
    struct byte_budget_loop budget;
    struct loop_timer tick;
    struct bk_metrics metrics;
    struct front_metrics front_metrics;
    struct tenant_metrics tenant_metrics;
    unsigned hook_kinds; /* what hooks ask about: enum bk_hook_kind, or-ed */
    unsigned index_of;   /* which of the workers it is */
    unsigned n_workers;
    uint32_t last_question;
    uint32_t n_far_slow;   /* clients that they wait for */
    _Atomic unsigned load; /* connections dealt to it and not ended: the one field that the accepting thread shares */
    bool is_draining;
    bool is_parting;   /* nothing is sent to other workers any more */
    bool is_stopping;  /* nobody is given anything any more */
    bool is_idle_told; /* the program knows that draining has come to its end here */
};

/* worker_calls of the pool; the pool's argument is the struct broker. */
extern const struct worker_calls bk_worker_calls;

/* Give ARRIVAL, what it holds is taken over, to this worker. Any thread. */
void bk_worker_give(struct bk_worker *w, struct bk_arrival *arrival);
/* The same with what is known of its client already; ARRIVAL, on the heap, is taken over. */
void bk_worker_move(struct bk_worker *from, unsigned to, struct bk_arrival *arrival);
/* PARCEL, which is taken over, comes from a bridge of this worker. On its loop. */
void bk_worker_take_inner(struct bk_worker *w, const struct conn_parcel *parcel);
/* worker_fn: begin to drain. */
void bk_worker_drain(struct worker *worker, void *arg);

/* worker_fn: the rules of who may do what have been read again. */
void bk_worker_renew_grants(struct worker *worker, void *arg);

uint64_t bk_worker_next_number(struct bk_worker *w);
void bk_worker_client_gone(struct bk_worker *w);
/* Which worker owns the session of this client id, or the retained message of this topic. */
unsigned bk_worker_of(const struct bk_worker *w, struct mqtt_bytes name);
/* worker_fn, one after the other, each when the last has been run by all: all workers are there, what they are
 * interested in leaves for the others; and is known there: sessions wake up, $SYS begins. ARG is the struct broker. */
void bk_worker_meet(struct worker *worker, void *arg);
void bk_worker_begin(struct worker *worker, void *arg);
/* worker_fn: the bridges are those of broker_bridges() from now on. ARG as above. */
void bk_worker_rebridge(struct worker *worker, void *arg);
/* worker_fn: the program ends: nothing is sent to other workers any more. ARG as above. */
void bk_worker_part(struct worker *worker, void *arg);

#endif
