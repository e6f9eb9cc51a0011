/* The options of s-proxy: what it adds to those of every program (program.h). */
#ifndef SP_OPTIONS_H
#define SP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "program.h"
#include "rpc_tls.h"
#include "tls_config.h"
#include "trunk_config.h"

#define SP_UPSTREAM_SCHEMES "mqtt mqtts ws wss unix"

/* --upstream-proxy-protocol */
enum sp_proxy_protocol { SP_PROXY_PROTOCOL_NONE, SP_PROXY_PROTOCOL_V1, SP_PROXY_PROTOCOL_V2 };

struct sp_options {
    struct program_options program; /* first */
    struct config_list listen_grpc; /* HOST:PORT */
    struct config_list upstream;    /* URLs of brokers, in the order of preference */
    struct trunk_config trunk;
    struct tls_client_config upstream_tls;
    char *trunk_tls_cert, *trunk_tls_key, *trunk_tls_client_ca, *trunk_tls_crl; /* see rpc_tls.h; NULL: not given */
    char *trunk_tokens_file;                                                    /* NULL: no token is asked for */
    struct config_list trunk_allow_names;                                       /* empty: any name will do */
    struct config_items trunk_identities; /* of struct sp_identity_options; none: everybody will */
    int upstream_proxy_protocol;          /* enum sp_proxy_protocol */
    uint64_t upstream_connect_timeout_ms; /* to connect, and again to answer CONNECT */
    int64_t max_sessions;                 /* 0 = as many as open files allow */
    int64_t max_trunks;                   /* 0 = no limit */
    int64_t max_streams_per_connection;
};

extern const struct config_program sp_config;

/* Of trunks; without a certificate they are in clear text. */
struct rpc_tls_files sp_options_tls_files(const struct sp_options *o);
/* Whether a broker is spoken to over TLS. */
bool sp_options_have_upstream_tls(const struct sp_options *o);

#endif
