/* Trunks of r-proxies, taken by s-proxy: each belongs to one worker, each of its lanes becomes a session there.
 *
 *   stream --pick: the worker with the fewest trunks--> sp_trunk --on_lane--> sp_session
 *
 * A trunk that is lost takes its sessions with it: their brokers publish the Wills. */
#ifndef SP_TRUNK_GATE_H
#define SP_TRUNK_GATE_H

#include <stdint.h>

#include "list.h"
#include "log.h"

struct mailbox;
struct rpc_stream;
struct sp_identity;
struct sp_worker;
struct trunk;

struct sp_trunk {
    struct list link; /* in worker->trunks */
    struct sp_worker *worker;
    struct trunk *trunk;
    struct log_object log;
    uint64_t n_lanes;             /* opened so far */
    struct sp_identity *identity; /* one reference; NULL: there is no list. It was asked for in `generation` of */
    unsigned generation;          /* sp_admission_generation() */
};

/* pick and on_stream of the rpc_server_method; ARG is the struct worker_pool. */
struct mailbox *sp_trunk_gate_pick(void *arg);
void sp_trunk_gate_on_stream(struct rpc_stream *stream, void *arg);

/* Take no new lanes; the trunk ends when its last one has. */
void sp_trunk_drain(struct sp_trunk *t);
/* Drop it at once: the process ends. Its sessions have gone before. */
void sp_trunk_kill(struct sp_trunk *t);

#endif
