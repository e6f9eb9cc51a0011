/* See ws_handshake.h. What HTTP is; what it may say is ws_server.c and ws_client.c. */
#include "ws_handshake.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ws_handshake_internal.h"

enum { WS_HANDSHAKE_FIRST_BYTES = 512 }; /* of the buffer: most requests of programs fit */

/* --- Text */

bool ws_span_is(struct ws_span span, const char *text)
{
    return strlen(text) == span.len && memcmp(text, span.ptr, span.len) == 0;
}

bool ws_span_is_nocase(struct ws_span span, const char *text)
{
    return strlen(text) == span.len && strncasecmp(text, span.ptr, span.len) == 0;
}

static bool ws_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct ws_span ws_span_trim(struct ws_span span)
{
    while (span.len > 0 && ws_is_blank(span.ptr[0]))
        span.ptr++, span.len--;
    while (span.len > 0 && ws_is_blank(span.ptr[span.len - 1]))
        span.len--;
    return span;
}

bool ws_span_next(struct ws_span *list, struct ws_span *ret_element)
{
    while (list->len > 0) {
        const char *comma = memchr(list->ptr, ',', list->len);
        const size_t n = comma ? (size_t)(comma - list->ptr) : list->len;
        *ret_element = ws_span_trim((struct ws_span){list->ptr, n});
        list->ptr += n + (comma != NULL);
        list->len -= n + (comma != NULL);
        if (ret_element->len > 0)
            return true;
    }
    return false;
}

bool ws_span_has_token(struct ws_span list, const char *token)
{
    struct ws_span element;
    while (ws_span_next(&list, &element)) {
        if (ws_span_is_nocase(element, token))
            return true;
    }
    return false;
}

const char *ws_protocol_find(struct ws_span name)
{
    static const char *const protocols[] = {"mqtt", "mqttv3.1"};
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (ws_span_is(name, protocols[i]))
            return protocols[i];
    }
    return NULL;
}

void ws_accept_make(struct ws_span key, char *dst)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[WS_KEY_LEN + sizeof(guid)];
    uint8_t digest[EVP_MAX_MD_SIZE];
    memcpy(text, key.ptr, WS_KEY_LEN);
    memcpy(text + WS_KEY_LEN, guid, sizeof(guid));
    memset(digest, 0, sizeof(digest));
    EVP_Digest(text, WS_KEY_LEN + sizeof(guid) - 1, digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)dst, digest, 20);
}

/* --- What http-parser tells: pieces, which lie behind each other in `bytes` */

struct ws_span ws_handshake_span(const struct ws_handshake *h, struct ws_range range)
{
    return (struct ws_span){(const char *)buf_bytes(h->bytes) + range.from, range.len};
}

static int ws_range_extend(const struct ws_handshake *h, struct ws_range *range, const char *at, size_t len)
{
    const size_t from = (size_t)(at - (const char *)buf_bytes(h->bytes));
    if (range->len == 0)
        range->from = from;
    else if (from != range->from + range->len)
        return -1; /* a line folded over several: obsolete since RFC 7230 */
    range->len += len;
    return 0;
}

static int ws_handshake_end_line(struct ws_handshake *h)
{
    if (h->name.len > 0)
        h->result = h->side->on_header(h, ws_handshake_span(h, h->name), ws_span_trim(ws_handshake_span(h, h->value)));
    h->name.len = h->value.len = 0;
    h->is_value_begun = false;
    return h->result == WS_HANDSHAKE_MORE ? 0 : -1;
}

static int ws_handshake_on_url(http_parser *parser, const char *at, size_t len)
{
    struct ws_handshake *h = parser->data;
    return ws_range_extend(h, &h->url, at, len);
}

static int ws_handshake_on_name(http_parser *parser, const char *at, size_t len)
{
    struct ws_handshake *h = parser->data;
    if (h->is_value_begun && ws_handshake_end_line(h) < 0)
        return -1;
    return ws_range_extend(h, &h->name, at, len);
}

static int ws_handshake_on_value(http_parser *parser, const char *at, size_t len)
{
    struct ws_handshake *h = parser->data;
    h->is_value_begun = true;
    return ws_range_extend(h, &h->value, at, len);
}

/* 2: no body, and nothing behind the empty line is HTTP. */
static int ws_handshake_on_headers_complete(http_parser *parser)
{
    struct ws_handshake *h = parser->data;
    if (ws_handshake_end_line(h) < 0)
        return -1;
    h->result = h->side->on_end(h);
    return 2;
}

static const http_parser_settings ws_handshake_settings = {
    .on_url = ws_handshake_on_url,
    .on_header_field = ws_handshake_on_name,
    .on_header_value = ws_handshake_on_value,
    .on_headers_complete = ws_handshake_on_headers_complete,
};

/* --- Reading */

int ws_handshake_refuse(struct ws_handshake *h, unsigned status, const char *fmt, ...)
{
    va_list args;
    h->status = status;
    va_start(args, fmt);
    vsnprintf(h->text, sizeof(h->text), fmt, args);
    va_end(args);
    return WS_HANDSHAKE_REFUSED;
}

/* Takes a piece of INPUT to the other bytes and has it parsed. */
static int ws_handshake_parse(struct ws_handshake *h, struct cursor *input)
{
    const size_t held = buf_len(h->bytes), room = WS_HANDSHAKE_MAX - held;
    const size_t n = input->len < room ? input->len : room;
    if (n == 0)
        return h->side->on_bad(h, 431, "the header is too long");
    if (buf_append(h->bytes, input->ptr, n) < 0)
        return -ENOMEM;
    size_t used = http_parser_execute(&h->parser, &ws_handshake_settings, (const char *)buf_bytes(h->bytes) + held, n);
    cursor_skip(input, used < n ? used : n);
    if (h->result == WS_HANDSHAKE_MORE && HTTP_PARSER_ERRNO(&h->parser) != HPE_OK)
        h->result = h->side->on_bad(h, 400, http_errno_description(HTTP_PARSER_ERRNO(&h->parser)));
    return h->result;
}

int ws_handshake_feed(struct ws_handshake *h, struct cursor *input)
{
    int r = WS_HANDSHAKE_MORE;
    while (r == WS_HANDSHAKE_MORE && input->len > 0)
        r = ws_handshake_parse(h, input);
    return r;
}

/* --- Life */

struct ws_handshake *ws_handshake_new(const struct ws_side *side)
{
    struct ws_handshake *h = calloc(1, sizeof(*h));
    if (!h || !(h->bytes = buf_new(WS_HANDSHAKE_FIRST_BYTES, WS_HANDSHAKE_MAX))) {
        free(h);
        return NULL;
    }
    h->side = side;
    h->result = WS_HANDSHAKE_MORE;
    http_parser_init(&h->parser, side->type);
    h->parser.data = h;
    return h;
}

struct ws_handshake *ws_handshake_free(struct ws_handshake *h)
{
    if (!h)
        return NULL;
    buf_unref(h->bytes);
    free(h->forwarded_for);
    free(h);
    return NULL;
}

const char *ws_handshake_output(const struct ws_handshake *h, size_t *ret_len)
{
    *ret_len = h->output_len;
    return h->output;
}

unsigned ws_handshake_status(const struct ws_handshake *h)
{
    return h->status;
}

const char *ws_handshake_text(const struct ws_handshake *h)
{
    return h->text;
}

const char *ws_handshake_forwarded_for(const struct ws_handshake *h)
{
    return h->forwarded_for;
}
