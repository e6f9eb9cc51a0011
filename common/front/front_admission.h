/* Whether a connection that has come may stay: --max-connections, --max-connections-per-address, --connect-rate.
 *
 * Who is one too many is let in as far as its CONNECT and hears from CONNACK why it cannot stay (0x89, 0x97, 0x9F; 3.x:
 * 3), since a client that only sees a close comes back at once. FRONT_REFUSALS_MAX of them may be there at a time;
 * beyond that, and where TLS or WebSocket would have to be set up first, which is what costs, they are closed without a
 * word.
 *
 * Main thread, except front_ticket_return(). */
#ifndef FRONT_ADMISSION_H
#define FRONT_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "connection_limits.h"
#include "metrics.h"

struct conn_parcel;
struct front_options;

enum { FRONT_REFUSALS_MAX = 1000 };

#define FRONT_ADMISSION_METRICS(X)                                                                    \
    X(connections_over_limit, COUNTER, "connections refused because of max-connections")              \
    X(connections_over_address_limit, COUNTER, "connections refused for max-connections-per-address") \
    X(connections_over_rate, COUNTER, "connections refused because of connect-rate")

struct front_admission_metrics {
    FRONT_ADMISSION_METRICS(METRIC_FIELD)
};

struct front_admission {
    struct connection_limits limits;
    struct front_admission_metrics metrics;
    struct metrics_registry *registry;
    _Atomic unsigned refusals; /* connections there now that only wait to hear it */
};

struct front_refusal {
    uint8_t reason; /* enum mqtt_reason, of the CONNACK */
    const char *text;
};

/* What a connection carries from its acceptance to its end; plain data. All zero: nothing. */
struct front_ticket {
    struct connection_place place;
    const struct front_refusal *refusal; /* NULL: welcome */
    struct front_admission *admission;   /* NULL unless refused */
};

/* PREFIX of its metrics: "rproxy". 0 or -ENOMEM. */
int front_admission_init(struct front_admission *a, const struct front_options *options,
                         struct metrics_registry *registry, const char *prefix, uint64_t now_ms);
/* No connection is there any more. */
void front_admission_deinit(struct front_admission *a);
/* False: close PARCEL, which stays the caller's. Else *RET_TICKET is to be returned when the connection ends. */
bool front_admission_ask(struct front_admission *a, const struct conn_parcel *parcel, uint64_t now_ms,
                         struct front_ticket *ret_ticket);
/* Any thread; *TICKET is nothing afterwards. */
void front_ticket_return(struct front_ticket *ticket);

#endif
