/* What a broker is told before CONNECT. Read again by proxy_header_read(), whose own tests have haproxy's bytes. */
#include "sp_preface.h"

#include <string.h>

#include "address.h"
#include "proxy_header.h"
#include "sp_options.h"
#include "test_main.h"
#include "trunk_frame.h"

static uint8_t bytes[PROXY_HEADER_WRITE_MAX];
static struct conn_peer broker;

static void setup(void)
{
    memset(&broker, 0, sizeof(broker));
    ck_assert(address_parse("198.51.100.7", 1883, &broker.address));
}

static struct mqtt_bytes said(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static size_t write_line(const struct trunk_client *client)
{
    return sp_preface_write(bytes, SP_PROXY_PROTOCOL_V1, client, said("pump"), &broker);
}

static struct proxy_header write_v2(const struct trunk_client *client, const char *client_id)
{
    struct proxy_header h;
    const char *reason = "";
    size_t used = 0;
    size_t n = sp_preface_write(bytes, SP_PROXY_PROTOCOL_V2, client, said(client_id), &broker);
    ck_assert_uint_le(n, sizeof(bytes));
    ck_assert_msg(proxy_header_read(bytes, n, &h, &used, &reason) == PROXY_HEADER_OK, "%s", reason);
    ck_assert_uint_eq(used, n);
    return h;
}

static void check_text(struct proxy_text text, const char *wanted)
{
    ck_assert_uint_eq(text.len, strlen(wanted));
    ck_assert(text.len == 0 || memcmp(text.ptr, wanted, text.len) == 0);
}

static void check_address(const union conn_address *address, const char *wanted)
{
    char text[ADDRESS_TEXT_MAX];
    ck_assert_str_eq(address_format(address, text), wanted);
}

START_TEST(none_is_no_byte)
{
    const struct trunk_client client = {.source = said("192.0.2.1:35646")};
    ck_assert_uint_eq(sp_preface_write(bytes, SP_PROXY_PROTOCOL_NONE, &client, said("pump"), &broker), 0);
}
END_TEST

static const struct {
    const char *source, *line; /* NULL: no client at all */
} lines[] = {
    {"192.0.2.1:35646", "PROXY TCP4 192.0.2.1 198.51.100.7 35646 1883\r\n"},
    {"[2001:db8::1]:35646", "PROXY TCP6 2001:db8::1 ::ffff:198.51.100.7 35646 1883\r\n"},
    {"", "PROXY UNKNOWN\r\n"},
    {NULL, "PROXY UNKNOWN\r\n"},
    {"unix:pid 17", "PROXY UNKNOWN\r\n"},
    {"192.0.2.1", "PROXY UNKNOWN\r\n"},
    {"192.0.2.1:1\r\nPROXY TCP4 10.0.0.1 10.0.0.2 1 2", "PROXY UNKNOWN\r\n"}, /* an r-proxy that lies */
};

START_TEST(v1_is_a_line_with_the_addresses)
{
    const struct trunk_client client = {.source = said(lines[_i].source ? lines[_i].source : "")};
    size_t n = write_line(lines[_i].source ? &client : NULL);
    ck_assert_uint_eq(n, strlen(lines[_i].line));
    ck_assert_msg(memcmp(bytes, lines[_i].line, n) == 0, "%.*s", (int)n, (const char *)bytes);
}
END_TEST

START_TEST(v2_says_all_that_is_known)
{
    const struct trunk_client client = {.source = said("192.0.2.1:35646"),
                                        .tls_version = said("TLSv1.3"),
                                        .tls_cipher = said("TLS_AES_256_GCM_SHA384"),
                                        .server_name = said("edge.example"),
                                        .common_name = said("pump-3"),
                                        .is_tls = true,
                                        .has_certificate = true};
    struct proxy_header h = write_v2(&client, "pump");
    check_address(&h.source, "192.0.2.1:35646");
    check_address(&h.destination, "198.51.100.7:1883");
    ck_assert(h.is_tls && h.has_certificate && !h.is_local);
    check_text(h.tls_version, "TLSv1.3");
    check_text(h.tls_cipher, "TLS_AES_256_GCM_SHA384");
    check_text(h.authority, "edge.example");
    check_text(h.common_name, "pump-3");
    check_text(h.client_id, "pump");
}
END_TEST

/* Without is_tls they are not r-proxy's to say (trunk_frame.h). */
START_TEST(a_client_without_tls_has_no_certificate)
{
    const struct trunk_client client = {
        .source = said("192.0.2.1:1"), .common_name = said("admin"), .tls_version = said("x"), .has_certificate = true};
    struct proxy_header h = write_v2(&client, "");
    check_address(&h.source, "192.0.2.1:1");
    ck_assert(!h.is_tls && !h.has_certificate);
    check_text(h.common_name, "");
    check_text(h.tls_version, "");
    check_text(h.client_id, "");
}
END_TEST

START_TEST(a_name_without_a_certificate_is_not_passed_on)
{
    const struct trunk_client client = {.common_name = said("admin"), .is_tls = true};
    struct proxy_header h = write_v2(&client, "pump");
    ck_assert(h.is_tls && !h.has_certificate);
    check_text(h.common_name, "");
}
END_TEST

START_TEST(without_a_client_there_is_no_address_but_an_id)
{
    struct proxy_header h = write_v2(NULL, "pump");
    ck_assert_int_eq(h.source.any.sa_family, 0);
    ck_assert(!h.is_tls && !h.is_local);
    check_text(h.client_id, "pump");
}
END_TEST

START_TEST(a_broker_at_a_unix_socket_has_no_address)
{
    const struct trunk_client client = {.source = said("192.0.2.1:35646")};
    memset(&broker, 0, sizeof(broker));
    broker.address.any.sa_family = AF_UNIX;
    struct proxy_header h = write_v2(&client, "pump");
    check_address(&h.source, "192.0.2.1:35646");
    check_address(&h.destination, "0.0.0.0:0");
}
END_TEST

START_TEST(an_id_that_is_too_long_is_left_out)
{
    char id[PROXY_HEADER_TEXT_MAX + 2];
    memset(id, 'x', sizeof(id));
    id[PROXY_HEADER_TEXT_MAX + 1] = '\0';
    struct proxy_header h = write_v2(NULL, id);
    check_text(h.client_id, "");
    id[PROXY_HEADER_TEXT_MAX] = '\0';
    h = write_v2(NULL, id);
    check_text(h.client_id, id);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("sp_preface", &t);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, none_is_no_byte);
    tcase_add_loop_test(t, v1_is_a_line_with_the_addresses, 0, TEST_COUNT(lines));
    tcase_add_test(t, v2_says_all_that_is_known);
    tcase_add_test(t, a_client_without_tls_has_no_certificate);
    tcase_add_test(t, a_name_without_a_certificate_is_not_passed_on);
    tcase_add_test(t, without_a_client_there_is_no_address_but_an_id);
    tcase_add_test(t, a_broker_at_a_unix_socket_has_no_address);
    tcase_add_test(t, an_id_that_is_too_long_is_left_out);
    return s;
}

TEST_MAIN(suite)
