/* See tls_identity.h. */
#include "tls_identity.h"

#include <stddef.h>
#include <string.h>

#include "conn_tls.h"

/* "DNS:pump-3.example" without its kind. */
static const char *tls_identity_alt_name(const struct conn_tls_facts *facts)
{
    const char *colon = facts->n_alt_names > 0 ? strchr(facts->alt_names[0], ':') : NULL;
    return colon ? colon + 1 : NULL;
}

static const char *tls_identity_find(const struct conn_tls_facts *facts, enum tls_identity kind)
{
    if (!facts->subject)
        return facts->psk;
    return kind == TLS_IDENTITY_CN ? facts->common_name : tls_identity_alt_name(facts);
}

const char *tls_identity_name(const struct conn_tls_facts *facts, enum tls_identity kind)
{
    const char *name = facts ? tls_identity_find(facts, kind) : NULL;
    return name && name[0] != '\0' ? name : NULL;
}
