/* See sp_admission.h. */
#define LOG_MODULE LOG_S_PROXY
#include "sp_admission.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "err.h"
#include "log.h"
#include "rpc_stream.h"
#include "rpc_tokens.h"
#include "sp_worker.h"
#include "str.h"

enum { SP_LOG_LINES = 10, SP_LOG_INTERVAL_MS = 10000, SP_NAMES_TEXT_MAX = 256 };

struct sp_admission {
    pthread_mutex_t mutex;
    struct rpc_tokens *tokens; /* this and `names` under the mutex; NULL: no token is asked for */
    struct config_list names;  /* empty: every name will do */
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

int sp_admission_check_name(const char *name)
{
    const char *star = strchr(name, '*');
    if (*name == '\0')
        return err_set(-EINVAL, "an empty name");
    return star && star[1] != '\0' ? err_set(-EINVAL, "\"%.80s\": * stands for the rest of a name, at its end", name)
                                   : 0;
}

/* A name in full, or its beginning and "*". */
static bool sp_name_matches(const char *wanted, const char *name, size_t n)
{
    size_t len = strlen(wanted);
    if (wanted[len - 1] == '*')
        return n >= len - 1 && memcmp(wanted, name, len - 1) == 0;
    return n == len && memcmp(wanted, name, n) == 0;
}

static bool sp_names_have(const char *name, size_t n, void *arg)
{
    const struct config_list *names = arg;
    for (size_t i = 0; i < names->count; i++) {
        if (sp_name_matches(names->items[i], name, n))
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

static int sp_admission_decide(struct sp_admission *a, const struct rpc_stream *stream, const char **ret_text)
{
    int status = RPC_OK;
    const char *shown = rpc_stream_metadata(stream, "authorization");
    pthread_mutex_lock(&a->mutex);
    if (a->tokens && !rpc_tokens_allow(a->tokens, shown)) {
        status = RPC_UNAUTHENTICATED;
        *ret_text = shown ? "this token is not valid here" : "a token is needed (authorization: Bearer ...)";
    } else if (a->names.count > 0 && !rpc_stream_any_name(stream, sp_names_have, &a->names)) {
        status = RPC_PERMISSION_DENIED;
        *ret_text = "no name in this certificate is allowed here";
    }
    pthread_mutex_unlock(&a->mutex);
    return status;
}

bool sp_admission_check(struct sp_admission *a, struct rpc_stream *stream, struct sp_metrics *metrics)
{
    static struct log_limit limit = LOG_LIMIT(SP_LOG_LINES, SP_LOG_INTERVAL_MS);
    char name[SP_NAMES_TEXT_MAX] = "";
    const char *text;
    int status = sp_admission_decide(a, stream, &text);
    if (status == RPC_OK)
        return true;
    metric_add(&metrics->r_proxies_refused, 1);
    rpc_stream_any_name(stream, sp_name_show, name);
    log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "r-proxy %s \"%s\" is refused (%s): %s", rpc_stream_peer(stream),
                     name, rpc_status_name(status), text);
    rpc_stream_finish(stream, status, text);
    rpc_stream_free(stream);
    return false;
}

/* --- Life */

int sp_admission_new(const char *tokens_file, const struct config_list *names, struct sp_admission **ret_admission)
{
    struct sp_admission *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(-ENOMEM, "out of memory");
    pthread_mutex_init(&a->mutex, NULL);
    int r = sp_admission_reload(a, tokens_file, names);
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
    rpc_tokens_free(a->tokens);
    sp_names_clear(&a->names);
    pthread_mutex_destroy(&a->mutex);
    free(a);
    return NULL;
}

int sp_admission_reload(struct sp_admission *a, const char *tokens_file, const struct config_list *names)
{
    struct rpc_tokens *tokens = NULL;
    struct config_list copy;
    int r = tokens_file ? rpc_tokens_new(tokens_file, &tokens) : 0;
    if (r >= 0)
        r = sp_names_copy(names, &copy);
    if (r < 0) {
        rpc_tokens_free(tokens);
        return r;
    }
    pthread_mutex_lock(&a->mutex);
    struct rpc_tokens *old_tokens = a->tokens;
    struct config_list old_names = a->names;
    a->tokens = tokens;
    a->names = copy;
    pthread_mutex_unlock(&a->mutex);
    rpc_tokens_free(old_tokens);
    sp_names_clear(&old_names);
    return 0;
}
