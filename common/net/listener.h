/* A listening socket. Accepts, applies limits, hands each connection on as a parcel (conn.h) that any loop can attach.
 *
 * URLs: mqtt://HOST[:PORT], mqtts://HOST[:PORT] (TLS), ws:// and wss:// (WebSocket), mqtt://[::]:1883, unix:/path. A
 * host name opens one socket per address it has. IPv6 sockets are v6-only when an IPv4 listener has the same port too;
 * "[::]" alone accepts both. When descriptors run out (EMFILE, ENFILE, ENOBUFS, ENOMEM) accepting pauses for a second,
 * is logged and counted, and goes on.
 *
 * Proxies in front (listener_trust()): a connection from one of theirs must begin with a PROXY header, and its peer is
 * who the header names. From any other address no header is believed: it is the connection's first bytes. */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"

struct cidr_list;
struct loop;
struct listener;
struct tls;
struct url;
struct ws_service;

struct listener_params {
    const struct url *url; /* used during the call only */
    uint16_t default_port;
    struct tls *tls;       /* of a URL that says TLS: the listener takes a reference of its own; else NULL */
    struct ws_service *ws; /* of a URL that says WebSocket: the same */
};

struct listener_cbs {
    /* Takes over PARCEL. Handshakes begin on the loop to which it is attached. */
    void (*on_accept)(struct listener *l, struct conn_parcel *parcel, void *arg);
    /* Accepting has paused (ERR: negative errno) or goes on (0). May be NULL. */
    void (*on_trouble)(struct listener *l, int err, void *arg);
    /* A trusted proxy sent no PROXY header, WHY says what instead; the connection is closed. May be NULL without
     * listener_trust(). */
    void (*on_bad_header)(struct listener *l, const struct conn_peer *proxy, const char *why, void *arg);
};

/* Listen from now on. 0 or negative errno with err_text(): which address, and why. CBS is copied. */
int listener_open(struct loop *loop, const struct listener_params *params, const struct listener_cbs *cbs, void *arg,
                  struct listener **ret_listener);
/* From now on take connections from PROXIES, which outlives L, only with a PROXY header, which must be whole within
 * TIMEOUT_MS. A Unix socket's peers have no address and are never among them. */
void listener_trust(struct listener *l, const struct cidr_list *proxies, uint32_t timeout_ms);
/* Stop listening; connections that were not handed on yet are closed; a Unix socket's file is removed. NULL is fine. */
struct listener *listener_close(struct listener *l);
/* "mqtt://0.0.0.0:1883" with the port really bound (the URL may have said 0). Valid as long as the listener. */
const char *listener_name(const struct listener *l);

#endif
