/* See conn_tls.h.
 *
 *   read:   layer below --> BIO --> SSL (reads ahead, lets its buffer go when it is empty) --> the caller's memory
 *   write:  the caller's pieces --> records of 16 KiB --> SSL --> BIO --> a scratch of the thread --> layer below, one
 * write
 *
 * The BIO takes whatever OpenSSL writes, so it never wants to write before it can read: what is left of a handshake's
 * flight, an answer to a key update, an alert waits in the layer's queue. */
#include "conn_tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "conn_internal.h"
#include "err.h"
#include "str.h"
#include "tls_check.h"
#include "tls_internal.h"

enum {
    CONN_TLS_RECORD_BYTES = 16 * 1024,
    CONN_TLS_WRITE_BYTES = 4 * CONN_TLS_RECORD_BYTES, /* a call's share; the rest comes with the next */
    CONN_TLS_OUT_BYTES = CONN_TLS_WRITE_BYTES + 4096, /* with what TLS adds */
    CONN_TLS_NAME_MAX = 300,
    CONN_TLS_ALPN_MAX = 32,
};

struct conn_tls {
    struct conn_layer layer; /* first */
    struct tls *tls;         /* one reference */
    SSL *ssl;                /* NULL until the handshake begins: a connection that stays silent costs nothing */
    char *host;              /* client; NULL: we are the server */
    const char *alpn;        /* client; NULL: none. Lives for ever */
    char *refusal;           /* the certificate of the peer that was refused, and why; NULL: none was */
    char *psk;               /* identity that the client has named; NULL: none. Until the handshake is done */
    struct conn_tls_facts *facts;
    struct tls_check *check;  /* of the peer's certificate, by OCSP, until it has passed; NULL: none */
    struct loop *loop;        /* of who drives it; NULL: nobody does */
    conn_layer_wake_fn *wake; /* when the check is over */
    void *wake_arg;
    int below_error; /* negative errno of the layer below */
    bool has_psk;    /* the identity is known here */
    bool has_begun;  /* a byte of the peer's has come */
    bool is_drained; /* during a call: the layer below has nothing more */
    bool below_has_ended;
};

/* What OpenSSL writes during a call; and small pieces put together for a record. Too large for the stack. */
static _Thread_local struct {
    size_t out_bytes;
    uint8_t out[CONN_TLS_OUT_BYTES];
    uint8_t record[CONN_TLS_RECORD_BYTES];
} conn_tls_scratch;

static BIO_METHOD *conn_tls_bio;
static pthread_once_t conn_tls_once = PTHREAD_ONCE_INIT;

/* --- The way down */

static void conn_tls_send(struct conn_tls *t, const void *bytes, size_t n)
{
    int r = conn_layer_send(&t->layer, bytes, n);
    if (r < 0 && t->below_error == 0)
        t->below_error = r;
}

static void conn_tls_send_out(struct conn_tls *t)
{
    conn_tls_send(t, conn_tls_scratch.out, conn_tls_scratch.out_bytes);
    conn_tls_scratch.out_bytes = 0;
}

static int conn_tls_bio_write(BIO *bio, const char *bytes, int n)
{
    if (conn_tls_scratch.out_bytes + (size_t)n > CONN_TLS_OUT_BYTES)
        conn_tls_send_out(BIO_get_data(bio));
    if ((size_t)n > CONN_TLS_OUT_BYTES) {
        conn_tls_send(BIO_get_data(bio), bytes, (size_t)n);
        return n;
    }
    memcpy(conn_tls_scratch.out + conn_tls_scratch.out_bytes, bytes, (size_t)n);
    conn_tls_scratch.out_bytes += (size_t)n;
    return n;
}

static int conn_tls_bio_read(BIO *bio, char *dst, int size)
{
    struct conn_tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = t->is_drained ? -EAGAIN : conn_layer_read_below(&t->layer, dst, (size_t)size);
    if (n < size)
        t->is_drained = true;
    if (n == 0) {
        t->below_has_ended = true;
        return 0;
    }
    if (n == -EAGAIN)
        BIO_set_retry_read(bio);
    else if (n < 0 && t->below_error == 0)
        t->below_error = (int)n;
    t->has_begun |= n > 0;
    return n < 0 ? -1 : (int)n;
}

static long conn_tls_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct conn_tls *t = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF)
        return t->below_has_ended;
    return command == BIO_CTRL_FLUSH;
}

static int conn_tls_bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static void conn_tls_init_once(void)
{
    conn_tls_bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "conn_layer");
    if (!conn_tls_bio)
        abort(); /* at the first connection: there is no memory for anything */
    BIO_meth_set_create(conn_tls_bio, conn_tls_bio_create);
    BIO_meth_set_write(conn_tls_bio, conn_tls_bio_write);
    BIO_meth_set_read(conn_tls_bio, conn_tls_bio_read);
    BIO_meth_set_ctrl(conn_tls_bio, conn_tls_bio_ctrl);
}

/* Data of the SSL's own would cost each connection 100 bytes more. */
struct conn_tls *conn_tls_of_ssl(const SSL *ssl)
{
    return BIO_get_data(SSL_get_rbio(ssl));
}

/* Around every call of OpenSSL's. */
static void conn_tls_begin(struct conn_tls *t)
{
    t->is_drained = t->below_has_ended;
    conn_tls_scratch.out_bytes = 0;
    ERR_clear_error();
}

/* --- Why it failed */

/* The options may name another than the host that was dialled. */
static const char *conn_tls_expected(const struct conn_tls *t)
{
    const char *name = X509_VERIFY_PARAM_get0_host(SSL_get0_param(t->ssl), 0);
    return name ? name : t->host;
}

void conn_tls_note_refusal(struct conn_tls *t, X509 *cert, X509 *culprit, int error)
{
    char subject[CONN_TLS_NAME_MAX] = "of the peer", other[CONN_TLS_NAME_MAX] = "";
    const char *where = "", *what = "";
    if (t->refusal)
        return;
    if (cert)
        tls_facts_format_name(X509_get_subject_name(cert), subject, sizeof(subject));
    if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        where = ", expected ";
        what = conn_tls_expected(t);
    } else if (cert && culprit && X509_cmp(cert, culprit) != 0) {
        where = ": ";
        what = tls_facts_format_name(X509_get_subject_name(culprit), other, sizeof(other));
    }
    if (asprintf(&t->refusal, "certificate %s refused: %s%s%s", subject, X509_verify_cert_error_string(error), where,
                 what) < 0)
        t->refusal = NULL;
}

void conn_tls_refuse(struct conn_tls *t, X509 *cert, const char *why)
{
    char subject[CONN_TLS_NAME_MAX];
    tls_facts_format_name(X509_get_subject_name(cert), subject, sizeof(subject));
    if (!t->refusal && asprintf(&t->refusal, "certificate %s refused: %s", subject, why) < 0)
        t->refusal = NULL;
}

void conn_tls_note_issuer(struct conn_tls *t, X509 *cert, X509 *issuer)
{
    tls_check_free(t->check);
    t->check = tls_check_new(cert, issuer);
}

bool conn_tls_get_pair(const struct conn_tls *t, X509 **ret_cert, X509 **ret_issuer)
{
    if (t->check)
        tls_check_get_pair(t->check, ret_cert, ret_issuer);
    return t->check;
}

void conn_tls_note_psk(struct conn_tls *t, const char *identity, bool is_known)
{
    free(t->psk);
    t->psk = strdup(identity);
    t->has_psk = is_known;
}

struct tls *conn_tls_owner(const struct conn_tls *t, const char **ret_host)
{
    *ret_host = t->host;
    return t->tls;
}

/* The first entry of OpenSSL's queue is nearest to the cause. */
static int conn_tls_fail_by_queue(struct conn_tls *t)
{
    unsigned long e = ERR_get_error();
    const int reason = ERR_GET_REASON(e);
    const char *text = ERR_reason_error_string(e);
    char identity[CONN_TLS_NAME_MAX];
    ERR_clear_error();
    if (reason >= SSL_AD_REASON_OFFSET) {
        const char *alert = SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET);
        const bool is_named = strcmp(alert, "unknown") != 0; /* those of TLS 1.3 are not */
        return conn_layer_fail(&t->layer, -EPROTO, "TLS: the peer refuses: %s", is_named || !text ? alert : text);
    }
    if (ERR_GET_LIB(e) == ERR_LIB_ASN1)
        return conn_layer_fail(&t->layer, -EPROTO, "TLS: the peer's certificate cannot be read: %s", text);
    if (reason == SSL_R_PSK_IDENTITY_NOT_FOUND && t->psk)
        return conn_layer_fail(&t->layer, -EPROTO, "TLS: unknown PSK identity '%s'",
                               str_quote(identity, sizeof(identity), t->psk, strlen(t->psk)));
    return conn_layer_fail(&t->layer, -EPROTO, "TLS: %s", text ? text : "failed");
}

/* OpenSSL has come to a result that is no success and no wish for more. */
static int conn_tls_fail(struct conn_tls *t)
{
    conn_tls_send_out(t); /* the alert */
    if (t->refusal)
        return conn_layer_fail(&t->layer, -EPROTO, "TLS: %s", t->refusal);
    if (ERR_peek_error() != 0 && !t->below_has_ended)
        return conn_tls_fail_by_queue(t);
    if (t->below_error < 0)
        return t->below_error;
    return conn_layer_fail(&t->layer, -EPROTO, "TLS: closed by the peer during the handshake");
}

/* --- The layer */

static int conn_tls_offer(const struct conn_tls *t)
{
    unsigned char list[1 + CONN_TLS_ALPN_MAX];
    size_t n = strlen(t->alpn);
    list[0] = (unsigned char)n;
    memcpy(list + 1, t->alpn, n);
    return SSL_set_alpn_protos(t->ssl, list, (unsigned)n + 1) == 0 ? 0 : -ENOMEM;
}

static int conn_tls_start(struct conn_tls *t)
{
    t->ssl = tls_open(t->tls);
    BIO *bio = t->ssl ? BIO_new(conn_tls_bio) : NULL;
    if (!bio)
        return -ENOMEM;
    BIO_set_data(bio, t);
    SSL_set_bio(t->ssl, bio, bio);
    if (!t->host) {
        SSL_set_accept_state(t->ssl);
        return 0;
    }
    SSL_set_connect_state(t->ssl);
    if (tls_expect(t->tls, t->ssl, t->host) < 0)
        return conn_layer_fail(&t->layer, -EINVAL, "TLS: %s", err_text());
    return t->alpn ? conn_tls_offer(t) : 0;
}

static void conn_tls_on_checked(void *arg)
{
    struct conn_tls *t = arg;
    t->wake(t->wake_arg); /* T may be gone from here on */
}

static enum tls_check_result conn_tls_ask(struct conn_tls *t)
{
    const struct tls_check_params params = {.tls = t->tls, .loop = t->loop, .fn = conn_tls_on_checked, .arg = t};
    if (!tls_ocsp_wants_check(t->ssl))
        return TLS_CHECK_PASSED;
    if (!t->check) /* OCSP was turned on during this handshake: nobody has kept the issuer */
        t->check = tls_check_new(SSL_get0_peer_certificate(t->ssl), NULL);
    return t->check ? tls_check_peer(t->check, &params) : TLS_CHECK_REFUSED;
}

/* The handshake is done; what is left is whether the certificate is still good. OpenSSL has no alert for that now. */
static int conn_tls_check(struct conn_tls *t)
{
    SSL_set_tlsext_status_ocsp_resp(t->ssl, NULL, 0); /* a staple has done its work, and would be kept */
    switch (conn_tls_ask(t)) {
    case TLS_CHECK_PASSED:
        t->check = tls_check_free(t->check);
        return 0;
    case TLS_CHECK_WAITS:
        return -EINPROGRESS;
    case TLS_CHECK_REFUSED:
        break;
    }
    conn_tls_refuse(t, SSL_get0_peer_certificate(t->ssl), t->check ? tls_check_text(t->check) : "out of memory");
    SSL_shutdown(t->ssl);
    return conn_tls_fail(t);
}

static int conn_tls_opened(struct conn_tls *t)
{
    int r = conn_tls_check(t);
    if (r < 0)
        return r;
    t->facts = tls_facts_new(t->ssl, t->has_psk ? t->psk : NULL);
    free(t->psk);
    t->psk = NULL;
    tls_forget_handshake(t->ssl);
    return t->facts ? 0 : -ENOMEM;
}

static int conn_tls_open(struct conn_layer *l)
{
    struct conn_tls *t = (struct conn_tls *)l;
    int r = t->ssl ? 0 : conn_tls_start(t);
    if (r < 0)
        return r;
    conn_tls_begin(t);
    int n = SSL_do_handshake(t->ssl);
    if (n != 1 && SSL_get_error(t->ssl, n) != SSL_ERROR_WANT_READ)
        return conn_tls_fail(t);
    conn_tls_send_out(t);
    return n == 1 ? conn_tls_opened(t) : -EAGAIN;
}

static void conn_tls_drive(struct conn_layer *l, struct loop *loop, conn_layer_wake_fn *wake, void *arg)
{
    struct conn_tls *t = (struct conn_tls *)l;
    t->loop = loop;
    t->wake = wake;
    t->wake_arg = arg;
    if (!loop)
        tls_check_stop(t->check);
}

/* The stream has come to an end that OpenSSL names ERROR: 0, or a negative errno. */
static ssize_t conn_tls_read_end(struct conn_tls *t, int error)
{
    if (error == SSL_ERROR_WANT_READ)
        return -EAGAIN;
    if (error != SSL_ERROR_ZERO_RETURN)
        return conn_tls_fail(t);
    t->layer.has_ended = true;
    return 0;
}

static ssize_t conn_tls_read(struct conn_layer *l, void *dst, size_t n)
{
    struct conn_tls *t = (struct conn_tls *)l;
    size_t got = 0, more = 0;
    ssize_t r = 0;
    if (l->has_ended)
        return 0;
    conn_tls_begin(t);
    while (got < n && SSL_read_ex(t->ssl, (uint8_t *)dst + got, n - got, &more) == 1)
        got += more;
    if (got < n)
        r = conn_tls_read_end(t, SSL_get_error(t->ssl, 0));
    conn_tls_send_out(t);
    return got > 0 ? (ssize_t)got : r;
}

/* A place among the pieces to write. */
struct conn_tls_source {
    const struct iovec *iov;
    int left;
    size_t offset;
};

/* The bytes of the next record: a piece that fills it as it lies, smaller ones put together. 0 at the end. */
static size_t conn_tls_gather(struct conn_tls_source *s, const void **ret_bytes)
{
    size_t n = 0;
    while (s->left > 0 && n < CONN_TLS_RECORD_BYTES) {
        const uint8_t *from = (const uint8_t *)s->iov->iov_base + s->offset;
        size_t have = s->iov->iov_len - s->offset, room = CONN_TLS_RECORD_BYTES - n;
        const bool is_alone = n == 0 && (have >= room || s->left == 1);
        size_t take = have < room ? have : room;
        if (take > 0 && !is_alone)
            memcpy(conn_tls_scratch.record + n, from, take);
        n += take;
        s->offset += take;
        if (s->offset == s->iov->iov_len) {
            s->iov++;
            s->left--;
            s->offset = 0;
        }
        if (is_alone && take > 0) {
            *ret_bytes = from;
            return n;
        }
    }
    *ret_bytes = conn_tls_scratch.record;
    return n;
}

static ssize_t conn_tls_write(struct conn_layer *l, const struct iovec *iov, int n)
{
    struct conn_tls *t = (struct conn_tls *)l;
    struct conn_tls_source source = {.iov = iov, .left = n};
    const void *bytes;
    size_t taken = 0, len, written;
    conn_tls_begin(t);
    while (taken < CONN_TLS_WRITE_BYTES && (len = conn_tls_gather(&source, &bytes)) > 0) {
        /* All or nothing: the BIO takes it whole, in smaller records if the peer has asked for them. */
        if (SSL_write_ex(t->ssl, bytes, len, &written) != 1)
            return conn_tls_fail(t);
        taken += len;
    }
    conn_tls_send_out(t);
    return t->below_error < 0 ? t->below_error : (ssize_t)taken;
}

static void conn_tls_finish(struct conn_layer *l)
{
    struct conn_tls *t = (struct conn_tls *)l;
    conn_tls_begin(t);
    SSL_shutdown(t->ssl);
    conn_tls_send_out(t);
    ERR_clear_error();
}

static void conn_tls_free(struct conn_layer *l)
{
    struct conn_tls *t = (struct conn_tls *)l;
    tls_check_free(t->check);
    if (t->ssl)
        SSL_set_quiet_shutdown(t->ssl, 1);
    SSL_free(t->ssl);
    tls_facts_free(t->facts);
    tls_unref(t->tls);
    free(t->host);
    free(t->refusal);
    free(t->psk);
    free(t);
}

static const struct conn_layer_ops conn_tls_ops = {
    .open = conn_tls_open,
    .drive = conn_tls_drive,
    .read = conn_tls_read,
    .write = conn_tls_write,
    .finish = conn_tls_finish,
    .free = conn_tls_free,
};

/* --- Life */

static struct conn_tls *conn_tls_new(struct tls *tls)
{
    struct conn_tls *t = calloc(1, sizeof(*t));
    pthread_once(&conn_tls_once, conn_tls_init_once);
    if (!t)
        return NULL;
    t->layer.ops = &conn_tls_ops;
    t->tls = tls_ref(tls);
    return t;
}

int conn_tls_push_server(struct conn_layer **top, int fd, struct tls *tls)
{
    struct conn_tls *t = conn_tls_new(tls);
    if (!t)
        return -ENOMEM;
    conn_layer_push(top, fd, &t->layer);
    return 0;
}

int conn_tls_push_client(struct conn_layer **top, int fd, struct tls *tls, const char *host, const char *alpn)
{
    struct conn_tls *t = conn_tls_new(tls);
    if (t)
        t->host = strdup(host);
    if (!t || !t->host) {
        if (t)
            conn_tls_free(&t->layer);
        return -ENOMEM;
    }
    t->alpn = alpn;
    conn_layer_push(top, fd, &t->layer);
    return 0;
}

/* NULL: C has no TLS. */
static const struct conn_tls *conn_tls_of(const struct conn *c)
{
    const struct conn_layer *l = c->layer;
    while (l && l->ops != &conn_tls_ops)
        l = l->below;
    return (const struct conn_tls *)l;
}

const struct conn_tls_facts *conn_tls_facts(const struct conn *c)
{
    const struct conn_tls *t = conn_tls_of(c);
    return t ? t->facts : NULL;
}

bool conn_tls_is_in_handshake(const struct conn *c)
{
    const struct conn_tls *t = conn_tls_of(c);
    return t && t->has_begun && !t->layer.is_open;
}
