/* See mqtt_dropped.h. */
#include "mqtt_dropped.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mqtt_inflight.h"
#include "mqtt_property.h"

struct hidden_alias {
    uint16_t alias;
    uint16_t topic_len;
    uint8_t *topic;
};

struct mqtt_dropped_list {
    struct mqtt_inflight exchanges; /* QoS 2: PUBREL is due */
    struct hidden_alias *aliases;   /* that the client does not know */
    unsigned n_aliases;
};

static int out_of_memory(void)
{
    return err_set(-ENOMEM, "dropped PUBLISH: out of memory");
}

static struct mqtt_dropped_list *list_of(struct mqtt_dropped *d)
{
    if (!d->list && (d->list = calloc(1, sizeof(*d->list))))
        mqtt_inflight_init(&d->list->exchanges);
    return d->list;
}

void mqtt_dropped_clear(struct mqtt_dropped *d)
{
    if (!d->list)
        return;
    for (unsigned i = 0; i < d->list->n_aliases; i++)
        free(d->list->aliases[i].topic);
    free(d->list->aliases);
    mqtt_inflight_clear(&d->list->exchanges);
    free(d->list);
    d->list = NULL;
}

/* --- Aliases */

static uint16_t alias_of(const struct mqtt_packet *publish)
{
    return (uint16_t)mqtt_property_number(&publish->properties, MQTT_PROPERTY_TOPIC_ALIAS, 0);
}

static struct hidden_alias *find_alias(const struct mqtt_dropped_list *l, uint16_t alias)
{
    for (unsigned i = 0; i < l->n_aliases; i++) {
        if (l->aliases[i].alias == alias)
            return &l->aliases[i];
    }
    return NULL;
}

static void forget(struct mqtt_dropped_list *l, struct hidden_alias *a)
{
    free(a->topic);
    *a = l->aliases[--l->n_aliases];
}

static int remember(struct mqtt_dropped_list *l, uint16_t alias, struct mqtt_bytes topic)
{
    if (l->n_aliases == MQTT_DROPPED_ALIASES_MAX)
        return err_set(-ENOBUFS, "the broker uses too many topic aliases for messages that cannot pass");
    struct hidden_alias *more = realloc(l->aliases, (l->n_aliases + 1) * sizeof(*more));
    if (!more)
        return out_of_memory();
    l->aliases = more;
    struct hidden_alias *a = &more[l->n_aliases];
    *a = (struct hidden_alias){.alias = alias, .topic_len = (uint16_t)topic.len, .topic = malloc(topic.len)};
    if (!a->topic)
        return out_of_memory();
    memcpy(a->topic, topic.ptr, topic.len);
    l->n_aliases++;
    return 0;
}

/* An alias alone gets back its topic; a topic that sets it anew counts from here on, for the client too. */
static void check_alias(struct mqtt_dropped_list *l, struct mqtt_packet *publish)
{
    uint16_t alias = l->n_aliases > 0 ? alias_of(publish) : 0;
    struct hidden_alias *a = alias != 0 ? find_alias(l, alias) : NULL;
    if (a && publish->publish.topic.len > 0)
        forget(l, a);
    else if (a)
        publish->publish.topic = (struct mqtt_bytes){a->topic, a->topic_len};
}

/* --- Packets */

static int answer(struct mqtt_reply *ret_answer, const struct mqtt_packet *p, enum mqtt_type type)
{
    mqtt_reply_ack(ret_answer, p->version, type, p->packet_id);
    return MQTT_DROPPED_ANSWER;
}

int mqtt_dropped_publish(struct mqtt_dropped *d, const struct mqtt_packet *publish, struct mqtt_reply *ret_answer)
{
    struct mqtt_dropped_list *l = list_of(d);
    uint16_t alias = alias_of(publish);
    int r = l ? 0 : out_of_memory();
    /* With the alias alone the client may know it; else its topic came from here. */
    if (r == 0 && alias != 0 && publish->publish.topic.len > 0 && !find_alias(l, alias))
        r = remember(l, alias, publish->publish.topic);
    if (r == 0 && publish->publish.qos == 2)
        r = mqtt_inflight_sent(&l->exchanges, publish); /* a repeat is no news */
    if (r < 0)
        return r;
    if (publish->publish.qos == 0)
        return MQTT_DROPPED;
    return answer(ret_answer, publish, publish->publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC);
}

int mqtt_dropped_check_list(struct mqtt_dropped *d, struct mqtt_packet *p, struct mqtt_reply *ret_answer)
{
    if (p->type == MQTT_PUBLISH)
        check_alias(d->list, p);
    if (p->type == MQTT_PUBREL && mqtt_inflight_remove(&d->list->exchanges, p->packet_id) == 0)
        return answer(ret_answer, p, MQTT_PUBCOMP);
    return 0;
}
