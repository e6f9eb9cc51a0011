/* The options of s-proxy (sp_options.h). */
#include "sp_options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "rpc_tls.h"
#include "rpc_tokens.h"
#include "sp_broker_pick.h"
#include "sp_identity.h"
#include "str.h"
#include "tenant.h"
#include "url.h"

static int sp_check_upstream(const char *text)
{
    struct url url;
    return url_parse(text, SP_UPSTREAM_SCHEMES, &url);
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

static const char *const sp_proxy_protocols[] = {"none", "v1", "v2", NULL};

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
     .help = "the broker: mqtt://HOST:PORT, mqtts://HOST:PORT, ws://HOST:PORT/PATH, wss://... or unix:/path; given "
             "several times, the first that is "
             "healthy is used"},
    {.name = "upstream-proxy-protocol",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct sp_options, upstream_proxy_protocol),
     .default_text = "none",
     .choices = sp_proxy_protocols,
     .help = "begin each connection to the broker with a PROXY header that names the client's address, as r-proxy saw "
             "it; v2 adds its TLS version, cipher and certificate name, and the client id"},
    {.name = "upstream-connect-timeout",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct sp_options, upstream_connect_timeout_ms),
     .default_text = "10s",
     .min = 1,
     .help = "how long a broker may take to accept a connection, and again to answer CONNECT"},
};

static const struct config_row sp_security_rows[] = {
    {.name = "trunk-tls-cert",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sp_options, trunk_tls_cert),
     .argument = "FILE",
     .help = "serve gRPC with TLS: certificate of this s-proxy, with its chain (PEM). All files of TLS are read again "
             "when they change, and on SIGHUP"},
    {.name = "trunk-tls-key",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sp_options, trunk_tls_key),
     .argument = "FILE",
     .help = "its private key, without password"},
    {.name = "trunk-tls-client-ca",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sp_options, trunk_tls_client_ca),
     .argument = "FILE|DIR",
     .help = "only r-proxies with a certificate signed by one of these CAs may connect; a folder is one that openssl "
             "rehash has been over"},
    {.name = "trunk-tls-crl",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sp_options, trunk_tls_crl),
     .argument = "FILE",
     .help = "revocation lists of those CAs"},
    {.name = "trunk-tokens-file",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sp_options, trunk_tokens_file),
     .argument = "FILE",
     .help = "only r-proxies that show one of these tokens may open a trunk, or a stream of the relay service; one in "
             "each line; read again on SIGHUP"},
    {.name = "trunk-allow-names",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct sp_options, trunk_allow_names),
     .argument = "NAME",
     .check = sp_identity_check_name,
     .help = "only r-proxies whose certificate has this name may: common name, DNS name or URI (SPIFFE), in full or "
             "with * for its end; may be given several times; read again on SIGHUP"},
};

static const struct config_row sp_limit_rows[] = {
    {.name = "max-sessions",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct sp_options, max_sessions),
     .default_text = "0",
     .max = INT32_MAX,
     .help =
         "so many clients of all r-proxies at a time; one more hears CONNACK 0x97, 3.x: 3; 0 = as many as the limit of "
         "open files allows"},
    {.name = "max-trunks",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct sp_options, max_trunks),
     .default_text = "10000",
     .max = INT32_MAX,
     .help = "so many trunks of all r-proxies at a time; one more is refused (RESOURCE_EXHAUSTED); 0 = no limit"},
    {.name = "max-streams-per-connection",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct sp_options, max_streams_per_connection),
     .default_text = "100000",
     .min = 1,
     .max = INT32_MAX,
     .help =
         "so many streams at a time in one connection of HTTP/2: a trunk is one, over the relay service each client is "
         "one; more wait at the other side until one has ended"},
};

static const struct config_table sp_tables[] = {
    {"Tunnel and broker", CONFIG_ROWS(sp_rows), 0},
    TLS_CLIENT_OPTION_TABLE(offsetof(struct sp_options, upstream_tls)),
    TRUNK_OPTION_TABLE(offsetof(struct sp_options, trunk)),
    {"Who may open trunks", CONFIG_ROWS(sp_security_rows), 0},
    {"Limits", CONFIG_ROWS(sp_limit_rows), 0},
    PROGRAM_OPTION_TABLE,
};

static const struct config_row sp_identity_rows[] = {
    {.name = "name",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sp_identity_options, name),
     .argument = "NAME",
     .check = sp_identity_check_name,
     .help = "fits r-proxies whose certificate has this name: common name, DNS name or URI (SPIFFE), in full or with * "
             "for its end"},
    {.name = "tokens-file",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sp_identity_options, tokens_file),
     .argument = "FILE",
     .help = "fits r-proxies that show one of these tokens, one in each line; where there is a name too, both have to "
             "fit; an entry with neither fits everybody"},
    {.name = "mount-point",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sp_identity_options, mount_point),
     .argument = "PREFIX",
     .check = tenant_check_mount_point,
     .help = "their clients have their topics below this one, and see no others but $SYS; %u becomes the user name, %c "
             "the client id, %n the common name of the client's certificate; a client that has none is refused"},
    {.name = "client-id-prefix",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct sp_identity_options, client_id_prefix),
     .argument = "PREFIX",
     .check = tenant_check_client_id_prefix,
     .help = "stands before their client ids, likewise"},
    {.name = "trust",
     .kind = CONFIG_LIST,
     CONFIG_FIELD(struct sp_identity_options, trust),
     .argument = "[address, certificate]",
     .check = sp_identity_check_trust,
     .help = "what they are believed of their clients: the address, the TLS connection with its certificate; else "
             "nothing"},
};

static const struct config_table sp_identity_tables[] = {{"", CONFIG_ROWS(sp_identity_rows), 0}};

static const struct config_entries sp_entries[] = {
    {.name = "trunk-identities",
     .help =
         "Only these r-proxies may open trunks and streams of the relay service, the first entry that fits says what "
         "they may; without a list everybody may, and is believed. Read again on SIGHUP.",
     .offset = offsetof(struct sp_options, trunk_identities),
     .item_size = sizeof(struct sp_identity_options),
     .tables = sp_identity_tables,
     .n_tables = 1},
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

static int sp_check_security(const struct config_loader *l, const struct sp_options *o)
{
    if (o->trunk_tls_cert && !o->trunk_tls_key)
        return config_refuse(l, "trunk-tls-cert", "trunk-tls-key is needed too");
    if (o->trunk_tls_key && !o->trunk_tls_cert)
        return config_refuse(l, "trunk-tls-key", "trunk-tls-cert is needed too");
    if (o->trunk_tls_client_ca && !o->trunk_tls_cert)
        return config_refuse(l, "trunk-tls-client-ca", "trunk-tls-cert and trunk-tls-key are needed too");
    if (o->trunk_tls_crl && !o->trunk_tls_client_ca)
        return config_refuse(l, "trunk-tls-crl",
                             "trunk-tls-client-ca is needed too: nobody is asked for a certificate");
    if (o->trunk_allow_names.count > 0 && !o->trunk_tls_client_ca)
        return config_refuse(l, "trunk-allow-names",
                             "trunk-tls-client-ca is needed too: nobody is asked for a certificate");
    return 0;
}

static int sp_check_identity(const struct config_loader *l, const struct sp_options *o, size_t i)
{
    static const char list[] = "trunk-identities";
    const struct sp_identity_options *items = o->trunk_identities.items, *e = &items[i];
    const bool needs_certificate =
        tenant_needs_certificate(e->mount_point) || tenant_needs_certificate(e->client_id_prefix);
    if (e->name && !o->trunk_tls_client_ca)
        return config_refuse_entry(l, list, i, "name needs trunk-tls-client-ca: nobody is asked for a certificate");
    if (needs_certificate && !sp_identity_options_trust(e, "certificate"))
        return config_refuse_entry(l, list, i, "%%n needs trust: [certificate]");
    if (!e->name && !e->tokens_file && i + 1 < o->trunk_identities.count)
        return config_refuse_entry(l, list, i, "it fits everybody, so those behind it never count");
    return 0;
}

static int sp_check_identities(const struct config_loader *l, const struct sp_options *o)
{
    int r = 0;
    if (o->trunk_identities.count == 0 && config_is_given(l, "trunk-identities"))
        return config_refuse(l, "trunk-identities", "has no entry, so nobody may come in");
    for (size_t i = 0; r == 0 && i < o->trunk_identities.count; i++)
        r = sp_check_identity(l, o, i);
    return r;
}

static int sp_check(const struct config_loader *l, const void *target)
{
    const struct sp_options *o = target;
    int r = sp_check_security(l, o);
    if (r == 0)
        r = sp_check_identities(l, o);
    if (r < 0)
        return r;
    if (o->upstream.count > SP_BROKER_MAX)
        return config_refuse(l, "upstream", "at most %d are possible", SP_BROKER_MAX);
    return tls_config_check_client(l, &o->upstream_tls);
}

struct rpc_tls_files sp_options_tls_files(const struct sp_options *o)
{
    return (struct rpc_tls_files){
        .ca = o->trunk_tls_client_ca,
        .certificate = o->trunk_tls_cert,
        .key = o->trunk_tls_key,
        .crl = o->trunk_tls_crl,
    };
}

bool sp_options_have_upstream_tls(const struct sp_options *o)
{
    struct url url;
    for (size_t i = 0; i < o->upstream.count; i++)
        if (url_parse(o->upstream.items[i], SP_UPSTREAM_SCHEMES, &url) >= 0 && url_is_tls(&url))
            return true;
    return false;
}

static int sp_check_trunk_files(const struct config_loader *l, const struct sp_options *o)
{
    const struct rpc_tls_params params = {.files = sp_options_tls_files(o), .is_server = true};
    const struct config_file files[] = {
        {"trunk-tls-client-ca", o->trunk_tls_client_ca},
        {"trunk-tls-cert", o->trunk_tls_cert},
        {"trunk-tls-key", o->trunk_tls_key},
        {"trunk-tls-crl", o->trunk_tls_crl},
        {"trunk-tokens-file", o->trunk_tokens_file},
    };
    struct rpc_tls *tls = NULL;
    struct rpc_tokens *tokens = NULL;
    int r = o->trunk_tls_cert ? rpc_tls_new(&params, &tls) : 0;
    if (r >= 0 && o->trunk_tokens_file)
        r = rpc_tokens_new(o->trunk_tokens_file, &tokens);
    rpc_tls_unref(tls);
    rpc_tokens_free(tokens);
    return r < 0 ? config_refuse_file(l, CONFIG_NO_LISTENER, files, sizeof files / sizeof files[0]) : 0;
}

static int sp_check_identity_files(const struct config_loader *l, const struct sp_options *o)
{
    const struct sp_identity_options *items = o->trunk_identities.items;
    int r = 0;
    for (size_t i = 0; r == 0 && i < o->trunk_identities.count; i++) {
        struct rpc_tokens *tokens = NULL;
        if (items[i].tokens_file && rpc_tokens_new(items[i].tokens_file, &tokens) < 0)
            r = config_refuse_entry(l, "trunk-identities", i, "%s", err_text());
        rpc_tokens_free(tokens);
    }
    return r;
}

static int sp_check_files(const struct config_loader *l, const void *target)
{
    const struct sp_options *o = target;
    int r = sp_check_trunk_files(l, o);
    if (r == 0)
        r = sp_check_identity_files(l, o);
    if (r == 0 && sp_options_have_upstream_tls(o))
        r = tls_config_check_client_files(l, &o->upstream_tls);
    return r;
}

const struct config_program sp_config = {
    .name = "s-proxy",
    .version = PROJECT_VERSION,
    .env_prefix = "SPROXY_",
    .summary = "Takes MQTT sessions from r-proxies over gRPC and speaks MQTT to the broker on each client's behalf.",
    .tables = sp_tables,
    .n_tables = sizeof sp_tables / sizeof sp_tables[0],
    .entries = sp_entries,
    .n_entries = sizeof sp_entries / sizeof sp_entries[0],
    .positional_help = "[GRPC_PORT [BROKER_HOST:PORT]]",
    .positional = sp_positional,
    .check = sp_check,
    .check_files = sp_check_files,
};
