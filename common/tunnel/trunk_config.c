/* See trunk_config.h. */
#include "trunk_config.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "str.h"
#include "trunk.h"
#include "trunk_zip.h"

static const char *const trunk_config_services[] = {
    [TRUNK_SERVICE_AUTO] = "auto",
    [TRUNK_SERVICE_TRUNK] = "trunk",
    [TRUNK_SERVICE_RELAY] = "relay",
    NULL,
};

static int trunk_config_parse_compression(const char *text, const char *variable, void *ret_field)
{
    struct trunk_compression c = {.level = TRUNK_ZIP_LEVEL_DEFAULT, .is_on_loopback = strcmp(text, "auto") != 0};
    if (strcmp(text, "none") == 0) {
        c.level = 0;
    } else if (strncmp(text, "zstd:", 5) == 0) {
        int64_t level;
        int r = str_parse_int(text + 5, 1, TRUNK_ZIP_LEVEL_MAX, &level);
        if (r < 0)
            return err_context(r, "level of zstd");
        c.level = (uint8_t)level;
    } else if (strcmp(text, "zstd") != 0 && strcmp(text, "auto") != 0) {
        return err_set(-EINVAL, "\"%.40s\" is none of auto, none, zstd, zstd:LEVEL", text);
    }
    *(struct trunk_compression *)ret_field = c;
    return 0;
}

static int trunk_config_parse_window(const char *text, const char *variable, void *ret_field)
{
    uint64_t bytes;
    int r = str_parse_size(text, &bytes);
    if (r < 0)
        return r;
    for (unsigned log = TRUNK_ZIP_WINDOW_LOG_MIN; log <= TRUNK_ZIP_WINDOW_LOG_MAX; log++) {
        if (bytes == UINT64_C(1) << log) {
            *(uint8_t *)ret_field = (uint8_t)log;
            return 0;
        }
    }
    return err_set(-EINVAL, "\"%.40s\" is no power of two between 1k and 128M", text);
}

const struct config_row trunk_option_rows[TRUNK_OPTION_ROWS] = {
    {.name = "trunk-service",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct trunk_config, service),
     .default_text = "auto",
     .choices = trunk_config_services,
     .help = "what the proxies speak with each other: trunk (many clients in one stream), relay (a stream for each "
             "client, as older proxies know it), auto (trunk where both sides know it, else relay)"},
    {.name = "trunk-compression",
     .kind = CONFIG_CUSTOM,
     CONFIG_FIELD(struct trunk_config, compression),
     .default_text = "auto",
     .argument = "auto|none|zstd[:LEVEL]",
     .parse = trunk_config_parse_compression,
     .help = "compression of trunks; auto is zstd except over loopback and Unix sockets; none on one side is none in "
             "both directions; LEVEL is 1 (fast) to 19 (small), 2 unless given"},
    {.name = "trunk-compression-window",
     .kind = CONFIG_CUSTOM,
     CONFIG_FIELD(struct trunk_config, window_log),
     .default_text = "1M",
     .argument = "S",
     .parse = trunk_config_parse_window,
     .help = "how far back compression looks for what repeats, 1k to 128M, a power of two; memory follows from it: "
             "each trunk takes this much to receive, and to send once this much up to level 2, else three times. "
             "The smaller one of both sides counts"},
    {.name = "trunk-linger",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct trunk_config, linger_ms),
     .default_text = "0",
     .max = 1000,
     .help = "wait so long to fill a message of a trunk: fewer bytes for more latency"},
    {.name = "trunk-dead-after",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct trunk_config, dead_after_ms),
     .default_text = "3s",
     .max = 3600000,
     .help = "a peer from which nothing at all has come for so long is lost, with its sessions; 0 = only when HTTP/2's "
             "keep-alive says so (15s)"},
};

struct trunk_options trunk_options_from_config(const struct trunk_config *config, const char *software,
                                               uint32_t max_lanes)
{
    const bool is_compressing = config->compression.level != 0;
    return (struct trunk_options){
        .software = software,
        .dead_after_ms = (uint32_t)config->dead_after_ms,
        .linger_ms = (uint32_t)config->linger_ms,
        .max_lanes = max_lanes,
        .zstd_level = config->compression.level,
        .zstd_window_log = is_compressing ? config->window_log : 0,
        .is_zstd_on_loopback = config->compression.is_on_loopback,
    };
}
