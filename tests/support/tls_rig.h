/* Two ends of TLS connections on one loop: a listener's and a dial's, made with options of the test's choice.
 * Everything here checks its own results. */
#ifndef TLS_RIG_H
#define TLS_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "dial.h"
#include "listener.h"
#include "tls.h"
#include "url.h"

/* One end of a connection. */
struct tls_rig_end {
    struct conn *conn; /* NULL: not there (any more) */
    char got[32];
    char text[500]; /* why it has ended, or was never there */
};

struct tls_rig {
    struct loop *loop;
    struct listener *listener;
    struct dial *dial; /* NULL: not under way */
    struct tls *server_tls, *client_tls;
    struct tls_rig_end server, client;
};

extern struct tls_rig rig;
extern const struct dial_cbs tls_rig_dial_cbs;

/* Fixtures of a test. */
void tls_rig_setup(void);
void tls_rig_teardown(void);

/* server.pem; the same with a certificate required of clients; client.pem. All of them by ca.pem (tls_support.h). */
struct tls_options tls_rig_server_options(void);
struct tls_options tls_rig_mutual_options(void);
struct tls_options tls_rig_client_options(void);

void tls_rig_listen(const struct tls_options *options);
/* The same; CBS take the connections instead of rig.server. */
void tls_rig_listen_for(const struct tls_options *options, const struct listener_cbs *cbs);
/* Of the listener. */
void tls_rig_get_url(struct url *ret_url);
/* The connection in PARCEL at E, in place of what was there. */
void tls_rig_attach(struct tls_rig_end *e, struct conn_parcel *parcel);
void tls_rig_open_client(const struct tls_options *options);
/* What was at the client's end before is forgotten. */
void tls_rig_dial(uint32_t timeout_ms);
void tls_rig_close_ends(void);
/* Until both ends are there, in place of those of before. */
void tls_rig_connect(void);
/* Something goes each way. */
void tls_rig_talk(void);

/* For loop_support_until(). ARG of the last: a struct tls_rig_end. */
bool tls_rig_is_dial_over(void *arg);
bool tls_rig_are_connected(void *arg);
bool tls_rig_has_ended(void *arg);

#endif
