/* A loop that polls for libgrpc, in place of a thread of its own: what libgrpc has read is on its way to the sessions
 * without a change of threads.
 *
 *   libgrpc's epoll set is readable --> loop_watch ---+
 *   a call into libgrpc on this thread --> loop_task -+--> rpc_poll_turn(): completions, until there are none
 *   the same on another thread --> mailbox -----------+
 *   a timer ------------------------------------------+
 *
 * libgrpc 1.51 has one epoll set in a process and tells its descriptor in a line of its log, nowhere else; without that
 * line (another GRPC_POLL_STRATEGY, another libgrpc) rpc_cq.c polls in a thread. What libgrpc's own threads complete
 * wakes nobody who does not wait inside libgrpc: that is what the timer is for. They do so seldom: when the watchdog of
 * keepalive ends a connection, and for some seconds after a socket was full, when libgrpc has a poller of its own
 * (tcp_posix.cc, run_poller), which takes events away from this one; the timer then runs every millisecond.
 *
 * So that libgrpc has nothing to hand to its threads, sending and receiving are started on the thread that polls and on
 * no other (rpc_poll_post()). */
#ifndef RPC_POLL_H
#define RPC_POLL_H

#include <stdbool.h>

#include <grpc/grpc.h>
#include <grpc/support/log.h>

struct loop;
struct mail;

/* grpc_init(), with its epoll descriptor looked for. */
void rpc_poll_init_grpc(gpr_log_func log);
/* LOOP polls QUEUE from now on. Call it on the loop's thread. One in a process. 0 or negative errno: then LOOP can't.
 */
int rpc_poll_start(struct loop *loop, grpc_completion_queue *queue);
/* The same thread. Fine if no loop polls. */
void rpc_poll_stop(void);

bool rpc_poll_is_started(void);
/* The loop that polls, if it is this thread's. Else NULL. */
struct loop *rpc_poll_here(void);
/* True: MAIL runs on the thread that polls, which is another one. False: this is the place to call libgrpc. */
bool rpc_poll_post(struct mail *mail);
/* After each call into libgrpc that may complete something, except the start of a send. */
void rpc_poll_touch(void);
/* Around each send: one that lasts says that a socket is full. */
void rpc_poll_send_begins(void);
void rpc_poll_send_ends(void);

#endif
