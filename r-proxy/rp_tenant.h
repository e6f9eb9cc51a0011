/* Tenants of r-proxy: --mount-point and --client-id-prefix of a listener on the packets of a session (tenant.h says
 * what they do). */
#ifndef RP_TENANT_H
#define RP_TENANT_H

#include "tenant.h"

struct rp_session;

/* CONNECT of S's client, which gets a tenant if its listener has one, becomes what the broker shall get: it points into
 * SCRATCH then. 0, TENANT_REFUSED with *RET_FAULT, or negative errno with err_text(). */
int rp_tenant_open(struct rp_session *s, struct mqtt_packet *connect, struct tenant_scratch *scratch,
                   struct mqtt_fault *ret_fault);

/* Put PACKET of the client, behind CONNECT, into the lane of S, which has a tenant. 0; LANE_TOO_LARGE; negative errno
 * with err_text(); RP_TENANT_REFUSED with *RET_FAULT. */
enum { RP_TENANT_REFUSED = 2 };
int rp_tenant_send(struct rp_session *s, const struct mqtt_packet *packet, struct mqtt_fault *ret_fault);

/* PACKET of the broker becomes what the client of S, which has a tenant, shall get. 0; RP_TENANT_DROPPED: nothing, and
 * the broker has its answer; negative errno with err_text(). */
enum { RP_TENANT_DROPPED = 1 };
int rp_tenant_receive(struct rp_session *s, struct mqtt_packet *packet, struct tenant_scratch *scratch);

#endif
