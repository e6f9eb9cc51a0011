/* What the files of rpc know of TLS. rpc_tls.c: the object, and libgrpc's side; rpc_tls_files.c: files to material;
 * rpc_tls_verify.c: the peer's certificate. */
#ifndef RPC_TLS_INTERNAL_H
#define RPC_TLS_INTERNAL_H

#include <stdatomic.h>

#include <grpc/grpc_security.h>
#include <openssl/x509.h>

#include "rpc_tls.h"

/* What the files held when they were read: complete, checked, and never changed. */
struct rpc_tls_material {
    atomic_uint refs;
    X509_STORE *trust; /* NULL: the peer's certificate is not asked for */
    char *certificate; /* PEM; NULL with `key` */
    char *key;
    char subject[256];
    char valid_until[64];
};

enum { RPC_TLS_FILE_MAX = 16 * 1024 * 1024 };

/* --- rpc_tls_files.c */

int rpc_tls_material_read(const struct rpc_tls_files *files, bool is_server, struct rpc_tls_material **ret_material);
struct rpc_tls_material *rpc_tls_material_unref(struct rpc_tls_material *m);
/* "CN = server, O = Example". Returns TEXT. */
char *rpc_tls_name(const X509_NAME *name, char *text, size_t n);

/* --- rpc_tls.c */

struct rpc_tls_material *rpc_tls_material(struct rpc_tls *t);
void rpc_tls_refused(struct rpc_tls *t, const char *text);

/* The caller's. AUTHORITY: as in rpc_channel.h. 0, or -EINVAL if there is no name in it. */
int rpc_tls_channel_credentials(struct rpc_tls *t, const char *authority, grpc_channel_credentials **ret_credentials);
grpc_server_credentials *rpc_tls_server_credentials(struct rpc_tls *t);

/* --- rpc_tls_verify.c */

/* Lets libgrpc ask about each peer. HOST: what a server's certificate must name; NULL for clients. Holds a reference
 * of T. NULL if memory is short. */
grpc_tls_certificate_verifier *rpc_tls_verifier(struct rpc_tls *t, const char *host);
/* LEAF and CHAIN: PEM, NULL or "" if there is none. True; false with TEXT: which certificate, and why. */
bool rpc_tls_verify(const struct rpc_tls_material *m, const char *host, const char *leaf, const char *chain, char *text,
                    size_t n);

#endif
