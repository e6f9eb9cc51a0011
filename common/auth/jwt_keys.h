/* The keys that tokens are checked with, and what each may be used for (jwt.h). Never changed once read. Any thread. */
#ifndef AUTH_JWT_KEYS_H
#define AUTH_JWT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jwt_key;
struct jwt_keys;

/* RFC 7518, section 3.1; RFC 8037. */
enum jwt_alg {
    JWT_HS256,
    JWT_HS384,
    JWT_HS512,
    JWT_RS256,
    JWT_RS384,
    JWT_RS512,
    JWT_PS256,
    JWT_PS384,
    JWT_PS512,
    JWT_ES256,
    JWT_ES384,
    JWT_ES512,
    JWT_EDDSA,
    JWT_ALGS,
};

enum {
    JWT_KEYS_MAX = 100,
    JWT_SIGNATURE_MAX = 2048, /* bytes: RSA of 16,384 bits */
};

/* False: no algorithm of that name. */
bool jwt_alg_find(const char *name, enum jwt_alg *ret_alg);

/* Keys from FILE, for ALGORITHM only unless that is NULL; one reference. 0 or negative errno with err_text(): file and
 * reason, never a key. */
int jwt_keys_load(const char *file, const char *algorithm, struct jwt_keys **ret_keys);
struct jwt_keys *jwt_keys_ref(struct jwt_keys *k);
/* NULL is fine. Returns NULL. */
struct jwt_keys *jwt_keys_unref(struct jwt_keys *k);

enum jwt_keys_result {
    JWT_KEYS_RIGHT = 0,
    JWT_KEYS_WRONG, /* none of the keys that fit made this signature */
    JWT_KEYS_NONE,  /* no key fits ALG and KID */
};

/* Whether SIGNATURE of TEXT was made, by ALG, with one of the keys. KID (may be NULL) is the token's. */
enum jwt_keys_result jwt_keys_verify(const struct jwt_keys *k, enum jwt_alg alg, const char *kid, const void *text,
                                     size_t len, const uint8_t *signature, size_t signature_len);

#endif
