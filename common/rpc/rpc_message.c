/* Messages and the queues they stand in. */
#include <assert.h>
#include <stdlib.h>

#include <grpc/byte_buffer_reader.h>

#include "rpc_stream_internal.h"

void rpc_queue_push(struct rpc_queue *q, struct rpc_item *item)
{
    item->next = NULL;
    if (q->tail)
        q->tail->next = item;
    else
        q->head = item;
    q->tail = item;
}

struct rpc_item *rpc_queue_pop(struct rpc_queue *q)
{
    struct rpc_item *item = q->head;
    if (!item)
        return NULL;
    q->head = item->next;
    if (!q->head)
        q->tail = NULL;
    return item;
}

void rpc_queue_splice(struct rpc_queue *to, struct rpc_queue *from)
{
    if (!from->head)
        return;
    if (to->tail)
        to->tail->next = from->head;
    else
        to->head = from->head;
    to->tail = from->tail;
    *from = (struct rpc_queue){NULL, NULL};
}

void rpc_queue_clear(struct rpc_queue *q)
{
    struct rpc_item *item;
    while ((item = rpc_queue_pop(q))) {
        if (item->kind == RPC_ITEM_MESSAGE)
            rpc_message_free(rpc_item_message(item));
    }
}

struct rpc_message *rpc_message_new(size_t n)
{
    struct rpc_message *m = calloc(1, sizeof(*m));
    if (m)
        m->slice = grpc_slice_malloc(n);
    return m;
}

struct rpc_message *rpc_message_of(grpc_byte_buffer *buffer)
{
    struct rpc_message *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->slice = grpc_empty_slice();
    m->buffer = buffer;
    return m;
}

struct rpc_message *rpc_message_free(struct rpc_message *m)
{
    if (!m)
        return NULL;
    grpc_slice_unref(m->slice);
    if (m->buffer)
        grpc_byte_buffer_destroy(m->buffer);
    free(m);
    return NULL;
}

void rpc_message_flatten(struct rpc_message *m)
{
    grpc_byte_buffer *buffer = m->buffer;
    /* Small messages come as one slice, which need not be copied. */
    if (buffer->type == GRPC_BB_RAW && buffer->data.raw.slice_buffer.count == 1) {
        m->slice = grpc_slice_ref(buffer->data.raw.slice_buffer.slices[0]);
    } else {
        grpc_byte_buffer_reader reader;
        grpc_byte_buffer_reader_init(&reader, buffer);
        m->slice = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(buffer);
    m->buffer = NULL;
}

uint8_t *rpc_message_bytes(struct rpc_message *m)
{
    return GRPC_SLICE_START_PTR(m->slice);
}

size_t rpc_message_length(const struct rpc_message *m)
{
    return GRPC_SLICE_LENGTH(m->slice);
}

void rpc_message_set_length(struct rpc_message *m, size_t n)
{
    assert(n <= GRPC_SLICE_LENGTH(m->slice));
    GRPC_SLICE_SET_LENGTH(m->slice, n);
}
