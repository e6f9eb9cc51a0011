/* See config.h. The life of a load: slots for all rows, the sources into the slots, the slots into the program's
 * struct. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_loader.h"
#include "config_value.h"
#include "err.h"

#define CONFIG_NO_URL SIZE_MAX

static int config_out_of_memory(void)
{
    return err_set(-ENOMEM, "out of memory");
}

/* FIRST (may be NULL) and the rows of TABLES. */
static int config_slots_init(struct config_slots *s, const struct config_row *first, const struct config_table *tables,
                             size_t n_tables)
{
    size_t count = first ? 1 : 0;
    for (size_t i = 0; i < n_tables; i++)
        count += tables[i].n_rows;
    s->slots = calloc(count ? count : 1, sizeof(*s->slots));
    if (!s->slots)
        return config_out_of_memory();
    if (first)
        s->slots[s->count++].row = first;
    for (size_t i = 0; i < n_tables; i++) {
        for (size_t j = 0; j < tables[i].n_rows; j++)
            s->slots[s->count++] = (struct config_slot){.row = &tables[i].rows[j], .offset = tables[i].offset};
    }
    return 0;
}

static void config_entry_list_deinit(struct config_entry_list *list);

static void config_slots_deinit(struct config_slots *s)
{
    for (size_t i = 0; i < s->count; i++) {
        config_list_free(&s->slots[i].texts);
        free(s->slots[i].origin);
    }
    for (size_t i = 0; i < s->n_lists; i++)
        config_entry_list_deinit(&s->lists[i]);
    free(s->slots);
    free(s->lists);
    *s = (struct config_slots){.slots = NULL};
}

/* --- Lists of entries */

static struct config_entry_list config_entry_list_of(const struct config_entries *e)
{
    return (struct config_entry_list){
        .name = e->name, .tables = e->tables, .n_tables = e->n_tables, .inner = e->inner, .n_inner = e->n_inner};
}

static int config_loader_init_lists(struct config_loader *l)
{
    const struct config_program *p = l->program;
    l->lists = calloc(p->n_entries + 1, sizeof(*l->lists));
    if (!l->lists)
        return config_out_of_memory();
    if (p->listeners)
        l->lists[l->n_lists++] = (struct config_entry_list){.name = "listeners",
                                                            .url_row = &l->url_row,
                                                            .tables = p->listeners->tables,
                                                            .n_tables = p->listeners->n_tables};
    for (size_t i = 0; i < p->n_entries; i++)
        l->lists[l->n_lists++] = config_entry_list_of(&p->entries[i]);
    return 0;
}

static void config_entry_list_deinit(struct config_entry_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        config_slots_deinit(&list->entries[i]);
    free(list->entries);
}

static struct config_entry_list *config_find_list(struct config_entry_list *lists, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(lists[i].name, name) == 0)
            return &lists[i];
    }
    return NULL;
}

struct config_entry_list *config_loader_find_list(const struct config_loader *l, const char *name)
{
    return config_find_list(l->lists, l->n_lists, name);
}

struct config_entry_list *config_slots_find_list(const struct config_slots *entry, const char *name)
{
    return config_find_list(entry->lists, entry->n_lists, name);
}

static int config_entry_init(struct config_slots *entry, const struct config_entry_list *list)
{
    int r = config_slots_init(entry, list->url_row, list->tables, list->n_tables);
    if (r < 0 || list->n_inner == 0)
        return r;
    entry->lists = calloc(list->n_inner, sizeof(*entry->lists));
    if (!entry->lists)
        return config_out_of_memory();
    for (size_t i = 0; i < list->n_inner; i++)
        entry->lists[entry->n_lists++] = config_entry_list_of(&list->inner[i]);
    return 0;
}

struct config_slots *config_entry_list_add(struct config_entry_list *list, unsigned file_line)
{
    struct config_slots *entries = realloc(list->entries, (list->count + 1) * sizeof(*entries));
    if (!entries)
        return NULL;
    list->entries = entries;
    struct config_slots *entry = &entries[list->count];
    *entry = (struct config_slots){.file_line = file_line};
    list->count++;
    return config_entry_init(entry, list) < 0 ? NULL : entry;
}

/* --- The loader */

static int config_loader_init_listeners(struct config_loader *l)
{
    const struct config_listeners *ls = l->program->listeners;
    if (!ls)
        return 0;
    l->listen_row = (struct config_row){
        .name = "listen",
        .kind = CONFIG_LIST,
        .size = sizeof(struct config_list),
        .default_text = ls->default_url,
        .argument = "URL",
        .help = "accept MQTT clients here: mqtt://HOST:PORT, unix:/PATH",
        .check = ls->check_url,
    };
    l->url_row = (struct config_row){
        .name = "url", .kind = CONFIG_STRING, .offset = ls->url_offset, .size = sizeof(char *), .check = ls->check_url};
    return config_slots_init(&l->listener, &l->listen_row, ls->tables, ls->n_tables);
}

static int config_loader_init(struct config_loader *l, const struct config_program *program)
{
    *l = (struct config_loader){.program = program};
    int r = config_slots_init(&l->options, NULL, program->tables, program->n_tables);
    if (r == 0)
        r = config_loader_init_listeners(l);
    return r == 0 ? config_loader_init_lists(l) : r;
}

static void config_loader_deinit(struct config_loader *l)
{
    config_slots_deinit(&l->options);
    config_slots_deinit(&l->listener);
    for (size_t i = 0; i < l->n_lists; i++)
        config_entry_list_deinit(&l->lists[i]);
    free(l->lists);
}

struct config_slot *config_slots_find(const struct config_slots *slots, const char *name)
{
    for (size_t i = 0; i < slots->count; i++) {
        if (strcmp(slots->slots[i].row->name, name) == 0)
            return &slots->slots[i];
    }
    return NULL;
}

struct config_slot *config_loader_find(const struct config_loader *l, const char *name)
{
    struct config_slot *slot = config_slots_find(&l->options, name);
    return slot ? slot : config_slots_find(&l->listener, name);
}

/* Whether OWN, of one listener, beats what is said for all of them. */
static bool config_is_own(const struct config_slot *own, const struct config_slot *of_all)
{
    return own && own->source != CONFIG_FROM_DEFAULT && of_all->source <= CONFIG_FROM_FILE;
}

/* Listeners without an entry of their own. */
static size_t config_count_urls(const struct config_loader *l)
{
    const struct config_slot *listen = &l->listener.slots[0];
    const bool is_default =
        listen->source == CONFIG_FROM_DEFAULT && l->lists[0].count == 0 && l->program->listeners->default_url;
    return is_default ? 1 : listen->texts.count;
}

static int config_slot_keep(struct config_slot *slot, const struct config_said *said)
{
    char *origin = strdup(said->origin);
    if (!origin)
        return config_out_of_memory();
    free(slot->origin);
    slot->origin = origin;
    /* Given again on the command line, a list grows and anything else is replaced. */
    if (slot->source != said->source || slot->row->kind != CONFIG_LIST)
        config_list_free(&slot->texts);
    slot->source = said->source;
    for (size_t i = 0; i < said->count; i++) {
        int r = config_list_add(&slot->texts, said->texts[i], strlen(said->texts[i]));
        if (r < 0)
            return r;
    }
    return 0;
}

int config_slot_set(struct config_slot *slot, const struct config_said *said)
{
    const char *variable = said->source == CONFIG_FROM_ENVIRONMENT ? said->origin : NULL;
    for (size_t i = 0; i < said->count; i++) {
        int r = config_value_check(slot->row, said->texts[i], variable);
        if (r < 0)
            return err_context(r, "%s", said->origin);
    }
    return slot->source > said->source ? 0 : config_slot_keep(slot, said);
}

int config_give(struct config_loader *l, const char *name, const char *text)
{
    struct config_slot *slot = config_loader_find(l, name);
    if (!slot)
        return err_set(-EINVAL, "there is no option --%s", name);
    char origin[128];
    snprintf(origin, sizeof(origin), "--%s", name);
    return config_slot_set(
        slot, &(struct config_said){.source = CONFIG_FROM_ARGUMENTS, .origin = origin, .texts = &text, .count = 1});
}

int config_refuse(const struct config_loader *l, const char *name, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const struct config_slot *slot = config_loader_find(l, name);
    const struct config_entry_list *list = config_loader_find_list(l, name);
    if (list && list->file_line)
        return err_set(-EINVAL, "%s:%u: %s: %s", l->file, list->file_line, name, text);
    return err_set(-EINVAL, "%s: %s", slot && slot->origin ? slot->origin : name, text);
}

/* The one whose path stands in TEXT; the longest, since one path may begin like another. */
static const struct config_file *config_file_find(const struct config_file *files, size_t n, const char *text)
{
    const struct config_file *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (files[i].path && strstr(text, files[i].path) && (!best || strlen(files[i].path) > strlen(best->path)))
            best = &files[i];
    }
    return best;
}

/* Where a listener has NAME from: its own entry of `listeners`, or what is said for all. */
static const struct config_slot *config_find_of_listener(const struct config_loader *l, int listener, const char *name)
{
    const struct config_slot *of_all = config_loader_find(l, name);
    if (listener < 0 || (size_t)listener < config_count_urls(l))
        return of_all;
    const struct config_slots *entry = &l->lists[0].entries[(size_t)listener - config_count_urls(l)];
    const struct config_slot *own = config_slots_find(entry, name);
    return config_is_own(own, of_all) ? own : of_all;
}

int config_refuse_file(const struct config_loader *l, int listener, const struct config_file *files, size_t n)
{
    char text[512];
    snprintf(text, sizeof(text), "%s", err_text());
    const struct config_file *file = config_file_find(files, n, text);
    const struct config_slot *slot = file ? config_find_of_listener(l, listener, file->option) : NULL;
    if (slot && slot->origin)
        return err_set(-EINVAL, "%s: %s", slot->origin, text);
    return err_set(-EINVAL, "%s", text);
}

int config_refuse_entry(const struct config_loader *l, const char *name, size_t index, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return err_set(-EINVAL, "%s:%u: %s: %s", l->file, config_loader_find_list(l, name)->entries[index].file_line, name,
                   text);
}

int config_refuse_inner_entry(const struct config_loader *l, const char *name, size_t index, const char *inner,
                              size_t inner_index, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const struct config_slots *around = &config_loader_find_list(l, name)->entries[index];
    const struct config_slots *entry = &config_slots_find_list(around, inner)->entries[inner_index];
    return err_set(-EINVAL, "%s:%u: %s: %s", l->file, entry->file_line, inner, text);
}

bool config_is_given(const struct config_loader *l, const char *name)
{
    const struct config_slot *slot = config_loader_find(l, name);
    const struct config_entry_list *list = config_loader_find_list(l, name);
    return slot ? slot->source != CONFIG_FROM_DEFAULT : list && list->file_line;
}

/* What SLOT says, or the default of its row, into the struct at BASE. */
static int config_slot_apply(const struct config_slot *slot, void *base)
{
    const struct config_row *row = slot->row;
    void *field = (char *)base + slot->offset + row->offset;
    int r = 0;
    if (slot->source == CONFIG_FROM_DEFAULT && row->default_text) {
        r = config_value_parse(row, row->default_text, NULL, field);
        return err_context(r, "default of %s", row->name);
    }
    const char *variable = slot->source == CONFIG_FROM_ENVIRONMENT ? slot->origin : NULL;
    for (size_t i = 0; r == 0 && i < slot->texts.count; i++)
        r = config_value_parse(row, slot->texts.items[i], variable, field);
    return err_context(r, "%s", row->name);
}

static struct config_items *config_items_at(void *target, size_t offset)
{
    return (struct config_items *)(void *)((char *)target + offset);
}

static int config_items_new(struct config_items *items, size_t count, size_t item_size)
{
    items->items = calloc(count + 1, item_size);
    if (!items->items)
        return config_out_of_memory();
    items->count = count;
    return 0;
}

/* One listener: ENTRY is NULL for a URL of `listen`. */
static int config_apply_listener(const struct config_loader *l, const char *url, const struct config_slots *entry,
                                 void *item)
{
    int r = config_value_parse(&l->url_row, url, NULL, (char *)item + l->url_row.offset);
    for (size_t i = 1; r == 0 && i < l->listener.count; i++) {
        const struct config_slot *of_all = &l->listener.slots[i];
        const struct config_slot *own = entry ? &entry->slots[i] : of_all;
        r = config_slot_apply(config_is_own(own, of_all) ? own : of_all, item);
    }
    return r;
}

static int config_apply_listeners(const struct config_loader *l, void *target)
{
    const struct config_listeners *ls = l->program->listeners;
    const struct config_entry_list *list = &l->lists[0];
    const struct config_slot *listen = &l->listener.slots[0];
    const size_t n_urls = config_count_urls(l);
    struct config_items *items = config_items_at(target, ls->offset);
    int r = config_items_new(items, n_urls + list->count, ls->item_size);
    char *item = items->items;
    for (size_t i = 0; r == 0 && i < n_urls; i++, item += ls->item_size)
        r = config_apply_listener(l, listen->texts.count > 0 ? listen->texts.items[i] : ls->default_url, NULL, item);
    for (size_t i = 0; r == 0 && i < list->count; i++, item += ls->item_size)
        r = config_apply_listener(l, list->entries[i].slots[0].texts.items[0], &list->entries[i], item);
    return r;
}

static int config_apply_slots(const struct config_slots *s, void *base)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->count; i++)
        r = config_slot_apply(&s->slots[i], base);
    return r;
}

static int config_apply_entries(const struct config_entry_list *list, const struct config_entries *what, void *target);

static int config_apply_entry(const struct config_slots *entry, const struct config_entries *what, void *item)
{
    int r = config_apply_slots(entry, item);
    for (size_t i = 0; r == 0 && i < what->n_inner; i++)
        r = config_apply_entries(&entry->lists[i], &what->inner[i], item);
    return r;
}

/* What LIST says, into the array in TARGET. */
static int config_apply_entries(const struct config_entry_list *list, const struct config_entries *what, void *target)
{
    struct config_items *items = config_items_at(target, what->offset);
    int r = config_items_new(items, list->count, what->item_size);
    for (size_t i = 0; r == 0 && i < list->count; i++)
        r = config_apply_entry(&list->entries[i], what, (char *)items->items + i * what->item_size);
    return r;
}

static int config_apply(const struct config_loader *l, void *target)
{
    int r = config_apply_slots(&l->options, target);
    if (r == 0 && l->program->listeners)
        r = config_apply_listeners(l, target);
    for (size_t i = 0; r == 0 && i < l->program->n_entries; i++)
        r = config_apply_entries(config_loader_find_list(l, l->program->entries[i].name), &l->program->entries[i],
                                 target);
    if (r == 0 && l->program->check)
        r = l->program->check(l, target);
    return r;
}

static int config_run(struct config_loader *l, int argc, char *const *argv, void *target)
{
    int r = config_read_arguments(l, argc, argv);
    if (r == 0)
        r = config_read_environment(l);
    if (r == 0 && l->file)
        r = config_read_file(l);
    if (r == 0)
        r = config_apply(l, target);
    if (r == 0 && l->is_check_only && l->program->check_files)
        r = l->program->check_files(l, target);
    if (r == 0 && l->is_check_only) {
        printf("%s: the configuration is valid\n", l->program->name);
        r = CONFIG_DONE;
    }
    return r;
}

int config_load(const struct config_program *program, int argc, char *const *argv, void *target)
{
    struct config_loader l;
    int r = config_loader_init(&l, program);
    if (r == 0)
        r = config_run(&l, argc, argv, target);
    if (r != 0)
        config_free(program, target);
    config_loader_deinit(&l);
    return r;
}

static void config_free_tables(const struct config_table *tables, size_t n_tables, void *base)
{
    for (size_t i = 0; i < n_tables; i++) {
        for (size_t j = 0; j < tables[i].n_rows; j++) {
            const struct config_row *row = &tables[i].rows[j];
            config_value_free(row, (char *)base + tables[i].offset + row->offset);
        }
    }
}

/* URL_OFFSET: CONFIG_NO_URL where items have none. */
static void config_items_free(struct config_items *items, size_t item_size, size_t url_offset,
                              const struct config_table *tables, size_t n_tables)
{
    for (size_t i = 0; i < items->count; i++) {
        char *item = (char *)items->items + i * item_size;
        if (url_offset != CONFIG_NO_URL)
            free(*(char **)(void *)(item + url_offset));
        config_free_tables(tables, n_tables, item);
    }
    free(items->items);
    *items = (struct config_items){.items = NULL};
}

static void config_entries_free(const struct config_entries *e, void *target)
{
    struct config_items *items = config_items_at(target, e->offset);
    for (size_t i = 0; i < items->count; i++)
        for (size_t j = 0; j < e->n_inner; j++)
            config_entries_free(&e->inner[j], (char *)items->items + i * e->item_size);
    config_items_free(items, e->item_size, CONFIG_NO_URL, e->tables, e->n_tables);
}

void config_free(const struct config_program *program, void *target)
{
    config_free_tables(program->tables, program->n_tables, target);
    const struct config_listeners *ls = program->listeners;
    if (ls)
        config_items_free(config_items_at(target, ls->offset), ls->item_size, ls->url_offset, ls->tables, ls->n_tables);
    for (size_t i = 0; i < program->n_entries; i++)
        config_entries_free(&program->entries[i], target);
}
