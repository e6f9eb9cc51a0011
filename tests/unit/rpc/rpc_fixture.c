/* See rpc_fixture.h. */
#include "rpc_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD_MS = 60000 };

static void tell(struct end *e, enum end_event event, const uint8_t *bytes, size_t n)
{
    loop_stop(e->rig->loop);
    if (e->on_event)
        e->on_event(e, event, bytes, n);
}

static void on_headers(struct rpc_stream *s, void *arg)
{
    struct end *e = arg;
    e->n_headers++;
    tell(e, END_HEADERS, NULL, 0);
}

static enum gate_answer on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg)
{
    struct end *e = arg;
    e->n_messages++;
    e->n_bytes += n;
    if (n >= 4) {
        uint32_t number;
        memcpy(&number, bytes, 4);
        if (number != e->next_number++ || (n > 4 && bytes[n - 1] != (uint8_t)number))
            e->n_wrong++;
    }
    bool holds = e->holds_next;
    e->holds_next = false;
    if (holds)
        e->wait = rpc_stream_hold(s);
    tell(e, END_MESSAGE, bytes, n);
    return holds ? GATE_HOLD : GATE_PASS;
}

static void on_drain(struct rpc_stream *s, void *arg)
{
    struct end *e = arg;
    e->n_drains++;
    tell(e, END_DRAIN, NULL, 0);
}

static void on_half_close(struct rpc_stream *s, void *arg)
{
    struct end *e = arg;
    e->n_half_closes++;
    tell(e, END_HALF_CLOSE, NULL, 0);
}

static void on_end(struct rpc_stream *s, int status, const char *text, void *arg)
{
    struct end *e = arg;
    e->n_ends++;
    e->status = status;
    snprintf(e->text, sizeof(e->text), "%s", text);
    tell(e, END_END, NULL, 0);
}

const struct rpc_stream_cbs end_cbs = {
    .on_headers = on_headers,
    .on_message = on_message,
    .on_drain = on_drain,
    .on_half_close = on_half_close,
    .on_end = on_end,
};

void end_open(struct end *e, struct rig *r)
{
    end_open_at(e, r, r->channel);
}

void end_open_at(struct end *e, struct rig *r, struct rpc_channel *channel)
{
    const struct rpc_metadata metadata[] = {{"session-id", "s-1"}, {"x-empty", ""}};
    e->rig = r;
    ck_assert_int_eq(rpc_stream_open(channel, r->mailbox, r->path, metadata, 2, &end_cbs, e, &e->stream), 0);
}

void end_free(struct end *e)
{
    e->stream = rpc_stream_free(e->stream);
}

void end_send(struct end *e, uint32_t number, size_t n)
{
    struct rpc_message *m = rpc_message_new(n);
    memset(rpc_message_bytes(m), (uint8_t)number, n);
    memcpy(rpc_message_bytes(m), &number, 4);
    rpc_stream_send(e->stream, m);
}

static struct mailbox *pick(void *arg)
{
    const struct rig *r = arg;
    return r->refuses_arrivals ? NULL : r->mailbox;
}

static void on_stream(struct rpc_stream *stream, void *arg)
{
    struct rig *r = arg;
    loop_stop(r->loop);
    r->n_arrived++;
    if (r->on_arrival) {
        r->on_arrival(r, stream);
        return;
    }
    ck_assert_uint_le(r->n_arrived, r->n_ends);
    struct end *e = &r->ends[r->n_arrived - 1];
    e->stream = stream;
    const struct rpc_metadata metadata[] = {{"x-server", "yes"}};
    ck_assert_int_eq(rpc_stream_accept(stream, metadata, 1, &end_cbs, e), 0);
}

static void on_guard(struct loop_timer *timer)
{
    ck_abort_msg("nothing has happened for %d s", GUARD_MS / 1000);
}

void rig_init(struct rig *r, unsigned n_ends)
{
    rig_init_at(r, RIG_PATH, RIG_MAX_MESSAGE, n_ends);
}

static void rig_serve(struct rig *r, struct rpc_tls *tls, const char *path, uint32_t max_message_bytes, unsigned n_ends)
{
    *r = (struct rig){.path = path, .n_ends = n_ends};
    ck_assert_int_eq(rpc_cq_start(&r->cq), 0);
    ck_assert_int_eq(loop_new(&r->loop), 0);
    ck_assert_int_eq(mailbox_new(r->loop, &r->mailbox), 0);
    ck_assert_int_eq(rpc_cq_poll(r->cq, getenv(RIG_THREAD) ? NULL : r->loop), 0);
    loop_timer_init(&r->guard, r->loop, on_guard);
    r->ends = calloc(n_ends + 1, sizeof(*r->ends));
    for (unsigned i = 0; i < n_ends; i++)
        r->ends[i].rig = r;

    const struct rpc_server_params params = {
        .listen = (const char *const[]){"127.0.0.1:0"},
        .n_listen = 1,
        .keepalive_ms = 10000,
        .keepalive_timeout_ms = 5000,
        .min_ping_interval_ms = 5000,
        .max_message_bytes = max_message_bytes,
        .max_metadata_bytes = RIG_MAX_METADATA,
        .tls = tls,
    };
    const struct rpc_server_method method = {.path = path, .pick = pick, .on_stream = on_stream, .arg = r};
    ck_assert_int_eq(rpc_server_open(r->cq, &params, &method, 1, &r->server), 0);
    snprintf(r->target, sizeof(r->target), "127.0.0.1:%u", rpc_server_port(r->server, 0));
}

void rig_init_tls(struct rig *r, struct rpc_tls *tls, unsigned n_ends)
{
    rig_serve(r, tls, RIG_PATH, RIG_MAX_MESSAGE, n_ends);
}

void rig_init_at(struct rig *r, const char *path, uint32_t max_message_bytes, unsigned n_ends)
{
    rig_serve(r, NULL, path, max_message_bytes, n_ends);
    const struct rpc_channel_params to = {.target = r->target, .keepalive_ms = 10000, .keepalive_timeout_ms = 5000};
    ck_assert_int_eq(rpc_channel_open(r->cq, &to, &r->channel), 0);
}

void rig_deinit(struct rig *r)
{
    for (unsigned i = 0; i < r->n_ends; i++)
        end_free(&r->ends[i]);
    rpc_channel_close(r->channel);
    rpc_server_close(r->server);
    mailbox_free(r->mailbox);
    rpc_cq_leave(r->cq);
    loop_run(r->loop);
    rpc_cq_stop(r->cq);
    loop_free(r->loop);
    free(r->ends);
}

void rig_turn(struct rig *r)
{
    loop_timer_start(&r->guard, GUARD_MS);
    loop_run(r->loop);
    loop_timer_stop(&r->guard);
}
