/* A stream without gRPC and without threads: rpc_stream.h for tests of what stands on it. There is one; what is sent
 * goes to `on_send`, and everything else happens when the test says so. To be linked in place of rpc_stream.c. */
#ifndef STREAM_DOUBLE_H
#define STREAM_DOUBLE_H

#include "rpc_stream.h"

struct rpc_stream {
    const struct rpc_stream_cbs *cbs;
    void *arg;
    size_t queued_bytes; /* since stream_double_drain() */
    size_t low_mark;
    bool wants_drain;
    bool is_over; /* ended by our side; on_end is the test's to call */
    int status;   /* of that */
};

extern struct rpc_stream stream_double;
/* What the test gives it. */
extern struct mailbox *stream_double_mailbox;
extern void (*stream_double_on_send)(const uint8_t *bytes, size_t n);

/* Everything queued has left. */
void stream_double_drain(void);
/* A message has come. */
void stream_double_deliver(const uint8_t *bytes, size_t n);

#endif
