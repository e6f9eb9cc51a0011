/* Any bytes as a PROXY header: MORE or BAD for each beginning and never beyond the bound, the same header however much
 * follows it, and what is read is written so that it is read the same. */
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "ensure.h"
#include "proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static bool texts_are_equal(struct proxy_text a, struct proxy_text b)
{
    if (a.len > PROXY_HEADER_TEXT_MAX)
        return b.len == 0;
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static void ensure_equal(const struct proxy_header *a, const struct proxy_header *b)
{
    ensure(a->is_local == b->is_local && a->is_tls == b->is_tls && a->has_certificate == b->has_certificate);
    ensure(address_equal(&a->source, &b->source) && address_equal(&a->destination, &b->destination));
    ensure(texts_are_equal(a->alpn, b->alpn) && texts_are_equal(a->authority, b->authority));
    ensure(texts_are_equal(a->unique_id, b->unique_id) && texts_are_equal(a->client_id, b->client_id));
    ensure(texts_are_equal(a->tls_version, b->tls_version) && texts_are_equal(a->tls_cipher, b->tls_cipher));
    ensure(texts_are_equal(a->common_name, b->common_name));
}

static void ensure_survives_writing(const struct proxy_header *h)
{
    uint8_t v1[PROXY_HEADER_V1_MAX], v2[PROXY_HEADER_WRITE_MAX];
    struct proxy_header again;
    const char *reason;
    size_t used, n = proxy_header_write_v2(v2, h);
    ensure(n <= sizeof(v2) && proxy_header_read(v2, n, &again, &used, &reason) == PROXY_HEADER_OK && used == n);
    ensure_equal(h, &again);
    n = proxy_header_write_v1(v1, h);
    ensure(n <= sizeof(v1) && proxy_header_read(v1, n, &again, &used, &reason) == PROXY_HEADER_OK && used == n);
    ensure(address_equal(&h->source, &again.source) && address_equal(&h->destination, &again.destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct proxy_header h, other;
    const char *reason = NULL;
    size_t used = 0, other_used = 0;
    enum proxy_header_result r = proxy_header_read(bytes, len, &h, &used, &reason);
    ensure(r != PROXY_HEADER_BAD || reason);
    ensure(r != PROXY_HEADER_MORE || len < PROXY_HEADER_MAX);
    if (r != PROXY_HEADER_OK)
        return 0;
    ensure(used <= len && used <= PROXY_HEADER_MAX);
    ensure(proxy_header_read(bytes, used, &other, &other_used, &reason) == PROXY_HEADER_OK && other_used == used);
    ensure_equal(&h, &other);
    uint8_t *cut = malloc(used);
    memcpy(cut, bytes, used);
    ensure(proxy_header_read(cut, used - 1, &other, &other_used, &reason) == PROXY_HEADER_MORE);
    free(cut);
    ensure_survives_writing(&h);
    return 0;
}
