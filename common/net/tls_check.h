/* Whether the certificate of a peer has been revoked, before its connection is used: asked by OCSP when the handshake
 * is done (tls_ocsp.h). So many questions of a loop are under way at a time; others wait for their turn, and find
 * perhaps that one before them was about the same certificate. On the connection's loop. Private to net. */
#ifndef TLS_CHECK_H
#define TLS_CHECK_H

#include <openssl/x509.h>

struct loop;
struct loop_task;
struct tls;
struct tls_check;

enum tls_check_result {
    TLS_CHECK_PASSED = 0,
    TLS_CHECK_WAITS,
    TLS_CHECK_REFUSED, /* tls_check_text() */
};

typedef void tls_check_fn(void *arg);

struct tls_check_params {
    struct tls *tls; /* whose options count */
    struct loop *loop;
    tls_check_fn *fn;
    void *arg;
};

/* Of CERT, which has just been verified; ISSUER NULL: not known. References of its own are taken; nothing is asked yet.
 * NULL if memory is short. */
struct tls_check *tls_check_new(X509 *cert, X509 *issuer);
/* NULL is fine. Returns NULL. */
struct tls_check *tls_check_free(struct tls_check *c);
void tls_check_get_pair(const struct tls_check *c, X509 **ret_cert, X509 **ret_issuer);

/* Once the handshake is done. WAITS: FN(ARG) runs later on the loop, never from inside this call, and then it is to be
 * called again. */
enum tls_check_result tls_check_peer(struct tls_check *c, const struct tls_check_params *params);
/* "revoked since 2026-11-21 10:00:00 UTC (keyCompromise)", "no OCSP answer: ocsp.example:80: Connection refused". */
const char *tls_check_text(const struct tls_check *c);
/* FN does not run any more, and tls_check_peer() begins anew. NULL is fine. */
void tls_check_stop(struct tls_check *c);
/* For net_loop: of its next_check. */
void tls_check_on_turn(struct loop_task *task);

#endif
