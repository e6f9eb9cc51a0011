/* See front_admission.h. */
#define LOG_MODULE LOG_FRONT
#include "front_admission.h"

#include <stddef.h>

#include "conn.h"
#include "front_options.h"
#include "log.h"
#include "mqtt_reason.h"

#define METRICS_OWNER struct front_admission_metrics
static const struct metric_info front_admission_metric_infos[] = {FRONT_ADMISSION_METRICS(METRIC_INFO)};

static const struct front_refusal front_admission_refusals[] = {
    [CONNECTION_TOO_MANY] = {MQTT_REASON_SERVER_BUSY, "as many connections as max-connections allows"},
    [CONNECTION_TOO_MANY_OF_ADDRESS] = {MQTT_REASON_QUOTA_EXCEEDED,
                                        "as many connections from this address as max-connections-per-address allows"},
    [CONNECTION_TOO_FAST] = {MQTT_REASON_CONNECTION_RATE_EXCEEDED,
                             "more connections in a second than connect-rate allows"},
    [CONNECTION_NO_MEMORY] = {MQTT_REASON_SERVER_BUSY, "out of memory"},
};

int front_admission_init(struct front_admission *a, const struct front_options *options,
                         struct metrics_registry *registry, const char *prefix, uint64_t now_ms)
{
    const struct connection_limits_options limits = {
        .max_connections = (uint64_t)options->max_connections,
        .max_per_address = (uint64_t)options->max_connections_per_address,
        .rate = (uint64_t)options->connect_rate,
    };
    connection_limits_init(&a->limits, &limits, now_ms);
    a->registry = registry;
    return metrics_add(registry, prefix, front_admission_metric_infos,
                       sizeof front_admission_metric_infos / sizeof front_admission_metric_infos[0], &a->metrics);
}

void front_admission_deinit(struct front_admission *a)
{
    if (!a->registry)
        return; /* it has not begun */
    metrics_remove(a->registry, &a->metrics);
    connection_limits_deinit(&a->limits);
}

static void front_admission_count(struct front_admission *a, enum connection_verdict verdict)
{
    if (verdict == CONNECTION_TOO_MANY)
        metric_add(&a->metrics.connections_over_limit, 1);
    else if (verdict == CONNECTION_TOO_MANY_OF_ADDRESS)
        metric_add(&a->metrics.connections_over_address_limit, 1);
    else if (verdict == CONNECTION_TOO_FAST)
        metric_add(&a->metrics.connections_over_rate, 1);
}

/* Whether there is room for one more that waits to hear it. */
static bool front_admission_may_explain(struct front_admission *a, const struct conn_parcel *parcel)
{
    if (parcel->layer || atomic_load_explicit(&a->refusals, memory_order_relaxed) >= FRONT_REFUSALS_MAX)
        return false;
    atomic_fetch_add_explicit(&a->refusals, 1, memory_order_relaxed);
    return true;
}

/* Each kind for itself: a flood of one does not hide the others. */
static void front_admission_log(enum connection_verdict verdict, const struct conn_parcel *parcel)
{
    static struct log_limit limits[] = {
        [CONNECTION_TOO_MANY] = LOG_LIMIT(5, 10000),
        [CONNECTION_TOO_MANY_OF_ADDRESS] = LOG_LIMIT(5, 10000),
        [CONNECTION_TOO_FAST] = LOG_LIMIT(5, 10000),
        [CONNECTION_NO_MEMORY] = LOG_LIMIT(5, 10000),
    };
    log_rate_limited(&limits[verdict], LOG_LEVEL_WARN, NULL, "connection from %s refused: %s", parcel->peer.text,
                     front_admission_refusals[verdict].text);
}

bool front_admission_ask(struct front_admission *a, const struct conn_parcel *parcel, uint64_t now_ms,
                         struct front_ticket *ret_ticket)
{
    *ret_ticket = (struct front_ticket){.refusal = NULL};
    const enum connection_verdict verdict =
        connection_limits_enter(&a->limits, &parcel->peer.address.any, now_ms, &ret_ticket->place);
    if (verdict == CONNECTION_WELCOME)
        return true;
    front_admission_count(a, verdict);
    front_admission_log(verdict, parcel);
    if (!front_admission_may_explain(a, parcel))
        return false;
    ret_ticket->refusal = &front_admission_refusals[verdict];
    ret_ticket->admission = a;
    return true;
}

void front_ticket_return(struct front_ticket *ticket)
{
    connection_limits_leave(&ticket->place);
    if (ticket->admission)
        atomic_fetch_sub_explicit(&ticket->admission->refusals, 1, memory_order_relaxed);
    *ticket = (struct front_ticket){.refusal = NULL};
}
