/* Connect to a URL: resolve, try each address in turn until one answers, within a time limit. With TLS an address has
 * answered when the handshake is done, so a certificate that is not good is a failure of the dial. */
#ifndef DIAL_H
#define DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"

struct loop;
struct dial;
struct tls;
struct url;

enum { DIAL_PREFACE_MAX = 4096 };

struct dial_cbs {
    /* Bytes to be sent before anything else, TLS included: write at most DIAL_PREFACE_MAX to DST, return how many.
     * SERVER: the address that has answered. Calls nothing of the dial. May be NULL. */
    size_t (*write_preface)(const struct conn_peer *server, uint8_t *dst, void *arg);
    /* Connected: takes over PARCEL. The dial is gone afterwards. */
    void (*on_connected)(struct dial *d, struct conn_parcel *parcel, void *arg);
    /* All addresses failed: "broker.example:1883 (10.0.0.8): Connection refused", "...: TLS: certificate CN=x refused:
     * certificate has expired". The dial is gone afterwards. */
    void (*on_failed)(struct dial *d, const char *text, void *arg);
};

struct dial_params {
    const struct url *url; /* used during the call only */
    uint16_t default_port;
    struct tls *tls;          /* of a URL that says TLS: the dial takes a reference of its own; else NULL */
    uint32_t timeout_ms;      /* for the whole dial */
    uint32_t user_timeout_ms; /* TCP_USER_TIMEOUT of the connection; 0 = system default */
};

/* Callbacks run later, never from inside dial_start(). 0 or negative errno. */
int dial_start(struct loop *loop, const struct dial_params *params, const struct dial_cbs *cbs, void *arg,
               struct dial **ret_dial);
/* In on_failed: an address could not be tried for want of a descriptor or of memory here, so nothing is known of the
 * other side. */
bool dial_was_short(const struct dial *d);
/* No callback runs any more. NULL is fine. */
struct dial *dial_cancel(struct dial *d);

#endif
