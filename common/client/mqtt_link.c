/* A connection that is kept up (mqtt_link.h). */
#define LOG_MODULE LOG_CLIENT
#include "mqtt_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "log.h"
#include "loop.h"
#include "mqtt_client_rules.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "mqtt_wire.h"
#include "random.h"
#include "upstream.h"

enum {
    LINK_DIAL_MS = 10000,
    LINK_CONNACK_MS = 10000,
    LINK_BACKOFF_MIN_MS = 1000,
    LINK_BACKOFF_MAX_MS = 30000,
    LINK_STEADY_MS = 10000, /* up for so long, it begins with the shortest back-off again */
    LINK_LINGER_MS = 1000,
    LINK_BROKER_ID_MAX = 64,
    LINK_CONNECT_PROPERTIES = 5 + 3 + 5 + 5 + sizeof MQTT_LINK_BROKER_ID + LINK_BROKER_ID_MAX,
    LINK_TEXT_MAX = 400,
};

enum link_state { LINK_WAITING = 0, LINK_DIALLING, LINK_CONNECTING, LINK_UP };

struct mqtt_link {
    struct loop *loop;
    const struct mqtt_link_config *config;
    const struct mqtt_link_cbs *cbs;
    void *arg;
    struct upstream *upstream; /* NULL while it waits */
    struct loop_timer timer;   /* what its state waits for */
    struct mqtt_client_rules rules;
    uint64_t up_ms;   /* loop_now_ms() of the last on_up */
    uint64_t ping_ms; /* of the last PINGREQ; 0: none is out */
    uint32_t wait_ms; /* the present back-off, with its jitter */
    uint32_t backoff_ms;
    uint16_t keep_alive_s;
    uint8_t state;      /* enum link_state */
    bool is_new;        /* the broker has not been told yet to begin anew */
    bool is_wiping;     /* 3.x: this connection is for that alone */
    bool is_subscribed; /* in the broker's session */
    bool has_no_bit;    /* the broker does not take the bridge bit */
};

static const struct mqtt_bytes mqtt_link_broker_key = {(const uint8_t *)MQTT_LINK_BROKER_ID,
                                                       sizeof MQTT_LINK_BROKER_ID - 1};

static void mqtt_link_dial(struct mqtt_link *l);

static void mqtt_link_enter(struct mqtt_link *l, enum link_state next)
{
    static const char *const names[] = {"waiting", "dialling", "connecting", "up"};
    log_debug(NULL, "link of '%s': %s -> %s", l->config->client_id, names[l->state], names[next]);
    l->state = (uint8_t)next;
}

/* --- The end of a connection */

/* Back to the beginning, in a while. */
static void mqtt_link_wait(struct mqtt_link *l, uint32_t within_ms)
{
    const bool was_steady = l->state == LINK_UP && loop_now_ms(l->loop) - l->up_ms >= LINK_STEADY_MS;
    l->backoff_ms = was_steady || l->backoff_ms == 0 ? LINK_BACKOFF_MIN_MS : l->backoff_ms * 2;
    if (l->backoff_ms > LINK_BACKOFF_MAX_MS)
        l->backoff_ms = LINK_BACKOFF_MAX_MS;
    l->wait_ms = l->backoff_ms - random_below(l->backoff_ms / 4 + 1);
    l->upstream = upstream_close(l->upstream, within_ms);
    l->ping_ms = 0;
    mqtt_link_enter(l, LINK_WAITING);
    loop_timer_start(&l->timer, l->wait_ms);
}

/* L may be gone from here on. */
static void mqtt_link_lose(struct mqtt_link *l, const char *text)
{
    const bool was_up = l->state == LINK_UP;
    char copy[LINK_TEXT_MAX]; /* the text may belong to the connection */
    snprintf(copy, sizeof copy, "%s", text);
    mqtt_link_wait(l, LINK_LINGER_MS);
    if (was_up)
        l->cbs->on_down(l, copy, l->wait_ms, l->arg);
    else
        l->cbs->on_failed(l, copy, l->wait_ms, l->arg);
}

static void mqtt_link_say_goodbye(struct mqtt_link *l, uint8_t reason)
{
    const uint8_t version = l->config->version;
    const struct mqtt_packet goodbye = {
        .type = MQTT_DISCONNECT, .version = version, .reason_code = version == MQTT_V5 ? reason : 0};
    if (l->state == LINK_UP)
        upstream_send(l->upstream, &goodbye, NULL);
}

void mqtt_link_retry(struct mqtt_link *l, uint8_t reason)
{
    mqtt_link_say_goodbye(l, reason);
    mqtt_link_wait(l, LINK_LINGER_MS);
}

/* --- CONNECT */

static uint8_t *mqtt_link_connect_properties(const struct mqtt_link_config *config, uint8_t *p)
{
    p = mqtt_property_put_u32(p, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, config->session_expiry_s);
    if (config->receive_max > 0)
        p = mqtt_property_put_u16(p, MQTT_PROPERTY_RECEIVE_MAXIMUM, config->receive_max);
    if (config->max_packet_bytes > 0)
        p = mqtt_property_put_u32(p, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, config->max_packet_bytes);
    if (config->broker_id.len > 0)
        p = mqtt_property_put_pair(p, MQTT_PROPERTY_USER_PROPERTY, mqtt_link_broker_key, config->broker_id);
    return p;
}

static bool mqtt_link_shows_bit(const struct mqtt_link *l)
{
    return l->config->is_bridge && l->config->version != MQTT_V5 && !l->has_no_bit;
}

static void mqtt_link_on_connected(struct upstream *u, void *arg)
{
    struct mqtt_link *l = arg;
    const struct mqtt_link_config *config = l->config;
    uint8_t properties[LINK_CONNECT_PROPERTIES];
    struct mqtt_packet connect = {
        .type = MQTT_CONNECT,
        .version = config->version,
        .connect = {.client_id = {(const uint8_t *)config->client_id, (uint32_t)strlen(config->client_id)},
                    .password = config->password,
                    .keep_alive_s = config->keep_alive_s,
                    .protocol_level = (uint8_t)(config->version | (mqtt_link_shows_bit(l) ? MQTT_BRIDGE_BIT : 0)),
                    .clean_start = l->is_new,
                    .has_username = config->username,
                    .has_password = config->password.ptr,
                    .has_will = config->will},
    };
    if (config->username)
        connect.connect.username =
            (struct mqtt_bytes){(const uint8_t *)config->username, (uint32_t)strlen(config->username)};
    if (config->will)
        connect.connect.will = *config->will;
    if (config->version == MQTT_V5)
        connect.properties.wire =
            (struct mqtt_bytes){properties, (uint32_t)(mqtt_link_connect_properties(config, properties) - properties)};
    l->is_wiping = l->is_new && config->version != MQTT_V5;
    if (l->is_wiping)
        connect.connect.has_will = false;
    mqtt_client_rules_init(&l->rules, &connect);
    mqtt_link_enter(l, LINK_CONNECTING);
    loop_timer_start(&l->timer, LINK_CONNACK_MS);
    if (upstream_send(u, &connect, NULL) < 0)
        mqtt_link_lose(l, err_text());
}

/* --- SUBSCRIBE */

static size_t mqtt_link_filters_size(const struct mqtt_link_config *config)
{
    size_t n = 0;
    for (uint32_t i = 0; i < config->n_subscriptions; i++)
        n += 2 + config->subscriptions[i].filter.len + 1;
    return n;
}

/* MQTT 5.0 section 3.8.3.1; 3.x has the QoS alone. */
static uint8_t mqtt_link_options_byte(const struct mqtt_subscription *s, uint8_t version)
{
    if (version != MQTT_V5)
        return s->qos;
    return (uint8_t)(s->qos | (s->no_local ? 1 << 2 : 0) | (s->retain_as_published ? 1 << 3 : 0) |
                     s->retain_handling << 4);
}

/* 0 or negative errno. */
static int mqtt_link_subscribe(struct mqtt_link *l)
{
    const struct mqtt_link_config *config = l->config;
    const size_t size = mqtt_link_filters_size(config);
    if (config->n_subscriptions == 0)
        return 0;
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return err_set(-ENOMEM, "out of memory");
    uint8_t *p = bytes;
    for (uint32_t i = 0; i < config->n_subscriptions; i++) {
        p = mqtt_wire_put_text(p, config->subscriptions[i].filter);
        *p++ = mqtt_link_options_byte(&config->subscriptions[i], config->version);
    }
    const struct mqtt_packet subscribe = {
        .type = MQTT_SUBSCRIBE,
        .version = config->version,
        .packet_id = MQTT_LINK_SUBSCRIBE_ID,
        .subscriptions = {.wire = {bytes, (uint32_t)size}, .count = config->n_subscriptions},
    };
    int r = upstream_send(l->upstream, &subscribe, NULL);
    free(bytes);
    return r == MQTT_IO_TOO_LARGE ? err_set(-EMSGSIZE, "SUBSCRIBE is larger than the broker takes") : r;
}

/* Likewise. */
static int mqtt_link_unsubscribe(struct mqtt_link *l)
{
    const struct mqtt_link_config *config = l->config;
    size_t size = 0;
    for (uint32_t i = 0; i < config->n_gone; i++)
        size += 2 + config->gone[i].len;
    if (size == 0)
        return 0;
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return err_set(-ENOMEM, "out of memory");
    uint8_t *p = bytes;
    for (uint32_t i = 0; i < config->n_gone; i++)
        p = mqtt_wire_put_text(p, config->gone[i]);
    const struct mqtt_packet unsubscribe = {
        .type = MQTT_UNSUBSCRIBE,
        .version = config->version,
        .packet_id = MQTT_LINK_UNSUBSCRIBE_ID,
        .filters = {.wire = {bytes, (uint32_t)size}, .count = config->n_gone},
    };
    int r = upstream_send(l->upstream, &unsubscribe, NULL);
    free(bytes);
    return r == MQTT_IO_TOO_LARGE ? err_set(-EMSGSIZE, "UNSUBSCRIBE is larger than the broker takes") : r;
}

static void mqtt_link_subscribed(struct mqtt_link *l, const struct mqtt_packet *suback)
{
    const struct mqtt_link_config *config = l->config;
    if (suback->packet_id != MQTT_LINK_SUBSCRIBE_ID)
        return;
    l->is_subscribed = true;
    for (uint32_t i = 0; i < config->n_subscriptions && i < suback->reason_codes.len; i++)
        if (suback->reason_codes.ptr[i] >= MQTT_REASON_UNSPECIFIED)
            l->cbs->on_refused(l, config->subscriptions[i].filter, suback->reason_codes.ptr[i], l->arg);
}

/* --- CONNACK */

static enum gate_answer mqtt_link_refused(struct mqtt_link *l, const struct mqtt_packet *connack)
{
    const bool is_v5 = l->config->version == MQTT_V5;
    char text[LINK_TEXT_MAX];
    if (mqtt_link_shows_bit(l) && connack->reason_code == MQTT_V3_BAD_VERSION) {
        l->has_no_bit = true;
        l->upstream = upstream_close(l->upstream, 0);
        mqtt_link_dial(l);
        return GATE_CLOSED;
    }
    snprintf(text, sizeof text, "the broker refuses CONNECT: %s (%u)",
             is_v5 ? mqtt_reason_text(MQTT_CONNACK, connack->reason_code) : mqtt_v3_code_text(connack->reason_code),
             connack->reason_code);
    mqtt_link_lose(l, text);
    return GATE_CLOSED;
}

struct mqtt_bytes mqtt_link_broker_id_of(const struct mqtt_properties *list)
{
    struct mqtt_bytes iter = list->wire;
    struct mqtt_property prop;
    while (mqtt_property_next(&iter, &prop))
        if (prop.id == MQTT_PROPERTY_USER_PROPERTY && prop.key.len == mqtt_link_broker_key.len &&
            memcmp(prop.key.ptr, mqtt_link_broker_key.ptr, prop.key.len) == 0)
            return prop.value;
    return (struct mqtt_bytes){NULL, 0};
}

static uint16_t mqtt_link_window(const struct mqtt_link *l, const struct mqtt_packet *connack)
{
    const uint16_t wanted = l->config->send_max;
    if (l->config->version != MQTT_V5)
        return wanted > 0 ? wanted : MQTT_LINK_RECEIVE_MAX_3;
    const uint16_t granted =
        (uint16_t)mqtt_property_number(&connack->properties, MQTT_PROPERTY_RECEIVE_MAXIMUM, UINT16_MAX);
    return wanted > 0 && wanted < granted ? wanted : granted;
}

static struct mqtt_link_grants mqtt_link_grants_of(const struct mqtt_link *l, const struct mqtt_packet *connack)
{
    const struct mqtt_properties *list = &connack->properties;
    const uint8_t version = l->config->version;
    if (version != MQTT_V5)
        return (struct mqtt_link_grants){.is_session_present = connack->connack.session_present || version == MQTT_V31,
                                         .has_retain = true,
                                         .max_qos = 2,
                                         .receive_max = mqtt_link_window(l, connack)};
    return (struct mqtt_link_grants){
        .is_session_present = connack->connack.session_present,
        .has_retain = mqtt_property_number(list, MQTT_PROPERTY_RETAIN_AVAILABLE, 1) == 1,
        .max_qos = (uint8_t)mqtt_property_number(list, MQTT_PROPERTY_MAXIMUM_QOS, 2),
        .receive_max = mqtt_link_window(l, connack),
        .broker_id = mqtt_link_broker_id_of(list),
    };
}

static void mqtt_link_start_keep_alive(struct mqtt_link *l, const struct mqtt_packet *connack)
{
    l->keep_alive_s =
        (uint16_t)mqtt_property_number(&connack->properties, MQTT_PROPERTY_SERVER_KEEP_ALIVE, l->config->keep_alive_s);
    if (l->keep_alive_s > 0)
        loop_timer_start(&l->timer, l->keep_alive_s * 500u);
    else
        loop_timer_stop(&l->timer);
}

/* 3.x: what the broker had is gone with this connection; the next one is of a session that stays. */
static enum gate_answer mqtt_link_wiped(struct mqtt_link *l)
{
    mqtt_link_enter(l, LINK_UP);
    mqtt_link_say_goodbye(l, MQTT_REASON_SUCCESS);
    l->is_new = false;
    l->upstream = upstream_close(l->upstream, LINK_LINGER_MS);
    mqtt_link_dial(l);
    return GATE_CLOSED;
}

static enum gate_answer mqtt_link_accepted(struct mqtt_link *l, const struct mqtt_packet *connack)
{
    if (l->is_wiping)
        return mqtt_link_wiped(l);
    const struct mqtt_link_grants grants = mqtt_link_grants_of(l, connack);
    l->is_new = false;
    l->up_ms = loop_now_ms(l->loop);
    l->is_subscribed = l->is_subscribed && grants.is_session_present;
    mqtt_link_enter(l, LINK_UP);
    mqtt_link_start_keep_alive(l, connack);
    mqtt_io_set_send_limit(upstream_io(l->upstream),
                           mqtt_property_number(&connack->properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 0));
    int r = !l->is_subscribed && grants.is_session_present ? mqtt_link_unsubscribe(l) : 0;
    if (r == 0 && !l->is_subscribed)
        r = mqtt_link_subscribe(l);
    if (r < 0) {
        mqtt_link_lose(l, err_text());
        return GATE_CLOSED;
    }
    return l->cbs->on_up(l, &grants, l->arg);
}

/* --- What the connection tells */

static enum gate_answer mqtt_link_pass(struct mqtt_link *l, const struct mqtt_packet *packet)
{
    char text[LINK_TEXT_MAX];
    switch (packet->type) {
    case MQTT_CONNACK:
        return packet->reason_code == 0 ? mqtt_link_accepted(l, packet) : mqtt_link_refused(l, packet);
    case MQTT_SUBACK:
        mqtt_link_subscribed(l, packet);
        return GATE_PASS;
    case MQTT_DISCONNECT:
        snprintf(text, sizeof text, "the broker says DISCONNECT: %s (%u)",
                 mqtt_reason_text(MQTT_DISCONNECT, packet->reason_code), packet->reason_code);
        mqtt_link_lose(l, text);
        return GATE_CLOSED;
    case MQTT_UNSUBACK:
    case MQTT_PINGRESP:
        return GATE_PASS;
    default:
        return l->cbs->on_packet(l, packet, l->arg);
    }
}

static enum gate_answer mqtt_link_on_packet(struct upstream *u, const struct mqtt_packet *packet, void *arg)
{
    struct mqtt_link *l = arg;
    struct mqtt_fault fault;
    if (mqtt_client_rules_check(&l->rules, packet, &fault) == 0)
        return mqtt_link_pass(l, packet);
    mqtt_link_say_goodbye(l, fault.reason);
    mqtt_link_lose(l, fault.text);
    return GATE_CLOSED;
}

static void mqtt_link_on_bad_packet(struct upstream *u, uint8_t reason, const char *text, void *arg)
{
    mqtt_link_say_goodbye(arg, reason);
    mqtt_link_lose(arg, text);
}

static void mqtt_link_on_failed(struct upstream *u, const char *text, void *arg)
{
    mqtt_link_lose(arg, text);
}

static void mqtt_link_on_end(struct upstream *u, enum conn_end why, const char *text, void *arg)
{
    struct mqtt_link *l = arg;
    /* brokers that do not know the bit may close without a word */
    if (l->state == LINK_CONNECTING && l->config->is_bridge)
        l->has_no_bit = !l->has_no_bit;
    mqtt_link_lose(l, why == CONN_END_EOF ? "the broker has closed the connection" : text);
}

static void mqtt_link_on_drain(struct upstream *u, void *arg)
{
    struct mqtt_link *l = arg;
    if (l->state == LINK_UP)
        l->cbs->on_drain(l, l->arg);
}

static void mqtt_link_on_progress(struct upstream *u, void *arg)
{
}

static const struct upstream_cbs mqtt_link_upstream_cbs = {
    .on_connected = mqtt_link_on_connected,
    .on_failed = mqtt_link_on_failed,
    .on_packet = mqtt_link_on_packet,
    .on_bad_packet = mqtt_link_on_bad_packet,
    .on_drain = mqtt_link_on_drain,
    .on_progress = mqtt_link_on_progress,
    .on_end = mqtt_link_on_end,
};

/* --- Time */

/* Twice in each keep-alive time. Whoever has not said a word since the last PINGREQ is gone, unless it is we who do not
 * listen. */
static void mqtt_link_keep_alive(struct mqtt_link *l)
{
    const struct mqtt_packet ping = {.type = MQTT_PINGREQ, .version = l->config->version};
    const struct mqtt_io *io = upstream_io(l->upstream);
    if (l->ping_ms != 0 && mqtt_io_last_input_ms(io) < l->ping_ms && !conn_is_paused(mqtt_io_conn(io))) {
        mqtt_link_lose(l, "the broker has not answered PINGREQ within half the keep-alive time");
        return;
    }
    l->ping_ms = loop_now_ms(l->loop);
    upstream_send(l->upstream, &ping, NULL);
    loop_timer_start(&l->timer, l->keep_alive_s * 500u);
}

static void mqtt_link_on_timer(struct loop_timer *timer)
{
    struct mqtt_link *l = container_of(timer, struct mqtt_link, timer);
    if (l->state == LINK_WAITING)
        mqtt_link_dial(l);
    else if (l->state == LINK_CONNECTING)
        mqtt_link_lose(l, "no CONNACK in time");
    else
        mqtt_link_keep_alive(l);
}

static int mqtt_link_start_dial(struct mqtt_link *l)
{
    const struct mqtt_link_config *config = l->config;
    const struct upstream_params params = {
        .url = config->url,
        .tls = config->tls,
        .timeout_ms = LINK_DIAL_MS,
        .max_packet_bytes = config->max_packet_bytes,
        .version = config->version,
        .cbs = &mqtt_link_upstream_cbs,
        .arg = l,
    };
    return upstream_open(l->loop, &params, &l->upstream);
}

static void mqtt_link_dial(struct mqtt_link *l)
{
    mqtt_link_enter(l, LINK_DIALLING);
    loop_timer_stop(&l->timer);
    if (mqtt_link_start_dial(l) < 0)
        mqtt_link_lose(l, err_text());
}

/* --- Life */

int mqtt_link_open(struct loop *loop, const struct mqtt_link_config *config, bool is_new,
                   const struct mqtt_link_cbs *cbs, void *arg, struct mqtt_link **ret_link)
{
    struct mqtt_link *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(-ENOMEM, "link: out of memory");
    l->loop = loop;
    l->config = config;
    l->cbs = cbs;
    l->arg = arg;
    l->is_new = is_new;
    loop_timer_init(&l->timer, loop, mqtt_link_on_timer);
    loop_timer_start(&l->timer, 0);
    *ret_link = l;
    return 0;
}

bool mqtt_link_is_up(const struct mqtt_link *l)
{
    return l->state == LINK_UP;
}

int mqtt_link_send(struct mqtt_link *l, const struct mqtt_packet *packet)
{
    return upstream_send(l->upstream, packet, NULL);
}

struct mqtt_io *mqtt_link_io(const struct mqtt_link *l)
{
    return l->upstream ? upstream_io(l->upstream) : NULL;
}

uint32_t mqtt_link_wait_ms(const struct mqtt_link *l)
{
    return l->wait_ms;
}

struct mqtt_link *mqtt_link_close(struct mqtt_link *l, uint32_t within_ms)
{
    if (!l)
        return NULL;
    mqtt_link_say_goodbye(l, MQTT_REASON_SUCCESS);
    loop_timer_stop(&l->timer);
    upstream_close(l->upstream, within_ms);
    free(l);
    return NULL;
}
