/* The one completion-queue thread of the process. libgrpc has one epoll set per process, so one thread polls for
 * everybody: it completes sends and starts the next batch that waits, re-arms reads, and posts what was received to the
 * mailbox of the loop that owns the stream. It decodes nothing and decides nothing about sessions. */
#ifndef RPC_CQ_H
#define RPC_CQ_H

struct rpc_cq;

/* Initialises libgrpc (its log lines go to our log, module `rpc`), tunes malloc for its read chunks, starts the thread.
 * Once per process; before it no thread of libgrpc exists, so fork() is allowed only before. 0 or negative errno. */
int rpc_cq_start(struct rpc_cq **ret_cq);
/* All streams, channels and servers are freed before. Ends the thread and shuts libgrpc down. NULL is fine. */
struct rpc_cq *rpc_cq_stop(struct rpc_cq *cq);

#endif
