/* One function per kind of message; the version is data.
 *
 * Two sorts of wrong: bytes that are not well-formed make the whole message bad at once (PB_BAD), as they do for
 * protobuf-c, also in a member of the oneof that a later one replaces. A value that MQTT does not have is noted
 * (reader.late) and judged at the end, and forgotten with the member it was in.
 *
 * Properties of a packet are rebuilt as they come; any other list by a second walk over the message (only then it is
 * known where the first one ends). */
#include "frame_to_packet.h"

#include "mqtt_check.h"
#include "mqtt_property.h"
#include "mqtt_wire.h"
#include "pb_property.h"
#include "pb_wire.h"
#include "plain_frame.h"

struct reader {
    struct mqtt_packet *packet;
    uint8_t *scratch; /* where the next entry of a list goes */
    uint8_t *scratch_end;
    struct mqtt_fault late; /* text NULL: nothing wrong so far */
    bool is_v5;             /* family */
    bool is_short;          /* of scratch */
};

enum { FIELD_HAS_USERNAME = 100, FIELD_HAS_PASSWORD = 101, FIELD_DUP = 100 };

static void note(struct reader *r, uint8_t reason, const char *text)
{
    if (!r->late.text)
        r->late = (struct mqtt_fault){reason, text};
}

/* N bytes of scratch, or NULL; NULL too once anything is wrong, since the lists are not needed any more then. */
static uint8_t *take_scratch(struct reader *r, size_t n)
{
    if (r->late.text || r->is_short)
        return NULL;
    if ((size_t)(r->scratch_end - r->scratch) < n) {
        r->is_short = true;
        return NULL;
    }
    r->scratch += n;
    return r->scratch - n;
}

static uint16_t fit_u16(struct reader *r, uint32_t value, const char *text)
{
    if (value > UINT16_MAX)
        note(r, MQTT_REASON_MALFORMED_PACKET, text);
    return (uint16_t)value;
}

static uint8_t fit_u8(struct reader *r, uint32_t value, uint8_t max, const char *text)
{
    if (value > max)
        note(r, MQTT_REASON_MALFORMED_PACKET, text);
    return (uint8_t)value;
}

const char *const frame_malformed_text = "frame: not well-formed protobuf";
static const char *const id_text = "frame: message_id does not fit two bytes";
static const char *const reason_text = "frame: reason code does not fit one byte";
static const char *const qos_text = "frame: QoS above 2";

/* One Property at the end of LIST, which grows at r->scratch. */
static int read_property(struct reader *r, const struct pb_field *f, struct mqtt_bytes *list)
{
    struct mqtt_property prop;
    struct mqtt_fault fault;
    if (f->wire != PB_BYTES || pb_property_read(f->raw, &prop, &fault) != 0)
        return PB_BAD;
    if (fault.text) {
        note(r, fault.reason, fault.text);
        return 0;
    }
    uint8_t *dst = take_scratch(r, mqtt_property_size(&prop));
    if (!dst)
        return 0;
    if (list->len == 0)
        list->ptr = dst;
    mqtt_property_put(dst, &prop);
    list->len = (uint32_t)(r->scratch - list->ptr);
    return 0;
}

/* The properties of the packet itself, which 3.x does not have. */
static int read_packet_property(struct reader *r, const struct pb_field *f)
{
    return r->is_v5 ? read_property(r, f, &r->packet->properties.wire) : 0;
}

/* A Will, but for its properties, which are only looked through. RET->topic.ptr is NULL if it has none. */
static int read_will(struct reader *r, struct mqtt_bytes message, struct mqtt_will *ret)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    uint32_t qos = 0;
    int bad = 0;
    *ret = (struct mqtt_will){0};
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        struct mqtt_property prop;
        struct mqtt_fault fault;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1)
            bad = pb_take_bytes(&f, &ret->topic);
        else if (f.number == 2)
            bad = pb_take_bytes(&f, &ret->payload);
        else if (f.number == 3)
            bad = pb_take_u32(&f, &qos);
        else if (f.number == 4)
            bad = pb_take_bool(&f, &ret->retain);
        else if (f.number == 5 && r->is_v5)
            bad = f.wire == PB_BYTES ? pb_property_read(f.raw, &prop, &fault) : PB_BAD;
    }
    ret->qos = qos > UINT8_MAX ? UINT8_MAX : (uint8_t)qos;
    return bad;
}

/* A second Will in one Connect is merged with the first as protobuf-c 1.4 does it: strings and bytes stay unless the
 * second has them, numbers are those of the second even if it leaves them out. */
static int merge_will(struct reader *r, const struct pb_field *f)
{
    struct mqtt_connect *connect = &r->packet->connect;
    struct mqtt_will earlier = connect->will;
    if (f->wire != PB_BYTES || read_will(r, f->raw, &connect->will) != 0)
        return PB_BAD;
    if (!connect->will.topic.ptr)
        connect->will.topic = earlier.topic;
    if (connect->will.payload.len == 0)
        connect->will.payload = earlier.payload;
    connect->has_will = true;
    return 0;
}

/* The properties of all Wills in CONNECT, known to be well-formed. */
static void read_will_properties(struct reader *r, struct mqtt_bytes connect)
{
    struct cursor outer = cursor_make(connect.ptr, connect.len);
    struct pb_field f;
    while (outer.len > 0 && pb_next(&outer, &f) == 0) {
        struct cursor inner = cursor_make(f.raw.ptr, f.number == 8 ? f.raw.len : 0);
        while (inner.len > 0 && pb_next(&inner, &f) == 0) {
            if (f.number == 5)
                read_property(r, &f, &r->packet->connect.will.properties.wire);
        }
    }
}

static bool bytes_are(struct mqtt_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.ptr, text, bytes.len) == 0;
}

/* protocol_name and protocol_version, which fix the version of the packet. */
static void judge_protocol(struct reader *r, struct mqtt_bytes name, uint32_t level)
{
    uint32_t version = level == (MQTT_V31 | MQTT_BRIDGE_BIT) || level == (MQTT_V311 | MQTT_BRIDGE_BIT)
                           ? level & ~(uint32_t)MQTT_BRIDGE_BIT
                           : level;
    bool is_known = r->is_v5 ? version == MQTT_V5 : version == MQTT_V31 || version == MQTT_V311;
    if (!is_known)
        note(r, MQTT_REASON_UNSUPPORTED_VERSION, "frame: protocol_version is none of this message's");
    else if (!bytes_are(name, version == MQTT_V31 ? "MQIsdp" : "MQTT"))
        note(r, MQTT_REASON_UNSUPPORTED_VERSION, "frame: protocol_name does not fit protocol_version");
    r->packet->version = (uint8_t)version;
    r->packet->connect.protocol_level = (uint8_t)level;
}

static int read_connect(struct reader *r, struct mqtt_bytes message)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    struct mqtt_connect *connect = &r->packet->connect;
    struct mqtt_bytes name = {0};
    uint32_t level = 0, keep_alive_s = 0;
    int bad = 0;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1)
            bad = pb_take_bytes(&f, &connect->client_id);
        else if (f.number == 2)
            bad = pb_take_bytes(&f, &name);
        else if (f.number == 3)
            bad = pb_take_u32(&f, &level);
        else if (f.number == 4)
            bad = pb_take_bool(&f, &connect->clean_start);
        else if (f.number == 5)
            bad = pb_take_u32(&f, &keep_alive_s);
        else if (f.number == 6)
            bad = pb_take_bytes(&f, &connect->username);
        else if (f.number == 7)
            bad = pb_take_bytes(&f, &connect->password);
        else if (f.number == 8)
            bad = merge_will(r, &f);
        else if (f.number == 9)
            bad = read_packet_property(r, &f);
        else if (f.number == FIELD_HAS_USERNAME)
            bad = pb_take_bool(&f, &connect->has_username);
        else if (f.number == FIELD_HAS_PASSWORD)
            bad = pb_take_bool(&f, &connect->has_password);
    }
    if (bad != 0)
        return bad;
    connect->has_username |= connect->username.len > 0;
    connect->has_password |= connect->password.len > 0;
    connect->keep_alive_s = fit_u16(r, keep_alive_s, "frame: keep_alive does not fit two bytes");
    judge_protocol(r, name, level);
    if (connect->will.qos > 2)
        note(r, MQTT_REASON_MALFORMED_PACKET, qos_text);
    if (connect->has_will && r->is_v5)
        read_will_properties(r, message);
    return 0;
}

static int read_connack(struct reader *r, struct mqtt_bytes message)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    uint32_t code = 0;
    int bad = 0;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1)
            bad = pb_take_bool(&f, &r->packet->connack.session_present);
        else if (f.number == 2)
            bad = pb_take_u32(&f, &code);
        else if (f.number == 3)
            bad = read_packet_property(r, &f);
    }
    r->packet->reason_code = fit_u8(r, code, UINT8_MAX, reason_text);
    return bad;
}

static int read_publish(struct reader *r, struct mqtt_bytes message)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    struct mqtt_packet *p = r->packet;
    uint32_t id = 0, qos = 0;
    int bad = 0;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        switch (f.number) {
        case 1:
            bad = pb_take_bytes(&f, &p->publish.topic);
            break;
        case 2:
            bad = pb_take_u32(&f, &id);
            break;
        case 3:
            bad = pb_take_u32(&f, &qos);
            break;
        case 4:
            bad = pb_take_bool(&f, &p->publish.retain);
            break;
        case 5:
            bad = pb_take_bool(&f, &p->dup);
            break;
        case 6:
            bad = pb_take_bytes(&f, &p->publish.payload);
            break;
        case 7:
            bad = read_packet_property(r, &f);
            break;
        default:
            break;
        }
    }
    p->packet_id = fit_u16(r, id, id_text);
    p->publish.qos = fit_u8(r, qos, 2, qos_text);
    return bad;
}

/* PUBACK, PUBREC, PUBREL, PUBCOMP. */
static int read_ack(struct reader *r, struct mqtt_bytes message)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    bool has_dup = !r->is_v5 && r->packet->type == MQTT_PUBREL;
    uint32_t id = 0, code = 0;
    int bad = 0;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1)
            bad = pb_take_u32(&f, &id);
        else if (f.number == 2 && r->is_v5)
            bad = pb_take_u32(&f, &code);
        else if (f.number == 3)
            bad = read_packet_property(r, &f);
        else if (f.number == FIELD_DUP && has_dup)
            bad = pb_take_bool(&f, &r->packet->dup);
    }
    r->packet->packet_id = fit_u16(r, id, id_text);
    r->packet->reason_code = fit_u8(r, code, UINT8_MAX, reason_text);
    return bad;
}

/* DISCONNECT and AUTH; in 3.x DISCONNECT is empty. */
static int read_reason(struct reader *r, struct mqtt_bytes message)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    uint32_t code = 0;
    int bad = 0;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1 && r->is_v5)
            bad = pb_take_u32(&f, &code);
        else if (f.number == 2)
            bad = read_packet_property(r, &f);
    }
    r->packet->reason_code = fit_u8(r, code, UINT8_MAX, reason_text);
    return bad;
}

/* PINGREQ, PINGRESP: fields of later days may stand in it. */
static int read_empty(struct mqtt_bytes message)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    while (c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
    }
    return 0;
}

/* An entry of a list: PB_BAD if it is not well-formed, otherwise a late fault, or its MQTT form in scratch. In the
 * first walk RET_WIRE is NULL: only well-formedness counts. */
typedef int entry_fn(struct reader *r, const struct pb_field *f, struct mqtt_list *ret_list);

/* Room for an entry of N bytes at the end of LIST, or NULL. */
static uint8_t *append_entry(struct reader *r, struct mqtt_list *list, size_t n)
{
    uint8_t *dst = take_scratch(r, n);
    if (!dst)
        return NULL;
    if (list->count == 0)
        list->wire.ptr = dst;
    list->wire.len += (uint32_t)n;
    list->count++;
    return dst;
}

/* A filter without a byte is not only illegal: frame_scratch_bytes() counts on its absence. */
static bool filter_fits(struct reader *r, struct mqtt_bytes filter)
{
    if (filter.len == 0)
        note(r, MQTT_REASON_MALFORMED_PACKET, "MQTT-4.7.3-1: topic filter is empty");
    else if (filter.len > MQTT_STRING_MAX)
        note(r, MQTT_REASON_MALFORMED_PACKET, "frame: topic filter longer than 65,535 bytes");
    else
        return true;
    return false;
}

static int read_subscription(struct reader *r, const struct pb_field *entry, struct mqtt_list *ret_list)
{
    struct cursor c = cursor_make(entry->raw.ptr, entry->raw.len);
    struct mqtt_bytes filter = {0};
    uint32_t qos = 0, retain_handling = 0;
    bool no_local = false, retain_as_published = false;
    int bad = entry->wire == PB_BYTES ? 0 : PB_BAD;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1)
            bad = pb_take_bytes(&f, &filter);
        else if (f.number == 2)
            bad = pb_take_u32(&f, &qos);
        else if (f.number == 3 && r->is_v5)
            bad = pb_take_bool(&f, &no_local);
        else if (f.number == 4 && r->is_v5)
            bad = pb_take_bool(&f, &retain_as_published);
        else if (f.number == 5 && r->is_v5)
            bad = pb_take_u32(&f, &retain_handling);
    }
    if (bad != 0 || !ret_list)
        return bad;
    if (qos > 2)
        note(r, MQTT_REASON_MALFORMED_PACKET, qos_text);
    if (retain_handling > 2)
        note(r, MQTT_REASON_PROTOCOL_ERROR, "frame: retain_handling above 2");
    uint8_t *dst = filter_fits(r, filter) ? append_entry(r, ret_list, 3 + filter.len) : NULL;
    if (dst)
        *mqtt_wire_put_text(dst, filter) =
            (uint8_t)(qos | no_local << 2 | retain_as_published << 3 | retain_handling << 4);
    return 0;
}

static int read_filter(struct reader *r, const struct pb_field *entry, struct mqtt_list *ret_list)
{
    if (entry->wire != PB_BYTES)
        return PB_BAD;
    if (!ret_list)
        return 0;
    uint8_t *dst = filter_fits(r, entry->raw) ? append_entry(r, ret_list, 2 + entry->raw.len) : NULL;
    if (dst)
        mqtt_wire_put_text(dst, entry->raw);
    return 0;
}

static void append_code(struct reader *r, uint32_t code, struct mqtt_list *list)
{
    uint8_t fit = fit_u8(r, code, UINT8_MAX, reason_text);
    uint8_t *dst = append_entry(r, list, 1);
    if (dst)
        *dst = fit;
}

/* One code, or many of them packed. */
static int read_codes(struct reader *r, const struct pb_field *entry, struct mqtt_list *ret_list)
{
    struct cursor c = cursor_make(entry->raw.ptr, entry->raw.len);
    if (entry->wire != PB_BYTES && entry->wire != PB_VARINT)
        return PB_BAD;
    while (c.len > 0) {
        uint64_t code;
        if (pb_read_varint(&c, PB_VARINT_MAX, &code) != 0)
            return PB_BAD;
        if (ret_list)
            append_code(r, (uint32_t)code, ret_list);
    }
    return 0;
}

/* The messages with a packet id, a list in field 2, and perhaps properties and DUP. */
static int read_list_packet(struct reader *r, struct mqtt_bytes message, entry_fn *read_entry,
                            struct mqtt_list *ret_list)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    bool has_dup = !r->is_v5 && (r->packet->type == MQTT_SUBSCRIBE || r->packet->type == MQTT_UNSUBSCRIBE);
    struct pb_field f;
    uint32_t id = 0;
    int bad = 0;
    while (bad == 0 && c.len > 0) {
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1)
            bad = pb_take_u32(&f, &id);
        else if (f.number == 2 && read_entry)
            bad = read_entry(r, &f, NULL);
        else if (f.number == 3)
            bad = read_packet_property(r, &f);
        else if (f.number == FIELD_DUP && has_dup)
            bad = pb_take_bool(&f, &r->packet->dup);
    }
    if (bad != 0)
        return bad;
    r->packet->packet_id = fit_u16(r, id, id_text);
    c = cursor_make(message.ptr, message.len);
    while (read_entry && c.len > 0 && pb_next(&c, &f) == 0) {
        if (f.number == 2)
            read_entry(r, &f, ret_list);
    }
    return 0;
}

/* SUBACK, UNSUBACK; in 3.x UNSUBACK has no codes. */
static int read_code_list(struct reader *r, struct mqtt_bytes message)
{
    struct mqtt_list codes = {0};
    bool has_codes = r->is_v5 || r->packet->type == MQTT_SUBACK;
    int bad = read_list_packet(r, message, has_codes ? read_codes : NULL, &codes);
    r->packet->reason_codes = codes.wire;
    return bad;
}

static int read_body(struct reader *r, struct mqtt_bytes message)
{
    struct mqtt_packet *p = r->packet;
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        return read_connect(r, message);
    case MQTT_CONNACK:
        return read_connack(r, message);
    case MQTT_PUBLISH:
        return read_publish(r, message);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return read_ack(r, message);
    case MQTT_SUBSCRIBE:
        return read_list_packet(r, message, read_subscription, &p->subscriptions);
    case MQTT_UNSUBSCRIBE:
        return read_list_packet(r, message, read_filter, &p->filters);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return read_code_list(r, message);
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return read_empty(message);
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        return read_reason(r, message);
    }
    return PB_BAD;
}

/* The member of the oneof, whose number is the packet type. A later member replaces an earlier one with all that it
 * left. */
static int read_message(struct reader *r, const struct frame_source *source)
{
    struct cursor c = cursor_make(source->message.ptr, source->message.len);
    unsigned last_type = r->is_v5 ? MQTT_AUTH : MQTT_DISCONNECT;
    while (c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 0 || f.number > last_type)
            continue;
        *r->packet = (struct mqtt_packet){.type = (uint8_t)f.number, .version = source->session_version};
        r->scratch = source->scratch;
        r->late.text = NULL;
        r->is_short = false;
        if (f.wire != PB_BYTES || read_body(r, f.raw) != 0)
            return PB_BAD;
    }
    return 0;
}

static void judge_version(struct reader *r, uint8_t session_version)
{
    struct mqtt_packet *p = r->packet;
    if (p->type == 0)
        note(r, MQTT_REASON_MALFORMED_PACKET, "frame: no packet in it");
    else if (r->is_v5 ? session_version != 0 && session_version != MQTT_V5 : session_version == MQTT_V5)
        note(r, MQTT_REASON_PROTOCOL_ERROR, "frame: packet of another version than the session's");
    else if (p->type == MQTT_CONNECT && session_version != 0 && session_version != p->version)
        note(r, MQTT_REASON_PROTOCOL_ERROR, "frame: CONNECT of another version than the session's");
    else if (!r->is_v5 && session_version == 0 && p->type != MQTT_CONNECT)
        note(r, MQTT_REASON_PROTOCOL_ERROR, "frame: packet of MQTT 3 before CONNECT");
    if (r->is_v5)
        p->version = MQTT_V5;
}

static struct reader reader_make(const struct frame_source *source, struct mqtt_packet *packet)
{
    packet->type = 0;
    return (struct reader){
        .packet = packet,
        .scratch_end = source->scratch_bytes > 0 ? source->scratch + source->scratch_bytes : source->scratch,
        .is_v5 = source->family == FRAME_MQTTV5,
    };
}

bool frame_is_well_formed(const struct frame_source *source)
{
    struct mqtt_packet packet;
    struct reader r = reader_make(source, &packet);
    return read_message(&r, source) == 0;
}

/* Out of line, so that what is plain does not pay for its registers. */
static __attribute__((noinline)) int read_any(const struct frame_source *source, struct mqtt_packet *ret_packet,
                                              struct mqtt_fault *ret_fault)
{
    struct reader r = reader_make(source, ret_packet);
    if (read_message(&r, source) != 0) {
        *ret_fault = (struct mqtt_fault){MQTT_REASON_MALFORMED_PACKET, frame_malformed_text};
        return CONVERT_REFUSED;
    }
    judge_version(&r, source->session_version);
    if (r.late.text) {
        *ret_fault = r.late;
        return CONVERT_REFUSED;
    }
    if (r.is_short)
        return CONVERT_SCRATCH;
    return mqtt_packet_check(ret_packet, ret_fault) == 0 ? CONVERT_OK : CONVERT_REFUSED;
}

int frame_to_packet(const struct frame_source *source, struct mqtt_packet *ret_packet, struct mqtt_fault *ret_fault)
{
    return plain_frame_publish(source, ret_packet) ? CONVERT_OK : read_any(source, ret_packet, ret_fault);
}
