/* TLS as a layer of a conn (conn_layer.h), and what is known of a peer that came over it. */
#ifndef CONN_TLS_H
#define CONN_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct conn_layer;
struct tls;

/* Of a peer whose handshake is done. Texts are UTF-8 without NUL inside; they live as long as the conn. */
struct conn_tls_facts {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
    bool is_resumed;
    const char *psk;         /* identity of the pre-shared key; NULL: none was used, or the session was resumed */
    const char *subject;     /* of the certificate, RFC 2253: "CN=pump-3,O=site"; NULL: no certificate, as all below */
    const char *common_name; /* the last CN; NULL: it has none */
    const char **alt_names;  /* "DNS:pump-3.example", "URI:spiffe://...", "email:...", "IP:10.0.0.7" */
    size_t n_alt_names;
};

/* NULL: no TLS, or its handshake is not done. */
const struct conn_tls_facts *conn_tls_facts(const struct conn *c);
/* Whether C has TLS whose handshake has begun, by a byte of the peer's, and is not done; when C ends, that it has come
 * to nothing. */
bool conn_tls_is_in_handshake(const struct conn *c);

/* A server's side of TLS on top of *TOP (NULL: the socket FD), with what T holds when the first byte comes. 0 or
 * -ENOMEM.
 */
int conn_tls_push_server(struct conn_layer **top, int fd, struct tls *t);
/* A client's side: HOST is the name or address whose certificate is expected, ALPN (may be NULL) the protocol offered.
 * conn_layer_open() is to be called. */
int conn_tls_push_client(struct conn_layer **top, int fd, struct tls *t, const char *host, const char *alpn);

#endif
