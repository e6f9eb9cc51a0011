/* The options of mqtt-broker: what it adds to those of every program (program.h). */
#ifndef BK_OPTIONS_H
#define BK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "front_options.h"
#include "program.h"

/* --slow-consumer */
enum bk_slow_consumer { BK_SLOW_DROP = 0, BK_SLOW_PACE };

struct bk_options {
    struct program_options program; /* first */
    struct front_options front;
    struct config_items bridges; /* of struct bk_bridge_options */
    char *store;                 /* URL, see store.h; NULL: bk_place.h says where */
    int durability;              /* enum store_durability */
    bool repair;
    bool allow_anonymous;
    char *password_file, *acl_file, *scram_file; /* NULL: none, as those below */
    char *jwt_key, *jwt_algorithm, *jwt_issuer, *jwt_audience;
    char *audit_log;              /* NULL: none */
    uint64_t audit_log_max_bytes; /* 0 = it is not rotated */
    int64_t audit_log_keep;
    int slow_consumer; /* enum bk_slow_consumer */
    int shared_policy; /* enum bk_share_policy */
    uint64_t slow_consumer_timeout_ms;
    char *server_reference;         /* where clients are sent while draining; NULL: nowhere */
    uint64_t sys_interval_ms;       /* 0 = no $SYS */
    uint64_t max_session_expiry_ms; /* 0 = no limit, as all below */
    uint64_t max_packet_bytes;
    int64_t receive_maximum;
    int64_t topic_alias_maximum;
    int64_t max_subscriptions; /* of a client */
    int64_t max_topic_levels;
    int64_t max_retained;                                                    /* messages; of all clients together */
    int64_t max_user_connections, max_user_subscriptions, max_user_retained; /* of one user, as the one below */
    uint64_t max_user_queued_bytes;
    int64_t max_user_message_rate; /* PUBLISH packets of one user a second; below, bytes of all its packets */
    uint64_t max_user_byte_rate;
    int64_t max_queued_messages; /* of a session, as the one below */
    uint64_t max_queued_bytes;
};

extern const struct config_program bk_config;

#endif
