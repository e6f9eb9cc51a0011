/* Certificates made for one test program, and a TLS peer played step by step over a plain descriptor. Everything here
 * checks its own results. */
#ifndef TLS_SUPPORT_H
#define TLS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ssl_st;

/* The path of a file in a folder of this process, which is made when first asked for and goes at exit. PEM; a
 * certificate comes with its key behind it.
 *
 *   ca.pem       signs all of these but stranger.pem
 *   server.pem   CN server, DNS localhost, IP 127.0.0.1        server2.pem: the same again, CN server2
 *   client.pem   CN pump-3, O site, DNS pump-3.example, URI spiffe://site/pump-3, IP 10.0.0.7
 *   expired.pem  revoked.pem   CN as the name says              crl.pem: on it is revoked.pem
 *   responder.pem              may sign answers by OCSP for ca.pem, as other-responder.pem may for other-ca.pem
 *   stranger.pem               of another CA, other-ca.pem */
const char *tls_support_file(const char *name);
/* A copy of the file NAME under the name TO, in its place at once; returns its path. */
const char *tls_support_copy(const char *name, const char *to);
/* TEXT as the file NAME; returns its path. */
const char *tls_support_write_file(const char *name, const char *text);
/* A new certificate of CN for localhost, by ca.pem, as the file NAME; it names OCSP_URL as where to ask about it. NULL:
 * nothing. Returns its path. */
const char *tls_support_issue(const char *name, const char *cn, const char *ocsp_url);
/* The file NAME as TO, its key locked with PASSWORD. */
void tls_support_lock_key(const char *name, const char *to, const char *password);

/* A TLS client over FD, which does not block. CERT: its certificate, or NULL. It believes every server. */
struct ssl_st *tls_support_peer(int fd, const char *cert);
/* As recv(): -1 with EAGAIN, 0 at the end, in order or not. */
ssize_t tls_support_recv(struct ssl_st *peer, void *dst, size_t n);
/* As send(). */
ssize_t tls_support_send(struct ssl_st *peer, const void *bytes, size_t n);
/* One step of the handshake. True when it is done. */
bool tls_support_connect(struct ssl_st *peer);

#endif
