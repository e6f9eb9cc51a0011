/* The environment: PREFIX_NAME for each option, further names where a row has them. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_loader.h"
#include "config_value.h"

extern char **environ;

static void config_variable_name(const struct config_program *program, const char *option, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "%s%s", program->env_prefix, option);
    for (size_t i = strlen(program->env_prefix); i < n && i < size; i++)
        buf[i] = buf[i] == '-' ? '_' : (char)toupper((unsigned char)buf[i]);
}

static int config_split_commas(const char *text, struct config_list *parts)
{
    int r = 0;
    while (r == 0) {
        text += strspn(text, " \t,");
        size_t len = strcspn(text, ",");
        if (len == 0)
            break;
        size_t kept = len;
        while (kept > 0 && (text[kept - 1] == ' ' || text[kept - 1] == '\t'))
            kept--;
        r = config_list_add(parts, text, kept);
        text += len;
    }
    return r;
}

static int config_read_variable(struct config_slot *slot, const char *variable, const char *text)
{
    struct config_list parts = {.items = NULL};
    int r = slot->row->kind == CONFIG_LIST ? config_split_commas(text, &parts)
                                           : config_list_add(&parts, text, strlen(text));
    if (r == 0)
        r = config_slot_set(slot, &(struct config_said){.source = CONFIG_FROM_ENVIRONMENT,
                                                        .origin = variable,
                                                        .texts = (const char *const *)parts.items,
                                                        .count = parts.count});
    config_list_free(&parts);
    return r;
}

static int config_read_slot_variables(const struct config_loader *l, struct config_slot *slot)
{
    char own[2 * CONFIG_NAME_MAX];
    config_variable_name(l->program, slot->row->name, own, sizeof(own));
    const char *names[] = {own, slot->row->also_env[0], slot->row->also_env[1]};
    for (size_t i = 0; i < 3 && names[i]; i++) {
        const char *text = getenv(names[i]);
        if (text && *text)
            return config_read_variable(slot, names[i], text);
    }
    return 0;
}

static bool config_is_variable_known(const struct config_loader *l, const struct config_slots *slots, const char *name,
                                     size_t len)
{
    for (size_t i = 0; i < slots->count; i++) {
        char known[2 * CONFIG_NAME_MAX];
        config_variable_name(l->program, slots->slots[i].row->name, known, sizeof(known));
        if (strlen(known) == len && memcmp(known, name, len) == 0)
            return true;
    }
    return false;
}

/* Only a warning: an orchestrator may set variables of a newer version, or its own with our prefix
 * (RPROXY_PORT=tcp://...). */
static void config_warn_unknown_variables(const struct config_loader *l)
{
    const size_t prefix = strlen(l->program->env_prefix);
    for (char **at = environ; at && *at; at++) {
        const size_t len = strcspn(*at, "=");
        if (strncmp(*at, l->program->env_prefix, prefix) != 0 || config_is_variable_known(l, &l->options, *at, len) ||
            config_is_variable_known(l, &l->listener, *at, len))
            continue;
        char text[256];
        snprintf(text, sizeof(text), "environment variable %.*s is not an option", (int)(len < 200 ? len : 200), *at);
        if (l->program->warn)
            l->program->warn(text);
        else
            fprintf(stderr, "%s: %s\n", l->program->name, text);
    }
}

int config_read_environment(struct config_loader *l)
{
    if (!l->program->env_prefix)
        return 0;
    const struct config_slots *all[] = {&l->options, &l->listener};
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < all[i]->count; j++) {
            int r = config_read_slot_variables(l, &all[i]->slots[j]);
            if (r < 0)
                return r;
        }
    }
    config_warn_unknown_variables(l);
    return 0;
}
