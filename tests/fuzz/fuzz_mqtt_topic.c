/* UTF-8, filters and matching against readings of the standard that are too slow to use and too simple to be wrong.
 * Input: a byte for the length of the filter, the filter, the topic. */
#include <stdint.h>

#include "ensure.h"
#include "mqtt_topic.h"
#include "mqtt_utf8.h"
#include "slow_match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool slow_is_valid(const uint8_t *f, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool starts = i == 0 || f[i - 1] == '/', ends = i + 1 == len || f[i + 1] == '/';
        if ((f[i] == '+' && !(starts && ends)) || (f[i] == '#' && !(starts && i + 1 == len)))
            return false;
    }
    return len > 0;
}

static bool slow_is_simple(const uint8_t *t, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (t[i] == 0 || t[i] >= 0x80 || t[i] == '+' || t[i] == '#')
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || data[0] > size - 1)
        return 0;
    struct mqtt_bytes filter = {.ptr = data + 1, .len = data[0]};
    struct mqtt_bytes topic = {.ptr = filter.ptr + filter.len, .len = (uint32_t)(size - 1 - filter.len)};
    ensure(mqtt_topic_is_simple(topic) == slow_is_simple(topic.ptr, topic.len));
    ensure(!mqtt_topic_is_simple(topic) || mqtt_utf8_check(topic.ptr, topic.len) == MQTT_UTF8_OK);
    bool is_valid = slow_is_valid(filter.ptr, filter.len);
    ensure(mqtt_topic_filter_is_valid(filter) == is_valid);
    struct mqtt_bytes group, inner;
    if (mqtt_topic_split_shared(filter, &group, &inner))
        ensure(7 + group.len + 1 + inner.len == filter.len && slow_is_valid(inner.ptr, inner.len));
    if (!is_valid || !mqtt_topic_name_is_valid(topic))
        return 0;
    ensure(mqtt_topic_matches(filter, topic) == slow_match(filter, topic));
    return 0;
}
