/* What TLS connections are made from: certificate, key, CAs, CRLs, PSKs, as files named by options. Read once, read
 * again when they have changed, while connections live: those go on with what they began with, the next ones get the
 * new files. A set of files that cannot be used changes nothing.
 *
 * A `struct tls` may be used on any thread. OpenSSL's TLS appears in tls*.c and conn_tls.c alone. */
#ifndef TLS_H
#define TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls;

enum { TLS_OCSP_TIMEOUT_MS = 5000 };

enum tls_client_auth { /* server: whether a client has to show a certificate */
                       TLS_CLIENT_AUTH_NONE,
                       TLS_CLIENT_AUTH_OPTIONAL, /* it need not; one that it shows must be good */
                       TLS_CLIENT_AUTH_REQUIRE,
};

enum tls_min_version {
    TLS_MIN_VERSION_1_2,
    TLS_MIN_VERSION_1_3,
};

enum tls_ocsp_mode { /* whether certificates are checked with their OCSP responder (tls_ocsp.h) */
                     TLS_OCSP_OFF,
                     TLS_OCSP_SOFT, /* one that is revoked is refused */
                     TLS_OCSP_HARD, /* one that is not known to be good is refused */
};

/* Names of files; NULL: not given. */
struct tls_options {
    bool is_server;
    const char *cert;         /* PEM, our own first, then the rest of its chain */
    const char *key;          /* PEM; NULL: in the same file as `cert` */
    const char *key_password; /* file whose first line opens the key */
    const char *ca;           /* file or hashed directory (openssl rehash); NULL: a client uses the system's */
    const char *crl;          /* PEM; the peer's certificate must not be on it. Every issuer needs one then */
    const char *psk;          /* server: lines `identity:hexkey` */
    const char *ciphers;      /* OpenSSL's names: TLS_... for 1.3, others for 1.2; NULL: OpenSSL's choice */
    const char *server_name;  /* client: expected in the certificate, and sent (SNI), instead of the URL's host */
    enum tls_client_auth client_auth;
    enum tls_min_version min_version;
    enum tls_ocsp_mode ocsp;
    uint32_t ocsp_timeout_ms; /* for an answer about a peer; 0: TLS_OCSP_TIMEOUT_MS */
};

/* 0, or negative errno with err_text() naming file, certificate and reason. One reference. OPTIONS are copied. */
int tls_new(const struct tls_options *options, struct tls **ret_tls);
struct tls *tls_ref(struct tls *t);
/* NULL is fine. Returns NULL. */
struct tls *tls_unref(struct tls *t);

/* Read all files again, with OPTIONS in place of those before (NULL: the same). As tls_new(); on failure T is as it
 * was. One thread at a time. */
int tls_reload(struct tls *t, const struct tls_options *options);
/* Whether a file is another one, or has been written to, since it was last read or tried, and none has changed since
 * this was last asked: half a list of keys or of authorities may look like a good one while somebody writes it, and key
 * and certificate are replaced one after the other. A CA directory changes when a name in it does. One thread. */
bool tls_has_changed(struct tls *t);
/* What is not right but no reason to refuse, of the last reading: a key that others may read, a certificate that has
 * expired. "" if nothing. */
const char *tls_warning(const struct tls *t);
/* "CN=broker.example, valid until ..." of our own certificate; "" if there is none. */
const char *tls_summary(const struct tls *t);

#endif
