/* What a broker is told before CONNECT: a PROXY header that says who the client is (--upstream-proxy-protocol). What
 * r-proxy has said of the client comes from the open of its lane; where it has said nothing (relay service, an r-proxy
 * that does not know) the header names no address. Pure. */
#ifndef SP_PREFACE_H
#define SP_PREFACE_H

#include <stddef.h>
#include <stdint.h>

#include "conn.h"
#include "mqtt_packet.h"

struct trunk_client;

/* The header in VERSION (enum sp_proxy_protocol) for the broker at the far end of BROKER, at most
 * PROXY_HEADER_WRITE_MAX bytes; returns how many, 0 for SP_PROXY_PROTOCOL_NONE. CLIENT may be NULL. */
size_t sp_preface_write(uint8_t *dst, int version, const struct trunk_client *client, struct mqtt_bytes client_id,
                        const struct conn_peer *broker);

#endif
