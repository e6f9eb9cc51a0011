/* MQTT bytes -> packets, all versions, from any split of the stream. The one decoder of the tree.
 *
 * In place: a packet is handed out once it lies whole in front of the cursor, as a view into these bytes; until then
 * the cursor stays where it is, and the caller offers the same bytes again with more behind them:
 *
 *     bytes:  [ fixed header | body ........ ][ next packet ...
 *              ^ cursor       not whole yet: MQTT_DECODE_MORE, needed = bytes from the cursor to the end of this packet
 *
 * What is wrong is reported as soon as it can be seen: a bad header before its body has come, and a CONNECT of
 * something that is not MQTT after its first bytes. The decoder holds no bytes and no memory; it may be copied. */
#ifndef MQTT_DECODE_H
#define MQTT_DECODE_H

#include "cursor.h"
#include "mqtt_packet.h"
#include "mqtt_reason.h"

enum mqtt_decode_result {
    MQTT_DECODE_OK = 0, /* one packet in *ret_packet, the cursor is behind it; more may follow */
    MQTT_DECODE_MORE,   /* not whole yet; the cursor has not moved. mqtt_decoder_needed() may say how much is needed */
    MQTT_DECODE_MALFORMED, /* mqtt_decoder_reason() and _text() say which rule was broken; the cursor has not moved */
    MQTT_DECODE_TOO_LARGE, /* above the limit given at init, else the same */
};

struct mqtt_decoder {
    struct mqtt_fault fault;   /* of the last MALFORMED or TOO_LARGE */
    uint32_t max_packet_bytes; /* with the fixed header */
    uint32_t needed_bytes;     /* of the last MORE; 0 = not known yet */
    uint8_t version;           /* enum mqtt_version; 0 until CONNECT has been seen */
};

/* VERSION 0: a server's decoder, which accepts only CONNECT first and takes the version from it. Otherwise enum
 * mqtt_version. MAX_PACKET_BYTES 0: no limit but MQTT's own. */
void mqtt_decoder_init(struct mqtt_decoder *d, uint8_t version, uint32_t max_packet_bytes);

/* Take one packet from the front of INPUT. Returns enum mqtt_decode_result. *RET_PACKET may be written in any case and
 * means something after MQTT_DECODE_OK: what its type and version have is set, the rest of the union is not. */
int mqtt_decoder_feed(struct mqtt_decoder *d, struct cursor *input, struct mqtt_packet *ret_packet);

/* After MORE: length of the packet that has begun, from the cursor on; 0 while that is unknown. Claimed by a stranger:
 * do not reserve memory for it before the bytes come. */
static inline uint32_t mqtt_decoder_needed(const struct mqtt_decoder *d)
{
    return d->needed_bytes;
}

/* After MALFORMED or TOO_LARGE: enum mqtt_reason. */
static inline uint8_t mqtt_decoder_reason(const struct mqtt_decoder *d)
{
    return d->fault.reason;
}

/* Likewise: a constant text that names the rule, "MQTT-3.3.2-2: topic name holds a wildcard". */
static inline const char *mqtt_decoder_text(const struct mqtt_decoder *d)
{
    return d->fault.text;
}

/* The version in use: given at init, or of the CONNECT that was seen, also if that CONNECT was refused for something
 * behind its protocol level: so the refusal can be said in the client's version. 0 if not known. */
static inline uint8_t mqtt_decoder_version(const struct mqtt_decoder *d)
{
    return d->version;
}

#endif
