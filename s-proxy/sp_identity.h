/* What an r-proxy may, after who it is: the entries of the file's `trunk-identities`.
 *
 *   stream --names of its certificate, token--> the first entry that fits --> tenant of its clients, what is believed
 *
 * An entry never changes once made. Sessions keep the one that they began with, whatever the list says later. Lists
 * and entries: any thread. */
#ifndef SP_IDENTITY_H
#define SP_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "tenant.h"

struct rpc_stream;
struct sp_identities;
struct sp_identity;
struct trunk_client;

/* An entry as the file has it. */
struct sp_identity_options {
    char *name;                           /* see sp_identity_name_matches(); NULL: any, or none */
    char *tokens_file;                    /* see rpc_tokens.h; NULL: any token, or none */
    char *mount_point, *client_id_prefix; /* see tenant.h; NULL: none */
    struct config_list trust;             /* of "address", "certificate" */
};

/* Of the options: 0, or -EINVAL with err_text(). */
int sp_identity_check_name(const char *name);
int sp_identity_check_trust(const char *word);
/* Whether O believes WORD. */
bool sp_identity_options_trust(const struct sp_identity_options *o, const char *word);

/* Whether NAME is WANTED: in full, or in its beginning where WANTED ends with "*". */
bool sp_identity_name_matches(const char *wanted, const char *name, size_t n);

/* ENTRIES, of struct sp_identity_options, are copied and their files read. 0 or negative errno with err_text(). */
int sp_identities_new(const struct config_items *entries, struct sp_identities **ret_list);
/* NULL is fine. Returns NULL. */
struct sp_identities *sp_identities_free(struct sp_identities *list);
/* The first entry that fits the r-proxy of STREAM, with a reference for the caller; NULL: none does. */
struct sp_identity *sp_identities_find(const struct sp_identities *list, const struct rpc_stream *stream);

/* NULL is fine for each: no list is kept, so everything is believed and nobody is a tenant. */
struct sp_identity *sp_identity_ref(struct sp_identity *identity);
struct sp_identity *sp_identity_unref(struct sp_identity *identity);
struct tenant_rules sp_identity_rules(const struct sp_identity *identity);
/* Takes out of *CLIENT, what an r-proxy says of one, what it is not believed. */
void sp_identity_censor(const struct sp_identity *identity, struct trunk_client *client);

#endif
