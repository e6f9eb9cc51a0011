/* The options of r-proxy: what it adds to those of every program (program.h). */
#ifndef RP_OPTIONS_H
#define RP_OPTIONS_H

#include <stdint.h>

#include "program.h"
#include "trunk_config.h"

enum { RP_S_PROXY_PORT = 50516 }; /* where a target does not say */

/* One listener, as the file's `listeners` or --listen describe it. */
struct rp_listener_options {
    char *url;
};

struct rp_options {
    struct program_options program; /* first */
    struct config_items listeners;  /* of struct rp_listener_options */
    struct config_list s_proxy;     /* targets, see target.h */
    struct trunk_config trunk;
    uint64_t connect_timeout_ms;
    uint64_t max_packet_bytes; /* 0 = what the broker says */
};

extern const struct config_program rp_config;

#endif
