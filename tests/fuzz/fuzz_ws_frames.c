/* Any bytes as WebSocket frames of a peer, whole and in pieces: nothing is read or written past its end, both ways give
 * the same payload, the same end and the same answers but for pongs (only the latest ping is answered), and what is
 * answered is understood by the other side.
 *
 * Input: a byte for side, piece size and limit, then the stream. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ensure.h"
#include "ws_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a stream came to. */
struct outcome {
    int result;
    uint16_t code;
    const char *text;
    uint8_t *payload;
    size_t len;
};

/* Pongs and closes are frames that the peer understands. */
static void answer(struct ws_frames *f, bool is_server)
{
    uint8_t due[WS_DUE_MAX];
    struct ws_frames peer;
    size_t len, payload;
    ensure(ws_frames_encode_due(f, due, &len) == 0 && len <= sizeof(due));
    ws_frames_init(&peer, !is_server, 0);
    int r = ws_frames_decode(&peer, due, len, &payload);
    ensure(r == (len > 0 && ws_frames_is_close_sent(f) ? WS_FRAMES_CLOSED : WS_FRAMES_OK) && payload == 0);
    ws_frames_deinit(&peer);
}

static void decode(bool is_server, uint64_t limit, const uint8_t *stream, size_t size, size_t piece, struct outcome *o)
{
    struct ws_frames f;
    *o = (struct outcome){.payload = malloc(size + 1)};
    ws_frames_init(&f, is_server, limit);
    for (size_t at = 0; at < size && o->result == WS_FRAMES_OK; at += piece) {
        const size_t n = size - at < piece ? size - at : piece;
        size_t len;
        uint8_t *block = malloc(n); /* just these bytes, so that a read or write past them is seen */
        memcpy(block, stream + at, n);
        o->result = ws_frames_decode(&f, block, n, &len);
        ensure(len <= n);
        memcpy(o->payload + o->len, block, len);
        o->len += len;
        free(block);
        answer(&f, is_server);
    }
    ensure(o->result >= WS_FRAMES_OK && o->result <= WS_FRAMES_REFUSED);
    ensure((o->result == WS_FRAMES_REFUSED) == (ws_frames_text(&f) != NULL));
    ensure((o->result == WS_FRAMES_OK) == !ws_frames_is_close_sent(&f));
    o->code = ws_frames_code(&f);
    o->text = ws_frames_text(&f);
    ws_frames_deinit(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;
    if (size == 0)
        return 0;
    const bool is_server = data[0] & 1;
    const uint64_t limit = data[0] & 2 ? 1000 : 268435460;
    const size_t piece = 1 + (data[0] >> 2) + size / 32; /* not too many of them: each is copied */
    decode(is_server, limit, data + 1, size - 1, size, &whole);
    decode(is_server, limit, data + 1, size - 1, piece, &pieces);
    ensure(whole.result == pieces.result && whole.code == pieces.code && whole.text == pieces.text);
    ensure(whole.len == pieces.len && memcmp(whole.payload, pieces.payload, whole.len) == 0);
    free(whole.payload);
    free(pieces.payload);
    return 0;
}
