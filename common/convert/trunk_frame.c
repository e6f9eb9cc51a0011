#include "trunk_frame.h"

#include "pb_wire.h"
#include "plain_frame.h"

/* Field numbers of TrunkMessage. */
enum {
    FIELD_FRAMES = 1,
    FIELD_TAKEN = 2,
    FIELD_HELLO = 3,
    FIELD_PING = 4,
    FIELD_PONG = 5,
    FIELD_DRAINING = 6,
    FIELD_ZSTD_FRAMES = 7,
};

/* Field numbers of TrunkFrame. From FIELD_V3_PACKET to FIELD_CREDIT they are the members of its oneof. */
enum {
    FIELD_LANE = 1,
    FIELD_SEQUENCE = 2,
    FIELD_V3_PACKET = 3,
    FIELD_V5_PACKET = 4,
    FIELD_OPEN = 5,
    FIELD_CLOSE = 6,
    FIELD_PIECE = 7,
    FIELD_CREDIT = 8,
};

/* Field numbers of LaneOpen and of ClientTls in it. */
enum {
    FIELD_SESSION_ID = 1,
    FIELD_SOURCE = 4,
    FIELD_TLS = 5,
    FIELD_TLS_VERSION = 1,
    FIELD_TLS_CIPHER = 2,
    FIELD_TLS_SERVER_NAME = 3,
    FIELD_TLS_HAS_CERTIFICATE = 4,
    FIELD_TLS_COMMON_NAME = 5,
};

const char *trunk_frame_kind_name(unsigned kind)
{
    static const char *const names[] = {
        [TRUNK_FRAME_BAD] = "BAD",       [TRUNK_FRAME_PACKET_V3] = "PACKET_V3", [TRUNK_FRAME_PACKET_V5] = "PACKET_V5",
        [TRUNK_FRAME_OPEN] = "OPEN",     [TRUNK_FRAME_CLOSE] = "CLOSE",         [TRUNK_FRAME_PIECE] = "PIECE",
        [TRUNK_FRAME_CREDIT] = "CREDIT",
    };
    return kind < sizeof names / sizeof *names ? names[kind] : "no such kind";
}

/* ---- reading a message */

static int read_hello_field(const struct pb_field *f, struct trunk_hello *ret)
{
    switch (f->number) {
    case 1:
        return pb_take_u32(f, &ret->version);
    case 2:
        return pb_take_bytes(f, &ret->software);
    case 3:
        return pb_take_u32(f, &ret->lane_window);
    case 4:
        return pb_take_u32(f, &ret->max_message_bytes);
    case 5:
        return pb_take_u32(f, &ret->max_lanes);
    case 6:
        return pb_take_u32(f, &ret->dead_after_ms);
    case 7:
        return pb_take_u32(f, &ret->zstd_window_log);
    default:
        return 0;
    }
}

/* A second hello in one message is merged with the first as protobuf-c does it: see merge_will() in frame_to_packet.c.
 */
static int merge_hello(const struct pb_field *outer, struct trunk_controls *controls)
{
    struct cursor c = cursor_make(outer->raw.ptr, outer->raw.len);
    struct trunk_hello hello = {0};
    int bad = outer->wire == PB_BYTES ? 0 : PB_BAD;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        bad = pb_next(&c, &f);
        if (bad == 0)
            bad = read_hello_field(&f, &hello);
    }
    if (!hello.software.ptr)
        hello.software = controls->hello.software;
    controls->hello = hello;
    controls->has_hello = true;
    return bad;
}

static int read_control(const struct pb_field *f, struct trunk_controls *controls)
{
    switch (f->number) {
    case FIELD_TAKEN:
        return pb_take_u64(f, &controls->taken);
    case FIELD_HELLO:
        return merge_hello(f, controls);
    case FIELD_PING:
        return pb_take_u64(f, &controls->ping);
    case FIELD_PONG:
        return pb_take_u64(f, &controls->pong);
    case FIELD_DRAINING:
        return pb_take_bool(f, &controls->is_draining);
    case FIELD_ZSTD_FRAMES:
        return pb_take_bytes(f, &controls->zstd_frames);
    default:
        return 0;
    }
}

/* Everything from C on, which is what stands behind the frames at the front. Frames may be there too; m->rest is
 * extended to the end of the last one, and trunk_message_next() steps over what stands between. */
static int read_behind_frames(struct cursor c, struct trunk_message *m)
{
    while (c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number != FIELD_FRAMES) {
            if (read_control(&f, &m->controls) != 0)
                return PB_BAD;
            continue;
        }
        if (f.wire != PB_BYTES)
            return PB_BAD;
        m->n_frames++;
        m->rest.len = (uint32_t)(c.ptr - m->rest.ptr);
    }
    return 0;
}

static int refuse(struct mqtt_fault *ret_fault, uint8_t reason, const char *text)
{
    *ret_fault = (struct mqtt_fault){reason, text};
    return CONVERT_REFUSED;
}

int trunk_message_read(const void *bytes, size_t len, struct trunk_message *ret, struct mqtt_fault *ret_fault)
{
    struct cursor c = cursor_make(bytes, len);
    if (len > INT32_MAX)
        return refuse(ret_fault, MQTT_REASON_PACKET_TOO_LARGE, "trunk message: longer than protobuf allows");
    *ret = (struct trunk_message){.n_frames = plain_skip_frames(&c)};
    ret->rest = (struct mqtt_bytes){bytes, (uint32_t)(len - c.len)};
    if (read_behind_frames(c, ret) != 0)
        return refuse(ret_fault, MQTT_REASON_MALFORMED_PACKET, "trunk message: not well-formed protobuf");
    if (ret->n_frames > 0 && ret->controls.zstd_frames.len > 0)
        return refuse(ret_fault, MQTT_REASON_PROTOCOL_ERROR, "trunk message: frames and zstd_frames at once");
    return CONVERT_OK;
}

/* ---- reading a frame */

/* A frame on its own level: what is in the body has not been looked at. */
struct level {
    uint64_t sequence;
    struct pb_field body; /* of several, the last one */
    uint32_t lane;
    uint32_t n_bodies;
};

static int read_level(struct mqtt_bytes frame, struct level *ret)
{
    struct cursor c = cursor_make(frame.ptr, frame.len);
    int bad = 0;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return PB_BAD;
        if (f.number == FIELD_LANE) {
            bad = pb_take_u32(&f, &ret->lane);
        } else if (f.number == FIELD_SEQUENCE) {
            bad = pb_take_u64(&f, &ret->sequence);
        } else if (f.number >= FIELD_V3_PACKET && f.number <= FIELD_CREDIT) {
            ret->body = f;
            ret->n_bodies++;
        }
    }
    return bad;
}

/* Each of these makes *RET of a body and returns NULL, or says what is wrong with it. */

static int read_tls_field(const struct pb_field *f, struct trunk_client *ret)
{
    switch (f->number) {
    case FIELD_TLS_VERSION:
        return pb_take_bytes(f, &ret->tls_version);
    case FIELD_TLS_CIPHER:
        return pb_take_bytes(f, &ret->tls_cipher);
    case FIELD_TLS_SERVER_NAME:
        return pb_take_bytes(f, &ret->server_name);
    case FIELD_TLS_HAS_CERTIFICATE:
        return pb_take_bool(f, &ret->has_certificate);
    case FIELD_TLS_COMMON_NAME:
        return pb_take_bytes(f, &ret->common_name);
    default:
        return 0;
    }
}

static struct mqtt_bytes either(struct mqtt_bytes later, struct mqtt_bytes earlier)
{
    return later.ptr ? later : earlier;
}

/* A second one is merged with the first as protobuf-c does it: as merge_hello(). */
static int merge_tls(const struct pb_field *outer, struct trunk_client *client)
{
    struct cursor c = cursor_make(outer->raw.ptr, outer->raw.len);
    struct trunk_client tls = {.is_tls = true, .source = client->source};
    int bad = outer->wire == PB_BYTES ? 0 : PB_BAD;
    while (bad == 0 && c.len > 0) {
        struct pb_field f;
        bad = pb_next(&c, &f);
        if (bad == 0)
            bad = read_tls_field(&f, &tls);
    }
    tls.tls_version = either(tls.tls_version, client->tls_version);
    tls.tls_cipher = either(tls.tls_cipher, client->tls_cipher);
    tls.server_name = either(tls.server_name, client->server_name);
    tls.common_name = either(tls.common_name, client->common_name);
    *client = tls;
    return bad;
}

static int read_open_field(const struct pb_field *f, struct mqtt_bytes *session_id, struct trunk_client *client)
{
    switch (f->number) {
    case FIELD_SESSION_ID:
        return pb_take_bytes(f, session_id);
    case FIELD_SOURCE:
        return pb_take_bytes(f, &client->source);
    case FIELD_TLS:
        return merge_tls(f, client);
    default:
        return 0;
    }
}

static const char *take_open(struct cursor c, struct trunk_frame *ret)
{
    struct mqtt_bytes session_id = {0};
    struct trunk_client client = {.is_tls = false};
    while (c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0 || read_open_field(&f, &session_id, &client) != 0)
            return frame_malformed_text;
    }
    ret->kind = TRUNK_FRAME_OPEN;
    ret->open.session_id = session_id;
    ret->open.client = client;
    return session_id.len == TRUNK_SESSION_ID_BYTES ? NULL : "frame: a session id that is not 16 bytes long";
}

static const char *take_close(struct cursor c, struct trunk_frame *ret)
{
    struct mqtt_bytes text = {0};
    uint32_t reason = 0;
    int bad = 0;
    while (c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return frame_malformed_text;
        if (f.number == 1)
            bad |= pb_take_u32(&f, &reason);
        else if (f.number == 2)
            bad |= pb_take_bytes(&f, &text);
    }
    ret->kind = TRUNK_FRAME_CLOSE;
    ret->close.reason = reason;
    ret->close.text = text;
    return bad == 0 ? NULL : frame_malformed_text;
}

static const char *take_piece(struct cursor c, struct trunk_frame *ret)
{
    struct mqtt_bytes data = {0};
    uint32_t total_bytes = 0, version = 0;
    int bad = 0;
    while (c.len > 0) {
        struct pb_field f;
        if (pb_next(&c, &f) != 0)
            return frame_malformed_text;
        if (f.number == 1)
            bad |= pb_take_u32(&f, &total_bytes);
        else if (f.number == 2)
            bad |= pb_take_bytes(&f, &data);
        else if (f.number == 3)
            bad |= pb_take_u32(&f, &version);
    }
    if (bad != 0)
        return frame_malformed_text;
    if (data.len == 0)
        return "frame: a piece without data";
    if (total_bytes != 0 && version != FRAME_MQTTV3 && version != FRAME_MQTTV5)
        return "frame: a first piece of no known version";
    ret->kind = TRUNK_FRAME_PIECE;
    ret->piece.data = data;
    ret->piece.total_bytes = total_bytes;
    ret->piece.family = total_bytes == 0 ? 0 : (uint8_t)version;
    return NULL;
}

static const char *take_packet(const struct pb_field *body, struct trunk_frame *ret)
{
    ret->kind = body->number == FIELD_V5_PACKET ? TRUNK_FRAME_PACKET_V5 : TRUNK_FRAME_PACKET_V3;
    ret->message = body->raw;
    return NULL;
}

static const char *take_credit(const struct pb_field *body, struct trunk_frame *ret)
{
    ret->kind = TRUNK_FRAME_CREDIT;
    ret->credit_bytes = body->value;
    return body->value != 0 ? NULL : "frame: a credit of nothing";
}

static const char *take_body(const struct pb_field *body, struct trunk_frame *ret)
{
    struct cursor c = cursor_make(body->raw.ptr, body->raw.len);
    if (body->wire != (body->number == FIELD_CREDIT ? PB_VARINT : PB_BYTES))
        return frame_malformed_text;
    switch (body->number) {
    case FIELD_OPEN:
        return take_open(c, ret);
    case FIELD_CLOSE:
        return take_close(c, ret);
    case FIELD_PIECE:
        return take_piece(c, ret);
    case FIELD_CREDIT:
        return take_credit(body, ret);
    default:
        return take_packet(body, ret);
    }
}

/* A frame in which anything may stand. */
static void read_any_frame(struct mqtt_bytes frame, struct trunk_frame *ret)
{
    struct level level = {0};
    const char *fault;
    if (read_level(frame, &level) != 0) {
        *ret = (struct trunk_frame){.kind = TRUNK_FRAME_BAD, .fault = frame_malformed_text};
        return;
    }
    ret->lane = level.lane;
    ret->sequence = level.sequence;
    if (level.n_bodies != 1)
        fault = level.n_bodies == 0 ? "frame: carries nothing" : "frame: carries two things at once";
    else
        fault = take_body(&level.body, ret);
    if (fault) {
        ret->kind = TRUNK_FRAME_BAD;
        ret->fault = fault;
    }
}

/* Fields may stand in front of the frame, but none behind the last one (trunk_message_read()). Out of line, so that
 * what is plain does not pay for its registers. */
static __attribute__((noinline)) bool next_any(struct trunk_message *m, struct trunk_frame *ret)
{
    struct cursor c = cursor_make(m->rest.ptr, m->rest.len);
    struct pb_field f;
    do {
        if (c.len == 0 || pb_next(&c, &f) != 0)
            return false;
    } while (f.number != FIELD_FRAMES);
    m->rest = (struct mqtt_bytes){c.ptr, (uint32_t)c.len};
    read_any_frame(f.raw, ret);
    return true;
}

bool trunk_message_next(struct trunk_message *m, struct trunk_frame *ret)
{
    struct cursor c = cursor_make(m->rest.ptr, m->rest.len);
    if (!plain_trunk_frame(&c, ret))
        return next_any(m, ret);
    m->rest = (struct mqtt_bytes){c.ptr, (uint32_t)c.len};
    return true;
}

/* ---- writing */

/* What stands before the body. */
static inline size_t head_size(uint32_t lane, uint64_t sequence)
{
    return pb_uint_field_size(FIELD_LANE, lane) + pb_uint_field_size(FIELD_SEQUENCE, sequence);
}

/* A frame of FRAME_BYTES up to its body. */
static inline uint8_t *put_head(uint8_t *dst, size_t frame_bytes, uint32_t lane, uint64_t sequence)
{
    dst = pb_put_block_head(dst, FIELD_FRAMES, frame_bytes);
    dst = pb_put_uint_field(dst, FIELD_LANE, lane);
    return pb_put_uint_field(dst, FIELD_SEQUENCE, sequence);
}

/* The same and the head of a body of LEN bytes. */
static inline uint8_t *put_block_frame(uint8_t *dst, uint32_t lane, uint64_t sequence, uint32_t number, size_t len)
{
    dst = put_head(dst, head_size(lane, sequence) + pb_block_size(number, len), lane, sequence);
    return pb_put_block_head(dst, number, len);
}

size_t trunk_frame_packet_bytes(uint32_t lane, uint64_t sequence, const struct packet_frame *f)
{
    /* the tags of both members have one byte */
    size_t frame_bytes = head_size(lane, sequence) + pb_block_size(FIELD_V5_PACKET, f->total_bytes);
    return pb_block_size(FIELD_FRAMES, frame_bytes);
}

uint8_t *trunk_frame_write_packet(uint8_t *dst, uint32_t lane, uint64_t sequence, const struct packet_frame *f)
{
    uint32_t number = f->packet->version == MQTT_V5 ? FIELD_V5_PACKET : FIELD_V3_PACKET;
    return packet_to_frame_write(f, put_block_frame(dst, lane, sequence, number, f->total_bytes));
}

uint8_t *trunk_frame_write_message(uint8_t *dst, uint32_t lane, uint64_t sequence, uint8_t family,
                                   struct mqtt_bytes message)
{
    uint32_t number = family == FRAME_MQTTV5 ? FIELD_V5_PACKET : FIELD_V3_PACKET;
    return mqtt_wire_put_bytes(put_block_frame(dst, lane, sequence, number, message.len), message);
}

uint8_t *trunk_frame_write_piece(uint8_t *dst, uint32_t lane, uint64_t sequence, uint32_t total_bytes, uint8_t family,
                                 struct mqtt_bytes data)
{
    size_t len = pb_uint_field_size(1, total_bytes) + pb_bytes_field_size(2, data) + pb_small_field_size(3, family);
    dst = put_block_frame(dst, lane, sequence, FIELD_PIECE, len);
    dst = pb_put_uint_field(dst, 1, total_bytes);
    dst = pb_put_bytes_field(dst, 2, data);
    return pb_put_small_field(dst, 3, family);
}

static size_t client_tls_size(const struct trunk_client *client)
{
    return pb_bytes_field_size(FIELD_TLS_VERSION, client->tls_version) +
           pb_bytes_field_size(FIELD_TLS_CIPHER, client->tls_cipher) +
           pb_bytes_field_size(FIELD_TLS_SERVER_NAME, client->server_name) +
           pb_small_field_size(FIELD_TLS_HAS_CERTIFICATE, client->has_certificate) +
           pb_bytes_field_size(FIELD_TLS_COMMON_NAME, client->common_name);
}

static uint8_t *put_client_tls(uint8_t *dst, const struct trunk_client *client)
{
    dst = pb_put_block_head(dst, FIELD_TLS, client_tls_size(client));
    dst = pb_put_bytes_field(dst, FIELD_TLS_VERSION, client->tls_version);
    dst = pb_put_bytes_field(dst, FIELD_TLS_CIPHER, client->tls_cipher);
    dst = pb_put_bytes_field(dst, FIELD_TLS_SERVER_NAME, client->server_name);
    dst = pb_put_small_field(dst, FIELD_TLS_HAS_CERTIFICATE, client->has_certificate);
    return pb_put_bytes_field(dst, FIELD_TLS_COMMON_NAME, client->common_name);
}

size_t trunk_client_bytes(const struct trunk_client *client)
{
    if (!client)
        return 0;
    return pb_bytes_field_size(FIELD_SOURCE, client->source) +
           (client->is_tls ? pb_block_size(FIELD_TLS, client_tls_size(client)) : 0);
}

uint8_t *trunk_frame_write_open(uint8_t *dst, uint32_t lane, uint64_t sequence,
                                const uint8_t session_id[TRUNK_SESSION_ID_BYTES], const struct trunk_client *client)
{
    struct mqtt_bytes id = {session_id, TRUNK_SESSION_ID_BYTES};
    dst = put_block_frame(dst, lane, sequence, FIELD_OPEN,
                          pb_bytes_field_size(FIELD_SESSION_ID, id) + trunk_client_bytes(client));
    dst = pb_put_bytes_field(dst, FIELD_SESSION_ID, id);
    if (!client)
        return dst;
    dst = pb_put_bytes_field(dst, FIELD_SOURCE, client->source);
    return client->is_tls ? put_client_tls(dst, client) : dst;
}

uint8_t *trunk_frame_write_credit(uint8_t *dst, uint32_t lane, uint64_t credit_bytes)
{
    dst = put_head(dst, head_size(lane, 0) + pb_uint_field_size(FIELD_CREDIT, credit_bytes), lane, 0);
    return pb_put_uint_field(dst, FIELD_CREDIT, credit_bytes);
}

uint8_t *trunk_frame_write_close(uint8_t *dst, uint32_t lane, uint64_t sequence, uint32_t reason,
                                 struct mqtt_bytes text)
{
    uint64_t signed_reason = (uint64_t)(int32_t)reason; /* protobuf extends the sign of an enum */
    dst = put_block_frame(dst, lane, sequence, FIELD_CLOSE,
                          pb_uint_field_size(1, signed_reason) + pb_bytes_field_size(2, text));
    dst = pb_put_uint_field(dst, 1, signed_reason);
    return pb_put_bytes_field(dst, 2, text);
}

static size_t hello_size(const struct trunk_hello *h)
{
    return pb_uint_field_size(1, h->version) + pb_bytes_field_size(2, h->software) +
           pb_uint_field_size(3, h->lane_window) + pb_uint_field_size(4, h->max_message_bytes) +
           pb_uint_field_size(5, h->max_lanes) + pb_uint_field_size(6, h->dead_after_ms) +
           pb_uint_field_size(7, h->zstd_window_log);
}

static uint8_t *put_hello(uint8_t *dst, const struct trunk_hello *h)
{
    dst = pb_put_block_head(dst, FIELD_HELLO, hello_size(h));
    dst = pb_put_uint_field(dst, 1, h->version);
    dst = pb_put_bytes_field(dst, 2, h->software);
    dst = pb_put_uint_field(dst, 3, h->lane_window);
    dst = pb_put_uint_field(dst, 4, h->max_message_bytes);
    dst = pb_put_uint_field(dst, 5, h->max_lanes);
    dst = pb_put_uint_field(dst, 6, h->dead_after_ms);
    return pb_put_uint_field(dst, 7, h->zstd_window_log);
}

uint8_t *trunk_controls_write(uint8_t *dst, const struct trunk_controls *controls)
{
    dst = pb_put_uint_field(dst, FIELD_TAKEN, controls->taken);
    if (controls->has_hello)
        dst = put_hello(dst, &controls->hello);
    dst = pb_put_uint_field(dst, FIELD_PING, controls->ping);
    dst = pb_put_uint_field(dst, FIELD_PONG, controls->pong);
    dst = pb_put_small_field(dst, FIELD_DRAINING, controls->is_draining);
    return pb_put_bytes_field(dst, FIELD_ZSTD_FRAMES, controls->zstd_frames);
}
