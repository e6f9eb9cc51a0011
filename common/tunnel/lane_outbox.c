/* See lane_outbox.h. */
#include "lane_outbox.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "frame_to_packet.h"

static size_t memory_of(const struct lane_outgoing *item)
{
    return sizeof(*item) + item->len;
}

void lane_outbox_init(struct lane_outbox *o)
{
    list_init(&o->items);
    o->bytes = o->memory_bytes = 0;
}

int lane_outbox_put(struct lane_outbox *o, const struct packet_frame *f)
{
    struct lane_outgoing *item = malloc(sizeof(*item) + f->total_bytes);
    if (!item)
        return err_errno(-ENOMEM, "lane");
    *item = (struct lane_outgoing){
        .len = f->total_bytes,
        .family = f->packet->version == MQTT_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3,
    };
    packet_to_frame_write(f, item->bytes);
    list_add_tail(&o->items, &item->link);
    o->bytes += item->len;
    o->memory_bytes += memory_of(item);
    return 0;
}

struct lane_outgoing *lane_outbox_first(const struct lane_outbox *o)
{
    struct list *first = list_first(&o->items);
    return first ? list_entry(first, struct lane_outgoing, link) : NULL;
}

static void drop_first(struct lane_outbox *o, struct lane_outgoing *item)
{
    o->bytes -= item->len - item->sent;
    o->memory_bytes -= memory_of(item);
    list_del(&item->link);
    free(item);
}

void lane_outbox_sent(struct lane_outbox *o, size_t bytes)
{
    struct lane_outgoing *item = lane_outbox_first(o);
    assert(item && bytes <= item->len - item->sent);
    item->sent += bytes;
    o->bytes -= bytes;
    if (item->sent == item->len)
        drop_first(o, item);
}

void lane_outbox_clear(struct lane_outbox *o)
{
    struct lane_outgoing *item;
    while ((item = lane_outbox_first(o)))
        drop_first(o, item);
}
