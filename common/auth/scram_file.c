/* See scram_file.h. */
#include "scram_file.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "base64.h"
#include "err.h"
#include "list.h"
#include "map.h"
#include "random.h"
#include "secret_file.h"
#include "str.h"

static const char PREFIX[] = "SCRAM-SHA-256$";

enum { FRESH_SALT_LEN = 16 };

struct scram_entry {
    struct map_node node;
    struct scram_secret secret;
    size_t user_len;
    char user[];
};

struct scram_file {
    atomic_uint n_refs;
    struct map by_user;
    struct scram_entry *first; /* of the file; NULL: it holds nobody */
};

static bool scram_entry_is(const struct map_node *node, const void *key)
{
    const struct scram_entry *e = container_of(node, struct scram_entry, node);
    const struct mqtt_bytes *user = key;
    return e->user_len == user->len && memcmp(e->user, user->ptr, user->len) == 0;
}

static void scram_file_free(struct scram_file *f)
{
    struct map_node *node;
    while ((node = map_any(&f->by_user))) {
        struct scram_entry *e = container_of(node, struct scram_entry, node);
        map_remove(&f->by_user, node);
        OPENSSL_clear_free(e, sizeof(*e) + e->user_len);
    }
    map_deinit(&f->by_user);
    free(f);
}

/* --- Lines */

/* Base64 at *TEXT up to END, which *TEXT moves behind. */
static bool take_base64(const char **text, char end, uint8_t *dst, size_t size, size_t *ret_len)
{
    const char *behind = end ? strchr(*text, end) : *text + strlen(*text);
    if (!behind || !base64_decode(BASE64_PADDED, *text, (size_t)(behind - *text), dst, size, ret_len))
        return false;
    *text = behind + (end ? 1 : 0);
    return true;
}

static bool take_key(const char **text, char end, uint8_t key[SCRAM_KEY_LEN])
{
    size_t len;
    return take_base64(text, end, key, SCRAM_KEY_LEN, &len) && len == SCRAM_KEY_LEN;
}

static bool parse_secret(const char *text, struct scram_secret *s)
{
    char digits[11] = "";
    int64_t iterations;
    size_t salt_len = 0;
    if (strncmp(text, PREFIX, strlen(PREFIX)) != 0)
        return false;
    text += strlen(PREFIX);
    const size_t n = strcspn(text, ":");
    if (n >= sizeof(digits) || text[n] != ':')
        return false;
    memcpy(digits, text, n);
    if (str_parse_int(digits, SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX, &iterations) < 0)
        return false;
    text += n + 1;
    if (!take_base64(&text, '$', s->salt, sizeof(s->salt), &salt_len) || salt_len == 0)
        return false;
    s->iterations = (uint32_t)iterations;
    s->salt_len = (uint8_t)salt_len;
    return take_key(&text, ':', s->stored_key) && take_key(&text, '\0', s->server_key);
}

static int scram_file_add(struct scram_file *f, const char *user, size_t len, const struct scram_secret *secret)
{
    const struct mqtt_bytes key = {.ptr = (const uint8_t *)user, .len = (uint32_t)len};
    const uint64_t digest = map_hash_bytes(user, len);
    if (map_find(&f->by_user, digest, &key))
        return err_set(-EINVAL, "there is a line for %.*s already", (int)len, user);
    struct scram_entry *e = OPENSSL_malloc(sizeof(*e) + len);
    if (!e || map_add(&f->by_user, &e->node, digest) < 0) {
        OPENSSL_free(e);
        return err_set(-ENOMEM, "out of memory");
    }
    e->secret = *secret;
    e->user_len = len;
    memcpy(e->user, user, len);
    f->first = f->first ? f->first : e;
    return 0;
}

static int scram_file_parse_line(char *line, void *arg)
{
    struct scram_secret secret;
    const char *colon = strchr(line, ':');
    const size_t len = colon ? (size_t)(colon - line) : 0;
    if (len == 0 || len > MQTT_STRING_MAX)
        return err_set(-EINVAL, "expected user:SCRAM-SHA-256$...");
    int r = parse_secret(colon + 1, &secret) ? scram_file_add(arg, line, len, &secret)
                                             : err_set(-EINVAL,
                                                       "user %.*s: expected %s"
                                                       "ITERATIONS:SALT$STOREDKEY:SERVERKEY with %d iterations or more",
                                                       (int)len, line, PREFIX, SCRAM_ITERATIONS_MIN);
    OPENSSL_cleanse(&secret, sizeof(secret));
    return r;
}

int scram_file_load(const char *file, struct scram_file **ret_file)
{
    struct scram_file *f = calloc(1, sizeof(*f));
    if (!f)
        return err_errno(-ENOMEM, "%s", file);
    f->n_refs = 1;
    map_init(&f->by_user, scram_entry_is);
    int r = secret_file_each_line(file, scram_file_parse_line, f);
    if (r < 0)
        scram_file_free(f);
    else
        *ret_file = f;
    return r;
}

struct scram_file *scram_file_ref(struct scram_file *f)
{
    atomic_fetch_add_explicit(&f->n_refs, 1, memory_order_relaxed);
    return f;
}

struct scram_file *scram_file_unref(struct scram_file *f)
{
    if (f && atomic_fetch_sub_explicit(&f->n_refs, 1, memory_order_acq_rel) == 1)
        scram_file_free(f);
    return NULL;
}

/* --- Finding */

/* Salt and count of somebody who does not exist: from the first line, so that they are the same tomorrow, and by its
 * key, which only the file tells. Nobody can open keys of zeros: that would take a preimage. */
static void scram_file_invent(const struct scram_entry *first, const void *user, size_t len, struct scram_secret *s)
{
    uint8_t salt[SHA512_DIGEST_LENGTH] = {0};
    unsigned n = sizeof(salt);
    *s = (struct scram_secret){.iterations = SCRAM_ITERATIONS_MIN, .salt_len = FRESH_SALT_LEN};
    if (first) {
        s->iterations = first->secret.iterations;
        s->salt_len = first->secret.salt_len;
        HMAC(EVP_sha512(), first->secret.server_key, SCRAM_KEY_LEN, len > 0 ? user : "", len, salt, &n);
    }
    memcpy(s->salt, salt, s->salt_len);
}

void scram_file_find(const struct scram_file *f, const void *user, size_t len, struct scram_secret *ret_secret)
{
    const struct mqtt_bytes key = {.ptr = user, .len = (uint32_t)len};
    struct scram_secret invented;
    scram_file_invent(f->first, user, len, &invented); /* for everybody, so that it takes the same time */
    const struct map_node *node = len > 0 ? map_find(&f->by_user, map_hash_bytes(user, len), &key) : NULL;
    *ret_secret = node ? container_of(node, struct scram_entry, node)->secret : invented;
}

/* --- Making */

static bool hmac(const uint8_t *key, const char *text, uint8_t *dst)
{
    return HMAC(EVP_sha256(), key, SCRAM_KEY_LEN, (const uint8_t *)text, strlen(text), dst, NULL) != NULL;
}

/* RFC 5802, section 3. */
static int derive(const void *password, size_t len, struct scram_secret *s)
{
    uint8_t salted[SCRAM_KEY_LEN], client_key[SCRAM_KEY_LEN];
    const bool is_done = PKCS5_PBKDF2_HMAC(len > 0 ? password : "", (int)len, s->salt, s->salt_len, (int)s->iterations,
                                           EVP_sha256(), sizeof(salted), salted) == 1 &&
                         hmac(salted, "Client Key", client_key) && hmac(salted, "Server Key", s->server_key) &&
                         SHA256(client_key, sizeof(client_key), s->stored_key);
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client_key, sizeof(client_key));
    return is_done ? 0 : err_set(-ENOMEM, "SCRAM: OpenSSL cannot compute the keys");
}

int scram_secret_make(const void *password, size_t len, uint32_t iterations, char *line)
{
    struct scram_secret s = {.iterations = iterations, .salt_len = FRESH_SALT_LEN};
    char salt[BASE64_LEN(FRESH_SALT_LEN) + 1], stored[BASE64_LEN(SCRAM_KEY_LEN) + 1],
        server[BASE64_LEN(SCRAM_KEY_LEN) + 1];
    int r = random_bytes(s.salt, s.salt_len);
    if (r == 0)
        r = derive(password, len, &s);
    if (r == 0)
        snprintf(line, SCRAM_LINE_MAX, "%s%u:%s$%s:%s", PREFIX, iterations,
                 base64_encode(BASE64_PADDED, s.salt, s.salt_len, salt),
                 base64_encode(BASE64_PADDED, s.stored_key, SCRAM_KEY_LEN, stored),
                 base64_encode(BASE64_PADDED, s.server_key, SCRAM_KEY_LEN, server));
    OPENSSL_cleanse(&s, sizeof(s));
    OPENSSL_cleanse(stored, sizeof(stored));
    OPENSSL_cleanse(server, sizeof(server));
    return r;
}
