/* Files of PEM into what TLS needs (rpc_tls_internal.h). What libgrpc would find out at a handshake is found out here.
 */
#include "rpc_tls_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "err.h"

/* What OpenSSL said last, without its numbers. */
static const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "not understood";
}

/* Whether the last PEM_read found simply nothing more. Clears the errors then. */
static bool is_end_of_pem(void)
{
    unsigned long e = ERR_peek_last_error();
    if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

char *rpc_tls_name(const X509_NAME *name, char *text, size_t n)
{
    BIO *bio = BIO_new(BIO_s_mem());
    text[0] = '\0';
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        int len = BIO_read(bio, text, (int)n - 1);
        text[len > 0 ? len : 0] = '\0';
    }
    BIO_free(bio);
    if (text[0] == '\0')
        snprintf(text, n, "no name");
    return text;
}

static void time_text(const ASN1_TIME *time, char *text, size_t n)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len = bio && ASN1_TIME_print(bio, time) ? BIO_read(bio, text, (int)n - 1) : 0;
    text[len > 0 ? len : 0] = '\0';
    BIO_free(bio);
}

/* --- Bytes */

static int read_all(int fd, size_t size, const char *path, char **ret_bytes)
{
    char *bytes = malloc(size + 1);
    size_t have = 0;
    ssize_t got = 1;
    if (!bytes)
        return err_errno(-ENOMEM, "%s", path);
    while (have < size && (got = read(fd, bytes + have, size - have)) > 0)
        have += (size_t)got;
    if (got < 0) {
        int r = err_errno(-errno, "%s", path);
        free(bytes);
        return r;
    }
    bytes[have] = '\0';
    *ret_bytes = bytes;
    return 0;
}

/* The whole file as a string that the caller frees. */
static int read_file(const char *path, char **ret_bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(-errno, "%s", path);
    int r = fstat(fd, &st) < 0 ? err_errno(-errno, "%s", path) : 0;
    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_size > RPC_TLS_FILE_MAX))
        r = err_set(-EINVAL, "%s: no file of certificates", path);
    if (r == 0)
        r = read_all(fd, (size_t)st.st_size, path, ret_bytes);
    close(fd);
    return r;
}

static int open_pem(const char *path, char **ret_bytes, BIO **ret_bio)
{
    *ret_bytes = NULL;
    int r = read_file(path, ret_bytes);
    if (r < 0)
        return r;
    ERR_clear_error();
    *ret_bio = BIO_new_mem_buf(*ret_bytes, -1);
    if (*ret_bio)
        return 0;
    free(*ret_bytes);
    *ret_bytes = NULL;
    return err_set(-ENOMEM, "%s: out of memory", path);
}

/* --- The certificate and its key */

static int check_dates(const X509 *certificate, const char *path)
{
    char name[256], when[64];
    rpc_tls_name(X509_get_subject_name(certificate), name, sizeof(name));
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        time_text(X509_get0_notAfter(certificate), when, sizeof(when));
        return err_set(-EINVAL, "%s: certificate %s has expired at %s", path, name, when);
    }
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
        time_text(X509_get0_notBefore(certificate), when, sizeof(when));
        return err_set(-EINVAL, "%s: certificate %s is not valid before %s", path, name, when);
    }
    return 0;
}

/* What follows the first certificate: each one is read, so that a file that was cut is noticed. */
static int read_chain(BIO *bio, const char *path, SSL_CTX *ctx)
{
    X509 *next;
    while ((next = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (!SSL_CTX_add0_chain_cert(ctx, next)) {
            X509_free(next);
            return err_set(-EINVAL, "%s: chain: %s", path, openssl_reason());
        }
    }
    return is_end_of_pem() ? 0 : err_set(-EINVAL, "%s: chain: %s", path, openssl_reason());
}

static int use_certificate(BIO *bio, const char *path, SSL_CTX *ctx, struct rpc_tls_material *m)
{
    X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    if (!certificate)
        return err_set(-EINVAL, "%s: %s", path, is_end_of_pem() ? "no certificate in it" : openssl_reason());
    rpc_tls_name(X509_get_subject_name(certificate), m->subject, sizeof(m->subject));
    time_text(X509_get0_notAfter(certificate), m->valid_until, sizeof(m->valid_until));
    int r = check_dates(certificate, path);
    if (r == 0 && SSL_CTX_use_certificate(ctx, certificate) != 1)
        r = err_set(-EINVAL, "%s: certificate %s: %s", path, m->subject, openssl_reason());
    X509_free(certificate);
    return r < 0 ? r : read_chain(bio, path, ctx);
}

/* OpenSSL would ask at the terminal. */
static int no_password(char *buf, int size, int is_write, void *arg)
{
    *(bool *)arg = true;
    return -1;
}

static int use_key(BIO *bio, const char *path, SSL_CTX *ctx, const struct rpc_tls_material *m)
{
    bool is_encrypted = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &is_encrypted);
    if (!key && is_encrypted)
        return err_set(-EINVAL, "%s: the key is encrypted; the trunk needs one without password", path);
    if (!key)
        return err_set(-EINVAL, "%s: no private key in it that can be read", path); /* OpenSSL says "unsupported" */
    int r = 0;
    if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1)
        r = err_set(-EINVAL, "%s: is not the key of certificate %s", path, m->subject);
    else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
        r = err_set(-EINVAL, "%s: %s", path, openssl_reason());
    EVP_PKEY_free(key);
    return r;
}

typedef int use_fn(BIO *bio, const char *path, SSL_CTX *ctx, struct rpc_tls_material *m);

static int use_key_file(BIO *bio, const char *path, SSL_CTX *ctx, struct rpc_tls_material *m)
{
    return use_key(bio, path, ctx, m);
}

static int use_file(const char *path, use_fn *use, SSL_CTX *ctx, struct rpc_tls_material *m, char **ret_bytes)
{
    BIO *bio;
    int r = open_pem(path, ret_bytes, &bio);
    if (r < 0)
        return r;
    r = use(bio, path, ctx, m);
    BIO_free(bio);
    return r;
}

/* An SSL_CTX of the same OpenSSL as libgrpc's takes what libgrpc will take, and refuses what it will refuse: weak keys
 * too. */
static int read_identity(const struct rpc_tls_files *files, struct rpc_tls_material *m)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (!ctx)
        return err_errno(-ENOMEM, "%s", files->certificate);
    int r = use_file(files->certificate, use_certificate, ctx, m, &m->certificate);
    if (r == 0)
        r = use_file(files->key, use_key_file, ctx, m, &m->key);
    SSL_CTX_free(ctx);
    return r;
}

/* --- CAs and revocation lists */

static int add_authorities(BIO *bio, const char *path, X509_STORE *store)
{
    unsigned n = 0;
    X509 *ca;
    while ((ca = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
        int is_added = X509_STORE_add_cert(store, ca);
        X509_free(ca);
        if (!is_added)
            return err_set(-EINVAL, "%s: %s", path, openssl_reason());
        n++;
    }
    if (!is_end_of_pem())
        return err_set(-EINVAL, "%s: certificate %u: %s", path, n + 1, openssl_reason());
    return n > 0 ? 0 : err_set(-EINVAL, "%s: no certificate in it", path);
}

static int check_list(const X509_CRL *crl, const char *path)
{
    char name[256], when[64];
    const ASN1_TIME *until = X509_CRL_get0_nextUpdate(crl);
    if (!until || X509_cmp_current_time(until) > 0)
        return 0;
    rpc_tls_name(X509_CRL_get_issuer(crl), name, sizeof(name));
    time_text(until, when, sizeof(when));
    return err_set(-EINVAL, "%s: the list of %s has expired at %s", path, name, when);
}

static int add_lists(BIO *bio, const char *path, X509_STORE *store)
{
    unsigned n = 0;
    X509_CRL *crl;
    while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
        int r = check_list(crl, path);
        if (r == 0 && !X509_STORE_add_crl(store, crl))
            r = err_set(-EINVAL, "%s: %s", path, openssl_reason());
        X509_CRL_free(crl);
        if (r < 0)
            return r;
        n++;
    }
    if (!is_end_of_pem())
        return err_set(-EINVAL, "%s: revocation list %u: %s", path, n + 1, openssl_reason());
    return n > 0 ? 0 : err_set(-EINVAL, "%s: no revocation list in it", path);
}

typedef int add_fn(BIO *bio, const char *path, X509_STORE *store);

static int add_file(const char *path, add_fn *add, X509_STORE *store)
{
    char *bytes;
    BIO *bio;
    int r = open_pem(path, &bytes, &bio);
    if (r < 0)
        return r;
    r = add(bio, path, store);
    BIO_free(bio);
    free(bytes);
    return r;
}

static int add_trust(const char *path, X509_STORE *store)
{
    struct stat st;
    if (!path)
        return X509_STORE_set_default_paths(store) ? 0 : err_set(-EIO, "CAs of the system: %s", openssl_reason());
    if (stat(path, &st) < 0)
        return err_errno(-errno, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return add_file(path, add_authorities, store);
    return X509_STORE_load_path(store, path) ? 0 : err_set(-EIO, "%s: %s", path, openssl_reason());
}

/* Lists of CAs in the middle of a chain need not be there; that of whoever signed the peer must. */
static int forgive_missing_lists(int is_ok, X509_STORE_CTX *ctx)
{
    return is_ok ||
           (X509_STORE_CTX_get_error(ctx) == X509_V_ERR_UNABLE_TO_GET_CRL && X509_STORE_CTX_get_error_depth(ctx) > 0);
}

static int read_trust(const struct rpc_tls_files *files, struct rpc_tls_material *m)
{
    m->trust = X509_STORE_new();
    if (!m->trust)
        return err_errno(-ENOMEM, "CAs");
    int r = add_trust(files->ca, m->trust);
    if (r < 0 || !files->crl)
        return r;
    X509_STORE_set_verify_cb(m->trust, forgive_missing_lists);
    X509_STORE_set_flags(m->trust, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return add_file(files->crl, add_lists, m->trust);
}

/* --- Life */

int rpc_tls_material_read(const struct rpc_tls_files *files, bool is_server, struct rpc_tls_material **ret_material)
{
    if (!files->certificate != !files->key || (is_server && !files->certificate))
        return err_set(-EINVAL, "TLS: a certificate and its key are needed");
    struct rpc_tls_material *m = calloc(1, sizeof(*m));
    if (!m)
        return err_errno(-ENOMEM, "TLS");
    atomic_init(&m->refs, 1);
    int r = files->certificate ? read_identity(files, m) : 0;
    if (r == 0 && (files->ca || !is_server))
        r = read_trust(files, m);
    ERR_clear_error();
    if (r < 0) {
        rpc_tls_material_unref(m);
        return r;
    }
    *ret_material = m;
    return 0;
}

struct rpc_tls_material *rpc_tls_material_unref(struct rpc_tls_material *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    X509_STORE_free(m->trust);
    free(m->certificate);
    if (m->key)
        OPENSSL_cleanse(m->key, strlen(m->key));
    free(m->key);
    free(m);
    return NULL;
}
