/* What a turn of the loop produces for a lane leaves as one message at its end (proto/mqtt_relay.proto section 6):
 * libgrpc's work is per message, and many times ours for a small packet.
 *
 *   1st packet of a turn --> a message of exactly its size    -- nothing follows --> as it is
 *   2nd, 3rd ...         --> entries behind the first         -- end of turn, or full, or something else leaves -->
 * batch
 *
 * Charged to the window is what the message has grown by, so it counts as if it had been sent. Extended peers only. */
#include <errno.h>
#include <string.h>

#include "err.h"
#include "relay_internal.h"

static void on_end_of_turn(struct loop_task *task)
{
    relay_flush(container_of(task, struct relay, collected.task));
}

void relay_collect_init(struct relay *r)
{
    loop_task_init(&r->collected.task, on_end_of_turn);
}

void relay_flush(struct relay *r)
{
    struct relay_collection *c = &r->collected;
    if (!c->message)
        return;
    struct rpc_message *m = c->message;
    rpc_message_set_length(m, c->len);
    c->message = NULL;
    relay_collect_drop(r);
    relay_pass_on(r, m);
}

void relay_collect_drop(struct relay *r)
{
    struct relay_collection *c = &r->collected;
    c->message = rpc_message_free(c->message);
    c->len = 0;
    c->is_batch = false;
    loop_task_cancel(&c->task);
}

static int begin(struct relay *r, const struct packet_frame *f)
{
    struct relay_collection *c = &r->collected;
    c->message = rpc_message_new(f->total_bytes);
    if (!c->message)
        return err_errno(-ENOMEM, "lane");
    packet_to_frame_write(f, rpc_message_bytes(c->message));
    c->len = f->total_bytes;
    r->window -= (int64_t)c->len;
    loop_defer(r->loop, &c->task);
    return 0;
}

/* How long it is as a batch. */
static size_t batch_bytes(const struct relay_collection *c)
{
    return c->is_batch ? c->len : relay_batch_entry_size(c->len);
}

/* The message becomes a batch with room for LEN bytes. Rooms double, so that a batch of two does not hold memory for a
 * hundred while it waits in the stream. */
static int make_room(struct relay_collection *c, size_t len)
{
    if (c->is_batch && len <= rpc_message_length(c->message))
        return 0;
    struct rpc_message *m = rpc_message_new(2 * len < LANE_PIECE_BYTES ? 2 * len : LANE_PIECE_BYTES);
    if (!m)
        return err_errno(-ENOMEM, "lane");
    uint8_t *dst = rpc_message_bytes(m);
    if (!c->is_batch)
        dst = relay_batch_write_head(dst, c->len);
    memcpy(dst, rpc_message_bytes(c->message), c->len);
    rpc_message_free(c->message);
    c->message = m;
    return 0;
}

static int add(struct relay *r, const struct packet_frame *f)
{
    struct relay_collection *c = &r->collected;
    size_t old_len = batch_bytes(c);
    size_t len = old_len + relay_batch_entry_size(f->total_bytes);
    int result = make_room(c, len);
    if (result < 0)
        return result;
    packet_to_frame_write(f, relay_batch_write_head(rpc_message_bytes(c->message) + old_len, f->total_bytes));
    r->window -= (int64_t)(len - c->len);
    c->len = len;
    c->is_batch = true;
    return 0;
}

int relay_collect(struct relay *r, const struct packet_frame *f)
{
    struct relay_collection *c = &r->collected;
    if (c->message && batch_bytes(c) + relay_batch_entry_size(f->total_bytes) > LANE_PIECE_BYTES)
        relay_flush(r);
    return c->message ? add(r, f) : begin(r, f);
}
