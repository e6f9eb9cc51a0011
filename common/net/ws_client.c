/* The client's side of the handshake: the request for MQTT over WebSocket, and whether the answer fits it. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "random.h"
#include "str.h"
#include "ws_handshake_internal.h"

enum { WS_QUOTE_MAX = 80 };

/* --- The answer (RFC 6455 4.1) */

static int ws_client_on_bad(struct ws_handshake *h, unsigned status, const char *what)
{
    return ws_handshake_refuse(h, 0, "what the server answered is no HTTP of ours: %s", what);
}

static int ws_client_on_protocol(struct ws_handshake *h, struct ws_span value)
{
    char quoted[WS_QUOTE_MAX];
    h->protocol = h->protocol ? NULL : ws_protocol_find(value);
    if (h->protocol)
        return WS_HANDSHAKE_MORE;
    return ws_handshake_refuse(h, h->parser.status_code, "the server wants the subprotocol '%s'",
                               str_quote(quoted, sizeof(quoted), value.ptr, value.len));
}

static int ws_client_on_header(struct ws_handshake *h, struct ws_span name, struct ws_span value)
{
    if (h->parser.status_code != HTTP_STATUS_SWITCHING_PROTOCOLS)
        return WS_HANDSHAKE_MORE;
    if (ws_span_is_nocase(name, "Upgrade"))
        h->is_upgrade |= ws_span_has_token(value, "websocket");
    else if (ws_span_is_nocase(name, "Connection"))
        h->is_connection |= ws_span_has_token(value, "upgrade");
    else if (ws_span_is_nocase(name, "Sec-WebSocket-Accept"))
        h->is_accept_right = h->n_keys++ == 0 && ws_span_is(value, h->accept);
    else if (ws_span_is_nocase(name, "Sec-WebSocket-Protocol"))
        return ws_client_on_protocol(h, value);
    else if (ws_span_is_nocase(name, "Sec-WebSocket-Extensions"))
        return ws_handshake_refuse(h, h->parser.status_code, "the server wants an extension that nobody offered");
    return WS_HANDSHAKE_MORE;
}

static int ws_client_on_end(struct ws_handshake *h)
{
    const unsigned status = h->parser.status_code;
    h->status = status;
    if (status != HTTP_STATUS_SWITCHING_PROTOCOLS)
        return ws_handshake_refuse(h, status, "the server answered %u %s", status,
                                   http_status_str((enum http_status)status));
    if (!h->is_upgrade || !h->is_connection)
        return ws_handshake_refuse(h, status, "the server switched to something else than WebSocket");
    if (!h->is_accept_right)
        return ws_handshake_refuse(h, status, "the server's Sec-WebSocket-Accept is not the one for our key");
    if (!h->protocol) /* [MQTT-6.0.0-4] */
        return ws_handshake_refuse(h, status, "the server named no subprotocol");
    return WS_HANDSHAKE_DONE;
}

static const struct ws_side ws_client_side = {
    .type = HTTP_RESPONSE,
    .on_header = ws_client_on_header,
    .on_end = ws_client_on_end,
    .on_bad = ws_client_on_bad,
};

/* --- The request */

static void ws_client_format_host(const struct ws_client_params *params, char *dst, size_t size)
{
    const bool is_v6 = strchr(params->host, ':');
    int n = snprintf(dst, size, "%s%s%s", is_v6 ? "[" : "", params->host, is_v6 ? "]" : "");
    if (params->port != 0)
        snprintf(dst + n, size - (size_t)n, ":%u", params->port);
}

static int ws_client_request(struct ws_handshake *h, const struct ws_client_params *params)
{
    uint8_t bytes[16];
    char key[WS_KEY_LEN + 1], host[300];
    int r = random_bytes(bytes, sizeof(bytes));
    if (r < 0)
        return r;
    EVP_EncodeBlock((unsigned char *)key, bytes, sizeof(bytes));
    ws_accept_make((struct ws_span){key, WS_KEY_LEN}, h->accept);
    ws_client_format_host(params, host, sizeof(host));
    int n = snprintf(h->output, sizeof(h->output),
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Protocol: mqtt, mqttv3.1\r\n\r\n",
                     params->path, host, key);
    if (n >= (int)sizeof(h->output))
        return err_set(-EINVAL, "host and path of a WebSocket are too long together");
    h->output_len = (size_t)n;
    return 0;
}

struct ws_handshake *ws_handshake_new_client(const struct ws_client_params *params)
{
    struct ws_handshake *h = ws_handshake_new(&ws_client_side);
    if (!h) {
        err_errno(-ENOMEM, "WebSocket");
        return NULL;
    }
    return ws_client_request(h, params) < 0 ? ws_handshake_free(h) : h;
}
