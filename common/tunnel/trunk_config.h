/* Options about trunks that both programs have, with the same meaning. A program puts `struct trunk_config` into its
 * options and TRUNK_OPTION_TABLE(offset of it) into its tables. */
#ifndef TRUNK_CONFIG_H
#define TRUNK_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

struct trunk_options;

/* Index of --trunk-service's choices. */
enum trunk_service {
    TRUNK_SERVICE_AUTO,  /* r-proxy: trunks, and the relay service where there are none; s-proxy: both are offered */
    TRUNK_SERVICE_TRUNK, /* nothing but trunks */
    TRUNK_SERVICE_RELAY, /* nothing but the relay service */
};

struct trunk_compression {
    uint8_t level;       /* of zstd; 0: none, in neither direction */
    bool is_on_loopback; /* asked for by name: also where the peer is this machine */
};

struct trunk_config {
    int service; /* enum trunk_service */
    struct trunk_compression compression;
    uint8_t window_log; /* of compression: 2^window_log bytes */
    uint64_t linger_ms;
    uint64_t dead_after_ms; /* 0 = never */
};

enum { TRUNK_OPTION_ROWS = 5 };
extern const struct config_row trunk_option_rows[TRUNK_OPTION_ROWS];
#define TRUNK_OPTION_TABLE(offset_of_config)                              \
    {                                                                     \
        "Trunk", trunk_option_rows, TRUNK_OPTION_ROWS, (offset_of_config) \
    }

/* What a trunk needs of it. SOFTWARE: "r-proxy 0.1.0"; MAX_LANES: see struct trunk_options. */
struct trunk_options trunk_options_from_config(const struct trunk_config *config, const char *software,
                                               uint32_t max_lanes);

#endif
