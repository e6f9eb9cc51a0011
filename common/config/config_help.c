/* The text of --help, from the tables. */
#include <stdio.h>
#include <string.h>

#include "config_loader.h"
#include "config_value.h"

enum {
    CONFIG_HELP_COLUMN = 34,
    CONFIG_HELP_WIDTH = 100,
};

/* TEXT in words from COLUMN on, where the line has got to AT already. */
static void config_print_wrapped(const char *text, size_t at, size_t column)
{
    if (at + 2 > column) {
        printf("\n");
        at = 0;
    }
    printf("%*s", (int)(column - at), "");
    at = column;
    while (*text) {
        const size_t word = strcspn(text, " ");
        if (at > column && at + 1 + word > CONFIG_HELP_WIDTH) {
            printf("\n%*s", (int)column, "");
            at = column;
        }
        at += (size_t)printf("%s%.*s", at > column ? " " : "", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    printf("\n");
}

static void config_print_line(const char *option, const char *help)
{
    size_t at = (size_t)printf("  %s", option);
    config_print_wrapped(help, at, CONFIG_HELP_COLUMN);
}

static bool config_is_on(const struct config_row *row)
{
    return row->kind == CONFIG_FLAG && row->default_text && strcmp(row->default_text, "true") == 0;
}

/* LEAD and TRAIL stand around what the row says of itself, before its default. */
static void config_print_about(const struct config_row *row, const char *option, const char *lead, const char *trail)
{
    char help[1024];
    const bool has_default = row->kind != CONFIG_FLAG && row->default_text;
    snprintf(help, sizeof(help), "%s%s%s%s%s%s", lead, row->help, trail, has_default ? " (default " : "",
             has_default ? row->default_text : "", has_default ? ")" : "");
    config_print_line(option, help);
}

static void config_print_row(const struct config_row *row)
{
    char choices[256], option[512];
    const bool is_on = config_is_on(row);
    if (row->kind == CONFIG_FLAG)
        snprintf(option, sizeof(option), "--%s%s", is_on ? "no-" : "", row->name);
    else
        snprintf(option, sizeof(option), "--%s %s", row->name, config_value_argument(row, choices, sizeof(choices)));
    config_print_about(row, option, is_on ? "turn off: " : "", row->kind == CONFIG_LIST ? " (repeat)" : "");
}

/* Of an entry in the file. */
static void config_print_key(const struct config_row *row)
{
    char choices[256], key[512];
    snprintf(key, sizeof(key), "%s: %s", row->name, config_value_argument(row, choices, sizeof(choices)));
    config_print_about(row, key, "", "");
}

static void config_print_tables(const struct config_table *tables, size_t n_tables)
{
    for (size_t i = 0; i < n_tables; i++) {
        printf("\n%s\n", tables[i].title);
        for (size_t j = 0; j < tables[i].n_rows; j++)
            config_print_row(&tables[i].rows[j]);
    }
}

/* In the file alone: its keys are no options of the command line. AROUND: the list whose entries have it; NULL: none.
 */
static void config_print_entries(const struct config_entries *e, const char *around)
{
    printf("\n%s: a list in %s%s\n", e->name, around ? "each entry of " : "the file", around ? around : "");
    config_print_wrapped(e->help, 0, 2);
    for (size_t i = 0; i < e->n_tables; i++) {
        for (size_t j = 0; j < e->tables[i].n_rows; j++)
            config_print_key(&e->tables[i].rows[j]);
    }
    for (size_t i = 0; i < e->n_inner; i++)
        config_print_entries(&e->inner[i], e->name);
}

void config_print_help(const struct config_loader *l)
{
    const struct config_program *p = l->program;
    printf("Usage: %s [OPTION...]%s%s\n", p->name, p->positional_help ? " " : "",
           p->positional_help ? p->positional_help : "");
    config_print_wrapped(p->summary, 0, 0);
    printf("\nGeneral\n");
    config_print_line("-c FILE", "read options from this YAML file: each --long-option is a key there");
    config_print_line("--check-config", "check file, environment, command line and the files they name, then end");
    config_print_line("--help, --version", "print it, then end");
    if (p->listeners) {
        printf("\nListeners\n");
        config_print_row(&l->listen_row);
        config_print_tables(p->listeners->tables, p->listeners->n_tables);
    }
    config_print_tables(p->tables, p->n_tables);
    for (size_t i = 0; i < p->n_entries; i++)
        config_print_entries(&p->entries[i], NULL);
    printf("\nSizes S take k, M, G; durations D take ms, s, m, h. Each --some-option is also an environment variable,\n"
           "%sSOME_OPTION, lists separated by commas. Command line beats environment beats file beats default.\n",
           p->env_prefix);
}
