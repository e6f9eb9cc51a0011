/* Topic names and topic filters (MQTT 5.0 sections 4.7 and 4.8.2). No function here recurses or allocates, and each
 * looks at a byte a constant number of times, so 65,000 slashes cost no more than 65,000 letters.
 *
 * These functions judge structure; that the bytes are UTF-8 is mqtt_utf8_check()'s business. */
#ifndef MQTT_TOPIC_H
#define MQTT_TOPIC_H

#include <stdbool.h>
#include <string.h>

#include "mqtt_packet.h"

/* The quick yes for nearly every topic name: all ASCII, no U+0000, no wildcard. No says nothing yet. Empty is simple.
 */
bool mqtt_topic_is_simple(struct mqtt_bytes topic);
/* Whether TOPIC has "+" or "#" anywhere. */
bool mqtt_topic_has_wildcard(struct mqtt_bytes topic);
/* At least one byte and no wildcard: MQTT-4.7.0-1, MQTT-4.7.3-1. */
bool mqtt_topic_name_is_valid(struct mqtt_bytes topic);
/* At least one byte, "#" last and alone in its level, "+" alone in its level: MQTT-4.7.1-1, MQTT-4.7.1-2. Shared
 * subscriptions are not looked into: "$share/g" is a filter like any other here. */
bool mqtt_topic_filter_is_valid(struct mqtt_bytes filter);

/* Whether FILTER begins with "$share/". */
bool mqtt_topic_is_shared(struct mqtt_bytes filter);
/* Take "$share/GROUP/FILTER" apart. False if a rule of section 4.8.2 is broken: empty group, wildcard in the group, no
 * filter behind it, or a filter that is not valid. */
bool mqtt_topic_split_shared(struct mqtt_bytes shared, struct mqtt_bytes *ret_group, struct mqtt_bytes *ret_filter);

/* Whether TOPIC, a name or a filter, has more than MAX levels: "a/b" has two, "/" too. Of a shared subscription the
 * filter behind the group counts. Looks no further than it has to. */
bool mqtt_topic_is_deeper(struct mqtt_bytes topic, uint32_t max);

/* Whether a valid FILTER (not shared: the inner one) matches a valid topic name, with the rule for topics that begin
 * with "$" (MQTT-4.7.2-1). */
bool mqtt_topic_matches(struct mqtt_bytes filter, struct mqtt_bytes topic);

/* How many bytes A and B have in common at their front. */
uint32_t mqtt_topic_common(struct mqtt_bytes a, struct mqtt_bytes b);

/* A name or filter level by level: what is left of it. "a/" has two levels, the second of them empty, so the end of the
 * bytes is not yet the end. */
struct mqtt_levels {
    struct mqtt_bytes rest;
    bool is_end;
};

static inline struct mqtt_levels mqtt_topic_levels(struct mqtt_bytes topic)
{
    return (struct mqtt_levels){.rest = topic};
}

/* The next level, false if there is none. LEFT->is_end says whether it was the last. */
static inline bool mqtt_topic_next_level(struct mqtt_levels *left, struct mqtt_bytes *ret_level)
{
    if (left->is_end)
        return false;
    *ret_level = left->rest;
    const uint8_t *slash = left->rest.len > 0 ? memchr(left->rest.ptr, '/', left->rest.len) : NULL;
    if (!slash) {
        left->is_end = true;
        return true;
    }
    ret_level->len = (uint32_t)(slash - left->rest.ptr);
    left->rest.ptr += ret_level->len + 1;
    left->rest.len -= ret_level->len + 1;
    return true;
}

/* Whether LEVEL is this one byte: '+' or '#'. */
static inline bool mqtt_topic_level_is(struct mqtt_bytes level, char byte)
{
    return level.len == 1 && level.ptr[0] == (uint8_t)byte;
}

#endif
