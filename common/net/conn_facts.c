/* See conn_facts.h. */
#include "conn_facts.h"

#include <stdlib.h>
#include <string.h>

#include "proxy_header.h"
#include "str.h"

static bool conn_facts_is_text(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);
    if (left == 0)
        return false;
    while (left > 0) {
        uint32_t code;
        const size_t n = str_utf8_next(at, left, &code);
        if (n == 0 || !str_is_printable(code))
            return false;
        at += n;
        left -= n;
    }
    return true;
}

static size_t conn_facts_bytes(const char *text)
{
    return text && conn_facts_is_text(text) ? strlen(text) + 1 : 0;
}

/* TEXT at *AT, which moves behind it. */
static const char *conn_facts_keep(const char *text, char **at)
{
    const size_t n = conn_facts_bytes(text);
    if (n == 0)
        return NULL;
    const char *kept = memcpy(*at, text, n);
    *at += n;
    return kept;
}

struct conn_facts *conn_facts_copy(const struct conn_facts *facts)
{
    const size_t n = conn_facts_bytes(facts->via) + conn_facts_bytes(facts->tls_version) +
                     conn_facts_bytes(facts->tls_cipher) + conn_facts_bytes(facts->tls_server_name) +
                     conn_facts_bytes(facts->common_name);
    struct conn_facts *f = malloc(sizeof(*f) + n);
    if (!f)
        return NULL;
    char *at = (char *)(f + 1);
    *f = (struct conn_facts){
        .via = conn_facts_keep(facts->via, &at),
        .tls_version = conn_facts_keep(facts->tls_version, &at),
        .tls_cipher = conn_facts_keep(facts->tls_cipher, &at),
        .tls_server_name = conn_facts_keep(facts->tls_server_name, &at),
        .common_name = conn_facts_keep(facts->common_name, &at),
        .is_tls = facts->is_tls,
        .has_certificate = facts->has_certificate,
    };
    return f;
}

/* NULL for a text that is too long, or that goes on behind a NUL: "alice\0.example" is not alice. */
static const char *conn_facts_take(struct proxy_text text, char dst[PROXY_HEADER_TEXT_MAX + 1])
{
    if (text.len == 0 || text.len > PROXY_HEADER_TEXT_MAX || memchr(text.ptr, '\0', text.len))
        return NULL;
    memcpy(dst, text.ptr, text.len);
    dst[text.len] = '\0';
    return dst;
}

struct conn_facts *conn_facts_from_header(const struct proxy_header *h, const char *via)
{
    char texts[4][PROXY_HEADER_TEXT_MAX + 1];
    const struct conn_facts facts = {
        .via = via,
        .tls_version = conn_facts_take(h->tls_version, texts[0]),
        .tls_cipher = conn_facts_take(h->tls_cipher, texts[1]),
        .tls_server_name = conn_facts_take(h->authority, texts[2]),
        .common_name = conn_facts_take(h->common_name, texts[3]),
        .is_tls = h->is_tls,
        .has_certificate = h->has_certificate,
    };
    return conn_facts_copy(&facts);
}

struct conn_facts *conn_facts_free(struct conn_facts *facts)
{
    free(facts);
    return NULL;
}
