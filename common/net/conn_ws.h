/* WebSocket as a layer of a conn (conn_layer.h): the handshake (ws_handshake.h), then frames (ws_frames.h). */
#ifndef CONN_WS_H
#define CONN_WS_H

#include <stddef.h>

#include "ws_handshake.h"

struct conn;
struct conn_layer;
struct ws_service;

enum {
    /* The largest packet of MQTT in one message is right; a longer message helps nobody. */
    CONN_WS_MESSAGE_MAX = 268435455 + 5,
};

/* What a listener serves. */
struct ws_service_options {
    const char *path;     /* NULL or empty: WS_DEFAULT_PATH */
    char *const *origins; /* see struct ws_server_params; several may stand in one text, with commas between */
    size_t n_origins;
    char *const *trusted; /* proxies whose X-Forwarded-For is believed, as for cidr_list_init() */
    size_t n_trusted;
};

/* What went wrong on a WebSocket. */
enum conn_ws_fault {
    CONN_WS_NO_FAULT,
    CONN_WS_REFUSED, /* the handshake */
    CONN_WS_BROKEN,  /* a frame against the rules */
};

/* NO_FAULT also where C has no WebSocket. */
enum conn_ws_fault conn_ws_fault(const struct conn *c);

/* When C is closed, its peer hears in the close frame that the server goes away (1001), not that all is well (1000).
 * Nothing where C has no WebSocket. */
void conn_ws_set_going_away(struct conn *c);

/* Copies OPTIONS. One reference. 0 or negative errno with err_text(). Any thread may use it. */
int ws_service_new(const struct ws_service_options *options, struct ws_service **ret_service);
struct ws_service *ws_service_ref(struct ws_service *s);
/* NULL is fine. Returns NULL. */
struct ws_service *ws_service_unref(struct ws_service *s);

/* A server's side on top of *TOP (NULL: the socket FD); it takes a reference of SERVICE. 0 or -ENOMEM. */
int conn_ws_push_server(struct conn_layer **top, int fd, struct ws_service *service);
/* A client's side; conn_layer_open() is to be called. 0, or negative errno with err_text(). */
int conn_ws_push_client(struct conn_layer **top, int fd, const struct ws_client_params *params);

#endif
