/* OCSP (RFC 6960): what a responder is asked about a certificate, and what its answer is worth. Pure: no sockets, the
 * clock of the machine. Any thread. Private to net.
 *
 * An answer counts when it is about the certificate; when the certificate's own issuer has signed it, or one whom that
 * issuer has made its responder (4.2.2.2; no other signers are configured); when now is between thisUpdate and
 * nextUpdate, five minutes of difference between clocks granted; and when it repeats our nonce, or has none: many
 * responders prepare their answers (5019). */
#ifndef OCSP_H
#define OCSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <openssl/ocsp.h>

enum {
    OCSP_ANSWER_MAX = 64 * 1024, /* bytes; those of real responders have 0.3 to 5 KB */
    OCSP_CLOCK_SKEW_S = 300,
    OCSP_UNDATED_S = 300, /* how long an answer without nextUpdate counts: newer ones are there at any time (4.2.2.1) */
    OCSP_TEXT_MAX = 400,
    OCSP_DIGEST_BYTES = 32,
};

enum ocsp_status {
    OCSP_STATUS_NONE = 0, /* nothing is known: there is no answer, or one that does not count */
    OCSP_STATUS_GOOD,
    OCSP_STATUS_REVOKED,
    OCSP_STATUS_UNKNOWN, /* the responder does not know the certificate */
};

struct ocsp_answer {
    enum ocsp_status status;
    bool is_silence;          /* NONE: nothing has come from the responder */
    time_t until;             /* it counts before */
    char text[OCSP_TEXT_MAX]; /* NONE: why; REVOKED: "revoked since 2026-11-21 10:00:00 UTC (keyCompromise)"; else "" */
};

/* The first http:// responder that CERT names (authority information access), to DST. False: none, or one too long. */
bool ocsp_get_responder(const X509 *cert, char *dst, size_t size);
/* What tells certificates apart, OCSP_DIGEST_BYTES at DST. */
void ocsp_get_digest(const X509 *cert, uint8_t *dst);

/* A question about CERT, which ISSUER has signed; free with OCSP_REQUEST_free(). NULL if memory is short. */
OCSP_REQUEST *ocsp_make_request(const X509 *cert, const X509 *issuer, bool has_nonce);
/* What the N bytes at DER say about CERT of ISSUER. REQUEST: what was asked; NULL: an answer that came unasked. */
void ocsp_read_answer(const uint8_t *der, size_t n, const X509 *cert, X509 *issuer, OCSP_REQUEST *request,
                      struct ocsp_answer *ret);

#endif
