/* Between retained_index.c and retained_walk.c: the order of topics and how to find a place in it. */
#ifndef TOPICS_RETAINED_INTERNAL_H
#define TOPICS_RETAINED_INTERNAL_H

#include "mqtt_topic.h"
#include "retained_index.h"
#include "topic_table.h"

enum { RETAINED_BLOCK_TOPICS = 255 };

struct retained_topic {
    void *value;
    uint16_t len;
    uint8_t text[];
};

/* A run of topics in order, at least one. */
struct retained_block {
    uint32_t n;
    struct retained_topic *topics[RETAINED_BLOCK_TOPICS];
};

/* FIRST is the block's first topic: a search compares with it before it needs the block. */
struct retained_run {
    struct retained_block *block;
    const struct retained_topic *first;
};

/* A slot: topics under the hash of their text. */
struct retained_slot {
    uint64_t key;
    struct retained_topic *topic;
};

struct retained_index {
    struct retained_run *runs; /* in order */
    size_t n_runs, room;
    struct topic_table slots;
};

/* A place between topics, named by bytes that need not be a topic. */
enum retained_side {
    RETAINED_AT,    /* before the topic TEXT and all after it */
    RETAINED_AFTER, /* right after the topic TEXT */
    RETAINED_PAST,  /* after the topic TEXT and all that is below it */
};

struct retained_place {
    struct mqtt_bytes text;
    enum retained_side side;
};

/* Where a topic stands: the first one behind a place. N_RUNS, 0: there is none. */
struct retained_spot {
    size_t run;
    uint32_t at;
};

struct retained_spot retained_index_seek(const struct retained_index *index, const struct retained_place *place);
/* The same for a place behind SPOT, quicker if it is near. */
struct retained_spot retained_index_seek_on(const struct retained_index *index, struct retained_spot spot,
                                            const struct retained_place *place);
/* The topic after SPOT. */
struct retained_spot retained_index_next(const struct retained_index *index, struct retained_spot spot);

/* < 0, 0 or > 0: byte by byte, the end of the bytes first, then "/", then all others by value. */
int retained_order(struct mqtt_bytes a, struct mqtt_bytes b);

static inline bool retained_spot_is_end(const struct retained_index *index, struct retained_spot spot)
{
    return spot.run == index->n_runs;
}

static inline struct retained_topic *retained_index_at(const struct retained_index *index, struct retained_spot spot)
{
    return index->runs[spot.run].block->topics[spot.at];
}

static inline struct mqtt_bytes retained_topic_text(const struct retained_topic *topic)
{
    return (struct mqtt_bytes){.ptr = topic->text, .len = topic->len};
}

#endif
