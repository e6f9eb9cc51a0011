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
    struct net_loop *net; /* one reference; NULL: not begun */
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

struct tls_check *tls_check_new(X509 *cert, X509 *issuer)
{
    struct tls_check *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    X509_up_ref(cert);
    if (issuer)
        X509_up_ref(issuer);
    c->cert = cert;
    c->issuer = issuer;
    list_init(&c->link);
    return c;
}

void tls_check_stop(struct tls_check *c)
{
    if (!c || !c->net)
        return;
    tls_check_leave(c);
    c->net = net_loop_put(c->net);
}

struct tls_check *tls_check_free(struct tls_check *c)
{
    if (!c)
        return NULL;
    tls_check_stop(c);
    X509_free(c->cert);
    X509_free(c->issuer);
    free(c);
    return NULL;
}

static enum tls_check_result tls_check_start(struct tls_check *c, const struct tls_check_params *params)
{
    c->net = net_loop_get(params->loop);
    if (!c->net) {
        snprintf(c->text, sizeof(c->text), "out of memory");
        return TLS_CHECK_REFUSED;
    }
    c->tls = params->tls;
    c->fn = params->fn;
    c->arg = params->arg;
    c->deadline_ms = loop_now_ms(params->loop) + tls_ocsp_get_timeout_ms(tls_get_ocsp(c->tls));
    loop_timer_init(&c->timer, params->loop, tls_check_on_timer);
    return tls_check_begin(c);
}

enum tls_check_result tls_check_peer(struct tls_check *c, const struct tls_check_params *params)
{
    if (!c->net)
        c->result = tls_check_start(c, params);
    return c->result;
}

const char *tls_check_text(const struct tls_check *c)
{
    return c->text;
}

void tls_check_get_pair(const struct tls_check *c, X509 **ret_cert, X509 **ret_issuer)
{
    *ret_cert = c->cert;
    *ret_issuer = c->issuer;
}
