/* Frames and controls -> messages of the stream (proto/mqtt_trunk.proto section 2).
 *
 *   trunk_batch_room/_add: frames are written into the message that will carry them
 *        |-- 16,000 bytes --------------------------------> trunk_batch_close()
 *        '-- end of the turn --- nothing in flight -------> trunk_batch_close()
 *                            '-- else: on_drain, which comes when the last message has left
 *
 * So load makes messages grow by itself, and an idle trunk sends a frame at once. With linger the end of the turn waits
 * for its timer. */
#include <string.h>

#include "trunk_internal.h"

enum {
    /* Whole messages may queue in the stream up to BACKED_UP, so that whoever polls for libgrpc always has a next
     * one; it is filled again from REFILL on. */
    QUEUE_BACKED_UP = 256 * 1024,
    QUEUE_REFILL = 128 * 1024,
    /* What bypasses the link (credit, closes) is an answer to the peer. One that asks on and reads nothing ends here; a
     * close with its text for each of 100,000 lanes stays below. */
    QUEUE_MOST = 32 * 1024 * 1024,
    /* A message below this is copied into one of its own size, and the large one serves again. */
    COPY_BELOW = 4 * 1024,
    ROOM = TRUNK_BATCH_BYTES + TRUNK_CONTROLS_MAX,
};

static bool has_controls(const struct trunk *t)
{
    const struct trunk_controls *c = &t->due;
    return c->ping || c->pong || c->has_hello || c->is_draining;
}

static bool is_lingering(const struct trunk *t)
{
    return t->options->linger_ms != 0 && !t->is_urgent && loop_timer_is_started(&t->linger_timer);
}

static void flush_batch(struct trunk *t)
{
    if (trunk_is_over(t) || (t->batch_len == 0 && !t->is_urgent) || is_lingering(t))
        return;
    if (trunk_batch_is_backed_up(t)) {
        trunk_batch_wait(t); /* for more to join it */
        return;
    }
    rpc_stream_set_low_mark(t->stream, 0);
    if (!rpc_stream_wait_drain(t->stream))
        trunk_batch_close(t);
}

/* At the end of a turn, and when the stream has drained. */
static void flush(struct trunk *t)
{
    flush_batch(t);
    trunk_end_if_drained(t);
}

static void on_end_of_turn(struct loop_task *task)
{
    struct trunk *t = container_of(task, struct trunk, flush_task);
    trunk_ref(t);
    trunk_pass_ends(t);
    trunk_send_on(t);
    flush(t);
    trunk_unref(t);
}

static void on_linger(struct loop_timer *timer)
{
    struct trunk *t = container_of(timer, struct trunk, linger_timer);
    flush(t);
}

void trunk_batch_init(struct trunk *t)
{
    loop_task_init(&t->flush_task, on_end_of_turn);
    loop_timer_init(&t->linger_timer, t->loop, on_linger);
}

void trunk_batch_deinit(struct trunk *t)
{
    loop_task_cancel(&t->flush_task);
    loop_timer_stop(&t->linger_timer);
    t->batch = rpc_message_free(t->batch);
    t->batch_len = 0;
}

uint8_t *trunk_batch_room(struct trunk *t, size_t n)
{
    if (t->batch_len + n > TRUNK_BATCH_BYTES)
        trunk_batch_close(t);
    if (trunk_is_over(t))
        return NULL; /* nothing takes away what is written any more */
    if (!t->batch)
        t->batch = rpc_message_new(ROOM);
    if (!t->batch) {
        trunk_fail(t, RPC_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    return rpc_message_bytes(t->batch) + t->batch_len;
}

void trunk_batch_add(struct trunk *t, const uint8_t *end)
{
    bool is_first = t->batch_len == 0;
    t->batch_len = (size_t)(end - rpc_message_bytes(t->batch));
    t->batch_frames++;
    if (!is_first)
        return;
    if (t->options->linger_ms != 0)
        loop_timer_start(&t->linger_timer, t->options->linger_ms);
    else
        loop_defer(t->loop, &t->flush_task);
}

void trunk_batch_control(struct trunk *t)
{
    t->is_urgent = true;
    loop_defer(t->loop, &t->flush_task);
}

/* --- What leaves */

/* A message with CONTROLS behind LEN bytes of frames, which are in it already. Takes M. */
static size_t send_message(struct trunk *t, struct rpc_message *m, size_t len)
{
    uint8_t *start = rpc_message_bytes(m);
    size_t n = (size_t)(trunk_controls_write(start + len, &t->due) - start);
    rpc_message_set_length(m, n);
    metric_add(&t->metrics->messages_sent, 1);
    metric_add(&t->metrics->bytes_sent, (int64_t)n);
    rpc_stream_send(t->stream, m);
    return n;
}

/* The message to send FRAMES in the clear: the one they are in, or a smaller copy. */
static struct rpc_message *take_clear(struct trunk *t)
{
    struct rpc_message *m = t->batch;
    if (m && t->batch_len >= COPY_BELOW) {
        t->batch = NULL;
        return m;
    }
    struct rpc_message *copy = rpc_message_new(t->batch_len + t->due.hello.software.len + TRUNK_CONTROLS_MAX);
    if (copy && t->batch_len > 0)
        memcpy(rpc_message_bytes(copy), rpc_message_bytes(m), t->batch_len);
    return copy;
}

static bool send_clear(struct trunk *t, size_t *ret_bytes)
{
    struct rpc_message *m = take_clear(t);
    if (!m)
        return false;
    *ret_bytes = send_message(t, m, t->batch_len);
    return true;
}

/* zstd_frames has the highest number of all fields: it stands behind the controls. False: not compressed. */
static bool send_compressed(struct trunk *t, size_t *ret_bytes)
{
    uint8_t packed[TRUNK_BATCH_BYTES + TRUNK_BATCH_BYTES / 64 + 1024];
    int64_t len = trunk_zip_pack(t->zip, rpc_message_bytes(t->batch), t->batch_len, packed);
    if (len <= 0) {
        if (len < 0)
            t->zip = trunk_zip_free(t->zip);
        return false;
    }
    struct rpc_message *m = rpc_message_new((size_t)len + TRUNK_CONTROLS_MAX);
    if (!m) {
        trunk_fail(t, RPC_RESOURCE_EXHAUSTED, "out of memory"); /* the stream of zstd would have a gap */
        return false;
    }
    metric_add(&t->metrics->bytes_before_zstd, (int64_t)t->batch_len);
    metric_add(&t->metrics->bytes_after_zstd, len);
    t->due.zstd_frames = (struct mqtt_bytes){packed, (uint32_t)len};
    *ret_bytes = send_message(t, m, 0);
    return true;
}

static bool send_batch(struct trunk *t, size_t *ret_bytes)
{
    if (t->zip && t->batch_len > 0 && send_compressed(t, ret_bytes))
        return true;
    return !trunk_is_over(t) && send_clear(t, ret_bytes);
}

void trunk_batch_close(struct trunk *t)
{
    size_t n;
    t->due.taken = t->untold_bytes;
    if (trunk_is_over(t) || (t->batch_len == 0 && t->due.taken == 0 && !has_controls(t)))
        return;
    if (rpc_stream_queued_bytes(t->stream) > QUEUE_MOST) {
        trunk_fail(t, RPC_RESOURCE_EXHAUSTED, "the peer reads nothing of what is sent");
        return;
    }
    if (!send_batch(t, &n)) {
        trunk_fail(t, RPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (t->batch_len > 0)
        trunk_link_sent(&t->link, n, loop_now_ms(t->loop));
    metric_add(&t->metrics->frames_sent, t->batch_frames);
    t->due = (struct trunk_controls){.taken = 0};
    t->is_urgent = false;
    if (t->untold_bytes > 0)
        t->told_ms = loop_now_ms(t->loop);
    t->untold_bytes = 0;
    t->batch_len = 0;
    t->batch_frames = 0;
    loop_timer_stop(&t->linger_timer);
}

/* --- The queue in the stream */

bool trunk_batch_is_backed_up(const struct trunk *t)
{
    return rpc_stream_queued_bytes(t->stream) >= QUEUE_BACKED_UP;
}

void trunk_batch_wait(struct trunk *t)
{
    rpc_stream_set_low_mark(t->stream, QUEUE_REFILL);
    if (!rpc_stream_wait_drain(t->stream))
        loop_defer(t->loop, &t->flush_task); /* it has drained meanwhile */
}

void trunk_on_drain(struct rpc_stream *s, void *arg)
{
    struct trunk *t = arg;
    trunk_ref(t);
    trunk_send_on(t);
    flush(t);
    trunk_unref(t);
}
