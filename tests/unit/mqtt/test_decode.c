/* Decoder: samples of every packet kind, what must be refused and with which reason, and how early. */
#include "mqtt_decode.h"
#include "mqtt_encode.h"
#include "mqtt_property.h"
#include "mqtt_samples.h"
#include "test_main.h"

struct sample {
    uint8_t version;
    const char *name;
    const char *wire;
    size_t len;
};

#define SAMPLE(VERSION, NAME, WIRE) {VERSION, NAME, WIRE, sizeof(WIRE) - 1},
static const struct sample samples[] = {SAMPLES(SAMPLE)};

struct refusal {
    const char *row, *name;
    uint8_t version; /* 0: a server's decoder, at the start */
    uint8_t reason;
    const char *wire;
    size_t len;
};

#define REFUSED(ROW, NAME, VERSION, REASON, WIRE) {ROW, NAME, VERSION, REASON, WIRE, sizeof(WIRE) - 1},
static const struct refusal refusals[] = {REFUSALS(REFUSED)};

/* Bytes are copied to a block of just their size, so that a sanitizer sees a read past them. */
static int feed(struct mqtt_decoder *d, const void *bytes, size_t len, struct mqtt_packet *ret_packet,
                uint8_t **ret_block)
{
    uint8_t *block = malloc(len > 0 ? len : 1);
    memcpy(block, bytes, len);
    struct cursor c = cursor_make(block, len);
    int r = mqtt_decoder_feed(d, &c, ret_packet);
    ck_assert_uint_eq(c.len, r == MQTT_DECODE_OK ? 0 : len);
    *ret_block = block;
    return r;
}

/* For when the packet itself does not matter. */
static int feed_once(uint8_t version, uint32_t max, const void *bytes, size_t len, struct mqtt_decoder *ret_decoder)
{
    struct mqtt_packet p;
    uint8_t *block;
    mqtt_decoder_init(ret_decoder, version, max);
    int r = feed(ret_decoder, bytes, len, &p, &block);
    free(block);
    return r;
}

START_TEST(every_sample_is_decoded_and_encoded_to_the_same_bytes)
{
    const struct sample *s = &samples[_i];
    struct mqtt_decoder d;
    struct mqtt_packet p;
    uint8_t *block, again[1024];
    mqtt_decoder_init(&d, s->version, 0);
    int r = feed(&d, s->wire, s->len, &p, &block);
    ck_assert_msg(r == MQTT_DECODE_OK, "%s: %s", s->name, mqtt_decoder_text(&d));
    ck_assert_uint_eq(p.version, s->version);
    ck_assert_uint_eq(p.type, (uint8_t)s->wire[0] >> 4);
    ck_assert_msg(mqtt_encode_size(&p) == s->len, "%s", s->name);
    ck_assert_uint_eq(mqtt_encode(&p, again), s->len);
    ck_assert_mem_eq(again, s->wire, s->len);
    free(block);
}
END_TEST

START_TEST(every_sample_survives_every_split)
{
    const struct sample *s = &samples[_i];
    struct mqtt_decoder d;
    struct mqtt_packet p;
    uint8_t *block;
    for (size_t cut = 0; cut < s->len; cut++) {
        mqtt_decoder_init(&d, s->version, 0);
        ck_assert_msg(feed(&d, s->wire, cut, &p, &block) == MQTT_DECODE_MORE, "%s, cut at %zu", s->name, cut);
        free(block);
        uint32_t needed = mqtt_decoder_needed(&d);
        ck_assert(needed == s->len || (needed == 0 && cut < 3));
        ck_assert_int_eq(feed(&d, s->wire, s->len, &p, &block), MQTT_DECODE_OK);
        free(block);
    }
}
END_TEST

/* Cut short and honest about it: Remaining Length says what is left. Almost always that is no packet any more, and in
 * no case may a byte behind the end be read. */
START_TEST(no_sample_is_read_past_its_end)
{
    const struct sample *s = &samples[_i];
    size_t header = (uint8_t)s->wire[1] < 128 ? 2 : 3;
    for (size_t body = 0; body < s->len - header && body < 128; body++) {
        struct mqtt_decoder d;
        char cut[130] = {s->wire[0], (char)body};
        memcpy(cut + 2, s->wire + header, body);
        int r = feed_once(s->version, 0, cut, body + 2, &d);
        ck_assert_msg(r == MQTT_DECODE_OK || r == MQTT_DECODE_MALFORMED, "%s, cut to %zu", s->name, body);
    }
}
END_TEST

/* M21: for CONNECT a cut body is never a packet, but for what 3.1 allows: credentials that are flagged and missing. */
START_TEST(a_connect_is_refused_at_every_cut)
{
    const struct sample *s = &samples[_i];
    size_t header = (uint8_t)s->wire[1] < 128 ? 2 : 3;
    if ((uint8_t)s->wire[0] != 0x10 || s->version == MQTT_V31)
        return;
    for (size_t body = 0; body < s->len - header && body < 128; body++) {
        struct mqtt_decoder d;
        char cut[130] = {s->wire[0], (char)body};
        memcpy(cut + 2, s->wire + header, body);
        int r = feed_once(0, 0, cut, body + 2, &d);
        ck_assert_msg(r == MQTT_DECODE_MALFORMED, "%s, cut to %zu", s->name, body);
        ck_assert_uint_eq(mqtt_decoder_reason(&d), MQTT_REASON_MALFORMED_PACKET);
    }
}
END_TEST

/* PUBLISH takes what follows as payload, and lists as another entry; everything else has an end. */
START_TEST(bytes_behind_the_last_field_are_refused)
{
    const struct sample *s = &samples[_i];
    uint8_t type = (uint8_t)s->wire[0] >> 4;
    struct mqtt_decoder d;
    char longer[512];
    bool is_open = type == MQTT_PUBLISH || type == MQTT_SUBACK || (type == MQTT_UNSUBACK && s->version == MQTT_V5);
    bool is_short = s->version == MQTT_V5 && (s->len <= 5 && type >= MQTT_PUBACK); /* reason or properties may follow */
    if (is_open || is_short || (uint8_t)s->wire[1] >= 127)
        return;
    memcpy(longer, s->wire, s->len);
    longer[1]++;
    longer[s->len] = 0;
    ck_assert_msg(feed_once(s->version, 0, longer, s->len + 1, &d) == MQTT_DECODE_MALFORMED, "%s", s->name);
    ck_assert_uint_eq(mqtt_decoder_reason(&d), MQTT_REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(every_refusal_has_its_reason)
{
    const struct refusal *b = &refusals[_i];
    struct mqtt_decoder d;
    int r = feed_once(b->version, 0, b->wire, b->len, &d);
    ck_assert_msg(r == MQTT_DECODE_MALFORMED, "%s %s: result %d", b->row, b->name, r);
    ck_assert_msg(mqtt_decoder_reason(&d) == b->reason, "%s %s: 0x%02X, %s", b->row, b->name, mqtt_decoder_reason(&d),
                  mqtt_decoder_text(&d));
    ck_assert_int_eq(strncmp(mqtt_decoder_text(&d), "MQTT", 4), 0);
}
END_TEST

/* A refusal may come early but is never taken back, and no beginning of a bad packet passes for a good one. */
START_TEST(every_refusal_is_the_same_in_every_split)
{
    const struct refusal *b = &refusals[_i];
    struct mqtt_decoder d;
    int last = MQTT_DECODE_MORE;
    for (size_t cut = 0; cut <= b->len; cut++) {
        int r = feed_once(b->version, 0, b->wire, cut, &d);
        ck_assert_msg(r == MQTT_DECODE_MORE || r == MQTT_DECODE_MALFORMED, "%s %s, cut at %zu", b->row, b->name, cut);
        ck_assert(r == MQTT_DECODE_MALFORMED || last == MQTT_DECODE_MORE);
        last = r;
    }
    ck_assert_int_eq(last, MQTT_DECODE_MALFORMED);
}
END_TEST

/* After how many bytes a refusal is there, although the packet claims to be longer. */
START_TEST(what_is_no_mqtt_is_refused_at_its_first_bytes)
{
    static const struct {
        const char *wire;
        size_t len, enough;
        uint8_t version, reason;
    } cases[] = {
        {"GET / HTTP/1.1", 14, 1, 0, 0x82},
        {"\x16\x03\x01\x02\x00", 5, 1, 0, 0x81},
        {"\x00\x05hello", 7, 1, 0, 0x81},
        {"\x30\xFF\xFF\xFF\x7F", 5, 1, 0, 0x82},           /* 256 MB that are no CONNECT */
        {"\x10\x80\x80\x80\x80\x01", 6, 5, 0, 0x81},       /* the fourth byte says that a fifth would come */
        {"\x10\xFF\xFF\xFF\x7FX", 6, 6, 0, 0x84},          /* first byte of a name that is none */
        {"\x10\x40\x00\x04MQTX", 8, 8, 0, 0x84},           /* its last */
        {"\x10\x40\x00\x05", 4, 4, 0, 0x84},               /* its length */
        {"\x10\x40\x00\x06MQTT", 8, 7, 0, 0x84},           /* the length of MQIsdp, the letters of MQTT */
        {"\x10\x40\x00\x04MQTT\x07", 9, 9, 0, 0x84},       /* level */
        {"\x10\x40\x00\x04MQTT\x04\x01", 10, 10, 0, 0x81}, /* reserved flag */
        {"\x10\x05", 2, 2, 0, 0x81},                       /* no CONNECT is so short */
        {"\xC0\xFF\xFF\xFF\x7F", 5, 5, MQTT_V311, 0x81},   /* PINGREQ of 256 MB */
        {"\x40\x03", 2, 2, MQTT_V311, 0x81},               /* PUBACK of 3 bytes */
        {"\x63", 1, 1, MQTT_V5, 0x81},
    };
    struct mqtt_decoder d;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        uint8_t version = cases[i].version;
        ck_assert_int_eq(feed_once(version, 0, cases[i].wire, cases[i].enough - 1, &d), MQTT_DECODE_MORE);
        ck_assert_int_eq(feed_once(version, 0, cases[i].wire, cases[i].enough, &d), MQTT_DECODE_MALFORMED);
        ck_assert_uint_eq(mqtt_decoder_reason(&d), cases[i].reason);
        ck_assert_int_eq(feed_once(version, 0, cases[i].wire, cases[i].len, &d), MQTT_DECODE_MALFORMED);
    }
}
END_TEST

/* M19 and the rest of section 2.1.3: all 256 first bytes in each version. */
START_TEST(flags_of_the_fixed_header_are_exactly_those_of_the_standard)
{
    static const uint8_t versions[] = {MQTT_V31, MQTT_V311, MQTT_V5};
    uint8_t version = versions[_i];
    for (unsigned first = 0; first < 256; first++) {
        unsigned type = first >> 4, flags = first & 15;
        bool is_repeat = type == MQTT_PUBREL || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE;
        bool is_legal = type == MQTT_PUBLISH || (!is_repeat && type != 0 && flags == 0) || (is_repeat && flags == 2) ||
                        (is_repeat && flags == 10 && version == MQTT_V31);
        if (type == MQTT_AUTH && version != MQTT_V5)
            is_legal = false;
        uint8_t byte = (uint8_t)first;
        struct mqtt_decoder d;
        int r = feed_once(version, 0, &byte, 1, &d);
        ck_assert_msg(r == (is_legal ? MQTT_DECODE_MORE : MQTT_DECODE_MALFORMED), "0x%02X", first);
        if (!is_legal)
            ck_assert_uint_eq(mqtt_decoder_reason(&d), MQTT_REASON_MALFORMED_PACKET);
    }
}
END_TEST

START_TEST(only_connect_opens_a_connection)
{
    for (unsigned first = 0; first < 256; first++) {
        uint8_t byte = (uint8_t)first;
        struct mqtt_decoder d;
        int r = feed_once(0, 0, &byte, 1, &d);
        ck_assert_int_eq(r, first == 0x10 ? MQTT_DECODE_MORE : MQTT_DECODE_MALFORMED);
    }
}
END_TEST

/* MQTT-1.5.5-1: the borders of each length of Remaining Length, and each with a byte too many. */
START_TEST(remaining_length_has_as_few_bytes_as_it_needs)
{
    static const struct {
        const char *wire;
        size_t len;
        uint32_t needed; /* 0: refused */
    } cases[] = {
        {"\x30\x7F", 2, 2 + 127},
        {"\x30\x80\x01", 3, 3 + 128},
        {"\x30\xFF\x7F", 3, 3 + 16383},
        {"\x30\x80\x80\x01", 4, 4 + 16384},
        {"\x30\xFF\xFF\x7F", 4, 4 + 2097151},
        {"\x30\x80\x80\x80\x01", 5, 5 + 2097152},
        {"\x30\xFF\xFF\xFF\x7F", 5, MQTT_PACKET_MAX},
        {"\x30\xFF\x00", 3, 0},
        {"\x30\xFF\xFF\x00", 4, 0},
        {"\x30\xFF\xFF\xFF\x00", 5, 0},
        {"\x30\xFF\xFF\xFF\xFF", 5, 0},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct mqtt_decoder d;
        int r = feed_once(MQTT_V311, 0, cases[i].wire, cases[i].len, &d);
        ck_assert_int_eq(r, cases[i].needed > 0 ? MQTT_DECODE_MORE : MQTT_DECODE_MALFORMED);
        ck_assert_uint_eq(mqtt_decoder_needed(&d), cases[i].needed);
    }
}
END_TEST

START_TEST(a_packet_above_the_limit_is_refused_by_its_header)
{
    struct mqtt_decoder d;
    ck_assert_int_eq(feed_once(MQTT_V311, 100, "\x30\x63", 2, &d), MQTT_DECODE_TOO_LARGE); /* 2 + 99 */
    ck_assert_uint_eq(mqtt_decoder_reason(&d), MQTT_REASON_PACKET_TOO_LARGE);
    ck_assert_int_eq(feed_once(MQTT_V311, 100, "\x30\x62", 2, &d), MQTT_DECODE_MORE);
    ck_assert_int_eq(feed_once(0, 100, "\x10\xFF\xFF\xFF\x7F", 5, &d), MQTT_DECODE_TOO_LARGE);
}
END_TEST

static int decode_connect(const char *wire, size_t len, struct mqtt_decoder *d, struct mqtt_packet *ret)
{
    struct cursor c = cursor_make(wire, len);
    mqtt_decoder_init(d, 0, 0);
    return mqtt_decoder_feed(d, &c, ret);
}

START_TEST(the_first_connect_sets_the_version)
{
    const struct sample *s = &samples[_i];
    struct mqtt_decoder d;
    struct mqtt_packet p;
    if ((uint8_t)s->wire[0] != 0x10)
        return;
    ck_assert_int_eq(decode_connect(s->wire, s->len, &d, &p), MQTT_DECODE_OK);
    ck_assert_uint_eq(p.version, s->version);
    ck_assert_uint_eq(mqtt_decoder_version(&d), s->version);
    struct cursor ping = cursor_make("\xC0", 2);
    ck_assert_int_eq(mqtt_decoder_feed(&d, &ping, &p), MQTT_DECODE_OK);
    ck_assert_uint_eq(p.version, s->version);
}
END_TEST

/* So that CONNACK can say it in the client's way. */
START_TEST(a_refused_connect_still_tells_its_version)
{
    struct mqtt_decoder d;
    struct mqtt_packet p;
    ck_assert_int_eq(decode_connect("\x10\x0D\0\4MQTT\5\3\0\0\0\0\0", 15, &d, &p), MQTT_DECODE_MALFORMED);
    ck_assert_uint_eq(mqtt_decoder_version(&d), MQTT_V5);
    ck_assert_int_eq(decode_connect("\x10\x40\0\4MQTT\4\1", 10, &d, &p), MQTT_DECODE_MALFORMED);
    ck_assert_uint_eq(mqtt_decoder_version(&d), MQTT_V311);
    ck_assert_int_eq(decode_connect("\x10\x40\0\4MQTT\x09", 9, &d, &p), MQTT_DECODE_MALFORMED);
    ck_assert_uint_eq(mqtt_decoder_version(&d), 0);
}
END_TEST

START_TEST(a_second_connect_keeps_its_own_version)
{
    struct mqtt_decoder d;
    struct mqtt_packet p;
    struct cursor c = cursor_make("\x10\x0C\0\4MQTT\4\2\0\0\0\0", 14);
    mqtt_decoder_init(&d, MQTT_V5, 0);
    ck_assert_int_eq(mqtt_decoder_feed(&d, &c, &p), MQTT_DECODE_OK);
    ck_assert_uint_eq(p.version, MQTT_V311);
    ck_assert_uint_eq(mqtt_decoder_version(&d), MQTT_V5);
}
END_TEST

/* Leniency of 3.1 (section 3.1, "User name and password flags"). */
START_TEST(version_3_1_may_leave_out_flagged_credentials)
{
    struct mqtt_decoder d;
    struct mqtt_packet p;
    ck_assert_int_eq(decode_connect("\x10\x0F\0\6MQIsdp\3\xC2\0\0\0\1c", 17, &d, &p), MQTT_DECODE_OK);
    ck_assert(!p.connect.has_username && !p.connect.has_password);
    ck_assert_int_eq(decode_connect("\x10\x12\0\6MQIsdp\3\xC2\0\0\0\1c\0\1u", 20, &d, &p), MQTT_DECODE_OK);
    ck_assert(p.connect.has_username && !p.connect.has_password);
    ck_assert_int_eq(decode_connect("\x10\x0D\0\4MQTT\4\xC2\0\0\0\1c", 15, &d, &p), MQTT_DECODE_MALFORMED);
}
END_TEST

START_TEST(version_3_1_disregards_unused_connect_flags)
{
    struct mqtt_decoder d;
    struct mqtt_packet p;
    ck_assert_int_eq(decode_connect("\x10\x0F\0\6MQIsdp\3\x3B\0\0\0\1c", 17, &d, &p), MQTT_DECODE_OK);
    ck_assert(!p.connect.has_will && p.connect.clean_start);
    ck_assert_uint_eq(p.connect.will.qos, 0);
    ck_assert(!p.connect.will.retain);
}
END_TEST

START_TEST(a_bridge_keeps_its_level)
{
    struct mqtt_decoder d;
    struct mqtt_packet p;
    ck_assert_int_eq(decode_connect("\x10\x0D\0\4MQTT\x84\2\0\0\0\1c", 15, &d, &p), MQTT_DECODE_OK);
    ck_assert_uint_eq(p.version, MQTT_V311);
    ck_assert_uint_eq(p.connect.protocol_level, 0x84);
    ck_assert_int_eq(decode_connect("\x10\x0F\0\6MQIsdp\x83\2\0\0\0\1c", 17, &d, &p), MQTT_DECODE_OK);
    ck_assert_uint_eq(p.version, MQTT_V31);
    ck_assert_uint_eq(p.connect.protocol_level, 0x83);
}
END_TEST

START_TEST(a_client_id_may_have_65535_bytes)
{
    enum { BODY = 12 + MQTT_STRING_MAX };
    struct mqtt_decoder d;
    struct mqtt_packet p;
    uint8_t *wire = malloc(4 + BODY);
    uint8_t head[] = {0x10, 0x8B, 0x80, 0x04, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0xFF, 0xFF};
    memcpy(wire, head, sizeof(head));
    memset(wire + sizeof(head), 'x', MQTT_STRING_MAX);
    ck_assert_int_eq(decode_connect((char *)wire, 4 + BODY, &d, &p), MQTT_DECODE_OK);
    ck_assert_uint_eq(p.connect.client_id.len, MQTT_STRING_MAX);
    free(wire);
}
END_TEST

START_TEST(session_present_of_3_1_is_bit_0_and_the_rest_is_disregarded)
{
    struct mqtt_decoder d;
    struct mqtt_packet p;
    struct cursor c = cursor_make("\x20\x02\xFF\x00", 4);
    mqtt_decoder_init(&d, MQTT_V31, 0);
    ck_assert_int_eq(mqtt_decoder_feed(&d, &c, &p), MQTT_DECODE_OK);
    ck_assert(p.connack.session_present);
}
END_TEST

START_TEST(a_server_that_knows_no_5_0_is_understood)
{
    struct mqtt_decoder d;
    struct mqtt_packet p;
    struct cursor c = cursor_make("\x20\x02\x00\x01", 4);
    mqtt_decoder_init(&d, MQTT_V5, 0);
    ck_assert_int_eq(mqtt_decoder_feed(&d, &c, &p), MQTT_DECODE_OK);
    ck_assert_uint_eq(p.reason_code, MQTT_REASON_UNSUPPORTED_VERSION);
    ck_assert_int_eq(feed_once(MQTT_V5, 0, "\x20\x02\x00\x05", 4, &d), MQTT_DECODE_MALFORMED);
}
END_TEST

START_TEST(version_3_subscribes_to_share_names_as_they_are)
{
    struct mqtt_decoder d;
    ck_assert_int_eq(feed_once(MQTT_V311, 0, "\x82\x0D\0\1\0\x08$share/g\1", 15, &d), MQTT_DECODE_OK);
}
END_TEST

START_TEST(payload_and_fields_are_views_into_the_input)
{
    static const char wire[] = "\x32\x0A\0\3a/b\0\7xyz";
    struct cursor c = cursor_make(wire, sizeof(wire) - 1);
    struct mqtt_decoder d;
    struct mqtt_packet p;
    mqtt_decoder_init(&d, MQTT_V311, 0);
    ck_assert_int_eq(mqtt_decoder_feed(&d, &c, &p), MQTT_DECODE_OK);
    ck_assert_ptr_eq(p.publish.topic.ptr, wire + 4);
    ck_assert_ptr_eq(p.publish.payload.ptr, wire + 9);
    ck_assert_uint_eq(p.publish.payload.len, 3);
    ck_assert_uint_eq(p.packet_id, 7);
    ck_assert_uint_eq(p.publish.qos, 1);
}
END_TEST

/* R04: many properties are one pass, and the packet costs no more than its bytes. */
START_TEST(sixty_thousand_user_properties_are_one_list)
{
    enum { COUNT = 60000, EACH = 7, LIST = COUNT * EACH };
    static const uint8_t head[] = {0x30, 0xA6, 0xD1, 0x19, 0, 1, 'a', 0xA0, 0xD1, 0x19}; /* 3 + 3 + 420,000 */
    static const uint8_t each[EACH] = {0x26, 0, 1, 'k', 0, 1, 'v'};
    uint8_t *wire = malloc(LIST + 32), *end = wire;
    memcpy(wire, head, sizeof(head));
    end += sizeof(head);
    for (int i = 0; i < COUNT; i++, end += EACH)
        memcpy(end, each, EACH);
    struct cursor c = cursor_make(wire, (size_t)(end - wire));
    struct mqtt_decoder d;
    struct mqtt_packet p;
    mqtt_decoder_init(&d, MQTT_V5, 0);
    ck_assert_int_eq(mqtt_decoder_feed(&d, &c, &p), MQTT_DECODE_OK);
    struct mqtt_bytes iter = p.properties.wire;
    struct mqtt_property prop;
    int n = 0;
    while (mqtt_property_next(&iter, &prop))
        n++;
    ck_assert_int_eq(n, COUNT);
    free(wire);
}
END_TEST

static Suite *decode_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/decode", &tc);
    int n_samples = TEST_COUNT(samples), n_refusals = TEST_COUNT(refusals);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, every_sample_is_decoded_and_encoded_to_the_same_bytes, 0, n_samples);
    tcase_add_loop_test(tc, every_sample_survives_every_split, 0, n_samples);
    tcase_add_loop_test(tc, no_sample_is_read_past_its_end, 0, n_samples);
    tcase_add_loop_test(tc, a_connect_is_refused_at_every_cut, 0, n_samples);
    tcase_add_loop_test(tc, bytes_behind_the_last_field_are_refused, 0, n_samples);
    tcase_add_loop_test(tc, every_refusal_has_its_reason, 0, n_refusals);
    tcase_add_loop_test(tc, every_refusal_is_the_same_in_every_split, 0, n_refusals);
    tcase_add_test(tc, what_is_no_mqtt_is_refused_at_its_first_bytes);
    tcase_add_loop_test(tc, flags_of_the_fixed_header_are_exactly_those_of_the_standard, 0, 3);
    tcase_add_test(tc, only_connect_opens_a_connection);
    tcase_add_test(tc, remaining_length_has_as_few_bytes_as_it_needs);
    tcase_add_test(tc, a_packet_above_the_limit_is_refused_by_its_header);
    tcase_add_loop_test(tc, the_first_connect_sets_the_version, 0, n_samples);
    tcase_add_test(tc, a_refused_connect_still_tells_its_version);
    tcase_add_test(tc, a_second_connect_keeps_its_own_version);
    tcase_add_test(tc, version_3_1_may_leave_out_flagged_credentials);
    tcase_add_test(tc, version_3_1_disregards_unused_connect_flags);
    tcase_add_test(tc, a_bridge_keeps_its_level);
    tcase_add_test(tc, a_client_id_may_have_65535_bytes);
    tcase_add_test(tc, session_present_of_3_1_is_bit_0_and_the_rest_is_disregarded);
    tcase_add_test(tc, a_server_that_knows_no_5_0_is_understood);
    tcase_add_test(tc, version_3_subscribes_to_share_names_as_they_are);
    tcase_add_test(tc, payload_and_fields_are_views_into_the_input);
    tcase_add_test(tc, sixty_thousand_user_properties_are_one_list);
    return suite;
}

TEST_MAIN(decode_suite)
