/* Layers between a conn and its socket, shown with a toy: a handshake of two bytes each way, then records
 *
 *   [length 1..200][bytes, each XOR 0x5A]     [0]: goodbye     [255]: ping, answered by [254]     [253]: fail, says
 * [252]
 *
 * The peer is played with plain system calls on the socket, or with a second conn that has the same layers. */
#include "conn_layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "conn.h"
#include "loop.h"
#include "loop_support.h"
#include "net.h"
#include "socket_support.h"
#include "test_main.h"

/* --- The toy */

enum {
    RECORD_MAX = 200,
    RECORDS_AT_ONCE = 300,
    GOODBYE = 0,
    PONG = 254,
    PING = 255,
    FAIL = 253,
    FAILED = 252,
    MASK = 0x5A
};

struct toy {
    struct conn_layer layer; /* first */
    uint8_t in[1000];        /* read from below and not looked at */
    size_t in_bytes;
    conn_layer_wake_fn *wake; /* who drives it */
    void *wake_arg;
};

static int n_toys;
static struct toy *last_toy;
static bool must_wait; /* the handshake of all of them, behind the greeting */
static int n_toys, n_greeted;
static unsigned greeting_ms; /* how long it keeps the loop */

static void toy_drop(struct toy *t, size_t n)
{
    t->in_bytes -= n;
    memmove(t->in, t->in + n, t->in_bytes);
}

static ssize_t toy_fill(struct toy *t)
{
    ssize_t n = conn_layer_read_below(&t->layer, t->in + t->in_bytes, sizeof(t->in) - t->in_bytes);
    if (n > 0)
        t->in_bytes += (size_t)n;
    return n;
}

static int toy_open(struct conn_layer *l)
{
    struct toy *t = (struct toy *)l;
    while (t->in_bytes < 2) {
        ssize_t n = toy_fill(t);
        if (n <= 0)
            return n == 0 ? conn_layer_fail(l, -EPROTO, "toy: no greeting") : (int)n;
    }
    if (memcmp(t->in, "HI", 2) != 0) {
        uint8_t byte = FAILED;
        conn_layer_send(l, &byte, 1);
        return conn_layer_fail(l, -EPROTO, "toy: not the greeting");
    }
    if (must_wait)
        return -EINPROGRESS;
    toy_drop(t, 2);
    for (uint64_t end_ms = clock_now_ms() + greeting_ms; clock_now_ms() < end_ms;)
        ;
    n_greeted++;
    return 0;
}

static void toy_drive(struct conn_layer *l, struct loop *on, conn_layer_wake_fn *wake, void *arg)
{
    struct toy *t = (struct toy *)l;
    t->wake = wake;
    t->wake_arg = arg;
}

static int toy_control(struct toy *t, uint8_t what)
{
    uint8_t answer = what == PING ? PONG : FAILED;
    if (what == PING || what == FAIL)
        conn_layer_send(&t->layer, &answer, 1);
    t->layer.has_ended |= what == GOODBYE;
    toy_drop(t, 1);
    return what == FAIL ? conn_layer_fail(&t->layer, -EPROTO, "toy: told to fail") : 0;
}

/* Bytes of one record to DST; 0: there is none that is whole, or that fits. */
static size_t toy_take_record(struct toy *t, uint8_t *dst, size_t room)
{
    size_t len = t->in_bytes > 0 ? t->in[0] : 0;
    if (len == 0 || t->in_bytes < 1 + len)
        return 0;
    size_t n = len < room ? len : room;
    for (size_t i = 0; i < n; i++)
        dst[i] = t->in[1 + i] ^ MASK;
    toy_drop(t, n == len ? n + 1 : n);
    if (n < len)
        t->in[0] = (uint8_t)(len - n);
    return n;
}

static ssize_t toy_read(struct conn_layer *l, void *dst, size_t n)
{
    struct toy *t = (struct toy *)l;
    size_t got = 0;
    ssize_t r = 1;
    while (got < n && !l->has_ended && r > 0) {
        if (t->in_bytes > 0 && (t->in[0] == GOODBYE || t->in[0] > RECORD_MAX)) {
            if (toy_control(t, t->in[0]) < 0)
                return got > 0 ? (ssize_t)got : l->error;
            continue;
        }
        size_t taken = toy_take_record(t, (uint8_t *)dst + got, n - got);
        got += taken;
        if (taken == 0)
            r = toy_fill(t);
    }
    if (got > 0 || l->has_ended)
        return (ssize_t)got;
    return r;
}

static int toy_send_record(struct conn_layer *l, const uint8_t *bytes, size_t len)
{
    uint8_t record[1 + RECORD_MAX];
    record[0] = (uint8_t)len;
    for (size_t i = 0; i < len; i++)
        record[1 + i] = bytes[i] ^ MASK;
    return conn_layer_send(l, record, len + 1);
}

static ssize_t toy_write(struct conn_layer *l, const struct iovec *iov, int n)
{
    size_t taken = 0;
    for (int i = 0; i < RECORDS_AT_ONCE && taken < iov[0].iov_len; i++) {
        size_t left = iov[0].iov_len - taken;
        size_t len = left < RECORD_MAX ? left : RECORD_MAX;
        int r = toy_send_record(l, (const uint8_t *)iov[0].iov_base + taken, len);
        if (r < 0)
            return r;
        taken += len;
    }
    return (ssize_t)taken;
}

static void toy_finish(struct conn_layer *l)
{
    uint8_t byte = GOODBYE;
    conn_layer_send(l, &byte, 1);
}

static void toy_free(struct conn_layer *l)
{
    n_toys--;
    free(l);
}

static const struct conn_layer_ops toy_ops = {
    .open = toy_open, .drive = toy_drive, .read = toy_read, .write = toy_write, .finish = toy_finish, .free = toy_free};

static void push_toy(struct conn_parcel *parcel)
{
    struct toy *t = calloc(1, sizeof(*t));
    ck_assert_ptr_nonnull(t);
    t->layer.ops = &toy_ops;
    last_toy = t;
    n_toys++;
    conn_layer_push(&parcel->layer, parcel->fd, &t->layer);
    conn_layer_send(&t->layer, "HI", 2); /* of the upper one of two: waits until the lower one is open */
}

/* --- The user, and the other end */

struct user {
    struct conn *conn;
    uint8_t got[400000];
    size_t got_bytes;
    size_t pause_at;
    int n_ends;
    enum conn_end why;
    char text[64];
};

static struct loop *loop;
static struct user user, other;
static int peer;
static int n_fds_before;

static void on_input(struct conn *c, struct cursor *input, void *arg)
{
    struct user *u = arg;
    size_t n = input->len;
    if (u->pause_at > 0 && u->got_bytes + n > u->pause_at)
        n = u->pause_at - u->got_bytes;
    ck_assert_uint_le(u->got_bytes + n, sizeof(u->got));
    if (n > 0)
        memcpy(u->got + u->got_bytes, input->ptr, n);
    u->got_bytes += n;
    cursor_skip(input, n);
    if (u->pause_at > 0 && u->got_bytes >= u->pause_at)
        conn_pause(c);
}

static void on_end(struct conn *c, enum conn_end why, const char *text, void *arg)
{
    struct user *u = arg;
    u->n_ends++;
    u->why = why;
    snprintf(u->text, sizeof(u->text), "%s", text);
}

static const struct conn_cbs cbs = {.on_input = on_input, .on_end = on_end};

static void attach(struct user *u, int fd, int n_layers)
{
    struct conn_parcel parcel = {.fd = fd, .peer.text = "test"};
    *u = (struct user){.conn = NULL};
    for (int i = 0; i < n_layers; i++)
        push_toy(&parcel);
    ck_assert_int_eq(conn_attach(loop, &parcel, &cbs, u, &u->conn), 0);
    ck_assert_ptr_null(parcel.layer);
}

/* The conn with one layer; the other end is PEER. */
static void open_one(enum socket_kind kind)
{
    int fds[2];
    socket_support_pair(kind, fds);
    attach(&user, fds[0], 1);
    peer = fds[1];
}

/* Two conns with N_LAYERS each, one at either end. */
static void open_two(int n_layers)
{
    int fds[2];
    socket_support_pair(SOCKET_TCP, fds);
    attach(&user, fds[0], n_layers);
    attach(&other, fds[1], n_layers);
}

static void greet(void)
{
    uint8_t bytes[2];
    socket_support_write(peer, "HI", 2);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(socket_support_read(peer, bytes, 2), 2);
}

static void peer_write_record(const char *text)
{
    uint8_t record[1 + RECORD_MAX];
    size_t n = strlen(text);
    record[0] = (uint8_t)n;
    for (size_t i = 0; i < n; i++)
        record[1 + i] = (uint8_t)text[i] ^ MASK;
    socket_support_write(peer, record, n + 1);
}

static void setup(void)
{
    user = other = (struct user){.conn = NULL};
    peer = -1;
    must_wait = false;
    n_toys = n_greeted = 0;
    greeting_ms = 0;
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
    ck_assert_int_eq(n_toys, 0);
    loop = loop_free(loop);
    ck_assert_int_eq(socket_support_count_fds(), n_fds_before);
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

static void queue_pattern(struct user *u, size_t n)
{
    uint8_t *bytes = malloc(n);
    socket_support_fill(bytes, 0, n);
    ck_assert_int_eq(conn_write(u->conn, bytes, n), 0);
    free(bytes);
}

/* --- Tests */

START_TEST(bytes_pass_through_any_number_of_layers)
{
    const size_t total = 300000;
    open_two(_i);
    queue_pattern(&user, total);
    queue_pattern(&other, total);
    run_until_got(&user, total);
    run_until_got(&other, total);
    socket_support_check(user.got, 0, total);
    socket_support_check(other.got, 0, total);
    ck_assert_uint_eq(conn_written_bytes(user.conn), total);
}
END_TEST

START_TEST(the_handshake_goes_on_while_the_user_is_paused)
{
    open_one(SOCKET_TCP);
    conn_pause(user.conn);
    greet();
    peer_write_record("hello");
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
    ck_assert_uint_eq(user.got_bytes, 0);
    conn_resume(user.conn);
    run_until_got(&user, 5);
    ck_assert_mem_eq(user.got, "hello", 5);
}
END_TEST

START_TEST(a_handshake_that_waits_leaves_the_socket_alone_until_it_is_woken)
{
    must_wait = true;
    open_one(SOCKET_TCP);
    if (_i == 1)
        conn_pause(user.conn);
    socket_support_write(peer, "HI", 2);
    peer_write_record("hello");
    loop_support_turns(loop, 3);
    peer_write_record(" again");
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
    ck_assert_uint_eq(user.got_bytes, 0);
    must_wait = false;
    last_toy->wake(last_toy->wake_arg);
    loop_support_turns(loop, 3);
    ck_assert_uint_eq(user.got_bytes, _i == 1 ? 0 : 11);
    conn_resume(user.conn);
    run_until_got(&user, 11);
    ck_assert_mem_eq(user.got, "hello again", 11);
}
END_TEST

START_TEST(a_conn_that_waits_is_lost_with_its_socket_and_goes_unwoken)
{
    must_wait = true;
    open_one(SOCKET_TCP);
    socket_support_write(peer, "HI", 2);
    loop_support_turns(loop, 3);
    socket_support_reset(peer);
    peer = -1;
    loop_support_until(loop, has_ended, &user);
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
    user.conn = conn_close(user.conn, 1000);
    ck_assert_ptr_null(last_toy->wake);
}
END_TEST

static bool all_have_greeted(void *arg)
{
    return n_greeted == *(int *)arg;
}

/* Twelve that take 4 ms each, in turns of 5: nobody else waits for all of them, and all of them are served. */
START_TEST(a_turn_has_time_for_a_few_handshakes_only)
{
    int fds[12][2], count = TEST_COUNT(fds);
    struct conn *conns[TEST_COUNT(fds)];
    greeting_ms = 4;
    for (int i = 0; i < count; i++) {
        socket_support_pair(SOCKET_TCP, fds[i]);
        attach(&user, fds[i][0], 1);
        conns[i] = user.conn;
        socket_support_write(fds[i][1], "HI", 2);
    }
    user.conn = NULL;
    loop_support_turns(loop, 1);
    ck_assert_int_ge(n_greeted, 1);
    ck_assert_int_le(n_greeted, 3);
    loop_support_until(loop, all_have_greeted, &count);
    for (int i = 0; i < count; i++) {
        conn_close(conns[i], 0);
        close(fds[i][1]);
    }
}
END_TEST

START_TEST(what_comes_with_the_end_of_the_handshake_is_offered)
{
    open_one(SOCKET_TCP);
    socket_support_write(peer, "HI\x01\x1b", 4);
    run_until_got(&user, 1);
    ck_assert_int_eq(user.got[0], 'A');
}
END_TEST

START_TEST(what_is_written_during_the_handshake_waits_and_does_not_keep_the_loop_busy)
{
    open_one(SOCKET_TCP);
    ck_assert_int_eq(conn_write(user.conn, "A", 1), 0);
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
    greet();
    uint8_t bytes[10];
    ck_assert_int_eq(socket_support_read(peer, bytes, 10), 2);
    ck_assert_int_eq(bytes[1], 'A' ^ MASK);
}
END_TEST

START_TEST(bytes_held_by_a_layer_come_after_a_pause_although_the_socket_is_silent)
{
    open_one(SOCKET_TCP);
    greet();
    user.pause_at = 3;
    for (int i = 0; i < 50; i++)
        peer_write_record("abc");
    run_until_got(&user, 3);
    loop_support_turns(loop, 3);
    ck_assert_uint_eq(user.got_bytes, 3);
    user.pause_at = 0;
    conn_resume(user.conn);
    run_until_got(&user, 150);
}
END_TEST

START_TEST(a_layer_answers_by_itself_and_never_before_what_it_has_begun)
{
    open_one(SOCKET_TCP);
    greet();
    const uint8_t pings[] = {PING, PING};
    socket_support_write(peer, pings, 2);
    loop_support_turns(loop, 3);
    uint8_t bytes[10];
    ck_assert_int_eq(socket_support_read(peer, bytes, 10), 2);
    ck_assert_int_eq(bytes[0], PONG);
}
END_TEST

static bool peer_has_bytes(void *arg)
{
    uint8_t bytes[65536];
    size_t *left = arg;
    long n = socket_support_read(peer, bytes, *left < sizeof(bytes) ? *left : sizeof(bytes));
    if (n > 0)
        *left -= (size_t)n;
    return *left == 0;
}

static struct loop_timer reader;

static void on_reader(struct loop_timer *timer)
{
    loop_timer_start(timer, 0);
}

START_TEST(what_the_socket_does_not_take_waits_and_comes_in_order)
{
    const size_t total = 16000000, sent = total + total / RECORD_MAX;
    size_t left = sent + 1;
    const uint8_t ping = PING;
    open_one(SOCKET_TCP);
    greet();
    queue_pattern(&user, total);
    loop_support_turns(loop, 100);
    socket_support_write(peer, &ping, 1);
    loop_support_turns(loop, 5);
    ck_assert_uint_gt(conn_queued_bytes(user.conn), 0);
    ck_assert_int_le(loop_support_count_turns(loop, 10), 6);
    loop_timer_init(&reader, loop, on_reader); /* the peer is no conn: let the loop turn until it has read all */
    loop_timer_start(&reader, 0);
    loop_support_until(loop, peer_has_bytes, &left);
    loop_timer_stop(&reader);
    ck_assert_uint_eq(conn_queued_bytes(user.conn), 0);
}
END_TEST

START_TEST(closing_with_time_says_goodbye_from_the_top_down)
{
    uint8_t bytes[20];
    int fds[2];
    socket_support_pair(SOCKET_TCP, fds);
    attach(&user, fds[0], 2);
    peer = fds[1];
    greet();                                             /* the lower layer's */
    const uint8_t upper[] = {2, 'H' ^ MASK, 'I' ^ MASK}; /* the upper one's, as a record of the lower */
    socket_support_write(peer, upper, sizeof(upper));
    loop_support_turns(loop, 3);
    ck_assert_int_eq(socket_support_read(peer, bytes, 3), 3);
    conn_write(user.conn, "A", 1);
    user.conn = conn_close(user.conn, 10000);
    loop_support_turns(loop, 3);
    const uint8_t all[] = {2, 1 ^ MASK, 'A', 1, GOODBYE ^ MASK, GOODBYE};
    ck_assert_int_eq(socket_support_read(peer, bytes, 20), sizeof(all));
    ck_assert_mem_eq(bytes, all, sizeof(all));
    ck_assert_int_eq(socket_support_read(peer, bytes, 20), 0);
    close(peer);
    peer = -1;
    loop_support_to_end(loop);
}
END_TEST

START_TEST(the_end_of_a_layer_is_the_end_of_the_stream)
{
    open_two(2);
    conn_write(other.conn, "bye", 3);
    run_until_got(&user, 3);
    other.conn = conn_close(other.conn, 10000);
    loop_support_until(loop, has_ended, &user);
    ck_assert_int_eq(user.why, CONN_END_EOF);
}
END_TEST

START_TEST(a_layer_that_fails_says_why_to_the_user_and_to_the_peer)
{
    const uint8_t fail[] = {1, 'A' ^ MASK, FAIL, 1, 1, 1};
    open_one(SOCKET_TCP);
    greet();
    socket_support_write(peer, fail, sizeof(fail));
    loop_support_until(loop, has_ended, &user);
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_str_eq(user.text, "toy: told to fail");
    ck_assert_uint_eq(user.got_bytes, 1);
    user.conn = conn_close(user.conn, 10000);
    socket_support_write(peer, fail, sizeof(fail)); /* on its way already: no reset for that */
    loop_support_turns(loop, 3);
    uint8_t bytes[10];
    ck_assert_int_eq(socket_support_read(peer, bytes, 10), 1);
    ck_assert_int_eq(bytes[0], FAILED);
    ck_assert_int_eq(socket_support_read(peer, bytes, 10), 0);
}
END_TEST

START_TEST(a_handshake_that_fails_says_why_also_while_paused)
{
    open_one(SOCKET_TCP);
    conn_pause(user.conn);
    socket_support_write(peer, "GET", 3);
    loop_support_until(loop, has_ended, &user);
    ck_assert_str_eq(user.text, "toy: not the greeting");
    user.conn = conn_close(user.conn, 10000);
    loop_support_turns(loop, 3);
    uint8_t bytes[10];
    ck_assert_int_eq(socket_support_read(peer, bytes, 10), 3);
    ck_assert_int_eq(bytes[2], FAILED);
    ck_assert_int_eq(socket_support_read(peer, bytes, 10), 0);
}
END_TEST

START_TEST(a_peer_that_goes_during_the_handshake_is_an_error)
{
    open_one(SOCKET_TCP);
    uint8_t bytes[2];
    ck_assert_int_eq(socket_support_read(peer, bytes, 2), 2); /* what is left unread would make of the end a reset */
    loop_support_turns(loop, 2);
    if (_i == 0)
        close(peer);
    else
        socket_support_reset(peer);
    peer = -1;
    loop_support_until(loop, has_ended, &user);
    ck_assert_int_eq(user.why, CONN_END_ERROR);
    ck_assert_str_eq(user.text, _i == 0 ? "toy: no greeting" : strerror(ECONNRESET));
}
END_TEST

START_TEST(a_conn_whose_handshake_is_not_done_closes_at_once)
{
    open_one(SOCKET_TCP);
    loop_support_turns(loop, 2);
    conn_write(user.conn, "A", 1);
    user.conn = conn_close(user.conn, 3600 * 1000);
    loop_support_to_end(loop);
    ck_assert_uint_eq(net_conn_count(loop), 0);
}
END_TEST

START_TEST(layers_travel_with_the_bytes_they_hold)
{
    struct conn_parcel parcel;
    open_one(SOCKET_TCP);
    if (_i == 1)
        greet();
    user.pause_at = 1;
    if (_i == 0)
        socket_support_write(peer, "HI", 2);
    for (int i = 0; i < 10; i++)
        peer_write_record("abc");
    if (_i == 1)
        run_until_got(&user, 1);
    conn_detach(user.conn, &parcel);
    user.conn = NULL;
    user.pause_at = 0;
    ck_assert_ptr_nonnull(parcel.layer);
    ck_assert_int_eq(conn_attach(loop, &parcel, &cbs, &user, &user.conn), 0);
    run_until_got(&user, 30);
    ck_assert_mem_eq(user.got, "abcabc", 6);
}
END_TEST

START_TEST(a_parcel_with_layers_can_be_closed)
{
    struct conn_parcel parcel;
    open_one(SOCKET_TCP);
    greet();
    conn_detach(user.conn, &parcel);
    user.conn = NULL;
    conn_parcel_close(&parcel);
    ck_assert_int_eq(n_toys, 0);
}
END_TEST

static Suite *conn_layer_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("conn_layer", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, bytes_pass_through_any_number_of_layers, 0, 4);
    tcase_add_test(tc, the_handshake_goes_on_while_the_user_is_paused);
    tcase_add_loop_test(tc, a_handshake_that_waits_leaves_the_socket_alone_until_it_is_woken, 0, 2);
    tcase_add_test(tc, a_conn_that_waits_is_lost_with_its_socket_and_goes_unwoken);
    tcase_add_test(tc, a_turn_has_time_for_a_few_handshakes_only);
    tcase_add_test(tc, what_comes_with_the_end_of_the_handshake_is_offered);
    tcase_add_test(tc, what_is_written_during_the_handshake_waits_and_does_not_keep_the_loop_busy);
    tcase_add_test(tc, bytes_held_by_a_layer_come_after_a_pause_although_the_socket_is_silent);
    tcase_add_test(tc, a_layer_answers_by_itself_and_never_before_what_it_has_begun);
    tcase_add_test(tc, what_the_socket_does_not_take_waits_and_comes_in_order);
    tcase_add_test(tc, closing_with_time_says_goodbye_from_the_top_down);
    tcase_add_test(tc, the_end_of_a_layer_is_the_end_of_the_stream);
    tcase_add_test(tc, a_layer_that_fails_says_why_to_the_user_and_to_the_peer);
    tcase_add_test(tc, a_handshake_that_fails_says_why_also_while_paused);
    tcase_add_loop_test(tc, a_peer_that_goes_during_the_handshake_is_an_error, 0, 2);
    tcase_add_test(tc, a_conn_whose_handshake_is_not_done_closes_at_once);
    tcase_add_loop_test(tc, layers_travel_with_the_bytes_they_hold, 0, 2);
    tcase_add_test(tc, a_parcel_with_layers_can_be_closed);
    return suite;
}

TEST_MAIN(conn_layer_suite)
