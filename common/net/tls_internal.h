/* Between tls*.c and conn_tls.c. */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "tls.h"

struct conn_tls;
struct conn_tls_facts;
struct tls_psk_table;

/* --- tls.c */

/* A connection with what T holds now, SSL_get_app_data() of which is to be a struct conn_tls; NULL if memory is short.
 */
SSL *tls_open(struct tls *t);
/* Client: what certificate HOST (a name or address) is to show, unless the options name another; and the last session
 * there. 0 or negative errno with err_text(). */
int tls_expect(struct tls *t, SSL *ssl, const char *host);

/* --- conn_tls.c: what OpenSSL says during a handshake */

/* The peer's CERT is refused for ERROR (X509_V_ERR_...) of CULPRIT, which is the same or another of its chain. Both may
 * be NULL. */
void conn_tls_note_refusal(struct conn_tls *t, X509 *cert, X509 *culprit, int error);
void conn_tls_note_psk(struct conn_tls *t, const char *identity, bool is_known);
/* Client: *RET_HOST as given to conn_tls_push_client(). */
struct tls *conn_tls_owner(const struct conn_tls *t, const char **ret_host);

/* --- tls_files.c */

/* Everything that OPTIONS name, into CTX. *RET_WARNING and *RET_SUMMARY: see tls.h, owned by the caller, may be NULL. 0
 * or negative errno with err_text(). */
int tls_files_load(SSL_CTX *ctx, const struct tls_options *options, char **ret_warning, char **ret_summary);

/* --- tls_facts.c */

/* "CN=pump-3,O=site", cut to SIZE. Returns DST. */
char *tls_facts_format_name(const X509_NAME *name, char *dst, size_t size);
/* PSK: the identity that was used, or NULL. NULL if memory is short. */
struct conn_tls_facts *tls_facts_new(const SSL *ssl, const char *psk);
struct conn_tls_facts *tls_facts_free(struct conn_tls_facts *facts);

/* --- tls_psk.c */

/* 0 or negative errno with err_text(). */
int tls_psk_load(const char *file, struct tls_psk_table **ret_table);
struct tls_psk_table *tls_psk_free(struct tls_psk_table *table);
/* The key of IDENTITY, at most SIZE bytes to DST. Returns its length, 0 if it is not known. */
size_t tls_psk_find(const struct tls_psk_table *table, const char *identity, unsigned char *dst, size_t size);

#endif
