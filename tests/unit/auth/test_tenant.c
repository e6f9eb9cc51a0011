/* tenant: what is mounted lies below the mount point whatever the client says, what is unmounted is what it was, and
 * what is not for the client stays away from it. */
#include "tenant.h"

#include <stdio.h>
#include <string.h>

#include "mqtt_check.h"
#include "mqtt_encode.h"
#include "mqtt_property.h"
#include "mqtt_topic.h"
#include "mqtt_wire.h"
#include "packet_gen.h"
#include "test_main.h"

static struct tenant *t;
static struct tenant_metrics metrics;
static struct tenant_scratch scratch;
static struct mqtt_dropped dropped;
static struct mqtt_reply answer;
static struct mqtt_fault fault;

static void set_up(void)
{
    t = NULL;
    memset(&metrics, 0, sizeof(metrics));
    tenant_scratch_init(&scratch);
    mqtt_dropped_init(&dropped);
}

static void tear_down(void)
{
    t = tenant_close(t);
    tenant_scratch_deinit(&scratch);
    mqtt_dropped_clear(&dropped);
}

static struct mqtt_bytes text(const char *s)
{
    return (struct mqtt_bytes){(const uint8_t *)s, s ? (uint32_t)strlen(s) : 0};
}

static void assert_text(struct mqtt_bytes got, const char *wanted)
{
    if (got.len != strlen(wanted) || memcmp(got.ptr, wanted, got.len) != 0)
        ck_abort_msg("'%.*s', not '%s'", (int)got.len, (const char *)got.ptr, wanted);
}

static void assert_legal(const struct mqtt_packet *p)
{
    struct mqtt_fault wrong = {0};
    ck_assert_msg(mqtt_packet_check(p, &wrong) == 0, "%s", wrong.text);
}

static struct mqtt_packet connect_of(uint8_t version, const char *client_id)
{
    struct mqtt_packet p = {.type = MQTT_CONNECT, .version = version};
    p.connect.protocol_level = version;
    p.connect.clean_start = true;
    p.connect.client_id = text(client_id);
    return p;
}

static int open_with(const char *mount_point, const char *prefix, struct mqtt_packet *connect, const char *certificate)
{
    const struct tenant_params params = {.rules = {.mount_point = mount_point, .client_id_prefix = prefix},
                                         .certificate = text(certificate),
                                         .metrics = &metrics};
    tenant_scratch_deinit(&scratch);
    return tenant_open(&params, connect, &scratch, &t, &fault);
}

/* A tenant "acme" with the prefix "acme:". */
static void open_acme(uint8_t version)
{
    struct mqtt_packet connect = connect_of(version, "pump-3");
    ck_assert_int_eq(open_with("acme", "acme:", &connect, NULL), 0);
    assert_text(connect.connect.client_id, "acme:pump-3");
    assert_legal(&connect);
}

static int mount(struct mqtt_packet *p)
{
    tenant_scratch_deinit(&scratch);
    return tenant_mount(t, p, &scratch, &fault);
}

static int unmount(struct mqtt_packet *p)
{
    tenant_scratch_deinit(&scratch);
    return tenant_unmount(t, p, &scratch, &dropped, &answer);
}

static struct mqtt_packet publish_of(const char *topic, uint8_t qos)
{
    struct mqtt_packet p = {.type = MQTT_PUBLISH, .version = MQTT_V5, .packet_id = qos ? 7 : 0};
    p.publish.topic = text(topic);
    p.publish.qos = qos;
    p.publish.payload = text("payload");
    return p;
}

/* Properties in WIRE, which has room, of a message. */
static struct mqtt_properties message_properties(uint8_t *wire, const char *response, uint16_t alias)
{
    uint8_t *end = mqtt_property_put_pair(wire, MQTT_PROPERTY_USER_PROPERTY, text("k"), text("v"));
    if (response)
        end = mqtt_property_put_bytes(end, MQTT_PROPERTY_RESPONSE_TOPIC, text(response));
    if (alias)
        end = mqtt_property_put_u16(end, MQTT_PROPERTY_TOPIC_ALIAS, alias);
    end = mqtt_property_put_bytes(end, MQTT_PROPERTY_CORRELATION_DATA, text("c"));
    return (struct mqtt_properties){{wire, (uint32_t)(end - wire)}};
}

static struct mqtt_bytes response_of(const struct mqtt_properties *list)
{
    struct mqtt_property prop = {.value = {NULL, 0}};
    mqtt_property_find(list, MQTT_PROPERTY_RESPONSE_TOPIC, &prop);
    return prop.value;
}

/* --- Who is a tenant */

START_TEST(without_rules_there_is_no_tenant)
{
    struct mqtt_packet connect = connect_of(MQTT_V5, "c"), before = connect;
    ck_assert_int_eq(open_with(NULL, NULL, &connect, NULL), 0);
    ck_assert_ptr_null(t);
    ck_assert(mqtt_packet_equal(&connect, &before));
}
END_TEST

static const struct {
    const char *mount_point, *prefix, *user, *client_id, *certificate;
    uint8_t reason; /* 0: a tenant */
} comers[] = {
    {"site/%u", NULL, "pump", "c", NULL, 0},    {"site/%u", NULL, NULL, "c", NULL, 0x87},
    {"site/%u", NULL, "", "c", NULL, 0x87},     {"site/%u", NULL, "a/b", "c", NULL, 0x87},
    {"site/%u", NULL, "+", "c", NULL, 0x87},    {"site/%u", NULL, "#", "c", NULL, 0x87},
    {"%u", NULL, "$SYS", "c", NULL, 0x87},      {"%u", NULL, "$share", "c", NULL, 0x87},
    {"%c", NULL, NULL, "$share", NULL, 0x87},   {"x%u", NULL, "$share", "c", NULL, 0},
    {"site/%c", NULL, NULL, "c", NULL, 0},      {"site/%c", NULL, NULL, "", NULL, 0x85},
    {"site/%c", NULL, NULL, "a/b", NULL, 0x85}, {"site/%c", NULL, NULL, "#", NULL, 0x85},
    {"%n", NULL, "u", "c", "pump-3", 0},        {"%n", NULL, "u", "c", NULL, 0x87},
    {"%n", NULL, "u", "c", "a/b", 0x87},        {NULL, "%u:", "a:b", "c", NULL, 0x87},
    {NULL, "%u:", "ab", "c:d", NULL, 0},        {NULL, "%n:", NULL, "c", NULL, 0x87},
};

START_TEST(who_has_no_good_value_is_refused)
{
    struct mqtt_packet connect = connect_of(MQTT_V5, comers[_i].client_id);
    connect.connect.has_username = comers[_i].user;
    connect.connect.username = text(comers[_i].user);
    int r = open_with(comers[_i].mount_point, comers[_i].prefix, &connect, comers[_i].certificate);
    ck_assert_int_eq(r, comers[_i].reason ? TENANT_REFUSED : 0);
    ck_assert_int_eq(metrics.tenants_refused, comers[_i].reason != 0);
    if (comers[_i].reason) {
        ck_assert_uint_eq(fault.reason, comers[_i].reason);
        ck_assert_ptr_null(t);
    }
}
END_TEST

START_TEST(a_client_id_that_is_too_long_is_refused)
{
    static char id[MQTT_STRING_MAX + 1];
    memset(id, 'x', MQTT_STRING_MAX - 4);
    struct mqtt_packet connect = connect_of(MQTT_V5, id);
    ck_assert_int_eq(open_with(NULL, "acme", &connect, NULL), 0);
    assert_legal(&connect);
    t = tenant_close(t);
    connect = connect_of(MQTT_V5, id);
    ck_assert_int_eq(open_with(NULL, "acme:", &connect, NULL), TENANT_REFUSED);
    ck_assert_uint_eq(fault.reason, 0x85);
}
END_TEST

/* --- No client id */

static struct mqtt_packet connack_with(uint8_t *wire, const char *assigned, uint32_t limit)
{
    struct mqtt_packet p = {.type = MQTT_CONNACK, .version = MQTT_V5};
    uint8_t *end = mqtt_property_put_u16(wire, MQTT_PROPERTY_RECEIVE_MAXIMUM, 9);
    if (assigned)
        end = mqtt_property_put_bytes(end, MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER, text(assigned));
    if (limit)
        end = mqtt_property_put_u32(end, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, limit);
    p.properties.wire = (struct mqtt_bytes){wire, (uint32_t)(end - wire)};
    return p;
}

static struct mqtt_bytes assigned_id(const struct mqtt_packet *connack)
{
    struct mqtt_property prop = {.value = {NULL, 0}};
    mqtt_property_find(&connack->properties, MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER, &prop);
    return prop.value;
}

START_TEST(a_v5_client_without_id_learns_the_one_that_was_made)
{
    uint8_t wire[100];
    char said[33];
    struct mqtt_packet connect = connect_of(MQTT_V5, "");
    ck_assert_int_eq(open_with(NULL, "acme:", &connect, NULL), 0);
    ck_assert_uint_eq(connect.connect.client_id.len, 5 + 32);
    ck_assert_mem_eq(connect.connect.client_id.ptr, "acme:", 5);
    snprintf(said, sizeof(said), "%.32s", (const char *)connect.connect.client_id.ptr + 5);

    struct mqtt_packet connack = connack_with(wire, NULL, 0);
    ck_assert_int_eq(unmount(&connack), 0);
    assert_text(assigned_id(&connack), said);
    assert_legal(&connack);

    struct mqtt_packet refusal = connack_with(wire, NULL, 0);
    refusal.reason_code = 0x87;
    ck_assert_int_eq(unmount(&refusal), 0);
    ck_assert_uint_eq(assigned_id(&refusal).len, 0);
}
END_TEST

START_TEST(no_two_made_ids_are_the_same)
{
    uint8_t first[40];
    struct mqtt_packet connect = connect_of(MQTT_V5, "");
    ck_assert_int_eq(open_with(NULL, "acme:", &connect, NULL), 0);
    memcpy(first, connect.connect.client_id.ptr, 37);
    t = tenant_close(t);
    connect = connect_of(MQTT_V5, "");
    ck_assert_int_eq(open_with(NULL, "acme:", &connect, NULL), 0);
    ck_assert_mem_ne(first, connect.connect.client_id.ptr, 37);
}
END_TEST

START_TEST(a_v3_client_needs_an_id_for_a_session_that_lasts)
{
    struct mqtt_packet clean = connect_of(MQTT_V311, ""), lasting = clean, old = connect_of(MQTT_V31, "");
    lasting.connect.clean_start = false;
    ck_assert_int_eq(open_with("m", "acme:", &clean, NULL), 0);
    ck_assert_uint_eq(clean.connect.client_id.len, 5 + 32);
    t = tenant_close(t);
    ck_assert_int_eq(open_with("m", "acme:", &lasting, NULL), TENANT_REFUSED);
    ck_assert_uint_eq(fault.reason, 0x85);
    ck_assert_int_eq(open_with("m", "acme:", &old, NULL), TENANT_REFUSED);
    ck_assert_int_eq(open_with("m", NULL, &old, NULL), 0); /* the broker will say it */
    ck_assert_uint_eq(old.connect.client_id.len, 0);
}
END_TEST

START_TEST(an_assigned_id_loses_the_prefix)
{
    uint8_t wire[100];
    open_acme(MQTT_V5);
    struct mqtt_packet connack = connack_with(wire, "acme:x", 0);
    ck_assert_int_eq(unmount(&connack), 0);
    assert_text(assigned_id(&connack), "x");
    connack = connack_with(wire, "other", 0);
    ck_assert_int_eq(unmount(&connack), 0);
    assert_text(assigned_id(&connack), "other");
}
END_TEST

/* --- Topics */

static const struct {
    const char *client, *broker;
} topics[] = {
    {"plant/1", "acme/plant/1"},
    {"/", "acme//"},
    {"acme/x", "acme/acme/x"},
    {"../x", "acme/../x"},
    {"$SYS", "$SYS"},
    {"$SYS/broker", "$SYS/broker"},
    {"$SYSTEM/x", "acme/$SYSTEM/x"},
    {"$sys/x", "acme/$sys/x"},
    {"$queue/x", "acme/$queue/x"},
    {"$share/g/x", "acme/$share/g/x"},
    {"$", "acme/$"},
};

START_TEST(a_topic_goes_below_the_mount_point_and_comes_back)
{
    open_acme(MQTT_V5);
    struct mqtt_packet p = publish_of(topics[_i].client, 1);
    ck_assert_int_eq(mount(&p), 0);
    assert_text(p.publish.topic, topics[_i].broker);
    assert_legal(&p);
    p = publish_of(topics[_i].broker, 1);
    ck_assert_int_eq(unmount(&p), 0);
    assert_text(p.publish.topic, topics[_i].client);
}
END_TEST

START_TEST(a_response_topic_does_too)
{
    uint8_t wire[100];
    open_acme(MQTT_V5);
    struct mqtt_packet p = publish_of("plant/1", 1);
    const struct mqtt_properties said = message_properties(wire, topics[_i].client, 0);
    p.properties = said;
    ck_assert_int_eq(mount(&p), 0);
    assert_text(response_of(&p.properties), topics[_i].broker);
    assert_legal(&p);

    p = publish_of("acme/plant/1", 1);
    p.properties = message_properties(wire, topics[_i].broker, 0);
    ck_assert_int_eq(unmount(&p), 0);
    assert_text(response_of(&p.properties), topics[_i].client);
    assert_legal(&p);
    ck_assert_int_eq(metrics.response_topics_removed, 0);
}
END_TEST

START_TEST(a_response_topic_outside_is_taken_away)
{
    static const char *const outside[] = {"other/x", "acme", "acme/", "acm", "acmex/y", "$share/acme/x"};
    uint8_t wire[100], others[100];
    open_acme(MQTT_V5);
    struct mqtt_packet p = publish_of("acme/plant/1", 1);
    p.properties = message_properties(wire, outside[_i], 5);
    ck_assert_int_eq(unmount(&p), 0);
    const struct mqtt_properties wanted = message_properties(others, NULL, 5);
    ck_assert_uint_eq(p.properties.wire.len, wanted.wire.len);
    ck_assert_mem_eq(p.properties.wire.ptr, wanted.wire.ptr, wanted.wire.len);
    ck_assert_int_eq(metrics.response_topics_removed, 1);
}
END_TEST

START_TEST(an_alias_alone_has_no_topic)
{
    uint8_t wire[100];
    open_acme(MQTT_V5);
    struct mqtt_packet p = publish_of("", 1);
    p.properties = message_properties(wire, NULL, 5);
    const struct mqtt_packet before = p;
    ck_assert_int_eq(mount(&p), 0);
    ck_assert(mqtt_packet_equal(&p, &before));
    ck_assert_int_eq(unmount(&p), 0);
    ck_assert(mqtt_packet_equal(&p, &before));
}
END_TEST

static const struct {
    const char *client, *broker;
} filters[] = {
    {"#", "acme/#"},
    {"+", "acme/+"},
    {"+/x/#", "acme/+/x/#"},
    {"plant/1", "acme/plant/1"},
    {"$SYS/#", "$SYS/#"},
    {"$SYS", "$SYS"},
    {"$SYSX/#", "acme/$SYSX/#"},
    {"$share/g/#", "$share/g/acme/#"},
    {"$share/g/plant/+", "$share/g/acme/plant/+"},
    {"$share/g//x", "$share/g/acme//x"},
    {"$share/g/$SYS/#", "$share/g/$SYS/#"},
    {"$share/$SYS/#", "$share/$SYS/acme/#"},
    {"$share/g/$share/h/x", "$share/g/acme/$share/h/x"},
    {"$share//x", "$share//acme/x"}, /* this and the next: no shared subscription to a strict broker */
    {"$share/+/x", "$share/+/acme/x"},
    {"$share/g", "$share/g"}, /* likewise, for want of a filter */
    {"$share/g/", "$share/g/"},
    {"$share/", "$share/"},
    {"$share", "acme/$share"},
    {"$SHARE/g/x", "acme/$SHARE/g/x"},
    {"$queue/x", "acme/$queue/x"},
    {"$exclusive/x", "acme/$exclusive/x"},
};

/* All of them in one packet, with their options. Returns the end. */
static uint8_t *put_filters(uint8_t *at, bool is_broker, bool has_options)
{
    for (size_t i = 0; i < TEST_COUNT(filters); i++) {
        at = mqtt_wire_put_text(at, text(is_broker ? filters[i].broker : filters[i].client));
        if (has_options)
            at = mqtt_wire_put_u8(at, (uint8_t)(i % 3 | i % 2 << 3 | i % 3 << 4));
    }
    return at;
}

static void check_filters(uint8_t type)
{
    uint8_t said[1000], wanted[1000];
    struct mqtt_packet p = {.type = type, .version = MQTT_V5, .packet_id = 7}, q = p;
    const bool has_options = type == MQTT_SUBSCRIBE;
    p.subscriptions.count = q.subscriptions.count = TEST_COUNT(filters);
    p.subscriptions.wire = (struct mqtt_bytes){said, (uint32_t)(put_filters(said, false, has_options) - said)};
    q.subscriptions.wire = (struct mqtt_bytes){wanted, (uint32_t)(put_filters(wanted, true, has_options) - wanted)};
    open_acme(MQTT_V5);
    ck_assert_int_eq(mount(&p), 0);
    ck_assert(mqtt_packet_equal(&p, &q));
}

START_TEST(filters_go_below_the_mount_point)
{
    check_filters(MQTT_SUBSCRIBE);
    tear_down();
    check_filters(MQTT_UNSUBSCRIBE);
}
END_TEST

START_TEST(a_will_goes_below_the_mount_point)
{
    uint8_t wire[100];
    struct mqtt_packet connect = connect_of(MQTT_V5, "c");
    connect.connect.has_will = true;
    connect.connect.will.topic = text("gone");
    connect.connect.will.properties = message_properties(wire, "back", 0);
    /* an alias has no place in a will */
    ck_assert_int_eq(open_with("acme/", "p-", &connect, NULL), 0);
    assert_text(connect.connect.client_id, "p-c");
    assert_text(connect.connect.will.topic, "acme/gone");
    assert_text(response_of(&connect.connect.will.properties), "acme/back");
    assert_legal(&connect);
}
END_TEST

START_TEST(response_information_loses_the_mount_point)
{
    uint8_t wire[100];
    open_acme(MQTT_V5);
    struct mqtt_packet p = {.type = MQTT_CONNACK, .version = MQTT_V5};
    const uint8_t *end = mqtt_property_put_bytes(wire, MQTT_PROPERTY_RESPONSE_INFORMATION, text("acme/r"));
    struct mqtt_property prop;
    p.properties.wire = (struct mqtt_bytes){wire, (uint32_t)(end - wire)};
    ck_assert_int_eq(unmount(&p), 0);
    ck_assert(mqtt_property_find(&p.properties, MQTT_PROPERTY_RESPONSE_INFORMATION, &prop));
    assert_text(prop.value, "r");
}
END_TEST

/* --- What is too long */

START_TEST(a_topic_that_is_too_long_below_the_mount_point_is_refused)
{
    static char topic[MQTT_STRING_MAX + 1];
    static uint8_t wire[MQTT_STRING_MAX + 100];
    memset(topic, 'x', MQTT_STRING_MAX - 5);
    open_acme(MQTT_V5);
    struct mqtt_packet p = publish_of(topic, 0);
    ck_assert_int_eq(mount(&p), 0);
    ck_assert_uint_eq(p.publish.topic.len, MQTT_STRING_MAX);
    assert_legal(&p);
    topic[MQTT_STRING_MAX - 5] = 'x';
    p = publish_of(topic, 0);
    ck_assert_int_eq(mount(&p), TENANT_REFUSED);
    ck_assert_uint_eq(fault.reason, 0x90);

    p = publish_of("x", 0);
    p.properties = message_properties(wire, topic, 0);
    ck_assert_int_eq(mount(&p), TENANT_REFUSED);
    ck_assert_uint_eq(fault.reason, 0x90);

    struct mqtt_packet s = {.type = MQTT_UNSUBSCRIBE, .version = MQTT_V311, .packet_id = 1};
    s.filters.count = 1;
    s.filters.wire = (struct mqtt_bytes){wire, (uint32_t)(mqtt_wire_put_text(wire, text(topic)) - wire)};
    ck_assert_int_eq(mount(&s), TENANT_REFUSED);
    ck_assert_uint_eq(fault.reason, 0x8F);
}
END_TEST

START_TEST(a_will_that_is_too_long_is_refused)
{
    static char topic[MQTT_STRING_MAX + 1];
    memset(topic, 'x', MQTT_STRING_MAX);
    struct mqtt_packet connect = connect_of(MQTT_V311, "c");
    connect.connect.has_will = true;
    connect.connect.will.topic = text(topic);
    ck_assert_int_eq(open_with("m", NULL, &connect, NULL), TENANT_REFUSED);
    ck_assert_uint_eq(fault.reason, 0x90);
    ck_assert_int_eq(metrics.tenants_refused, 1);
}
END_TEST

/* 64 MB of filters of one letter would need 1.5 GB. */
START_TEST(filters_that_would_burst_are_refused_before_memory_is_asked_for)
{
    struct mqtt_packet p = {.type = MQTT_SUBSCRIBE, .version = MQTT_V5, .packet_id = 1};
    p.subscriptions.count = 64 << 20;
    p.subscriptions.wire = (struct mqtt_bytes){(const uint8_t *)"", 256 << 20};
    open_acme(MQTT_V5);
    ck_assert_int_eq(mount(&p), TENANT_REFUSED);
    ck_assert_uint_eq(fault.reason, 0x95);
    ck_assert_ptr_null(scratch.heap);
}
END_TEST

/* --- Maximum Packet Size */

static struct mqtt_packet connect_with_limit(uint8_t *wire, uint32_t limit)
{
    struct mqtt_packet p = connect_of(MQTT_V5, "c");
    const uint8_t *end = mqtt_property_put_u32(wire, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, limit);
    p.properties.wire = (struct mqtt_bytes){wire, (uint32_t)(end - wire)};
    return p;
}

START_TEST(what_fits_the_client_fits_with_its_mount_point)
{
    uint8_t wire[16], properties[100];
    struct mqtt_packet p = publish_of("x", 1), connect;
    p.properties = message_properties(properties, "y", 0);
    const uint32_t limit = (uint32_t)mqtt_encode_size(&p);
    connect = connect_with_limit(wire, limit);
    ck_assert_int_eq(open_with("acme", NULL, &connect, NULL), 0);
    const uint32_t told = mqtt_property_number(&connect.properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 0);
    assert_legal(&connect);

    ck_assert_int_eq(mount(&p), 0);
    ck_assert_uint_le(mqtt_encode_size(&p), told);
    struct mqtt_packet *copy = mqtt_packet_store(&p);
    ck_assert_int_eq(unmount(copy), 0);
    ck_assert_uint_eq(mqtt_encode_size(copy), limit);
    free(copy);
}
END_TEST

START_TEST(what_does_not_fit_the_client_is_dropped_and_acknowledged)
{
    uint8_t wire[16];
    struct mqtt_packet p = publish_of("acme/x", 2), connect = connect_with_limit(wire, 14);
    ck_assert_int_eq(open_with("acme", NULL, &connect, NULL), 0);
    ck_assert_int_eq(unmount(&p), MQTT_DROPPED_ANSWER);
    ck_assert_uint_eq(answer.packet.type, MQTT_PUBREC);
    ck_assert_uint_eq(answer.packet.packet_id, 7);
    ck_assert_int_eq(metrics.publishes_over_client_limit, 1);
    struct mqtt_packet pubrel = {.type = MQTT_PUBREL, .version = MQTT_V5, .packet_id = 7};
    ck_assert_int_eq(unmount(&pubrel), MQTT_DROPPED_ANSWER);
    ck_assert_uint_eq(answer.packet.type, MQTT_PUBCOMP);
    ck_assert_int_eq(unmount(&pubrel), 0);
}
END_TEST

START_TEST(an_explanation_that_does_not_fit_the_client_is_left_out)
{
    uint8_t wire[16], said[100];
    struct mqtt_packet connect = connect_with_limit(wire, 12), p = {.type = MQTT_PUBACK, .version = MQTT_V5};
    p.packet_id = 1;
    p.reason_code = 0x87;
    const uint8_t *end = mqtt_property_put_bytes(said, MQTT_PROPERTY_REASON_STRING, text("not for you"));
    p.properties.wire = (struct mqtt_bytes){said, (uint32_t)(end - said)};
    ck_assert_int_eq(open_with("acme", NULL, &connect, NULL), 0);
    ck_assert_int_eq(unmount(&p), 0);
    ck_assert_uint_eq(p.properties.wire.len, 0);
    ck_assert_uint_eq(p.reason_code, 0x87);
}
END_TEST

START_TEST(the_client_is_told_what_the_broker_takes_less)
{
    uint8_t wire[100], properties[100];
    static const uint8_t payload[300];
    open_acme(MQTT_V5);
    struct mqtt_packet connack = connack_with(wire, NULL, 200), p = publish_of("x", 1);
    ck_assert_int_eq(unmount(&connack), 0);
    const uint32_t told = mqtt_property_number(&connack.properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, 0);
    ck_assert_uint_gt(told, 150);
    p.properties = message_properties(properties, "y", 0);
    p.publish.payload = (struct mqtt_bytes){payload, 0};
    p.publish.payload.len = told - (uint32_t)mqtt_encode_size(&p) - 1; /* the length before it grows by one */
    ck_assert_uint_eq(mqtt_encode_size(&p), told);
    ck_assert_int_eq(mount(&p), 0);
    ck_assert_uint_le(mqtt_encode_size(&p), 200);

    uint8_t list[200], *end = list;
    struct mqtt_packet s = {.type = MQTT_SUBSCRIBE, .version = MQTT_V5, .packet_id = 1};
    for (s.subscriptions.count = 0; s.subscriptions.count < 30; s.subscriptions.count++)
        end = mqtt_wire_put_u8(mqtt_wire_put_text(end, text("x")), 0);
    s.subscriptions.wire = (struct mqtt_bytes){list, (uint32_t)(end - list)};
    ck_assert_uint_le(mqtt_encode_size(&s), told);
    ck_assert_int_eq(mount(&s), TENANT_REFUSED);
    ck_assert_uint_eq(fault.reason, 0x95);
}
END_TEST

/* --- What is not for the client */

static const char *const strange_topics[] = {"acme",    "acme/",           "acm",     "other/x",
                                             "acmex/y", "$share/g/acme/x", "$other/x"};

START_TEST(what_is_not_below_the_mount_point_is_dropped_and_acknowledged)
{
    open_acme(MQTT_V5);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        struct mqtt_packet p = publish_of(strange_topics[_i], qos);
        ck_assert_int_eq(unmount(&p), qos == 0 ? MQTT_DROPPED : MQTT_DROPPED_ANSWER);
        if (qos > 0)
            ck_assert_uint_eq(answer.packet.type, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC);
        ck_assert_int_eq(metrics.publishes_outside_mount, qos + 1);
    }
}
END_TEST

START_TEST(a_broker_of_our_own_has_to_send_no_answer)
{
    open_acme(MQTT_V5);
    struct mqtt_packet p = publish_of(strange_topics[_i], 2);
    ck_assert_int_eq(tenant_unmount_publish(t, &p, &scratch), TENANT_DROPPED);
    assert_text(p.publish.topic, strange_topics[_i]);
    ck_assert_int_eq(metrics.publishes_outside_mount, 1);
    p = publish_of("acme/plant", 2);
    ck_assert_int_eq(tenant_unmount_publish(t, &p, &scratch), 0);
    assert_text(p.publish.topic, "plant");
}
END_TEST

START_TEST(who_moves_counts_elsewhere)
{
    struct tenant_metrics there = {.tenants_refused = 0};
    open_acme(MQTT_V5);
    tenant_move(t, &there, NULL);
    struct mqtt_packet p = publish_of("other/x", 0);
    ck_assert_int_eq(tenant_unmount_publish(t, &p, &scratch), TENANT_DROPPED);
    ck_assert_int_eq(metrics.publishes_outside_mount, 0);
    ck_assert_int_eq(there.publishes_outside_mount, 1);
}
END_TEST

START_TEST(levels_are_those_before_the_topic)
{
    struct mqtt_packet connect = connect_of(MQTT_V5, "pump-3");
    ck_assert_uint_eq(tenant_levels(NULL), 0);
    ck_assert_int_eq(open_with("a/%c/b", NULL, &connect, NULL), 0);
    ck_assert_uint_eq(tenant_levels(t), 3);
}
END_TEST

START_TEST(an_alias_of_a_dropped_topic_leads_nowhere)
{
    uint8_t wire[100];
    open_acme(MQTT_V5);
    struct mqtt_packet p = publish_of("other/x", 1);
    p.properties = message_properties(wire, NULL, 5);
    ck_assert_int_eq(unmount(&p), MQTT_DROPPED_ANSWER);
    p = publish_of("", 1);
    p.properties = message_properties(wire, NULL, 5);
    ck_assert_int_eq(unmount(&p), MQTT_DROPPED_ANSWER);
    ck_assert_int_eq(metrics.publishes_outside_mount, 2);
    p = publish_of("acme/x", 1);
    p.properties = message_properties(wire, NULL, 5);
    ck_assert_int_eq(unmount(&p), 0);
    p = publish_of("", 1);
    p.properties = message_properties(wire, NULL, 5);
    ck_assert_int_eq(unmount(&p), 0);
    ck_assert_uint_eq(p.publish.topic.len, 0);
}
END_TEST

START_TEST(an_alias_of_a_message_that_was_too_large_is_made_known)
{
    uint8_t wire[16], properties[100];
    static const uint8_t payload[100];
    struct mqtt_packet connect = connect_with_limit(wire, 60), p = publish_of("acme/x", 0);
    ck_assert_int_eq(open_with("acme", NULL, &connect, NULL), 0);
    p.properties = message_properties(properties, NULL, 5);
    p.publish.payload = (struct mqtt_bytes){payload, sizeof(payload)};
    ck_assert_int_eq(unmount(&p), MQTT_DROPPED);
    p = publish_of("", 0);
    p.properties = message_properties(properties, NULL, 5);
    ck_assert_int_eq(unmount(&p), 0);
    assert_text(p.publish.topic, "x");
}
END_TEST

START_TEST(a_prefix_alone_leaves_topics_alone)
{
    struct mqtt_packet connect = connect_of(MQTT_V5, "c"), p = publish_of("acme", 1), before = p;
    ck_assert_int_eq(open_with(NULL, "acme:", &connect, NULL), 0);
    ck_assert_int_eq(mount(&p), 0);
    ck_assert(mqtt_packet_equal(&p, &before));
    ck_assert_int_eq(unmount(&p), 0);
    ck_assert(mqtt_packet_equal(&p, &before));
}
END_TEST

/* --- Any packet */

static bool is_sys(struct mqtt_bytes topic)
{
    return topic.len >= 4 && memcmp(topic.ptr, "$SYS", 4) == 0 && (topic.len == 4 || topic.ptr[4] == '/');
}

static void assert_inside(struct mqtt_bytes topic)
{
    ck_assert(is_sys(topic) || (topic.len > 5 && memcmp(topic.ptr, "acme/", 5) == 0));
}

static void assert_filters_inside(const struct mqtt_packet *p)
{
    struct mqtt_bytes iter = p->subscriptions.wire, group, inner;
    struct mqtt_subscription s;
    while (p->type == MQTT_SUBSCRIBE ? mqtt_subscription_next(&iter, &s) : mqtt_filter_next(&iter, &s.filter)) {
        if (mqtt_topic_split_shared(s.filter, &group, &inner))
            assert_inside(inner);
        else if (!mqtt_topic_is_shared(s.filter)) /* else no broker takes it */
            assert_inside(s.filter);
    }
}

/* What is too long by then has a reason that the packet may be answered with. */
static bool is_refused_with_reason(int r)
{
    ck_assert(r == 0 || r == TENANT_REFUSED);
    if (r == TENANT_REFUSED)
        ck_assert(fault.reason == 0x90 || fault.reason == 0x8F || fault.reason == 0x95 || fault.reason == 0x85);
    return r == TENANT_REFUSED;
}

START_TEST(mounting_keeps_packets_legal_and_inside_and_unmounting_undoes_it)
{
    struct packet_gen g;
    packet_gen_init(&g, 4711 + (uint64_t)_i);
    open_acme((uint8_t)_i);
    for (int i = 0; i < 3000; i++) {
        struct mqtt_packet said, p;
        packet_gen_next(&g, (uint8_t)_i, &said);
        p = said;
        if (p.type == MQTT_CONNECT || p.type == MQTT_CONNACK || is_refused_with_reason(mount(&p)))
            continue;
        assert_legal(&p);
        if (p.type == MQTT_SUBSCRIBE || p.type == MQTT_UNSUBSCRIBE) {
            assert_filters_inside(&p);
            continue;
        }
        if (p.type == MQTT_PUBLISH && p.publish.topic.len > 0)
            assert_inside(p.publish.topic);
        struct mqtt_packet *copy = mqtt_packet_store(&p);
        ck_assert_int_eq(unmount(copy), 0);
        ck_assert(mqtt_packet_equal(copy, &said));
        free(copy);
    }
    packet_gen_deinit(&g);
}
END_TEST

START_TEST(any_connect_becomes_a_legal_one_inside)
{
    struct packet_gen g;
    packet_gen_init(&g, 99 + (uint64_t)_i);
    for (int i = 0; i < 1000; i++) {
        struct mqtt_packet p;
        packet_gen_type(&g, (uint8_t)_i, MQTT_CONNECT, &p);
        if (!is_refused_with_reason(open_with("acme", "acme:", &p, NULL))) {
            assert_legal(&p);
            ck_assert_mem_eq(p.connect.client_id.ptr, "acme:", 5);
            if (p.connect.has_will)
                assert_inside(p.connect.will.topic);
        }
        t = tenant_close(t);
    }
    packet_gen_deinit(&g);
}
END_TEST

static Suite *tenant_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("tenant", &tc);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, without_rules_there_is_no_tenant);
    tcase_add_loop_test(tc, who_has_no_good_value_is_refused, 0, TEST_COUNT(comers));
    tcase_add_test(tc, a_client_id_that_is_too_long_is_refused);
    tcase_add_test(tc, a_v5_client_without_id_learns_the_one_that_was_made);
    tcase_add_test(tc, no_two_made_ids_are_the_same);
    tcase_add_test(tc, a_v3_client_needs_an_id_for_a_session_that_lasts);
    tcase_add_test(tc, an_assigned_id_loses_the_prefix);
    tcase_add_loop_test(tc, a_topic_goes_below_the_mount_point_and_comes_back, 0, TEST_COUNT(topics));
    tcase_add_loop_test(tc, a_response_topic_does_too, 0, TEST_COUNT(topics));
    tcase_add_loop_test(tc, a_response_topic_outside_is_taken_away, 0, 6);
    tcase_add_test(tc, an_alias_alone_has_no_topic);
    tcase_add_test(tc, filters_go_below_the_mount_point);
    tcase_add_test(tc, a_will_goes_below_the_mount_point);
    tcase_add_test(tc, response_information_loses_the_mount_point);
    tcase_add_test(tc, a_topic_that_is_too_long_below_the_mount_point_is_refused);
    tcase_add_test(tc, a_will_that_is_too_long_is_refused);
    tcase_add_test(tc, filters_that_would_burst_are_refused_before_memory_is_asked_for);
    tcase_add_test(tc, what_fits_the_client_fits_with_its_mount_point);
    tcase_add_test(tc, what_does_not_fit_the_client_is_dropped_and_acknowledged);
    tcase_add_test(tc, an_explanation_that_does_not_fit_the_client_is_left_out);
    tcase_add_test(tc, the_client_is_told_what_the_broker_takes_less);
    tcase_add_loop_test(tc, what_is_not_below_the_mount_point_is_dropped_and_acknowledged, 0,
                        TEST_COUNT(strange_topics));
    tcase_add_loop_test(tc, a_broker_of_our_own_has_to_send_no_answer, 0, TEST_COUNT(strange_topics));
    tcase_add_test(tc, who_moves_counts_elsewhere);
    tcase_add_test(tc, levels_are_those_before_the_topic);
    tcase_add_test(tc, an_alias_of_a_dropped_topic_leads_nowhere);
    tcase_add_test(tc, an_alias_of_a_message_that_was_too_large_is_made_known);
    tcase_add_test(tc, a_prefix_alone_leaves_topics_alone);
    tcase_add_loop_test(tc, mounting_keeps_packets_legal_and_inside_and_unmounting_undoes_it, MQTT_V31, MQTT_V5 + 1);
    tcase_add_loop_test(tc, any_connect_becomes_a_legal_one_inside, MQTT_V31, MQTT_V5 + 1);
    return suite;
}

TEST_MAIN(tenant_suite)
