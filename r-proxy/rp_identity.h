/* Who a client is, as far as its TLS connection proves it: --tls-identity. */
#ifndef RP_IDENTITY_H
#define RP_IDENTITY_H

#include <stdbool.h>

struct mqtt_connect;
struct rp_client;

/* Put the name that C's certificate (or pre-shared key) stands for into CONNECT, in place of user name and password,
 * where the listener says so; it points into the connection. False: it shows no such name, and the client is to be
 * refused. */
bool rp_identity_apply(const struct rp_client *c, struct mqtt_connect *connect);
/* The name in C's certificate: the one that the listener takes for a user, else the common name; or its pre-shared
 * key's. Also what a trusted proxy that ends TLS says of it. NULL: there is none. It lasts as long as the connection.
 */
const char *rp_identity_certificate_name(const struct rp_client *c);

#endif
