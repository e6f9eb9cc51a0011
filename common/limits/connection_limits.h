/* How many connections there may be, in all and from one address, and how many may come in a second
 * (--max-connections, --max-connections-per-address, --connect-rate).
 *
 *   accepting thread --connection_limits_enter()--> a place --> worker ... --connection_limits_leave()--> free again
 *
 * An IPv6 address counts with all of its /64, which is what one customer gets; Unix sockets have no address and count
 * in all only. There is an entry for each address that holds a place, so there are never more of them than connections.
 * Any thread: a mutex, since it is taken when connections come and go and never for a packet. */
#ifndef CONNECTION_LIMITS_H
#define CONNECTION_LIMITS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#include "map.h"
#include "token_bucket.h"

struct connection_address;

enum connection_verdict {
    CONNECTION_WELCOME = 0,
    CONNECTION_TOO_MANY,
    CONNECTION_TOO_MANY_OF_ADDRESS,
    CONNECTION_TOO_FAST,
    CONNECTION_NO_MEMORY,
};

struct connection_limits_options {
    uint64_t max_connections; /* each 0 = no limit */
    uint64_t max_per_address;
    uint64_t rate; /* per second */
};

struct connection_limits {
    pthread_mutex_t mutex; /* of all below */
    struct connection_limits_options options;
    uint64_t count;
    struct map addresses; /* of struct connection_address */
    struct token_bucket bucket;
};

/* What one connection holds; plain data, may be copied from thread to thread. All zero: nothing. */
struct connection_place {
    struct connection_limits *limits;
    struct connection_address *address; /* NULL: not counted by address */
};

void connection_limits_init(struct connection_limits *l, const struct connection_limits_options *options,
                            uint64_t now_ms);
/* No other thread uses L any more; places that were not left are gone. */
void connection_limits_deinit(struct connection_limits *l);
/* A connection from ADDRESS has come. *RET_PLACE is its place if it is welcome, else nothing. What is refused costs
 * nobody a token of the rate. */
enum connection_verdict connection_limits_enter(struct connection_limits *l, const struct sockaddr *address,
                                                uint64_t now_ms, struct connection_place *ret_place);
/* The place is free again; *PLACE holds nothing afterwards. */
void connection_limits_leave(struct connection_place *place);

#endif
