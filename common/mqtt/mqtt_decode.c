/* One function per packet kind reads the structure of its body; what the fields may hold is for mqtt_check_content().
 *
 *     feed:  fixed header --> body whole? --no--> CONNECT: is its beginning MQTT at all? --> MORE
 *                                `--yes-> rules[type].decode --> nothing left over? --> mqtt_check_content --> OK */
#include "mqtt_decode.h"

#include "mqtt_check.h"
#include "mqtt_wire.h"

/* Besides 0, CURSOR_SHORT and MQTT_WIRE_BAD, which speak for themselves. */
enum { DECODE_REFUSED = 3 }; /* the fault is filled in */

enum { MALFORMED = MQTT_REASON_MALFORMED_PACKET };

#define COLD __attribute__((cold, noinline)) /* off the path of good packets, which then needs fewer registers */

/* Reads one body into P, which has been through packet_init(). FLAGS of the fixed header are judged; PUBLISH reads
 * them. */
typedef int decode_fn(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault);

/* Length and properties; nothing in 3.x. */
static inline int read_properties(struct cursor *c, uint8_t version, struct mqtt_properties *ret_list)
{
    uint32_t len;
    if (version != MQTT_V5)
        return 0;
    int r = mqtt_wire_read_varint(c, &len);
    return r ? r : mqtt_wire_read_bytes(c, len, &ret_list->wire);
}

/* What is left of the body. */
static struct mqtt_bytes take_rest(struct cursor *c)
{
    struct mqtt_bytes rest = {.ptr = c->ptr, .len = (uint32_t)c->len};
    cursor_skip(c, c->len);
    return rest;
}

static COLD void note_fault(struct mqtt_fault *fault, uint8_t reason, const char *text)
{
    mqtt_fault_set(fault, reason, text);
}

static inline int refuse(struct mqtt_fault *fault, uint8_t reason, const char *text)
{
    note_fault(fault, reason, text);
    return DECODE_REFUSED;
}

/* CURSOR_SHORT as long as what is there could still become one of the two names. */
static int read_protocol_name(struct cursor *c, bool *ret_is_old, struct mqtt_fault *fault)
{
    static const struct {
        const char *wire;
        size_t len;
        bool is_old;
    } names[] = {{"\0\4MQTT", 6, false}, {"\0\6MQIsdp", 8, true}};

    if (c->len == 0)
        return CURSOR_SHORT;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct cursor in = *c;
        const uint8_t *seen;
        size_t n = in.len < names[i].len ? in.len : names[i].len;
        if (cursor_read_bytes(&in, n, &seen) || memcmp(seen, names[i].wire, n) != 0)
            continue;
        if (n < names[i].len)
            return CURSOR_SHORT;
        *c = in;
        *ret_is_old = names[i].is_old;
        return 0;
    }
    return refuse(fault, MQTT_REASON_UNSUPPORTED_VERSION, "MQTT-3.1.2-1: protocol name is not MQTT");
}

/* Mosquitto's bridges set the high bit of levels 3 and 4: accepted and kept, so that the broker behind sees it. */
static int take_level(struct mqtt_packet *p, uint8_t level, bool is_old, struct mqtt_fault *fault)
{
    uint8_t version = level & (uint8_t)~MQTT_BRIDGE_BIT;
    bool is_known = is_old ? version == MQTT_V31 : version == MQTT_V311 || level == MQTT_V5;
    if (!is_known)
        return refuse(fault, MQTT_REASON_UNSUPPORTED_VERSION, "MQTT-3.1.2-2: protocol level is not known");
    p->version = version;
    p->connect.protocol_level = level;
    return 0;
}

static int take_connect_flags(struct mqtt_packet *p, uint8_t flags, struct mqtt_fault *fault)
{
    struct mqtt_connect *connect = &p->connect;
    connect->clean_start = flags & 0x02;
    connect->has_will = flags & 0x04;
    connect->has_password = flags & 0x40;
    connect->has_username = flags & 0x80;
    /* MQTT 3.1 section 3.1: bit 0 is "not used", and will QoS and retain are "disregarded" without the will flag. */
    if ((flags & 0x01) && p->version != MQTT_V31)
        return refuse(fault, MALFORMED, "MQTT-3.1.2-3: reserved flag of CONNECT is set");
    if ((flags & 0x38) && !connect->has_will && p->version != MQTT_V31)
        return refuse(fault, MALFORMED, "MQTT-3.1.2-11: will QoS or will retain without a will");
    if (connect->has_will) {
        connect->will.qos = flags >> 3 & 3;
        connect->will.retain = flags & 0x20;
    }
    return 0;
}

/* The part of CONNECT that is judged before the rest has come. CURSOR_SHORT: all right so far. */
static int read_connect_head(struct cursor *c, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    bool is_old;
    uint8_t level, flags;
    p->connect = (struct mqtt_connect){0};
    int r = read_protocol_name(c, &is_old, fault);
    if (r)
        return r;
    if (cursor_read_u8(c, &level))
        return CURSOR_SHORT;
    r = take_level(p, level, is_old, fault);
    if (r)
        return r;
    if (cursor_read_u8(c, &flags))
        return CURSOR_SHORT;
    return take_connect_flags(p, flags, fault);
}

static int read_will(struct cursor *c, struct mqtt_packet *p)
{
    struct mqtt_will *will = &p->connect.will;
    int r = read_properties(c, p->version, &will->properties);
    if (!r)
        r = mqtt_wire_read_text(c, &will->topic);
    return r ? r : mqtt_wire_read_text(c, &will->payload);
}

/* User name or password. MQTT 3.1 section 3.1: "the Remaining Length field takes precedence over the flag ... [the
 * string] is missing. This is valid, and connections should be allowed to continue": it is then as if the flag were not
 * set. */
static int read_credential(struct cursor *c, uint8_t version, bool *has, struct mqtt_bytes *ret_text)
{
    if (version == MQTT_V31 && c->len == 0)
        *has = false;
    return *has ? mqtt_wire_read_text(c, ret_text) : 0;
}

static int decode_connect(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    struct mqtt_connect *connect = &p->connect;
    int r = read_connect_head(c, p, fault);
    if (r)
        return r;
    if (cursor_read_u16(c, &connect->keep_alive_s))
        return CURSOR_SHORT;
    r = read_properties(c, p->version, &p->properties);
    if (r)
        return r;
    if (mqtt_wire_read_text(c, &connect->client_id))
        return CURSOR_SHORT;
    if (connect->has_will) {
        r = read_will(c, p);
        if (r)
            return r;
    }
    r = read_credential(c, p->version, &connect->has_username, &connect->username);
    return r ? r : read_credential(c, p->version, &connect->has_password, &connect->password);
}

/* A server that knows nothing above 3.1.1 answers a CONNECT of 5.0 in its own form, with return code 1 (MQTT 3.1.1
 * section 3.1.2.2): the one case in which the version of an answer is not that of the question. */
static bool is_old_refusal(const struct mqtt_packet *p, const struct cursor *rest)
{
    return p->reason_code == MQTT_V3_BAD_VERSION && rest->len == 0;
}

static int decode_connack(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    uint8_t ack_flags;
    if (cursor_read_u8(c, &ack_flags) || cursor_read_u8(c, &p->reason_code))
        return CURSOR_SHORT;
    /* MQTT 3.1 section 3.2 calls the whole byte "reserved values, not used"; brokers set bit 0 there as in 3.1.1. */
    if ((ack_flags & 0xFE) && p->version != MQTT_V31)
        return refuse(fault, MALFORMED, "MQTT-3.2.2-1: reserved acknowledge flags of CONNACK are set");
    p->connack.session_present = ack_flags & 1;
    if (p->version == MQTT_V5 && is_old_refusal(p, c)) {
        p->reason_code = MQTT_REASON_UNSUPPORTED_VERSION;
        return 0;
    }
    return read_properties(c, p->version, &p->properties);
}

static int decode_publish(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    p->publish.qos = flags >> 1 & 3;
    p->publish.retain = flags & 1;
    if (mqtt_wire_read_text(c, &p->publish.topic))
        return CURSOR_SHORT;
    if (p->publish.qos > 0 && cursor_read_u16(c, &p->packet_id))
        return CURSOR_SHORT;
    int r = read_properties(c, p->version, &p->properties);
    if (r)
        return r;
    p->publish.payload = take_rest(c);
    return 0;
}

/* PUBACK, PUBREC, PUBREL, PUBCOMP: reason code, then properties may be left out (section 3.4.2.1). In 3.x nothing is
 * left behind the id, by the rule of their length. */
static int decode_ack(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (cursor_read_u16(c, &p->packet_id))
        return CURSOR_SHORT;
    if (c->len == 0)
        return 0;
    cursor_read_u8(c, &p->reason_code);
    return c->len > 0 ? read_properties(c, p->version, &p->properties) : 0;
}

static int read_id_and_properties(struct cursor *c, struct mqtt_packet *p)
{
    if (cursor_read_u16(c, &p->packet_id))
        return CURSOR_SHORT;
    return read_properties(c, p->version, &p->properties);
}

static int decode_subscribe(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    int r = read_id_and_properties(c, p);
    if (r)
        return r;
    p->subscriptions = (struct mqtt_list){.wire = take_rest(c)};
    struct mqtt_bytes iter = p->subscriptions.wire;
    struct mqtt_subscription subscription;
    while (mqtt_subscription_next(&iter, &subscription))
        p->subscriptions.count++;
    return iter.len > 0 ? CURSOR_SHORT : 0;
}

static int decode_unsubscribe(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    int r = read_id_and_properties(c, p);
    if (r)
        return r;
    p->filters = (struct mqtt_list){.wire = take_rest(c)};
    struct mqtt_bytes iter = p->filters.wire, filter;
    while (mqtt_filter_next(&iter, &filter))
        p->filters.count++;
    return iter.len > 0 ? CURSOR_SHORT : 0;
}

/* SUBACK, UNSUBACK (3.x: its body ends behind the id). */
static int decode_reason_list(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    int r = read_id_and_properties(c, p);
    if (!r)
        p->reason_codes = take_rest(c);
    return r;
}

static int decode_empty(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    return 0;
}

/* Section 3.14.2.1: below two bytes there is no property length, below one no reason code. */
static int decode_disconnect(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (c->len == 0)
        return 0;
    cursor_read_u8(c, &p->reason_code);
    return c->len > 0 ? read_properties(c, p->version, &p->properties) : 0;
}

/* Section 3.15.2.1: both or none. */
static int decode_auth(struct cursor *c, uint8_t flags, struct mqtt_packet *p, struct mqtt_fault *fault)
{
    if (c->len == 0)
        return 0;
    cursor_read_u8(c, &p->reason_code);
    return read_properties(c, p->version, &p->properties);
}

/* What the fixed header of a packet type may say, and who reads its body. A length that no such packet can have is
 * refused before anybody waits for 256 MB of PINGREQ. */
struct packet_rule {
    decode_fn *decode;
    uint16_t flags; /* bit (1 << value) for each value that the flags have in every version (section 2.1.3) */
    struct {
        uint32_t min, max;
    } body[2]; /* of 3.x, of 5.0 */
};

#define ANY UINT32_MAX

enum { FLAGS_0 = 1 << 0, FLAGS_2 = 1 << 2, FLAGS_ANY = 0xFFFF };

static const struct packet_rule rules[16] = {
    [MQTT_CONNECT] = {decode_connect, FLAGS_0, {{12, ANY}, {12, ANY}}},
    [MQTT_CONNACK] = {decode_connack, FLAGS_0, {{2, 2}, {2, ANY}}},
    [MQTT_PUBLISH] = {decode_publish, FLAGS_ANY, {{3, ANY}, {3, ANY}}},
    [MQTT_PUBACK] = {decode_ack, FLAGS_0, {{2, 2}, {2, ANY}}},
    [MQTT_PUBREC] = {decode_ack, FLAGS_0, {{2, 2}, {2, ANY}}},
    [MQTT_PUBREL] = {decode_ack, FLAGS_2, {{2, 2}, {2, ANY}}},
    [MQTT_PUBCOMP] = {decode_ack, FLAGS_0, {{2, 2}, {2, ANY}}},
    [MQTT_SUBSCRIBE] = {decode_subscribe, FLAGS_2, {{2, ANY}, {3, ANY}}},
    [MQTT_SUBACK] = {decode_reason_list, FLAGS_0, {{2, ANY}, {3, ANY}}},
    [MQTT_UNSUBSCRIBE] = {decode_unsubscribe, FLAGS_2, {{2, ANY}, {3, ANY}}},
    [MQTT_UNSUBACK] = {decode_reason_list, FLAGS_0, {{2, 2}, {3, ANY}}},
    [MQTT_PINGREQ] = {decode_empty, FLAGS_0, {{0, 0}, {0, 0}}},
    [MQTT_PINGRESP] = {decode_empty, FLAGS_0, {{0, 0}, {0, 0}}},
    [MQTT_DISCONNECT] = {decode_disconnect, FLAGS_0, {{0, 0}, {0, ANY}}},
    [MQTT_AUTH] = {decode_auth, 0, {{0, 0}, {0, ANY}}}, /* not in every version: judge_first_byte() */
};

/* What the rules do not say: the differences between versions, and what is wrong. */
static COLD int judge_first_byte(struct mqtt_decoder *d, uint8_t first)
{
    uint8_t type = first >> 4, flags = first & 0x0F;
    bool is_repeatable = type == MQTT_PUBREL || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE;
    if (type == 0)
        return refuse(&d->fault, MALFORMED, "MQTT 2.1.2: packet type 0 is forbidden");
    if (d->version == 0 && type != MQTT_CONNECT)
        return refuse(&d->fault, MQTT_REASON_PROTOCOL_ERROR, "MQTT-3.1.0-1: first packet is not CONNECT");
    if (type == MQTT_AUTH && d->version != MQTT_V5)
        return refuse(&d->fault, MALFORMED, "MQTT 3.1.1 2.2.1: packet type 15 is forbidden");
    /* In 3.1 the repeat of a PUBREL, SUBSCRIBE or UNSUBSCRIBE carries DUP (MQTT 3.1 section 2.1). */
    if (is_repeatable && d->version == MQTT_V31 && flags == 0x0A)
        return 0;
    if (flags == 0 && (type == MQTT_CONNECT || type == MQTT_AUTH))
        return 0;
    return refuse(&d->fault, MALFORMED, "MQTT-2.1.3-1: reserved flags of the fixed header");
}

struct header {
    const struct packet_rule *rule;
    uint32_t body_len;
    uint8_t first; /* byte: type and flags */
};

/* Take the fixed header from C. 0, CURSOR_SHORT or DECODE_REFUSED. */
static int read_header(struct mqtt_decoder *d, struct cursor *c, struct header *ret)
{
    size_t before = c->len;
    if (cursor_read_u8(c, &ret->first))
        return CURSOR_SHORT;
    ret->rule = &rules[ret->first >> 4];
    bool is_ordinary = d->version != 0 && (ret->rule->flags >> (ret->first & 0x0F) & 1);
    if (!is_ordinary && judge_first_byte(d, ret->first))
        return DECODE_REFUSED;
    int r = mqtt_wire_read_varint(c, &ret->body_len);
    if (r == MQTT_WIRE_BAD)
        return refuse(&d->fault, MALFORMED, "MQTT-1.5.5-1: Remaining Length has more bytes than it may have or needs");
    if (r)
        return r;
    if (before - c->len + ret->body_len > d->max_packet_bytes)
        return refuse(&d->fault, MQTT_REASON_PACKET_TOO_LARGE, "MQTT-3.2.2-15: packet is larger than allowed");
    bool is_v5 = d->version == MQTT_V5;
    if (ret->body_len < ret->rule->body[is_v5].min || ret->body_len > ret->rule->body[is_v5].max)
        return refuse(&d->fault, MALFORMED, "MQTT 2.1.4: Remaining Length cannot be that of such a packet");
    return 0;
}

/* What every packet has. Its part of the union is for the function of its kind. */
static void packet_init(struct mqtt_packet *p, uint8_t first, uint8_t version)
{
    p->type = first >> 4;
    p->version = version;
    p->dup = first & 0x08;
    p->reason_code = 0;
    p->packet_id = 0;
    p->properties = (struct mqtt_properties){0};
}

/* R is what a decode_fn said. */
static COLD int malformed(struct mqtt_decoder *d, const struct mqtt_packet *p, int r)
{
    if (d->version == 0)
        d->version = p->version; /* so that the refusal can be said in the client's version */
    if (r == CURSOR_SHORT)
        refuse(&d->fault, MALFORMED, "MQTT 2.1.4: a field runs past the end of the packet");
    else if (r == MQTT_WIRE_BAD)
        refuse(&d->fault, MALFORMED, "MQTT-1.5.5-1: Property Length has more bytes than it may have or needs");
    return MQTT_DECODE_MALFORMED;
}

/* The body is not whole. Of CONNECT the beginning tells whether it is worth waiting for the rest. */
static COLD int judge_begun(struct mqtt_decoder *d, uint8_t first, struct cursor begun)
{
    struct mqtt_packet p;
    if (first >> 4 != MQTT_CONNECT)
        return MQTT_DECODE_MORE;
    packet_init(&p, first, 0);
    int r = read_connect_head(&begun, &p, &d->fault);
    return r == DECODE_REFUSED ? malformed(d, &p, r) : MQTT_DECODE_MORE;
}

static COLD int refused(const struct mqtt_decoder *d)
{
    return d->fault.reason == MQTT_REASON_PACKET_TOO_LARGE ? MQTT_DECODE_TOO_LARGE : MQTT_DECODE_MALFORMED;
}

static int decode_body(struct mqtt_decoder *d, const struct header *h, struct cursor *body, struct mqtt_packet *p)
{
    packet_init(p, h->first, d->version);
    int r = h->rule->decode(body, h->first & 0x0F, p, &d->fault);
    if (r)
        return r;
    if (body->len > 0)
        return refuse(&d->fault, MALFORMED, "MQTT 2.1.4: bytes behind the last field of the packet");
    return mqtt_check_content(p, &d->fault) ? DECODE_REFUSED : 0;
}

void mqtt_decoder_init(struct mqtt_decoder *d, uint8_t version, uint32_t max_packet_bytes)
{
    *d = (struct mqtt_decoder){
        .fault = {.text = ""},
        .max_packet_bytes = max_packet_bytes > 0 ? max_packet_bytes : MQTT_PACKET_MAX,
        .version = version,
    };
}

int mqtt_decoder_feed(struct mqtt_decoder *d, struct cursor *input, struct mqtt_packet *ret_packet)
{
    struct cursor c = *input;
    struct header h;
    d->needed_bytes = 0;
    int r = read_header(d, &c, &h);
    if (r)
        return r == CURSOR_SHORT ? MQTT_DECODE_MORE : refused(d);
    if (c.len < h.body_len) {
        d->needed_bytes = (uint32_t)(input->len - c.len) + h.body_len;
        return judge_begun(d, h.first, c);
    }
    struct cursor body = cursor_make(c.ptr, h.body_len);
    r = decode_body(d, &h, &body, ret_packet);
    if (r)
        return malformed(d, ret_packet, r);
    cursor_skip(&c, h.body_len);
    *input = c;
    d->version = d->version == 0 ? ret_packet->version : d->version;
    return MQTT_DECODE_OK;
}
