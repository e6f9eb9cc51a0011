/* TLS of the trunk (1.2 and 1.3, by libgrpc): the certificate of this side, and whom it believes. Both change without a
 * restart: handshakes that follow use what the files say now, connections that exist go on.
 *
 *   files --> read, checked with OpenSSL --+--> certificate and key --> libgrpc shows them to the peer
 *                  |                       '--> CAs, CRL ------------> we check what the peer shows
 *                  '--> something is wrong: all stays as it was, and whoever watches hears which file, which
 *                       certificate, and why
 *
 * libgrpc never sees a file of the user's: what it reads while somebody writes it would end its handshakes until the
 * next change. It gets the checked bytes, a server's through a file in memory that its file watcher looks at every
 * second. The peer's certificate is checked by us in libgrpc's verifier, before the first byte of HTTP/2, since
 * libgrpc's own check can neither say which certificate was wrong nor take a new CRL. Any thread, unless said
 * otherwise. */
#ifndef RPC_TLS_H
#define RPC_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct loop;
struct rpc_tls;

/* Files are PEM. */
struct rpc_tls_files {
    const char *ca;          /* file or folder (openssl rehash). Client: NULL is what the system believes. Server: NULL
                              * asks clients for no certificate, else they need one */
    const char *certificate; /* with its chain; a server needs it. NULL only together with KEY */
    const char *key;         /* not encrypted */
    const char *crl;         /* revocation lists of all CAs that sign clients; NULL: nothing is revoked */
};

/* A peer has shown a certificate that is refused, or none: TEXT says which and why. On any thread, several at once. */
typedef void rpc_tls_refused_fn(const char *text, void *arg);

struct rpc_tls_params {
    struct rpc_tls_files files;
    bool is_server;
    rpc_tls_refused_fn *on_refused; /* may be NULL */
    void *arg;
};

/* PARAMS are copied. The files must be good. One reference for the caller. 0 or negative errno with err_text(). */
int rpc_tls_new(const struct rpc_tls_params *params, struct rpc_tls **ret_tls);
struct rpc_tls *rpc_tls_ref(struct rpc_tls *t);
/* NULL is fine. */
struct rpc_tls *rpc_tls_unref(struct rpc_tls *t);

/* Read again, from FILES from now on (NULL: from the same). Whether there are CAs of a server, or a certificate of a
 * client, may change too; for a server only in the next process. On the thread that made T. 0; negative errno with
 * err_text(): all is as it was. */
int rpc_tls_reload(struct rpc_tls *t, const struct rpc_tls_files *files);

/* R: what rpc_tls_reload() has said; TEXT: what is used now, or what is wrong. */
typedef void rpc_tls_reloaded_fn(int r, const char *text, void *arg);
/* Look at the files every second, and read them again when they have changed and then stayed for a second, so that two
 * files that are replaced one after the other are read together. Once, on the thread of LOOP, which made T. */
void rpc_tls_watch(struct rpc_tls *t, struct loop *loop, rpc_tls_reloaded_fn *fn, void *arg);
/* The same thread. Fine if nothing was watched. */
void rpc_tls_unwatch(struct rpc_tls *t);

/* "certificate CN = server, valid until Nov 21 18:00:00 2027 GMT". Returns TEXT. */
char *rpc_tls_describe(struct rpc_tls *t, char *text, size_t n);

#endif
