/* The command line of mqtt-load. Each option is one row of a table: name, kind, where it goes, limits, help. */
#include "load_options.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_telemetry.h"

enum {
    PAYLOAD_DEFAULT = 64,
};

enum row_kind {
    ROW_UINT,
    ROW_INT,
    ROW_REAL,
    ROW_FLAG,
    ROW_CALL,
};

struct parse;

struct row {
    const char *name;
    const char *argument; /* NULL: a flag */
    enum row_kind kind;
    size_t offset; /* into struct load_options */
    double low, high;
    bool (*call)(struct parse *p, const char *value);
    const char *help;
};

/* What must be known of all options before they make sense together. */
struct parse {
    struct load_options o;
    const char *url;
    const char *pub_url;
    bool has_sub_qos;
};

static bool fail(const char *name, const char *value, const char *why)
{
    fprintf(stderr, "mqtt-load: %s '%s': %s\n", name, value, why);
    return false;
}

static bool set_url(struct parse *p, const char *value)
{
    p->url = value;
    return true;
}

static bool set_pub_url(struct parse *p, const char *value)
{
    p->pub_url = value;
    return true;
}

static bool set_mqtt(struct parse *p, const char *value)
{
    if (!strcmp(value, "3.1.1") || !strcmp(value, "4"))
        p->o.version = 4;
    else if (!strcmp(value, "5"))
        p->o.version = 5;
    else
        return fail("--mqtt", value, "is not 3.1.1 or 5");
    return true;
}

/* A number of clients, and *AT behind it. */
static bool read_count(const char **at, uint32_t *ret)
{
    char *end;
    unsigned long n = strtoul(*at, &end, 10);

    if (**at < '0' || **at > '9' || n == 0 || n > 1000000)
        return false;
    *ret = (uint32_t)n;
    *at = end;
    return true;
}

/* N, or PxS for mesh. */
static bool set_pattern(struct parse *p, const char *value)
{
    static const struct {
        const char *name;
        enum load_pattern pattern;
    } names[] = {{"pairs", LOAD_PATTERN_PAIRS},          {"mesh", LOAD_PATTERN_MESH},   {"fan-in", LOAD_PATTERN_MESH},
                 {"fan-out", LOAD_PATTERN_MESH},         {"storm", LOAD_PATTERN_STORM}, {"idle", LOAD_PATTERN_IDLE},
                 {"handshakes", LOAD_PATTERN_HANDSHAKES}};
    const char *colon = strchr(value, ':');
    uint32_t first, second = 1;

    if (!colon)
        return fail("--pattern", value, "needs a number of clients, as in pairs:10 or mesh:10x10");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strlen(names[i].name) != (size_t)(colon - value) ||
            strncmp(names[i].name, value, (size_t)(colon - value)) != 0)
            continue;
        bool is_mesh = !strcmp(names[i].name, "mesh");
        const char *at = colon + 1;
        bool is_good =
            read_count(&at, &first) && (!is_mesh || (*at++ == 'x' && read_count(&at, &second))) && *at == '\0';
        if (!is_good)
            return fail("--pattern", value, "has no usable number of clients");
        p->o.pattern = names[i].pattern;
        p->o.publishers = !strcmp(names[i].name, "fan-out") ? 1 : first;
        p->o.subscribers = !strcmp(names[i].name, "fan-in") ? 1 : is_mesh ? second : first;
        if (p->o.pattern != LOAD_PATTERN_PAIRS && p->o.pattern != LOAD_PATTERN_MESH)
            p->o.publishers = 0;
        return true;
    }
    return fail("--pattern", value, "is not pairs, mesh, fan-in, fan-out, storm, idle or handshakes");
}

static bool set_sub_qos(struct parse *p, const char *value)
{
    if (strlen(value) != 1 || value[0] < '0' || value[0] > '2')
        return fail("--sub-qos", value, "is not 0, 1 or 2");
    p->o.sub_qos = value[0] - '0';
    p->has_sub_qos = true;
    return true;
}

static bool set_inject(struct parse *p, const char *value)
{
    if (!strcmp(value, "gap"))
        p->o.inject = LOAD_INJECT_GAP;
    else if (!strcmp(value, "duplicate"))
        p->o.inject = LOAD_INJECT_DUPLICATE;
    else if (!strcmp(value, "swap"))
        p->o.inject = LOAD_INJECT_SWAP;
    else
        return fail("--inject", value, "is not gap, duplicate or swap");
    return true;
}

static bool set_fill(struct parse *p, const char *value)
{
    static const enum load_fill fills[] = {LOAD_FILL_LETTERS, LOAD_FILL_RANDOM, LOAD_FILL_JSON};

    for (size_t i = 0; i < sizeof(fills) / sizeof(*fills); i++) {
        if (strcmp(value, load_options_fill_name(fills[i])) != 0)
            continue;
        p->o.fill = fills[i];
        return true;
    }
    return fail("--fill", value, "is not letters, random or json");
}

static bool set_relay(struct parse *p, const char *value)
{
    p->o.relay = value;
    return true;
}

static bool set_announce(struct parse *p, const char *value)
{
    p->o.announce = value;
    return true;
}

static bool set_tls_cert(struct parse *p, const char *value)
{
    p->o.tls_cert = value;
    return true;
}

static bool set_pid(struct parse *p, const char *value)
{
    char *equals = strchr(value, '=');
    char *end = NULL;
    long pid = equals ? strtol(equals + 1, &end, 10) : 0;

    if (!equals || equals == value || pid <= 0 || *end)
        return fail("--pid", value, "is not LABEL=PID");
    if (p->o.process_count == LOAD_PROCESSES_MAX)
        return fail("--pid", value, "is one process too many");
    *equals = '\0';
    p->o.processes[p->o.process_count++] = (struct load_process_option){value, (int)pid};
    return true;
}

#define AT(field) offsetof(struct load_options, field)

static const struct row rows[] = {
    {"url", "mqtt://HOST:PORT", ROW_CALL, 0, 0, 0, set_url,
     "where to connect (must be given; IPv6 in brackets); mqtts: with TLS, whatever the certificate"},
    {"pub-url", "mqtt://HOST:PORT", ROW_CALL, 0, 0, 0, set_pub_url, "publishers connect here instead"},
    {"pattern", "NAME:N", ROW_CALL, 0, 0, 0, set_pattern,
     "pairs:N, mesh:PxS, fan-in:P, fan-out:S, storm:N (connect only), idle:N, handshakes:N (of TLS, and go; "
     "default pairs:1)"},
    {"mqtt", "3.1.1|5", ROW_CALL, 0, 0, 0, set_mqtt, "protocol version (default 3.1.1)"},
    {"qos", "N", ROW_INT, AT(qos), 0, 2, NULL, "of messages and subscriptions (default 0)"},
    {"sub-qos", "N", ROW_CALL, 0, 0, 0, set_sub_qos, "of subscriptions, if other than --qos"},
    {"persistent", NULL, ROW_FLAG, AT(is_persistent), 0, 0, NULL,
     "subscribers have persistent sessions: the broker has to keep what is due to them"},
    {"window", "N", ROW_UINT, AT(window), 1, LOAD_WINDOW_MAX, NULL,
     "QoS 1, 2: unacknowledged messages of one publisher (default 20; a v5 server may lower it)"},
    {"payload", "BYTES", ROW_UINT, AT(payload_len), 16, 268435000, NULL, "payload size, at least 16 (default 64)"},
    {"fill", "WHAT", ROW_CALL, 0, 0, 0, set_fill,
     "payloads are letters (all the same, the default), random, or json: telemetry of 200 to 400 bytes"},
    {"rate", "N", ROW_REAL, AT(rate), 0.001, 1e9, NULL,
     "messages per second of all publishers together, sent on time whatever comes back (default: flood)"},
    {"burst", "N", ROW_UINT, AT(burst), 1, 1000000, NULL,
     "with --rate: a publisher's messages leave N at a time (default 1)"},
    {"together", "N", ROW_UINT, AT(together), 1, 1000000, NULL,
     "with --rate: N publishers send at the same time (default 1)"},
    {"random", NULL, ROW_FLAG, AT(is_random), 0, 0, NULL,
     "with --rate: at random times, by any publisher, not at regular ones and in turn"},
    {"count", "N", ROW_UINT, AT(count), 1, 4e9, NULL, "messages of each publisher"},
    {"duration", "S", ROW_REAL, AT(duration_s), 0.01, 86400, NULL, "publish so long (default 5 without --count)"},
    {"warmup", "S", ROW_REAL, AT(warmup_s), 0, 86400, NULL, "publish so long before measuring (default 0)"},
    {"hold", "S", ROW_REAL, AT(hold_s), 0, 86400, NULL,
     "idle: stay connected so long before memory is read (default 1)"},
    {"stall", "S", ROW_REAL, AT(stall_s), 0, 86400, NULL,
     "subscribers read nothing for so long, from the start of publishing (default 0)"},
    {"drain", "S", ROW_REAL, AT(drain_s), 0.01, 86400, NULL,
     "give up on missing messages after so long a silence (default 3)"},
    {"connect-parallel", "N", ROW_UINT, AT(connect_parallel), 1, 1000000, NULL,
     "clients that connect at one time (default 50; storm: all)"},
    {"connect-timeout", "S", ROW_REAL, AT(connect_timeout_s), 0.01, 86400, NULL,
     "for all clients to be connected and subscribed (default 20)"},
    {"timeout", "S", ROW_REAL, AT(timeout_s), 0.01, 86400, NULL, "for the whole run (default 120)"},
    {"threads", "N", ROW_UINT, AT(threads), 1, 64, NULL, "event loops of the generator (default 1)"},
    {"inject", "FAULT", ROW_CALL, 0, 0, 0, set_inject,
     "gap, duplicate or swap: each publisher does this once, to prove that the accounting sees it"},
    {"pid", "LABEL=PID", ROW_CALL, 0, 0, 0, set_pid, "measure CPU and memory of this process (repeatable)"},
    {"relay", "FILE", ROW_CALL, 0, 0, 0, set_relay, "report what counting-relay, which writes FILE, has counted"},
    {"announce", "FILE", ROW_CALL, 0, 0, 0, set_announce, "create FILE when the measured window begins"},
    {"tls-cert", "FILE", ROW_CALL, 0, 0, 0, set_tls_cert, "PEM: certificate that clients show when asked, and its key"},
    {"json", NULL, ROW_FLAG, AT(json), 0, 0, NULL, "print one JSON object"},
};

enum {
    ROW_COUNT = sizeof(rows) / sizeof(*rows),
};

static void print_help(void)
{
    printf("Usage: mqtt-load --url mqtt://HOST:PORT [OPTION...]\n"
           "MQTT load generator: throughput, latency, loss, duplicates and order, and what the processes between "
           "cost.\n\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
                 rows[i].argument ? rows[i].argument : "");
        printf("  %-27s %s\n", left, rows[i].help);
    }
    printf("  %-27s %s\n\n", "--help", "this text");
    printf("Exit code: 0 all arrived once and in order; 1 could not run, or out of time; 2 wrong usage;\n"
           "3 measured, but messages were lost, repeated, disordered or spoiled, or connections cut.\n");
}

static bool row_set(const struct row *row, struct parse *p, const char *value)
{
    char name[40];
    char *end = NULL;
    char *field = (char *)&p->o + row->offset;

    if (row->kind == ROW_CALL)
        return row->call(p, value);
    if (row->kind == ROW_FLAG) {
        *(bool *)field = true;
        return true;
    }
    snprintf(name, sizeof(name), "--%s", row->name);
    errno = 0;
    double number = strtod(value, &end);
    bool is_whole = row->kind == ROW_REAL || strspn(value, "0123456789") == strlen(value);
    if (end == value || *end || errno || !(number >= row->low && number <= row->high) || !is_whole) {
        fprintf(stderr, "mqtt-load: %s '%s': is not a%s number from %g to %g\n", name, value,
                row->kind == ROW_REAL ? "" : " whole", row->low, row->high);
        return false;
    }
    if (row->kind == ROW_UINT)
        *(uint32_t *)field = (uint32_t)number;
    else if (row->kind == ROW_INT)
        *(int *)field = (int)number;
    else
        memcpy(field, &number, sizeof(number));
    return true;
}

static const struct row *row_find(const char *name, size_t len)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len))
            return &rows[i];
    }
    return NULL;
}

static int parse_arguments(int argc, char **argv, struct parse *p)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (!strcmp(name, "--help")) {
            print_help();
            return LOAD_OPTIONS_HELP;
        }
        const char *equals = strncmp(name, "--", 2) ? NULL : strchr(name, '=');
        size_t len = equals ? (size_t)(equals - name) : strlen(name);
        const struct row *row = strncmp(name, "--", 2) ? NULL : row_find(name + 2, len - 2);
        if (!row) {
            fprintf(stderr, "mqtt-load: unknown argument '%s'; --help lists the options\n", name);
            return LOAD_OPTIONS_WRONG;
        }
        const char *value = equals ? equals + 1 : NULL;
        if (row->kind == ROW_FLAG ? value != NULL : !value && ++i == argc) {
            fprintf(stderr, "mqtt-load: --%s %s\n", row->name, value ? "takes no value" : "needs a value");
            return LOAD_OPTIONS_WRONG;
        }
        if (!row_set(row, p, value ? value : argv[i]))
            return LOAD_OPTIONS_WRONG;
    }
    return LOAD_OPTIONS_OK;
}

static bool resolve(const char *option, const char *url, struct load_address *ret)
{
    char host[256];
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;

    ret->is_tls = strncmp(url, "mqtts:", 6) == 0;
    const char *at = url + (ret->is_tls ? 6 : strncmp(url, "mqtt:", 5) == 0 ? 5 : 0);
    if (sscanf(at, "//[%255[0-9a-fA-F:.]]:%7[0-9]", host, port) != 2 &&
        sscanf(at, "//%255[^:/[]:%7[0-9]", host, port) != 2)
        return fail(option, url, "is not mqtt://HOST:PORT or mqtts://HOST:PORT");
    int r = getaddrinfo(host, port, &hints, &list);
    if (r != 0)
        return fail(option, url, gai_strerror(r));
    memcpy(&ret->socket, list->ai_addr, list->ai_addrlen);
    ret->len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

static bool check_together(struct parse *p)
{
    struct load_options *o = &p->o;

    if (!p->url)
        return fail("--url", "", "must be given");
    if (!resolve("--url", p->url, &o->broker) ||
        !resolve("--pub-url", p->pub_url ? p->pub_url : p->url, &o->pub_broker))
        return false;
    if (o->pattern == LOAD_PATTERN_HANDSHAKES && !o->broker.is_tls)
        return fail("--pattern", "handshakes", "needs an mqtts:// URL");
    if (!p->has_sub_qos)
        o->sub_qos = o->qos;
    if (o->count == 0 && o->duration_s == 0)
        o->duration_s = 5;
    if (o->rate == 0 && (o->burst > 1 || o->together > 1 || o->is_random))
        return fail(o->burst > 1 ? "--burst" : o->together > 1 ? "--together" : "--random", "", "needs --rate");
    if (o->fill == LOAD_FILL_JSON && o->payload_len > 0)
        return fail("--payload", "", "is not for --fill json, which has lengths of its own");
    if (o->payload_len == 0)
        o->payload_len = o->fill == LOAD_FILL_JSON ? LOAD_TELEMETRY_MAX : PAYLOAD_DEFAULT;
    if (o->duration_s > 0 && o->warmup_s >= o->duration_s)
        return fail("--warmup", "", "is not shorter than --duration");
    if (o->connect_parallel == 0 && o->pattern != LOAD_PATTERN_STORM)
        o->connect_parallel = 50;
    return true;
}

int load_options_parse(int argc, char **argv, struct load_options *ret_options)
{
    struct parse p = {.o = {.pattern = LOAD_PATTERN_PAIRS,
                            .publishers = 1,
                            .subscribers = 1,
                            .version = 4,
                            .window = 20,
                            .burst = 1,
                            .together = 1,
                            .hold_s = 1,
                            .drain_s = 3,
                            .connect_timeout_s = 20,
                            .timeout_s = 120,
                            .threads = 1}};
    int r = parse_arguments(argc, argv, &p);

    if (r != LOAD_OPTIONS_OK)
        return r;
    if (!check_together(&p))
        return LOAD_OPTIONS_WRONG;
    *ret_options = p.o;
    return LOAD_OPTIONS_OK;
}

const char *load_options_pattern_name(enum load_pattern pattern)
{
    switch (pattern) {
    case LOAD_PATTERN_PAIRS:
        return "pairs";
    case LOAD_PATTERN_MESH:
        return "mesh";
    case LOAD_PATTERN_STORM:
        return "storm";
    case LOAD_PATTERN_IDLE:
        return "idle";
    case LOAD_PATTERN_HANDSHAKES:
        return "handshakes";
    }
    return "?";
}

const char *load_options_fill_name(enum load_fill fill)
{
    switch (fill) {
    case LOAD_FILL_LETTERS:
        return "letters";
    case LOAD_FILL_RANDOM:
        return "random";
    case LOAD_FILL_JSON:
        return "json";
    }
    return "?";
}
