/* OCSP of TLS connections (tls_options.ocsp): whether a certificate has been revoked, asked of the responder that the
 * certificate itself names (ocsp.h says which answers count).
 *
 *   server   own certificate      an answer about it is fetched, refreshed when half of its time is over, and stapled
 * to the handshake of every client that asks for it client's             asked about when the handshake is done: the
 * connection waits, the loop does not client   server's             what the server staples; else asked about in the
 * same way
 *
 *                    | good | revoked | unknown | no answer
 *   TLS_OCSP_SOFT    | in   | refused | in      | in; a responder that is away is left alone for a while
 *   TLS_OCSP_HARD    | in   | refused | refused | refused
 *
 * Only a certificate whose chain is good is asked about, so it is a CA that is trusted who names the responder. Answers
 * are kept until nextUpdate, an hour at most, for all connections of a struct tls; sessions are resumed only while a
 * good one is. A certificate that is known to be revoked is refused during the handshake, with the alert that says so;
 * what is learned only afterwards closes the connection. Certificates of the chain's CAs are not asked about. */
#ifndef TLS_OCSP_H
#define TLS_OCSP_H

#include <stdbool.h>

#include "metrics.h"

struct tls;

#define TLS_OCSP_METRICS(X)                                                                          \
    X(ocsp_questions, COUNTER, "questions to OCSP responders")                                       \
    X(ocsp_unanswered, COUNTER, "those of them that brought no answer that counts")                  \
    X(ocsp_staples_unusable, COUNTER, "stapled OCSP responses that did not count")                   \
    X(ocsp_revoked, COUNTER, "handshakes refused because OCSP says that the certificate is revoked") \
    X(ocsp_refused, COUNTER, "handshakes refused for want of a good answer by OCSP (hard)")          \
    X(ocsp_unchecked, COUNTER, "handshakes accepted although there was no answer by OCSP (soft)")

/* Counted on any thread. */
struct tls_ocsp_metrics {
    TLS_OCSP_METRICS(METRIC_FIELD)
};

/* 0 or -ENOMEM; until metrics_remove(). */
int tls_ocsp_metrics_add(struct tls_ocsp_metrics *m, struct metrics_registry *registry, const char *prefix);

/* IS_GOOD: an answer about our own certificate has come. Else something is not as it should be, which names certificate
 * and reason; what a connection is closed for is its own text (conn_cbs.on_end) and not told here. Any thread. */
typedef void tls_ocsp_fn(bool is_good, const char *text, void *arg);

/* Where T counts, and tells what it has to tell. Before its first connection; all of it outlives T's connections. */
void tls_ocsp_tell(struct tls *t, struct tls_ocsp_metrics *metrics, tls_ocsp_fn *fn, void *arg);

#endif
