/* See topic_filter.h. */
#include "topic_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SCAN_SHIFT = 5, SCAN_MAX = 1 << SCAN_SHIFT };

static const uint32_t NOWHERE = UINT32_MAX;

struct topic_filter *topic_filter_new(struct mqtt_bytes text)
{
    struct topic_filter *f = malloc(sizeof(*f) + text.len);
    if (!f)
        return NULL;
    *f = (struct topic_filter){.len = (uint16_t)text.len, .is_wild = mqtt_topic_has_wildcard(text)};
    memcpy(f->text, text.ptr, text.len);
    return f;
}

struct topic_filter *topic_filter_free(struct topic_filter *f)
{
    if (f && f->room_shift)
        free(f->many);
    free(f);
    return NULL;
}

static struct topic_entry *entries(struct topic_filter *f)
{
    return (struct topic_entry *)topic_filter_first(f);
}

/* The table of places: twice as many as there is room for entries, 0 or the number of an entry, counted from 1. A place
 * is searched from where the owner's address says. */
static bool has_places(unsigned room_shift)
{
    return room_shift > SCAN_SHIFT;
}

static uint32_t *places(const struct topic_filter *f)
{
    return (uint32_t *)(f->many + ((size_t)1 << f->room_shift));
}

static uint32_t place_mask(const struct topic_filter *f)
{
    return (2U << f->room_shift) - 1;
}

static uint32_t home(const struct topic_filter *f, const void *owner)
{
    return (uint32_t)(((uintptr_t)owner * 0x9e3779b97f4a7c15U) >> (63 - f->room_shift));
}

/* Where the place of OWNER is, or the free one where it would be. */
static uint32_t *find_place(const struct topic_filter *f, const void *owner)
{
    uint32_t *all = places(f), mask = place_mask(f), at = home(f, owner);
    while (all[at] != 0 && f->many[all[at] - 1].owner != owner)
        at = (at + 1) & mask;
    return &all[at];
}

/* Those behind it move up where they may. */
static void remove_place(const struct topic_filter *f, const uint32_t *place)
{
    uint32_t *all = places(f), mask = place_mask(f), hole = (uint32_t)(place - all);
    for (uint32_t at = (hole + 1) & mask; all[at] != 0; at = (at + 1) & mask) {
        uint32_t from_home = (at - home(f, f->many[all[at] - 1].owner)) & mask;
        if (from_home < ((at - hole) & mask))
            continue;
        all[hole] = all[at];
        hole = at;
    }
    all[hole] = 0;
}

/* The number of OWNER's entry, or NOWHERE. */
static uint32_t find_entry(const struct topic_filter *f, const void *owner)
{
    if (has_places(f->room_shift))
        return *find_place(f, owner) - 1;
    const struct topic_entry *all = topic_filter_first(f);
    for (uint32_t i = 0; i < f->n; i++)
        if (all[i].owner == owner)
            return i;
    return NOWHERE;
}

/* Room for 1 << ROOM_SHIFT entries, no fewer than there are. */
static int resize(struct topic_filter *f, unsigned room_shift)
{
    if (room_shift == 0) {
        struct topic_entry *many = f->many;
        f->one = many[0];
        f->room_shift = 0;
        free(many);
        return 0;
    }
    size_t room = (size_t)1 << room_shift, n_places = has_places(room_shift) ? room * 2 : 0;
    struct topic_entry *many = malloc(room * sizeof(*many) + n_places * sizeof(uint32_t));
    if (!many)
        return -ENOMEM;
    memcpy(many, topic_filter_first(f), f->n * sizeof(*many));
    if (f->room_shift)
        free(f->many);
    f->many = many;
    f->room_shift = (uint8_t)room_shift;
    if (n_places == 0)
        return 0;
    memset(places(f), 0, n_places * sizeof(uint32_t));
    for (uint32_t i = 0; i < f->n; i++)
        *find_place(f, many[i].owner) = i + 1;
    return 0;
}

int topic_filter_put(struct topic_filter *f, const struct topic_entry *entry)
{
    uint32_t at = find_entry(f, entry->owner);
    if (at != NOWHERE) {
        entries(f)[at] = *entry;
        return TOPIC_REPLACED;
    }
    if (f->n == 1U << f->room_shift && resize(f, f->room_shift + 1U) < 0)
        return -ENOMEM;
    entries(f)[f->n++] = *entry;
    if (has_places(f->room_shift))
        *find_place(f, entry->owner) = f->n;
    return 0;
}

/* The last one takes its place. */
static void take_entry(struct topic_filter *f, uint32_t at)
{
    struct topic_entry *all = entries(f), last = all[f->n - 1];
    if (has_places(f->room_shift)) {
        remove_place(f, find_place(f, all[at].owner));
        if (at + 1 < f->n)
            *find_place(f, last.owner) = at + 1;
    }
    all[at] = last;
    f->n--;
}

bool topic_filter_take(struct topic_filter *f, const void *owner)
{
    uint32_t at = find_entry(f, owner);
    if (at == NOWHERE)
        return false;
    take_entry(f, at);
    /* Where there is no memory for fewer, they stay where they are. */
    if (f->room_shift && f->n == 1)
        resize(f, 0);
    else if (f->room_shift > 1 && f->n <= 1U << (f->room_shift - 2))
        resize(f, f->room_shift - 1U);
    return true;
}

struct mqtt_bytes topic_filter_text(const struct topic_filter *filter)
{
    return (struct mqtt_bytes){.ptr = filter->text, .len = filter->len};
}

const struct topic_entry *topic_filter_entries(const struct topic_filter *filter, size_t *ret_n)
{
    *ret_n = filter->n;
    return topic_filter_first(filter);
}

const struct topic_entry *topic_filter_entry(const struct topic_filter *filter, const void *owner)
{
    uint32_t at = find_entry(filter, owner);
    return at == NOWHERE ? NULL : &topic_filter_first(filter)[at];
}
