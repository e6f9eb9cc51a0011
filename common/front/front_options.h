/* The options of what stands before clients, the same in every program that has MQTT listeners: where it listens, with
 * the options of each listener, and who is let in, how many and how fast. A program puts struct front_options into its
 * options, FRONT_LISTENERS() into its struct config_program and FRONT_OPTION_TABLE() into its tables. */
#ifndef FRONT_OPTIONS_H
#define FRONT_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "tls_config.h"

#define FRONT_LISTEN_SCHEMES "mqtt mqtts ws wss unix"

/* --proxy-protocol */
enum front_proxy_protocol { FRONT_PROXY_PROTOCOL_OFF, FRONT_PROXY_PROTOCOL_ON };

/* One listener, as the file's `listeners` or --listen describe it. */
struct front_listener_options {
    char *url;
    struct tls_server_config tls;
    int proxy_protocol;                   /* enum front_proxy_protocol */
    struct config_list trusted_proxies;   /* texts for cidr_list_init() */
    struct config_list websocket_origins; /* empty: any */
    char *mount_point, *client_id_prefix; /* see tenant.h; NULL: none */
};

struct front_options {
    struct config_items listeners; /* of struct front_listener_options */
    int64_t max_connections;       /* 0 = no limit, as all below but the time-out */
    int64_t max_connections_per_address;
    int64_t connect_rate; /* per second */
    uint64_t connect_timeout_ms;
    uint64_t max_keep_alive_ms;
    int64_t max_message_rate; /* of a client, per second, as the one below */
    uint64_t max_byte_rate;
};

enum { FRONT_OPTION_ROWS = 7, FRONT_LISTENER_TABLES = 4 };
extern const struct config_row front_option_rows[FRONT_OPTION_ROWS];
extern const struct config_table front_listener_tables[FRONT_LISTENER_TABLES];
#define FRONT_OPTION_TABLE(offset_of_front)                                          \
    {                                                                                \
        "Limits of clients", front_option_rows, FRONT_OPTION_ROWS, (offset_of_front) \
    }

/* config_check_fn of --listen. */
int front_options_check_url(const char *text);

#define FRONT_LISTENERS(offset_of_front, url_without_any)                                                         \
    {                                                                                                             \
        .offset = (offset_of_front) + offsetof(struct front_options, listeners),                                  \
        .item_size = sizeof(struct front_listener_options),                                                       \
        .url_offset = offsetof(struct front_listener_options, url), .default_url = (url_without_any),             \
        .check_url = front_options_check_url, .tables = front_listener_tables, .n_tables = FRONT_LISTENER_TABLES, \
    }

/* From config_program.check: what is missing or contradicts itself. 0 or negative with err_text(). */
int front_options_check(const struct config_loader *l, const struct front_options *o);
/* From config_program.check_files: whether the files of listeners can be used. */
int front_options_check_files(const struct config_loader *l, const struct front_options *o);

/* --max-keep-alive in the whole seconds of CONNECT; 0 = no limit. */
static inline uint16_t front_max_keep_alive_s(const struct front_options *o)
{
    return (uint16_t)((o->max_keep_alive_ms + 999) / 1000);
}

#endif
