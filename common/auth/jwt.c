/* See jwt.h. */
#include "jwt.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "acl.h"
#include "base64.h"
#include "err.h"
#include "jwt_keys.h"
#include "str.h"

enum { QUOTED_MAX = 100 };

/* What the options say, read once. */
struct jwt_rules {
    atomic_uint n_refs;
    struct jwt_keys *keys;   /* one reference */
    char *issuer, *audience; /* NULL: any */
};

struct jwt_verifier {
    pthread_mutex_t lock;
    struct jwt_rules *rules; /* under the lock; replaced as a whole */
};

/* A token: HEADER.PAYLOAD.SIGNATURE. */
struct jwt_parts {
    struct mqtt_bytes header, payload, signature;
    struct mqtt_bytes signed_text; /* header and payload with the dot */
};

/* --- Rules */

static struct jwt_rules *rules_unref(struct jwt_rules *rules)
{
    if (rules && atomic_fetch_sub_explicit(&rules->n_refs, 1, memory_order_acq_rel) == 1) {
        jwt_keys_unref(rules->keys);
        free(rules->issuer);
        free(rules->audience);
        free(rules);
    }
    return NULL;
}

static int rules_new(const struct jwt_options *o, struct jwt_rules **ret_rules)
{
    struct jwt_rules *rules = calloc(1, sizeof(*rules));
    if (!rules)
        return err_set(-ENOMEM, "%s: out of memory", o->key_file);
    rules->n_refs = 1;
    rules->issuer = o->issuer ? strdup(o->issuer) : NULL;
    rules->audience = o->audience ? strdup(o->audience) : NULL;
    int r = jwt_keys_load(o->key_file, o->algorithm, &rules->keys);
    if (r == 0 && ((o->issuer && !rules->issuer) || (o->audience && !rules->audience)))
        r = err_errno(-ENOMEM, "%s", o->key_file);
    if (r < 0)
        rules_unref(rules);
    else
        *ret_rules = rules;
    return r;
}

static struct jwt_rules *verifier_take_rules(struct jwt_verifier *v)
{
    pthread_mutex_lock(&v->lock);
    struct jwt_rules *rules = v->rules;
    atomic_fetch_add_explicit(&rules->n_refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&v->lock);
    return rules;
}

int jwt_verifier_new(const struct jwt_options *options, struct jwt_verifier **ret_verifier)
{
    struct jwt_verifier *v = calloc(1, sizeof(*v));
    if (!v)
        return err_errno(-ENOMEM, "%s", options->key_file);
    int r = rules_new(options, &v->rules);
    if (r < 0) {
        free(v);
        return r;
    }
    pthread_mutex_init(&v->lock, NULL);
    *ret_verifier = v;
    return 0;
}

struct jwt_verifier *jwt_verifier_free(struct jwt_verifier *v)
{
    if (!v)
        return NULL;
    rules_unref(v->rules);
    pthread_mutex_destroy(&v->lock);
    free(v);
    return NULL;
}

int jwt_verifier_reload(struct jwt_verifier *v, const struct jwt_options *options)
{
    struct jwt_rules *fresh, *before;
    int r = rules_new(options, &fresh);
    if (r < 0)
        return r;
    pthread_mutex_lock(&v->lock);
    before = v->rules;
    v->rules = fresh;
    pthread_mutex_unlock(&v->lock);
    rules_unref(before);
    return 0;
}

/* --- A token's parts */

/* Up to the next dot, or to the end. */
static struct mqtt_bytes take_part(struct mqtt_bytes *token)
{
    const uint8_t *dot = token->len > 0 ? memchr(token->ptr, '.', token->len) : NULL;
    struct mqtt_bytes part = {.ptr = token->ptr, .len = dot ? (uint32_t)(dot - token->ptr) : token->len};
    const uint32_t used = part.len + (dot ? 1 : 0);
    token->ptr += used;
    token->len -= used;
    return part;
}

static bool split(struct mqtt_bytes token, struct jwt_parts *p)
{
    if (token.len == 0 || token.len > JWT_TOKEN_MAX)
        return false;
    p->signed_text.ptr = token.ptr;
    p->header = take_part(&token);
    p->payload = take_part(&token);
    p->signed_text.len = p->header.len + 1 + p->payload.len;
    p->signature = token;
    return p->header.len > 0 && p->payload.len > 0 && p->signature.len > 0 &&
           !memchr(p->signature.ptr, '.', p->signature.len);
}

static bool is_base64url(struct mqtt_bytes part)
{
    for (uint32_t i = 0; i < part.len; i++) {
        const char c = (char)part.ptr[i];
        const bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

bool jwt_is_token(struct mqtt_bytes password)
{
    struct jwt_parts p;
    return split(password, &p) && is_base64url(p.header) && is_base64url(p.payload) && is_base64url(p.signature);
}

/* The JSON object that PART holds; NULL: it holds none. */
static json_t *read_object(struct mqtt_bytes part)
{
    char text[JWT_TOKEN_MAX];
    size_t len;
    if (!base64_decode(BASE64_URL, (const char *)part.ptr, part.len, text, sizeof(text), &len))
        return NULL;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

static const char *quote(char dst[QUOTED_MAX], const char *text)
{
    return str_quote(dst, QUOTED_MAX, text, strlen(text));
}

/* --- Header and signature */

static int verify(const struct jwt_rules *rules, const struct jwt_parts *p, const json_t *header)
{
    uint8_t signature[JWT_SIGNATURE_MAX];
    char quoted[QUOTED_MAX];
    size_t len;
    enum jwt_alg alg;
    const char *name = json_string_value(json_object_get(header, "alg"));
    const char *kid = json_string_value(json_object_get(header, "kid"));
    if (!name || !jwt_alg_find(name, &alg))
        return err_set(JWT_REFUSED, "token: algorithm '%s' is not taken", name ? quote(quoted, name) : "");
    if (json_object_get(header, "crit") || json_object_get(header, "zip"))
        return err_set(JWT_REFUSED, "token: extensions (crit, zip) are not known");
    if (!base64_decode(BASE64_URL, (const char *)p->signature.ptr, p->signature.len, signature, sizeof(signature),
                       &len))
        return err_set(JWT_REFUSED, "token: the signature is no base64url");
    switch (jwt_keys_verify(rules->keys, alg, kid, p->signed_text.ptr, p->signed_text.len, signature, len)) {
    case JWT_KEYS_RIGHT:
        return 0;
    case JWT_KEYS_NONE:
        return err_set(JWT_REFUSED, "token: no key for algorithm %s and kid '%s'", name, kid ? quote(quoted, kid) : "");
    case JWT_KEYS_WRONG:
        break;
    }
    return err_set(JWT_REFUSED, "token: the signature is wrong");
}

/* --- Claims */

/* Seconds since 1970 (a NumericDate: RFC 7519, section 2). False: NAME is there and is none. */
static bool read_time(const json_t *claims, const char *name, bool *ret_is_there, int64_t *ret_s)
{
    const json_t *value = json_object_get(claims, name);
    const double s = json_number_value(value);
    *ret_is_there = value != NULL;
    *ret_s = 0;
    if (!value)
        return true;
    if (!json_is_number(value) || !(s > -1e15 && s < 1e15))
        return false;
    *ret_s = (int64_t)s;
    return true;
}

static int check_times(const json_t *claims, int64_t now_s, int64_t *ret_expires_s)
{
    bool has_exp, has_nbf, has_iat;
    int64_t exp, nbf, iat;
    if (!read_time(claims, "exp", &has_exp, &exp) || !read_time(claims, "nbf", &has_nbf, &nbf) ||
        !read_time(claims, "iat", &has_iat, &iat))
        return err_set(JWT_REFUSED, "token: exp, nbf or iat is not a time");
    if (has_exp && now_s >= exp + JWT_LEEWAY_S)
        return err_set(JWT_REFUSED, "token: it expired %lld s ago", (long long)(now_s - exp));
    if (has_nbf && now_s < nbf - JWT_LEEWAY_S)
        return err_set(JWT_REFUSED, "token: it is not valid before %lld s from now", (long long)(nbf - now_s));
    if (has_iat && now_s < iat - JWT_LEEWAY_S)
        return err_set(JWT_REFUSED, "token: it was issued %lld s from now", (long long)(iat - now_s));
    *ret_expires_s = has_exp ? exp + JWT_LEEWAY_S : 0;
    return 0;
}

static bool text_is(const json_t *value, const char *wanted)
{
    const char *text = json_string_value(value);
    return text && strcmp(text, wanted) == 0;
}

/* aud is a text or several. */
static bool audience_is(const json_t *aud, const char *wanted)
{
    for (size_t i = 0; i < json_array_size(aud); i++) {
        if (text_is(json_array_get(aud, i), wanted))
            return true;
    }
    return text_is(aud, wanted);
}

static int check_parties(const struct jwt_rules *rules, const json_t *claims)
{
    if (rules->issuer && !text_is(json_object_get(claims, "iss"), rules->issuer))
        return err_set(JWT_REFUSED, "token: iss is not %s", rules->issuer);
    if (rules->audience && !audience_is(json_object_get(claims, "aud"), rules->audience))
        return err_set(JWT_REFUSED, "token: aud is not %s", rules->audience);
    return 0;
}

static int read_user(const json_t *claims, struct mqtt_bytes user, char **ret_user)
{
    char quoted[QUOTED_MAX], wanted[QUOTED_MAX];
    const char *sub = json_string_value(json_object_get(claims, "sub"));
    const size_t len = sub ? strlen(sub) : 0;
    if (len == 0 || len > MQTT_STRING_MAX)
        return err_set(JWT_REFUSED, "token: it has no sub, which is the user name");
    if (user.len > 0 && (user.len != len || memcmp(user.ptr, sub, len) != 0))
        return err_set(JWT_REFUSED, "token: it is %s's, and the user name is %s", quote(quoted, sub),
                       str_quote(wanted, sizeof(wanted), user.ptr, user.len));
    *ret_user = strdup(sub);
    return *ret_user ? 0 : err_set(-ENOMEM, "token: out of memory");
}

/* LIST, which may be missing, into lines of A. */
static int read_filters(const json_t *list, unsigned access, struct acl *a)
{
    if (list && !json_is_array(list))
        return err_set(JWT_REFUSED, "token: acl holds something else than lists");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        const struct mqtt_bytes filter = {.ptr = (const uint8_t *)json_string_value(value),
                                          .len = (uint32_t)json_string_length(value)};
        int r = filter.len > 0 ? acl_add_pattern(a, access, filter) : err_set(-EINVAL, "not a text");
        if (err_context(r, "token: acl") < 0)
            return r == -ENOMEM ? r : JWT_REFUSED;
    }
    return 0;
}

static int read_acl(const json_t *claims, struct acl **ret_acl)
{
    const json_t *claim = json_object_get(claims, "acl");
    struct acl *a;
    *ret_acl = NULL;
    if (!claim)
        return 0;
    if (!json_is_object(claim))
        return err_set(JWT_REFUSED, "token: acl is not an object");
    int r = acl_new(&a);
    if (r < 0)
        return r;
    r = read_filters(json_object_get(claim, "publish"), ACL_PUBLISH, a);
    if (r == 0)
        r = read_filters(json_object_get(claim, "subscribe"), ACL_SUBSCRIBE, a);
    if (r != 0)
        a = acl_unref(a);
    *ret_acl = a;
    return r;
}

static int read_claims(const struct jwt_rules *rules, const json_t *json, struct mqtt_bytes user, int64_t now_s,
                       struct jwt_claims *claims)
{
    int r = check_times(json, now_s, &claims->expires_s);
    if (r == 0)
        r = check_parties(rules, json);
    if (r == 0)
        r = read_user(json, user, &claims->user);
    return r == 0 ? read_acl(json, &claims->acl) : r;
}

/* --- All of it */

/* Nothing is read of the payload before the signature has been found right. */
static int check_parts(const struct jwt_rules *rules, const struct jwt_parts *p, struct mqtt_bytes user, int64_t now_s,
                       struct jwt_claims *claims)
{
    json_t *header = read_object(p->header);
    int r = header ? verify(rules, p, header) : err_set(JWT_REFUSED, "token: the header is no JSON object");
    json_decref(header);
    if (r != 0)
        return r;
    json_t *payload = read_object(p->payload);
    r = payload ? read_claims(rules, payload, user, now_s, claims)
                : err_set(JWT_REFUSED, "token: the payload is no JSON object");
    json_decref(payload);
    return r;
}

int jwt_check(struct jwt_verifier *v, struct mqtt_bytes token, struct mqtt_bytes user, int64_t now_s,
              struct jwt_claims *ret_claims)
{
    struct jwt_parts parts;
    struct jwt_claims claims = {.user = NULL};
    if (!split(token, &parts))
        return err_set(JWT_REFUSED, "token: it is not three parts, or too long");
    struct jwt_rules *rules = verifier_take_rules(v);
    int r = check_parts(rules, &parts, user, now_s, &claims);
    rules_unref(rules);
    if (r == 0)
        *ret_claims = claims;
    else
        jwt_claims_clear(&claims);
    return r;
}

void jwt_claims_clear(struct jwt_claims *claims)
{
    free(claims->user);
    acl_unref(claims->acl);
    *claims = (struct jwt_claims){.user = NULL};
}
