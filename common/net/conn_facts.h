/* What is known of a peer beyond its addresses: the proxy that brought it, and its TLS connection, whether that ends
 * here or at such a proxy. Never changed once made. All texts are UTF-8 that people can read, or NULL: they go into log
 * lines and to other programs. */
#ifndef CONN_FACTS_H
#define CONN_FACTS_H

#include <stdbool.h>

struct proxy_header;

struct conn_facts {
    const char *via; /* "10.0.0.2:40112": where the connection comes from, if the client's address is a proxy's word */
    const char *tls_version;     /* "TLSv1.3"; NULL: the client did not come over TLS, or nobody says */
    const char *tls_cipher;      /* "TLS_AES_256_GCM_SHA384" */
    const char *tls_server_name; /* that the client asked for */
    const char *common_name;     /* of the client's certificate; never without has_certificate */
    bool is_tls;
    bool has_certificate; /* the client has shown one, and it was verified */
};

/* A copy of FACTS and of its texts in one piece of memory; texts that are no such text are left out. NULL if memory is
 * short. */
struct conn_facts *conn_facts_copy(const struct conn_facts *facts);
/* Those that a PROXY header tells, brought by VIA (may be NULL). */
struct conn_facts *conn_facts_from_header(const struct proxy_header *h, const char *via);
/* NULL is fine. */
struct conn_facts *conn_facts_free(struct conn_facts *facts);

#endif
