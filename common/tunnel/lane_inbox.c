/* See lane_inbox.h. */
#include "lane_inbox.h"

#include <stdlib.h>
#include <string.h>

#include "lane_scratch.h"

static const char *const out_of_memory_text = "out of memory";

/* A packet that has come and has not been passed on. */
struct lane_entry {
    struct mqtt_bytes message; /* an MqttPacket */
    uint32_t charge;
    uint8_t family;
};

/* One that waits. */
struct lane_item {
    struct list link;
    uint8_t *owned; /* the message is in there; NULL: it is in `copy` */
    struct lane_entry entry;
    uint8_t copy[];
};

static size_t memory_of(const struct lane_item *item)
{
    return sizeof(*item) + item->entry.message.len;
}

static void item_free(struct lane_item *item)
{
    free(item->owned);
    free(item);
}

/* --- To the session */

/* NULL, or what is wrong with PACKET in this place. */
static const char *check_place(struct lane_inbox *in, const struct mqtt_packet *packet)
{
    if (!in->is_server)
        return NULL;
    if (in->version != 0)
        return packet->type == MQTT_CONNECT ? "a second CONNECT" : NULL;
    if (packet->type != MQTT_CONNECT)
        return "the first packet is not CONNECT";
    in->version = packet->version;
    return NULL;
}

/* *RET_PACKET points into the message and SCRATCH. NULL, or what is wrong with it. */
static const char *read_packet(struct lane_inbox *in, const struct lane_entry *entry, struct lane_scratch *scratch,
                               struct mqtt_packet *ret_packet)
{
    if (in->family != 0 && entry->family != in->family)
        return "a packet of another version than the session's";
    struct frame_source source = {.message = entry->message, .family = entry->family, .session_version = in->version};
    struct mqtt_fault fault;
    size_t size = 0;
    int result;
    do {
        lane_scratch_give_back(scratch);
        if (!lane_scratch_take(scratch, size))
            return out_of_memory_text;
        source.scratch = scratch->bytes;
        source.scratch_bytes = scratch->size;
        result = frame_to_packet(&source, ret_packet, &fault);
        size = frame_scratch_bytes(entry->message.len);
    } while (result == CONVERT_SCRATCH);
    return result == CONVERT_OK ? check_place(in, ret_packet) : fault.text;
}

static enum gate_answer pass_entry(struct lane_inbox *in, const struct lane_entry *entry)
{
    struct lane_scratch scratch = {.bytes = NULL};
    struct mqtt_packet packet;
    enum gate_answer answer = GATE_PASS;
    in->waiting_bytes -= entry->charge;
    const char *wrong = read_packet(in, entry, &scratch, &packet);
    if (wrong) {
        in->calls->fail(in, wrong == out_of_memory_text ? LANE_END_LIMIT : LANE_END_PROTOCOL, wrong);
    } else {
        in->charge = entry->charge;
        answer = in->lane->cbs->on_packet(in->lane, &packet, in->lane->arg);
    }
    lane_scratch_give_back(&scratch);
    return answer;
}

static void take_out(struct lane_inbox *in, struct lane_item *item)
{
    list_del(&item->link);
    in->memory_bytes -= memory_of(item);
}

static enum gate_answer pass_item(struct lane_inbox *in, struct lane_item *item)
{
    take_out(in, item);
    enum gate_answer answer = pass_entry(in, &item->entry);
    item_free(item);
    return answer;
}

static enum gate_answer pass_direct(struct lane_inbox *in)
{
    const struct lane_entry *entry = in->direct;
    in->direct = NULL;
    return pass_entry(in, entry);
}

static enum gate_answer pass_next(struct lane_inbox *in)
{
    in->charge = 0;
    if (in->direct)
        return pass_direct(in);
    struct list *first = list_first(&in->items);
    return first ? pass_item(in, list_entry(first, struct lane_item, link)) : in->calls->idle(in);
}

/* The gate's `next`. */
static enum gate_answer next(void *arg)
{
    struct lane_inbox *in = arg;
    in->calls->ref(in); /* the session may free the lane */
    enum gate_answer answer = pass_next(in);
    if (in->is_closed)
        answer = GATE_CLOSED;
    in->calls->unref(in);
    return answer;
}

void lane_inbox_run(struct lane_inbox *in)
{
    gate_run(&in->gate);
}

void lane_inbox_consumed(struct lane_inbox *in, size_t bytes)
{
    in->held_bytes -= bytes < in->held_bytes ? bytes : in->held_bytes;
}

struct gate_wait *lane_inbox_hold(struct lane_inbox *in)
{
    return gate_hold(&in->gate);
}

/* --- From the carrier */

/* Nothing waits longer than the gate does. */
static bool passes_at_once(const struct lane_inbox *in)
{
    return !in->gate.is_running && !gate_is_held(&in->gate);
}

static void count(struct lane_inbox *in, const struct lane_entry *entry)
{
    in->waiting_bytes += entry->charge;
    in->held_bytes += entry->charge;
}

static void pass_in_place(struct lane_inbox *in, const struct lane_entry *entry)
{
    count(in, entry);
    in->direct = entry; /* taken inside the run: nothing keeps it from passing */
    lane_inbox_run(in);
}

/* Takes OWNED, in which the message is; NULL: the message is copied. */
static void let_wait(struct lane_inbox *in, const struct lane_entry *entry, uint8_t *owned)
{
    struct lane_item *item = malloc(sizeof(*item) + (owned ? 0 : entry->message.len));
    if (!item) {
        free(owned);
        in->calls->fail(in, LANE_END_LIMIT, out_of_memory_text);
        return;
    }
    item->owned = owned;
    item->entry = *entry;
    if (!owned) {
        memcpy(item->copy, entry->message.ptr, entry->message.len);
        item->entry.message.ptr = item->copy;
    }
    list_add_tail(&in->items, &item->link);
    in->memory_bytes += memory_of(item);
    count(in, entry);
}

void lane_inbox_receive(struct lane_inbox *in, struct mqtt_bytes message, uint8_t family, size_t charge)
{
    const struct lane_entry entry = {.message = message, .charge = (uint32_t)charge, .family = family};
    if (in->is_closed)
        return;
    if (passes_at_once(in))
        pass_in_place(in, &entry);
    else
        let_wait(in, &entry, NULL);
}

void lane_inbox_receive_owned(struct lane_inbox *in, uint8_t *bytes, struct mqtt_bytes message, uint8_t family,
                              size_t charge)
{
    const struct lane_entry entry = {.message = message, .charge = (uint32_t)charge, .family = family};
    if (!in->is_closed && !passes_at_once(in)) {
        let_wait(in, &entry, bytes);
        return;
    }
    if (!in->is_closed)
        pass_in_place(in, &entry);
    free(bytes);
}

void lane_inbox_drop(struct lane_inbox *in)
{
    struct list *first;
    while ((first = list_first(&in->items))) {
        struct lane_item *item = list_entry(first, struct lane_item, link);
        take_out(in, item);
        item_free(item);
    }
    in->direct = NULL;
    lane_inbox_consumed(in, in->waiting_bytes);
    in->waiting_bytes = 0;
}

void lane_inbox_close(struct lane_inbox *in)
{
    in->is_closed = true;
    gate_close(&in->gate);
    lane_inbox_drop(in);
}

void lane_inbox_init(struct lane_inbox *in, struct lane *lane, const struct lane_inbox_calls *calls, bool is_server)
{
    *in = (struct lane_inbox){.lane = lane, .calls = calls, .is_server = is_server};
    list_init(&in->items);
    gate_init(&in->gate, next, in);
}
