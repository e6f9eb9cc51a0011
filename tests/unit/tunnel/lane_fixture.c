/* See lane_fixture.h. */
#include "lane_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct party *server_parties;
static unsigned n_server_parties, n_arrived;
static int (*open_lane)(struct party *p, const struct mqtt_packet *connect);

static void tell(struct party *p, enum party_event event, const struct mqtt_packet *packet)
{
    loop_stop(p->rig->loop);
    size_t buffered = lane_buffered_bytes(p->lane);
    p->most_buffered = buffered > p->most_buffered ? buffered : p->most_buffered;
    if (p->on_event)
        p->on_event(p, event, packet);
}

static void on_open(struct lane *l, void *arg)
{
    struct party *p = arg;
    p->n_opens++;
    tell(p, PARTY_OPEN, NULL);
}

/* Those of party_publish() say their number at both ends. */
static void check_number(struct party *p, const struct mqtt_packet *packet)
{
    const struct mqtt_bytes *payload = &packet->publish.payload;
    uint32_t number;
    if (p->is_unnumbered || packet->type != MQTT_PUBLISH || payload->len < 4)
        return;
    memcpy(&number, payload->ptr, 4);
    if (number != p->next_number++ || (payload->len > 4 && payload->ptr[payload->len - 1] != (uint8_t)number))
        p->n_wrong++;
    p->n_payload_bytes += payload->len;
}

static enum gate_answer on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg)
{
    struct party *p = arg;
    p->n_packets++;
    check_number(p, packet);
    p->owed += lane_packet_charge(l);
    bool holds = p->holds_next;
    p->holds_next = false;
    if (holds) {
        p->wait = lane_hold(l);
        p->held_copy = mqtt_packet_store(packet);
    }
    if (!p->is_stalled && !holds)
        party_consume(p);
    tell(p, PARTY_PACKET, packet);
    return holds ? GATE_HOLD : GATE_PASS;
}

static void on_progress(struct lane *l, void *arg)
{
    struct party *p = arg;
    p->n_progress++;
    tell(p, PARTY_PROGRESS, NULL);
}

static void on_writable(struct lane *l, void *arg)
{
    struct party *p = arg;
    p->n_writable++;
    tell(p, PARTY_WRITABLE, NULL);
}

static void on_finished(struct lane *l, void *arg)
{
    struct party *p = arg;
    p->n_finished++;
    tell(p, PARTY_FINISHED, NULL);
}

static void on_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    struct party *p = arg;
    p->n_ends++;
    p->why = why;
    snprintf(p->text, sizeof(p->text), "%s", text);
    tell(p, PARTY_END, NULL);
}

const struct lane_cbs party_cbs = {
    .on_open = on_open,
    .on_packet = on_packet,
    .on_progress = on_progress,
    .on_writable = on_writable,
    .on_finished = on_finished,
    .on_end = on_end,
};

static struct party *next_server_party(struct rig *r)
{
    ck_assert_uint_lt(n_arrived, n_server_parties);
    struct party *p = &server_parties[n_arrived++];
    p->rig = r;
    return p;
}

unsigned lanes_arrived(void)
{
    return n_arrived;
}

/* --- Over the relay service */

static void arrive_by_relay(struct rig *r, struct rpc_stream *stream)
{
    struct party *p = next_server_party(r);
    ck_assert_int_eq(relay_accept(stream, &party_cbs, p, &p->lane), 0);
}

static int open_by_relay(struct party *p, const struct mqtt_packet *connect)
{
    const struct relay_open_params params = {
        .channel = p->rig->channel,
        .mailbox = p->rig->mailbox,
        .session_id = "00112233445566778899aabbccddeeff",
        .connect = connect,
    };
    return relay_open(&params, &party_cbs, p, &p->lane);
}

/* --- Over a trunk */

static struct trunk *trunks[2]; /* the client's, the server's */
static struct trunk_metrics trunk_metrics;
static const struct trunk_options trunk_options = {
    .software = "test", .dead_after_ms = 20000, .max_lanes = 1000, .zstd_window_log = 20};

static void on_trunk_ready(struct trunk *t, void *arg)
{
    struct rig *r = arg;
    loop_stop(r->loop);
}

/* Open from the start, so on_open does not come. */
static void on_trunk_lane(struct trunk *t, struct lane *l, void *arg)
{
    struct party *p = next_server_party(arg);
    p->lane = l;
    lane_set_callbacks(l, &party_cbs, p);
    on_open(l, p);
}

static void on_trunk_end(struct trunk *t, int status, const char *text, void *arg)
{
    struct rig *r = arg;
    loop_stop(r->loop);
}

static const struct trunk_cbs trunk_cbs = {
    .on_ready = on_trunk_ready, .on_lane = on_trunk_lane, .on_end = on_trunk_end};

static struct trunk_params trunk_params(struct rig *r)
{
    return (struct trunk_params){
        .mailbox = r->mailbox, .options = &trunk_options, .metrics = &trunk_metrics, .cbs = &trunk_cbs, .arg = r};
}

static void arrive_by_trunk(struct rig *r, struct rpc_stream *stream)
{
    const struct trunk_params params = trunk_params(r);
    ck_assert_int_eq(trunk_accept(stream, &params, &trunks[1]), 0);
}

static void open_trunk(struct rig *r)
{
    const struct trunk_params params = trunk_params(r);
    ck_assert_int_eq(trunk_open(r->channel, &params, &trunks[0]), 0);
    RIG_RUN_UNTIL(r, trunk_is_usable(trunks[0]) && trunks[1]);
}

static int open_by_trunk(struct party *p, const struct mqtt_packet *connect)
{
    static const uint8_t id[TRUNK_SESSION_ID_BYTES] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                                       0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    const struct trunk_lane_params params = {.session_id = id, .connect = connect};
    int r = trunk_open_lane(trunks[0], &params, &party_cbs, p, &p->lane);
    if (r == 0)
        on_open(p->lane, p);
    return r;
}

/* --- Either */

void lanes_init(struct rig *r, enum lane_carrier carrier, struct party *servers, unsigned n_servers)
{
    bool is_trunk = carrier == LANE_OVER_TRUNK;
    rig_init_at(r, is_trunk ? TRUNK_PATH : RELAY_PATH, 8 * 1024 * 1024, 1);
    memset(servers, 0, n_servers * sizeof(*servers));
    server_parties = servers;
    n_server_parties = n_servers;
    n_arrived = 0;
    open_lane = is_trunk ? open_by_trunk : open_by_relay;
    r->on_arrival = is_trunk ? arrive_by_trunk : arrive_by_relay;
    if (is_trunk)
        open_trunk(r);
}

void lanes_deinit(struct rig *r)
{
    for (unsigned i = 0; i < 2; i++)
        trunks[i] = trunk_free(trunks[i]);
    rig_deinit(r);
}

const struct mqtt_packet *sample_connect(uint8_t version, size_t will_bytes)
{
    static struct mqtt_packet packet;
    static uint8_t *will;
    free(will);
    will = will_bytes ? calloc(1, will_bytes) : NULL;
    packet = (struct mqtt_packet){.type = MQTT_CONNECT, .version = version};
    packet.connect = (struct mqtt_connect){
        .client_id = {(const uint8_t *)"pump-3", 6},
        .keep_alive_s = 60,
        .protocol_level = version,
        .clean_start = true,
        .has_will = will_bytes > 0,
    };
    if (will_bytes) {
        packet.connect.will.topic = (struct mqtt_bytes){(const uint8_t *)"gone", 4};
        packet.connect.will.payload = (struct mqtt_bytes){will, (uint32_t)will_bytes};
    }
    return &packet;
}

const struct mqtt_packet *sample_large_connect(size_t bytes)
{
    enum { USER_PROPERTY = 0x26, VALUE = 60000, ENTRY = 1 + 2 + 1 + 2 + VALUE };
    static struct mqtt_packet packet;
    static uint8_t *wire;
    size_t n = bytes / ENTRY + 1;
    free(wire);
    wire = calloc(n, ENTRY);
    for (size_t i = 0; i < n; i++) {
        uint8_t *entry = wire + i * ENTRY;
        memcpy(entry, (uint8_t[]){USER_PROPERTY, 0, 1, 'k', VALUE >> 8, VALUE & 0xff}, 6);
        memset(entry + 6, 'a' + (int)(i % 26), VALUE);
    }
    packet = *sample_connect(MQTT_V5, 0);
    packet.properties.wire = (struct mqtt_bytes){wire, (uint32_t)(n * ENTRY)};
    return &packet;
}

void party_open(struct party *p, struct rig *r, const struct mqtt_packet *connect)
{
    p->rig = r;
    ck_assert_int_eq(open_lane(p, connect), 0);
}

void party_free(struct party *p)
{
    p->lane = lane_free(p->lane);
    party_continue(p);
}

void party_continue(struct party *p)
{
    struct gate_wait *wait = p->wait;
    p->wait = NULL;
    free(p->held_copy);
    p->held_copy = NULL;
    gate_continue(wait);
}

int party_publish(struct party *p, uint8_t version, uint32_t number, size_t n)
{
    uint8_t *payload = malloc(n);
    memset(payload, (uint8_t)number, n);
    memcpy(payload, &number, 4);
    struct mqtt_packet packet = {.type = MQTT_PUBLISH, .version = version};
    packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"a/b", 3};
    packet.publish.payload = (struct mqtt_bytes){payload, (uint32_t)n};
    int r = lane_send(p->lane, &packet);
    free(payload);
    return r;
}

void party_consume(struct party *p)
{
    size_t owed = p->owed;
    p->owed = 0;
    p->is_stalled = false;
    if (owed)
        lane_consumed(p->lane, owed);
}
