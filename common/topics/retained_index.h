/* Retained messages by topic: topic -> the caller's value, and all topics that match a filter, a slice at a time.
 *
 *   blocks   [ a .. a/b/c ] [ a/b/d .. b ] [ b/x .. ]        topics in order, some hundred pointers in each
 *
 * Topics stand in an order of their own: byte by byte, with "/" before every other byte, so that a topic and all that
 * is below it stand together. Whatever matches a filter is found by going forward and jumping over what cannot match:
 * "a/b/#" is one run, "a/+/c" a jump to the next child of "a" and one to its "c".
 *
 * A hash table leads to a single topic.
 *
 * No depth costs more than its bytes, and nothing recurses. A search in the order compares about log2(topics) topics,
 * each at most once from its first byte to its last; a value is replaced without one.
 *
 * Memory: a topic costs its text and about 70 bytes.
 *
 * One thread. Nothing here does I/O, or knows the time. */
#ifndef TOPICS_RETAINED_INDEX_H
#define TOPICS_RETAINED_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct retained_index;

/* NULL if memory is short. */
struct retained_index *retained_index_new(void);
/* Frees the topics, not their values: a walk finds those. NULL is fine. Returns NULL. */
struct retained_index *retained_index_free(struct retained_index *index);

/* Put VALUE (not NULL) under TOPIC, which is a valid name and copied. *ret_old is the value that it replaces, or NULL.
 * 0 or -ENOMEM: nothing has changed. */
int retained_index_set(struct retained_index *index, struct mqtt_bytes topic, void *value, void **ret_old);
/* The value, or NULL. */
void *retained_index_find(const struct retained_index *index, struct mqtt_bytes topic);
/* Take TOPIC out. Returns its value, NULL if there is none. */
void *retained_index_remove(struct retained_index *index, struct mqtt_bytes topic);
size_t retained_index_count(const struct retained_index *index);

/* One topic that matches. */
struct retained_item {
    struct mqtt_bytes topic; /* valid until the index changes */
    void *value;
};

/* A walk over what matches a filter. It holds no place in the index but the topic it has come to: the index may change
 * between two calls as it likes. A topic that is there from the first call to the last is met exactly once, in order;
 * one that comes or goes meanwhile is met or not; whatever is met is there, with its present value. */
struct retained_walk;

/* FILTER is valid, not shared, and copied; an empty one stands for every topic, also those that begin with "$". NULL if
 * memory is short. The index must live longer. A walk has room for the longest topic, but touches no more of it than
 * its topics are long. */
struct retained_walk *retained_walk_new(const struct retained_index *index, struct mqtt_bytes filter);
/* NULL is fine. Returns NULL. */
struct retained_walk *retained_walk_free(struct retained_walk *walk);
/* Go on: up to N items, looking at no more than STEPS topics, matching or not (both at least 1); where it has to jump,
 * a step is a search, so a microsecond or two among a million. Returns how many items there are, which may be 0 before
 * the end. */
int retained_walk_next(struct retained_walk *walk, struct retained_item *items, int n, int steps);
/* Whether everything has been met. */
bool retained_walk_is_done(const struct retained_walk *walk);

#endif
