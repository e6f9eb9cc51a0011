#include "convert_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet_to_protobuf.h"
#include "protobuf_to_packet.h"

/* protobuf-c ends a string at its first zero byte and so can't see one. This allocator remembers how long each block
 * is: a string that is shorter than its block had one. */
struct block {
    size_t size;
    _Alignas(16) uint8_t bytes[];
};

static void *block_alloc(void *data, size_t size)
{
    struct block *b = malloc(sizeof(*b) + size);
    if (!b)
        abort();
    b->size = size;
    /* cppcheck-suppress memleak ; block_free() finds the block again */
    return b->bytes;
}

static void block_free(void *data, void *ptr)
{
    if (ptr)
        free((uint8_t *)ptr - offsetof(struct block, bytes));
}

static ProtobufCAllocator block_allocator = {block_alloc, block_free, NULL};

static bool text_has_nul(const ProtobufCFieldDescriptor *field, const char *text)
{
    if (!text || text == field->default_value)
        return false;
    const struct block *b = (const void *)(text - offsetof(struct block, bytes));
    return strlen(text) + 1 != b->size;
}

static bool has_nul(const ProtobufCMessage *m);

/* One value, which is an element of a list or a field by itself. */
static bool value_has_nul(const ProtobufCFieldDescriptor *field, void *const *value)
{
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return text_has_nul(field, *value);
    return field->type == PROTOBUF_C_TYPE_MESSAGE && *value && has_nul(*value);
}

static bool has_nul(const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &m->descriptor->fields[i];
        void *const *at = (void *)((uint8_t *)m + field->offset);
        const void *quantifier = (uint8_t *)m + field->quantifier_offset;
        bool is_pointer = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
        if (!is_pointer || ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(const uint32_t *)quantifier != field->id))
            continue;
        bool is_list = field->label == PROTOBUF_C_LABEL_REPEATED;
        size_t count = is_list ? *(const size_t *)quantifier : 1;
        for (size_t k = 0; k < count; k++) {
            if (value_has_nul(field, is_list ? (void *const *)*at + k : at))
                return true;
        }
    }
    return false;
}

static bool is_packet(const struct relay_frame *frame)
{
    return frame->kind == RELAY_FRAME_PACKET_V3 || frame->kind == RELAY_FRAME_PACKET_V5;
}

static int refuse(struct oracle *o, const char *text)
{
    o->fault = (struct mqtt_fault){MQTT_REASON_PROTOCOL_ERROR, text};
    return CONVERT_REFUSED;
}

static int read_packet(struct oracle *o, const ProtobufCMessage *m, uint8_t session_version)
{
    if (has_nul(m))
        return refuse(o, "oracle: a string with U+0000");
    size_t scratch_bytes = protobuf_scratch_bytes(m);
    o->scratch = malloc(scratch_bytes);
    return protobuf_to_packet(m, session_version, o->scratch, scratch_bytes, &o->packet, &o->fault);
}

static void read_control(struct oracle *o, const Mqtt__SessionControl *control)
{
    static const uint8_t kinds[] = {RELAY_FRAME_ESTABLISH_V3, RELAY_FRAME_ESTABLISH_V5, RELAY_FRAME_TERMINATE,
                                    RELAY_FRAME_HEARTBEAT};
    unsigned type = (unsigned)control->control_type;
    o->frame.kind = type < sizeof(kinds) ? kinds[type] : RELAY_FRAME_OTHER_CONTROL;
    o->frame.client_id = (struct mqtt_bytes){(const uint8_t *)control->client_id, (uint32_t)strlen(control->client_id)};
}

static int read_message(struct oracle *o, const Mqtt__MqttStreamMessage *m, uint8_t session_version);

/* Every entry has to be a packet. */
static int read_batch(struct oracle *o, const Mqtt__MqttStreamMessage *m, uint8_t session_version)
{
    o->frame.kind = RELAY_FRAME_BATCH;
    for (size_t i = 0; i < m->n_batch; i++) {
        struct oracle entry = {0};
        int r = read_message(&entry, m->batch[i], session_version);
        free(entry.scratch);
        if (r != CONVERT_OK)
            return refuse(o, entry.fault.text);
        if (!is_packet(&entry.frame))
            return refuse(o, "oracle: an entry of a batch without packet");
    }
    return CONVERT_OK;
}

static int read_extension(struct oracle *o, const Mqtt__MqttStreamMessage *m, uint8_t session_version)
{
    if (m->n_batch > 0)
        return read_batch(o, m, session_version);
    o->frame.kind = m->credit ? RELAY_FRAME_CREDIT : m->piece ? RELAY_FRAME_PIECE : RELAY_FRAME_EMPTY;
    if (o->frame.kind == RELAY_FRAME_CREDIT)
        o->frame.credit_bytes = m->credit;
    if (o->frame.kind == RELAY_FRAME_PIECE) {
        o->frame.piece.data = (struct mqtt_bytes){m->piece->data.data, (uint32_t)m->piece->data.len};
        o->frame.piece.total_bytes = m->piece->total_bytes;
        if (m->piece->data.len == 0)
            return refuse(o, "oracle: empty piece");
    }
    return CONVERT_OK;
}

static int read_message(struct oracle *o, const Mqtt__MqttStreamMessage *m, uint8_t session_version)
{
    o->frame.sequence = m->sequence_id;
    o->frame.direction = (int32_t)m->direction;
    if ((m->payload_case != 0) + (m->credit != 0) + (m->piece != NULL) + (m->n_batch > 0) > 1)
        return refuse(o, "oracle: two things at once");
    switch (m->payload_case) {
    case MQTT__MQTT_STREAM_MESSAGE__PAYLOAD_MQTT_V3_PACKET:
        o->frame.kind = RELAY_FRAME_PACKET_V3;
        return read_packet(o, &m->mqtt_v3_packet->base, session_version);
    case MQTT__MQTT_STREAM_MESSAGE__PAYLOAD_MQTT_V5_PACKET:
        o->frame.kind = RELAY_FRAME_PACKET_V5;
        return read_packet(o, &m->mqtt_v5_packet->base, session_version);
    case MQTT__MQTT_STREAM_MESSAGE__PAYLOAD_SESSION_CONTROL:
        read_control(o, m->session_control);
        return CONVERT_OK;
    case MQTT__MQTT_STREAM_MESSAGE__PAYLOAD__NOT_SET:
    default:
        return read_extension(o, m, session_version);
    }
}

int oracle_read(struct oracle *o, const void *bytes, size_t len, uint8_t session_version)
{
    *o = (struct oracle){0};
    o->message = mqtt__mqtt_stream_message__unpack(&block_allocator, len, bytes);
    return o->message ? read_message(o, o->message, session_version) : refuse(o, "oracle: protobuf-c refuses it");
}

void oracle_free(struct oracle *o)
{
    if (o->message)
        mqtt__mqtt_stream_message__free_unpacked(o->message, &block_allocator);
    free(o->scratch);
}

uint8_t *oracle_write(const struct mqtt_packet *packet, uint64_t sequence, enum relay_direction direction,
                      size_t *ret_len)
{
    Mqtt__MqttStreamMessage m = MQTT__MQTT_STREAM_MESSAGE__INIT;
    ProtobufCMessage *inner;
    if (packet_to_protobuf(packet, NULL, &inner) < 0)
        abort();
    m.sequence_id = sequence;
    m.direction = (Mqtt__MessageDirection)direction;
    m.payload_case = packet->version == MQTT_V5 ? MQTT__MQTT_STREAM_MESSAGE__PAYLOAD_MQTT_V5_PACKET
                                                : MQTT__MQTT_STREAM_MESSAGE__PAYLOAD_MQTT_V3_PACKET;
    if (packet->version == MQTT_V5)
        m.mqtt_v5_packet = (Mqttv5__MqttPacket *)inner;
    else
        m.mqtt_v3_packet = (Mqttv3__MqttPacket *)inner;
    *ret_len = mqtt__mqtt_stream_message__get_packed_size(&m);
    uint8_t *bytes = malloc(*ret_len);
    if (!bytes)
        abort();
    mqtt__mqtt_stream_message__pack(&m, bytes);
    protobuf_c_message_free_unpacked(inner, NULL);
    return bytes;
}

static int by_hand_read_batch(struct by_hand *h, uint8_t session_version)
{
    struct mqtt_bytes iter = h->frame.batch, frame;
    while (relay_batch_next(&iter, &frame)) {
        struct by_hand entry;
        int r = by_hand_read(&entry, frame.ptr, frame.len, session_version);
        bool is_wrong = r == CONVERT_OK && !is_packet(&entry.frame);
        if (r != CONVERT_OK || is_wrong) {
            h->fault = entry.fault;
            if (is_wrong)
                h->fault = (struct mqtt_fault){.text = "an entry without packet"};
            by_hand_free(&entry);
            return CONVERT_REFUSED;
        }
        by_hand_free(&entry);
    }
    return CONVERT_OK;
}

int by_hand_read(struct by_hand *h, const void *bytes, size_t len, uint8_t session_version)
{
    *h = (struct by_hand){.bytes = malloc(len)};
    if (len > 0)
        memcpy(h->bytes, bytes, len);
    int r = relay_frame_read(h->bytes, len, &h->frame, &h->fault);
    if (r == CONVERT_OK && h->frame.kind == RELAY_FRAME_BATCH)
        return by_hand_read_batch(h, session_version);
    if (r != CONVERT_OK || !is_packet(&h->frame))
        return r;
    size_t scratch_bytes = frame_scratch_bytes(h->frame.message.len);
    h->scratch = malloc(scratch_bytes);
    return relay_frame_packet(&h->frame, session_version, h->scratch, scratch_bytes, &h->packet, &h->fault);
}

void by_hand_free(struct by_hand *h)
{
    free(h->bytes);
    free(h->scratch);
}

static bool bytes_are_equal(struct mqtt_bytes a, struct mqtt_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* A client id of a control may hold anything; the oracle sees it up to the first zero byte. */
static bool client_ids_are_equal(struct mqtt_bytes by_hand, struct mqtt_bytes by_oracle)
{
    const void *nul = by_hand.len > 0 ? memchr(by_hand.ptr, 0, by_hand.len) : NULL;
    if (nul)
        by_hand.len = (uint32_t)((const uint8_t *)nul - by_hand.ptr);
    return bytes_are_equal(by_hand, by_oracle);
}

static bool frames_are_equal(const struct relay_frame *by_hand, const struct relay_frame *by_oracle)
{
    if (by_hand->kind != by_oracle->kind || by_hand->sequence != by_oracle->sequence ||
        by_hand->direction != by_oracle->direction)
        return false;
    switch ((enum relay_frame_kind)by_hand->kind) {
    case RELAY_FRAME_EMPTY:
    case RELAY_FRAME_PACKET_V3:
    case RELAY_FRAME_PACKET_V5:
    case RELAY_FRAME_BATCH: /* compare_batch() looks into it */
        return true;
    case RELAY_FRAME_ESTABLISH_V3:
    case RELAY_FRAME_ESTABLISH_V5:
    case RELAY_FRAME_TERMINATE:
    case RELAY_FRAME_HEARTBEAT:
    case RELAY_FRAME_OTHER_CONTROL:
        return client_ids_are_equal(by_hand->client_id, by_oracle->client_id);
    case RELAY_FRAME_CREDIT:
        return by_hand->credit_bytes == by_oracle->credit_bytes;
    case RELAY_FRAME_PIECE:
        return by_hand->piece.total_bytes == by_oracle->piece.total_bytes &&
               bytes_are_equal(by_hand->piece.data, by_oracle->piece.data);
    }
    return false;
}

static int differ(const char *what, const char *by_hand, const char *by_oracle)
{
    fprintf(stderr, "%s; by hand: %s; protobuf-c: %s\n", what, by_hand ? by_hand : "-", by_oracle ? by_oracle : "-");
    return -1;
}

/* PACKET written in both forms is the same bytes, and these are PACKET. */
static int compare_written(const struct mqtt_packet *packet, uint64_t sequence, int32_t direction)
{
    struct packet_frame f;
    struct by_hand again;
    size_t len, n = packet_to_frame_plan(&f, packet, sequence, direction == 1);
    uint8_t *by_oracle = oracle_write(packet, sequence, direction == 1, &len);
    uint8_t *by_hand = malloc(n);
    bool is_equal = packet_to_frame_write(&f, by_hand) == by_hand + n && n == len && memcmp(by_hand, by_oracle, n) == 0;
    int r = is_equal ? by_hand_read(&again, by_hand, n, packet->version) : -1;
    bool is_same_packet = r == CONVERT_OK && mqtt_packet_equal(&again.packet, packet);
    if (is_equal)
        by_hand_free(&again);
    free(by_oracle);
    free(by_hand);
    return is_same_packet ? 0
                          : differ(is_equal ? "not the same packet when read again" : "written bytes differ", "", "");
}

/* The same entries in the same order, each the same in both forms. */
static int compare_batch(const struct by_hand *h, const struct oracle *o, uint8_t session_version)
{
    struct mqtt_bytes iter = h->frame.batch, frame;
    size_t n = 0;
    bool is_equal = true;
    for (; is_equal && relay_batch_next(&iter, &frame); n++) {
        struct by_hand by_hand;
        struct oracle by_oracle = {0};
        if (n == o->message->n_batch || oracle_compare(frame.ptr, frame.len, session_version) != CONVERT_OK)
            return differ("entries of a batch differ", NULL, NULL);
        by_hand_read(&by_hand, frame.ptr, frame.len, session_version);
        read_message(&by_oracle, o->message->batch[n], session_version);
        is_equal =
            frames_are_equal(&by_hand.frame, &by_oracle.frame) && mqtt_packet_equal(&by_hand.packet, &by_oracle.packet);
        free(by_oracle.scratch);
        by_hand_free(&by_hand);
    }
    return is_equal && n == o->message->n_batch ? CONVERT_OK : differ("batches differ", NULL, NULL);
}

int oracle_compare(const void *bytes, size_t len, uint8_t session_version)
{
    struct oracle o;
    struct by_hand h;
    int by_oracle = oracle_read(&o, bytes, len, session_version);
    int by_hand = by_hand_read(&h, bytes, len, session_version);
    int r = by_hand;
    if (by_hand != by_oracle)
        r = differ("verdicts differ", h.fault.text, o.fault.text);
    else if (r == CONVERT_OK && !frames_are_equal(&h.frame, &o.frame))
        r = differ("envelopes differ", relay_frame_kind_name(h.frame.kind), relay_frame_kind_name(o.frame.kind));
    else if (r == CONVERT_OK && h.frame.kind == RELAY_FRAME_BATCH)
        r = compare_batch(&h, &o, session_version);
    else if (r == CONVERT_OK && is_packet(&h.frame) && !mqtt_packet_equal(&h.packet, &o.packet))
        r = differ("packets differ", mqtt_type_name(h.packet.type), mqtt_type_name(o.packet.type));
    else if (r == CONVERT_OK && is_packet(&h.frame))
        r = compare_written(&h.packet, h.frame.sequence, h.frame.direction);
    by_hand_free(&h);
    oracle_free(&o);
    return r;
}
