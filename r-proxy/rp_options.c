/* The options of r-proxy (rp_options.h). */
#include "rp_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cidr.h"
#include "err.h"
#include "mqtt_packet.h"
#include "rp_http_proxy.h"
#include "rp_trunk_set.h"
#include "rpc_tls.h"
#include "rpc_tokens.h"
#include "target.h"
#include "tenant.h"
#include "url.h"

static int rp_check_listen(const char *text)
{
    struct url url;
    int r = url_parse(text, RP_LISTEN_SCHEMES, &url);
    if (r == 0 && url_is_ws(&url) && strchr(url.path, '?'))
        return err_set(-EINVAL, "'%.80s': a query is the client's; the path is what is before it", text);
    return r;
}

/* As a browser writes it: a path or a slash at the end would never match. */
static int rp_check_origins(const char *text)
{
    while (*(text += strspn(text, ", "))) {
        const size_t n = strcspn(text, ", ");
        const char *scheme_end = memmem(text, n, "://", 3);
        const char *host = scheme_end ? scheme_end + 3 : NULL;
        if (!host || scheme_end == text || host == text + n || memchr(host, '/', (size_t)(text + n - host)))
            return err_set(-EINVAL, "'%.*s' is no origin: https://HOST or https://HOST:PORT", (int)n, text);
        text += n;
    }
    return 0;
}

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
    {.name = "max-connections",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct rp_options, max_connections),
     .default_text = "0",
     .max = INT32_MAX,
     .help = "so many connections of clients at a time; one more hears CONNACK 0x89, 3.x: 3; 0 = no limit"},
    {.name = "max-connections-per-address",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct rp_options, max_connections_per_address),
     .default_text = "0",
     .max = INT32_MAX,
     .help =
         "so many of them from one IPv4 address or one IPv6 /64; one more hears CONNACK 0x97, 3.x: 3; 0 = no limit"},
    {.name = "connect-rate",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct rp_options, connect_rate),
     .default_text = "0",
     .max = INT32_MAX,
     .help = "so many new connections a second, with a second's worth saved up; one more hears CONNACK 0x9F, 3.x: 3; "
             "0 = no limit"},
    {.name = "connect-timeout",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct rp_options, connect_timeout_ms),
     .default_text = "10s",
     .min = 1,
     .help = "how long a new connection may take for all that comes first: PROXY header, TLS, WebSocket, CONNECT"},
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
    {.name = "max-keep-alive",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct rp_options, max_keep_alive_ms),
     .default_text = "0",
     .max = UINT16_MAX * 1000,
     .help =
         "the longest keep-alive time, in whole seconds: MQTT 5 is told to keep to it, 3.x that asks for more, or for "
         "none, is refused (CONNACK 5); 0 = no limit"},
    {.name = "topic-alias-maximum",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct rp_options, topic_alias_maximum),
     .default_text = "0",
     .max = UINT16_MAX,
     .help = "so many topic aliases may a client of MQTT 5 use, where the broker allows more; a higher one ends it "
             "(0x94); 0 = what the broker says"},
    {.name = "max-message-rate",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct rp_options, max_message_rate),
     .default_text = "0",
     .max = INT32_MAX,
     .help =
         "so many PUBLISH packets a second are read from a client, with a second's worth saved up; who sends faster "
         "is held back, never disconnected; 0 = no limit"},
    {.name = "max-byte-rate",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct rp_options, max_byte_rate),
     .default_text = "0",
     .max = INT64_C(1) << 40,
     .help = "likewise so many bytes of packets a second; 0 = no limit"},
};

static const struct config_table rp_tables[] = {
    {"Tunnel", CONFIG_ROWS(rp_rows), 0},
    TRUNK_OPTION_TABLE(offsetof(struct rp_options, trunk)),
    {"Security of trunks", CONFIG_ROWS(rp_security_rows), 0},
    {"Limits", CONFIG_ROWS(rp_limit_rows), 0},
    PROGRAM_OPTION_TABLE,
};

static const char *const rp_proxy_protocols[] = {"off", "on", NULL};

static const struct config_row rp_listener_rows[] = {
    {.name = "proxy-protocol",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct rp_listener_options, proxy_protocol),
     .default_text = "off",
     .choices = rp_proxy_protocols,
     .help = "on: every connection from an address of trusted-proxies begins with a PROXY header (v1 or v2) that says "
             "who the client is; from other addresses none is believed"},
    {.name = "trusted-proxies",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct rp_listener_options, trusted_proxies),
     .argument = "CIDR,...",
     .check = cidr_list_check,
     .help = "where the load balancers are whose word is taken: 10.0.0.0/8,2001:db8::/32; may be given several times"},
};

static const struct config_row rp_websocket_rows[] = {
    {.name = "websocket-origins",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct rp_listener_options, websocket_origins),
     .argument = "ORIGIN,...",
     .check = rp_check_origins,
     .help = "pages whose browsers may use ws:// and wss:// listeners: https://HOST[:PORT]; may be given several "
             "times; default: any"},
};

static const struct config_row rp_tenant_rows[] = {
    {.name = "mount-point",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct rp_listener_options, mount_point),
     .argument = "PREFIX",
     .check = tenant_check_mount_point,
     .help = "its clients have their topics below this one, and see no others but $SYS; %u becomes the user name, %c "
             "the client id, %n the certificate's name; a client that has none is refused (0x87, 0x85; 3.x: 5, 2)"},
    {.name = "client-id-prefix",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct rp_listener_options, client_id_prefix),
     .argument = "PREFIX",
     .check = tenant_check_client_id_prefix,
     .help = "stands before their client ids, likewise"},
};

static const struct config_table rp_listener_tables[] = {
    {"Tenants", CONFIG_ROWS(rp_tenant_rows), 0},
    {"WebSocket", CONFIG_ROWS(rp_websocket_rows), 0},
    {"Proxies in front of a listener", CONFIG_ROWS(rp_listener_rows), 0},
    TLS_SERVER_OPTION_TABLE(offsetof(struct rp_listener_options, tls)),
};

static const struct config_listeners rp_listeners = {
    .offset = offsetof(struct rp_options, listeners),
    .item_size = sizeof(struct rp_listener_options),
    .url_offset = offsetof(struct rp_listener_options, url),
    .default_url = "mqtt://0.0.0.0:1883",
    .check_url = rp_check_listen,
    .tables = rp_listener_tables,
    .n_tables = sizeof rp_listener_tables / sizeof rp_listener_tables[0],
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

static int rp_check_listeners(const struct config_loader *l, const struct config_items *listeners)
{
    const struct rp_listener_options *items = listeners->items;
    int r = 0;
    for (size_t i = 0; r == 0 && i < listeners->count; i++) {
        struct url url;
        r = url_parse(items[i].url, RP_LISTEN_SCHEMES, &url);
        if (r == 0 && url_is_tls(&url))
            r = tls_config_check_server(l, &items[i].tls);
    }
    return r;
}

static int rp_check(const struct config_loader *l, const void *target)
{
    const struct rp_options *o = target;
    int r = rp_check_listeners(l, &o->listeners);
    if (r < 0)
        return r;
    if (o->s_proxy.count > RP_TARGETS_MAX)
        return config_refuse(l, "s-proxy", "at most %d are possible", RP_TARGETS_MAX);
    if (o->trunk_tls_cert && !o->trunk_tls_key)
        return config_refuse(l, "trunk-tls-cert", "trunk-tls-key is needed too");
    if (o->trunk_tls_key && !o->trunk_tls_cert)
        return config_refuse(l, "trunk-tls-key", "trunk-tls-cert is needed too");
    const struct rp_listener_options *listeners = o->listeners.items;
    for (size_t i = 0; i < o->listeners.count; i++)
        if (listeners[i].proxy_protocol == RP_PROXY_PROTOCOL_ON && listeners[i].trusted_proxies.count == 0)
            return config_refuse(l, "proxy-protocol", "trusted-proxies must say from where headers are believed (%s)",
                                 listeners[i].url);
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
    const struct rp_listener_options *items = o->listeners.items;
    int r = rp_check_trunk_files(l, o);
    for (size_t i = 0; r == 0 && i < o->listeners.count; i++) {
        struct url url;
        r = url_parse(items[i].url, RP_LISTEN_SCHEMES, &url);
        if (r == 0 && url_is_tls(&url))
            r = tls_config_check_server_files(l, (int)i, &items[i].tls);
    }
    return r;
}

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
