/* Who a client is, as far as its TLS connection proves it: --tls-identity. */
#ifndef FRONT_IDENTITY_H
#define FRONT_IDENTITY_H

struct conn;
struct front_listener_options;
struct mqtt_connect;

enum front_identity {
    FRONT_IDENTITY_OWN = 0, /* it is who CONNECT says, if it can prove that */
    FRONT_IDENTITY_PROVED,  /* its certificate or pre-shared key says who it is */
    FRONT_IDENTITY_MISSING, /* it should, and has no such name: the client is to be refused */
};

#define FRONT_IDENTITY_MISSING_TEXT "its certificate has no name for a user (tls-identity)"

/* Put the name that the certificate (or pre-shared key) of C stands for into CONNECT, in place of user name and
 * password, where OPTIONS, of its listener, say so; it points into the connection. A connection without TLS, of a
 * listener that has none, keeps its own. */
enum front_identity front_identity_apply(const struct conn *c, const struct front_listener_options *options,
                                         struct mqtt_connect *connect);
/* The name in C's certificate: the one that the listener takes for a user, else the common name; or its pre-shared
 * key's. Also what a trusted proxy that ends TLS says of it. NULL: there is none. It lasts as long as the connection.
 */
const char *front_identity_certificate_name(const struct conn *c, const struct front_listener_options *options);

#endif
