/* See front_pace.h. */
#define LOG_MODULE LOG_FRONT
#include "front_pace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "err.h"
#include "front_options.h"
#include "log.h"
#include "mqtt_encode.h"
#include "mqtt_io.h"

static void front_pace_on_timer(struct loop_timer *timer)
{
    const struct front_pace *p = container_of(timer, struct front_pace, timer);
    mqtt_io_resume(p->params.io, p->params.pause_bit);
}

int front_pace_new(const struct front_options *options, const struct front_pace_params *params,
                   struct front_pace **ret_pace)
{
    const uint64_t now_ms = loop_now_ms(params->loop);
    *ret_pace = NULL;
    if (options->max_message_rate == 0 && options->max_byte_rate == 0 && !params->share)
        return 0;
    struct front_pace *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(-ENOMEM, "client: out of memory");
    p->params = *params;
    loop_timer_init(&p->timer, params->loop, front_pace_on_timer);
    token_bucket_init(&p->messages, (uint64_t)options->max_message_rate, now_ms);
    token_bucket_init(&p->bytes, options->max_byte_rate, now_ms);
    *ret_pace = p;
    return 0;
}

struct front_pace *front_pace_free(struct front_pace *p)
{
    if (p)
        loop_timer_stop(&p->timer);
    free(p);
    return NULL;
}

void front_pace_count(struct front_pace *p, const struct mqtt_packet *packet)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    const uint64_t now_ms = loop_now_ms(p->params.loop);
    const uint64_t for_messages_ms = token_bucket_spend(&p->messages, packet->type == MQTT_PUBLISH, now_ms);
    const uint64_t for_bytes_ms = token_bucket_spend(&p->bytes, mqtt_encode_size(packet), now_ms);
    const uint64_t shared_ms = p->params.share ? p->params.share(packet, now_ms, p->params.arg) : 0;
    const uint64_t own_ms = for_messages_ms > for_bytes_ms ? for_messages_ms : for_bytes_ms;
    const uint64_t pause_ms = own_ms > shared_ms ? own_ms : shared_ms;
    if (pause_ms == 0 || packet->type == MQTT_DISCONNECT)
        return;
    metric_add(p->params.pauses, 1);
    log_rate_limited(&limit, LOG_LEVEL_INFO, p->params.log,
                     "not read for %" PRIu64 " ms: it sends faster than %s allows", pause_ms,
                     shared_ms > own_ms               ? p->params.share_name
                     : for_messages_ms > for_bytes_ms ? "max-message-rate"
                                                      : "max-byte-rate");
    mqtt_io_pause(p->params.io, p->params.pause_bit);
    loop_timer_start(&p->timer, pause_ms);
}
