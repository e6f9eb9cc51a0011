/* See topic_trie.h. */
#include "topic_trie.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "mqtt_topic.h"

static uint64_t hash_of(const char *text)
{
    return map_hash_bytes(text, strlen(text));
}

void topic_trie_init(struct topic_trie *trie)
{
    memset(trie, 0, sizeof(*trie));
    topic_table_init(&trie->nodes, sizeof(struct topic_node));
    trie->secret[0] = hash_of("topic trie: keys");
    trie->secret[1] = hash_of("topic trie: levels");
    trie->root_key = hash_of("topic trie: root");
    trie->plus_hash = hash_of("+");
    trie->hash_hash = hash_of("#");
}

void topic_trie_deinit(struct topic_trie *trie)
{
    topic_table_deinit(&trie->nodes);
}

/* One step along a filter: from the node with KEY by LEVEL. */
struct step {
    struct mqtt_levels left;
    struct mqtt_bytes level;
    uint64_t key, next_key;
};

static void step_init(struct step *s, const struct topic_trie *trie, struct mqtt_bytes filter)
{
    *s = (struct step){.left = mqtt_topic_levels(filter), .next_key = trie->root_key};
}

static bool step_next(struct step *s, const struct topic_trie *trie)
{
    if (!mqtt_topic_next_level(&s->left, &s->level))
        return false;
    s->key = s->next_key;
    s->next_key = topic_trie_extend(trie, s->key, topic_trie_level_hash(s->level));
    return true;
}

/* What the step adds to at its node. */
static uint32_t *step_count(const struct step *s, struct topic_node *node)
{
    if (mqtt_topic_level_is(s->level, '#'))
        return &node->hash;
    if (mqtt_topic_level_is(s->level, '+'))
        return s->left.is_end ? &node->plus_ends : &node->plus_goes_on;
    return s->left.is_end ? &node->literal_ends : &node->literal_goes_on;
}

static struct topic_node *find_node(struct topic_trie *trie, uint64_t key)
{
    return key == trie->root_key ? &trie->root : topic_table_find(&trie->nodes, key);
}

static bool is_empty(const struct topic_node *n)
{
    return (n->literal_ends | n->literal_goes_on | n->plus_ends | n->plus_goes_on | n->hash) == 0;
}

/* Take FILTER's count back at its first N nodes. */
static void uncount(struct topic_trie *trie, struct mqtt_bytes filter, size_t n)
{
    struct step s;
    step_init(&s, trie, filter);
    for (size_t i = 0; i < n && step_next(&s, trie); i++) {
        struct topic_node *node = find_node(trie, s.key);
        assert(node && *step_count(&s, node) > 0);
        --*step_count(&s, node);
        if (node != &trie->root && is_empty(node))
            topic_table_remove(&trie->nodes, node);
    }
}

int topic_trie_add(struct topic_trie *trie, struct mqtt_bytes filter)
{
    struct step s;
    step_init(&s, trie, filter);
    for (size_t n = 0; step_next(&s, trie); n++) {
        struct topic_node *node = find_node(trie, s.key);
        if (!node)
            node = topic_table_add(&trie->nodes, s.key);
        if (!node) {
            uncount(trie, filter, n);
            return -ENOMEM;
        }
        ++*step_count(&s, node);
    }
    return 0;
}

void topic_trie_remove(struct topic_trie *trie, struct mqtt_bytes filter)
{
    uncount(trie, filter, SIZE_MAX);
}

uint64_t topic_trie_key(const struct topic_trie *trie, struct mqtt_bytes filter)
{
    struct step s;
    step_init(&s, trie, filter);
    while (step_next(&s, trie))
        ;
    return s.next_key;
}
