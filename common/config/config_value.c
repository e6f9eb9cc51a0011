/* See config_value.h. */
#include "config_value.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "str.h"

static const size_t config_field_sizes[] = {
    [CONFIG_FLAG] = sizeof(bool),     [CONFIG_INT] = sizeof(int64_t),
    [CONFIG_SIZE] = sizeof(uint64_t), [CONFIG_DURATION] = sizeof(uint64_t),
    [CONFIG_STRING] = sizeof(char *), [CONFIG_LIST] = sizeof(struct config_list),
    [CONFIG_CHOICE] = sizeof(int),    [CONFIG_CUSTOM] = 0,
};

int config_list_add(struct config_list *list, const char *text, size_t len)
{
    char **items = realloc(list->items, (list->count + 1) * sizeof(*items));
    if (!items)
        return err_set(-ENOMEM, "out of memory");
    list->items = items;
    items[list->count] = strndup(text, len);
    if (!items[list->count])
        return err_set(-ENOMEM, "out of memory");
    list->count++;
    return 0;
}

void config_list_free(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){.items = NULL};
}

struct config_unit {
    const char *name;
    uint64_t factor;
};

/* VALUE in the largest unit that leaves no rest. UNITS end with factor 1. */
static void config_format_unit(const struct config_unit *units, uint64_t value, char *buf, size_t size)
{
    while (units->factor > 1 && (value == 0 || value % units->factor != 0))
        units++;
    snprintf(buf, size, "%llu%s", (unsigned long long)(value / units->factor), units->name);
}

static int config_check_bounds(const struct config_row *row, const char *text, uint64_t value)
{
    static const struct config_unit size_units[] = {{"G", 1U << 30}, {"M", 1U << 20}, {"k", 1U << 10}, {"", 1}};
    static const struct config_unit time_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    const bool is_below = value < (uint64_t)row->min;
    if (!is_below && (row->max == 0 || value <= (uint64_t)row->max))
        return 0;
    char bound[32];
    config_format_unit(row->kind == CONFIG_SIZE ? size_units : time_units, (uint64_t)(is_below ? row->min : row->max),
                       bound, sizeof(bound));
    return err_set(-ERANGE, "\"%s\" is %s %s", text, is_below ? "below" : "above", bound);
}

static int config_parse_number(const struct config_row *row, const char *text, uint64_t *field)
{
    uint64_t value;
    int r = row->kind == CONFIG_SIZE ? str_parse_size(text, &value) : str_parse_duration(text, &value);
    if (r == 0)
        r = config_check_bounds(row, text, value);
    if (r == 0)
        *field = value;
    return r;
}

static int config_parse_string(const struct config_row *row, const char *text, char **field)
{
    int r = row->check ? row->check(text) : 0;
    if (r < 0)
        return r;
    char *copy = strdup(text);
    if (!copy)
        return err_set(-ENOMEM, "out of memory");
    free(*field);
    *field = copy;
    return 0;
}

static int config_parse_list(const struct config_row *row, const char *text, struct config_list *field)
{
    int r = row->check ? row->check(text) : 0;
    return r < 0 ? r : config_list_add(field, text, strlen(text));
}

static void config_join_choices(const struct config_row *row, const char *separator, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; row->choices[i] && used < size; i++)
        used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? separator : "", row->choices[i]);
}

static int config_parse_choice(const struct config_row *row, const char *text, int *field)
{
    for (int i = 0; row->choices[i]; i++) {
        if (strcmp(row->choices[i], text) == 0) {
            *field = i;
            return 0;
        }
    }
    char choices[256];
    config_join_choices(row, ", ", choices, sizeof(choices));
    return err_set(-EINVAL, "\"%s\" is none of %s", text, choices);
}

static int config_parse_kind(const struct config_row *row, const char *text, const char *variable, void *field)
{
    switch (row->kind) {
    case CONFIG_FLAG:
        return str_parse_bool(text, field);
    case CONFIG_INT:
        return str_parse_int(text, row->min, row->max ? row->max : INT64_MAX, field);
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return config_parse_number(row, text, field);
    case CONFIG_STRING:
        return config_parse_string(row, text, field);
    case CONFIG_LIST:
        return config_parse_list(row, text, field);
    case CONFIG_CHOICE:
        return config_parse_choice(row, text, field);
    case CONFIG_CUSTOM:
        return row->parse(text, variable, field);
    }
    return err_set(-EINVAL, "unknown kind of option");
}

int config_value_parse(const struct config_row *row, const char *text, const char *variable, void *field)
{
    assert(row->kind == CONFIG_CUSTOM || row->size == config_field_sizes[row->kind]);
    int r = config_parse_kind(row, text, variable, field);
    if (r < 0 && r != -ENOMEM && row->is_secret)
        return err_set(r, "the value is not valid"); /* every other text would quote it */
    return r;
}

int config_value_check(const struct config_row *row, const char *text, const char *variable)
{
    void *scratch = calloc(1, row->size);
    if (!scratch)
        return err_set(-ENOMEM, "out of memory");
    int r = config_value_parse(row, text, variable, scratch);
    config_value_free(row, scratch);
    free(scratch);
    return r;
}

void config_value_free(const struct config_row *row, void *field)
{
    if (row->kind == CONFIG_STRING)
        free(*(char **)field);
    else if (row->kind == CONFIG_LIST)
        config_list_free(field);
    memset(field, 0, row->size);
}

const char *config_value_argument(const struct config_row *row, char *buf, size_t size)
{
    static const char *const usual[] = {
        [CONFIG_FLAG] = "",       [CONFIG_INT] = "N",     [CONFIG_SIZE] = "S",  [CONFIG_DURATION] = "D",
        [CONFIG_STRING] = "TEXT", [CONFIG_LIST] = "TEXT", [CONFIG_CHOICE] = "", [CONFIG_CUSTOM] = "TEXT",
    };
    if (row->argument)
        return row->argument;
    if (row->kind != CONFIG_CHOICE)
        return usual[row->kind];
    config_join_choices(row, "|", buf, size);
    return buf;
}
