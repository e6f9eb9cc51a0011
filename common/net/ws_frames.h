/* WebSocket frames (RFC 6455 section 5) of one connection, as its server or its client: bytes of the peer to payload,
 * payload to frames. wslay knows the frames, this file what is allowed. Pure: no sockets.
 *
 *   ws_frames_decode(bytes) --> payload, in place --> whoever reads the stream
 *                   \________> a pong, a close that is due --> ws_frames_encode_due() --> peer
 *   ws_frames_encode(payload) ------------------------------------------------------> peer
 *
 * Payload is a stream: where frames and messages begin and end means nothing to MQTT [MQTT-6.0.0-2]. It is passed on as
 * it comes, so a claimed length costs no memory; between frames there is no memory but the struct. Only the latest ping
 * is answered (RFC 6455 5.5.3): one who pings and does not read the pongs fills nothing.
 *
 * The struct must not move while in use. One thread. */
#ifndef WS_FRAMES_H
#define WS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct wslay_frame_context;

enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    WS_CLOSE_UNSUPPORTED_DATA = 1003,
    WS_CLOSE_NO_STATUS = 1005, /* never sent: the peer's close frame had no code */
    WS_CLOSE_BAD_TEXT = 1007,
    WS_CLOSE_TOO_BIG = 1009,
};

enum {
    WS_FRAME_HEADER_MAX = 14,
    WS_CONTROL_MAX = 125, /* payload of a control frame */
    WS_DUE_MAX = 2 * (2 + 4 + WS_CONTROL_MAX),
    /* Frames without payload in one message: nobody needs any, and they cost work that no byte limit sees. */
    WS_EMPTY_FRAMES_MAX = 1000,
};

enum ws_frames_result {
    WS_FRAMES_OK = 0,
    WS_FRAMES_CLOSED,  /* the peer's close frame: ws_frames_code() is its code; what comes behind it is nothing */
    WS_FRAMES_REFUSED, /* a rule was broken: ws_frames_code() is what the peer is told, ws_frames_text() says why */
};

/* All fields are private. */
struct ws_frames {
    struct wslay_frame_context *wslay; /* NULL between frames */
    struct ws_input *input;            /* during ws_frames_decode() */
    uint8_t *output;                   /* during ws_frames_encode...(): the next byte */
    uint64_t max_message_bytes;
    uint64_t message_bytes; /* of the message under way, the present frame included */
    uint64_t left_bytes;    /* payload of the present frame still to come */
    const char *text;       /* NULL unless refused */
    uint32_t empty_frames;  /* in the message under way */
    uint16_t code;          /* see ws_frames_code() */
    uint16_t close_code;    /* of our close frame, due or sent; 0: none in it */
    bool is_server : 1;
    bool is_in_message : 1; /* a fragment has come, and not the last */
    bool is_final : 1;      /* the present frame is the last of its message */
    bool is_over : 1;       /* closed or refused */
    bool is_pong_due : 1;
    bool is_close_due : 1;
    bool is_close_sent : 1;
    uint8_t opcode; /* of the present frame */
    uint8_t head_len, control_len;
    uint8_t head[WS_FRAME_HEADER_MAX]; /* of a frame whose payload has not begun yet: what has come of it */
    uint8_t control[WS_CONTROL_MAX];   /* payload of the present control frame; then of the pong that is due */
};

/* MAX_MESSAGE_BYTES: of all fragments of a message together. */
void ws_frames_init(struct ws_frames *f, bool is_server, uint64_t max_message_bytes);
void ws_frames_deinit(struct ws_frames *f);

/* N bytes from the peer. Their payload is moved to the front of BYTES, *RET_LEN says how much it is (with every result:
 * what came before a close frame or a fault counts). An enum ws_frames_result or -ENOMEM; anything but 0 is the last
 * word: later bytes are ignored with the same result. Ask ws_frames_encode_due() after each call. */
int ws_frames_decode(struct ws_frames *f, uint8_t *bytes, size_t n, size_t *ret_len);

/* The first N bytes of IOV as one message at DST, which has room for N + WS_FRAME_HEADER_MAX. 0, -ENOMEM, or what
 * random_bytes() says (clients mask with a new key each time). Not once a close frame has been sent. */
int ws_frames_encode(struct ws_frames *f, const struct iovec *iov, size_t n, uint8_t *dst, size_t *ret_len);

/* We are the ones who close: a close frame with CODE is due, unless one was due or sent already. */
void ws_frames_close(struct ws_frames *f, uint16_t code);
/* The pong and the close frame that are due, at DST with room for WS_DUE_MAX; *RET_LEN 0: nothing is due. Results as
 * ws_frames_encode(). */
int ws_frames_encode_due(struct ws_frames *f, uint8_t *dst, size_t *ret_len);
bool ws_frames_is_close_sent(const struct ws_frames *f);

/* After WS_FRAMES_CLOSED and WS_FRAMES_REFUSED. */
uint16_t ws_frames_code(const struct ws_frames *f);
const char *ws_frames_text(const struct ws_frames *f);

#endif
