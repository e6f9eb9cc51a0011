/* Hashes of passwords as text, in the forms that other programs write and read:
 *
 *   $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH   Argon2id (RFC 9106), the PHC string that argon2(1) and mosquitto 2.1
 * write $scrypt$ln=15,r=8,p=1$SALT$HASH            scrypt (RFC 7914) with N = 2^ln, the PHC string that passlib writes
 *   $7$ITERATIONS$SALT$HASH                    PBKDF2-HMAC-SHA512, mosquitto_passwd's; read only
 *   $6$SALT$HASH                               one round of SHA-512, mosquitto_passwd's before 2.0; read only
 *
 * SALT and HASH are base64, with or without the padding. Pure; any thread. Computing one takes up to a second of CPU
 * and a gibibyte of memory, as the text says: on a thread of its own (password_check.h). */
#ifndef AUTH_PASSWORD_HASH_H
#define AUTH_PASSWORD_HASH_H

#include <stddef.h>
#include <stdint.h>

enum password_hash_kind {
    PASSWORD_HASH_ARGON2ID,
    PASSWORD_HASH_SCRYPT,
    PASSWORD_HASH_PBKDF2,
    PASSWORD_HASH_SHA512,
};

enum {
    PASSWORD_HASH_SALT_MAX = 64,
    PASSWORD_HASH_KEY_MAX = 64,
    PASSWORD_HASH_TEXT_MAX = 256, /* of what password_hash_make() writes, with the NUL */
};

struct password_hash {
    enum password_hash_kind kind;
    uint32_t memory_kib; /* Argon2id */
    uint32_t rounds;     /* Argon2id: t; scrypt: ln; PBKDF2: iterations */
    uint32_t block;      /* scrypt: r */
    uint32_t lanes;      /* Argon2id, scrypt: p */
    uint8_t salt_len, key_len;
    uint8_t salt[PASSWORD_HASH_SALT_MAX];
    uint8_t key[PASSWORD_HASH_KEY_MAX];
};

enum { PASSWORD_HASH_DIFFERS = 1 };

/* 0, or -EINVAL with err_text(), which never shows the hash: unknown form, costs out of bounds, bad base64. */
int password_hash_parse(const char *text, struct password_hash *ret_hash);
/* Whether PASSWORD is the one. 0; PASSWORD_HASH_DIFFERS; -ENOMEM and other negative errno with err_text(). How long it
 * takes depends on the costs and on LEN alone. */
int password_hash_check(const struct password_hash *hash, const void *password, size_t len);
/* A fresh hash with a random salt and the costs that we find right at present: PASSWORD_HASH_ARGON2ID or _SCRYPT. TEXT
 * takes PASSWORD_HASH_TEXT_MAX bytes. 0 or negative errno with err_text(). */
int password_hash_make(enum password_hash_kind kind, const void *password, size_t len, char *text);

#endif
