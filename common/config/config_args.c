/* The command line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_loader.h"
#include "config_value.h"
#include "err.h"

/* --NAME=VALUE or --NAME, taken apart. */
struct config_word {
    char name[CONFIG_NAME_MAX];
    const char *value; /* behind '='; NULL: none */
};

static struct config_word config_split_word(const char *text)
{
    struct config_word word;
    const size_t len = strcspn(text, "=");
    snprintf(word.name, sizeof(word.name), "%.*s", (int)len, text);
    word.value = text[len] == '=' ? text + len + 1 : NULL;
    return word;
}

/* --no-flag: turns WORD into the flag and its value. */
static struct config_slot *config_find_negated(const struct config_loader *l, struct config_word *word)
{
    if (strncmp(word->name, "no-", 3) != 0 || word->value)
        return NULL;
    struct config_slot *slot = config_loader_find(l, word->name + 3);
    if (!slot || slot->row->kind != CONFIG_FLAG)
        return NULL;
    word->value = "false";
    return slot;
}

static int config_unknown_option(const struct config_loader *l, const char *name)
{
    char hint[128];
    return err_set(-EINVAL, "--%s: unknown option%s", name,
                   config_suggest(name, &l->options, &l->listener, hint, sizeof(hint)));
}

/* *AT is the word; it moves on when the next word is the value. */
static int config_read_option(struct config_loader *l, int argc, char *const *argv, int *at)
{
    struct config_word word = config_split_word(argv[*at] + 2);
    struct config_slot *slot = config_loader_find(l, word.name);
    if (!slot)
        slot = config_find_negated(l, &word);
    if (!slot)
        return config_unknown_option(l, word.name);
    if (!word.value && slot->row->kind == CONFIG_FLAG)
        word.value = "true";
    if (!word.value) {
        char argument[256];
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return err_set(-EINVAL, "--%s: needs a value (%s)", word.name,
                           config_value_argument(slot->row, argument, sizeof(argument)));
        word.value = argv[++*at];
    }
    return config_give(l, slot->row->name, word.value);
}

static int config_read_file_name(struct config_loader *l, int argc, char *const *argv, int *at)
{
    if (*at + 1 >= argc)
        return err_set(-EINVAL, "-c: needs the name of a file");
    if (l->file)
        return err_set(-EINVAL, "-c: may be given once");
    l->file = argv[++*at];
    return 0;
}

/* One word; it may take the next one too. POSITIONAL collects what is no option. */
static int config_read_word(struct config_loader *l, int argc, char *const *argv, int *at,
                            struct config_list *positional)
{
    const char *word = argv[*at];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        config_print_help(l);
        return CONFIG_DONE;
    }
    if (strcmp(word, "--version") == 0) {
        printf("%s %s\n", l->program->name, l->program->version);
        return CONFIG_DONE;
    }
    if (strcmp(word, "-c") == 0)
        return config_read_file_name(l, argc, argv, at);
    if (strcmp(word, "--check-config") == 0) {
        l->is_check_only = true;
        return 0;
    }
    if (strncmp(word, "--", 2) == 0 && word[2] != '\0')
        return config_read_option(l, argc, argv, at);
    if (word[0] == '-' && word[1] != '\0')
        return err_set(-EINVAL, "%s: unknown option", word);
    return config_list_add(positional, word, strlen(word));
}

static int config_read_positional(struct config_loader *l, const struct config_list *words)
{
    if (words->count == 0)
        return 0;
    if (!l->program->positional)
        return err_set(-EINVAL, "\"%s\": unexpected word", words->items[0]);
    return l->program->positional(l, words->count, words->items);
}

int config_read_arguments(struct config_loader *l, int argc, char *const *argv)
{
    struct config_list positional = {.items = NULL};
    int r = 0;
    for (int i = 1; r == 0 && i < argc; i++)
        r = config_read_word(l, argc, argv, &i, &positional);
    if (r == 0)
        r = config_read_positional(l, &positional);
    config_list_free(&positional);
    return r;
}
