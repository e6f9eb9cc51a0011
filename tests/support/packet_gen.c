/* Random valid packets: one function per kind of thing, from numbers up to whole packets. */
#include "packet_gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "mqtt_wire.h"

enum {
    ARENA_BYTES = 1 << 20,
    MAX_HUGE = 3, /* 65,535 bytes each, and a payload twice as large, still fit the arena */
    MAX_PAYLOAD = 2 * 65536,
};

void packet_gen_init(struct packet_gen *g, uint64_t seed)
{
    *g = (struct packet_gen){.state = seed * 2 + 1, .arena = malloc(ARENA_BYTES)};
    if (!g->arena) {
        fprintf(stderr, "packet_gen: out of memory\n");
        abort();
    }
}

void packet_gen_deinit(struct packet_gen *g)
{
    free(g->arena);
    g->arena = NULL;
}

/* splitmix64: good enough, and nothing to seed wrongly. */
static uint64_t next_random(struct packet_gen *g)
{
    uint64_t z = g->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint32_t packet_gen_below(struct packet_gen *g, uint32_t n)
{
    return (uint32_t)((next_random(g) >> 32) * n >> 32);
}

bool packet_gen_one_in(struct packet_gen *g, uint32_t n)
{
    return packet_gen_below(g, n) == 0;
}

/* MIN .. MAX: an end, a power of two or its neighbour, or anything. */
static uint32_t pick_number(struct packet_gen *g, uint32_t min, uint32_t max)
{
    uint32_t number = max;
    switch (packet_gen_below(g, 4)) {
    case 0:
        number = min;
        break;
    case 1:
        number = (uint32_t)next_random(g);
        break;
    case 2:
        number = (UINT32_C(1) << packet_gen_below(g, 32)) - packet_gen_below(g, 2);
        break;
    }
    if (number >= min && number <= max)
        return number;
    return max - min == UINT32_MAX ? number : min + number % (max - min + 1);
}

static uint32_t pick_code_point(struct packet_gen *g)
{
    static const uint32_t edges[] = {0x01,   0x1F,   0x7E,   0x7F,   0x80,   0x7FF,   0x800,   0xFFF,    0x1000,
                                     0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFF, 0x10000, 0x3FFFF, 0x100000, 0x10FFFF};
    if (packet_gen_one_in(g, 4))
        return edges[packet_gen_below(g, sizeof(edges) / sizeof(edges[0]))];
    return ' ' + packet_gen_below(g, 0x7F - ' ');
}

static size_t put_code_point(uint8_t *dst, uint32_t c)
{
    if (c < 0x80) {
        dst[0] = (uint8_t)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        dst[i] = (uint8_t)(0x80 | (c & 0x3F));
    dst[0] = (uint8_t)((0xF00 >> len & 0xFF) | c);
    return len;
}

/* How long the next string or binary value is. */
static uint32_t pick_len(struct packet_gen *g)
{
    if (g->huge_left > 0 && packet_gen_one_in(g, 300)) {
        g->huge_left--;
        return MQTT_STRING_MAX - packet_gen_below(g, 2);
    }
    if (packet_gen_one_in(g, 5))
        return 0;
    return packet_gen_below(g, packet_gen_one_in(g, 20) ? 400 : 30);
}

static struct mqtt_bytes take_bytes(struct packet_gen *g, size_t len)
{
    struct mqtt_bytes bytes = {.ptr = g->arena + g->used, .len = (uint32_t)len};
    g->used += len;
    return bytes;
}

static struct mqtt_bytes pick_binary(struct packet_gen *g, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        g->arena[g->used + i] = (uint8_t)next_random(g);
    return take_bytes(g, len);
}

static struct mqtt_bytes pick_string(struct packet_gen *g)
{
    uint32_t len = pick_len(g);
    uint8_t *text = g->arena + g->used;
    for (uint32_t used = 0; used < len;) {
        uint8_t character[4];
        size_t n = put_code_point(character, pick_code_point(g));
        if (n > len - used)
            n = put_code_point(character, 'x');
        memcpy(text + used, character, n);
        used += (uint32_t)n;
    }
    return take_bytes(g, len);
}

/* At least one byte, no wildcard. */
static struct mqtt_bytes pick_topic(struct packet_gen *g)
{
    struct mqtt_bytes topic = pick_string(g);
    uint8_t *text = g->arena + g->used - topic.len;
    if (topic.len == 0) {
        text[0] = '/';
        return take_bytes(g, 1);
    }
    for (uint32_t i = 0; i < topic.len; i++)
        if (text[i] == '+' || text[i] == '#')
            text[i] = '/';
    return topic;
}

static uint8_t *put_word(uint8_t *dst, const char *word)
{
    while (*word)
        *dst++ = (uint8_t)*word++;
    return dst;
}

/* A filter with its two bytes of length, written to DST. */
static uint8_t *put_filter(struct packet_gen *g, uint8_t *dst, bool is_shared)
{
    static const char *const levels[] = {
        "+", "", "a", "pump-3", "$SYS", "t\xC3\xBCr", "\xEF\xBB\xBF", "\xF0\x9F\x9A\xB0"};
    uint8_t *text = dst + 2, *inner = is_shared ? put_word(text, "$share/group/") : text;
    uint32_t depth = packet_gen_one_in(g, 50) ? 200 : packet_gen_below(g, 6);
    uint8_t *end = put_word(inner, levels[packet_gen_below(g, 8)]);
    for (uint32_t i = 0; i < depth; i++) {
        end = put_word(end, "/");
        end = put_word(end, levels[packet_gen_below(g, 8)]);
    }
    if (end == inner) /* never empty */
        end = put_word(end, "#");
    else if (packet_gen_one_in(g, 3))
        end = put_word(end, end[-1] == '/' ? "#" : "/#");
    mqtt_wire_put_u16(dst, (uint16_t)(end - text));
    return end;
}

static uint8_t pick_options(struct packet_gen *g, uint8_t version, bool is_shared)
{
    uint8_t qos = (uint8_t)packet_gen_below(g, 3);
    if (version != MQTT_V5)
        return qos;
    bool no_local = !is_shared && packet_gen_one_in(g, 2);
    return (uint8_t)(packet_gen_below(g, 3) << 4 | packet_gen_below(g, 2) << 3 | (uint32_t)no_local << 2 | qos);
}

static struct mqtt_list pick_list(struct packet_gen *g, uint8_t version, bool has_options)
{
    uint32_t count = 1 + packet_gen_below(g, packet_gen_one_in(g, 20) ? 100 : 4);
    uint8_t *start = g->arena + g->used, *dst = start;
    for (uint32_t i = 0; i < count; i++) {
        bool is_shared = version == MQTT_V5 && packet_gen_one_in(g, 4);
        dst = put_filter(g, dst, is_shared);
        if (has_options)
            *dst++ = pick_options(g, version, is_shared);
    }
    return (struct mqtt_list){.wire = take_bytes(g, (size_t)(dst - start)), .count = count};
}

static uint32_t pick_property_number(struct packet_gen *g, const struct mqtt_property_info *info)
{
    static const uint32_t type_max[] = {
        [MQTT_PROPERTY_TYPE_U8] = UINT8_MAX,
        [MQTT_PROPERTY_TYPE_U16] = UINT16_MAX,
        [MQTT_PROPERTY_TYPE_U32] = UINT32_MAX,
        [MQTT_PROPERTY_TYPE_VARINT] = MQTT_VARINT_MAX,
    };
    return pick_number(g, info->min, info->max < type_max[info->type] ? info->max : type_max[info->type]);
}

static struct mqtt_property pick_property(struct packet_gen *g, uint8_t id)
{
    const struct mqtt_property_info *info = mqtt_property_info(id);
    struct mqtt_property prop = {.id = id, .type = info->type};
    switch (info->type) {
    case MQTT_PROPERTY_TYPE_PAIR:
        prop.key = pick_string(g);
        prop.value = pick_string(g);
        break;
    case MQTT_PROPERTY_TYPE_STRING:
        prop.value = id == MQTT_PROPERTY_RESPONSE_TOPIC ? pick_topic(g) : pick_string(g);
        break;
    case MQTT_PROPERTY_TYPE_BINARY:
        prop.value = pick_binary(g, pick_len(g));
        break;
    default:
        prop.number = pick_property_number(g, info);
    }
    return prop;
}

/* Ids that a list of WHERE may have, each as often as it is to come, in random order. Returns how many. */
static size_t pick_ids(struct packet_gen *g, uint8_t where, uint8_t *ids, size_t max)
{
    uint32_t rarity = packet_gen_below(g, 6); /* 0: all of them; 5: none */
    size_t n = 0;
    for (unsigned id = 1; id < MQTT_PROPERTY_ID_END; id++) {
        const struct mqtt_property_info *info = mqtt_property_info(id);
        if (!(info->places >> where & 1) || rarity == 5 || (rarity > 0 && !packet_gen_one_in(g, rarity)))
            continue;
        uint32_t times = info->repeatable >> where & 1 ? 1 + packet_gen_below(g, 4) : 1;
        for (; times > 0 && n < max; times--)
            ids[n++] = (uint8_t)id;
    }
    for (size_t i = n; i > 1; i--) {
        size_t other = packet_gen_below(g, (uint32_t)i);
        uint8_t id = ids[i - 1];
        ids[i - 1] = ids[other];
        ids[other] = id;
    }
    return n;
}

static bool holds_id(const uint8_t *ids, size_t n, uint8_t id)
{
    return memchr(ids, id, n) != NULL;
}

/* Authentication Data stands only beside a method, and AUTH always has one. */
static size_t add_needed_ids(uint8_t where, uint8_t *ids, size_t n)
{
    bool needs_method = where == MQTT_AUTH || holds_id(ids, n, MQTT_PROPERTY_AUTHENTICATION_DATA);
    if (needs_method && !holds_id(ids, n, MQTT_PROPERTY_AUTHENTICATION_METHOD))
        ids[n++] = MQTT_PROPERTY_AUTHENTICATION_METHOD;
    return n;
}

static struct mqtt_properties pick_properties(struct packet_gen *g, uint8_t version, uint8_t where)
{
    uint8_t ids[64];
    if (version != MQTT_V5)
        return (struct mqtt_properties){0};
    size_t n = add_needed_ids(where, ids, pick_ids(g, where, ids, sizeof(ids) - 1));
    struct mqtt_property props[64];
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        props[i] = pick_property(g, ids[i]);
        size += mqtt_property_size(&props[i]);
    }
    struct mqtt_bytes wire = take_bytes(g, size);
    uint8_t *dst = g->arena + g->used - size;
    for (size_t i = 0; i < n; i++)
        dst = mqtt_property_put(dst, &props[i]);
    return (struct mqtt_properties){.wire = wire};
}

static uint8_t pick_reason(struct packet_gen *g, uint8_t version, uint8_t type)
{
    if (packet_gen_one_in(g, 3) && mqtt_reason_is_allowed(version, type, 0))
        return 0;
    for (;;) {
        uint8_t reason = (uint8_t)next_random(g);
        if (mqtt_reason_is_allowed(version, type, reason))
            return reason;
    }
}

static void pick_connect(struct packet_gen *g, struct mqtt_packet *p)
{
    struct mqtt_connect *c = &p->connect;
    bool is_bridge = p->version != MQTT_V5 && packet_gen_one_in(g, 6);
    c->protocol_level = p->version | (is_bridge ? MQTT_BRIDGE_BIT : 0);
    c->client_id = pick_string(g);
    c->keep_alive_s = (uint16_t)pick_number(g, 0, UINT16_MAX);
    c->clean_start = packet_gen_one_in(g, 2);
    c->has_username = packet_gen_one_in(g, 2);
    c->has_password = packet_gen_one_in(g, 2) && (p->version == MQTT_V5 || c->has_username);
    c->has_will = packet_gen_one_in(g, 2);
    if (c->has_username)
        c->username = pick_string(g);
    if (c->has_password)
        c->password = pick_binary(g, pick_len(g));
    if (!c->has_will)
        return;
    c->will.topic = pick_topic(g);
    c->will.payload = pick_binary(g, pick_len(g));
    c->will.properties = pick_properties(g, p->version, MQTT_WILL);
    c->will.qos = (uint8_t)packet_gen_below(g, 3);
    c->will.retain = packet_gen_one_in(g, 2);
}

static void pick_publish(struct packet_gen *g, struct mqtt_packet *p)
{
    struct mqtt_publish *publish = &p->publish;
    struct mqtt_property alias;
    publish->qos = (uint8_t)packet_gen_below(g, 3);
    publish->retain = packet_gen_one_in(g, 2);
    p->dup = publish->qos > 0 && packet_gen_one_in(g, 2);
    if (publish->qos == 0)
        p->packet_id = 0;
    bool is_nameless = mqtt_property_find(&p->properties, MQTT_PROPERTY_TOPIC_ALIAS, &alias) && packet_gen_one_in(g, 2);
    if (!is_nameless)
        publish->topic = pick_topic(g);
    publish->payload = pick_binary(g, packet_gen_one_in(g, 100) ? MAX_PAYLOAD : pick_len(g));
}

static void pick_reasons(struct packet_gen *g, struct mqtt_packet *p)
{
    uint32_t count = 1 + packet_gen_below(g, packet_gen_one_in(g, 20) ? 300 : 4);
    if (p->type == MQTT_UNSUBACK && p->version != MQTT_V5)
        count = 0;
    for (uint32_t i = 0; i < count; i++)
        g->arena[g->used + i] = pick_reason(g, p->version, p->type);
    p->reason_codes = take_bytes(g, count);
}

static bool has_reason(const struct mqtt_packet *p)
{
    bool is_list = p->type == MQTT_SUBACK || p->type == MQTT_UNSUBACK;
    return p->type == MQTT_CONNACK ||
           (p->version == MQTT_V5 && !is_list && mqtt_reason_is_allowed(MQTT_V5, p->type, 0));
}

void packet_gen_type(struct packet_gen *g, uint8_t version, uint8_t type, struct mqtt_packet *ret)
{
    bool is_repeatable = type == MQTT_PUBREL || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE;
    struct mqtt_packet p = {.type = type, .version = version};
    g->used = 0;
    g->huge_left = MAX_HUGE;
    if (type >= MQTT_PUBLISH && type <= MQTT_UNSUBACK)
        p.packet_id = (uint16_t)pick_number(g, 1, UINT16_MAX);
    if (type != MQTT_PINGREQ && type != MQTT_PINGRESP)
        p.properties = pick_properties(g, version, type);
    if (has_reason(&p))
        p.reason_code = pick_reason(g, version, type);
    p.dup = version == MQTT_V31 && is_repeatable && packet_gen_one_in(g, 2);
    if (type == MQTT_CONNECT)
        pick_connect(g, &p);
    else if (type == MQTT_CONNACK)
        p.connack.session_present = packet_gen_one_in(g, 2);
    else if (type == MQTT_PUBLISH)
        pick_publish(g, &p);
    else if (type == MQTT_SUBSCRIBE)
        p.subscriptions = pick_list(g, version, true);
    else if (type == MQTT_UNSUBSCRIBE)
        p.filters = pick_list(g, version, false);
    else if (type == MQTT_SUBACK || type == MQTT_UNSUBACK)
        pick_reasons(g, &p);
    *ret = p;
}

void packet_gen_next(struct packet_gen *g, uint8_t version, struct mqtt_packet *ret)
{
    uint8_t last = version == MQTT_V5 ? MQTT_AUTH : MQTT_DISCONNECT;
    packet_gen_type(g, version, (uint8_t)(1 + packet_gen_below(g, last)), ret);
}
