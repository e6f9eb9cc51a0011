/* See tls.h. What is current is one SSL_CTX, replaced as a whole; each connection holds the one it began with. */
#include "tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "address.h"
#include "err.h"
#include "tls_internal.h"

enum {
    TLS_FILES = 6,
    TLS_SECURITY_LEVEL = 2,  /* RSA and DH from 2,048 bits, no SHA-1 signatures */
    TLS_SESSIONS_MAX = 1024, /* of TLS 1.2 clients without tickets; a session may hold a certificate */
    TLS_TICKETS = 1,         /* for each 1.3 handshake; every further one costs bytes and time */
    TLS_HOST_MAX = 256,
};

#define TLS_PSK_SUITES "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"

/* A file as it was when it was last read; zero if it was not there. */
struct tls_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtim, ctim;
};

/* Client: the last session with each host, for the next connection there. */
struct tls_session {
    struct tls_session *next;
    SSL_SESSION *session;
    char host[TLS_HOST_MAX];
};

struct tls {
    _Atomic unsigned refs;
    struct tls_stamp stamps[TLS_FILES]; /* of what was read */
    struct tls_stamp seen[TLS_FILES];   /* when somebody last asked for changes */
    char *warning, *summary;            /* may be NULL */
    struct tls_ocsp *ocsp;
    pthread_mutex_t lock;       /* of all below */
    struct tls_options options; /* the texts are owned; changed by the thread that reloads, which reads without lock */
    SSL_CTX *ctx;               /* one reference */
    struct tls_session *sessions;
};

static int tls_psk_index;           /* of the struct tls_psk_table of an SSL_CTX */
static SSL_SESSION *tls_no_session; /* with nothing in it, for all connections whose own is not needed any more */
static pthread_once_t tls_once = PTHREAD_ONCE_INIT;

static void tls_on_ctx_free(void *ctx, void *table, CRYPTO_EX_DATA *data, int index, long arg, void *more)
{
    tls_psk_free(table);
}

static void tls_init_once(void)
{
    tls_psk_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, tls_on_ctx_free);
    tls_no_session = SSL_SESSION_new();
}

/* --- Options */

static const char **tls_text_field(struct tls_options *o, size_t i)
{
    const char **fields[] = {&o->cert,    &o->key,        &o->key_password, &o->ca, &o->crl, &o->psk, /* files first */
                             &o->ciphers, &o->server_name};
    return i < sizeof(fields) / sizeof(fields[0]) ? fields[i] : NULL;
}

static void tls_options_free(struct tls_options *o)
{
    const char **field;
    for (size_t i = 0; (field = tls_text_field(o, i)); i++)
        free((char *)*field);
}

static int tls_options_copy(const struct tls_options *from, struct tls_options *ret)
{
    struct tls_options copy = *from;
    const char **field;
    bool is_short = false;
    for (size_t i = 0; (field = tls_text_field(&copy, i)); i++) {
        *field = *field ? strdup(*field) : NULL;
        is_short |= !*field && *tls_text_field((struct tls_options *)from, i);
    }
    if (is_short) {
        tls_options_free(&copy);
        return err_set(-ENOMEM, "TLS: out of memory");
    }
    *ret = copy;
    return 0;
}

static void tls_stamp_all(const struct tls_options *o, struct tls_stamp *ret_stamps)
{
    struct stat st;
    memset(ret_stamps, 0, TLS_FILES * sizeof(*ret_stamps));
    for (size_t i = 0; i < TLS_FILES; i++) {
        const char *file = *tls_text_field((struct tls_options *)o, i);
        if (!file || stat(file, &st) < 0)
            continue;
        ret_stamps[i].dev = st.st_dev;
        ret_stamps[i].ino = st.st_ino;
        ret_stamps[i].size = st.st_size;
        ret_stamps[i].mtim = st.st_mtim;
        ret_stamps[i].ctim = st.st_ctim;
    }
}

/* --- What OpenSSL asks during a handshake */

/* A connection keeps the chain that was found for the peer's certificate, but nobody asks for it. */
static int tls_on_chain(X509_STORE_CTX *store, void *arg)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const bool is_good = X509_verify_cert(store) == 1;
    if (is_good)
        tls_ocsp_note_chain(ssl, X509_STORE_CTX_get0_chain(store));
    X509_STORE_CTX_set0_verified_chain(store, NULL);
    return is_good;
}

/* "certificate CN=pump-3 refused: certificate has expired". */
static int tls_on_verify(int is_good, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *cert = X509_STORE_CTX_get0_cert(store);
    if (!is_good)
        conn_tls_note_refusal(conn_tls_of_ssl(ssl), cert, X509_STORE_CTX_get_current_cert(store),
                              X509_STORE_CTX_get_error(store));
    if (!is_good || X509_STORE_CTX_get_error_depth(store) > 0 || !tls_ocsp_refuses(ssl, cert))
        return is_good;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED); /* which the alert tells */
    return 0;
}

static unsigned tls_on_psk(SSL *ssl, const char *identity, unsigned char *dst, unsigned size)
{
    const struct tls_psk_table *table = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tls_psk_index);
    size_t n = tls_psk_find(table, identity, dst, size);
    conn_tls_note_psk(conn_tls_of_ssl(ssl), identity, n > 0);
    return (unsigned)n;
}

/* A client that offers nothing we know is served all the same: MQTT clients with ALPN for some cloud are common. */
static int tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *arg)
{
    static const unsigned char known[] = "\x04mqtt\x08http/1.1";
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, known, sizeof(known) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* --- Sessions of a client */

static struct tls_session *tls_find_session(const struct tls *t, const char *host)
{
    struct tls_session *s = t->sessions;
    while (s && strcmp(s->host, host) != 0)
        s = s->next;
    return s;
}

static void tls_drop_sessions(struct tls_session *sessions)
{
    while (sessions) {
        struct tls_session *next = sessions->next;
        SSL_SESSION_free(sessions->session);
        free(sessions);
        sessions = next;
    }
}

/* A session belongs to the files it was made with: one of before a reload is not kept. */
static int tls_on_new_session(SSL *ssl, SSL_SESSION *session)
{
    const char *host;
    struct tls *t = conn_tls_owner(conn_tls_of_ssl(ssl), &host);
    if (strlen(host) >= TLS_HOST_MAX)
        return 0;
    pthread_mutex_lock(&t->lock);
    struct tls_session *s = NULL;
    if (SSL_get_SSL_CTX(ssl) == t->ctx)
        s = tls_find_session(t, host);
    if (!s && SSL_get_SSL_CTX(ssl) == t->ctx && (s = calloc(1, sizeof(*s)))) {
        snprintf(s->host, sizeof(s->host), "%s", host);
        s->next = t->sessions;
        t->sessions = s;
    }
    if (s) {
        SSL_SESSION_free(s->session);
        s->session = session;
    }
    pthread_mutex_unlock(&t->lock);
    return s != NULL;
}

/* --- Making an SSL_CTX */

static int tls_refuse(const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return err_set(-EINVAL, "%s: %s", what, reason ? reason : "refused by OpenSSL");
}

static void tls_add_cipher(char *list, const char *name, size_t n)
{
    if (list[0])
        strcat(list, ":");
    strncat(list, name, n);
}

/* One list for people; OpenSSL has one for TLS 1.3 and one for the rest. */
static int tls_set_ciphers(SSL_CTX *ctx, const char *ciphers)
{
    const size_t size = strlen(ciphers) + 1;
    char *suites = calloc(2, size), *list = suites ? suites + size : NULL;
    int r = 0;
    if (!suites)
        return err_set(-ENOMEM, "TLS: out of memory");
    for (const char *at = ciphers; *at;) {
        size_t n = strcspn(at, ":, ");
        if (n > 0)
            tls_add_cipher(strncmp(at, "TLS_", 4) == 0 ? suites : list, at, n);
        at += n;
        at += strspn(at, ":, ");
    }
    if ((suites[0] && SSL_CTX_set_ciphersuites(ctx, suites) != 1) ||
        (list[0] && SSL_CTX_set_cipher_list(ctx, list) != 1))
        r = err_context(tls_refuse(ciphers), "tls-ciphers");
    free(suites);
    return r;
}

static void tls_set_rules(SSL_CTX *ctx, const struct tls_options *o)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF); /* MQTT has an end of its own, and clients just go */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY |
                              SSL_MODE_NO_AUTO_CHAIN); /* the chain is what the file says */
    SSL_CTX_set_cert_verify_callback(ctx, tls_on_chain, NULL);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_security_level(ctx, TLS_SECURITY_LEVEL);
    SSL_CTX_set_min_proto_version(ctx, o->min_version == TLS_MIN_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
}

static void tls_set_server(SSL_CTX *ctx, const struct tls_options *o)
{
    static const unsigned char id[] = "mqtt";
    int verify = o->client_auth == TLS_CLIENT_AUTH_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    if (o->client_auth == TLS_CLIENT_AUTH_REQUIRE)
        verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ctx, verify, tls_on_verify);
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(ctx, TLS_SESSIONS_MAX);
    SSL_CTX_set_num_tickets(ctx, TLS_TICKETS);
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_alpn_select_cb(ctx, tls_on_alpn, NULL);
}

static void tls_set_client(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, tls_on_verify);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tls_on_new_session);
}

static int tls_load_psk(SSL_CTX *ctx, const char *file)
{
    struct tls_psk_table *table;
    int r = tls_psk_load(file, &table);
    if (r < 0)
        return r;
    if (SSL_CTX_set_ex_data(ctx, tls_psk_index, table) != 1) {
        tls_psk_free(table);
        return err_set(-ENOMEM, "TLS: out of memory");
    }
    SSL_CTX_set_psk_server_callback(ctx, tls_on_psk);
    /* In TLS 1.3 a PSK of the old kind goes with SHA-256 alone: were another suite preferred, it would be passed over
     * in silence where there is a certificate. */
    if (SSL_CTX_set_ciphersuites(ctx, TLS_PSK_SUITES) != 1)
        return tls_refuse(TLS_PSK_SUITES);
    return 0;
}

static int tls_check_options(const struct tls_options *o)
{
    if (o->is_server && !o->cert && !o->psk)
        return err_set(-EINVAL, "TLS: a certificate or a file of PSKs is needed");
    if (o->client_auth != TLS_CLIENT_AUTH_NONE && !o->ca)
        return err_set(-EINVAL, "TLS: to ask clients for certificates a CA is needed");
    if (o->key && !o->cert)
        return err_set(-EINVAL, "%s: a key without a certificate", o->key);
    return 0;
}

static int tls_make(const struct tls_options *o, SSL_CTX **ret_ctx, char **ret_warning, char **ret_summary)
{
    int r = tls_check_options(o);
    if (r < 0)
        return r;
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(o->is_server ? TLS_server_method() : TLS_client_method());
    if (!ctx)
        return tls_refuse("TLS");
    tls_set_rules(ctx, o);
    if (o->is_server)
        tls_set_server(ctx, o);
    else
        tls_set_client(ctx);
    tls_ocsp_prepare(ctx, o);
    if (o->psk)
        r = tls_load_psk(ctx, o->psk);
    if (r == 0 && o->ciphers)
        r = tls_set_ciphers(ctx, o->ciphers);
    if (r == 0)
        r = tls_files_load(ctx, o, ret_warning, ret_summary);
    if (r < 0)
        SSL_CTX_free(ctx);
    else
        *ret_ctx = ctx;
    return r;
}

/* --- Life */

/* OPTIONS are taken over on success. */
static int tls_load(struct tls *t, const struct tls_options *options)
{
    SSL_CTX *ctx;
    char *warning = NULL, *summary = NULL;
    tls_stamp_all(options, t->stamps); /* before reading: what is written meanwhile is seen as a change */
    int r = tls_make(options, &ctx, &warning, &summary);
    if (r < 0)
        return r;
    pthread_mutex_lock(&t->lock);
    SSL_CTX *old = t->ctx;
    struct tls_session *sessions = t->sessions;
    t->ctx = ctx;
    t->sessions = NULL;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old);
    tls_drop_sessions(sessions);
    tls_ocsp_begin(t->ocsp, options);
    free(t->warning);
    free(t->summary);
    t->warning = warning;
    t->summary = summary;
    return 0;
}

int tls_reload(struct tls *t, const struct tls_options *options)
{
    struct tls_options copy;
    if (!options)
        return tls_load(t, &t->options);
    int r = tls_options_copy(options, &copy);
    if (r < 0)
        return r;
    r = tls_load(t, &copy);
    if (r < 0) {
        tls_options_free(&copy);
        tls_stamp_all(&t->options, t->stamps); /* watched are the files in use */
        return r;
    }
    pthread_mutex_lock(&t->lock);
    struct tls_options old = t->options;
    t->options = copy;
    pthread_mutex_unlock(&t->lock);
    tls_options_free(&old);
    return 0;
}

int tls_new(const struct tls_options *options, struct tls **ret_tls)
{
    pthread_once(&tls_once, tls_init_once);
    struct tls *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(-ENOMEM, "TLS: out of memory");
    t->refs = 1;
    pthread_mutex_init(&t->lock, NULL);
    t->ocsp = tls_ocsp_new();
    int r = t->ocsp ? tls_reload(t, options) : err_set(-ENOMEM, "TLS: out of memory");
    if (r < 0) {
        tls_unref(t);
        return r;
    }
    *ret_tls = t;
    return 0;
}

struct tls *tls_ref(struct tls *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

struct tls *tls_unref(struct tls *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    SSL_CTX_free(t->ctx);
    tls_drop_sessions(t->sessions);
    tls_ocsp_free(t->ocsp);
    pthread_mutex_destroy(&t->lock);
    tls_options_free(&t->options);
    free(t->warning);
    free(t->summary);
    free(t);
    return NULL;
}

bool tls_has_changed(struct tls *t)
{
    struct tls_stamp now[TLS_FILES];
    tls_stamp_all(&t->options, now);
    const bool is_new = memcmp(now, t->stamps, sizeof(now)) != 0;
    const bool is_at_rest = memcmp(now, t->seen, sizeof(now)) == 0;
    memcpy(t->seen, now, sizeof(now));
    return is_new && is_at_rest;
}

const char *tls_warning(const struct tls *t)
{
    return t->warning ? t->warning : "";
}

const char *tls_summary(const struct tls *t)
{
    return t->summary ? t->summary : "";
}

/* --- For conn_tls.c */

SSL *tls_open(struct tls *t)
{
    pthread_mutex_lock(&t->lock);
    SSL *ssl = SSL_new(t->ctx);
    pthread_mutex_unlock(&t->lock);
    return ssl;
}

struct tls_ocsp *tls_get_ocsp(const struct tls *t)
{
    return t->ocsp;
}

/* Behind the certificate in its file, or among the CAs. */
static X509 *tls_find_issuer(SSL_CTX *ctx, X509 *cert)
{
    STACK_OF(X509) *chain = NULL;
    X509 *issuer = NULL;
    SSL_CTX_get0_chain_certs(ctx, &chain);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *other = sk_X509_value(chain, i);
        if (X509_check_issued(other, cert) == X509_V_OK) {
            X509_up_ref(other);
            return other;
        }
    }
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    if (!store || X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(ctx), cert, NULL) != 1 ||
        X509_STORE_CTX_get1_issuer(&issuer, store, cert) != 1)
        issuer = NULL;
    X509_STORE_CTX_free(store);
    ERR_clear_error();
    return issuer;
}

bool tls_get_own_pair(struct tls *t, X509 **ret_cert, X509 **ret_issuer)
{
    pthread_mutex_lock(&t->lock);
    SSL_CTX *ctx = t->ctx;
    SSL_CTX_up_ref(ctx);
    const bool is_server = t->options.is_server;
    pthread_mutex_unlock(&t->lock);
    X509 *cert = is_server ? SSL_CTX_get0_certificate(ctx) : NULL;
    if (cert) {
        X509_up_ref(cert);
        *ret_cert = cert;
        *ret_issuer = tls_find_issuer(ctx, cert);
    }
    SSL_CTX_free(ctx);
    return cert != NULL;
}

static int tls_expect_name(SSL *ssl, const char *name)
{
    union conn_address address;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (address_parse(name, 0, &address))
        return X509_VERIFY_PARAM_set1_ip_asc(param, name);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) && SSL_set_tlsext_host_name(ssl, name);
}

int tls_expect(struct tls *t, SSL *ssl, const char *host)
{
    ERR_clear_error();
    pthread_mutex_lock(&t->lock);
    int ok = tls_expect_name(ssl, t->options.server_name ? t->options.server_name : host);
    const struct tls_session *s = SSL_get_SSL_CTX(ssl) == t->ctx ? tls_find_session(t, host) : NULL;
    if (s && tls_ocsp_may_resume(t->ocsp, s->session, true))
        SSL_set_session(ssl, s->session);
    pthread_mutex_unlock(&t->lock);
    return ok == 1 ? 0 : tls_refuse(host);
}

/* --- What is let go of when a handshake is done */

/* A context with nothing in it for connections that have come to METHOD, which is that of TLS 1.3. */
static SSL_CTX *tls_get_bare(const SSL_METHOD *method)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static SSL_CTX *bare; /* lives for ever */
    pthread_mutex_lock(&lock);
    if (!bare)
        bare = SSL_CTX_new(method);
    SSL_CTX *ctx = bare;
    pthread_mutex_unlock(&lock);
    return ctx;
}

static bool tls_limits_fragments(const SSL *ssl)
{
    const uint8_t mode = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl));
    return mode >= TLSEXT_max_fragment_length_512 && mode <= TLSEXT_max_fragment_length_4096;
}

/* In TLS 1.3 the session is of no use after the tickets have been made from it, unless it says how long records may be.
 * OpenSSL has no call to drop it, but one to set another, which begins anew unless the context is of the same method as
 * the connection. Ours, of all versions, never is. */
static void tls_forget_session(SSL *ssl)
{
    if (!tls_no_session || SSL_version(ssl) != TLS1_3_VERSION || tls_limits_fragments(ssl))
        return;
    SSL_CTX *bare = tls_get_bare(SSL_get_ssl_method(ssl));
    if (bare && SSL_set_SSL_CTX(ssl, bare) == bare)
        SSL_set_session(ssl, tls_no_session);
}

/* KEY is OpenSSL's: it stays there without anything in it. One reference is dropped. */
static void tls_empty_key(EVP_PKEY *key)
{
    EVP_PKEY_set_type(key, EVP_PKEY_get_id(key));
    EVP_PKEY_free(key);
}

void tls_forget_handshake(SSL *ssl)
{
    EVP_PKEY *key;
    if (SSL_get_tmp_key(ssl, &key) == 1)
        tls_empty_key(key);
    if (SSL_get_peer_tmp_key(ssl, &key) == 1)
        tls_empty_key(key);
    if (SSL_is_server(ssl)) /* a client makes sessions of the tickets that come later */
        tls_forget_session(ssl);
}
