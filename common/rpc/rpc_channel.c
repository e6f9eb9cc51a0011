/* See rpc_channel.h. */
#include "rpc_channel.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>

#include "err.h"
#include "rpc_op.h"
#include "rpc_stream_internal.h"

struct rpc_channel {
    grpc_channel *channel;
    struct rpc_cq *cq;
    char *target;
};

static int milliseconds(uint32_t ms)
{
    return ms == 0 || ms > INT_MAX ? INT_MAX : (int)ms;
}

int rpc_channel_open(struct rpc_cq *cq, const struct rpc_channel_params *params, struct rpc_channel **ret_channel)
{
    struct rpc_channel *ch = calloc(1, sizeof(*ch));
    char *target = strdup(params->target);
    if (!ch || !target) {
        free(ch);
        free(target);
        return err_errno(-ENOMEM, "channel to %s", params->target);
    }
    grpc_arg args[] = {
        rpc_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        rpc_arg(GRPC_ARG_ENABLE_RETRIES, 0),
        rpc_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        rpc_arg(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        rpc_arg(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        rpc_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
        rpc_arg(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(params->keepalive_ms)),
        rpc_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(params->keepalive_timeout_ms)),
        rpc_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        rpc_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        rpc_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100),
        /* Also the time limit of one attempt: TCP and TLS have to be done in it. */
        rpc_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000),
        rpc_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000),
    };
    grpc_channel_args all = {.num_args = sizeof(args) / sizeof(args[0]), .args = args};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    ch->channel = grpc_channel_create(target, credentials, &all);
    grpc_channel_credentials_release(credentials);
    ch->cq = cq;
    ch->target = target;
    *ret_channel = ch;
    return 0;
}

struct rpc_channel *rpc_channel_close(struct rpc_channel *ch)
{
    if (!ch)
        return NULL;
    grpc_channel_destroy(ch->channel);
    free(ch->target);
    free(ch);
    return NULL;
}

void rpc_channel_connect(struct rpc_channel *ch)
{
    grpc_channel_check_connectivity_state(ch->channel, 1);
}

const char *rpc_channel_target(const struct rpc_channel *ch)
{
    return ch->target;
}

grpc_call *rpc_channel_call(struct rpc_channel *ch, const char *path)
{
    grpc_slice method = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(ch->channel, NULL, GRPC_PROPAGATE_DEFAULTS, rpc_cq_queue(ch->cq), method,
                                               NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_slice_unref(method);
    return call;
}
