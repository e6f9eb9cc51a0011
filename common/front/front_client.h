/* What programs do alike with the connection of a client: its time until CONNECT, how it is named in the log, what is
 * counted of it. On the loop of its worker. */
#ifndef FRONT_CLIENT_H
#define FRONT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics.h"

struct conn;
struct conn_peer;
struct front_options;
struct log_object;
struct log_writer;
struct mqtt_packet;

#define FRONT_METRICS(X)                                                                    \
    X(clients_paced, COUNTER, "pauses because of max-message-rate or max-byte-rate")        \
    X(keep_alives_over_limit, COUNTER, "clients of 3.x refused because of max-keep-alive")  \
    X(subscriptions_over_limit, COUNTER, "filters refused because of max-subscriptions")    \
    X(topics_over_limit, COUNTER, "topics and filters refused because of max-topic-levels") \
    X(handshakes_failed, COUNTER, "TLS handshakes of clients that came to nothing")         \
    X(websockets_refused, COUNTER, "requests for WebSocket answered with an error")         \
    X(websockets_broken, COUNTER, "clients closed because of a WebSocket frame against the rules")

/* Of a worker. */
struct front_metrics {
    FRONT_METRICS(METRIC_FIELD)
};
/* Have M shown by REGISTRY (metrics_add()), as PREFIX_clients_paced and so on. 0 or negative errno. */
int front_metrics_add(struct front_metrics *m, struct metrics_registry *registry, const char *prefix);

/* What is left of --connect-timeout at NOW_MS for a connection accepted at ACCEPTED_MS; a PROXY header may have taken
 * some of it. */
uint64_t front_connect_time_ms(const struct front_options *o, uint64_t accepted_ms, uint64_t now_ms);
/* The fields `peer` and `via` of a log line. */
void front_describe_peer(const struct conn_peer *peer, struct log_writer *w);
/* What is known of C's TLS, for the line that says that it is connected: ", TLSv1.3, certificate CN=pump-3"; empty
 * without. Returns TEXT. */
const char *front_tls_text(const struct conn *c, char *text, size_t text_size);
/* C ends: count what its layers have to say about that. */
void front_count_end(const struct conn *c, struct front_metrics *m);
/* A PUBLISH of QOS by the client LOG is refused because of --max-topic-levels: count and say that. */
void front_count_deep_topic(struct front_metrics *m, const struct log_object *log, uint8_t qos);
/* Likewise so many filters of a SUBSCRIBE, perhaps none: because of --max-subscriptions, of --max-topic-levels. */
void front_count_refused_filters(struct front_metrics *m, const struct log_object *log, uint32_t n_too_many,
                                 uint32_t n_too_deep);
/* --max-keep-alive: a client of 5.0 is told in CONNACK. To close one of 3.x before the time that it was granted would
 * fire its Will over and over; so it is refused (0x87), for which this is the question. */
bool front_keep_alive_is_too_long(const struct front_options *o, const struct mqtt_packet *connect);
#define FRONT_KEEP_ALIVE_TEXT "its keep-alive time is above max-keep-alive, or none"

#endif
