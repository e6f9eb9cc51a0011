/* See rpc_server.h. For each method some requests are always outstanding at libgrpc; each gives one stream and is asked
 * for again at once. */
#include "rpc_server.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>

#include "err.h"
#include "list.h"
#include "mailbox.h"
#include "rpc_poll.h"
#include "rpc_stream_internal.h"
#include "rpc_tls_internal.h"

enum {
    REQUESTS_PER_METHOD = 64,
    REQUESTS_UNKNOWN = 8,         /* calls to what we do not serve, to be answered with UNIMPLEMENTED */
    HANDSHAKE_TIMEOUT_MS = 10000, /* TLS, and the beginning of HTTP/2; libgrpc's own is two minutes */
    METADATA_LINE_BYTES = 32,     /* of each line, RFC 9113 section 6.5.2 */
    QUOTA_MIN_BYTES = 256 << 20,  /* below that libgrpc stalls in ordinary use */
};

struct method {
    struct rpc_server_method user; /* path is ours */
    void *handle;                  /* libgrpc's name of it */
};

/* One request outstanding at libgrpc. */
struct request {
    struct rpc_op op;
    struct rpc_server *server;
    const struct method *method; /* NULL: unknown methods */
    grpc_call *call;
    grpc_call_details details; /* unknown methods only */
    gpr_timespec deadline;
    grpc_metadata_array metadata;
};

/* References: the owner, and arrivals on their way to a loop. */
struct rpc_server {
    grpc_server *server;
    struct rpc_cq *cq;
    struct method *methods;
    unsigned n_methods;
    uint16_t *ports;
    unsigned n_ports;
    struct request *requests;
    unsigned n_requests;
    size_t max_metadata_bytes;
    struct rpc_op drained_op;
    atomic_uint refs;
    atomic_bool is_draining;
    atomic_bool is_closed; /* nothing is handed to loops any more */

    struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        unsigned n_outstanding; /* requests, and drained_op once it has been started */
    } shared;
};

static void server_unref(struct rpc_server *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < s->n_methods; i++)
        free((char *)s->methods[i].user.path);
    free(s->methods);
    free(s->ports);
    free(s->requests);
    pthread_cond_destroy(&s->shared.changed);
    pthread_mutex_destroy(&s->shared.mutex);
    free(s);
}

static void outstanding_done(struct rpc_server *s)
{
    pthread_mutex_lock(&s->shared.mutex);
    s->shared.n_outstanding--;
    pthread_cond_signal(&s->shared.changed);
    pthread_mutex_unlock(&s->shared.mutex);
}

/* --- A stream on its way from the completion queue to its loop */

struct arrival {
    struct mail mail;
    struct rpc_server *server;
    const struct method *method;
    struct rpc_stream *stream;
};

static void arrive(struct mail *mail)
{
    struct arrival *a = (struct arrival *)mail;
    if (a->server->is_closed)
        rpc_stream_free(a->stream);
    else
        a->method->user.on_stream(a->stream, a->method->user.arg);
    server_unref(a->server);
    free(a);
}

/* libgrpc tells its peer of the limit and takes more all the same. */
static bool metadata_is_too_long(const struct request *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->metadata.count; i++) {
        const grpc_metadata *m = &r->metadata.metadata[i];
        n += GRPC_SLICE_LENGTH(m->key) + GRPC_SLICE_LENGTH(m->value) + METADATA_LINE_BYTES;
    }
    return n > r->server->max_metadata_bytes;
}

/* Takes the call of R. */
static void hand_over(struct request *r)
{
    const struct rpc_server_method *user = &r->method->user;
    if (metadata_is_too_long(r)) {
        rpc_op_refuse(r->call, RPC_RESOURCE_EXHAUSTED, "more metadata than this server takes");
        return;
    }
    struct mailbox *mailbox = user->pick(user->arg);
    struct arrival *a = mailbox ? malloc(sizeof(*a)) : NULL;
    struct rpc_stream *stream = a ? rpc_stream_incoming(r->call, &r->metadata, mailbox) : NULL;
    if (!stream) {
        free(a);
        rpc_op_refuse(r->call, RPC_UNAVAILABLE, "this server takes no streams now");
        return;
    }
    *a = (struct arrival){.mail.fn = arrive, .server = r->server, .method = r->method, .stream = stream};
    atomic_fetch_add_explicit(&r->server->refs, 1, memory_order_relaxed);
    mailbox_post(mailbox, &a->mail);
}

/* --- Requests */

static void request_start(struct request *r)
{
    struct rpc_server *s = r->server;
    grpc_completion_queue *queue = rpc_cq_queue(s->cq);
    grpc_metadata_array_init(&r->metadata);
    rpc_op_expose(&r->op);
    grpc_call_error error;
    if (r->method) {
        error = grpc_server_request_registered_call(s->server, r->method->handle, &r->call, &r->deadline, &r->metadata,
                                                    NULL, queue, queue, &r->op);
    } else {
        grpc_call_details_init(&r->details);
        error = grpc_server_request_call(s->server, &r->call, &r->details, &r->metadata, queue, queue, &r->op);
    }
    assert(error == GRPC_CALL_OK);
    (void)error;
    rpc_poll_touch();
}

static void request_done(struct rpc_op *op, bool is_ok)
{
    struct request *r = container_of(op, struct request, op);
    if (is_ok && r->method)
        hand_over(r);
    else if (is_ok)
        rpc_op_refuse(r->call, RPC_UNIMPLEMENTED, "no such method here");
    grpc_metadata_array_destroy(&r->metadata);
    if (!r->method)
        grpc_call_details_destroy(&r->details);
    if (is_ok)
        request_start(r);
    else
        outstanding_done(r->server); /* shutting down */
}

static int requests_start(struct rpc_server *s)
{
    s->n_requests = s->n_methods * REQUESTS_PER_METHOD + REQUESTS_UNKNOWN;
    s->requests = calloc(s->n_requests, sizeof(*s->requests));
    if (!s->requests)
        return err_errno(-ENOMEM, "server");
    s->shared.n_outstanding = s->n_requests;
    for (unsigned i = 0; i < s->n_requests; i++) {
        struct request *r = &s->requests[i];
        unsigned method = i / REQUESTS_PER_METHOD;
        r->op.done = request_done;
        r->server = s;
        r->method = method < s->n_methods ? &s->methods[method] : NULL;
        request_start(r);
    }
    return 0;
}

/* --- Building */

static int milliseconds(uint32_t ms)
{
    return ms == 0 || ms > INT_MAX ? INT_MAX : (int)ms;
}

static int limit(uint32_t n)
{
    return n == 0 || n > INT_MAX ? INT_MAX : (int)n;
}

/* A message is checked against its limit when it is whole: whoever announces 4 GB could have all of it held. Above this
 * quota libgrpc takes no more and ends streams. */
static grpc_resource_quota *make_quota(const struct rpc_server_params *params)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("server");
    const uint64_t n = params->max_unread_bytes;
    if (n > 0)
        grpc_resource_quota_resize(quota, n > QUOTA_MIN_BYTES ? n : QUOTA_MIN_BYTES);
    return quota;
}

static grpc_server *make_server(const struct rpc_server_params *params)
{
    grpc_resource_quota *quota = make_quota(params);
    grpc_arg args[] = {
        /* 1 would let a second process take half of our connections, without a word. */
        rpc_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
        rpc_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        rpc_arg(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        rpc_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, limit(params->max_message_bytes)),
        rpc_arg(GRPC_ARG_MAX_METADATA_SIZE, limit(params->max_metadata_bytes)),
        rpc_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, limit(params->max_streams_per_connection)),
        rpc_arg(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(params->keepalive_ms)),
        rpc_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(params->keepalive_timeout_ms)),
        rpc_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        rpc_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        rpc_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, (int)params->min_ping_interval_ms),
        rpc_arg(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS),
        {.type = GRPC_ARG_POINTER,
         .key = (char *)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {quota, grpc_resource_quota_arg_vtable()}},
    };
    grpc_channel_args all = {.num_args = sizeof(args) / sizeof(args[0]), .args = args};
    grpc_server *server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(quota);
    return server;
}

static int bind_ports(struct rpc_server *s, const struct rpc_server_params *params)
{
    s->ports = calloc(params->n_listen, sizeof(*s->ports));
    if (params->n_listen && !s->ports)
        return err_errno(-ENOMEM, "server");
    grpc_server_credentials *credentials =
        params->tls ? rpc_tls_server_credentials(params->tls) : grpc_insecure_server_credentials_create();
    int r = 0;
    for (unsigned i = 0; i < params->n_listen && r == 0; i++) {
        char why[256];
        rpc_cq_capture_errors(why, sizeof(why));
        int port = grpc_server_add_http2_port(s->server, params->listen[i], credentials);
        rpc_cq_capture_errors(NULL, 0);
        if (port == 0)
            r = err_set(-EADDRNOTAVAIL, "listen for gRPC on %s: %s", params->listen[i], why);
        s->ports[s->n_ports++] = (uint16_t)port;
    }
    grpc_server_credentials_release(credentials);
    return r;
}

static int register_methods(struct rpc_server *s, const struct rpc_server_method *methods, unsigned n_methods)
{
    s->methods = calloc(n_methods, sizeof(*s->methods));
    if (n_methods && !s->methods)
        return err_errno(-ENOMEM, "server");
    for (unsigned i = 0; i < n_methods; i++) {
        struct method *m = &s->methods[s->n_methods];
        m->user = methods[i];
        m->user.path = strdup(methods[i].path);
        if (!m->user.path)
            return err_errno(-ENOMEM, "server");
        s->n_methods++;
        m->handle = grpc_server_register_method(s->server, m->user.path, NULL, GRPC_SRM_PAYLOAD_NONE, 0);
        if (!m->handle)
            return err_set(-EINVAL, "method %s: twice, or no path", m->user.path);
    }
    return 0;
}

int rpc_server_open(struct rpc_cq *cq, const struct rpc_server_params *params, const struct rpc_server_method *methods,
                    unsigned n_methods, struct rpc_server **ret_server)
{
    struct rpc_server *s = calloc(1, sizeof(*s));
    if (!s)
        return err_errno(-ENOMEM, "server");
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->shared.mutex, NULL);
    pthread_cond_init(&s->shared.changed, NULL);
    s->cq = cq;
    s->server = make_server(params);
    s->max_metadata_bytes = params->max_metadata_bytes > 0 ? params->max_metadata_bytes : SIZE_MAX;
    grpc_server_register_completion_queue(s->server, rpc_cq_queue(cq), NULL);
    int r = register_methods(s, methods, n_methods);
    if (r == 0)
        r = bind_ports(s, params);
    if (r == 0) {
        grpc_server_start(s->server);
        r = requests_start(s);
    }
    if (r < 0) {
        rpc_server_close(s);
        return r;
    }
    *ret_server = s;
    return 0;
}

uint16_t rpc_server_port(const struct rpc_server *s, unsigned index)
{
    assert(index < s->n_ports);
    return s->ports[index];
}

/* --- Ending */

static void drained(struct rpc_op *op, bool is_ok)
{
    outstanding_done(container_of(op, struct rpc_server, drained_op));
}

void rpc_server_drain(struct rpc_server *s)
{
    if (atomic_exchange(&s->is_draining, true))
        return;
    pthread_mutex_lock(&s->shared.mutex);
    s->shared.n_outstanding++;
    pthread_mutex_unlock(&s->shared.mutex);
    s->drained_op.done = drained;
    rpc_op_expose(&s->drained_op);
    grpc_server_shutdown_and_notify(s->server, rpc_cq_queue(s->cq), &s->drained_op);
    rpc_poll_touch();
}

static bool has_outstanding(struct rpc_server *s)
{
    pthread_mutex_lock(&s->shared.mutex);
    bool has = s->shared.n_outstanding > 0;
    pthread_mutex_unlock(&s->shared.mutex);
    return has;
}

static void wait_for_outstanding(struct rpc_server *s)
{
    while (has_outstanding(s) && rpc_cq_help(s->cq))
        ;
    pthread_mutex_lock(&s->shared.mutex);
    while (s->shared.n_outstanding > 0)
        pthread_cond_wait(&s->shared.changed, &s->shared.mutex);
    pthread_mutex_unlock(&s->shared.mutex);
}

struct rpc_server *rpc_server_close(struct rpc_server *s)
{
    if (!s)
        return NULL;
    s->is_closed = true;
    rpc_server_drain(s);
    grpc_server_cancel_all_calls(s->server);
    rpc_poll_touch();
    wait_for_outstanding(s);
    grpc_server_destroy(s->server);
    server_unref(s);
    return NULL;
}
