/* Making messages from the template, and following their acknowledgements. */
#include "load_publisher.h"

#include <stdlib.h>

#include "load_mem.h"

enum id_state {
    ID_FREE,
    ID_PUBLISHED, /* waits for PUBACK (QoS 1) or PUBREC (QoS 2) */
    ID_RELEASED,  /* waits for PUBCOMP */
};

enum {
    OUTPUT_SIZE = 64 * 1024,
    INJECT_AT = 10, /* the fault is made with this message; SWAP takes the next one too */
};

void load_publisher_init(struct load_publisher *p, const struct load_options *o, uint32_t index, uint32_t slot,
                         const char *topic)
{
    *p = (struct load_publisher){.index = index,
                                 .slot = slot,
                                 .limit = o->count ? o->count : UINT32_MAX,
                                 .inject = o->inject,
                                 .qos = o->qos,
                                 .window = o->window};
    load_wire_template_init(&p->template, o->version, topic, o->qos, o->payload_len);
}

void load_publisher_deinit(struct load_publisher *p)
{
    load_wire_template_deinit(&p->template);
    free(p->ids);
    free(p->id_state);
    p->ids = NULL;
    p->id_state = NULL;
}

void load_publisher_open_window(struct load_publisher *p, uint16_t receive_maximum)
{
    if (p->qos == 0)
        return;
    if (receive_maximum < p->window)
        p->window = receive_maximum;
    p->ids = load_mem_zeroed(p->window, sizeof(*p->ids));
    p->id_state = load_mem_zeroed(p->window + 1, sizeof(*p->id_state));
    for (uint32_t i = 0; i < p->window; i++)
        p->ids[i] = (uint16_t)(i + 1);
}

bool load_publisher_may_make(const struct load_publisher *p)
{
    return p->made < p->allowed && (p->qos == 0 || p->in_flight < p->window);
}

/* The number that the MADE-th message bears. */
static uint32_t number_of(const struct load_publisher *p, uint32_t made)
{
    switch (p->inject) {
    case LOAD_INJECT_NONE:
        return made;
    case LOAD_INJECT_GAP:
        return made < INJECT_AT ? made : made + 1;
    case LOAD_INJECT_DUPLICATE:
        return made <= INJECT_AT ? made : made - 1;
    case LOAD_INJECT_SWAP:
        return made == INJECT_AT ? made + 1 : made == INJECT_AT + 1 ? made - 1 : made;
    }
    return made;
}

uint32_t load_publisher_issued(const struct load_publisher *p)
{
    uint32_t issued = 0;

    /* Only the last two can be in the wrong order. */
    for (uint32_t back = 1; back <= 2 && back <= p->made; back++) {
        uint32_t number = number_of(p, p->made - back);
        issued = number + 1 > issued ? number + 1 : issued;
    }
    return issued;
}

static uint64_t due_ns(const struct load_publisher *p, const struct load_pace *pace)
{
    uint64_t burst = (uint64_t)(p->made / pace->burst) * pace->publishers + p->slot;

    return pace->start_ns + (uint64_t)((double)burst * pace->interval_ns);
}

static uint16_t take_id(struct load_publisher *p)
{
    uint16_t id = p->ids[p->id_head];

    p->id_head = p->id_head + 1 == p->window ? 0 : p->id_head + 1;
    p->in_flight++;
    p->id_state[id] = ID_PUBLISHED;
    return id;
}

static void give_id_back(struct load_publisher *p, uint16_t id)
{
    uint32_t free_count = p->window - p->in_flight;

    p->ids[(p->id_head + free_count) % p->window] = id;
    p->in_flight--;
    p->id_state[id] = ID_FREE;
}

void load_publisher_fill(struct load_publisher *p, struct load_client *c, const struct load_pace *pace, uint64_t now_ns,
                         struct load_hist *lag)
{
    struct load_wire_stamp stamp = {.publisher = p->index, .sent_ns = now_ns};

    while (load_publisher_may_make(p) && (c->out_len == 0 || c->out_len + p->template.len <= OUTPUT_SIZE)) {
        if (!pace->is_flood) {
            stamp.sent_ns = due_ns(p, pace);
            load_hist_add(lag, now_ns > stamp.sent_ns ? now_ns - stamp.sent_ns : 0);
        }
        stamp.number = number_of(p, p->made);
        load_wire_put_publish(load_client_room(c, p->template.len), &p->template, p->qos ? take_id(p) : 0, &stamp);
        load_client_wrote(c, p->template.len);
        p->made++;
    }
}

void load_publisher_acked(struct load_publisher *p, struct load_client *c, const struct load_wire_packet *packet)
{
    uint16_t id = packet->packet_id;
    uint8_t state = p->ids && id >= 1 && id <= p->window ? p->id_state[id] : ID_FREE;
    bool is_puback = packet->type == LOAD_WIRE_PUBACK && p->qos == 1 && state == ID_PUBLISHED;
    bool is_pubrec = packet->type == LOAD_WIRE_PUBREC && p->qos == 2 && state == ID_PUBLISHED;
    bool is_pubcomp = packet->type == LOAD_WIRE_PUBCOMP && state == ID_RELEASED;

    if (!is_puback && !is_pubrec && !is_pubcomp) {
        p->strange_acks++;
        return;
    }
    if (packet->reason_code >= 0x80)
        p->refused++;
    if (is_pubrec && packet->reason_code < 0x80) {
        load_wire_put_ack(load_client_room(c, LOAD_WIRE_ACK_SIZE), LOAD_WIRE_PUBREL, id);
        load_client_wrote(c, LOAD_WIRE_ACK_SIZE);
        p->id_state[id] = ID_RELEASED;
        return;
    }
    give_id_back(p, id);
}
