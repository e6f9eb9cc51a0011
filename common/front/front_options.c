/* See front_options.h. */
#include "front_options.h"

#include <errno.h>
#include <string.h>

#include "cidr.h"
#include "err.h"
#include "tenant.h"
#include "url.h"

int front_options_check_url(const char *text)
{
    struct url url;
    int r = url_parse(text, FRONT_LISTEN_SCHEMES, &url);
    if (r == 0 && url_is_ws(&url) && strchr(url.path, '?'))
        return err_set(-EINVAL, "'%.80s': a query is the client's; the path is what is before it", text);
    return r;
}

/* As a browser writes it: a path or a slash at the end would never match. */
static int front_check_origins(const char *text)
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

const struct config_row front_option_rows[FRONT_OPTION_ROWS] = {
    {.name = "max-connections",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct front_options, max_connections),
     .default_text = "0",
     .max = INT32_MAX,
     .help = "so many connections of clients at a time; one more hears CONNACK 0x89, 3.x: 3; 0 = no limit"},
    {.name = "max-connections-per-address",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct front_options, max_connections_per_address),
     .default_text = "0",
     .max = INT32_MAX,
     .help =
         "so many of them from one IPv4 address or one IPv6 /64; one more hears CONNACK 0x97, 3.x: 3; 0 = no limit"},
    {.name = "connect-rate",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct front_options, connect_rate),
     .default_text = "0",
     .max = INT32_MAX,
     .help = "so many new connections a second, with a second's worth saved up; one more hears CONNACK 0x9F, 3.x: 3; "
             "0 = no limit"},
    {.name = "connect-timeout",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct front_options, connect_timeout_ms),
     .default_text = "10s",
     .min = 1,
     .help = "how long a new connection may take for all that comes first: PROXY header, TLS, WebSocket, CONNECT"},
    {.name = "max-keep-alive",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct front_options, max_keep_alive_ms),
     .default_text = "0",
     .max = UINT16_MAX * 1000,
     .help =
         "the longest keep-alive time, in whole seconds: MQTT 5 is told to keep to it, 3.x that asks for more, or for "
         "none, is refused (CONNACK 5); 0 = no limit"},
    {.name = "max-message-rate",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct front_options, max_message_rate),
     .default_text = "0",
     .max = INT32_MAX,
     .help =
         "so many PUBLISH packets a second are read from a client, with a second's worth saved up; who sends faster "
         "is held back, never disconnected; 0 = no limit"},
    {.name = "max-byte-rate",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct front_options, max_byte_rate),
     .default_text = "0",
     .max = INT64_C(1) << 40,
     .help = "likewise so many bytes of packets a second; 0 = no limit"},
};

static const char *const front_proxy_protocols[] = {"off", "on", NULL};

static const struct config_row front_listener_rows[] = {
    {.name = "proxy-protocol",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct front_listener_options, proxy_protocol),
     .default_text = "off",
     .choices = front_proxy_protocols,
     .help = "on: every connection from an address of trusted-proxies begins with a PROXY header (v1 or v2) that says "
             "who the client is; from other addresses none is believed"},
    {.name = "trusted-proxies",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct front_listener_options, trusted_proxies),
     .argument = "CIDR,...",
     .check = cidr_list_check,
     .help = "where the load balancers are whose word is taken: 10.0.0.0/8,2001:db8::/32; may be given several times"},
};

static const struct config_row front_websocket_rows[] = {
    {.name = "websocket-origins",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct front_listener_options, websocket_origins),
     .argument = "ORIGIN,...",
     .check = front_check_origins,
     .help = "pages whose browsers may use ws:// and wss:// listeners: https://HOST[:PORT]; may be given several "
             "times; default: any"},
};

static const struct config_row front_tenant_rows[] = {
    {.name = "mount-point",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct front_listener_options, mount_point),
     .argument = "PREFIX",
     .check = tenant_check_mount_point,
     .help = "its clients have their topics below this one, and see no others but $SYS; %u becomes the user name, %c "
             "the client id, %n the certificate's name; a client that has none is refused (0x87, 0x85; 3.x: 5, 2)"},
    {.name = "client-id-prefix",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct front_listener_options, client_id_prefix),
     .argument = "PREFIX",
     .check = tenant_check_client_id_prefix,
     .help = "stands before their client ids, likewise"},
};

const struct config_table front_listener_tables[FRONT_LISTENER_TABLES] = {
    {"WebSocket", CONFIG_ROWS(front_websocket_rows), 0},
    {"Proxies in front of a listener", CONFIG_ROWS(front_listener_rows), 0},
    TLS_SERVER_OPTION_TABLE(offsetof(struct front_listener_options, tls)),
    {"Tenants", CONFIG_ROWS(front_tenant_rows), 0},
};

static int front_check_listener(const struct config_loader *l, const struct front_listener_options *item)
{
    struct url url;
    int r = url_parse(item->url, FRONT_LISTEN_SCHEMES, &url);
    if (r == 0 && url_is_tls(&url))
        r = tls_config_check_server(l, &item->tls);
    if (r == 0 && item->proxy_protocol == FRONT_PROXY_PROTOCOL_ON && item->trusted_proxies.count == 0)
        r = config_refuse(l, "proxy-protocol", "trusted-proxies must say from where headers are believed (%s)",
                          item->url);
    return r;
}

int front_options_check(const struct config_loader *l, const struct front_options *o)
{
    const struct front_listener_options *items = o->listeners.items;
    int r = 0;
    for (size_t i = 0; r == 0 && i < o->listeners.count; i++)
        r = front_check_listener(l, &items[i]);
    return r;
}

int front_options_check_files(const struct config_loader *l, const struct front_options *o)
{
    const struct front_listener_options *items = o->listeners.items;
    int r = 0;
    for (size_t i = 0; r == 0 && i < o->listeners.count; i++) {
        struct url url;
        r = url_parse(items[i].url, FRONT_LISTEN_SCHEMES, &url);
        if (r == 0 && url_is_tls(&url))
            r = tls_config_check_server_files(l, (int)i, &items[i].tls);
    }
    return r;
}
