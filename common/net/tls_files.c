/* Certificate, key, CAs and CRLs from files into an SSL_CTX (tls_internal.h). Every error names the file, and the
 * certificate where there is one. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "err.h"
#include "secret_file.h"
#include "tls_internal.h"

enum { TLS_PASSWORD_MAX = 1024, TLS_TEXT_MAX = 600 };

/* What OpenSSL says is wrong: the first entry of its queue is nearest to the cause. The queue is empty afterwards. */
static int tls_files_refuse(const char *file)
{
    unsigned long e = ERR_get_error();
    const char *reason = ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e)) : ERR_reason_error_string(e);
    ERR_clear_error();
    return err_set(-EINVAL, "%s: %s", file, reason ? reason : "cannot be used");
}

/* OpenSSL's texts for a file that is missing or may not be read are of no help. */
static int tls_files_check_access(const char *file, struct stat *ret_st)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int r = fd >= 0 ? 0 : -errno;
    if (r == 0 && fstat(fd, ret_st) < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    return r < 0 ? err_errno(r, "%s", file) : 0;
}

static void tls_files_warn(char **warning, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void tls_files_warn(char **warning, const char *fmt, ...)
{
    char text[TLS_TEXT_MAX], *all;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (asprintf(&all, "%s%s%s", *warning ? *warning : "", *warning ? "; " : "", text) < 0)
        return;
    free(*warning);
    *warning = all;
}

/* A secret that others may read is not one; refusing it would break mounts of secrets whose modes the operator does not
 * choose. */
static int tls_files_check_secret(const char *file, char **warning)
{
    struct stat st = {.st_mode = 0};
    char text[TLS_TEXT_MAX];
    int r = tls_files_check_access(file, &st);
    if (r == 0 && secret_file_is_exposed(file, text, sizeof(text)))
        tls_files_warn(warning, "%s", text);
    return r;
}

/* --- Certificate and key */

struct tls_password {
    char text[TLS_PASSWORD_MAX];
    size_t len;
    bool was_asked;
};

static int tls_files_read_password(const char *file, struct tls_password *ret)
{
    FILE *f = fopen(file, "re");
    if (!f)
        return err_errno(-errno, "%s", file);
    const bool has_line = fgets(ret->text, sizeof(ret->text), f);
    fclose(f);
    if (!has_line)
        return err_set(-EINVAL, "%s: no password in the first line", file);
    ret->len = strcspn(ret->text, "\r\n");
    return 0;
}

/* Without a password OpenSSL would ask at the terminal. */
static int tls_files_on_password(char *dst, int size, int for_writing, void *arg)
{
    struct tls_password *password = arg;
    password->was_asked = true;
    if (password->len > (size_t)size)
        return -1;
    memcpy(dst, password->text, password->len);
    return (int)password->len;
}

static void tls_files_time(const ASN1_TIME *time, char *dst, size_t size)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(dst, size, "%F %T UTC", &tm) == 0)
        snprintf(dst, size, "?");
}

/* What people want to read of our own certificate, and whether its time has come and not gone. */
static void tls_files_describe(X509 *cert, const char *file, char **warning, char **ret_summary)
{
    char subject[TLS_TEXT_MAX / 2], until[40], from[40];
    tls_facts_format_name(X509_get_subject_name(cert), subject, sizeof(subject));
    tls_files_time(X509_get0_notBefore(cert), from, sizeof(from));
    tls_files_time(X509_get0_notAfter(cert), until, sizeof(until));
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        tls_files_warn(warning, "%s: certificate %s expired at %s", file, subject, until);
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        tls_files_warn(warning, "%s: certificate %s is valid from %s on", file, subject, from);
    if (asprintf(ret_summary, "%s, valid until %s", subject, until) < 0)
        *ret_summary = NULL;
}

static int tls_files_load_key(SSL_CTX *ctx, const struct tls_options *o, const char *file, char **warning)
{
    struct tls_password password = {.len = 0};
    int r = tls_files_check_secret(file, warning);
    if (r == 0 && o->key_password)
        r = tls_files_check_secret(o->key_password, warning);
    if (r == 0 && o->key_password)
        r = tls_files_read_password(o->key_password, &password);
    if (r < 0)
        return r;
    SSL_CTX_set_default_passwd_cb(ctx, tls_files_on_password);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &password);
    if (SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) != 1)
        r = tls_files_refuse(file);
    if (r < 0 && password.was_asked && o->key_password)
        r = err_set(r, "%s: the password in %s does not open the key", file, o->key_password);
    else if (r < 0 && password.was_asked)
        r = err_set(r, "%s: the key has a password, and tls-key-password-file is not given", file);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    OPENSSL_cleanse(&password, sizeof(password));
    return r;
}

static int tls_files_load_cert(SSL_CTX *ctx, const struct tls_options *o, char **warning, char **ret_summary)
{
    const char *key = o->key ? o->key : o->cert;
    struct stat st = {.st_mode = 0};
    int r = tls_files_check_access(o->cert, &st);
    if (r < 0)
        return r;
    if (SSL_CTX_use_certificate_chain_file(ctx, o->cert) != 1)
        return tls_files_refuse(o->cert);
    tls_files_describe(SSL_CTX_get0_certificate(ctx), o->cert, warning, ret_summary);
    r = tls_files_load_key(ctx, o, key, warning);
    if (r == 0 && SSL_CTX_check_private_key(ctx) != 1)
        r = tls_files_refuse(key); /* a key of another kind than the certificate's */
    return r < 0 ? err_context(r, "certificate %s", *ret_summary ? *ret_summary : o->cert) : 0;
}

/* --- Whom to trust */

static int tls_files_load_ca(SSL_CTX *ctx, const char *ca, bool is_server)
{
    struct stat st = {.st_mode = 0};
    int r = tls_files_check_access(ca, &st);
    if (r < 0)
        return r;
    const bool is_folder = S_ISDIR(st.st_mode);
    if (SSL_CTX_load_verify_locations(ctx, is_folder ? NULL : ca, is_folder ? ca : NULL) != 1)
        return tls_files_refuse(ca);
    if (!is_server)
        return 0;
    /* A server names the CAs whose certificates it takes. */
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    const int ok =
        is_folder ? SSL_add_dir_cert_subjects_to_stack(names, ca) : SSL_add_file_cert_subjects_to_stack(names, ca);
    if (ok != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return tls_files_refuse(ca);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    return 0;
}

static int tls_files_load_crl(SSL_CTX *ctx, const char *crl)
{
    struct stat st = {.st_mode = 0};
    int r = tls_files_check_access(crl, &st);
    if (r < 0)
        return r;
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (!lookup || X509_load_crl_file(lookup, crl, X509_FILETYPE_PEM) <= 0)
        return tls_files_refuse(crl);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return 0;
}

int tls_files_load(SSL_CTX *ctx, const struct tls_options *o, char **ret_warning, char **ret_summary)
{
    int r = 0;
    ERR_clear_error();
    *ret_warning = *ret_summary = NULL;
    if (o->cert)
        r = tls_files_load_cert(ctx, o, ret_warning, ret_summary);
    if (r == 0 && o->psk)
        r = tls_files_check_secret(o->psk, ret_warning);
    if (r == 0 && o->ca)
        r = tls_files_load_ca(ctx, o->ca, o->is_server);
    else if (r == 0 && !o->is_server && SSL_CTX_set_default_verify_paths(ctx) != 1)
        r = tls_files_refuse("the system's CAs");
    if (r == 0 && o->crl)
        r = tls_files_load_crl(ctx, o->crl);
    if (r < 0) {
        free(*ret_warning);
        free(*ret_summary);
        *ret_warning = *ret_summary = NULL;
    }
    return r;
}
