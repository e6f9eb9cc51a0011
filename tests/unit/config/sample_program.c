#include "sample_program.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"

static int check_url(const char *text)
{
    return strstr(text, "://") ? 0 : err_set(-EINVAL, "\"%s\" is not a URL", text);
}

static int parse_level(const char *text, const char *variable, void *ret_field)
{
    if (strlen(text) > 5)
        return err_set(-EINVAL, "\"%s\" is too long a level", text);
    const int level = (int)strlen(text);
    *(int *)ret_field = variable && strcmp(variable, "OTHER_LEVEL") == 0 ? -level : level;
    return 0;
}

static const struct config_row limits_rows[] = {
    {.name = "connect-timeout",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct sample_limits, connect_timeout_ms),
     .default_text = "10s",
     .min = 100,
     .max = 3600000,
     .help = "time for CONNECT to arrive after a client has connected; a client that is slower is closed without an "
             "answer"},
    {.name = "max-packet-size",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct sample_limits, max_packet_size),
     .max = 256 << 20,
     .help = "largest packet; 0: what the broker says"},
    {.name = "receive-maximum",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct sample_limits, receive_maximum),
     .max = 65535,
     .default_text = "20",
     .help = "unacknowledged packets"},
};

static const struct config_row main_rows[] = {
    {.name = "upstream",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct sample_options, upstream),
     .default_text = "mqtt://127.0.0.1:1884",
     .argument = "URL",
     .check = check_url,
     .help = "broker"},
    {.name = "mqtt-url", .kind = CONFIG_STRING, CONFIG_FIELD(struct sample_options, mqtt_url), .help = "a URL"},
    {.name = "password",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sample_options, password),
     .check = check_url,
     .is_secret = true,
     .help = "a secret"},
    {.name = "allow-anonymous",
     .kind = CONFIG_FLAG,
     CONFIG_FIELD(struct sample_options, allow_anonymous),
     .help = "let everybody in"},
    {.name = "keep",
     .kind = CONFIG_FLAG,
     CONFIG_FIELD(struct sample_options, keep),
     .default_text = "true",
     .help = "keep things"},
    {.name = "level",
     .kind = CONFIG_CUSTOM,
     CONFIG_FIELD(struct sample_options, level),
     .default_text = "abc",
     .parse = parse_level,
     .also_env = {"SAMPLE_LEVEL_TOO", "OTHER_LEVEL"},
     .help = "a level"},
};

static const char *const ocsp_choices[] = {"off", "soft", "hard", NULL};

static const struct config_row listener_rows[] = {
    {.name = "tls-cert",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sample_listener, tls_cert),
     .argument = "FILE",
     .help = "certificate chain"},
    {.name = "tls-ocsp",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct sample_listener, tls_ocsp),
     .choices = ocsp_choices,
     .default_text = "soft",
     .help = "stapling"},
    {.name = "proxy-protocol",
     .kind = CONFIG_FLAG,
     CONFIG_FIELD(struct sample_listener, proxy_protocol),
     .help = "believe PROXY headers"},
};

static const struct config_table listener_tables[] = {{"TLS of listeners", CONFIG_ROWS(listener_rows), 0}};

static const struct config_listeners listeners = {
    .offset = offsetof(struct sample_options, listeners),
    .item_size = sizeof(struct sample_listener),
    .url_offset = offsetof(struct sample_listener, url),
    .default_url = "mqtt://0.0.0.0:1883",
    .check_url = check_url,
    .tables = listener_tables,
    .n_tables = 1,
};

static const struct config_row room_rows[] = {
    {.name = "name", .kind = CONFIG_STRING, CONFIG_FIELD(struct sample_room, name), .help = "a name"},
    {.name = "beds",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct sample_room, beds),
     .default_text = "2",
     .max = 9,
     .help = "how many beds"},
    {.name = "guests", .kind = CONFIG_LIST, CONFIG_FIELD(struct sample_room, guests), .help = "who is in"},
};

static const struct config_table room_tables[] = {{"", CONFIG_ROWS(room_rows), 0}};

static const struct config_row shelf_rows[] = {
    {.name = "books",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct sample_shelf, books),
     .max = 100,
     .help = "how many stand there"},
    {.name = "label", .kind = CONFIG_STRING, CONFIG_FIELD(struct sample_shelf, label), .help = "what stands on it"},
};

static const struct config_table shelf_tables[] = {{"", CONFIG_ROWS(shelf_rows), 0}};

static const struct config_entries room_lists[] = {
    {.name = "shelves",
     .help = "What is on the wall.",
     .offset = offsetof(struct sample_room, shelves),
     .item_size = sizeof(struct sample_shelf),
     .tables = shelf_tables,
     .n_tables = 1},
};

static const struct config_entries entries[] = {
    {.name = "rooms",
     .help = "Rooms of the house.",
     .offset = offsetof(struct sample_options, rooms),
     .item_size = sizeof(struct sample_room),
     .tables = room_tables,
     .n_tables = 1,
     .inner = room_lists,
     .n_inner = 1},
};

static const struct config_table tables[] = {
    {"Limits", CONFIG_ROWS(limits_rows), offsetof(struct sample_options, limits)},
    {"Upstream", CONFIG_ROWS(main_rows), 0},
};

/* PORT HOST:PORT */
static int sample_positional(struct config_loader *l, size_t count, char *const *words)
{
    char url[100];
    if (count != 2)
        return err_set(-EINVAL, "two words are needed: PORT HOST:PORT");
    snprintf(url, sizeof(url), "mqtt://0.0.0.0:%s", words[0]);
    int r = config_give(l, "listen", url);
    if (r < 0)
        return r;
    snprintf(url, sizeof(url), "mqtt://%s", words[1]);
    return config_give(l, "upstream", url);
}

static int sample_check_room(const struct config_loader *l, const struct sample_room *room, size_t index)
{
    const struct sample_shelf *shelves = room->shelves.items;
    if (room->guests.count > (size_t)room->beds)
        return config_refuse_entry(l, "rooms", index, "%zu guests", room->guests.count);
    for (size_t i = 0; i < room->shelves.count; i++)
        if (shelves[i].books == 0)
            return config_refuse_inner_entry(l, "rooms", index, "shelves", i, "an empty one");
    return 0;
}

static int sample_check(const struct config_loader *l, const void *target)
{
    const struct sample_options *o = target;
    const struct sample_room *rooms = o->rooms.items;
    for (size_t i = 0; i < o->rooms.count; i++)
        if (sample_check_room(l, &rooms[i], i) < 0)
            return -EINVAL;
    if (o->rooms.count == 0 && config_is_given(l, "rooms"))
        return config_refuse(l, "rooms", "a house without rooms");
    if (o->mqtt_url && strcmp(o->mqtt_url, "forbidden") == 0)
        return config_refuse(l, "mqtt-url", "does not go with %s", "anything");
    return o->allow_anonymous && config_is_given(l, "password")
               ? config_refuse(l, "allow-anonymous", "needs no password")
               : 0;
}

/* No file whose name has "missing" in it is there. */
static int sample_check_files(const struct config_loader *l, const void *target)
{
    const struct sample_options *o = target;
    const struct sample_listener *items = o->listeners.items;
    for (size_t i = 0; i < o->listeners.count; i++) {
        const struct config_file files[] = {
            {"mqtt-url", o->mqtt_url}, {"tls-cert", items[i].tls_cert}, {"upstream", NULL}};
        if (!items[i].tls_cert || !strstr(items[i].tls_cert, "missing"))
            continue;
        err_set(-ENOENT, "%s: No such file or directory", items[i].tls_cert);
        return config_refuse_file(l, (int)i, files, 3);
    }
    return 0;
}

char sample_warning[256];

static void sample_warn(const char *text)
{
    snprintf(sample_warning, sizeof(sample_warning), "%s", text);
}

const struct config_program sample_program = {
    .name = "sample",
    .version = "1.2.3",
    .env_prefix = "SAMPLE_",
    .summary = "Shows what config can do.",
    .tables = tables,
    .n_tables = 2,
    .listeners = &listeners,
    .entries = entries,
    .n_entries = 1,
    .positional_help = "[PORT HOST:PORT]",
    .positional = sample_positional,
    .check = sample_check,
    .check_files = sample_check_files,
    .warn = sample_warn,
};

int sample_load(struct sample_options *o, const char *const *words)
{
    char *argv[16] = {strdup("sample")};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = strdup(words[argc - 1]);
    *o = (struct sample_options){.before = SAMPLE_UNTOUCHED, .behind = SAMPLE_UNTOUCHED};
    sample_warning[0] = '\0';
    int r = config_load(&sample_program, argc, argv, o);
    ck_assert_uint_eq(o->before, SAMPLE_UNTOUCHED);
    ck_assert_uint_eq(o->behind, SAMPLE_UNTOUCHED);
    /* What was loaded may not point into the command line. */
    for (int i = 0; i < argc; i++) {
        memset(argv[i], '#', strlen(argv[i]));
        free(argv[i]);
    }
    return r;
}

void sample_write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* Not clearenv(): a sanitizer that reports a leak later starts its symbolizer with the environment. */
static void forget_variables(void)
{
    static const char *const names[] = {
        "SAMPLE_CONNECT_TIMEOUT", "SAMPLE_KEEP",      "SAMPLE_UPSTREAM", "SAMPLE_LISTEN",
        "SAMPLE_TLS_OCSP",        "SAMPLE_MQTT_URL",  "SAMPLE_PASSWORD", "SAMPLE_LEVEL",
        "SAMPLE_TIMEOUT",         "SAMPLE_LEVEL_TOO", "SAMPLER",         "OTHER_LEVEL",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
}

static char directory[64];

void sample_setup(void)
{
    snprintf(directory, sizeof(directory), "/tmp/test-config-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
    forget_variables();
}

void sample_teardown(void)
{
    unlink("r-proxy.yaml");
    unlink("out");
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(rmdir(directory), 0);
}
