/* Topic names and topic filters (MQTT 5.0 sections 4.7 and 4.8.2). No function here recurses or allocates, and each
 * looks at a byte a constant number of times, so 65,000 slashes cost no more than 65,000 letters.
 *
 * These functions judge structure; that the bytes are UTF-8 is mqtt_utf8_check()'s business. */
#ifndef MQTT_TOPIC_H
#define MQTT_TOPIC_H

#include <stdbool.h>

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

/* Whether a valid FILTER (not shared: the inner one) matches a valid topic name, with the rule for topics that begin
 * with "$" (MQTT-4.7.2-1). */
bool mqtt_topic_matches(struct mqtt_bytes filter, struct mqtt_bytes topic);

#endif
