/* Rules of a server: every packet kind in every state, and what the rows of the list of attacks ask for. */
#include <string.h>

#include "mqtt_server_rules.h"
#include "test_main.h"

static struct mqtt_server_rules rules;
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
    return mqtt_server_rules_check(&rules, &p, &fault);
}

static void assert_closes(struct mqtt_packet p, uint8_t reason)
{
    struct mqtt_server_rules before = rules;
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

static void connect_v5(const char *list, size_t len)
{
    mqtt_server_rules_init(&rules);
    assert_passes(packet_of(MQTT_V5, MQTT_CONNECT, list, len));
    ck_assert_uint_eq(rules.state, MQTT_RULES_CONNACK_DUE);
}

static void grant(const char *list, size_t len)
{
    struct mqtt_packet connack = packet_of(MQTT_V5, MQTT_CONNACK, list, len);
    mqtt_server_rules_sent(&rules, &connack);
    ck_assert_uint_eq(rules.state, MQTT_RULES_LIVE);
}

#define CONNECT(LIST) connect_v5(LIST, sizeof(LIST) - 1)
#define GRANT(LIST)   grant(LIST, sizeof(LIST) - 1)

static const uint8_t only_from_server[] = {MQTT_CONNACK, MQTT_SUBACK, MQTT_UNSUBACK, MQTT_PINGRESP};
static const uint8_t from_client[] = {MQTT_PUBLISH, MQTT_PUBACK,    MQTT_PUBREC,      MQTT_PUBREL,
                                      MQTT_PUBCOMP, MQTT_SUBSCRIBE, MQTT_UNSUBSCRIBE, MQTT_PINGREQ};

START_TEST(only_connect_comes_first) /* M01 */
{
    mqtt_server_rules_init(&rules);
    for (uint8_t type = 1; type < 16; type++)
        if (type != MQTT_CONNECT)
            assert_closes(packet_of(MQTT_V5, type, METHOD, 4), MQTT_REASON_PROTOCOL_ERROR);
    ck_assert_uint_eq(rules.state, MQTT_RULES_CONNECT_DUE);
}
END_TEST

START_TEST(a_second_connect_closes) /* M02 */
{
    CONNECT("");
    assert_closes(PACKET(MQTT_CONNECT, ""), MQTT_REASON_PROTOCOL_ERROR);
    GRANT("");
    assert_closes(PACKET(MQTT_CONNECT, ""), MQTT_REASON_PROTOCOL_ERROR);
    assert_closes(packet_of(MQTT_V311, MQTT_CONNECT, NULL, 0), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(packets_of_a_server_close) /* M06 */
{
    CONNECT("");
    GRANT("");
    for (size_t i = 0; i < sizeof(only_from_server); i++)
        assert_closes(packet_of(MQTT_V5, only_from_server[i], NULL, 0), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(clients_need_not_wait_for_connack)
{
    CONNECT("");
    for (size_t i = 0; i < sizeof(from_client); i++)
        assert_passes(packet_of(MQTT_V5, from_client[i], NULL, 0));
    struct mqtt_packet publish = PACKET(MQTT_PUBLISH, ""), subscribe = PACKET(MQTT_SUBSCRIBE, "\x0B\1");
    publish.publish.qos = 2;
    publish.publish.retain = true;
    subscribe.subscriptions.wire = (struct mqtt_bytes){(const uint8_t *)"\0\x0A$share/g/+\0", 13};
    assert_passes(publish);
    assert_passes(subscribe);
    assert_passes(PACKET(MQTT_DISCONNECT, ""));
    ck_assert_uint_eq(rules.state, MQTT_RULES_OVER);
}
END_TEST

START_TEST(clients_that_authenticate_wait_for_connack)
{
    CONNECT(METHOD);
    for (size_t i = 0; i < sizeof(from_client); i++)
        assert_closes(packet_of(MQTT_V5, from_client[i], NULL, 0), MQTT_REASON_PROTOCOL_ERROR);
    struct mqtt_packet auth = PACKET(MQTT_AUTH, METHOD);
    auth.reason_code = MQTT_REASON_CONTINUE_AUTHENTICATION;
    assert_passes(auth);
    auth.reason_code = MQTT_REASON_RE_AUTHENTICATE;
    assert_closes(auth, MQTT_REASON_PROTOCOL_ERROR);
    auth.reason_code = MQTT_REASON_SUCCESS;
    assert_closes(auth, MQTT_REASON_PROTOCOL_ERROR);
    GRANT("");
    auth.reason_code = MQTT_REASON_RE_AUTHENTICATE;
    assert_passes(auth);
    assert_passes(PACKET(MQTT_PUBLISH, ""));
}
END_TEST

START_TEST(auth_needs_a_method_in_connect) /* M36 */
{
    struct mqtt_packet auth = PACKET(MQTT_AUTH, METHOD);
    auth.reason_code = MQTT_REASON_CONTINUE_AUTHENTICATION;
    CONNECT("");
    assert_closes(auth, MQTT_REASON_PROTOCOL_ERROR);
    GRANT("");
    assert_closes(auth, MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(aliases_keep_to_what_was_granted) /* M32 */
{
    CONNECT("");
    assert_passes(PACKET(MQTT_PUBLISH, "\x23\xFF\xFF")); /* not granted yet: the broker judges */
    GRANT("\x22\0\5");
    assert_passes(PACKET(MQTT_PUBLISH, "\x23\0\5"));
    assert_closes(PACKET(MQTT_PUBLISH, "\x23\0\6"), MQTT_REASON_TOPIC_ALIAS_INVALID);
    CONNECT("");
    GRANT("");
    assert_closes(PACKET(MQTT_PUBLISH, "\x23\0\1"), MQTT_REASON_TOPIC_ALIAS_INVALID);
}
END_TEST

START_TEST(a_client_sends_no_subscription_identifier) /* M33 */
{
    CONNECT("");
    assert_closes(PACKET(MQTT_PUBLISH, "\x0B\1"), MQTT_REASON_PROTOCOL_ERROR);
    assert_passes(PACKET(MQTT_SUBSCRIBE, "\x0B\1"));
}
END_TEST

START_TEST(what_the_server_said_it_has_not_is_not_used)
{
    struct mqtt_packet publish = PACKET(MQTT_PUBLISH, ""), subscribe = PACKET(MQTT_SUBSCRIBE, "\x0B\1");
    CONNECT("");
    GRANT("\x24\1\x25\0\x28\0\x29\0\x2A\0");
    publish.publish.qos = 1;
    assert_passes(publish);
    publish.publish.qos = 2;
    assert_closes(publish, MQTT_REASON_QOS_NOT_SUPPORTED);
    publish.publish.qos = 0;
    publish.publish.retain = true;
    assert_closes(publish, MQTT_REASON_RETAIN_NOT_SUPPORTED);
    assert_closes(subscribe, MQTT_REASON_SUBSCRIPTION_IDS_NOT_SUPPORTED);
    subscribe.properties.wire.len = 0;
    subscribe.subscriptions.wire = (struct mqtt_bytes){(const uint8_t *)"\0\1a\0\0\1+\0", 8};
    assert_closes(subscribe, MQTT_REASON_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED);
    subscribe.subscriptions.wire = (struct mqtt_bytes){(const uint8_t *)"\0\x0A$share/g/t\0", 13};
    assert_closes(subscribe, MQTT_REASON_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
    subscribe.subscriptions.wire = (struct mqtt_bytes){(const uint8_t *)"\0\1a\2", 4}; /* MQTT-3.2.2-10 */
    assert_passes(subscribe);
}
END_TEST

START_TEST(codes_of_a_server_close_in_disconnect) /* M38 */
{
    for (unsigned reason = 0; reason < 256; reason++) {
        struct mqtt_packet p = PACKET(MQTT_DISCONNECT, "");
        p.reason_code = (uint8_t)reason;
        CONNECT("");
        if (mqtt_reason_senders(MQTT_DISCONNECT, p.reason_code) & MQTT_FROM_CLIENT)
            assert_passes(p);
        else
            assert_closes(p, MQTT_REASON_PROTOCOL_ERROR);
    }
}
END_TEST

START_TEST(session_expiry_is_not_raised_from_zero) /* M41 */
{
    CONNECT("");
    assert_closes(PACKET(MQTT_DISCONNECT, "\x11\0\0\0\1"), MQTT_REASON_PROTOCOL_ERROR);
    assert_passes(PACKET(MQTT_DISCONNECT, "\x11\0\0\0\0"));
    CONNECT("\x11\0\0\0\0");
    assert_closes(PACKET(MQTT_DISCONNECT, "\x11\0\0\0\1"), MQTT_REASON_PROTOCOL_ERROR);
    CONNECT("\x11\0\0\0\5");
    assert_passes(PACKET(MQTT_DISCONNECT, "\x11\0\0\0\1"));
}
END_TEST

START_TEST(a_client_refers_to_no_server)
{
    CONNECT("");
    assert_closes(PACKET(MQTT_DISCONNECT, "\x1C\0\1s"), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(nothing_follows_disconnect)
{
    CONNECT("");
    GRANT("");
    assert_passes(PACKET(MQTT_DISCONNECT, ""));
    for (uint8_t type = 1; type < 16; type++)
        assert_closes(packet_of(MQTT_V5, type, NULL, 0), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(nothing_follows_a_refusal) /* M45 */
{
    struct mqtt_packet refusal = PACKET(MQTT_CONNACK, "");
    refusal.reason_code = MQTT_REASON_NOT_AUTHORIZED;
    CONNECT("");
    mqtt_server_rules_sent(&rules, &refusal);
    assert_closes(PACKET(MQTT_PUBLISH, ""), MQTT_REASON_PROTOCOL_ERROR);
    CONNECT("");
    GRANT("");
    struct mqtt_packet disconnect = PACKET(MQTT_DISCONNECT, "");
    mqtt_server_rules_sent(&rules, &disconnect);
    assert_closes(PACKET(MQTT_PINGREQ, ""), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(a_connection_has_one_version)
{
    CONNECT("");
    GRANT("");
    assert_closes(packet_of(MQTT_V311, MQTT_PUBLISH, NULL, 0), MQTT_REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(version_3_has_no_limits_of_5_0)
{
    struct mqtt_packet connack = packet_of(MQTT_V311, MQTT_CONNACK, NULL, 0);
    struct mqtt_packet publish = packet_of(MQTT_V311, MQTT_PUBLISH, NULL, 0);
    mqtt_server_rules_init(&rules);
    assert_passes(packet_of(MQTT_V311, MQTT_CONNECT, NULL, 0));
    mqtt_server_rules_sent(&rules, &connack);
    publish.publish.qos = 2;
    publish.publish.retain = true;
    assert_passes(publish);
    assert_passes(packet_of(MQTT_V311, MQTT_DISCONNECT, NULL, 0));
}
END_TEST

static Suite *server_rules_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/server_rules", &tc);
    tcase_add_test(tc, only_connect_comes_first);
    tcase_add_test(tc, a_second_connect_closes);
    tcase_add_test(tc, packets_of_a_server_close);
    tcase_add_test(tc, clients_need_not_wait_for_connack);
    tcase_add_test(tc, clients_that_authenticate_wait_for_connack);
    tcase_add_test(tc, auth_needs_a_method_in_connect);
    tcase_add_test(tc, aliases_keep_to_what_was_granted);
    tcase_add_test(tc, a_client_sends_no_subscription_identifier);
    tcase_add_test(tc, what_the_server_said_it_has_not_is_not_used);
    tcase_add_test(tc, codes_of_a_server_close_in_disconnect);
    tcase_add_test(tc, session_expiry_is_not_raised_from_zero);
    tcase_add_test(tc, a_client_refers_to_no_server);
    tcase_add_test(tc, nothing_follows_disconnect);
    tcase_add_test(tc, nothing_follows_a_refusal);
    tcase_add_test(tc, a_connection_has_one_version);
    tcase_add_test(tc, version_3_has_no_limits_of_5_0);
    return suite;
}

TEST_MAIN(server_rules_suite)
