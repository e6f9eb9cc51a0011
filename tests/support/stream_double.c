/* See stream_double.h. */
#include "stream_double.h"

#include <stdlib.h>
#include <string.h>

struct rpc_message {
    size_t len;
    uint8_t bytes[];
};

struct rpc_stream stream_double;
struct mailbox *stream_double_mailbox;
void (*stream_double_on_send)(const uint8_t *bytes, size_t n);

struct rpc_message *rpc_message_new(size_t n)
{
    struct rpc_message *m = malloc(sizeof(*m) + n);
    m->len = n;
    return m;
}

uint8_t *rpc_message_bytes(struct rpc_message *m)
{
    return m->bytes;
}

size_t rpc_message_length(const struct rpc_message *m)
{
    return m->len;
}

void rpc_message_set_length(struct rpc_message *m, size_t n)
{
    m->len = n;
}

struct rpc_message *rpc_message_free(struct rpc_message *m)
{
    free(m);
    return NULL;
}

int rpc_stream_open(struct rpc_channel *ch, struct mailbox *mailbox, const char *path,
                    const struct rpc_metadata *metadata, unsigned n_metadata, const struct rpc_stream_cbs *cbs,
                    void *arg, struct rpc_stream **ret_stream)
{
    stream_double = (struct rpc_stream){.cbs = cbs, .arg = arg};
    *ret_stream = &stream_double;
    return 0;
}

int rpc_stream_accept(struct rpc_stream *s, const struct rpc_metadata *metadata, unsigned n_metadata,
                      const struct rpc_stream_cbs *cbs, void *arg)
{
    *s = (struct rpc_stream){.cbs = cbs, .arg = arg};
    return 0;
}

const char *rpc_stream_metadata(const struct rpc_stream *s, const char *key)
{
    return "000102030405060708090a0b0c0d0e0f";
}

const char *rpc_stream_peer(const struct rpc_stream *s)
{
    return "ipv4:10.0.0.8:50122";
}

bool rpc_stream_is_loopback(const struct rpc_stream *s)
{
    return false;
}

struct mailbox *rpc_stream_mailbox(const struct rpc_stream *s)
{
    return stream_double_mailbox;
}

void rpc_stream_send(struct rpc_stream *s, struct rpc_message *m)
{
    s->queued_bytes += m->len;
    stream_double_on_send(m->bytes, m->len);
    free(m);
}

size_t rpc_stream_queued_bytes(const struct rpc_stream *s)
{
    return s->queued_bytes;
}

void rpc_stream_set_low_mark(struct rpc_stream *s, size_t bytes)
{
    s->low_mark = bytes;
}

bool rpc_stream_wait_drain(struct rpc_stream *s)
{
    s->wants_drain = s->queued_bytes > s->low_mark;
    return s->wants_drain;
}

static void end_by_us(struct rpc_stream *s, int status)
{
    s->is_over = true;
    s->status = status;
}

void rpc_stream_finish(struct rpc_stream *s, int status, const char *text)
{
    end_by_us(s, status);
}

void rpc_stream_cancel(struct rpc_stream *s, int status, const char *text)
{
    end_by_us(s, status);
}

struct rpc_stream *rpc_stream_free(struct rpc_stream *s)
{
    return NULL;
}

void stream_double_drain(void)
{
    struct rpc_stream *s = &stream_double;
    s->queued_bytes = 0;
    if (!s->wants_drain)
        return;
    s->wants_drain = false;
    s->cbs->on_drain(s, s->arg);
}

void stream_double_deliver(const uint8_t *bytes, size_t n)
{
    /* In memory of its own, so that nobody looks beyond it, or at it later. */
    uint8_t *copy = malloc(n + 1);
    memcpy(copy, bytes, n);
    stream_double.cbs->on_message(&stream_double, copy, n, stream_double.arg);
    free(copy);
}
