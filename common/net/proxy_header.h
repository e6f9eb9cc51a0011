/* The PROXY protocol's header, versions 1 and 2 (HAProxy's proxy-protocol.txt, revision 2020-03-05): what stands in
 * front of a connection's own bytes and says who is at its far end. Pure; nothing is allocated.
 *
 *   v1  "PROXY TCP4 192.0.2.1 198.51.100.7 35646 1883\r\n"
 *   v2  signature, version and command, family, length | addresses | type, length, value | type, length, value ...
 *
 * Of the values of v2 (TLVs) these are known: ALPN, AUTHORITY, CRC32C (checked), UNIQUE_ID, and of SSL the version, the
 * cipher and the common name of the client's certificate. Others are skipped. One is ours, in the range 0xE0 to 0xEF
 * which the document leaves to applications: 0xE0 is the client id of the MQTT session behind the connection.
 *
 * Who believes such a header from anybody lets anybody say who he is: that is for the caller to see to. */
#ifndef PROXY_HEADER_H
#define PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"

enum {
    PROXY_HEADER_MAX = 4096,     /* longer ones are refused; senders stay below a tenth of that */
    PROXY_HEADER_V1_MAX = 107,   /* with CRLF: section 2.1 */
    PROXY_HEADER_TEXT_MAX = 255, /* of each text that is written; a longer one is left out, not cut: cut, two may
                                    become one */
    PROXY_HEADER_WRITE_MAX = 16 + 36 + 7 * (3 + PROXY_HEADER_TEXT_MAX) + 3 + 5,
    PROXY_HEADER_TLV_CLIENT_ID = 0xE0,
};

/* A view into the header's bytes, chosen by strangers; len 0: not said. */
struct proxy_text {
    const uint8_t *ptr;
    size_t len;
};

struct proxy_header {
    union conn_address source, destination; /* family 0: not said (v1 UNKNOWN, v2 UNSPEC, Unix sockets, UDP) */
    bool is_local;        /* v2 LOCAL: the proxy itself connects, a health check; nothing else is said */
    bool is_tls;          /* the client came over TLS */
    bool has_certificate; /* and has shown a certificate, which the proxy has verified */
    struct proxy_text alpn;
    struct proxy_text authority; /* the server name that the client asked for (SNI) */
    struct proxy_text unique_id;
    struct proxy_text tls_version; /* "TLSv1.3" */
    struct proxy_text tls_cipher;  /* "TLS_AES_256_GCM_SHA384" */
    struct proxy_text common_name; /* of the certificate; never without has_certificate */
    struct proxy_text client_id;   /* of MQTT */
};

enum proxy_header_result {
    PROXY_HEADER_OK = 0, /* *RET and *RET_USED are set */
    PROXY_HEADER_MORE,   /* all LEN bytes are of a header that is not whole yet */
    PROXY_HEADER_BAD,    /* no header, or a broken or too long one: *RET_REASON says what; the rest is untouched */
};

/* The header at the front of LEN bytes: RET_USED is its length, and what stands behind it is the connection's. The
 * texts of *RET point into BYTES. BAD comes as soon as it is certain, MORE at most until PROXY_HEADER_MAX bytes are
 * there. */
enum proxy_header_result proxy_header_read(const void *bytes, size_t len, struct proxy_header *ret, size_t *ret_used,
                                           const char **ret_reason);

/* Write H for the other side: at most PROXY_HEADER_V1_MAX and PROXY_HEADER_WRITE_MAX bytes. Returns how many. Where
 * source and destination are of two families, both are written as IPv6, the IPv4 one inside it; without a destination
 * it is 0.0.0.0:0 or [::]:0, without a source the line says UNKNOWN, the header UNSPEC. */
size_t proxy_header_write_v1(uint8_t *dst, const struct proxy_header *h);
size_t proxy_header_write_v2(uint8_t *dst, const struct proxy_header *h);

#endif
