/* See jwt_keys.h. */
#include "jwt_keys.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base64.h"
#include "err.h"
#include "secret_file.h"

enum {
    JWT_FILE_MAX = 1 << 20,
    JWT_NUMBER_MAX = JWT_SIGNATURE_MAX, /* bytes of n, x, k and the like */
    RSA_BITS_MIN = 2048,                /* RFC 7518, section 3.3 */
};

enum jwt_kind {
    JWT_KIND_HMAC,
    JWT_KIND_RSA,
    JWT_KIND_PSS,
    JWT_KIND_EC,
    JWT_KIND_EDDSA,
};

static const struct jwt_alg_row {
    const char *name;
    enum jwt_kind kind;
    const EVP_MD *(*digest)(void);
    const char *curve;  /* of JWT_KIND_EC, as OpenSSL calls it */
    size_t curve_bytes; /* half a signature */
} algs[JWT_ALGS] = {
    [JWT_HS256] = {"HS256", JWT_KIND_HMAC, EVP_sha256, NULL, 0},
    [JWT_HS384] = {"HS384", JWT_KIND_HMAC, EVP_sha384, NULL, 0},
    [JWT_HS512] = {"HS512", JWT_KIND_HMAC, EVP_sha512, NULL, 0},
    [JWT_RS256] = {"RS256", JWT_KIND_RSA, EVP_sha256, NULL, 0},
    [JWT_RS384] = {"RS384", JWT_KIND_RSA, EVP_sha384, NULL, 0},
    [JWT_RS512] = {"RS512", JWT_KIND_RSA, EVP_sha512, NULL, 0},
    [JWT_PS256] = {"PS256", JWT_KIND_PSS, EVP_sha256, NULL, 0},
    [JWT_PS384] = {"PS384", JWT_KIND_PSS, EVP_sha384, NULL, 0},
    [JWT_PS512] = {"PS512", JWT_KIND_PSS, EVP_sha512, NULL, 0},
    [JWT_ES256] = {"ES256", JWT_KIND_EC, EVP_sha256, "prime256v1", 32},
    [JWT_ES384] = {"ES384", JWT_KIND_EC, EVP_sha384, "secp384r1", 48},
    [JWT_ES512] = {"ES512", JWT_KIND_EC, EVP_sha512, "secp521r1", 66},
    [JWT_EDDSA] = {"EdDSA", JWT_KIND_EDDSA, NULL, NULL, 0},
};

struct jwt_key {
    EVP_PKEY *public; /* NULL: a secret */
    uint8_t *secret;
    size_t secret_len;
    char *kid;     /* NULL: none */
    unsigned algs; /* a bit for each */
};

struct jwt_keys {
    atomic_uint n_refs;
    unsigned algs; /* those allowed at all */
    size_t count;
    struct jwt_key keys[JWT_KEYS_MAX];
};

bool jwt_alg_find(const char *name, enum jwt_alg *ret_alg)
{
    for (int i = 0; i < JWT_ALGS; i++) {
        if (strcmp(algs[i].name, name) == 0) {
            *ret_alg = (enum jwt_alg)i;
            return true;
        }
    }
    return false;
}

/* --- What a key may be used for */

static bool curve_is(const EVP_PKEY *key, const char *curve)
{
    char name[64];
    size_t len;
    return EVP_PKEY_get_group_name(key, name, sizeof(name), &len) == 1 && strcmp(name, curve) == 0;
}

static bool key_fits(const struct jwt_key *key, const struct jwt_alg_row *row)
{
    if (!key->public)
        return row->kind == JWT_KIND_HMAC && key->secret_len >= (size_t)EVP_MD_get_size(row->digest());
    switch (row->kind) {
    case JWT_KIND_HMAC:
        return false;
    case JWT_KIND_RSA:
        return EVP_PKEY_is_a(key->public, "RSA") && EVP_PKEY_get_bits(key->public) >= RSA_BITS_MIN;
    case JWT_KIND_PSS:
        return (EVP_PKEY_is_a(key->public, "RSA") || EVP_PKEY_is_a(key->public, "RSA-PSS")) &&
               EVP_PKEY_get_bits(key->public) >= RSA_BITS_MIN;
    case JWT_KIND_EC:
        return EVP_PKEY_is_a(key->public, "EC") && curve_is(key->public, row->curve);
    case JWT_KIND_EDDSA:
        return EVP_PKEY_is_a(key->public, "ED25519") || EVP_PKEY_is_a(key->public, "ED448");
    }
    return false;
}

static void key_clear(struct jwt_key *key)
{
    EVP_PKEY_free(key->public);
    OPENSSL_clear_free(key->secret, key->secret_len);
    free(key->kid);
    *key = (struct jwt_key){.kid = NULL};
}

/* Takes what KEY has, whether it succeeds or not. ALG: of the JWK; NULL: it says nothing. */
static int keys_add(struct jwt_keys *keys, struct jwt_key *key, const char *alg)
{
    for (int i = 0; i < JWT_ALGS; i++)
        key->algs |= key_fits(key, &algs[i]) ? 1U << i : 0;
    const char *reason = key->algs == 0 ? "it is too short, or of a kind that no algorithm is for" : NULL;
    enum jwt_alg only;
    if (alg && !jwt_alg_find(alg, &only))
        reason = "its alg is not known";
    else if (alg && !reason && !(key->algs &= 1U << only))
        reason = "its alg is for another kind of key, or a longer one";
    if (!reason && keys->count == JWT_KEYS_MAX)
        reason = "there are too many";
    if (reason) {
        key_clear(key);
        return err_set(-EINVAL, "%s", reason);
    }
    keys->keys[keys->count++] = *key;
    return 0;
}

/* --- JWK */

static const char *member(const json_t *jwk, const char *name)
{
    return json_string_value(json_object_get(jwk, name));
}

/* The bytes of member NAME; 0: it is not there or is no base64url. */
static size_t member_bytes(const json_t *jwk, const char *name, uint8_t dst[JWT_NUMBER_MAX])
{
    const char *text = member(jwk, name);
    size_t len;
    return text && base64_decode(BASE64_URL, text, strlen(text), dst, JWT_NUMBER_MAX, &len) ? len : 0;
}

static EVP_PKEY *key_from_params(const char *kind, OSSL_PARAM_BLD *builder)
{
    OSSL_PARAM *params = builder ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    EVP_PKEY *key = NULL;
    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_from_jwk(const json_t *jwk)
{
    uint8_t bytes[JWT_NUMBER_MAX];
    const size_t n_len = member_bytes(jwk, "n", bytes);
    BIGNUM *n = BN_bin2bn(bytes, (int)n_len, NULL);
    const size_t e_len = member_bytes(jwk, "e", bytes);
    BIGNUM *e = BN_bin2bn(bytes, (int)e_len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (n && e && n_len > 0 && e_len > 0 && builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        key = key_from_params("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}

/* OpenSSL checks that the point is on the curve. */
static EVP_PKEY *ec_from_jwk(const json_t *jwk)
{
    static const struct {
        const char *crv;
        enum jwt_alg alg;
    } curves[] = {{"P-256", JWT_ES256}, {"P-384", JWT_ES384}, {"P-521", JWT_ES512}};
    uint8_t x[JWT_NUMBER_MAX], y[JWT_NUMBER_MAX], point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
    const char *crv = member(jwk, "crv");
    const struct jwt_alg_row *row = NULL;
    for (size_t i = 0; crv && i < sizeof(curves) / sizeof(curves[0]); i++)
        row = strcmp(crv, curves[i].crv) == 0 ? &algs[curves[i].alg] : row;
    if (!row || member_bytes(jwk, "x", x) != row->curve_bytes || member_bytes(jwk, "y", y) != row->curve_bytes)
        return NULL;
    memcpy(point + 1, x, row->curve_bytes);
    memcpy(point + 1 + row->curve_bytes, y, row->curve_bytes);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, row->curve, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * row->curve_bytes) == 1)
        key = key_from_params("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *okp_from_jwk(const json_t *jwk)
{
    uint8_t x[JWT_NUMBER_MAX];
    const char *crv = member(jwk, "crv");
    const size_t len = member_bytes(jwk, "x", x);
    if (!crv || (strcmp(crv, "Ed25519") != 0 && strcmp(crv, "Ed448") != 0))
        return NULL;
    return EVP_PKEY_new_raw_public_key_ex(NULL, crv[2] == '2' ? "ED25519" : "ED448", NULL, x, len);
}

static int secret_from_jwk(const json_t *jwk, struct jwt_key *key)
{
    uint8_t bytes[JWT_NUMBER_MAX];
    key->secret_len = member_bytes(jwk, "k", bytes);
    key->secret = OPENSSL_memdup(bytes, key->secret_len);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    if (key->secret_len == 0)
        return err_set(-EINVAL, "its k is missing or no base64url");
    return key->secret ? 0 : err_set(-ENOMEM, "out of memory");
}

static int key_from_jwk(const json_t *jwk, struct jwt_key *key)
{
    const char *kty = member(jwk, "kty");
    if (!kty)
        return err_set(-EINVAL, "it has no kty");
    if (strcmp(kty, "oct") == 0)
        return secret_from_jwk(jwk, key);
    if (json_object_get(jwk, "d"))
        return err_set(-EINVAL, "it is a private key; only the public one belongs here");
    if (strcmp(kty, "RSA") == 0)
        key->public = rsa_from_jwk(jwk);
    else if (strcmp(kty, "EC") == 0)
        key->public = ec_from_jwk(jwk);
    else if (strcmp(kty, "OKP") == 0)
        key->public = okp_from_jwk(jwk);
    ERR_clear_error();
    return key->public ? 0 : err_set(-EINVAL, "its %s key is not complete, or not one", kty);
}

static int keys_add_jwk(struct jwt_keys *keys, const json_t *jwk)
{
    struct jwt_key key = {.kid = NULL};
    const char *use = member(jwk, "use"), *kid = member(jwk, "kid");
    if (use && strcmp(use, "sig") != 0)
        return 0; /* a set may hold keys for other purposes */
    int r = key_from_jwk(jwk, &key);
    if (r == 0 && kid && !(key.kid = strdup(kid)))
        r = err_set(-ENOMEM, "out of memory");
    if (r < 0) {
        key_clear(&key);
        return r;
    }
    return keys_add(keys, &key, member(jwk, "alg"));
}

/* Keys of a set that are of no use to us are somebody else's (RFC 7517, section 5), unless that is all of them. */
static int keys_add_set(struct jwt_keys *keys, const json_t *set)
{
    int r = 0;
    for (size_t i = 0; r != -ENOMEM && i < json_array_size(set); i++)
        r = err_context(keys_add_jwk(keys, json_array_get(set, i)), "key %zu", i + 1);
    return r == -ENOMEM || keys->count == 0 ? r : 0;
}

static int keys_add_json(struct jwt_keys *keys, const char *text, size_t len)
{
    json_error_t error;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return err_set(-EINVAL, "line %d: not JSON", error.line);
    const json_t *set = json_object_get(json, "keys");
    int r = set ? keys_add_set(keys, set) : keys_add_jwk(keys, json);
    json_decref(json);
    return r;
}

/* --- PEM */

static EVP_PKEY *key_from_certificate(BIO *bio)
{
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = cert ? X509_get_pubkey(cert) : NULL;
    X509_free(cert);
    return key;
}

static int keys_add_pem(struct jwt_keys *keys, const char *text, size_t len)
{
    if (strstr(text, "PRIVATE KEY-----"))
        return err_set(-EINVAL, "it holds a private key; only the public one belongs here");
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    struct jwt_key key = {.public = NULL};
    if (bio && strstr(text, "-----BEGIN CERTIFICATE-----"))
        key.public = key_from_certificate(bio);
    else if (bio)
        key.public = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return key.public ? keys_add(keys, &key, NULL) : err_set(-EINVAL, "not a public key, certificate or JWK");
}

/* --- Life */

static void jwt_keys_free(struct jwt_keys *k)
{
    for (size_t i = 0; i < k->count; i++)
        key_clear(&k->keys[i]);
    free(k);
}

static int keys_restrict(struct jwt_keys *keys, const char *algorithm)
{
    enum jwt_alg only;
    unsigned all = 0;
    keys->algs = UINT32_MAX;
    if (algorithm && !jwt_alg_find(algorithm, &only))
        return err_set(-EINVAL, "algorithm %s is none of HS, RS, PS, ES with 256, 384, 512, or EdDSA", algorithm);
    if (algorithm)
        keys->algs = 1U << only;
    for (size_t i = 0; i < keys->count; i++)
        all |= keys->keys[i].algs & keys->algs;
    return all ? 0 : err_set(-EINVAL, "no key%s%s in it", algorithm ? " for " : "", algorithm ? algorithm : "");
}

static int keys_read(struct jwt_keys *keys, const char *file, const char *algorithm)
{
    char *text;
    size_t len;
    int r = secret_file_read(file, JWT_FILE_MAX, &text, &len);
    if (r < 0)
        return r;
    r = text[strspn(text, " \t\r\n")] == '{' ? keys_add_json(keys, text, len) : keys_add_pem(keys, text, len);
    secret_file_wipe(text, len);
    if (r == 0)
        r = keys_restrict(keys, algorithm);
    return err_context(r, "%s", file);
}

int jwt_keys_load(const char *file, const char *algorithm, struct jwt_keys **ret_keys)
{
    struct jwt_keys *k = calloc(1, sizeof(*k));
    if (!k)
        return err_errno(-ENOMEM, "%s", file);
    k->n_refs = 1;
    int r = keys_read(k, file, algorithm);
    if (r < 0)
        jwt_keys_free(k);
    else
        *ret_keys = k;
    return r;
}

struct jwt_keys *jwt_keys_ref(struct jwt_keys *k)
{
    atomic_fetch_add_explicit(&k->n_refs, 1, memory_order_relaxed);
    return k;
}

struct jwt_keys *jwt_keys_unref(struct jwt_keys *k)
{
    if (k && atomic_fetch_sub_explicit(&k->n_refs, 1, memory_order_acq_rel) == 1)
        jwt_keys_free(k);
    return NULL;
}

/* --- Signatures */

static bool verify_hmac(const struct jwt_key *key, const struct jwt_alg_row *row, const void *text, size_t len,
                        const uint8_t *signature, size_t signature_len)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    return HMAC(row->digest(), key->secret, (int)key->secret_len, text, len, mac, &mac_len) &&
           mac_len == signature_len && CRYPTO_memcmp(mac, signature, mac_len) == 0;
}

static bool verify_public(const struct jwt_key *key, const struct jwt_alg_row *row, const void *text, size_t len,
                          const uint8_t *signature, size_t signature_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding = NULL;
    bool is_right =
        ctx && EVP_DigestVerifyInit(ctx, &padding, row->digest ? row->digest() : NULL, NULL, key->public) == 1;
    if (is_right && row->kind == JWT_KIND_PSS)
        is_right = EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
                   EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST) == 1;
    is_right = is_right && EVP_DigestVerify(ctx, signature, signature_len, text, len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return is_right;
}

/* A token has r and s side by side; OpenSSL wants them in DER. */
static bool verify_ec(const struct jwt_key *key, const struct jwt_alg_row *row, const void *text, size_t len,
                      const uint8_t *signature, size_t signature_len)
{
    if (signature_len != 2 * row->curve_bytes)
        return false;
    uint8_t *der = NULL;
    BIGNUM *r = BN_bin2bn(signature, (int)row->curve_bytes, NULL);
    BIGNUM *s = BN_bin2bn(signature + row->curve_bytes, (int)row->curve_bytes, NULL);
    ECDSA_SIG *both = ECDSA_SIG_new();
    if (!r || !s || !both || ECDSA_SIG_set0(both, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(both);
        return false;
    }
    const int der_len = i2d_ECDSA_SIG(both, &der);
    const bool is_right = der_len > 0 && verify_public(key, row, text, len, der, (size_t)der_len);
    OPENSSL_free(der);
    ECDSA_SIG_free(both);
    return is_right;
}

static bool key_verify(const struct jwt_key *key, const struct jwt_alg_row *row, const void *text, size_t len,
                       const uint8_t *signature, size_t signature_len)
{
    if (row->kind == JWT_KIND_HMAC)
        return verify_hmac(key, row, text, len, signature, signature_len);
    if (row->kind == JWT_KIND_EC)
        return verify_ec(key, row, text, len, signature, signature_len);
    return verify_public(key, row, text, len, signature, signature_len);
}

enum jwt_keys_result jwt_keys_verify(const struct jwt_keys *k, enum jwt_alg alg, const char *kid, const void *text,
                                     size_t len, const uint8_t *signature, size_t signature_len)
{
    enum jwt_keys_result result = JWT_KEYS_NONE;
    for (size_t i = 0; i < k->count && result != JWT_KEYS_RIGHT; i++) {
        const struct jwt_key *key = &k->keys[i];
        if (!(key->algs & k->algs & 1U << alg) || (kid && key->kid && strcmp(kid, key->kid) != 0))
            continue;
        const bool is_right = key_verify(key, &algs[alg], text, len, signature, signature_len);
        result = is_right ? JWT_KEYS_RIGHT : JWT_KEYS_WRONG;
    }
    return result;
}
