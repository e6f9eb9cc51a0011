/* PROXY headers: those that haproxy 2.6.12 has sent, those that must be refused, and those that we write. */
#include "proxy_header.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "test_main.h"

/* What `send-proxy`, `send-proxy-v2` and `proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c`
 * put in front of the two bytes 10 00, as they came out of the socket. */
struct sample {
    const char *name, *hex;
    const char *source, *destination; /* NULL: not said */
    bool is_local, is_tls, has_certificate;
    const char *alpn, *authority, *tls_version, *tls_cipher, *common_name;
};

static const struct sample samples[] = {
    {.name = "v1, IPv4",
     .hex = "50524f58592054435034203132372e302e302e31203132372e302e302e312033383537322035363138310d0a1000",
     .source = "127.0.0.1:38572",
     .destination = "127.0.0.1:56181"},
    {.name = "v1, IPv6",
     .hex = "50524f58592054435036203a3a31203a3a312034323738302034353737370d0a1000",
     .source = "[::1]:42780",
     .destination = "[::1]:45777"},
    {.name = "v1, a client at a Unix socket", .hex = "50524f585920554e4b4e4f574e0d0a1000"},
    {.name = "v2, IPv4",
     .hex = "0d0a0d0a000d0a515549540a2111000c7f0000017f0000019becbd371000",
     .source = "127.0.0.1:39916",
     .destination = "127.0.0.1:48439"},
    {.name = "v2, IPv6",
     .hex =
         "0d0a0d0a000d0a515549540a2121002400000000000000000000000000000001000000000000000000000000000000018076ab451000",
     .source = "[::1]:32886",
     .destination = "[::1]:43845"},
    {.name = "v2, a checksum",
     .hex = "0d0a0d0a000d0a515549540a211100137f0000017f000001d974aaa3030004349cf4801000",
     .source = "127.0.0.1:55668",
     .destination = "127.0.0.1:43683"},
    {.name = "v2, a health check (check-send-proxy), or a client at a Unix socket",
     .hex = "0d0a0d0a000d0a515549540a200000001000",
     .is_local = true},
    {.name = "v2, TLS with a certificate",
     .hex = "0d0a0d0a000d0a515549540a211100837f0000017f000001a0a8a257030004d4a25cb90100046d71747402000e62726f6b65722e65"
            "78616d706c652000550700000000210007544c5376312e3322000e70756d702d33205ac3bc72696368250005454332353624001165"
            "636473612d776974682d534841323536230016544c535f4145535f3235365f47434d5f5348413338341000",
     .source = "127.0.0.1:41128",
     .destination = "127.0.0.1:41559",
     .is_tls = true,
     .has_certificate = true,
     .alpn = "mqtt",
     .authority = "broker.example",
     .tls_version = "TLSv1.3",
     .tls_cipher = "TLS_AES_256_GCM_SHA384",
     .common_name = "pump-3 Z\xc3\xbcrich"},
    {.name = "v2, TLS without a certificate",
     .hex = "0d0a0d0a000d0a515549540a211100727f0000017f000001a0b4a257030004e143b0630100046d71747402000e62726f6b65722e65"
            "78616d706c652000440100000000210007544c5376312e33250005454332353624001165636473612d776974682d53484132353623"
            "0016544c535f4145535f3235365f47434d5f5348413338341000",
     .source = "127.0.0.1:41140",
     .destination = "127.0.0.1:41559",
     .is_tls = true,
     .alpn = "mqtt",
     .authority = "broker.example",
     .tls_version = "TLSv1.3",
     .tls_cipher = "TLS_AES_256_GCM_SHA384"},
};

/* Memory of exactly its length, so that a byte too far is seen. */
struct bytes {
    uint8_t *ptr;
    size_t len;
};

static struct bytes unhex(const char *hex)
{
    struct bytes b = {malloc(strlen(hex) / 2), strlen(hex) / 2};
    for (size_t i = 0; i < b.len; i++) {
        const char digits[] = {hex[2 * i], hex[2 * i + 1], '\0'};
        b.ptr[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return b;
}

static enum proxy_header_result read_exactly(const void *bytes, size_t len, struct proxy_header *ret, size_t *ret_used,
                                             const char **ret_reason)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    enum proxy_header_result r = proxy_header_read(copy, len, ret, ret_used, ret_reason);
    free(copy);
    return r;
}

static void check_address(const union conn_address *got, const char *expected)
{
    char text[ADDRESS_TEXT_MAX];
    if (expected)
        ck_assert_str_eq(address_format(got, text), expected);
    else
        ck_assert_int_eq(got->any.sa_family, AF_UNSPEC);
}

static void check_text(struct proxy_text got, const char *expected)
{
    ck_assert_uint_eq(got.len, expected ? strlen(expected) : 0);
    if (expected)
        ck_assert_mem_eq(got.ptr, expected, got.len);
}

static void check_header(const struct proxy_header *h, const struct sample *s)
{
    check_address(&h->source, s->source);
    check_address(&h->destination, s->destination);
    ck_assert_int_eq(h->is_local, s->is_local);
    ck_assert_int_eq(h->is_tls, s->is_tls);
    ck_assert_int_eq(h->has_certificate, s->has_certificate);
    check_text(h->alpn, s->alpn);
    check_text(h->authority, s->authority);
    check_text(h->tls_version, s->tls_version);
    check_text(h->tls_cipher, s->tls_cipher);
    check_text(h->common_name, s->common_name);
}

START_TEST(what_haproxy_sends_is_read)
{
    struct bytes b = unhex(samples[_i].hex);
    struct proxy_header h;
    const char *reason = NULL;
    size_t used;
    ck_assert_int_eq(proxy_header_read(b.ptr, b.len, &h, &used, &reason), PROXY_HEADER_OK);
    ck_assert_uint_eq(used, b.len - 2);
    check_header(&h, &samples[_i]);
    free(b.ptr);
}
END_TEST

START_TEST(every_beginning_of_a_header_asks_for_more)
{
    struct bytes b = unhex(samples[_i].hex);
    struct proxy_header h;
    const char *reason;
    size_t used;
    for (size_t len = 0; len < b.len - 2; len++)
        ck_assert_int_eq(read_exactly(b.ptr, len, &h, &used, &reason), PROXY_HEADER_MORE);
    ck_assert_int_eq(read_exactly(b.ptr, b.len - 2, &h, &used, &reason), PROXY_HEADER_OK);
    free(b.ptr);
}
END_TEST

/* The checksum of sample 5 stands for the whole header. */
START_TEST(a_flipped_bit_does_not_pass_the_checksum)
{
    struct bytes b = unhex(samples[5].hex);
    struct proxy_header h;
    const char *reason;
    size_t used;
    b.ptr[16 + _i] ^= 0x10;
    ck_assert_int_eq(read_exactly(b.ptr, b.len, &h, &used, &reason), PROXY_HEADER_BAD);
    ck_assert_str_eq(reason, "a wrong checksum");
    free(b.ptr);
}
END_TEST

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FOUR      "\1\2\3\4\5\6\7\10\0\1\0\2"
#define BAD(text) (text), sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t len;
    const char *reason;
} bads[] = {
    {BAD("\x10\x0c\0\4MQTT"), "something else"},
    {BAD("PROXX"), "something else"},
    {BAD("\r\n\r\nX"), "something else"},
    {BAD("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), "neither TCP4"},
    {BAD("PROXY TCP4\r\n"), "an address"},
    {BAD("PROXY TCP4 ::1 ::1 1 2\r\n"), "an address"},
    {BAD("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), "an address"},
    {BAD("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n"), "an address"},
    {BAD("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"), "an address"},
    {BAD("PROXY TCP6 fe80::1%1 ::1 1 2\r\n"), "an address"},
    {BAD("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), "a port"},
    {BAD("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), "a port"},
    {BAD("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"), "a port"},
    {BAD("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), "a port"},
    {BAD("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), "more than two"},
    {BAD("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"), "more than two"},
    {BAD("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), "CR LF"},
    {BAD("PROXY UNKNOWN\0\r\n"), "CR LF"},
    {BAD("PROXY UNKNOWN 6789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "01234567890\r\n"),
     "107"},
    {BAD(SIGNATURE "\x31\x11\0\x0c" FOUR), "a version"},
    {BAD(SIGNATURE "\x22\x11\0\x0c" FOUR), "a version"},
    {BAD(SIGNATURE "\x21\x41\0\x0c" FOUR), "a family"},
    {BAD(SIGNATURE "\x21\x13\0\x0c" FOUR), "a family"},
    {BAD(SIGNATURE "\x21\x11\0\x0b\1\2\3\4\5\6\7\10\0\1\0"), "too short"},
    {BAD(SIGNATURE "\x21\x21\0\x0c" FOUR), "too short"},
    {BAD(SIGNATURE "\x21\x31\0\x0c" FOUR), "too short"},
    {BAD(SIGNATURE "\x21\x11\0\x0e" FOUR "\1\0"), "a value"},
    {BAD(SIGNATURE "\x21\x11\0\x10" FOUR "\1\0\2a"), "a value"},
    {BAD(SIGNATURE "\x21\x11\0\x13" FOUR "\3\0\4\0\0\0\0"), "a wrong checksum"},
    {BAD(SIGNATURE "\x21\x11\0\x10" FOUR "\3\0\1\0"), "a wrong checksum"},
    {BAD(SIGNATURE "\x21\x11\0\x13" FOUR "\x20\0\4\7\0\0\0"), "facts of TLS"},
    {BAD(SIGNATURE "\x21\x11\0\x16" FOUR "\x20\0\7\7\0\0\0\0\x22\0"), "a fact of TLS"},
    {BAD(SIGNATURE "\x21\x11\0\x18" FOUR "\x20\0\x09\7\0\0\0\0\x22\0\2a"), "a fact of TLS"},
    {BAD(SIGNATURE "\x21\x11\x0f\xf1"), "4,096"},
    {BAD(SIGNATURE "\x20\x11\xff\xff"), "4,096"},
};

START_TEST(anything_else_is_refused)
{
    struct proxy_header h;
    const char *reason = NULL;
    size_t used;
    ck_assert_int_eq(read_exactly(bads[_i].bytes, bads[_i].len, &h, &used, &reason), PROXY_HEADER_BAD);
    ck_assert_msg(strstr(reason, bads[_i].reason) != NULL, "%s", reason);
}
END_TEST

START_TEST(what_is_not_an_ip_stream_names_nobody)
{
    static const char unspec[] = SIGNATURE "\x21\0\0\4\xe0\0\1x", udp[] = SIGNATURE "\x21\x12\0\x10" FOUR "\xe0\0\1x";
    uint8_t unix_socket[16 + 216] = SIGNATURE "\x21\x31\0\xd8/run/client";
    struct proxy_header h;
    const char *reason;
    size_t used;
    ck_assert_int_eq(proxy_header_read(unspec, sizeof(unspec) - 1, &h, &used, &reason), PROXY_HEADER_OK);
    check_address(&h.source, NULL);
    check_text(h.client_id, "x");
    ck_assert_int_eq(proxy_header_read(udp, sizeof(udp) - 1, &h, &used, &reason), PROXY_HEADER_OK);
    check_address(&h.source, NULL);
    check_text(h.client_id, "x");
    ck_assert_int_eq(proxy_header_read(unix_socket, sizeof(unix_socket), &h, &used, &reason), PROXY_HEADER_OK);
    check_address(&h.source, NULL);
}
END_TEST

START_TEST(a_certificate_that_was_not_verified_is_none)
{
    static const char header[] = SIGNATURE "\x21\x11\0\x1a" FOUR "\x20\0\x0b\7\0\0\0\1\x22\0\3abc";
    struct proxy_header h;
    const char *reason;
    size_t used;
    ck_assert_int_eq(proxy_header_read(header, sizeof(header) - 1, &h, &used, &reason), PROXY_HEADER_OK);
    ck_assert(h.is_tls && !h.has_certificate);
    check_text(h.common_name, NULL);
}
END_TEST

START_TEST(ipv4_inside_ipv6_is_ipv4)
{
    static const char text[] = "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n";
    struct proxy_header h;
    const char *reason;
    size_t used;
    ck_assert_int_eq(proxy_header_read(text, sizeof(text) - 1, &h, &used, &reason), PROXY_HEADER_OK);
    check_address(&h.source, "192.0.2.1:1");
    check_address(&h.destination, "[::1]:2");
}
END_TEST

/* --- Writing */

static const struct {
    const char *source, *destination, *line;
} lines[] = {
    {"192.0.2.1", "198.51.100.7", "PROXY TCP4 192.0.2.1 198.51.100.7 35646 1883\r\n"},
    {"2001:db8::1", "::1", "PROXY TCP6 2001:db8::1 ::1 35646 1883\r\n"},
    {"2001:db8::1", "127.0.0.1", "PROXY TCP6 2001:db8::1 ::ffff:127.0.0.1 35646 1883\r\n"},
    {"192.0.2.1", "::1", "PROXY TCP6 ::ffff:192.0.2.1 ::1 35646 1883\r\n"},
    {"192.0.2.1", NULL, "PROXY TCP4 192.0.2.1 0.0.0.0 35646 0\r\n"},
    {"2001:db8::1", NULL, "PROXY TCP6 2001:db8::1 :: 35646 0\r\n"},
    {NULL, "127.0.0.1", "PROXY UNKNOWN\r\n"},
};

static struct proxy_header header_between(const char *source, const char *destination)
{
    struct proxy_header h = {.is_local = false};
    if (source)
        ck_assert(address_parse(source, 35646, &h.source));
    if (destination)
        ck_assert(address_parse(destination, 1883, &h.destination));
    return h;
}

START_TEST(v1_is_written_as_the_document_has_it)
{
    const struct proxy_header h = header_between(lines[_i].source, lines[_i].destination);
    uint8_t bytes[PROXY_HEADER_V1_MAX];
    size_t n = proxy_header_write_v1(bytes, &h);
    ck_assert_uint_eq(n, strlen(lines[_i].line));
    ck_assert_mem_eq(bytes, lines[_i].line, n);
}
END_TEST

/* Our own client id, which haproxy does not send, included. */
START_TEST(v2_is_written_so_that_it_is_read_the_same)
{
    struct bytes b = unhex(samples[_i].hex);
    uint8_t bytes[PROXY_HEADER_WRITE_MAX];
    struct proxy_header h, again;
    const char *reason;
    size_t used;
    ck_assert_int_eq(proxy_header_read(b.ptr, b.len, &h, &used, &reason), PROXY_HEADER_OK);
    h.client_id = (struct proxy_text){(const uint8_t *)"pump-3", h.is_local ? 0 : 6};
    size_t n = proxy_header_write_v2(bytes, &h);
    ck_assert_int_eq(read_exactly(bytes, n, &again, &used, &reason), PROXY_HEADER_OK);
    ck_assert_int_eq(proxy_header_read(bytes, n, &again, &used, &reason), PROXY_HEADER_OK);
    ck_assert_uint_eq(used, n);
    check_header(&again, &samples[_i]);
    check_text(again.client_id, h.is_local ? NULL : "pump-3");
    free(b.ptr);
}
END_TEST

START_TEST(v2_without_tlvs_is_what_haproxy_writes)
{
    struct bytes b = unhex(samples[_i].hex);
    uint8_t bytes[PROXY_HEADER_WRITE_MAX];
    struct proxy_header h;
    const char *reason;
    size_t used;
    ck_assert_int_eq(proxy_header_read(b.ptr, b.len, &h, &used, &reason), PROXY_HEADER_OK);
    ck_assert_uint_eq(proxy_header_write_v2(bytes, &h), used);
    ck_assert_mem_eq(bytes, b.ptr, used);
    free(b.ptr);
}
END_TEST

START_TEST(a_text_that_is_too_long_is_left_out)
{
    static uint8_t text[PROXY_HEADER_TEXT_MAX + 1];
    const struct proxy_text fits = {text, PROXY_HEADER_TEXT_MAX}, too_long = {text, PROXY_HEADER_TEXT_MAX + 1};
    uint8_t *bytes = malloc(PROXY_HEADER_WRITE_MAX);
    struct proxy_header h = header_between("2001:db8::1", "::1"), again;
    const char *reason;
    size_t used;
    memset(text, 'x', sizeof(text));
    h.is_tls = h.has_certificate = true;
    h.alpn = h.authority = h.unique_id = h.tls_version = h.tls_cipher = h.common_name = h.client_id = fits;
    size_t n = proxy_header_write_v2(bytes, &h);
    ck_assert_uint_eq(n, PROXY_HEADER_WRITE_MAX);
    h.client_id = too_long;
    n = proxy_header_write_v2(bytes, &h);
    ck_assert_int_eq(proxy_header_read(bytes, n, &again, &used, &reason), PROXY_HEADER_OK);
    ck_assert_uint_eq(again.client_id.len, 0);
    ck_assert_uint_eq(again.common_name.len, PROXY_HEADER_TEXT_MAX);
    free(bytes);
}
END_TEST

static Suite *proxy_header_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("proxy_header", &tc);
    tcase_add_loop_test(tc, what_haproxy_sends_is_read, 0, TEST_COUNT(samples));
    tcase_add_loop_test(tc, every_beginning_of_a_header_asks_for_more, 0, TEST_COUNT(samples));
    tcase_add_loop_test(tc, a_flipped_bit_does_not_pass_the_checksum, 0, 12);
    tcase_add_loop_test(tc, anything_else_is_refused, 0, TEST_COUNT(bads));
    tcase_add_test(tc, what_is_not_an_ip_stream_names_nobody);
    tcase_add_test(tc, a_certificate_that_was_not_verified_is_none);
    tcase_add_test(tc, ipv4_inside_ipv6_is_ipv4);
    tcase_add_loop_test(tc, v1_is_written_as_the_document_has_it, 0, TEST_COUNT(lines));
    tcase_add_loop_test(tc, v2_is_written_so_that_it_is_read_the_same, 0, TEST_COUNT(samples));
    tcase_add_loop_test(tc, v2_without_tlvs_is_what_haproxy_writes, 3, 5);
    tcase_add_test(tc, a_text_that_is_too_long_is_left_out);
    return suite;
}

TEST_MAIN(proxy_header_suite)
