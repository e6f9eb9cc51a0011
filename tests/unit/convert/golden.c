#include "golden.h"

#include <stdlib.h>
#include <string.h>

#include "mqtt_decode.h"
#include "test_main.h"

const struct golden golden[] = {
    {"CONNECT 3.1.1", MQTT_V311, "10 0D 0004'MQTT' 04 02 003C 0001'a'", "0A 0F 0A 01'a' 12 04'MQTT' 18 04 20 01 28 3C"},
    {"CONNECT 3.1.1, will, user name, password with a zero byte", MQTT_V311,
     "10 23 0004'MQTT' 04 EC 012C 0005'dev-1' 0003'w/t' 0004'gone' 0001'u' 0002'p'00",
     "0A 30 0A 05'dev-1' 12 04'MQTT' 18 04 28 AC02 32 01'u' 3A 02'p'00"
     "      42 0F 0A 03'w/t' 12 04'gone' 18 01 20 01  A006 01 A806 01"},
    {"CONNECT 3.1.1, user name there and empty", MQTT_V311, "10 0F 0004'MQTT' 04 82 0000 0001'a' 0000",
     "0A 10 0A 01'a' 12 04'MQTT' 18 04 20 01 A006 01"},
    {"CONNECT 3.1.1, user name and password there and empty", MQTT_V311,
     "10 11 0004'MQTT' 04 C2 0000 0001'a' 0000 0000", "0A 13 0A 01'a' 12 04'MQTT' 18 04 20 01 A006 01 A806 01"},
    {"CONNECT 3.1.1, will with empty payload", MQTT_V311, "10 12 0004'MQTT' 04 06 0000 0001'a' 0001'w' 0000",
     "0A 12 0A 01'a' 12 04'MQTT' 18 04 20 01 42 03 0A 01'w'"},
    {"CONNECT 3.1.1, empty client id", MQTT_V311, "10 0C 0004'MQTT' 04 02 0000 0000", "0A 0A 12 04'MQTT' 18 04 20 01"},
    {"CONNECT 3.1", MQTT_V31, "10 0F 0006'MQIsdp' 03 02 000A 0001'x'",
     "0A 11 0A 01'x' 12 06'MQIsdp' 18 03 20 01 28 0A"},
    {"CONNECT of a bridge, 3.1.1", MQTT_V311, "10 0D 0004'MQTT' 84 02 003C 0001'b'",
     "0A 10 0A 01'b' 12 04'MQTT' 18 8401 20 01 28 3C"},
    {"CONNECT of a bridge, 3.1", MQTT_V31, "10 0F 0006'MQIsdp' 83 02 003C 0001'b'",
     "0A 12 0A 01'b' 12 06'MQIsdp' 18 8301 20 01 28 3C"},
    {"CONNACK", MQTT_V311, "20 02 00 00", "12 00"},
    {"CONNACK, session present", MQTT_V311, "20 02 01 00", "12 02 08 01"},
    {"CONNACK, refused", MQTT_V311, "20 02 00 05", "12 02 10 05"},
    {"PUBLISH, QoS 0, no payload", MQTT_V311, "30 05 0003'a/b'", "1A 05 0A 03'a/b'"},
    {"PUBLISH, QoS 0", MQTT_V311, "30 07 0003'a/b' 'hi'", "1A 09 0A 03'a/b' 32 02'hi'"},
    {"PUBLISH, QoS 1, DUP, retained", MQTT_V311, "3B 09 0003'a/b' 000A 'hi'",
     "1A 11 0A 03'a/b' 10 0A 18 01 20 01 28 01 32 02'hi'"},
    {"PUBLISH, QoS 2, highest packet id", MQTT_V311, "34 07 0003'a/b' FFFF", "1A 0B 0A 03'a/b' 10 FFFF03 18 02"},
    {"PUBACK", MQTT_V311, "40 02 0001", "22 02 08 01"},
    {"PUBREC", MQTT_V311, "50 02 0001", "2A 02 08 01"},
    {"PUBREL", MQTT_V311, "62 02 0001", "32 02 08 01"},
    {"PUBCOMP", MQTT_V311, "70 02 0001", "3A 02 08 01"},
    {"SUBSCRIBE", MQTT_V311, "82 0C 0002 0003'a/#'01 0001'b'00", "42 10 08 02 12 07 0A 03'a/#' 10 01 12 03 0A 01'b'"},
    {"SUBACK", MQTT_V311, "90 05 0002 00 01 80", "4A 08 08 02 12 04 00 01 8001"},
    {"UNSUBSCRIBE", MQTT_V311, "A2 08 0003 0001'a' 0001'b'", "52 08 08 03 12 01'a' 12 01'b'"},
    {"UNSUBACK", MQTT_V311, "B0 02 0003", "5A 02 08 03"},
    {"PINGREQ", MQTT_V311, "C0 00", "62 00"},
    {"PINGRESP", MQTT_V311, "D0 00", "6A 00"},
    {"DISCONNECT", MQTT_V311, "E0 00", "72 00"},
    {"PUBREL 3.1, DUP", MQTT_V31, "6A 02 0001", "32 05 08 01 A006 01"},
    {"SUBSCRIBE 3.1, DUP", MQTT_V31, "8A 06 0002 0001'a'00", "42 0A 08 02 12 03 0A 01'a' A006 01"},
    {"UNSUBSCRIBE 3.1, DUP", MQTT_V31, "AA 05 0003 0001'a'", "52 08 08 03 12 01'a' A006 01"},
    {"CONNECT 5", MQTT_V5, "10 0E 0004'MQTT' 05 02 003C 00 0001'a'", "0A 0F 0A 01'a' 12 04'MQTT' 18 05 20 01 28 3C"},
    {"CONNECT 5, properties, will with properties, empty password", MQTT_V5,
     "10 2F 0004'MQTT' 05 D4 0000 0F 11 0000000A 21 0014 26 0001'k' 0001'v'"
     "      0001'c' 07 18 00000005 01 01 0001'w' 0000 0001'u' 0000",
     "0A 37 0A 01'c' 12 04'MQTT' 18 05 32 01'u'"
     "      42 0D 0A 01'w' 18 02 2A 02 68 05 2A 02 08 01"
     "      4A 02 38 0A 4A 03 9001 14 4A 09 BA01 06 0A 01'k' 12 01'v'  A006 01 A806 01"},
    {"CONNECT 5, bool properties, one of them false", MQTT_V5, "10 12 0004'MQTT' 05 00 0000 04 17 00 19 01 0001'a'",
     "0A 13 0A 01'a' 12 04'MQTT' 18 05 4A 02 60 00 4A 02 70 01"},
    {"CONNACK 5, all its properties", MQTT_V5,
     "20 33 00 00 30 12 0003'abc' 13 003C 24 01 25 00 27 00010000 22 000A 28 01 29 00 2A 01"
     "      1F 0002'ok' 1A 0001'r' 1C 0001's' 15 0001'm' 16 0001 FF",
     "12 4C 1A 05 42 03'abc' 1A 02 48 3C 1A 03 A801 01 1A 03 B001 00 1A 05 C001 808004 1A 03 9801 0A 1A 03 C801 01"
     "      1A 03 D001 00 1A 03 D801 01 1A 05 8A01 02'ok' 1A 03 7A 01'r' 1A 04 8201 01's' 1A 03 52 01'm' 1A 03 5A 01 "
     "FF"},
    {"CONNACK 5, refused", MQTT_V5, "20 03 00 86 00", "12 03 10 8601"},
    {"PUBLISH 5, its properties in an unusual order, one twice", MQTT_V5,
     "32 23 0001't' 0007 1C 23 0003 02 0000012C 03 0001't' 08 0001'r' 09 0002 00FF 0B 8001 0B 01 01 00 'p'",
     "1A 31 0A 01't' 10 07 18 01 32 01'p' 3A 03 A001 03 3A 03 10 AC02 3A 03 1A 01't' 3A 03 22 01'r'"
     "      3A 04 2A 02 00FF 3A 03 30 8001 3A 02 30 01 3A 02 08 00"},
    {"PUBLISH 5, topic alias alone", MQTT_V5, "30 06 0000 03 23 0001", "1A 05 3A 03 A001 01"},
    {"PUBACK 5, reason string", MQTT_V5, "40 09 0001 10 05 1F 0002'no'", "22 0B 08 01 10 10 1A 05 8A01 02'no'"},
    {"PUBREC 5, refused", MQTT_V5, "50 03 0001 87", "2A 05 08 01 10 8701"},
    {"PUBREL 5, unknown id", MQTT_V5, "62 03 0001 92", "32 05 08 01 10 9201"},
    {"PUBCOMP 5", MQTT_V5, "70 02 0001", "3A 02 08 01"},
    {"SUBSCRIBE 5, all options, subscription id", MQTT_V5, "82 09 0001 02 0B 05 0001'a' 2E",
     "42 13 08 01 12 0B 0A 01'a' 10 02 18 01 20 01 28 02 1A 02 30 05"},
    {"SUBACK 5", MQTT_V5, "90 06 0001 00 00 02 87", "4A 08 08 01 12 04 00 02 8701"},
    {"UNSUBSCRIBE 5, user property", MQTT_V5, "A2 0D 0004 07 26 0001'k' 0001'v' 0001'a'",
     "52 10 08 04 12 01'a' 1A 09 BA01 06 0A 01'k' 12 01'v'"},
    {"UNSUBACK 5", MQTT_V5, "B0 05 0004 00 00 11", "5A 06 08 04 12 02 00 11"},
    {"PINGREQ 5", MQTT_V5, "C0 00", "62 00"},
    {"DISCONNECT 5", MQTT_V5, "E0 00", "72 00"},
    {"DISCONNECT 5, with will", MQTT_V5, "E0 01 04", "72 02 08 04"},
    {"DISCONNECT 5, server reference", MQTT_V5, "E0 06 9D 04 1C 0001's'", "72 09 08 9D01 12 04 8201 01's'"},
    {"AUTH", MQTT_V5, "F0 0A 18 08 15 0001'm' 16 0001'd'", "7A 0C 08 18 12 03 52 01'm' 12 03 5A 01'd'"},
    {"user property with empty strings", MQTT_V5, "40 09 0001 00 05 26 0000 0000", "22 07 08 01 1A 03 BA01 00"},
};
const size_t golden_count = TEST_COUNT(golden);

size_t golden_bytes(const char *text, uint8_t *dst, size_t dst_size)
{
    size_t n = 0;
    while (*text) {
        if (*text == ' ') {
            text++;
            continue;
        }
        ck_assert_uint_lt(n, dst_size);
        if (*text == '\'') {
            for (text++; *text != '\''; text++)
                dst[n++] = (uint8_t)*text;
            text++;
            continue;
        }
        const char digits[] = {text[0], text[1], '\0'};
        char *end;
        dst[n++] = (uint8_t)strtoul(digits, &end, 16);
        ck_assert_ptr_eq(end, digits + 2);
        text += 2;
    }
    return n;
}

void golden_packet(const struct golden *row, uint8_t wire[GOLDEN_MAX], struct mqtt_packet *ret)
{
    size_t n = golden_bytes(row->mqtt, wire, GOLDEN_MAX);
    struct cursor input = cursor_make(wire, n);
    struct mqtt_decoder d;
    mqtt_decoder_init(&d, row->version, 0);
    int r = mqtt_decoder_feed(&d, &input, ret);
    ck_assert_msg(r == MQTT_DECODE_OK, "%s: %d %s", row->name, r,
                  r == MQTT_DECODE_MALFORMED ? mqtt_decoder_text(&d) : "");
    ck_assert_uint_eq(input.len, 0);
}
