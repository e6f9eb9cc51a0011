/* The usual way to keep subscriptions, to compare with: a tree of levels, a hash table of children in each node,
 * searched by recursion (mosquitto's src/subs.c has this shape). Only what the comparison needs. */
#ifndef BENCH_PLAIN_TRIE_H
#define BENCH_PLAIN_TRIE_H

#include <stddef.h>

#include "mqtt_topic.h"

struct plain_trie;

/* Ends the program if memory is short, as plain_trie_add() does. */
struct plain_trie *plain_trie_new(void);
void plain_trie_add(struct plain_trie *trie, struct mqtt_bytes filter, void *owner);
/* How many owners have a filter that matches TOPIC; each is looked at. */
size_t plain_trie_match(struct plain_trie *trie, struct mqtt_bytes topic);
void plain_trie_free(struct plain_trie *trie);

#endif
