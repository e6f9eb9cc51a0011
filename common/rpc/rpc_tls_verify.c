/* The peer's certificate (rpc_tls_internal.h): asked by libgrpc at the end of each handshake, on any of its threads. */
#include "rpc_tls_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/alloc.h>
#include <grpc/support/string_util.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "rpc_tsan.h"

enum { SECURITY_LEVEL = 2 }; /* of OpenSSL, as on the MQTT legs: RSA from 2,048 bits, no SHA-1 */

static X509 *parse_one(const char *pem)
{
    BIO *bio = pem ? BIO_new_mem_buf(pem, -1) : NULL;
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return certificate;
}

/* Certificates between the peer's and a CA. */
static STACK_OF(X509) * parse_chain(const char *pem)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    BIO *bio = chain && pem ? BIO_new_mem_buf(pem, -1) : NULL;
    X509 *next;
    while (bio && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (!sk_X509_push(chain, next))
            X509_free(next);
    }
    BIO_free(bio);
    return chain;
}

/* A name or an address. */
static bool expect_host(X509_VERIFY_PARAM *param, const char *host)
{
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host))
        return true;
    ERR_clear_error();
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

static bool is_host_error(int error)
{
    return error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

static void describe_failure(X509_STORE_CTX *ctx, const char *host, const X509 *leaf, char *text, size_t n)
{
    char name[256];
    const int error = X509_STORE_CTX_get_error(ctx);
    const X509 *wrong = X509_STORE_CTX_get_current_cert(ctx);
    rpc_tls_name(X509_get_subject_name(wrong ? wrong : leaf), name, sizeof(name));
    if (host && is_host_error(error))
        snprintf(text, n, "certificate %s is not one of %s", name, host);
    else
        snprintf(text, n, "certificate %s: %s", name, X509_verify_cert_error_string(error));
}

static bool verify_chain(const struct rpc_tls_material *m, const char *host, X509 *leaf, STACK_OF(X509) * chain,
                         char *text, size_t n)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool is_good = false;
    snprintf(text, n, "certificate: out of memory");
    if (ctx && X509_STORE_CTX_init(ctx, m->trust, leaf, chain) &&
        X509_STORE_CTX_set_default(ctx, host ? "ssl_server" : "ssl_client") &&
        (!host || expect_host(X509_STORE_CTX_get0_param(ctx), host))) {
        X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx), SECURITY_LEVEL);
        is_good = X509_verify_cert(ctx) == 1;
        if (!is_good)
            describe_failure(ctx, host, leaf, text, n);
    }
    X509_STORE_CTX_free(ctx);
    return is_good;
}

bool rpc_tls_verify(const struct rpc_tls_material *m, const char *host, const char *leaf_pem, const char *chain_pem,
                    char *text, size_t n)
{
    X509 *leaf = parse_one(leaf_pem);
    STACK_OF(X509) *chain = parse_chain(chain_pem);
    bool is_good = false;
    if (leaf && chain)
        is_good = verify_chain(m, host, leaf, chain, text, n);
    else
        snprintf(text, n, "it has shown no certificate");
    sk_X509_pop_free(chain, X509_free);
    X509_free(leaf);
    ERR_clear_error();
    return is_good;
}

/* --- libgrpc's side */

/* Made, used and freed on whichever threads; libgrpc puts that in order. */
struct verifier {
    grpc_tls_certificate_verifier_external external; /* first */
    struct rpc_tls *tls;
    char *host; /* NULL: peers are clients */
};

static int verifier_verify(void *user_data, grpc_tls_custom_verification_check_request *request,
                           grpc_tls_on_custom_verification_check_done_cb callback, void *callback_arg,
                           grpc_status_code *sync_status, char **sync_error_details)
{
    const struct verifier *v = user_data;
    char text[512];
    rpc_tsan_acquire(v);
    struct rpc_tls_material *m = rpc_tls_material(v->tls);
    *sync_status = GRPC_STATUS_OK;
    if (m->trust && !rpc_tls_verify(m, v->host, request->peer_info.peer_cert, request->peer_info.peer_cert_full_chain,
                                    text, sizeof(text))) {
        *sync_status = GRPC_STATUS_UNAUTHENTICATED;
        *sync_error_details = gpr_strdup(text);
        rpc_tls_refused(v->tls, text);
    }
    rpc_tls_material_unref(m);
    rpc_tsan_release(v);
    return 1; /* done */
}

static void verifier_cancel(void *user_data, grpc_tls_custom_verification_check_request *request)
{
}

static void verifier_destruct(void *user_data)
{
    struct verifier *v = user_data;
    rpc_tsan_acquire(v);
    rpc_tls_unref(v->tls);
    free(v->host);
    free(v);
}

grpc_tls_certificate_verifier *rpc_tls_verifier(struct rpc_tls *t, const char *host)
{
    struct verifier *v = calloc(1, sizeof(*v));
    char *copy = host ? strdup(host) : NULL;
    if (!v || (host && !copy)) {
        free(v);
        free(copy);
        return NULL;
    }
    *v = (struct verifier){
        .external = {.user_data = v,
                     .verify = verifier_verify,
                     .cancel = verifier_cancel,
                     .destruct = verifier_destruct},
        .tls = rpc_tls_ref(t),
        .host = copy,
    };
    rpc_tsan_release(v);
    return grpc_tls_certificate_verifier_external_create(&v->external);
}
