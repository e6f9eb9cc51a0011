/* Answers by OCSP as a test wants them, and a responder on the loop that gives them over HTTP. Everything here checks
 * its own results. */
#ifndef OCSP_SUPPORT_H
#define OCSP_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ocsp.h>

struct loop;

/* All zero: good, signed by ca.pem, of now, without nextUpdate, with the nonce of the question. */
struct ocsp_support_answer {
    int status;         /* V_OCSP_CERTSTATUS_... */
    const char *signer; /* file of tls_support.h */
    const char *issuer; /* whose certificate it is about; NULL: of ca.pem */
    int from_s, to_s;   /* thisUpdate and nextUpdate, seconds from now; to_s 0: none */
    int error;          /* OCSP_RESPONSE_STATUS_...: this instead of an answer */
    bool has_other_nonce;
    bool has_no_nonce;
    bool has_sha256_id;
    bool has_no_certs; /* the signer's certificate is not sent along */
};

/* About the certificate in the file ABOUT; REQUEST may be NULL. DER; free with OPENSSL_free(). */
unsigned char *ocsp_support_make(const struct ocsp_support_answer *a, const char *about, OCSP_REQUEST *request,
                                 size_t *ret_len);
/* The first certificate of a file of tls_support.h; free with X509_free(). */
X509 *ocsp_support_load(const char *file);

enum ocsp_support_mood {
    OCSP_SUPPORT_ANSWERS,
    OCSP_SUPPORT_WAITS,    /* until it is in another mood */
    OCSP_SUPPORT_REFUSES,  /* 404 */
    OCSP_SUPPORT_MOVES,    /* 302 */
    OCSP_SUPPORT_BABBLES,  /* 200 with something else */
    OCSP_SUPPORT_FLOODS,   /* chunks, 100 KB of them */
    OCSP_SUPPORT_HANGS_UP, /* when the question has come */
};

struct ocsp_support {
    struct loop *loop;
    struct listener *listener;
    enum ocsp_support_mood mood;
    struct ocsp_support_answer answer;
    unsigned n_questions; /* that have come whole */
    struct asker *askers; /* connections */
    char url[64];         /* "http://127.0.0.1:40123/ocsp" */
    char head[512];       /* of the last question */
};

/* Listens; ANSWERS good. */
void ocsp_support_start(struct ocsp_support *s, struct loop *loop);
void ocsp_support_stop(struct ocsp_support *s);
/* Those that wait get it too. */
void ocsp_support_set_mood(struct ocsp_support *s, enum ocsp_support_mood mood);

#endif
