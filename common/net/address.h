/* Socket addresses: of a descriptor, from text, as text. */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"

enum { ADDRESS_TEXT_MAX = 64 };

/* "10.0.0.8", "::1", "fe80::1%eth0" -> an address with PORT. False if TEXT is no numeric address. */
bool address_parse(const char *text, uint16_t port, union conn_address *ret_address);
/* "10.0.0.8:1883", "[::1]:1883": what address_format() writes. LEN bytes; false if they are anything else. */
bool address_parse_with_port(const char *text, size_t len, union conn_address *ret_address);
/* "10.0.0.8:1883", "[::1]:1883"; "unknown" for another family. TEXT has ADDRESS_TEXT_MAX bytes. Returns it. */
char *address_format(const union conn_address *address, char *text);
/* "10.0.0.8", "::1". */
char *address_format_host(const union conn_address *address, char *text);
/* 0 for another family. */
uint16_t address_port(const union conn_address *address);
void address_set_port(union conn_address *address, uint16_t port);
socklen_t address_len(const union conn_address *address);
bool address_equal(const union conn_address *a, const union conn_address *b);
/* Copy what the kernel gave; only the family of anything but IPv4 and IPv6. IPv4 inside IPv6 becomes IPv4. */
void address_from_sockaddr(const struct sockaddr *from, union conn_address *ret_address);

/* Both ends of the connected socket FD and their text. FROM: the peer as accept() gave it (a peer that has reset the
 * connection since cannot be asked for any more); NULL: ask. A Unix peer is named by its process. */
void address_fill_peer(int fd, const struct sockaddr *from, struct conn_peer *ret_peer);

#endif
