/* What protobuf-c says about messages and frames of the trunk: the judge of trunk_frame, which has to agree with it
 * about any bytes, in both directions.
 *
 * trunk_frame reads a message level by level, protobuf-c all of it or nothing. So protobuf-c is asked level by level
 * too: unpacked as a message without fields, all that stands in the bytes are unknown fields, and what the level knows
 * of them is packed again and unpacked as what it is. */
#ifndef TRUNK_ORACLE_H
#define TRUNK_ORACLE_H

#include "mqtt_trunk.pb-c.h"
#include "trunk_frame.h"

/* Packed by protobuf-c, in new memory. They abort without memory. */

/* FRAME as the only one of a message; not BAD. Of a packet: frame->message is not used, PACKET is its packet. */
uint8_t *trunk_oracle_write_frame(const struct trunk_frame *frame, const struct mqtt_packet *packet, size_t *ret_len);
/* A text ends at its first zero byte. */
uint8_t *trunk_oracle_write_controls(const struct trunk_controls *controls, size_t *ret_len);

/* The same by hand, through the function of the frame's kind. At most TRUNK_FRAME_OVERHEAD and the bytes in it. */
uint8_t *trunk_frame_write_any(uint8_t *dst, const struct trunk_frame *frame);

/* Read BYTES in both forms and compare: verdict, controls, number of frames; of each frame whether its lane can be
 * read, its kind and what is in it. What is read is also written in both forms. Returns the verdict about the message
 * (CONVERT_OK, CONVERT_REFUSED), or -1 with a line on stderr if anything differs. */
int trunk_oracle_compare(const void *bytes, size_t len);

#endif
