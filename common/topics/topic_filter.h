/* One filter and who has an entry in it. The functions that users see are in topic_index.h.
 *
 * One entry, which is what most filters have, stands in the filter itself; more stand in one run of memory, doubled and
 * halved as needed. Up to SCAN_MAX of them an owner is found by looking at all; beyond, a table of places stands behind
 * the entries, so that joining and leaving costs the same with a hundred thousand others. */
#ifndef TOPICS_TOPIC_FILTER_H
#define TOPICS_TOPIC_FILTER_H

#include <string.h>

#include "mqtt_topic.h"
#include "topic_index.h"

struct topic_filter {
    uint32_t n;         /* entries */
    uint16_t len;       /* of the text */
    uint8_t room_shift; /* there is room for 1 << room_shift entries; 0: ONE */
    bool is_wild;
    union {
        struct topic_entry one;
        struct topic_entry *many;
    };
    uint8_t text[];
};

/* Without entries. NULL if memory is short. */
struct topic_filter *topic_filter_new(struct mqtt_bytes text);
struct topic_filter *topic_filter_free(struct topic_filter *f);

/* 0, TOPIC_REPLACED or -ENOMEM, as topic_index_add(). */
int topic_filter_put(struct topic_filter *f, const struct topic_entry *entry);
/* False if OWNER has no entry. */
bool topic_filter_take(struct topic_filter *f, const void *owner);

static inline const struct topic_entry *topic_filter_first(const struct topic_filter *f)
{
    return f->room_shift ? f->many : &f->one;
}

static inline bool topic_filter_is_text(const struct topic_filter *f, struct mqtt_bytes text)
{
    return f->len == text.len && memcmp(f->text, text.ptr, text.len) == 0;
}

#endif
