/* The list `bridges` (bk_bridge_options.h). */
#include "bk_bridge_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bk_bridge_plan.h"
#include "bk_bridge_topics.h"
#include "err.h"
#include "mqtt_packet.h"
#include "mqtt_topic.h"
#include "mqtt_utf8.h"
#include "url.h"

enum { BK_BRIDGE_NAME_MAX = 64 };

static struct mqtt_bytes bk_bytes_of(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* --- One key */

static int bk_bridge_check_name(const char *text)
{
    if (*text == '\0' || strlen(text) > BK_BRIDGE_NAME_MAX || strpbrk(text, "/+#"))
        return err_set(-EINVAL, "'%.80s': a name has 1 to %d bytes, none of them /, + or #", text, BK_BRIDGE_NAME_MAX);
    return 0;
}

static int bk_bridge_check_url(const char *text)
{
    struct url url;
    return url_parse(text, BK_BRIDGE_SCHEMES, &url);
}

static int bk_bridge_check_text(const char *text)
{
    if (*text == '\0' || strlen(text) > MQTT_STRING_MAX ||
        mqtt_utf8_check((const uint8_t *)text, strlen(text)) != MQTT_UTF8_OK)
        return err_set(-EINVAL, "is empty, too long, or no text that MQTT can carry");
    return 0;
}

static int bk_bridge_check_topic(const char *text)
{
    int r = bk_bridge_check_text(text);
    return r == 0 && !mqtt_topic_name_is_valid(bk_bytes_of(text)) ? err_set(-EINVAL, "is no topic name") : r;
}

static int bk_bridge_check_prefix(const char *text)
{
    int r = bk_bridge_check_text(text);
    return r == 0 && mqtt_topic_has_wildcard(bk_bytes_of(text)) ? err_set(-EINVAL, "a prefix has no wildcards") : r;
}

static int bk_bridge_check_filter(const char *text)
{
    int r = bk_bridge_check_text(text);
    if (r < 0)
        return r;
    if (mqtt_topic_is_shared(bk_bytes_of(text)))
        return err_set(-EINVAL, "bridges have no shared subscriptions");
    return mqtt_topic_filter_is_valid(bk_bytes_of(text)) ? 0 : err_set(-EINVAL, "is no topic filter");
}

/* As the protocol level, or as people say. */
static int bk_bridge_parse_version(const char *text, const char *variable, void *ret_field)
{
    static const struct {
        const char *text;
        int version;
    } names[] = {{"3", MQTT_V31},      {"3.1", MQTT_V31}, {"4", MQTT_V311},
                 {"3.1.1", MQTT_V311}, {"5", MQTT_V5},    {"5.0", MQTT_V5}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].text) == 0) {
            *(int *)ret_field = names[i].version;
            return 0;
        }
    }
    return err_set(-EINVAL, "\"%.40s\" is none of 3 (3.1), 4 (3.1.1), 5", text);
}

static int bk_bridge_parse_direction(const char *text, const char *variable, void *ret_field)
{
    static const char *const names[] = {[BK_BRIDGE_OUT] = "out", [BK_BRIDGE_IN] = "in", [BK_BRIDGE_BOTH] = "both"};
    for (int i = BK_BRIDGE_OUT; i <= BK_BRIDGE_BOTH; i++) {
        if (strcmp(text, names[i]) == 0) {
            *(int *)ret_field = i;
            return 0;
        }
    }
    return err_set(-EINVAL, "\"%.40s\" is none of out, in, both", text);
}

const struct config_row bk_bridge_option_rows[] = {
    {.name = "name",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_bridge_options, name),
     .check = bk_bridge_check_name,
     .help = "what it is called here; its session here belongs to this name"},
    {.name = "url",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_bridge_options, url),
     .argument = "URL",
     .check = bk_bridge_check_url,
     .help = "the far broker: mqtt://, mqtts://, ws://, wss://, unix:/PATH"},
    {.name = "client-id",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_bridge_options, client_id),
     .check = bk_bridge_check_text,
     .help = "of its session there; default: bridge- and its name"},
    {.name = "version",
     .kind = CONFIG_CUSTOM,
     CONFIG_FIELD(struct bk_bridge_options, version),
     .default_text = "5",
     .argument = "3|4|5",
     .parse = bk_bridge_parse_version,
     .help = "of MQTT spoken there: 3 (3.1), 4 (3.1.1), 5"},
    {.name = "username",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_bridge_options, username),
     .check = bk_bridge_check_text,
     .help = "for the far broker"},
    {.name = "password-file",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_bridge_options, password_file),
     .argument = "FILE",
     .help = "its first line is the password for the far broker"},
    {.name = "keep-alive",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct bk_bridge_options, keep_alive_ms),
     .default_text = "60s",
     .max = 65535000,
     .help = "a far broker that is silent for so long is gone; whole seconds; 0 = only TCP says so"},
    {.name = "max-inflight",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_bridge_options, max_inflight),
     .default_text = "0",
     .max = UINT16_MAX,
     .help =
         "messages of QoS 1 and 2 that are on their way there at a time; 0 = as many as the far broker says, of 3.x, "
         "which cannot say it, 20"},
    {.name = "loop-guard",
     .kind = CONFIG_FLAG,
     CONFIG_FIELD(struct bk_bridge_options, loop_guard),
     .help =
         "version 5, for rings of three and more brokers: what goes there says in a user property, $bridge, that it "
         "has passed this broker, and does not pass it again"},
    {.name = "status-topic",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_bridge_options, status_topic),
     .argument = "TOPIC",
     .check = bk_bridge_check_topic,
     .help = "retained here and there: 1 while the bridge is connected, else 0 (there: its Will)"},
};

const struct config_table bk_bridge_tables[BK_BRIDGE_TABLES] = {
    {"", bk_bridge_option_rows, sizeof bk_bridge_option_rows / sizeof bk_bridge_option_rows[0], 0},
    {"", tls_entry_option_rows, TLS_CLIENT_OPTION_ROWS, offsetof(struct bk_bridge_options, tls)},
};

const struct config_row bk_bridge_topic_option_rows[] = {
    {.name = "filter",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_bridge_topic_options, filter),
     .argument = "FILTER",
     .check = bk_bridge_check_filter,
     .help = "which topics, behind the prefixes; of several lines the first that matches decides"},
    {.name = "direction",
     .kind = CONFIG_CUSTOM,
     CONFIG_FIELD(struct bk_bridge_topic_options, direction),
     .default_text = "out",
     .argument = "out|in|both",
     .parse = bk_bridge_parse_direction,
     .help = "out: to the far broker"},
    {.name = "qos",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_bridge_topic_options, qos),
     .default_text = "0",
     .max = 2,
     .help = "at most; messages of QoS 0 are lost while there is no connection"},
    {.name = "local-prefix",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_bridge_topic_options, local_prefix),
     .argument = "PREFIX",
     .check = bk_bridge_check_prefix,
     .help = "stands before the filter here, and only here"},
    {.name = "remote-prefix",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_bridge_topic_options, remote_prefix),
     .argument = "PREFIX",
     .check = bk_bridge_check_prefix,
     .help = "stands before the filter there, and only there"},
};

static const struct config_table bk_bridge_topic_tables[] = {{"", CONFIG_ROWS(bk_bridge_topic_option_rows), 0}};

const struct config_entries bk_bridge_topic_list[1] = {
    {.name = "topics",
     .help = "What the bridge carries.",
     .offset = offsetof(struct bk_bridge_options, topics),
     .item_size = sizeof(struct bk_bridge_topic_options),
     .tables = bk_bridge_topic_tables,
     .n_tables = 1},
};

/* --- Keys that depend on each other */

static bool bk_bridge_fits(const char *prefix, const char *filter)
{
    return (prefix ? strlen(prefix) : 0) + strlen(filter) <= MQTT_STRING_MAX;
}

static int bk_bridge_check_line(const struct config_loader *l, size_t bridge, size_t at,
                                const struct bk_bridge_topic_options *t)
{
    if (!t->filter)
        return config_refuse_inner_entry(l, "bridges", bridge, "topics", at, "filter: is missing");
    if (!bk_bridge_fits(t->local_prefix, t->filter) || !bk_bridge_fits(t->remote_prefix, t->filter))
        return config_refuse_inner_entry(l, "bridges", bridge, "topics", at, "filter: is too long with its prefix");
    return 0;
}

/* They would take the far session from each other for ever. The default client id has the name in it. */
static bool bk_bridge_is_rival(const struct bk_bridge_options *a, const struct bk_bridge_options *b)
{
    return a->client_id && b->client_id && strcmp(a->client_id, b->client_id) == 0 && strcmp(a->url, b->url) == 0;
}

static int bk_bridge_check_one(const struct config_loader *l, const struct config_items *bridges, size_t at)
{
    const struct bk_bridge_options *items = bridges->items, *o = &items[at];
    const struct bk_bridge_topic_options *topics = o->topics.items;
    if (!o->name)
        return config_refuse_entry(l, "bridges", at, "name: is missing");
    if (!o->url)
        return config_refuse_entry(l, "bridges", at, "url: is missing");
    if (o->topics.count == 0)
        return config_refuse_entry(l, "bridges", at, "topics: is missing");
    for (size_t i = 0; i < at; i++)
        if (strcmp(items[i].name, o->name) == 0)
            return config_refuse_entry(l, "bridges", at, "name: there are two of name %s", o->name);
    for (size_t i = 0; i < at; i++)
        if (bk_bridge_is_rival(&items[i], o))
            return config_refuse_entry(l, "bridges", at, "client-id: bridge %s has the same one at the same broker",
                                       items[i].name);
    if (o->tls.key && !o->tls.cert)
        return config_refuse_entry(l, "bridges", at, "tls-key: there is no tls-cert");
    if (o->password_file && !o->username && o->version != MQTT_V5)
        return config_refuse_entry(l, "bridges", at, "password-file: 3.x has no password without a username");
    if (o->keep_alive_ms % 1000 != 0)
        return config_refuse_entry(l, "bridges", at, "keep-alive: takes whole seconds");
    for (size_t i = 0; i < o->topics.count; i++)
        if (bk_bridge_check_line(l, at, i, &topics[i]) < 0)
            return -EINVAL;
    return 0;
}

int bk_bridge_options_check(const struct config_loader *l, const struct config_items *bridges)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < bridges->count; i++)
        r = bk_bridge_check_one(l, bridges, i);
    return r;
}

int bk_bridge_options_check_files(const struct config_loader *l, const struct config_items *bridges)
{
    const struct bk_bridge_options *items = bridges->items;
    int r = 0;
    for (size_t i = 0; r == 0 && i < bridges->count; i++) {
        struct bk_bridge_plan *plan = NULL;
        if (bk_bridge_plan_new(&items[i], "", &plan) < 0)
            r = config_refuse_entry(l, "bridges", i, "%s", err_text());
        bk_bridge_plan_unref(plan);
    }
    return r;
}
