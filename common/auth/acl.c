/* See acl.h. */
#include "acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acl_internal.h"
#include "err.h"
#include "mqtt_topic.h"
#include "mqtt_utf8.h"
#include "str.h"

enum { QUOTED_MAX = 200 };

int acl_new(struct acl **ret_acl)
{
    struct acl *a = calloc(1, sizeof(*a));
    if (!a || acl_trie_init(&a->trie) < 0) {
        free(a);
        return err_set(-ENOMEM, "out of memory");
    }
    a->n_refs = 1;
    *ret_acl = a;
    return 0;
}

struct acl *acl_ref(struct acl *a)
{
    atomic_fetch_add_explicit(&a->n_refs, 1, memory_order_relaxed);
    return a;
}

struct acl *acl_unref(struct acl *a)
{
    if (a && atomic_fetch_sub_explicit(&a->n_refs, 1, memory_order_acq_rel) == 1) {
        acl_trie_deinit(&a->trie);
        free(a);
    }
    return NULL;
}

/* --- Lines */

static int acl_check_filter(struct mqtt_bytes filter)
{
    char quoted[QUOTED_MAX];
    uint32_t n_levels = 1;
    for (uint32_t i = 0; i < filter.len; i++)
        n_levels += filter.ptr[i] == '/';
    str_quote(quoted, sizeof(quoted), filter.ptr, filter.len);
    if (filter.len > MQTT_STRING_MAX || mqtt_utf8_check(filter.ptr, filter.len) != MQTT_UTF8_OK ||
        !mqtt_topic_filter_is_valid(filter))
        return err_set(-EINVAL, "'%s' is not a topic filter", quoted);
    if (mqtt_topic_is_shared(filter))
        return err_set(-EINVAL, "'%s': a shared subscription is checked without its $share/GROUP/", quoted);
    if (n_levels > ACL_LEVELS_MAX)
        return err_set(-EINVAL, "'%s' has more than %d levels", quoted, ACL_LEVELS_MAX);
    return 0;
}

/* A deny line behind one that allows all of it was meant to be in front of it. */
static int acl_check_reached(const struct acl *a, uint32_t root, enum acl_kind kind, struct mqtt_bytes filter,
                             bool is_pattern)
{
    const struct acl_search s = {.trie = &a->trie, .kind = kind, .what = filter, .is_pattern = is_pattern};
    acl_rule rule = acl_trie_cover(&s, ACL_ROOT_OF_ALL, ACL_RULE_NONE);
    rule = acl_trie_cover(&s, root, rule);
    if (rule == ACL_RULE_NONE || (rule & ACL_RULE_DENIES))
        return 0;
    return err_set(-EINVAL, "it denies nothing: a line above allows all of it, and the first match wins");
}

int acl_add(struct acl *a, uint32_t root, unsigned access, struct mqtt_bytes filter, bool is_pattern, bool is_deny)
{
    static const unsigned bits[ACL_KINDS] = {[ACL_KIND_PUBLISH] = ACL_PUBLISH, [ACL_KIND_SUBSCRIBE] = ACL_SUBSCRIBE};
    const acl_rule rule = a->n_rules << 1 | (is_deny ? ACL_RULE_DENIES : 0);
    int r = acl_check_filter(filter);
    for (int kind = 0; r == 0 && kind < ACL_KINDS; kind++) {
        if (!(access & bits[kind]))
            continue;
        if (is_deny)
            r = acl_check_reached(a, root, (enum acl_kind)kind, filter, is_pattern);
        if (r == 0 && acl_trie_add(&a->trie, root, (enum acl_kind)kind, filter, is_pattern, rule) < 0)
            r = err_set(-ENOMEM, "out of memory");
    }
    a->n_rules++;
    return r;
}

int acl_add_pattern(struct acl *a, unsigned access, struct mqtt_bytes filter)
{
    return acl_add(a, ACL_ROOT_OF_ALL, access, filter, true, false);
}

/* --- Views */

/* VALUE, or nothing if it may not stand in a pattern: it would match more than one name. */
static struct mqtt_bytes acl_view_value(struct mqtt_bytes value)
{
    for (uint32_t i = 0; i < value.len; i++) {
        if (strchr("/+#", value.ptr[i]))
            return (struct mqtt_bytes){.len = 0};
    }
    return value;
}

void acl_view_init(struct acl_view *v, struct acl *file, struct acl *claims, struct mqtt_bytes user,
                   struct mqtt_bytes client_id)
{
    *v = (struct acl_view){
        .file = file ? acl_ref(file) : NULL,
        .claims = claims ? acl_ref(claims) : NULL,
        .user = acl_view_value(user),
        .client_id = acl_view_value(client_id),
        .file_user = file && user.len > 0 ? acl_trie_find_user(&file->trie, user) : 0,
    };
}

void acl_view_deinit(struct acl_view *v)
{
    v->file = acl_unref(v->file);
    v->claims = acl_unref(v->claims);
}

/* The first line of A that is about this client and WHAT. */
static acl_rule acl_view_first(const struct acl_view *v, const struct acl *a, enum acl_kind kind,
                               struct mqtt_bytes what)
{
    const struct acl_search s = {
        .trie = &a->trie, .kind = kind, .what = what, .user = v->user, .client_id = v->client_id};
    const acl_rule rule = acl_trie_cover(&s, ACL_ROOT_OF_ALL, ACL_RULE_NONE);
    return a == v->file ? acl_trie_cover(&s, v->file_user, rule) : rule;
}

static bool acl_rule_allows(acl_rule rule)
{
    return rule != ACL_RULE_NONE && !(rule & ACL_RULE_DENIES);
}

static bool acl_rule_denies(acl_rule rule)
{
    return rule != ACL_RULE_NONE && (rule & ACL_RULE_DENIES);
}

/* *RET_RULE is the file's, which its answer stands on. */
static bool acl_view_allows(const struct acl_view *v, enum acl_kind kind, struct mqtt_bytes what, acl_rule *ret_rule)
{
    *ret_rule = v->file ? acl_view_first(v, v->file, kind, what) : ACL_RULE_NONE;
    if (v->claims)
        return !acl_rule_denies(*ret_rule) && acl_rule_allows(acl_view_first(v, v->claims, kind, what));
    return !v->file || acl_rule_allows(*ret_rule);
}

bool acl_may_publish(const struct acl_view *v, struct mqtt_bytes topic)
{
    acl_rule rule;
    return acl_view_allows(v, ACL_KIND_PUBLISH, topic, &rule);
}

bool acl_may_receive(const struct acl_view *v, struct mqtt_bytes topic)
{
    acl_rule rule;
    return acl_view_allows(v, ACL_KIND_SUBSCRIBE, topic, &rule);
}

/* Whether the file denies something of FILTER by a line before RULE, which allows all of it (or is none). */
static bool acl_view_denies_some(const struct acl_view *v, struct mqtt_bytes filter, acl_rule rule)
{
    if (!v->file)
        return false;
    const struct acl_search s = {
        .trie = &v->file->trie, .kind = ACL_KIND_SUBSCRIBE, .what = filter, .user = v->user, .client_id = v->client_id};
    return acl_trie_denies_some(&s, ACL_ROOT_OF_ALL, rule) || acl_trie_denies_some(&s, v->file_user, rule);
}

enum acl_subscription acl_may_subscribe(const struct acl_view *v, struct mqtt_bytes filter)
{
    struct mqtt_bytes group;
    acl_rule rule;
    if (mqtt_topic_is_shared(filter) && !mqtt_topic_split_shared(filter, &group, &filter))
        return ACL_SUBSCRIPTION_REFUSED;
    if (!acl_view_allows(v, ACL_KIND_SUBSCRIBE, filter, &rule))
        return ACL_SUBSCRIPTION_REFUSED;
    return acl_view_denies_some(v, filter, rule) ? ACL_SUBSCRIPTION_GUARDED : ACL_SUBSCRIPTION_OPEN;
}
