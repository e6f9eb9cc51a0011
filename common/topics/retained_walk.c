/* Walks over what matches a filter: see retained_index.h. */
#include "retained_index.h"

#include <stdlib.h>
#include <string.h>

#include "retained_internal.h"

struct retained_walk {
    const struct retained_index *index;
    struct mqtt_bytes filter;    /* in BYTES */
    struct retained_place place; /* everything before it has been met; its text is in ROOM */
    bool is_done;
    uint8_t *room;
    uint8_t bytes[];
};

/* What a topic says about how to go on. */
enum verdict {
    VERDICT_MATCH,
    VERDICT_NO_MATCH, /* the topic behind it may */
    VERDICT_JUMP,     /* nothing matches before the walk's place, which is behind this topic */
    VERDICT_DONE,     /* nothing matches any more */
};

/* FILTER's levels up to its first wildcard: what matches is this, or below it. */
static struct mqtt_bytes literal_front(struct mqtt_bytes filter)
{
    struct mqtt_levels left = mqtt_topic_levels(filter);
    struct mqtt_bytes level, front = {.ptr = filter.ptr};
    while (mqtt_topic_next_level(&left, &level) && !mqtt_topic_has_wildcard(level))
        front.len = (uint32_t)(level.ptr + level.len - filter.ptr);
    return front;
}

static void set_place(struct retained_walk *w, struct mqtt_bytes text, enum retained_side side)
{
    memcpy(w->room, text.ptr, text.len);
    w->place = (struct retained_place){.text = {.ptr = w->room, .len = text.len}, .side = side};
}

struct retained_walk *retained_walk_new(const struct retained_index *index, struct mqtt_bytes filter)
{
    /* The longest place: all of a topic but its last level, and a level of the filter. */
    struct retained_walk *w = malloc(sizeof(*w) + filter.len + MQTT_STRING_MAX + filter.len);
    if (!w)
        return NULL;
    *w = (struct retained_walk){.index = index, .filter = {.ptr = w->bytes, .len = filter.len}};
    w->room = w->bytes + filter.len;
    if (filter.len > 0)
        memcpy(w->bytes, filter.ptr, filter.len);
    set_place(w, literal_front(w->filter), RETAINED_AT);
    return w;
}

struct retained_walk *retained_walk_free(struct retained_walk *walk)
{
    free(walk);
    return NULL;
}

bool retained_walk_is_done(const struct retained_walk *walk)
{
    return walk->is_done;
}

/* TOPIC up to the end of LEVEL, which is in it. */
static struct mqtt_bytes up_to(struct mqtt_bytes topic, struct mqtt_bytes level)
{
    return (struct mqtt_bytes){.ptr = topic.ptr, .len = (uint32_t)(level.ptr + level.len - topic.ptr)};
}

/* Nothing more matches below what the last "+" stands for here. */
static enum verdict jump_past(struct retained_walk *w, struct mqtt_bytes topic, struct mqtt_bytes plus_level)
{
    if (!plus_level.ptr)
        return VERDICT_DONE;
    set_place(w, up_to(topic, plus_level), RETAINED_PAST);
    return VERDICT_JUMP;
}

/* What matches has WANTED where TOPIC has LEVEL, which comes before it. */
static enum verdict jump_to(struct retained_walk *w, struct mqtt_bytes topic, struct mqtt_bytes level,
                            struct mqtt_bytes wanted)
{
    uint32_t before = (uint32_t)(level.ptr - topic.ptr);
    memcpy(w->room, topic.ptr, before);
    memcpy(w->room + before, wanted.ptr, wanted.len);
    w->place = (struct retained_place){.text = {.ptr = w->room, .len = before + wanted.len}, .side = RETAINED_AT};
    return VERDICT_JUMP;
}

static enum verdict jump_over_dollar(struct retained_walk *w)
{
    static const uint8_t after_dollar = '$' + 1;
    set_place(w, (struct mqtt_bytes){.ptr = &after_dollar, .len = 1}, RETAINED_AT);
    return VERDICT_JUMP;
}

/* The walk's filter against one topic. In the order of topics, all that have the same first levels stand together. */
static enum verdict judge(struct retained_walk *w, struct mqtt_bytes topic)
{
    if (w->filter.len == 0)
        return VERDICT_MATCH;
    bool starts_wild = w->filter.ptr[0] == '+' || w->filter.ptr[0] == '#';
    if (starts_wild && topic.ptr[0] == '$')
        return jump_over_dollar(w); /* MQTT-4.7.2-1 */
    struct mqtt_levels filter_left = mqtt_topic_levels(w->filter), topic_left = mqtt_topic_levels(topic);
    struct mqtt_bytes wanted, level, plus_level = {0};
    while (mqtt_topic_next_level(&filter_left, &wanted)) {
        if (mqtt_topic_level_is(wanted, '#'))
            return VERDICT_MATCH;
        if (!mqtt_topic_next_level(&topic_left, &level))
            return VERDICT_NO_MATCH; /* what is below TOPIC comes next */
        if (mqtt_topic_level_is(wanted, '+')) {
            plus_level = level;
            continue;
        }
        int order = retained_order(level, wanted);
        if (order != 0)
            return order < 0 ? jump_to(w, topic, level, wanted) : jump_past(w, topic, plus_level);
    }
    return topic_left.is_end ? VERDICT_MATCH : jump_past(w, topic, plus_level);
}

int retained_walk_next(struct retained_walk *walk, struct retained_item *items, int n, int steps)
{
    const struct retained_index *index = walk->index;
    struct retained_spot spot = retained_index_seek(index, &walk->place);
    struct mqtt_bytes met = {0}; /* the last topic met; none if the place is right already */
    int found = 0;
    while (found < n && steps-- > 0 && !walk->is_done) {
        if (retained_spot_is_end(index, spot)) {
            walk->is_done = true;
            break;
        }
        const struct retained_topic *topic = retained_index_at(index, spot);
        struct mqtt_bytes text = retained_topic_text(topic);
        switch (judge(walk, text)) {
        case VERDICT_MATCH:
            items[found++] = (struct retained_item){.topic = text, .value = topic->value};
            met = text;
            spot = retained_index_next(index, spot);
            break;
        case VERDICT_NO_MATCH:
            met = text;
            spot = retained_index_next(index, spot);
            break;
        case VERDICT_JUMP:
            met = (struct mqtt_bytes){0};
            spot = retained_index_seek_on(index, spot, &walk->place);
            break;
        case VERDICT_DONE:
            walk->is_done = true;
            break;
        }
    }
    if (met.ptr)
        set_place(walk, met, RETAINED_AFTER);
    return found;
}
