/* See tls_staple.h.
 *
 *   renew --> [ask] --answer--> for the connections --half of its time--> [ask] ...
 *               '-- none --> again after 10 s, 20 s, 40 s ... 10 min; what was fetched before is stapled while it
 * counts
 */
#include "tls_staple.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "err.h"
#include "loop.h"
#include "ocsp_ask.h"
#include "tls_internal.h"
#include "tls_ocsp.h"

enum {
    TLS_STAPLE_TIMEOUT_MS = 10000,
    TLS_STAPLE_RETRY_S = 10,
    TLS_STAPLE_RETRY_MAX_S = 600,
    TLS_STAPLE_REFRESH_MIN_S = 30,
    TLS_STAPLE_REFRESH_MAX_S = 12 * 3600,
    TLS_STAPLE_NAME_MAX = 300,
};

struct tls_staple {
    struct loop *loop;
    struct tls *tls;
    struct loop_timer timer;
    struct ocsp_ask *ask; /* NULL: not under way */
    X509 *cert;           /* whom it asks about, one reference; NULL: not under way */
    unsigned retry_s;
    char name[TLS_STAPLE_NAME_MAX];
};

static void tls_staple_wait(struct tls_staple *s, time_t seconds)
{
    loop_timer_start(&s->timer, (uint64_t)seconds * 1000);
}

static void tls_staple_complain(const struct tls_staple *s, const char *why)
{
    tls_ocsp_say(tls_get_ocsp(s->tls), false, "no OCSP response about our certificate %s to staple: %s", s->name, why);
}

static void tls_staple_fail(struct tls_staple *s, const char *why)
{
    tls_staple_complain(s, why);
    tls_staple_wait(s, s->retry_s);
    s->retry_s = s->retry_s * 2 < TLS_STAPLE_RETRY_MAX_S ? s->retry_s * 2 : TLS_STAPLE_RETRY_MAX_S;
}

/* Good or revoked: whoever asks is told the truth. */
static void tls_staple_keep(struct tls_staple *s, const struct ocsp_answer *answer, const uint8_t *der, size_t n)
{
    struct tls_ocsp *o = tls_get_ocsp(s->tls);
    const time_t until = answer->until - OCSP_CLOCK_SKEW_S; /* a client's clock may be right */
    time_t half = (until - time(NULL)) / 2;
    tls_ocsp_set_staple(o, s->cert, der, n, until);
    if (answer->status == OCSP_STATUS_REVOKED)
        tls_ocsp_say(o, false, "our certificate %s is %s", s->name, answer->text);
    else
        tls_ocsp_say(o, true, "OCSP response about our certificate %s fetched: it is good", s->name);
    if (half < TLS_STAPLE_REFRESH_MIN_S)
        half = TLS_STAPLE_REFRESH_MIN_S;
    s->retry_s = TLS_STAPLE_RETRY_S;
    tls_staple_wait(s, half < TLS_STAPLE_REFRESH_MAX_S ? half : TLS_STAPLE_REFRESH_MAX_S);
}

static void tls_staple_on_answer(struct ocsp_ask *a, const struct ocsp_answer *answer, const uint8_t *der, size_t n,
                                 void *arg)
{
    struct tls_staple *s = arg;
    s->ask = NULL;
    if (answer->status == OCSP_STATUS_GOOD || answer->status == OCSP_STATUS_REVOKED) {
        tls_staple_keep(s, answer, der, n);
    } else {
        tls_ocsp_count(&tls_ocsp_get_metrics(tls_get_ocsp(s->tls))->ocsp_unanswered);
        tls_staple_fail(s, answer->text[0] ? answer->text : "the responder does not know it");
    }
    X509_free(s->cert);
    s->cert = NULL;
}

static int tls_staple_ask(struct tls_staple *s, X509 *issuer)
{
    const struct ocsp_ask_params params = {.cert = s->cert, .issuer = issuer, .timeout_ms = TLS_STAPLE_TIMEOUT_MS};
    if (!issuer)
        return err_set(-ENOENT, "its issuer is neither behind it in its file nor among the clients' CAs");
    int r = ocsp_ask_start(s->loop, &params, tls_staple_on_answer, s, &s->ask);
    if (r == 0)
        tls_ocsp_count(&tls_ocsp_get_metrics(tls_get_ocsp(s->tls))->ocsp_questions);
    return r;
}

static void tls_staple_on_timer(struct loop_timer *timer)
{
    struct tls_staple *s = container_of(timer, struct tls_staple, timer);
    X509 *issuer;
    if (!tls_get_own_pair(s->tls, &s->cert, &issuer))
        return;
    tls_facts_format_name(X509_get_subject_name(s->cert), s->name, sizeof(s->name));
    if (tls_staple_ask(s, issuer) < 0) { /* and nothing but other files will change that */
        X509_free(s->cert);
        s->cert = NULL;
        tls_staple_complain(s, err_text());
    }
    X509_free(issuer);
}

void tls_staple_renew(struct tls_staple *s)
{
    s->ask = ocsp_ask_cancel(s->ask);
    X509_free(s->cert);
    s->cert = NULL;
    s->retry_s = TLS_STAPLE_RETRY_S;
    loop_timer_stop(&s->timer);
    if (tls_ocsp_get_mode(tls_get_ocsp(s->tls)) != TLS_OCSP_OFF)
        loop_timer_start(&s->timer, 0);
}

struct tls_staple *tls_staple_new(struct loop *loop, struct tls *t)
{
    struct tls_staple *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->loop = loop;
    s->tls = t;
    loop_timer_init(&s->timer, loop, tls_staple_on_timer);
    tls_staple_renew(s);
    return s;
}

struct tls_staple *tls_staple_free(struct tls_staple *s)
{
    if (!s)
        return NULL;
    loop_timer_stop(&s->timer);
    ocsp_ask_cancel(s->ask);
    X509_free(s->cert);
    free(s);
    return NULL;
}
