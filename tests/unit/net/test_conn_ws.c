/* WebSocket as a layer of a conn, over real sockets: the peer is played with plain system calls, or is a conn with the
 * other side of it. */
#include "conn_ws.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "conn.h"
#include "conn_layer.h"
#include "loop.h"
#include "loop_support.h"
#include "net.h"
#include "socket_support.h"
#include "test_main.h"

#define REQUEST                                                                      \
    "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"   \
    "Sec-WebSocket-Protocol: mqtt\r\n"

/* --- The user, and the other end */

struct user {
    struct conn *conn;
    uint8_t got[3000000];
    size_t got_bytes;
    int n_ends;
    enum conn_end why;
    char text[200];
};

static struct loop *loop;
static struct user user, other;
static int peer;
static int n_fds_before;
static struct ws_service *service;

static void on_input(struct conn *c, struct cursor *input, void *arg)
{
    struct user *u = arg;
    ck_assert_uint_le(u->got_bytes + input->len, sizeof(u->got));
    memcpy(u->got + u->got_bytes, input->ptr, input->len);
    u->got_bytes += input->len;
    cursor_skip(input, input->len);
}

static void on_end(struct conn *c, enum conn_end why, const char *text, void *arg)
{
    struct user *u = arg;
    u->n_ends++;
    u->why = why;
    snprintf(u->text, sizeof(u->text), "%s", text);
}

static const struct conn_cbs cbs = {.on_input = on_input, .on_end = on_end};

static void attach(struct user *u, struct conn_parcel *parcel)
{
    u->got_bytes = 0;
    u->n_ends = 0;
    ck_assert_int_eq(conn_attach(loop, parcel, &cbs, u, &u->conn), 0);
}

static void attach_server(struct user *u, int fd, const char *address)
{
    struct conn_parcel parcel = {.fd = fd};
    snprintf(parcel.peer.text, sizeof(parcel.peer.text), "%s:1", address);
    ck_assert(address_parse(address, 1, &parcel.peer.address));
    ck_assert_int_eq(conn_ws_push_server(&parcel.layer, fd, service), 0);
    attach(u, &parcel);
}

static void attach_client(struct user *u, int fd)
{
    const struct ws_client_params params = {.host = "h", .port = 1, .path = "/mqtt"};
    struct conn_parcel parcel = {.fd = fd, .peer.text = "test"};
    ck_assert_int_eq(conn_ws_push_client(&parcel.layer, fd, &params), 0);
    ck_assert_int_eq(conn_layer_open(parcel.layer), -EAGAIN);
    attach(u, &parcel);
}

/* A server; the other end is PEER. */
static void open_one(enum socket_kind kind)
{
    int fds[2];
    socket_support_pair(kind, fds);
    attach_server(&user, fds[0], "192.0.2.1");
    peer = fds[1];
}

/* A server and a client. */
static void open_two(void)
{
    int fds[2];
    socket_support_pair(SOCKET_TCP, fds);
    attach_server(&user, fds[0], "192.0.2.1");
    attach_client(&other, fds[1]);
}

static void setup(void)
{
    char *trusted[] = {"10.0.0.0/8"};
    char *origins[] = {"https://zero.example, https://one.example,", "https://last.example"};
    const struct ws_service_options options = {.origins = origins, .n_origins = 2, .trusted = trusted, .n_trusted = 1};
    user.conn = other.conn = NULL;
    peer = -1;
    ck_assert_int_eq(ws_service_new(&options, &service), 0);
    ck_assert_int_eq(loop_new(&loop), 0);
    loop = loop_free(loop); /* the first one of the process opens what libuv keeps for good */
    n_fds_before = socket_support_count_fds();
    ck_assert_int_eq(loop_new(&loop), 0);
}

static void teardown(void)
{
    user.conn = conn_close(user.conn, 0);
    other.conn = conn_close(other.conn, 0);
    if (peer >= 0)
        close(peer);
    loop_support_to_end(loop);
    ck_assert_uint_eq(net_conn_count(loop), 0);
    loop = loop_free(loop);
    ck_assert_int_eq(socket_support_count_fds(), n_fds_before);
    service = ws_service_unref(service);
}

static size_t wanted_bytes;

static bool has_wanted_bytes(void *arg)
{
    return ((struct user *)arg)->got_bytes >= wanted_bytes;
}

static void run_until_got(struct user *u, size_t n)
{
    wanted_bytes = n;
    loop_support_until(loop, has_wanted_bytes, u);
}

static bool has_ended(void *arg)
{
    return ((struct user *)arg)->n_ends > 0;
}

static void queue_pattern(struct user *u, size_t from, size_t n)
{
    uint8_t *bytes = malloc(n);
    socket_support_fill(bytes, from, n);
    ck_assert_int_eq(conn_write(u->conn, bytes, n), 0);
    free(bytes);
}

/* --- The peer by hand */

static char answer[4096];

/* What has come for PEER so far, as text. */
static size_t read_answer(void)
{
    size_t n = 0;
    for (long got; (got = socket_support_read(peer, answer + n, sizeof(answer) - 1 - n)) > 0;)
        n += (size_t)got;
    answer[n] = '\0';
    return n;
}

static void peer_opens(void)
{
    socket_support_write(peer, REQUEST "\r\n", strlen(REQUEST "\r\n"));
    loop_support_turns(loop, 5);
    read_answer();
    ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 101 "));
    ck_assert_ptr_nonnull(strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

/* A short frame with a mask of zeros. */
static void peer_sends(unsigned first, const char *payload, size_t n)
{
    uint8_t frame[6 + 125] = {(uint8_t)first, (uint8_t)(0x80 | n)};
    memcpy(frame + 6, payload, n);
    socket_support_write(peer, frame, 6 + n);
}

/* --- Tests */

START_TEST(bytes_pass_both_ways)
{
    const size_t total = 2000000;
    open_two();
    queue_pattern(&user, 0, total);
    queue_pattern(&other, 7, total);
    run_until_got(&user, total);
    run_until_got(&other, total);
    socket_support_check(user.got, 7, total);
    socket_support_check(other.got, 0, total);
    ck_assert_uint_eq(conn_written_bytes(user.conn), total);
}
END_TEST

START_TEST(small_writes_pass_both_ways)
{
    size_t total = 0;
    open_two();
    for (size_t n = 1; n <= 400; n += 3) {
        queue_pattern(&user, total, n);
        queue_pattern(&other, total, n);
        conn_flush(user.conn);
        conn_flush(other.conn);
        total += n;
    }
    run_until_got(&user, total);
    run_until_got(&other, total);
    socket_support_check(user.got, 0, total);
    socket_support_check(other.got, 0, total);
}
END_TEST

START_TEST(what_is_written_before_the_handshake_waits_for_it)
{
    open_one(SOCKET_TCP);
    ck_assert_int_eq(conn_write(user.conn, "early", 5), 0);
    loop_support_turns(loop, 3);
    ck_assert_uint_eq(read_answer(), 0);
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
    peer_opens();
    const char *end = strstr(answer, "\r\n\r\n");
    ck_assert_ptr_nonnull(end);
    ck_assert_mem_eq(end + 4,
                     "\x82\x05"
                     "early",
                     7);
}
END_TEST

START_TEST(frames_right_behind_the_request_are_read)
{
    static const char both[] = REQUEST "\r\n\x82\x85\0\0\0\0Hello\x82\x81\0\0\0\0!\x82\x81\0";
    open_one(SOCKET_TCP);
    socket_support_write(peer, both, sizeof(both) - 1);
    run_until_got(&user, 6);
    socket_support_write(peer, "\0\0\0?", 4);
    run_until_got(&user, 7);
    ck_assert_mem_eq(user.got, "Hello!?", 7);
}
END_TEST

START_TEST(many_small_frames_are_read)
{
    const size_t total = 30000, piece = 1000;
    uint8_t frames[1000][7];
    open_one(SOCKET_TCP);
    peer_opens();
    for (size_t at = 0; at < total; at += piece) {
        for (size_t i = 0; i < piece; i++) {
            memcpy(frames[i], "\x82\x81\0\0\0\0", 6);
            socket_support_fill(frames[i] + 6, at + i, 1);
        }
        socket_support_write(peer, frames, sizeof(frames));
        run_until_got(&user, at + piece);
    }
    socket_support_check(user.got, 0, total);
}
END_TEST

START_TEST(pings_are_answered_between_the_fragments_of_a_message)
{
    open_one(SOCKET_TCP);
    peer_opens();
    peer_sends(0x02, "Hel", 3);
    peer_sends(0x89, "ping", 4);
    peer_sends(0x80, "lo", 2);
    run_until_got(&user, 5);
    ck_assert_mem_eq(user.got, "Hello", 5);
    loop_support_turns(loop, 2);
    ck_assert_uint_eq(read_answer(), 6);
    ck_assert_mem_eq(answer, "\x8a\x04ping", 6);
}
END_TEST

START_TEST(pings_without_reading_the_pongs_fill_nothing)
{
    open_one(SOCKET_UNIX);
    peer_opens();
    for (int i = 0; i < 20000; i++) {
        peer_sends(0x89, "0123456789012345678901234567890123456789", 40);
        loop_support_turns(loop, 1);
    }
    loop_support_turns(loop, 5);
    ck_assert_uint_lt(conn_queued_bytes(user.conn), 5000);
    ck_assert_int_eq(user.n_ends, 0);
    while (read_answer() > 0)
        loop_support_turns(loop, 2);
    peer_sends(0x89, "still there?", 12); /* with room again they are answered */
    loop_support_turns(loop, 3);
    ck_assert_uint_gt(read_answer(), 0);
    ck_assert_ptr_nonnull(memmem(answer, sizeof(answer), "still there?", 12));
}
END_TEST

START_TEST(the_peers_close_ends_the_stream_and_is_answered_behind_what_is_queued)
{
    open_one(SOCKET_TCP);
    peer_opens();
    peer_sends(0x82, "last", 4);
    peer_sends(0x88, "\x03\xe9", 2);
    loop_support_until(loop, has_ended, &user);
    ck_assert_int_eq(user.why, CONN_END_EOF);
    ck_assert_mem_eq(user.got, "last", 4);
    ck_assert_int_eq(conn_write(user.conn, "more", 4), 0);
    user.conn = conn_close(user.conn, 1000);
    loop_support_turns(loop, 5);
    ck_assert_uint_eq(read_answer(), 10);
    ck_assert_mem_eq(answer, "\x82\x04more\x88\x02\x03\xe9", 10);
    ck_assert_int_eq(socket_support_read(peer, answer, 1), 0);
}
END_TEST

START_TEST(our_close_says_so_behind_what_is_queued)
{
    open_one(SOCKET_TCP);
    peer_opens();
    if (_i == 1)
        conn_ws_set_going_away(user.conn);
    ck_assert_int_eq(conn_write(user.conn, "bye", 3), 0);
    user.conn = conn_close(user.conn, 1000);
    loop_support_turns(loop, 5);
    ck_assert_uint_eq(read_answer(), 9);
    ck_assert_mem_eq(answer,
                     "\x82\x03"
                     "bye",
                     5);
    ck_assert_mem_eq(answer + 5, _i == 1 ? "\x88\x02\x03\xe9" : "\x88\x02\x03\xe8", 4);
    ck_assert_int_eq(socket_support_read(peer, answer, 1), 0);
}
END_TEST

START_TEST(a_broken_frame_ends_the_stream_and_the_peer_hears_why)
{
    open_one(SOCKET_TCP);
    peer_opens();
    peer_sends(0x82, "good", 4);
    peer_sends(0x81, "text", 4);
    loop_support_until(loop, has_ended, &user);
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_str_eq(user.text, "WebSocket closed with 1003: MQTT in a text frame");
    ck_assert_int_eq(conn_ws_fault(user.conn), CONN_WS_BROKEN);
    ck_assert_mem_eq(user.got, "good", 4);
    user.conn = conn_close(user.conn, 1000);
    loop_support_turns(loop, 5);
    ck_assert_uint_gt(read_answer(), 4);
    ck_assert_uint_eq((uint8_t)answer[0], 0x88);
    ck_assert_mem_eq(answer + 2, "\x03\xeb", 2);
    ck_assert_int_eq(socket_support_read(peer, answer, 1), 0);
}
END_TEST

static const struct {
    const char *request, *status, *text;
} refusals[] = {
    {"GET /x HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 404 ",
     "WebSocket refused with 404: the path is '/x', not '/mqtt'"},
    {"\x10\x0c\x00\x04MQTT\x04\r\n\r\n", "HTTP/1.1 400 ", "WebSocket refused with 400: "},
    {REQUEST "Origin: https://two.example\r\n\r\n", "HTTP/1.1 403 ", "WebSocket refused with 403: the origin"},
};

START_TEST(a_request_that_is_refused_is_answered_and_closed)
{
    open_one(SOCKET_TCP);
    socket_support_write(peer, refusals[_i].request, strlen(refusals[_i].request));
    loop_support_until(loop, has_ended, &user);
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_ptr_eq(strstr(user.text, refusals[_i].text), user.text);
    ck_assert_int_eq(conn_ws_fault(user.conn), CONN_WS_REFUSED);
    user.conn = conn_close(user.conn, 1000);
    loop_support_turns(loop, 5);
    read_answer();
    ck_assert_ptr_eq(strstr(answer, refusals[_i].status), answer);
    ck_assert_int_eq(socket_support_read(peer, answer, 1), 0);
}
END_TEST

START_TEST(a_header_without_end_is_refused)
{
    char line[1024];
    open_one(SOCKET_TCP);
    memset(line, 'a', sizeof(line));
    socket_support_write(peer, "GET /mqtt HTTP/1.1\r\nX: ", 23);
    for (int i = 0; i < 9; i++) {
        socket_support_write(peer, line, sizeof(line));
        loop_support_turns(loop, 2);
    }
    loop_support_until(loop, has_ended, &user);
    ck_assert_str_eq(user.text, "WebSocket refused with 431: the header is too long");
    read_answer();
    ck_assert_ptr_eq(strstr(answer, "HTTP/1.1 431 "), answer);
}
END_TEST

START_TEST(a_handshake_that_is_given_up_ends)
{
    open_one(SOCKET_TCP);
    socket_support_write(peer, REQUEST, 40);
    loop_support_turns(loop, 3);
    close(peer);
    peer = -1;
    loop_support_until(loop, has_ended, &user);
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_str_eq(user.text, "WebSocket: closed by the peer during the handshake");
    ck_assert_int_eq(conn_ws_fault(user.conn), CONN_WS_NO_FAULT);
}
END_TEST

START_TEST(a_client_says_what_the_server_answered)
{
    int fds[2];
    socket_support_pair(SOCKET_TCP, fds);
    attach_client(&user, fds[0]);
    peer = fds[1];
    read_answer();
    ck_assert_ptr_nonnull(strstr(answer, "Sec-WebSocket-Protocol: mqtt"));
    socket_support_write(peer, "HTTP/1.1 503 Service Unavailable\r\n\r\n", 36);
    loop_support_until(loop, has_ended, &user);
    ck_assert_str_eq(user.text, "WebSocket: the server answered 503 Service Unavailable");
}
END_TEST

static const struct {
    const char *from, *forwarded, *expected;
} forwarded[] = {
    {"10.0.0.2", "X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7"},
    {"10.0.0.2", "X-Forwarded-For: 1.2.3.4, 203.0.113.7:99, 10.0.0.3\r\n", "203.0.113.7:99"},
    {"10.0.0.2", "", "10.0.0.2:1"},
    {"192.0.2.1", "X-Forwarded-For: 203.0.113.7\r\n", "192.0.2.1:1"},
};

START_TEST(origins_may_stand_in_one_text)
{
    static const char *const allowed[] = {"https://zero.example", "https://one.example", "https://last.example"};
    char request[512];
    open_one(SOCKET_TCP);
    snprintf(request, sizeof(request), REQUEST "Origin: %s\r\n\r\n", allowed[_i]);
    socket_support_write(peer, request, strlen(request));
    loop_support_turns(loop, 5);
    read_answer();
    ck_assert_ptr_eq(strstr(answer, "HTTP/1.1 101 "), answer);
}
END_TEST

START_TEST(only_a_trusted_proxy_is_believed_who_its_client_is)
{
    char request[512];
    int fds[2];
    socket_support_pair(SOCKET_TCP, fds);
    attach_server(&user, fds[0], forwarded[_i].from);
    peer = fds[1];
    snprintf(request, sizeof(request), REQUEST "%s\r\n", forwarded[_i].forwarded);
    socket_support_write(peer, request, strlen(request));
    loop_support_turns(loop, 5);
    read_answer();
    ck_assert_ptr_eq(strstr(answer, "HTTP/1.1 101 "), answer);
    ck_assert_str_eq(conn_peer(user.conn)->text, forwarded[_i].expected);
}
END_TEST

START_TEST(a_websocket_moves_to_another_conn)
{
    struct conn_parcel parcel;
    open_two();
    queue_pattern(&other, 0, 1000);
    run_until_got(&user, 1000);
    conn_detach(user.conn, &parcel);
    attach(&user, &parcel);
    queue_pattern(&other, 0, 1000);
    run_until_got(&user, 1000);
    queue_pattern(&user, 0, 1000);
    run_until_got(&other, 1000);
}
END_TEST

static Suite *conn_ws_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("conn_ws", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, bytes_pass_both_ways);
    tcase_add_test(tc, small_writes_pass_both_ways);
    tcase_add_test(tc, what_is_written_before_the_handshake_waits_for_it);
    tcase_add_test(tc, frames_right_behind_the_request_are_read);
    tcase_add_test(tc, many_small_frames_are_read);
    tcase_add_test(tc, pings_are_answered_between_the_fragments_of_a_message);
    tcase_add_test(tc, pings_without_reading_the_pongs_fill_nothing);
    tcase_add_test(tc, the_peers_close_ends_the_stream_and_is_answered_behind_what_is_queued);
    tcase_add_loop_test(tc, our_close_says_so_behind_what_is_queued, 0, 2);
    tcase_add_test(tc, a_broken_frame_ends_the_stream_and_the_peer_hears_why);
    tcase_add_loop_test(tc, a_request_that_is_refused_is_answered_and_closed, 0, TEST_COUNT(refusals));
    tcase_add_test(tc, a_header_without_end_is_refused);
    tcase_add_test(tc, a_handshake_that_is_given_up_ends);
    tcase_add_test(tc, a_client_says_what_the_server_answered);
    tcase_add_loop_test(tc, origins_may_stand_in_one_text, 0, 3);
    tcase_add_loop_test(tc, only_a_trusted_proxy_is_believed_who_its_client_is, 0, TEST_COUNT(forwarded));
    tcase_add_test(tc, a_websocket_moves_to_another_conn);
    return suite;
}

TEST_MAIN(conn_ws_suite)
