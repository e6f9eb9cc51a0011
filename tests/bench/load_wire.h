/* The MQTT bytes that the load generator writes and reads: 3.1.1 and 5, nothing more than it needs.
 *
 * It has a codec of its own on purpose: the programs under test share theirs, and an error made on both sides would
 * cancel out in the measurement. A PUBLISH is a template that is copied and patched (packet id, stamp); a received one
 * is read as far as its stamp, the rest of its payload is skipped unseen. */
#ifndef LOAD_WIRE_H
#define LOAD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOAD_WIRE_CONNACK = 2,
    LOAD_WIRE_PUBLISH = 3,
    LOAD_WIRE_PUBACK = 4,
    LOAD_WIRE_PUBREC = 5,
    LOAD_WIRE_PUBREL = 6,
    LOAD_WIRE_PUBCOMP = 7,
    LOAD_WIRE_SUBACK = 9,
    LOAD_WIRE_PINGRESP = 13,
    LOAD_WIRE_DISCONNECT = 14,

    LOAD_WIRE_ACK_SIZE = 4,    /* PUBACK, PUBREC, PUBREL, PUBCOMP as we write them, in both versions */
    LOAD_WIRE_STAMP_SIZE = 16, /* start of each payload, and so the smallest payload */
    LOAD_WIRE_SMALL_MAX = 512, /* CONNECT and SUBSCRIBE with the short ids and topics used here */
    LOAD_WIRE_HEAD_MAX = 4096, /* a packet's start that must be there before it can be read */
};

/* What each payload starts with (big endian): who sent it, as his how-manyth message, when (monotonic clock). */
struct load_wire_stamp {
    uint32_t publisher;
    uint32_t number;
    uint64_t sent_ns;
};

struct load_wire_template {
    uint8_t *bytes; /* one PUBLISH; owned, free() */
    size_t len;
    size_t packet_id_at; /* 0 = QoS 0, there is none */
    size_t stamp_at;
};

struct load_wire_packet {
    uint8_t type;        /* 1..15 */
    uint8_t qos;         /* PUBLISH */
    uint8_t reason_code; /* CONNACK, acknowledgements, SUBACK, DISCONNECT */
    uint16_t packet_id;
    uint16_t receive_maximum;     /* CONNACK: 65535 unless the server said less */
    size_t len;                   /* of the whole packet, which may not be here yet */
    size_t payload_len;           /* PUBLISH */
    struct load_wire_stamp stamp; /* PUBLISH, if payload_len >= LOAD_WIRE_STAMP_SIZE; of telemetry too */
};

enum load_wire_result {
    LOAD_WIRE_OK = 0,
    LOAD_WIRE_MORE, /* the start of the next packet is not all here */
    LOAD_WIRE_BAD,  /* not MQTT, or more than this program reads */
};

/* VERSION is 4 or 5. OUT has room for LOAD_WIRE_SMALL_MAX bytes; the length is returned. */
size_t load_wire_put_connect(uint8_t *out, int version, const char *client_id, bool is_persistent);
size_t load_wire_put_subscribe(uint8_t *out, int version, uint16_t packet_id, const char *filter, int qos);
size_t load_wire_put_pingreq(uint8_t *out);
size_t load_wire_put_disconnect(uint8_t *out);
/* TYPE is PUBACK, PUBREC, PUBREL or PUBCOMP, without reason code, which means success in both versions. */
void load_wire_put_ack(uint8_t *out, uint8_t type, uint16_t packet_id);

void load_wire_template_init(struct load_wire_template *t, int version, const char *topic, int qos, size_t payload_len);
void load_wire_template_deinit(struct load_wire_template *t);
/* Write one message; OUT has room for t->len bytes. */
void load_wire_put_publish(uint8_t *out, const struct load_wire_template *t, uint16_t packet_id,
                           const struct load_wire_stamp *stamp);
/* The same up to the payload, which has any length from 128 to 16,000 as the template's has, so that the head stays as
 * long: t->stamp_at. */
void load_wire_put_publish_head(uint8_t *out, const struct load_wire_template *t, uint16_t packet_id,
                                size_t payload_len);

/* Read the head of the packet that starts at PTR. */
int load_wire_read(const uint8_t *ptr, size_t len, int version, struct load_wire_packet *ret_packet);

#endif
