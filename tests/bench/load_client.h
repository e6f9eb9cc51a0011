/* One MQTT client of the load generator: a non-blocking socket, TLS on it, what waits to be written, the packet cut by
 * the last read. It knows bytes and packets; what they mean for the measurement is load_worker.c.
 *
 * Reading goes through one big buffer of the thread, so that ten thousand idle clients cost no buffers; only a packet
 * cut in two is kept here. */
#ifndef LOAD_CLIENT_H
#define LOAD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "load_options.h"
#include "load_seq.h"
#include "load_wire.h"

struct load_publisher;

enum {
    LOAD_CLIENT_READ_SIZE = 256 * 1024,
};

enum load_client_role {
    LOAD_CLIENT_PLAIN, /* only connects */
    LOAD_CLIENT_SUBSCRIBER,
    LOAD_CLIENT_PUBLISHER,
};

enum load_client_state {
    LOAD_CLIENT_NEW,
    LOAD_CLIENT_DIALING,    /* -> SECURING or CONNECTING when TCP is up */
    LOAD_CLIENT_SECURING,   /* TLS handshake -> CONNECTING, or LEAVING */
    LOAD_CLIENT_CONNECTING, /* CONNECT sent -> SUBSCRIBING or LIVE */
    LOAD_CLIENT_SUBSCRIBING,
    LOAD_CLIENT_LIVE,
    LOAD_CLIENT_LEAVING, /* FIN sent behind the handshake: until the other side's */
    LOAD_CLIENT_CLOSED,  /* by the other side or by an error: for good */
};

struct load_client {
    enum load_client_role role;
    enum load_client_state state;
    uint32_t index; /* among those of its role */
    int version;
    int fd;                   /* -1 = none */
    SSL *ssl;                 /* NULL: in clear text, or the handshake has not begun */
    bool may_read, may_write; /* as the edges of epoll told, until a short read or EAGAIN */
    bool is_hung_up;          /* epoll told of the end: read until it comes */
    bool is_ready_queued;
    struct load_client *ready_next;
    int error;          /* errno that ended the connection; 0 = closed in order, or not MQTT */
    const char *reason; /* why TLS ended it (error is EPROTO); lives for ever */
    bool awaits_pong;
    uint64_t dial_ns;

    uint8_t *cut; /* start of a packet whose rest is not here; NULL until needed */
    size_t cut_len;
    size_t skip_len; /* of SKIPPED, still to come */
    struct load_wire_packet skipped;

    uint8_t *out;
    size_t out_room, out_len, out_sent;

    struct load_publisher *publisher; /* PUBLISHER; owned by the worker */
    struct load_seq *seqs;            /* SUBSCRIBER: one for each publisher it hears; owned by the worker */
};

/* A packet has arrived whole. It may call load_client_close(). */
typedef void load_client_packet_fn(struct load_client *c, const struct load_wire_packet *packet, void *arg);

enum load_client_result {
    LOAD_CLIENT_OK = 0,
    LOAD_CLIENT_GONE,    /* the other side has ended the connection, or sent what is no MQTT */
    LOAD_CLIENT_SECURED, /* the TLS handshake is done */
};

void load_client_init(struct load_client *c, enum load_client_role role, uint32_t index, int version);
void load_client_deinit(struct load_client *c);
/* Begin to connect. 0 or a negative errno. */
int load_client_dial(struct load_client *c, const struct load_address *address);
/* Begin the TLS handshake, or go on with it: SECURED, OK while it lasts, or GONE. */
int load_client_secure(struct load_client *c, SSL_CTX *tls);
/* Say that nothing more will be written. */
void load_client_leave(struct load_client *c);
/* Why the connection has ended. */
const char *load_client_trouble(const struct load_client *c);
/* Room for LEN more bytes at the end of what waits to be written; load_client_wrote() adds them. */
uint8_t *load_client_room(struct load_client *c, size_t len);
void load_client_wrote(struct load_client *c, size_t len);
/* Write what waits, as far as the socket takes it. */
int load_client_flush(struct load_client *c);
/* One read and all its packets. SCRATCH has LOAD_CLIENT_READ_SIZE bytes and belongs to the thread. */
int load_client_read(struct load_client *c, uint8_t *scratch, load_client_packet_fn *fn, void *arg);
/* How many PUBLISH of the output buffer have not even begun to leave. */
uint32_t load_client_unsent(const struct load_client *c);
void load_client_close(struct load_client *c);

#endif
