/* A lane against a peer that is not ours, or that breaks the rules: raw messages on the other side of the stream.
 * proto/mqtt_relay.proto is what both are measured by. */
#include <stdio.h>
#include <string.h>

#include "lane_fixture.h"
#include "relay_frame.h"
#include "test_main.h"

#define SESSION_ID "00112233445566778899aabbccddeeff"

enum { MAX_SEEN = 4000, MESSAGE_MAX = 100 * 1000 };

/* The raw side: what it has got, in order. */
struct raw {
    struct rpc_stream *stream;
    uint8_t v3_version; /* of packets that are not of version 5 */
    unsigned n_headers, n_half_closes, n_ends;
    int status;
    char text[600];
    unsigned n_packets; /* by themselves and in batches */
    uint64_t last_sequence;
    unsigned n;
    struct relay_frame seen[MAX_SEEN]; /* kind, direction and sequence only: the bytes are gone */
    size_t length[MAX_SEEN];
    uint8_t packet_type[MAX_SEEN];
    char client_id[64]; /* of the last control */
};

static struct rig rig;
static struct raw raw;
static struct party lane;

/* --- The raw side */

static void raw_on_headers(struct rpc_stream *s, void *arg)
{
    raw.n_headers++;
    loop_stop(rig.loop);
}

static bool is_packet(const struct relay_frame *frame)
{
    return frame->kind == RELAY_FRAME_PACKET_V3 || frame->kind == RELAY_FRAME_PACKET_V5;
}

/* Packets in a batch, which are as section 6 has it, in the order in which they were sent. */
static unsigned count_batch(const struct relay_frame *batch)
{
    struct relay_frame frame;
    struct mqtt_fault fault;
    struct mqtt_bytes iter = batch->batch, entry;
    unsigned count = 0;
    for (; relay_batch_next(&iter, &entry); count++) {
        ck_assert_int_eq(relay_frame_read(entry.ptr, entry.len, &frame, &fault), CONVERT_OK);
        ck_assert(is_packet(&frame));
        ck_assert_uint_gt(frame.sequence, raw.last_sequence);
        raw.last_sequence = frame.sequence;
    }
    ck_assert_uint_ge(count, 2);
    return count;
}

static enum gate_answer raw_on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg)
{
    struct mqtt_fault fault;
    struct mqtt_packet packet;
    uint8_t scratch[4096] = {0};
    ck_assert_uint_lt(raw.n, MAX_SEEN);
    struct relay_frame *frame = &raw.seen[raw.n];
    ck_assert_int_eq(relay_frame_read(bytes, n, frame, &fault), CONVERT_OK);
    if (is_packet(frame)) {
        uint8_t version = frame->kind == RELAY_FRAME_PACKET_V5 ? MQTT_V5 : raw.v3_version;
        ck_assert_int_eq(relay_frame_packet(frame, version, scratch, sizeof(scratch), &packet, &fault), CONVERT_OK);
        raw.packet_type[raw.n] = packet.type;
        raw.last_sequence = frame->sequence;
    } else if (frame->kind == RELAY_FRAME_ESTABLISH_V3 || frame->kind == RELAY_FRAME_ESTABLISH_V5) {
        snprintf(raw.client_id, sizeof(raw.client_id), "%.*s", (int)frame->client_id.len, frame->client_id.ptr);
    }
    raw.n_packets += is_packet(frame) ? 1 : frame->kind == RELAY_FRAME_BATCH ? count_batch(frame) : 0;
    raw.length[raw.n++] = n;
    loop_stop(rig.loop);
    return GATE_PASS;
}

static void raw_on_half_close(struct rpc_stream *s, void *arg)
{
    raw.n_half_closes++;
    loop_stop(rig.loop);
}

static void raw_on_end(struct rpc_stream *s, int status, const char *text, void *arg)
{
    raw.n_ends++;
    raw.status = status;
    snprintf(raw.text, sizeof(raw.text), "%s", text);
    loop_stop(rig.loop);
}

static const struct rpc_stream_cbs raw_cbs = {
    .on_headers = raw_on_headers,
    .on_message = raw_on_message,
    .on_half_close = raw_on_half_close,
    .on_end = raw_on_end,
};

static void raw_send(const void *bytes, size_t n)
{
    struct rpc_message *m = rpc_message_new(n);
    memcpy(rpc_message_bytes(m), bytes, n);
    rpc_stream_send(raw.stream, m);
}

static void raw_control(enum relay_frame_kind kind)
{
    uint8_t bytes[200] = {0};
    const struct mqtt_bytes id = {(const uint8_t *)"c-1", 3};
    raw_send(bytes, (size_t)(relay_frame_write_control(bytes, kind, 0, RELAY_CLIENT_TO_BROKER, id) - bytes));
}

static void raw_credit(uint64_t bytes_given)
{
    uint8_t bytes[RELAY_FRAME_OVERHEAD] = {0};
    raw_send(bytes, (size_t)(relay_frame_write_credit(bytes, RELAY_CLIENT_TO_BROKER, bytes_given) - bytes));
}

static size_t encode_packet(const struct mqtt_packet *packet, uint64_t sequence, uint8_t *dst)
{
    struct packet_frame f;
    size_t n = packet_to_frame_plan(&f, packet, sequence, RELAY_CLIENT_TO_BROKER);
    ck_assert_uint_le(n, MESSAGE_MAX);
    packet_to_frame_write(&f, dst);
    return n;
}

static void raw_packet(const struct mqtt_packet *packet, uint64_t sequence)
{
    static uint8_t bytes[MESSAGE_MAX];
    raw_send(bytes, encode_packet(packet, sequence, bytes));
}

static void raw_piece(uint32_t total, const void *data, size_t n)
{
    static uint8_t bytes[RELAY_FRAME_OVERHEAD + MESSAGE_MAX];
    uint8_t *end = relay_frame_write_piece_head(bytes, RELAY_CLIENT_TO_BROKER, total, (uint32_t)n);
    memcpy(end, data, n);
    raw_send(bytes, (size_t)(end - bytes) + n);
}

static struct mqtt_packet publish_of(uint8_t version, uint32_t number, size_t n)
{
    static uint8_t payload[MESSAGE_MAX];
    memset(payload, (uint8_t)number, n);
    memcpy(payload, &number, 4);
    struct mqtt_packet packet = {.type = MQTT_PUBLISH, .version = version};
    packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"a/b", 3};
    packet.publish.payload = (struct mqtt_bytes){payload, (uint32_t)n};
    return packet;
}

static void raw_publish(uint8_t version, uint32_t number, size_t n)
{
    struct mqtt_packet packet = publish_of(version, number, n);
    raw_packet(&packet, number + 1);
}

/* A batch under construction. */
static uint8_t batch[MESSAGE_MAX];
static size_t batch_len;

static void batch_add(const void *frame, size_t n)
{
    ck_assert_uint_le(batch_len + relay_batch_entry_size(n), sizeof(batch));
    uint8_t *dst = relay_batch_write_head(batch + batch_len, n);
    memcpy(dst, frame, n);
    batch_len += relay_batch_entry_size(n);
}

static void batch_add_publish(uint8_t version, uint32_t number, size_t n)
{
    static uint8_t bytes[MESSAGE_MAX];
    struct mqtt_packet packet = publish_of(version, number, n);
    batch_add(bytes, encode_packet(&packet, number + 1, bytes));
}

static void batch_send(void)
{
    raw_send(batch, batch_len);
    batch_len = 0;
}

static unsigned count_seen(unsigned kind)
{
    unsigned count = 0;
    for (unsigned i = 0; i < raw.n; i++)
        count += raw.seen[i].kind == kind;
    return count;
}

/* --- A raw r-proxy and our s-proxy's lane */

static void raw_open(bool says_extension)
{
    const struct rpc_metadata metadata[] = {
        {"session-id", "theirs-1"}, {"client-id", "theirs"}, {"mqtt-relay-ext", "1"}};
    ck_assert_int_eq(rpc_stream_open(rig.channel, rig.mailbox, RELAY_PATH, metadata, says_extension ? 3 : 2, &raw_cbs,
                                     NULL, &raw.stream),
                     0);
    RIG_RUN_UNTIL(&rig, raw.n_headers == 1 && rig.n_arrived == 1);
}

static void setup(void)
{
    memset(&raw, 0, sizeof(raw));
    batch_len = 0;
    raw.v3_version = MQTT_V311;
    memset(&lane, 0, sizeof(lane));
    lanes_init(&rig, LANE_OVER_RELAY, &lane, 1);
}

static void teardown(void)
{
    raw.stream = rpc_stream_free(raw.stream);
    party_free(&lane);
    lanes_deinit(&rig);
}

/* In the order of the existing implementation: headers first, then ESTABLISH, CONNECT with 0 again, then 1, 2, 3. */
static void raw_begin(bool says_extension, uint8_t version)
{
    raw_open(says_extension);
    raw_control(version == MQTT_V5 ? RELAY_FRAME_ESTABLISH_V5 : RELAY_FRAME_ESTABLISH_V3);
    raw_packet(sample_connect(version, 0), 0);
    RIG_RUN_UNTIL(&rig, lane.n_packets == 1);
}

START_TEST(a_basic_r_proxy_is_served)
{
    uint8_t version = (uint8_t)(MQTT_V31 + _i);
    raw.v3_version = version;
    raw_begin(false, version);
    ck_assert(!lane_peer(lane.lane)->is_extended);
    ck_assert_uint_eq(lane_peer(lane.lane)->max_frame_bytes, LANE_UNKNOWN_PEER_MAX);
    ck_assert_str_eq(lane_session_id(lane.lane), "theirs-1");
    for (uint32_t i = 0; i < 3000; i++) {
        raw_publish(version, i, 1000); /* far above any window */
        party_publish(&lane, version, i, 100);
    }
    RIG_RUN_UNTIL(&rig, lane.n_packets == 3001 && raw.n == 3000);
    ck_assert_uint_eq(lane.n_wrong, 0);
    unsigned kind = version == MQTT_V5 ? RELAY_FRAME_PACKET_V5 : RELAY_FRAME_PACKET_V3;
    for (unsigned i = 0; i < raw.n; i++) {
        ck_assert_uint_eq(raw.seen[i].kind, kind); /* no credit, no piece, no control */
        ck_assert_uint_eq(raw.seen[i].sequence, i + 1);
        ck_assert_int_eq(raw.seen[i].direction, RELAY_BROKER_TO_CLIENT);
    }
    rpc_stream_half_close(raw.stream);
    RIG_RUN_UNTIL(&rig, lane.n_finished == 1);
    lane_finish(lane.lane, LANE_END_OK, "");
    RIG_RUN_UNTIL(&rig, raw.n_ends == 1 && lane.n_ends == 1);
    ck_assert_int_eq(raw.status, RPC_OK);
    ck_assert_int_eq(lane.why, LANE_END_OK);
}
END_TEST

START_TEST(a_basic_peer_gets_large_packets_whole_up_to_its_limit)
{
    raw_begin(false, MQTT_V5);
    uint32_t fits = LANE_UNKNOWN_PEER_MAX - 100;
    ck_assert_int_eq(party_publish(&lane, MQTT_V5, 0, LANE_UNKNOWN_PEER_MAX), LANE_TOO_LARGE);
    ck_assert_uint_eq(lane_buffered_bytes(lane.lane), 0);
    ck_assert_int_eq(party_publish(&lane, MQTT_V5, 0, fits), 0);
    ck_assert_int_eq(party_publish(&lane, MQTT_V5, 1, 10), 0);
    RIG_RUN_UNTIL(&rig, raw.n == 2);
    ck_assert_uint_eq(raw.seen[0].kind, RELAY_FRAME_PACKET_V5);
    ck_assert_uint_eq(raw.seen[0].sequence, 1); /* the refused one has not used up a number */
    ck_assert_uint_gt(raw.length[0], fits);
    ck_assert_uint_le(raw.length[0], LANE_UNKNOWN_PEER_MAX);
}
END_TEST

/* Its only brake is HTTP/2's: the stream is paused. Echoes of credit-less controls tell that time goes by. */
START_TEST(a_basic_peer_is_stopped_by_a_session_that_consumes_nothing)
{
    enum { N = 3000, SIZE = 4000 };
    raw_begin(false, MQTT_V311);
    lane.is_stalled = true;
    for (uint32_t i = 0; i < N; i++)
        raw_publish(MQTT_V311, i, SIZE);
    RIG_RUN_UNTIL(&rig, lane.owed > LANE_WINDOW_BYTES);
    for (uint32_t i = 0; i < 300; i++) { /* the other direction goes on */
        party_publish(&lane, MQTT_V311, i, 10);
        RIG_RUN_UNTIL(&rig, raw.n == i + 1);
    }
    ck_assert_uint_le(lane.owed, LANE_WINDOW_BYTES + 2 * SIZE);
    ck_assert_uint_le(lane_buffered_bytes(lane.lane), LANE_WINDOW_BYTES);
    party_consume(&lane);
    RIG_RUN_UNTIL(&rig, lane.n_packets == N + 1);
    ck_assert_uint_eq(lane.n_wrong, 0);
}
END_TEST

START_TEST(controls_that_mean_nothing_are_ignored)
{
    raw_begin(_i, MQTT_V311);
    raw_control(RELAY_FRAME_HEARTBEAT);
    raw_send("", 0);
    raw_send((const uint8_t[]){0x92, 0x03, 0x02, 0x08, 0x63}, 5); /* session_control { control_type: 99 } */
    raw_send((const uint8_t[]){0x0a, 0x02, 's', '1'}, 4);         /* field 1, the session id of old */
    raw_publish(MQTT_V311, 0, 10);
    RIG_RUN_UNTIL(&rig, lane.n_packets == 2);
    ck_assert_uint_eq(lane.n_ends + lane.n_finished, 0);
}
END_TEST

START_TEST(terminate_is_a_half_close)
{
    raw_begin(_i, MQTT_V311);
    raw_publish(MQTT_V311, 0, 10);
    raw_control(RELAY_FRAME_TERMINATE);
    raw_control(RELAY_FRAME_TERMINATE);
    raw_publish(MQTT_V311, 1, 10); /* behind the end */
    rpc_stream_half_close(raw.stream);
    RIG_RUN_UNTIL(&rig, lane.n_finished == 1);
    ck_assert_uint_eq(lane.n_packets, 2);
    lane_finish(lane.lane, LANE_END_OK, "");
    RIG_RUN_UNTIL(&rig, lane.n_ends == 1 && raw.n_ends == 1);
    ck_assert_uint_eq(lane.n_finished, 1);
    ck_assert_uint_eq(lane.n_packets, 2);
}
END_TEST

START_TEST(a_raw_client_that_vanishes_is_lost)
{
    raw_begin(_i, MQTT_V311);
    raw.stream = rpc_stream_free(raw.stream);
    RIG_RUN_UNTIL(&rig, lane.n_ends == 1);
    ck_assert_int_eq(lane.why, LANE_END_LOST);
    ck_assert_uint_eq(lane.n_finished, 0);
}
END_TEST

START_TEST(a_raw_client_that_says_nothing_can_be_sent_away)
{
    raw_open(_i);
    lane_finish(lane.lane, LANE_END_PROTOCOL, "no CONNECT");
    RIG_RUN_UNTIL(&rig, raw.n_ends == 1 && lane.n_ends == 1);
    ck_assert_int_eq(raw.status, RPC_INVALID_ARGUMENT);
    ck_assert_str_eq(raw.text, "no CONNECT");
}
END_TEST

START_TEST(an_extended_r_proxy_hears_something_at_once)
{
    raw_open(true); /* so that a balancer which holds headers back lets them pass */
    RIG_RUN_UNTIL(&rig, raw.n == 1);
    ck_assert_str_eq(rpc_stream_metadata(raw.stream, "mqtt-relay-ext"), "1");
    ck_assert(raw.seen[0].kind == RELAY_FRAME_HEARTBEAT || raw.seen[0].kind == RELAY_FRAME_CREDIT);
}
END_TEST

/* --- Batches */

START_TEST(a_batch_is_as_good_as_its_packets)
{
    enum { N = 40 };
    raw_begin(true, MQTT_V5);
    size_t owed = lane.owed, sent = 0;
    lane.is_stalled = true;
    raw_publish(MQTT_V5, 0, 10);
    for (uint32_t i = 1; i <= N; i++)
        batch_add_publish(MQTT_V5, i, 100 * i % 700 + 4);
    sent = batch_len;
    batch_send();
    batch_add_publish(MQTT_V5, N + 1, 10); /* one packet is a batch too */
    sent += batch_len;
    batch_send();
    RIG_RUN_UNTIL(&rig, lane.n_packets == N + 3);
    ck_assert_uint_eq(lane.n_wrong, 0);
    raw_publish(MQTT_V5, N + 2, 10);
    size_t both = lane.owed - owed;
    RIG_RUN_UNTIL(&rig, lane.n_packets == N + 4);
    size_t single = lane.owed - owed - both;
    ck_assert_uint_eq(both, single + sent); /* charged is the whole message, not a byte more or less */
    ck_assert_uint_eq(lane_buffered_bytes(lane.lane), 0);
}
END_TEST

static void hold_tenth(struct party *p, enum party_event event, const struct mqtt_packet *packet)
{
    p->holds_next = p->n_packets == 10;
}

START_TEST(a_packet_in_the_middle_of_a_batch_may_wait)
{
    enum { N = 30 };
    raw_begin(true, MQTT_V311);
    lane.on_event = hold_tenth;
    for (uint32_t i = 0; i < N; i++)
        batch_add_publish(MQTT_V311, i, 50);
    size_t len = batch_len;
    batch_send();
    raw_publish(MQTT_V311, N, 10);
    batch_add_publish(MQTT_V311, N + 1, 20);
    batch_add_publish(MQTT_V311, N + 2, 20);
    batch_send();
    raw_credit(1000); /* passes by all of them */
    RIG_RUN_UNTIL(&rig, lane.n_packets == 11 && lane_buffered_bytes(lane.lane) > len * (N - 10) / N);
    for (uint32_t i = 0; i < 20; i++) {
        party_publish(&lane, MQTT_V311, i, 10);
        RIG_RUN_UNTIL(&rig, raw.n_packets == i + 1);
    }
    ck_assert_uint_eq(lane.n_packets, 11);
    if (_i == 1)
        return; /* and may be left there */
    party_consume(&lane);
    party_continue(&lane);
    RIG_RUN_UNTIL(&rig, lane.n_packets == 1 + N + 3);
    ck_assert_uint_eq(lane.n_wrong, 0);
}
END_TEST

START_TEST(packets_of_a_turn_leave_as_one_message)
{
    raw_begin(true, MQTT_V5);
    unsigned before = raw.n;
    party_publish(&lane, MQTT_V5, 0, 10);
    RIG_RUN_UNTIL(&rig, raw.n_packets == 1);
    ck_assert_uint_eq(raw.n, before + 1);
    ck_assert_uint_eq(raw.seen[before].kind, RELAY_FRAME_PACKET_V5); /* alone: no batch */
    for (uint32_t i = 1; i <= 50; i++)
        party_publish(&lane, MQTT_V5, i, 100);
    ck_assert_uint_gt(lane_buffered_bytes(lane.lane), 5000);
    RIG_RUN_UNTIL(&rig, raw.n_packets == 51);
    ck_assert_uint_eq(raw.n, before + 2);
    ck_assert_uint_eq(raw.seen[before + 1].kind, RELAY_FRAME_BATCH);
}
END_TEST

START_TEST(a_batch_is_never_longer_than_a_piece)
{
    enum { N = 400 };
    static const size_t sizes[] = {4, 7000, 7960, 8010, 15000, 15980, 300, 4}; /* around a half and the whole */
    raw_begin(true, MQTT_V311);
    unsigned before = raw.n;
    raw_credit(100 * 1000 * 1000);
    for (uint32_t i = 0; i < N; i++) {
        size_t size = sizes[i % TEST_COUNT(sizes)];
        party_publish(&lane, MQTT_V311, i, size > 1000 ? size - i % 40 : size);
        if (i % 10 == 9)
            RIG_RUN_UNTIL(&rig, raw.n_packets == i + 1);
    }
    for (unsigned i = before; i < raw.n; i++)
        ck_assert_uint_le(raw.length[i], LANE_PIECE_BYTES);
}
END_TEST

START_TEST(nothing_overtakes_a_batch)
{
    raw_begin(true, MQTT_V311);
    unsigned before = raw.n;
    party_publish(&lane, MQTT_V311, 0, 10);
    party_publish(&lane, MQTT_V311, 1, 10);
    party_publish(&lane, MQTT_V311, 2, 20000);
    party_publish(&lane, MQTT_V311, 3, 10);
    party_publish(&lane, MQTT_V311, 4, 10);
    lane_finish(lane.lane, LANE_END_OK, NULL);
    RIG_RUN_UNTIL(&rig, raw.n_ends == 1);
    static const unsigned kinds[] = {RELAY_FRAME_BATCH, RELAY_FRAME_PIECE, RELAY_FRAME_PIECE, RELAY_FRAME_BATCH};
    ck_assert_uint_eq(raw.n, before + TEST_COUNT(kinds));
    for (unsigned i = 0; i < TEST_COUNT(kinds); i++)
        ck_assert_uint_eq(raw.seen[before + i].kind, kinds[i]);
}
END_TEST

START_TEST(a_lane_that_is_freed_sends_no_batch)
{
    raw_begin(true, MQTT_V311);
    party_publish(&lane, MQTT_V311, 0, 10);
    party_publish(&lane, MQTT_V311, 1, 10);
    party_free(&lane);
    RIG_RUN_UNTIL(&rig, raw.n_ends == 1);
    ck_assert_uint_eq(raw.n_packets, 0);
}
END_TEST

static void send_batch(void)
{
    batch_add_publish(MQTT_V311, 0, 10);
    batch_add_publish(MQTT_V311, 1, 10);
    batch_send();
}

static void send_batch_in_batch(void)
{
    static uint8_t inner[MESSAGE_MAX];
    batch_add_publish(MQTT_V311, 0, 10);
    size_t n = batch_len;
    memcpy(inner, batch, n);
    batch_add(inner, n);
    batch_send();
}

static void send_batch_and_packet(void)
{
    struct mqtt_packet packet = publish_of(MQTT_V311, 1, 10);
    batch_add_publish(MQTT_V311, 0, 10);
    batch_len += encode_packet(&packet, 1, batch + batch_len);
    batch_send();
}

static void send_control_in_batch(void)
{
    uint8_t bytes[200] = {0};
    const struct mqtt_bytes id = {(const uint8_t *)"c-1", 3};
    batch_add_publish(MQTT_V311, 0, 10);
    batch_add(bytes,
              (size_t)(relay_frame_write_control(bytes, RELAY_FRAME_HEARTBEAT, 0, RELAY_CLIENT_TO_BROKER, id) - bytes));
    batch_send();
}

static void send_credit_in_batch(void)
{
    uint8_t bytes[RELAY_FRAME_OVERHEAD] = {0};
    const uint8_t *end = relay_frame_write_credit(bytes, RELAY_CLIENT_TO_BROKER, 10);
    batch_add(bytes, (size_t)(end - bytes));
    batch_send();
}

static void send_piece_in_batch(void)
{
    uint8_t bytes[RELAY_FRAME_OVERHEAD] = {0};
    uint8_t *end = relay_frame_write_piece_head(bytes, RELAY_CLIENT_TO_BROKER, 1, 1);
    *end++ = 'x';
    batch_add(bytes, (size_t)(end - bytes));
    batch_send();
}

static void send_nothing_in_batch(void)
{
    batch_add_publish(MQTT_V311, 0, 10);
    batch_add("", 0);
    batch_send();
}

static void send_lying_batch(void)
{
    batch_add_publish(MQTT_V311, 0, 10);
    batch_add_publish(MQTT_V311, 1, 10);
    batch_len--;
    batch_send();
}

static void send_lying_entry(void)
{
    batch_add_publish(MQTT_V311, 0, 10);
    batch_add("\x22\x7f\x1a", 3);
    batch_send();
}

static void send_connect_in_batch(void)
{
    static uint8_t bytes[MESSAGE_MAX];
    batch_add_publish(MQTT_V311, 0, 10);
    batch_add(bytes, encode_packet(sample_connect(MQTT_V311, 0), 0, bytes));
    batch_send();
}

static void send_batch_between_pieces(void)
{
    raw_piece(100, "abc", 3);
    send_batch();
}

static void send_pieces_of_batch(void)
{
    batch_add_publish(MQTT_V311, 0, 10);
    raw_piece((uint32_t)batch_len, batch, batch_len);
}

static void send_batches_above_credit(void)
{
    lane.is_stalled = true;
    for (uint32_t i = 0; i < 100; i++) {
        batch_add_publish(MQTT_V311, 2 * i, 2000);
        batch_add_publish(MQTT_V311, 2 * i + 1, 2000);
        batch_send();
    }
}

/* --- Violations by an r-proxy. Each is sent after the headers; `after_connect`: after ESTABLISH V311 and CONNECT. */

static void send_packet_first(void)
{
    raw_packet(sample_connect(MQTT_V311, 0), 0);
}

static void send_second_establish(void)
{
    raw_control(RELAY_FRAME_ESTABLISH_V3);
}

static void send_v5_in_v3(void)
{
    raw_publish(MQTT_V5, 0, 10);
}

static void send_v3_in_v5(void)
{
    raw_control(RELAY_FRAME_ESTABLISH_V5);
    raw_packet(sample_connect(MQTT_V311, 0), 0);
}

static void send_publish_for_connect(void)
{
    raw_control(RELAY_FRAME_ESTABLISH_V5);
    raw_publish(MQTT_V5, 0, 10);
}

static void send_second_connect(void)
{
    raw_packet(sample_connect(MQTT_V311, 0), 1);
}

static void send_garbage(void)
{
    raw_send("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
}

static void send_cut_message(void)
{
    raw_send((const uint8_t[]){0x22, 0x7f, 0x1a}, 3); /* a v3 packet said to have 127 bytes */
}

static void send_illegal_packet(void)
{
    struct mqtt_packet packet = publish_of(MQTT_V311, 0, 10);
    packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"a/#", 3};
    raw_packet(&packet, 1);
}

static void send_piece_without_total(void)
{
    raw_piece(0, "abc", 3);
}

static void send_second_first_piece(void)
{
    raw_piece(100, "abc", 3);
    raw_piece(100, "abc", 3);
}

static void send_long_piece(void)
{
    raw_piece(4, "abc", 3);
    raw_piece(0, "de", 2);
}

static void send_packet_between_pieces(void)
{
    raw_piece(100, "abc", 3);
    raw_publish(MQTT_V311, 0, 10);
}

static void send_pieces_of_credit(void)
{
    uint8_t bytes[RELAY_FRAME_OVERHEAD] = {0};
    size_t n = (size_t)(relay_frame_write_credit(bytes, RELAY_CLIENT_TO_BROKER, 1000) - bytes);
    raw_piece((uint32_t)n, bytes, n);
}

static void send_pieces_of_garbage(void)
{
    raw_piece(4, "\xff\xff", 2);
    raw_piece(0, "\xff\xff", 2);
}

static void send_half_close_between_pieces(void)
{
    raw_piece(100, "abc", 3);
    rpc_stream_half_close(raw.stream);
}

static void send_terminate_between_pieces(void)
{
    raw_piece(100, "abc", 3);
    raw_control(RELAY_FRAME_TERMINATE);
}

static void send_too_large_total(void)
{
    raw_piece(UINT32_MAX, "abc", 3);
}

static void send_too_much_credit(void)
{
    raw_credit(UINT64_C(1) << 62);
}

static void send_too_much_credit_in_parts(void)
{
    for (int i = 0; i < 4; i++)
        raw_credit(UINT64_C(1) << 60);
}

static void send_above_credit(void)
{
    lane.is_stalled = true;
    for (uint32_t i = 0; i < 100; i++)
        raw_publish(MQTT_V311, i, 4000);
}

static void send_pieces_above_credit(void)
{
    static uint8_t data[16000];
    lane_pause(lane.lane, true);
    for (uint32_t i = 0; i < 30; i++)
        raw_piece(i == 0 ? 10 * 1000 * 1000 : 0, data, sizeof(data));
}

static const struct violation {
    void (*send)(void);
    bool after_connect;
    bool is_extended;
    enum lane_end why;
} violations[] = {
    {send_packet_first, false, false, LANE_END_PROTOCOL},
    {send_packet_first, false, true, LANE_END_PROTOCOL},
    {send_second_establish, true, false, LANE_END_PROTOCOL},
    {send_v5_in_v3, true, false, LANE_END_PROTOCOL},
    {send_v3_in_v5, false, false, LANE_END_PROTOCOL},
    {send_publish_for_connect, false, false, LANE_END_PROTOCOL},
    {send_second_connect, true, false, LANE_END_PROTOCOL},
    {send_garbage, false, false, LANE_END_PROTOCOL},
    {send_garbage, true, true, LANE_END_PROTOCOL},
    {send_cut_message, true, false, LANE_END_PROTOCOL},
    {send_illegal_packet, true, false, LANE_END_PROTOCOL},
    {send_piece_without_total, true, true, LANE_END_PROTOCOL},
    {send_second_first_piece, true, true, LANE_END_PROTOCOL},
    {send_long_piece, true, true, LANE_END_PROTOCOL},
    {send_packet_between_pieces, true, true, LANE_END_PROTOCOL},
    {send_pieces_of_credit, true, true, LANE_END_PROTOCOL},
    {send_pieces_of_garbage, true, true, LANE_END_PROTOCOL},
    {send_half_close_between_pieces, true, true, LANE_END_PROTOCOL},
    {send_terminate_between_pieces, true, true, LANE_END_PROTOCOL},
    {send_pieces_of_garbage, true, false, LANE_END_PROTOCOL}, /* it has not announced pieces */
    {send_too_large_total, true, true, LANE_END_LIMIT},
    {send_too_much_credit, true, true, LANE_END_PROTOCOL},
    {send_too_much_credit_in_parts, true, true, LANE_END_PROTOCOL},
    {send_above_credit, true, true, LANE_END_PROTOCOL},
    {send_pieces_above_credit, true, true, LANE_END_PROTOCOL},
    {send_batch, true, false, LANE_END_PROTOCOL}, /* it has not announced batches */
    {send_batch, false, true, LANE_END_PROTOCOL},
    {send_batch_in_batch, true, true, LANE_END_PROTOCOL},
    {send_batch_and_packet, true, true, LANE_END_PROTOCOL},
    {send_control_in_batch, true, true, LANE_END_PROTOCOL},
    {send_credit_in_batch, true, true, LANE_END_PROTOCOL},
    {send_piece_in_batch, true, true, LANE_END_PROTOCOL},
    {send_nothing_in_batch, true, true, LANE_END_PROTOCOL},
    {send_lying_batch, true, true, LANE_END_PROTOCOL},
    {send_lying_entry, true, true, LANE_END_PROTOCOL},
    {send_connect_in_batch, true, true, LANE_END_PROTOCOL},
    {send_batch_between_pieces, true, true, LANE_END_PROTOCOL},
    {send_pieces_of_batch, true, true, LANE_END_PROTOCOL},
    {send_batches_above_credit, true, true, LANE_END_PROTOCOL},
};

START_TEST(a_violation_ends_the_lane_and_says_why)
{
    const struct violation *v = &violations[_i];
    if (v->after_connect)
        raw_begin(v->is_extended, MQTT_V311);
    else
        raw_open(v->is_extended);
    v->send();
    RIG_RUN_UNTIL(&rig, lane.n_ends == 1 && raw.n_ends == 1);
    ck_assert_str_eq(lane_end_name(lane.why), lane_end_name(v->why));
    ck_assert_int_eq(raw.status, v->why == LANE_END_LIMIT ? RPC_RESOURCE_EXHAUSTED : RPC_INVALID_ARGUMENT);
    ck_assert_str_ne(raw.text, "");
    ck_assert_str_eq(raw.text, lane.text);
    ck_assert_uint_eq(lane.n_finished, 0);
}
END_TEST

/* --- Our r-proxy's lane and a raw s-proxy */

static void raw_accept_as(struct rpc_stream *stream, const char *extension)
{
    const struct rpc_metadata metadata = {"mqtt-relay-ext", extension};
    raw.stream = stream;
    ck_assert_int_eq(rpc_stream_accept(stream, &metadata, extension ? 1 : 0, &raw_cbs, NULL), 0);
}

static void accept_basic(struct rig *r, struct rpc_stream *stream)
{
    raw_accept_as(stream, NULL);
}

static void accept_extended(struct rig *r, struct rpc_stream *stream)
{
    raw_accept_as(stream, "1");
}

/* Something that we do not know is no announcement. */
static void accept_other(struct rig *r, struct rpc_stream *stream)
{
    raw_accept_as(stream, "2");
}

/* The lane under test is the client. */
static void lane_begin(void (*accept)(struct rig *, struct rpc_stream *), const struct mqtt_packet *connect)
{
    rig.on_arrival = accept;
    party_open(&lane, &rig, connect);
    RIG_RUN_UNTIL(&rig, rig.n_arrived == 1 && lane.n_opens + lane.n_ends > 0 && raw.n >= 1);
}

START_TEST(what_a_basic_s_proxy_sees_is_what_it_knows)
{
    static const uint8_t versions[] = {MQTT_V31, MQTT_V311, MQTT_V5};
    uint8_t version = versions[_i];
    raw.v3_version = version;
    lane_begin(accept_basic, sample_connect(version, 0));
    ck_assert(!lane_peer(lane.lane)->is_extended);
    ck_assert_str_eq(rpc_stream_metadata(raw.stream, "session-id"), SESSION_ID);
    ck_assert_str_eq(rpc_stream_metadata(raw.stream, "client-id"), SESSION_ID);
    ck_assert_str_eq(rpc_stream_metadata(raw.stream, "mqtt-relay-ext"), "1");
    for (uint32_t i = 0; i < 1000; i++)
        party_publish(&lane, version, i, 1000);
    RIG_RUN_UNTIL(&rig, raw.n == 1002);
    bool is_v5 = version == MQTT_V5;
    ck_assert_uint_eq(raw.seen[0].kind, is_v5 ? RELAY_FRAME_ESTABLISH_V5 : RELAY_FRAME_ESTABLISH_V3);
    ck_assert_str_eq(raw.client_id, SESSION_ID);
    ck_assert_uint_eq(raw.packet_type[1], MQTT_CONNECT);
    for (unsigned i = 0; i < raw.n; i++) {
        ck_assert_uint_eq(raw.seen[i].sequence, i < 2 ? 0 : i - 1);
        ck_assert_int_eq(raw.seen[i].direction, RELAY_CLIENT_TO_BROKER);
    }
    ck_assert_uint_eq(count_seen(is_v5 ? RELAY_FRAME_PACKET_V5 : RELAY_FRAME_PACKET_V3), 1001);
    lane_finish(lane.lane, LANE_END_OK, "");
    RIG_RUN_UNTIL(&rig, raw.n_half_closes == 1);
}
END_TEST

START_TEST(a_connect_that_a_basic_s_proxy_cannot_take_ends_the_lane)
{
    lane_begin(accept_basic, sample_large_connect(5 << 20));
    RIG_RUN_UNTIL(&rig, lane.n_ends == 1 && raw.n_ends == 1);
    ck_assert_int_eq(lane.why, LANE_END_LIMIT);
    ck_assert_uint_eq(lane.n_opens, 0);
    ck_assert_uint_eq(raw.n, 1);
}
END_TEST

START_TEST(controls_of_an_s_proxy_are_skipped)
{
    lane_begin(accept_basic, sample_connect(MQTT_V311, 0));
    raw_control(RELAY_FRAME_HEARTBEAT);
    raw_control(RELAY_FRAME_TERMINATE);
    raw_control(RELAY_FRAME_ESTABLISH_V5);
    raw_credit(1000);
    raw_publish(MQTT_V311, 0, 10);
    RIG_RUN_UNTIL(&rig, lane.n_packets == 1);
    ck_assert_uint_eq(lane.n_ends + lane.n_finished, 0);
}
END_TEST

START_TEST(an_s_proxy_that_breaks_the_rules_is_left)
{
    static void (*const breaks[])(void) = {send_garbage, send_v5_in_v3, send_illegal_packet, send_pieces_of_garbage};
    lane_begin(accept_basic, sample_connect(MQTT_V311, 0));
    breaks[_i]();
    RIG_RUN_UNTIL(&rig, lane.n_ends == 1 && raw.n_ends == 1);
    ck_assert_str_eq(lane_end_name(lane.why), "protocol");
    ck_assert_int_eq(raw.status, RPC_CANCELLED);
}
END_TEST

START_TEST(statuses_of_an_s_proxy_become_ends)
{
    static const struct {
        int status;
        enum lane_end why;
    } table[] = {
        {RPC_OK, LANE_END_OK},
        {RPC_UNAVAILABLE, LANE_END_UNAVAILABLE},
        {RPC_RESOURCE_EXHAUSTED, LANE_END_LIMIT},
        {RPC_INVALID_ARGUMENT, LANE_END_PROTOCOL},
        {RPC_UNAUTHENTICATED, LANE_END_UNAUTHENTICATED},
        {RPC_PERMISSION_DENIED, LANE_END_DENIED},
        {RPC_UNIMPLEMENTED, LANE_END_UNAVAILABLE},
        {RPC_INTERNAL, LANE_END_UNAVAILABLE},
        {RPC_CANCELLED, LANE_END_UNAVAILABLE},
    };
    lane_begin(accept_basic, sample_connect(MQTT_V311, 0));
    raw_publish(MQTT_V311, 0, 10);
    rpc_stream_finish(raw.stream, table[_i].status, "said so");
    RIG_RUN_UNTIL(&rig, lane.n_ends == 1);
    ck_assert_str_eq(lane_end_name(lane.why), lane_end_name(table[_i].why));
    ck_assert_uint_eq(lane.n_packets, 1);
    if (table[_i].status != RPC_OK)
        ck_assert_str_eq(lane.text, "said so");
}
END_TEST

static void publish_while_allowed(struct party *p, enum party_event event, const struct mqtt_packet *packet)
{
    uint32_t *sent = p->arg;
    while (event != PARTY_END && lane_may_send(p->lane))
        ck_assert_int_eq(party_publish(p, MQTT_V311, (*sent)++, 1000), 0);
}

static size_t charged_bytes(void)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < raw.n; i++) {
        unsigned kind = raw.seen[i].kind;
        bool is_charged = kind == RELAY_FRAME_PACKET_V3 || kind == RELAY_FRAME_PIECE || kind == RELAY_FRAME_BATCH;
        bytes += is_charged ? raw.length[i] : 0;
    }
    return bytes;
}

/* Section 5, to the byte: what was begun while the window was open, and nothing else; then what credit opens. */
START_TEST(a_lane_sends_what_its_window_allows_and_no_more)
{
    uint32_t sent = 0;
    lane.arg = &sent;
    lane.on_event = publish_while_allowed;
    lane_begin(accept_extended, sample_connect(MQTT_V311, 0));
    ck_assert(lane_peer(lane.lane)->is_extended);
    RIG_RUN_UNTIL(&rig, charged_bytes() >= LANE_WINDOW_BYTES);
    for (unsigned given = 0; given < 20; given++) {
        size_t before = charged_bytes();
        ck_assert(!lane_may_send(lane.lane));
        raw_credit(5000);
        RIG_RUN_UNTIL(&rig, charged_bytes() >= LANE_WINDOW_BYTES + (given + 1) * (size_t)5000);
        ck_assert_uint_le(charged_bytes() - before, 5000 + 1100);
    }
    size_t last = raw.length[raw.n - 1];
    ck_assert_uint_lt(charged_bytes(), LANE_WINDOW_BYTES + 20 * 5000 + last);
}
END_TEST

START_TEST(a_large_packet_stops_at_the_window_too)
{
    lane_begin(accept_extended, sample_connect(MQTT_V311, 0));
    party_publish(&lane, MQTT_V311, 0, 1000 * 1000);
    RIG_RUN_UNTIL(&rig, charged_bytes() >= LANE_WINDOW_BYTES);
    ck_assert_uint_lt(charged_bytes(), LANE_WINDOW_BYTES + LANE_PIECE_BYTES);
    for (unsigned i = 0; i < raw.n; i++)
        ck_assert_uint_le(raw.length[i], LANE_PIECE_BYTES);
    ck_assert_uint_gt(lane_buffered_bytes(lane.lane), 700 * 1000);
    raw_credit(10 * 1000 * 1000);
    RIG_RUN_UNTIL(&rig, charged_bytes() > 1000 * 1000);
    ck_assert_uint_eq(raw.seen[raw.n - 1].kind, RELAY_FRAME_PIECE);
}
END_TEST

START_TEST(another_word_than_ours_announces_nothing)
{
    lane_begin(accept_other, sample_connect(MQTT_V311, 0));
    ck_assert(!lane_peer(lane.lane)->is_extended);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("relay_peer", &t);
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_basic_r_proxy_is_served, 0, 3);
    tcase_add_test(t, a_basic_peer_gets_large_packets_whole_up_to_its_limit);
    tcase_add_test(t, a_basic_peer_is_stopped_by_a_session_that_consumes_nothing);
    tcase_add_loop_test(t, controls_that_mean_nothing_are_ignored, 0, 2);
    tcase_add_loop_test(t, terminate_is_a_half_close, 0, 2);
    tcase_add_loop_test(t, a_raw_client_that_vanishes_is_lost, 0, 2);
    tcase_add_loop_test(t, a_raw_client_that_says_nothing_can_be_sent_away, 0, 2);
    tcase_add_test(t, an_extended_r_proxy_hears_something_at_once);
    tcase_add_test(t, a_batch_is_as_good_as_its_packets);
    tcase_add_loop_test(t, a_packet_in_the_middle_of_a_batch_may_wait, 0, 2);
    tcase_add_test(t, packets_of_a_turn_leave_as_one_message);
    tcase_add_test(t, a_batch_is_never_longer_than_a_piece);
    tcase_add_test(t, nothing_overtakes_a_batch);
    tcase_add_test(t, a_lane_that_is_freed_sends_no_batch);
    tcase_add_loop_test(t, a_violation_ends_the_lane_and_says_why, 0, TEST_COUNT(violations));
    tcase_add_loop_test(t, what_a_basic_s_proxy_sees_is_what_it_knows, 0, 3);
    tcase_add_test(t, a_connect_that_a_basic_s_proxy_cannot_take_ends_the_lane);
    tcase_add_test(t, controls_of_an_s_proxy_are_skipped);
    tcase_add_loop_test(t, an_s_proxy_that_breaks_the_rules_is_left, 0, 4);
    tcase_add_loop_test(t, statuses_of_an_s_proxy_become_ends, 0, 9);
    tcase_add_test(t, a_lane_sends_what_its_window_allows_and_no_more);
    tcase_add_test(t, a_large_packet_stops_at_the_window_too);
    tcase_add_test(t, another_word_than_ours_announces_nothing);
    return s;
}

TEST_MAIN(suite)
