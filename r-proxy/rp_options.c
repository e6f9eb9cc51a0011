/* The options of r-proxy (rp_options.h). */
#include "rp_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "mqtt_packet.h"
#include "rp_http_proxy.h"
#include "rp_trunk_set.h"
#include "rpc_tls.h"
#include "rpc_tokens.h"
#include "target.h"

static int rp_check_target(const char *text)
{
    struct target target;
    return target_parse(text, RP_S_PROXY_PORT, &target);
}

/* A host without port. */
static int rp_check_name(const char *text)
{
    struct target target;
    if (strchr(text, ':'))
        return err_set(-EINVAL, "\"%.80s\": a name without port", text);
    return target_parse(text, RP_S_PROXY_PORT, &target);
}

static int rp_check_http_proxy(const char *text)
{
    struct rp_http_proxy proxy;
    return rp_http_proxy_parse(text, &proxy);
}

static const struct config_row rp_rows[] = {
    {.name = "s-proxy",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct rp_options, s_proxy),
     .default_text = "[::1]:50516",
     .argument = "TARGET",
     .check = rp_check_target,
     .help = "where an s-proxy is: HOST[:PORT], dns:///HOST:PORT, ipv4:ADDRESS:PORT,..., ipv6:[ADDRESS]:PORT,... or "
             "unix:/path; sessions are spread over all of them and over all addresses of a name; may be given several "
             "times"},
};

static const struct config_row rp_security_rows[] = {
    {.name = "trunk-tls-ca",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct rp_options, trunk_tls_ca),
     .argument = "FILE|DIR",
     .help = "speak TLS with s-proxies, and only with those whose certificate is signed by one of these CAs and names "
             "the target; a folder is one that openssl rehash has been over; without it the CAs of the system count. "
             "Any option of TLS turns it on; all files are read again when they change, and on SIGHUP"},
    {.name = "trunk-tls-cert",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct rp_options, trunk_tls_cert),
     .argument = "FILE",
     .help = "certificate of this r-proxy, with its chain, for an s-proxy that wants one (PEM)"},
    {.name = "trunk-tls-key",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct rp_options, trunk_tls_key),
     .argument = "FILE",
     .help = "its private key, without password"},
    {.name = "trunk-tls-server-name",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct rp_options, trunk_tls_server_name),
     .argument = "NAME",
     .check = rp_check_name,
     .help =
         "the name that s-proxies go by in TLS (SNI, certificate) and HTTP/2 (authority), in place of the target's"},
    {.name = "trunk-token-file",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct rp_options, trunk_token_file),
     .argument = "FILE",
     .help = "the token (first line) that s-proxies are shown; read again on SIGHUP"},
    {.name = "trunk-http-proxy",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct rp_options, trunk_http_proxy),
     .argument = "URL",
     .check = rp_check_http_proxy,
     .is_secret = true,
     .help = "reach all s-proxies through this HTTP proxy (CONNECT): http://[USER:PASSWORD@]HOST[:PORT]; without it "
             "grpc_proxy, https_proxy or http_proxy in the environment, except for hosts in no_grpc_proxy or no_proxy"},
};

static const struct config_row rp_limit_rows[] = {
    {.name = "max-packet-size",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct rp_options, max_packet_bytes),
     .default_text = "0",
     .max = MQTT_PACKET_MAX,
     .help = "largest MQTT packet accepted from a client; 0 = what the broker says"},
    {.name = "receive-maximum",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct rp_options, receive_maximum),
     .default_text = "0",
     .max = UINT16_MAX,
     .help =
         "so many PUBLISHes of QoS 1 and 2 may a client have unacknowledged, where the broker allows more: MQTT 5 is "
         "told so, and closed (0x93) if it sends more; 3.x is not read while as many PUBACKs are due; 0 = what the "
         "broker says"},
    {.name = "max-subscriptions",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct rp_options, max_subscriptions),
     .default_text = "0",
     .max = INT32_MAX,
     .help = "so many different filters may a client have subscribed to on its connection; those beyond are refused in "
             "SUBACK (0x97, 3.x: 0x80); 0 = no limit"},
    {.name = "max-topic-levels",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct rp_options, max_topic_levels),
     .default_text = "0",
     .max = UINT16_MAX,
     .help = "so many levels may a topic or filter have; more are refused (SUBACK 0x8F, PUBACK and CONNACK 0x90; 3.x: "
             "SUBACK "
             "0x80, else closed), QoS 0 is dropped; 0 = no limit"},
    {.name = "topic-alias-maximum",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct rp_options, topic_alias_maximum),
     .default_text = "0",
     .max = UINT16_MAX,
     .help = "so many topic aliases may a client of MQTT 5 use, where the broker allows more; a higher one ends it "
             "(0x94); 0 = what the broker says"},
};

static const struct config_table rp_tables[] = {
    {"Tunnel", CONFIG_ROWS(rp_rows), 0},
    TRUNK_OPTION_TABLE(offsetof(struct rp_options, trunk)),
    {"Security of trunks", CONFIG_ROWS(rp_security_rows), 0},
    FRONT_OPTION_TABLE(offsetof(struct rp_options, front)),
    {"Limits", CONFIG_ROWS(rp_limit_rows), 0},
    PROGRAM_OPTION_TABLE,
};

/* The form of the existing implementation: LISTEN_PORT HOST:PORT. */
static int rp_positional(struct config_loader *l, size_t count, char *const *words)
{
    char listen[64];
    if (count > 2)
        return err_set(-EINVAL, "too many arguments: LISTEN_PORT HOST:PORT is the form without options");
    snprintf(listen, sizeof listen, "mqtt://0.0.0.0:%s", words[0]);
    int r = config_give(l, "listen", listen);
    if (r >= 0 && count == 2)
        r = config_give(l, "s-proxy", words[1]);
    return r;
}

static int rp_check(const struct config_loader *l, const void *target)
{
    const struct rp_options *o = target;
    int r = front_options_check(l, &o->front);
    if (r < 0)
        return r;
    if (o->s_proxy.count > RP_TARGETS_MAX)
        return config_refuse(l, "s-proxy", "at most %d are possible", RP_TARGETS_MAX);
    if (o->trunk_tls_cert && !o->trunk_tls_key)
        return config_refuse(l, "trunk-tls-cert", "trunk-tls-key is needed too");
    if (o->trunk_tls_key && !o->trunk_tls_cert)
        return config_refuse(l, "trunk-tls-key", "trunk-tls-cert is needed too");
    return 0;
}

bool rp_options_have_tls(const struct rp_options *o)
{
    return o->trunk_tls_ca || o->trunk_tls_cert || o->trunk_tls_key || o->trunk_tls_server_name;
}

struct rpc_tls_files rp_options_tls_files(const struct rp_options *o)
{
    return (struct rpc_tls_files){.ca = o->trunk_tls_ca, .certificate = o->trunk_tls_cert, .key = o->trunk_tls_key};
}

static int rp_check_trunk_files(const struct config_loader *l, const struct rp_options *o)
{
    const struct rpc_tls_params params = {.files = rp_options_tls_files(o)};
    const struct config_file files[] = {
        {"trunk-tls-ca", o->trunk_tls_ca},
        {"trunk-tls-cert", o->trunk_tls_cert},
        {"trunk-tls-key", o->trunk_tls_key},
        {"trunk-token-file", o->trunk_token_file},
    };
    struct rpc_tls *tls = NULL;
    struct rpc_tokens *tokens = NULL;
    int r = rp_options_have_tls(o) ? rpc_tls_new(&params, &tls) : 0;
    if (r >= 0 && o->trunk_token_file)
        r = rpc_tokens_new(o->trunk_token_file, &tokens);
    rpc_tls_unref(tls);
    rpc_tokens_free(tokens);
    return r < 0 ? config_refuse_file(l, CONFIG_NO_LISTENER, files, sizeof files / sizeof files[0]) : 0;
}

static int rp_check_files(const struct config_loader *l, const void *target)
{
    const struct rp_options *o = target;
    int r = rp_check_trunk_files(l, o);
    return r == 0 ? front_options_check_files(l, &o->front) : r;
}

static const struct config_listeners rp_listeners =
    FRONT_LISTENERS(offsetof(struct rp_options, front), "mqtt://0.0.0.0:1883");

const struct config_program rp_config = {
    .name = "r-proxy",
    .version = PROJECT_VERSION,
    .env_prefix = "RPROXY_",
    .summary = "Accepts MQTT clients (3.1, 3.1.1, 5.0) at the edge and carries their packets over gRPC to s-proxy.",
    .tables = rp_tables,
    .n_tables = sizeof rp_tables / sizeof rp_tables[0],
    .listeners = &rp_listeners,
    .positional_help = "[LISTEN_PORT [HOST:PORT]]",
    .positional = rp_positional,
    .check = rp_check,
    .check_files = rp_check_files,
};
