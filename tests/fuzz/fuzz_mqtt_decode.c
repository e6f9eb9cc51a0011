/* Any bytes as a stream of MQTT, whole and in pieces: nothing is read past its end, both ways give the same packets and
 * the same refusal, and what was accepted goes through the encoder and back without a difference.
 *
 * Input: a byte for version and piece size, then the stream. */
#include <stdlib.h>
#include <string.h>

#include "ensure.h"
#include "mqtt_check.h"
#include "mqtt_client_rules.h"
#include "mqtt_decode.h"
#include "mqtt_encode.h"
#include "mqtt_property.h"
#include "mqtt_server_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_PACKETS = 64 };

/* What a stream came to. */
struct outcome {
    int result; /* of the last feed */
    struct mqtt_fault fault;
    size_t n_packets;
    struct mqtt_packet *packets[MAX_PACKETS];
};

static void outcome_deinit(struct outcome *o)
{
    for (size_t i = 0; i < o->n_packets; i++)
        free(o->packets[i]);
}

static void assert_round_trip(const struct mqtt_packet *p)
{
    struct mqtt_fault fault;
    struct mqtt_packet again;
    struct mqtt_decoder d;
    ensure(mqtt_packet_check(p, &fault) == 0);
    size_t size = mqtt_encode_size(p);
    uint8_t *wire = malloc(size);
    ensure(mqtt_encode(p, wire) == size);
    mqtt_decoder_init(&d, p->version, 0);
    struct cursor c = cursor_make(wire, size);
    ensure(mqtt_decoder_feed(&d, &c, &again) == MQTT_DECODE_OK);
    ensure(c.len == 0 && mqtt_packet_equal(p, &again));
    if (p->type == MQTT_PUBLISH) {
        uint8_t *head = malloc(size);
        size_t n = mqtt_encode_publish_head(p, head);
        ensure(n + p->publish.payload.len == size && memcmp(head, wire, n) == 0);
        free(head);
    }
    free(wire);
}

/* Whoever gets a packet may walk it. */
static void walk(const struct mqtt_packet *p)
{
    struct mqtt_bytes iter = p->properties.wire, filter;
    struct mqtt_property prop;
    struct mqtt_subscription subscription;
    uint32_t n = 0;
    while (mqtt_property_next(&iter, &prop))
        ensure(mqtt_property_info(prop.id)->name);
    ensure(iter.len == 0);
    if (p->type == MQTT_SUBSCRIBE) {
        for (iter = p->subscriptions.wire; mqtt_subscription_next(&iter, &subscription); n++)
            ensure(subscription.filter.len > 0);
        ensure(n == p->subscriptions.count && iter.len == 0);
    } else if (p->type == MQTT_UNSUBSCRIBE) {
        for (iter = p->filters.wire; mqtt_filter_next(&iter, &filter); n++)
            ensure(filter.len > 0);
        ensure(n == p->filters.count && iter.len == 0);
    }
}

static void judge(struct mqtt_server_rules *server, const struct mqtt_packet *p)
{
    struct mqtt_client_rules client;
    struct mqtt_packet connect = {.type = MQTT_CONNECT, .version = p->version};
    struct mqtt_fault fault = {.text = NULL};
    if (mqtt_server_rules_check(server, p, &fault))
        ensure(fault.reason >= MQTT_REASON_UNSPECIFIED && fault.text);
    mqtt_server_rules_sent(server, p);
    mqtt_client_rules_init(&client, p->type == MQTT_CONNECT ? p : &connect);
    if (mqtt_client_rules_check(&client, p, &fault))
        ensure(fault.reason >= MQTT_REASON_UNSPECIFIED && fault.text);
}

static void take(struct outcome *o, const struct mqtt_packet *p, struct mqtt_server_rules *rules)
{
    walk(p);
    judge(rules, p);
    struct mqtt_packet *kept = mqtt_packet_store(p);
    ensure(mqtt_packet_equal(kept, p));
    o->packets[o->n_packets++] = kept;
}

/* One feed from a block of just these bytes, so that a read past them is seen. Returns how many were used. */
static size_t feed(struct mqtt_decoder *d, const uint8_t *bytes, size_t len, struct outcome *o,
                   struct mqtt_server_rules *rules)
{
    struct mqtt_packet p;
    uint8_t *block = malloc(len > 0 ? len : 1);
    memcpy(block, bytes, len);
    struct cursor c = cursor_make(block, len);
    o->result = mqtt_decoder_feed(d, &c, &p);
    if (o->result == MQTT_DECODE_OK)
        take(o, &p, rules);
    else
        ensure(c.len == len && c.ptr == block);
    free(block);
    return len - c.len;
}

/* PIECE bytes more arrive whenever the decoder has no use for what is there. */
static void decode(uint8_t version, const uint8_t *stream, size_t size, size_t piece, struct outcome *o)
{
    struct mqtt_decoder d;
    struct mqtt_server_rules rules;
    size_t used = 0, there = piece < size ? piece : size;
    *o = (struct outcome){.result = MQTT_DECODE_MORE};
    mqtt_decoder_init(&d, version, 0);
    mqtt_server_rules_init(&rules);
    while (o->n_packets < MAX_PACKETS) {
        used += feed(&d, stream + used, there - used, o, &rules);
        if (o->result == MQTT_DECODE_OK)
            continue;
        if (o->result != MQTT_DECODE_MORE || there == size)
            break;
        ensure(mqtt_decoder_needed(&d) == 0 || mqtt_decoder_needed(&d) > there - used);
        there += piece < size - there ? piece : size - there;
    }
    o->fault = d.fault;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t versions[8] = {0, 0, 0, MQTT_V31, MQTT_V311, MQTT_V5, 0, MQTT_V5};
    struct outcome whole, pieces;
    if (size == 0)
        return 0;
    uint8_t version = versions[data[0] & 7];
    size_t piece = 1 + (data[0] >> 3) + size / 32; /* not too many of them: each is copied */
    decode(version, data + 1, size - 1, size, &whole);
    decode(version, data + 1, size - 1, piece, &pieces);
    ensure(whole.n_packets == pieces.n_packets && whole.result == pieces.result);
    for (size_t i = 0; i < whole.n_packets; i++) {
        ensure(mqtt_packet_equal(whole.packets[i], pieces.packets[i]));
        assert_round_trip(whole.packets[i]);
    }
    if (whole.result == MQTT_DECODE_MALFORMED || whole.result == MQTT_DECODE_TOO_LARGE)
        ensure(whole.fault.reason >= MQTT_REASON_UNSPECIFIED && whole.fault.reason == pieces.fault.reason &&
               whole.fault.text == pieces.fault.text);
    outcome_deinit(&whole);
    outcome_deinit(&pieces);
    return 0;
}
