/* Open addressing with linear probing; removal moves later entries back, so there are no tombstones and a set that had
 * many ids is as fast as a new one. At most three quarters of a table are taken. */
#include "mqtt_inflight.h"

#include <errno.h>
#include <stdlib.h>

#include "mqtt_reason.h"

enum { NOT_FOUND = UINT32_MAX };

static uint32_t entry_make(uint16_t id, enum mqtt_inflight_state state)
{
    return (uint32_t)id << 16 | (uint32_t)state;
}

static uint16_t entry_id(uint32_t entry)
{
    return (uint16_t)(entry >> 16);
}

static enum mqtt_inflight_state entry_state(uint32_t entry)
{
    return entry & 0xFFFF;
}

/* Whether an exchange in this state has taken from the Receive Maximum (section 4.9). */
static bool counts_as_publish(enum mqtt_inflight_state state)
{
    return state >= MQTT_INFLIGHT_PUBLISH_1 && state <= MQTT_INFLIGHT_PUBREL;
}

static void count_in(struct mqtt_inflight *f, enum mqtt_inflight_state state)
{
    f->publish_count += counts_as_publish(state);
    f->qos_1_count += state == MQTT_INFLIGHT_PUBLISH_1;
}

static void count_out(struct mqtt_inflight *f, enum mqtt_inflight_state state)
{
    f->publish_count -= counts_as_publish(state);
    f->qos_1_count -= state == MQTT_INFLIGHT_PUBLISH_1;
}

static uint32_t *table_of(struct mqtt_inflight *f)
{
    return f->slots ? f->slots : f->inline_slots;
}

/* Ids are mostly consecutive. Fibonacci hashing spreads such a run evenly; as they are they would form one long run of
 * taken slots, and a single old id in its way would send searches to its end. At most 65,536 / n_slots ids share a
 * home, so that ids chosen in malice cost some hundred steps at worst. */
static uint32_t home_of(const struct mqtt_inflight *f, uint16_t id)
{
    return (uint32_t)(id * UINT32_C(0x9E3779B1)) >> (32 - __builtin_ctz(f->n_slots));
}

static uint32_t find_slot(const struct mqtt_inflight *f, uint16_t id)
{
    const uint32_t *table = f->slots ? f->slots : f->inline_slots;
    for (uint32_t i = home_of(f, id); table[i] != 0; i = (i + 1) & (f->n_slots - 1))
        if (entry_id(table[i]) == id)
            return i;
    return NOT_FOUND;
}

static void put_entry(struct mqtt_inflight *f, uint32_t entry)
{
    uint32_t *table = table_of(f);
    uint32_t i = home_of(f, entry_id(entry));
    while (table[i] != 0)
        i = (i + 1) & (f->n_slots - 1);
    table[i] = entry;
}

static int grow(struct mqtt_inflight *f)
{
    uint32_t *old = f->slots, old_n = f->n_slots;
    uint32_t *bigger = calloc(old_n * 2, sizeof(*bigger));
    if (!bigger)
        return -ENOMEM;
    const uint32_t *from = table_of(f);
    f->slots = bigger;
    f->n_slots = old_n * 2;
    for (uint32_t i = 0; i < old_n; i++)
        if (from[i] != 0)
            put_entry(f, from[i]);
    free(old);
    return 0;
}

void mqtt_inflight_init(struct mqtt_inflight *f)
{
    *f = (struct mqtt_inflight){.n_slots = MQTT_INFLIGHT_INLINE};
}

void mqtt_inflight_clear(struct mqtt_inflight *f)
{
    free(f->slots);
    mqtt_inflight_init(f);
}

int mqtt_inflight_add(struct mqtt_inflight *f, uint16_t id, enum mqtt_inflight_state state)
{
    if (find_slot(f, id) != NOT_FOUND)
        return MQTT_INFLIGHT_IN_USE;
    if ((f->count + 1) * 4 > f->n_slots * 3 && grow(f) < 0)
        return -ENOMEM;
    put_entry(f, entry_make(id, state));
    f->count++;
    count_in(f, state);
    return 0;
}

enum mqtt_inflight_state mqtt_inflight_find(const struct mqtt_inflight *f, uint16_t id)
{
    uint32_t i = find_slot(f, id);
    if (i == NOT_FOUND)
        return MQTT_INFLIGHT_NONE;
    return entry_state(f->slots ? f->slots[i] : f->inline_slots[i]);
}

int mqtt_inflight_advance(struct mqtt_inflight *f, uint16_t id, enum mqtt_inflight_state state)
{
    uint32_t i = find_slot(f, id);
    if (i == NOT_FOUND)
        return MQTT_INFLIGHT_UNKNOWN;
    uint32_t *slot = &table_of(f)[i];
    count_in(f, state);
    count_out(f, entry_state(*slot));
    *slot = entry_make(id, state);
    return 0;
}

/* Slot I becomes free: entries behind it, up to the next free slot, move back if their way from home leads over it. */
static void close_gap(struct mqtt_inflight *f, uint32_t i)
{
    uint32_t *table = table_of(f), mask = f->n_slots - 1;
    for (uint32_t j = (i + 1) & mask; table[j] != 0; j = (j + 1) & mask) {
        uint32_t from_home = (j - home_of(f, entry_id(table[j]))) & mask;
        if (from_home < ((j - i) & mask))
            continue;
        table[i] = table[j];
        i = j;
    }
    table[i] = 0;
}

int mqtt_inflight_remove(struct mqtt_inflight *f, uint16_t id)
{
    uint32_t i = find_slot(f, id);
    if (i == NOT_FOUND)
        return MQTT_INFLIGHT_UNKNOWN;
    count_out(f, entry_state(table_of(f)[i]));
    f->count--;
    if (f->count == 0)
        mqtt_inflight_clear(f); /* empty sets hold no memory: most connections are idle most of the time */
    else
        close_gap(f, i);
    return 0;
}

bool mqtt_inflight_next(const struct mqtt_inflight *f, uint32_t *pos, uint16_t *ret_id,
                        enum mqtt_inflight_state *ret_state)
{
    const uint32_t *table = f->slots ? f->slots : f->inline_slots;
    while (*pos < f->n_slots && table[*pos] == 0)
        (*pos)++;
    if (*pos >= f->n_slots)
        return false;
    *ret_id = entry_id(table[*pos]);
    *ret_state = entry_state(table[*pos]);
    (*pos)++;
    return true;
}

/* A repeat finds its exchange open, in any later state. */
static int open_exchange(struct mqtt_inflight *f, uint16_t id, enum mqtt_inflight_state state)
{
    enum mqtt_inflight_state present = mqtt_inflight_find(f, id);
    if (present == MQTT_INFLIGHT_NONE)
        return mqtt_inflight_add(f, id, state);
    bool is_repeat = present == state || (state == MQTT_INFLIGHT_PUBLISH_2 && present == MQTT_INFLIGHT_PUBREC) ||
                     (state == MQTT_INFLIGHT_PUBLISH_2 && present == MQTT_INFLIGHT_PUBREL) ||
                     (state == MQTT_INFLIGHT_PUBLISH_2 && present == MQTT_INFLIGHT_PUBREL_ALONE);
    return is_repeat ? 0 : MQTT_INFLIGHT_IN_USE;
}

static int pubrel_sent(struct mqtt_inflight *f, uint16_t id)
{
    switch (mqtt_inflight_find(f, id)) {
    case MQTT_INFLIGHT_NONE: {
        int r = mqtt_inflight_add(f, id, MQTT_INFLIGHT_PUBREL_ALONE);
        return r < 0 ? r : MQTT_INFLIGHT_UNKNOWN;
    }
    case MQTT_INFLIGHT_PUBREL_ALONE:
        return 0;
    case MQTT_INFLIGHT_PUBLISH_2:
    case MQTT_INFLIGHT_PUBREC:
    case MQTT_INFLIGHT_PUBREL:
        return mqtt_inflight_advance(f, id, MQTT_INFLIGHT_PUBREL);
    default:
        return MQTT_INFLIGHT_IN_USE;
    }
}

int mqtt_inflight_sent(struct mqtt_inflight *f, const struct mqtt_packet *p)
{
    switch (p->type) {
    case MQTT_PUBLISH:
        if (p->publish.qos == 0)
            return 0;
        return open_exchange(f, p->packet_id, p->publish.qos == 1 ? MQTT_INFLIGHT_PUBLISH_1 : MQTT_INFLIGHT_PUBLISH_2);
    case MQTT_PUBREL:
        return pubrel_sent(f, p->packet_id);
    case MQTT_SUBSCRIBE:
        return open_exchange(f, p->packet_id, MQTT_INFLIGHT_SUBSCRIBE);
    case MQTT_UNSUBSCRIBE:
        return open_exchange(f, p->packet_id, MQTT_INFLIGHT_UNSUBSCRIBE);
    default:
        return 0;
    }
}

/* ID is answered for good, if it is in this state. */
static int end_exchange(struct mqtt_inflight *f, uint16_t id, enum mqtt_inflight_state state)
{
    if (mqtt_inflight_find(f, id) != state)
        return MQTT_INFLIGHT_UNKNOWN;
    return mqtt_inflight_remove(f, id);
}

static int pubcomp_passed(struct mqtt_inflight *f, uint16_t id)
{
    int r = end_exchange(f, id, MQTT_INFLIGHT_PUBREL);
    return r == MQTT_INFLIGHT_UNKNOWN ? end_exchange(f, id, MQTT_INFLIGHT_PUBREL_ALONE) : r;
}

static int pubrec_passed(struct mqtt_inflight *f, const struct mqtt_packet *p)
{
    if (p->reason_code >= MQTT_REASON_UNSPECIFIED)
        return end_exchange(f, p->packet_id, MQTT_INFLIGHT_PUBLISH_2); /* MQTT-4.4.0-2 */
    switch (mqtt_inflight_find(f, p->packet_id)) {
    case MQTT_INFLIGHT_PUBLISH_2:
        return mqtt_inflight_advance(f, p->packet_id, MQTT_INFLIGHT_PUBREC);
    case MQTT_INFLIGHT_PUBREC: /* the answer to a repeat */
    case MQTT_INFLIGHT_PUBREL:
    case MQTT_INFLIGHT_PUBREL_ALONE:
        return 0;
    default:
        return MQTT_INFLIGHT_UNKNOWN;
    }
}

int mqtt_inflight_answered(struct mqtt_inflight *f, const struct mqtt_packet *p)
{
    switch (p->type) {
    case MQTT_PUBACK:
        return end_exchange(f, p->packet_id, MQTT_INFLIGHT_PUBLISH_1);
    case MQTT_PUBREC:
        return pubrec_passed(f, p);
    case MQTT_PUBCOMP:
        return pubcomp_passed(f, p->packet_id);
    case MQTT_SUBACK:
        return end_exchange(f, p->packet_id, MQTT_INFLIGHT_SUBSCRIBE);
    case MQTT_UNSUBACK:
        return end_exchange(f, p->packet_id, MQTT_INFLIGHT_UNSUBSCRIBE);
    default:
        return 0;
    }
}
