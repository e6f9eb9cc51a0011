/* The options of mqtt-broker (bk_options.h). */
#include "bk_options.h"

#include <errno.h>
#include <string.h>

#include "bk_bridge_options.h"
#include "bk_share.h"
#include "err.h"
#include "mqtt_packet.h"
#include "url.h"

static int bk_check_store(const char *text)
{
    if (strcmp(text, "memory") == 0 || (strncmp(text, "lmdb:", 5) == 0 && text[5]))
        return 0;
    return err_set(-EINVAL, "'%.80s': memory or lmdb:DIR", text);
}

static const char *const bk_durabilities[] = {"sync", "async", "none", NULL};
static const char *const bk_slow_consumers[] = {"drop", "pace", NULL};
static const char *const bk_shared_policies[] = {"round-robin", "least-inflight", "sticky",
                                                 "hash-client", "hash-topic",     NULL};

static const struct config_row bk_access_rows[] = {
    {.name = "allow-anonymous",
     .kind = CONFIG_FLAG,
     CONFIG_FIELD(struct bk_options, allow_anonymous),
     .help = "let clients in that give no user name, and without a password-file all others too"},
    {.name = "password-file",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, password_file),
     .argument = "FILE",
     .help = "users and their passwords, made by mqtt-passwd; read again on SIGHUP, as all files here"},
    {.name = "scram-file",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, scram_file),
     .argument = "FILE",
     .help = "users for the authentication method SCRAM-SHA-256 of MQTT 5, made by mqtt-passwd"},
    {.name = "jwt-key",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, jwt_key),
     .argument = "FILE",
     .help =
         "a client may show a JSON Web Token as its password, signed with this key (PEM) or one of these (JWK set)"},
    {.name = "jwt-algorithm",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, jwt_algorithm),
     .argument = "NAME",
     .help = "only tokens signed by this algorithm: RS256, ES256, EdDSA, ...; otherwise those that fit the key"},
    {.name = "jwt-issuer",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, jwt_issuer),
     .argument = "TEXT",
     .help = "only tokens of this issuer (iss)"},
    {.name = "jwt-audience",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, jwt_audience),
     .argument = "TEXT",
     .help = "only tokens for this audience (aud)"},
    {.name = "acl-file",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, acl_file),
     .argument = "FILE",
     .help = "who may publish and subscribe to what; without it everybody who may connect may do all"},
};

static const struct config_row bk_store_rows[] = {
    {.name = "store",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, store),
     .argument = "URL",
     .check = bk_check_store,
     .help =
         "where sessions, queued and retained messages are kept: memory, gone with the program; or lmdb:DIR. Unless "
         "given: lmdb in $STATE_DIRECTORY, else in /var/lib/mqtt-broker/PORT (root) or "
         "~/.local/state/mqtt-broker/PORT, by the port of the first listener; memory where that is 0 or a Unix socket"},
    {.name = "durability",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct bk_options, durability),
     .default_text = "sync",
     .choices = bk_durabilities,
     .help = "when a message counts as kept, so that it is acknowledged: sync, the disk has it, it survives a loss of "
             "power; "
             "async, the kernel has it, it survives the end of the program; none, it is written within 200 ms"},
    {.name = "repair",
     .kind = CONFIG_FLAG,
     CONFIG_FIELD(struct bk_options, repair),
     .help =
         "if the store is damaged: take what can be read, keep the damaged one beside it; otherwise the broker refuses "
         "to start"},
};

static const struct config_row bk_delivery_rows[] = {
    {.name = "slow-consumer",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct bk_options, slow_consumer),
     .default_text = "drop",
     .choices = bk_slow_consumers,
     .help =
         "a subscriber that reads more slowly than it is sent to: drop what is of QoS 0 beyond max-queued-bytes, and "
         "of QoS 1 and 2 beyond its queue; or pace, hold back who publishes to it, so that nothing is dropped"},
    {.name = "slow-consumer-timeout",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct bk_options, slow_consumer_timeout_ms),
     .default_text = "10s",
     .min = 1,
     .help = "with pace: a subscriber that takes nothing at all for so long is not waited for any more"},
    {.name = "shared-policy",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct bk_options, shared_policy),
     .default_text = "round-robin",
     .choices = bk_shared_policies,
     .help = "who of a shared subscription gets the next message, among those that can take it now"},
    {.name = "max-queued-messages",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, max_queued_messages),
     .default_text = "10000",
     .max = INT32_MAX,
     .help = "messages of QoS 1 and 2 that may wait for one session; what comes beyond is dropped; 0 = no limit"},
    {.name = "max-queued-bytes",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct bk_options, max_queued_bytes),
     .default_text = "16M",
     .help = "likewise their bytes, and bytes of QoS 0 that its client has not read yet; 0 = no limit"},
};

static const struct config_row bk_quota_rows[] = {
    {.name = "max-retained",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, max_retained),
     .default_text = "0",
     .max = INT64_MAX,
     .help = "retained messages of all clients together; one more is refused (0x97); 0 = no limit, as all below"},
    {.name = "max-user-connections",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, max_user_connections),
     .default_text = "0",
     .max = INT32_MAX,
     .help = "clients that are connected with one user name; those without one are one user, here and below"},
    {.name = "max-user-subscriptions",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, max_user_subscriptions),
     .default_text = "0",
     .max = INT32_MAX,
     .help = "subscriptions of all sessions of one user"},
    {.name = "max-user-queued-bytes",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct bk_options, max_user_queued_bytes),
     .default_text = "0",
     .max = INT64_MAX,
     .help = "bytes that may wait for all sessions of one user; what comes beyond is dropped"},
    {.name = "max-user-message-rate",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, max_user_message_rate),
     .default_text = "0",
     .max = INT32_MAX,
     .help =
         "PUBLISH packets that all clients of one user may send in a second; who is faster is not read for a while"},
    {.name = "max-user-byte-rate",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct bk_options, max_user_byte_rate),
     .default_text = "0",
     .max = (int64_t)1 << 40,
     .help = "likewise the bytes of all their packets"},
    {.name = "max-user-retained",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, max_user_retained),
     .default_text = "0",
     .max = INT64_MAX,
     .help = "retained messages whose last publisher was this user"},
};

static const struct config_row bk_audit_rows[] = {
    {.name = "audit-log",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, audit_log),
     .argument = "FILE",
     .help = "who connects, subscribes and goes, and what is refused, as JSON lines; opened again on SIGHUP"},
    {.name = "audit-log-max-bytes",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct bk_options, audit_log_max_bytes),
     .default_text = "100M",
     .help = "with so many bytes FILE becomes FILE.1, that one FILE.2, and so on; 0 = never"},
    {.name = "audit-log-keep",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, audit_log_keep),
     .default_text = "5",
     .max = 1000,
     .help = "how many of them are kept"},
};

static int bk_check_reference(const char *text)
{
    struct url url;
    const int r = url_parse(text, "mqtt", &url);
    if (r < 0)
        return r;
    return url.host[0] && url.has_port && !strchr(text, '/') ? 0 : err_set(-EINVAL, "'%.80s': HOST:PORT", text);
}

static const struct config_row bk_end_rows[] = {
    {.name = "server-reference",
     .kind = CONFIG_STRING,
     CONFIG_FIELD(struct bk_options, server_reference),
     .argument = "HOST:PORT",
     .check = bk_check_reference,
     .help = "another broker, which clients are sent to when this one ends (0x9C with Server Reference; 3.x: closed)"},
};

static const struct config_row bk_sys_rows[] = {
    {.name = "sys-interval",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct bk_options, sys_interval_ms),
     .default_text = "10s",
     .help = "how often the broker publishes what it knows of itself under $SYS/broker; 0 = not at all"},
};

static const struct config_row bk_limit_rows[] = {
    {.name = "max-session-expiry",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct bk_options, max_session_expiry_ms),
     .default_text = "0",
     .help = "how long a session outlives its connection at most, whatever the client asks for; 0 = as it asks"},
    {.name = "max-packet-size",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct bk_options, max_packet_bytes),
     .default_text = "0",
     .max = MQTT_PACKET_MAX,
     .help = "largest packet accepted from a client; 0 = MQTT's own limit"},
    {.name = "receive-maximum",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, receive_maximum),
     .default_text = "1000",
     .min = 1,
     .max = UINT16_MAX,
     .help = "publications of QoS 1 and 2 that a client of MQTT 5 may have in flight"},
    {.name = "topic-alias-maximum",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, topic_alias_maximum),
     .default_text = "16",
     .max = UINT16_MAX,
     .help = "topic aliases that a client may set"},
    {.name = "max-subscriptions",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, max_subscriptions),
     .default_text = "10000",
     .max = INT32_MAX,
     .help = "subscriptions of one client; one more is refused (0x97); 0 = no limit"},
    {.name = "max-topic-levels",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct bk_options, max_topic_levels),
     .default_text = "128",
     .max = UINT16_MAX + 1,
     .help = "levels of a topic; publishing to one with more is refused (0x90), subscribing too (0x8F); 0 = no limit"},
};

static const struct config_table bk_tables[] = {
    {"Who may connect", CONFIG_ROWS(bk_access_rows), 0},
    {"What is kept", CONFIG_ROWS(bk_store_rows), 0},
    {"Delivery", CONFIG_ROWS(bk_delivery_rows), 0},
    FRONT_OPTION_TABLE(offsetof(struct bk_options, front)),
    {"Limits", CONFIG_ROWS(bk_limit_rows), 0},
    {"Quotas", CONFIG_ROWS(bk_quota_rows), 0},
    {"Audit", CONFIG_ROWS(bk_audit_rows), 0},
    {"When it ends", CONFIG_ROWS(bk_end_rows), 0},
    {"$SYS", CONFIG_ROWS(bk_sys_rows), 0},
    PROGRAM_OPTION_TABLE,
};

static const struct config_listeners bk_listeners =
    FRONT_LISTENERS(offsetof(struct bk_options, front), "mqtt://0.0.0.0:1884");

static const struct config_entries bk_entries[] = {BK_BRIDGE_ENTRIES(offsetof(struct bk_options, bridges))};

static int bk_check(const struct config_loader *l, const void *target)
{
    const struct bk_options *o = target;
    const int r = front_options_check(l, &o->front);
    return r == 0 ? bk_bridge_options_check(l, &o->bridges) : r;
}

static int bk_check_files(const struct config_loader *l, const void *target)
{
    const struct bk_options *o = target;
    const int r = front_options_check_files(l, &o->front);
    return r == 0 ? bk_bridge_options_check_files(l, &o->bridges) : r;
}

const struct config_program bk_config = {
    .name = "mqtt-broker",
    .version = PROJECT_VERSION,
    .env_prefix = "BROKER_",
    .summary = "MQTT broker: 3.1, 3.1.1 and 5.0.",
    .tables = bk_tables,
    .n_tables = sizeof bk_tables / sizeof bk_tables[0],
    .listeners = &bk_listeners,
    .entries = bk_entries,
    .n_entries = sizeof bk_entries / sizeof bk_entries[0],
    .check = bk_check,
    .check_files = bk_check_files,
};
