/* Streams over loopback, both sides in this process: order, ends, back-pressure, life. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "rpc_fixture.h"
#include "test_main.h"

static struct rig rig;
static struct end client;

static void setup_ends(unsigned n)
{
    rig_init(&rig, n);
    client = (struct end){.rig = &rig};
}

static void setup(void)
{
    setup_ends(1);
}

static void teardown(void)
{
    end_free(&client);
    rig_deinit(&rig);
}

/* The server's end of `client`, once its stream has arrived. */
static struct end *connect_ends(void)
{
    end_open(&client, &rig);
    RIG_RUN_UNTIL(&rig, rig.n_arrived == 1);
    return &rig.ends[0];
}

/* --- Messages */

START_TEST(messages_arrive_in_order_both_ways)
{
    enum { N = 10000 };
    struct end *server = connect_ends();
    for (uint32_t i = 0; i < N; i++) {
        end_send(&client, i, 4 + i % 300);
        end_send(server, i, 4 + i % 700);
    }
    RIG_RUN_UNTIL(&rig, client.n_messages == N && server->n_messages == N);
    ck_assert_uint_eq(client.n_wrong + server->n_wrong, 0);
    ck_assert_uint_eq(rpc_stream_queued_bytes(client.stream), 0);
}
END_TEST

/* A message sent with the buffer hint stays in libgrpc until another one follows. */
START_TEST(a_burst_of_any_length_leaves_without_help)
{
    static const unsigned lengths[] = {1, 2, 3, 7, 100, 1000};
    struct end *server = connect_ends();
    uint32_t sent = 0;
    for (unsigned i = 0; i < TEST_COUNT(lengths); i++) {
        for (unsigned k = 0; k < lengths[i]; k++)
            end_send(&client, sent++, i % 2 ? 2000 : 10);
        RIG_RUN_UNTIL(&rig, server->n_messages == sent);
    }
    ck_assert_uint_eq(server->n_wrong, 0);
}
END_TEST

START_TEST(an_empty_message_is_a_message)
{
    struct end *server = connect_ends();
    rpc_stream_send(client.stream, rpc_message_new(0));
    struct rpc_message *m = rpc_message_new(100);
    rpc_message_set_length(m, 0);
    rpc_stream_send(server->stream, m);
    RIG_RUN_UNTIL(&rig, server->n_messages == 1 && client.n_messages == 1);
    ck_assert_uint_eq(client.n_bytes + server->n_bytes, 0);
}
END_TEST

START_TEST(large_messages_come_in_one_run)
{
    struct end *server = connect_ends();
    for (uint32_t i = 0; i < 5; i++) {
        end_send(&client, i, RIG_MAX_MESSAGE - i);
        end_send(server, i, 5 * RIG_MAX_MESSAGE); /* the client has no limit */
    }
    RIG_RUN_UNTIL(&rig, client.n_messages == 5 && server->n_messages == 5);
    ck_assert_uint_eq(client.n_wrong + server->n_wrong, 0);
}
END_TEST

START_TEST(a_message_above_the_limit_ends_its_stream_alone)
{
    teardown();
    setup_ends(2);
    struct end other = {.rig = &rig};
    struct end *server = connect_ends();
    end_open(&other, &rig);
    end_send(&client, 0, RIG_MAX_MESSAGE + 1);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1 && server->n_ends == 1 && rig.n_arrived == 2);
    ck_assert_int_eq(client.status, RPC_RESOURCE_EXHAUSTED);
    ck_assert_uint_eq(server->n_messages, 0);
    end_send(&other, 0, 10);
    RIG_RUN_UNTIL(&rig, rig.ends[1].n_messages == 1);
    end_free(&other);
}
END_TEST

static const size_t low_marks[] = {0, 1000};

/* Taken by the peer's HTTP/2 only as far as it reads: so the queue is not empty for as long as a test wants. */
static void fill_queue(struct end *sender, const struct end *receiver)
{
    rpc_stream_pause(receiver->stream);
    for (uint32_t i = 0; i < 500; i++)
        end_send(sender, i, 100 * 1000);
}

START_TEST(on_drain_comes_once_when_it_was_asked_for)
{
    struct end *server = connect_ends();
    rpc_stream_set_low_mark(client.stream, low_marks[_i]);
    fill_queue(&client, server);
    ck_assert(rpc_stream_wait_drain(client.stream));
    ck_assert(rpc_stream_wait_drain(client.stream));
    rpc_stream_resume(server->stream);
    RIG_RUN_UNTIL(&rig, client.n_drains > 0);
    ck_assert_uint_le(rpc_stream_queued_bytes(client.stream), low_marks[_i]);
    ck_assert(!rpc_stream_wait_drain(client.stream));
    RIG_RUN_UNTIL(&rig, server->n_messages == 500);
    end_send(server, 0, 10); /* what it had to be told has come before this */
    RIG_RUN_UNTIL(&rig, client.n_messages == 1);
    ck_assert_uint_eq(client.n_drains, 1);
}
END_TEST

START_TEST(on_drain_comes_not_when_nobody_asks)
{
    struct end *server = connect_ends();
    rpc_stream_set_low_mark(client.stream, low_marks[_i]);
    fill_queue(&client, server);
    rpc_stream_resume(server->stream);
    RIG_RUN_UNTIL(&rig, server->n_messages == 500);
    end_send(server, 0, 10);
    RIG_RUN_UNTIL(&rig, client.n_messages == 1);
    ck_assert_uint_eq(client.n_drains, 0);
}
END_TEST

/* The mail of the first is under way when the second is asked for: it may not be taken for the answer. */
START_TEST(on_drain_is_the_answer_to_the_latest_question)
{
    struct end *server = connect_ends();
    rpc_stream_set_low_mark(client.stream, 0);
    for (unsigned round = 0; round < 300; round++) {
        unsigned before = client.n_drains;
        end_send(&client, 2 * round, 10);
        rpc_stream_wait_drain(client.stream);
        end_send(&client, 2 * round + 1, 16000);
        bool is_due = rpc_stream_wait_drain(client.stream);
        RIG_RUN_UNTIL(&rig, server->n_messages == 2 * (round + 1) && client.n_drains >= before + is_due);
        ck_assert_uint_eq(client.n_drains, before + is_due);
        ck_assert(!rpc_stream_wait_drain(client.stream));
    }
}
END_TEST

START_TEST(an_ended_stream_does_not_drain)
{
    struct end *server = connect_ends();
    fill_queue(&client, server);
    ck_assert(rpc_stream_wait_drain(client.stream));
    rpc_stream_cancel(client.stream, RPC_CANCELLED, "enough");
    ck_assert(rpc_stream_wait_drain(client.stream));
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert(rpc_stream_wait_drain(client.stream));
    ck_assert_uint_eq(client.n_drains, 0);
}
END_TEST

/* --- Metadata */

START_TEST(metadata_is_seen_by_the_other_side)
{
    end_open(&client, &rig);
    ck_assert_ptr_null(rpc_stream_metadata(client.stream, "x-server")); /* not before on_headers */
    RIG_RUN_UNTIL(&rig, rig.n_arrived == 1);
    const struct end *server = &rig.ends[0];
    ck_assert_str_eq(rpc_stream_metadata(server->stream, "session-id"), "s-1");
    ck_assert_str_eq(rpc_stream_metadata(server->stream, "x-empty"), "");
    ck_assert_ptr_null(rpc_stream_metadata(server->stream, "absent"));
    RIG_RUN_UNTIL(&rig, client.n_headers == 1);
    ck_assert_str_eq(rpc_stream_metadata(client.stream, "x-server"), "yes");
    const char *first = rpc_stream_metadata(client.stream, "x-server");
    ck_assert_ptr_eq(first, rpc_stream_metadata(client.stream, "x-server"));
    ck_assert_ptr_nonnull(strstr(rpc_stream_peer(server->stream), "127.0.0.1:"));
}
END_TEST

START_TEST(a_peer_on_this_machine_is_known)
{
    const struct end *server = connect_ends();
    RIG_RUN_UNTIL(&rig, client.n_headers == 1);
    ck_assert(rpc_stream_is_loopback(client.stream));
    ck_assert(rpc_stream_is_loopback(server->stream));

    static const char *const local[] = {"ipv4:127.0.0.1:50122",
                                        "ipv4:127.3.2.1:1",
                                        "ipv6:[::1]:50122",
                                        "ipv6:%5B::1%5D:50122",
                                        "ipv6:[::FFFF:127.0.0.1]:1",
                                        "ipv6:%5b::ffff:127.9.9.9%5d:1",
                                        "unix:",
                                        "unix:/run/s-proxy.sock"};
    static const char *const remote[] = {"ipv4:10.0.0.8:50122", "ipv4:12.7.0.1:1", "ipv6:[2001:db8::1]:50122",
                                         "ipv6:[::1234]:1",     "ipv6:[::1:2]:1",  "ipv6:%5B::ffff:10.0.0.1%5D:1",
                                         "ipv6:[::2]:127",      "unknown",         ""};
    for (unsigned i = 0; i < TEST_COUNT(local); i++)
        ck_assert_msg(rpc_peer_is_loopback(local[i]), "%s", local[i]);
    for (unsigned i = 0; i < TEST_COUNT(remote); i++)
        ck_assert_msg(!rpc_peer_is_loopback(remote[i]), "%s", remote[i]);
}
END_TEST

/* Such a header would end the connection with everybody on it. */
START_TEST(metadata_that_http2_does_not_allow_is_refused)
{
    static const struct rpc_metadata bad[] = {
        {"id", "a\nb"}, {"id", "\x7f"}, {"id", "caf\xc3\xa9"}, {"Id", "x"}, {"", "x"}, {"a b", "x"}, {"id-bin", "x"},
    };
    struct rpc_stream *s = NULL;
    for (unsigned i = 0; i < TEST_COUNT(bad); i++) {
        const struct rpc_metadata both[] = {{"good", "value"}, bad[i]};
        ck_assert_int_eq(rpc_stream_open(rig.channel, rig.mailbox, RIG_PATH, both, 2, &end_cbs, &client, &s), -EINVAL);
        ck_assert_ptr_nonnull(strstr(err_text(), bad[i].key));
    }
}
END_TEST

/* --- Ends */

START_TEST(half_close_comes_behind_all_messages)
{
    struct end *server = connect_ends();
    for (uint32_t i = 0; i < 100; i++)
        end_send(&client, i, 1000);
    rpc_stream_half_close(client.stream);
    end_send(&client, 100, 1000); /* too late: dropped */
    RIG_RUN_UNTIL(&rig, server->n_half_closes == 1);
    ck_assert_uint_eq(server->n_messages, 100);
    ck_assert_uint_eq(server->n_ends, 0);

    end_send(server, 0, 10); /* the other direction goes on */
    RIG_RUN_UNTIL(&rig, client.n_messages == 1);
    rpc_stream_finish(server->stream, RPC_OK, NULL);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1 && server->n_ends == 1);
    ck_assert_int_eq(client.status, RPC_OK);
    ck_assert_int_eq(server->status, RPC_OK);
    ck_assert_uint_eq(server->n_half_closes, 1);
}
END_TEST

START_TEST(a_half_close_before_anything_else_is_seen)
{
    end_open(&client, &rig);
    rpc_stream_half_close(client.stream);
    RIG_RUN_UNTIL(&rig, rig.ends[0].n_half_closes == 1);
}
END_TEST

START_TEST(finish_comes_behind_all_messages)
{
    struct end *server = connect_ends();
    for (uint32_t i = 0; i < 100; i++)
        end_send(server, i, 1000);
    rpc_stream_finish(server->stream, RPC_RESOURCE_EXHAUSTED, "too much\nof caf\xc3\xa9");
    end_send(server, 100, 1000);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1 && server->n_ends == 1);
    ck_assert_uint_eq(client.n_messages, 100);
    ck_assert_uint_eq(client.n_wrong, 0);
    ck_assert_int_eq(client.status, RPC_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(client.text, "too much?of caf??");
    ck_assert_int_eq(server->status, RPC_OK);
}
END_TEST

START_TEST(a_status_text_is_cut_not_refused)
{
    char text[20000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct end *server = connect_ends();
    rpc_stream_finish(server->stream, RPC_UNAVAILABLE, text);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_int_eq(client.status, RPC_UNAVAILABLE);
    ck_assert_uint_eq(strlen(client.text), 511);
}
END_TEST

START_TEST(a_client_that_cancels_has_not_half_closed)
{
    struct end *server = connect_ends();
    rpc_stream_cancel(client.stream, RPC_DEADLINE_EXCEEDED, "tired");
    rpc_stream_cancel(client.stream, RPC_INTERNAL, "twice");
    RIG_RUN_UNTIL(&rig, client.n_ends == 1 && server->n_ends == 1);
    ck_assert_int_eq(client.status, RPC_DEADLINE_EXCEEDED);
    ck_assert_str_eq(client.text, "tired");
    ck_assert_int_eq(server->status, RPC_CANCELLED);
    ck_assert_uint_eq(server->n_half_closes, 0);
}
END_TEST

START_TEST(a_client_that_frees_its_stream_is_seen_as_lost)
{
    struct end *server = connect_ends();
    end_send(&client, 0, 100);
    RIG_RUN_UNTIL(&rig, server->n_messages == 1);
    end_free(&client);
    RIG_RUN_UNTIL(&rig, server->n_ends == 1);
    ck_assert_int_eq(server->status, RPC_CANCELLED);
    ck_assert_uint_eq(server->n_half_closes, 0);
    ck_assert_uint_eq(client.n_ends, 0);
}
END_TEST

START_TEST(a_server_that_cancels_sends_its_status)
{
    struct end *server = connect_ends();
    for (uint32_t i = 0; i < 100; i++)
        end_send(server, i, 100000);
    rpc_stream_cancel(server->stream, RPC_PERMISSION_DENIED, "not you");
    RIG_RUN_UNTIL(&rig, client.n_ends == 1 && server->n_ends == 1);
    ck_assert_int_eq(client.status, RPC_PERMISSION_DENIED);
    ck_assert_str_eq(client.text, "not you");
    ck_assert_int_eq(server->status, RPC_PERMISSION_DENIED);
    ck_assert_uint_lt(client.n_messages, 100);
    ck_assert_uint_eq(rpc_stream_queued_bytes(server->stream), 0);
}
END_TEST

START_TEST(a_server_that_frees_its_stream_ends_it)
{
    struct end *server = connect_ends();
    end_free(server);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_int_ne(client.status, RPC_OK);
    ck_assert_uint_eq(server->n_ends, 0);
}
END_TEST

START_TEST(a_refused_connection_is_unavailable_every_time)
{
    struct rpc_channel *nowhere = NULL;
    const struct rpc_channel_params params = {.target = "127.0.0.1:1"};
    ck_assert_int_eq(rpc_channel_open(rig.cq, &params, &nowhere), 0);
    ck_assert_str_eq(rpc_channel_target(nowhere), "127.0.0.1:1");
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(rpc_stream_open(nowhere, rig.mailbox, RIG_PATH, NULL, 0, &end_cbs, &client, &client.stream),
                         0);
        end_send(&client, 0, 100);
        RIG_RUN_UNTIL(&rig, client.n_ends == i);
        ck_assert_int_eq(client.status, RPC_UNAVAILABLE);
        ck_assert_uint_eq(client.n_headers, 0);
        end_free(&client);
    }
    rpc_channel_close(nowhere);
}
END_TEST

START_TEST(a_stream_outlives_its_channel)
{
    struct end *server = connect_ends();
    rig.channel = rpc_channel_close(rig.channel);
    end_send(&client, 0, 10);
    end_send(server, 0, 10);
    RIG_RUN_UNTIL(&rig, server->n_messages == 1 && client.n_messages == 1);
}
END_TEST

/* --- Back-pressure */

static void echo(struct end *e, enum end_event event, const uint8_t *bytes, size_t n)
{
    if (event == END_MESSAGE)
        end_send(e, e->n_messages - 1, n);
}

static void flood_on_drain(struct end *e, enum end_event event, const uint8_t *bytes, size_t n)
{
    uint32_t *sent = e->arg;
    if (event != END_DRAIN && event != END_HEADERS)
        return;
    while (rpc_stream_queued_bytes(e->stream) < 256 * 1024)
        end_send(e, (*sent)++, 16000);
    rpc_stream_wait_drain(e->stream);
}

/* Whether DIRECTION stalls is seen by the progress of another stream on the same connection, not by a clock. */
static void check_pause(struct end *sender, struct end *receiver, struct end *probe)
{
    enum { ROUNDS = 300, BOUND = 64 * 1024 * 1024 };
    uint32_t sent = 0;
    sender->arg = &sent;
    sender->on_event = flood_on_drain;
    rpc_stream_pause(receiver->stream);
    flood_on_drain(sender, END_DRAIN, NULL, 0);
    uint32_t before;
    do { /* until a long conversation goes by without a byte of the flood being taken */
        before = sent;
        for (unsigned i = 0; i < ROUNDS; i++) {
            unsigned now = probe->n_messages;
            end_send(probe, now, 100);
            RIG_RUN_UNTIL(&rig, probe->n_messages > now);
        }
        ck_assert_uint_lt((size_t)sent * 16000, BOUND);
    } while (sent != before);
    unsigned seen = receiver->n_messages;
    ck_assert_uint_le(seen, 1); /* what was under way when it paused */

    sender->on_event = NULL;
    rpc_stream_resume(receiver->stream);
    RIG_RUN_UNTIL(&rig, receiver->n_messages == sent);
    ck_assert_uint_eq(receiver->n_wrong, 0);
}

START_TEST(a_paused_receiver_stops_its_peer_and_nobody_else)
{
    teardown();
    setup_ends(2);
    struct end probe = {.rig = &rig};
    struct end *server = connect_ends();
    rig.ends[1].on_event = echo;
    end_open(&probe, &rig);
    RIG_RUN_UNTIL(&rig, rig.n_arrived == 2);
    if (_i == 0)
        check_pause(&client, server, &probe);
    else
        check_pause(server, &client, &probe);
    end_free(&probe);
}
END_TEST

START_TEST(a_paused_stream_still_ends)
{
    struct end *server = connect_ends();
    rpc_stream_pause(client.stream);
    rpc_stream_finish(server->stream, RPC_UNAVAILABLE, "gone");
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_int_eq(client.status, RPC_UNAVAILABLE);
}
END_TEST

START_TEST(a_held_message_makes_the_others_wait)
{
    struct end *server = connect_ends();
    server->holds_next = true;
    for (uint32_t i = 0; i < 100; i++)
        end_send(&client, i, 10000);
    rpc_stream_half_close(client.stream);
    RIG_RUN_UNTIL(&rig, server->n_messages == 1);
    end_send(server, 0, 10); /* something else happens meanwhile */
    RIG_RUN_UNTIL(&rig, client.n_messages == 1);
    ck_assert_uint_eq(server->n_messages, 1);
    server->holds_next = true;
    gate_continue(server->wait);
    RIG_RUN_UNTIL(&rig, server->n_messages == 2);
    ck_assert_uint_eq(server->n_half_closes, 0);
    gate_continue(server->wait);
    RIG_RUN_UNTIL(&rig, server->n_half_closes == 1);
    ck_assert_uint_eq(server->n_messages, 100);
    ck_assert_uint_eq(server->n_wrong, 0);
}
END_TEST

START_TEST(a_wait_outlives_its_stream)
{
    struct end *server = connect_ends();
    server->holds_next = true;
    end_send(&client, 0, 100);
    end_send(&client, 1, 100);
    RIG_RUN_UNTIL(&rig, server->n_messages == 1);
    end_free(server);
    ck_assert(!gate_wait_is_alive(server->wait));
    gate_continue(server->wait);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_uint_eq(server->n_messages, 1);
}
END_TEST

/* --- Life */

static void free_at_event(struct end *e, enum end_event event, const uint8_t *bytes, size_t n)
{
    const enum end_event *wanted = e->arg;
    if (event != *wanted)
        return;
    uint8_t last = n ? bytes[n - 1] : 0;
    end_free(e);
    if (n)
        ck_assert_uint_eq(bytes[n - 1], last); /* the message lasts as long as the callback */
}

static void drain_at_once(struct end *sender, const struct end *receiver)
{
    fill_queue(sender, receiver);
    ck_assert(rpc_stream_wait_drain(sender->stream));
    rpc_stream_resume(receiver->stream);
}

/* What makes each event happen at the client (i < 5) and at the server (i >= 5). */
START_TEST(a_stream_may_be_freed_in_any_callback)
{
    static const enum end_event events[] = {END_HEADERS, END_MESSAGE, END_DRAIN, END_HALF_CLOSE, END_END};
    enum end_event wanted = events[_i % 5];
    bool is_client = _i < 5;
    if ((wanted == END_HALF_CLOSE && is_client) || (wanted == END_HEADERS && !is_client))
        return; /* the server's, the client's only */
    struct end *server = &rig.ends[0];
    struct end *victim = is_client ? &client : server;
    victim->on_event = free_at_event;
    victim->arg = &wanted;
    end_open(&client, &rig);
    for (uint32_t i = 0; i < 50; i++)
        end_send(&client, i, 5000);
    RIG_RUN_UNTIL(&rig, rig.n_arrived == 1);
    for (uint32_t i = 0; i < 50 && server->stream; i++)
        end_send(server, i, 5000);
    if (wanted == END_HALF_CLOSE)
        rpc_stream_half_close(client.stream);
    if (wanted == END_END)
        rpc_stream_finish(server->stream, RPC_OK, NULL);
    const struct end *other = is_client ? server : &client;
    if (wanted == END_DRAIN)
        drain_at_once(victim, other);
    RIG_RUN_UNTIL(&rig, !victim->stream);
    if (other->stream)
        RIG_RUN_UNTIL(&rig, other->n_ends == 1);
    ck_assert_uint_eq(victim->n_ends, wanted == END_END);
}
END_TEST

START_TEST(a_stream_freed_at_once_leaves_nothing)
{
    for (int i = 0; i < 20; i++) {
        end_open(&client, &rig);
        if (i % 2)
            end_send(&client, 0, 100000);
        end_free(&client);
    }
    rig.refuses_arrivals = true; /* one may have been fast enough */
}
END_TEST

START_TEST(five_hundred_streams_talk_at_once)
{
    enum { STREAMS = 500, MESSAGES = 20 };
    teardown();
    setup_ends(STREAMS);
    struct end *clients = calloc(STREAMS, sizeof(*clients));
    for (unsigned i = 0; i < STREAMS; i++) {
        rig.ends[i].on_event = echo;
        end_open(&clients[i], &rig);
        for (uint32_t k = 0; k < MESSAGES; k++)
            end_send(&clients[i], k, 100 + i);
        rpc_stream_half_close(clients[i].stream);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        RIG_RUN_UNTIL(&rig, clients[i].n_messages == MESSAGES);
        ck_assert_uint_eq(clients[i].n_wrong, 0);
    }
    for (unsigned i = 0; i < STREAMS; i++)
        end_free(&clients[i]);
    free(clients);
}
END_TEST

START_TEST(statuses_have_names)
{
    ck_assert_str_eq(rpc_status_name(RPC_OK), "OK");
    ck_assert_str_eq(rpc_status_name(RPC_UNAVAILABLE), "UNAVAILABLE");
    ck_assert_str_eq(rpc_status_name(RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    ck_assert_ptr_nonnull(rpc_status_name(-1));
    ck_assert_ptr_nonnull(rpc_status_name(17));
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("rpc_stream", &t);
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, messages_arrive_in_order_both_ways);
    tcase_add_test(t, a_burst_of_any_length_leaves_without_help);
    tcase_add_test(t, an_empty_message_is_a_message);
    tcase_add_test(t, large_messages_come_in_one_run);
    tcase_add_test(t, a_message_above_the_limit_ends_its_stream_alone);
    tcase_add_loop_test(t, on_drain_comes_once_when_it_was_asked_for, 0, TEST_COUNT(low_marks));
    tcase_add_loop_test(t, on_drain_comes_not_when_nobody_asks, 0, TEST_COUNT(low_marks));
    tcase_add_test(t, on_drain_is_the_answer_to_the_latest_question);
    tcase_add_test(t, an_ended_stream_does_not_drain);
    tcase_add_test(t, a_peer_on_this_machine_is_known);
    tcase_add_test(t, metadata_is_seen_by_the_other_side);
    tcase_add_test(t, metadata_that_http2_does_not_allow_is_refused);
    tcase_add_test(t, half_close_comes_behind_all_messages);
    tcase_add_test(t, a_half_close_before_anything_else_is_seen);
    tcase_add_test(t, finish_comes_behind_all_messages);
    tcase_add_test(t, a_status_text_is_cut_not_refused);
    tcase_add_test(t, a_client_that_cancels_has_not_half_closed);
    tcase_add_test(t, a_client_that_frees_its_stream_is_seen_as_lost);
    tcase_add_test(t, a_server_that_cancels_sends_its_status);
    tcase_add_test(t, a_server_that_frees_its_stream_ends_it);
    tcase_add_test(t, a_refused_connection_is_unavailable_every_time);
    tcase_add_test(t, a_stream_outlives_its_channel);
    tcase_add_loop_test(t, a_paused_receiver_stops_its_peer_and_nobody_else, 0, 2);
    tcase_add_test(t, a_paused_stream_still_ends);
    tcase_add_test(t, a_held_message_makes_the_others_wait);
    tcase_add_test(t, a_wait_outlives_its_stream);
    tcase_add_loop_test(t, a_stream_may_be_freed_in_any_callback, 0, 10);
    tcase_add_test(t, a_stream_freed_at_once_leaves_nothing);
    tcase_add_test(t, five_hundred_streams_talk_at_once);
    tcase_add_test(t, statuses_have_names);
    return s;
}

TEST_MAIN(suite)
