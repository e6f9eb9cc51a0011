/* Any bytes as the request for WebSocket, or as the answer to ours, whole and in pieces: both ways end alike at the
 * same byte, a refusal has a reason that may be shown, and what we answer to a request that we accept is HTTP.
 *
 * Input: a byte for side, origins and piece size, then the stream. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ensure.h"
#include "ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *origins[] = {"https://one.example"};
static const struct ws_server_params any_origin = {.path = "/mqtt"};
static const struct ws_server_params one_origin = {.path = "/mqtt", .origins = origins, .n_origins = 1};
static const struct ws_client_params client = {.host = "broker.example", .port = 8080, .path = "/mqtt"};

struct outcome {
    int result;
    size_t used;
    struct ws_handshake *handshake;
};

static struct ws_handshake *begin(uint8_t choice)
{
    if (choice & 1)
        return ws_handshake_new_client(&client);
    return ws_handshake_new_server(choice & 2 ? &one_origin : &any_origin);
}

static void feed(uint8_t choice, const uint8_t *stream, size_t size, size_t piece, struct outcome *o)
{
    *o = (struct outcome){.result = WS_HANDSHAKE_MORE, .handshake = begin(choice)};
    for (size_t at = 0; at < size && o->result == WS_HANDSHAKE_MORE; at += piece) {
        const size_t n = size - at < piece ? size - at : piece;
        uint8_t *block = malloc(n);
        memcpy(block, stream + at, n);
        struct cursor input = cursor_make(block, n);
        o->result = ws_handshake_feed(o->handshake, &input);
        ensure(o->result >= WS_HANDSHAKE_DONE && o->result <= WS_HANDSHAKE_REFUSED);
        ensure(o->result != WS_HANDSHAKE_MORE || input.len == 0);
        o->used += n - input.len;
        free(block);
    }
    ensure(o->used <= WS_HANDSHAKE_MAX);
}

static void check_text(const struct ws_handshake *h)
{
    ensure(*ws_handshake_text(h));
    for (const char *at = ws_handshake_text(h); *at; at++)
        ensure((uint8_t)*at >= ' ' && *at != 0x7f);
}

static void check_answer(const struct outcome *o)
{
    size_t len;
    const char *output = ws_handshake_output(o->handshake, &len);
    const unsigned status = ws_handshake_status(o->handshake);
    ensure((o->result == WS_HANDSHAKE_DONE) == (status == 101));
    ensure(status == 101 || (status >= 400 && status <= 431));
    ensure(len > 12 && memcmp(output, "HTTP/1.1 ", 9) == 0 && memcmp(output + len - 4, "\r\n\r\n", 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;
    if (size == 0)
        return 0;
    const size_t piece = 1 + (data[0] >> 2) + size / 32;
    feed(data[0], data + 1, size - 1, size, &whole);
    feed(data[0], data + 1, size - 1, piece, &pieces);
    ensure(whole.result == pieces.result);
    ensure(whole.result != WS_HANDSHAKE_DONE || whole.used == pieces.used);
    if (whole.result == WS_HANDSHAKE_REFUSED) { /* of several reasons pieces may find another first */
        check_text(whole.handshake);
        check_text(pieces.handshake);
    }
    if (!(data[0] & 1) && whole.result != WS_HANDSHAKE_MORE)
        check_answer(&whole);
    ws_handshake_free(whole.handshake);
    ws_handshake_free(pieces.handshake);
    return 0;
}
