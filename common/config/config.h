/* Options: tables that modules declare next to their functions, composed by a program, filled from four sources.
 *
 *   one row  ->  YAML key, --long-option, PREFIX_VARIABLE, the line in --help, the check and its error message
 *
 *   command line  >  environment  >  file  >  default          a higher source replaces a list as a whole
 *
 *     static const struct config_row limits_rows[] = {
 *         {.name = "connect-timeout", .kind = CONFIG_DURATION, CONFIG_FIELD(struct limits_options, connect_timeout_ms),
 *          .default_text = "10s", .help = "time for CONNECT to arrive"},
 *     };
 *     static const struct config_table tables[] = {
 *         {"Limits", CONFIG_ROWS(limits_rows), offsetof(struct rp_options, limits)},
 *     };
 *
 * In a file nested mappings join with a hyphen (`mqtt: {url: x}` is mqtt-url) and some keys, such as `listeners:`, are
 * lists of entries, see struct config_listeners and struct config_entries. Lists in the environment are separated by
 * commas; an empty variable counts as not set.
 *
 * The file is read by libyaml itself instead of libcyaml: the rows of one table have to serve command line, environment
 * and file alike, and libyaml gives the line of each node. config_load() may be called again, for a reload. One thread
 * at a time. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_kind {
    CONFIG_FLAG,     /* bool:               --name, --no-name */
    CONFIG_INT,      /* int64_t */
    CONFIG_SIZE,     /* uint64_t, bytes:    16M */
    CONFIG_DURATION, /* uint64_t, ms:       10s */
    CONFIG_STRING,   /* char *, owned;      NULL without default and value */
    CONFIG_LIST,     /* struct config_list, owned: may be given several times */
    CONFIG_CHOICE,   /* int:                index in `choices` */
    CONFIG_CUSTOM,   /* plain data, made by `parse` */
};

struct config_list {
    char **items;
    size_t count;
};

/* 0 or negative with err_text(). */
typedef int config_check_fn(const char *text);
/* VARIABLE: the environment variable that TEXT comes from, else NULL. RET_FIELD holds nothing that needs freeing. */
typedef int config_parse_fn(const char *text, const char *variable, void *ret_field);

struct config_row {
    const char *name; /* as in the file: "connect-timeout" */
    enum config_kind kind;
    size_t offset, size;      /* CONFIG_FIELD() */
    const char *default_text; /* as a person would write it; NULL: false, 0, NULL, empty */
    const char *argument;     /* in --help; NULL: N, S, D, TEXT or the choices */
    const char *help;
    int64_t min, max;           /* of INT, SIZE, DURATION; max 0: no upper bound */
    const char *const *choices; /* of CHOICE; ends with NULL */
    config_check_fn *check;     /* of STRING and each text of a LIST; may be NULL */
    config_parse_fn *parse;     /* of CUSTOM */
    const char *also_env[2];    /* further variables, looked at in this order when PREFIX_NAME is not set */
    bool is_secret;             /* no message shows the value */
};

#define CONFIG_FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define CONFIG_ROWS(rows)          (rows), sizeof(rows) / sizeof((rows)[0])

struct config_table {
    const char *title; /* heading in --help */
    const struct config_row *rows;
    size_t n_rows;
    size_t offset; /* of the struct that the rows are about, in the program's options (or in a listener's) */
};

/* What several listeners share and may differ in. The program gets an array: one element for each URL of `--listen` and
 * of the file's `listen`, and one for each entry of the file's `listeners`, which adds `url` and any option of `tables`
 * for itself:
 *
 *     tls-cert: a.pem                                    # all listeners
 *     listeners:
 *       - {url: "mqtts://:8883"}
 *       - {url: "mqtts://:8884", tls-cert: b.pem}        # beats the file's own value; environment and command line
 * beat both */
struct config_listeners {
    size_t offset;           /* of struct config_items in the program's options */
    size_t item_size;        /* an element */
    size_t url_offset;       /* char * in the element, owned */
    const char *default_url; /* the one listener when there is no other; NULL: none */
    config_check_fn *check_url;
    const struct config_table *tables; /* options of one listener; NULL when there are none */
    size_t n_tables;
};

struct config_items {
    void *items;
    size_t count;
};

/* A list of entries in the file, each with options of `tables` for itself; neither command line nor environment has
 * them:
 *
 *     trunk-identities:
 *       - {name: "spiffe://mqtt.example/site-1", mount-point: site-1}
 *
 * The program gets an array, one element for each entry. An entry may have such lists of its own, whose arrays are in
 * its element. */
struct config_entries {
    const char *name; /* "trunk-identities" */
    const char *help;
    size_t offset;    /* of struct config_items in the program's options, or in the element of the list around it */
    size_t item_size; /* an element */
    const struct config_table *tables;
    size_t n_tables;
    const struct config_entries *inner; /* lists in each entry */
    size_t n_inner;
};

struct config_loader;

struct config_program {
    const char *name; /* "r-proxy" */
    const char *version;
    const char *env_prefix; /* "RPROXY_"; NULL: the environment is not looked at */
    const char *summary;    /* a sentence for --help */
    const struct config_table *tables;
    size_t n_tables;
    const struct config_listeners *listeners; /* NULL: none */
    const struct config_entries *entries;
    size_t n_entries;
    const char *positional_help; /* "[LISTEN_PORT HOST:PORT]"; NULL with `positional` */
    /* Turns words that are no options into options, by config_give(). NULL: such words are refused. */
    int (*positional)(struct config_loader *l, size_t count, char *const *words);
    /* What no single row can check; refuses by config_refuse(). May be NULL. */
    int (*check)(const struct config_loader *l, const void *target);
    /* --check-config alone: whether the files that options name can be used, which a start finds out by using them. May
     * be NULL. */
    int (*check_files)(const struct config_loader *l, const void *target);
    void (*warn)(const char *text); /* NULL: to stderr */
};

enum { CONFIG_DONE = 1 }; /* --help, --version or a good --check-config: printed, the program ends with status 0 */

/* Fill TARGET (zeroed by the caller). 0, CONFIG_DONE, or negative with err_text() naming file, line and key. Strings in
 * TARGET belong to it until config_free(); unless the result is 0 it holds nothing. */
int config_load(const struct config_program *program, int argc, char *const *argv, void *target);
void config_free(const struct config_program *program, void *target);

/* From `positional`: as if `--NAME TEXT` stood on the command line. 0 or negative with err_text(). */
int config_give(struct config_loader *l, const char *name, const char *text);
/* From `check`: -EINVAL, with a text that says where the option NAME comes from. */
int config_refuse(const struct config_loader *l, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same of the entry INDEX of the list NAME. */
int config_refuse_entry(const struct config_loader *l, const char *name, size_t index, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same of the entry INNER_INDEX of the list INNER in it. */
int config_refuse_inner_entry(const struct config_loader *l, const char *name, size_t index, const char *inner,
                              size_t inner_index, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* An option that names a file. PATH NULL: it is not given. */
struct config_file {
    const char *option;
    const char *path;
};
enum { CONFIG_NO_LISTENER = -1 };
/* From `check_files`: err_text() is about one of FILES. -EINVAL, with a text that also says which option names it, and
 * where that comes from. LISTENER: index in struct config_items of the one whose options they are, or
 * CONFIG_NO_LISTENER. */
int config_refuse_file(const struct config_loader *l, int listener, const struct config_file *files, size_t n);
/* From `check`: whether any source but the default gave NAME, an option or a list of entries. */
bool config_is_given(const struct config_loader *l, const char *name);

#endif
