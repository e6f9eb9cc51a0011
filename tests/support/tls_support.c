/* See tls_support.h. */
#include "tls_support.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum { DAY_S = 24 * 3600, PATH_MAX_HERE = 400, N_PATHS = 32 };

struct party {
    X509 *cert;
    EVP_PKEY *key;
};

static char folder[64];
static long serial = 1;

static const char *path_of(const char *name)
{
    static char paths[N_PATHS][PATH_MAX_HERE];
    static int next;
    char *path = paths[next++ % N_PATHS];
    snprintf(path, PATH_MAX_HERE, "%s/%s", folder, name);
    return path;
}

static void remove_folder(void)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        unlink(path_of(entry->d_name));
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    ck_assert_ptr_nonnull(e);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

static void add_name(X509_NAME *name, const char *field, const char *text)
{
    ck_assert_int_eq(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0), 1);
}

struct extension {
    int nid; /* 0: none */
    const char *value;
};

static const struct extension no_extension;

/* ISSUER NULL: by itself. FROM_DAYS, TO_DAYS: from now. */
static struct party make_with(const char *cn, const char *alt_names, const struct party *issuer, int from_days,
                              int to_days, struct extension extension)
{
    struct party p = {X509_new(), EVP_EC_gen("P-256")};
    ck_assert(p.cert && p.key);
    X509_set_version(p.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(p.cert), (long)from_days * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(p.cert), (long)to_days * DAY_S);
    X509_set_pubkey(p.cert, p.key);
    add_name(X509_get_subject_name(p.cert), "O", "site");
    add_name(X509_get_subject_name(p.cert), "CN", cn);
    X509_set_issuer_name(p.cert, X509_get_subject_name(issuer ? issuer->cert : p.cert));
    add_extension(p.cert, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (alt_names)
        add_extension(p.cert, NID_subject_alt_name, alt_names);
    if (extension.nid != 0)
        add_extension(p.cert, extension.nid, extension.value);
    ck_assert_int_gt(X509_sign(p.cert, issuer ? issuer->key : p.key, EVP_sha256()), 0);
    return p;
}

static struct party make(const char *cn, const char *alt_names, const struct party *issuer, int from_days, int to_days)
{
    return make_with(cn, alt_names, issuer, from_days, to_days, no_extension);
}

static void save(const char *name, const struct party *p)
{
    FILE *f = fopen(path_of(name), "we");
    ck_assert_ptr_nonnull(f);
    fchmod(fileno(f), 0600);
    PEM_write_X509(f, p->cert);
    PEM_write_PrivateKey(f, p->key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

static void drop(struct party *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
}

static void save_new(const char *name, const char *cn, const char *alt_names, const struct party *issuer, int from_days,
                     int to_days)
{
    struct party p = make(cn, alt_names, issuer, from_days, to_days);
    save(name, &p);
    drop(&p);
}

static void save_responder(const char *name, const struct party *issuer)
{
    const struct extension usage = {NID_ext_key_usage, "OCSPSigning"};
    struct party p = make_with("responder", NULL, issuer, -1, 30, usage);
    save(name, &p);
    drop(&p);
}

static void save_crl(const struct party *ca, const struct party *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -DAY_S), *next = X509_gmtime_adj(NULL, 30 * DAY_S);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert));
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, next);
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->cert));
    X509_REVOKED_set_revocationDate(entry, now);
    X509_CRL_add0_revoked(crl, entry);
    ck_assert_int_gt(X509_CRL_sign(crl, ca->key, EVP_sha256()), 0);
    FILE *f = fopen(path_of("crl.pem"), "we");
    PEM_write_X509_CRL(f, crl);
    fclose(f);
    X509_CRL_free(crl);
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
}

static void make_all(void)
{
    snprintf(folder, sizeof(folder), "/tmp/test_tls_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    atexit(remove_folder);
    struct party ca = make("Test CA", NULL, NULL, -1, 30), other = make("Other CA", NULL, NULL, -1, 30);
    struct party revoked = make("revoked", NULL, &ca, -1, 30);
    save("ca.pem", &ca);
    save("other-ca.pem", &other);
    save("revoked.pem", &revoked);
    save_new("server.pem", "server", "DNS:localhost,IP:127.0.0.1", &ca, -1, 30);
    save_new("server2.pem", "server2", "DNS:localhost,IP:127.0.0.1", &ca, -1, 30);
    save_new("client.pem", "pump-3", "DNS:pump-3.example,URI:spiffe://site/pump-3,IP:10.0.0.7", &ca, -1, 30);
    save_new("expired.pem", "expired", "DNS:localhost,IP:127.0.0.1", &ca, -10, -5);
    save_new("stranger.pem", "stranger", "DNS:localhost,IP:127.0.0.1", &other, -1, 30);
    save_responder("responder.pem", &ca);
    save_responder("other-responder.pem", &other);
    save_crl(&ca, &revoked);
    drop(&ca);
    drop(&other);
    drop(&revoked);
}

const char *tls_support_file(const char *name)
{
    if (!folder[0])
        make_all();
    return path_of(name);
}

const char *tls_support_write_file(const char *name, const char *text)
{
    const char *path = tls_support_file(name), *fresh = tls_support_file("fresh");
    FILE *f = fopen(fresh, "we");
    ck_assert_ptr_nonnull(f);
    fchmod(fileno(f), 0600);
    ck_assert_int_ge(fputs(text, f), 0);
    fclose(f);
    ck_assert_int_eq(rename(fresh, path), 0);
    return path;
}

const char *tls_support_copy(const char *name, const char *to)
{
    char text[16 * 1024];
    FILE *f = fopen(tls_support_file(name), "re");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    return tls_support_write_file(to, text);
}

static struct party load(const char *name)
{
    FILE *f = fopen(tls_support_file(name), "re");
    ck_assert_ptr_nonnull(f);
    struct party p = {PEM_read_X509(f, NULL, NULL, NULL), PEM_read_PrivateKey(f, NULL, NULL, NULL)};
    ck_assert(p.cert && p.key);
    fclose(f);
    return p;
}

const char *tls_support_issue(const char *name, const char *cn, const char *ocsp_url)
{
    char value[200];
    struct party ca = load("ca.pem");
    snprintf(value, sizeof(value), "OCSP;URI:%s", ocsp_url ? ocsp_url : "");
    struct party p = make_with(cn, "DNS:localhost,IP:127.0.0.1", &ca, -1, 30,
                               ocsp_url ? (struct extension){NID_info_access, value} : no_extension);
    save(name, &p);
    drop(&p);
    drop(&ca);
    return path_of(name);
}

void tls_support_lock_key(const char *name, const char *to, const char *password)
{
    struct party p = load(name);
    FILE *f = fopen(path_of(to), "we");
    ck_assert_ptr_nonnull(f);
    fchmod(fileno(f), 0600);
    PEM_write_X509(f, p.cert);
    ck_assert_int_eq(PEM_write_PrivateKey(f, p.key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)password), 1);
    fclose(f);
    drop(&p);
}

/* --- The peer */

struct ssl_st *tls_support_peer(int fd, const char *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (cert) {
        ck_assert_int_eq(SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(ctx, cert, SSL_FILETYPE_PEM), 1);
    }
    SSL *peer = SSL_new(ctx);
    SSL_CTX_free(ctx);
    ck_assert_ptr_nonnull(peer);
    SSL_set_fd(peer, fd);
    SSL_set_connect_state(peer);
    return peer;
}

static ssize_t result_of(SSL *peer, int n)
{
    if (n > 0)
        return n;
    int error = SSL_get_error(peer, n);
    ERR_clear_error();
    errno = EAGAIN;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

ssize_t tls_support_recv(struct ssl_st *peer, void *dst, size_t n)
{
    return result_of(peer, SSL_read(peer, dst, (int)n));
}

ssize_t tls_support_send(struct ssl_st *peer, const void *bytes, size_t n)
{
    ssize_t sent = result_of(peer, SSL_write(peer, bytes, (int)n));
    return sent == 0 ? -1 : sent;
}

bool tls_support_connect(struct ssl_st *peer)
{
    int n = SSL_do_handshake(peer);
    bool is_waiting = n != 1 && SSL_get_error(peer, n) == SSL_ERROR_WANT_READ;
    ck_assert_msg(n == 1 || is_waiting, "handshake: %s", ERR_reason_error_string(ERR_peek_last_error()));
    return n == 1;
}
