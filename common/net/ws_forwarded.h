/* Whom X-Forwarded-For names: each proxy on the way adds the address it was called from to the right end, so only what
 * proxies of ours have added is to be believed. Pure. */
#ifndef WS_FORWARDED_H
#define WS_FORWARDED_H

#include <stdbool.h>

#include "conn.h"

struct cidr_list;

/* The address in LIST ("203.0.113.7, 10.0.0.2", ports and brackets allowed) behind which there is no proxy of TRUSTED:
 * from the right the first that is not one of them, the leftmost when all are. False if there is none; what is no
 * address ends the search. The one who sent LIST must be of TRUSTED. The port is 0 unless LIST has it. */
bool ws_forwarded_client(const char *list, const struct cidr_list *trusted, union conn_address *ret_address);

#endif
