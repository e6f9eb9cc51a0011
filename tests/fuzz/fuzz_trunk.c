/* The trunk, both of its sides, with a peer and sessions that do anything in any order.
 *
 *     input: one operation after the other --> messages for the trunk; calls of sessions; on_drain and the end of the
 * stream
 *
 * rpc is replaced by stream_double.h: what the trunk sends is read back by trunk_message_read() and counted, and the
 * stream drains when the input says so. Whatever happens: no memory is lost, each lane ends at most once and hears
 * nothing afterwards, what is sent is well-formed. */
#include <stdlib.h>
#include <string.h>

#include "ensure.h"
#include "input.h"
#include "log.h"
#include "loop.h"
#include "mailbox.h"
#include "stream_double.h"
#include "trunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LANES = 8, MESSAGE_ROOM = 64 * 1024, SEQUENCES = 16, BUFFERED_MOST = 1 << 30 };

/* --- The stream */

static struct mailbox *mailbox;
static struct loop *loop;
static size_t unsaid_bytes; /* sent, and not "taken" by the input yet */

static void on_send(const uint8_t *bytes, size_t n)
{
    struct trunk_message read;
    struct mqtt_fault fault;
    struct trunk_frame frame;
    ensure(!stream_double.is_over);
    ensure(trunk_message_read(bytes, n, &read, &fault) == CONVERT_OK);
    while (trunk_message_next(&read, &frame))
        ensure(frame.kind != TRUNK_FRAME_BAD);
    if (read.n_frames > 0 || read.controls.zstd_frames.len > 0)
        unsaid_bytes += n;
}

/* --- Sessions */

/* What a session does inside its next callback. */
enum reaction { NOTHING, FREE, FINISH, PUBLISH, FREE_OTHER, FINISH_OTHER, FREE_TRUNK, REACTIONS };

struct session {
    struct lane *lane; /* NULL: none */
    struct gate_wait *wait;
    size_t owed;
    bool has_ended, holds_next;
    uint8_t reaction; /* enum reaction */
};

static struct session sessions[LANES];
static struct trunk *trunk;
static struct trunk_metrics metrics;
static bool has_trunk_ended;

static void release(struct session *s)
{
    s->lane = lane_free(s->lane);
    gate_continue(s->wait);
    *s = (struct session){.lane = NULL};
}

static void publish(struct session *s, uint8_t size)
{
    static const uint8_t zeros[256 * 256];
    struct mqtt_packet packet = {.type = MQTT_PUBLISH, .version = MQTT_V5};
    packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"b", 1};
    packet.publish.payload = (struct mqtt_bytes){zeros, (uint32_t)size * 256};
    lane_send(s->lane, &packet);
    lane_may_send(s->lane);
}

static void free_trunk(void)
{
    trunk = trunk_free(trunk);
    has_trunk_ended = true;
}

/* False: S is gone. */
static bool react(struct session *s)
{
    struct session *other = &sessions[(s - sessions + 1) % LANES];
    uint8_t reaction = s->reaction;
    s->reaction = NOTHING;
    switch ((enum reaction)reaction) {
    case FREE:
        release(s);
        return false;
    case FINISH:
        lane_finish(s->lane, LANE_END_OK, "reaction");
        break;
    case PUBLISH:
        publish(s, 20);
        break;
    case FREE_OTHER:
        if (!other->wait) /* whoever waits may stand in a callback of its own */
            release(other);
        break;
    case FINISH_OTHER:
        if (other->lane)
            lane_finish(other->lane, LANE_END_UNAVAILABLE, "reaction");
        break;
    case FREE_TRUNK:
        free_trunk();
        break;
    default:
        break;
    }
    return true;
}

static enum gate_answer on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg)
{
    struct session *s = arg;
    ensure(s->lane == l && !s->has_ended && !s->wait);
    s->owed += lane_packet_charge(l);
    if (!react(s))
        return GATE_CLOSED;
    if (!s->holds_next)
        return GATE_PASS;
    s->holds_next = false;
    s->wait = lane_hold(l);
    return GATE_HOLD;
}

static void on_event(struct lane *l, void *arg)
{
    struct session *s = arg;
    ensure(s->lane == l && !s->has_ended);
    react(s);
}

static void on_finished(struct lane *l, void *arg)
{
    struct session *s = arg;
    ensure(s->lane == l && !s->has_ended);
    if (react(s))
        lane_finish(l, LANE_END_OK, "finished");
}

static void on_lane_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    struct session *s = arg;
    ensure(s->lane == l && !s->has_ended);
    s->has_ended = true;
    react(s);
}

static const struct lane_cbs lane_cbs = {.on_packet = on_packet,
                                         .on_progress = on_event,
                                         .on_writable = on_event,
                                         .on_finished = on_finished,
                                         .on_end = on_lane_end};

static struct session *free_session(void)
{
    for (unsigned i = 0; i < LANES; i++)
        if (!sessions[i].lane)
            return &sessions[i];
    return NULL;
}

static void on_lane(struct trunk *t, struct lane *l, void *arg)
{
    struct session *s = free_session();
    if (!s) {
        lane_finish(l, LANE_END_LIMIT, "no session");
        lane_free(l);
        return;
    }
    s->lane = l;
    lane_set_callbacks(l, &lane_cbs, s);
}

static void on_trunk_event(struct trunk *t, void *arg)
{
}

static void on_trunk_end(struct trunk *t, int status, const char *text, void *arg)
{
    ensure(!has_trunk_ended);
    has_trunk_ended = true;
    for (unsigned i = 0; i < LANES; i++)
        ensure(!sessions[i].lane || sessions[i].has_ended || sessions[i].wait);
}

static const struct trunk_cbs trunk_cbs = {
    .on_ready = on_trunk_event, .on_lane = on_lane, .on_draining = on_trunk_event, .on_end = on_trunk_end};

/* --- The input */

static uint8_t message[MESSAGE_ROOM];
static uint8_t *end = message;
static uint64_t sequences[LANES + 2]; /* what the peer has sent last */

/* The right one, mostly. */
static uint64_t next_sequence(uint32_t lane, uint8_t flags)
{
    return flags & 0x80 ? flags % SEQUENCES : ++sequences[lane % (LANES + 2)];
}

static void put_packet(struct cursor *c, uint32_t lane)
{
    uint8_t flags = take_u8(c);
    struct mqtt_packet packet = {.version = flags & 1 ? MQTT_V5 : MQTT_V311,
                                 .type = flags & 2 ? MQTT_CONNECT : MQTT_PUBLISH};
    static const uint8_t zeros[20000];
    if (packet.type == MQTT_CONNECT) {
        packet.connect = (struct mqtt_connect){.protocol_level = packet.version, .clean_start = true};
    } else {
        packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"a", 1};
        packet.publish.payload = (struct mqtt_bytes){zeros, flags & 4 ? sizeof(zeros) : flags};
    }
    struct packet_frame f;
    packet_to_message_plan(&f, &packet);
    end = trunk_frame_write_packet(end, lane, next_sequence(lane, flags), &f);
}

static void put_frame(struct cursor *c)
{
    static const uint8_t id[TRUNK_SESSION_ID_BYTES] = {1};
    uint8_t kind = take_u8(c);
    uint32_t lane = take_u8(c) % (LANES + 2);
    uint8_t flags;
    if ((size_t)(message + sizeof(message) - end) < 21000)
        return;
    switch (kind % 6) {
    case 0:
        sequences[lane % (LANES + 2)] = 1;
        end = trunk_frame_write_open(end, lane, 1, id, NULL);
        break;
    case 1:
        put_packet(c, lane);
        break;
    case 2:
        flags = take_u8(c);
        end = trunk_frame_write_close(end, lane, next_sequence(lane, flags), flags % 9, take_bytes(c));
        break;
    case 3:
        end = trunk_frame_write_credit(end, lane, (uint64_t)(take_u8(c) + 1) << (take_u8(c) % 56));
        break;
    case 4: {
        flags = take_u8(c);
        uint32_t total = flags & 1 ? (uint32_t)take_u8(c) << (take_u8(c) % 24) : 0;
        struct mqtt_bytes data = take_bytes(c);
        if (data.len > 0)
            end = trunk_frame_write_piece(end, lane, next_sequence(lane, flags), total, total ? FRAME_MQTTV5 : 0, data);
        break;
    }
    default: {
        struct mqtt_bytes raw = take_bytes(c);
        if (raw.len > 0)
            memcpy(end, raw.ptr, raw.len);
        end += raw.len;
        break;
    }
    }
}

static void deliver(const struct trunk_controls *controls)
{
    end = trunk_controls_write(end, controls);
    if (!has_trunk_ended)
        stream_double_deliver(message, (size_t)(end - message));
    end = message;
}

static void deliver_controls(struct cursor *c)
{
    uint8_t flags = take_u8(c);
    struct trunk_controls controls = {
        .is_draining = flags == 0x55, .ping = flags & 1 ? 7 : 0, .pong = flags & 2 ? 7 : 0};
    if (flags & 4) {
        controls.taken = unsaid_bytes;
        unsaid_bytes = 0;
    }
    if (flags & 8)
        controls.zstd_frames = take_bytes(c);
    deliver(&controls);
}

static void open_lane(struct cursor *c)
{
    static const uint8_t id[TRUNK_SESSION_ID_BYTES] = {2};
    struct mqtt_packet connect = {.type = MQTT_CONNECT, .version = take_u8(c) & 1 ? MQTT_V5 : MQTT_V311};
    connect.connect = (struct mqtt_connect){.protocol_level = connect.version, .clean_start = true};
    const struct trunk_lane_params params = {.session_id = id, .connect = &connect};
    struct session *s = free_session();
    if (s && trunk)
        trunk_open_lane(trunk, &params, &lane_cbs, s, &s->lane);
}

static void act(struct cursor *c)
{
    uint8_t what = take_u8(c);
    struct session *s = &sessions[what % LANES];
    if (!s->lane)
        return;
    ensure(lane_buffered_bytes(s->lane) < BUFFERED_MOST);
    switch (what / LANES % 8) {
    case 0:
        lane_finish(s->lane, take_u8(c) % (LANE_END_LOST + 1), "because");
        break;
    case 1:
        release(s);
        break;
    case 2:
        lane_consumed(s->lane, s->owed);
        s->owed = 0;
        break;
    case 3:
        s->holds_next = true;
        break;
    case 4: {
        struct gate_wait *wait = s->wait;
        s->wait = NULL;
        gate_continue(wait);
        break;
    }
    case 5:
        publish(s, take_u8(c));
        break;
    case 6:
        lane_pause(s->lane, take_u8(c) & 1);
        break;
    default:
        s->reaction = take_u8(c) % REACTIONS;
        break;
    }
}

static void end_turn(struct loop_task *task)
{
    loop_stop(loop);
}

static void turn(void)
{
    struct loop_task task;
    loop_task_init(&task, end_turn);
    loop_defer(loop, &task);
    loop_run(loop);
}

static void end_stream(void)
{
    if (!has_trunk_ended) /* which it does then */
        stream_double.cbs->on_end(&stream_double, RPC_UNAVAILABLE, "gone", stream_double.arg);
}

static void run(struct cursor *c)
{
    while (c->len > 0) {
        switch (take_u8(c) % 9) {
        case 0:
        case 1:
            put_frame(c);
            break;
        case 2:
            deliver(&(struct trunk_controls){.taken = 0});
            break;
        case 3:
            deliver_controls(c);
            break;
        case 4:
            open_lane(c);
            break;
        case 5:
            act(c);
            break;
        case 6:
            if (!has_trunk_ended)
                stream_double_drain();
            break;
        case 7:
            if (take_u8(c) == 0 && trunk)
                trunk_drain(trunk);
            turn();
            break;
        default:
            turn();
            break;
        }
    }
}

static void start(uint8_t mode)
{
    bool is_server = mode & 1, is_greeted = !(mode & 2), is_lingering = mode & 16;
    static struct trunk_options options = {
        .software = "fuzz", .dead_after_ms = 0, .max_lanes = LANES, .zstd_level = 1, .zstd_window_log = 12};
    const struct trunk_params params = {
        .mailbox = mailbox, .options = &options, .metrics = &metrics, .cbs = &trunk_cbs};
    options.linger_ms = is_lingering;
    memset(&metrics, 0, sizeof(metrics));
    memset(sequences, 0, sizeof(sequences));
    end = message;
    unsaid_bytes = 0;
    has_trunk_ended = false;
    if (is_server)
        trunk_accept(&stream_double, &params, &trunk);
    else
        trunk_open(NULL, &params, &trunk);
    if (is_greeted)
        deliver(&(struct trunk_controls){.has_hello = true,
                                         .hello = {.version = 1,
                                                   .lane_window = 65536,
                                                   .max_message_bytes = 1 << 20,
                                                   .max_lanes = LANES,
                                                   .zstd_window_log = 12}});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!loop) {
        log_set_filter("off");
        ensure(loop_new(&loop) == 0 && mailbox_new(loop, &mailbox) == 0);
        stream_double_mailbox = mailbox;
        stream_double_on_send = on_send;
    }
    struct cursor c = cursor_make(data, size);
    uint8_t mode = take_u8(&c);
    start(mode);
    run(&c);
    if (mode & 4)
        end_stream();
    if (mode & 8)
        free_trunk();
    for (unsigned i = 0; i < LANES; i++)
        release(&sessions[i]);
    turn();
    trunk = trunk_free(trunk);
    return 0;
}
