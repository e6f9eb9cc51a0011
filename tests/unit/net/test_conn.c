/* A conn over real sockets: TCP over loopback, with and without TLS, and Unix socketpairs; the peer played with plain
 * system calls, or with OpenSSL's. Every test ends with no conn, no descriptor and no handle left. */
#include "conn.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "conn_tls.h"
#include "conn_ws.h"
#include "loop.h"
#include "loop_support.h"
#include "mailbox.h"
#include "net.h"
#include "socket_support.h"
#include "test_main.h"
#include "tls.h"
#include "tls_support.h"
#include "ws_frames.h"

/* Whoever uses the conn: takes at most `take` bytes of each offer, and writes down what happens. */
struct user {
    struct conn *conn;
    uint8_t *got;
    size_t got_bytes, got_cap;
    size_t take;        /* SIZE_MAX = all */
    size_t pause_at;    /* pauses once it has so many bytes; 0 = never */
    size_t expect_then; /* calls conn_expect() with this after each offer it could not use; 0 = never */
    bool closes_on_input, closes_on_end, closes_on_drain, continues;
    size_t last_offer;
    int n_offers, n_drains, n_progress, n_ends;
    enum conn_end why;
    char text[64];
};

static struct loop *loop;
static struct user user;
static int user_fd;            /* what the conn has */
static int peer;               /* the other end; -1 when closed */
static SSL *peer_tls;          /* on it; NULL: plain */
static uint8_t peer_fragments; /* the limit that it asks for, TLSEXT_max_fragment_length_... */
static bool peer_is_ws;        /* on top of that */
static struct ws_frames peer_frames;
static struct ws_service *ws;
static struct tls *tls;
static int n_fds_before;

static void user_keep(struct user *u, const uint8_t *bytes, size_t n)
{
    if (u->got_bytes + n > u->got_cap) {
        u->got_cap = (u->got_bytes + n) * 2;
        u->got = realloc(u->got, u->got_cap);
        ck_assert_ptr_nonnull(u->got);
    }
    if (n > 0)
        memcpy(u->got + u->got_bytes, bytes, n);
    u->got_bytes += n;
}

static void on_input(struct conn *c, struct cursor *input, void *arg)
{
    struct user *u = arg;
    u->n_offers++;
    u->last_offer = input->len;
    size_t n = input->len < u->take ? input->len : u->take;
    if (u->expect_then > 0 && input->len < u->expect_then) {
        conn_expect(c, u->expect_then);
        return;
    }
    user_keep(u, input->ptr, n);
    cursor_skip(input, n);
    if (u->pause_at > 0 && u->got_bytes >= u->pause_at)
        conn_pause(c);
    if (u->continues && input->len > 0)
        conn_continue(c);
    if (u->closes_on_input)
        u->conn = conn_close(c, 0);
}

static void on_progress(struct conn *c, void *arg)
{
    ((struct user *)arg)->n_progress++;
}

static void on_drain(struct conn *c, void *arg)
{
    struct user *u = arg;
    u->n_drains++;
    if (u->closes_on_drain)
        u->conn = conn_close(c, 0);
}

static void on_end(struct conn *c, enum conn_end why, const char *text, void *arg)
{
    struct user *u = arg;
    u->n_ends++;
    u->why = why;
    snprintf(u->text, sizeof(u->text), "%s", text);
    if (u->closes_on_end)
        u->conn = conn_close(c, 0);
}

static const struct conn_cbs cbs = {
    .on_input = on_input, .on_progress = on_progress, .on_drain = on_drain, .on_end = on_end};

static void user_attach(struct user *u, struct loop *on, int fd)
{
    struct conn_parcel parcel = {.fd = fd, .peer.text = "test"};
    *u = (struct user){.take = SIZE_MAX};
    if (peer_tls)
        ck_assert_int_eq(conn_tls_push_server(&parcel.layer, fd, tls), 0);
    if (peer_is_ws)
        ck_assert_int_eq(conn_ws_push_server(&parcel.layer, fd, ws), 0);
    ck_assert_int_eq(conn_attach(on, &parcel, &cbs, u, &u->conn), 0);
    ck_assert_int_eq(parcel.fd, -1);
}

/* Over TCP; the handshakes are done when open_pair() returns. */
enum { KIND_TLS = SOCKET_RECORD + 1, KIND_WS, KIND_WSS };

static ssize_t peer_send_below(const void *bytes, size_t n)
{
    return peer_tls ? tls_support_send(peer_tls, bytes, n) : send(peer, bytes, n, MSG_NOSIGNAL);
}

static long peer_read_below(void *dst, size_t n)
{
    return peer_tls ? tls_support_recv(peer_tls, dst, n) : socket_support_read(peer, dst, n);
}

static void peer_upgrade(void)
{
    const struct ws_client_params params = {.host = "h", .path = "/mqtt"};
    struct ws_handshake *h = ws_handshake_new_client(&params);
    uint8_t byte;
    size_t len;
    const char *request = ws_handshake_output(h, &len);
    int r = WS_HANDSHAKE_MORE;
    ck_assert_int_eq(peer_send_below(request, len), (int)len);
    while (r == WS_HANDSHAKE_MORE) {
        while (peer_read_below(&byte, 1) != 1)
            loop_support_turns(loop, 1);
        struct cursor input = cursor_make(&byte, 1);
        r = ws_handshake_feed(h, &input);
    }
    ck_assert_int_eq(r, WS_HANDSHAKE_DONE);
    ws_handshake_free(h);
}

static void open_pair(int kind)
{
    int fds[2];
    socket_support_pair(kind >= KIND_TLS ? SOCKET_TCP : (enum socket_kind)kind, fds);
    peer_is_ws = kind == KIND_WS || kind == KIND_WSS;
    if (kind == KIND_TLS || kind == KIND_WSS)
        peer_tls = tls_support_peer(fds[1], NULL);
    if (peer_tls && peer_fragments != TLSEXT_max_fragment_length_DISABLED)
        ck_assert_int_eq(SSL_set_tlsext_max_fragment_length(peer_tls, peer_fragments), 1);
    user_attach(&user, loop, fds[0]);
    user_fd = fds[0];
    peer = fds[1];
    while (peer_tls && !(tls_support_connect(peer_tls) && conn_tls_facts(user.conn)))
        loop_support_turns(loop, 1);
    if (peer_is_ws)
        peer_upgrade();
}

/* --- What the peer does */

static ssize_t peer_send_frame(const void *bytes, size_t n)
{
    uint8_t frame[10000 + WS_FRAME_HEADER_MAX];
    const struct iovec iov = {.iov_base = (void *)bytes, .iov_len = n < 10000 ? n : 10000};
    size_t len;
    ck_assert_int_eq(ws_frames_encode(&peer_frames, &iov, iov.iov_len, frame, &len), 0);
    for (size_t sent = 0; sent < len;) {
        ssize_t more = peer_send_below(frame + sent, len - sent);
        ck_assert_int_gt(more, 0);
        sent += (size_t)more;
    }
    return (ssize_t)iov.iov_len;
}

static ssize_t peer_send(const void *bytes, size_t n)
{
    return peer_is_ws ? peer_send_frame(bytes, n) : peer_send_below(bytes, n);
}

static long peer_read(void *dst, size_t n)
{
    const long got = peer_read_below(dst, n);
    size_t len;
    if (!peer_is_ws || got <= 0)
        return got;
    const int r = ws_frames_decode(&peer_frames, dst, (size_t)got, &len);
    ck_assert_int_ne(r, WS_FRAMES_REFUSED);
    return len > 0 || r == WS_FRAMES_CLOSED ? (long)len : -1;
}

static void peer_say_close(void)
{
    uint8_t due[WS_DUE_MAX];
    size_t len;
    ws_frames_close(&peer_frames, WS_CLOSE_NORMAL);
    ck_assert_int_eq(ws_frames_encode_due(&peer_frames, due, &len), 0);
    if (len > 0)
        peer_send_below(due, len);
}

static void peer_shutdown(void)
{
    if (peer_is_ws)
        peer_say_close();
    if (peer_tls)
        SSL_shutdown(peer_tls);
    shutdown(peer, SHUT_WR);
}

static void drop_peer_tls(void)
{
    SSL_free(peer_tls);
    peer_tls = NULL;
}

static void close_peer(void)
{
    uint8_t bytes[1000];
    if (peer_tls) {
        SSL_shutdown(peer_tls);
        while (recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) /* tickets: left unread they make a reset of it */
            continue;
    }
    drop_peer_tls();
    if (peer >= 0)
        close(peer);
    peer = -1;
}

static void reset_peer(void)
{
    drop_peer_tls();
    socket_support_reset(peer);
    peer = -1;
}

static void setup(void)
{
    user = (struct user){.take = SIZE_MAX};
    peer = -1;
    peer_tls = NULL;
    peer_fragments = TLSEXT_max_fragment_length_DISABLED;
    peer_is_ws = false;
    ws_frames_init(&peer_frames, false, SIZE_MAX);
    ck_assert_int_eq(loop_new(&loop), 0);
    loop = loop_free(loop); /* the first one of the process opens what libuv keeps for good */
    n_fds_before = socket_support_count_fds();
    ck_assert_int_eq(loop_new(&loop), 0);
}

static void teardown(void)
{
    user.conn = conn_close(user.conn, 0);
    free(user.got);
    close_peer();
    loop_support_to_end(loop);
    ck_assert_uint_eq(net_conn_count(loop), 0);
    loop = loop_free(loop);
    ck_assert_int_eq(socket_support_count_fds(), n_fds_before);
    ws_frames_deinit(&peer_frames);
}

/* --- What is waited for */

static size_t wanted_bytes;

static bool has_wanted_bytes(void *arg)
{
    return ((struct user *)arg)->got_bytes >= wanted_bytes;
}

static void run_until_got(size_t n)
{
    wanted_bytes = n;
    loop_support_until(loop, has_wanted_bytes, &user);
}

static bool has_ended(void *arg)
{
    return ((struct user *)arg)->n_ends > 0;
}

static void run_until_end(void)
{
    loop_support_until(loop, has_ended, &user);
}

static bool is_unread_wanted(void *arg)
{
    return conn_unread_bytes(((struct user *)arg)->conn) >= wanted_bytes;
}

static void assert_got_pattern(const struct user *u, size_t n)
{
    ck_assert_uint_eq(u->got_bytes, n);
    socket_support_check(u->got, 0, n);
}

static void peer_write_pattern(size_t from, size_t n)
{
    uint8_t *bytes = malloc(n);
    socket_support_fill(bytes, from, n);
    for (size_t sent = 0; sent < n;) {
        ssize_t more = peer_send(bytes + sent, n - sent);
        ck_assert_int_gt(more, 0);
        sent += (size_t)more;
    }
    free(bytes);
}

/* Reads what has come to the peer and checks that it goes on at *SEEN. Returns false at the end of the stream. */
static bool peer_read_pattern(size_t *seen)
{
    uint8_t bytes[65536];
    long n = peer_read(bytes, sizeof(bytes));
    if (n > 0)
        socket_support_check(bytes, *seen, (size_t)n);
    *seen += n > 0 ? (size_t)n : 0;
    return n != 0;
}

/* More than the buffers of any socket hold. */
enum { LARGE = 16 * 1000 * 1000 };

/* --- Input */

static const size_t pieces[] = {1, 2, 3, 11, 5000, 30000};
static const int kinds[] = {SOCKET_UNIX, SOCKET_TCP, KIND_TLS, KIND_WS, KIND_WSS};
static const enum socket_kind plain_kinds[] = {SOCKET_UNIX, SOCKET_TCP};

START_TEST(bytes_arrive_whole_and_in_order_in_any_pieces)
{
    const size_t total = 30000, piece = pieces[_i];
    open_pair(SOCKET_TCP);
    for (size_t at = 0; at < total; at += piece) {
        peer_write_pattern(at, piece < total - at ? piece : total - at);
        if (at % (64 * piece) == 0)
            loop_support_turns(loop, 1);
    }
    run_until_got(total);
    assert_got_pattern(&user, total);
}
END_TEST

START_TEST(what_is_not_used_comes_again_with_more_behind_it)
{
    open_pair(kinds[_i]);
    user.take = 3;
    peer_write_pattern(0, 10);
    run_until_got(3);
    ck_assert_uint_eq(conn_unread_bytes(user.conn), 7);
    peer_write_pattern(10, 5);
    run_until_got(6);
    ck_assert_uint_eq(user.last_offer, 12);
    assert_got_pattern(&user, 6);
}
END_TEST

START_TEST(nothing_is_offered_again_without_new_bytes_or_a_request)
{
    open_pair(kinds[_i]);
    user.take = 3;
    peer_write_pattern(0, 10);
    run_until_got(3);
    loop_support_turns(loop, 5);
    ck_assert_int_eq(user.n_offers, 1);
    conn_continue(user.conn);
    loop_support_turns(loop, 5);
    ck_assert_int_eq(user.n_offers, 2);
    assert_got_pattern(&user, 6);
}
END_TEST

START_TEST(a_user_may_take_one_byte_at_a_time)
{
    open_pair(kinds[_i]);
    user.take = 1;
    user.continues = true;
    peer_write_pattern(0, 3000);
    run_until_got(3000);
    assert_got_pattern(&user, 3000);
    ck_assert_int_eq(user.n_offers, 3000);
}
END_TEST

START_TEST(offers_wait_for_what_is_expected)
{
    open_pair(kinds[_i]);
    user.expect_then = 100;
    for (size_t at = 0; at < 99; at += 33) {
        peer_write_pattern(at, 33);
        loop_support_turns(loop, 3);
    }
    ck_assert_int_eq(user.n_offers, 1);
    ck_assert_int_eq(user.n_progress, 2);
    ck_assert_uint_eq(conn_unread_bytes(user.conn), 99);
    peer_write_pattern(99, 8);
    run_until_got(107);
    ck_assert_int_eq(user.n_offers, 2);
    assert_got_pattern(&user, 107);
}
END_TEST

START_TEST(expected_bytes_that_never_come_are_offered_at_the_end)
{
    open_pair(kinds[_i]);
    user.expect_then = 100;
    peer_write_pattern(0, 10);
    loop_support_turns(loop, 3);
    peer_write_pattern(10, 10);
    loop_support_turns(loop, 3);
    close_peer();
    run_until_end();
    ck_assert_int_eq(user.n_offers, 2);
    ck_assert_uint_eq(user.last_offer, 20);
    ck_assert_int_eq(user.why, CONN_END_EOF);
}
END_TEST

struct flood {
    size_t total, written;
};

/* Writes what the socket takes, from a timer, so that it goes on while the loop turns. */
static struct loop_timer flood_timer;
static struct flood flood;

static void on_flood_timer(struct loop_timer *timer)
{
    uint8_t bytes[65536];
    while (flood.written < flood.total) {
        size_t n = flood.total - flood.written < sizeof(bytes) ? flood.total - flood.written : sizeof(bytes);
        socket_support_fill(bytes, flood.written, n);
        ssize_t sent = peer_send(bytes, n);
        if (sent <= 0)
            break;
        flood.written += (size_t)sent;
    }
    if (flood.written < flood.total)
        loop_timer_start(timer, 0);
}

static void start_flood(size_t total)
{
    flood = (struct flood){.total = total};
    loop_timer_init(&flood_timer, loop, on_flood_timer);
    loop_timer_start(&flood_timer, 0);
}

START_TEST(a_large_packet_comes_in_one_piece_and_small_ones_go_on_behind_it)
{
    const size_t total = 3000000, packet = 2999000;
    open_pair(kinds[_i]);
    user.expect_then = packet;
    start_flood(total);
    run_until_got(packet);
    ck_assert_int_le(user.n_offers, 3); /* the first bytes, the packet, and perhaps what came behind it */
    ck_assert_int_gt(user.n_progress, 10);
    user.expect_then = 0;
    conn_expect(user.conn, 0);
    conn_continue(user.conn);
    run_until_got(total);
    assert_got_pattern(&user, total);
    ck_assert_uint_eq(conn_unread_bytes(user.conn), 0);
}
END_TEST

START_TEST(much_that_is_left_unread_stays_in_order)
{
    const size_t total = 300000;
    open_pair(kinds[_i]);
    user.take = 0;
    start_flood(total);
    wanted_bytes = total;
    loop_support_until(loop, is_unread_wanted, &user);
    user.take = 777;
    user.continues = true;
    conn_continue(user.conn);
    run_until_got(total);
    assert_got_pattern(&user, total);
}
END_TEST

START_TEST(one_flood_does_not_keep_the_turn)
{
    open_pair(SOCKET_UNIX);
    int fds[2];
    struct user other;
    uint8_t bytes[256 * 1024] = {0};
    const int room = sizeof(bytes) * 4;
    socket_support_pair(SOCKET_UNIX, fds);
    user_attach(&other, loop, fds[0]);
    loop_support_turns(loop, 1);
    setsockopt(peer, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
    long n = send(peer, bytes, sizeof(bytes), 0), m = send(fds[1], bytes, sizeof(bytes), 0);
    loop_support_turns(loop, 1);
    ck_assert_uint_gt(user.got_bytes, 0);
    ck_assert_uint_gt(other.got_bytes, 0);
    ck_assert_uint_le(user.got_bytes, 128 * 1024);
    ck_assert_uint_le(other.got_bytes, 128 * 1024);
    run_until_got((size_t)n);
    wanted_bytes = (size_t)m;
    loop_support_until(loop, has_wanted_bytes, &other);
    conn_close(other.conn, 0);
    free(other.got);
    close(fds[1]);
}
END_TEST

/* --- Pause */

START_TEST(a_paused_conn_offers_nothing_until_it_is_resumed)
{
    open_pair(kinds[_i]);
    user.pause_at = 5;
    user.take = 5;
    peer_write_pattern(0, 8);
    run_until_got(5);
    peer_write_pattern(8, 4);
    loop_support_turns(loop, 5);
    ck_assert_int_eq(user.n_offers, 1);
    ck_assert(conn_is_paused(user.conn));
    user.pause_at = 0;
    user.take = SIZE_MAX;
    conn_resume(user.conn);
    run_until_got(12);
    assert_got_pattern(&user, 12);
}
END_TEST

START_TEST(a_paused_conn_does_not_keep_the_loop_busy)
{
    open_pair(kinds[_i]);
    loop_support_turns(loop, 2);
    conn_pause(user.conn);
    peer_write_pattern(0, 8);
    peer_shutdown();
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
    ck_assert_int_eq(user.n_ends, 0);
    conn_resume(user.conn);
    run_until_end();
    assert_got_pattern(&user, 8);
    ck_assert_int_eq(user.why, CONN_END_EOF);
}
END_TEST

START_TEST(a_peer_that_has_gone_does_not_keep_a_paused_loop_busy)
{
    open_pair(kinds[_i]);
    loop_support_turns(loop, 2);
    conn_pause(user.conn);
    peer_write_pattern(0, 8);
    close_peer();
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
    ck_assert_int_eq(user.n_ends, 0);
    conn_resume(user.conn);
    run_until_end();
    assert_got_pattern(&user, 8);
    ck_assert_int_eq(user.n_ends, 1);
}
END_TEST

START_TEST(an_end_already_seen_waits_for_a_user_that_paused)
{
    open_pair(kinds[_i]);
    user.pause_at = 1;
    user.take = 2;
    peer_write_pattern(0, 8);
    close_peer();
    run_until_got(2);
    loop_support_turns(loop, 5);
    ck_assert_int_eq(user.n_ends, 0);
    user.pause_at = 0;
    user.take = SIZE_MAX;
    conn_resume(user.conn);
    run_until_end();
    assert_got_pattern(&user, 8);
}
END_TEST

START_TEST(a_reset_is_noticed_while_paused_and_loses_no_input)
{
    open_pair(SOCKET_TCP);
    user.pause_at = 10;
    user.take = 10;
    peer_write_pattern(0, 20);
    run_until_got(10);
    peer_write_pattern(20, 3000);
    reset_peer();
    run_until_end();
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_str_eq(user.text, strerror(ECONNRESET));
    ck_assert_uint_eq(conn_unread_bytes(user.conn), 3010);
    user.pause_at = 0;
    user.take = SIZE_MAX;
    conn_resume(user.conn);
    run_until_got(3020);
    assert_got_pattern(&user, 3020);
    loop_support_turns(loop, 5);
    ck_assert_int_eq(user.n_ends, 1);
}
END_TEST

START_TEST(a_reset_of_a_conn_paused_from_the_start_is_noticed)
{
    open_pair(SOCKET_TCP);
    conn_pause(user.conn);
    loop_support_turns(loop, 2);
    reset_peer();
    run_until_end();
    ck_assert_int_eq(user.why, CONN_END_ERROR);
}
END_TEST

START_TEST(urgent_data_does_not_keep_a_paused_loop_busy)
{
    open_pair(SOCKET_TCP);
    conn_pause(user.conn);
    loop_support_turns(loop, 2);
    ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
    ck_assert_int_eq(user.n_ends, 0);
}
END_TEST

/* --- The end */

START_TEST(the_end_comes_once_behind_all_bytes)
{
    open_pair(kinds[_i]);
    peer_write_pattern(0, 5000);
    close_peer();
    run_until_end();
    loop_support_turns(loop, 3);
    assert_got_pattern(&user, 5000);
    ck_assert_int_eq(user.n_ends, 1);
    ck_assert_int_eq(user.why, CONN_END_EOF);
}
END_TEST

START_TEST(bytes_left_unread_can_still_be_had_after_the_end)
{
    open_pair(kinds[_i]);
    user.take = 4;
    peer_write_pattern(0, 10);
    close_peer();
    run_until_end();
    ck_assert_uint_eq(user.got_bytes, 4);
    user.take = SIZE_MAX;
    conn_continue(user.conn);
    loop_support_turns(loop, 3);
    assert_got_pattern(&user, 10);
    ck_assert_int_eq(user.n_ends, 1);
}
END_TEST

START_TEST(a_reset_is_an_error_behind_all_bytes)
{
    open_pair(SOCKET_TCP);
    peer_write_pattern(0, 200000);
    reset_peer();
    run_until_end();
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_str_eq(user.text, strerror(ECONNRESET));
    ck_assert_uint_gt(user.got_bytes, 0);
    assert_got_pattern(&user, user.got_bytes);
}
END_TEST

START_TEST(a_failed_write_loses_no_input)
{
    open_pair(kinds[_i]);
    peer_write_pattern(0, 200);
    if (kinds[_i] == SOCKET_UNIX)
        close_peer();
    else
        reset_peer();
    ck_assert_int_eq(conn_write(user.conn, "x", 1), 0);
    conn_flush(user.conn);
    ck_assert_int_eq(user.n_ends, 0);
    run_until_end();
    assert_got_pattern(&user, 200);
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_int_eq(conn_write(user.conn, "y", 1), 0);
    ck_assert_uint_eq(conn_queued_bytes(user.conn), 0);
    ck_assert_int_eq(user.n_ends, 1);
}
END_TEST

START_TEST(a_failed_write_offers_what_was_expected_in_vain)
{
    open_pair(SOCKET_UNIX);
    user.expect_then = 1000;
    peer_write_pattern(0, 100);
    loop_support_turns(loop, 3);
    peer_write_pattern(100, 100);
    loop_support_turns(loop, 3);
    close_peer();
    conn_write(user.conn, "x", 1);
    conn_flush(user.conn);
    run_until_end();
    ck_assert_int_eq(user.n_offers, 2);
    ck_assert_uint_eq(user.last_offer, 200);
}
END_TEST

START_TEST(a_write_that_fails_while_the_peer_lives_ends_the_conn_too)
{
    open_pair(kinds[_i]);
    user.expect_then = 1000;
    peer_write_pattern(0, 100);
    loop_support_turns(loop, 3);
    peer_write_pattern(100, 100);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(shutdown(user_fd, SHUT_WR), 0);
    conn_write(user.conn, "x", 1);
    run_until_end();
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_str_eq(user.text, strerror(EPIPE));
    ck_assert_uint_eq(user.last_offer, 200);
}
END_TEST

START_TEST(a_conn_may_be_closed_in_any_callback)
{
    open_pair(SOCKET_UNIX);
    user.closes_on_input = _i == 0;
    user.closes_on_end = _i == 1;
    user.closes_on_drain = _i == 2;
    conn_write(user.conn, "x", 1);
    peer_write_pattern(0, 10);
    peer_shutdown();
    loop_support_to_end(loop);
    ck_assert_ptr_null(user.conn);
    ck_assert_uint_eq(net_conn_count(loop), 0);
}
END_TEST

/* --- Output */

START_TEST(what_a_turn_writes_leaves_in_one_piece)
{
    open_pair(SOCKET_RECORD);
    for (int i = 0; i < 20; i++) {
        uint8_t byte;
        socket_support_fill(&byte, (size_t)i, 1);
        ck_assert_int_eq(conn_write(user.conn, &byte, 1), 0);
    }
    uint8_t *room = conn_reserve(user.conn, 100);
    ck_assert_ptr_nonnull(room);
    socket_support_fill(room, 20, 30);
    conn_commit(user.conn, 30);
    struct buf *buf = buf_new(5000, 5000);
    socket_support_fill(buf_reserve(buf, 5000), 40, 5000);
    buf_commit(buf, 5000);
    ck_assert_int_eq(conn_write_buf(user.conn, buf, 10), 0);
    ck_assert_uint_eq(conn_queued_bytes(user.conn), 50 + 4990);
    loop_support_turns(loop, 2);
    size_t seen = 0;
    peer_read_pattern(&seen);
    ck_assert_uint_eq(seen, 50 + 4990);
    ck_assert_uint_eq(conn_written_bytes(user.conn), 50 + 4990);
    ck_assert_uint_eq(conn_queued_bytes(user.conn), 0);
}
END_TEST

START_TEST(flush_writes_at_once)
{
    open_pair(kinds[_i]);
    uint8_t bytes[10];
    socket_support_fill(bytes, 0, sizeof(bytes));
    conn_write(user.conn, bytes, sizeof(bytes));
    conn_flush(user.conn);
    size_t seen = 0;
    peer_read_pattern(&seen);
    ck_assert_uint_eq(seen, 10);
}
END_TEST

static size_t seen_bytes;

static bool peer_has_all(void *arg)
{
    peer_read_pattern(&seen_bytes);
    return seen_bytes >= wanted_bytes;
}

/* The peer reads when its socket has something; a timer asks, since the peer is no conn. */
static void on_reader_timer(struct loop_timer *timer)
{
    if (!peer_has_all(NULL))
        loop_timer_start(timer, 0);
}

static void queue_pattern(size_t from, size_t n)
{
    uint8_t *bytes = malloc(n);
    socket_support_fill(bytes, from, n);
    ck_assert_int_eq(conn_write(user.conn, bytes, n), 0);
    free(bytes);
}

START_TEST(a_slow_peer_gets_everything_and_drain_tells_once)
{
    const size_t total = LARGE;
    struct loop_timer reader;
    open_pair(kinds[_i]);
    conn_set_low_mark(user.conn, 1000);
    queue_pattern(0, total);
    loop_support_turns(loop, 5);
    ck_assert_uint_gt(conn_queued_bytes(user.conn), 1000);
    ck_assert_int_eq(user.n_drains, 0);
    seen_bytes = 0;
    wanted_bytes = total;
    loop_timer_init(&reader, loop, on_reader_timer);
    loop_timer_start(&reader, 0);
    loop_support_until(loop, peer_has_all, NULL);
    loop_timer_stop(&reader);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(user.n_drains, 1);
    ck_assert_uint_eq(conn_written_bytes(user.conn), total);
    ck_assert_uint_eq(conn_written_bytes(user.conn), seen_bytes);
}
END_TEST

START_TEST(a_peer_that_does_not_read_does_not_keep_the_loop_busy)
{
    open_pair(kinds[_i]);
    queue_pattern(0, LARGE);
    loop_support_turns(loop, 20);
    ck_assert_uint_gt(conn_queued_bytes(user.conn), 0);
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
}
END_TEST

START_TEST(a_queue_that_stays_below_the_mark_does_not_drain)
{
    open_pair(kinds[_i]);
    conn_set_low_mark(user.conn, 100);
    queue_pattern(0, 100);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(user.n_drains, 0);
    queue_pattern(100, 101);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(user.n_drains, 1);
}
END_TEST

START_TEST(many_references_in_the_queue_leave_in_order)
{
    const size_t n = 300, size = 2000;
    open_pair(kinds[_i]);
    for (size_t i = 0; i < n; i++) {
        struct buf *buf = buf_new(size, size);
        socket_support_fill(buf_reserve(buf, size), i * size, size);
        buf_commit(buf, size);
        ck_assert_int_eq(conn_write_buf(user.conn, buf, 0), 0);
    }
    seen_bytes = 0;
    wanted_bytes = n * size;
    struct loop_timer reader;
    loop_timer_init(&reader, loop, on_reader_timer);
    loop_timer_start(&reader, 0);
    loop_support_until(loop, peer_has_all, NULL);
    loop_timer_stop(&reader);
}
END_TEST

/* --- Close */

START_TEST(closing_with_time_delivers_everything_although_the_peer_still_sends)
{
    const size_t total = 2000000;
    struct loop_timer reader;
    open_pair(kinds[_i]);
    loop_support_turns(loop, 2);
    queue_pattern(0, total);
    peer_write_pattern(0, 50000);
    user.conn = conn_close(user.conn, 10000);
    ck_assert_uint_eq(net_conn_count(loop), 1);
    seen_bytes = 0;
    wanted_bytes = total;
    loop_timer_init(&reader, loop, on_reader_timer);
    loop_timer_start(&reader, 0);
    loop_support_until(loop, peer_has_all, NULL);
    loop_timer_stop(&reader);
    while (peer_read_pattern(&seen_bytes)) /* until the FIN */
        loop_support_turns(loop, 1);
    ck_assert_uint_eq(seen_bytes, total);
    close_peer();
    loop_support_to_end(loop); /* long before the time is over */
    ck_assert_int_eq(user.n_offers + user.n_ends, 0);
}
END_TEST

START_TEST(a_peer_that_sends_on_after_the_last_bytes_is_not_reset)
{
    open_pair(SOCKET_TCP);
    loop_support_turns(loop, 2);
    queue_pattern(0, 1000);
    user.conn = conn_close(user.conn, 10000);
    for (int i = 0; i < 3; i++) {
        loop_support_turns(loop, 3);
        peer_write_pattern(0, 10);
    }
    seen_bytes = 0;
    peer_read_pattern(&seen_bytes);
    ck_assert_uint_eq(seen_bytes, 1000);
    ck_assert(!peer_read_pattern(&seen_bytes));
}
END_TEST

START_TEST(closing_with_time_ends_when_the_time_is_over)
{
    open_pair(kinds[_i]);
    queue_pattern(0, LARGE);
    user.conn = conn_close(user.conn, 10);
    loop_support_to_end(loop);
    ck_assert_uint_eq(net_conn_count(loop), 0);
}
END_TEST

START_TEST(closing_with_time_ends_when_the_peer_resets)
{
    open_pair(SOCKET_TCP);
    queue_pattern(0, LARGE);
    user.conn = conn_close(user.conn, 3600 * 1000);
    loop_support_turns(loop, 3);
    reset_peer();
    loop_support_to_end(loop);
}
END_TEST

START_TEST(closing_at_once_drops_what_is_queued)
{
    open_pair(kinds[_i]);
    queue_pattern(0, 10);
    user.conn = conn_close(user.conn, 0);
    uint8_t byte;
    ck_assert_int_eq(peer_read(&byte, 1), 0);
}
END_TEST

/* --- TLS alone */

START_TEST(a_key_update_passes_in_both_directions)
{
    size_t seen = 0;
    open_pair(KIND_TLS);
    ck_assert_int_eq(SSL_key_update(peer_tls, SSL_KEY_UPDATE_REQUESTED), 1);
    peer_write_pattern(0, 3000);
    run_until_got(3000);
    assert_got_pattern(&user, 3000);
    queue_pattern(0, 3000); /* behind the answer */
    loop_support_turns(loop, 3);
    peer_read_pattern(&seen);
    ck_assert_uint_eq(seen, 3000);
}
END_TEST

START_TEST(records_stay_within_the_limit_that_the_peer_has_asked_for)
{
    size_t seen = 0;
    peer_fragments = TLSEXT_max_fragment_length_512;
    open_pair(KIND_TLS);
    queue_pattern(0, 3000);
    loop_support_turns(loop, 3);
    for (size_t before = 0; before < 3000; before = seen) { /* a record each, and longer ones are refused */
        ck_assert(peer_read_pattern(&seen));
        ck_assert_uint_gt(seen, before);
        ck_assert_uint_le(seen, before + 512);
    }
}
END_TEST

START_TEST(the_end_is_told_in_tls_before_it_is_in_tcp)
{
    uint8_t byte;
    open_pair(KIND_TLS);
    SSL_clear_options(peer_tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    conn_write(user.conn, "x", 1);
    user.conn = conn_close(user.conn, 10000);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(SSL_read(peer_tls, &byte, 1), 1);
    ck_assert_int_eq(SSL_get_error(peer_tls, SSL_read(peer_tls, &byte, 1)), SSL_ERROR_ZERO_RETURN);
    ck_assert_int_eq(recv(peer, &byte, 1, 0), 0);
}
END_TEST

START_TEST(a_record_that_was_changed_on_its_way_ends_the_conn)
{
    const uint8_t record[] = {23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    open_pair(KIND_TLS);
    peer_write_pattern(0, 100);
    socket_support_write(peer, record, sizeof(record));
    run_until_end();
    assert_got_pattern(&user, 100);
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_str_eq(user.text, "TLS: decryption failed or bad record mac");
}
END_TEST

START_TEST(what_is_no_tls_ends_the_conn_and_is_not_answered)
{
    int fds[2];
    uint8_t bytes[16];
    struct conn_parcel parcel = {.peer.text = "test"};
    socket_support_pair(SOCKET_TCP, fds);
    peer = fds[1];
    parcel.fd = fds[0];
    ck_assert_int_eq(conn_tls_push_server(&parcel.layer, parcel.fd, tls), 0);
    ck_assert_int_eq(conn_attach(loop, &parcel, &cbs, &user, &user.conn), 0);
    socket_support_write(peer, "\x10\x0c\0\4MQTT\4\2\0\0\0\0", 14);
    run_until_end();
    ck_assert_str_eq(user.text, "TLS: wrong version number");
    user.conn = conn_close(user.conn, 10000);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(socket_support_read(peer, bytes, sizeof(bytes)), 0);
}
END_TEST

/* --- Detach and attach */

struct traveller {
    struct mail mail;
    struct conn_parcel parcel;
    struct user user;
    struct loop *loop;
    struct mailbox *mailbox;
};

static void on_echo_input(struct conn *c, struct cursor *input, void *arg)
{
    conn_write(c, input->ptr, input->len);
    cursor_skip(input, input->len);
}

static void on_echo_end(struct conn *c, enum conn_end why, const char *text, void *arg)
{
    struct traveller *t = arg;
    ck_assert_int_eq(why, CONN_END_EOF);
    conn_close(c, 10000);
    t->mailbox = mailbox_free(t->mailbox);
}

static const struct conn_cbs echo_cbs = {.on_input = on_echo_input, .on_end = on_echo_end};

static void on_traveller(struct mail *mail)
{
    struct traveller *t = (struct traveller *)mail;
    ck_assert_int_eq(conn_attach(t->loop, &t->parcel, &echo_cbs, t, &t->user.conn), 0);
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

START_TEST(a_conn_moves_to_another_thread_with_all_its_bytes)
{
    const size_t first = LARGE, unread = 500, second = 60000;
    struct traveller t = {.mail.fn = on_traveller};
    pthread_t thread;
    open_pair(kinds[_i]);
    user.take = 0;
    peer_write_pattern(first, unread);
    wanted_bytes = unread;
    loop_support_until(loop, is_unread_wanted, &user);
    queue_pattern(0, first);
    loop_support_turns(loop, 3);
    ck_assert_uint_gt(conn_queued_bytes(user.conn), 0);

    conn_detach(user.conn, &t.parcel);
    user.conn = NULL;
    ck_assert_uint_eq(net_conn_count(loop), 0);
    ck_assert_uint_eq(buf_len(t.parcel.unread), unread);
    ck_assert_ptr_nonnull(t.parcel.unsent);
    ck_assert_str_eq(t.parcel.peer.text, "test");
    ck_assert_int_eq(loop_new(&t.loop), 0);
    ck_assert_int_eq(mailbox_new(t.loop, &t.mailbox), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_loop, t.loop), 0);
    mailbox_post(t.mailbox, &t.mail);

    size_t seen = 0, sent = first + unread;
    while (seen < first + unread + second) {
        uint8_t bytes[1000];
        if (sent < first + unread + second && seen > first) {
            socket_support_fill(bytes, sent, 1000);
            ssize_t n = peer_send(bytes, 1000);
            sent += n > 0 ? (size_t)n : 0;
            if (sent >= first + unread + second)
                peer_shutdown();
        }
        if (!peer_read_pattern(&seen))
            break;
    }
    ck_assert_uint_eq(seen, sent);
    close_peer();
    pthread_join(thread, NULL);
    loop_free(t.loop);
}
END_TEST

START_TEST(a_parcel_with_unread_bytes_and_its_end_is_offered)
{
    int fds[2];
    socket_support_pair(plain_kinds[_i], fds);
    peer = fds[1];
    struct conn_parcel parcel = {.fd = fds[0], .peer_has_closed = true, .unread = buf_new(20, 20)};
    socket_support_fill(buf_reserve(parcel.unread, 20), 0, 20);
    buf_commit(parcel.unread, 20);
    ck_assert_int_eq(conn_attach(loop, &parcel, &cbs, &user, &user.conn), 0);
    ck_assert_int_eq(user.n_offers, 0);
    run_until_end();
    assert_got_pattern(&user, 20);
}
END_TEST

START_TEST(a_user_that_pauses_before_the_end_of_a_parcel_hears_of_it_later)
{
    int fds[2];
    socket_support_pair(plain_kinds[_i], fds);
    peer = fds[1];
    struct conn_parcel parcel = {.fd = fds[0], .peer_has_closed = true, .unread = buf_new(20, 20)};
    socket_support_fill(buf_reserve(parcel.unread, 20), 0, 20);
    buf_commit(parcel.unread, 20);
    user.pause_at = 1;
    ck_assert_int_eq(conn_attach(loop, &parcel, &cbs, &user, &user.conn), 0);
    run_until_got(20);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(user.n_ends, 0);
    conn_resume(user.conn);
    run_until_end();
}
END_TEST

START_TEST(a_parcel_that_cannot_be_attached_is_closed)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    close(fds[1]);
    close(fds[0]);
    struct conn_parcel parcel = {.fd = fds[0], .unread = buf_new(20, 20), .unsent = buf_new(20, 20)};
    ck_assert_int_lt(conn_attach(loop, &parcel, &cbs, &user, &user.conn), 0);
    ck_assert_ptr_null(parcel.unread);
    ck_assert_ptr_null(parcel.unsent);
    ck_assert_ptr_null(user.conn);
}
END_TEST

START_TEST(a_parcel_can_be_closed)
{
    open_pair(SOCKET_UNIX);
    queue_pattern(0, 10);
    struct conn_parcel parcel;
    conn_detach(user.conn, &parcel);
    user.conn = NULL;
    conn_parcel_close(&parcel);
    uint8_t byte;
    ck_assert_int_eq(peer_read(&byte, 1), 0);
}
END_TEST

START_TEST(another_user_takes_over)
{
    struct user next = {.take = SIZE_MAX};
    open_pair(kinds[_i]);
    user.take = 2;
    peer_write_pattern(0, 6);
    run_until_got(2);
    next.conn = user.conn;
    conn_set_cbs(user.conn, &cbs, &next);
    conn_continue(user.conn);
    loop_support_turns(loop, 2);
    ck_assert_uint_eq(next.got_bytes, 4);
    ck_assert_uint_eq(user.got_bytes, 2);
    free(next.got);
}
END_TEST

START_TEST(the_limit_of_descriptors_is_raised_to_the_hard_one)
{
    int limit = net_raise_fd_limit();
    ck_assert_int_gt(limit, 0);
    ck_assert_int_eq(net_raise_fd_limit(), limit);
}
END_TEST

#define ADD_KINDS(test) tcase_add_loop_test(tc, test, 0, TEST_COUNT(kinds))

static void open_tls(void)
{
    const struct tls_options options = {.is_server = true, .cert = tls_support_file("server.pem")};
    ck_assert_int_eq(tls_new(&options, &tls), 0);
    ck_assert_int_eq(ws_service_new(&(struct ws_service_options){.path = NULL}, &ws), 0);
}

static void close_tls(void)
{
    tls = tls_unref(tls);
    ws = ws_service_unref(ws);
}

static Suite *conn_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("conn", &tc);
    tcase_add_unchecked_fixture(tc, open_tls, close_tls);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, bytes_arrive_whole_and_in_order_in_any_pieces, 0, TEST_COUNT(pieces));
    ADD_KINDS(what_is_not_used_comes_again_with_more_behind_it);
    ADD_KINDS(nothing_is_offered_again_without_new_bytes_or_a_request);
    ADD_KINDS(a_user_may_take_one_byte_at_a_time);
    ADD_KINDS(offers_wait_for_what_is_expected);
    ADD_KINDS(expected_bytes_that_never_come_are_offered_at_the_end);
    ADD_KINDS(a_large_packet_comes_in_one_piece_and_small_ones_go_on_behind_it);
    ADD_KINDS(much_that_is_left_unread_stays_in_order);
    tcase_add_test(tc, one_flood_does_not_keep_the_turn);
    ADD_KINDS(a_paused_conn_offers_nothing_until_it_is_resumed);
    ADD_KINDS(a_paused_conn_does_not_keep_the_loop_busy);
    ADD_KINDS(a_peer_that_has_gone_does_not_keep_a_paused_loop_busy);
    ADD_KINDS(an_end_already_seen_waits_for_a_user_that_paused);
    tcase_add_test(tc, a_reset_is_noticed_while_paused_and_loses_no_input);
    tcase_add_test(tc, a_reset_of_a_conn_paused_from_the_start_is_noticed);
    tcase_add_test(tc, urgent_data_does_not_keep_a_paused_loop_busy);
    ADD_KINDS(the_end_comes_once_behind_all_bytes);
    ADD_KINDS(bytes_left_unread_can_still_be_had_after_the_end);
    tcase_add_test(tc, a_reset_is_an_error_behind_all_bytes);
    ADD_KINDS(a_failed_write_loses_no_input);
    tcase_add_test(tc, a_failed_write_offers_what_was_expected_in_vain);
    ADD_KINDS(a_write_that_fails_while_the_peer_lives_ends_the_conn_too);
    tcase_add_loop_test(tc, a_conn_may_be_closed_in_any_callback, 0, 3);
    tcase_add_test(tc, what_a_turn_writes_leaves_in_one_piece);
    ADD_KINDS(flush_writes_at_once);
    ADD_KINDS(a_slow_peer_gets_everything_and_drain_tells_once);
    ADD_KINDS(a_peer_that_does_not_read_does_not_keep_the_loop_busy);
    ADD_KINDS(a_queue_that_stays_below_the_mark_does_not_drain);
    ADD_KINDS(many_references_in_the_queue_leave_in_order);
    ADD_KINDS(closing_with_time_delivers_everything_although_the_peer_still_sends);
    tcase_add_test(tc, a_peer_that_sends_on_after_the_last_bytes_is_not_reset);
    ADD_KINDS(closing_with_time_ends_when_the_time_is_over);
    tcase_add_test(tc, closing_with_time_ends_when_the_peer_resets);
    ADD_KINDS(closing_at_once_drops_what_is_queued);
    tcase_add_test(tc, a_key_update_passes_in_both_directions);
    tcase_add_test(tc, records_stay_within_the_limit_that_the_peer_has_asked_for);
    tcase_add_test(tc, the_end_is_told_in_tls_before_it_is_in_tcp);
    tcase_add_test(tc, a_record_that_was_changed_on_its_way_ends_the_conn);
    tcase_add_test(tc, what_is_no_tls_ends_the_conn_and_is_not_answered);
    ADD_KINDS(a_conn_moves_to_another_thread_with_all_its_bytes);
    tcase_add_loop_test(tc, a_parcel_with_unread_bytes_and_its_end_is_offered, 0, TEST_COUNT(plain_kinds));
    tcase_add_loop_test(tc, a_user_that_pauses_before_the_end_of_a_parcel_hears_of_it_later, 0,
                        TEST_COUNT(plain_kinds));
    tcase_add_test(tc, a_parcel_that_cannot_be_attached_is_closed);
    tcase_add_test(tc, a_parcel_can_be_closed);
    ADD_KINDS(another_user_takes_over);
    tcase_add_test(tc, the_limit_of_descriptors_is_raised_to_the_hard_one);
    return suite;
}

TEST_MAIN(conn_suite)
