/* One MQTT connection to a broker (upstream.h): a dial, then an mqtt_io, with the same owner. */
#include "upstream.h"

#include <errno.h>
#include <stdlib.h>

#include "dial.h"
#include "err.h"
#include "loop.h"

enum {
    UPSTREAM_INPUT_LIMIT = 64 * 1024, /* unread bytes behind a packet that waits */
    UPSTREAM_LOW_MARK = 32 * 1024,
};

struct upstream {
    struct loop *loop;
    const struct upstream_cbs *cbs;
    void *arg;
    struct dial *dial;  /* NULL once it has ended */
    struct mqtt_io *io; /* NULL until connected */
    uint32_t max_packet_bytes;
    uint8_t version;
    bool was_short;
};

static enum gate_answer upstream_on_packet(struct mqtt_io *io, const struct mqtt_packet *packet, void *arg)
{
    struct upstream *u = arg;
    return u->cbs->on_packet(u, packet, u->arg);
}

static void upstream_on_bad_packet(struct mqtt_io *io, uint8_t reason, const char *text, void *arg)
{
    struct upstream *u = arg;
    u->cbs->on_bad_packet(u, reason, text, u->arg);
}

static void upstream_on_progress(struct mqtt_io *io, void *arg)
{
    struct upstream *u = arg;
    u->cbs->on_progress(u, u->arg);
}

static void upstream_on_drain(struct mqtt_io *io, void *arg)
{
    struct upstream *u = arg;
    u->cbs->on_drain(u, u->arg);
}

static void upstream_on_end(struct mqtt_io *io, enum conn_end why, const char *text, void *arg)
{
    struct upstream *u = arg;
    u->cbs->on_end(u, why, text, u->arg);
}

static const struct mqtt_io_cbs upstream_io_cbs = {
    .on_packet = upstream_on_packet,
    .on_bad_packet = upstream_on_bad_packet,
    .on_progress = upstream_on_progress,
    .on_drain = upstream_on_drain,
    .on_end = upstream_on_end,
};

static void upstream_on_dialled(struct dial *d, struct conn_parcel *parcel, void *arg)
{
    struct upstream *u = arg;
    u->dial = NULL;
    struct mqtt_io_params params = {
        .cbs = &upstream_io_cbs,
        .arg = u,
        .version = u->version,
        .max_packet_bytes = u->max_packet_bytes,
        .input_limit = UPSTREAM_INPUT_LIMIT,
    };
    int r = mqtt_io_open(u->loop, parcel, &params, &u->io);
    if (r < 0) {
        u->was_short = true;
        u->cbs->on_failed(u, err_text(), u->arg);
        return; /* U may be gone from here on */
    }
    conn_set_low_mark(mqtt_io_conn(u->io), UPSTREAM_LOW_MARK);
    u->cbs->on_connected(u, u->arg);
}

static void upstream_on_dial_failed(struct dial *d, const char *text, void *arg)
{
    struct upstream *u = arg;
    u->dial = NULL;
    u->was_short = dial_was_short(d);
    u->cbs->on_failed(u, text, u->arg);
}

static size_t upstream_write_preface(const struct conn_peer *broker, uint8_t *dst, void *arg)
{
    const struct upstream *u = arg;
    return u->cbs->write_preface ? u->cbs->write_preface(broker, dst, u->arg) : 0;
}

static const struct dial_cbs upstream_dial_cbs = {
    .write_preface = upstream_write_preface,
    .on_connected = upstream_on_dialled,
    .on_failed = upstream_on_dial_failed,
};

int upstream_open(struct loop *loop, const struct upstream_params *params, struct upstream **ret_upstream)
{
    struct upstream *u = calloc(1, sizeof *u);
    if (!u)
        return err_set(-ENOMEM, "upstream: out of memory");
    u->loop = loop;
    u->cbs = params->cbs;
    u->arg = params->arg;
    u->version = params->version;
    u->max_packet_bytes = params->max_packet_bytes;
    struct dial_params dial = {
        .url = params->url,
        .default_port = url_default_port(params->url),
        .tls = params->tls,
        .timeout_ms = params->timeout_ms,
        .user_timeout_ms = UPSTREAM_USER_TIMEOUT_MS,
    };
    int r = dial_start(loop, &dial, &upstream_dial_cbs, u, &u->dial);
    if (r < 0) {
        free(u);
        return r;
    }
    *ret_upstream = u;
    return 0;
}

bool upstream_was_short(const struct upstream *u)
{
    return u->was_short;
}

struct mqtt_io *upstream_io(const struct upstream *u)
{
    return u->io;
}

int upstream_send(struct upstream *u, const struct mqtt_packet *packet, size_t *ret_bytes)
{
    return mqtt_io_send(u->io, packet, ret_bytes);
}

struct upstream *upstream_close(struct upstream *u, uint32_t within_ms)
{
    if (!u)
        return NULL;
    u->dial = dial_cancel(u->dial);
    u->io = mqtt_io_close(u->io, within_ms);
    free(u);
    return NULL;
}
