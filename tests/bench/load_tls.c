/* See load_tls.h. */
#include "load_tls.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

static SSL_CTX *refuse(SSL_CTX *tls, const char *what)
{
    fprintf(stderr, "mqtt-load: %s: %s\n", what, load_tls_reason());
    SSL_CTX_free(tls);
    return NULL;
}

SSL_CTX *load_tls_new(const char *cert)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

    if (!tls)
        return refuse(tls, "TLS");
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(tls,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(tls, 1);
    if (cert && (SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
                 SSL_CTX_use_PrivateKey_file(tls, cert, SSL_FILETYPE_PEM) != 1))
        return refuse(tls, cert);
    return tls;
}

SSL *load_tls_open(SSL_CTX *tls, int fd)
{
    SSL *ssl = SSL_new(tls);

    if (ssl && SSL_set_fd(ssl, fd) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

/* What a call that did not succeed means, as errno; 0: the other side has ended the connection. */
static int failure(SSL *ssl, int result)
{
    int system_error = errno;

    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return system_error;
    default:
        return EPROTO;
    }
}

static void begin(void)
{
    ERR_clear_error();
    errno = 0;
}

int load_tls_handshake(SSL *ssl, bool *ret_wants_write)
{
    begin();
    int r = SSL_connect(ssl);
    if (r == 1)
        return 0;
    errno = failure(ssl, r);
    if (errno == 0)
        errno = ECONNRESET; /* closed in the middle of it */
    *ret_wants_write = SSL_want_write(ssl);
    return -1;
}

ssize_t load_tls_recv(SSL *ssl, void *dst, size_t n)
{
    size_t got = 0, more = 0;
    int r = 1;

    begin();
    while (got < n && (r = SSL_read_ex(ssl, (char *)dst + got, n - got, &more)) == 1)
        got += more;
    if (got > 0)
        return (ssize_t)got;
    errno = failure(ssl, r);
    return errno == 0 ? 0 : -1;
}

ssize_t load_tls_send(SSL *ssl, const void *bytes, size_t n)
{
    size_t written;

    begin();
    int r = SSL_write_ex(ssl, bytes, n, &written);
    if (r == 1)
        return (ssize_t)written;
    errno = failure(ssl, r);
    return -1;
}

const char *load_tls_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());

    return text ? text : "failed";
}

void load_tls_describe(SSL *ssl, char *dst, size_t size)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    const EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;
    const char *group = SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));

    snprintf(dst, size, "%s %s %s %s%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl), group ? group : "-",
             key ? EVP_PKEY_get0_type_name(key) : "-", SSL_session_reused(ssl) ? " resumed" : "");
}
