/* The list `bridges` of the file, and `topics` in each of its entries. */
#ifndef BK_BRIDGE_OPTIONS_H
#define BK_BRIDGE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "tls_config.h"

struct bk_bridge_topic_options {
    char *filter;
    char *local_prefix, *remote_prefix; /* NULL: none */
    int direction;                      /* enum bk_bridge_way */
    int64_t qos;
};

/* NULL: not given. */
struct bk_bridge_options {
    char *name, *url, *client_id, *username, *password_file, *status_topic;
    int version; /* enum mqtt_version */
    uint64_t keep_alive_ms;
    int64_t max_inflight; /* 0: what the far broker says */
    bool loop_guard;
    struct tls_client_config tls;
    struct config_items topics; /* of struct bk_bridge_topic_options */
};

#define BK_BRIDGE_SCHEMES "mqtt mqtts ws wss unix"

/* The list, of struct bk_bridge_options, at this offset of the program's options. */
extern const struct config_row bk_bridge_option_rows[], bk_bridge_topic_option_rows[];
extern const struct config_table bk_bridge_tables[];
extern const struct config_entries bk_bridge_topic_list[];
enum { BK_BRIDGE_TABLES = 2 };
#define BK_BRIDGE_ENTRIES(offset_of_items)                                                                      \
    {                                                                                                           \
        .name = "bridges",                                                                                      \
        .help = "Other brokers that messages are exchanged with, each by a session there and a session here. "  \
                "Read again on SIGHUP.",                                                                        \
        .offset = (offset_of_items), .item_size = sizeof(struct bk_bridge_options), .tables = bk_bridge_tables, \
        .n_tables = BK_BRIDGE_TABLES, .inner = bk_bridge_topic_list, .n_inner = 1,                              \
    }

/* From config_program.check: what is missing or does not fit. 0 or negative with err_text(). */
int bk_bridge_options_check(const struct config_loader *l, const struct config_items *bridges);
/* From config_program.check_files: whether the files can be used. */
int bk_bridge_options_check_files(const struct config_loader *l, const struct config_items *bridges);

#endif
