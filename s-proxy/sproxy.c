/* The program object of s-proxy (sproxy.h).
 *
 *   r-proxies ==> gRPC server --trunk--> the worker with the fewest --> sp_trunk_gate --lane--> sp_session --> broker
 *                             '--relay--> a worker, in turn ------------------------------> sp_session --> broker */
#define LOG_MODULE LOG_S_PROXY
#include "sproxy.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "byte_budget.h"
#include "err.h"
#include "log.h"
#include "net.h"
#include "relay.h"
#include "rpc_cq.h"
#include "rpc_server.h"
#include "rpc_tls.h"
#include "secret_file.h"
#include "sp_admission.h"
#include "sp_identity.h"
#include "sp_limits.h"
#include "sp_options.h"
#include "sp_session.h"
#include "sp_trunk_gate.h"
#include "sp_upstream_tls.h"
#include "sp_worker.h"
#include "trunk.h"
#include "worker.h"

enum {
    SP_KEEPALIVE_MS = 10000, /* HTTP/2 ping to r-proxies */
    SP_KEEPALIVE_TIMEOUT_MS = 5000,
    SP_MIN_PING_INTERVAL_MS = 5000,
    SP_MAX_MESSAGE_BYTES = LANE_UNKNOWN_PEER_MAX,
    SP_MAX_METADATA_BYTES = 8 * 1024,
    SP_MAX_LANES = 262144, /* of a trunk */
    SP_MAX_METHODS = 2,
    SP_LOG_LINES = 10,
    SP_LOG_INTERVAL_MS = 10000,
};

#define SP_GATE_METRICS(X) \
    X(handshakes_refused, COUNTER, "connections refused for their certificate, or for want of one")

/* Counted on any thread. */
struct sp_gate_metrics {
    SP_GATE_METRICS(METRIC_FIELD)
};

#define METRICS_OWNER struct sp_gate_metrics
static const struct metric_info sp_gate_metric_infos[] = {SP_GATE_METRICS(METRIC_INFO)};

struct sproxy {
    struct program *program;
    const struct sp_options *options;
    struct rpc_cq *cq;
    struct rpc_server *server;
    struct rpc_tls *tls; /* NULL: in clear text */
    struct sp_admission *admission;
    struct sp_limits limits;
    struct sp_gate_metrics metrics;
    struct worker_pool *pool;
    struct byte_budget budget;
    struct sp_upstream_tls *upstream_tls;
    _Atomic uint64_t numbers;
    struct trunk_options trunk_options;
    _Atomic unsigned next_worker;  /* for a stream of the relay service */
    _Atomic unsigned busy_workers; /* while draining */
};

unsigned sproxy_workers(const struct sproxy *s)
{
    return program_workers(s->program);
}

struct rpc_cq *sproxy_cq(const struct sproxy *s)
{
    return s->cq;
}

const struct sp_options *sproxy_options(const struct sproxy *s)
{
    return s->options;
}

struct byte_budget *sproxy_budget(struct sproxy *s)
{
    return &s->budget;
}

struct metrics_registry *sproxy_metrics(const struct sproxy *s)
{
    return program_metrics(s->program);
}

const struct trunk_options *sproxy_trunk_options(const struct sproxy *s)
{
    return &s->trunk_options;
}

struct sp_admission *sproxy_admission(const struct sproxy *s)
{
    return s->admission;
}

struct sp_limits *sproxy_limits(struct sproxy *s)
{
    return &s->limits;
}

struct tls *sproxy_upstream_tls(const struct sproxy *s)
{
    return sp_upstream_tls_get(s->upstream_tls);
}

uint64_t sproxy_next_number(struct sproxy *s)
{
    return atomic_fetch_add_explicit(&s->numbers, 1, memory_order_relaxed) + 1;
}

/* --- Streams */

/* On the thread that polls for libgrpc. */
static struct mailbox *sproxy_pick(void *arg)
{
    struct sproxy *s = arg;
    unsigned turn = atomic_fetch_add_explicit(&s->next_worker, 1, memory_order_relaxed);
    return worker_pool_get(s->pool, turn % worker_pool_size(s->pool))->mailbox;
}

/* On the loop that was picked. */
static void sproxy_on_stream(struct rpc_stream *stream, void *arg)
{
    const struct sproxy *s = arg;
    struct sp_worker *w = sp_worker_of_stream(s->pool, stream);
    struct sp_identity *identity;
    if (sp_admission_check(s->admission, stream, &w->metrics, &identity))
        sp_session_on_stream(w, stream, identity);
}

/* What --trunk-service offers; anything else is UNIMPLEMENTED. Returns how many. */
static unsigned sproxy_methods(struct sproxy *s, struct rpc_server_method *ret_methods)
{
    const struct rpc_server_method relay = {
        .path = RELAY_PATH, .pick = sproxy_pick, .on_stream = sproxy_on_stream, .arg = s};
    const struct rpc_server_method trunk = {
        .path = TRUNK_PATH, .pick = sp_trunk_gate_pick, .on_stream = sp_trunk_gate_on_stream, .arg = s->pool};
    unsigned n = 0;
    if (s->options->trunk.service != TRUNK_SERVICE_TRUNK)
        ret_methods[n++] = relay;
    if (s->options->trunk.service != TRUNK_SERVICE_RELAY)
        ret_methods[n++] = trunk;
    return n;
}

static int sproxy_listen(struct sproxy *s)
{
    const struct rpc_server_params params = {
        .listen = (const char *const *)s->options->listen_grpc.items,
        .n_listen = (unsigned)s->options->listen_grpc.count,
        .keepalive_ms = SP_KEEPALIVE_MS,
        .keepalive_timeout_ms = SP_KEEPALIVE_TIMEOUT_MS,
        .min_ping_interval_ms = SP_MIN_PING_INTERVAL_MS,
        .max_message_bytes = SP_MAX_MESSAGE_BYTES,
        .max_metadata_bytes = SP_MAX_METADATA_BYTES,
        .max_streams_per_connection = (uint32_t)s->options->max_streams_per_connection,
        .max_unread_bytes = s->budget.limit_bytes,
        .tls = s->tls,
    };
    struct rpc_server_method methods[SP_MAX_METHODS];
    unsigned n_methods = sproxy_methods(s, methods);
    return rpc_server_open(s->cq, &params, methods, n_methods, &s->server);
}

static bool sproxy_is_loopback(const char *address)
{
    static const char *const local[] = {"127.", "[::1]", "localhost:", "unix:"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        if (strncmp(address, local[i], strlen(local[i])) == 0)
            return true;
    return false;
}

/* "[::]:50516" with the port that was really bound. */
static void sproxy_log_listeners(const struct sproxy *s)
{
    for (size_t i = 0; i < s->options->listen_grpc.count; i++) {
        const char *text = s->options->listen_grpc.items[i];
        const char *colon = strrchr(text, ':');
        log_info(NULL, "serving gRPC on %.*s:%u", (int)(colon ? colon - text : 0), text,
                 rpc_server_port(s->server, (unsigned)i));
        if (!s->tls && !sproxy_is_loopback(text))
            log_warn(NULL, "gRPC on %s is in clear text: whoever reaches it can open sessions and read them", text);
    }
}

static void sproxy_log_brokers(const struct sproxy *s)
{
    for (size_t i = 0; i < s->options->upstream.count; i++)
        log_info(NULL, "broker %zu of %zu is %s", i + 1, s->options->upstream.count, s->options->upstream.items[i]);
}

/* --- Who may come in */

static void sproxy_warn_of_secrets(const struct sp_options *o)
{
    char text[512];
    if (secret_file_is_exposed(o->trunk_tls_key, text, sizeof text))
        log_warn(NULL, "trunk-tls-key: %s", text);
    if (secret_file_is_exposed(o->trunk_tokens_file, text, sizeof text))
        log_warn(NULL, "trunk-tokens-file: %s", text);
    const struct sp_identity_options *identities = o->trunk_identities.items;
    for (size_t i = 0; i < o->trunk_identities.count; i++)
        if (secret_file_is_exposed(identities[i].tokens_file, text, sizeof text))
            log_warn(NULL, "trunk-identities: %s", text);
}

/* On any thread of libgrpc's, which does not say whose handshake it is. */
static void sproxy_on_refused(const char *text, void *arg)
{
    static struct log_limit limit = LOG_LIMIT(SP_LOG_LINES, SP_LOG_INTERVAL_MS);
    struct sproxy *s = arg;
    atomic_fetch_add_explicit(&s->metrics.handshakes_refused, 1, memory_order_relaxed);
    log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "a connection is refused: %s", text);
}

static void sproxy_on_tls_reloaded(int r, const char *text, void *arg)
{
    if (r < 0)
        log_error(NULL, "trunk TLS: what was used before is still used: %s", text);
    else
        log_info(NULL, "trunk TLS: read again: %s", text);
}

static int sproxy_open_tls(struct sproxy *s)
{
    const struct rpc_tls_params params = {
        .files = sp_options_tls_files(s->options),
        .is_server = true,
        .on_refused = sproxy_on_refused,
        .arg = s,
    };
    char text[512];
    if (!s->options->trunk_tls_cert)
        return 0;
    int r = rpc_tls_new(&params, &s->tls);
    if (r < 0)
        return err_context(r, "trunk TLS");
    rpc_tls_watch(s->tls, program_loop(s->program), sproxy_on_tls_reloaded, s);
    log_info(NULL, "trunk TLS: %s; r-proxies %s", rpc_tls_describe(s->tls, text, sizeof text),
             params.files.ca ? "need a certificate" : "need no certificate");
    return 0;
}

static int sproxy_open_admission(struct sproxy *s)
{
    const struct sp_options *o = s->options;
    int r = sp_admission_new(o, &s->admission);
    if (r >= 0 && o->trunk_tokens_file && !s->tls)
        log_warn(NULL, "tokens of r-proxies come in clear text: whoever sees one can use it");
    return r;
}

static void sproxy_reload(struct program *p, const void *fresh)
{
    struct sproxy *s = program_object(p);
    const struct sp_options *o = fresh;
    const struct rpc_tls_files files = sp_options_tls_files(o);
    char text[512];
    if (!s->tls != !files.certificate)
        log_warn(NULL, "trunk TLS is turned on and off at the next start only");
    else if (s->tls) {
        int r = rpc_tls_reload(s->tls, &files);
        sproxy_on_tls_reloaded(r, r < 0 ? err_text() : rpc_tls_describe(s->tls, text, sizeof text), s);
    }
    sproxy_warn_of_secrets(o);
    if (sp_admission_reload(s->admission, o) < 0)
        log_error(NULL, "tokens, names and identities of r-proxies are kept as they were: %s", err_text());
    sp_upstream_tls_reload(s->upstream_tls, o);
}

/* --- Life */

static int sproxy_start(struct program *p, const void *options)
{
    struct sproxy *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(-ENOMEM, "out of memory");
    program_set_object(p, s);
    s->program = p;
    s->options = options;
    s->trunk_options = trunk_options_from_config(&s->options->trunk, "s-proxy " PROJECT_VERSION, SP_MAX_LANES);
    byte_budget_init(&s->budget, s->options->program.max_buffered_bytes);
    sproxy_warn_of_secrets(options);
    int r = net_raise_fd_limit();
    if (r < 0)
        return r;
    sp_limits_init(&s->limits, options, (uint64_t)r);
    r = sproxy_open_tls(s);
    if (r >= 0)
        r = sproxy_open_admission(s);
    if (r >= 0)
        r = sp_upstream_tls_new(program_loop(p), s->options, program_metrics(p), &s->upstream_tls);
    if (r >= 0)
        r = metrics_add(program_metrics(p), "sproxy", sp_gate_metric_infos,
                        sizeof sp_gate_metric_infos / sizeof sp_gate_metric_infos[0], &s->metrics);
    if (r >= 0)
        r = rpc_cq_start(&s->cq);
    if (r >= 0)
        r = worker_pool_start("s-proxy", program_workers(p), &sp_worker_calls, s, &s->pool);
    if (r >= 0)
        r = sproxy_listen(s);
    if (r < 0)
        return r;
    sproxy_log_listeners(s);
    sproxy_log_brokers(s);
    return 0;
}

void sproxy_worker_is_idle(struct sproxy *s)
{
    if (atomic_fetch_sub_explicit(&s->busy_workers, 1, memory_order_acq_rel) == 1)
        program_post(s->program, program_drained);
}

static void sproxy_drain(struct program *p)
{
    struct sproxy *s = program_object(p);
    unsigned n = worker_pool_size(s->pool);
    rpc_server_drain(s->server);
    atomic_store_explicit(&s->busy_workers, n, memory_order_release);
    for (unsigned i = 0; i < n; i++)
        worker_post(worker_pool_get(s->pool, i), sp_worker_drain, NULL);
}

/* The server first, while the loops still run: it cancels the streams that are left, and afterwards no new one can
 * come. */
static void sproxy_stop(struct program *p)
{
    struct sproxy *s = program_object(p);
    if (!s)
        return;
    s->server = rpc_server_close(s->server);
    s->pool = worker_pool_stop(s->pool);
    s->cq = rpc_cq_stop(s->cq);
    if (s->tls)
        rpc_tls_unwatch(s->tls);
    s->tls = rpc_tls_unref(s->tls);
    s->admission = sp_admission_free(s->admission);
    s->upstream_tls = sp_upstream_tls_free(s->upstream_tls);
    metrics_remove(program_metrics(p), &s->metrics);
    free(s);
}

const struct program_calls sproxy_calls = {
    .start = sproxy_start, .reload = sproxy_reload, .drain = sproxy_drain, .stop = sproxy_stop};
