/* The listeners of a program, on its main loop, with TLS, WebSocket and PROXY headers of each. */
#ifndef FRONT_LISTENERS_H
#define FRONT_LISTENERS_H

#include <stddef.h>

struct conn_parcel;
struct loop;
struct metrics_registry;
struct front_listener_options;
struct front_listeners;
struct front_options;

/* A connection has come to the listener of OPTIONS. Takes over PARCEL. */
typedef void front_listeners_fn(struct conn_parcel *parcel, const struct front_listener_options *options, void *arg);

struct front_listeners_params {
    struct loop *loop;
    const struct front_options *options; /* this and all below outlive the listeners */
    struct metrics_registry *metrics;
    const char *prefix; /* of the metrics: "rproxy" */
    front_listeners_fn *fn;
    void *arg;
};

/* Listen at all that the options say. 0 or negative errno with err_text(); what has been opened then still is to be
 * freed. */
int front_listeners_open(const struct front_listeners_params *params, struct front_listeners **ret_listeners);
/* What listener INDEX, in the order of the options, is bound to: "mqtt://0.0.0.0:1883". NULL: there is no such one, or
 * it is closed. Lives as long as it is open. */
const char *front_listeners_name(const struct front_listeners *ls, size_t index);
/* Take new certificates, keys, CAs ... from the files that FRESH names; listeners that it does not know stay as they
 * are. */
void front_listeners_reload(struct front_listeners *ls, const struct front_options *fresh);
/* Accept no more. NULL is fine. */
void front_listeners_close(struct front_listeners *ls);
/* When the connections that came have ended: until then they count here. NULL is fine. Returns NULL. */
struct front_listeners *front_listeners_free(struct front_listeners *ls);

#endif
