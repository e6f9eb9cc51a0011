/* See rp_identity.h. */
#include "rp_identity.h"

#include <string.h>

#include "conn_facts.h"
#include "conn_tls.h"
#include "rp_client.h"
#include "rp_options.h"

bool rp_identity_apply(const struct rp_client *c, struct mqtt_connect *connect)
{
    const struct conn_tls_facts *facts = conn_tls_facts(mqtt_io_conn(c->io));
    if (c->options->tls.identity == TLS_IDENTITY_NONE || !facts)
        return true;
    const char *name = tls_identity_name(facts, (enum tls_identity)c->options->tls.identity);
    const size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > UINT16_MAX)
        return false;
    connect->has_username = true;
    connect->username = (struct mqtt_bytes){.ptr = (const uint8_t *)name, .len = (uint32_t)len};
    connect->has_password = false;
    connect->password = (struct mqtt_bytes){.ptr = NULL};
    return true;
}

const char *rp_identity_certificate_name(const struct rp_client *c)
{
    const struct conn *conn = mqtt_io_conn(c->io);
    const struct conn_tls_facts *tls = conn_tls_facts(conn);
    const struct conn_facts *proxied = conn_peer(conn)->facts;
    const bool is_san = c->options->tls.identity == TLS_IDENTITY_SAN;
    if (tls)
        return tls_identity_name(tls, is_san ? TLS_IDENTITY_SAN : TLS_IDENTITY_CN);
    return proxied ? proxied->common_name : NULL;
}
