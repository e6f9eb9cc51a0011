/* See rp_tenant.h. */
#include "rp_tenant.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "front_identity.h"
#include "front_options.h"
#include "rp_client.h"
#include "rp_options.h"
#include "rp_session.h"
#include "rp_worker.h"

static struct mqtt_bytes rp_tenant_text(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, text ? (uint32_t)strlen(text) : 0};
}

int rp_tenant_open(struct rp_session *s, struct mqtt_packet *connect, struct tenant_scratch *scratch,
                   struct mqtt_fault *ret_fault)
{
    const struct front_listener_options *o = s->client->options;
    const struct tenant_params params = {
        .rules = {.mount_point = o->mount_point, .client_id_prefix = o->client_id_prefix},
        .certificate = rp_tenant_text(front_identity_certificate_name(mqtt_io_conn(s->client->io), o)),
        .metrics = &s->worker->tenant_metrics,
        .log = &s->log,
    };
    return tenant_open(&params, connect, scratch, &s->tenant, ret_fault);
}

int rp_tenant_send(struct rp_session *s, const struct mqtt_packet *packet, struct mqtt_fault *ret_fault)
{
    struct mqtt_packet mounted = *packet;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    int r = tenant_mount(s->tenant, &mounted, &scratch, ret_fault);
    if (r == 0)
        r = lane_send(s->lane, &mounted);
    else if (r == TENANT_REFUSED)
        r = RP_TENANT_REFUSED;
    tenant_scratch_deinit(&scratch);
    return r;
}

/* What the client never gets it cannot acknowledge. */
static int rp_tenant_answer(struct rp_session *s, const struct mqtt_reply *answer)
{
    int r = lane_send(s->lane, &answer->packet);
    return r <= 0 ? r : err_set(-EMSGSIZE, "an acknowledgement is too large for the s-proxy");
}

int rp_tenant_receive(struct rp_session *s, struct mqtt_packet *packet, struct tenant_scratch *scratch)
{
    struct mqtt_reply answer;
    int r = tenant_unmount(s->tenant, packet, scratch, &s->dropped, &answer);
    if (r <= 0)
        return r;
    if (r == MQTT_DROPPED_ANSWER)
        r = rp_tenant_answer(s, &answer);
    return r < 0 ? r : RP_TENANT_DROPPED;
}
