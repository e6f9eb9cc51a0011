/* Wills (bk_will.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_will.h"

#include <errno.h>
#include <stdlib.h>

#include "bk_access.h"
#include "bk_broker.h"
#include "bk_message.h"
#include "bk_publish.h"
#include "bk_quota.h"
#include "bk_session.h"
#include "bk_worker.h"
#include "mqtt_property.h"

/* The properties of a PUBLISH among those of the Will, in their order. */
static const uint8_t *bk_will_copy_properties(uint8_t *dst, const struct mqtt_properties *list)
{
    struct mqtt_bytes iter = list->wire;
    struct mqtt_property prop;
    while (mqtt_property_next(&iter, &prop))
        if (prop.id != MQTT_PROPERTY_WILL_DELAY_INTERVAL && prop.id != MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL)
            dst = mqtt_property_put(dst, &prop);
    return dst;
}

static struct bk_message *bk_will_message(const struct bk_session *s, const struct mqtt_will *will)
{
    struct bk_publication p;
    uint8_t *bytes = malloc(will->properties.wire.len + 1u);
    if (!bytes)
        return NULL;
    bk_publication_init(&p, NULL);
    p.topic = will->topic;
    p.payload = will->payload;
    p.properties.wire =
        (struct mqtt_bytes){bytes, (uint32_t)(bk_will_copy_properties(bytes, &will->properties) - bytes)};
    p.publisher = s->node.hash;
    p.qos = will->qos;
    p.retain = will->retain;
    struct bk_message *m = bk_publication_keep(&p);
    if (m)
        bk_message_ref(m);
    bk_publication_end(&p);
    free(bytes);
    return m;
}

int bk_will_set(struct bk_session *s, const struct mqtt_packet *connect)
{
    bk_will_drop(s);
    if (!connect->connect.has_will)
        return 0;
    const struct mqtt_will *will = &connect->connect.will;
    struct bk_will *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->message = bk_will_message(s, will);
    if (!w->message) {
        free(w);
        return -ENOMEM;
    }
    w->delay_s = mqtt_property_number(&will->properties, MQTT_PROPERTY_WILL_DELAY_INTERVAL, 0);
    w->expiry_s = mqtt_property_number(&will->properties, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, 0);
    w->has_expiry = mqtt_property_has(&will->properties, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL);
    s->will = w;
    return 0;
}

void bk_will_drop(struct bk_session *s)
{
    if (!s->will)
        return;
    bk_message_unref(s->will->message);
    free(s->will);
    s->will = NULL;
}

/* One message too many is published all the same, but not retained: nobody is there to hear why. */
static void bk_will_retain(const struct bk_session *s, struct bk_message *m)
{
    struct bk_quotas *quotas = broker_quotas(s->worker->broker);
    const struct mqtt_bytes topic = {m->bytes, m->topic_len};
    if (m->retain && !bk_quota_retain(quotas, s->grant ? s->grant->account : NULL, topic, m->payload_len == 0))
        m->retain = false;
}

void bk_will_publish(struct bk_session *s)
{
    struct bk_will *will = s->will;
    struct bk_worker *w = s->worker;
    if (!will)
        return;
    s->will = NULL;
    if (will->has_expiry)
        will->message->expires_ms = loop_now_ms(w->loop) + 1000ull * will->expiry_s;
    bk_will_retain(s, will->message);
    metric_add(&w->metrics.wills_published, 1);
    bk_publish_message(w, will->message);
    bk_message_unref(will->message);
    free(will);
}
