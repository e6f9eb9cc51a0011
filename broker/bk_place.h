/* Where the broker keeps what it keeps, unless --store says so. */
#ifndef BK_PLACE_H
#define BK_PLACE_H

#include <stddef.h>

enum { BK_PLACE_MAX = 512 };

/* The store of a broker whose first listener is LISTEN, as an URL of store.h: one folder for each port, so that brokers
 * on one machine do not meet:
 *
 *   lmdb:$STATE_DIRECTORY             what systemd made for the service, if it did
 *   lmdb:$XDG_STATE_HOME/mqtt-broker/PORT
 *   lmdb:/var/lib/mqtt-broker/PORT    root; others: ~/.local/state/mqtt-broker/PORT
 *   memory                            Unix sockets, and port 0, which is another one each time
 *
 * The folders above the last are made (0700) where they are missing. 0 or negative errno with err_text(). */
int bk_place_default(const char *listen, char ret_url[static BK_PLACE_MAX]);

#endif
