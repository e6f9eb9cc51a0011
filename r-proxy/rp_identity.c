/* See rp_identity.h. */
#include "rp_identity.h"

#include <string.h>

#include "conn_tls.h"
#include "rp_client.h"
#include "rp_options.h"

/* "DNS:pump-3.example" without its kind. */
static const char *rp_identity_alt_name(const struct conn_tls_facts *facts)
{
    const char *colon = facts->n_alt_names > 0 ? strchr(facts->alt_names[0], ':') : NULL;
    return colon ? colon + 1 : NULL;
}

static const char *rp_identity_name(const struct conn_tls_facts *facts, enum tls_identity kind)
{
    if (!facts->subject)
        return facts->psk;
    return kind == TLS_IDENTITY_CN ? facts->common_name : rp_identity_alt_name(facts);
}

bool rp_identity_apply(const struct rp_client *c, struct mqtt_connect *connect)
{
    const struct conn_tls_facts *facts = conn_tls_facts(mqtt_io_conn(c->io));
    if (c->options->tls.identity == TLS_IDENTITY_NONE || !facts)
        return true;
    const char *name = rp_identity_name(facts, (enum tls_identity)c->options->tls.identity);
    size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > UINT16_MAX)
        return false;
    connect->has_username = true;
    connect->username = (struct mqtt_bytes){.ptr = (const uint8_t *)name, .len = (uint32_t)len};
    connect->has_password = false;
    connect->password = (struct mqtt_bytes){.ptr = NULL};
    return true;
}
