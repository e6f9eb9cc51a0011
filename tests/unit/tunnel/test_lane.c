/* Lanes, both ends ours: once over the relay service, once over a trunk (LANE_CARRIER). What differs is noted where it
 * does. */
#include <stdio.h>
#include <string.h>

#include "lane_fixture.h"
#include "packet_gen.h"
#include "test_main.h"

enum { SERVERS = 2 };

static struct rig rig;
static struct party client, other;
static struct party servers[SERVERS];
static struct party *const server = &servers[0];

static void setup(void)
{
    memset(&client, 0, sizeof(client));
    memset(&other, 0, sizeof(other));
    lanes_init(&rig, LANE_CARRIER, servers, SERVERS);
}

static void teardown(void)
{
    party_free(&client);
    party_free(&other);
    for (unsigned i = 0; i < SERVERS; i++)
        party_free(&servers[i]);
    lanes_deinit(&rig);
}

static void connect_lane(uint8_t version)
{
    party_open(&client, &rig, sample_connect(version, 0));
    RIG_RUN_UNTIL(&rig, client.n_opens == 1 && server->n_packets == 1);
}

static void echo(struct party *p, enum party_event event, const struct mqtt_packet *packet)
{
    if (event == PARTY_PACKET && packet->type == MQTT_PUBLISH)
        ck_assert_int_eq(lane_send(p->lane, packet), 0);
}

/* A lane beside the one under test, whose progress tells that time goes by. */
static void talk_on_another_lane(unsigned rounds)
{
    if (!other.lane) {
        unsigned index = lanes_arrived();
        party_open(&other, &rig, sample_connect(MQTT_V311, 0));
        RIG_RUN_UNTIL(&rig, other.n_opens == 1 && servers[index].n_packets == 1);
        servers[index].on_event = echo;
    }
    for (unsigned i = 0; i < rounds; i++) {
        unsigned before = other.n_packets;
        party_publish(&other, MQTT_V311, before, 50);
        RIG_RUN_UNTIL(&rig, other.n_packets > before);
    }
}

/* --- Packets */

struct generated {
    struct packet_gen to_send, expected;
    unsigned left;
    uint8_t version;
};

static void next_generated(struct packet_gen *g, uint8_t version, struct mqtt_packet *ret)
{
    do
        packet_gen_next(g, version, ret);
    while (ret->type == MQTT_CONNECT);
}

static void send_generated(struct party *p, struct generated *g)
{
    struct mqtt_packet packet;
    for (; g->left && lane_may_send(p->lane); g->left--) {
        next_generated(&g->to_send, g->version, &packet);
        ck_assert_int_eq(lane_send(p->lane, &packet), 0);
    }
}

/* ARG: what this party sends, and what the other one has sent. */
static void exchange_generated(struct party *p, enum party_event event, const struct mqtt_packet *packet)
{
    struct generated **both = p->arg;
    struct mqtt_packet expected;
    if (event == PARTY_WRITABLE)
        send_generated(p, both[0]);
    if (event != PARTY_PACKET || packet->type == MQTT_CONNECT)
        return;
    next_generated(&both[1]->expected, both[1]->version, &expected);
    if (!mqtt_packet_equal(packet, &expected))
        p->n_wrong++;
}

START_TEST(every_packet_arrives_as_it_was_sent)
{
    enum { N = 3000 };
    uint8_t version = (uint8_t)(MQTT_V31 + _i);
    struct generated up = {.left = N, .version = version}, down = {.left = N, .version = version};
    struct generated *of_client[] = {&up, &down}, *of_server[] = {&down, &up};
    packet_gen_init(&up.to_send, 1), packet_gen_init(&up.expected, 1);
    packet_gen_init(&down.to_send, 2), packet_gen_init(&down.expected, 2);

    connect_lane(version);
    client.is_unnumbered = server->is_unnumbered = true;
    client.arg = of_client, client.on_event = exchange_generated;
    server->arg = of_server, server->on_event = exchange_generated;
    client.n_packets = server->n_packets = 0;
    send_generated(&client, &up);
    send_generated(server, &down);
    RIG_RUN_UNTIL(&rig, client.n_packets == N && server->n_packets == N);
    ck_assert_uint_eq(client.n_wrong + server->n_wrong, 0);
    packet_gen_deinit(&up.to_send), packet_gen_deinit(&up.expected);
    packet_gen_deinit(&down.to_send), packet_gen_deinit(&down.expected);
}
END_TEST

START_TEST(a_connect_is_the_first_packet_and_arrives_whole)
{
    /* The last ones are above what an unknown peer takes: they wait until it is known, and go in pieces. */
    static const size_t bytes[] = {0, 100, 65535, 3 << 20, 5 << 20, 30 << 20};
    const struct mqtt_packet *connect = _i < 3 ? sample_connect(MQTT_V5, bytes[_i]) : sample_large_connect(bytes[_i]);
    server->holds_next = true;
    party_open(&client, &rig, connect);
    RIG_RUN_UNTIL(&rig, server->n_packets == 1);
    ck_assert(mqtt_packet_equal(server->held_copy, connect));
    ck_assert_uint_eq(server->n_opens, 1);
    ck_assert(lane_peer(server->lane)->is_extended);
    ck_assert_str_eq(lane_session_id(server->lane), "00112233445566778899aabbccddeeff");
    RIG_RUN_UNTIL(&rig, client.n_opens == 1);
    ck_assert(lane_peer(client.lane)->is_extended);
}
END_TEST

START_TEST(packets_sent_before_the_peer_is_known_follow_in_order)
{
    party_open(&client, &rig, sample_connect(MQTT_V311, 0));
    ck_assert(!lane_may_send(client.lane));
    for (uint32_t i = 0; i < 20; i++)
        ck_assert_int_eq(party_publish(&client, MQTT_V311, i, 20000), 0);
    RIG_RUN_UNTIL(&rig, server->n_packets == 21);
    ck_assert_uint_eq(server->n_wrong, 0);
}
END_TEST

/* --- Large packets */

START_TEST(a_large_packet_goes_in_pieces_and_keeps_its_place)
{
    enum { LARGE = 20 * 1000 * 1000 };
    connect_lane(MQTT_V5);
    struct party *from = _i ? server : &client, *to = _i ? &client : server;
    unsigned before = to->n_packets;
    party_publish(from, MQTT_V5, 0, 100);
    party_publish(from, MQTT_V5, 1, LARGE);
    party_publish(from, MQTT_V5, 2, 100);
    ck_assert(!lane_may_send(from->lane));
    RIG_RUN_UNTIL(&rig, to->n_packets == before + 3);
    ck_assert_uint_eq(to->n_wrong, 0);
    ck_assert_uint_eq(to->n_payload_bytes, LARGE + 200);
    ck_assert_uint_gt(to->n_progress, 10);
    RIG_RUN_UNTIL(&rig, from->n_writable > 0);
    ck_assert(lane_may_send(from->lane));
}
END_TEST

START_TEST(another_lane_does_not_wait_for_a_large_packet)
{
    enum { LARGE = 60 * 1000 * 1000 };
    connect_lane(MQTT_V5);
    talk_on_another_lane(1);
    party_publish(&client, MQTT_V5, 0, LARGE);
    talk_on_another_lane(3);
    ck_assert_uint_eq(server->n_packets, 1);
    RIG_RUN_UNTIL(&rig, server->n_packets == 2);
    ck_assert_uint_eq(server->n_wrong, 0);
}
END_TEST

/* --- Credit */

static void send_while_allowed(struct party *p, enum party_event event, const struct mqtt_packet *packet)
{
    uint32_t *sent = p->arg;
    if (p->n_finished > 0)
        return; /* a lane whose peer has gone takes everything */
    while ((event == PARTY_WRITABLE || event == PARTY_OPEN) && lane_may_send(p->lane))
        ck_assert_int_eq(party_publish(p, MQTT_V311, (*sent)++, 1000), 0);
}

static void start_flood(struct party *p, uint32_t *sent)
{
    p->arg = sent;
    p->on_event = send_while_allowed;
    send_while_allowed(p, PARTY_WRITABLE, NULL);
}

/* Until a long conversation goes by in which nothing moves. */
static void wait_for_standstill(const uint32_t *a, const uint32_t *b)
{
    uint32_t before;
    do {
        before = *a + *b;
        talk_on_another_lane(100);
    } while (*a + *b != before);
}

START_TEST(a_session_that_consumes_nothing_stops_its_peer)
{
    connect_lane(MQTT_V311);
    struct party *from = _i ? server : &client, *to = _i ? &client : server;
    uint32_t sent = 0;
    to->is_stalled = true;
    start_flood(from, &sent);
    wait_for_standstill(&sent, &sent);
    ck_assert_uint_ge((size_t)sent * 1000, LANE_WINDOW_BYTES / 2);
    ck_assert_uint_le((size_t)sent * 1000, LANE_WINDOW_BYTES + LANE_WINDOW_BYTES / 4);

    uint32_t stopped_at = sent;
    party_consume(to);
    RIG_RUN_UNTIL(&rig, sent > stopped_at + 10000);
    from->on_event = NULL;
    RIG_RUN_UNTIL(&rig, to->next_number == sent);
    ck_assert_uint_eq(to->n_wrong, 0);
}
END_TEST

START_TEST(two_full_directions_do_not_wait_for_each_other)
{
    connect_lane(MQTT_V311);
    uint32_t up = 0, down = 0;
    client.is_stalled = server->is_stalled = true;
    start_flood(&client, &up);
    start_flood(server, &down);
    wait_for_standstill(&up, &down);
    uint32_t stopped_at = down;
    party_consume(&client); /* one side only: the other direction must come free */
    RIG_RUN_UNTIL(&rig, down > stopped_at + 5000);
    stopped_at = up;
    party_consume(server);
    RIG_RUN_UNTIL(&rig, up > stopped_at + 5000);
    ck_assert_uint_eq(client.n_wrong + server->n_wrong, 0);
}
END_TEST

START_TEST(a_paused_lane_gives_no_credit)
{
    connect_lane(MQTT_V311);
    uint32_t sent = 0;
    lane_pause(server->lane, true);
    start_flood(&client, &sent);
    wait_for_standstill(&sent, &sent);
    ck_assert_uint_le((size_t)sent * 1000, LANE_WINDOW_BYTES + LANE_WINDOW_BYTES / 4);
    lane_pause(server->lane, false);
    uint32_t stopped_at = sent;
    RIG_RUN_UNTIL(&rig, sent > stopped_at + 1000);
}
END_TEST

START_TEST(a_paused_lane_stops_a_large_packet_too)
{
    enum { LARGE = 8 * 1000 * 1000 };
    connect_lane(MQTT_V5);
    lane_pause(server->lane, true);
    party_publish(&client, MQTT_V5, 0, LARGE);
    uint32_t arrived;
    do {
        arrived = server->n_progress;
        talk_on_another_lane(100);
    } while (arrived != server->n_progress);
    ck_assert_uint_le(lane_buffered_bytes(server->lane), LANE_WINDOW_BYTES * 2);
    lane_pause(server->lane, false);
    RIG_RUN_UNTIL(&rig, server->n_packets == 2);
    ck_assert_uint_eq(server->n_wrong, 0);
}
END_TEST

/* --- Packets that wait */

START_TEST(a_held_packet_keeps_the_others_back_but_not_the_credit)
{
    connect_lane(MQTT_V311);
    server->holds_next = true;
    uint32_t up = 50;
    for (uint32_t i = 0; i < up; i++)
        party_publish(&client, MQTT_V311, i, 1000);
    RIG_RUN_UNTIL(&rig, server->n_packets == 2);
    /* The other direction needs credit many times over while the packet waits. */
    uint32_t down = 0;
    start_flood(server, &down);
    RIG_RUN_UNTIL(&rig, down > 3000);
    ck_assert_uint_eq(server->n_packets, 2);
    party_continue(server);
    RIG_RUN_UNTIL(&rig, server->n_packets == 1 + up);
    ck_assert_uint_eq(client.n_wrong + server->n_wrong, 0);
}
END_TEST

START_TEST(a_packet_behind_a_held_one_stays_what_it_was)
{
    connect_lane(MQTT_V5);
    struct packet_gen g;
    packet_gen_init(&g, 7);
    static const uint8_t types[] = {MQTT_PUBLISH, MQTT_SUBSCRIBE, MQTT_UNSUBSCRIBE, MQTT_DISCONNECT};
    struct mqtt_packet packet;
    for (unsigned i = 0; i < 60; i++) {
        packet_gen_type(&g, MQTT_V5, types[i % TEST_COUNT(types)], &packet);
        unsigned before = server->n_packets;
        server->holds_next = true;
        party_publish(&client, MQTT_V5, i, 10);
        ck_assert_int_eq(lane_send(client.lane, &packet), 0);
        RIG_RUN_UNTIL(&rig, server->n_packets == before + 1 && lane_buffered_bytes(server->lane) > 0);
        talk_on_another_lane(2); /* other packets pass through the same memory, if it is the same */
        server->holds_next = true;
        party_continue(server);
        ck_assert_uint_eq(server->n_packets, before + 2);
        ck_assert(mqtt_packet_equal(server->held_copy, &packet));
        party_consume(server);
        party_continue(server);
    }
    packet_gen_deinit(&g);
}
END_TEST

/* --- Ends */

START_TEST(a_client_that_finishes_is_heard_to_the_end)
{
    connect_lane(MQTT_V311);
    for (uint32_t i = 0; i < 200; i++)
        party_publish(&client, MQTT_V311, i, 5000); /* far above the window */
    lane_finish(client.lane, LANE_END_OK, "bye");
    RIG_RUN_UNTIL(&rig, server->n_finished == 1);
    ck_assert_uint_eq(server->n_packets, 201);
    ck_assert_uint_eq(server->n_wrong, 0);
    ck_assert_uint_eq(server->n_ends, 0);
    party_publish(server, MQTT_V311, 0, 100);
    lane_finish(server->lane, LANE_END_OK, NULL);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1 && server->n_ends == 1);
    ck_assert_uint_eq(client.n_packets, 1);
    ck_assert_int_eq(client.why, LANE_END_OK);
    ck_assert_int_eq(server->why, LANE_END_OK);
    ck_assert_uint_eq(server->n_finished, 1);
}
END_TEST

START_TEST(the_reason_of_a_server_reaches_the_client_behind_its_packets)
{
    static const enum lane_end reasons[] = {LANE_END_OK,       LANE_END_UNAVAILABLE,     LANE_END_LIMIT,
                                            LANE_END_PROTOCOL, LANE_END_UNAUTHENTICATED, LANE_END_DENIED};
    connect_lane(MQTT_V5);
    for (uint32_t i = 0; i < 200; i++)
        party_publish(server, MQTT_V5, i, 5000);
    lane_finish(server->lane, reasons[_i], "because\nof this");
    party_publish(server, MQTT_V5, 200, 5000); /* too late */
    RIG_RUN_UNTIL(&rig, client.n_ends == 1 && server->n_ends == 1);
    ck_assert_uint_eq(client.n_packets, 200);
    ck_assert_uint_eq(client.n_wrong, 0);
    ck_assert_str_eq(lane_end_name(client.why), lane_end_name(reasons[_i]));
    ck_assert_str_eq(client.text, LANE_CARRIER == LANE_OVER_TRUNK ? "because\\x0aof this" : "because?of this");
    ck_assert_int_eq(server->why, LANE_END_OK);
}
END_TEST

START_TEST(a_client_that_is_gone_without_a_word_is_lost)
{
    connect_lane(MQTT_V311);
    party_publish(&client, MQTT_V311, 0, 100);
    RIG_RUN_UNTIL(&rig, server->n_packets == 2);
    party_free(&client);
    RIG_RUN_UNTIL(&rig, server->n_ends == 1);
    ck_assert_int_eq(server->why, LANE_END_LOST);
    ck_assert_uint_eq(server->n_finished, 0);
    ck_assert_uint_eq(client.n_ends, 0);
}
END_TEST

START_TEST(a_loss_is_told_although_a_packet_waits)
{
    connect_lane(MQTT_V311);
    server->holds_next = true;
    for (uint32_t i = 0; i < 3; i++)
        party_publish(&client, MQTT_V311, i, 100);
    RIG_RUN_UNTIL(&rig, server->n_packets == 2);
    party_free(&client);
    RIG_RUN_UNTIL(&rig, server->n_ends == 1);
    ck_assert_int_eq(server->why, LANE_END_LOST);
}
END_TEST

START_TEST(an_end_in_order_waits_for_a_held_packet)
{
    connect_lane(MQTT_V311);
    server->holds_next = true;
    for (uint32_t i = 0; i < 3; i++)
        party_publish(&client, MQTT_V311, i, 100);
    lane_finish(client.lane, LANE_END_OK, NULL);
    RIG_RUN_UNTIL(&rig, server->n_packets == 2);
    talk_on_another_lane(50);
    ck_assert_uint_eq(server->n_finished, 0);
    party_continue(server);
    RIG_RUN_UNTIL(&rig, server->n_finished == 1);
    ck_assert_uint_eq(server->n_packets, 4);
}
END_TEST

START_TEST(a_server_that_is_gone_is_unavailable)
{
    connect_lane(MQTT_V311);
    if (_i)
        rig.server = rpc_server_close(rig.server);
    else
        party_free(server);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_int_eq(client.why, LANE_END_UNAVAILABLE);
    if (!_i)
        return;
    RIG_RUN_UNTIL(&rig, server->n_ends == 1);
    ck_assert_int_eq(server->why, LANE_END_LOST);
}
END_TEST

START_TEST(no_server_is_unavailable_without_opening)
{
    rig.server = rpc_server_close(rig.server);
    party_open(&client, &rig, sample_connect(MQTT_V5, 0));
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_int_eq(client.why, LANE_END_UNAVAILABLE);
    ck_assert_uint_eq(client.n_opens, 0);
}
END_TEST

/* After half-close no credit can come: what the server still has for that client must not keep the lane for ever. */
START_TEST(a_finished_client_does_not_keep_a_full_lane_open)
{
    connect_lane(MQTT_V311);
    uint32_t down = 0;
    client.is_stalled = true;
    start_flood(server, &down);
    party_publish(server, MQTT_V311, down, 1000 * 1000);
    wait_for_standstill(&down, &down);
    lane_finish(client.lane, LANE_END_OK, NULL);
    RIG_RUN_UNTIL(&rig, server->n_finished == 1);
    lane_finish(server->lane, LANE_END_OK, NULL);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1 && server->n_ends == 1);
    ck_assert_int_eq(client.why, LANE_END_OK);
}
END_TEST

/* --- Life */

static void free_at_event(struct party *p, enum party_event event, const struct mqtt_packet *packet)
{
    const enum party_event *wanted = p->arg;
    if (event == *wanted)
        p->lane = lane_free(p->lane);
}

START_TEST(a_lane_may_be_freed_in_any_callback)
{
    static const enum party_event events[] = {PARTY_OPEN,     PARTY_PACKET,   PARTY_PROGRESS,
                                              PARTY_WRITABLE, PARTY_FINISHED, PARTY_END};
    enum party_event wanted = events[_i % 6];
    struct party *victim = _i < 6 ? &client : server;
    if (wanted == PARTY_FINISHED && victim == &client)
        return; /* s-proxy's only */
    victim->arg = &wanted;
    victim->on_event = free_at_event;
    party_open(&client, &rig, sample_connect(MQTT_V5, 0));
    RIG_RUN_UNTIL(&rig, lanes_arrived() == 1 && (!victim->lane || (client.n_opens == 1 && server->n_packets == 1)));
    for (uint32_t i = 0; i < 3 && client.lane && server->lane; i++) {
        party_publish(&client, MQTT_V5, i, 400 * 1000);
        party_publish(server, MQTT_V5, i, 400 * 1000);
    }
    if (client.lane && wanted >= PARTY_FINISHED)
        lane_finish(client.lane, LANE_END_OK, NULL);
    if (server->lane && wanted == PARTY_END)
        lane_finish(server->lane, LANE_END_OK, NULL);
    RIG_RUN_UNTIL(&rig, !victim->lane);
    ck_assert_uint_eq(victim->n_ends, wanted == PARTY_END);
}
END_TEST

START_TEST(nothing_is_buffered_when_all_has_passed)
{
    connect_lane(MQTT_V5);
    for (uint32_t i = 0; i < 50; i++) {
        party_publish(&client, MQTT_V5, i, 30000);
        party_publish(server, MQTT_V5, i, 30000);
    }
    ck_assert_uint_gt(lane_buffered_bytes(client.lane), 1000 * 1000);
    RIG_RUN_UNTIL(&rig, client.n_packets == 50 && server->n_packets == 51);
    talk_on_another_lane(20); /* what is left to send are credits */
    ck_assert_uint_eq(lane_buffered_bytes(client.lane), 0);
    ck_assert_uint_eq(lane_buffered_bytes(server->lane), 0);
}
END_TEST

START_TEST(ends_have_names)
{
    for (int i = LANE_END_OK; i <= LANE_END_LOST; i++)
        for (int k = LANE_END_OK; k < i; k++)
            ck_assert_str_ne(lane_end_name((enum lane_end)i), lane_end_name((enum lane_end)k));
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("lane", &t);
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, every_packet_arrives_as_it_was_sent, 0, 3);
    tcase_add_loop_test(t, a_connect_is_the_first_packet_and_arrives_whole, 0, 6);
    tcase_add_loop_test(t, a_large_packet_goes_in_pieces_and_keeps_its_place, 0, 2);
    tcase_add_test(t, another_lane_does_not_wait_for_a_large_packet);
    tcase_add_loop_test(t, a_session_that_consumes_nothing_stops_its_peer, 0, 2);
    tcase_add_test(t, two_full_directions_do_not_wait_for_each_other);
    tcase_add_test(t, a_paused_lane_gives_no_credit);
    tcase_add_test(t, a_paused_lane_stops_a_large_packet_too);
    tcase_add_test(t, a_held_packet_keeps_the_others_back_but_not_the_credit);
    tcase_add_test(t, a_packet_behind_a_held_one_stays_what_it_was);
    tcase_add_test(t, a_client_that_finishes_is_heard_to_the_end);
    tcase_add_loop_test(t, the_reason_of_a_server_reaches_the_client_behind_its_packets, 0, 6);
    tcase_add_test(t, a_client_that_is_gone_without_a_word_is_lost);
    tcase_add_test(t, a_loss_is_told_although_a_packet_waits);
    tcase_add_test(t, an_end_in_order_waits_for_a_held_packet);
    tcase_add_loop_test(t, a_server_that_is_gone_is_unavailable, 0, 2);
    if (LANE_CARRIER == LANE_OVER_RELAY) { /* a lane is opened in a trunk that is up */
        tcase_add_test(t, packets_sent_before_the_peer_is_known_follow_in_order);
        tcase_add_test(t, no_server_is_unavailable_without_opening);
    }
    tcase_add_test(t, a_finished_client_does_not_keep_a_full_lane_open);
    tcase_add_loop_test(t, a_lane_may_be_freed_in_any_callback, 0, 12);
    tcase_add_test(t, nothing_is_buffered_when_all_has_passed);
    tcase_add_test(t, ends_have_names);
    return s;
}

TEST_MAIN(suite)
