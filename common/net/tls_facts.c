/* What a handshake has said of the peer, in the few bytes that are worth keeping (conn_tls.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "address.h"
#include "conn_tls.h"
#include "tls_internal.h"

enum { TLS_FACTS_NAMES_MAX = 32, TLS_FACTS_NAME_MAX = 1024 };

char *tls_facts_format_name(const X509_NAME *name, char *dst, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    snprintf(dst, size, "?");
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        long n = BIO_get_mem_data(bio, &text);
        snprintf(dst, size, "%.*s", (int)n, text);
    }
    BIO_free(bio);
    return dst;
}

/* As UTF-8; NULL: it cannot be, or has a NUL inside, which is how one name is made to look like another. */
static char *tls_facts_text(const ASN1_STRING *string)
{
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, string);
    char *text = n >= 0 && !memchr(utf8, '\0', (size_t)n) ? strndup((const char *)utf8, (size_t)n) : NULL;
    OPENSSL_free(utf8);
    return text;
}

static char *tls_facts_common_name(const X509_NAME *name)
{
    int at = -1, last = -1;
    while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
        last = at;
    return last >= 0 ? tls_facts_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last))) : NULL;
}

static char *tls_facts_address(const ASN1_OCTET_STRING *bytes)
{
    union conn_address address = {.any.sa_family = AF_UNSPEC};
    char text[ADDRESS_TEXT_MAX];
    const int n = ASN1_STRING_length(bytes);
    if (n == 4) {
        address.in.sin_family = AF_INET;
        memcpy(&address.in.sin_addr, ASN1_STRING_get0_data(bytes), 4);
    } else if (n == 16) {
        address.in6.sin6_family = AF_INET6;
        memcpy(&address.in6.sin6_addr, ASN1_STRING_get0_data(bytes), 16);
    } else {
        return NULL;
    }
    return strdup(address_format_host(&address, text));
}

static char *tls_facts_alt_name(const GENERAL_NAME *name)
{
    const char *kind = NULL;
    char *text = NULL, *all = NULL;
    switch (name->type) {
    case GEN_DNS:
        kind = "DNS";
        text = tls_facts_text(name->d.dNSName);
        break;
    case GEN_URI:
        kind = "URI";
        text = tls_facts_text(name->d.uniformResourceIdentifier);
        break;
    case GEN_EMAIL:
        kind = "email";
        text = tls_facts_text(name->d.rfc822Name);
        break;
    case GEN_IPADD:
        kind = "IP";
        text = tls_facts_address(name->d.iPAddress);
        break;
    default:
        return NULL;
    }
    if (text && asprintf(&all, "%s:%s", kind, text) < 0)
        all = NULL;
    free(text);
    return all;
}

static void tls_facts_add_alt_names(struct conn_tls_facts *f, const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int n = sk_GENERAL_NAME_num(names);
    if (n > TLS_FACTS_NAMES_MAX)
        n = TLS_FACTS_NAMES_MAX;
    if (n > 0)
        f->alt_names = calloc((size_t)n, sizeof(f->alt_names[0]));
    for (int i = 0; f->alt_names && i < n; i++) {
        const char *text = tls_facts_alt_name(sk_GENERAL_NAME_value(names, i));
        if (text)
            f->alt_names[f->n_alt_names++] = text;
    }
    GENERAL_NAMES_free(names);
}

static void tls_facts_add_certificate(struct conn_tls_facts *f, const X509 *cert)
{
    char subject[TLS_FACTS_NAME_MAX];
    const X509_NAME *name = X509_get_subject_name(cert);
    f->subject = strdup(tls_facts_format_name(name, subject, sizeof(subject)));
    f->common_name = tls_facts_common_name(name);
    tls_facts_add_alt_names(f, cert);
}

struct conn_tls_facts *tls_facts_new(const SSL *ssl, const char *psk)
{
    struct conn_tls_facts *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->version = SSL_get_version(ssl);
    f->cipher = SSL_get_cipher_name(ssl);
    f->is_resumed = SSL_session_reused(ssl);
    f->psk = psk ? strdup(psk) : NULL;
    const X509 *cert = SSL_get0_peer_certificate(ssl);
    if (cert)
        tls_facts_add_certificate(f, cert);
    return f;
}

struct conn_tls_facts *tls_facts_free(struct conn_tls_facts *f)
{
    if (!f)
        return NULL;
    for (size_t i = 0; i < f->n_alt_names; i++)
        free((char *)f->alt_names[i]);
    free(f->alt_names);
    free((char *)f->common_name);
    free((char *)f->subject);
    free((char *)f->psk);
    free(f);
    return NULL;
}
