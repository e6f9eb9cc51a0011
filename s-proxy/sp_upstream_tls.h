/* TLS towards the brokers: made from the --upstream-tls-... options, read again when its files change. Main loop, apart
 * from sp_upstream_tls_get(). */
#ifndef SP_UPSTREAM_TLS_H
#define SP_UPSTREAM_TLS_H

struct loop;
struct metrics_registry;
struct sp_options;
struct sp_upstream_tls;
struct tls;

/* 0 or negative errno with err_text(). */
int sp_upstream_tls_new(struct loop *loop, const struct sp_options *options, struct metrics_registry *metrics,
                        struct sp_upstream_tls **ret_tls);
/* When the connections to brokers have ended. NULL is fine. Returns NULL. */
struct sp_upstream_tls *sp_upstream_tls_free(struct sp_upstream_tls *t);
/* The options have been read again. */
void sp_upstream_tls_reload(struct sp_upstream_tls *t, const struct sp_options *fresh);
/* What mqtts:// brokers are dialled with; NULL: there are none. Any thread. */
struct tls *sp_upstream_tls_get(const struct sp_upstream_tls *t);

#endif
