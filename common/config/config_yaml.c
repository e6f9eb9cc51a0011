/* The file. libyaml gives a tree of nodes with their lines; here it becomes texts for slots. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "config_loader.h"
#include "config_value.h"
#include "err.h"

enum { CONFIG_DEPTH_MAX = 8 }; /* nested mappings; an alias may even contain itself */

struct config_yaml {
    struct config_loader *l;
    yaml_document_t *document;
    struct config_slots *entry; /* the entry of a list that is read; NULL outside */
};

static unsigned config_line(const yaml_node_t *node)
{
    return (unsigned)node->start_mark.line + 1;
}

/* -EINVAL: file:line: key: text. KEY may be NULL. */
__attribute__((format(printf, 4, 5))) static int config_yaml_wrong(const struct config_yaml *y, unsigned line,
                                                                   const char *key, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return err_set(-EINVAL, "%s:%u: %s%s%s", y->l->file, line, key ? key : "", key ? ": " : "", text);
}

/* The text of a scalar, which lasts as long as the document; NULL with err_text() when there is none. */
static const char *config_yaml_text(const struct config_yaml *y, const yaml_node_t *node, const char *key)
{
    const char *wrong = NULL;
    const char *text = (const char *)node->data.scalar.value;
    if (node->type != YAML_SCALAR_NODE)
        wrong = "has to be text or a number";
    else if (strlen(text) != node->data.scalar.length)
        wrong = "contains a NUL character";
    else if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
             (*text == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0))
        wrong = "has no value";
    if (!wrong)
        return text;
    config_yaml_wrong(y, config_line(node), key, "%s", wrong);
    return NULL;
}

static int config_yaml_collect(const struct config_yaml *y, const yaml_node_t *list, const char *key,
                               struct config_list *texts)
{
    const yaml_node_item_t *at = list->data.sequence.items.start;
    for (; at < list->data.sequence.items.top; at++) {
        const char *text = config_yaml_text(y, yaml_document_get_node(y->document, *at), key);
        if (!text)
            return -EINVAL;
        int r = config_list_add(texts, text, strlen(text));
        if (r < 0)
            return r;
    }
    return 0;
}

/* The texts of a list, or the one text that stands for a list of one. */
static int config_yaml_texts(const struct config_yaml *y, const yaml_node_t *value, const char *key,
                             struct config_list *texts)
{
    if (value->type == YAML_SEQUENCE_NODE)
        return config_yaml_collect(y, value, key, texts);
    const char *text = config_yaml_text(y, value, key);
    return text ? config_list_add(texts, text, strlen(text)) : -EINVAL;
}

static int config_yaml_set(const struct config_yaml *y, struct config_slot *slot, const yaml_node_t *key_node,
                           const yaml_node_t *value)
{
    const char *key = slot->row->name;
    const unsigned line = config_line(key_node);
    if (slot->file_line)
        return config_yaml_wrong(y, line, key, "is given twice (first in line %u)", slot->file_line);
    slot->file_line = line;
    if (value->type == YAML_SEQUENCE_NODE && slot->row->kind != CONFIG_LIST)
        return config_yaml_wrong(y, line, key, "takes one value, not a list");
    struct config_list texts = {.items = NULL};
    int r = config_yaml_texts(y, value, key, &texts);
    char origin[512];
    snprintf(origin, sizeof(origin), "%s:%u: %s", y->l->file, line, key);
    if (r == 0)
        r = config_slot_set(slot, &(struct config_said){.source = CONFIG_FROM_FILE,
                                                        .origin = origin,
                                                        .texts = (const char *const *)texts.items,
                                                        .count = texts.count});
    config_list_free(&texts);
    return r;
}

/* Whether any option's name continues PREFIX by a hyphen. */
static bool config_is_prefix(const struct config_slots *slots, const char *prefix)
{
    const size_t n = strlen(prefix);
    for (size_t i = 0; slots && i < slots->count; i++) {
        if (strncmp(slots->slots[i].row->name, prefix, n) == 0 && slots->slots[i].row->name[n] == '-')
            return true;
    }
    return false;
}

static int config_yaml_mapping(struct config_yaml *y, const yaml_node_t *mapping, const char *prefix, int depth);

static int config_yaml_entry(struct config_yaml *y, struct config_entry_list *list, const yaml_node_t *entry)
{
    const unsigned line = config_line(entry);
    if (entry->type != YAML_MAPPING_NODE)
        return config_yaml_wrong(y, line, list->name, "an entry has keys%s", list->url_row ? ", at least url" : "");
    struct config_slots *around = y->entry;
    y->entry = config_entry_list_add(list, line);
    if (!y->entry)
        return err_set(-ENOMEM, "out of memory");
    int r = config_yaml_mapping(y, entry, "", 0);
    if (r == 0 && list->url_row && y->entry->slots[0].texts.count == 0)
        r = config_yaml_wrong(y, line, list->name, "this entry has no url");
    y->entry = around;
    return r;
}

static int config_yaml_entries(struct config_yaml *y, struct config_entry_list *list, const yaml_node_t *key,
                               const yaml_node_t *value)
{
    const unsigned line = config_line(key);
    if (value->type != YAML_SEQUENCE_NODE)
        return config_yaml_wrong(y, line, list->name, "has to be a list of entries");
    if (list->file_line)
        return config_yaml_wrong(y, line, list->name, "is given twice (first in line %u)", list->file_line);
    list->file_line = line;
    int r = 0;
    const yaml_node_item_t *at = value->data.sequence.items.start;
    for (; r == 0 && at < value->data.sequence.items.top; at++)
        r = config_yaml_entry(y, list, yaml_document_get_node(y->document, *at));
    return r;
}

static int config_yaml_pair(struct config_yaml *y, const yaml_node_t *key, const yaml_node_t *value, const char *prefix,
                            int depth)
{
    const char *own = config_yaml_text(y, key, NULL);
    if (!own)
        return -EINVAL;
    const unsigned line = config_line(key);
    char name[2 * CONFIG_NAME_MAX];
    int n = snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "-" : "", own);
    struct config_entry_list *list =
        y->entry ? config_slots_find_list(y->entry, name) : config_loader_find_list(y->l, name);
    if (list)
        return config_yaml_entries(y, list, key, value);

    struct config_slots *own_slots = y->entry ? y->entry : &y->l->options;
    const struct config_slots *more = y->entry ? NULL : &y->l->listener;
    struct config_slot *slot = y->entry ? config_slots_find(y->entry, name) : config_loader_find(y->l, name);
    const bool is_prefix = config_is_prefix(own_slots, name) || config_is_prefix(more, name);
    if (value->type == YAML_MAPPING_NODE && is_prefix && depth < CONFIG_DEPTH_MAX)
        return config_yaml_mapping(y, value, name, depth + 1);
    if (slot && value->type == YAML_MAPPING_NODE)
        return config_yaml_wrong(y, line, name, "takes a value, not keys of its own");
    if (slot)
        return config_yaml_set(y, slot, key, value);
    if ((size_t)n >= sizeof(name))
        return config_yaml_wrong(y, line, NULL, "unknown key");
    char hint[128];
    return config_yaml_wrong(y, line, name, "unknown key%s", config_suggest(name, own_slots, more, hint, sizeof(hint)));
}

static int config_yaml_mapping(struct config_yaml *y, const yaml_node_t *mapping, const char *prefix, int depth)
{
    int r = 0;
    const yaml_node_pair_t *at = mapping->data.mapping.pairs.start;
    for (; r == 0 && at < mapping->data.mapping.pairs.top; at++)
        r = config_yaml_pair(y, yaml_document_get_node(y->document, at->key),
                             yaml_document_get_node(y->document, at->value), prefix, depth);
    return r;
}

static int config_yaml_syntax(const struct config_loader *l, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return err_set(-ENOMEM, "%s: out of memory", l->file);
    if (parser->error == YAML_READER_ERROR) /* it has a byte offset instead of a line */
        return err_set(-EINVAL, "%s: byte %zu: %s", l->file, parser->problem_offset, parser->problem);
    return err_set(-EINVAL, "%s:%zu: %s", l->file, parser->problem_mark.line + 1, parser->problem);
}

/* The first document; FOLLOWED by another one it would be ignored in part. */
static int config_yaml_read(struct config_loader *l, yaml_parser_t *parser, yaml_document_t *document)
{
    struct config_yaml y = {.l = l, .document = document};
    const yaml_node_t *root = yaml_document_get_root_node(document);
    const bool is_empty = !root || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0);
    if (is_empty)
        return 0;
    if (root->type != YAML_MAPPING_NODE)
        return config_yaml_wrong(&y, config_line(root), NULL, "not a list of \"key: value\"");
    int r = config_yaml_mapping(&y, root, "", 0);
    if (r < 0)
        return r;
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return config_yaml_syntax(l, parser);
    root = yaml_document_get_root_node(&next);
    if (root)
        r = config_yaml_wrong(&y, config_line(root), NULL, "a second document");
    yaml_document_delete(&next);
    return r;
}

static int config_yaml_parse(struct config_loader *l, FILE *file)
{
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser))
        return err_set(-ENOMEM, "%s: out of memory", l->file);
    yaml_parser_set_input_file(&parser, file);
    int r;
    if (yaml_parser_load(&parser, &document)) {
        r = config_yaml_read(l, &parser, &document);
        yaml_document_delete(&document);
    } else {
        r = config_yaml_syntax(l, &parser);
    }
    yaml_parser_delete(&parser);
    return r;
}

int config_read_file(struct config_loader *l)
{
    FILE *file = fopen(l->file, "re");
    if (!file)
        return err_errno(-errno, "%s", l->file);
    int r = config_yaml_parse(l, file);
    fclose(file);
    return r;
}
