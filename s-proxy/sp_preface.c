/* See sp_preface.h. */
#include "sp_preface.h"

#include "address.h"
#include "proxy_header.h"
#include "sp_options.h"
#include "trunk_frame.h"

static struct proxy_text sp_preface_text(struct mqtt_bytes bytes)
{
    return (struct proxy_text){bytes.ptr, bytes.len};
}

static void sp_preface_tell_client(struct proxy_header *h, const struct trunk_client *client)
{
    union conn_address source;
    if (address_parse_with_port((const char *)client->source.ptr, client->source.len, &source))
        h->source = source;
    if (!client->is_tls)
        return;
    h->is_tls = true;
    h->tls_version = sp_preface_text(client->tls_version);
    h->tls_cipher = sp_preface_text(client->tls_cipher);
    h->authority = sp_preface_text(client->server_name);
    h->has_certificate = client->has_certificate;
    h->common_name = sp_preface_text(client->common_name);
}

/* The broker's own address is the destination: it is what the broker expects to see, and r-proxy's is of no use there.
 */
size_t sp_preface_write(uint8_t *dst, int version, const struct trunk_client *client, struct mqtt_bytes client_id,
                        const struct conn_peer *broker)
{
    struct proxy_header h = {.destination = broker->address, .client_id = sp_preface_text(client_id)};
    if (version == SP_PROXY_PROTOCOL_NONE)
        return 0;
    if (client)
        sp_preface_tell_client(&h, client);
    return version == SP_PROXY_PROTOCOL_V1 ? proxy_header_write_v1(dst, &h) : proxy_header_write_v2(dst, &h);
}
