/* MQTT packets over a conn (mqtt_io.h).
 *
 *   conn --on_input(cursor)--> gate_run() --> next packet? decode in place --> on_packet
 *                                 ^                                              | GATE_HOLD: the rest stays with the
 * conn
 *                                 '-- conn offers it again <-- gate_continue() <-'
 *
 * The decoder needs the conn's input, so packets are taken only inside on_input; whoever makes them flow again
 * (gate_continue(), mqtt_io_resume()) has the conn offer its unread bytes once more. */
#include "mqtt_io.h"

#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "loop.h"
#include "mqtt_decode.h"
#include "mqtt_encode.h"

/* The gate's own reason to stop reading; those of the user are below. */
enum { MQTT_IO_PAUSE_FULL = 1u << 31 };

struct mqtt_io {
    struct conn *conn;
    struct loop *loop;
    const struct mqtt_io_cbs *cbs;
    void *arg;
    struct mqtt_decoder decoder;
    struct gate gate;
    struct cursor *input;      /* of the conn, while on_input is on the stack; else NULL */
    bool *gone;                /* set by mqtt_io_close() for whoever is on the stack; NULL = nobody */
    struct loop_task end_task; /* tells an end that had to wait behind a held packet */
    size_t input_limit;
    uint64_t last_input_ms;
    uint64_t packets_in, packets_out;
    uint32_t send_limit; /* 0 = none */
    unsigned pauses;     /* reasons for which nothing is read or decoded */
    enum conn_end end;
    bool is_bad;   /* what came was no packet: nothing is decoded any more */
    bool is_ended; /* the conn has ended; told as soon as nothing waits in front of it */
};

/* --- The way in */

/* Packets flow again: those that are here are offered once more; if there are none, an end that waited is due. */
static void mqtt_io_go_on(struct mqtt_io *io)
{
    conn_continue(io->conn);
    if (io->is_ended && conn_unread_bytes(io->conn) == 0)
        loop_defer(io->loop, &io->end_task);
}

/* Whether packets that have come cannot be served at present. */
static bool mqtt_io_is_waiting(const struct mqtt_io *io)
{
    return gate_is_held(&io->gate) || io->pauses != 0;
}

static enum gate_answer mqtt_io_refuse(struct mqtt_io *io)
{
    bool is_gone = false;
    bool *outer = io->gone;
    io->is_bad = true;
    io->gone = &is_gone;
    conn_pause(io->conn);
    io->cbs->on_bad_packet(io, mqtt_decoder_reason(&io->decoder), mqtt_decoder_text(&io->decoder), io->arg);
    if (is_gone) {
        if (outer)
            *outer = true;
        return GATE_CLOSED;
    }
    io->gone = outer;
    return GATE_EMPTY;
}

/* The gate's `next`. */
static enum gate_answer mqtt_io_next(void *arg)
{
    struct mqtt_io *io = arg;
    struct mqtt_packet packet;
    mqtt_io_resume(io, MQTT_IO_PAUSE_FULL); /* nothing waits any more */
    if (io->is_bad || io->pauses != 0)
        return GATE_EMPTY;
    if (!io->input) {
        mqtt_io_go_on(io);
        return GATE_EMPTY;
    }
    switch ((enum mqtt_decode_result)mqtt_decoder_feed(&io->decoder, io->input, &packet)) {
    case MQTT_DECODE_OK:
        io->packets_in++;
        return io->cbs->on_packet(io, &packet, io->arg);
    case MQTT_DECODE_MORE:
        conn_expect(io->conn, mqtt_decoder_needed(&io->decoder));
        return GATE_EMPTY;
    case MQTT_DECODE_MALFORMED:
    case MQTT_DECODE_TOO_LARGE:
        break;
    }
    return mqtt_io_refuse(io);
}

/* Bytes are left: behind a packet that waits, or of one that is not whole. */
static void mqtt_io_on_rest(struct mqtt_io *io, size_t rest)
{
    if (gate_is_held(&io->gate) && rest > io->input_limit)
        mqtt_io_pause(io, MQTT_IO_PAUSE_FULL);
    if (io->cbs->on_progress)
        io->cbs->on_progress(io, io->arg);
}

static void mqtt_io_on_input(struct conn *c, struct cursor *input, void *arg)
{
    struct mqtt_io *io = arg;
    bool is_gone = false;
    io->last_input_ms = loop_now_ms(io->loop);
    io->input = input;
    io->gone = &is_gone;
    gate_run(&io->gate);
    if (is_gone)
        return;
    io->input = NULL;
    if (input->len > 0)
        mqtt_io_on_rest(io, input->len);
    if (is_gone)
        return;
    io->gone = NULL;
    if (io->is_ended && !mqtt_io_is_waiting(io))
        loop_defer(io->loop, &io->end_task);
}

static void mqtt_io_on_progress(struct conn *c, void *arg)
{
    struct mqtt_io *io = arg;
    io->last_input_ms = loop_now_ms(io->loop);
    if (io->cbs->on_progress)
        io->cbs->on_progress(io, io->arg);
}

static void mqtt_io_on_drain(struct conn *c, void *arg)
{
    struct mqtt_io *io = arg;
    if (io->cbs->on_drain)
        io->cbs->on_drain(io, io->arg);
}

/* --- The end */

/* A packet waits and others wait behind it: they came before the end and are served before it. */
static void mqtt_io_on_end(struct conn *c, enum conn_end why, const char *text, void *arg)
{
    struct mqtt_io *io = arg;
    if (!gate_is_held(&io->gate)) {
        io->cbs->on_end(io, why, text, io->arg);
        return;
    }
    io->is_ended = true;
    io->end = why;
}

static void mqtt_io_on_end_task(struct loop_task *task)
{
    struct mqtt_io *io = container_of(task, struct mqtt_io, end_task);
    if (mqtt_io_is_waiting(io))
        return; /* the next packet waits now; when it goes on, this comes back */
    io->is_ended = false;
    io->cbs->on_end(io, io->end, io->end == CONN_END_EOF ? "closed by the peer" : "lost", io->arg);
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
    struct mqtt_io *io = calloc(1, sizeof(*io));
    if (!io) {
        conn_parcel_close(parcel);
        return err_set(-ENOMEM, "connection %s: out of memory", parcel->peer.text);
    }
    io->loop = loop;
    io->cbs = params->cbs;
    io->arg = params->arg;
    io->input_limit = params->input_limit;
    io->last_input_ms = loop_now_ms(loop);
    mqtt_decoder_init(&io->decoder, params->version, params->max_packet_bytes);
    gate_init(&io->gate, mqtt_io_next, io);
    loop_task_init(&io->end_task, mqtt_io_on_end_task);
    int r = conn_attach(loop, parcel, &mqtt_io_conn_cbs, io, &io->conn);
    if (r < 0) {
        gate_close(&io->gate);
        free(io);
        return r;
    }
    *ret_io = io;
    return 0;
}

struct mqtt_io *mqtt_io_close(struct mqtt_io *io, uint32_t within_ms)
{
    if (!io)
        return NULL;
    if (io->gone)
        *io->gone = true;
    loop_task_cancel(&io->end_task);
    gate_close(&io->gate);
    conn_close(io->conn, within_ms);
    free(io);
    return NULL;
}

/* --- Flow */

struct gate_wait *mqtt_io_hold(struct mqtt_io *io)
{
    return gate_hold(&io->gate);
}

void mqtt_io_pause(struct mqtt_io *io, unsigned reason_bit)
{
    io->pauses |= reason_bit;
    conn_pause(io->conn);
}

void mqtt_io_resume(struct mqtt_io *io, unsigned reason_bit)
{
    if (!(io->pauses & reason_bit))
        return;
    io->pauses &= ~reason_bit;
    if (io->pauses != 0 || io->is_bad)
        return;
    conn_resume(io->conn);
    mqtt_io_go_on(io);
}

/* --- The way out */

int mqtt_io_send(struct mqtt_io *io, const struct mqtt_packet *packet, size_t *ret_bytes)
{
    size_t size = mqtt_encode_size(packet);
    if (io->send_limit != 0 && size > io->send_limit)
        return MQTT_IO_TOO_LARGE;
    uint8_t *dst = conn_reserve(io->conn, size);
    if (!dst)
        return err_set(-ENOMEM, "connection %s: no memory for %zu bytes", conn_peer(io->conn)->text, size);
    conn_commit(io->conn, mqtt_encode(packet, dst));
    io->packets_out++;
    if (ret_bytes)
        *ret_bytes = size;
    return 0;
}

void mqtt_io_set_send_limit(struct mqtt_io *io, uint32_t max_packet_bytes)
{
    io->send_limit = max_packet_bytes;
}

void mqtt_io_set_receive_limit(struct mqtt_io *io, uint32_t max_packet_bytes)
{
    io->decoder.max_packet_bytes = max_packet_bytes != 0 ? max_packet_bytes : MQTT_PACKET_MAX;
}

/* --- What is known */

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
