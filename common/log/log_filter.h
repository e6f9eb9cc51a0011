/* Which lines are written: a level for each module, from text as in RUST_LOG.
 *
 *   warn,tunnel=debug,mqtt=trace     warnings of everybody, more of two modules
 *   debug                            the level of all modules
 *   tunnel=debug                     the others stay at `info`
 *   tunnel                           everything of one module
 *   off,r-proxy=info                 '-' and '_' are the same
 *
 * What is said for a module counts more than the level for all, wherever it stands; of two for the same the later one
 * wins. */
#ifndef LOG_LOG_FILTER_H
#define LOG_LOG_FILTER_H

#include <stdint.h>

enum log_level {
    LOG_LEVEL_OFF = 0, /* only as a threshold */
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE,
    LOG_LEVEL_COUNT,
};

/*    constant  name in filters and lines */
#define LOG_MODULES(X)    \
    X(BASE, "base")       \
    X(CONFIG, "config")   \
    X(LOOP, "loop")       \
    X(NET, "net")         \
    X(MQTT, "mqtt")       \
    X(CONVERT, "convert") \
    X(LIMITS, "limits")   \
    X(AUTH, "auth")       \
    X(FRONT, "front")     \
    X(RPC, "rpc")         \
    X(CLIENT, "client")   \
    X(TUNNEL, "tunnel")   \
    X(R_PROXY, "r_proxy") \
    X(S_PROXY, "s_proxy") \
    X(BROKER, "broker")   \
    X(GATEWAY, "gateway") \
    X(ADMIN, "admin")     \
    X(TEST, "test")

#define LOG_MODULE_CONSTANT(constant, name) LOG_##constant,
enum log_module { LOG_MODULES(LOG_MODULE_CONSTANT) LOG_MODULE_COUNT };

#define LOG_FILTER_DEFAULT "info"

struct log_filter {
    uint8_t thresholds[LOG_MODULE_COUNT]; /* enum log_level */
};

enum log_filter_mode {
    LOG_FILTER_STRICT = 0, /* a mistake is an error */
    LOG_FILTER_TOLERANT, /* for RUST_LOG, which is written for other programs too: what is not for us is passed over */
};

/* 0, or -EINVAL with err_text() that names the wrong part (never in tolerant mode). */
int log_filter_parse(const char *text, enum log_filter_mode mode, struct log_filter *ret_filter);

const char *log_level_name(enum log_level level);    /* "warn" */
const char *log_module_name(enum log_module module); /* "r_proxy" */

#endif
