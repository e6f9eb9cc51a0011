/* One batch in flight. Its address is the tag that libgrpc hands back on the thread that polls; it is embedded in
 * the object that it works for (stream, request slot, server) and that object stays until the tag has come back.
 *
 *   rpc_op_start() --> libgrpc --> the thread that polls: rpc_op_complete() --> op->done(op, is_ok)
 *
 * Internal to rpc, like everything that names a grpc_ type. */
#ifndef RPC_OP_H
#define RPC_OP_H

#include <stdbool.h>
#include <stddef.h>

#include <grpc/grpc.h>

struct rpc_cq;
struct rpc_op;

/* On the thread that polls. IS_OK is libgrpc's `success`; what it says differs from operation to operation. */
typedef void rpc_op_fn(struct rpc_op *op, bool is_ok);

struct rpc_op {
    rpc_op_fn *done;
};

grpc_completion_queue *rpc_cq_queue(const struct rpc_cq *cq);
/* Whoever waits for a tag calls this until it has come. False: another thread polls. True: this one has, for some ms.
 */
bool rpc_cq_help(struct rpc_cq *cq);
/* From now on what libgrpc has to complain of on this thread goes into TEXT, not into the log; NULL: into the log
 * again. libgrpc gives no reason but its log line when it cannot listen. */
void rpc_cq_capture_errors(char *text, size_t size);

/* OPS and what they point to belong to the caller again afterwards, results excepted. A refused batch is a broken
 * invariant of ours (grpc_types.h, grpc_call_error), hence an assertion. */
void rpc_op_start(struct rpc_op *op, grpc_call *call, const grpc_op *ops, size_t n_ops);
/* Before OP is given to libgrpc in another way than rpc_op_start(). */
void rpc_op_expose(struct rpc_op *op);
/* The tag has come back. */
void rpc_op_complete(void *tag, bool is_ok);

/* Answer CALL, of which nothing has been started yet, with STATUS and let go of it. Takes CALL. */
void rpc_op_refuse(grpc_call *call, int status, const char *text);

#endif
