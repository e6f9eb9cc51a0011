/* See password_hash.h. */
#include "password_hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <argon2.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base64.h"
#include "err.h"
#include "random.h"
#include "str.h"

enum {
    MEMORY_MAX_KIB = 1048576, /* what one check may take */
    KEY_MIN = 16,
    SHA512_LEN = 64,
    SCRYPT_LN_MAX = 20,

    /* 50 to 150 ms of one core; Argon2id has a round more than OWASP's least. */
    ARGON2ID_MEMORY_KIB = 19456,
    ARGON2ID_ROUNDS = 3,
    SCRYPT_LN = 15,
    SCRYPT_BLOCK = 8,
    FRESH_SALT_LEN = 16,
    FRESH_KEY_LEN = 32,
};

/* --- Text */

/* "NAMEvalue" at *TEXT, and the character END behind it. */
static bool take_number(const char **text, const char *name, uint32_t min, uint32_t max, char end, uint32_t *ret)
{
    char digits[11];
    int64_t value;
    const size_t name_len = strlen(name);
    if (strncmp(*text, name, name_len) != 0)
        return false;
    const char *from = *text + name_len;
    const size_t n = strspn(from, "0123456789");
    if (n == 0 || n >= sizeof(digits) || from[n] != end)
        return false;
    memcpy(digits, from, n);
    digits[n] = '\0';
    if (str_parse_int(digits, min, max, &value) < 0)
        return false;
    *ret = (uint32_t)value;
    *text = from + n + 1;
    return true;
}

static bool take_base64(const char **text, char end, uint8_t *dst, size_t size, uint8_t *ret_len)
{
    size_t len;
    const char *behind = end ? strchr(*text, end) : *text + strlen(*text);
    if (!behind || !base64_decode(BASE64_UNPADDED, *text, (size_t)(behind - *text), dst, size, &len) || len == 0)
        return false;
    *ret_len = (uint8_t)len;
    *text = behind + (end ? 1 : 0);
    return true;
}

static bool take_salt_and_key(const char **text, struct password_hash *h)
{
    return take_base64(text, '$', h->salt, sizeof(h->salt), &h->salt_len) &&
           take_base64(text, '\0', h->key, sizeof(h->key), &h->key_len);
}

static bool parse_argon2id(const char *text, struct password_hash *h)
{
    uint32_t version;
    return take_number(&text, "v=", ARGON2_VERSION_13, ARGON2_VERSION_13, '$', &version) &&
           take_number(&text, "m=", ARGON2_MIN_MEMORY, MEMORY_MAX_KIB, ',', &h->memory_kib) &&
           take_number(&text, "t=", 1, 100, ',', &h->rounds) && take_number(&text, "p=", 1, 16, '$', &h->lanes) &&
           take_salt_and_key(&text, h) && h->memory_kib >= 8 * h->lanes && h->salt_len >= ARGON2_MIN_SALT_LENGTH &&
           h->key_len >= KEY_MIN;
}

static bool parse_scrypt(const char *text, struct password_hash *h)
{
    return take_number(&text, "ln=", 1, SCRYPT_LN_MAX, ',', &h->rounds) &&
           take_number(&text, "r=", 1, 32, ',', &h->block) && take_number(&text, "p=", 1, 16, '$', &h->lanes) &&
           take_salt_and_key(&text, h) && (h->block << h->rounds) / 8 <= MEMORY_MAX_KIB && h->key_len >= KEY_MIN;
}

static bool parse_pbkdf2(const char *text, struct password_hash *h)
{
    return take_number(&text, "", 1, 10000000, '$', &h->rounds) && take_salt_and_key(&text, h) &&
           h->key_len == SHA512_LEN;
}

static bool parse_sha512(const char *text, struct password_hash *h)
{
    return take_salt_and_key(&text, h) && h->key_len == SHA512_LEN;
}

static const struct password_hash_form {
    const char *prefix, *name;
    bool (*parse)(const char *text, struct password_hash *h);
} forms[] = {
    [PASSWORD_HASH_ARGON2ID] = {"$argon2id$", "Argon2id", parse_argon2id},
    [PASSWORD_HASH_SCRYPT] = {"$scrypt$", "scrypt", parse_scrypt},
    [PASSWORD_HASH_PBKDF2] = {"$7$", "PBKDF2", parse_pbkdf2},
    [PASSWORD_HASH_SHA512] = {"$6$", "SHA-512", parse_sha512},
};

int password_hash_parse(const char *text, struct password_hash *ret_hash)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct password_hash h = {.kind = (enum password_hash_kind)i};
        if (strncmp(text, forms[i].prefix, strlen(forms[i].prefix)) != 0)
            continue;
        if (!forms[i].parse(text + strlen(forms[i].prefix), &h))
            return err_set(-EINVAL, "its %s hash is cut, misspelt or out of bounds", forms[i].name);
        *ret_hash = h;
        return 0;
    }
    return err_set(-EINVAL,
                   "expected a hash that begins with $argon2id$, $scrypt$, $7$ or $6$ (mqtt-passwd makes one)");
}

/* --- Numbers */

static int derive_argon2id(const struct password_hash *h, const void *password, size_t len, uint8_t *key)
{
    const int result =
        argon2id_hash_raw(h->rounds, h->memory_kib, h->lanes, password, len, h->salt, h->salt_len, key, h->key_len);
    if (result == ARGON2_MEMORY_ALLOCATION_ERROR)
        return err_set(-ENOMEM, "no %u KiB for an Argon2id hash", h->memory_kib);
    return result == ARGON2_OK ? 0 : err_set(-EINVAL, "Argon2id: %s", argon2_error_message(result));
}

static int derive_by_kdf(const char *name, const OSSL_PARAM *params, const struct password_hash *h, uint8_t *key)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    const int ok = ctx && EVP_KDF_derive(ctx, key, h->key_len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok ? 0 : err_set(-ENOMEM, "%s: OpenSSL cannot compute it", name);
}

static int derive_scrypt(const struct password_hash *h, const void *password, size_t len, uint8_t *key)
{
    uint64_t n = 1ULL << h->rounds, memory_max = (MEMORY_MAX_KIB + 65536) * 1024ULL;
    uint32_t block = h->block, lanes = h->lanes;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)password, len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)h->salt, h->salt_len),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &block),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &lanes),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory_max),
        OSSL_PARAM_construct_end(),
    };
    return derive_by_kdf("SCRYPT", params, h, key);
}

static int derive_pbkdf2(const struct password_hash *h, const void *password, size_t len, uint8_t *key)
{
    const int ok =
        PKCS5_PBKDF2_HMAC(password, (int)len, h->salt, h->salt_len, (int)h->rounds, EVP_sha512(), h->key_len, key);
    return ok == 1 ? 0 : err_set(-ENOMEM, "PBKDF2: OpenSSL cannot compute it");
}

static int derive_sha512(const struct password_hash *h, const void *password, size_t len, uint8_t *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool is_done = ctx && EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) == 1 &&
                         EVP_DigestUpdate(ctx, password, len) == 1 &&
                         EVP_DigestUpdate(ctx, h->salt, h->salt_len) == 1 && EVP_DigestFinal_ex(ctx, key, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return is_done ? 0 : err_set(-ENOMEM, "SHA-512: OpenSSL cannot compute it");
}

/* KEY takes h->key_len bytes. */
static int derive(const struct password_hash *h, const void *password, size_t len, uint8_t *key)
{
    password = len > 0 ? password : ""; /* libraries do not like NULL */
    switch (h->kind) {
    case PASSWORD_HASH_ARGON2ID:
        return derive_argon2id(h, password, len, key);
    case PASSWORD_HASH_SCRYPT:
        return derive_scrypt(h, password, len, key);
    case PASSWORD_HASH_PBKDF2:
        return derive_pbkdf2(h, password, len, key);
    case PASSWORD_HASH_SHA512:
        return derive_sha512(h, password, len, key);
    }
    return err_set(-EINVAL, "unknown kind of hash");
}

int password_hash_check(const struct password_hash *hash, const void *password, size_t len)
{
    uint8_t key[PASSWORD_HASH_KEY_MAX] = {0};
    int r = derive(hash, password, len, key);
    if (r == 0 && CRYPTO_memcmp(key, hash->key, hash->key_len) != 0)
        r = PASSWORD_HASH_DIFFERS;
    OPENSSL_cleanse(key, sizeof(key));
    return r;
}

static void write_text(const struct password_hash *h, char *text)
{
    char salt[BASE64_LEN(FRESH_SALT_LEN) + 1], key[BASE64_LEN(FRESH_KEY_LEN) + 1];
    base64_encode(BASE64_UNPADDED, h->salt, h->salt_len, salt);
    base64_encode(BASE64_UNPADDED, h->key, h->key_len, key);
    if (h->kind == PASSWORD_HASH_ARGON2ID)
        snprintf(text, PASSWORD_HASH_TEXT_MAX, "$argon2id$v=%d$m=%u,t=%u,p=%u$%s$%s", ARGON2_VERSION_13, h->memory_kib,
                 h->rounds, h->lanes, salt, key);
    else
        snprintf(text, PASSWORD_HASH_TEXT_MAX, "$scrypt$ln=%u,r=%u,p=%u$%s$%s", h->rounds, h->block, h->lanes, salt,
                 key);
}

int password_hash_make(enum password_hash_kind kind, const void *password, size_t len, char *text)
{
    struct password_hash h = {
        .kind = kind,
        .memory_kib = ARGON2ID_MEMORY_KIB,
        .rounds = kind == PASSWORD_HASH_ARGON2ID ? ARGON2ID_ROUNDS : SCRYPT_LN,
        .block = SCRYPT_BLOCK,
        .lanes = 1,
        .salt_len = FRESH_SALT_LEN,
        .key_len = FRESH_KEY_LEN,
    };
    int r = random_bytes(h.salt, h.salt_len);
    if (r == 0)
        r = derive(&h, password, len, h.key);
    if (r == 0)
        write_text(&h, text);
    OPENSSL_cleanse(&h, sizeof(h));
    return r;
}
