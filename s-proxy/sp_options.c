/* The options of s-proxy (sp_options.h). */
#include "sp_options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "sp_broker_pick.h"
#include "str.h"
#include "url.h"

static int sp_check_upstream(const char *text)
{
    struct url url;
    return url_parse(text, "mqtt unix", &url);
}

/* gRPC resolves the host; what it would make of a text without port (443) is never meant. */
static int sp_check_listen(const char *text)
{
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (strncmp(text, "unix:", 5) == 0)
        return 0;
    if (!colon || colon == text)
        return err_set(-EINVAL, "HOST:PORT is needed, not \"%s\"", text);
    return err_context(str_parse_int(colon + 1, 0, 65535, &port), "port of \"%s\"", text);
}

static const struct config_row sp_rows[] = {
    {.name = "listen-grpc",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct sp_options, listen_grpc),
     .default_text = "[::]:50516",
     .argument = "HOST:PORT",
     .check = sp_check_listen,
     .help = "where r-proxies connect to; may be given several times"},
    {.name = "upstream",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct sp_options, upstream),
     .default_text = "mqtt://127.0.0.1:1884",
     .argument = "URL",
     .check = sp_check_upstream,
     .help = "the broker: mqtt://HOST:PORT or unix:/path; given several times, the first that is healthy is used"},
    {.name = "upstream-connect-timeout",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct sp_options, upstream_connect_timeout_ms),
     .default_text = "10s",
     .min = 1,
     .help = "how long a broker may take to accept a connection, and again to answer CONNECT"},
};

static const struct config_table sp_tables[] = {
    {"Tunnel and broker", CONFIG_ROWS(sp_rows), 0},
    TRUNK_OPTION_TABLE(offsetof(struct sp_options, trunk)),
    PROGRAM_OPTION_TABLE,
};

/* The form of the existing implementation: GRPC_PORT BROKER_HOST:PORT. */
static int sp_positional(struct config_loader *l, size_t count, char *const *words)
{
    char text[300];
    if (count > 2)
        return err_set(-EINVAL, "too many arguments: GRPC_PORT BROKER_HOST:PORT is the form without options");
    snprintf(text, sizeof text, "[::]:%s", words[0]);
    int r = config_give(l, "listen-grpc", text);
    if (r < 0 || count < 2)
        return r;
    snprintf(text, sizeof text, "mqtt://%s", words[1]);
    return config_give(l, "upstream", text);
}

static int sp_check(const struct config_loader *l, const void *target)
{
    const struct sp_options *o = target;
    if (o->upstream.count > SP_BROKER_MAX)
        return config_refuse(l, "upstream", "at most %d are possible", SP_BROKER_MAX);
    return 0;
}

const struct config_program sp_config = {
    .name = "s-proxy",
    .version = PROJECT_VERSION,
    .env_prefix = "SPROXY_",
    .summary = "Takes MQTT sessions from r-proxies over gRPC and speaks MQTT to the broker on each client's behalf.",
    .tables = sp_tables,
    .n_tables = sizeof sp_tables / sizeof sp_tables[0],
    .positional_help = "[GRPC_PORT [BROKER_HOST:PORT]]",
    .positional = sp_positional,
    .check = sp_check,
};
