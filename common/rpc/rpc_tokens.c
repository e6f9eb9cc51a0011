/* See rpc_tokens.h. */
#include "rpc_tokens.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "err.h"
#include "secret_file.h"

static const char scheme[] = "Bearer ";

/* What a file held. */
struct list_of_tokens {
    char *first;
    uint8_t (*digests)[SHA256_DIGEST_LENGTH]; /* of one length, whatever the tokens' */
    size_t n;
};

struct rpc_tokens {
    pthread_mutex_t mutex;
    struct list_of_tokens list; /* under the mutex */
};

static void list_clear(struct list_of_tokens *l)
{
    if (l->first)
        OPENSSL_cleanse(l->first, strlen(l->first));
    free(l->first);
    free(l->digests);
    *l = (struct list_of_tokens){.n = 0};
}

/* b64token of RFC 6750, section 2.1. */
static bool is_token(const char *text)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    size_t n = strspn(text, alphabet);
    return n > 0 && text[n + strspn(text + n, "=")] == '\0' && strlen(text) <= RPC_TOKEN_MAX;
}

static int list_add(struct list_of_tokens *l, const char *token)
{
    void *more = realloc(l->digests, (l->n + 1) * sizeof(l->digests[0]));
    if (!more)
        return err_set(-ENOMEM, "out of memory");
    l->digests = more;
    SHA256((const uint8_t *)token, strlen(token), l->digests[l->n]);
    if (!l->first && !(l->first = strdup(token)))
        return err_set(-ENOMEM, "out of memory");
    l->n++;
    return 0;
}

static int add_line(char *line, void *arg)
{
    if (!is_token(line))
        return err_set(-EINVAL, "not a token (letters, digits and -._~+/=, at most %d)", RPC_TOKEN_MAX);
    return list_add(arg, line);
}

static int read_file(const char *path, struct list_of_tokens *ret_list)
{
    struct list_of_tokens l = {.n = 0};
    int r = secret_file_each_line(path, add_line, &l);
    if (r == 0 && l.n == 0)
        r = err_set(-EINVAL, "%s: no token in it", path);
    if (r < 0)
        list_clear(&l);
    else
        *ret_list = l;
    return r;
}

int rpc_tokens_new(const char *path, struct rpc_tokens **ret_tokens)
{
    struct rpc_tokens *t = calloc(1, sizeof(*t));
    if (!t)
        return err_errno(-ENOMEM, "%s", path);
    int r = read_file(path, &t->list);
    if (r < 0) {
        free(t);
        return r;
    }
    pthread_mutex_init(&t->mutex, NULL);
    *ret_tokens = t;
    return 0;
}

struct rpc_tokens *rpc_tokens_free(struct rpc_tokens *t)
{
    if (!t)
        return NULL;
    list_clear(&t->list);
    pthread_mutex_destroy(&t->mutex);
    free(t);
    return NULL;
}

int rpc_tokens_reload(struct rpc_tokens *t, const char *path)
{
    struct list_of_tokens fresh, before;
    int r = read_file(path, &fresh);
    if (r < 0)
        return r;
    pthread_mutex_lock(&t->mutex);
    before = t->list;
    t->list = fresh;
    pthread_mutex_unlock(&t->mutex);
    list_clear(&before);
    return 0;
}

bool rpc_tokens_allow(struct rpc_tokens *t, const char *value)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    unsigned n_equal = 0;
    if (!value || strncasecmp(value, scheme, strlen(scheme)) != 0)
        return false;
    const char *token = value + strlen(scheme);
    SHA256((const uint8_t *)token, strlen(token), digest);
    pthread_mutex_lock(&t->mutex);
    for (size_t i = 0; i < t->list.n; i++) /* all of them, found or not */
        n_equal += CRYPTO_memcmp(digest, t->list.digests[i], sizeof(digest)) == 0;
    pthread_mutex_unlock(&t->mutex);
    return n_equal > 0;
}

char *rpc_tokens_value(struct rpc_tokens *t, char *value)
{
    pthread_mutex_lock(&t->mutex);
    snprintf(value, RPC_TOKENS_VALUE_MAX, "%s%s", scheme, t->list.first);
    pthread_mutex_unlock(&t->mutex);
    return value;
}
