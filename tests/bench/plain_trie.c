/* See plain_trie.h. */
#include "plain_trie.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "map.h"

struct node {
    struct map_node by_level;
    struct map children;
    struct leaf *leaves;
    struct mqtt_bytes level; /* behind the node */
    uint8_t text[];
};

/* One owner. */
struct leaf {
    struct leaf *next;
    void *owner;
};

struct plain_trie {
    struct node *root;
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    return memory;
}

static bool level_equal(const struct map_node *by_level, const void *key)
{
    const struct node *node = list_entry(by_level, struct node, by_level);
    const struct mqtt_bytes *level = key;
    return node->level.len == level->len && memcmp(node->level.ptr, level->ptr, level->len) == 0;
}

static struct node *node_new(struct mqtt_bytes level)
{
    struct node *node = allocate(sizeof(*node) + level.len);
    map_init(&node->children, level_equal);
    memcpy(node->text, level.ptr, level.len);
    node->level = (struct mqtt_bytes){.ptr = node->text, .len = level.len};
    return node;
}

static struct node *find_child(const struct node *node, struct mqtt_bytes level)
{
    if (node->children.count == 0)
        return NULL;
    struct map_node *found = map_find(&node->children, map_hash_bytes(level.ptr, level.len), &level);
    return found ? list_entry(found, struct node, by_level) : NULL;
}

struct plain_trie *plain_trie_new(void)
{
    struct plain_trie *trie = allocate(sizeof(*trie));
    trie->root = node_new((struct mqtt_bytes){.ptr = (const uint8_t *)"", .len = 0});
    return trie;
}

static struct node *add_child(struct node *node, struct mqtt_bytes level)
{
    struct node *child = node_new(level);
    if (map_add(&node->children, &child->by_level, map_hash_bytes(level.ptr, level.len)) < 0)
        exit(1);
    return child;
}

void plain_trie_add(struct plain_trie *trie, struct mqtt_bytes filter, void *owner)
{
    struct node *node = trie->root;
    struct mqtt_levels left = mqtt_topic_levels(filter);
    struct mqtt_bytes level;
    while (mqtt_topic_next_level(&left, &level)) {
        struct node *child = find_child(node, level);
        node = child ? child : add_child(node, level);
    }
    struct leaf *leaf = allocate(sizeof(*leaf));
    *leaf = (struct leaf){.next = node->leaves, .owner = owner};
    node->leaves = leaf;
}

static size_t count_leaves(const struct node *node)
{
    size_t n = 0;
    for (const struct leaf *leaf = node ? node->leaves : NULL; leaf; leaf = leaf->next)
        n += leaf->owner != NULL;
    return n;
}

/* NOLINTNEXTLINE(misc-no-recursion): that is how it is done there */
static size_t match_below(const struct node *node, struct mqtt_levels left, bool is_hidden)
{
    static const struct mqtt_bytes plus = {.ptr = (const uint8_t *)"+", .len = 1},
                                   hash = {.ptr = (const uint8_t *)"#", .len = 1};
    struct mqtt_bytes level;
    if (!node)
        return 0;
    size_t n = is_hidden ? 0 : count_leaves(find_child(node, hash));
    if (!mqtt_topic_next_level(&left, &level))
        return n + count_leaves(node);
    if (!is_hidden)
        n += match_below(find_child(node, plus), left, false);
    return n + match_below(find_child(node, level), left, false);
}

size_t plain_trie_match(struct plain_trie *trie, struct mqtt_bytes topic)
{
    return match_below(trie->root, mqtt_topic_levels(topic), topic.ptr[0] == '$');
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the filters of the comparison */
static void node_free(struct node *node)
{
    for (struct map_node *child = map_any(&node->children); child; child = map_any(&node->children)) {
        map_remove(&node->children, child);
        node_free(list_entry(child, struct node, by_level));
    }
    map_deinit(&node->children);
    for (struct leaf *leaf = node->leaves, *next; leaf; leaf = next) {
        next = leaf->next;
        free(leaf);
    }
    free(node);
}

void plain_trie_free(struct plain_trie *trie)
{
    node_free(trie->root);
    free(trie);
}
