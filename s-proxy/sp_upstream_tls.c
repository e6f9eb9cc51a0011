/* See sp_upstream_tls.h. */
#define LOG_MODULE LOG_S_PROXY
#include "sp_upstream_tls.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "err.h"
#include "log.h"
#include "sp_options.h"
#include "tls.h"
#include "tls_ocsp.h"
#include "tls_watch.h"

struct sp_upstream_tls {
    struct metrics_registry *registry;
    struct tls_ocsp_metrics metrics;
    struct tls_watch *watch;
    struct tls *tls; /* one reference; NULL: no broker wants it */
};

static void sp_upstream_tls_warn(const struct tls *tls)
{
    if (tls_warning(tls)[0])
        log_warn(NULL, "upstream TLS: %s", tls_warning(tls));
}

static void sp_upstream_tls_on_reload(const char *name, struct tls *tls, int r, void *arg)
{
    if (r < 0) {
        log_error(NULL, "%s: the files cannot be used, those of before stay in use: %s", name, err_text());
        return;
    }
    log_info(NULL, "%s: files read again", name);
    sp_upstream_tls_warn(tls);
}

/* On any worker's thread. */
static void sp_upstream_tls_on_ocsp(bool is_good, const char *text, void *arg)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "upstream TLS: %s", text);
}

static int sp_upstream_tls_open(struct sp_upstream_tls *t, struct loop *loop, const struct sp_options *o)
{
    const struct tls_options options = tls_options_of_client(&o->upstream_tls);
    int r = tls_ocsp_metrics_add(&t->metrics, t->registry, "sproxy");
    if (r >= 0)
        r = tls_watch_new(loop, sp_upstream_tls_on_reload, t, &t->watch);
    if (r < 0 || !sp_options_have_upstream_tls(o))
        return r;
    r = tls_new(&options, &t->tls);
    if (r >= 0)
        tls_ocsp_tell(t->tls, &t->metrics, sp_upstream_tls_on_ocsp, t);
    if (r >= 0)
        r = tls_watch_add(t->watch, "upstream TLS", t->tls);
    if (r < 0)
        return err_context(r, "upstream TLS");
    sp_upstream_tls_warn(t->tls);
    return 0;
}

int sp_upstream_tls_new(struct loop *loop, const struct sp_options *options, struct metrics_registry *metrics,
                        struct sp_upstream_tls **ret_tls)
{
    struct sp_upstream_tls *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(-ENOMEM, "upstream TLS: out of memory");
    t->registry = metrics;
    int r = sp_upstream_tls_open(t, loop, options);
    if (r < 0) {
        sp_upstream_tls_free(t);
        return r;
    }
    *ret_tls = t;
    return 0;
}

struct sp_upstream_tls *sp_upstream_tls_free(struct sp_upstream_tls *t)
{
    if (!t)
        return NULL;
    tls_watch_free(t->watch);
    tls_unref(t->tls);
    metrics_remove(t->registry, &t->metrics);
    free(t);
    return NULL;
}

void sp_upstream_tls_reload(struct sp_upstream_tls *t, const struct sp_options *fresh)
{
    const struct tls_options options = tls_options_of_client(&fresh->upstream_tls);
    if (t->tls)
        tls_watch_reload(t->watch, t->tls, &options);
}

struct tls *sp_upstream_tls_get(const struct sp_upstream_tls *t)
{
    return t->tls;
}
