/* The opening handshake of WebSocket (RFC 6455 section 4) for MQTT [MQTT-6.0.0]: as server the request of a client is
 * read and answered, as client the request is made and the answer read. http-parser reads HTTP. Pure: no sockets.
 *
 *   ws_handshake_new_server() --> feed ... feed --> DONE or REFUSED --> ws_handshake_output(): 101, or 4xx
 *   ws_handshake_new_client() --> ws_handshake_output(): GET --> feed ... feed --> DONE or REFUSED
 *
 * Bytes may come in any pieces. Memory grows with what has come, up to WS_HANDSHAKE_MAX; time is the caller's. A
 * handshake that has ended is of no use any more but for its output, its text and what X-Forwarded-For said. One
 * thread. */
#ifndef WS_HANDSHAKE_H
#define WS_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"

struct ws_handshake;

#define WS_DEFAULT_PATH "/mqtt"

enum {
    WS_HANDSHAKE_MAX = 8 * 1024,   /* bytes of a request or an answer, up to its empty line */
    WS_HANDSHAKE_OUTPUT_MAX = 768, /* of what we send */
};

enum ws_handshake_result {
    WS_HANDSHAKE_DONE = 0, /* INPUT is at the first byte behind the handshake */
    WS_HANDSHAKE_MORE,     /* INPUT is used up and the handshake is not over */
    WS_HANDSHAKE_REFUSED,  /* by us (ws_handshake_status() says with what) or by the server */
};

struct ws_server_params {
    const char *path;     /* "/mqtt" */
    char *const *origins; /* allowed ones, "https://example.org"; a request without Origin is from no browser */
    size_t n_origins;     /* 0: any */
};

struct ws_client_params {
    const char *host; /* name or address, without brackets */
    uint16_t port;    /* 0: the scheme's own, not told */
    const char *path;
};

/* PARAMS must last as long as the handshake. NULL if memory is short. */
struct ws_handshake *ws_handshake_new_server(const struct ws_server_params *params);
/* PARAMS is used during the call only. NULL with err_text(). */
struct ws_handshake *ws_handshake_new_client(const struct ws_client_params *params);
/* NULL is fine. Returns NULL. */
struct ws_handshake *ws_handshake_free(struct ws_handshake *h);

/* An enum ws_handshake_result or -ENOMEM. Not after anything but MORE. */
int ws_handshake_feed(struct ws_handshake *h, struct cursor *input);

/* What is to be sent: of a client from the beginning, of a server once it is DONE or REFUSED. Valid as long as H. */
const char *ws_handshake_output(const struct ws_handshake *h, size_t *ret_len);
/* Of a server: 101, or with what it refuses; of a client: what the server said. */
unsigned ws_handshake_status(const struct ws_handshake *h);
/* Why it was refused, in words without a stranger's control characters. */
const char *ws_handshake_text(const struct ws_handshake *h);
/* The values of all X-Forwarded-For lines of the request in their order, with commas between; NULL: there was none. */
const char *ws_handshake_forwarded_for(const struct ws_handshake *h);

#endif
