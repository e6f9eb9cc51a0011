/* libgrpc in this process, and who polls for it. It has one epoll set, so one thread polls for everybody: it completes
 * sends and starts the next batch that waits, re-arms reads, and posts what was received to the mailbox of the loop
 * that owns the stream. That is the first worker's loop, or, where libgrpc does not allow it (rpc_poll.h), a thread. */
#ifndef RPC_CQ_H
#define RPC_CQ_H

struct loop;
struct rpc_cq;

/* Initialises libgrpc (its log lines go to our log, module `rpc`), tunes malloc for its read chunks. Once per process;
 * before it no thread of libgrpc exists, so fork() is allowed only before. 0 or negative errno. */
int rpc_cq_start(struct rpc_cq **ret_cq);
/* LOOP polls from now on, on whose thread this is called; NULL, or if it can't: a thread does. Before it nothing is
 * sent, received or accepted. 0 or negative errno. */
int rpc_cq_poll(struct rpc_cq *cq, struct loop *loop);
/* The loop that polls comes to its end. On its thread. */
void rpc_cq_leave(struct rpc_cq *cq);
/* All streams, channels and servers are freed before, and rpc_cq_leave() has been called. Shuts libgrpc down. NULL is
 * fine. */
struct rpc_cq *rpc_cq_stop(struct rpc_cq *cq);

#endif
