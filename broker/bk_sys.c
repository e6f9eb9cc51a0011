/* $SYS (bk_sys.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_sys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bk_broker.h"
#include "bk_message.h"
#include "bk_options.h"
#include "bk_publish.h"
#include "bk_worker.h"

/* Each: the topic behind "$SYS/broker/", the metric of struct bk_metrics. */
#define BK_SYS_NUMBERS(X)                               \
    X("clients/connected", clients_connected)           \
    X("clients/active", clients_connected)              \
    X("clients/expired", sessions_expired)              \
    X("connections/socket/count", connections_accepted) \
    X("subscriptions/count", subscriptions)             \
    X("retained messages/count", retained)              \
    X("messages/received", packets_received)            \
    X("publish/messages/received", publishes_received)  \
    X("publish/messages/sent", publishes_sent)          \
    X("publish/bytes/received", payload_bytes_received) \
    X("publish/bytes/sent", payload_bytes_sent)

/* Likewise those with averages: load/NAME/1min ... */
#define BK_SYS_LOADS(X)                       \
    X("messages/received", packets_received)  \
    X("publish/received", publishes_received) \
    X("publish/sent", publishes_sent)         \
    X("connections", connections_accepted)    \
    X("sockets", connections_accepted)

#define BK_SYS_COUNT(name, metric) +1
enum {
    BK_SYS_N_NUMBERS = 0 BK_SYS_NUMBERS(BK_SYS_COUNT),
    BK_SYS_N_LOADS = 0 BK_SYS_LOADS(BK_SYS_COUNT),
    BK_SYS_N_SPANS = 3,
    BK_SYS_VALUE = 48,
};

struct bk_sys_row {
    const char *name;
    size_t offset;
};

#define BK_SYS_ROW(name, metric) {name, offsetof(struct bk_metrics, metric)},
static const struct bk_sys_row bk_sys_numbers[] = {BK_SYS_NUMBERS(BK_SYS_ROW)};
static const struct bk_sys_row bk_sys_loads[] = {BK_SYS_LOADS(BK_SYS_ROW)};
static const struct {
    const char *name;
    double minutes;
} bk_sys_spans[BK_SYS_N_SPANS] = {{"1min", 1}, {"5min", 5}, {"15min", 15}};

struct bk_sys {
    struct bk_worker *worker;
    struct loop_timer timer;
    uint64_t started_ms, last_ms;
    int64_t maximum; /* of clients connected at a time */
    int64_t numbers[BK_SYS_N_NUMBERS];
    int64_t derived[5];
    struct {
        int64_t count;
        double averages[BK_SYS_N_SPANS];
    } loads[BK_SYS_N_LOADS];
    bool is_first;
};

static void bk_sys_publish(struct bk_sys *s, const char *name, const char *value)
{
    char topic[128];
    struct bk_publication p;
    bk_publication_init(&p, NULL);
    p.topic =
        (struct mqtt_bytes){(const uint8_t *)topic, (uint32_t)snprintf(topic, sizeof topic, "$SYS/broker/%s", name)};
    p.payload = (struct mqtt_bytes){(const uint8_t *)value, (uint32_t)strlen(value)};
    p.retain = true;
    struct bk_message *m = bk_publication_keep(&p);
    if (m)
        bk_publish_message(s->worker, m);
    bk_publication_end(&p);
}

/* Where VALUE is not what was said last. */
static void bk_sys_publish_number(struct bk_sys *s, const char *name, int64_t value, int64_t *last)
{
    char text[BK_SYS_VALUE];
    if (value == *last && !s->is_first)
        return;
    *last = value;
    snprintf(text, sizeof text, "%lld", (long long)value);
    bk_sys_publish(s, name, text);
}

static int64_t bk_sys_sum(const struct bk_sys *s, size_t offset)
{
    struct worker_pool *pool = broker_pool(s->worker->broker);
    int64_t sum = 0;
    for (unsigned i = 0; i < worker_pool_size(pool); i++) {
        const struct bk_worker *w = worker_pool_get(pool, i)->object;
        sum += metric_get((const metric *)(const void *)((const char *)&w->metrics + offset));
    }
    return sum;
}

static void bk_sys_publish_loads(struct bk_sys *s, double minutes)
{
    for (size_t i = 0; i < BK_SYS_N_LOADS; i++) {
        const int64_t count = bk_sys_sum(s, bk_sys_loads[i].offset);
        const double rate = (double)(count - s->loads[i].count) / minutes;
        s->loads[i].count = count;
        for (size_t k = 0; k < BK_SYS_N_SPANS; k++) {
            char name[96], text[BK_SYS_VALUE];
            double *average = &s->loads[i].averages[k];
            const double before = *average;
            *average = rate + (before - rate) * exp(-minutes / bk_sys_spans[k].minutes);
            if (fabs(*average - before) < 0.005 && !s->is_first)
                continue;
            snprintf(name, sizeof name, "load/%s/%s", bk_sys_loads[i].name, bk_sys_spans[k].name);
            snprintf(text, sizeof text, "%.2f", *average);
            bk_sys_publish(s, name, text);
        }
    }
}

static void bk_sys_publish_derived(struct bk_sys *s)
{
    const int64_t connected = bk_sys_sum(s, offsetof(struct bk_metrics, clients_connected));
    const int64_t sessions = bk_sys_sum(s, offsetof(struct bk_metrics, sessions));
    const int64_t dropped = bk_sys_sum(s, offsetof(struct bk_metrics, dropped_slow)) +
                            bk_sys_sum(s, offsetof(struct bk_metrics, dropped_full)) +
                            bk_sys_sum(s, offsetof(struct bk_metrics, dropped_expired)) +
                            bk_sys_sum(s, offsetof(struct bk_metrics, dropped_too_large)) +
                            bk_sys_sum(s, offsetof(struct bk_metrics, dropped_no_memory));
    if (connected > s->maximum)
        s->maximum = connected;
    bk_sys_publish_number(s, "clients/total", sessions, &s->derived[0]);
    bk_sys_publish_number(s, "clients/disconnected", sessions - connected, &s->derived[1]);
    bk_sys_publish_number(s, "clients/inactive", sessions - connected, &s->derived[2]);
    bk_sys_publish_number(s, "clients/maximum", s->maximum, &s->derived[3]);
    bk_sys_publish_number(s, "publish/messages/dropped", dropped, &s->derived[4]);
}

static void bk_sys_on_timer(struct loop_timer *timer)
{
    struct bk_sys *s = container_of(timer, struct bk_sys, timer);
    const uint64_t now_ms = loop_now_ms(s->worker->loop);
    char text[BK_SYS_VALUE];
    snprintf(text, sizeof text, "%llu seconds", (unsigned long long)((now_ms - s->started_ms) / 1000));
    bk_sys_publish(s, "uptime", text);
    for (size_t i = 0; i < BK_SYS_N_NUMBERS; i++)
        bk_sys_publish_number(s, bk_sys_numbers[i].name, bk_sys_sum(s, bk_sys_numbers[i].offset), &s->numbers[i]);
    bk_sys_publish_derived(s);
    if (now_ms > s->last_ms)
        bk_sys_publish_loads(s, (double)(now_ms - s->last_ms) / 60000);
    s->last_ms = now_ms;
    s->is_first = false;
    loop_timer_start(&s->timer, s->worker->options->sys_interval_ms);
}

struct bk_sys *bk_sys_start(struct bk_worker *w)
{
    struct bk_sys *s = w->options->sys_interval_ms > 0 ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    s->worker = w;
    s->is_first = true;
    s->started_ms = s->last_ms = loop_now_ms(w->loop);
    loop_timer_init(&s->timer, w->loop, bk_sys_on_timer);
    bk_sys_publish(s, "version", "mqtt-broker version " PROJECT_VERSION);
    bk_sys_on_timer(&s->timer);
    return s;
}

struct bk_sys *bk_sys_stop(struct bk_sys *s)
{
    if (s)
        loop_timer_stop(&s->timer);
    free(s);
    return NULL;
}
