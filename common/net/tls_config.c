/* See tls_config.h. */
#include "tls_config.h"

#include <errno.h>
#include <string.h>

#include "err.h"

static const char *const tls_config_versions[] = {[TLS_MIN_VERSION_1_2] = "1.2", [TLS_MIN_VERSION_1_3] = "1.3", NULL};
static const char *const tls_config_identities[] = {
    [TLS_IDENTITY_NONE] = "none", [TLS_IDENTITY_CN] = "cn", [TLS_IDENTITY_SAN] = "san", NULL};

static const char *const tls_config_ocsp_modes[] = {
    [TLS_OCSP_OFF] = "off", [TLS_OCSP_SOFT] = "soft", [TLS_OCSP_HARD] = "hard", NULL};

/* No CHOICE, because the default depends on another option. */
static int tls_config_parse_client_auth(const char *text, const char *variable, void *ret_field)
{
    static const char *const names[] = {[TLS_CLIENT_AUTH_NONE] = "none",
                                        [TLS_CLIENT_AUTH_OPTIONAL] = "optional",
                                        [TLS_CLIENT_AUTH_REQUIRE] = "require"};
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *(int *)ret_field = i + 1;
            return 0;
        }
    }
    return err_set(-EINVAL, "\"%.40s\" is none of none, optional, require", text);
}

const struct config_row tls_server_option_rows[TLS_SERVER_OPTION_ROWS] = {
    {.name = "tls-cert",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct tls_server_config, cert),
     .argument = "FILE",
     .help = "certificate of mqtts:// listeners, PEM, with the rest of its chain behind it"},
    {.name = "tls-key",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct tls_server_config, key),
     .argument = "FILE",
     .help = "its private key, PEM; default: in the file of the certificate"},
    {.name = "tls-key-password-file",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct tls_server_config, key_password_file),
     .argument = "FILE",
     .help = "file whose first line opens the key"},
    {.name = "tls-client-ca",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct tls_server_config, client_ca),
     .argument = "FILE|DIR",
     .help = "CAs of clients' certificates: a PEM file, or a directory made by openssl rehash"},
    {.name = "tls-client-auth",
     .kind = CONFIG_CUSTOM,
     CONFIG_FIELD(struct tls_server_config, client_auth),
     .argument = "none|optional|require",
     .parse = tls_config_parse_client_auth,
     .help = "whether clients have to show a certificate; default: require where tls-client-ca is given"},
    {.name = "tls-crl",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct tls_server_config, crl),
     .argument = "FILE",
     .help = "revoked certificates of clients, PEM; it needs the list of every CA that issues them"},
    {.name = "tls-ocsp",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct tls_server_config, ocsp),
     .default_text = "off",
     .choices = tls_config_ocsp_modes,
     .help = "staple what OCSP says of our certificate, and ask the responder of each client's: soft refuses one that "
             "is revoked, hard also one of which no good answer can be had"},
    {.name = "tls-min-version",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct tls_server_config, min_version),
     .default_text = "1.2",
     .choices = tls_config_versions,
     .help = "oldest version of TLS that is accepted"},
    {.name = "tls-ciphers",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct tls_server_config, ciphers),
     .argument = "LIST",
     .help = "OpenSSL's names, separated by colons: those that begin with TLS_ are for TLS 1.3, the others for 1.2"},
    {.name = "tls-psk-file",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct tls_server_config, psk_file),
     .argument = "FILE",
     .help = "pre-shared keys of clients, lines identity:hexkey; with or without a certificate"},
    {.name = "tls-identity",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct tls_server_config, identity),
     .default_text = "none",
     .choices = tls_config_identities,
     .help = "user name taken from the client's certificate: its common name, or its first subject alternative name; "
             "it replaces the one in CONNECT, and the password"},
};

/* Of whoever dials a broker; PREFIX stands before each name. */
#define TLS_CLIENT_ROWS(PREFIX)                                                                                      \
    {.name = PREFIX "tls-ca",                                                                                        \
     .kind = CONFIG_STRING,                                                                                          \
     CONFIG_FIELD(struct tls_client_config, ca),                                                                     \
     .argument = "FILE|DIR",                                                                                         \
     .help = "CAs of the broker's certificate; default: those of the system"},                                       \
        {.name = PREFIX "tls-cert",                                                                                  \
         .kind = CONFIG_STRING,                                                                                      \
         CONFIG_FIELD(struct tls_client_config, cert),                                                               \
         .argument = "FILE",                                                                                         \
         .help = "our certificate for the broker, PEM, with the rest of its chain behind it"},                       \
        {.name = PREFIX "tls-key",                                                                                   \
         .kind = CONFIG_STRING,                                                                                      \
         CONFIG_FIELD(struct tls_client_config, key),                                                                \
         .argument = "FILE",                                                                                         \
         .help = "its private key, PEM; default: in the file of the certificate"},                                   \
        {.name = PREFIX "tls-server-name",                                                                           \
         .kind = CONFIG_STRING,                                                                                      \
         CONFIG_FIELD(struct tls_client_config, server_name),                                                        \
         .argument = "NAME",                                                                                         \
         .help = "name expected in the broker's certificate; default: the host of its URL"},                         \
        {.name = PREFIX "tls-crl",                                                                                   \
         .kind = CONFIG_STRING,                                                                                      \
         CONFIG_FIELD(struct tls_client_config, crl),                                                                \
         .argument = "FILE",                                                                                         \
         .help = "revoked certificates of brokers, PEM"},                                                            \
    {                                                                                                                \
        .name = PREFIX "tls-ocsp", .kind = CONFIG_CHOICE, CONFIG_FIELD(struct tls_client_config, ocsp),              \
        .default_text = "off", .choices = tls_config_ocsp_modes,                                                     \
        .help = "what OCSP says of the broker's certificate, stapled by the broker or else asked of the responder: " \
                "soft refuses one that is revoked, hard also one of which no good answer can be had"                 \
    }

const struct config_row tls_client_option_rows[TLS_CLIENT_OPTION_ROWS] = {TLS_CLIENT_ROWS("upstream-")};
const struct config_row tls_entry_option_rows[TLS_CLIENT_OPTION_ROWS] = {TLS_CLIENT_ROWS("")};

struct tls_options tls_options_of_server(const struct tls_server_config *c)
{
    enum tls_client_auth auth = c->client_ca ? TLS_CLIENT_AUTH_REQUIRE : TLS_CLIENT_AUTH_NONE;
    if (c->client_auth != 0)
        auth = (enum tls_client_auth)(c->client_auth - 1);
    return (struct tls_options){
        .is_server = true,
        .cert = c->cert,
        .key = c->key,
        .key_password = c->key_password_file,
        .ca = c->client_ca,
        .crl = c->crl,
        .psk = c->psk_file,
        .ciphers = c->ciphers,
        .client_auth = auth,
        .min_version = (enum tls_min_version)c->min_version,
        .ocsp = (enum tls_ocsp_mode)c->ocsp,
    };
}

struct tls_options tls_options_of_client(const struct tls_client_config *c)
{
    return (struct tls_options){
        .cert = c->cert,
        .key = c->key,
        .ca = c->ca,
        .crl = c->crl,
        .server_name = c->server_name,
        .ocsp = (enum tls_ocsp_mode)c->ocsp,
    };
}

int tls_config_check_server(const struct config_loader *l, const struct tls_server_config *c)
{
    if (!c->cert && !c->psk_file)
        return config_refuse(l, "listen", "mqtts:// needs tls-cert or tls-psk-file");
    if (c->key && !c->cert)
        return config_refuse(l, "tls-key", "there is no tls-cert");
    if (c->client_auth - 1 >= TLS_CLIENT_AUTH_OPTIONAL && !c->client_ca)
        return config_refuse(l, "tls-client-auth", "clients cannot be asked for certificates without tls-client-ca");
    if (c->identity != TLS_IDENTITY_NONE && !c->client_ca)
        return config_refuse(l, "tls-identity", "clients show no certificates without tls-client-ca");
    return 0;
}

int tls_config_check_client(const struct config_loader *l, const struct tls_client_config *c)
{
    return c->key && !c->cert ? config_refuse(l, "upstream-tls-key", "there is no upstream-tls-cert") : 0;
}

/* Whether TLS can be made from OPTIONS. */
static int tls_config_try(const struct tls_options *options)
{
    struct tls *tls = NULL;
    int r = tls_new(options, &tls);
    tls_unref(tls);
    return r;
}

int tls_config_check_server_files(const struct config_loader *l, int listener, const struct tls_server_config *c)
{
    const struct tls_options options = tls_options_of_server(c);
    const struct config_file files[] = {
        {"tls-cert", c->cert},           {"tls-key", c->key}, {"tls-key-password-file", c->key_password_file},
        {"tls-client-ca", c->client_ca}, {"tls-crl", c->crl}, {"tls-psk-file", c->psk_file},
    };
    int r = tls_config_try(&options);
    return r < 0 ? config_refuse_file(l, listener, files, sizeof files / sizeof files[0]) : 0;
}

int tls_config_check_client_files(const struct config_loader *l, const struct tls_client_config *c)
{
    const struct tls_options options = tls_options_of_client(c);
    const struct config_file files[] = {
        {"upstream-tls-ca", c->ca},
        {"upstream-tls-crl", c->crl},
        {"upstream-tls-cert", c->cert},
        {"upstream-tls-key", c->key},
    };
    int r = tls_config_try(&options);
    return r < 0 ? config_refuse_file(l, CONFIG_NO_LISTENER, files, sizeof files / sizeof files[0]) : 0;
}
