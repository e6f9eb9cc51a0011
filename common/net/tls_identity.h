/* Who a client is, as far as its TLS connection proves it: --tls-identity. */
#ifndef TLS_IDENTITY_H
#define TLS_IDENTITY_H

struct conn_tls_facts;

/* Index of --tls-identity's choices. */
enum tls_identity {
    TLS_IDENTITY_NONE,
    TLS_IDENTITY_CN,
    TLS_IDENTITY_SAN,
};

/* The name that the certificate (or pre-shared key) of FACTS stands for: its last CN, its first subject alternative
 * name without the kind, or the PSK's identity. NULL: it shows no such name, or an empty one; the client is to be
 * refused then. FACTS (may be NULL) own it. KIND is CN or SAN. */
const char *tls_identity_name(const struct conn_tls_facts *facts, enum tls_identity kind);

#endif
