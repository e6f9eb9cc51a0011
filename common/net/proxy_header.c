/* See proxy_header.h. "Section" is one of proxy-protocol.txt. */
#include "proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "cursor.h"
#include "str.h"

static const uint8_t signature_v2[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
static const uint8_t signature_v1[6] = {'P', 'R', 'O', 'X', 'Y', ' '};

enum {
    V2_HEAD_BYTES = 16,
    V2_COMMAND_LOCAL = 0x20,
    V2_COMMAND_PROXY = 0x21,
    V2_UNSPEC = 0x00,
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_UNIX_BYTES = 216,
    V2_IPV4_BYTES = 12,
    V2_IPV6_BYTES = 36,
};

/* Section 2.2. */
enum {
    TLV_ALPN = 0x01,
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_UNIQUE_ID = 0x05,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CN = 0x22,
    TLV_SSL_CIPHER = 0x23,
    TLV_HEAD_BYTES = 3,
    SSL_HEAD_BYTES = 5,
    SSL_CLIENT = 0x01,       /* it came over TLS */
    SSL_CERT_CONNECTION = 2, /* with a certificate in this connection */
    SSL_CERT_SESSION = 4,    /* or earlier in this TLS session */
};

/* --- Reading version 1 */

/* Words with one space between; taking one cuts it off. */
struct words {
    char *next; /* NULL behind the last */
};

static char *words_take(struct words *w)
{
    char *word = w->next;
    if (!word)
        return NULL;
    char *space = strchr(word, ' ');
    w->next = space ? space + 1 : NULL;
    if (space)
        *space = '\0';
    return word;
}

/* Section 2.1: decimal, without a zero in front. */
static bool read_port(const char *text, uint16_t *ret_port)
{
    int64_t port;
    if (!text || text[0] < '0' || text[0] > '9' || (text[0] == '0' && text[1] != '\0') ||
        str_parse_int(text, 0, UINT16_MAX, &port) < 0)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool read_host(const char *text, int family, union conn_address *ret_address)
{
    union conn_address address;
    if (!text || strchr(text, '%') || !address_parse(text, 0, &address) || address.any.sa_family != family)
        return false;
    address_from_sockaddr(&address.any, ret_address);
    return true;
}

static const char *read_line(struct words words, struct proxy_header *ret)
{
    const char *protocol = words_take(&words);
    uint16_t source_port, destination_port;
    if (strcmp(protocol, "UNKNOWN") == 0)
        return NULL; /* whatever stands behind it */
    if (strcmp(protocol, "TCP4") != 0 && strcmp(protocol, "TCP6") != 0)
        return "neither TCP4 nor TCP6 nor UNKNOWN";
    const int family = protocol[3] == '4' ? AF_INET : AF_INET6;
    struct proxy_header h = {.is_local = false};
    if (!read_host(words_take(&words), family, &h.source) || !read_host(words_take(&words), family, &h.destination))
        return "an address that is none";
    if (!read_port(words_take(&words), &source_port) || !read_port(words_take(&words), &destination_port))
        return "a port that is none";
    if (words.next)
        return "more than two addresses and two ports";
    address_set_port(&h.source, source_port);
    address_set_port(&h.destination, destination_port);
    *ret = h;
    return NULL;
}

static enum proxy_header_result read_v1(const uint8_t *bytes, size_t len, struct proxy_header *ret, size_t *ret_used,
                                        const char **ret_reason)
{
    char line[PROXY_HEADER_V1_MAX];
    struct proxy_header h = {.is_local = false};
    const size_t looked_at = len < sizeof(line) ? len : sizeof(line);
    const uint8_t *end = memchr(bytes, '\n', looked_at);
    if (!end && looked_at < sizeof(line))
        return PROXY_HEADER_MORE;
    if (!end || end[-1] != '\r' || memchr(bytes, '\0', (size_t)(end - bytes))) {
        *ret_reason = end ? "a line that does not end with CR LF" : "a line of more than 107 bytes";
        return PROXY_HEADER_BAD;
    }
    memcpy(line, bytes, (size_t)(end - bytes));
    line[end - bytes - 1] = '\0';
    const char *fault = read_line((struct words){line + sizeof(signature_v1)}, &h);
    if (fault) {
        *ret_reason = fault;
        return PROXY_HEADER_BAD;
    }
    *ret = h;
    *ret_used = (size_t)(end - bytes) + 1;
    return PROXY_HEADER_OK;
}

/* --- Reading version 2 */

/* Castagnoli's polynomial, reflected; headers are short, so a table would cost more than it saves. */
static uint32_t crc32c_step(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int i = 0; i < 8; i++)
        crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78u : 0);
    return crc;
}

/* Of a whole header, the checksum in it counted as zeros (section 2.2.4). */
static uint32_t crc32c_of_header(const uint8_t *bytes, size_t len, const uint8_t *checksum)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        const bool is_checksum = bytes + i >= checksum && bytes + i < checksum + 4;
        crc = crc32c_step(crc, is_checksum ? 0 : bytes[i]);
    }
    return ~crc;
}

struct tlv {
    struct proxy_text value;
    uint8_t type;
};

static int tlv_next(struct cursor *c, struct tlv *ret)
{
    uint16_t len;
    if (cursor_read_u8(c, &ret->type) != 0 || cursor_read_u16(c, &len) != 0)
        return CURSOR_SHORT;
    ret->value.len = len;
    return cursor_read_bytes(c, len, &ret->value.ptr);
}

static const char *read_ssl(struct proxy_text value, struct proxy_header *ret)
{
    struct cursor c = cursor_make(value.ptr, value.len);
    struct tlv tlv;
    uint8_t client;
    uint32_t verify; /* 0: a certificate was shown and is good */
    if (cursor_read_u8(&c, &client) != 0 || cursor_read_u32(&c, &verify) != 0)
        return "facts of TLS that are too short";
    ret->tls_version = ret->tls_cipher = ret->common_name = (struct proxy_text){.len = 0};
    ret->is_tls = (client & SSL_CLIENT) != 0;
    ret->has_certificate = ret->is_tls && (client & (SSL_CERT_CONNECTION | SSL_CERT_SESSION)) != 0 && verify == 0;
    while (c.len > 0) {
        if (tlv_next(&c, &tlv) != 0)
            return "a fact of TLS that is longer than the rest";
        if (tlv.type == TLV_SSL_VERSION && ret->is_tls)
            ret->tls_version = tlv.value;
        else if (tlv.type == TLV_SSL_CIPHER && ret->is_tls)
            ret->tls_cipher = tlv.value;
        else if (tlv.type == TLV_SSL_CN && ret->has_certificate)
            ret->common_name = tlv.value;
    }
    return NULL;
}

static const char *read_tlv(const struct tlv *tlv, const uint8_t *header, size_t header_len, struct proxy_header *ret)
{
    switch (tlv->type) {
    case TLV_ALPN:
        ret->alpn = tlv->value;
        return NULL;
    case TLV_AUTHORITY:
        ret->authority = tlv->value;
        return NULL;
    case TLV_UNIQUE_ID:
        ret->unique_id = tlv->value;
        return NULL;
    case PROXY_HEADER_TLV_CLIENT_ID:
        ret->client_id = tlv->value;
        return NULL;
    case TLV_SSL:
        return read_ssl(tlv->value, ret);
    case TLV_CRC32C: {
        struct cursor c = cursor_make(tlv->value.ptr, tlv->value.len);
        uint32_t said;
        if (tlv->value.len != 4 || cursor_read_u32(&c, &said) != 0 ||
            said != crc32c_of_header(header, header_len, tlv->value.ptr))
            return "a wrong checksum";
        return NULL;
    }
    default:
        return NULL;
    }
}

/* The bytes are there: read_proxied() has looked. */
static void take_ipv4(struct cursor *c, union conn_address *ret)
{
    *ret = (union conn_address){.in = {.sin_family = AF_INET}};
    memcpy(&ret->in.sin_addr, c->ptr, 4);
    cursor_skip(c, 4);
}

static void take_ipv6(struct cursor *c, union conn_address *ret)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    memcpy(&in6.sin6_addr, c->ptr, 16);
    cursor_skip(c, 16);
    address_from_sockaddr((const struct sockaddr *)&in6, ret);
}

/* What the addresses of FAMILY take; the families and protocols that exist are those below 4 and below 3. */
static size_t address_bytes(uint8_t family)
{
    static const uint8_t bytes[] = {0, V2_IPV4_BYTES, V2_IPV6_BYTES, V2_UNIX_BYTES};
    return bytes[family >> 4];
}

static void read_addresses(struct cursor *c, uint8_t family, struct proxy_header *ret)
{
    uint16_t source_port = 0, destination_port = 0;
    if (family != V2_TCP4 && family != V2_TCP6) {
        cursor_skip(c, address_bytes(family));
        return;
    }
    void (*take)(struct cursor *, union conn_address *) = family == V2_TCP4 ? take_ipv4 : take_ipv6;
    take(c, &ret->source);
    take(c, &ret->destination);
    cursor_read_u16(c, &source_port);
    cursor_read_u16(c, &destination_port);
    address_set_port(&ret->source, source_port);
    address_set_port(&ret->destination, destination_port);
}

/* HEADER_LEN bytes are there. NULL, or what is wrong. */
static const char *read_proxied(const uint8_t *header, size_t header_len, uint8_t family, struct proxy_header *ret)
{
    struct cursor c = cursor_make(header + V2_HEAD_BYTES, header_len - V2_HEAD_BYTES);
    struct tlv tlv;
    if (c.len < address_bytes(family))
        return "too short for its addresses";
    read_addresses(&c, family, ret);
    while (c.len > 0) {
        if (tlv_next(&c, &tlv) != 0)
            return "a value that is longer than the rest";
        const char *fault = read_tlv(&tlv, header, header_len, ret);
        if (fault)
            return fault;
    }
    return NULL;
}

/* What the 16 bytes at the front rule out. */
static const char *check_head(uint8_t command, uint8_t family, size_t header_len)
{
    if (command != V2_COMMAND_LOCAL && command != V2_COMMAND_PROXY)
        return "a version or command that does not exist";
    if (command == V2_COMMAND_PROXY && (family >> 4 > 3 || (family & 0x0f) > 2))
        return "a family or protocol that does not exist";
    return header_len > PROXY_HEADER_MAX ? "longer than 4,096 bytes" : NULL;
}

static enum proxy_header_result read_v2(const uint8_t *bytes, size_t len, struct proxy_header *ret, size_t *ret_used,
                                        const char **ret_reason)
{
    struct cursor c = cursor_make(bytes, len);
    struct proxy_header h = {.is_local = false};
    uint8_t command, family;
    uint16_t rest;
    cursor_skip(&c, sizeof(signature_v2));
    if (cursor_read_u8(&c, &command) != 0 || cursor_read_u8(&c, &family) != 0 || cursor_read_u16(&c, &rest) != 0)
        return PROXY_HEADER_MORE;
    const size_t header_len = V2_HEAD_BYTES + (size_t)rest;
    const char *fault = check_head(command, family, header_len);
    if (!fault && len < header_len)
        return PROXY_HEADER_MORE;
    h.is_local = command == V2_COMMAND_LOCAL;
    if (!fault && !h.is_local)
        fault = read_proxied(bytes, header_len, family, &h);
    if (fault) {
        *ret_reason = fault;
        return PROXY_HEADER_BAD;
    }
    *ret = h;
    *ret_used = header_len;
    return PROXY_HEADER_OK;
}

/* --- Both */

static bool begins_with(const uint8_t *bytes, size_t len, const uint8_t *prefix, size_t prefix_len)
{
    return memcmp(bytes, prefix, len < prefix_len ? len : prefix_len) == 0;
}

enum proxy_header_result proxy_header_read(const void *bytes, size_t len, struct proxy_header *ret, size_t *ret_used,
                                           const char **ret_reason)
{
    if (len == 0)
        return PROXY_HEADER_MORE;
    if (begins_with(bytes, len, signature_v2, sizeof(signature_v2)))
        return len < sizeof(signature_v2) ? PROXY_HEADER_MORE : read_v2(bytes, len, ret, ret_used, ret_reason);
    if (begins_with(bytes, len, signature_v1, sizeof(signature_v1)))
        return len < sizeof(signature_v1) ? PROXY_HEADER_MORE : read_v1(bytes, len, ret, ret_used, ret_reason);
    *ret_reason = "something else than a PROXY header";
    return PROXY_HEADER_BAD;
}

/* --- Writing */

/* Both ends in one family, as the header has it. */
struct ends {
    struct in6_addr hosts[2];
    uint16_t ports[2];
    int family; /* AF_UNSPEC: without addresses */
};

static bool is_ip(const union conn_address *address)
{
    return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

static void ends_set(struct ends *e, int i, const union conn_address *address)
{
    e->ports[i] = address_port(address);
    if (address->any.sa_family == AF_INET6) {
        e->hosts[i] = address->in6.sin6_addr;
    } else if (e->family == AF_INET) {
        memcpy(e->hosts[i].s6_addr, &address->in.sin_addr, 4);
    } else {
        memset(e->hosts[i].s6_addr + 10, 0xff, 2);
        memcpy(e->hosts[i].s6_addr + 12, &address->in.sin_addr, 4);
    }
}

static struct ends ends_of(const struct proxy_header *h)
{
    struct ends e = {.family = AF_UNSPEC};
    if (!is_ip(&h->source))
        return e;
    const bool is_v6 = h->source.any.sa_family == AF_INET6 || h->destination.any.sa_family == AF_INET6;
    e.family = is_v6 ? AF_INET6 : AF_INET;
    ends_set(&e, 0, &h->source);
    if (is_ip(&h->destination))
        ends_set(&e, 1, &h->destination);
    return e;
}

size_t proxy_header_write_v1(uint8_t *dst, const struct proxy_header *h)
{
    char line[PROXY_HEADER_V1_MAX + 1], source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    const struct ends e = ends_of(h);
    int len;
    if (e.family == AF_UNSPEC) {
        len = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
    } else {
        inet_ntop(e.family, &e.hosts[0], source, sizeof(source));
        inet_ntop(e.family, &e.hosts[1], destination, sizeof(destination));
        len = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n", e.family == AF_INET ? '4' : '6', source,
                       destination, e.ports[0], e.ports[1]);
    }
    memcpy(dst, line, (size_t)len);
    return (size_t)len;
}

static uint8_t *put_u16(uint8_t *dst, size_t value)
{
    *dst++ = (uint8_t)(value >> 8);
    *dst++ = (uint8_t)value;
    return dst;
}

static uint8_t *put_bytes(uint8_t *dst, const void *bytes, size_t n)
{
    memcpy(dst, bytes, n);
    return dst + n;
}

static uint8_t *put_text(uint8_t *dst, uint8_t type, struct proxy_text text)
{
    if (text.len == 0 || text.len > PROXY_HEADER_TEXT_MAX)
        return dst;
    *dst++ = type;
    return put_bytes(put_u16(dst, text.len), text.ptr, text.len);
}

static uint8_t *put_ssl(uint8_t *dst, const struct proxy_header *h)
{
    uint8_t *value = dst + TLV_HEAD_BYTES;
    if (!h->is_tls)
        return dst;
    dst[0] = TLV_SSL;
    value[0] = SSL_CLIENT | (h->has_certificate ? SSL_CERT_CONNECTION | SSL_CERT_SESSION : 0);
    memset(value + 1, 0, 4);
    if (!h->has_certificate)
        value[4] = 1; /* "verify" is 0 only for a certificate that was shown and is good */
    uint8_t *end = put_text(value + SSL_HEAD_BYTES, TLV_SSL_VERSION, h->tls_version);
    end = put_text(end, TLV_SSL_CIPHER, h->tls_cipher);
    if (h->has_certificate)
        end = put_text(end, TLV_SSL_CN, h->common_name);
    put_u16(dst + 1, (size_t)(end - value));
    return end;
}

static uint8_t *put_addresses(uint8_t *dst, const struct ends *e)
{
    const size_t n = e->family == AF_INET ? 4 : 16;
    if (e->family == AF_UNSPEC)
        return dst;
    dst = put_bytes(dst, &e->hosts[0], n);
    dst = put_bytes(dst, &e->hosts[1], n);
    return put_u16(put_u16(dst, e->ports[0]), e->ports[1]);
}

size_t proxy_header_write_v2(uint8_t *dst, const struct proxy_header *h)
{
    const struct ends e = ends_of(h);
    uint8_t *end = put_bytes(dst, signature_v2, sizeof(signature_v2));
    *end++ = h->is_local ? V2_COMMAND_LOCAL : V2_COMMAND_PROXY;
    *end++ = h->is_local || e.family == AF_UNSPEC ? V2_UNSPEC : (e.family == AF_INET ? V2_TCP4 : V2_TCP6);
    uint8_t *len = end;
    end += 2;
    if (!h->is_local) {
        end = put_addresses(end, &e);
        end = put_text(end, TLV_ALPN, h->alpn);
        end = put_text(end, TLV_AUTHORITY, h->authority);
        end = put_text(end, TLV_UNIQUE_ID, h->unique_id);
        end = put_ssl(end, h);
        end = put_text(end, PROXY_HEADER_TLV_CLIENT_ID, h->client_id);
    }
    put_u16(len, (size_t)(end - dst) - V2_HEAD_BYTES);
    return (size_t)(end - dst);
}
