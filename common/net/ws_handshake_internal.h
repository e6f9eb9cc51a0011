/* What the two sides of the handshake share (ws_handshake.h). Private to ws_handshake*.c.
 *
 *   ws_handshake.c   bytes --http-parser--> one header line after the other --> on_header; at the end on_end
 *   ws_server.c      checks a request, makes 101 or 4xx
 *   ws_client.c      makes a request, checks the answer */
#ifndef WS_HANDSHAKE_INTERNAL_H
#define WS_HANDSHAKE_INTERNAL_H

#include <http_parser.h>

#include "buf.h"
#include "ws_handshake.h"

enum {
    WS_KEY_LEN = 24,    /* 16 bytes in base64 */
    WS_ACCEPT_LEN = 28, /* a SHA-1 in base64 */
};

/* Bytes of a stranger. */
struct ws_span {
    const char *ptr;
    size_t len;
};

struct ws_side {
    enum http_parser_type type;
    /* A header line. WS_HANDSHAKE_MORE, _REFUSED or -ENOMEM. */
    int (*on_header)(struct ws_handshake *h, struct ws_span name, struct ws_span value);
    /* All header lines have come. WS_HANDSHAKE_DONE or _REFUSED. */
    int (*on_end)(struct ws_handshake *h);
    /* What came is no HTTP, or too long (STATUS 400 or 431). Returns WS_HANDSHAKE_REFUSED. */
    int (*on_bad)(struct ws_handshake *h, unsigned status, const char *what);
};

/* Where a piece of text lies in `bytes`, which moves while it grows. */
struct ws_range {
    size_t from, len;
};

struct ws_handshake {
    const struct ws_side *side;
    http_parser parser;
    struct buf *bytes; /* all that has come of it */
    struct ws_range url, name, value;
    char *forwarded_for; /* NULL until there is one */
    unsigned status;
    int result;                     /* WS_HANDSHAKE_MORE until it is known */
    bool is_value_begun;            /* of the present line */
    bool is_upgrade, is_connection; /* "Upgrade: websocket" and "Connection: upgrade" have come */
    bool is_version_13;
    bool is_accept_right;
    unsigned n_hosts, n_keys, n_versions, n_origins;
    const char *protocol;           /* the one agreed on; NULL until there is one */
    char accept[WS_ACCEPT_LEN + 1]; /* what a server answers; as a client: has to answer */
    size_t output_len;
    char output[WS_HANDSHAKE_OUTPUT_MAX];
    char text[256];
    const struct ws_server_params *server;
};

/* NULL if memory is short. */
struct ws_handshake *ws_handshake_new(const struct ws_side *side);
struct ws_span ws_handshake_span(const struct ws_handshake *h, struct ws_range range);
/* H->text becomes what FMT says. Returns WS_HANDSHAKE_REFUSED. */
int ws_handshake_refuse(struct ws_handshake *h, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

bool ws_span_is(struct ws_span span, const char *text);
/* Without regard to case, as HTTP's names and tokens are. */
bool ws_span_is_nocase(struct ws_span span, const char *text);
/* The next element of a list with commas; false at its end. Empty elements are passed over. */
bool ws_span_next(struct ws_span *list, struct ws_span *ret_element);
bool ws_span_has_token(struct ws_span list, const char *token);
/* The subprotocol NAME, if it is one of MQTT's; else NULL. */
const char *ws_protocol_find(struct ws_span name);

/* What a server answers to KEY (RFC 6455 4.2.2), with NUL, at DST of WS_ACCEPT_LEN + 1 bytes. */
void ws_accept_make(struct ws_span key, char *dst);

#endif
