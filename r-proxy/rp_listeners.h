/* The listeners of r-proxy, on the main loop, with the TLS of each. */
#ifndef RP_LISTENERS_H
#define RP_LISTENERS_H

struct conn_parcel;
struct loop;
struct rp_listener_options;
struct rp_listeners;
struct rp_options;
struct metrics_registry;

/* A connection has come to the listener of OPTIONS, which live as long as the program's. Takes over PARCEL. */
typedef void rp_listeners_fn(struct conn_parcel *parcel, const struct rp_listener_options *options, void *arg);

/* Listen at all that OPTIONS say. 0 or negative errno with err_text(); what has been opened then still is to be freed.
 */
int rp_listeners_open(struct loop *loop, const struct rp_options *options, struct metrics_registry *metrics,
                      rp_listeners_fn *fn, void *arg, struct rp_listeners **ret_listeners);
/* Take new certificates, keys, CAs ... from the files that FRESH names; listeners that it does not know stay as they
 * are. */
void rp_listeners_reload(struct rp_listeners *ls, const struct rp_options *fresh);
/* Accept no more. NULL is fine. */
void rp_listeners_close(struct rp_listeners *ls);
/* When the connections that came have ended: until then they count here. NULL is fine. Returns NULL. */
struct rp_listeners *rp_listeners_free(struct rp_listeners *ls);

#endif
