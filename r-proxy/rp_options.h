/* The options of r-proxy: what it adds to those of every program (program.h). */
#ifndef RP_OPTIONS_H
#define RP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "front_options.h"
#include "program.h"
#include "rpc_tls.h"
#include "trunk_config.h"

enum { RP_S_PROXY_PORT = 50516 }; /* where a target does not say */

struct rp_options {
    struct program_options program; /* first */
    struct front_options front;
    struct config_list s_proxy; /* targets, see target.h */
    struct trunk_config trunk;
    char *trunk_tls_ca, *trunk_tls_cert, *trunk_tls_key; /* see rpc_tls.h; NULL: not given */
    char *trunk_tls_server_name;                         /* NULL: as the target says */
    char *trunk_token_file;                              /* NULL: none is shown */
    char *trunk_http_proxy;                              /* URL with password; NULL: what the environment says */
    int64_t receive_maximum;                             /* 0 = what the broker says, likewise below */
    int64_t topic_alias_maximum;
    int64_t max_subscriptions; /* of a client; 0 = no limit, likewise below */
    int64_t max_topic_levels;
    uint64_t max_packet_bytes; /* 0 = what the broker says */
};

extern const struct config_program rp_config;

/* Any option of TLS turns it on. */
bool rp_options_have_tls(const struct rp_options *o);
/* Of trunks. */
struct rpc_tls_files rp_options_tls_files(const struct rp_options *o);

#endif
