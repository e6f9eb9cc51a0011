/* Any bytes as a relay frame. The first byte picks the session's version, the rest is the frame.
 *
 * Both forms give the same verdict and the same packet; what they accept is written as the same bytes by both, and read
 * again as the same packet (oracle_compare). And a packet that came out of a frame goes through MQTT bytes unchanged.
 */
#include <stdlib.h>

#include "convert_oracle.h"
#include "ensure.h"
#include "mqtt_decode.h"
#include "mqtt_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What is legal as a frame can be written as MQTT and read back. */
static void check_mqtt_round_trip(const struct mqtt_packet *packet)
{
    size_t n = mqtt_encode_size(packet);
    uint8_t *wire = malloc(n);
    struct cursor input = cursor_make(wire, n);
    struct mqtt_decoder d;
    struct mqtt_packet again;
    mqtt_decoder_init(&d, packet->type == MQTT_CONNECT ? 0 : packet->version, 0);
    ensure(wire);
    ensure(mqtt_encode(packet, wire) == n);
    ensure(mqtt_decoder_feed(&d, &input, &again) == MQTT_DECODE_OK);
    ensure(input.len == 0);
    ensure(mqtt_packet_equal(&again, packet));
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const uint8_t versions[] = {MQTT_V5, MQTT_V311, MQTT_V31, 0};
    if (len == 0)
        return 0;
    uint8_t version = versions[bytes[0] % sizeof(versions)];
    ensure(oracle_compare(bytes + 1, len - 1, version) >= 0);
    struct by_hand h;
    if (by_hand_read(&h, bytes + 1, len - 1, version) == CONVERT_OK &&
        (h.frame.kind == RELAY_FRAME_PACKET_V3 || h.frame.kind == RELAY_FRAME_PACKET_V5))
        check_mqtt_round_trip(&h.packet);
    by_hand_free(&h);
    return 0;
}
