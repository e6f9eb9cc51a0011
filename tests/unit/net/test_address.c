/* Addresses from text and as text. */
#include "address.h"

#include <arpa/inet.h>
#include <string.h>

#include "test_main.h"

struct sample {
    const char *text, *formatted;
};

static const struct sample samples[] = {
    {"10.0.0.8", "10.0.0.8:1883"},
    {"::1", "[::1]:1883"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.254", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:1883"},
    {"fe80::1%1", "[fe80::1%1]:1883"},
    {"fe80::1%lo", "[fe80::1%1]:1883"},
};

static const char *const bads[] = {
    "",           "host",         "10.0.0",
    "10.0.0.256", "10.0.0.8:1",   "::g",
    "fe80::1%",   "fe80::1%nope", "1111111111111111111111111111111111111111111111111111111111111111"};

/* With a port, as address_format() writes them, and what is not that. */
static const char *const with_port[] = {"10.0.0.8:1883", "255.255.255.255:65535", "0.0.0.0:0",
                                        "[::1]:1883",    "[2001:db8::7]:50122",   "[fe80::1%1]:8883"};

static const struct {
    const char *text;
    size_t len; /* 0: all of it */
} bad_with_port[] = {
    {"", 0},
    {":", 0},
    {":1", 0},
    {"10.0.0.8", 0},
    {"10.0.0.8:", 0},
    {"10.0.0.8:65536", 0},
    {"10.0.0.8:-1", 0},
    {"10.0.0.8: 1", 0},
    {"10.0.0.8:1x", 0},
    {"10.0.0.8:1\0", 11}, /* a NUL within */
    {"10.0.0.8 :1", 0},
    {"[10.0.0.8]:1", 0},
    {"host:1", 0},
    {"::1:1", 0}, /* whose port would it be? */
    {"[::1]", 0},
    {"[::1:1", 0},
    {"::1]:1", 0},
    {"[]:1", 0},
    {"[:1", 0},
    {"[::1]x:1", 0},
    {"[[::1]]:1", 0},
    {"unix:pid 17", 0},
    {"unknown", 0},
    {"[1111:1111:1111:1111:1111:1111:1111:1111%12345678901234567890]:1", 0}, /* longer than any */
};

START_TEST(a_numeric_address_is_read_and_shown)
{
    union conn_address address;
    char text[ADDRESS_TEXT_MAX];
    ck_assert(address_parse(samples[_i].text, 1883, &address));
    ck_assert_str_eq(address_format(&address, text), samples[_i].formatted);
    ck_assert_uint_eq(address_port(&address), 1883);
}
END_TEST

START_TEST(anything_else_is_no_address)
{
    union conn_address address;
    ck_assert(!address_parse(bads[_i], 1, &address));
}
END_TEST

START_TEST(what_is_written_with_a_port_is_read_again)
{
    union conn_address address;
    char text[ADDRESS_TEXT_MAX], longer[2 * ADDRESS_TEXT_MAX];
    const size_t len = strlen(with_port[_i]);
    memset(longer, '9', sizeof(longer)); /* what stands behind it is not looked at */
    memcpy(longer, with_port[_i], len);
    ck_assert(address_parse_with_port(longer, len, &address));
    ck_assert_str_eq(address_format(&address, text), with_port[_i]);
}
END_TEST

START_TEST(anything_else_with_a_port_is_no_address)
{
    union conn_address address;
    const size_t len = bad_with_port[_i].len ? bad_with_port[_i].len : strlen(bad_with_port[_i].text);
    ck_assert_msg(!address_parse_with_port(bad_with_port[_i].text, len, &address), "%s", bad_with_port[_i].text);
}
END_TEST

START_TEST(ipv4_inside_ipv6_is_shown_as_ipv4)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
    union conn_address address;
    char text[ADDRESS_TEXT_MAX];
    ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:10.0.0.8", &in6.sin6_addr), 1);
    address_from_sockaddr((struct sockaddr *)&in6, &address);
    ck_assert_str_eq(address_format(&address, text), "10.0.0.8:7");
}
END_TEST

START_TEST(equal_means_host_port_and_scope)
{
    const char *const texts[] = {"10.0.0.8", "10.0.0.9", "::1", "fe80::1%1", "fe80::1%2"};
    union conn_address a, b;
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        for (size_t j = 0; j < TEST_COUNT(texts); j++) {
            ck_assert(address_parse(texts[i], 1, &a) && address_parse(texts[j], 1, &b));
            ck_assert_int_eq(address_equal(&a, &b), i == j);
        }
        address_set_port(&a, 2);
        address_parse(texts[i], 1, &b);
        ck_assert(!address_equal(&a, &b));
    }
}
END_TEST

START_TEST(a_family_without_text_is_unknown)
{
    union conn_address address = {.any.sa_family = AF_UNSPEC};
    char text[ADDRESS_TEXT_MAX];
    ck_assert_str_eq(address_format(&address, text), "unknown");
    ck_assert_uint_eq(address_port(&address), 0);
}
END_TEST

static Suite *address_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("address", &tc);
    tcase_add_loop_test(tc, a_numeric_address_is_read_and_shown, 0, TEST_COUNT(samples));
    tcase_add_loop_test(tc, anything_else_is_no_address, 0, TEST_COUNT(bads));
    tcase_add_loop_test(tc, what_is_written_with_a_port_is_read_again, 0, TEST_COUNT(with_port));
    tcase_add_loop_test(tc, anything_else_with_a_port_is_no_address, 0, TEST_COUNT(bad_with_port));
    tcase_add_test(tc, ipv4_inside_ipv6_is_shown_as_ipv4);
    tcase_add_test(tc, equal_means_host_port_and_scope);
    tcase_add_test(tc, a_family_without_text_is_unknown);
    return suite;
}

TEST_MAIN(address_suite)
