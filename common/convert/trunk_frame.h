/* Messages and frames of the trunk service (proto/mqtt_trunk.proto), read and written by hand.
 *
 *     bytes --trunk_message_read--> struct trunk_message --trunk_message_next--> struct trunk_frame, one by one
 *                                         |                                          '--trunk_frame_packet-->
 * mqtt_packet
 *                                         '-- hello, taken, ping ...
 *     trunk_frame_write_*() --> bytes of one frame;   trunk_controls_write() --> the other fields, behind the frames
 *
 * What is read are views into the bytes. Both directions agree with protobuf-c byte for byte (fields in the order of
 * their numbers, defaults left out). Which frame may come when is the trunk's business. Nothing is allocated. Any
 * thread. */
#ifndef TRUNK_FRAME_H
#define TRUNK_FRAME_H

#include <stdbool.h>

#include "frame_to_packet.h"
#include "packet_to_frame.h"

enum trunk_frame_kind {
    TRUNK_FRAME_BAD, /* nothing, two things, or malformed below the level of the frame: the lane is known and ends; see
                        `fault` */
    TRUNK_FRAME_PACKET_V3,
    TRUNK_FRAME_PACKET_V5,
    TRUNK_FRAME_OPEN,
    TRUNK_FRAME_CLOSE,
    TRUNK_FRAME_PIECE,
    TRUNK_FRAME_CREDIT,
};
/* "PACKET_V5"; never NULL. */
const char *trunk_frame_kind_name(unsigned kind);

enum { TRUNK_SESSION_ID_BYTES = 16 };

/* What a LaneOpen says of the client. Views; bytes of a stranger. */
struct trunk_client {
    struct mqtt_bytes source;                                            /* "192.0.2.1:50122"; len 0: not said */
    struct mqtt_bytes tls_version, tls_cipher, server_name, common_name; /* only if is_tls; len 0: not said */
    bool is_tls;
    bool has_certificate;
};

struct trunk_frame {
    uint8_t kind; /* enum trunk_frame_kind */
    uint32_t lane;
    uint64_t sequence;
    union {
        struct mqtt_bytes message; /* PACKET_V3, PACKET_V5: an MqttPacket, not looked into */
        struct {
            struct mqtt_bytes session_id; /* TRUNK_SESSION_ID_BYTES; another length makes the frame BAD */
            struct trunk_client client;
        } open;
        struct {
            uint32_t reason;        /* LaneClose.Reason, or whatever the peer wrote */
            struct mqtt_bytes text; /* bytes of a stranger */
        } close;
        struct {
            struct mqtt_bytes data; /* never empty */
            uint32_t total_bytes;   /* 0 = not the first piece */
            uint8_t family;         /* enum frame_family in the first piece; else 0 */
        } piece;
        uint64_t credit_bytes; /* never 0 */
        const char *fault;     /* BAD */
    };
};

struct trunk_hello {
    uint32_t version;
    struct mqtt_bytes software;
    uint32_t lane_window;
    uint32_t max_message_bytes;
    uint32_t max_lanes;
    uint32_t dead_after_ms;
    uint32_t zstd_window_log;
};

/* The fields of a TrunkMessage besides its frames. */
struct trunk_controls {
    uint64_t taken;
    uint64_t ping, pong;
    struct mqtt_bytes zstd_frames; /* len 0: none */
    struct trunk_hello hello;
    bool has_hello;
    bool is_draining;
};

struct trunk_message {
    struct mqtt_bytes rest; /* for trunk_message_next() */
    uint32_t n_frames;
    struct trunk_controls controls;
};

/* Read a message: the whole of it is looked at on its own level, so that no frame is acted on if it is not protobuf.
 * CONVERT_OK or CONVERT_REFUSED: malformed; frames and zstd_frames in one. */
int trunk_message_read(const void *bytes, size_t len, struct trunk_message *ret, struct mqtt_fault *ret_fault);
/* The next frame; false when there is none left. A frame whose lane or sequence cannot be read has lane 0 and kind BAD.
 */
bool trunk_message_next(struct trunk_message *m, struct trunk_frame *ret);

/* The packet of a frame with a whole packet, or of MESSAGE joined from pieces. SESSION_VERSION, scratch and results:
 * see frame_to_packet.h. */
static inline int trunk_frame_packet(struct mqtt_bytes message, uint8_t family, uint8_t session_version,
                                     uint8_t *scratch, size_t scratch_bytes, struct mqtt_packet *ret_packet,
                                     struct mqtt_fault *ret_fault)
{
    struct frame_source source = {
        .message = message, .scratch_bytes = scratch_bytes, .family = family, .session_version = session_version};
    source.scratch = scratch;
    return frame_to_packet(&source, ret_packet, ret_fault);
}

/* What a frame takes besides the packet, the data or the text in it: `frames` tag and length, lane, sequence, body. */
enum { TRUNK_FRAME_OVERHEAD = 48 };
/* The most that trunk_controls_write() writes, without the software of hello and without zstd_frames. */
enum { TRUNK_CONTROLS_MAX = 96 };

/* Each writes one entry of TrunkMessage.frames and returns the byte behind. */

/* A packet planned with packet_to_message_plan(). Exactly trunk_frame_packet_bytes(). */
size_t trunk_frame_packet_bytes(uint32_t lane, uint64_t sequence, const struct packet_frame *f);
uint8_t *trunk_frame_write_packet(uint8_t *dst, uint32_t lane, uint64_t sequence, const struct packet_frame *f);
/* The same with a message that is serialized already. At most TRUNK_FRAME_OVERHEAD + message.len. */
uint8_t *trunk_frame_write_message(uint8_t *dst, uint32_t lane, uint64_t sequence, uint8_t family,
                                   struct mqtt_bytes message);
/* TOTAL_BYTES and FAMILY: first piece only, else 0. DATA is not empty. At most TRUNK_FRAME_OVERHEAD + data.len. */
uint8_t *trunk_frame_write_piece(uint8_t *dst, uint32_t lane, uint64_t sequence, uint32_t total_bytes, uint8_t family,
                                 struct mqtt_bytes data);
/* CLIENT may be NULL: nothing is known. At most TRUNK_FRAME_OVERHEAD + trunk_client_bytes(CLIENT). */
uint8_t *trunk_frame_write_open(uint8_t *dst, uint32_t lane, uint64_t sequence,
                                const uint8_t session_id[TRUNK_SESSION_ID_BYTES], const struct trunk_client *client);
size_t trunk_client_bytes(const struct trunk_client *client);
/* At most TRUNK_FRAME_OVERHEAD. */
uint8_t *trunk_frame_write_credit(uint8_t *dst, uint32_t lane, uint64_t credit_bytes);
/* At most TRUNK_FRAME_OVERHEAD + text.len. */
uint8_t *trunk_frame_write_close(uint8_t *dst, uint32_t lane, uint64_t sequence, uint32_t reason,
                                 struct mqtt_bytes text);

/* The other fields of a message; to be put behind its frames. */
uint8_t *trunk_controls_write(uint8_t *dst, const struct trunk_controls *controls);

#endif
