/* See mqtt_io.h.
 *
 *   on_input --> gate_run --> next: decode one --> on_packet     from the conn's bytes, while `input` is set
 *   gate_continue, mqtt_io_resume ----------> next: no input --> conn_continue: the bytes come again at the end of the
 * turn
 *
 * Callbacks may free the mqtt_io: whatever calls one touches nothing afterwards, or asks `closed_flag`. */
#include "mqtt_io.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "loop.h"
#include "mqtt_decode.h"
#include "mqtt_encode.h"

/* Fixed header, protocol name, level, flags, keep alive. */
enum { MQTT_IO_CONNECT_HEAD_BYTES = 5 + 2 + 6 + 1 + 1 + 2 };

struct mqtt_io {
    struct conn *conn;
    const struct mqtt_io_cbs *cbs;
    void *arg;
    struct gate gate;
    struct mqtt_decoder decoder;
    struct cursor *input;      /* NULL unless on_input is on the stack */
    bool *closed_flag;         /* likewise: tells it that the mqtt_io is gone */
    struct loop_task end_task; /* reports an end that had to wait */
    char *end_text;            /* NULL until the conn has ended */
    size_t input_limit;
    size_t unread_bytes; /* left by the last offer: more than that now means that bytes have come */
    uint64_t last_input_ms;
    uint64_t packets_in, packets_out;
    uint32_t send_limit; /* 0 = none */
    unsigned pause_bits;
    enum conn_end end_why;
    bool is_bad;           /* what came is no packet: nothing is decoded any more */
    bool is_offer_awaited; /* conn_continue() was called and the bytes have not come yet */
    bool is_end_reported;
};

/* --- Reading */

/* The conn pauses while anybody wants it to, and while too much waits behind a held packet. */
static void mqtt_io_set_pause(struct mqtt_io *io, size_t unread_bytes)
{
    bool is_full = gate_is_held(&io->gate) && unread_bytes > io->input_limit;
    if (io->pause_bits != 0 || io->is_bad || is_full)
        conn_pause(io->conn);
    else
        conn_resume(io->conn);
}

static void mqtt_io_ask_for_input(struct mqtt_io *io)
{
    size_t unread_bytes = conn_unread_bytes(io->conn);
    mqtt_io_set_pause(io, unread_bytes);
    if (unread_bytes > 0) {
        io->is_offer_awaited = true;
        conn_continue(io->conn);
    }
    if (io->end_text)
        loop_defer(conn_loop(io->conn), &io->end_task);
}

static enum gate_answer mqtt_io_refuse(struct mqtt_io *io)
{
    io->is_bad = true;
    conn_pause(io->conn);
    io->cbs->on_bad_packet(io, mqtt_decoder_reason(&io->decoder), mqtt_decoder_text(&io->decoder), io->arg);
    return GATE_EMPTY; /* IO may be gone from here on */
}

/* The offers wait for the whole packet, but the beginning of a CONNECT comes to the decoder at once: what is not MQTT
 * is refused by its first bytes. */
static void mqtt_io_expect(struct mqtt_io *io)
{
    if (mqtt_decoder_version(&io->decoder) != 0 || io->input->len >= MQTT_IO_CONNECT_HEAD_BYTES)
        conn_expect(io->conn, mqtt_decoder_needed(&io->decoder));
}

static enum gate_answer mqtt_io_next(void *arg)
{
    struct mqtt_io *io = arg;
    struct mqtt_packet packet;
    if (io->pause_bits != 0 || io->is_bad)
        return GATE_EMPTY;
    if (!io->input) {
        mqtt_io_ask_for_input(io);
        return GATE_EMPTY;
    }
    switch (mqtt_decoder_feed(&io->decoder, io->input, &packet)) {
    case MQTT_DECODE_OK:
        io->packets_in++;
        return io->cbs->on_packet(io, &packet, io->arg); /* IO may be gone from here on */
    case MQTT_DECODE_MORE:
        mqtt_io_expect(io);
        return GATE_EMPTY;
    default:
        return mqtt_io_refuse(io);
    }
}

static void mqtt_io_progress(struct mqtt_io *io)
{
    if (io->cbs->on_progress)
        io->cbs->on_progress(io, io->arg);
}

static void mqtt_io_on_input(struct conn *c, struct cursor *input, void *arg)
{
    struct mqtt_io *io = arg;
    bool is_closed = false;
    if (input->len > io->unread_bytes)
        io->last_input_ms = loop_now_ms(conn_loop(c));
    io->is_offer_awaited = false;
    io->input = input;
    io->closed_flag = &is_closed;
    gate_run(&io->gate);
    if (is_closed)
        return; /* IO is gone */
    io->input = NULL;
    io->closed_flag = NULL;
    io->unread_bytes = input->len;
    mqtt_io_set_pause(io, input->len);
    if (io->end_text)
        loop_defer(conn_loop(c), &io->end_task);
    if (input->len > 0)
        mqtt_io_progress(io); /* IO may be gone from here on */
}

static void mqtt_io_on_progress(struct conn *c, void *arg)
{
    struct mqtt_io *io = arg;
    io->unread_bytes = conn_unread_bytes(c);
    io->last_input_ms = loop_now_ms(conn_loop(c));
    mqtt_io_progress(io);
}

static void mqtt_io_on_drain(struct conn *c, void *arg)
{
    struct mqtt_io *io = arg;
    if (io->cbs->on_drain)
        io->cbs->on_drain(io, io->arg);
}

/* --- The end */

/* Whether nothing that arrived before the end still has to pass. A lost connection does not wait for the user's pause,
 * which may last. */
static bool mqtt_io_is_end_due(const struct mqtt_io *io)
{
    if (io->is_end_reported || gate_is_held(&io->gate))
        return false;
    if (io->pause_bits != 0)
        return io->end_why == CONN_END_ERROR;
    return !io->is_offer_awaited || io->is_bad;
}

static void mqtt_io_report_end(struct mqtt_io *io)
{
    if (!mqtt_io_is_end_due(io))
        return;
    io->is_end_reported = true;
    io->cbs->on_end(io, io->end_why, io->end_text, io->arg);
}

static void mqtt_io_on_end_task(struct loop_task *task)
{
    mqtt_io_report_end(container_of(task, struct mqtt_io, end_task));
}

static void mqtt_io_on_end(struct conn *c, enum conn_end why, const char *text, void *arg)
{
    struct mqtt_io *io = arg;
    io->end_why = why;
    io->end_text = strdup(text);
    if (!io->end_text)
        abort(); /* as for a timer: an end that nobody hears of leaks the connection */
    mqtt_io_report_end(io);
}

static const struct conn_cbs mqtt_io_conn_cbs = {
    .on_input = mqtt_io_on_input,
    .on_progress = mqtt_io_on_progress,
    .on_drain = mqtt_io_on_drain,
    .on_end = mqtt_io_on_end,
};

/* --- Life */

int mqtt_io_open(struct loop *loop, struct conn_parcel *parcel, const struct mqtt_io_params *params,
                 struct mqtt_io **ret_io)
{
    assert(params->is_server || params->version != 0);
    struct mqtt_io *io = calloc(1, sizeof(*io));
    if (!io) {
        conn_parcel_close(parcel);
        return err_errno(-ENOMEM, "connection %s", parcel->peer.text);
    }
    int r = conn_attach(loop, parcel, &mqtt_io_conn_cbs, io, &io->conn);
    if (r < 0) {
        free(io);
        return r;
    }
    io->cbs = params->cbs;
    io->arg = params->arg;
    io->input_limit = params->input_limit;
    io->last_input_ms = loop_now_ms(loop);
    gate_init(&io->gate, mqtt_io_next, io);
    mqtt_decoder_init(&io->decoder, params->version, params->max_packet_bytes);
    loop_task_init(&io->end_task, mqtt_io_on_end_task);
    *ret_io = io;
    return 0;
}

/* All but the conn. */
static struct mqtt_io *mqtt_io_free(struct mqtt_io *io)
{
    if (io->closed_flag)
        *io->closed_flag = true;
    gate_close(&io->gate);
    loop_task_cancel(&io->end_task);
    free(io->end_text);
    free(io);
    return NULL;
}

struct mqtt_io *mqtt_io_close(struct mqtt_io *io, uint32_t within_ms)
{
    if (!io)
        return NULL;
    conn_close(io->conn, within_ms);
    return mqtt_io_free(io);
}

struct mqtt_io *mqtt_io_detach(struct mqtt_io *io, struct conn_parcel *ret_parcel)
{
    conn_detach(io->conn, ret_parcel);
    return mqtt_io_free(io);
}

/* --- What the user does */

struct gate_wait *mqtt_io_hold(struct mqtt_io *io)
{
    return gate_hold(&io->gate);
}

void mqtt_io_pause(struct mqtt_io *io, unsigned reason_bit)
{
    io->pause_bits |= reason_bit;
    conn_pause(io->conn);
}

void mqtt_io_resume(struct mqtt_io *io, unsigned reason_bit)
{
    if ((io->pause_bits & reason_bit) == 0)
        return;
    io->pause_bits &= ~reason_bit;
    if (io->pause_bits == 0 && !io->input)
        mqtt_io_ask_for_input(io);
}

int mqtt_io_send(struct mqtt_io *io, const struct mqtt_packet *packet, size_t *ret_bytes)
{
    size_t n = mqtt_encode_size(packet);
    if (n > MQTT_PACKET_MAX || (io->send_limit > 0 && n > io->send_limit))
        return MQTT_IO_TOO_LARGE;
    uint8_t *dst = conn_reserve(io->conn, n);
    if (!dst)
        return err_errno(-ENOMEM, "%s of %zu bytes", mqtt_type_name(packet->type), n);
    conn_commit(io->conn, mqtt_encode(packet, dst));
    io->packets_out++;
    if (ret_bytes)
        *ret_bytes = n;
    return 0;
}

void mqtt_io_set_send_limit(struct mqtt_io *io, uint32_t max_packet_bytes)
{
    io->send_limit = max_packet_bytes;
}

void mqtt_io_set_receive_limit(struct mqtt_io *io, uint32_t max_packet_bytes)
{
    io->decoder.max_packet_bytes = max_packet_bytes > 0 ? max_packet_bytes : MQTT_PACKET_MAX;
}

uint8_t mqtt_io_version(const struct mqtt_io *io)
{
    return mqtt_decoder_version(&io->decoder);
}

struct conn *mqtt_io_conn(const struct mqtt_io *io)
{
    return io->conn;
}

uint64_t mqtt_io_last_input_ms(const struct mqtt_io *io)
{
    return io->last_input_ms;
}

uint64_t mqtt_io_packets_in(const struct mqtt_io *io)
{
    return io->packets_in;
}

uint64_t mqtt_io_packets_out(const struct mqtt_io *io)
{
    return io->packets_out;
}
