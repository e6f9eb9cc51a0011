/* Asks the responder that a certificate names about it: one question, one HTTP connection, on the loop. Private to net.
 */
#ifndef OCSP_ASK_H
#define OCSP_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ocsp.h"

struct loop;
struct ocsp_ask;

/* ANSWER, and the N bytes at DER that it was read from (0 if nothing came), valid during the call. The ask is gone
 * afterwards. */
typedef void ocsp_ask_fn(struct ocsp_ask *a, const struct ocsp_answer *answer, const uint8_t *der, size_t n, void *arg);

struct ocsp_ask_params {
    X509 *cert, *issuer; /* references of its own are taken */
    bool has_nonce;      /* an answer for others is better without */
    uint32_t timeout_ms;
};

/* FN runs later, never from inside this call. 0 or negative errno with err_text(): the certificate names no responder
 * that can be asked. */
int ocsp_ask_start(struct loop *loop, const struct ocsp_ask_params *params, ocsp_ask_fn *fn, void *arg,
                   struct ocsp_ask **ret_ask);
/* FN does not run any more. NULL is fine. Returns NULL. */
struct ocsp_ask *ocsp_ask_cancel(struct ocsp_ask *a);

#endif
