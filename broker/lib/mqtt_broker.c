/* libmqtt-broker (broker.h): the program object of the broker, started by somebody else. */
#include "broker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bk_broker.h"
#include "bk_hooks.h"
#include "bk_message.h"
#include "bk_options.h"
#include "bk_publish.h"
#include "bk_worker.h"
#include "err.h"
#include "log.h"
#include "metrics.h"
#include "mqtt_topic.h"
#include "mqtt_utf8.h"
#include "program.h"
#include "worker.h"

enum mqtt_broker_state { MQTT_BROKER_NEW = 0, MQTT_BROKER_RUNNING, MQTT_BROKER_ENDED };

struct mqtt_broker {
    struct config_program config;
    struct program_params params;
    struct program *program;
    struct bk_hooks *hooks; /* one reference */
    char **argv;            /* owned, each too */
    int argc;
    char **listeners; /* likewise */
    size_t n_listeners;
    pthread_rwlock_t lock; /* of `state`: who reads it uses the program meanwhile */
    enum mqtt_broker_state state;
};

/* A message on its way to a worker. */
struct mqtt_broker_mail {
    size_t topic_len, payload_len;
    uint8_t qos;
    bool retain;
    uint8_t bytes[];
};

/* --- Options */

static const char *const mqtt_broker_not_options[] = {"help", "version", "check-config"};

/* The words of one option: `-c FILE`, `--NAME VALUE` in one word. */
static int mqtt_broker_add_option(struct mqtt_broker *b, const struct mqtt_broker_option *o)
{
    if (!o->name || !o->value)
        return err_set(-EINVAL, "an option without name or value");
    for (size_t i = 0; i < sizeof mqtt_broker_not_options / sizeof mqtt_broker_not_options[0]; i++)
        if (strcmp(o->name, mqtt_broker_not_options[i]) == 0)
            return err_set(-EINVAL, "%s: of the program alone", o->name);
    if (strcmp(o->name, "config") == 0) {
        b->argv[b->argc++] = strdup("-c");
        b->argv[b->argc++] = strdup(o->value);
    } else if (asprintf(&b->argv[b->argc], "--%s=%s", o->name, o->value) >= 0) {
        b->argc++;
    } else {
        return err_set(-ENOMEM, "out of memory");
    }
    return b->argv[b->argc - 1] && b->argv[b->argc - 2] ? 0 : err_set(-ENOMEM, "out of memory");
}

static int mqtt_broker_add_options(struct mqtt_broker *b, const struct mqtt_broker_option *options, size_t n)
{
    b->argv = calloc(2 * n + 2, sizeof *b->argv);
    if (!b->argv || !(b->argv[b->argc++] = strdup(bk_config.name)))
        return err_set(-ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const int e = mqtt_broker_add_option(b, &options[i]);
        if (e < 0)
            return e;
    }
    return 0;
}

/* --- Life */

int mqtt_broker_new(const struct mqtt_broker_option *options, size_t n, struct mqtt_broker **ret_broker)
{
    struct mqtt_broker *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(-ENOMEM, "out of memory");
    pthread_rwlock_init(&b->lock, NULL);
    b->hooks = bk_hooks_new();
    b->config = bk_config;
    b->config.env_prefix = NULL;
    b->params = (struct program_params){
        .config = &b->config, .options_bytes = sizeof(struct bk_options), .calls = &broker_calls, .arg = b->hooks};
    int e = b->hooks ? mqtt_broker_add_options(b, options, n) : err_set(-ENOMEM, "out of memory");
    if (e >= 0)
        e = program_new(&b->params, b->argc, b->argv, &b->program);
    if (e < 0) {
        mqtt_broker_free(b);
        return e;
    }
    *ret_broker = b;
    return 0;
}

int mqtt_broker_add_hook(struct mqtt_broker *b, const struct mqtt_broker_hook *hook)
{
    if (b->state != MQTT_BROKER_NEW)
        return err_set(-EBUSY, "hooks are added before the broker starts");
    return bk_hooks_add(b->hooks, hook) < 0 ? err_set(-ENOMEM, "out of memory") : 0;
}

static int mqtt_broker_keep_listeners(struct mqtt_broker *b)
{
    const struct broker *broker = program_object(b->program);
    const char *name;
    for (size_t i = 0; (name = broker_listener(broker, i)); i++) {
        char **listeners = realloc(b->listeners, (i + 1) * sizeof *listeners);
        if (!listeners)
            return err_set(-ENOMEM, "out of memory");
        b->listeners = listeners;
        b->listeners[i] = strdup(name);
        if (!b->listeners[i])
            return err_set(-ENOMEM, "out of memory");
        b->n_listeners = i + 1;
    }
    return 0;
}

static void mqtt_broker_set_state(struct mqtt_broker *b, enum mqtt_broker_state state)
{
    pthread_rwlock_wrlock(&b->lock);
    b->state = state;
    pthread_rwlock_unlock(&b->lock);
}

int mqtt_broker_start(struct mqtt_broker *b)
{
    if (b->state != MQTT_BROKER_NEW)
        return err_set(-EBUSY, "the broker has been started before");
    int e = program_start(b->program);
    if (e < 0) {
        mqtt_broker_set_state(b, MQTT_BROKER_ENDED);
        return e;
    }
    e = mqtt_broker_keep_listeners(b);
    if (e < 0) {
        program_stop(b->program);
        mqtt_broker_set_state(b, MQTT_BROKER_ENDED);
        return e;
    }
    mqtt_broker_set_state(b, MQTT_BROKER_RUNNING);
    return 0;
}

const char *mqtt_broker_listener(const struct mqtt_broker *b, size_t index)
{
    return index < b->n_listeners ? b->listeners[index] : NULL;
}

void mqtt_broker_stop(struct mqtt_broker *b)
{
    if (b->state != MQTT_BROKER_RUNNING)
        return;
    mqtt_broker_set_state(b, MQTT_BROKER_ENDED); /* nobody else uses the program from here on */
    program_stop(b->program);
}

void mqtt_broker_free(struct mqtt_broker *b)
{
    if (!b)
        return;
    mqtt_broker_stop(b);
    b->program = program_free(b->program);
    b->hooks = bk_hooks_unref(b->hooks);
    for (size_t i = 0; i < b->n_listeners; i++)
        free(b->listeners[i]);
    for (int i = 0; i < b->argc; i++)
        free(b->argv[i]);
    free(b->listeners);
    free(b->argv);
    pthread_rwlock_destroy(&b->lock);
    free(b);
}

/* --- While it runs */

/* True: it runs, and goes on to until mqtt_broker_leave(). */
static bool mqtt_broker_enter(struct mqtt_broker *b)
{
    pthread_rwlock_rdlock(&b->lock);
    if (b->state == MQTT_BROKER_RUNNING)
        return true;
    pthread_rwlock_unlock(&b->lock);
    return false;
}

static void mqtt_broker_leave(struct mqtt_broker *b)
{
    pthread_rwlock_unlock(&b->lock);
}

static void mqtt_broker_on_mail(struct worker *worker, void *arg)
{
    struct mqtt_broker_mail *m = arg;
    struct bk_worker *w = worker->object;
    struct bk_publication p;
    bk_publication_init(&p, NULL);
    p.topic = (struct mqtt_bytes){m->bytes, (uint32_t)m->topic_len};
    p.payload = (struct mqtt_bytes){m->bytes + m->topic_len, (uint32_t)m->payload_len};
    p.qos = m->qos;
    p.retain = m->retain;
    struct bk_message *message = w ? bk_publication_keep(&p) : NULL;
    if (message)
        bk_publish_message(w, message);
    bk_publication_end(&p);
    free(m);
}

static bool mqtt_broker_message_is_good(const struct mqtt_broker_message *m)
{
    const struct mqtt_bytes topic = {(const uint8_t *)m->topic.ptr, (uint32_t)m->topic.len};
    return m->topic.ptr && m->topic.len > 0 && m->topic.len <= UINT16_MAX && mqtt_topic_name_is_valid(topic) &&
           mqtt_utf8_check(topic.ptr, topic.len) == MQTT_UTF8_OK && m->qos >= 0 && m->qos <= 2 &&
           m->payload.len < MQTT_PACKET_MAX - m->topic.len - 16;
}

int mqtt_broker_publish(struct mqtt_broker *b, const struct mqtt_broker_message *message)
{
    if (!mqtt_broker_message_is_good(message))
        return err_set(-EINVAL, "a topic that none can have, a QoS that is none, or more than MQTT can carry");
    struct mqtt_broker_mail *m = malloc(sizeof *m + message->topic.len + message->payload.len);
    if (!m)
        return err_set(-ENOMEM, "out of memory");
    *m = (struct mqtt_broker_mail){message->topic.len, message->payload.len, (uint8_t)message->qos, message->retain};
    memcpy(m->bytes, message->topic.ptr, m->topic_len);
    if (m->payload_len > 0)
        memcpy(m->bytes + m->topic_len, message->payload.ptr, m->payload_len);
    if (!mqtt_broker_enter(b)) {
        free(m);
        return err_set(-ESHUTDOWN, "the broker does not run");
    }
    worker_post(worker_pool_get(broker_pool(program_object(b->program)), 0), mqtt_broker_on_mail, m);
    mqtt_broker_leave(b);
    return 0;
}

int mqtt_broker_reload(struct mqtt_broker *b)
{
    if (!mqtt_broker_enter(b))
        return err_set(-ESHUTDOWN, "the broker does not run");
    program_reload(b->program);
    mqtt_broker_leave(b);
    return 0;
}

char *mqtt_broker_metrics(struct mqtt_broker *b)
{
    if (!mqtt_broker_enter(b))
        return NULL;
    char *text = metrics_format(program_metrics(b->program));
    mqtt_broker_leave(b);
    return text;
}

/* --- Of the process */

const char *mqtt_broker_error_text(void)
{
    return err_text();
}

void mqtt_broker_set_log(void (*fn)(void *arg, const char *line, size_t len), void *arg)
{
    log_set_sink(fn, arg);
}

const char *mqtt_broker_version(void)
{
    return PROJECT_VERSION;
}
