/* Writing from templates and reading of packet heads; sections are those of MQTT 5.0. */
#include "load_wire.h"

#include <stdlib.h>
#include <string.h>

#include "load_mem.h"
#include "load_telemetry.h"

static inline uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}

static inline uint64_t get_u64(const uint8_t *p)
{
    return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

static inline void put_u64(uint8_t *p, uint64_t v)
{
    put_u32(p, (uint32_t)(v >> 32));
    put_u32(p + 4, (uint32_t)v);
}

static size_t put_string(uint8_t *p, const char *s)
{
    size_t len = strlen(s);

    put_u16(p, (uint16_t)len);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): strings of MQTT have a length and no end mark */
    memcpy(p + 2, s, len);
    return 2 + len;
}

/* Variable byte integer, section 1.5.5. */
static size_t put_varint(uint8_t *p, size_t v)
{
    size_t n = 0;

    do {
        p[n] = (uint8_t)(v & 0x7f);
        v >>= 7;
        if (v)
            p[n] |= 0x80;
        n++;
    } while (v);
    return n;
}

/* Bytes used, 0 if the integer is not all there, -1 if it has more than four bytes. */
static int get_varint(const uint8_t *p, size_t len, size_t *ret)
{
    size_t v = 0;

    for (size_t i = 0; i < 4; i++) {
        if (i == len)
            return 0;
        v |= (size_t)(p[i] & 0x7f) << (7 * i);
        if (!(p[i] & 0x80)) {
            *ret = v;
            return (int)i + 1;
        }
    }
    return -1;
}

/* Type, remaining length and the body that was built two bytes further on: the packets written here stay below 16384.
 */
static size_t finish(uint8_t *out, uint8_t first, const uint8_t *body, size_t body_len)
{
    uint8_t head[5] = {first};
    size_t head_len = 1 + put_varint(head + 1, body_len);

    memmove(out + head_len, body, body_len);
    memcpy(out, head, head_len);
    return head_len + body_len;
}

size_t load_wire_put_connect(uint8_t *out, int version, const char *client_id, bool is_persistent)
{
    static const uint8_t expiry[] = {5, 0x11, 0, 0, 0x0e, 0x10}; /* Session Expiry Interval: an hour */
    uint8_t body[LOAD_WIRE_SMALL_MAX];
    size_t n = put_string(body, "MQTT");

    body[n++] = (uint8_t)version;
    body[n++] = is_persistent ? 0 : 0x02; /* Clean Start: no session is left behind */
    put_u16(body + n, 0);
    n += 2;
    if (version == 5 && is_persistent) {
        memcpy(body + n, expiry, sizeof(expiry));
        n += sizeof(expiry);
    } else if (version == 5) {
        body[n++] = 0;
    }
    n += put_string(body + n, client_id);
    return finish(out, 0x10, body, n);
}

size_t load_wire_put_subscribe(uint8_t *out, int version, uint16_t packet_id, const char *filter, int qos)
{
    uint8_t body[LOAD_WIRE_SMALL_MAX];
    size_t n = 2;

    put_u16(body, packet_id);
    if (version == 5)
        body[n++] = 0;
    n += put_string(body + n, filter);
    body[n++] = (uint8_t)qos;
    return finish(out, 0x82, body, n);
}

size_t load_wire_put_pingreq(uint8_t *out)
{
    out[0] = 0xc0;
    out[1] = 0;
    return 2;
}

size_t load_wire_put_disconnect(uint8_t *out)
{
    out[0] = 0xe0;
    out[1] = 0;
    return 2;
}

void load_wire_put_ack(uint8_t *out, uint8_t type, uint16_t packet_id)
{
    out[0] = (uint8_t)(type << 4 | (type == LOAD_WIRE_PUBREL ? 2 : 0));
    out[1] = 2;
    put_u16(out + 2, packet_id);
}

void load_wire_template_init(struct load_wire_template *t, int version, const char *topic, int qos, size_t payload_len)
{
    size_t body_len = 2 + strlen(topic) + (qos ? 2 : 0) + (version == 5 ? 1 : 0) + payload_len;
    uint8_t *p = load_mem_zeroed(1, 5 + body_len);

    t->bytes = p;
    *p++ = (uint8_t)(LOAD_WIRE_PUBLISH << 4 | qos << 1);
    p += put_varint(p, body_len);
    p += put_string(p, topic);
    t->packet_id_at = qos ? (size_t)(p - t->bytes) : 0;
    p += qos ? 2 : 0;
    p += version == 5 ? 1 : 0;
    t->stamp_at = (size_t)(p - t->bytes);
    memset(p, 'x', payload_len);
    t->len = t->stamp_at + payload_len;
}

void load_wire_template_deinit(struct load_wire_template *t)
{
    free(t->bytes);
    t->bytes = NULL;
}

void load_wire_put_publish(uint8_t *out, const struct load_wire_template *t, uint16_t packet_id,
                           const struct load_wire_stamp *stamp)
{
    memcpy(out, t->bytes, t->len);
    if (t->packet_id_at)
        put_u16(out + t->packet_id_at, packet_id);
    put_u32(out + t->stamp_at, stamp->publisher);
    put_u32(out + t->stamp_at + 4, stamp->number);
    put_u64(out + t->stamp_at + 8, stamp->sent_ns);
}

void load_wire_put_publish_head(uint8_t *out, const struct load_wire_template *t, uint16_t packet_id,
                                size_t payload_len)
{
    memcpy(out, t->bytes, t->stamp_at);
    put_varint(out + 1, t->stamp_at - 3 + payload_len); /* behind the first byte and the two of the length */
    if (t->packet_id_at)
        put_u16(out + t->packet_id_at, packet_id);
}

/* Length of the value of property ID (section 2.2.2.2) at P, or 0 if it isn't known or does not fit. */
static size_t property_len(uint8_t id, const uint8_t *p, size_t len)
{
    size_t n = 0, unused;

    switch (id) {
    case 0x01:
    case 0x17:
    case 0x19:
    case 0x24:
    case 0x25:
    case 0x28:
    case 0x29:
    case 0x2a:
        n = 1;
        break;
    case 0x13:
    case 0x21:
    case 0x22:
    case 0x23:
        n = 2;
        break;
    case 0x02:
    case 0x11:
    case 0x18:
    case 0x27:
        n = 4;
        break;
    case 0x0b:
        n = (size_t)(get_varint(p, len, &unused) > 0 ? get_varint(p, len, &unused) : 0);
        break;
    case 0x26:
        n = len < 2 ? 0 : 2u + get_u16(p);
        n = n && len >= n + 2 ? n + 2 + get_u16(p + n) : 0;
        break;
    default:
        n = len < 2 ? 0 : 2u + get_u16(p);
        break;
    }
    return n <= len ? n : 0;
}

/* The only property that a publisher must obey is Receive Maximum. */
static int read_connack_properties(const uint8_t *p, size_t len, struct load_wire_packet *packet)
{
    size_t properties_len;
    int n = get_varint(p, len, &properties_len);

    if (n <= 0 || properties_len > len - (size_t)n)
        return LOAD_WIRE_BAD;
    p += n;
    len = properties_len;
    while (len > 0) {
        size_t value_len = property_len(p[0], p + 1, len - 1);
        if (value_len == 0)
            return LOAD_WIRE_BAD;
        if (p[0] == 0x21)
            packet->receive_maximum = get_u16(p + 1);
        p += 1 + value_len;
        len -= 1 + value_len;
    }
    return LOAD_WIRE_OK;
}

/* P is the payload; of its bytes only HERE have arrived. */
static int read_stamp(const uint8_t *p, size_t here, struct load_wire_packet *packet)
{
    if (packet->payload_len < LOAD_WIRE_STAMP_SIZE)
        return LOAD_WIRE_OK;
    if (here < LOAD_WIRE_STAMP_SIZE)
        return LOAD_WIRE_MORE;
    if (p[0] == '{') { /* the highest byte of a publisher's number is 0 */
        if (here < packet->payload_len && here < LOAD_TELEMETRY_STAMP_MAX)
            return LOAD_WIRE_MORE;
        return load_telemetry_read_stamp(p, here, &packet->stamp) ? LOAD_WIRE_OK : LOAD_WIRE_BAD;
    }
    packet->stamp.publisher = get_u32(p);
    packet->stamp.number = get_u32(p + 4);
    packet->stamp.sent_ns = get_u64(p + 8);
    return LOAD_WIRE_OK;
}

/* P is the body; of BODY_LEN bytes only HERE have arrived. */
static int read_publish(const uint8_t *p, size_t body_len, size_t here, uint8_t first, int version,
                        struct load_wire_packet *packet)
{
    size_t at, properties_len = 0;

    packet->qos = first >> 1 & 3;
    if (here < 2)
        return LOAD_WIRE_MORE;
    at = 2u + get_u16(p) + (packet->qos ? 2 : 0);
    if (at > body_len || packet->qos == 3)
        return LOAD_WIRE_BAD;
    if (at > here)
        return LOAD_WIRE_MORE;
    if (packet->qos)
        packet->packet_id = get_u16(p + at - 2);
    if (version == 5) {
        int n = get_varint(p + at, here - at, &properties_len);
        if (n <= 0)
            return n == 0 && here < body_len ? LOAD_WIRE_MORE : LOAD_WIRE_BAD;
        at += (size_t)n + properties_len;
    }
    if (at > body_len)
        return LOAD_WIRE_BAD;
    packet->payload_len = body_len - at;
    return read_stamp(p + at, here > at ? here - at : 0, packet);
}

/* All other packets are small: read when they are whole. */
static int read_small(const uint8_t *p, size_t len, int version, struct load_wire_packet *packet)
{
    switch (packet->type) {
    case LOAD_WIRE_CONNACK:
        if (len < 2)
            return LOAD_WIRE_BAD;
        packet->reason_code = p[1];
        return version == 5 ? read_connack_properties(p + 2, len - 2, packet) : LOAD_WIRE_OK;
    case LOAD_WIRE_SUBACK:
        if (len < 3)
            return LOAD_WIRE_BAD;
        packet->packet_id = get_u16(p);
        packet->reason_code = p[len - 1]; /* there is one filter, so one code, behind the properties */
        return LOAD_WIRE_OK;
    case LOAD_WIRE_PUBACK:
    case LOAD_WIRE_PUBREC:
    case LOAD_WIRE_PUBREL:
    case LOAD_WIRE_PUBCOMP:
        if (len < 2)
            return LOAD_WIRE_BAD;
        packet->packet_id = get_u16(p);
        packet->reason_code = len > 2 ? p[2] : 0;
        return LOAD_WIRE_OK;
    case LOAD_WIRE_DISCONNECT:
        packet->reason_code = len > 0 ? p[0] : 0;
        return LOAD_WIRE_OK;
    default:
        return LOAD_WIRE_OK;
    }
}

int load_wire_read(const uint8_t *ptr, size_t len, int version, struct load_wire_packet *ret_packet)
{
    struct load_wire_packet packet = {.receive_maximum = UINT16_MAX};
    size_t body_len = 0;
    int r;

    if (len < 2)
        return LOAD_WIRE_MORE;
    packet.type = ptr[0] >> 4;
    int n = get_varint(ptr + 1, len - 1, &body_len);
    if (n <= 0)
        return n == 0 ? LOAD_WIRE_MORE : LOAD_WIRE_BAD;
    const uint8_t *body = ptr + 1 + n;
    size_t here = len - 1 - (size_t)n;
    packet.len = 1 + (size_t)n + body_len;

    if (packet.type == LOAD_WIRE_PUBLISH)
        r = read_publish(body, body_len, here < body_len ? here : body_len, ptr[0], version, &packet);
    else if (here < body_len)
        r = packet.len > LOAD_WIRE_HEAD_MAX ? LOAD_WIRE_BAD : LOAD_WIRE_MORE;
    else
        r = read_small(body, body_len, version, &packet);
    if (r == LOAD_WIRE_MORE && len >= LOAD_WIRE_HEAD_MAX)
        return LOAD_WIRE_BAD;
    if (r == LOAD_WIRE_OK)
        *ret_packet = packet;
    return r;
}
