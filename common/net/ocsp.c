/* See ocsp.h. */
#include "ocsp.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { OCSP_SINGLES_MAX = 64 /* an answer is about one certificate, or a few */ };

/* --- The certificate */

bool ocsp_get_responder(const X509 *cert, char *dst, size_t size)
{
    static const char scheme[] = "http://";
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp((X509 *)cert);
    bool has_one = false;
    for (int i = 0; !has_one && i < sk_OPENSSL_STRING_num(urls); i++) {
        const char *url = sk_OPENSSL_STRING_value(urls, i);
        has_one = strncmp(url, scheme, sizeof(scheme) - 1) == 0 && strlen(url) < size;
        if (has_one)
            snprintf(dst, size, "%s", url);
    }
    X509_email_free(urls);
    return has_one;
}

void ocsp_get_digest(const X509 *cert, uint8_t *dst)
{
    memset(dst, 0, OCSP_DIGEST_BYTES);
    X509_digest(cert, EVP_sha256(), dst, NULL);
}

/* --- The question */

OCSP_REQUEST *ocsp_make_request(const X509 *cert, const X509 *issuer, bool has_nonce)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, cert, issuer); /* SHA-1, which every responder knows: a name, no proof */
    if (request && id && OCSP_request_add0_id(request, id)) {
        id = NULL;
        if (!has_nonce || OCSP_request_add1_nonce(request, NULL, -1))
            return request;
    }
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(request);
    return NULL;
}

/* --- The answer */

static void ocsp_say(struct ocsp_answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void ocsp_say(struct ocsp_answer *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(a->text, sizeof(a->text), fmt, args);
    va_end(args);
}

/* With what OpenSSL says: the first entry of its queue is nearest to the cause. */
static void ocsp_say_error(struct ocsp_answer *a, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    ocsp_say(a, "%s: %s", what, reason ? reason : "it cannot be used");
}

static bool ocsp_is_signed(OCSP_BASICRESP *basic, X509 *issuer, struct ocsp_answer *a)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *issuers = sk_X509_new_null();
    bool is_good = store && issuers && X509_STORE_add_cert(store, issuer) && sk_X509_push(issuers, issuer) > 0;
    /* The issuer is where trust ends, and nobody is trusted for being a root. */
    is_good = is_good && OCSP_basic_verify(basic, issuers, store, OCSP_PARTIAL_CHAIN | OCSP_NOEXPLICIT) == 1;
    if (!is_good)
        ocsp_say_error(a, "the answer is not signed by who may do so");
    sk_X509_free(issuers);
    X509_STORE_free(store);
    return is_good;
}

/* An id is made with a hash of the responder's choice. */
static bool ocsp_is_about(const OCSP_SINGLERESP *single, const X509 *cert, const X509 *issuer)
{
    OCSP_CERTID *theirs = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single);
    ASN1_OBJECT *hash = NULL;
    OCSP_id_get0_info(NULL, &hash, NULL, NULL, theirs);
    const EVP_MD *md = EVP_get_digestbyobj(hash);
    OCSP_CERTID *ours = md ? OCSP_cert_to_id(md, cert, issuer) : NULL;
    const bool is_same = ours && OCSP_id_cmp(ours, theirs) == 0;
    OCSP_CERTID_free(ours);
    return is_same;
}

static OCSP_SINGLERESP *ocsp_find(OCSP_BASICRESP *basic, const X509 *cert, const X509 *issuer)
{
    const int n = OCSP_resp_count(basic);
    for (int i = 0; i < n && i < OCSP_SINGLES_MAX; i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        if (ocsp_is_about(single, cert, issuer))
            return single;
    }
    return NULL;
}

static time_t ocsp_time(const ASN1_GENERALIZEDTIME *time)
{
    struct tm tm;
    return time && ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : 0;
}

static void ocsp_say_revoked(struct ocsp_answer *a, const ASN1_GENERALIZEDTIME *since, int reason)
{
    char text[40] = "?";
    struct tm tm;
    if (since && ASN1_TIME_to_tm(since, &tm) == 1)
        strftime(text, sizeof(text), "%F %T UTC", &tm);
    const bool has_reason = reason != OCSP_REVOKED_STATUS_NOSTATUS;
    ocsp_say(a, "revoked since %s%s%s%s", text, has_reason ? " (" : "", has_reason ? OCSP_crl_reason_str(reason) : "",
             has_reason ? ")" : "");
}

static void ocsp_read_single(OCSP_SINGLERESP *single, struct ocsp_answer *a)
{
    ASN1_GENERALIZEDTIME *since = NULL, *this_update = NULL, *next_update = NULL;
    int reason = OCSP_REVOKED_STATUS_NOSTATUS;
    const int status = OCSP_single_get0_status(single, &reason, &since, &this_update, &next_update);
    const long age_max = next_update ? -1 : OCSP_UNDATED_S + OCSP_CLOCK_SKEW_S;
    if (OCSP_check_validity(this_update, next_update, OCSP_CLOCK_SKEW_S, age_max) != 1) {
        ocsp_say_error(a, "the answer is not of this time");
        return;
    }
    a->until = (next_update ? ocsp_time(next_update) : ocsp_time(this_update) + OCSP_UNDATED_S) + OCSP_CLOCK_SKEW_S;
    if (status == V_OCSP_CERTSTATUS_GOOD) {
        a->status = OCSP_STATUS_GOOD;
    } else if (status == V_OCSP_CERTSTATUS_REVOKED) {
        a->status = OCSP_STATUS_REVOKED;
        ocsp_say_revoked(a, since, reason);
    } else {
        a->status = OCSP_STATUS_UNKNOWN;
    }
}

static void ocsp_read_basic(OCSP_BASICRESP *basic, const X509 *cert, X509 *issuer, OCSP_REQUEST *request,
                            struct ocsp_answer *a)
{
    if (!ocsp_is_signed(basic, issuer, a))
        return;
    OCSP_SINGLERESP *single = ocsp_find(basic, cert, issuer);
    if (!single)
        ocsp_say(a, "the answer is about another certificate");
    else if (request && OCSP_check_nonce(request, basic) == 0)
        ocsp_say(a, "the answer has another nonce");
    else
        ocsp_read_single(single, a);
}

void ocsp_read_answer(const uint8_t *der, size_t n, const X509 *cert, X509 *issuer, OCSP_REQUEST *request,
                      struct ocsp_answer *ret)
{
    *ret = (struct ocsp_answer){.status = OCSP_STATUS_NONE};
    ERR_clear_error();
    OCSP_RESPONSE *response = n <= OCSP_ANSWER_MAX ? d2i_OCSP_RESPONSE(NULL, &der, (long)n) : NULL;
    const int status = response ? OCSP_response_status(response) : 0;
    OCSP_BASICRESP *basic =
        response && status == OCSP_RESPONSE_STATUS_SUCCESSFUL ? OCSP_response_get1_basic(response) : NULL;
    if (basic)
        ocsp_read_basic(basic, cert, issuer, request, ret);
    else if (response && status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        ocsp_say(ret, "the answer is \"%s\"", OCSP_response_status_str(status));
    else
        ocsp_say(ret, "the answer is no OCSP response");
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
}
