/* Making messages from the template, and following their acknowledgements. */
#include "load_publisher.h"

#include <stdlib.h>
#include <string.h>

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
                                 .fill = o->fill,
                                 .random = UINT64_C(0x9e3779b97f4a7c15) * (index + 1),
                                 .qos = o->qos,
                                 .window = o->window};
    load_wire_template_init(&p->template, o->version, topic, o->qos, o->payload_len);
    load_telemetry_init(&p->telemetry, index);
}

void load_publisher_deinit(struct load_publisher *p)
{
    load_wire_template_deinit(&p->template);
    free(p->ids);
    free(p->id_state);
    free(p->due_ns);
    p->ids = NULL;
    p->id_state = NULL;
    p->due_ns = NULL;
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

void load_publisher_allow(struct load_publisher *p, uint32_t messages)
{
    p->allowed = p->limit - p->allowed > messages ? p->allowed + messages : p->limit;
}

void load_publisher_allow_at(struct load_publisher *p, uint32_t messages, uint64_t due_ns)
{
    uint32_t before = p->allowed;

    load_publisher_allow(p, messages);
    if (p->allowed > p->due_room) {
        p->due_room = 2 * p->allowed;
        p->due_ns = load_mem_resize(p->due_ns, p->due_room * sizeof(*p->due_ns));
    }
    for (uint32_t i = before; i < p->allowed; i++)
        p->due_ns[i] = due_ns;
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
    return pace->is_random ? p->due_ns[p->made] : load_pace_due_ns(pace, p->slot, p->made);
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

static void fill_random(struct load_publisher *p, uint8_t *out, size_t len)
{
    for (size_t at = 0; at < len; at += sizeof(p->random)) {
        p->random ^= p->random << 13;
        p->random ^= p->random >> 7;
        p->random ^= p->random << 17;
        memcpy(out + at, &p->random, len - at < sizeof(p->random) ? len - at : sizeof(p->random));
    }
}

/* Returns its length, at most that of the template. */
static size_t put_message(struct load_publisher *p, uint8_t *out, uint16_t id, const struct load_wire_stamp *stamp)
{
    const struct load_wire_template *t = &p->template;
    size_t fixed = t->stamp_at + LOAD_WIRE_STAMP_SIZE;
    char telemetry[LOAD_TELEMETRY_MAX + 1];
    size_t len;

    switch (p->fill) {
    case LOAD_FILL_JSON:
        len = load_telemetry_put(&p->telemetry, telemetry, stamp);
        load_wire_put_publish_head(out, t, id, len);
        memcpy(out + t->stamp_at, telemetry, len);
        return t->stamp_at + len;
    case LOAD_FILL_RANDOM:
        load_wire_put_publish(out, t, id, stamp);
        fill_random(p, out + fixed, t->len - fixed);
        return t->len;
    case LOAD_FILL_LETTERS:
        break;
    }
    load_wire_put_publish(out, t, id, stamp);
    return t->len;
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
        uint8_t *room = load_client_room(c, p->template.len);
        load_client_wrote(c, put_message(p, room, p->qos ? take_id(p) : 0, &stamp));
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
