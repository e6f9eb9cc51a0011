/* One run of config_load(): what each source said about each option. Used only inside config.
 *
 * Sources are asked from the highest down. A slot keeps the texts of the first that said something; what lower ones say
 * is checked too, so that a mistake in a file does not wait for the day when the command line changes. */
#ifndef CONFIG_CONFIG_LOADER_H
#define CONFIG_CONFIG_LOADER_H

#include "config.h"

enum { CONFIG_NAME_MAX = 64 }; /* no option's name is longer */

enum config_source {
    CONFIG_FROM_DEFAULT = 0,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_ARGUMENTS,
};

struct config_slot {
    const struct config_row *row;
    size_t offset;             /* of the row's struct, in the options or in a listener's element */
    enum config_source source; /* of `texts` */
    struct config_list texts;
    char *origin;       /* "r-proxy.yaml:7: connect-timeout", "RPROXY_WORKERS", "--workers"; NULL: the default */
    unsigned file_line; /* where the file says something, 0: nowhere; also when a higher source won */
};

struct config_slots {
    struct config_slot *slots;
    size_t count;
    struct config_entry_list *lists; /* of an entry: those inside it; NULL: none */
    size_t n_lists;
    unsigned file_line; /* likewise */
};

/* What the file says of one list of entries. */
struct config_entry_list {
    const char *name;                 /* "listeners" */
    const struct config_row *url_row; /* of listeners: the first slot of each entry, which has to be given; else NULL */
    const struct config_table *tables;
    size_t n_tables;
    const struct config_entries *inner;
    size_t n_inner;
    struct config_slots *entries;
    size_t count;
    unsigned file_line; /* 0: the file has none */
};

struct config_loader {
    const struct config_program *program;
    struct config_slots options;     /* of the program */
    struct config_slots listener;    /* of all listeners; the first is `listen` */
    struct config_entry_list *lists; /* `listeners`, where the program has any, and those of program->entries */
    size_t n_lists;
    const char *file;             /* -c; NULL: none */
    bool is_check_only;           /* --check-config */
    struct config_row listen_row; /* made from program->listeners */
    struct config_row url_row;
};

/* What a source says about one option. */
struct config_said {
    enum config_source source;
    const char *origin; /* see struct config_slot */
    const char *const *texts;
    size_t count; /* 1 unless it is a list */
};

/* Checks what is said, and keeps it if it counts. 0 or negative with err_text(). */
int config_slot_set(struct config_slot *slot, const struct config_said *said);
struct config_slot *config_slots_find(const struct config_slots *slots, const char *name);
/* Among the options of the program and of all listeners. */
struct config_slot *config_loader_find(const struct config_loader *l, const char *name);
struct config_entry_list *config_loader_find_list(const struct config_loader *l, const char *name);
/* In an entry. */
struct config_entry_list *config_slots_find_list(const struct config_slots *entry, const char *name);
/* A new entry; NULL if memory is short. */
struct config_slots *config_entry_list_add(struct config_entry_list *list, unsigned file_line);
/* "; did you mean ...?" or "", from the names in SLOTS (and in MORE, which may be NULL). Into BUF. */
const char *config_suggest(const char *name, const struct config_slots *slots, const struct config_slots *more,
                           char *buf, size_t size);

/* The sources. 0 or negative with err_text(). */
int config_read_arguments(struct config_loader *l, int argc, char *const *argv); /* or CONFIG_DONE */
int config_read_environment(struct config_loader *l);
int config_read_file(struct config_loader *l);

/* --help, on stdout. */
void config_print_help(const struct config_loader *l);

#endif
