/* The server's side of the handshake: whether a request is one for MQTT over WebSocket, and the answer to it. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"
#include "ws_handshake_internal.h"

enum { WS_QUOTE_MAX = 80 }; /* of what a stranger has sent, in a log line */

/* --- Answers */

static void ws_server_answer(struct ws_handshake *h, const char *lines)
{
    int n = snprintf(h->output, sizeof(h->output), "HTTP/1.1 %u %s\r\n%s\r\n", h->status,
                     http_status_str((enum http_status)h->status), lines);
    h->output_len = (size_t)n;
}

static int ws_server_accept(struct ws_handshake *h)
{
    char lines[256];
    snprintf(lines, sizeof(lines),
             "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
             "Sec-WebSocket-Protocol: %s\r\n",
             h->accept, h->protocol);
    h->status = HTTP_STATUS_SWITCHING_PROTOCOLS;
    ws_server_answer(h, lines);
    return WS_HANDSHAKE_DONE;
}

/* What some of the refusals have to say beside their number (RFC 7231 6.5.5 and 6.5.15, RFC 6455 4.4). */
static const char *ws_server_extra_lines(unsigned status)
{
    switch (status) {
    case HTTP_STATUS_METHOD_NOT_ALLOWED:
        return "Allow: GET\r\n";
    case HTTP_STATUS_UPGRADE_REQUIRED:
        return "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    default:
        return "";
    }
}

/* H->text says why. */
static int ws_server_refuse(struct ws_handshake *h)
{
    char lines[160];
    snprintf(lines, sizeof(lines), "%sConnection: %s\r\nContent-Length: 0\r\n", ws_server_extra_lines(h->status),
             h->status == HTTP_STATUS_UPGRADE_REQUIRED ? "Upgrade, close" : "close");
    ws_server_answer(h, lines);
    return WS_HANDSHAKE_REFUSED;
}

static int ws_server_on_bad(struct ws_handshake *h, unsigned status, const char *what)
{
    ws_handshake_refuse(h, status, "%s", what);
    return ws_server_refuse(h);
}

/* --- Header lines */

static int ws_server_on_key(struct ws_handshake *h, struct ws_span value)
{
    uint8_t bytes[18];
    h->n_keys++;
    if (value.len != WS_KEY_LEN || !ws_span_is((struct ws_span){value.ptr + WS_KEY_LEN - 2, 2}, "==") ||
        EVP_DecodeBlock(bytes, (const unsigned char *)value.ptr, WS_KEY_LEN) != sizeof(bytes))
        return ws_server_on_bad(h, HTTP_STATUS_BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64");
    ws_accept_make(value, h->accept);
    return WS_HANDSHAKE_MORE;
}

static int ws_server_on_host(struct ws_handshake *h, struct ws_span value)
{
    h->n_hosts++;
    return WS_HANDSHAKE_MORE;
}

static int ws_server_on_upgrade(struct ws_handshake *h, struct ws_span value)
{
    h->is_upgrade |= ws_span_has_token(value, "websocket");
    return WS_HANDSHAKE_MORE;
}

static int ws_server_on_connection(struct ws_handshake *h, struct ws_span value)
{
    h->is_connection |= ws_span_has_token(value, "upgrade");
    return WS_HANDSHAKE_MORE;
}

static int ws_server_on_version(struct ws_handshake *h, struct ws_span value)
{
    h->n_versions++;
    h->is_version_13 = ws_span_is(value, "13");
    return WS_HANDSHAKE_MORE;
}

/* The first of the client's own order that we know, over all lines. */
static int ws_server_on_protocol(struct ws_handshake *h, struct ws_span value)
{
    struct ws_span name;
    while (!h->protocol && ws_span_next(&value, &name))
        h->protocol = ws_protocol_find(name);
    return WS_HANDSHAKE_MORE;
}

static bool ws_server_allows_origin(const struct ws_server_params *params, struct ws_span origin)
{
    for (size_t i = 0; i < params->n_origins; i++) {
        if (ws_span_is_nocase(origin, params->origins[i]))
            return true;
    }
    return params->n_origins == 0;
}

static int ws_server_on_origin(struct ws_handshake *h, struct ws_span value)
{
    char quoted[WS_QUOTE_MAX];
    h->n_origins++;
    if (ws_server_allows_origin(h->server, value))
        return WS_HANDSHAKE_MORE;
    ws_handshake_refuse(h, HTTP_STATUS_FORBIDDEN, "the origin '%s' is not allowed (--websocket-origins)",
                        str_quote(quoted, sizeof(quoted), value.ptr, value.len));
    return ws_server_refuse(h);
}

static int ws_server_on_forwarded_for(struct ws_handshake *h, struct ws_span value)
{
    char *joined;
    int n = h->forwarded_for ? asprintf(&joined, "%s,%.*s", h->forwarded_for, (int)value.len, value.ptr)
                             : asprintf(&joined, "%.*s", (int)value.len, value.ptr);
    if (n < 0)
        return -ENOMEM;
    free(h->forwarded_for);
    h->forwarded_for = joined;
    return WS_HANDSHAKE_MORE;
}

static int ws_server_on_body(struct ws_handshake *h, struct ws_span value)
{
    if (ws_span_is(value, "0"))
        return WS_HANDSHAKE_MORE;
    return ws_server_on_bad(h, HTTP_STATUS_BAD_REQUEST, "a request with a body");
}

static int ws_server_on_header(struct ws_handshake *h, struct ws_span name, struct ws_span value)
{
    static const struct {
        const char *name;
        int (*take)(struct ws_handshake *h, struct ws_span value);
    } headers[] = {
        {"Host", ws_server_on_host},
        {"Upgrade", ws_server_on_upgrade},
        {"Connection", ws_server_on_connection},
        {"Sec-WebSocket-Key", ws_server_on_key},
        {"Sec-WebSocket-Version", ws_server_on_version},
        {"Sec-WebSocket-Protocol", ws_server_on_protocol},
        {"Origin", ws_server_on_origin},
        {"X-Forwarded-For", ws_server_on_forwarded_for},
        {"Content-Length", ws_server_on_body},
        {"Transfer-Encoding", ws_server_on_body},
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (ws_span_is_nocase(name, headers[i].name))
            return headers[i].take(h, value);
    }
    return WS_HANDSHAKE_MORE;
}

/* --- The whole */

/* "/mqtt", "/mqtt?x=y", and the form for proxies, "http://host/mqtt". */
static bool ws_server_is_path(const struct ws_handshake *h)
{
    const struct ws_span url = ws_handshake_span(h, h->url);
    struct http_parser_url parts;
    http_parser_url_init(&parts);
    if (http_parser_parse_url(url.ptr, url.len, 0, &parts) != 0 || !(parts.field_set & (1 << UF_PATH)))
        return false;
    return ws_span_is((struct ws_span){url.ptr + parts.field_data[UF_PATH].off, parts.field_data[UF_PATH].len},
                      h->server->path);
}

static int ws_server_check_path(struct ws_handshake *h)
{
    char quoted[WS_QUOTE_MAX];
    const struct ws_span url = ws_handshake_span(h, h->url);
    if (ws_server_is_path(h))
        return WS_HANDSHAKE_DONE;
    ws_handshake_refuse(h, HTTP_STATUS_NOT_FOUND, "the path is '%s', not '%s'",
                        str_quote(quoted, sizeof(quoted), url.ptr, url.len), h->server->path);
    return ws_server_refuse(h);
}

/* RFC 7230: what every request needs. */
static int ws_server_check_http(struct ws_handshake *h)
{
    if (h->parser.method != HTTP_GET)
        return ws_server_on_bad(h, HTTP_STATUS_METHOD_NOT_ALLOWED, "the method is not GET");
    if (h->parser.http_major != 1 || h->parser.http_minor < 1)
        return ws_server_on_bad(h, HTTP_STATUS_BAD_REQUEST, "HTTP older than 1.1");
    if (h->n_hosts != 1)
        return ws_server_on_bad(h, HTTP_STATUS_BAD_REQUEST, "not exactly one Host");
    return ws_server_check_path(h);
}

/* RFC 6455 4.2.1. */
static int ws_server_check_websocket(struct ws_handshake *h)
{
    if (!h->is_upgrade)
        return ws_server_on_bad(h, HTTP_STATUS_UPGRADE_REQUIRED, "no 'Upgrade: websocket'");
    if (!h->is_connection)
        return ws_server_on_bad(h, HTTP_STATUS_BAD_REQUEST, "no 'Connection: Upgrade'");
    if (h->n_versions != 1 || !h->is_version_13)
        return ws_server_on_bad(h, HTTP_STATUS_UPGRADE_REQUIRED, "Sec-WebSocket-Version is not 13");
    if (h->n_keys != 1)
        return ws_server_on_bad(h, HTTP_STATUS_BAD_REQUEST, "not exactly one Sec-WebSocket-Key");
    if (h->n_origins > 1)
        return ws_server_on_bad(h, HTTP_STATUS_BAD_REQUEST, "more than one Origin");
    if (!h->protocol) /* [MQTT-6.0.0-3] */
        return ws_server_on_bad(h, HTTP_STATUS_BAD_REQUEST, "no subprotocol 'mqtt' or 'mqttv3.1' offered");
    return WS_HANDSHAKE_DONE;
}

static int ws_server_on_end(struct ws_handshake *h)
{
    int r = ws_server_check_http(h);
    if (r == WS_HANDSHAKE_DONE)
        r = ws_server_check_websocket(h);
    return r == WS_HANDSHAKE_DONE ? ws_server_accept(h) : r;
}

static const struct ws_side ws_server_side = {
    .type = HTTP_REQUEST,
    .on_header = ws_server_on_header,
    .on_end = ws_server_on_end,
    .on_bad = ws_server_on_bad,
};

struct ws_handshake *ws_handshake_new_server(const struct ws_server_params *params)
{
    struct ws_handshake *h = ws_handshake_new(&ws_server_side);
    if (h)
        h->server = params;
    return h;
}
