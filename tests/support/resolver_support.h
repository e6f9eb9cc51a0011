/* The resolver of a test program: getaddrinfo() and freeaddrinfo() of the whole process, libuv's threads included, know
 * only what the test has said. */
#ifndef RESOLVER_SUPPORT_H
#define RESOLVER_SUPPORT_H

/* NAME has these addresses from now on, numeric, separated by spaces; every other name has none. Both strings must
 * stay. */
void resolver_support_set(const char *name, const char *addresses);

#endif
