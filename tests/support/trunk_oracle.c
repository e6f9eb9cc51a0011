#include "trunk_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet_to_protobuf.h"

enum { FRAMES = 1, FIRST_CONTROL = 2, LAST_CONTROL = 7 }; /* fields of TrunkMessage */
enum { LANE = 1, SEQUENCE = 2, FIRST_BODY = 3, LAST_BODY = 8 };

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static bool differ(const char *what)
{
    fprintf(stderr, "by hand and by protobuf-c differ: %s\n", what);
    return false;
}

static bool bytes_are_equal(struct mqtt_bytes a, struct mqtt_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* protobuf-c sees a text up to its first zero byte. */
static bool text_is(struct mqtt_bytes by_hand, const char *by_oracle)
{
    const void *nul = by_hand.len > 0 ? memchr(by_hand.ptr, 0, by_hand.len) : NULL;
    if (nul)
        by_hand.len = (uint32_t)((const uint8_t *)nul - by_hand.ptr);
    return bytes_are_equal(by_hand, (struct mqtt_bytes){(const uint8_t *)by_oracle, (uint32_t)strlen(by_oracle)});
}

static char *text_of(struct mqtt_bytes bytes)
{
    char *text = must(calloc(bytes.len + 1, 1));
    if (bytes.len > 0)
        memcpy(text, bytes.ptr, bytes.len);
    return text;
}

static ProtobufCBinaryData data_of(struct mqtt_bytes bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)bytes.ptr};
}

static struct mqtt_bytes bytes_of(ProtobufCBinaryData data)
{
    return (struct mqtt_bytes){data.data, (uint32_t)data.len};
}

/* ---- writing */

static uint8_t *pack(const ProtobufCMessage *m, size_t *ret_len)
{
    *ret_len = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = must(malloc(*ret_len + 1));
    protobuf_c_message_pack(m, bytes);
    return bytes;
}

static uint8_t *pack_frame(Mqtt__TrunkFrame *frame, size_t *ret_len)
{
    Mqtt__TrunkMessage m = MQTT__TRUNK_MESSAGE__INIT;
    m.frames = &frame;
    m.n_frames = 1;
    return pack(&m.base, ret_len);
}

static uint8_t *pack_packet(Mqtt__TrunkFrame *m, const struct mqtt_packet *packet, size_t *ret_len)
{
    ProtobufCMessage *inner;
    if (packet_to_protobuf(packet, NULL, &inner) < 0)
        abort();
    if (packet->version == MQTT_V5) {
        m->body_case = MQTT__TRUNK_FRAME__BODY_MQTT_V5_PACKET;
        m->mqtt_v5_packet = (Mqttv5__MqttPacket *)inner;
    } else {
        m->body_case = MQTT__TRUNK_FRAME__BODY_MQTT_V3_PACKET;
        m->mqtt_v3_packet = (Mqttv3__MqttPacket *)inner;
    }
    uint8_t *bytes = pack_frame(m, ret_len);
    protobuf_c_message_free_unpacked(inner, NULL);
    return bytes;
}

static uint8_t *pack_open(Mqtt__TrunkFrame *m, const struct trunk_frame *frame, size_t *ret_len)
{
    Mqtt__LaneOpen open = MQTT__LANE_OPEN__INIT;
    Mqtt__ClientTls tls = MQTT__CLIENT_TLS__INIT;
    const struct trunk_client *client = &frame->open.client;
    open.session_id = data_of(frame->open.session_id);
    open.source = text_of(client->source);
    tls.version = text_of(client->tls_version);
    tls.cipher = text_of(client->tls_cipher);
    tls.server_name = text_of(client->server_name);
    tls.has_certificate = client->has_certificate;
    tls.common_name = text_of(client->common_name);
    open.tls = client->is_tls ? &tls : NULL;
    m->body_case = MQTT__TRUNK_FRAME__BODY_OPEN;
    m->open = &open;
    uint8_t *bytes = pack_frame(m, ret_len);
    free(open.source);
    free(tls.version);
    free(tls.cipher);
    free(tls.server_name);
    free(tls.common_name);
    return bytes;
}

static uint8_t *pack_close(Mqtt__TrunkFrame *m, const struct trunk_frame *frame, size_t *ret_len)
{
    Mqtt__LaneClose close = MQTT__LANE_CLOSE__INIT;
    close.reason = (Mqtt__LaneClose__Reason)frame->close.reason;
    close.text = text_of(frame->close.text);
    m->body_case = MQTT__TRUNK_FRAME__BODY_CLOSE;
    m->close = &close;
    uint8_t *bytes = pack_frame(m, ret_len);
    free(close.text);
    return bytes;
}

static uint8_t *pack_piece(Mqtt__TrunkFrame *m, const struct trunk_frame *frame, size_t *ret_len)
{
    Mqtt__LanePiece piece = MQTT__LANE_PIECE__INIT;
    piece.total_bytes = frame->piece.total_bytes;
    piece.data = data_of(frame->piece.data);
    piece.version = frame->piece.family;
    m->body_case = MQTT__TRUNK_FRAME__BODY_PIECE;
    m->piece = &piece;
    return pack_frame(m, ret_len);
}

uint8_t *trunk_oracle_write_frame(const struct trunk_frame *frame, const struct mqtt_packet *packet, size_t *ret_len)
{
    Mqtt__TrunkFrame m = MQTT__TRUNK_FRAME__INIT;
    m.lane = frame->lane;
    m.sequence = frame->sequence;
    switch ((enum trunk_frame_kind)frame->kind) {
    case TRUNK_FRAME_PACKET_V3:
    case TRUNK_FRAME_PACKET_V5:
        return pack_packet(&m, packet, ret_len);
    case TRUNK_FRAME_OPEN:
        return pack_open(&m, frame, ret_len);
    case TRUNK_FRAME_CLOSE:
        return pack_close(&m, frame, ret_len);
    case TRUNK_FRAME_PIECE:
        return pack_piece(&m, frame, ret_len);
    case TRUNK_FRAME_CREDIT:
        m.body_case = MQTT__TRUNK_FRAME__BODY_CREDIT;
        m.credit = frame->credit_bytes;
        return pack_frame(&m, ret_len);
    case TRUNK_FRAME_BAD:
        break;
    }
    abort();
}

uint8_t *trunk_oracle_write_controls(const struct trunk_controls *controls, size_t *ret_len)
{
    Mqtt__TrunkMessage m = MQTT__TRUNK_MESSAGE__INIT;
    Mqtt__TrunkHello hello = MQTT__TRUNK_HELLO__INIT;
    hello.version = controls->hello.version;
    hello.software = text_of(controls->hello.software);
    hello.lane_window = controls->hello.lane_window;
    hello.max_message_bytes = controls->hello.max_message_bytes;
    hello.max_lanes = controls->hello.max_lanes;
    hello.dead_after_ms = controls->hello.dead_after_ms;
    hello.zstd_window_log = controls->hello.zstd_window_log;
    m.hello = controls->has_hello ? &hello : NULL;
    m.taken = controls->taken;
    m.ping = controls->ping;
    m.pong = controls->pong;
    m.draining = controls->is_draining;
    m.zstd_frames = data_of(controls->zstd_frames);
    uint8_t *bytes = pack(&m.base, ret_len);
    free(hello.software);
    return bytes;
}

uint8_t *trunk_frame_write_any(uint8_t *dst, const struct trunk_frame *frame)
{
    switch ((enum trunk_frame_kind)frame->kind) {
    case TRUNK_FRAME_PACKET_V3:
        return trunk_frame_write_message(dst, frame->lane, frame->sequence, FRAME_MQTTV3, frame->message);
    case TRUNK_FRAME_PACKET_V5:
        return trunk_frame_write_message(dst, frame->lane, frame->sequence, FRAME_MQTTV5, frame->message);
    case TRUNK_FRAME_OPEN:
        return trunk_frame_write_open(dst, frame->lane, frame->sequence, frame->open.session_id.ptr,
                                      &frame->open.client);
    case TRUNK_FRAME_CLOSE:
        return trunk_frame_write_close(dst, frame->lane, frame->sequence, frame->close.reason, frame->close.text);
    case TRUNK_FRAME_PIECE:
        return trunk_frame_write_piece(dst, frame->lane, frame->sequence, frame->piece.total_bytes, frame->piece.family,
                                       frame->piece.data);
    case TRUNK_FRAME_CREDIT:
        return trunk_frame_write_credit(dst, frame->lane, frame->credit_bytes);
    case TRUNK_FRAME_BAD:
        break;
    }
    abort();
}

/* ---- one level of a message */

/* All fields that stand in BYTES, as unknown ones. NULL: not protobuf. */
static Mqttv5__Pingreq *scan(const void *bytes, size_t len)
{
    return mqttv5__pingreq__unpack(NULL, len, bytes);
}

static void scan_free(Mqttv5__Pingreq *fields)
{
    if (fields)
        mqttv5__pingreq__free_unpacked(fields, NULL);
}

/* Those with numbers from FIRST to LAST, unpacked as what they are. NULL: one of them has the wrong wire type, or is
 * malformed. */
static ProtobufCMessage *unpack_fields(const Mqttv5__Pingreq *fields, uint32_t first, uint32_t last,
                                       const ProtobufCMessageDescriptor *as)
{
    Mqttv5__Pingreq some = MQTTV5__PINGREQ__INIT;
    size_t len;
    some.base.unknown_fields = must(calloc(fields->base.n_unknown_fields + 1, sizeof(*some.base.unknown_fields)));
    for (unsigned i = 0; i < fields->base.n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *f = &fields->base.unknown_fields[i];
        if (f->tag >= first && f->tag <= last)
            some.base.unknown_fields[some.base.n_unknown_fields++] = *f;
    }
    uint8_t *bytes = pack(&some.base, &len);
    ProtobufCMessage *m = protobuf_c_message_unpack(as, NULL, len, bytes);
    free(bytes);
    free(some.base.unknown_fields);
    return m;
}

static unsigned count_fields(const Mqttv5__Pingreq *fields, uint32_t first, uint32_t last)
{
    unsigned n = 0;
    for (unsigned i = 0; i < fields->base.n_unknown_fields; i++)
        n += fields->base.unknown_fields[i].tag >= first && fields->base.unknown_fields[i].tag <= last;
    return n;
}

/* The next field from *AT on with a number from FIRST to LAST; there is one. */
static const ProtobufCMessageUnknownField *next_field(const Mqttv5__Pingreq *fields, uint32_t first, uint32_t last,
                                                      unsigned *at)
{
    const ProtobufCMessageUnknownField *f;
    do
        f = &fields->base.unknown_fields[(*at)++];
    while (f->tag < first || f->tag > last);
    return f;
}

/* The content of a field with a length, which stands in front of it. */
static struct mqtt_bytes content(const ProtobufCMessageUnknownField *f)
{
    size_t i = 0;
    while (f->data[i++] >= 0x80)
        continue;
    return (struct mqtt_bytes){f->data + i, (uint32_t)(f->len - i)};
}

static bool are_blocks(const Mqttv5__Pingreq *fields, uint32_t number)
{
    for (unsigned i = 0; i < fields->base.n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *f = &fields->base.unknown_fields[i];
        if (f->tag == number && f->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            return false;
    }
    return true;
}

/* ---- a frame */

static struct mqtt_bytes bytes_of_text(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static struct trunk_client client_of(const Mqtt__LaneOpen *m)
{
    struct trunk_client client = {.source = bytes_of_text(m->source), .is_tls = m->tls != NULL};
    if (!m->tls)
        return client;
    client.tls_version = bytes_of_text(m->tls->version);
    client.tls_cipher = bytes_of_text(m->tls->cipher);
    client.server_name = bytes_of_text(m->tls->server_name);
    client.has_certificate = m->tls->has_certificate != 0;
    client.common_name = bytes_of_text(m->tls->common_name);
    return client;
}

static bool clients_are_equal(const struct trunk_client *by_hand, const Mqtt__LaneOpen *m)
{
    if (!text_is(by_hand->source, m->source) || by_hand->is_tls != (m->tls != NULL))
        return false;
    return !m->tls || (text_is(by_hand->tls_version, m->tls->version) && text_is(by_hand->tls_cipher, m->tls->cipher) &&
                       text_is(by_hand->server_name, m->tls->server_name) &&
                       by_hand->has_certificate == (m->tls->has_certificate != 0) &&
                       text_is(by_hand->common_name, m->tls->common_name));
}

/* By protobuf-c; of a packet only the kind. BAD: nothing in it, or a value that is refused. */
static struct trunk_frame frame_of(const Mqtt__TrunkFrame *m)
{
    struct trunk_frame frame = {.lane = m->lane, .sequence = m->sequence, .kind = TRUNK_FRAME_BAD};
    switch (m->body_case) {
    case MQTT__TRUNK_FRAME__BODY_MQTT_V3_PACKET:
        frame.kind = TRUNK_FRAME_PACKET_V3;
        break;
    case MQTT__TRUNK_FRAME__BODY_MQTT_V5_PACKET:
        frame.kind = TRUNK_FRAME_PACKET_V5;
        break;
    case MQTT__TRUNK_FRAME__BODY_OPEN:
        frame.kind = m->open->session_id.len == TRUNK_SESSION_ID_BYTES ? TRUNK_FRAME_OPEN : TRUNK_FRAME_BAD;
        frame.open.session_id = bytes_of(m->open->session_id);
        frame.open.client = client_of(m->open);
        break;
    case MQTT__TRUNK_FRAME__BODY_CLOSE:
        frame.kind = TRUNK_FRAME_CLOSE;
        frame.close.reason = (uint32_t)m->close->reason;
        frame.close.text = bytes_of_text(m->close->text);
        break;
    case MQTT__TRUNK_FRAME__BODY_PIECE:
        if (m->piece->data.len == 0 || (m->piece->total_bytes && m->piece->version != 3 && m->piece->version != 5))
            break;
        frame.kind = TRUNK_FRAME_PIECE;
        frame.piece.data = bytes_of(m->piece->data);
        frame.piece.total_bytes = m->piece->total_bytes;
        frame.piece.family = m->piece->total_bytes ? (uint8_t)m->piece->version : 0;
        break;
    case MQTT__TRUNK_FRAME__BODY_CREDIT:
        frame.kind = m->credit ? TRUNK_FRAME_CREDIT : TRUNK_FRAME_BAD;
        frame.credit_bytes = m->credit;
        break;
    case MQTT__TRUNK_FRAME__BODY__NOT_SET:
    default:
        break;
    }
    return frame;
}

static bool contents_are_equal(const struct trunk_frame *by_hand, const Mqtt__TrunkFrame *m)
{
    struct trunk_frame by_oracle = frame_of(m);
    if (by_hand->kind != by_oracle.kind)
        return false;
    switch ((enum trunk_frame_kind)by_hand->kind) {
    case TRUNK_FRAME_OPEN:
        return bytes_are_equal(by_hand->open.session_id, by_oracle.open.session_id) &&
               clients_are_equal(&by_hand->open.client, m->open);
    case TRUNK_FRAME_CLOSE:
        return by_hand->close.reason == by_oracle.close.reason && text_is(by_hand->close.text, m->close->text);
    case TRUNK_FRAME_PIECE:
        return by_hand->piece.total_bytes == by_oracle.piece.total_bytes &&
               by_hand->piece.family == by_oracle.piece.family &&
               bytes_are_equal(by_hand->piece.data, by_oracle.piece.data);
    case TRUNK_FRAME_CREDIT:
        return by_hand->credit_bytes == by_oracle.credit_bytes;
    case TRUNK_FRAME_BAD:
        return by_hand->fault != NULL;
    case TRUNK_FRAME_PACKET_V3:
    case TRUNK_FRAME_PACKET_V5:
        return true;
    }
    return false;
}

/* What protobuf-c has read is written the same in both forms. A credit has no sequence number when it is written. */
static bool is_written_alike(const Mqtt__TrunkFrame *m)
{
    struct trunk_frame frame = frame_of(m);
    size_t more = frame.kind == TRUNK_FRAME_CLOSE   ? frame.close.text.len
                  : frame.kind == TRUNK_FRAME_PIECE ? frame.piece.data.len
                  : frame.kind == TRUNK_FRAME_OPEN  ? trunk_client_bytes(&frame.open.client)
                                                    : 0;
    size_t len;
    if (frame.kind == TRUNK_FRAME_CREDIT)
        frame.sequence = 0;
    uint8_t *by_hand = must(malloc(TRUNK_FRAME_OVERHEAD + more));
    uint8_t *by_oracle = trunk_oracle_write_frame(&frame, NULL, &len);
    size_t n = (size_t)(trunk_frame_write_any(by_hand, &frame) - by_hand);
    bool is_equal = n == len && memcmp(by_hand, by_oracle, n) == 0;
    free(by_hand);
    free(by_oracle);
    return is_equal || differ("a frame as it is written");
}

/* The packet of a frame is given as it stands there. WHOLE is NULL if protobuf-c refuses it. */
static bool compare_message(const struct trunk_frame *by_hand, const ProtobufCMessageUnknownField *body,
                            const Mqtt__TrunkFrame *whole)
{
    struct frame_source source = {.message = by_hand->message,
                                  .family = by_hand->kind == TRUNK_FRAME_PACKET_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3};
    bool is_same = body->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
                   body->tag == (by_hand->kind == TRUNK_FRAME_PACKET_V5 ? 4 : 3) &&
                   bytes_are_equal(content(body), by_hand->message);
    if (!is_same)
        return differ("the message of a frame");
    return frame_is_well_formed(&source) == (whole != NULL) || differ("whether a packet is well-formed");
}

/* FIELDS are those of the frame, HEAD its lane and sequence number. */
static bool compare_body(const struct trunk_frame *by_hand, const Mqttv5__Pingreq *fields,
                         const Mqtt__TrunkFrame *whole)
{
    unsigned at = 0;
    if (count_fields(fields, FIRST_BODY, LAST_BODY) != 1)
        return by_hand->kind == TRUNK_FRAME_BAD || differ("a frame with no body or with two");
    if (by_hand->kind == TRUNK_FRAME_PACKET_V3 || by_hand->kind == TRUNK_FRAME_PACKET_V5)
        return compare_message(by_hand, next_field(fields, FIRST_BODY, LAST_BODY, &at), whole);
    if (!whole)
        return by_hand->kind == TRUNK_FRAME_BAD || differ("a frame that is malformed");
    if (!contents_are_equal(by_hand, whole))
        return differ("what is in a frame");
    return by_hand->kind == TRUNK_FRAME_BAD || is_written_alike(whole);
}

static bool compare_frame(const struct trunk_frame *by_hand, struct mqtt_bytes raw)
{
    Mqttv5__Pingreq *fields = scan(raw.ptr, raw.len);
    Mqtt__TrunkFrame *head = NULL, *whole = mqtt__trunk_frame__unpack(NULL, raw.len, raw.ptr);
    bool is_equal;
    if (fields)
        head = (Mqtt__TrunkFrame *)unpack_fields(fields, LANE, SEQUENCE, &mqtt__trunk_frame__descriptor);
    if (!head)
        is_equal = (by_hand->kind == TRUNK_FRAME_BAD && by_hand->lane == 0 && by_hand->sequence == 0) ||
                   differ("a frame whose lane can't be read");
    else if (by_hand->lane != head->lane || by_hand->sequence != head->sequence)
        is_equal = differ("lane or sequence number");
    else
        is_equal = compare_body(by_hand, fields, whole);
    if (head)
        mqtt__trunk_frame__free_unpacked(head, NULL);
    if (whole)
        mqtt__trunk_frame__free_unpacked(whole, NULL);
    scan_free(fields);
    return is_equal;
}

/* ---- a message */

static bool hellos_are_equal(const struct trunk_hello *by_hand, const Mqtt__TrunkHello *m)
{
    return by_hand->version == m->version && text_is(by_hand->software, m->software) &&
           by_hand->lane_window == m->lane_window && by_hand->max_message_bytes == m->max_message_bytes &&
           by_hand->max_lanes == m->max_lanes && by_hand->dead_after_ms == m->dead_after_ms &&
           by_hand->zstd_window_log == m->zstd_window_log;
}

static bool compare_controls(const struct trunk_controls *by_hand, const Mqtt__TrunkMessage *m)
{
    bool is_equal = by_hand->taken == m->taken && by_hand->ping == m->ping && by_hand->pong == m->pong &&
                    by_hand->is_draining == (m->draining != 0) && by_hand->has_hello == (m->hello != NULL) &&
                    bytes_are_equal(by_hand->zstd_frames, bytes_of(m->zstd_frames)) &&
                    (!m->hello || hellos_are_equal(&by_hand->hello, m->hello));
    return is_equal || differ("controls");
}

/* What has been read is written the same in both forms. */
static bool controls_are_written_alike(const struct trunk_controls *controls)
{
    struct trunk_controls seen = *controls;
    char *software = text_of(controls->hello.software);
    size_t len;
    seen.hello.software = (struct mqtt_bytes){(const uint8_t *)software, (uint32_t)strlen(software)};
    uint8_t *by_oracle = trunk_oracle_write_controls(&seen, &len);
    uint8_t *by_hand = must(malloc(TRUNK_CONTROLS_MAX + seen.hello.software.len + seen.zstd_frames.len + 8));
    size_t n = (size_t)(trunk_controls_write(by_hand, &seen) - by_hand);
    bool is_equal = n == len && memcmp(by_hand, by_oracle, n) == 0;
    free(software);
    free(by_oracle);
    free(by_hand);
    return is_equal || differ("controls as they are written");
}

static bool compare_frames(struct trunk_message *by_hand, const Mqttv5__Pingreq *fields)
{
    struct trunk_frame frame;
    unsigned at = 0, n = count_fields(fields, FRAMES, FRAMES);
    if (by_hand->n_frames != n)
        return differ("number of frames");
    for (unsigned i = 0; i < n; i++) {
        if (!trunk_message_next(by_hand, &frame))
            return differ("a frame is not found");
        if (!compare_frame(&frame, content(next_field(fields, FRAMES, FRAMES, &at))))
            return false;
    }
    return !trunk_message_next(by_hand, &frame) || differ("a frame too many");
}

/* FIELDS, CONTROLS: NULL where protobuf-c refuses. */
static bool is_accepted(const Mqttv5__Pingreq *fields, const Mqtt__TrunkMessage *controls)
{
    return fields && controls && are_blocks(fields, FRAMES) &&
           (controls->zstd_frames.len == 0 || count_fields(fields, FRAMES, FRAMES) == 0);
}

int trunk_oracle_compare(const void *bytes, size_t len)
{
    struct trunk_message by_hand;
    struct mqtt_fault fault;
    uint8_t *copy =
        must(malloc(len > 0 ? len : 1)); /* of exactly its length: so that a sanitizer sees a byte too many */
    if (len > 0)
        memcpy(copy, bytes, len);
    int r = trunk_message_read(copy, len, &by_hand, &fault);
    Mqttv5__Pingreq *fields = scan(bytes, len);
    Mqtt__TrunkMessage *controls = NULL;
    bool is_equal = true;
    if (fields)
        controls =
            (Mqtt__TrunkMessage *)unpack_fields(fields, FIRST_CONTROL, LAST_CONTROL, &mqtt__trunk_message__descriptor);
    if ((r == CONVERT_OK) != is_accepted(fields, controls))
        is_equal = differ(r == CONVERT_OK ? "by hand a message is accepted" : fault.text);
    else if (r == CONVERT_OK)
        is_equal = compare_controls(&by_hand.controls, controls) && controls_are_written_alike(&by_hand.controls) &&
                   compare_frames(&by_hand, fields);
    if (controls)
        mqtt__trunk_message__free_unpacked(controls, NULL);
    scan_free(fields);
    free(copy);
    return is_equal ? r : -1;
}
