/* See rpc_channel.h. */
#include "rpc_channel.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>
#include <openssl/evp.h>

#include "err.h"
#include "list.h"
#include "mailbox.h"
#include "rpc_op.h"
#include "rpc_poll.h"
#include "rpc_stream_internal.h"
#include "rpc_tls_internal.h"

struct rpc_channel {
    grpc_channel *channel;
    struct rpc_cq *cq;
    struct rpc_tokens *tokens; /* NULL: none */
    char *target;
    bool is_proxied;                 /* an HTTP proxy is between */
    struct rpc_channel_watch *watch; /* NULL: not watched, or the watch is over */
};

/* One attempt: TCP and TLS have to be done in it. To libgrpc the two are one number, the shortest back-off. */
enum { CONNECT_TIMEOUT_MS = 10000 };

static int milliseconds(uint32_t ms)
{
    return ms == 0 || ms > INT_MAX ? INT_MAX : (int)ms;
}

/* --- Watching the connection
 *
 *   loop: watch_arm() --> libgrpc: the state is another one --> the thread that polls: watch_done() --> mail --> loop:
 * watch_read() --> watch_arm()
 *
 * The watch is in one place at a time; the lock is about who frees it when the channel is closed meanwhile. */

struct rpc_channel_watch {
    struct rpc_op op;
    struct mail mail;
    struct mailbox *mailbox;
    struct rpc_channel *channel; /* loop only; not valid once stopped */
    rpc_channel_watch_fn *fn;
    void *arg;
    grpc_connectivity_state seen; /* loop only */
    bool was_up;
    struct {
        pthread_mutex_t mutex;
        bool is_stopped; /* wherever it comes up next, it is freed */
    } shared;
};

static struct rpc_channel_watch *watch_free(struct rpc_channel_watch *w)
{
    if (!w)
        return NULL;
    pthread_mutex_lock(&w->shared.mutex); /* watch_done() may not have let go of it yet */
    pthread_mutex_unlock(&w->shared.mutex);
    pthread_mutex_destroy(&w->shared.mutex);
    free(w);
    return NULL;
}

static void watch_arm(struct rpc_channel_watch *w)
{
    const struct rpc_channel *ch = w->channel;
    rpc_op_expose(&w->op);
    grpc_channel_watch_connectivity_state(ch->channel, w->seen, gpr_inf_future(GPR_CLOCK_MONOTONIC),
                                          rpc_cq_queue(ch->cq), &w->op);
    rpc_poll_touch();
}

static void watch_done(struct rpc_op *op, bool is_ok)
{
    struct rpc_channel_watch *w = container_of(op, struct rpc_channel_watch, op);
    pthread_mutex_lock(&w->shared.mutex);
    bool is_stopped = w->shared.is_stopped;
    if (!is_stopped)
        mailbox_post(w->mailbox, &w->mail); /* under the lock: the mailbox outlives only a watch that is not stopped */
    pthread_mutex_unlock(&w->shared.mutex);
    if (is_stopped)
        watch_free(w);
}

static bool watch_is_over(const struct rpc_channel_watch *w)
{
    return w->seen == GRPC_CHANNEL_TRANSIENT_FAILURE || w->seen == GRPC_CHANNEL_SHUTDOWN ||
           (w->was_up && w->seen != GRPC_CHANNEL_READY);
}

/* May close the channel. */
static void watch_look(struct rpc_channel_watch *w)
{
    struct rpc_channel *ch = w->channel;
    rpc_channel_watch_fn *fn = w->fn;
    void *arg = w->arg;
    w->seen = grpc_channel_check_connectivity_state(ch->channel, 0);
    const bool is_up = w->seen == GRPC_CHANNEL_READY && !w->was_up;
    if (watch_is_over(w)) {
        ch->watch = watch_free(w);
        fn(ch, false, arg); /* the channel may be gone from here on */
        return;
    }
    w->was_up |= is_up;
    watch_arm(w);
    if (is_up)
        fn(ch, true, arg);
}

static void watch_read(struct mail *mail)
{
    struct rpc_channel_watch *w = container_of(mail, struct rpc_channel_watch, mail);
    if (w->shared.is_stopped) /* written on this thread */
        watch_free(w);
    else
        watch_look(w);
}

static void watch_stop(struct rpc_channel *ch)
{
    struct rpc_channel_watch *w = ch->watch;
    if (!w)
        return;
    ch->watch = NULL;
    pthread_mutex_lock(&w->shared.mutex);
    w->shared.is_stopped = true;
    pthread_mutex_unlock(&w->shared.mutex);
}

int rpc_channel_watch(struct rpc_channel *ch, struct mailbox *mailbox, rpc_channel_watch_fn *fn, void *arg)
{
    assert(!ch->watch);
    if (!grpc_channel_support_connectivity_watcher(ch->channel))
        return err_set(-EINVAL, "channel to %s: not an address", ch->target);
    struct rpc_channel_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return err_errno(-ENOMEM, "channel to %s", ch->target);
    w->op.done = watch_done;
    w->mail.fn = watch_read;
    w->mailbox = mailbox;
    w->channel = ch;
    w->fn = fn;
    w->arg = arg;
    pthread_mutex_init(&w->shared.mutex, NULL);
    w->seen = GRPC_CHANNEL_IDLE; /* any other is news */
    ch->watch = w;
    watch_arm(w);
    return 0;
}

/* --- Life */

static grpc_arg string_arg(const char *key, const char *value)
{
    return (grpc_arg){.type = GRPC_ARG_STRING, .key = (char *)key, .value.string = (char *)value};
}

/* Basic authentication at the proxy (RFC 7617), as libgrpc wants headers: "name:value". HEADER has room for
 * PROXY_HEADER_MAX. */
enum { PROXY_LOGIN_MAX = 512, PROXY_HEADER_MAX = 32 + (PROXY_LOGIN_MAX + 2) / 3 * 4 + 1 };
static int proxy_header(const char *login, char *header)
{
    const size_t n = strlen(login);
    if (n > PROXY_LOGIN_MAX)
        return err_set(-EINVAL, "user and password for the HTTP proxy are too long");
    strcpy(header, "Proxy-Authorization:Basic ");
    EVP_EncodeBlock((uint8_t *)header + strlen(header), (const uint8_t *)login, (int)n);
    return 0;
}

/* HEADER: for the proxy, or "". */
static grpc_channel *make_channel(const struct rpc_channel_params *params, const char *header,
                                  grpc_channel_credentials *credentials)
{
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
        rpc_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_TIMEOUT_MS),
        rpc_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000),
        rpc_arg(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, INT_MAX),
        /* libgrpc's own look at https_proxy would send the address that we have found to the proxy, not the name. */
        rpc_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        {0},
        {0},
        {0}, /* those that follow */
    };
    size_t n = sizeof(args) / sizeof(args[0]) - 3;
    if (params->authority)
        args[n++] = string_arg(GRPC_ARG_DEFAULT_AUTHORITY, params->authority);
    if (params->connect_to)
        args[n++] = string_arg("grpc.http_connect_server", params->connect_to);
    if (*header)
        args[n++] = string_arg("grpc.http_connect_headers", header);
    const grpc_channel_args all = {.num_args = n, .args = args};
    return grpc_channel_create(params->target, credentials, &all);
}

static char *channel_name(const struct rpc_channel_params *params)
{
    char *text;
    if (!params->connect_to)
        return strdup(params->target);
    return asprintf(&text, "%s through %s", params->connect_to, params->target) < 0 ? NULL : text;
}

int rpc_channel_open(struct rpc_cq *cq, const struct rpc_channel_params *params, struct rpc_channel **ret_channel)
{
    char header[PROXY_HEADER_MAX] = "";
    grpc_channel_credentials *credentials = NULL;
    int r = params->proxy_login ? proxy_header(params->proxy_login, header) : 0;
    if (r < 0)
        return r;
    struct rpc_channel *ch = calloc(1, sizeof(*ch));
    char *target = channel_name(params);
    if (!ch || !target)
        r = err_set(-ENOMEM, "channel to %s: out of memory", params->target);
    else if (params->tls)
        r = rpc_tls_channel_credentials(params->tls, params->authority, &credentials);
    else
        credentials = grpc_insecure_credentials_create();
    if (r < 0) {
        free(ch);
        free(target);
        return r;
    }
    ch->channel = make_channel(params, header, credentials);
    grpc_channel_credentials_release(credentials);
    ch->cq = cq;
    ch->tokens = params->tokens;
    ch->is_proxied = params->connect_to != NULL;
    ch->target = target;
    *ret_channel = ch;
    return 0;
}

struct rpc_channel *rpc_channel_close(struct rpc_channel *ch)
{
    if (!ch)
        return NULL;
    watch_stop(ch);
    grpc_channel_destroy(ch->channel); /* the tag of a watch comes back */
    rpc_poll_touch();
    free(ch->target);
    free(ch);
    return NULL;
}

void rpc_channel_connect(struct rpc_channel *ch)
{
    grpc_channel_check_connectivity_state(ch->channel, 1);
    rpc_poll_touch();
}

const char *rpc_channel_target(const struct rpc_channel *ch)
{
    return ch->target;
}

struct rpc_tokens *rpc_channel_tokens(const struct rpc_channel *ch)
{
    return ch->tokens;
}

bool rpc_channel_is_proxied(const struct rpc_channel *ch)
{
    return ch->is_proxied;
}

grpc_call *rpc_channel_call(struct rpc_channel *ch, const char *path)
{
    grpc_slice method = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(ch->channel, NULL, GRPC_PROPAGATE_DEFAULTS, rpc_cq_queue(ch->cq), method,
                                               NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_slice_unref(method);
    return call;
}
