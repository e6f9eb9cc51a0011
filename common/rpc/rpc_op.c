/* See rpc_op.h. */
#include "rpc_op.h"

#include <assert.h>

#include <grpc/support/alloc.h>

#include "rpc_poll.h"
#include "rpc_tsan.h"

void rpc_op_expose(struct rpc_op *op)
{
    rpc_tsan_release(op);
}

void rpc_op_start(struct rpc_op *op, grpc_call *call, const grpc_op *ops, size_t n_ops)
{
    rpc_op_expose(op);
    grpc_call_error error = grpc_call_start_batch(call, ops, n_ops, op, NULL);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

void rpc_op_complete(void *tag, bool is_ok)
{
    struct rpc_op *op = tag;
    rpc_tsan_acquire(op);
    op->done(op, is_ok); /* the owner of OP may be gone from here on */
}

/* A call that ends as soon as it has come. */
struct refusal {
    struct rpc_op op;
    grpc_call *call;
    int cancelled; /* required by RECV_CLOSE_ON_SERVER; nobody asks */
};

static void refusal_done(struct rpc_op *op, bool is_ok)
{
    struct refusal *r = (struct refusal *)op;
    grpc_call_unref(r->call);
    gpr_free(r);
}

void rpc_op_refuse(grpc_call *call, int status, const char *text)
{
    struct refusal *r = gpr_zalloc(sizeof(*r));
    r->op.done = refusal_done;
    r->call = call;
    grpc_slice details = grpc_slice_from_copied_string(text);
    grpc_op ops[3] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER},
    };
    ops[1].data.send_status_from_server.status = (grpc_status_code)status;
    ops[1].data.send_status_from_server.status_details = &details;
    ops[2].data.recv_close_on_server.cancelled = &r->cancelled;
    rpc_op_start(&r->op, call, ops, 3);
    rpc_poll_touch();
    grpc_slice_unref(details);
}
