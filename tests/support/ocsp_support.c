/* See ocsp_support.h. */
#include "ocsp_support.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "conn.h"
#include "listener.h"
#include "tls_support.h"
#include "url.h"

enum { LINGER_MS = 1000, FLOOD_CHUNKS = 100, CHUNK_BYTES = 1024 };

/* --- Answers */

X509 *ocsp_support_load(const char *file)
{
    FILE *f = fopen(tls_support_file(file), "re");
    ck_assert_ptr_nonnull(f);
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(cert);
    fclose(f);
    return cert;
}

static EVP_PKEY *load_key(const char *file)
{
    FILE *f = fopen(tls_support_file(file), "re");
    ck_assert_ptr_nonnull(f);
    EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(key);
    fclose(f);
    return key;
}

static void add_nonce(const struct ocsp_support_answer *a, OCSP_BASICRESP *basic, OCSP_REQUEST *request)
{
    if (a->has_other_nonce)
        ck_assert_int_eq(OCSP_basic_add1_nonce(basic, NULL, -1), 1);
    else if (request && !a->has_no_nonce)
        OCSP_copy_nonce(basic, request);
}

static void sign(const struct ocsp_support_answer *a, OCSP_BASICRESP *basic)
{
    const char *file = a->signer ? a->signer : "ca.pem";
    X509 *signer = ocsp_support_load(file);
    EVP_PKEY *key = load_key(file);
    ck_assert_int_eq(OCSP_basic_sign(basic, signer, key, EVP_sha256(), NULL, a->has_no_certs ? OCSP_NOCERTS : 0), 1);
    EVP_PKEY_free(key);
    X509_free(signer);
}

static OCSP_RESPONSE *make_response(const struct ocsp_support_answer *a, OCSP_CERTID *id, OCSP_REQUEST *request)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, a->from_s), *to = a->to_s ? X509_gmtime_adj(NULL, a->to_s) : NULL;
    ASN1_TIME *since = a->status == V_OCSP_CERTSTATUS_REVOKED ? X509_gmtime_adj(NULL, -3600) : NULL;
    ck_assert_ptr_nonnull(
        OCSP_basic_add1_status(basic, id, a->status, OCSP_REVOKED_STATUS_KEYCOMPROMISE, since, from, to));
    add_nonce(a, basic, request);
    sign(a, basic);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    OCSP_BASICRESP_free(basic);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    ASN1_TIME_free(since);
    return response;
}

static unsigned char *make_by_id(const struct ocsp_support_answer *a, OCSP_CERTID *id, OCSP_REQUEST *request,
                                 size_t *ret_len)
{
    unsigned char *der = NULL;
    OCSP_RESPONSE *response = a->error ? OCSP_response_create(a->error, NULL) : make_response(a, id, request);
    const int n = i2d_OCSP_RESPONSE(response, &der);
    ck_assert_int_gt(n, 0);
    OCSP_RESPONSE_free(response);
    *ret_len = (size_t)n;
    return der;
}

unsigned char *ocsp_support_make(const struct ocsp_support_answer *a, const char *about, OCSP_REQUEST *request,
                                 size_t *ret_len)
{
    X509 *cert = ocsp_support_load(about), *issuer = ocsp_support_load(a->issuer ? a->issuer : "ca.pem");
    OCSP_CERTID *id = OCSP_cert_to_id(a->has_sha256_id ? EVP_sha256() : NULL, cert, issuer);
    unsigned char *der = make_by_id(a, id, request, ret_len);
    OCSP_CERTID_free(id);
    X509_free(cert);
    X509_free(issuer);
    return der;
}

/* --- A connection of somebody who asks */

struct asker {
    struct asker *next;
    struct ocsp_support *responder;
    struct conn *conn; /* NULL: it has got what it gets */
    bool has_asked;
};

static void hang_up(struct asker *a)
{
    a->conn = conn_close(a->conn, LINGER_MS);
}

static void give(struct asker *a, const char *status, const void *body, size_t n)
{
    char head[200];
    int len =
        snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nLocation: /elsewhere\r\nContent-Length: %zu\r\n\r\n", status, n);
    ck_assert_int_eq(conn_write(a->conn, head, (size_t)len), 0);
    ck_assert_int_eq(conn_write(a->conn, body, n), 0);
    hang_up(a);
}

static void answer(struct asker *a, const uint8_t *question, size_t n)
{
    OCSP_REQUEST *request = d2i_OCSP_REQUEST(NULL, &question, (long)n);
    ck_assert_ptr_nonnull(request);
    ck_assert_int_eq(OCSP_request_onereq_count(request), 1);
    size_t len;
    OCSP_CERTID *id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0));
    unsigned char *der = make_by_id(&a->responder->answer, id, request, &len);
    give(a, "200 OK", der, len);
    OPENSSL_free(der);
    OCSP_REQUEST_free(request);
}

static void flood(struct asker *a)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    char chunk[CHUNK_BYTES + 16];
    int n = snprintf(chunk, sizeof(chunk), "%x\r\n%*s\r\n", CHUNK_BYTES, CHUNK_BYTES, "");
    ck_assert_int_eq(conn_write(a->conn, head, sizeof(head) - 1), 0);
    for (int i = 0; i < FLOOD_CHUNKS; i++)
        ck_assert_int_eq(conn_write(a->conn, chunk, (size_t)n), 0);
    hang_up(a);
}

/* The question is whole: N bytes behind its head. */
static void react(struct asker *a, const uint8_t *question, size_t n)
{
    switch (a->responder->mood) {
    case OCSP_SUPPORT_ANSWERS:
        answer(a, question, n);
        break;
    case OCSP_SUPPORT_REFUSES:
        give(a, "404 Not Found", "no", 2);
        break;
    case OCSP_SUPPORT_MOVES:
        give(a, "302 Found", "no", 2);
        break;
    case OCSP_SUPPORT_BABBLES:
        give(a, "200 OK", "<html>", 6);
        break;
    case OCSP_SUPPORT_FLOODS:
        flood(a);
        break;
    case OCSP_SUPPORT_HANGS_UP:
        hang_up(a);
        break;
    case OCSP_SUPPORT_WAITS: /* it comes again with conn_continue() */
        break;
    }
}

static void on_input(struct conn *c, struct cursor *input, void *arg)
{
    struct asker *a = arg;
    const char *end = memmem(input->ptr, input->len, "\r\n\r\n", 4);
    if (!end)
        return;
    const size_t head = (size_t)(end + 4 - (const char *)input->ptr);
    ck_assert_uint_lt(head, sizeof(a->responder->head));
    snprintf(a->responder->head, sizeof(a->responder->head), "%.*s", (int)head, (const char *)input->ptr);
    const char *length = strstr(a->responder->head, "\r\nContent-Length: ");
    ck_assert_ptr_nonnull(length);
    const size_t n = strtoul(length + 18, NULL, 10);
    if (input->len < head + n)
        return;
    if (!a->has_asked)
        a->responder->n_questions++;
    a->has_asked = true;
    react(a, input->ptr + head, n);
}

static void on_end(struct conn *c, enum conn_end why, const char *text, void *arg)
{
    struct asker *a = arg;
    a->conn = conn_close(a->conn, 0);
}

static const struct conn_cbs cbs = {.on_input = on_input, .on_end = on_end};

/* --- The responder */

static void on_accept(struct listener *l, struct conn_parcel *parcel, void *arg)
{
    struct ocsp_support *s = arg;
    struct asker *a = calloc(1, sizeof(*a));
    ck_assert_ptr_nonnull(a);
    a->responder = s;
    a->next = s->askers;
    s->askers = a;
    ck_assert_int_eq(conn_attach(s->loop, parcel, &cbs, a, &a->conn), 0);
}

void ocsp_support_start(struct ocsp_support *s, struct loop *loop)
{
    static const struct listener_cbs listener_cbs = {.on_accept = on_accept};
    struct url url;
    *s = (struct ocsp_support){.loop = loop};
    ck_assert_int_eq(url_parse("mqtt://127.0.0.1:0", "mqtt", &url), 0);
    const struct listener_params params = {.url = &url};
    ck_assert_int_eq(listener_open(loop, &params, &listener_cbs, s, &s->listener), 0);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1%s/ocsp", strrchr(listener_name(s->listener), ':'));
}

void ocsp_support_stop(struct ocsp_support *s)
{
    s->listener = listener_close(s->listener);
    while (s->askers) {
        struct asker *a = s->askers;
        s->askers = a->next;
        conn_close(a->conn, 0);
        free(a);
    }
}

void ocsp_support_set_mood(struct ocsp_support *s, enum ocsp_support_mood mood)
{
    s->mood = mood;
    for (struct asker *a = s->askers; a; a = a->next)
        if (a->conn)
            conn_continue(a->conn);
}
