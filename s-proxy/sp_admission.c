/* See sp_admission.h. */
#define LOG_MODULE LOG_S_PROXY
#include "sp_admission.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "err.h"
#include "log.h"
#include "rpc_stream.h"
#include "rpc_tokens.h"
#include "sp_identity.h"
#include "sp_options.h"
#include "sp_worker.h"
#include "str.h"

enum { SP_LOG_LINES = 10, SP_LOG_INTERVAL_MS = 10000, SP_NAMES_TEXT_MAX = 256 };

/* What is asked for. */
struct sp_rules {
    struct rpc_tokens *tokens;        /* NULL: no token is */
    struct config_list names;         /* empty: every name will do */
    struct sp_identities *identities; /* NULL: everybody will */
};

struct sp_admission {
    pthread_mutex_t mutex;
    struct sp_rules rules;       /* under the mutex */
    _Atomic unsigned generation; /* counts up when they change */
};

/* --- Names */

static void sp_names_clear(struct config_list *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct config_list){.count = 0};
}

static int sp_names_copy(const struct config_list *from, struct config_list *ret_names)
{
    struct config_list copy = {.items = calloc(from->count + 1, sizeof copy.items[0])};
    if (!copy.items)
        return err_set(-ENOMEM, "names of r-proxies: out of memory");
    for (; copy.count < from->count; copy.count++) {
        copy.items[copy.count] = strdup(from->items[copy.count]);
        if (!copy.items[copy.count]) {
            sp_names_clear(&copy);
            return err_set(-ENOMEM, "names of r-proxies: out of memory");
        }
    }
    *ret_names = copy;
    return 0;
}

static bool sp_names_have(const char *name, size_t n, void *arg)
{
    const struct config_list *names = arg;
    for (size_t i = 0; i < names->count; i++) {
        if (sp_identity_name_matches(names->items[i], name, n))
            return true;
    }
    return false;
}

/* The first name of a certificate, for people. */
static bool sp_name_show(const char *name, size_t n, void *arg)
{
    str_quote(arg, SP_NAMES_TEXT_MAX, name, n);
    return true;
}

/* --- Checking */

/* Under the mutex. */
static int sp_rules_judge(struct sp_rules *rules, const struct rpc_stream *stream, struct sp_identity **ret_identity,
                          const char **ret_text)
{
    const char *shown = rpc_stream_metadata(stream, "authorization");
    if (rules->tokens && !rpc_tokens_allow(rules->tokens, shown)) {
        *ret_text = shown ? "this token is not valid here" : "a token is needed (authorization: Bearer ...)";
        return RPC_UNAUTHENTICATED;
    }
    if (rules->names.count > 0 && !rpc_stream_any_name(stream, sp_names_have, &rules->names)) {
        *ret_text = "no name in this certificate is allowed here";
        return RPC_PERMISSION_DENIED;
    }
    *ret_identity = rules->identities ? sp_identities_find(rules->identities, stream) : NULL;
    if (rules->identities && !*ret_identity) {
        *ret_text = "this r-proxy is none of trunk-identities";
        return RPC_PERMISSION_DENIED;
    }
    return RPC_OK;
}

static void sp_admission_tell_refused(const struct rpc_stream *stream, int status, const char *text,
                                      struct sp_metrics *metrics)
{
    static struct log_limit limit = LOG_LIMIT(SP_LOG_LINES, SP_LOG_INTERVAL_MS);
    char name[SP_NAMES_TEXT_MAX] = "";
    metric_add(&metrics->r_proxies_refused, 1);
    rpc_stream_any_name(stream, sp_name_show, name);
    log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "r-proxy %s \"%s\" is refused (%s): %s", rpc_stream_peer(stream),
                     name, rpc_status_name(status), text);
}

bool sp_admission_check(struct sp_admission *a, struct rpc_stream *stream, struct sp_metrics *metrics,
                        struct sp_identity **ret_identity)
{
    const char *text;
    pthread_mutex_lock(&a->mutex);
    int status = sp_rules_judge(&a->rules, stream, ret_identity, &text);
    pthread_mutex_unlock(&a->mutex);
    if (status == RPC_OK)
        return true;
    sp_admission_tell_refused(stream, status, text, metrics);
    rpc_stream_finish(stream, status, text);
    rpc_stream_free(stream);
    return false;
}

unsigned sp_admission_generation(struct sp_admission *a)
{
    return atomic_load_explicit(&a->generation, memory_order_acquire);
}

bool sp_admission_identify(struct sp_admission *a, const struct rpc_stream *stream, struct sp_metrics *metrics,
                           struct sp_identity **ret_identity)
{
    pthread_mutex_lock(&a->mutex);
    struct sp_identity *found = a->rules.identities ? sp_identities_find(a->rules.identities, stream) : NULL;
    const bool is_let_in = found || !a->rules.identities;
    pthread_mutex_unlock(&a->mutex);
    if (is_let_in)
        *ret_identity = found;
    else
        sp_admission_tell_refused(stream, RPC_PERMISSION_DENIED, "this r-proxy is none of trunk-identities any more",
                                  metrics);
    return is_let_in;
}

/* --- Life */

static void sp_rules_clear(struct sp_rules *rules)
{
    rpc_tokens_free(rules->tokens);
    sp_names_clear(&rules->names);
    sp_identities_free(rules->identities);
}

static int sp_rules_init(struct sp_rules *rules, const struct sp_options *o)
{
    int r = o->trunk_tokens_file
                ? err_context(rpc_tokens_new(o->trunk_tokens_file, &rules->tokens), "trunk-tokens-file")
                : 0;
    if (r >= 0)
        r = sp_names_copy(&o->trunk_allow_names, &rules->names);
    if (r >= 0 && o->trunk_identities.count > 0)
        r = sp_identities_new(&o->trunk_identities, &rules->identities);
    return r;
}

int sp_admission_new(const struct sp_options *options, struct sp_admission **ret_admission)
{
    struct sp_admission *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(-ENOMEM, "out of memory");
    pthread_mutex_init(&a->mutex, NULL);
    int r = sp_admission_reload(a, options);
    if (r < 0) {
        sp_admission_free(a);
        return r;
    }
    *ret_admission = a;
    return 0;
}

struct sp_admission *sp_admission_free(struct sp_admission *a)
{
    if (!a)
        return NULL;
    sp_rules_clear(&a->rules);
    pthread_mutex_destroy(&a->mutex);
    free(a);
    return NULL;
}

int sp_admission_reload(struct sp_admission *a, const struct sp_options *options)
{
    struct sp_rules fresh = {.tokens = NULL};
    int r = sp_rules_init(&fresh, options);
    if (r < 0) {
        sp_rules_clear(&fresh);
        return r;
    }
    pthread_mutex_lock(&a->mutex);
    struct sp_rules old = a->rules;
    a->rules = fresh;
    atomic_fetch_add_explicit(&a->generation, 1, memory_order_release);
    pthread_mutex_unlock(&a->mutex);
    sp_rules_clear(&old);
    return 0;
}
