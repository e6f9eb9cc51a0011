/* Any bytes as an answer over HTTP, whole and in pieces: both ways end alike at the same byte with the same body, which
 * is never longer than allowed; a refusal has a reason that may be shown.
 *
 * Input: a byte for the piece size, and whether the connection then ends; then the stream. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ensure.h"
#include "http_answer.h"

enum { BODY_MAX = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    int result;
    size_t used;
    struct http_answer *answer;
};

static void feed(const uint8_t *stream, size_t size, size_t piece, bool has_end, struct outcome *o)
{
    *o = (struct outcome){.result = HTTP_ANSWER_MORE, .answer = http_answer_new(BODY_MAX)};
    for (size_t at = 0; at < size && o->result == HTTP_ANSWER_MORE; at += piece) {
        const size_t n = size - at < piece ? size - at : piece;
        uint8_t *block = malloc(n);
        ensure(block);
        memcpy(block, stream + at, n);
        struct cursor input = cursor_make(block, n);
        o->result = http_answer_feed(o->answer, &input);
        ensure(o->result >= HTTP_ANSWER_DONE && o->result <= HTTP_ANSWER_REFUSED);
        ensure(o->result != HTTP_ANSWER_MORE || input.len == 0);
        o->used += n - input.len;
        free(block);
    }
    if (has_end && o->result == HTTP_ANSWER_MORE)
        o->result = http_answer_end(o->answer);
    ensure(!has_end || o->result != HTTP_ANSWER_MORE);
}

static void check_text(const struct http_answer *a)
{
    ensure(*http_answer_text(a));
    for (const char *at = http_answer_text(a); *at; at++)
        ensure((uint8_t)*at >= ' ' && *at != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;
    size_t n, n_pieces;
    if (size < 1)
        return 0;
    const bool has_end = data[0] & 1;
    feed(data + 1, size - 1, size, has_end, &whole);
    feed(data + 1, size - 1, (size_t)data[0] / 2 + 1, has_end, &pieces);
    const uint8_t *body = http_answer_body(whole.answer, &n), *body_pieces = http_answer_body(pieces.answer, &n_pieces);
    ensure(n <= BODY_MAX && n_pieces <= BODY_MAX);
    ensure(whole.result == pieces.result);
    if (whole.result == HTTP_ANSWER_DONE)
        ensure(whole.used == pieces.used && n == n_pieces && memcmp(body, body_pieces, n) == 0);
    if (whole.result == HTTP_ANSWER_REFUSED)
        check_text(whole.answer);
    http_answer_free(whole.answer);
    http_answer_free(pieces.answer);
    return 0;
}
