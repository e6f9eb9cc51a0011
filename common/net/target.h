/* Where an s-proxy is, written as gRPC writes it:
 *
 *   HOST:PORT  [IPv6]:PORT  HOST        dns:HOST:PORT  dns:///HOST:PORT        a name, or one address
 *   ipv4:ADDRESS:PORT,ADDRESS:PORT      ipv6:[ADDRESS]:PORT,...                several addresses
 *   unix:PATH  unix:///PATH
 *
 * Names are looked up by ourselves (resolve.h), so that each address gets a channel of its own; schemes that gRPC
 * resolves in other ways (xds: and the like) are refused. */
#ifndef TARGET_H
#define TARGET_H

#include <stddef.h>
#include <stdint.h>

#include "conn.h"

enum {
    TARGET_ADDRESSES_MAX = 16,
    TARGET_PATH_MAX = 107, /* of a Unix socket */
    /* "unix://" and a path of which each byte needs three; NUL. */
    TARGET_TEXT_MAX = 7 + 3 * TARGET_PATH_MAX + 1,
};

enum target_kind {
    TARGET_NAME,      /* host, port */
    TARGET_ADDRESSES, /* addresses, n_addresses > 0 */
    TARGET_UNIX,      /* path */
};

struct target {
    enum target_kind kind;
    uint16_t port;
    uint16_t n_addresses;
    char host[256];
    char path[TARGET_PATH_MAX + 1];
    union conn_address addresses[TARGET_ADDRESSES_MAX];
};

/* 0 or -EINVAL with err_text(). */
int target_parse(const char *text, uint16_t default_port, struct target *ret_target);

/* One address as a target that gRPC cannot take for a name: "ipv4:10.0.0.8:50516", "ipv6:[fe80::1%25eth0]:50516",
 * "unix:///run/s-proxy". TEXT has TARGET_TEXT_MAX bytes. Return it. */
char *target_format_address(const union conn_address *address, char *text);
char *target_format_unix(const char *path, char *text);

#endif
