/* See front_client.h. */
#define LOG_MODULE LOG_FRONT
#include "front_client.h"

#include <stdio.h>
#include <string.h>

#include "conn.h"
#include "conn_facts.h"
#include "conn_tls.h"
#include "conn_ws.h"
#include "front_options.h"
#include "log.h"
#include "mqtt_packet.h"
#include "str.h"

enum { FRONT_LOG_LINES = 5, FRONT_LOG_INTERVAL_MS = 10000 };

#define METRICS_OWNER struct front_metrics
static const struct metric_info front_metric_infos[] = {FRONT_METRICS(METRIC_INFO)};

int front_metrics_add(struct front_metrics *m, struct metrics_registry *registry, const char *prefix)
{
    return metrics_add(registry, prefix, front_metric_infos, sizeof front_metric_infos / sizeof front_metric_infos[0],
                       m);
}

/* Another thread's clock may be a little ahead. */
uint64_t front_connect_time_ms(const struct front_options *o, uint64_t accepted_ms, uint64_t now_ms)
{
    const uint64_t passed_ms = now_ms > accepted_ms ? now_ms - accepted_ms : 0;
    return passed_ms < o->connect_timeout_ms ? o->connect_timeout_ms - passed_ms : 0;
}

void front_describe_peer(const struct conn_peer *peer, struct log_writer *w)
{
    log_field(w, "peer", "%s", peer->text);
    if (peer->facts && peer->facts->via)
        log_field(w, "via", "%s", peer->facts->via);
}

/* What a stranger has chosen, behind WHAT. */
static void front_append_quoted(char *text, size_t text_size, const char *what, const char *name)
{
    const size_t len = strlen(text);
    char quoted[128];
    if (name)
        snprintf(text + len, text_size - len, ", %s '%s'", what, str_quote(quoted, sizeof quoted, name, strlen(name)));
}

const char *front_tls_text(const struct conn *c, char *text, size_t text_size)
{
    const struct conn_tls_facts *tls = conn_tls_facts(c);
    const struct conn_facts *proxied = conn_peer(c)->facts;
    text[0] = '\0';
    if (tls) {
        snprintf(text, text_size, ", %s", tls->version);
        front_append_quoted(text, text_size, "certificate", tls->subject);
        front_append_quoted(text, text_size, "pre-shared key", tls->psk);
    } else if (proxied && proxied->is_tls) {
        snprintf(text, text_size, ", %s to the proxy", proxied->tls_version ? proxied->tls_version : "TLS");
        front_append_quoted(text, text_size, "certificate", proxied->common_name);
    }
    return text;
}

void front_count_end(const struct conn *c, struct front_metrics *m)
{
    if (conn_tls_is_in_handshake(c))
        metric_add(&m->handshakes_failed, 1);
    switch (conn_ws_fault(c)) {
    case CONN_WS_NO_FAULT:
        return;
    case CONN_WS_REFUSED:
        metric_add(&m->websockets_refused, 1);
        return;
    case CONN_WS_BROKEN:
        metric_add(&m->websockets_broken, 1);
        return;
    }
}

void front_count_deep_topic(struct front_metrics *m, const struct log_object *log, uint8_t qos)
{
    static struct log_limit limit = LOG_LIMIT(FRONT_LOG_LINES, FRONT_LOG_INTERVAL_MS);
    metric_add(&m->topics_over_limit, 1);
    log_rate_limited(&limit, LOG_LEVEL_WARN, log,
                     "PUBLISH of QoS %u refused: its topic has more levels than max-topic-levels allows", qos);
}

void front_count_refused_filters(struct front_metrics *m, const struct log_object *log, uint32_t n_too_many,
                                 uint32_t n_too_deep)
{
    static struct log_limit limit = LOG_LIMIT(FRONT_LOG_LINES, FRONT_LOG_INTERVAL_MS);
    if (n_too_many == 0 && n_too_deep == 0)
        return;
    metric_add(&m->subscriptions_over_limit, n_too_many);
    metric_add(&m->topics_over_limit, n_too_deep);
    log_rate_limited(&limit, LOG_LEVEL_WARN, log,
                     "SUBSCRIBE: %u filters refused because of max-subscriptions, %u of max-topic-levels", n_too_many,
                     n_too_deep);
}

bool front_keep_alive_is_too_long(const struct front_options *o, const struct mqtt_packet *connect)
{
    const uint16_t most_s = front_max_keep_alive_s(o);
    const uint16_t asked_s = connect->connect.keep_alive_s;
    return most_s != 0 && connect->version != MQTT_V5 && (asked_s == 0 || asked_s > most_s);
}
