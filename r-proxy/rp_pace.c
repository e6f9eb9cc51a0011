/* See rp_pace.h. */
#define LOG_MODULE LOG_R_PROXY
#include "rp_pace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "err.h"
#include "mqtt_encode.h"
#include "rp_client.h"
#include "rp_worker.h"

static void rp_pace_on_timer(struct loop_timer *timer)
{
    const struct rp_pace *p = container_of(timer, struct rp_pace, timer);
    mqtt_io_resume(p->client->io, RP_PAUSE_PACE);
}

int rp_pace_new(struct rp_client *c, struct rp_pace **ret_pace)
{
    const struct rp_options *o = c->worker->options;
    const uint64_t now_ms = loop_now_ms(c->worker->loop);
    *ret_pace = NULL;
    if (o->max_message_rate == 0 && o->max_byte_rate == 0)
        return 0;
    struct rp_pace *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(-ENOMEM, "client: out of memory");
    p->client = c;
    loop_timer_init(&p->timer, c->worker->loop, rp_pace_on_timer);
    token_bucket_init(&p->messages, (uint64_t)o->max_message_rate, now_ms);
    token_bucket_init(&p->bytes, o->max_byte_rate, now_ms);
    *ret_pace = p;
    return 0;
}

struct rp_pace *rp_pace_free(struct rp_pace *p)
{
    if (p)
        loop_timer_stop(&p->timer);
    free(p);
    return NULL;
}

void rp_pace_count(struct rp_pace *p, const struct mqtt_packet *packet)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    struct rp_client *c = p->client;
    const uint64_t now_ms = loop_now_ms(c->worker->loop);
    const uint64_t for_messages_ms = token_bucket_spend(&p->messages, packet->type == MQTT_PUBLISH, now_ms);
    const uint64_t for_bytes_ms = token_bucket_spend(&p->bytes, mqtt_encode_size(packet), now_ms);
    const uint64_t pause_ms = for_messages_ms > for_bytes_ms ? for_messages_ms : for_bytes_ms;
    if (pause_ms == 0 || packet->type == MQTT_DISCONNECT)
        return;
    metric_add(&c->worker->metrics.clients_paced, 1);
    log_rate_limited(&limit, LOG_LEVEL_INFO, &c->log, "not read for %" PRIu64 " ms: it sends faster than %s allows",
                     pause_ms, for_messages_ms > for_bytes_ms ? "max-message-rate" : "max-byte-rate");
    mqtt_io_pause(c->io, RP_PAUSE_PACE);
    loop_timer_start(&p->timer, pause_ms);
}
