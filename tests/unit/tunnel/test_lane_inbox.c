/* The inbox of a lane: order, waiting, what is wrong with a packet in its place, charges, and every moment at which the
 * lane may be freed. */
#include "lane_inbox.h"

#include <stdlib.h>
#include <string.h>

#include "packet_gen.h"
#include "packet_to_frame.h"
#include "test_main.h"

enum { TRACE_MAX = 64 };

/* A carrier and its session. The first letter of a PUBLISH's payload says what the session does with it; the trace
 * tells what it has seen: these letters, C for CONNECT, F for on_finished, E for on_end. */
struct carrier {
    struct lane lane;
    struct lane_inbox inbox;
    unsigned refs;
    bool is_finished_due, is_end_due;
    unsigned n_fails;
    enum lane_end why;
    char text[80];
};

static struct carrier *carrier; /* NULL once freed */
static struct gate_wait *wait;
static char trace[TRACE_MAX];
static const uint8_t *input; /* what has been given to the inbox last, and where it ends */
static size_t input_len;
static bool is_in_place;                  /* the payload of the last packet was there */
static size_t charge_seen;                /* lane_inbox.charge inside the last on_packet */
static struct mqtt_packet *expected;      /* what the next packet of another type has to be */
static const char *comes_behind_finished; /* letters */
static struct carrier *neighbour;         /* another lane of the same loop */

static void note(char letter)
{
    size_t n = strlen(trace);
    ck_assert_uint_lt(n + 1, TRACE_MAX);
    trace[n] = letter;
}

static void give_letters(const char *letters);

/* --- The carrier */

static struct carrier *carrier_of(struct lane_inbox *in)
{
    return container_of(in, struct carrier, inbox);
}

static void carrier_ref(struct lane_inbox *in)
{
    carrier_of(in)->refs++;
}

static void carrier_unref(struct lane_inbox *in)
{
    struct carrier *c = carrier_of(in);
    if (--c->refs == 0)
        free(c);
}

static void carrier_fail(struct lane_inbox *in, enum lane_end why, const char *text)
{
    struct carrier *c = carrier_of(in);
    c->n_fails++;
    c->why = why;
    strncpy(c->text, text, sizeof(c->text) - 1);
    c->is_end_due = true;
    lane_inbox_drop(in);
}

static enum gate_answer carrier_idle(struct lane_inbox *in)
{
    struct carrier *c = carrier_of(in);
    if (c->is_finished_due) {
        c->is_finished_due = false;
        note('F');
        if (comes_behind_finished)
            give_letters(comes_behind_finished);
        return GATE_PASS;
    }
    if (c->is_end_due) {
        c->is_end_due = false;
        note('E');
        return GATE_PASS;
    }
    return GATE_EMPTY;
}

static const struct lane_inbox_calls carrier_calls = {
    .ref = carrier_ref,
    .unref = carrier_unref,
    .fail = carrier_fail,
    .idle = carrier_idle,
};

static enum gate_answer on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg);

static const struct lane_cbs session_cbs = {.on_packet = on_packet};

static struct carrier *carrier_new(bool is_server)
{
    struct carrier *c = calloc(1, sizeof(*c));
    c->refs = 1;
    lane_set_callbacks(&c->lane, &session_cbs, c);
    lane_inbox_init(&c->inbox, &c->lane, &carrier_calls, is_server);
    if (!is_server) {
        c->inbox.version = MQTT_V5;
        c->inbox.family = FRAME_MQTTV5;
    }
    return c;
}

static void carrier_free(void)
{
    struct carrier *c = carrier;
    carrier = NULL;
    lane_inbox_close(&c->inbox);
    carrier_unref(&c->inbox);
}

static void setup(void)
{
    memset(trace, 0, sizeof(trace));
    carrier = carrier_new(false);
}

static void teardown(void)
{
    if (carrier)
        carrier_free();
    gate_continue(wait); /* harmless when the lane has gone */
    wait = NULL;
    free(expected);
    expected = NULL;
}

/* --- What comes */

/* As MqttPacket, in memory of exactly its length, behind GAP bytes that are not part of it. */
static uint8_t *serialize(const struct mqtt_packet *packet, size_t gap, size_t *ret_len)
{
    struct packet_frame f;
    *ret_len = packet_to_message_plan(&f, packet);
    uint8_t *bytes = malloc(gap + *ret_len);
    packet_to_frame_write(&f, bytes + gap);
    return bytes;
}

static uint8_t family_of(const struct mqtt_packet *packet)
{
    return packet->version == MQTT_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
}

/* The bytes are gone when this returns, as they are with a message of gRPC. */
static void give(struct lane_inbox *in, const struct mqtt_packet *packet, size_t charge)
{
    size_t len;
    uint8_t *bytes = serialize(packet, 0, &len);
    input = bytes;
    input_len = len;
    lane_inbox_receive(in, (struct mqtt_bytes){bytes, (uint32_t)len}, family_of(packet), charge);
    memset(bytes, 0xee, len);
    free(bytes);
}

static void give_owned(struct lane_inbox *in, const struct mqtt_packet *packet, size_t charge)
{
    enum { GAP = 5 };
    size_t len;
    uint8_t *bytes = serialize(packet, GAP, &len);
    input = bytes + GAP;
    input_len = len;
    lane_inbox_receive_owned(in, bytes, (struct mqtt_bytes){bytes + GAP, (uint32_t)len}, family_of(packet), charge);
}

static struct mqtt_packet publish(uint8_t version, const char *letter)
{
    struct mqtt_packet packet = {.type = MQTT_PUBLISH, .version = version};
    packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"a/b", 3};
    packet.publish.payload = (struct mqtt_bytes){(const uint8_t *)letter, 1};
    return packet;
}

static struct mqtt_packet connect_of(uint8_t version)
{
    struct mqtt_packet packet = {.type = MQTT_CONNECT, .version = version};
    packet.connect = (struct mqtt_connect){
        .client_id = {(const uint8_t *)"pump-3", 6},
        .protocol_level = version,
        .clean_start = true,
    };
    return packet;
}

/* One PUBLISH for each letter, charged 10 each. */
static void give_letters(const char *letters)
{
    for (; *letters && carrier; letters++) {
        const struct mqtt_packet packet = publish(MQTT_V5, letters);
        give(&carrier->inbox, &packet, 10);
    }
}

static void go_on(void)
{
    struct gate_wait *w = wait;
    wait = NULL;
    gate_continue(w);
}

/* Every second round of a test has the packets wait behind one that is held. */
static void hold_before(int round)
{
    if (round == 1)
        give_letters("h");
}

static void go_on_after(int round)
{
    if (round == 1)
        go_on();
}

static void assert_trace(const char *letters)
{
    ck_assert_str_eq(trace, letters);
}

/* --- The session */

static enum gate_answer hold(struct lane_inbox *in)
{
    ck_assert_ptr_null(wait);
    wait = lane_inbox_hold(in);
    ck_assert_ptr_nonnull(wait);
    return GATE_HOLD;
}

static void give_list_to_neighbour(void)
{
    static const uint8_t filters[] = {0, 1, 'x', 0, 0, 1, 'y', 1, 0, 1, 'z', 2};
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE, .version = MQTT_V5, .packet_id = 2};
    packet.subscriptions = (struct mqtt_list){.wire = {filters, sizeof(filters)}, .count = 3};
    give(&neighbour->inbox, &packet, 1);
}

static enum gate_answer obey(struct lane_inbox *in, char letter)
{
    switch (letter) {
    case 'h': /* the answer comes later */
        return hold(in);
    case 'c': /* the answer comes before on_packet has returned */
        hold(in);
        go_on();
        return GATE_HOLD;
    case 'r': /* another packet comes meanwhile */
        give_letters("n");
        return GATE_PASS;
    case 'x': /* freed inside */
        carrier_free();
        return GATE_PASS;
    case 'w': /* held and freed, all inside */
        hold(in);
        carrier_free();
        return GATE_HOLD;
    case 'f': /* the end comes meanwhile */
        carrier->is_finished_due = carrier->is_end_due = true;
        return GATE_PASS;
    default:
        return GATE_PASS;
    }
}

static enum gate_answer on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg)
{
    struct carrier *c = arg;
    if (c == neighbour)
        return GATE_PASS;
    charge_seen = c->inbox.charge;
    if (packet->type == MQTT_PUBLISH && !expected) {
        char letter = (char)packet->publish.payload.ptr[0];
        is_in_place = packet->publish.payload.ptr >= input && packet->publish.payload.ptr < input + input_len;
        note(letter);
        return obey(&c->inbox, letter);
    }
    note(packet->type == MQTT_CONNECT ? 'C' : 'p');
    if (neighbour)
        give_list_to_neighbour();
    ck_assert(!expected || mqtt_packet_equal(packet, expected));
    return GATE_PASS;
}

/* --- Order */

START_TEST(a_packet_passes_where_it_lies_when_nothing_waits)
{
    give_letters("a");
    ck_assert(is_in_place);
    give_letters("bc");
    ck_assert(is_in_place);
    const struct mqtt_packet packet = publish(MQTT_V5, "d");
    give_owned(&carrier->inbox, &packet, 10);
    ck_assert(is_in_place);
    assert_trace("abcd");
}
END_TEST

START_TEST(packets_behind_a_held_one_wait_in_order)
{
    give_letters("ahbc");
    assert_trace("ah");
    const struct mqtt_packet packet = publish(MQTT_V5, "d");
    give_owned(&carrier->inbox, &packet, 10);
    give_letters("e");
    assert_trace("ah");
    go_on();
    assert_trace("ahbcde");
    give_letters("g");
    ck_assert(is_in_place); /* nothing is left that it could overtake */
    assert_trace("ahbcdeg");
}
END_TEST

START_TEST(a_waiting_packet_may_be_held_too)
{
    give_letters("hahb");
    go_on();
    assert_trace("hah");
    give_letters("c");
    go_on();
    assert_trace("hahbc");
}
END_TEST

START_TEST(an_answer_inside_on_packet_lets_the_rest_pass)
{
    hold_before(_i);
    give_letters("cacb");
    go_on_after(_i);
    assert_trace(_i == 1 ? "hcacb" : "cacb");
}
END_TEST

START_TEST(a_packet_that_comes_inside_on_packet_is_the_next)
{
    hold_before(_i);
    give_letters("ra");
    go_on_after(_i);
    assert_trace(_i == 1 ? "hran" : "rna");
}
END_TEST

START_TEST(what_waits_stays_what_it_was)
{
    struct packet_gen g;
    packet_gen_init(&g, 11);
    static const uint8_t types[] = {MQTT_PUBLISH, MQTT_SUBSCRIBE, MQTT_UNSUBSCRIBE, MQTT_SUBACK, MQTT_DISCONNECT};
    neighbour = carrier_new(false);
    for (unsigned i = 0; i < 100; i++) {
        struct mqtt_packet packet;
        packet_gen_type(&g, MQTT_V5, types[i % TEST_COUNT(types)], &packet);
        memset(trace, 0, sizeof(trace));
        hold_before(_i % 2);
        expected = mqtt_packet_store(&packet);
        if (_i < 2)
            give(&carrier->inbox, &packet, 10);
        else
            give_owned(&carrier->inbox, &packet, 10);
        go_on_after(_i % 2);
        assert_trace(_i % 2 == 1 ? "hp" : "p");
        free(expected);
        expected = NULL;
    }
    lane_inbox_close(&neighbour->inbox);
    free(neighbour);
    neighbour = NULL;
    packet_gen_deinit(&g);
}
END_TEST

/* Above what one try has room for, and above what a thread keeps. */
START_TEST(long_lists_pass)
{
    static const uint16_t lens[] = {100, 3900, 4000, 30000, 65535, 10};
    for (size_t i = 0; i < TEST_COUNT(lens); i++) {
        size_t n = 6 + (size_t)lens[i];
        uint8_t *wire = malloc(n);
        memset(wire, 'v', n);
        memcpy(wire, (uint8_t[]){0x26, 0, 1, 'k', (uint8_t)(lens[i] >> 8), (uint8_t)lens[i]}, 6);
        struct mqtt_packet packet = publish(MQTT_V5, "a");
        packet.properties.wire = (struct mqtt_bytes){wire, (uint32_t)n};
        expected = mqtt_packet_store(&packet);
        give(&carrier->inbox, &packet, 10);
        free(expected);
        expected = NULL;
        free(wire);
    }
    assert_trace("pppppp");
}
END_TEST

/* --- What comes behind the packets */

START_TEST(the_end_passes_behind_the_packets)
{
    give_letters("hab");
    carrier->is_finished_due = carrier->is_end_due = true;
    lane_inbox_run(&carrier->inbox);
    assert_trace("h");
    go_on();
    assert_trace("habFE");
}
END_TEST

START_TEST(an_end_that_comes_inside_on_packet_passes_behind_the_packets)
{
    hold_before(_i);
    give_letters("f");
    if (_i == 1)
        give_letters("a");
    go_on_after(_i);
    assert_trace(_i == 1 ? "hfaFE" : "fFE");
}
END_TEST

START_TEST(a_packet_that_comes_inside_on_finished_passes)
{
    comes_behind_finished = "ab";
    carrier->is_finished_due = carrier->is_end_due = true;
    lane_inbox_run(&carrier->inbox);
    comes_behind_finished = NULL;
    assert_trace("FabE");
}
END_TEST

START_TEST(the_end_passes_although_the_packets_are_dropped)
{
    give_letters("hab");
    carrier->is_end_due = true;
    lane_inbox_drop(&carrier->inbox);
    ck_assert_uint_eq(carrier->inbox.waiting_bytes, 0);
    ck_assert_uint_eq(carrier->inbox.held_bytes, 10); /* the one that the session has */
    go_on();
    assert_trace("hE");
}
END_TEST

/* --- Freeing */

START_TEST(the_lane_may_be_freed_inside_on_packet)
{
    hold_before(_i % 2);
    give_letters(_i < 2 ? "axb" : "awb");
    go_on_after(_i % 2);
    ck_assert_ptr_null(carrier);
    ck_assert_str_eq(strpbrk(trace, "xw"), _i < 2 ? "x" : "w");
}
END_TEST

START_TEST(the_lane_may_be_freed_inside_on_packet_of_owned_bytes)
{
    hold_before(_i);
    const struct mqtt_packet packet = publish(MQTT_V5, "x");
    give_owned(&carrier->inbox, &packet, 10);
    go_on_after(_i);
    ck_assert_ptr_null(carrier);
}
END_TEST

START_TEST(the_lane_may_be_freed_while_a_packet_is_held)
{
    give_letters("hab");
    const struct mqtt_packet packet = publish(MQTT_V5, "c");
    give_owned(&carrier->inbox, &packet, 10);
    carrier_free();
    ck_assert(!gate_wait_is_alive(wait));
    go_on();
    assert_trace("h");
}
END_TEST

START_TEST(a_closed_inbox_takes_nothing)
{
    give_letters("a");
    carrier->is_end_due = true;
    lane_inbox_close(&carrier->inbox);
    give_letters("b");
    const struct mqtt_packet packet = publish(MQTT_V5, "c");
    give_owned(&carrier->inbox, &packet, 10);
    lane_inbox_run(&carrier->inbox);
    assert_trace("a");
    ck_assert_uint_eq(carrier->inbox.waiting_bytes, 0);
}
END_TEST

/* --- Wrong packets */

static void assert_failed(const char *text)
{
    ck_assert_uint_eq(carrier->n_fails, 1);
    ck_assert_int_eq(carrier->why, LANE_END_PROTOCOL);
    ck_assert_msg(strstr(carrier->text, text), "%s", carrier->text);
}

START_TEST(a_malformed_packet_fails_the_lane)
{
    hold_before(_i);
    give_letters("a");
    static const uint8_t broken[] = {0x1a, 0x7f};
    uint8_t *bytes = malloc(sizeof(broken));
    memcpy(bytes, broken, sizeof(broken));
    lane_inbox_receive(&carrier->inbox, (struct mqtt_bytes){bytes, sizeof(broken)}, FRAME_MQTTV5, 2);
    free(bytes);
    ck_assert_uint_eq(carrier->n_fails, _i == 1 ? 0 : 1); /* in its place, not before */
    if (_i == 1)
        give_letters("b");
    go_on_after(_i);
    assert_failed("well-formed");
    assert_trace(_i == 1 ? "haE" : "aE");
    ck_assert_uint_eq(carrier->inbox.waiting_bytes, 0);
}
END_TEST

START_TEST(a_packet_of_another_family_fails_the_lane)
{
    hold_before(_i);
    const struct mqtt_packet packet = publish(MQTT_V311, "a");
    give(&carrier->inbox, &packet, 10);
    go_on_after(_i);
    assert_failed("another version");
}
END_TEST

START_TEST(a_packet_of_another_version_fails_the_lane)
{
    carrier->inbox.family = 0; /* the carrier need not know */
    const struct mqtt_packet packet = publish(MQTT_V311, "a");
    give(&carrier->inbox, &packet, 10);
    assert_failed("another version");
}
END_TEST

static void become_server(uint8_t family)
{
    carrier_free();
    carrier = carrier_new(true);
    carrier->inbox.family = family;
}

START_TEST(connect_comes_first_and_says_the_version)
{
    static const uint8_t versions[] = {MQTT_V31, MQTT_V311, MQTT_V5};
    const uint8_t version = versions[_i / 2];
    const struct mqtt_packet first = connect_of(version), second = publish(version, "a");
    become_server(_i % 2 ? family_of(&first) : 0);
    give(&carrier->inbox, &first, 10);
    ck_assert_uint_eq(carrier->inbox.version, version);
    give(&carrier->inbox, &second, 10);
    assert_trace("Ca");
    ck_assert_uint_eq(carrier->n_fails, 0);
}
END_TEST

START_TEST(a_connect_of_another_family_fails_the_lane)
{
    const struct mqtt_packet packet = connect_of(MQTT_V311);
    become_server(FRAME_MQTTV5);
    give(&carrier->inbox, &packet, 10);
    assert_failed("another version");
    assert_trace("E");
}
END_TEST

START_TEST(a_second_connect_fails_the_lane)
{
    const struct mqtt_packet packet = connect_of(MQTT_V5);
    become_server(FRAME_MQTTV5);
    give(&carrier->inbox, &packet, 10);
    give(&carrier->inbox, &packet, 10);
    assert_failed("a second CONNECT");
    assert_trace("CE");
}
END_TEST

START_TEST(another_first_packet_fails_the_lane)
{
    const struct mqtt_packet packet = {.type = MQTT_PINGREQ, .version = MQTT_V5};
    become_server(FRAME_MQTTV5);
    give(&carrier->inbox, &packet, 10);
    assert_failed("CONNECT");
    assert_trace("E");
}
END_TEST

/* --- Charges */

static void assert_bytes(size_t waiting, size_t held, size_t charge)
{
    ck_assert_uint_eq(carrier->inbox.waiting_bytes, waiting);
    ck_assert_uint_eq(carrier->inbox.held_bytes, held);
    ck_assert_uint_eq(carrier->inbox.charge, charge);
}

START_TEST(charges_are_held_until_they_are_consumed)
{
    const struct mqtt_packet a = publish(MQTT_V5, "a"), h = publish(MQTT_V5, "h");
    give(&carrier->inbox, &a, 100);
    ck_assert_uint_eq(charge_seen, 100);
    assert_bytes(0, 100, 0);
    give(&carrier->inbox, &h, 1000);
    assert_bytes(0, 1100, 1000);
    give(&carrier->inbox, &a, 20);
    give_owned(&carrier->inbox, &a, 3);
    assert_bytes(23, 1123, 1000);
    lane_inbox_consumed(&carrier->inbox, 1100);
    assert_bytes(23, 23, 1000);
    go_on();
    ck_assert_uint_eq(charge_seen, 3);
    assert_bytes(0, 23, 0);
    lane_inbox_consumed(&carrier->inbox, 23);
    assert_bytes(0, 0, 0);
    lane_inbox_consumed(&carrier->inbox, 1); /* a session that miscounts does not earn credit */
    assert_bytes(0, 0, 0);
}
END_TEST

/* Credit counts charges; a process-wide budget must see what small packets really cost. */
START_TEST(memory_is_counted_with_what_surrounds_a_packet)
{
    const struct mqtt_packet packet = publish(MQTT_V5, "a");
    give_letters("b");
    ck_assert_uint_eq(carrier->inbox.memory_bytes, 0); /* it did not wait */
    give_letters("haa");
    give(&carrier->inbox, &packet, 1);
    give_owned(&carrier->inbox, &packet, 1);
    ck_assert_uint_gt(carrier->inbox.memory_bytes, 4 * (sizeof(struct list) + input_len));
    if (_i == 1)
        lane_inbox_drop(&carrier->inbox);
    go_on();
    ck_assert_uint_eq(carrier->inbox.memory_bytes, 0);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("lane_inbox", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_packet_passes_where_it_lies_when_nothing_waits);
    tcase_add_test(t, packets_behind_a_held_one_wait_in_order);
    tcase_add_test(t, a_waiting_packet_may_be_held_too);
    tcase_add_loop_test(t, an_answer_inside_on_packet_lets_the_rest_pass, 0, 2);
    tcase_add_loop_test(t, a_packet_that_comes_inside_on_packet_is_the_next, 0, 2);
    tcase_add_loop_test(t, what_waits_stays_what_it_was, 0, 4);
    tcase_add_test(t, long_lists_pass);
    tcase_add_test(t, the_end_passes_behind_the_packets);
    tcase_add_loop_test(t, an_end_that_comes_inside_on_packet_passes_behind_the_packets, 0, 2);
    tcase_add_test(t, a_packet_that_comes_inside_on_finished_passes);
    tcase_add_test(t, the_end_passes_although_the_packets_are_dropped);
    tcase_add_loop_test(t, the_lane_may_be_freed_inside_on_packet, 0, 4);
    tcase_add_loop_test(t, the_lane_may_be_freed_inside_on_packet_of_owned_bytes, 0, 2);
    tcase_add_test(t, the_lane_may_be_freed_while_a_packet_is_held);
    tcase_add_test(t, a_closed_inbox_takes_nothing);
    tcase_add_loop_test(t, a_malformed_packet_fails_the_lane, 0, 2);
    tcase_add_loop_test(t, a_packet_of_another_family_fails_the_lane, 0, 2);
    tcase_add_test(t, a_packet_of_another_version_fails_the_lane);
    tcase_add_loop_test(t, connect_comes_first_and_says_the_version, 0, 6);
    tcase_add_test(t, a_connect_of_another_family_fails_the_lane);
    tcase_add_test(t, a_second_connect_fails_the_lane);
    tcase_add_test(t, another_first_packet_fails_the_lane);
    tcase_add_test(t, charges_are_held_until_they_are_consumed);
    tcase_add_loop_test(t, memory_is_counted_with_what_surrounds_a_packet, 0, 2);
    return s;
}

TEST_MAIN(suite)
