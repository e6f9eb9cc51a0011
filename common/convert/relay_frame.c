#include "relay_frame.h"

#include "pb_wire.h"
#include "plain_frame.h"

/* Field numbers of MqttStreamMessage. */
enum {
    FIELD_SEQUENCE = 2,
    FIELD_DIRECTION = 3,
    FIELD_V3_PACKET = 4,
    FIELD_V5_PACKET = 5,
    FIELD_CONTROL = 50,
    FIELD_CREDIT = 100,
    FIELD_PIECE = 101,
    FIELD_BATCH = 102,
};

/* The parts of an envelope as they come, before it is known what it is. */
struct envelope {
    struct mqtt_bytes member; /* of the oneof */
    struct mqtt_bytes piece_data;
    uint64_t sequence;
    uint64_t credit_bytes;
    uint32_t direction;
    uint32_t member_number; /* 0 = none */
    uint32_t piece_total_bytes;
    bool has_piece;
    bool has_batch;
};

struct control {
    struct mqtt_bytes client_id;
    uint32_t type;
};

const char *relay_frame_kind_name(unsigned kind)
{
    static const char *const names[] = {
        [RELAY_FRAME_EMPTY] = "EMPTY",
        [RELAY_FRAME_PACKET_V3] = "PACKET_V3",
        [RELAY_FRAME_PACKET_V5] = "PACKET_V5",
        [RELAY_FRAME_ESTABLISH_V3] = "ESTABLISHV3",
        [RELAY_FRAME_ESTABLISH_V5] = "ESTABLISHV5",
        [RELAY_FRAME_TERMINATE] = "TERMINATE",
        [RELAY_FRAME_HEARTBEAT] = "HEARTBEAT",
        [RELAY_FRAME_OTHER_CONTROL] = "OTHER_CONTROL",
        [RELAY_FRAME_CREDIT] = "CREDIT",
        [RELAY_FRAME_PIECE] = "PIECE",
        [RELAY_FRAME_BATCH] = "BATCH",
    };
    return kind < sizeof names / sizeof *names ? names[kind] : "no such kind";
}

static int read_control(struct mqtt_bytes message, struct control *ret)
{
    struct cursor c = cursor_make(message.ptr, message.len);
    int bad = 0;
    *ret = (struct control){0};
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1)
            bad = pb_take_u32(&f, &ret->type);
        else if (f.number == 2)
            bad = pb_take_bytes(&f, &ret->client_id);
    }
    return bad;
}

/* A second piece in one frame is merged with the first as protobuf-c does it: see merge_will() in frame_to_packet.c. */
static int read_piece(const struct pb_field *outer, struct envelope *e)
{
    struct cursor c = cursor_make(outer->raw.ptr, outer->raw.len);
    struct mqtt_bytes data = {0};
    int bad = outer->wire == PB_BYTES ? 0 : PB_BAD;
    e->has_piece = true;
    e->piece_total_bytes = 0;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == 1)
            bad = pb_take_u32(&f, &e->piece_total_bytes);
        else if (f.number == 2)
            bad = pb_take_bytes(&f, &data);
    }
    if (data.len > 0)
        e->piece_data = data;
    return bad;
}

static bool member_is_well_formed(const struct envelope *e)
{
    struct control control;
    if (e->member_number == FIELD_CONTROL)
        return read_control(e->member, &control) == 0;
    struct frame_source source = {.message = e->member,
                                  .family = e->member_number == FIELD_V5_PACKET ? FRAME_MQTTV5 : FRAME_MQTTV3};
    return frame_is_well_formed(&source);
}

/* A later member of the oneof replaces an earlier one, which still has to be protobuf. */
static int read_member(const struct pb_field *f, struct envelope *e)
{
    if (f->wire != PB_BYTES || (e->member_number != 0 && !member_is_well_formed(e)))
        return PB_BAD;
    e->member = f->raw;
    e->member_number = f->number;
    return 0;
}

static int read_envelope(struct cursor c, struct envelope *e)
{
    int bad = 0;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        switch (f.number) {
        case FIELD_SEQUENCE:
            bad = pb_take_u64(&f, &e->sequence);
            break;
        case FIELD_DIRECTION:
            bad = pb_take_u32(&f, &e->direction);
            break;
        case FIELD_V3_PACKET:
        case FIELD_V5_PACKET:
        case FIELD_CONTROL:
            bad = read_member(&f, e);
            break;
        case FIELD_CREDIT:
            bad = pb_take_u64(&f, &e->credit_bytes);
            break;
        case FIELD_PIECE:
            bad = read_piece(&f, e);
            break;
        case FIELD_BATCH:
            e->has_batch = true;
            bad = f.wire == PB_BYTES ? 0 : PB_BAD;
            break;
        default:
            break;
        }
    }
    return bad;
}

static uint8_t control_kind(uint32_t type)
{
    static const uint8_t kinds[] = {RELAY_FRAME_ESTABLISH_V3, RELAY_FRAME_ESTABLISH_V5, RELAY_FRAME_TERMINATE,
                                    RELAY_FRAME_HEARTBEAT};
    return type < sizeof kinds ? kinds[type] : RELAY_FRAME_OTHER_CONTROL;
}

static int refuse(struct mqtt_fault *ret_fault, uint8_t reason, const char *text)
{
    *ret_fault = (struct mqtt_fault){reason, text};
    return CONVERT_REFUSED;
}

static int take_piece(const struct envelope *e, struct relay_frame *ret, struct mqtt_fault *ret_fault)
{
    if (e->piece_data.len == 0)
        return refuse(ret_fault, MQTT_REASON_PROTOCOL_ERROR, "frame: a piece without data");
    ret->kind = RELAY_FRAME_PIECE;
    ret->piece.data = e->piece_data;
    ret->piece.total_bytes = e->piece_total_bytes;
    return CONVERT_OK;
}

static int take_member(const struct envelope *e, struct relay_frame *ret, struct mqtt_fault *ret_fault)
{
    struct control control;
    if (e->member_number != FIELD_CONTROL) {
        ret->kind = e->member_number == FIELD_V5_PACKET ? RELAY_FRAME_PACKET_V5 : RELAY_FRAME_PACKET_V3;
        ret->message = e->member;
        return CONVERT_OK;
    }
    if (read_control(e->member, &control) != 0)
        return refuse(ret_fault, MQTT_REASON_MALFORMED_PACKET, frame_malformed_text);
    ret->kind = control_kind(control.type);
    ret->client_id = control.client_id;
    return CONVERT_OK;
}

static __attribute__((noinline)) int read_any(const void *bytes, size_t len, struct relay_frame *ret,
                                              struct mqtt_fault *ret_fault)
{
    struct envelope e = {0};
    if (len > INT32_MAX || read_envelope(cursor_make(bytes, len), &e) != 0)
        return refuse(ret_fault, MQTT_REASON_MALFORMED_PACKET, frame_malformed_text);
    ret->sequence = e.sequence;
    ret->direction = (int32_t)e.direction;
    if ((e.member_number != 0) + (e.credit_bytes != 0) + e.has_piece + e.has_batch > 1)
        return refuse(ret_fault, MQTT_REASON_PROTOCOL_ERROR, "frame: carries two things at once");
    if (e.member_number != 0)
        return take_member(&e, ret, ret_fault);
    if (e.has_piece)
        return take_piece(&e, ret, ret_fault);
    if (e.has_batch) {
        ret->kind = RELAY_FRAME_BATCH;
        ret->batch = (struct mqtt_bytes){bytes, (uint32_t)len};
        return CONVERT_OK;
    }
    ret->kind = e.credit_bytes != 0 ? RELAY_FRAME_CREDIT : RELAY_FRAME_EMPTY;
    ret->credit_bytes = e.credit_bytes;
    return CONVERT_OK;
}

int relay_frame_read(const void *bytes, size_t len, struct relay_frame *ret, struct mqtt_fault *ret_fault)
{
    return plain_frame_envelope(bytes, len, ret) ? CONVERT_OK : read_any(bytes, len, ret, ret_fault);
}

uint8_t *relay_frame_write_control(uint8_t *dst, enum relay_frame_kind kind, uint64_t sequence,
                                   enum relay_direction direction, struct mqtt_bytes client_id)
{
    uint32_t type = (uint32_t)kind - RELAY_FRAME_ESTABLISH_V3;
    dst = pb_put_uint_field(dst, FIELD_SEQUENCE, sequence);
    dst = pb_put_uint_field(dst, FIELD_DIRECTION, direction);
    dst = pb_put_block_head(dst, FIELD_CONTROL, pb_uint_field_size(1, type) + pb_bytes_field_size(2, client_id));
    dst = pb_put_uint_field(dst, 1, type);
    return pb_put_bytes_field(dst, 2, client_id);
}

uint8_t *relay_frame_write_credit(uint8_t *dst, enum relay_direction direction, uint64_t credit_bytes)
{
    dst = pb_put_uint_field(dst, FIELD_DIRECTION, direction);
    return pb_put_uint_field(dst, FIELD_CREDIT, credit_bytes);
}

uint8_t *relay_frame_write_piece_head(uint8_t *dst, enum relay_direction direction, uint32_t total_bytes,
                                      uint32_t data_len)
{
    size_t len = pb_uint_field_size(1, total_bytes) + pb_block_size(2, data_len);
    dst = pb_put_uint_field(dst, FIELD_DIRECTION, direction);
    dst = pb_put_block_head(dst, FIELD_PIECE, len);
    dst = pb_put_uint_field(dst, 1, total_bytes);
    return pb_put_block_head(dst, 2, data_len);
}

/* The tag of an entry as everybody writes it. */
enum {
    BATCH_TAG_0 = 0x80 | (FIELD_BATCH << 3 & 0x7f) | PB_BYTES,
    BATCH_TAG_1 = FIELD_BATCH >> 4,
};

/* What stands before the next entry of a batch, or behind the last one: fields that we do not know. */
static void skip_to_entry(struct cursor *c)
{
    /* In what our own peers send there are none. */
    if (c->len >= 2 && c->ptr[0] == BATCH_TAG_0 && c->ptr[1] == BATCH_TAG_1)
        return;
    struct cursor behind = *c;
    struct pb_field f;
    while (c->len > 0 && pb_next(&behind, &f) == 0 && f.number != FIELD_BATCH)
        *c = behind;
}

bool relay_batch_next(struct mqtt_bytes *iter, struct mqtt_bytes *ret_frame)
{
    struct cursor c = cursor_make(iter->ptr, iter->len);
    struct pb_field f;
    skip_to_entry(&c);
    if (c.len == 0 || pb_next(&c, &f) != 0 || f.number != FIELD_BATCH || f.wire != PB_BYTES)
        return false;
    skip_to_entry(&c);
    *ret_frame = f.raw;
    *iter = (struct mqtt_bytes){c.ptr, (uint32_t)c.len};
    return true;
}

size_t relay_batch_entry_size(size_t frame_len)
{
    return pb_block_size(FIELD_BATCH, frame_len);
}

uint8_t *relay_batch_write_head(uint8_t *dst, size_t frame_len)
{
    return pb_put_block_head(dst, FIELD_BATCH, frame_len);
}
