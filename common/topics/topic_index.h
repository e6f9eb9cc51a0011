/* Subscriptions: who has a filter that matches this topic (MQTT 5.0 section 4.7).
 *
 *   filters without wildcards     text ------------- hash --> filter --> entries, in one run of memory
 *   filters with "+" or "#"       prefix by prefix - hash --> what goes on below: literal, "+", "#"; and then the
 * filter
 *
 * A filter without wildcards is found with one probe, whatever its depth. The prefixes of the others are a trie without
 * pointers: its nodes stand in one hash table under the hash of their path and say which kinds of children they have,
 * so that nothing is looked for that cannot be there.
 *
 * What an entry means is the caller's business: a session, a peer, or a group of shared subscriptions, which is one
 * entry under the filter behind "$share/GROUP/" (mqtt_topic_split_shared()). A filter and an owner together name an
 * entry: nobody is twice in the same filter.
 *
 * Hash values depend on a random seed of the process, and every find is compared with the text, so neither accident nor
 * intent makes a wrong match. Matching does not recurse. Its worst case is a visit to each prefix, of any wildcard
 * filter there is, that matches the topic's first levels: a filter adds at most one such prefix for each of its levels,
 * so K filters of D levels cost at most K * D visits. A wildcard filter also costs a node for each prefix that it does
 * not share: whoever takes filters from strangers limits their levels.
 *
 * Memory: a filter with one entry costs its text and about 100 bytes, a further entry 24 to 32, a prefix about 60.
 *
 * One thread. Nothing here does I/O, or knows the time. */
#ifndef TOPICS_TOPIC_INDEX_H
#define TOPICS_TOPIC_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct topic_index;
/* One filter with its entries, from its first entry to its last: who has an entry in it may keep the pointer. */
struct topic_filter;

/* What matching gives. By value: copied in and out. */
struct topic_entry {
    void *owner;              /* not NULL, not looked into */
    uint32_t options;         /* the caller's: QoS, No Local, kind of owner, ... */
    uint32_t subscription_id; /* the caller's */
};

enum { TOPIC_REPLACED = 1 };

/* NULL if memory is short. */
struct topic_index *topic_index_new(void);
/* Frees filters and entries, not the owners. NULL is fine. Returns NULL. */
struct topic_index *topic_index_free(struct topic_index *index);

/* Put ENTRY into FILTER, which is valid (mqtt_topic_filter_is_valid()), not shared, and copied. 0: it is new;
 * TOPIC_REPLACED: this owner had an entry here, which now is ENTRY; -ENOMEM: nothing has changed. *ret_filter (which
 * may be NULL) is the filter, except on failure. */
int topic_index_add(struct topic_index *index, struct mqtt_bytes filter, const struct topic_entry *entry,
                    struct topic_filter **ret_filter);
/* NULL if nobody has an entry in it. */
struct topic_filter *topic_index_find(const struct topic_index *index, struct mqtt_bytes filter);
/* Take OWNER's entry out. False if there is none. FILTER may be gone from here on. */
bool topic_index_remove(struct topic_index *index, struct topic_filter *filter, const void *owner);
/* All entries of all filters; all filters. */
size_t topic_index_count(const struct topic_index *index);
size_t topic_index_count_filters(const struct topic_index *index);

/* Lives as long as the filter. */
struct mqtt_bytes topic_filter_text(const struct topic_filter *filter);
/* In no particular order, valid until the index changes. At least one. */
const struct topic_entry *topic_filter_entries(const struct topic_filter *filter, size_t *ret_n);
/* Likewise valid until the index changes; NULL if OWNER has none. */
const struct topic_entry *topic_filter_entry(const struct topic_filter *filter, const void *owner);

/* What matched, in one run of memory, which is the caller's and used again and again: begin with {0}. The entries are
 * copies: the index may change while they are walked (an entry whose subscription has gone meanwhile is still there, so
 * owners are freed later than that). */
struct topic_matches {
    struct topic_entry *entries;
    size_t n, room;
};

/* Append the entries of every filter that matches TOPIC, which is a valid name. An owner with several such filters
 * appears once for each, not necessarily side by side. 0 or -ENOMEM: then some are missing. */
int topic_index_match(struct topic_index *index, struct mqtt_bytes topic, struct topic_matches *matches);
/* Frees the memory, leaves {0}. */
void topic_matches_deinit(struct topic_matches *matches);

/* Every filter, in slices: call it with 0 to TOPIC_INDEX_SLICES - 1. Slices are about equally long. Between two calls
 * the index may change: a filter never changes its slice, so one that is there all the time is met exactly once. FN
 * may not change the index. */
enum { TOPIC_INDEX_SLICES = 256 };
typedef void topic_filter_fn(struct topic_filter *filter, void *arg);
void topic_index_slice(const struct topic_index *index, unsigned slice, topic_filter_fn *fn, void *arg);

#endif
