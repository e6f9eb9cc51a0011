/* Between tls*.c and conn_tls.c. */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include <time.h>

#include <openssl/ssl.h>

#include "metrics.h"
#include "ocsp.h"
#include "tls.h"

struct conn_tls;
struct conn_tls_facts;
struct tls_ocsp;
struct tls_ocsp_metrics;
struct tls_psk_table;

/* --- tls.c */

/* A connection with what T holds now, to be given a BIO by conn_tls.c; NULL if memory is short. */
SSL *tls_open(struct tls *t);
/* Client: what certificate HOST (a name or address) is to show, unless the options name another; and the last session
 * there. 0 or negative errno with err_text(). */
int tls_expect(struct tls *t, SSL *ssl, const char *host);
/* What T keeps of OCSP; as long as T. */
struct tls_ocsp *tls_get_ocsp(const struct tls *t);
/* Server: the certificate that is shown now, and whoever has issued it (NULL: not at hand), a reference each for the
 * caller. False: it has none. */
bool tls_get_own_pair(struct tls *t, X509 **ret_cert, X509 **ret_issuer);

/* --- tls_ocsp.c; any thread */

/* NULL if memory is short. */
struct tls_ocsp *tls_ocsp_new(void);
struct tls_ocsp *tls_ocsp_free(struct tls_ocsp *o);
/* New files are in use: all that is known is forgotten, but for what is stapled. */
void tls_ocsp_begin(struct tls_ocsp *o, const struct tls_options *options);
/* What CTX asks during handshakes. */
void tls_ocsp_prepare(SSL_CTX *ctx, const struct tls_options *options);

enum tls_ocsp_mode tls_ocsp_get_mode(struct tls_ocsp *o);
uint32_t tls_ocsp_get_timeout_ms(struct tls_ocsp *o);
struct tls_ocsp_metrics *tls_ocsp_get_metrics(struct tls_ocsp *o);
void tls_ocsp_count(metric *m);
void tls_ocsp_say(const struct tls_ocsp *o, bool is_good, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* NONE: it has to be asked about. */
enum ocsp_status tls_ocsp_get_status(struct tls_ocsp *o, const X509 *cert);
/* Whether the responder of CERT has lately been asked, for whatever certificate, in vain. */
bool tls_ocsp_is_silent(struct tls_ocsp *o, const X509 *cert);
void tls_ocsp_learn(struct tls_ocsp *o, const X509 *cert, const struct ocsp_answer *answer);
/* What connections with CERT staple before UNTIL; takes a reference. */
void tls_ocsp_set_staple(struct tls_ocsp *o, X509 *cert, const uint8_t *der, size_t n, time_t until);

/* CHAIN of the peer of SSL has been verified in this handshake. */
void tls_ocsp_note_chain(const SSL *ssl, STACK_OF(X509) * chain);
/* Whether the peer of SSL, whose handshake is done, has a certificate that is to be looked at by OCSP. */
bool tls_ocsp_wants_check(const SSL *ssl);
/* Verified so far is CERT of the peer of SSL: true if it is known to be revoked, which is then noted and counted. */
bool tls_ocsp_refuses(const SSL *ssl, X509 *cert);
/* Whether SESSION, which spares its certificate a new look, may be resumed. NEEDS_CERT: not without one. */
bool tls_ocsp_may_resume(struct tls_ocsp *o, const SSL_SESSION *session, bool needs_cert);

/* When the handshake is done and all that is of interest has been copied: what OpenSSL goes on keeping of it, though
 * nothing needs it any more. The keys of the exchange are gone, and a server's session with the certificate of the peer
 * in it: SSL_get0_peer_certificate(), SSL_get_cipher() and the like know nothing afterwards. */
void tls_forget_handshake(SSL *ssl);

/* --- conn_tls.c: what OpenSSL says during a handshake */

/* Whose SSL is. */
struct conn_tls *conn_tls_of_ssl(const SSL *ssl);
/* The peer's CERT is refused for ERROR (X509_V_ERR_...) of CULPRIT, which is the same or another of its chain. Both may
 * be NULL. */
void conn_tls_note_refusal(struct conn_tls *t, X509 *cert, X509 *culprit, int error);
/* The same, in words. */
void conn_tls_refuse(struct conn_tls *t, X509 *cert, const char *why);
/* The peer's CERT has been verified, with ISSUER. */
void conn_tls_note_issuer(struct conn_tls *t, X509 *cert, X509 *issuer);
/* Those two, as long as they are noted. False: none are. */
bool conn_tls_get_pair(const struct conn_tls *t, X509 **ret_cert, X509 **ret_issuer);
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
