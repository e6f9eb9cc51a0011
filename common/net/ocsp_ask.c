/* See ocsp_ask.h. */
#include "ocsp_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "http_post.h"
#include "url.h"

enum { OCSP_URL_MAX = 512 };

struct ocsp_ask {
    ocsp_ask_fn *fn;
    void *arg;
    struct http_post *post; /* NULL: it has ended */
    X509 *cert, *issuer;    /* a reference each */
    OCSP_REQUEST *request;
    char name[300]; /* of the responder: "ocsp.example" */
};

static void ocsp_ask_free(struct ocsp_ask *a)
{
    http_post_cancel(a->post);
    X509_free(a->cert);
    X509_free(a->issuer);
    OCSP_REQUEST_free(a->request);
    free(a);
}

/* "ocsp.example: its answer has another nonce". */
static void ocsp_ask_name(const struct ocsp_ask *a, struct ocsp_answer *answer)
{
    char text[OCSP_TEXT_MAX];
    snprintf(text, sizeof(text), "%.100s: %.290s", a->name, answer->text);
    memcpy(answer->text, text, sizeof(text));
}

static void ocsp_ask_on_done(struct http_post *p, const struct http_post_end *end, void *arg)
{
    struct ocsp_ask *a = arg;
    struct ocsp_answer answer = {.status = OCSP_STATUS_NONE, .is_silence = end->is_silence};
    a->post = NULL;
    if (end->text) {
        snprintf(answer.text, sizeof(answer.text), "%s", end->text);
    } else {
        ocsp_read_answer(end->body, end->len, a->cert, a->issuer, a->request, &answer);
        if (answer.status == OCSP_STATUS_NONE)
            ocsp_ask_name(a, &answer);
    }
    a->fn(a, &answer, end->body, end->len, a->arg);
    ocsp_ask_free(a);
}

static int ocsp_ask_post(struct ocsp_ask *a, struct loop *loop, const struct url *url, uint32_t timeout_ms)
{
    unsigned char *der = NULL;
    const int n = a->request ? i2d_OCSP_REQUEST(a->request, &der) : -1;
    if (n < 0)
        return err_errno(-ENOMEM, "OCSP");
    const struct http_post_params post = {
        .url = url,
        .type = "application/ocsp-request",
        .accept = "application/ocsp-response",
        .body = der,
        .body_len = (size_t)n,
        .answer_max = OCSP_ANSWER_MAX,
        .timeout_ms = timeout_ms,
    };
    int r = http_post_start(loop, &post, ocsp_ask_on_done, a, &a->post);
    OPENSSL_free(der);
    return r;
}

int ocsp_ask_start(struct loop *loop, const struct ocsp_ask_params *params, ocsp_ask_fn *fn, void *arg,
                   struct ocsp_ask **ret_ask)
{
    char text[OCSP_URL_MAX];
    struct url url;
    if (!ocsp_get_responder(params->cert, text, sizeof(text)))
        return err_set(-ENOENT, "the certificate names no OCSP responder (http://)");
    int r = url_parse(text, "http", &url);
    if (r < 0)
        return err_context(r, "the OCSP responder that the certificate names");
    struct ocsp_ask *a = calloc(1, sizeof(*a));
    if (!a)
        return err_errno(-ENOMEM, "OCSP");
    X509_up_ref(params->cert);
    X509_up_ref(params->issuer);
    a->cert = params->cert;
    a->issuer = params->issuer;
    a->fn = fn;
    a->arg = arg;
    a->request = ocsp_make_request(a->cert, a->issuer, params->has_nonce);
    snprintf(a->name, sizeof(a->name), "%s", url.host);
    r = ocsp_ask_post(a, loop, &url, params->timeout_ms);
    if (r < 0) {
        ocsp_ask_free(a);
        return r;
    }
    *ret_ask = a;
    return 0;
}

struct ocsp_ask *ocsp_ask_cancel(struct ocsp_ask *a)
{
    if (a)
        ocsp_ask_free(a);
    return NULL;
}
