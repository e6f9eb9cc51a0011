/* What OCSP has told about certificates, and what OpenSSL asks of it during a handshake (tls_ocsp.h, tls_internal.h).
 */
#include "tls_ocsp.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ocsp_cache.h"
#include "tls_internal.h"

enum {
    TLS_OCSP_KNOWN_MAX = 16384, /* certificates; about 2 MB */
    TLS_OCSP_KEEP_S = 3600,     /* a certificate that is revoked is not let in for longer, whatever nextUpdate says */
    TLS_OCSP_KEEP_UNKNOWN_S = 60,
    TLS_OCSP_SILENCE_S = 30, /* a responder that has not answered is left alone for so long (soft) */
    TLS_OCSP_URL_MAX = 512,
    TLS_OCSP_TEXT_MAX = 800,
};

/* All of a struct tls; survives its reloads. */
struct tls_ocsp {
    struct tls_ocsp_metrics own_metrics; /* until tls_ocsp_tell() */
    struct tls_ocsp_metrics *metrics;
    tls_ocsp_fn *fn; /* may be NULL */
    void *arg;
    pthread_mutex_t lock; /* of all below */
    enum tls_ocsp_mode mode;
    uint32_t timeout_ms;
    struct ocsp_cache known; /* by certificate; STATUS_NONE by URL: a responder that has not answered */
    X509 *staple_cert;       /* whom the staple is about, one reference; NULL: there is none */
    unsigned char *staple;
    size_t staple_bytes;
    time_t staple_until;
};

#define METRICS_OWNER struct tls_ocsp_metrics
static const struct metric_info tls_ocsp_metric_infos[] = {TLS_OCSP_METRICS(METRIC_INFO)};

int tls_ocsp_metrics_add(struct tls_ocsp_metrics *m, struct metrics_registry *registry, const char *prefix)
{
    return metrics_add(registry, prefix, tls_ocsp_metric_infos,
                       sizeof(tls_ocsp_metric_infos) / sizeof(tls_ocsp_metric_infos[0]), m);
}

/* --- Life */

struct tls_ocsp *tls_ocsp_new(void)
{
    struct tls_ocsp *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->metrics = &o->own_metrics;
    pthread_mutex_init(&o->lock, NULL);
    ocsp_cache_init(&o->known, TLS_OCSP_KNOWN_MAX);
    return o;
}

static void tls_ocsp_drop_staple(struct tls_ocsp *o)
{
    X509_free(o->staple_cert);
    OPENSSL_free(o->staple);
    o->staple_cert = NULL;
    o->staple = NULL;
}

struct tls_ocsp *tls_ocsp_free(struct tls_ocsp *o)
{
    if (!o)
        return NULL;
    tls_ocsp_drop_staple(o);
    ocsp_cache_deinit(&o->known);
    pthread_mutex_destroy(&o->lock);
    free(o);
    return NULL;
}

void tls_ocsp_begin(struct tls_ocsp *o, const struct tls_options *options)
{
    pthread_mutex_lock(&o->lock);
    o->mode = options->ocsp;
    o->timeout_ms = options->ocsp_timeout_ms > 0 ? options->ocsp_timeout_ms : TLS_OCSP_TIMEOUT_MS;
    ocsp_cache_clear(&o->known);
    if (o->mode == TLS_OCSP_OFF)
        tls_ocsp_drop_staple(o);
    pthread_mutex_unlock(&o->lock);
}

enum tls_ocsp_mode tls_ocsp_get_mode(struct tls_ocsp *o)
{
    pthread_mutex_lock(&o->lock);
    enum tls_ocsp_mode mode = o->mode;
    pthread_mutex_unlock(&o->lock);
    return mode;
}

uint32_t tls_ocsp_get_timeout_ms(struct tls_ocsp *o)
{
    pthread_mutex_lock(&o->lock);
    uint32_t timeout_ms = o->timeout_ms;
    pthread_mutex_unlock(&o->lock);
    return timeout_ms;
}

/* --- Telling */

void tls_ocsp_tell(struct tls *t, struct tls_ocsp_metrics *metrics, tls_ocsp_fn *fn, void *arg)
{
    struct tls_ocsp *o = tls_get_ocsp(t);
    o->metrics = metrics;
    o->fn = fn;
    o->arg = arg;
}

struct tls_ocsp_metrics *tls_ocsp_get_metrics(struct tls_ocsp *o)
{
    return o->metrics;
}

void tls_ocsp_count(metric *m)
{
    atomic_fetch_add_explicit(m, 1, memory_order_relaxed);
}

void tls_ocsp_say(const struct tls_ocsp *o, bool is_good, const char *fmt, ...)
{
    char text[TLS_OCSP_TEXT_MAX];
    va_list args;
    if (!o->fn)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    o->fn(is_good, text, o->arg);
}

/* --- What is known */

static bool tls_ocsp_get(struct tls_ocsp *o, const uint8_t *key, enum ocsp_status *ret_status)
{
    pthread_mutex_lock(&o->lock);
    const bool is_known = ocsp_cache_get(&o->known, key, time(NULL), ret_status);
    pthread_mutex_unlock(&o->lock);
    return is_known;
}

static void tls_ocsp_put(struct tls_ocsp *o, const uint8_t *key, enum ocsp_status status, time_t until)
{
    pthread_mutex_lock(&o->lock);
    ocsp_cache_put(&o->known, key, status, until);
    pthread_mutex_unlock(&o->lock);
}

enum ocsp_status tls_ocsp_get_status(struct tls_ocsp *o, const X509 *cert)
{
    uint8_t key[OCSP_DIGEST_BYTES];
    enum ocsp_status status;
    ocsp_get_digest(cert, key);
    return tls_ocsp_get(o, key, &status) ? status : OCSP_STATUS_NONE;
}

/* The key of the responder of CERT. False: it has none. */
static bool tls_ocsp_get_responder_key(const X509 *cert, uint8_t *dst)
{
    char url[TLS_OCSP_URL_MAX];
    return ocsp_get_responder(cert, url, sizeof(url)) && EVP_Digest(url, strlen(url), dst, NULL, EVP_sha256(), NULL);
}

bool tls_ocsp_is_silent(struct tls_ocsp *o, const X509 *cert)
{
    uint8_t key[OCSP_DIGEST_BYTES];
    enum ocsp_status status;
    return tls_ocsp_get_responder_key(cert, key) && tls_ocsp_get(o, key, &status);
}

void tls_ocsp_learn(struct tls_ocsp *o, const X509 *cert, const struct ocsp_answer *answer)
{
    uint8_t key[OCSP_DIGEST_BYTES];
    const time_t now = time(NULL);
    if (answer->status == OCSP_STATUS_NONE) {
        /* One that does answer, if not to this question, is asked about other certificates. */
        if (answer->is_silence && tls_ocsp_get_responder_key(cert, key))
            tls_ocsp_put(o, key, OCSP_STATUS_NONE, now + TLS_OCSP_SILENCE_S);
        return;
    }
    const time_t most = now + (answer->status == OCSP_STATUS_UNKNOWN ? TLS_OCSP_KEEP_UNKNOWN_S : TLS_OCSP_KEEP_S);
    ocsp_get_digest(cert, key);
    tls_ocsp_put(o, key, answer->status, answer->until < most ? answer->until : most);
}

void tls_ocsp_set_staple(struct tls_ocsp *o, X509 *cert, const uint8_t *der, size_t n, time_t until)
{
    unsigned char *copy = OPENSSL_memdup(der, n);
    pthread_mutex_lock(&o->lock);
    tls_ocsp_drop_staple(o);
    if (copy && o->mode != TLS_OCSP_OFF) {
        X509_up_ref(cert);
        o->staple_cert = cert;
        o->staple = copy;
        o->staple_bytes = n;
        o->staple_until = until;
        copy = NULL;
    }
    pthread_mutex_unlock(&o->lock);
    OPENSSL_free(copy);
}

/* A copy; NULL: there is none about CERT, or it is too old. After a reload it may be about a certificate of before. */
static unsigned char *tls_ocsp_copy_staple(struct tls_ocsp *o, const X509 *cert, size_t *ret_bytes)
{
    unsigned char *copy = NULL;
    pthread_mutex_lock(&o->lock);
    if (o->staple_cert && cert && X509_cmp(o->staple_cert, cert) == 0 && time(NULL) < o->staple_until) {
        copy = OPENSSL_memdup(o->staple, o->staple_bytes);
        *ret_bytes = o->staple_bytes;
    }
    pthread_mutex_unlock(&o->lock);
    return copy;
}

/* --- What OpenSSL asks during a handshake */

static struct tls_ocsp *tls_ocsp_of(const SSL *ssl)
{
    const char *host;
    return tls_get_ocsp(conn_tls_owner(conn_tls_of_ssl(ssl), &host));
}

/* Server: the client wants a staple. */
static int tls_ocsp_on_request(SSL *ssl, void *arg)
{
    size_t n = 0;
    unsigned char *staple = tls_ocsp_copy_staple(tls_ocsp_of(ssl), SSL_get_certificate(ssl), &n);
    if (!staple)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, staple, n); /* it is the SSL's now */
    return SSL_TLSEXT_ERR_OK;
}

/* Client: what the server has stapled, if anything. 1: go on; what it says is known from now on. */
static int tls_ocsp_on_staple(SSL *ssl, void *arg)
{
    struct tls_ocsp *o = tls_ocsp_of(ssl);
    struct ocsp_answer answer;
    char name[TLS_OCSP_TEXT_MAX / 2];
    const unsigned char *der;
    X509 *cert, *issuer;
    const long n = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    if (n <= 0 || !conn_tls_get_pair(conn_tls_of_ssl(ssl), &cert, &issuer))
        return 1;
    ocsp_read_answer(der, (size_t)n, cert, issuer, NULL, &answer);
    if (answer.status == OCSP_STATUS_NONE) {
        tls_ocsp_count(&o->metrics->ocsp_staples_unusable);
        tls_facts_format_name(X509_get_subject_name(cert), name, sizeof(name));
        tls_ocsp_say(o, false, "the OCSP response stapled to certificate %s does not count: %s", name, answer.text);
        return 1;
    }
    tls_ocsp_learn(o, cert, &answer);
    if (answer.status != OCSP_STATUS_REVOKED)
        return 1;
    tls_ocsp_count(&o->metrics->ocsp_revoked);
    conn_tls_refuse(conn_tls_of_ssl(ssl), cert, answer.text);
    return 0;
}

/* Server: a session that lets a certificate in without a look at it is good as long as the certificate is known to be.
 */
static SSL_TICKET_RETURN tls_ocsp_on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t n,
                                            SSL_TICKET_STATUS status, void *arg)
{
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (!tls_ocsp_may_resume(tls_ocsp_of(ssl), session, SSL_get_verify_mode(ssl) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

bool tls_ocsp_refuses(const SSL *ssl, X509 *cert)
{
    struct tls_ocsp *o = tls_ocsp_of(ssl);
    if (tls_ocsp_get_mode(o) == TLS_OCSP_OFF || tls_ocsp_get_status(o, cert) != OCSP_STATUS_REVOKED)
        return false;
    tls_ocsp_count(&o->metrics->ocsp_revoked);
    conn_tls_refuse(conn_tls_of_ssl(ssl), cert, "revoked, as OCSP has told");
    return true;
}

bool tls_ocsp_may_resume(struct tls_ocsp *o, const SSL_SESSION *session, bool needs_cert)
{
    const X509 *cert = SSL_SESSION_get0_peer((SSL_SESSION *)session);
    if (tls_ocsp_get_mode(o) == TLS_OCSP_OFF)
        return true;
    return cert ? tls_ocsp_get_status(o, cert) == OCSP_STATUS_GOOD : !needs_cert;
}

void tls_ocsp_note_chain(const SSL *ssl, STACK_OF(X509) * chain)
{
    const int n = sk_X509_num(chain);
    if (n > 0 && tls_ocsp_get_mode(tls_ocsp_of(ssl)) != TLS_OCSP_OFF) /* alone: trusted itself, and its own issuer */
        conn_tls_note_issuer(conn_tls_of_ssl(ssl), sk_X509_value(chain, 0), sk_X509_value(chain, n > 1 ? 1 : 0));
}

/* Whose session was resumed has been looked at by tls_ocsp_may_resume(). */
bool tls_ocsp_wants_check(const SSL *ssl)
{
    return tls_ocsp_get_mode(tls_ocsp_of(ssl)) != TLS_OCSP_OFF && !SSL_session_reused(ssl) &&
           SSL_get0_peer_certificate(ssl);
}

void tls_ocsp_prepare(SSL_CTX *ctx, const struct tls_options *o)
{
    if (o->ocsp == TLS_OCSP_OFF)
        return;
    if (!o->is_server) {
        SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
        SSL_CTX_set_tlsext_status_cb(ctx, tls_ocsp_on_staple);
        return;
    }
    SSL_CTX_set_tlsext_status_cb(ctx, tls_ocsp_on_request);
    if (o->client_auth == TLS_CLIENT_AUTH_NONE)
        return;
    SSL_CTX_set_session_ticket_cb(ctx, NULL, tls_ocsp_on_ticket, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* of clients without tickets: nobody asks us there */
}
