/* libmqtt-broker: the MQTT broker of this project inside another program.
 *
 *   mqtt_broker_new() --> add_hook() ... --> start() --> [ clients come and go ] --> stop() --> free()
 *
 * The broker runs on threads of its own, which handle no signals. It is what the program mqtt-broker is: the same
 * options, the same store on disk, the same limits. This library never ends the process, installs no signal handler and
 * changes no limit of the process. Several brokers may run in one process, each with its own options, listeners and
 * store; what they share is the log: its filter, its format and where it goes belong to the process, and the broker
 * started last says what the options `log` and `log-format` say.
 *
 * Invariants and threads:
 *  - A function that can fail returns 0 or a negative errno; mqtt_broker_error_text() then says in words what is wrong.
 *  - new(), add_hook(), start(), stop() and free() of one broker: one thread at a time, none of the broker's own.
 *  - publish(), reload() and metrics(): any thread, hooks too, from start() to free(); after stop() has begun publish()
 *    and reload() do nothing and return -ESHUTDOWN.
 *  - What is handed in is copied, unless said otherwise.
 *  - What is given back lives as said there.
 *
 * Functions of hooks are in broker_hooks.h. Compile with `pkg-config --cflags --libs mqtt-broker`. */
#ifndef MQTT_BROKER_H
#define MQTT_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker_hooks.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mqtt_broker;

/* As on the command line of mqtt-broker, without "--": {"listen", "mqtt://127.0.0.1:0"}. Flags have the value "true" or
 * "false"; what can be given several times may stand several times. {"config", FILE} is the YAML file, which all others
 * beat. The environment is not looked at. */
struct mqtt_broker_option {
    const char *name;
    const char *value;
};

/* -EINVAL: an option that there is not, or with a value that it cannot have. -ENOMEM. */
int mqtt_broker_new(const struct mqtt_broker_option *options, size_t n, struct mqtt_broker **ret_broker);

/* HOOK is asked behind those added before. Its functions and its `arg` must last until mqtt_broker_stop() has returned;
 * questions may be answered even later. Before start() only. -EBUSY: too late. -ENOMEM. */
int mqtt_broker_add_hook(struct mqtt_broker *broker, const struct mqtt_broker_hook *hook);

/* Reads the store and the files that options name, opens the listeners; clients are served when this returns. When it
 * fails the broker may only be freed. -EBUSY: it has been started before. */
int mqtt_broker_start(struct mqtt_broker *broker);

/* What listener INDEX (from 0) is bound to, with the port that it has got: "mqtt://127.0.0.1:43521". NULL: there is no
 * such listener, or start() has not succeeded. Lives until free(). */
const char *mqtt_broker_listener(const struct mqtt_broker *broker, size_t index);

struct mqtt_broker_message {
    struct mqtt_broker_text topic; /* valid for a PUBLISH: not empty, UTF-8, no wildcards */
    struct mqtt_broker_text payload;
    int qos; /* 0 to 2 */
    bool retain;
};

/* As if a client had published it, who may publish everything: no hook, ACL or limit is asked. What one thread
 * publishes arrives in its order. Returns when the message has been handed to the broker's threads; there is no
 * confirmation that a store has it. -EINVAL: no such message can be. -ENOMEM, -ESHUTDOWN. */
int mqtt_broker_publish(struct mqtt_broker *broker, const struct mqtt_broker_message *message);

/* Reads the configuration file and the files that options name again, as SIGHUP makes mqtt-broker do. Returns at once;
 * what is wrong in them is in the log, and changes nothing. -ESHUTDOWN. */
int mqtt_broker_reload(struct mqtt_broker *broker);

/* All metrics as Prometheus' text. The caller frees it with free(). NULL: memory is short, or it does not run. */
char *mqtt_broker_metrics(struct mqtt_broker *broker);

/* Lets no new client in, tells those that are there, waits up to the option `drain-timeout` for them to take it, writes
 * what the store has to have, and ends all threads. May be called of a broker that does not run. */
void mqtt_broker_stop(struct mqtt_broker *broker);

/* Stops it if it runs. NULL is fine. */
void mqtt_broker_free(struct mqtt_broker *broker);

/* What went wrong last on this thread. Never NULL; lives until the next call that fails on it. */
const char *mqtt_broker_error_text(void);

/* Each line of the log, with its newline, goes to FN instead of stderr, one at a time, on any thread; FN calls nothing
 * of this library. NULL: to stderr. Of the process. */
void mqtt_broker_set_log(void (*fn)(void *arg, const char *line, size_t len), void *arg);

/* "0.1.0" */
const char *mqtt_broker_version(void);

#ifdef __cplusplus
}
#endif

#endif
