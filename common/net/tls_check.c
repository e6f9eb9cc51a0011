/* See tls_check.h. */
#include "tls_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "list.h"
#include "loop.h"
#include "net_loop.h"
#include "ocsp_ask.h"
#include "tls_internal.h"
#include "tls_ocsp.h"

enum {
    TLS_CHECKS_AT_ONCE = 64, /* of a loop: descriptors, and what a responder is asked */
    TLS_CHECK_NAME_MAX = 300,
};

struct tls_check {
    struct list link;     /* in net->checks while it waits for its turn */
    struct net_loop *net; /* one reference */
    struct tls *tls;
    struct loop_timer timer; /* while it waits for its turn */
    struct ocsp_ask *ask;    /* NULL: not under way */
    uint64_t deadline_ms;    /* of the answer, waiting for the turn included */
    X509 *cert, *issuer;     /* a reference each; no issuer: it is not known */
    tls_check_fn *fn;
    void *arg;
    enum tls_check_result result;
    char text[OCSP_TEXT_MAX + 40];
};

/* --- What an answer means */

static enum tls_check_result tls_check_refuse(struct tls_check *c, metric *counter, const char *what, const char *text)
{
    snprintf(c->text, sizeof(c->text), "%s%s", what, text);
    tls_ocsp_count(counter);
    return TLS_CHECK_REFUSED;
}

/* Neither good nor revoked. */
static enum tls_check_result tls_check_judge_open(struct tls_check *c, const char *what, const char *text)
{
    struct tls_ocsp *o = tls_get_ocsp(c->tls);
    char name[TLS_CHECK_NAME_MAX];
    if (tls_ocsp_get_mode(o) == TLS_OCSP_HARD)
        return tls_check_refuse(c, &tls_ocsp_get_metrics(o)->ocsp_refused, what, text);
    tls_ocsp_count(&tls_ocsp_get_metrics(o)->ocsp_unchecked);
    tls_facts_format_name(X509_get_subject_name(c->cert), name, sizeof(name));
    tls_ocsp_say(o, false, "certificate %s is accepted unchecked: %s%s", name, what, text);
    return TLS_CHECK_PASSED;
}

static enum tls_check_result tls_check_judge(struct tls_check *c, const struct ocsp_answer *answer)
{
    switch (answer->status) {
    case OCSP_STATUS_GOOD:
        return TLS_CHECK_PASSED;
    case OCSP_STATUS_REVOKED:
        return tls_check_refuse(c, &tls_ocsp_get_metrics(tls_get_ocsp(c->tls))->ocsp_revoked, "", answer->text);
    case OCSP_STATUS_UNKNOWN:
        return tls_check_judge_open(c, "its OCSP responder does not know it", "");
    case OCSP_STATUS_NONE:
        break;
    }
    return tls_check_judge_open(c, "no OCSP answer: ", answer->text);
}

/* From what is known already. */
static enum tls_check_result tls_check_look_up(struct tls_check *c)
{
    struct tls_ocsp *o = tls_get_ocsp(c->tls);
    struct ocsp_answer known = {.status = tls_ocsp_get_status(o, c->cert), .text = "revoked"};
    if (known.status != OCSP_STATUS_NONE)
        return tls_check_judge(c, &known);
    if (tls_ocsp_get_mode(o) == TLS_OCSP_SOFT && tls_ocsp_is_silent(o, c->cert))
        return tls_check_judge_open(c, "its OCSP responder has not answered lately", "");
    return TLS_CHECK_WAITS;
}

/* --- Asking, in turn */

/* C asks no more, or waits no more for its turn: somebody else may. */
static void tls_check_leave(struct tls_check *c)
{
    loop_timer_stop(&c->timer);
    list_del(&c->link);
    if (c->ask)
        c->net->n_asking--;
    c->ask = ocsp_ask_cancel(c->ask);
    if (!list_is_empty(&c->net->checks))
        loop_defer(c->net->loop, &c->net->next_check);
}

/* C may be gone afterwards. */
static void tls_check_end(struct tls_check *c, enum tls_check_result result)
{
    tls_check_leave(c);
    c->result = result;
    c->fn(c->arg);
}

static void tls_check_on_answer(struct ocsp_ask *a, const struct ocsp_answer *answer, const uint8_t *der, size_t n,
                                void *arg)
{
    struct tls_check *c = arg;
    struct tls_ocsp *o = tls_get_ocsp(c->tls);
    c->ask = NULL;
    c->net->n_asking--;
    if (answer->status == OCSP_STATUS_NONE)
        tls_ocsp_count(&tls_ocsp_get_metrics(o)->ocsp_unanswered);
    tls_ocsp_learn(o, c->cert, answer);
    tls_check_end(c, tls_check_judge(c, answer));
}

static void tls_check_on_timer(struct loop_timer *timer)
{
    struct tls_check *c = container_of(timer, struct tls_check, timer);
    tls_check_end(c, tls_check_judge_open(c, "no OCSP answer: ", "too many are waited for"));
}

/* It is C's turn. */
static enum tls_check_result tls_check_ask(struct tls_check *c)
{
    const uint64_t now_ms = loop_now_ms(c->net->loop);
    const struct ocsp_ask_params params = {
        .cert = c->cert,
        .issuer = c->issuer,
        .has_nonce = true,
        .timeout_ms = c->deadline_ms > now_ms ? (uint32_t)(c->deadline_ms - now_ms) : 1,
    };
    enum tls_check_result result = tls_check_look_up(c); /* who was before it may have asked the same */
    if (result != TLS_CHECK_WAITS)
        return result;
    if (!c->issuer)
        return tls_check_judge_open(c, "no OCSP answer: ", "its issuer is not known");
    if (ocsp_ask_start(c->net->loop, &params, tls_check_on_answer, c, &c->ask) < 0)
        return tls_check_judge_open(c, "no OCSP answer: ", err_text());
    tls_ocsp_count(&tls_ocsp_get_metrics(tls_get_ocsp(c->tls))->ocsp_questions);
    c->net->n_asking++;
    return TLS_CHECK_WAITS;
}

void tls_check_on_turn(struct loop_task *task)
{
    struct net_loop *net = container_of(task, struct net_loop, next_check);
    net->refs++; /* the last of them may take it along */
    while (net->n_asking < TLS_CHECKS_AT_ONCE && !list_is_empty(&net->checks)) {
        struct tls_check *c = list_entry(list_first(&net->checks), struct tls_check, link);
        loop_timer_stop(&c->timer);
        list_del(&c->link);
        const enum tls_check_result result = tls_check_ask(c);
        if (result != TLS_CHECK_WAITS)
            tls_check_end(c, result);
    }
    net_loop_put(net);
}

static enum tls_check_result tls_check_begin(struct tls_check *c)
{
    struct net_loop *net = c->net;
    if (net->n_asking < TLS_CHECKS_AT_ONCE && list_is_empty(&net->checks))
        return tls_check_ask(c);
    const enum tls_check_result result = tls_check_look_up(c);
    if (result == TLS_CHECK_WAITS) {
        list_add_tail(&net->checks, &c->link);
        loop_timer_start(&c->timer, tls_ocsp_get_timeout_ms(tls_get_ocsp(c->tls)));
    }
    return result;
}

/* --- Life */

/* The issuer is not known if OCSP was turned on during this handshake: then nobody has kept the chain. */
static void tls_check_take_certs(struct tls_check *c, const SSL *ssl)
{
    if (!tls_ocsp_get_pair(ssl, &c->cert, &c->issuer))
        c->cert = SSL_get0_peer_certificate(ssl);
    X509_up_ref(c->cert);
    if (c->issuer)
        X509_up_ref(c->issuer);
}

static struct tls_check *tls_check_new(const struct tls_check_params *params)
{
    struct tls_check *c = calloc(1, sizeof(*c));
    if (!c || !(c->net = net_loop_get(params->loop))) {
        free(c);
        return NULL;
    }
    tls_check_take_certs(c, params->ssl);
    c->tls = params->tls;
    c->fn = params->fn;
    c->arg = params->arg;
    c->deadline_ms = loop_now_ms(c->net->loop) + tls_ocsp_get_timeout_ms(tls_get_ocsp(c->tls));
    list_init(&c->link);
    loop_timer_init(&c->timer, c->net->loop, tls_check_on_timer);
    return c;
}

struct tls_check *tls_check_free(struct tls_check *c)
{
    if (!c)
        return NULL;
    tls_check_leave(c);
    X509_free(c->cert);
    X509_free(c->issuer);
    net_loop_put(c->net);
    free(c);
    return NULL;
}

/* Whose session was resumed has been looked at by tls_ocsp_may_resume(). */
static bool tls_check_is_wanted(struct tls *t, const SSL *ssl)
{
    return tls_ocsp_get_mode(tls_get_ocsp(t)) != TLS_OCSP_OFF && !SSL_session_reused(ssl) &&
           SSL_get0_peer_certificate(ssl);
}

/* -ENOMEM is a refusal: the connection would not live long. */
enum tls_check_result tls_check_peer(struct tls_check **check, const struct tls_check_params *params)
{
    SSL *ssl = params->ssl;
    SSL_set_tlsext_status_ocsp_resp(ssl, NULL, 0); /* a staple has done its work, and would be kept with the SSL */
    if (*check)
        return (*check)->result;
    if (!tls_check_is_wanted(params->tls, ssl))
        return TLS_CHECK_PASSED;
    *check = tls_check_new(params);
    if (!*check)
        return TLS_CHECK_REFUSED;
    (*check)->result = tls_check_begin(*check);
    return (*check)->result;
}

const char *tls_check_text(const struct tls_check *c)
{
    return c ? c->text : "out of memory";
}
