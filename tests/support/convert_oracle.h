/* What protobuf-c says about the bytes of a relay frame: the judge of the hand-written form, which has to agree with it
 * about any bytes, in both directions. */
#ifndef CONVERT_ORACLE_H
#define CONVERT_ORACLE_H

#include "mqtt_relay.pb-c.h"
#include "relay_frame.h"

/* One frame as protobuf-c reads it. */
struct oracle {
    Mqtt__MqttStreamMessage *message; /* NULL if protobuf-c refused it */
    struct relay_frame frame;         /* points into message; .message of a packet is empty */
    struct mqtt_packet packet;        /* if the frame has one; points into message and scratch */
    struct mqtt_fault fault;
    uint8_t *scratch;
};

/* CONVERT_OK or CONVERT_REFUSED, the verdict about envelope and packet together. To be freed in any case. */
int oracle_read(struct oracle *o, const void *bytes, size_t len, uint8_t session_version);
void oracle_free(struct oracle *o);

/* PACKET in an envelope, packed by protobuf-c, in new memory. Aborts without memory. */
uint8_t *oracle_write(const struct mqtt_packet *packet, uint64_t sequence, enum relay_direction direction,
                      size_t *ret_len);

/* The hand-written form read as a whole: envelope, then packet. The scratch is new memory of exactly
 * frame_scratch_bytes() (so that a sanitizer sees a byte too many), and so is the copy of BYTES. */
struct by_hand {
    uint8_t *bytes;
    struct relay_frame frame;
    struct mqtt_packet packet;
    struct mqtt_fault fault;
    uint8_t *scratch;
};
int by_hand_read(struct by_hand *h, const void *bytes, size_t len, uint8_t session_version);
void by_hand_free(struct by_hand *h);

/* Read BYTES in both forms and compare verdict, envelope and packet; an accepted packet is also written in both forms
 * and read again. Returns the verdict, or -1 with a line on stderr if anything differs. */
int oracle_compare(const void *bytes, size_t len, uint8_t session_version);

#endif
