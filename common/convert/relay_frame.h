/* The envelope of the relay service: MqttStreamMessage (proto/mqtt_relay.proto), read and written by hand.
 *
 *     bytes --relay_frame_read--> struct relay_frame --relay_frame_packet--> struct mqtt_packet
 *     packet --packet_to_frame--> bytes;   relay_frame_write_control, _credit, _piece --> bytes
 *
 * A frame is a view into the bytes it was read from. What is allowed when is the relay's business. Nothing is
 * allocated. Any thread. */
#ifndef RELAY_FRAME_H
#define RELAY_FRAME_H

#include "frame_to_packet.h"
#include "packet_to_frame.h"

enum relay_frame_kind {
    RELAY_FRAME_EMPTY, /* carries nothing: to be ignored */
    RELAY_FRAME_PACKET_V3,
    RELAY_FRAME_PACKET_V5,
    RELAY_FRAME_ESTABLISH_V3,
    RELAY_FRAME_ESTABLISH_V5,
    RELAY_FRAME_TERMINATE,
    RELAY_FRAME_HEARTBEAT,
    RELAY_FRAME_OTHER_CONTROL, /* a control type that we do not know: to be ignored */
    RELAY_FRAME_CREDIT,
    RELAY_FRAME_PIECE,
    RELAY_FRAME_BATCH,
};

struct relay_frame {
    uint8_t kind;      /* enum relay_frame_kind */
    int32_t direction; /* enum relay_direction, or whatever the peer wrote: not judged */
    uint64_t sequence; /* not judged */
    union {
        struct mqtt_bytes message;   /* PACKET_V3, PACKET_V5: an MqttPacket, not yet looked into */
        struct mqtt_bytes client_id; /* controls; bytes of a stranger */
        uint64_t credit_bytes;       /* CREDIT: never 0 */
        struct mqtt_bytes batch;     /* BATCH: for relay_batch_next(); has an entry at least */
        struct {
            struct mqtt_bytes data; /* never empty */
            uint32_t total_bytes;   /* 0 = not the first piece */
        } piece;
    };
};

/* "PACKET_V5"; never NULL. */
const char *relay_frame_kind_name(unsigned kind);

/* Read an envelope. CONVERT_OK or CONVERT_REFUSED (never a frame that carries two things). The packet inside is not
 * judged yet, nor are the entries of a batch. */
int relay_frame_read(const void *bytes, size_t len, struct relay_frame *ret, struct mqtt_fault *ret_fault);

/* The packet of a frame of kind PACKET_V3 or PACKET_V5. SESSION_VERSION and the results: see frame_to_packet.h. */
static inline int relay_frame_packet(const struct relay_frame *frame, uint8_t session_version, uint8_t *scratch,
                                     size_t scratch_bytes, struct mqtt_packet *ret_packet, struct mqtt_fault *ret_fault)
{
    struct frame_source source = {
        .message = frame->message,
        .scratch_bytes = scratch_bytes,
        .family = frame->kind == RELAY_FRAME_PACKET_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3,
        .session_version = session_version,
    };
    source.scratch = scratch;
    return frame_to_packet(&source, ret_packet, ret_fault);
}

/* What any envelope without packet takes besides the client id or the data in it. */
enum { RELAY_FRAME_OVERHEAD = 48 };

/* Write a control: KIND is ESTABLISH_V3, ESTABLISH_V5, TERMINATE or HEARTBEAT. Each of these returns the byte behind.
 */
uint8_t *relay_frame_write_control(uint8_t *dst, enum relay_frame_kind kind, uint64_t sequence,
                                   enum relay_direction direction, struct mqtt_bytes client_id);
/* CREDIT_BYTES > 0. At most RELAY_FRAME_OVERHEAD bytes. */
uint8_t *relay_frame_write_credit(uint8_t *dst, enum relay_direction direction, uint64_t credit_bytes);
/* A piece without its data: DATA_LEN bytes of data go directly behind (so they may be sent by reference). At most
 * RELAY_FRAME_OVERHEAD bytes. TOTAL_BYTES is 0 in all pieces but the first; DATA_LEN > 0. */
uint8_t *relay_frame_write_piece_head(uint8_t *dst, enum relay_direction direction, uint32_t total_bytes,
                                      uint32_t data_len);

/* --- Batches: several frames with a packet each as one frame. */

/* Take the next entry of a batch from the front of *ITER, which begins as frame->batch: *RET_FRAME is the frame, to be
 * read with relay_frame_read() (anything but a packet in it is the peer's error). What *ITER becomes shorter by adds up
 * to the length of the whole. False when there is none left. */
bool relay_batch_next(struct mqtt_bytes *iter, struct mqtt_bytes *ret_frame);
/* What a frame of FRAME_LEN bytes takes in a batch, its head included. */
size_t relay_batch_entry_size(size_t frame_len);
/* Write that head: the frame goes directly behind. Returns the byte behind. A batch is such entries behind each other.
 */
uint8_t *relay_batch_write_head(uint8_t *dst, size_t frame_len);

#endif
