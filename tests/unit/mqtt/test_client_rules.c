/* Rules of a client about its server's packets: every kind in every state. */
#include <string.h>

#include "mqtt_client_rules.h"
#include "test_main.h"

static struct mqtt_client_rules rules;
static struct mqtt_fault fault;

static struct mqtt_packet packet_of(uint8_t version, uint8_t type, const char *list, size_t len)
{
    struct mqtt_packet p = {.type = type, .version = version, .packet_id = 1};
    p.properties.wire = (struct mqtt_bytes){.ptr = (const uint8_t *)list, .len = (uint32_t)len};
    return p;
}

#define PACKET(TYPE, LIST) packet_of(MQTT_V5, TYPE, LIST, sizeof(LIST) - 1)

#define METHOD             "\x15\0\1M"

static int check(struct mqtt_packet p)
{
    fault = (struct mqtt_fault){.text = ""};
    return mqtt_client_rules_check(&rules, &p, &fault);
}

static void assert_closes(struct mqtt_packet p, uint8_t reason)
{
    struct mqtt_client_rules before = rules;
    ck_assert_msg(check(p) == MQTT_RULES_CLOSE, "%s", mqtt_type_name(p.type));
    ck_assert_msg(fault.reason == reason, "%s: 0x%02X %s", mqtt_type_name(p.type), fault.reason, fault.text);
    ck_assert_int_eq(strncmp(fault.text, "MQTT", 4), 0);
    rules = before;
}

static void assert_passes(struct mqtt_packet p)
{
    int r = check(p);
    ck_assert_msg(r == 0, "%s: %s", mqtt_type_name(p.type), fault.text);
}

static void connect_with(struct mqtt_packet connect, bool is_clean_start)
{
    connect.connect.clean_start = is_clean_start;
    mqtt_client_rules_init(&rules, &connect);
}

static struct mqtt_packet auth_of(uint8_t reason)
{
    struct mqtt_packet p = PACKET(MQTT_AUTH, METHOD);
    p.reason_code = reason;
    return p;
}

static const uint8_t only_from_client[] = {MQTT_CONNECT, MQTT_SUBSCRIBE, MQTT_UNSUBSCRIBE, MQTT_PINGREQ};
static const uint8_t from_server[] = {MQTT_PUBLISH, MQTT_PUBACK, MQTT_PUBREC,   MQTT_PUBREL,
                                      MQTT_PUBCOMP, MQTT_SUBACK, MQTT_UNSUBACK, MQTT_PINGRESP};

START_TEST(connack_comes_first)
{
    connect_with(PACKET(MQTT_CONNECT, ""), true);
    for (uint8_t type = 1; type < 16; type++)
        if (type != MQTT_CONNACK)
            assert_closes(packet_of(MQTT_V5, type, NULL, 0), MQTT_REASON_PROTOCOL_ERROR);
    assert_passes(PACKET(MQTT_CONNACK, ""));
    ck_assert_uint_eq(rules.state, MQTT_RULES_LIVE);
}
END_TEST

START_TEST(packets_of_a_client_close)
{
    connect_with(PACKET(MQTT_CONNECT, ""), true);
    assert_passes(PACKET(MQTT_CONNACK, ""));
    for (size_t i = 0; i < sizeof(only_from_client); i++)
        assert_closes(packet_of(MQTT_V5, only_from_client[i], NULL, 0), MQTT_REASON_PROTOCOL_ERROR);
    for (size_t i = 0; i < sizeof(from_server); i++)
        assert_passes(packet_of(MQTT_V5, from_server[i], NULL, 0));
}
END_TEST

START_TEST(there_is_one_connack)
{
    connect_with(PACKET(MQTT_CONNECT, ""), true);
    assert_passes(PACKET(MQTT_CONNACK, ""));
    assert_closes(PACKET(MQTT_CONNACK, ""), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_refusal_has_no_session_and_is_the_end)
{
    struct mqtt_packet refusal = PACKET(MQTT_CONNACK, "");
    refusal.reason_code = MQTT_REASON_BANNED;
    refusal.connack.session_present = true;
    connect_with(PACKET(MQTT_CONNECT, ""), false);
    assert_closes(refusal, MQTT_REASON_PROTOCOL_ERROR);
    refusal.connack.session_present = false;
    assert_passes(refusal);
    ck_assert_uint_eq(rules.state, MQTT_RULES_OVER);
    assert_closes(PACKET(MQTT_PUBLISH, ""), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_clean_start_has_no_old_session)
{
    static const uint8_t versions[] = {MQTT_V31, MQTT_V311, MQTT_V5};
    struct mqtt_packet connect = packet_of(versions[_i], MQTT_CONNECT, NULL, 0);
    struct mqtt_packet connack = packet_of(versions[_i], MQTT_CONNACK, NULL, 0);
    connack.connack.session_present = true;
    connect_with(connect, true);
    if (versions[_i] == MQTT_V31) /* has no such flag */
        assert_passes(connack);
    else
        assert_closes(connack, MQTT_REASON_PROTOCOL_ERROR);
    connect_with(connect, false);
    assert_passes(connack);
}
END_TEST

START_TEST(auth_needs_a_method_in_connect)
{
    connect_with(PACKET(MQTT_CONNECT, ""), true);
    assert_closes(auth_of(MQTT_REASON_CONTINUE_AUTHENTICATION), MQTT_REASON_PROTOCOL_ERROR);
    assert_closes(PACKET(MQTT_CONNACK, METHOD), MQTT_REASON_PROTOCOL_ERROR);
    assert_passes(PACKET(MQTT_CONNACK, ""));
    assert_closes(auth_of(MQTT_REASON_CONTINUE_AUTHENTICATION), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_server_asks_for_more_until_connack)
{
    connect_with(PACKET(MQTT_CONNECT, METHOD), true);
    assert_passes(auth_of(MQTT_REASON_CONTINUE_AUTHENTICATION));
    assert_closes(auth_of(MQTT_REASON_SUCCESS), MQTT_REASON_PROTOCOL_ERROR);
    assert_closes(auth_of(MQTT_REASON_RE_AUTHENTICATE), MQTT_REASON_PROTOCOL_ERROR);
    assert_passes(PACKET(MQTT_CONNACK, METHOD));
    assert_passes(auth_of(MQTT_REASON_CONTINUE_AUTHENTICATION));
    assert_passes(auth_of(MQTT_REASON_SUCCESS));
    assert_closes(auth_of(MQTT_REASON_RE_AUTHENTICATE), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(aliases_keep_to_what_connect_allowed)
{
    connect_with(PACKET(MQTT_CONNECT, "\x22\0\5"), true);
    assert_passes(PACKET(MQTT_CONNACK, ""));
    assert_passes(PACKET(MQTT_PUBLISH, "\x23\0\5"));
    assert_closes(PACKET(MQTT_PUBLISH, "\x23\0\6"), MQTT_REASON_TOPIC_ALIAS_INVALID);
    connect_with(PACKET(MQTT_CONNECT, ""), true);
    assert_passes(PACKET(MQTT_CONNACK, ""));
    assert_closes(PACKET(MQTT_PUBLISH, "\x23\0\1"), MQTT_REASON_TOPIC_ALIAS_INVALID);
}
END_TEST

START_TEST(codes_of_a_client_close_in_disconnect)
{
    for (unsigned reason = 0; reason < 256; reason++) {
        struct mqtt_packet p = PACKET(MQTT_DISCONNECT, "\x1C\0\1s");
        p.reason_code = (uint8_t)reason;
        connect_with(PACKET(MQTT_CONNECT, ""), true);
        assert_passes(PACKET(MQTT_CONNACK, ""));
        if (mqtt_reason_senders(MQTT_DISCONNECT, p.reason_code) & MQTT_FROM_SERVER)
            assert_passes(p);
        else
            assert_closes(p, MQTT_REASON_PROTOCOL_ERROR);
    }
}
END_TEST

START_TEST(a_server_sets_no_session_expiry_in_disconnect)
{
    connect_with(PACKET(MQTT_CONNECT, ""), true);
    assert_passes(PACKET(MQTT_CONNACK, ""));
    assert_closes(PACKET(MQTT_DISCONNECT, "\x11\0\0\0\0"), MQTT_REASON_PROTOCOL_ERROR);
    assert_passes(PACKET(MQTT_DISCONNECT, ""));
    assert_closes(PACKET(MQTT_PINGRESP, ""), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(servers_of_3_x_send_no_disconnect)
{
    connect_with(packet_of(MQTT_V311, MQTT_CONNECT, NULL, 0), true);
    assert_passes(packet_of(MQTT_V311, MQTT_CONNACK, NULL, 0));
    assert_closes(packet_of(MQTT_V311, MQTT_DISCONNECT, NULL, 0), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_connection_has_one_version)
{
    connect_with(PACKET(MQTT_CONNECT, ""), true);
    assert_closes(packet_of(MQTT_V311, MQTT_CONNACK, NULL, 0), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

static Suite *client_rules_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/client_rules", &tc);
    tcase_add_test(tc, connack_comes_first);
    tcase_add_test(tc, packets_of_a_client_close);
    tcase_add_test(tc, there_is_one_connack);
    tcase_add_test(tc, a_refusal_has_no_session_and_is_the_end);
    tcase_add_loop_test(tc, a_clean_start_has_no_old_session, 0, 3);
    tcase_add_test(tc, auth_needs_a_method_in_connect);
    tcase_add_test(tc, a_server_asks_for_more_until_connack);
    tcase_add_test(tc, aliases_keep_to_what_connect_allowed);
    tcase_add_test(tc, codes_of_a_client_close_in_disconnect);
    tcase_add_test(tc, a_server_sets_no_session_expiry_in_disconnect);
    tcase_add_test(tc, servers_of_3_x_send_no_disconnect);
    tcase_add_test(tc, a_connection_has_one_version);
    return suite;
}

TEST_MAIN(client_rules_suite)
