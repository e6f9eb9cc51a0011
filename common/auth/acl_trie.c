/* See acl_trie.h. */
#include "acl_trie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 8 };

/* --- Memory */

/* ARRAY of *SIZE elements, USED of them taken, with room for N more. NULL: no memory, and ARRAY is as it was. */
static void *reserve(void *array, uint32_t *size, uint32_t used, uint32_t n, size_t element)
{
    uint64_t wanted = *size ? *size : FIRST_SIZE;
    if (*size > 0 && *size - used >= n)
        return array;
    while (wanted - used < n)
        wanted *= 2;
    void *more = wanted <= UINT32_MAX / 2 ? realloc(array, wanted * element) : NULL;
    if (more)
        *size = (uint32_t)wanted;
    return more;
}

static int add_node(struct acl_trie *t, uint32_t *ret_node)
{
    struct acl_node *nodes = reserve(t->nodes, &t->nodes_size, t->n_nodes, 1, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    t->nodes = nodes;
    t->nodes[t->n_nodes] = (struct acl_node){
        .rule = {ACL_RULE_NONE, ACL_RULE_NONE},
        .rest = {ACL_RULE_NONE, ACL_RULE_NONE},
        .first = {ACL_RULE_NONE, ACL_RULE_NONE},
        .first_deny = ACL_RULE_NONE,
    };
    *ret_node = t->n_nodes++;
    return 0;
}

static int add_text(struct acl_trie *t, struct mqtt_bytes text, uint32_t *ret_at)
{
    char *more = reserve(t->text, &t->text_size, t->text_len, text.len, 1);
    if (!more)
        return -ENOMEM;
    t->text = more;
    if (text.len > 0)
        memcpy(t->text + t->text_len, text.ptr, text.len);
    *ret_at = t->text_len;
    t->text_len += text.len;
    return 0;
}

int acl_trie_init(struct acl_trie *t)
{
    uint32_t node;
    *t = (struct acl_trie){.n_nodes = 0};
    int r = add_node(t, &node); /* from where users are found */
    if (r == 0)
        r = add_node(t, &node); /* everybody's root */
    if (r < 0)
        acl_trie_deinit(t);
    return r;
}

void acl_trie_deinit(struct acl_trie *t)
{
    free(t->nodes);
    free(t->edges);
    free(t->templates);
    free(t->text);
    *t = (struct acl_trie){.n_nodes = 0};
}

/* --- Named edges */

/* FNV-1a. Names in the table are the operator's, so nobody can fill it with collisions. */
static uint32_t hash_name(uint32_t from, struct mqtt_bytes name)
{
    uint32_t hash = 2166136261U ^ from * 2654435761U;
    for (uint32_t i = 0; i < name.len; i++)
        hash = (hash ^ name.ptr[i]) * 16777619U;
    return hash ^ hash >> 15;
}

static bool edge_is(const struct acl_trie *t, const struct acl_edge *e, uint32_t from, uint32_t hash,
                    struct mqtt_bytes name)
{
    return e->hash == hash && e->from == from && e->name_len == name.len &&
           (name.len == 0 || memcmp(t->text + e->name, name.ptr, name.len) == 0);
}

/* 0: none. */
static uint32_t find_edge(const struct acl_trie *t, uint32_t from, struct mqtt_bytes name)
{
    if (t->n_edges == 0)
        return 0;
    const uint32_t hash = hash_name(from, name), mask = t->edges_size - 1;
    for (uint32_t at = hash & mask; t->edges[at].to; at = (at + 1) & mask) {
        if (edge_is(t, &t->edges[at], from, hash, name))
            return t->edges[at].to;
    }
    return 0;
}

static void put_edge(struct acl_edge *edges, uint32_t size, const struct acl_edge *edge)
{
    uint32_t at = edge->hash & (size - 1);
    while (edges[at].to)
        at = (at + 1) & (size - 1);
    edges[at] = *edge;
}

static int grow_edges(struct acl_trie *t)
{
    const uint32_t size = t->edges_size ? t->edges_size * 2 : 2 * FIRST_SIZE;
    struct acl_edge *edges = size ? calloc(size, sizeof(edges[0])) : NULL;
    if (!edges)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->edges_size; i++) {
        if (t->edges[i].to)
            put_edge(edges, size, &t->edges[i]);
    }
    free(t->edges);
    t->edges = edges;
    t->edges_size = size;
    return 0;
}

static int go_named(struct acl_trie *t, uint32_t from, struct mqtt_bytes name, uint32_t *ret_to)
{
    struct acl_edge edge = {.from = from, .hash = hash_name(from, name), .name_len = name.len};
    *ret_to = find_edge(t, from, name);
    if (*ret_to)
        return 0;
    if (t->n_edges * 2 >= t->edges_size && grow_edges(t) < 0)
        return -ENOMEM;
    if (add_text(t, name, &edge.name) < 0 || add_node(t, &edge.to) < 0)
        return -ENOMEM;
    put_edge(t->edges, t->edges_size, &edge);
    t->n_edges++;
    *ret_to = edge.to;
    return 0;
}

/* --- Other edges */

static int go_plus(struct acl_trie *t, uint32_t from, uint32_t *ret_to)
{
    uint32_t to = t->nodes[from].plus;
    if (to == 0 && add_node(t, &to) < 0)
        return -ENOMEM;
    t->nodes[from].plus = *ret_to = to;
    return 0;
}

static struct mqtt_bytes template_text(const struct acl_trie *t, const struct acl_template *template)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)t->text + template->text, .len = template->text_len};
}

static bool texts_are_equal(struct mqtt_bytes a, struct mqtt_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static int go_template(struct acl_trie *t, uint32_t from, struct mqtt_bytes text, uint32_t *ret_to)
{
    struct acl_template template = {.text_len = text.len, .next = t->nodes[from].templates};
    for (uint32_t i = template.next; i; i = t->templates[i - 1].next) {
        *ret_to = t->templates[i - 1].to;
        if (texts_are_equal(template_text(t, &t->templates[i - 1]), text))
            return 0;
    }
    struct acl_template *templates = reserve(t->templates, &t->templates_size, t->n_templates, 1, sizeof(*templates));
    if (!templates)
        return -ENOMEM;
    t->templates = templates;
    if (add_text(t, text, &template.text) < 0 || add_node(t, &template.to) < 0)
        return -ENOMEM;
    t->templates[t->n_templates++] = template;
    t->nodes[from].templates = t->n_templates;
    *ret_to = template.to;
    return 0;
}

/* Where a placeholder begins in TEXT from AT on; text.len: nowhere. */
static uint32_t find_placeholder(struct mqtt_bytes text, uint32_t at)
{
    for (; at + 1 < text.len; at++) {
        if (text.ptr[at] == '%' && (text.ptr[at + 1] == 'c' || text.ptr[at + 1] == 'u'))
            return at;
    }
    return text.len;
}

bool acl_trie_has_template(struct mqtt_bytes text)
{
    return find_placeholder(text, 0) < text.len;
}

/* Take N bytes from the front of LEVEL if they are those at PTR. */
static bool level_take(struct mqtt_bytes *level, const uint8_t *ptr, uint32_t n)
{
    if (level->len < n || (n > 0 && memcmp(level->ptr, ptr, n) != 0))
        return false;
    level->ptr += n;
    level->len -= n;
    return true;
}

/* LEVEL, which is the first of the topic if IS_FIRST, is what TEXT becomes for the client of S. */
static bool template_matches(const struct acl_search *s, struct mqtt_bytes text, struct mqtt_bytes level, bool is_first)
{
    uint32_t at = 0;
    while (at < text.len) {
        const uint32_t placeholder = find_placeholder(text, at);
        if (!level_take(&level, text.ptr + at, placeholder - at))
            return false;
        if (placeholder == text.len)
            break;
        const struct mqtt_bytes value = text.ptr[placeholder + 1] == 'c' ? s->client_id : s->user;
        if (value.len == 0 || (is_first && placeholder == 0 && value.ptr[0] == '$') ||
            !level_take(&level, value.ptr, value.len))
            return false;
        at = placeholder + 2;
    }
    return level.len == 0;
}

/* --- Adding */

static struct mqtt_bytes level_at(struct mqtt_bytes what, uint32_t at)
{
    const uint8_t *from = what.ptr + at;
    const uint8_t *slash = at < what.len ? memchr(from, '/', what.len - at) : NULL;
    return (struct mqtt_bytes){.ptr = from, .len = slash ? (uint32_t)(slash - from) : what.len - at};
}

static bool level_is(struct mqtt_bytes level, char c)
{
    return level.len == 1 && level.ptr[0] == (uint8_t)c;
}

static void note_rule(struct acl_node *n, enum acl_kind kind, acl_rule rule)
{
    if (rule < n->first[kind])
        n->first[kind] = rule;
    if (kind == ACL_KIND_SUBSCRIBE && (rule & ACL_RULE_DENIES) && rule < n->first_deny)
        n->first_deny = rule;
}

static void set_rule(acl_rule *place, acl_rule rule)
{
    if (rule < *place)
        *place = rule;
}

static int go(struct acl_trie *t, uint32_t from, struct mqtt_bytes level, bool is_pattern, uint32_t *ret_to)
{
    if (level_is(level, '+'))
        return go_plus(t, from, ret_to);
    if (is_pattern && acl_trie_has_template(level))
        return go_template(t, from, level, ret_to);
    return go_named(t, from, level, ret_to);
}

int acl_trie_add(struct acl_trie *t, uint32_t root, enum acl_kind kind, struct mqtt_bytes filter, bool is_pattern,
                 acl_rule rule)
{
    uint32_t node = root;
    for (uint32_t at = 0; at <= filter.len;) {
        const struct mqtt_bytes level = level_at(filter, at);
        note_rule(&t->nodes[node], kind, rule);
        if (level_is(level, '#')) {
            set_rule(&t->nodes[node].rest[kind], rule);
            return 0;
        }
        if (go(t, node, level, is_pattern, &node) < 0)
            return -ENOMEM;
        at += level.len + 1;
    }
    note_rule(&t->nodes[node], kind, rule);
    set_rule(&t->nodes[node].rule[kind], rule);
    return 0;
}

int acl_trie_add_user(struct acl_trie *t, struct mqtt_bytes user, uint32_t *ret_root)
{
    return go_named(t, 0, user, ret_root);
}

uint32_t acl_trie_find_user(const struct acl_trie *t, struct mqtt_bytes user)
{
    return find_edge(t, 0, user);
}

/* --- Searching */

/* Wildcards of the first level do not match topics that begin with "$" (MQTT-4.7.2-1). */
static bool is_beyond_wildcards(const struct acl_search *s, uint32_t at)
{
    return at == 0 && s->what.len > 0 && s->what.ptr[0] == '$';
}

static acl_rule lower(acl_rule a, acl_rule b)
{
    return a < b ? a : b;
}

/* Whether LEVEL, at AT, goes by TEMPLATE. */
static bool template_fits(const struct acl_search *s, const struct acl_template *template, struct mqtt_bytes level,
                          uint32_t at)
{
    const struct mqtt_bytes text = template_text(s->trie, template);
    return s->is_pattern ? texts_are_equal(text, level) : template_matches(s, text, level, at == 0);
}

static uint32_t follow_name(const struct acl_search *s, uint32_t from, struct mqtt_bytes level)
{
    return s->is_pattern && acl_trie_has_template(level) ? 0 : find_edge(s->trie, from, level);
}

typedef acl_rule acl_search_fn(const struct acl_search *s, uint32_t from, uint32_t at, acl_rule before);

/* FN from every node that LEVEL, which is no wildcard, leads to, except by its name. */
static acl_rule search_unnamed(const struct acl_search *s, const struct acl_node *n, struct mqtt_bytes level,
                               uint32_t at, acl_rule before, acl_search_fn *fn)
{
    const uint32_t next = at + level.len + 1;
    for (uint32_t i = n->templates; i; i = s->trie->templates[i - 1].next) {
        const struct acl_template *template = &s->trie->templates[i - 1];
        if (template_fits(s, template, level, at))
            before = fn(s, template->to, next, before);
    }
    return n->plus && !is_beyond_wildcards(s, at) ? fn(s, n->plus, next, before) : before;
}

static acl_rule search_cover(const struct acl_search *s, uint32_t from, uint32_t at, acl_rule before)
{
    while (from) {
        const struct acl_node *n = &s->trie->nodes[from];
        if (n->first[s->kind] >= before)
            return before;
        if (!is_beyond_wildcards(s, at))
            before = lower(before, n->rest[s->kind]);
        if (at > s->what.len)
            return lower(before, n->rule[s->kind]);
        const struct mqtt_bytes level = level_at(s->what, at);
        if (level_is(level, '#'))
            return before;
        if (level_is(level, '+')) {
            from = n->plus;
        } else {
            if (n->templates || n->plus)
                before = search_unnamed(s, n, level, at, before, search_cover);
            from = follow_name(s, from, level);
        }
        at += level.len + 1;
    }
    return before;
}

acl_rule acl_trie_cover(const struct acl_search *s, uint32_t root, acl_rule before)
{
    return search_cover(s, root, 0, before);
}

static bool denies(acl_rule rule, acl_rule before)
{
    return rule < before && (rule & ACL_RULE_DENIES);
}

/* BEFORE if there is none; else something lower. */
static acl_rule search_deny(const struct acl_search *s, uint32_t from, uint32_t at, acl_rule before)
{
    while (from) {
        const struct acl_node *n = &s->trie->nodes[from];
        if (n->first_deny >= before)
            return before;
        if (denies(n->rest[ACL_KIND_SUBSCRIBE], before) && !is_beyond_wildcards(s, at))
            return 0;
        if (at > s->what.len)
            return denies(n->rule[ACL_KIND_SUBSCRIBE], before) ? 0 : before;
        const struct mqtt_bytes level = level_at(s->what, at);
        if (level_is(level, '#') || level_is(level, '+'))
            return 0; /* something below is denied; what exactly is not worth the search */
        if (search_unnamed(s, n, level, at, before, search_deny) < before)
            return 0;
        from = follow_name(s, from, level);
        at += level.len + 1;
    }
    return before;
}

bool acl_trie_denies_some(const struct acl_search *s, uint32_t root, acl_rule before)
{
    return search_deny(s, root, 0, before) < before;
}
