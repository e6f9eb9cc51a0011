/* See front_identity.h. */
#include "front_identity.h"

#include <string.h>

#include "conn.h"
#include "conn_facts.h"
#include "conn_tls.h"
#include "front_options.h"
#include "mqtt_packet.h"

enum front_identity front_identity_apply(const struct conn *c, const struct front_listener_options *options,
                                         struct mqtt_connect *connect)
{
    const struct conn_tls_facts *facts = conn_tls_facts(c);
    if (options->tls.identity == TLS_IDENTITY_NONE || !facts)
        return FRONT_IDENTITY_OWN;
    const char *name = tls_identity_name(facts, (enum tls_identity)options->tls.identity);
    const size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > UINT16_MAX)
        return FRONT_IDENTITY_MISSING;
    connect->has_username = true;
    connect->username = (struct mqtt_bytes){.ptr = (const uint8_t *)name, .len = (uint32_t)len};
    connect->has_password = false;
    connect->password = (struct mqtt_bytes){.ptr = NULL};
    return FRONT_IDENTITY_PROVED;
}

const char *front_identity_certificate_name(const struct conn *c, const struct front_listener_options *options)
{
    const struct conn_tls_facts *tls = conn_tls_facts(c);
    const struct conn_facts *proxied = conn_peer(c)->facts;
    const bool is_san = options->tls.identity == TLS_IDENTITY_SAN;
    if (tls)
        return tls_identity_name(tls, is_san ? TLS_IDENTITY_SAN : TLS_IDENTITY_CN);
    return proxied ? proxied->common_name : NULL;
}
