/* Keeps an OCSP response about the own certificate of a struct tls, for its connections to staple (tls_ocsp.h): fetched
 * at once, again when half of its time is over, and after a failure ever more seldom. Idle without OCSP. On one loop.
 * Private to net. */
#ifndef TLS_STAPLE_H
#define TLS_STAPLE_H

struct loop;
struct tls;
struct tls_staple;

/* T outlives it. NULL if memory is short. */
struct tls_staple *tls_staple_new(struct loop *loop, struct tls *t);
/* NULL is fine. Returns NULL. */
struct tls_staple *tls_staple_free(struct tls_staple *s);
/* The files of T have been read again: begin anew. */
void tls_staple_renew(struct tls_staple *s);

#endif
