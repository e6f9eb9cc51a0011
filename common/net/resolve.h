/* Host names -> addresses, without making the loop wait. */
#ifndef RESOLVE_H
#define RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "conn.h"

struct loop;
struct resolve;

enum { RESOLVE_MAX = 64 }; /* addresses of one name; more are left out */

/* N > 0 ADDRESSES with the port, in the order to try them (RFC 6724), each once; valid during the call. N = 0: TEXT
 * says why. The resolve is gone afterwards. */
typedef void resolve_fn(struct resolve *r, const union conn_address *addresses, size_t n, const char *text, void *arg);

/* FN runs later, never from inside this call; numeric addresses are answered at the end of the turn, without a thread.
 * 0 or negative errno with err_text(). */
int resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn *fn, void *arg,
                  struct resolve **ret_resolve);
/* FN does not run any more. A look-up already begun keeps the loop alive until its thread has given up. NULL is fine.
 */
struct resolve *resolve_cancel(struct resolve *r);

struct addrinfo;
/* The result of getaddrinfo() as at most RESOLVE_MAX addresses with PORT, each once: /etc/hosts may name one twice.
 * Returns how many. */
size_t resolve_collect(const struct addrinfo *info, uint16_t port, union conn_address *ret_addresses);

#endif
