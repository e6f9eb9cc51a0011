/* See sp_identity.h. */
#include "sp_identity.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "rpc_stream.h"
#include "rpc_tokens.h"
#include "trunk_frame.h"

struct sp_identity {
    _Atomic unsigned refs;
    char *name, *mount_point, *client_id_prefix; /* as in the options */
    struct rpc_tokens *tokens;                   /* NULL: any, or none */
    bool trusts_address, trusts_certificate;
};

struct sp_identities {
    size_t count;
    struct sp_identity *entries[]; /* one reference each */
};

/* --- Options */

int sp_identity_check_name(const char *name)
{
    const char *star = strchr(name, '*');
    if (*name == '\0')
        return err_set(-EINVAL, "an empty name");
    return star && star[1] != '\0' ? err_set(-EINVAL, "\"%.80s\": * stands for the rest of a name, at its end", name)
                                   : 0;
}

int sp_identity_check_trust(const char *word)
{
    if (strcmp(word, "address") == 0 || strcmp(word, "certificate") == 0)
        return 0;
    return err_set(-EINVAL, "\"%.80s\" is none of address, certificate", word);
}

bool sp_identity_options_trust(const struct sp_identity_options *o, const char *word)
{
    for (size_t i = 0; i < o->trust.count; i++) {
        if (strcmp(o->trust.items[i], word) == 0)
            return true;
    }
    return false;
}

/* --- Entries */

struct sp_identity *sp_identity_ref(struct sp_identity *identity)
{
    if (identity)
        atomic_fetch_add_explicit(&identity->refs, 1, memory_order_relaxed);
    return identity;
}

struct sp_identity *sp_identity_unref(struct sp_identity *identity)
{
    if (!identity || atomic_fetch_sub_explicit(&identity->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    rpc_tokens_free(identity->tokens);
    free(identity->name);
    free(identity->mount_point);
    free(identity->client_id_prefix);
    free(identity);
    return NULL;
}

/* *RET stays NULL where TEXT is. */
static int sp_identity_copy(const char *text, char **ret)
{
    if (!text)
        return 0;
    *ret = strdup(text);
    return *ret ? 0 : err_set(-ENOMEM, "trunk-identities: out of memory");
}

static int sp_identity_fill(struct sp_identity *identity, const struct sp_identity_options *o)
{
    identity->trusts_address = sp_identity_options_trust(o, "address");
    identity->trusts_certificate = sp_identity_options_trust(o, "certificate");
    int r = sp_identity_copy(o->name, &identity->name);
    if (r == 0)
        r = sp_identity_copy(o->mount_point, &identity->mount_point);
    if (r == 0)
        r = sp_identity_copy(o->client_id_prefix, &identity->client_id_prefix);
    if (r == 0 && o->tokens_file)
        r = err_context(rpc_tokens_new(o->tokens_file, &identity->tokens), "trunk-identities");
    return r;
}

static int sp_identity_new(const struct sp_identity_options *o, struct sp_identity **ret_identity)
{
    struct sp_identity *identity = calloc(1, sizeof *identity);
    if (!identity)
        return err_set(-ENOMEM, "trunk-identities: out of memory");
    atomic_init(&identity->refs, 1);
    int r = sp_identity_fill(identity, o);
    if (r < 0)
        sp_identity_unref(identity);
    else
        *ret_identity = identity;
    return r;
}

struct tenant_rules sp_identity_rules(const struct sp_identity *identity)
{
    if (!identity)
        return (struct tenant_rules){.mount_point = NULL};
    return (struct tenant_rules){.mount_point = identity->mount_point, .client_id_prefix = identity->client_id_prefix};
}

void sp_identity_censor(const struct sp_identity *identity, struct trunk_client *client)
{
    const struct mqtt_bytes source = client->source;
    if (identity && !identity->trusts_certificate)
        *client = (struct trunk_client){.source = source};
    if (identity && !identity->trusts_address)
        client->source = (struct mqtt_bytes){.ptr = NULL};
}

/* --- Lists */

int sp_identities_new(const struct config_items *entries, struct sp_identities **ret_list)
{
    const struct sp_identity_options *options = entries->items;
    struct sp_identities *list = calloc(1, sizeof *list + entries->count * sizeof(struct sp_identity *));
    int r = list ? 0 : err_set(-ENOMEM, "trunk-identities: out of memory");
    while (r == 0 && list->count < entries->count) {
        r = sp_identity_new(&options[list->count], &list->entries[list->count]);
        if (r == 0)
            list->count++;
    }
    if (r < 0)
        sp_identities_free(list);
    else
        *ret_list = list;
    return r;
}

struct sp_identities *sp_identities_free(struct sp_identities *list)
{
    for (size_t i = 0; list && i < list->count; i++)
        sp_identity_unref(list->entries[i]);
    free(list);
    return NULL;
}

bool sp_identity_name_matches(const char *wanted, const char *name, size_t n)
{
    size_t len = strlen(wanted);
    if (wanted[len - 1] == '*')
        return n >= len - 1 && memcmp(wanted, name, len - 1) == 0;
    return n == len && memcmp(wanted, name, n) == 0;
}

static bool sp_identity_has_name(const char *name, size_t n, void *arg)
{
    return sp_identity_name_matches(arg, name, n);
}

static bool sp_identity_fits(const struct sp_identity *identity, const struct rpc_stream *stream)
{
    if (identity->name && !rpc_stream_any_name(stream, sp_identity_has_name, identity->name))
        return false;
    return !identity->tokens || rpc_tokens_allow(identity->tokens, rpc_stream_metadata(stream, "authorization"));
}

struct sp_identity *sp_identities_find(const struct sp_identities *list, const struct rpc_stream *stream)
{
    for (size_t i = 0; i < list->count; i++) {
        if (sp_identity_fits(list->entries[i], stream))
            return sp_identity_ref(list->entries[i]);
    }
    return NULL;
}
