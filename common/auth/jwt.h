/* JSON Web Tokens (RFC 7519) that clients show as their password: signature, time, and what the claims say.
 *
 * The keys come from a file: PEM (a public key or a certificate), a JWK or a JWK set (RFC 7517). Which algorithms a key
 * may be used for follows from the key, never from the token: RSA (2048 bits or more): RS256/384/512, PS256/384/512;
 * EC: the ES of its curve; OKP: EdDSA; oct: the HS whose hash is not longer than the secret. A key with "alg" is for
 * that one only, and jwt_options.algorithm narrows all. So `none`, and HS256 with a public key as its secret, cannot
 * happen. Keys, addresses of keys and certificates in the token's header are not looked at. A token with "kid" is
 * checked with the keys of that kid and those that have none; one without, with each key that fits.
 *
 * Signatures by OpenSSL, JSON by jansson. rhonabwy compares HMACs in a time that depends on them, takes ES256 for keys
 * of other curves, prepares the key anew for each token and brings GnuTLS and an HTTP client with it.
 *
 * Checking is CPU only, 30 to 300 µs: on the loop, like a TLS handshake. Keys may be read again at any time, on any
 * thread. */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct acl;
struct jwt_verifier;

enum {
    JWT_TOKEN_MAX = 16384, /* bytes */
    JWT_LEEWAY_S = 30,     /* how far clocks may differ */
};

struct jwt_options {
    const char *key_file;
    const char *algorithm; /* "RS256": no other; NULL: what the keys are for */
    const char *issuer;    /* iss must be this; NULL: any, or none */
    const char *audience;  /* aud must be or contain this; NULL: any, or none */
};

/* OPTIONS and its texts are needed during the call only. 0 or negative errno with err_text(): file and reason. */
int jwt_verifier_new(const struct jwt_options *options, struct jwt_verifier **ret_verifier);
/* NULL is fine. Returns NULL. */
struct jwt_verifier *jwt_verifier_free(struct jwt_verifier *v);
/* The same with other options. 0; negative errno with err_text(): all is as it was. */
int jwt_verifier_reload(struct jwt_verifier *v, const struct jwt_options *options);

struct jwt_claims {
    char *user;        /* sub */
    int64_t expires_s; /* exp with the leeway, in seconds since 1970: the session ends then; 0: never */
    struct acl *acl;   /* one reference; NULL: no acl claim */
};

enum { JWT_REFUSED = 1 }; /* err_text() says why, for the log; it shows no part of the token but its claims */

/* Whether PASSWORD looks like a token (three parts of base64url), so that it need not be looked up elsewhere. */
bool jwt_is_token(struct mqtt_bytes password);
/* TOKEN at the time NOW_S. USER is the user name of CONNECT: it must be the token's sub, or empty. The claim "acl" may
 * say {"publish": [FILTER...], "subscribe": [FILTER...]}, where %c and %u are replaced as in a `pattern` line (acl.h).
 * 0: *RET_CLAIMS is owned by the caller, until jwt_claims_clear(). JWT_REFUSED. -ENOMEM. */
int jwt_check(struct jwt_verifier *v, struct mqtt_bytes token, struct mqtt_bytes user, int64_t now_s,
              struct jwt_claims *ret_claims);
void jwt_claims_clear(struct jwt_claims *claims);

#endif
