/* See ws_frames.h.
 *
 * wslay tells of a frame together with the first bytes of its payload, and keeps 4 KB of its own. So its context exists
 * only while a frame is under way; of a header that is alone at the end of what has come the bytes are kept here and
 * given again with the next ones. */
#include "ws_frames.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <wslay/wslay.h>

#include "cursor.h"
#include "random.h"
#include "str.h"

/* What wslay reads: the kept beginning of a header, then what has come now. */
struct ws_input {
    struct cursor parts[2];
    const uint8_t *head, *bytes;
    size_t head_len, len; /* LEN: both */
    size_t used;          /* of both, by frames and the pieces of them that are done */
};

enum { WS_GO_ON = 0, WS_DRAINED = 100 }; /* beside enum ws_frames_result, inside this file only */

/* --- Between wslay and memory */

static ssize_t ws_frames_on_recv(uint8_t *dst, size_t len, int flags, void *arg)
{
    const struct ws_frames *f = arg;
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        struct cursor *part = &f->input->parts[i];
        const size_t take = part->len < len - n ? part->len : len - n;
        memcpy(dst + n, part->ptr, take);
        cursor_skip(part, take);
        n += take;
    }
    return n > 0 ? (ssize_t)n : -1;
}

static ssize_t ws_frames_on_send(const uint8_t *bytes, size_t len, int flags, void *arg)
{
    struct ws_frames *f = arg;
    memcpy(f->output, bytes, len);
    f->output += len;
    return (ssize_t)len;
}

static int ws_frames_on_mask(uint8_t *dst, size_t len, void *arg)
{
    return random_bytes(dst, len) < 0 ? -1 : 0;
}

static int ws_frames_open_wslay(struct ws_frames *f)
{
    static const struct wslay_frame_callbacks callbacks = {ws_frames_on_send, ws_frames_on_recv, ws_frames_on_mask};
    if (f->wslay)
        return 0;
    return wslay_frame_context_init(&f->wslay, &callbacks, f) == 0 ? 0 : -ENOMEM;
}

static void ws_frames_close_wslay(struct ws_frames *f)
{
    wslay_frame_context_free(f->wslay);
    f->wslay = NULL;
}

/* --- Rules */

static int ws_frames_refuse(struct ws_frames *f, uint16_t code, const char *text)
{
    f->is_over = true;
    f->code = code;
    f->text = text;
    ws_frames_close(f, code);
    return WS_FRAMES_REFUSED;
}

static int ws_frames_check_data(struct ws_frames *f, const struct wslay_frame_iocb *frame)
{
    if ((frame->opcode == WSLAY_CONTINUATION_FRAME) != f->is_in_message)
        return ws_frames_refuse(f, WS_CLOSE_PROTOCOL_ERROR,
                                f->is_in_message ? "a new message inside another" : "a fragment of no message");
    if (frame->opcode == WSLAY_TEXT_FRAME)
        return ws_frames_refuse(f, WS_CLOSE_UNSUPPORTED_DATA, "MQTT in a text frame");
    if (frame->payload_length > f->max_message_bytes - f->message_bytes)
        return ws_frames_refuse(f, WS_CLOSE_TOO_BIG, "a message above the limit");
    if (f->empty_frames == WS_EMPTY_FRAMES_MAX)
        return ws_frames_refuse(f, WS_CLOSE_TOO_BIG, "a message of empty fragments");
    return WS_GO_ON;
}

/* Whether FRAME may come now; changes nothing if so. What wslay checks itself: see ws_frames_refuse_unreadable(). */
static int ws_frames_check(struct ws_frames *f, const struct wslay_frame_iocb *frame)
{
    if (frame->rsv != WSLAY_RSV_NONE)
        return ws_frames_refuse(f, WS_CLOSE_PROTOCOL_ERROR, "a reserved bit is set");
    if (frame->mask != f->is_server)
        return ws_frames_refuse(f, WS_CLOSE_PROTOCOL_ERROR,
                                f->is_server ? "a frame of a client without mask" : "a frame of a server with a mask");
    switch (frame->opcode) {
    case WSLAY_CONTINUATION_FRAME:
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        return ws_frames_check_data(f, frame);
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        return WS_GO_ON;
    default:
        return ws_frames_refuse(f, WS_CLOSE_PROTOCOL_ERROR, "a reserved opcode");
    }
}

static uint8_t ws_input_at(const struct ws_input *in, size_t i)
{
    return i < in->head_len ? in->head[i] : in->bytes[i - in->head_len];
}

/* Whether the frame that wslay stopped at is one of data whose length is 2^63 or more. */
static bool ws_input_is_immense(const struct ws_input *in)
{
    return in->len - in->used > 2 && !wslay_is_ctrl_frame(ws_input_at(in, in->used)) &&
           (ws_input_at(in, in->used + 1) & 0x7f) == 127 && (ws_input_at(in, in->used + 2) & 0x80);
}

/* What wslay takes for no frame. */
static int ws_frames_refuse_unreadable(struct ws_frames *f, const struct ws_input *in)
{
    if (ws_input_is_immense(in))
        return ws_frames_refuse(f, WS_CLOSE_TOO_BIG, "a message above the limit");
    return ws_frames_refuse(f, WS_CLOSE_PROTOCOL_ERROR,
                            "a control frame that is too long or a fragment, or a length not in its shortest form");
}

/* RFC 6455 7.4: what may stand in a close frame. 1004 to 1006 and 1015 never may. */
static bool ws_frames_is_sendable(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static bool ws_frames_is_utf8(const uint8_t *bytes, size_t n)
{
    uint32_t code;
    for (size_t len; n > 0; bytes += len, n -= len) {
        len = str_utf8_next(bytes, n, &code);
        if (len == 0)
            return false;
    }
    return true;
}

/* --- From the peer */

static int ws_frames_take_close(struct ws_frames *f)
{
    uint16_t code = WS_CLOSE_NO_STATUS;
    struct cursor payload = cursor_make(f->control, f->control_len);
    if (payload.len > 0 && (cursor_read_u16(&payload, &code) || !ws_frames_is_sendable(code)))
        return ws_frames_refuse(f, WS_CLOSE_PROTOCOL_ERROR, "a close frame with a code that is none");
    if (!ws_frames_is_utf8(payload.ptr, payload.len))
        return ws_frames_refuse(f, WS_CLOSE_BAD_TEXT, "a close frame with a reason that is not UTF-8");
    f->is_over = true;
    f->code = code;
    ws_frames_close(f, code == WS_CLOSE_NO_STATUS ? 0 : code);
    return WS_FRAMES_CLOSED;
}

static void ws_frames_end_message(struct ws_frames *f)
{
    f->is_in_message = !f->is_final;
    if (f->is_in_message)
        return;
    f->message_bytes = 0;
    f->empty_frames = 0;
}

static int ws_frames_end_frame(struct ws_frames *f)
{
    switch (f->opcode) {
    case WSLAY_CONNECTION_CLOSE:
        return ws_frames_take_close(f);
    case WSLAY_PING:
        f->is_pong_due = true;
        return WS_GO_ON;
    case WSLAY_PONG:
        return WS_GO_ON;
    default:
        ws_frames_end_message(f);
        return WS_GO_ON;
    }
}

static void ws_frames_begin_frame(struct ws_frames *f, const struct wslay_frame_iocb *frame)
{
    f->opcode = frame->opcode;
    f->left_bytes = frame->payload_length;
    if (!wslay_is_ctrl_frame(frame->opcode)) {
        f->is_final = frame->fin;
        f->message_bytes += frame->payload_length;
        f->empty_frames += frame->payload_length == 0;
    } else if (frame->opcode != WSLAY_PONG) {
        f->is_pong_due = false; /* its payload makes room; a later ping is the one to answer */
        f->control_len = 0;
    }
}

static size_t ws_frames_header_bytes(const struct wslay_frame_iocb *frame)
{
    const size_t length = frame->payload_length > UINT16_MAX ? 8 : frame->payload_length > 125 ? 2 : 0;
    return 2 + length + (frame->mask ? 4 : 0);
}

/* A piece of payload. It is always in front of what has not been read yet: headers lie between. */
static void ws_frames_take(struct ws_frames *f, const struct wslay_frame_iocb *piece, uint8_t *bytes, size_t *len)
{
    if (!wslay_is_ctrl_frame(f->opcode)) {
        memcpy(bytes + *len, piece->data, piece->data_length);
        *len += piece->data_length;
    } else if (f->opcode != WSLAY_PONG) {
        memcpy(f->control + f->control_len, piece->data, piece->data_length);
        f->control_len += (uint8_t)piece->data_length;
    }
}

static bool ws_input_is_empty(const struct ws_input *in)
{
    return in->parts[0].len == 0 && in->parts[1].len == 0;
}

/* One piece of a frame. */
static int ws_frames_step(struct ws_frames *f, uint8_t *bytes, size_t *len)
{
    struct wslay_frame_iocb piece = {.fin = 0};
    struct ws_input *in = f->input;
    const ssize_t n = wslay_frame_recv(f->wslay, &piece);
    if (n == WSLAY_ERR_WANT_READ) /* it asks only once for each part of a header */
        return ws_input_is_empty(in) ? WS_DRAINED : WS_GO_ON;
    if (n < 0)
        return ws_frames_refuse_unreadable(f, in);
    if (f->left_bytes == 0) {
        int r = ws_frames_check(f, &piece);
        if (r != WS_GO_ON)
            return r;
        ws_frames_begin_frame(f, &piece);
        in->used += ws_frames_header_bytes(&piece);
    }
    ws_frames_take(f, &piece, bytes, len);
    f->left_bytes -= (size_t)n;
    in->used += (size_t)n;
    return f->left_bytes == 0 ? ws_frames_end_frame(f) : WS_GO_ON;
}

/* A header may be whole although nothing of its payload has come: whoever claims a gigabyte and waits is to hear of it
 * now. One byte that has not come makes wslay tell. */
static int ws_frames_look_ahead(struct ws_frames *f)
{
    static const uint8_t invented;
    struct ws_input in = {
        .parts = {cursor_make(f->head, f->head_len), cursor_make(&invented, 1)},
        .head = f->head,
        .bytes = &invented,
        .head_len = f->head_len,
        .len = f->head_len + 1,
    };
    struct wslay_frame_iocb piece = {.fin = 0};
    ssize_t n;
    f->input = &in;
    do {
        n = wslay_frame_recv(f->wslay, &piece);
    } while (n == WSLAY_ERR_WANT_READ && !ws_input_is_empty(&in));
    return n > 0 ? ws_frames_check(f, &piece) : WS_GO_ON;
}

/* All that has come is read, and no frame is in the middle of its payload. */
static int ws_frames_rest(struct ws_frames *f, const struct ws_input *in)
{
    const size_t n = in->len - in->used;
    assert(n <= sizeof(f->head));
    for (size_t i = 0; i < n; i++)
        f->head[i] = ws_input_at(in, in->used + i);
    f->head_len = (uint8_t)n;
    ws_frames_close_wslay(f);
    if (n <= 2)
        return WS_FRAMES_OK;
    if (ws_frames_open_wslay(f) < 0)
        return -ENOMEM;
    int r = ws_frames_look_ahead(f);
    ws_frames_close_wslay(f);
    return r;
}

static int ws_frames_decode_all(struct ws_frames *f, uint8_t *bytes, size_t n, size_t *len)
{
    uint8_t head[WS_FRAME_HEADER_MAX];
    struct ws_input in = {
        .parts = {cursor_make(head, f->head_len), cursor_make(bytes, n)},
        .head = head,
        .bytes = bytes,
        .head_len = f->head_len,
        .len = f->head_len + n,
    };
    memcpy(head, f->head, f->head_len);
    f->head_len = 0;
    f->input = &in;
    int r = ws_frames_open_wslay(f);
    while (r == WS_GO_ON)
        r = ws_frames_step(f, bytes, len);
    if (r == WS_DRAINED)
        r = f->left_bytes > 0 ? WS_FRAMES_OK : ws_frames_rest(f, &in);
    f->input = NULL;
    return r;
}

int ws_frames_decode(struct ws_frames *f, uint8_t *bytes, size_t n, size_t *ret_len)
{
    size_t len = 0;
    int r = WS_FRAMES_OK;
    if (f->is_over)
        r = f->text ? WS_FRAMES_REFUSED : WS_FRAMES_CLOSED;
    else if (n > 0)
        r = ws_frames_decode_all(f, bytes, n, &len);
    *ret_len = len;
    return r;
}

/* --- To the peer */

static void ws_frames_begin_output(struct ws_frames *f, uint8_t *dst)
{
    f->output = dst;
}

/* A frame of N bytes, which IOV holds at least. 0, or what the mask's random numbers say. */
static int ws_frames_put(struct ws_frames *f, uint8_t opcode, const struct iovec *iov, size_t n)
{
    struct wslay_frame_iocb frame = {.fin = 1, .opcode = opcode, .payload_length = n, .mask = !f->is_server};
    for (;; iov++) {
        const size_t piece = iov->iov_len < n ? iov->iov_len : n;
        frame.data = iov->iov_base;
        frame.data_length = piece;
        if (wslay_frame_send(f->wslay, &frame) < 0)
            return -EIO; /* the sink takes everything: there was no mask to be had */
        n -= piece;
        if (n == 0)
            return 0;
    }
}

/* With a context of its own where there is none: what is put is always whole. */
static int ws_frames_put_whole(struct ws_frames *f, uint8_t opcode, const struct iovec *iov, size_t n)
{
    const bool is_borrowed = !f->wslay;
    int r = ws_frames_open_wslay(f);
    if (r < 0)
        return r;
    r = ws_frames_put(f, opcode, iov, n);
    if (is_borrowed)
        ws_frames_close_wslay(f);
    return r;
}

int ws_frames_encode(struct ws_frames *f, const struct iovec *iov, size_t n, uint8_t *dst, size_t *ret_len)
{
    assert(!f->is_close_sent && n > 0);
    ws_frames_begin_output(f, dst);
    int r = ws_frames_put_whole(f, WSLAY_BINARY_FRAME, iov, n);
    if (r == 0)
        *ret_len = (size_t)(f->output - dst);
    return r;
}

static int ws_frames_put_pong(struct ws_frames *f)
{
    const struct iovec iov = {.iov_base = f->control, .iov_len = f->control_len};
    if (!f->is_pong_due)
        return 0;
    f->is_pong_due = false;
    return ws_frames_put_whole(f, WSLAY_PONG, &iov, iov.iov_len);
}

static int ws_frames_put_close(struct ws_frames *f)
{
    uint8_t payload[WS_CONTROL_MAX] = {(uint8_t)(f->close_code >> 8), (uint8_t)f->close_code};
    const size_t text_len = f->text ? strlen(f->text) : 0;
    if (!f->is_close_due)
        return 0;
    assert(text_len <= sizeof(payload) - 2);
    if (f->text)
        memcpy(payload + 2, f->text, text_len);
    const struct iovec iov = {.iov_base = payload, .iov_len = f->close_code == 0 ? 0 : 2 + text_len};
    f->is_close_due = false;
    f->is_close_sent = true;
    return ws_frames_put_whole(f, WSLAY_CONNECTION_CLOSE, &iov, iov.iov_len);
}

int ws_frames_encode_due(struct ws_frames *f, uint8_t *dst, size_t *ret_len)
{
    ws_frames_begin_output(f, dst);
    int r = f->is_close_sent ? 0 : ws_frames_put_pong(f);
    if (r == 0)
        r = ws_frames_put_close(f);
    if (r == 0)
        *ret_len = (size_t)(f->output - dst);
    return r;
}

void ws_frames_close(struct ws_frames *f, uint16_t code)
{
    if (f->is_close_due || f->is_close_sent)
        return;
    f->is_close_due = true;
    f->close_code = code;
}

/* --- Life */

void ws_frames_init(struct ws_frames *f, bool is_server, uint64_t max_message_bytes)
{
    *f = (struct ws_frames){.is_server = is_server, .max_message_bytes = max_message_bytes};
}

void ws_frames_deinit(struct ws_frames *f)
{
    ws_frames_close_wslay(f);
}

bool ws_frames_is_close_sent(const struct ws_frames *f)
{
    return f->is_close_sent;
}

uint16_t ws_frames_code(const struct ws_frames *f)
{
    return f->code;
}

const char *ws_frames_text(const struct ws_frames *f)
{
    return f->text;
}
