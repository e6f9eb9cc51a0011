/* See trunk.h. Beginning and end of a trunk, and what its owner asks of it. */
#define LOG_MODULE LOG_TUNNEL
#include "trunk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mailbox.h"
#include "random.h"
#include "str.h"
#include "trunk_internal.h"

static const char ID_KEY[] = "trunk-id";

enum {
    LEAST_WINDOW = 16 * 1024, /* of a lane */
    LEAST_MESSAGE = 64 * 1024,
};

void trunk_ref(struct trunk *t)
{
    t->refs++;
}

void trunk_unref(struct trunk *t)
{
    if (--t->refs > 0)
        return;
    t->zip = trunk_zip_free(t->zip);
    t->unzip = trunk_unzip_free(t->unzip);
    free(t->lanes);
    free(t);
}

bool trunk_is_over(const struct trunk *t)
{
    return t->is_failed || t->is_ended || t->is_freed;
}

/* Nothing is taken or sent any more. */
static void give_up(struct trunk *t, int status, const char *text)
{
    t->is_failed = true;
    t->fail_status = status;
    t->fail_text = text;
    trunk_pulse_stop(t);
    trunk_batch_deinit(t);
}

void trunk_fail(struct trunk *t, int status, const char *text)
{
    if (trunk_is_over(t))
        return;
    if (status != RPC_UNAVAILABLE)
        metric_add(&t->metrics->trunks_failed, 1);
    give_up(t, status, text);
    rpc_stream_cancel(t->stream, status, text);
}

void trunk_end_if_drained(struct trunk *t)
{
    static const char text[] = "draining";
    if (!t->is_server || !t->is_draining || t->due.is_draining || t->n_lanes > 0 || t->batch_len > 0 ||
        trunk_is_over(t))
        return;
    give_up(t, RPC_UNAVAILABLE, text);
    rpc_stream_finish(t->stream, RPC_UNAVAILABLE, text);
}

static void trunk_describe(const struct log_object *self, struct log_writer *w)
{
    const struct trunk *t = container_of(self, struct trunk, log);
    log_field(w, "trunk", "%.8s", t->id);
    log_field(w, "peer", "%s", trunk_peer(t));
}

/* --- Counters */

#define METRICS_OWNER struct trunk_metrics
static const struct metric_info trunk_metric_infos[] = {TRUNK_METRICS(METRIC_INFO)};

int trunk_metrics_add(struct trunk_metrics *m, struct metrics_registry *registry, const char *prefix)
{
    return metrics_add(registry, prefix, trunk_metric_infos, sizeof(trunk_metric_infos) / sizeof(trunk_metric_infos[0]),
                       m);
}

/* --- Hello */

static void send_hello(struct trunk *t)
{
    t->due.has_hello = true;
    t->due.hello = (struct trunk_hello){
        .version = TRUNK_VERSION,
        .software = {(const uint8_t *)t->options->software, (uint32_t)strlen(t->options->software)},
        .lane_window = LANE_WINDOW_BYTES,
        .max_message_bytes = TRUNK_MESSAGE_MAX,
        .max_lanes = t->is_server ? t->options->max_lanes : 0,
        .dead_after_ms = t->options->dead_after_ms,
        .zstd_window_log = t->options->zstd_window_log,
    };
    trunk_batch_close(t);
}

static const char *fault_of_hello(const struct trunk_hello *hello)
{
    if (hello->version < 1)
        return "hello without version";
    if (hello->lane_window < LEAST_WINDOW || hello->lane_window > INT32_MAX)
        return "hello with an impossible lane_window";
    if (hello->max_message_bytes < LEAST_MESSAGE)
        return "hello with too small a max_message_bytes";
    return NULL;
}

/* What does not cross a wire is not worth the CPU, and the peer must be able to read it. */
static int begin_compression(struct trunk *t)
{
    const struct trunk_options *o = t->options;
    uint32_t window_log = o->zstd_window_log < t->peer.zstd_window_log ? o->zstd_window_log : t->peer.zstd_window_log;
    bool is_wanted = o->zstd_level != 0 && (o->is_zstd_on_loopback || !rpc_stream_is_loopback(t->stream));
    if (!is_wanted || window_log < TRUNK_ZIP_WINDOW_LOG_MIN)
        return 0;
    return trunk_zip_new(o->zstd_level, window_log, &t->zip);
}

void trunk_receive_hello(struct trunk *t, const struct trunk_hello *hello)
{
    const char *fault = fault_of_hello(hello);
    if (fault) {
        trunk_fail(t, RPC_INVALID_ARGUMENT, fault);
        return;
    }
    t->peer = *hello;
    str_quote(t->peer_software, sizeof(t->peer_software), hello->software.ptr, hello->software.len);
    t->peer.software = (struct mqtt_bytes){0};
    if (begin_compression(t) < 0)
        log_warn(&t->log, "no compression: %s", err_text());
    t->is_ready = true;
    metric_add(&t->metrics->trunks_opened, 1);
    metric_add(&t->metrics->trunks_open, 1);
    t->received_ms = loop_now_ms(t->loop);
    trunk_pulse_start(t);
    t->cbs->on_ready(t, t->arg);
}

/* --- The stream */

static void on_half_close(struct rpc_stream *s, void *arg)
{
    trunk_fail(arg, RPC_UNAVAILABLE, "r-proxy has ended the trunk");
}

static void on_end(struct rpc_stream *s, int status, const char *text, void *arg)
{
    struct trunk *t = arg;
    if (t->is_failed) {
        status = t->fail_status;
        text = t->fail_text;
    }
    trunk_ref(t);
    t->is_ended = true;
    trunk_pulse_stop(t);
    trunk_batch_deinit(t);
    if (t->is_ready)
        metric_add(&t->metrics->trunks_open, -1);
    trunk_end_lanes(t, text);
    if (!t->is_freed)
        t->cbs->on_end(t, status, text, t->arg);
    trunk_unref(t);
}

static const struct rpc_stream_cbs stream_cbs = {
    .on_message = trunk_on_message,
    .on_drain = trunk_on_drain,
    .on_half_close = on_half_close,
    .on_end = on_end,
};

/* --- Life */

static struct trunk *trunk_new(const struct trunk_params *params, struct mailbox *mailbox)
{
    struct trunk *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->loop = mailbox_loop(mailbox);
    t->options = params->options;
    t->metrics = params->metrics;
    t->cbs = params->cbs;
    t->arg = params->arg;
    t->log.describe = trunk_describe;
    t->refs = 1;
    list_init(&t->ready);
    list_init(&t->ending);
    list_init(&t->leaving);
    trunk_link_init(&t->link, loop_now_ms(t->loop));
    trunk_batch_init(t);
    trunk_pulse_init(t);
    return t;
}

/* The stream is there. */
static void start(struct trunk *t)
{
    send_hello(t);
    trunk_pulse_start(t);
}

int trunk_open(struct rpc_channel *channel, const struct trunk_params *params, struct trunk **ret_trunk)
{
    uint8_t id[TRUNK_ID_TEXT / 2];
    int r = random_bytes(id, sizeof(id));
    if (r < 0)
        return r;
    struct trunk *t = trunk_new(params, params->mailbox);
    if (!t)
        return err_errno(-ENOMEM, "trunk");
    str_hex(t->id, id, sizeof(id));
    const struct rpc_metadata metadata = {ID_KEY, t->id};
    r = rpc_stream_open(channel, params->mailbox, TRUNK_PATH, &metadata, 1, &stream_cbs, t, &t->stream);
    if (r < 0) {
        trunk_free(t);
        return err_context(r, "trunk");
    }
    start(t);
    *ret_trunk = t;
    return 0;
}

int trunk_accept(struct rpc_stream *stream, const struct trunk_params *params, struct trunk **ret_trunk)
{
    struct trunk *t = trunk_new(params, rpc_stream_mailbox(stream));
    if (!t) {
        rpc_stream_free(stream);
        return err_errno(-ENOMEM, "trunk");
    }
    t->is_server = true;
    t->stream = stream;
    int r = rpc_stream_accept(stream, NULL, 0, &stream_cbs, t);
    if (r < 0) {
        trunk_free(t);
        return err_context(r, "trunk");
    }
    const char *id = rpc_stream_metadata(stream, ID_KEY);
    str_quote(t->id, sizeof(t->id), id ? id : "", id ? strlen(id) : 0);
    start(t);
    *ret_trunk = t;
    return 0;
}

struct trunk *trunk_free(struct trunk *t)
{
    if (!t)
        return NULL;
    if (t->is_ready && !t->is_ended)
        metric_add(&t->metrics->trunks_open, -1);
    t->is_freed = true;
    trunk_forget_lanes(t);
    trunk_pulse_stop(t);
    trunk_batch_deinit(t);
    t->stream = rpc_stream_free(t->stream);
    trunk_unref(t);
    return NULL;
}

void trunk_drain(struct trunk *t)
{
    if (t->is_draining || trunk_is_over(t))
        return;
    t->is_draining = t->due.is_draining = true;
    trunk_batch_control(t);
}

bool trunk_is_usable(const struct trunk *t)
{
    return t->is_ready && !t->is_peer_draining && !trunk_is_over(t);
}

unsigned trunk_lane_count(const struct trunk *t)
{
    return t->n_lanes;
}

uint32_t trunk_rtt_us(const struct trunk *t)
{
    return t->rtt_us;
}

const char *trunk_peer(const struct trunk *t)
{
    return rpc_stream_peer(t->stream);
}

const char *trunk_peer_software(const struct trunk *t)
{
    return t->peer_software;
}

const char *trunk_id(const struct trunk *t)
{
    return t->id;
}

const struct rpc_stream *trunk_stream(const struct trunk *t)
{
    return t->stream;
}
