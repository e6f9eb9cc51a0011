/* Packets over a real socket: from every split, through the gate, and to their end. */
#include "mqtt_io.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "loop_support.h"
#include "mqtt_decode.h"
#include "mqtt_encode.h"
#include "mqtt_reason.h"
#include "net.h"
#include "socket_support.h"
#include "test_main.h"

enum { INPUT_LIMIT = 1000, TRACE_MAX = 4096 };

/* Writes a letter for each packet (PUBLISH: its topic) and does what it was told for it. */
struct user {
    struct mqtt_io *io;
    struct gate_wait *wait;
    char trace[TRACE_MAX];
    char hold_at, close_at, pause_at, continue_at; /* letters */
    bool holds_all;                                /* and lets each pass in the next turn */
    struct loop_task pass_task;
    bool closes_on_bad, closes_on_end, closes_on_progress, closes_on_drain;
    size_t payload_bytes; /* of the last PUBLISH */
    int n_bad, n_ends, n_progress, n_drains;
    uint8_t reason;
    enum conn_end why;
};

static const enum socket_kind kinds[] = {SOCKET_UNIX, SOCKET_TCP};
static struct loop *loop;
static struct user user;
static int peer;

/* --- The user */

static void trace(struct user *u, char letter)
{
    size_t n = strlen(u->trace);
    ck_assert_uint_lt(n + 1, TRACE_MAX);
    u->trace[n] = letter;
}

static char letter_of(const struct mqtt_packet *p)
{
    if (p->type == MQTT_PUBLISH)
        return (char)p->publish.topic.ptr[0];
    return p->type == MQTT_CONNECT ? 'C' : p->type == MQTT_DISCONNECT ? 'D' : '?';
}

static enum gate_answer on_packet(struct mqtt_io *io, const struct mqtt_packet *packet, void *arg)
{
    struct user *u = arg;
    char letter = letter_of(packet);
    trace(u, letter);
    if (packet->type == MQTT_PUBLISH)
        u->payload_bytes = packet->publish.payload.len;
    if (letter == u->pause_at)
        mqtt_io_pause(io, 1);
    if (letter == u->close_at) {
        u->io = mqtt_io_close(io, 0);
        return GATE_CLOSED;
    }
    if (letter == u->continue_at) {
        gate_continue(mqtt_io_hold(io));
        return GATE_HOLD;
    }
    if (letter != u->hold_at && !u->holds_all)
        return GATE_PASS;
    u->wait = mqtt_io_hold(io);
    if (u->holds_all)
        loop_defer(loop, &u->pass_task);
    return GATE_HOLD;
}

static void on_pass_task(struct loop_task *task)
{
    struct user *u = container_of(task, struct user, pass_task);
    struct gate_wait *wait = u->wait;
    u->wait = NULL;
    gate_continue(wait);
}

static void on_bad_packet(struct mqtt_io *io, uint8_t reason, const char *text, void *arg)
{
    struct user *u = arg;
    u->n_bad++;
    u->reason = reason;
    ck_assert_uint_gt(strlen(text), 0);
    if (u->closes_on_bad)
        u->io = mqtt_io_close(io, 0);
}

static void on_progress(struct mqtt_io *io, void *arg)
{
    struct user *u = arg;
    u->n_progress++;
    ck_assert_uint_gt(conn_unread_bytes(mqtt_io_conn(io)), 0);
    if (u->closes_on_progress)
        u->io = mqtt_io_close(io, 0);
}

static void on_drain(struct mqtt_io *io, void *arg)
{
    struct user *u = arg;
    u->n_drains++;
    if (u->closes_on_drain)
        u->io = mqtt_io_close(io, 0);
}

static void on_end(struct mqtt_io *io, enum conn_end why, const char *text, void *arg)
{
    struct user *u = arg;
    u->n_ends++;
    u->why = why;
    trace(u, '.');
    if (u->closes_on_end)
        u->io = mqtt_io_close(io, 0);
}

static const struct mqtt_io_cbs cbs = {
    .on_packet = on_packet,
    .on_bad_packet = on_bad_packet,
    .on_progress = on_progress,
    .on_drain = on_drain,
    .on_end = on_end,
};

static void open_io(enum socket_kind kind)
{
    int fds[2];
    socket_support_pair(kind, fds);
    struct conn_parcel parcel = {.fd = fds[0]};
    const struct mqtt_io_params params = {
        .cbs = &cbs, .arg = &user, .is_server = true, .max_packet_bytes = 10000000, .input_limit = INPUT_LIMIT};
    ck_assert_int_eq(mqtt_io_open(loop, &parcel, &params, &user.io), 0);
    peer = fds[1];
}

static void setup(void)
{
    user = (struct user){.n_bad = 0};
    loop_task_init(&user.pass_task, on_pass_task);
    peer = -1;
    ck_assert_int_eq(loop_new(&loop), 0);
}

static void close_peer(void)
{
    if (peer >= 0)
        close(peer);
    peer = -1;
}

static void teardown(void)
{
    user.io = mqtt_io_close(user.io, 0);
    gate_continue(user.wait);
    close_peer();
    loop_support_to_end(loop);
    ck_assert_uint_eq(net_conn_count(loop), 0);
    loop = loop_free(loop);
}

/* --- What the peer sends */

static struct mqtt_bytes text_bytes(const char *text)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)text, .len = (uint32_t)strlen(text)};
}

static struct mqtt_packet make_publish(const char *topic, const uint8_t *payload, size_t n)
{
    struct mqtt_packet p = {.type = MQTT_PUBLISH, .version = MQTT_V311};
    p.publish.topic = text_bytes(topic);
    p.publish.payload = (struct mqtt_bytes){.ptr = payload, .len = (uint32_t)n};
    return p;
}

static size_t encode_letter(char letter, uint8_t *dst)
{
    char topic[2] = {letter, '\0'};
    struct mqtt_packet p = make_publish(topic, (const uint8_t *)"0123456789", 10);
    if (letter == 'C') {
        p = (struct mqtt_packet){.type = MQTT_CONNECT, .version = MQTT_V311};
        p.connect.protocol_level = 4;
        p.connect.clean_start = true;
        p.connect.client_id = text_bytes("id");
    } else if (letter == 'D') {
        p = (struct mqtt_packet){.type = MQTT_DISCONNECT, .version = MQTT_V311};
    }
    return mqtt_encode(&p, dst);
}

/* A stream of packets, one for each letter. Returns its length. */
static size_t encode_letters(const char *letters, uint8_t *dst)
{
    size_t n = 0;
    for (; *letters; letters++)
        n += encode_letter(*letters, dst + n);
    return n;
}

static void peer_send(const char *letters)
{
    uint8_t bytes[8192];
    ck_assert_uint_le(strlen(letters) * 15, sizeof(bytes));
    socket_support_write(peer, bytes, encode_letters(letters, bytes));
}

/* --- What is waited for */

static size_t wanted;

static bool has_trace(void *arg)
{
    return strlen(((struct user *)arg)->trace) >= wanted;
}

static void run_until_traced(size_t n)
{
    wanted = n;
    loop_support_until(loop, has_trace, &user);
}

static bool is_bad(void *arg)
{
    return ((struct user *)arg)->n_bad > 0;
}

/* --- Packets */

START_TEST(packets_pass_in_order_from_every_split)
{
    uint8_t bytes[256];
    size_t n = encode_letters("CabcD", bytes);
    for (size_t cut = 0; cut <= n; cut++) {
        open_io(SOCKET_UNIX);
        user.trace[0] = '\0';
        memset(user.trace, 0, sizeof(user.trace));
        socket_support_write(peer, bytes, cut);
        loop_support_turns(loop, 2);
        socket_support_write(peer, bytes + cut, n - cut);
        run_until_traced(5);
        ck_assert_str_eq(user.trace, "CabcD");
        ck_assert_uint_eq(mqtt_io_packets_in(user.io), 5);
        ck_assert_uint_eq(mqtt_io_version(user.io), MQTT_V311);
        user.io = mqtt_io_close(user.io, 0);
        close_peer();
    }
}
END_TEST

START_TEST(packets_pass_byte_by_byte)
{
    uint8_t bytes[256];
    size_t n = encode_letters("CabcD", bytes);
    open_io(SOCKET_TCP);
    for (size_t i = 0; i < n; i++) {
        socket_support_write(peer, bytes + i, 1);
        loop_support_turns(loop, 2);
    }
    run_until_traced(5);
    ck_assert_str_eq(user.trace, "CabcD");
}
END_TEST

START_TEST(a_large_packet_passes_whole_and_tells_of_its_progress)
{
    const size_t size = 3000000;
    uint8_t *payload = malloc(size), *bytes = malloc(size + 100);
    socket_support_fill(payload, 0, size);
    const struct mqtt_packet publish = make_publish("L", payload, size);
    size_t n = mqtt_encode(&publish, bytes);
    open_io(SOCKET_TCP);
    peer_send("C");
    for (size_t at = 0; at < n;) {
        ssize_t sent = send(peer, bytes + at, n - at, MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
        loop_support_turns(loop, 1);
    }
    peer_send("D");
    run_until_traced(3);
    ck_assert_str_eq(user.trace, "CLD");
    ck_assert_uint_eq(user.payload_bytes, size);
    ck_assert_int_gt(user.n_progress, 5);
    free(payload);
    free(bytes);
}
END_TEST

START_TEST(bytes_of_a_parcel_are_packets_too)
{
    int fds[2];
    socket_support_pair(SOCKET_UNIX, fds);
    peer = fds[1];
    struct conn_parcel parcel = {.fd = fds[0], .unread = buf_new(100, 100), .peer_has_closed = true};
    buf_commit(parcel.unread, encode_letters("CaD", buf_reserve(parcel.unread, 100)));
    const struct mqtt_io_params params = {.cbs = &cbs, .arg = &user, .is_server = true, .input_limit = INPUT_LIMIT};
    ck_assert_int_eq(mqtt_io_open(loop, &parcel, &params, &user.io), 0);
    run_until_traced(4);
    ck_assert_str_eq(user.trace, "CaD.");
}
END_TEST

/* Bytes that this program has from malloc(); 0 where a sanitizer has replaced it. */
static size_t allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

START_TEST(a_claimed_length_costs_no_memory)
{
    enum { N = 20 };
    const char bytes[] = "\x10\xff\xff\xff\x7f\x00\x04MQTT\x04\x02\x00\x00\x00\x05"; /* 256 MB to come */
    struct mqtt_io *ios[N];
    int peers[N];
    size_t before = allocated_bytes();
    for (int i = 0; i < N; i++) {
        open_io(SOCKET_UNIX);
        mqtt_io_set_receive_limit(user.io, 0);
        ios[i] = user.io;
        peers[i] = peer;
        socket_support_write(peer, bytes, sizeof(bytes) - 1);
    }
    loop_support_turns(loop, 3);
    ck_assert_int_eq(user.n_bad, 0);
    ck_assert_int_eq(user.n_progress, N);
    ck_assert_uint_lt(allocated_bytes() - before, N * 2000 + 100000); /* the loop's scratch among it */
    for (int i = 0; i < N; i++) {
        mqtt_io_close(ios[i], 0);
        close(peers[i]);
    }
    user.io = NULL;
    peer = -1;
}
END_TEST

/* --- Bad packets */

START_TEST(what_is_no_packet_is_named_and_ends_decoding)
{
    open_io(SOCKET_UNIX);
    peer_send("Ca");
    socket_support_write(peer, "\x00\x00", 2); /* packet type 0 */
    peer_send("b");
    loop_support_until(loop, is_bad, &user);
    loop_support_turns(loop, 3);
    ck_assert_str_eq(user.trace, "Ca");
    ck_assert_int_eq(user.n_bad, 1);
    ck_assert_uint_eq(user.reason, MQTT_REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(a_bad_connection_may_be_closed_at_once)
{
    open_io(SOCKET_UNIX);
    user.closes_on_bad = true;
    socket_support_write(peer, "\x00\x00", 2);
    loop_support_to_end(loop);
    ck_assert_int_eq(user.n_bad, 1);
    ck_assert_int_eq(user.n_ends, 0);
}
END_TEST

START_TEST(something_else_than_mqtt_is_refused_by_its_first_bytes)
{
    open_io(SOCKET_UNIX);
    const char bytes[] = "\x10\xff\xff\xff\x03" /* a CONNECT of 8 MB */ "\x00\x04NOPE\x04";
    for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
        socket_support_write(peer, bytes + i, 1);
        loop_support_turns(loop, 2);
    }
    ck_assert_int_eq(user.n_bad, 1);
}
END_TEST

START_TEST(a_packet_above_the_limit_is_refused_by_its_length)
{
    open_io(SOCKET_UNIX);
    peer_send("C");
    run_until_traced(1);
    mqtt_io_set_receive_limit(user.io, 1000);
    socket_support_write(peer, "\x30\xe6\x07", 3); /* 998 bytes and a header of 3 */
    loop_support_until(loop, is_bad, &user);
    ck_assert_uint_eq(user.reason, MQTT_REASON_PACKET_TOO_LARGE);
}
END_TEST

/* --- Holding */

START_TEST(packets_wait_behind_one_that_is_held)
{
    open_io(SOCKET_UNIX);
    user.hold_at = 'a';
    peer_send("Cab");
    run_until_traced(2);
    peer_send("c");
    loop_support_turns(loop, 3);
    ck_assert_str_eq(user.trace, "Ca");
    ck_assert_int_eq(user.n_progress, 2);
    ck_assert_uint_gt(conn_unread_bytes(mqtt_io_conn(user.io)), 0);
    gate_continue(user.wait);
    user.wait = NULL;
    run_until_traced(4);
    ck_assert_str_eq(user.trace, "Cabc");
    ck_assert_uint_eq(conn_unread_bytes(mqtt_io_conn(user.io)), 0);
}
END_TEST

START_TEST(a_packet_continued_in_its_handler_lets_the_next_pass)
{
    open_io(SOCKET_UNIX);
    user.continue_at = 'a';
    peer_send("CabaD");
    run_until_traced(5);
    ck_assert_str_eq(user.trace, "CabaD");
}
END_TEST

START_TEST(reading_pauses_when_too_much_waits_and_goes_on)
{
    char letters[501];
    memset(letters, 'x', 500);
    letters[500] = '\0';
    open_io(SOCKET_UNIX);
    user.hold_at = 'C';
    peer_send("C");
    run_until_traced(1);
    peer_send(letters);
    loop_support_turns(loop, 3);
    ck_assert(conn_is_paused(mqtt_io_conn(user.io)));
    peer_send(letters);
    loop_support_turns(loop, 3);
    ck_assert_uint_le(conn_unread_bytes(mqtt_io_conn(user.io)), 500 * 15);
    gate_continue(user.wait);
    user.wait = NULL;
    run_until_traced(1001);
    ck_assert(!conn_is_paused(mqtt_io_conn(user.io)));
}
END_TEST

START_TEST(packets_behind_a_held_one_pass_although_the_connection_has_gone)
{
    open_io(SOCKET_TCP);
    user.hold_at = 'a';
    user.closes_on_end = true;
    peer_send("CabacD");
    run_until_traced(2);
    if (_i == 0)
        close(peer);
    else
        socket_support_reset(peer);
    peer = -1;
    loop_support_turns(loop, 5);
    ck_assert_str_eq(user.trace, "Ca");
    struct gate_wait *wait = user.wait;
    user.wait = NULL;
    gate_continue(wait);
    ck_assert_str_eq(user.trace, "Ca"); /* nothing runs from inside the call */
    run_until_traced(4);
    ck_assert_str_eq(user.trace, "Caba");
    wait = user.wait;
    user.wait = NULL;
    gate_continue(wait);
    run_until_traced(7);
    ck_assert_str_eq(user.trace, "CabacD.");
    ck_assert_int_eq(user.why, _i == 0 ? CONN_END_EOF : CONN_END_ERROR);
}
END_TEST

START_TEST(an_end_waits_for_the_last_packet_that_is_held)
{
    open_io(SOCKET_UNIX);
    user.hold_at = 'D';
    peer_send("CD");
    close_peer();
    run_until_traced(2);
    loop_support_turns(loop, 5);
    ck_assert_str_eq(user.trace, "CD");
    gate_continue(user.wait);
    user.wait = NULL;
    run_until_traced(3);
    ck_assert_str_eq(user.trace, "CD.");
}
END_TEST

START_TEST(an_end_comes_last_whenever_the_held_packets_are_answered)
{
    open_io(kinds[_i]);
    user.holds_all = true;
    peer_send("CabcdD");
    close_peer();
    run_until_traced(7);
    ck_assert_str_eq(user.trace, "CabcdD.");
}
END_TEST

/* What is put off to the end of the turn runs in this order: the conn (it has output, and now its bytes are asked for),
 * the answer to the packet that this lets pass, the end. */
START_TEST(an_end_does_not_overtake_packets_that_are_answered_in_the_same_turn)
{
    const struct mqtt_packet packet = make_publish("t", NULL, 0);
    open_io(SOCKET_TCP);
    user.hold_at = 'a';
    peer_send("CaabD");
    shutdown(peer, SHUT_WR);
    run_until_traced(2);
    loop_support_turns(loop, 3);
    struct gate_wait *wait = user.wait;
    user.wait = NULL;
    ck_assert_int_eq(mqtt_io_send(user.io, &packet, NULL), 0);
    loop_defer(loop, &user.pass_task);
    gate_continue(wait);
    run_until_traced(6);
    ck_assert_str_eq(user.trace, "CaabD.");
}
END_TEST

START_TEST(an_end_behind_a_held_packet_waits_for_a_pause_too)
{
    open_io(SOCKET_UNIX);
    user.hold_at = 'a';
    peer_send("Cab");
    close_peer();
    run_until_traced(2);
    loop_support_turns(loop, 3);
    if (_i == 0)
        mqtt_io_pause(user.io, 1);
    gate_continue(user.wait);
    user.wait = NULL;
    mqtt_io_pause(user.io, 1);
    loop_support_turns(loop, 3);
    ck_assert_str_eq(user.trace, "Ca");
    mqtt_io_resume(user.io, 1);
    run_until_traced(4);
    ck_assert_str_eq(user.trace, "Cab.");
}
END_TEST

START_TEST(half_a_packet_does_not_keep_the_end)
{
    open_io(SOCKET_UNIX);
    user.hold_at = 'a';
    peer_send("Ca");
    socket_support_write(peer, "\x30\x70", 2);
    close_peer();
    run_until_traced(2);
    loop_support_turns(loop, 5);
    gate_continue(user.wait);
    user.wait = NULL;
    run_until_traced(3);
    ck_assert_str_eq(user.trace, "Ca.");
    ck_assert_int_eq(user.n_bad, 0);
}
END_TEST

START_TEST(an_answer_after_closing_is_harmless)
{
    open_io(SOCKET_UNIX);
    user.hold_at = 'a';
    peer_send("Cab");
    run_until_traced(2);
    user.io = mqtt_io_close(user.io, 0);
    ck_assert(!gate_wait_is_alive(user.wait));
    gate_continue(user.wait);
    user.wait = NULL;
    loop_support_to_end(loop);
    ck_assert_str_eq(user.trace, "Ca");
}
END_TEST

/* --- Pausing */

START_TEST(nothing_passes_while_any_reason_to_pause_holds)
{
    open_io(SOCKET_UNIX);
    user.pause_at = 'a';
    peer_send("Cab");
    run_until_traced(2);
    mqtt_io_pause(user.io, 2);
    mqtt_io_resume(user.io, 1);
    peer_send("c");
    loop_support_turns(loop, 3);
    ck_assert_str_eq(user.trace, "Ca");
    mqtt_io_resume(user.io, 2);
    ck_assert_str_eq(user.trace, "Ca"); /* nothing runs from inside the call */
    run_until_traced(4);
    ck_assert_str_eq(user.trace, "Cabc");
}
END_TEST

START_TEST(an_orderly_end_waits_behind_a_pause)
{
    open_io(SOCKET_TCP);
    user.pause_at = 'a';
    peer_send("CabD");
    close_peer();
    run_until_traced(2);
    loop_support_turns(loop, 5);
    ck_assert_str_eq(user.trace, "Ca");
    mqtt_io_resume(user.io, 1);
    run_until_traced(5);
    ck_assert_str_eq(user.trace, "CabD.");
}
END_TEST

START_TEST(a_lost_connection_is_noticed_behind_a_pause)
{
    open_io(SOCKET_TCP);
    user.pause_at = 'a';
    peer_send("Cab");
    run_until_traced(2);
    socket_support_reset(peer);
    peer = -1;
    run_until_traced(3);
    ck_assert_str_eq(user.trace, "Ca.");
    ck_assert_int_eq(user.why, CONN_END_ERROR);
}
END_TEST

START_TEST(a_pause_does_not_open_the_gate)
{
    open_io(SOCKET_UNIX);
    user.hold_at = 'a';
    peer_send("Cab");
    run_until_traced(2);
    mqtt_io_pause(user.io, 1);
    mqtt_io_resume(user.io, 1);
    loop_support_turns(loop, 3);
    ck_assert_str_eq(user.trace, "Ca");
    mqtt_io_pause(user.io, 1);
    gate_continue(user.wait);
    user.wait = NULL;
    loop_support_turns(loop, 3);
    ck_assert_str_eq(user.trace, "Ca");
    mqtt_io_resume(user.io, 1);
    run_until_traced(3);
    ck_assert_str_eq(user.trace, "Cab");
}
END_TEST

static void on_later(struct loop_timer *timer)
{
    loop_stop(timer->loop);
}

START_TEST(only_bytes_that_come_count_as_input)
{
    struct loop_timer timer;
    open_io(SOCKET_UNIX);
    user.hold_at = 'a';
    peer_send("Cab");
    run_until_traced(2);
    uint64_t at_ms = mqtt_io_last_input_ms(user.io);
    loop_timer_init(&timer, loop, on_later);
    loop_timer_start(&timer, 5);
    loop_run(loop);
    gate_continue(user.wait);
    user.wait = NULL;
    run_until_traced(3);
    ck_assert_uint_eq(mqtt_io_last_input_ms(user.io), at_ms);
    peer_send("c");
    run_until_traced(4);
    ck_assert_uint_ge(mqtt_io_last_input_ms(user.io), at_ms + 5);
}
END_TEST

/* --- Closing */

START_TEST(a_callback_may_close)
{
    open_io(SOCKET_UNIX);
    const struct mqtt_packet packet = make_publish("t", NULL, 0);
    user.close_at = _i == 0 ? 'a' : '\0';
    user.closes_on_progress = _i == 1;
    user.closes_on_drain = _i == 2;
    user.closes_on_end = _i == 3;
    if (_i == 2)
        ck_assert_int_eq(mqtt_io_send(user.io, &packet, NULL), 0);
    peer_send("Cab");
    socket_support_write(peer, "\x30", 1);
    shutdown(peer, SHUT_WR);
    loop_support_to_end(loop);
    ck_assert_ptr_null(user.io);
    if (_i == 0)
        ck_assert_str_eq(user.trace, "Ca");
}
END_TEST

/* --- Sending */

START_TEST(what_a_turn_sends_leaves_in_one_piece)
{
    uint8_t bytes[4096];
    const struct mqtt_packet a = make_publish("a", NULL, 0), b = make_publish("b", (const uint8_t *)"xyz", 3);
    size_t a_bytes, b_bytes;
    open_io(SOCKET_RECORD);
    ck_assert_int_eq(mqtt_io_send(user.io, &a, &a_bytes), 0);
    ck_assert_int_eq(mqtt_io_send(user.io, &b, &b_bytes), 0);
    ck_assert_uint_eq(mqtt_io_packets_out(user.io), 2);
    loop_support_turns(loop, 2);
    long n = socket_support_read(peer, bytes, sizeof(bytes));
    ck_assert_int_eq(n, (long)(a_bytes + b_bytes));
    struct mqtt_decoder d;
    struct mqtt_packet got;
    struct cursor input = cursor_make(bytes, (size_t)n);
    mqtt_decoder_init(&d, MQTT_V311, 0);
    ck_assert_int_eq(mqtt_decoder_feed(&d, &input, &got), MQTT_DECODE_OK);
    ck_assert(mqtt_packet_equal(&got, &a));
    ck_assert_int_eq(mqtt_decoder_feed(&d, &input, &got), MQTT_DECODE_OK);
    ck_assert(mqtt_packet_equal(&got, &b));
    ck_assert_uint_eq(input.len, 0);
    ck_assert_int_eq(user.n_drains, 1);
}
END_TEST

START_TEST(a_packet_above_the_peers_limit_is_not_sent)
{
    uint8_t payload[100] = {0}, byte;
    const struct mqtt_packet p = make_publish("t", payload, sizeof(payload));
    size_t n = mqtt_encode_size(&p), bytes = 7;
    open_io(SOCKET_UNIX);
    mqtt_io_set_send_limit(user.io, (uint32_t)n - 1);
    ck_assert_int_eq(mqtt_io_send(user.io, &p, &bytes), MQTT_IO_TOO_LARGE);
    ck_assert_uint_eq(bytes, 7);
    loop_support_turns(loop, 2);
    ck_assert_int_eq(socket_support_read(peer, &byte, 1), -1);
    mqtt_io_set_send_limit(user.io, (uint32_t)n);
    ck_assert_int_eq(mqtt_io_send(user.io, &p, &bytes), 0);
    ck_assert_uint_eq(bytes, n);
}
END_TEST

START_TEST(closing_with_time_sends_what_is_queued)
{
    uint8_t bytes[100];
    const struct mqtt_packet p = {.type = MQTT_PINGRESP, .version = MQTT_V311};
    open_io(SOCKET_TCP);
    loop_support_turns(loop, 2);
    ck_assert_int_eq(mqtt_io_send(user.io, &p, NULL), 0);
    user.io = mqtt_io_close(user.io, 10000);
    loop_support_turns(loop, 2);
    ck_assert_int_eq(socket_support_read(peer, bytes, sizeof(bytes)), 2);
    ck_assert_int_eq(socket_support_read(peer, bytes, sizeof(bytes)), 0);
}
END_TEST

static Suite *mqtt_io_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt_io", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, packets_pass_in_order_from_every_split);
    tcase_add_test(tc, packets_pass_byte_by_byte);
    tcase_add_test(tc, a_large_packet_passes_whole_and_tells_of_its_progress);
    tcase_add_test(tc, bytes_of_a_parcel_are_packets_too);
    tcase_add_test(tc, a_claimed_length_costs_no_memory);
    tcase_add_test(tc, what_is_no_packet_is_named_and_ends_decoding);
    tcase_add_test(tc, a_bad_connection_may_be_closed_at_once);
    tcase_add_test(tc, something_else_than_mqtt_is_refused_by_its_first_bytes);
    tcase_add_test(tc, a_packet_above_the_limit_is_refused_by_its_length);
    tcase_add_test(tc, packets_wait_behind_one_that_is_held);
    tcase_add_test(tc, a_packet_continued_in_its_handler_lets_the_next_pass);
    tcase_add_test(tc, reading_pauses_when_too_much_waits_and_goes_on);
    tcase_add_loop_test(tc, packets_behind_a_held_one_pass_although_the_connection_has_gone, 0, 2);
    tcase_add_test(tc, an_end_waits_for_the_last_packet_that_is_held);
    tcase_add_loop_test(tc, an_end_comes_last_whenever_the_held_packets_are_answered, 0, TEST_COUNT(kinds));
    tcase_add_test(tc, an_end_does_not_overtake_packets_that_are_answered_in_the_same_turn);
    tcase_add_loop_test(tc, an_end_behind_a_held_packet_waits_for_a_pause_too, 0, 2);
    tcase_add_test(tc, half_a_packet_does_not_keep_the_end);
    tcase_add_test(tc, an_answer_after_closing_is_harmless);
    tcase_add_test(tc, nothing_passes_while_any_reason_to_pause_holds);
    tcase_add_test(tc, an_orderly_end_waits_behind_a_pause);
    tcase_add_test(tc, a_lost_connection_is_noticed_behind_a_pause);
    tcase_add_test(tc, a_pause_does_not_open_the_gate);
    tcase_add_test(tc, only_bytes_that_come_count_as_input);
    tcase_add_loop_test(tc, a_callback_may_close, 0, 4);
    tcase_add_test(tc, what_a_turn_sends_leaves_in_one_piece);
    tcase_add_test(tc, a_packet_above_the_peers_limit_is_not_sent);
    tcase_add_test(tc, closing_with_time_sends_what_is_queued);
    return suite;
}

TEST_MAIN(mqtt_io_suite)
