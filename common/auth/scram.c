/* See scram.h. A client's message is taken apart from the front, attribute by attribute: "r=...,". */
#include "scram.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "base64.h"
#include "err.h"
#include "mqtt_utf8.h"
#include "random.h"
#include "scram_file.h"

enum {
    CLIENT_NONCE_MAX = 256,
    ANSWER_MAX = CLIENT_NONCE_MAX + SCRAM_NONCE_LEN + BASE64_LEN(SCRAM_SALT_MAX) + 64,
    GS2_LEN = 3, /* "n,," */
};

enum scram_state {
    SCRAM_STATE_FIRST, /* client-first comes next */
    SCRAM_STATE_FINAL,
    SCRAM_STATE_OVER,
};

struct scram_server {
    enum scram_state state;
    struct scram_file *file; /* one reference */
    struct scram_secret secret;
    char our_nonce[SCRAM_NONCE_LEN + 1];
    char gs2[GS2_LEN + 1];
    char *bare; /* client-first-message-bare */
    size_t bare_len;
    char *user; /* without its escapes */
    size_t user_len;
    char nonce[CLIENT_NONCE_MAX + SCRAM_NONCE_LEN + 1]; /* theirs, then ours */
    char first[ANSWER_MAX];                             /* server-first */
    char answer[BASE64_LEN(SCRAM_KEY_LEN) + 3];
};

/* A part of a message. */
struct scram_part {
    const char *ptr;
    size_t len;
};

static enum scram_result refuse(struct scram_server *s, const char *reason)
{
    s->state = SCRAM_STATE_OVER;
    err_set_text("SCRAM: %s", reason);
    return SCRAM_REFUSED;
}

/* The next attribute, up to the comma that *TEXT moves behind. False: there is none, or it is not NAME. */
static bool take_attribute(struct scram_part *text, char name, struct scram_part *ret_value)
{
    if (text->len < 2 || text->ptr[0] != name || text->ptr[1] != '=')
        return false;
    const char *comma = memchr(text->ptr, ',', text->len);
    const size_t n = comma ? (size_t)(comma - text->ptr) : text->len;
    *ret_value = (struct scram_part){.ptr = text->ptr + 2, .len = n - 2};
    text->ptr += n + (comma ? 1 : 0);
    text->len -= n + (comma ? 1 : 0);
    return true;
}

/* --- client-first */

/* "=2C" is a comma, "=3D" an equals sign; no other "=" may be there (RFC 5802, section 5.1). */
static bool set_user(struct scram_server *s, struct scram_part name)
{
    s->user = malloc(name.len + 1);
    for (size_t i = 0; s->user && i < name.len; i++) {
        char c = name.ptr[i];
        if (c == '=' && name.len - i >= 3 && memcmp(name.ptr + i, "=2C", 3) == 0)
            c = ',';
        else if (c == '=' && !(name.len - i >= 3 && memcmp(name.ptr + i, "=3D", 3) == 0))
            return false;
        i += name.ptr[i] == '=' ? 2 : 0;
        s->user[s->user_len++] = c;
    }
    return s->user_len > 0 && mqtt_utf8_check((const uint8_t *)s->user, s->user_len) == MQTT_UTF8_OK;
}

static bool set_nonce(struct scram_server *s, struct scram_part nonce)
{
    if (nonce.len == 0 || nonce.len > CLIENT_NONCE_MAX)
        return false;
    for (size_t i = 0; i < nonce.len; i++) {
        if (nonce.ptr[i] < 0x21 || nonce.ptr[i] > 0x7e)
            return false;
    }
    snprintf(s->nonce, sizeof(s->nonce), "%.*s%s", (int)nonce.len, nonce.ptr, s->our_nonce);
    return true;
}

static bool set_bare(struct scram_server *s, struct scram_part bare)
{
    s->bare = malloc(bare.len);
    if (!s->bare)
        return false;
    memcpy(s->bare, bare.ptr, bare.len);
    s->bare_len = bare.len;
    return true;
}

static const char *read_first(struct scram_server *s, struct scram_part text)
{
    struct scram_part value;
    if (text.len < GS2_LEN || (text.ptr[0] != 'n' && text.ptr[0] != 'y') || text.ptr[1] != ',')
        return "channel binding is not offered";
    if (text.ptr[2] != ',')
        return "an authorization identity is not taken";
    memcpy(s->gs2, text.ptr, GS2_LEN);
    text.ptr += GS2_LEN;
    text.len -= GS2_LEN;
    if (text.len == 0 || !set_bare(s, text))
        return "the first message is cut";
    if (!take_attribute(&text, 'n', &value) || !set_user(s, value))
        return "the first message has no user name, or a bad one";
    if (!take_attribute(&text, 'r', &value) || !set_nonce(s, value))
        return "the first message has no nonce, or a bad one";
    return NULL; /* what follows are extensions, which are not looked at (section 5.1) */
}

static enum scram_result on_first(struct scram_server *s, struct scram_part text, struct mqtt_bytes *ret_answer)
{
    char salt[BASE64_LEN(SCRAM_SALT_MAX) + 1];
    const char *reason = read_first(s, text);
    if (reason)
        return refuse(s, reason);
    scram_file_find(s->file, s->user, s->user_len, &s->secret);
    base64_encode(BASE64_PADDED, s->secret.salt, s->secret.salt_len, salt);
    const int n = snprintf(s->first, sizeof(s->first), "r=%s,s=%s,i=%u", s->nonce, salt, s->secret.iterations);
    assert(n > 0 && (size_t)n < sizeof(s->first));
    s->state = SCRAM_STATE_FINAL;
    *ret_answer = (struct mqtt_bytes){.ptr = (const uint8_t *)s->first, .len = (uint32_t)n};
    return SCRAM_CONTINUE;
}

/* --- client-final */

/* HMAC(KEY, AuthMessage): what both have said, without the proof. */
static bool sign(const struct scram_server *s, const uint8_t *key, struct scram_part without_proof, uint8_t *dst)
{
    const size_t first_len = strlen(s->first), len = s->bare_len + 1 + first_len + 1 + without_proof.len;
    char *message = malloc(len), *at = message;
    if (!message)
        return false;
    memcpy(at, s->bare, s->bare_len);
    at += s->bare_len;
    *at++ = ',';
    memcpy(at, s->first, first_len);
    at += first_len;
    *at++ = ',';
    memcpy(at, without_proof.ptr, without_proof.len);
    const bool is_done = HMAC(EVP_sha256(), key, SCRAM_KEY_LEN, (const uint8_t *)message, len, dst, NULL) != NULL;
    free(message);
    return is_done;
}

/* Whether H(proof XOR signature) is the stored key. */
static bool proof_is_right(const struct scram_server *s, const uint8_t *proof, struct scram_part without_proof)
{
    uint8_t client_key[SCRAM_KEY_LEN], digest[SHA256_DIGEST_LENGTH];
    if (!sign(s, s->secret.stored_key, without_proof, client_key))
        return false;
    for (int i = 0; i < SCRAM_KEY_LEN; i++)
        client_key[i] ^= proof[i];
    SHA256(client_key, sizeof(client_key), digest);
    const bool is_right = CRYPTO_memcmp(digest, s->secret.stored_key, sizeof(digest)) == 0;
    OPENSSL_cleanse(client_key, sizeof(client_key));
    return is_right;
}

static bool part_is(struct scram_part part, const char *text)
{
    return part.len == strlen(text) && memcmp(part.ptr, text, part.len) == 0;
}

/* Extensions may stand before the proof; the proof is last. */
static bool split_proof(struct scram_part text, struct scram_part *ret_without, uint8_t proof[SCRAM_KEY_LEN])
{
    const char *comma = text.len > 0 ? memrchr(text.ptr, ',', text.len) : NULL;
    size_t len;
    if (!comma)
        return false;
    *ret_without = (struct scram_part){.ptr = text.ptr, .len = (size_t)(comma - text.ptr)};
    struct scram_part value, rest = {.ptr = comma + 1, .len = text.len - ret_without->len - 1};
    return take_attribute(&rest, 'p', &value) &&
           base64_decode(BASE64_PADDED, value.ptr, value.len, proof, SCRAM_KEY_LEN, &len) && len == SCRAM_KEY_LEN;
}

static const char *check_final(const struct scram_server *s, struct scram_part text, struct scram_part *ret_without)
{
    uint8_t proof[SCRAM_KEY_LEN];
    char binding[BASE64_LEN(GS2_LEN) + 1];
    struct scram_part value;
    if (!split_proof(text, ret_without, proof))
        return "the last message has no proof, or a bad one";
    base64_encode(BASE64_PADDED, s->gs2, GS2_LEN, binding);
    if (!take_attribute(&text, 'c', &value) || !part_is(value, binding))
        return "the last message belongs to another binding than the first";
    if (!take_attribute(&text, 'r', &value) || !part_is(value, s->nonce))
        return "the last message has another nonce";
    return proof_is_right(s, proof, *ret_without) ? NULL : "wrong password or unknown user";
}

static enum scram_result on_final(struct scram_server *s, struct scram_part text, struct mqtt_bytes *ret_answer)
{
    uint8_t signature[SCRAM_KEY_LEN];
    char encoded[BASE64_LEN(SCRAM_KEY_LEN) + 1];
    struct scram_part without_proof;
    const char *reason = check_final(s, text, &without_proof);
    if (reason)
        return refuse(s, reason);
    if (!sign(s, s->secret.server_key, without_proof, signature))
        return refuse(s, "out of memory");
    base64_encode(BASE64_PADDED, signature, sizeof(signature), encoded);
    const int n = snprintf(s->answer, sizeof(s->answer), "v=%s", encoded);
    s->state = SCRAM_STATE_OVER;
    *ret_answer = (struct mqtt_bytes){.ptr = (const uint8_t *)s->answer, .len = (uint32_t)n};
    return SCRAM_DONE;
}

/* --- Life */

int scram_server_new(struct scram_file *file, const char *nonce, struct scram_server **ret_server)
{
    uint8_t random[SCRAM_NONCE_LEN / 4 * 3];
    struct scram_server *s = calloc(1, sizeof(*s));
    if (!s)
        return err_errno(-ENOMEM, "SCRAM");
    int r = nonce ? 0 : random_bytes(random, sizeof(random));
    if (r < 0) {
        free(s);
        return r;
    }
    s->file = scram_file_ref(file);
    if (nonce)
        snprintf(s->our_nonce, sizeof(s->our_nonce), "%s", nonce);
    else
        base64_encode(BASE64_PADDED, random, sizeof(random), s->our_nonce);
    *ret_server = s;
    return 0;
}

struct scram_server *scram_server_free(struct scram_server *s)
{
    if (!s)
        return NULL;
    scram_file_unref(s->file);
    free(s->bare);
    free(s->user);
    OPENSSL_cleanse(s, sizeof(*s));
    free(s);
    return NULL;
}

enum scram_result scram_server_step(struct scram_server *s, struct mqtt_bytes message, struct mqtt_bytes *ret_answer)
{
    const struct scram_part text = {.ptr = (const char *)message.ptr, .len = message.len};
    if (message.len == 0 || message.len > SCRAM_MESSAGE_MAX || memchr(message.ptr, '\0', message.len))
        return refuse(s, "the message is empty, too long or has a NUL in it");
    switch (s->state) {
    case SCRAM_STATE_FIRST:
        return on_first(s, text, ret_answer);
    case SCRAM_STATE_FINAL:
        return on_final(s, text, ret_answer);
    case SCRAM_STATE_OVER:
        break;
    }
    return refuse(s, "the exchange is over");
}

struct mqtt_bytes scram_server_user(const struct scram_server *s)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)s->user, .len = (uint32_t)s->user_len};
}
