/* TLS of the load generator's clients, by OpenSSL on the socket itself: a full handshake each time, nothing is resumed.
 * Any certificate is believed: whoever measures has started the server himself. */
#ifndef LOAD_TLS_H
#define LOAD_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <openssl/types.h>

/* What all connections share. CERT: PEM file with the certificate to show when asked, and its key; NULL: none. NULL
 * with a message on stderr. Freed with SSL_CTX_free(). */
SSL_CTX *load_tls_new(const char *cert);
/* On the connected socket FD, which stays the caller's. NULL if memory is short. Freed with SSL_free(). */
SSL *load_tls_open(SSL_CTX *tls, int fd);

/* 0 when it is done; -1 with errno: EAGAIN as a socket's, *RET_WANTS_WRITE tells in which direction; EPROTO: TLS has
 * failed. */
int load_tls_handshake(SSL *ssl, bool *ret_wants_write);
/* As recv() and send(): less than N bytes read says that there are no more; errno EPROTO: TLS has failed. */
ssize_t load_tls_recv(SSL *ssl, void *dst, size_t n);
ssize_t load_tls_send(SSL *ssl, const void *bytes, size_t n);
/* Why the last of these calls failed with EPROTO. Lives for ever. */
const char *load_tls_reason(void);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384 x25519 EC": version, cipher, group, key of the server's certificate. */
void load_tls_describe(SSL *ssl, char *dst, size_t size);

#endif
