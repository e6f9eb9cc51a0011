/* Any bytes as a token, as the header and claims of a token that is signed with the right key, and as a key file: what
 * is taken has a user, and a token that is not signed is never taken. */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "acl.h"
#include "base64.h"
#include "ensure.h"
#include "jwt.h"
#include "jwt_keys.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { NOW = 1800000000, PART_MAX = 4096 };

static const char KEYS[] = "{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"; /* 32 zeros */

static struct jwt_verifier *load_once(void)
{
    static struct jwt_verifier *v;
    if (!v) {
        const struct jwt_options options = {
            .key_file = memory_file((struct mqtt_bytes){(const uint8_t *)KEYS, sizeof(KEYS) - 1})};
        ensure(jwt_verifier_new(&options, &v) == 0);
    }
    return v;
}

/* TEXT as base64url at the end of TOKEN. */
static void append_part(char *token, struct mqtt_bytes text)
{
    char *part = token + strlen(token);
    base64_encode(BASE64_UNPADDED, text.ptr, text.len, part);
    for (; *part; part++)
        *part = *part == '+' ? '-' : *part == '/' ? '_' : *part;
}

static void check_signed(struct mqtt_bytes header, struct mqtt_bytes claims)
{
    char token[2 * BASE64_LEN(PART_MAX) + 100] = "";
    uint8_t key[32] = {0}, mac[32];
    struct jwt_claims got;
    if (header.len > PART_MAX || claims.len > PART_MAX)
        return;
    append_part(token, header);
    strcat(token, ".");
    append_part(token, claims);
    HMAC(EVP_sha256(), key, sizeof(key), (const uint8_t *)token, strlen(token), mac, NULL);
    strcat(token, ".");
    append_part(token, (struct mqtt_bytes){.ptr = mac, .len = sizeof(mac)});
    const struct mqtt_bytes all = {.ptr = (const uint8_t *)token, .len = (uint32_t)strlen(token)};
    if (jwt_check(load_once(), all, (struct mqtt_bytes){.len = 0}, NOW, &got) != 0)
        return;
    ensure(got.user && got.user[0] && (got.expires_s == 0 || got.expires_s > NOW));
    jwt_claims_clear(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct jwt_claims got;
    struct jwt_keys *keys;
    struct mqtt_bytes rest = {.ptr = bytes, .len = (uint32_t)len};
    if (len == 0)
        return 0;
    const uint8_t kind = *rest.ptr++;
    rest.len--;
    if (kind == 't') {
        ensure(jwt_check(load_once(), rest, (struct mqtt_bytes){.len = 0}, NOW, &got) == JWT_REFUSED);
        (void)jwt_is_token(rest);
    } else if (kind == 's') {
        const struct mqtt_bytes header = take_text(&rest);
        check_signed(header, rest);
    } else {
        struct jwt_verifier *v = load_once(); /* before its file is another one's */
        ensure(v != NULL);
        if (jwt_keys_load(memory_file(rest), NULL, &keys) == 0)
            jwt_keys_unref(keys);
    }
    return 0;
}
