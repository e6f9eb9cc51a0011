/* Structure of topic names and filters, and matching one against the other. */
#include "mqtt_topic.h"

#include <string.h>

#include "mqtt_swar.h"

static const char SHARE_PREFIX[] = "$share/";

enum { SHARE_PREFIX_LEN = sizeof(SHARE_PREFIX) - 1 };

static bool is_simple_byte(uint8_t byte)
{
    return byte != 0 && byte < 0x80 && byte != '+' && byte != '#';
}

static uint64_t word_suspects(const uint8_t *text)
{
    uint64_t word = swar_load(text);
    return swar_not_plain(word) | swar_has_wildcard(word);
}

bool mqtt_topic_is_simple(struct mqtt_bytes topic)
{
    const uint8_t *text = topic.ptr;
    size_t len = topic.len;
    if (len < 8) {
        for (size_t i = 0; i < len; i++)
            if (!is_simple_byte(text[i]))
                return false;
        return true;
    }
    /* The last word overlaps the one before it, which saves a loop over single bytes at the end. */
    uint64_t suspects = word_suspects(text + len - 8);
    for (size_t i = 0; i + 8 < len; i += 8)
        suspects |= word_suspects(text + i);
    return !(suspects & SWAR_HIGHS);
}

static bool holds(struct mqtt_bytes text, char wanted)
{
    return text.len > 0 && memchr(text.ptr, wanted, text.len) != NULL;
}

bool mqtt_topic_has_wildcard(struct mqtt_bytes topic)
{
    return holds(topic, '+') || holds(topic, '#');
}

bool mqtt_topic_name_is_valid(struct mqtt_bytes topic)
{
    return topic.len > 0 && !mqtt_topic_has_wildcard(topic);
}

bool mqtt_topic_filter_is_valid(struct mqtt_bytes filter)
{
    for (uint32_t i = 0; i < filter.len; i++) {
        uint8_t byte = filter.ptr[i];
        if (byte != '+' && byte != '#')
            continue;
        bool is_first = i == 0 || filter.ptr[i - 1] == '/';
        bool is_last = i + 1 == filter.len;
        if (!is_first || (byte == '#' && !is_last) || (!is_last && filter.ptr[i + 1] != '/'))
            return false;
    }
    return filter.len > 0;
}

bool mqtt_topic_is_shared(struct mqtt_bytes filter)
{
    return filter.len >= SHARE_PREFIX_LEN && memcmp(filter.ptr, SHARE_PREFIX, SHARE_PREFIX_LEN) == 0;
}

bool mqtt_topic_split_shared(struct mqtt_bytes shared, struct mqtt_bytes *ret_group, struct mqtt_bytes *ret_filter)
{
    if (!mqtt_topic_is_shared(shared))
        return false;
    struct mqtt_bytes rest = {.ptr = shared.ptr + SHARE_PREFIX_LEN, .len = shared.len - SHARE_PREFIX_LEN};
    const uint8_t *slash = rest.len > 0 ? memchr(rest.ptr, '/', rest.len) : NULL;
    if (!slash)
        return false;
    struct mqtt_bytes group = {.ptr = rest.ptr, .len = (uint32_t)(slash - rest.ptr)};
    struct mqtt_bytes filter = {.ptr = slash + 1, .len = rest.len - group.len - 1};
    if (!mqtt_topic_name_is_valid(group) || !mqtt_topic_filter_is_valid(filter))
        return false;
    *ret_group = group;
    *ret_filter = filter;
    return true;
}

bool mqtt_topic_is_deeper(struct mqtt_bytes topic, uint32_t max)
{
    struct mqtt_bytes group, filter, level;
    struct mqtt_levels left = mqtt_topic_levels(mqtt_topic_split_shared(topic, &group, &filter) ? filter : topic);
    uint32_t levels = 0;
    while (levels <= max && mqtt_topic_next_level(&left, &level))
        levels++;
    return levels > max;
}

uint32_t mqtt_topic_common(struct mqtt_bytes a, struct mqtt_bytes b)
{
    uint32_t n = a.len < b.len ? a.len : b.len, at = 0;
    /* The first word that differs is looked at byte by byte: which byte it is depends on the machine. */
    while (n - at >= 8 && swar_load(a.ptr + at) == swar_load(b.ptr + at))
        at += 8;
    while (at < n && a.ptr[at] == b.ptr[at])
        at++;
    return at;
}

static struct mqtt_bytes behind(struct mqtt_bytes text, uint32_t n)
{
    return (struct mqtt_bytes){.ptr = text.ptr + n, .len = text.len - n};
}

static uint32_t level_len(struct mqtt_bytes text)
{
    uint32_t len = 0;
    while (len < text.len && text.ptr[len] != '/')
        len++;
    return len;
}

/* What is equal is passed in one go. It cannot reach over a wildcard, since topic names have none, so where it ends the
 * filter has a wildcard, or they differ. */
bool mqtt_topic_matches(struct mqtt_bytes filter, struct mqtt_bytes topic)
{
    bool starts_wild = filter.len > 0 && (filter.ptr[0] == '+' || filter.ptr[0] == '#');
    if (starts_wild && topic.len > 0 && topic.ptr[0] == '$')
        return false; /* MQTT-4.7.2-1 */
    for (;;) {
        uint32_t common = mqtt_topic_common(filter, topic);
        filter = behind(filter, common);
        topic = behind(topic, common);
        if (filter.len == 0)
            return topic.len == 0;
        if (filter.ptr[0] == '#')
            return true;
        if (filter.ptr[0] != '+')
            return topic.len == 0 && filter.len == 2 && filter.ptr[1] == '#'; /* "a/#" matches "a" (4.7.1.2) */
        filter = behind(filter, 1);
        topic = behind(topic, level_len(topic));
    }
}
