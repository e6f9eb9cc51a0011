/* Filters in a tree of levels, each with the number of its line: which is the first line that matches a topic, or
 * covers a filter? (acl.h; between acl*.c)
 *
 *   nodes          an array; a node is a place in a filter: everybody's root is 1, each user has a root of his own
 *   named edges    one hash table for all nodes: (node, level) -> node; from node 0 a level is a user's name
 *   plus           the edge "+"          templates     edges with %c or %u in them, a list; compared with the client's
 *   rule, rest     what ends here; what ends here with "#"
 *
 * A search goes down every edge that fits, except where nothing can come before what it has found already. It recurses
 * no deeper than a line has levels, ACL_LEVELS_MAX. */
#ifndef AUTH_ACL_TRIE_H
#define AUTH_ACL_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

/* A line: the earlier the lower, and whether it denies. */
typedef uint32_t acl_rule;
enum { ACL_RULE_DENIES = 1 }; /* the lowest bit */
#define ACL_RULE_NONE UINT32_MAX

enum acl_kind { /* index of what a node has */
                ACL_KIND_PUBLISH,
                ACL_KIND_SUBSCRIBE,
                ACL_KINDS,
};

enum { ACL_ROOT_OF_ALL = 1 };

struct acl_node {
    acl_rule rule[ACL_KINDS], rest[ACL_KINDS];
    acl_rule first[ACL_KINDS]; /* the lowest here and below */
    acl_rule first_deny;       /* of those that deny to subscribe */
    uint32_t plus;             /* 0: none */
    uint32_t templates;        /* index + 1 */
};

struct acl_edge {
    uint32_t from, to; /* TO 0: a free place */
    uint32_t hash;
    uint32_t name, name_len; /* in `text` */
};

struct acl_template {
    uint32_t to, next; /* NEXT: index + 1 */
    uint32_t text, text_len;
};

struct acl_trie {
    struct acl_node *nodes;
    struct acl_edge *edges; /* a power of two, at most half full */
    struct acl_template *templates;
    char *text;
    uint32_t n_nodes, nodes_size;
    uint32_t n_edges, edges_size;
    uint32_t n_templates, templates_size;
    uint32_t text_len, text_size;
};

/* 0 or -ENOMEM. */
int acl_trie_init(struct acl_trie *t);
void acl_trie_deinit(struct acl_trie *t);
/* The root of USER's lines, made if it is not there. 0 or -ENOMEM. */
int acl_trie_add_user(struct acl_trie *t, struct mqtt_bytes user, uint32_t *ret_root);
/* 0: none. */
uint32_t acl_trie_find_user(const struct acl_trie *t, struct mqtt_bytes user);
/* FILTER is valid and has at most ACL_LEVELS_MAX levels; %c and %u in it are taken as such if IS_PATTERN. A place that
 * has a line for KIND keeps it. 0 or -ENOMEM. */
int acl_trie_add(struct acl_trie *t, uint32_t root, enum acl_kind kind, struct mqtt_bytes filter, bool is_pattern,
                 acl_rule rule);

struct acl_search {
    const struct acl_trie *trie;
    enum acl_kind kind;
    struct mqtt_bytes what;            /* the topic or filter */
    struct mqtt_bytes user, client_id; /* in place of %u and %c; len 0: matches nothing */
    bool is_pattern;                   /* WHAT is a line itself: %c and %u stand for themselves */
};

/* The lowest rule below ROOT that is lower than BEFORE and covers the filter, or matches the topic: a topic name is a
 * filter that stands for itself alone. Else BEFORE. ROOT may be 0. */
acl_rule acl_trie_cover(const struct acl_search *s, uint32_t root, acl_rule before);
/* Whether a rule lower than BEFORE denies some topic that the filter matches; yes where it would take long to tell. */
bool acl_trie_denies_some(const struct acl_search *s, uint32_t root, acl_rule before);

/* Whether TEXT has %c or %u in it. */
bool acl_trie_has_template(struct mqtt_bytes text);

#endif
