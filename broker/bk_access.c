/* What the files say (bk_access.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_access.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bk_options.h"
#include "bk_quota.h"
#include "err.h"
#include "jwt.h"
#include "log.h"
#include "password_check.h"
#include "scram_file.h"

enum { BK_PASSWORD_THREADS = 1 };

struct bk_access {
    pthread_mutex_t mutex; /* of the two that are replaced */
    struct acl *acl;
    struct scram_file *scram;
    struct password_checker *passwords;
    struct jwt_verifier *tokens;
    bool allows_anonymous;
};

static struct jwt_options bk_jwt_options(const struct bk_options *o)
{
    return (struct jwt_options){
        .key_file = o->jwt_key, .algorithm = o->jwt_algorithm, .issuer = o->jwt_issuer, .audience = o->jwt_audience};
}

int bk_access_new(const struct bk_options *o, struct bk_access **ret_access)
{
    struct bk_access *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(-ENOMEM, "out of memory");
    pthread_mutex_init(&a->mutex, NULL);
    a->allows_anonymous = o->allow_anonymous;
    int e = o->password_file ? err_context(password_checker_new(o->password_file, BK_PASSWORD_THREADS, &a->passwords),
                                           "password-file")
                             : 0;
    if (e >= 0 && o->acl_file)
        e = err_context(acl_load(o->acl_file, &a->acl), "acl-file");
    if (e >= 0 && o->scram_file)
        e = err_context(scram_file_load(o->scram_file, &a->scram), "scram-file");
    if (e >= 0 && o->jwt_key) {
        const struct jwt_options jwt = bk_jwt_options(o);
        e = err_context(jwt_verifier_new(&jwt, &a->tokens), "jwt-key");
    }
    if (e < 0) {
        bk_access_free(a);
        return e;
    }
    *ret_access = a;
    return 0;
}

struct bk_access *bk_access_free(struct bk_access *a)
{
    if (!a)
        return NULL;
    password_checker_free(a->passwords);
    jwt_verifier_free(a->tokens);
    acl_unref(a->acl);
    scram_file_unref(a->scram);
    pthread_mutex_destroy(&a->mutex);
    free(a);
    return NULL;
}

/* --- Again */

static void bk_access_reload_acl(struct bk_access *a, const char *file)
{
    struct acl *fresh;
    if (acl_load(file, &fresh) < 0) {
        log_error(NULL, "acl-file: the rules stay as they were: %s", err_text());
        return;
    }
    pthread_mutex_lock(&a->mutex);
    struct acl *old = a->acl;
    a->acl = fresh;
    pthread_mutex_unlock(&a->mutex);
    acl_unref(old);
}

static void bk_access_reload_scram(struct bk_access *a, const char *file)
{
    struct scram_file *fresh;
    if (scram_file_load(file, &fresh) < 0) {
        log_error(NULL, "scram-file: its users stay as they were: %s", err_text());
        return;
    }
    pthread_mutex_lock(&a->mutex);
    struct scram_file *old = a->scram;
    a->scram = fresh;
    pthread_mutex_unlock(&a->mutex);
    scram_file_unref(old);
}

void bk_access_reload(struct bk_access *a, const struct bk_options *fresh)
{
    const struct jwt_options jwt = bk_jwt_options(fresh);
    if (!a->passwords != !fresh->password_file || !a->acl != !fresh->acl_file || !a->scram != !fresh->scram_file ||
        !a->tokens != !fresh->jwt_key || a->allows_anonymous != fresh->allow_anonymous)
        log_warn(NULL, "password-file, acl-file, scram-file, jwt-key and allow-anonymous are turned on and off at the "
                       "next start only");
    if (a->passwords && fresh->password_file && password_checker_reload(a->passwords, fresh->password_file) < 0)
        log_error(NULL, "password-file: its users stay as they were: %s", err_text());
    if (a->tokens && fresh->jwt_key && jwt_verifier_reload(a->tokens, &jwt) < 0)
        log_error(NULL, "jwt-key: the keys stay as they were: %s", err_text());
    if (a->acl && fresh->acl_file)
        bk_access_reload_acl(a, fresh->acl_file);
    if (a->scram && fresh->scram_file)
        bk_access_reload_scram(a, fresh->scram_file);
}

/* --- Questions */

bool bk_access_allows_anonymous(const struct bk_access *a)
{
    return a->allows_anonymous;
}

struct password_checker *bk_access_passwords(const struct bk_access *a)
{
    return a->passwords;
}

struct jwt_verifier *bk_access_tokens(const struct bk_access *a)
{
    return a->tokens;
}

struct scram_file *bk_access_scram(struct bk_access *a)
{
    pthread_mutex_lock(&a->mutex);
    struct scram_file *f = a->scram ? scram_file_ref(a->scram) : NULL;
    pthread_mutex_unlock(&a->mutex);
    return f;
}

struct acl *bk_access_acl(struct bk_access *a)
{
    pthread_mutex_lock(&a->mutex);
    struct acl *acl = a->acl ? acl_ref(a->acl) : NULL;
    pthread_mutex_unlock(&a->mutex);
    return acl;
}

/* --- Grants */

static struct mqtt_bytes bk_grant_user(const struct bk_grant *g)
{
    return (struct mqtt_bytes){(const uint8_t *)g->user, g->user ? (uint32_t)strlen(g->user) : 0};
}

struct bk_grant *bk_grant_new(struct bk_access *a, struct mqtt_bytes user, struct mqtt_bytes client_id,
                              struct acl *claims, struct bk_account *account)
{
    struct bk_grant *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->user = user.ptr ? strndup((const char *)user.ptr, user.len) : NULL;
    if (user.ptr && !g->user) {
        free(g);
        return NULL;
    }
    struct acl *file = bk_access_acl(a);
    acl_view_init(&g->view, file, claims, bk_grant_user(g), client_id);
    g->account = bk_account_ref(account);
    acl_unref(file);
    return g;
}

struct bk_grant *bk_grant_free(struct bk_grant *g)
{
    if (!g)
        return NULL;
    acl_view_deinit(&g->view);
    bk_account_charge(g->account, BK_QUOTA_QUEUED_BYTES, -g->queued_bytes);
    bk_account_unref(g->account);
    free(g->user);
    free(g);
    return NULL;
}

void bk_grant_renew(struct bk_grant *g, struct bk_access *a)
{
    const struct acl_view old = g->view;
    struct acl *file = bk_access_acl(a);
    acl_view_init(&g->view, file, old.claims, bk_grant_user(g), old.client_id);
    acl_unref(file);
    struct acl_view gone = old;
    acl_view_deinit(&gone);
}
