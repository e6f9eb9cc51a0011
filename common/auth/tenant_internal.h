/* What the files of a tenant know of it.
 *
 *   tenant.c           its texts, from templates and values; scratch
 *   tenant_mount.c     client -> broker
 *   tenant_unmount.c   broker -> client
 *   tenant_template.c  templates */
#ifndef TENANT_INTERNAL_H
#define TENANT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "tenant.h"

struct tenant {
    struct mqtt_bytes mount;     /* "acme/"; empty: none. As all below it points into `text` */
    struct mqtt_bytes id_prefix; /* "acme:" */
    struct mqtt_bytes made_id;   /* in place of the client id that CONNECT did not say */
    uint32_t client_packet_max;  /* Maximum Packet Size of the client; UINT32_MAX: none */
    uint32_t broker_packet_max;  /* and of the broker, once CONNACK has come */
    struct tenant_metrics *metrics;
    const struct log_object *log;
    uint8_t text[];
};

/* Whether TOPIC belongs to the broker: "$SYS", "$SYS/...". */
bool tenant_is_sys(struct mqtt_bytes topic);
/* Room for N bytes in S, once. NULL with err_text() if memory is short. */
uint8_t *tenant_scratch_room(struct tenant_scratch *s, size_t n);
/* Bytes that a packet may have more at the broker's side. */
uint32_t tenant_growth(const struct tenant *t);

/* A part of a packet: N bytes, written from AT to the byte that is returned. */
static inline struct mqtt_bytes tenant_part(const uint8_t *at, const uint8_t *end)
{
    return (struct mqtt_bytes){at, (uint32_t)(end - at)};
}

#endif
