/* What concerns all sockets of a loop or of the process. */
#ifndef NET_H
#define NET_H

#include <stddef.h>

struct loop;

/* Raise the soft limit of open descriptors to the hard one, once at start. Returns the limit that holds now (INT_MAX if
 * there is none), or a negative errno with err_text(). */
int net_raise_fd_limit(void);
/* Conns open on LOOP, those that conn_close() still lets write included. */
size_t net_conn_count(struct loop *loop);

#endif
