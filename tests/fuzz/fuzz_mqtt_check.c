/* Any struct mqtt_packet, as a hostile peer's frame may bring it: what mqtt_packet_check() lets pass goes through the
 * codec without a difference, so nothing is narrowed on the way. */
#include <stdlib.h>

#include "ensure.h"
#include "input.h"
#include "mqtt_check.h"
#include "mqtt_decode.h"
#include "mqtt_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint16_t take_u16(struct cursor *c)
{
    uint16_t value = 0;
    cursor_read_u16(c, &value);
    return value;
}

static bool take_bool(struct cursor *c)
{
    return take_u8(c) & 1;
}

static void take_connect(struct cursor *c, struct mqtt_connect *connect)
{
    connect->protocol_level = take_u8(c);
    connect->keep_alive_s = take_u16(c);
    connect->clean_start = take_bool(c);
    connect->has_username = take_bool(c);
    connect->has_password = take_bool(c);
    connect->has_will = take_bool(c);
    connect->client_id = take_bytes(c);
    connect->username = take_bytes(c);
    connect->password = take_bytes(c);
    connect->will.qos = take_u8(c);
    connect->will.retain = take_bool(c);
    connect->will.topic = take_bytes(c);
    connect->will.payload = take_bytes(c);
    connect->will.properties.wire = take_bytes(c);
}

static void take_body(struct cursor *c, struct mqtt_packet *p)
{
    switch (p->type) {
    case MQTT_CONNECT:
        take_connect(c, &p->connect);
        break;
    case MQTT_CONNACK:
        p->connack.session_present = take_bool(c);
        break;
    case MQTT_PUBLISH:
        p->publish.qos = take_u8(c);
        p->publish.retain = take_bool(c);
        p->publish.topic = take_bytes(c);
        p->publish.payload = take_bytes(c);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        p->subscriptions.count = take_u8(c);
        p->subscriptions.wire = take_bytes(c);
        break;
    default:
        p->reason_codes = take_bytes(c);
    }
}

static void assert_round_trip(const struct mqtt_packet *p)
{
    struct mqtt_packet again;
    struct mqtt_decoder d;
    size_t size = mqtt_encode_size(p);
    uint8_t *wire = malloc(size);
    ensure(mqtt_encode(p, wire) == size);
    mqtt_decoder_init(&d, p->version, 0);
    struct cursor c = cursor_make(wire, size);
    ensure(mqtt_decoder_feed(&d, &c, &again) == MQTT_DECODE_OK);
    ensure(c.len == 0 && mqtt_packet_equal(p, &again));
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_make(data, size);
    struct mqtt_packet p = {.type = take_u8(&c), .version = take_u8(&c), .dup = take_bool(&c)};
    struct mqtt_fault fault = {.text = NULL};
    p.reason_code = take_u8(&c);
    p.packet_id = take_u16(&c);
    p.properties.wire = take_bytes(&c);
    take_body(&c, &p);
    if (mqtt_packet_check(&p, &fault) == 0)
        assert_round_trip(&p);
    else
        ensure(fault.reason >= MQTT_REASON_UNSPECIFIED && fault.text);
    return 0;
}
